import { expect, test } from 'vitest';
import { change, has, localPath, search, toggle } from './query';

test('a query has what is set, in a fixed order', () => {
	expect(search({ b: '2', a: '1 x', c: undefined, d: '' })).toBe('?a=1+x&b=2');
	expect(search({})).toBe('');
	expect(search(change({ a: '1' }, { a: undefined, b: 'é' }))).toBe('?b=%C3%A9');
});

test('words of a list are switched on and off', () => {
	expect(toggle(undefined, 'b')).toBe('b');
	expect(toggle('b', 'a')).toBe('a,b');
	expect(toggle('a,b', 'b')).toBe('a');
	expect(toggle('a', 'a')).toBeUndefined();
	expect(has('a,b', 'b')).toBe(true);
	expect(has(undefined, 'b')).toBe(false);
});

test.each([['/history?x=1', '/history?x=1'], ['//evil.example', '/'], ['/\\evil.example', '/'], ['https://evil.example', '/'],
	['javascript:alert(1)', '/'], [null, '/'], [undefined, '/'], ['', '/']])('where to go after signing in: %s', (path, to) => {
	expect(localPath(path)).toBe(to);
});
