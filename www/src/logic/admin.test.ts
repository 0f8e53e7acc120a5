import { expect, test } from 'vitest';
import { capped, countsOf, curl, inWords, quoted } from './admin';

test('counts are numbers by status, or nothing', () => {
	expect(countsOf({ counts: { queued: 2, note: 'x' } })).toEqual({ queued: 2 });
	for (const bad of [null, 1, {}, { counts: 3 }]) expect(countsOf(bad)).toBeNull();
});

test('big counts are capped', () => {
	expect(capped(9999)).toBe('9,999');
	expect(capped(10_000)).toBe('10 000+');
});

test('a filter reads as words', () => {
	expect(inWords({})).toBe('jobs in any state');
	expect(inWords({ state: 'failed', provider: 'fal', q: 'cat' })).toBe('failed jobs at fal matching “cat”');
});

test('shell words are safe to paste', () => {
	expect(quoted('https://a/b?c')).toBe("'https://a/b?c'");
	expect(quoted("a'b")).toBe(`'a'\\''b'`);
	expect(curl('http://127.0.0.1:1', '/x')).toContain(' http://127.0.0.1:1/x');
});
