import { expect, test } from 'vitest';
import { ago, bytes, credits, eta, money, ms, signed, span } from './format';

test.each([
	[0, '0 ms'], [850, '850 ms'], [4200, '4.2 s'], [4000, '4 s'], [9990, '10 s'], [59400, '59 s'],
	[59600, '1 min'], [65000, '1 min 5 s'], [3600_000, '1 h'], [7_380_000, '2 h 3 min'],
	[90_000_000, '1 d 1 h'], [-5, '0 ms'],
])('span %i', (n, text) => expect(span(n)).toBe(text));

test.each([[0, '0 B'], [999, '999 B'], [1500, '1.5 kB'], [15_400, '15 kB'], [999_600, '1.0 MB'], [2_340_000, '2.3 MB'], [5e12, '5.0 TB']])(
	'bytes %i', (n, text) => expect(bytes(n)).toBe(text));

test('credits agree with their number, and signs are shown', () => {
	expect(credits(1)).toBe('1 credit');
	expect(credits(2500)).toBe('2,500 credits');
	expect(signed(5)).toBe('+5');
	expect(signed(-1200)).toBe('−1,200');
	expect(signed(0)).toBe('0');
});

test('times come as text or as milliseconds', () => {
	expect(ms('2026-01-02T03:04:05Z')).toBe(1767323045000);
	expect(ms(1767323045000)).toBe(1767323045000);
	for (const bad of [null, undefined, '', 'soon']) expect(ms(bad)).toBeNull();
});

test('ago', () => {
	const now = Date.parse('2026-01-02T00:00:00Z');
	expect(ago(now, now)).toBe('just now');
	expect(ago(now - 3 * 60_000, now)).toMatch(/3 min/);
	expect(ago(now - 26 * 3600_000, now)).toBe('yesterday');
});

test('eta', () => {
	expect(eta(null, null)).toBeNull();
	expect(eta(10, 25)).toBe('about 10–25 s');
	expect(eta(null, 40)).toBe('about 40 s');
	expect(eta(120, 240)).toBe('about 2–4 min');
	expect(eta(0, 0)).toBe('any moment now');
});

test('money keeps fractions of a cent', () => {
	expect(money(100_000, 'USD')).toBe('$0.10');
	expect(money(1_250, 'USD')).toBe('$0.0013');
});
