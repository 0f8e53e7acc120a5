// A page costs what a page holds, however much its reader owns: counted in
// what the indexes had to read, after more calls than a prepared statement is
// planned anew for.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reeld, until } from './env.mjs';
import { seed } from '../bench/seed.mjs';

const CALLS = 24; // on four connections: six each

test('a page of a long list reads a page', async () => {
	const r = await reeld();
	const ann = await r.user(), ben = await r.user();
	await seed(r, [ann.id, ben.id], 10000, { state: 'ended' });
	const read = async (table) => (await r.psql(`select sum(i.idx_scan) as scans,
		sum(i.idx_tup_read) + max(t.seq_tup_read) as rows from pg_stat_user_indexes i
		join pg_stat_user_tables t using (relid) where t.relname = $1`, [table]))[0];
	// least: what a call looks up at least, so that all calls have been counted.
	const costs = async (who, path, table, least, most) => {
		const before = await read(table);
		for (let i = 0; i < CALLS; i++) {
			const { status, body } = await who.get(path);
			assert.equal(status, 200);
			assert.ok(body.data.length > 0);
		}
		// Backends tell their counts within seconds.
		const after = await until('the counts are there', async () => {
			const now = await read(table);
			return now.scans - before.scans >= CALLS * least && now;
		}, 60000);
		assert.ok(after.rows - before.rows <= CALLS * most, `${path}: ${after.rows - before.rows} rows of ${table}`);
	};
	await costs(ann, '/generations', 'generations', 25, 100);
	await costs(ann, '/generations?search=boat', 'generations', 25, 500);
	// By the index of what ended without a video: the statement has to say so.
	await costs(ann, '/generations?status=failed', 'generations', 25, 100);
	await costs(ann, '/credits/ledger', 'ledger_entry', 1, 200);
	await costs(ann, '/credits/ledger?type=purchase', 'ledger_entry', 1, 200);
	await costs(r.admin, '/admin/jobs', 'generations', 50, 200);
	await costs(r.admin, '/admin/jobs?status=failed', 'generations', 50, 200);
});
