// kit.tsx - the small parts that pages are made of.
import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { problem, type Problem } from '../api';
import { ago, iso, ms } from '../logic/format';
import { label, progress, tone } from '../logic/status';
import { tell } from '../store';
import type { Generation, Time } from '../types';
import { Icon } from './icon';
import type { IconName } from './icon-names';

export function useTitle(title: string) {
	useEffect(() => { document.title = `${title} · reeld`; }, [title]);
}

// The page's clock: ticks only while something that shows a time is on it.
const second = signal(Date.now());
let tickers = 0, timer = 0;
export function useNow(): number {
	useEffect(() => {
		if (tickers++ === 0) {
			second.value = Date.now();
			timer = window.setInterval(() => { if (!document.hidden) second.value = Date.now(); }, 1000);
		}
		return () => { if (--tickers === 0) clearInterval(timer); };
	}, []);
	return second.value;
}

export function When({ time, prefix }: { time: Time | null | undefined; prefix?: string }) {
	const now = useNow();
	const at = ms(time);
	if (at === null) return <span class="muted">—</span>;
	return <time dateTime={iso(at)} title={iso(at)}>{prefix ? `${prefix} ` : ''}{ago(at, now)}</time>;
}

const toneIcons: Record<string, IconName> = {
	idle: 'clock', busy: 'loader-circle', good: 'circle-check', bad: 'circle-x', warn: 'hourglass',
};

export function Badge({ status }: { status: string }) {
	const t = tone(status);
	return (
		<span class={`badge ${t}`}>
			<Icon name={status === 'cancelled' ? 'ban' : toneIcons[t]!} size={14} class={t === 'busy' ? 'spin' : ''} />
			{label(status)}
		</span>
	);
}

// Honest progress: a full bar when the number is real, a striped one when it is
// estimated, a moving one without a number when nobody knows.
export function Bar({ of, quiet }: { of: Pick<Generation, 'status' | 'progress' | 'progress_basis'>; quiet?: boolean }) {
	const { percent, text } = progress(of);
	const kind = percent === null ? 'unknown' : of.progress_basis === 'estimated' ? 'estimated' : 'real';
	return (
		<div class="progress">
			<div class={`bar ${kind}`} role="progressbar" aria-label="Progress" aria-valuemin={0} aria-valuemax={100}
				aria-valuenow={percent ?? undefined} aria-valuetext={text}>
				<span style={{ transform: `scaleX(${percent === null ? 1 : percent / 100})` }} />
			</div>
			{!quiet && <p class="muted small">{text}</p>}
		</div>
	);
}

export function Empty({ icon, title, children }: { icon: IconName; title: string; children?: ComponentChildren }) {
	return (
		<div class="empty">
			<span class="empty-icon"><Icon name={icon} size={26} /></span>
			<h2>{title}</h2>
			{children}
		</div>
	);
}

export function Trouble({ of, again }: { of: Problem | null; again?: () => void }) {
	if (!of) return null;
	return (
		<div class="trouble" role="alert">
			<Icon name="triangle-alert" />
			<div>
				<p>{of.message}</p>
				{of.requestId && <p class="small muted">Request <code>{of.requestId}</code></p>}
			</div>
			{again && <button class="ghost" type="button" onClick={again}>Try again</button>}
		</div>
	);
}

export function Skeleton({ lines = 3, class: more = '' }: { lines?: number; class?: string }) {
	return (
		<div class={`skeleton ${more}`} role="status" aria-label="Loading">
			{Array.from({ length: lines }, (_, i) => <span key={i} />)}
		</div>
	);
}

export function Dialog({ open, onClose, title, children, wide }: {
	open: boolean; onClose: () => void; title: string; children: ComponentChildren; wide?: boolean;
}) {
	const ref = useRef<HTMLDialogElement>(null);
	const id = useId();
	// Not after the next paint: until it is closed, the page behind is inert and
	// would lose what is typed there.
	useLayoutEffect(() => {
		const dialog = ref.current;
		if (!dialog) return;
		if (open && !dialog.open) dialog.showModal();
		else if (!open && dialog.open) dialog.close();
	}, [open]);
	return (
		<dialog ref={ref} class={wide ? 'wide' : ''} aria-labelledby={id} onClose={onClose}
			onClick={e => { if (e.target === ref.current) onClose(); }}>
			{open && (
				<div class="dialog-box">
					<header>
						<h2 id={id}>{title}</h2>
						<button class="icon-button" type="button" aria-label="Close" onClick={onClose}><Icon name="x" /></button>
					</header>
					{children}
				</div>
			)}
		</dialog>
	);
}

// Asks first, in a dialog that says what will happen.
export function Confirm({ open, onClose, title, action, danger, run, children }: {
	open: boolean; onClose: () => void; title: string; action: string; danger?: boolean;
	run: () => Promise<unknown>; children: ComponentChildren;
}) {
	const [busy, setBusy] = useState(false);
	const [wrong, setWrong] = useState<Problem | null>(null);
	useEffect(() => { if (open) setWrong(null); }, [open]);
	const go = async () => {
		setBusy(true);
		setWrong(null);
		try {
			await run();
			onClose();
		} catch (e) { setWrong(problem(e)); }
		setBusy(false);
	};
	return (
		<Dialog open={open} onClose={onClose} title={title}>
			<div class="stack">{children}<Trouble of={wrong} /></div>
			<footer>
				<button class="ghost" type="button" onClick={onClose}>Keep it</button>
				<button class={danger ? 'danger' : 'primary'} type="button" disabled={busy} onClick={go}>
					{busy && <Icon name="loader-circle" class="spin" />}{action}
				</button>
			</footer>
		</Dialog>
	);
}

export function Copy({ text, children = 'Copy' }: { text: string; children?: ComponentChildren }) {
	const copy = async () => {
		try {
			await navigator.clipboard.writeText(text);
			tell('Copied.');
		} catch { tell('The browser does not allow copying here: select the text instead.', true); }
	};
	return <button class="ghost" type="button" onClick={copy}><Icon name="copy" />{children}</button>;
}

export function More({ busy, onClick }: { busy: boolean; onClick: () => void }) {
	return (
		<div class="more">
			<button class="ghost" type="button" disabled={busy} onClick={onClick}>
				{busy && <Icon name="loader-circle" class="spin" />}Show more
			</button>
		</div>
	);
}
