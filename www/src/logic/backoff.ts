// backoff.ts - how long to wait before connecting again.

const FIRST_MS = 500, MAX_MS = 30_000;

// Full jitter between half of the step and the step, so that a thousand pages
// do not come back at the same moment.  floor: what the server asked for.
export function backoff(tries: number, random: number = Math.random(), floor = 0): number {
	const step = Math.min(MAX_MS, FIRST_MS * 2 ** Math.min(tries, 16));
	return Math.round(floor + step / 2 + random * step / 2);
}
