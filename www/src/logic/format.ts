// format.ts - numbers, times and words as people read them.
import type { Time } from '../types';

export function ms(time: Time | null | undefined): number | null {
	if (time === null || time === undefined || time === '') return null;
	const at = typeof time === 'number' ? time : Date.parse(time);
	return Number.isFinite(at) ? at : null;
}

export function credits(n: number): string {
	return `${n.toLocaleString('en')} ${Math.abs(n) === 1 ? 'credit' : 'credits'}`;
}

export function signed(n: number): string {
	return n > 0 ? `+${n.toLocaleString('en')}` : n < 0 ? `−${(-n).toLocaleString('en')}` : '0';
}

// "850 ms", "4.2 s", "1 min 5 s", "2 h 3 min"
export function span(millis: number): string {
	const s = Math.max(0, millis) / 1000;
	if (s < 1) return `${Math.round(s * 1000)} ms`;
	if (s < 10) return `${s.toFixed(1).replace(/\.0$/, '')} s`;
	if (s < 59.5) return `${Math.round(s)} s`;
	const whole = Math.round(s);
	const m = Math.floor(whole / 60);
	if (m < 60) return whole % 60 ? `${m} min ${whole % 60} s` : `${m} min`;
	const h = Math.floor(m / 60);
	if (h < 24) return m % 60 ? `${h} h ${m % 60} min` : `${h} h`;
	const d = Math.floor(h / 24);
	return h % 24 ? `${d} d ${h % 24} h` : `${d} d`;
}

export function bytes(n: number): string {
	if (n < 1000) return `${n} B`;
	const units = ['kB', 'MB', 'GB', 'TB'];
	let v = n, i = -1;
	do { v /= 1000; i++; } while (v >= 999.5 && i < units.length - 1);
	return `${v < 10 ? v.toFixed(1) : Math.round(v)} ${units[i]}`;
}

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'short' });
const steps: [Intl.RelativeTimeFormatUnit, number][] = [
	['year', 31557600], ['month', 2629800], ['week', 604800], ['day', 86400],
	['hour', 3600], ['minute', 60],
];

export function ago(at: number, now: number): string {
	const s = Math.round((at - now) / 1000);
	for (const [unit, size] of steps) {
		if (Math.abs(s) >= size) return relative.format(Math.trunc(s / size), unit);
	}
	return s > -10 ? 'just now' : relative.format(s, 'second');
}

export function clock(at: number): string {
	return new Date(at).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
}

export function day(at: number): string {
	return new Date(at).toLocaleDateString('en', { year: 'numeric', month: 'short', day: 'numeric' });
}

// Exact UTC, for titles and datetime attributes.
export function iso(at: number): string {
	return new Date(at).toISOString();
}

// "about 2 to 4 min", "about 40 s"
export function eta(low: number | null, high: number | null): string | null {
	if (high === null && low === null) return null;
	const to = high ?? low ?? 0;
	const from = low ?? to;
	if (to <= 0) return 'any moment now';
	if (to < 90) return from < to ? `about ${Math.round(from)}–${Math.round(to)} s` : `about ${Math.round(to)} s`;
	const a = Math.max(1, Math.round(from / 60)), b = Math.round(to / 60);
	return a < b ? `about ${a}–${b} min` : `about ${b} min`;
}

export function money(micro: number, currency: string): string {
	return new Intl.NumberFormat('en', { style: 'currency', currency, maximumFractionDigits: 4 }).format(micro / 1e6);
}
