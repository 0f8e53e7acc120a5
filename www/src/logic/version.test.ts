import { expect, test } from 'vitest';
import { newer, patch, read } from './version';

type G = { id: string; version: number; status?: string; prompt?: string };
const known: G = { id: 'a', version: 3, status: 'queued', prompt: 'p' };

test('only what is newer is taken, and it keeps what it does not name', () => {
	expect(newer<G>(known, { id: 'a', version: 4, status: 'processing' }))
		.toEqual({ id: 'a', version: 4, status: 'processing', prompt: 'p' });
	expect(newer<G>(known, { id: 'a', version: 3, status: 'x' })).toBe(known);
	expect(newer<G>(known, { id: 'a', version: 2, status: 'x' })).toBe(known);
	expect(newer<G>(known, { id: 'b', version: 9, status: 'x' })).toBe(known);
	expect(newer<G>(null, known)).toBe(known);
});

test('a whole object of the same version replaces a partial one, an older never', () => {
	expect(read<G>(known, { id: 'a', version: 3, status: 'y' }).status).toBe('y');
	expect(read<G>(known, { id: 'a', version: 2, status: 'y' })).toBe(known);
	expect(read<G>(known, { id: 'b', version: 1 }).id).toBe('b');
	expect(read<G>(null, known)).toBe(known);
});

test('patching a list leaves it as it is when nothing is newer', () => {
	const list: readonly G[] = [known, { id: 'b', version: 1 }];
	expect(patch(list, { id: 'a', version: 3 })).toBe(list);
	expect(patch(list, { id: 'c', version: 3 })).toBe(list);
	const next = patch<G>(list, { id: 'b', version: 2, status: 'z' });
	expect(next[0]).toBe(known);
	expect(next[1]).toEqual({ id: 'b', version: 2, status: 'z' });
	expect(list[1]).toEqual({ id: 'b', version: 1 });
});
