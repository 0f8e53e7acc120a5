import { expect, test } from 'vitest';
import { backoff } from './backoff';

test('waits grow, are spread, and end at 30 s', () => {
	for (const [tries, low, high] of [[0, 250, 500], [1, 500, 1000], [3, 2000, 4000], [6, 15000, 30000], [99, 15000, 30000]] as const) {
		expect(backoff(tries, 0)).toBe(low);
		expect(backoff(tries, 1)).toBe(high);
		const middle = backoff(tries);
		expect(middle).toBeGreaterThanOrEqual(low);
		expect(middle).toBeLessThanOrEqual(high);
	}
});

test('never sooner than the server asked', () => {
	expect(backoff(0, 0, 5000)).toBe(5250);
});
