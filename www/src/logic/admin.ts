// admin.ts - counts, filters in words and shell text for the admin pages.
import type { Status } from '../types';
import { label } from './status';

export type Counts = Partial<Record<Status, number>>;

// Counts by status out of an overview or a queue.stats event; null: it has none.
export function countsOf(o: unknown): Counts | null {
	if (!o || typeof o !== 'object') return null;
	const from = (o as { counts?: unknown }).counts;
	if (!from || typeof from !== 'object') return null;
	const out: Counts = {};
	for (const [key, value] of Object.entries(from)) if (typeof value === 'number') out[key as Status] = value;
	return out;
}

// "10 000+" rather than a number that nobody reads.
export function capped(n: number): string {
	return n >= 10_000 ? '10 000+' : n.toLocaleString('en');
}

export interface JobFilter { state?: string; provider?: string; q?: string }

export function inWords(filter: JobFilter): string {
	const parts = [filter.state ? `${label(filter.state).toLowerCase()} jobs` : 'jobs in any state'];
	if (filter.provider) parts.push(`at ${filter.provider}`);
	if (filter.q) parts.push(`matching “${filter.q}”`);
	return parts.join(' ');
}

// One word of a POSIX shell command.
export function quoted(text: string): string {
	return /^[\w./:=@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

export function curl(origin: string, path: string): string {
	return `curl -H "Authorization: Bearer $REELD_KEY" ${quoted(origin + path)}`;
}
