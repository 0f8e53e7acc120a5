// store-live.ts - keeps store.ts's balance and active generations live.
import { get, list } from './api';
import { watch } from './live';
import { ended } from './logic/status';
import { newer, type Versioned } from './logic/version';
import { active, balance } from './store';
import type { Generation, Me } from './types';

let balanceVersion = 0;
// Generations of others that were looked up already.
const foreign = new Set<string>();

function isGeneration(o: Record<string, unknown>): boolean {
	return typeof o.id === 'string' && typeof o.status === 'string' && typeof o.version === 'number';
}

function setBalance(value: unknown, version: number) {
	if (typeof value !== 'number' || (version && version < balanceVersion)) return;
	balanceVersion = Math.max(balanceVersion, version);
	balance.value = value;
}

export function watchMe(who: Me): () => void {
	balanceVersion = 0;
	return watch('user:me', {
		snapshot(objects) {
			for (const o of objects) {
				if ('balance' in o && !isGeneration(o)) setBalance(o.balance, Number(o.version) || 0);
			}
			active.value = (objects as unknown as Generation[])
				.filter(o => isGeneration(o as never) && !ended(o.status));
		},
		event(e) {
			if (e.type === 'credits.balance') {
				const of = e.data.user_id;
				if (of === undefined || of === who.id) setBalance(e.data.balance, e.version);
			} else if (e.type.startsWith('generation.') && isGeneration(e.data)) {
				const g = e.data as unknown as Partial<Generation> & Versioned;
				const known = active.value.find(one => one.id === g.id);
				if (known) {
					const next = newer(known, g)!;
					if (next === known) return;
					active.value = ended(next.status)
						? active.value.filter(one => one !== known)
						: active.value.map(one => (one === known ? next : one));
				} else if (!ended(g.status!) && !foreign.has(g.id)) {
					// Made elsewhere: another tab, the API.  An event does not say
					// whose it is, and an operator hears of everybody's.
					void refresh().then(() => {
						if (!active.value.some(one => one.id === g.id)) foreign.add(g.id);
					});
				}
			}
		},
		poll: refresh,
	});
}

let busy: Promise<unknown> | null = null;
export function refresh(): Promise<unknown> {
	busy ??= Promise.allSettled([
		get<{ balance: number }>('/credits').then(c => { balance.value = c.balance; }),
		list<Generation>('/generations', { status: 'pending,queued,processing,awaiting_approval,finalizing,cancelling,review', limit: '50' })
			.then(page => { active.value = page.data; }),
	]).finally(() => { busy = null; });
	return busy;
}
