// theme.ts - light, dark or as the system says; kept in this browser.
import { signal } from '@preact/signals';

export type Theme = 'system' | 'light' | 'dark';
const KEY = 'reeld.theme';

function stored(key: string): string | null {
	try { return localStorage.getItem(key); } catch { return null; }
}

export function remember(key: string, value: string | null) {
	try {
		if (value === null) localStorage.removeItem(key);
		else localStorage.setItem(key, value);
	} catch { /* storage is off: it lasts until the page is left */ }
}

const first = stored(KEY);
export const theme = signal<Theme>(first === 'light' || first === 'dark' ? first : 'system');

export function setTheme(next: Theme) {
	theme.value = next;
	remember(KEY, next === 'system' ? null : next);
	if (next === 'system') delete document.documentElement.dataset.theme;
	else document.documentElement.dataset.theme = next;
}

export const shortcuts = signal(stored('reeld.shortcuts') !== 'off');
export function setShortcuts(on: boolean) {
	shortcuts.value = on;
	remember('reeld.shortcuts', on ? null : 'off');
}
