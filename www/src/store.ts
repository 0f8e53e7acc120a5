// store.ts - what more than one page shows: who is signed in, the balance, the
// generations that have not ended, the models.
import { signal } from '@preact/signals';
import { call, get, list, onSignedOut, problem, type Problem } from './api';
import type { Generation, Me, Model } from './types';

// undefined: not known yet; null: nobody.
export const me = signal<Me | null | undefined>(undefined);
export const meProblem = signal<Problem | null>(null);
export const balance = signal<number | null>(null);
export const active = signal<readonly Generation[]>([]);
export const models = signal<readonly Model[] | null>(null);
// Of live.ts.  off: nothing is watched; stale: what is shown may be old.
export type Connection = 'off' | 'connecting' | 'live' | 'stale';
export const connection = signal<Connection>('off');
// A short message for everybody, also for screen readers.
export const notice = signal<{ text: string; bad: boolean } | null>(null);

let noticeTimer = 0;
export function tell(text: string, bad = false) {
	notice.value = { text, bad };
	clearTimeout(noticeTimer);
	noticeTimer = window.setTimeout(() => { notice.value = null; }, bad ? 9000 : 5000);
}

const ranks = ['visitor', 'user', 'creator', 'operator', 'admin'];
export function atLeast(role: string): boolean {
	return ranks.indexOf(me.value?.role ?? 'visitor') >= ranks.indexOf(role);
}

let unwatch: (() => void) | null = null;

function nobody() {
	if (me.value === null) return;
	unwatch?.();
	unwatch = null;
	me.value = null;
	balance.value = null;
	active.value = [];
	void import('./live').then(live => live.stop());
}
onSignedOut(nobody);

export async function loadMe() {
	try {
		const who = await get<Me>('/me');
		meProblem.value = null;
		balance.value = who.balance;
		me.value = who;
		// Not needed for the first paint.
		const { watchMe } = await import('./store-live');
		unwatch ??= watchMe(who);
	} catch (e) {
		const p = problem(e);
		if (p.status === 401) me.value = null;
		else meProblem.value = p;
	}
}

export async function signOut() {
	try { await call('POST', '/auth/logout', { body: {} }); } catch { /* the cookie may be gone already */ }
	nobody();
}

let modelsRead: Promise<readonly Model[]> | null = null;
export function loadModels(again = false): Promise<readonly Model[]> {
	if (again || !modelsRead) {
		modelsRead = list<Model>('/models').then(page => models.value = page.data);
		modelsRead.catch(() => { modelsRead = null; });
	}
	return modelsRead;
}
