// theme.js - sets the chosen theme before the first paint; src/theme.ts changes it.
try {
	const theme = localStorage.getItem('reeld.theme');
	if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch { /* storage is off: the system's theme stays */ }
