// The checker itself: rule R holds for a quiet run, and names every fault that
// is planted. A check that has never failed is not one.
import assert from 'node:assert/strict';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { fakeFal, findings, order, rule, world } from './kit.mjs';

let r, ann, fal, root;
before(async () => {
	fal = await fakeFal();
	r = await world({ fal });
	ann = await r.user({ credits: 100000 });
	await Promise.all(['ok', 'ok', 'failed'].map((result) => order(ann, fal, { result })));
	root = await r.pg.connect(r.database);
	await root.query('set session_replication_role = replica');
});

test('a quiet run', async () => {
	assert.deepEqual(await rule(r), { completed: 2, failed: 1 });
});

const some = "(select g.id from generations g join charges c on c.generation_id = g.id where g.status = 'completed' limit 1)";
const planted = [
	['an uncharged job', `delete from charges where generation_id = ${some}`, /not one charge/],
	['a charge that no entry tells', `delete from ledger_entry where charge_id = (select id from charges where generation_id = ${some})`, /^(books|reeld audit)/],
	['a balance that drifted', `update accounts set balance = balance + 7 where user_id = '$user'`, /^books/],
	['a refund of what was made', `update charges set refunded = quote, settled = 0 where generation_id = ${some}`, /refund of what was made/],
	['a failure without a refund', "update charges set refunded = 0 where generation_id = (select id from generations where status = 'failed')", /no refund/],
	['two ends', `insert into events (type, user_id, generation_id, version, data) select 'generation.failed', user_id, id, version + 1, '{}' from generations where id = ${some}`, /ended twice/],
];
for (const [what, sql, found] of planted) {
	test(`planted: ${what}`, async () => {
		await root.query('begin');
		await root.query(sql.replace('$user', ann.id));
		await root.query('commit');
		const wrong = await findings(r, fal);
		assert.ok(wrong.some((w) => found.test(w)), JSON.stringify(wrong));
	});
}
test('planted: a double submit at the provider', async () => {
	const [prompt] = Object.keys(fal.accepted);
	fal.accepted[prompt]++;
	assert.ok((await findings(r, fal)).some((w) => w === `paid 2 times: ${prompt}`));
});
test('planted: a video that is gone', async () => {
	const dir = join(r.env.REELD_STORAGE_DIR, 'videos');
	for (const d of readdirSync(dir)) rmSync(join(dir, d), { recursive: true });
	assert.ok((await findings(r, fal)).some((w) => /^lost file/.test(w)));
	await root.end();
});
