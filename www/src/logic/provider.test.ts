import { describe, expect, test } from 'vitest';
import type { Account, Provider } from '../types';
import { accountHealth, limitOf, percent, providerHealth, testWords } from './provider';

const now = Date.parse('2026-11-28T12:00:00Z');
const account = (more: Partial<Account> = {}): Account => ({
	id: 'a', label: 'default', state: 'on', paused_until: null, paused_reason: null, key: { source: 'env', hint: '1234', problem: null },
	base_url: null, weight: 1, limits: { concurrency: null, rpm: null },
	circuit: { state: 'closed', failures: 0, opened_until: null }, held_until: null, in_flight: 0, spend_today_micro_usd: 0, ...more,
});
const provider = (more: Partial<Provider> = {}): Provider => ({
	name: 'fal', title: 'fal.ai', kind: 'builtin', state: 'on', paused_until: null, paused_reason: null, configured: true, needs_key: true,
	requests: { submitted_1h: 0, failed_1h: 0, error_rate_1h: null }, in_flight: 0, queued: 0, spend_today_micro_usd: 0, median_s: null, waiting_reason: null,
	recovery: 'callback', webhooks: true, result_lifetime_s: null, limits: { concurrency: null, rpm: null }, accounts: [account()], routes: [], ...more,
});

describe('accountHealth', () => {
	test('working, without a key, and that a local one needs none', () => {
		expect(accountHealth(account(), true, now).word).toBe('Working');
		const bare = account({ key: { source: 'none', hint: null, problem: null } });
		expect(accountHealth(bare, true, now).word).toBe('No key');
		expect(accountHealth(bare, false, now).word).toBe('Working');
	});
	test('a pause says why and how long, and is over when it is over', () => {
		const one = account({ state: 'paused', paused_until: now + 90_000, paused_reason: 'no credit' });
		expect(accountHealth(one, true, now)).toEqual({ tone: 'warn', word: 'Paused', why: 'no credit: paused for another 1 min 30 s' });
		expect(accountHealth(one, true, now + 91_000).word).toBe('Working');
		expect(accountHealth(account({ state: 'paused' }), true, now).why).toBe('paused until somebody resumes it');
	});
	test('a key that is not there, and a provider that asked for a break', () => {
		expect(accountHealth(account({ key: { source: 'env', hint: null, problem: 'X is not set' } }), true, now)).toEqual({ tone: 'bad', word: 'Key missing', why: 'X is not set' });
		expect(accountHealth(account({ held_until: now + 5000 }), true, now).word).toBe('Asked to wait');
		expect(accountHealth(account({ held_until: now - 1 }), true, now).word).toBe('Working');
	});
	test('the circuit', () => {
		const open = account({ circuit: { state: 'open', failures: 5, opened_until: now + 30_000 } });
		expect(accountHealth(open, true, now)).toEqual({ tone: 'bad', word: 'Circuit open', why: '5 failures in a row on their side; nothing is sent for another 30 s.' });
		expect(accountHealth(account({ circuit: { state: 'half_open', failures: 5, opened_until: null } }), true, now).word).toBe('Trying again');
	});
});

test('a provider is as well as its best account', () => {
	const dead = account({ circuit: { state: 'open', failures: 9, opened_until: null } });
	expect(providerHealth(provider({ accounts: [dead, account()] }), now).word).toBe('Working');
	expect(providerHealth(provider({ accounts: [dead] }), now).word).toBe('Circuit open');
	expect(providerHealth(provider({ configured: false }), now).word).toBe('Not set up');
	expect(providerHealth(provider({ accounts: [] }), now).word).toBe('Working');
	expect(providerHealth(provider({ state: 'paused', paused_reason: 'maintenance' }), now).why).toBe('maintenance: paused until somebody resumes it');
});

test('numbers for people', () => {
	expect([null, 0, 0.025, 0.05, 0.5, 1].map(percent)).toEqual([null, '0 %', '2.5 %', '5 %', '50 %', '100 %']);
	expect(['', ' 5 ', '0', 'x', '-1', '1.5'].map(limitOf)).toEqual([null, 5, undefined, undefined, undefined, undefined]);
});

test('what a test found', () => {
	const base = { ok: true, reachable: true, key: 'valid' as const, latency_ms: 120, message: null };
	expect(testWords(base)).toBe('It answers in 120 ms, and the key is good.');
	expect(testWords({ ...base, balance: '$12.50' })).toBe('It answers in 120 ms, and the key is good. Balance: $12.50.');
	expect(testWords({ ...base, ok: false, key: 'invalid', message: 'HTTP 401.' })).toBe('It answers in 120 ms, and the key is refused. HTTP 401.');
	expect(testWords({ ...base, ok: false, reachable: false, message: 'Connection refused.' })).toBe('Connection refused.');
});
