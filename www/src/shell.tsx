// shell.tsx - what is around every page: header, navigation, balance, account.
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { useLocation } from 'preact-iso';
import { active, atLeast, balance, connection, me, notice, signOut } from './store';
import { setTheme, shortcuts, theme, type Theme } from './theme';
import { Icon } from './ui/icon';
import type { IconName } from './ui/icon-names';

const themes: [Theme, string, IconName][] = [
	['system', 'System', 'monitor'], ['light', 'Light', 'sun'], ['dark', 'Dark', 'moon'],
];

function Link({ href, icon, text, count }: { href: string; icon: IconName; text: string; count?: number }) {
	const { path } = useLocation();
	const here = href === '/create'
		? path === '/' || path.startsWith('/create')
		: path === href || path.startsWith(`${href}/`) || (href === '/admin/jobs' && path.startsWith('/admin'));
	return (
		<a href={href} aria-current={here ? 'page' : undefined}>
			<Icon name={icon} /><span>{text}</span>
			{count ? <span class="count">{count}<span class="hidden"> running</span></span> : null}
		</a>
	);
}

function Account() {
	const who = me.value!;
	const close = () => document.getElementById('account')?.hidePopover();
	return (
		<>
			<button class="avatar" type="button" popovertarget="account" aria-label={`Account of ${who.email}`}>
				{(who.name || who.email).slice(0, 1).toUpperCase()}
			</button>
			<div id="account" class="menu" popover="auto">
				<p class="who"><strong>{who.name || who.email}</strong><span class="muted small">{who.email} · {who.role}</span></p>
				<a href="/credits" onClick={close}><Icon name="receipt" />Credits and ledger</a>
				<a href="/keys" onClick={close}><Icon name="key-round" />API keys</a>
				<fieldset class="segments" aria-label="Theme">
					<legend class="hidden">Theme</legend>
					{themes.map(([value, text, icon]) => (
						<label key={value}>
							<input type="radio" name="theme" checked={theme.value === value} onChange={() => setTheme(value)} />
							<span><Icon name={icon} size={16} />{text}</span>
						</label>
					))}
				</fieldset>
				<button type="button" onClick={() => { close(); dispatchEvent(new CustomEvent('reeld:help')); }}>
					<Icon name="keyboard" />Keyboard shortcuts
				</button>
				<button type="button" onClick={() => { close(); void signOut(); }}><Icon name="log-out" />Sign out</button>
			</div>
		</>
	);
}

function Connection() {
	const [text, tone] = connection.value === 'live' ? ['Live', 'good']
		: connection.value === 'stale' ? ['Not live', 'warn'] : ['Connecting', 'idle'];
	return (
		<span class={`connection ${tone}`} role="status" title={tone === 'warn'
			? 'The live connection is down: trying again, and asking every few seconds meanwhile.' : text}>
			<i /><span>{text}</span>
		</span>
	);
}

// Keys work outside of fields, and can be switched off (WCAG 2.1.4).
function useShortcuts() {
	const [help, setHelp] = useState(false);
	const { route } = useLocation();
	useEffect(() => {
		let g = 0;
		const on = (e: KeyboardEvent) => {
			if (!shortcuts.value || !me.value || e.ctrlKey || e.metaKey || e.altKey) return;
			const at = e.target as HTMLElement;
			if (at.closest?.('input, textarea, select, [contenteditable], dialog')) return;
			if (e.key === 'g') { g = e.timeStamp; return; }
			const go: Record<string, string> = { h: '/history', c: '/create', j: '/admin/jobs' };
			if (g && e.timeStamp - g < 1500 && go[e.key]) {
				e.preventDefault();
				route(go[e.key]!);
			} else if (e.key === '/') {
				const field = document.querySelector<HTMLInputElement>('input[type=search]');
				if (field) { e.preventDefault(); field.focus(); }
			} else if (e.key === '?') {
				e.preventDefault();
				setHelp(true);
			}
			g = 0;
		};
		const open = () => setHelp(true);
		addEventListener('keydown', on);
		addEventListener('reeld:help', open);
		return () => { removeEventListener('keydown', on); removeEventListener('reeld:help', open); };
	}, [route]);
	return [help, setHelp] as const;
}

function Help({ close }: { close: () => void }) {
	const [Box, setBox] = useState<{ Shortcuts: (props: { close: () => void }) => ComponentChildren } | null>(null);
	useEffect(() => { void import('./ui/shortcuts').then(setBox); }, []);
	return Box ? <Box.Shortcuts close={close} /> : null;
}

export function Shell({ children }: { children: ComponentChildren }) {
	const [help, setHelp] = useShortcuts();
	const who = me.value;
	const said = notice.value;
	return (
		<>
			<a class="skip" href="#main">Skip to the page</a>
			<header class="top">
				<a class="brand" href="/" aria-label="reeld, start page"><img src="/favicon.svg" width="28" height="28" alt="" /><span>reeld</span></a>
				{who && (
					<>
						<nav class="main-nav" aria-label="Pages">
							<Link href="/create" icon="sparkles" text="Create" />
							<Link href="/history" icon="history" text="History" count={active.value.length} />
							<Link href="/credits" icon="coins" text="Credits" />
							{atLeast('operator') && <Link href="/admin/jobs" icon="shield" text="Admin" />}
						</nav>
						<div class="top-end">
							<Connection />
							<a class="balance" href="/credits">
								<Icon name="coins" size={16} /><span class="hidden">Balance: </span>{(balance.value ?? who.balance).toLocaleString('en')}<span class="hidden"> credits</span>
							</a>
							<Account />
						</div>
					</>
				)}
			</header>
			<main id="main" tabIndex={-1}>{children}</main>
			<div class="notices" role="status" aria-live="polite">
				{said && <p class={said.bad ? 'bad' : ''}>{said.text}</p>}
			</div>
			{help && <Help close={() => setHelp(false)} />}
		</>
	);
}
