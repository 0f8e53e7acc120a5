// api_docs.test.mjs - src/api/README.md names every URL and every error code.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { top } from './services.mjs';

const readme = readFileSync(join(top, 'src/api/README.md'), 'utf8');
const sources = (dir) => readdirSync(join(top, 'src', dir)).filter((f) => f.endsWith('.c'))
	.map((f) => [`${dir}/${f}`, readFileSync(join(top, 'src', dir, f), 'utf8')]);

// Never replied: reasons of the catalogue, mistakes of ours.
const inner = new Set(['no_adapter', 'no_key', 'bad_key']);

test('every error code', () => {
	const missing = [];
	for (const [file, text] of ['api', 'auth', 'http', 'json', 'storage'].flatMap(sources)) {
		for (const [, code] of text.matchAll(/\bERR_[A-Z_]+,\s*"([a-z0-9_]+)"/g)) {
			if (!inner.has(code) && !new RegExp(`\\b${code}\\b`).test(readme)) missing.push(`${file}: ${code}`);
		}
	}
	assert.deepEqual(missing, []);
});

test('every URL', () => {
	const text = readFileSync(join(top, 'src/api/routes.c'), 'utf8');
	const macros = Object.fromEntries([...text.matchAll(/^#define (\w+) (?:(\w+) )?"([^"]*)"$/gm)]
		.map(([, name, base, path]) => [name, { base, path }]));
	const expand = (name) => (name ? expand(macros[name].base) + macros[name].path : '');
	const urls = [...text.matchAll(/\{HTTP_[A-Z]+,\s*(?:([A-Z_]+)(?:\s+"([^"]*)")?|"([^"]*)")\s*,/g)]
		.map(([, macro, rest, plain]) => plain ?? expand(macro) + (rest ?? ''));
	assert.ok(urls.length > 40, `${urls.length} found`);
	// The last fixed words of a path, as the table writes them.
	const missing = [...new Set(urls)].filter((url) => {
		const last = url.replace(/\/\{[^}]*\}$/, '').split('/').pop();
		return !readme.includes(last);
	});
	assert.deepEqual(missing, []);
});
