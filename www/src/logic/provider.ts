// provider.ts - how a provider or one of its accounts is, in one word and one
// sentence that an operator can act on.
import type { Account, Provider, ProviderTest } from '../types';
import { ms, span } from './format';

export interface Health { tone: 'good' | 'busy' | 'warn' | 'bad' | 'idle'; word: string; why: string | null }

function until(time: Account['paused_until'], now: number): string {
	const at = ms(time);
	if (at === null) return 'until somebody resumes it';
	return at > now ? `for another ${span(at - now)}` : 'and about to go on';
}

// A pause that is over is no pause.
function paused(of: { state: string; paused_until: Account['paused_until'] }, now: number): boolean {
	const at = ms(of.paused_until);
	return of.state === 'paused' && (at === null || at > now);
}

export function accountHealth(a: Account, needsKey: boolean, now: number): Health {
	if (a.state === 'broken') return { tone: 'bad', word: 'Broken', why: a.paused_reason };
	if (paused(a, now)) {
		return { tone: 'warn', word: 'Paused', why: `${a.paused_reason ? `${a.paused_reason}: ` : ''}paused ${until(a.paused_until, now)}` };
	}
	if (a.key.problem) return { tone: 'bad', word: 'Key missing', why: a.key.problem };
	if (needsKey && a.key.source === 'none') return { tone: 'idle', word: 'No key', why: 'It has no key, so nothing is sent with it.' };
	if (a.circuit.state === 'open') {
		return { tone: 'bad', word: 'Circuit open', why: `${a.circuit.failures} failures in a row on their side; nothing is sent ${until(a.circuit.opened_until, now)}.` };
	}
	if (a.circuit.state === 'half_open') return { tone: 'warn', word: 'Trying again', why: 'One request is let through to see whether it works again.' };
	const held = ms(a.held_until);
	if (held !== null && held > now) return { tone: 'warn', word: 'Asked to wait', why: `The provider asked for a break; it goes on in ${span(held - now)}.` };
	return { tone: 'good', word: 'Working', why: null };
}

const order: Health['tone'][] = ['good', 'busy', 'warn', 'bad', 'idle'];

// A provider is as well as the best of its accounts.
export function providerHealth(p: Provider, now: number): Health {
	if (p.state === 'broken') return { tone: 'bad', word: 'Broken', why: p.paused_reason };
	if (paused(p, now)) {
		return { tone: 'warn', word: 'Paused', why: `${p.paused_reason ? `${p.paused_reason}: ` : ''}paused ${until(p.paused_until, now)}` };
	}
	if (!p.configured) return { tone: 'idle', word: 'Not set up', why: null };
	const all = p.accounts.map(a => accountHealth(a, p.needs_key, now));
	const best = all.sort((a, b) => order.indexOf(a.tone) - order.indexOf(b.tone))[0];
	return best ?? { tone: 'good', word: 'Working', why: null };
}

// "2.5 %"; null: nothing was sent, so there is no rate.
export function percent(rate: number | null): string | null {
	if (rate === null) return null;
	const p = rate * 100;
	return `${p > 0 && p < 10 ? p.toFixed(1).replace(/\.0$/, '') : Math.round(p)} %`;
}

export function testWords(t: ProviderTest): string {
	if (!t.reachable) return t.message ?? 'It can’t be reached.';
	const key = t.key === 'valid' ? 'the key is good' : t.key === 'invalid' ? 'the key is refused' : 'whether the key is good can’t be told without paying';
	const took = t.latency_ms === null ? '' : ` in ${span(t.latency_ms)}`;
	return `It answers${took}, and ${key}.${t.balance ? ` Balance: ${t.balance}.` : ''}${t.ok || !t.message ? '' : ` ${t.message}`}`;
}

// What the form says about limits; empty is the adapter's own.
export function limitOf(text: string): number | null | undefined {
	const t = text.trim();
	if (!t) return null;
	return /^\d{1,6}$/.test(t) && Number(t) > 0 ? Number(t) : undefined;
}
