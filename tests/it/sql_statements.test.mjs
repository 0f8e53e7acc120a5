// Every statement of sql/stmt is prepared on a freshly migrated database, and
// takes as many parameters as its heading says; with the heading's types and,
// as libpq sends them, with none.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { sql_files, start } from './pg.mjs';

let server;
before(async () => { server = await start(); });
after(async () => { await server.stop(); });

test('statements prepare', async (t) => {
	const c = await (await server.database()).engine();
	const seen = new Set();
	for (const f of sql_files('stmt')) {
		const blocks = f.text.split(/^(?=-- name: )/m).slice(1);
		assert.ok(blocks.length > 0, f.name);
		for (const b of blocks) {
			const m = /^-- name: (\w+) \((.*)\)\n([^]*)$/.exec(b);
			assert.ok(m, `${f.name}: bad heading ${b.split('\n')[0]}`);
			const [, name, types] = m;
			// A comment above the next heading is not this one's.
			const text = m[3].replace(/^[ \t]*--.*\n?/gm, '');
			assert.ok(!seen.has(name), `${name} exists twice`);
			seen.add(name);
			await t.test(name, async () => {
				assert.match(text.trim(), /;$/);
				const n = types === '' ? 0 : types.split(',').length;
				await c.query(`prepare a_${name} `
					+ `${n ? `(${types})` : ''} as ${text}`);
				await c.query(`prepare b_${name} as ${text}`);
				const used = (await c.query('select name, '
					+ 'parameter_types::text[] as types from '
					+ 'pg_prepared_statements where name in ($1, $2)',
					[`a_${name}`, `b_${name}`])).rows;
				assert.equal(used.length, 2);
				for (const u of used) {
					assert.equal(u.types.length, n, u.name);
				}
				assert.deepEqual(used[0].types, used[1].types);
			});
		}
	}
	assert.ok(seen.size > 90);
});
