// D2: two instances, a load, and kill -9 of a random one every two seconds.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { far_fal, order, orders, rule, world } from './kit.mjs';
import { size } from './size.mjs';

let fal, a, b, ann;
before(async () => {
	fal = await far_fal();
	a = await world({ fal });
	b = await a.twin();
	ann = await a.user({ credits: 1_000_000_000 });
});
after(() => assert.deepEqual(Object.values(fal.accepted).filter((n) => n > 1), []));

test('D2: a random instance is killed every 2 s under load', async (t) => {
	const jobs = size(60, 10000);
	const kills = size(5, 150);
	const both = [a, b];
	a.crashed = true; // staging files of the dead are swept after an hour
	let over = false, killed = 0;
	const killer = (async () => {
		while (killed < kills && !over) {
			await new Promise((r) => { setTimeout(r, 2000); });
			const one = both[Math.floor(Math.random() * 2)];
			await one.kill9();
			killed++;
			await one.restart();
		}
	})();
	const all = await orders(jobs, size(6, 60), (i) => order(ann, fal,
		{ polls: i % 2, result: i % 10 === 9 ? 'failed' : 'ok', video: i % 7 === 3 ? 'drip' : 'ok' },
		{ to: () => both[Math.random() < 0.5 ? 0 : 1], limit_ms: 300000 }));
	await killer;
	over = true;
	const ends = await rule(a, { limit_ms: size(180000, 3600000) });
	const why = Object.fromEntries((await a.psql("select error_code, count(*)::int as n from generations "
		+ "where status = 'failed' group by 1 order by 2 desc")).map((r) => [r.error_code, r.n]));
	t.diagnostic(`${killed} kills, ${JSON.stringify(ends)}, ${JSON.stringify(why)}, ${
		all.filter((o) => o.tries > 1).length} asked again`);
	assert.equal(new Set(all.map((o) => o.id)).size, jobs);
	assert.equal((ends.completed ?? 0) + (ends.failed ?? 0), jobs, 'no lost answer waits: nobody can call back');
	const [{ n, spent }] = await a.psql('select count(*) as n, sum(quote - refunded) as spent from charges');
	assert.equal(n, jobs);
	// Whoever waits in line through several kills did not cause them.
	const [{ blamed }] = await a.psql("select count(*) as blamed from generations where error_code = 'internal_poison'");
	assert.equal(blamed, 0);
	assert.equal(await ann.balance(), 1_000_000_000 - Number(spent));
	assert.ok(killed === kills && ends.completed > jobs / 2, JSON.stringify(ends));
});
