// Links to results that die: what expires first is fetched first, people hear
// of it before one is lost, and of one that was lost.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { books, ended, fal, until, world } from './engine_kit.mjs';

// A route of a model whose results live so long (seconds).
async function living(w, life) {
	await w.k.one('select model_put($1)', [JSON.stringify({ slug: `life-${life}`, name: 'l',
		capabilities: { modes: ['t2v'], durations: { fixed: 2 }, result_lifetime_s: life },
		routes: [{ provider: 'fal', endpoint: 'fal-ai/test/text-to-video',
			params: { input: { prompt: 'prompt' } } }], price: { rule: { base: 10 } } })]);
	return (await w.k.one('select r.id from model_routes r join models m on m.id = r.model_id '
		+ 'where m.slug = $1', [`life-${life}`])).id;
}
const order = async (w, life, plan) => {
	w.route = await living(w, life);
	return w.submit(plan);
};

test('one slot, four results: the one that expires first is fetched first', async () => {
	const w = await world();
	fal.barrier('video');
	const demo = w.demo({ DEMO_SLOTS: '1' });
	await w.conn.query('update users set concurrent_limit = 9');
	const first = await order(w, 7200, {});
	// It holds the slot; the others queue up behind it.
	await until(w, first.id, () => fal.downloads[first.prompt] === 1, demo);
	const late = await order(w, 86400, {});
	const never = await order(w, 2592000, {});
	const soon = await order(w, 3600, {});
	for (const g of [late, never, soon]) {
		await until(w, g.id, (r) => r.status === 'finalizing', demo);
		await until(w, g.id, () => new RegExp(`gen=${g.id} [^\n]*do=download`).test(demo.log), demo);
	}
	fal.release('video');
	for (const g of [first, late, never, soon]) {
		assert.equal((await ended(w, g.id, demo)).status, 'completed', demo.log);
	}
	const came = Object.keys(fal.downloads).filter((p) =>
		[first, late, never, soon].some((g) => g.prompt === p));
	assert.deepEqual(came, [first, soon, late, never].map((g) => g.prompt));
	assert.doesNotMatch(demo.log, /result_expiring/);
	await books(w, 60);
	await demo.kill('SIGTERM');
});

test('a result that is nearly gone raises an alarm, once; one that is lost is said to be', async () => {
	const w = await world();
	const saved = await order(w, 6, { video: ['cut', 'ok'] });
	const gone = await order(w, 5, { video: ['stall', '404'] });
	const demo = w.demo({ DEMO_STALL_MS: '30000' });
	const flag = async (g) => (await w.k.one('select result_is_expiring(a, j) as near from jobs j '
		+ 'join attempts a on a.id = j.attempt_id where j.generation_id = $1', [g.id])).near;
	await until(w, saved.id, (r) => r.status === 'finalizing', demo);
	assert.equal(await flag(saved), false);
	for (const g of [saved, gone]) {
		await until(w, g.id, () => new RegExp(`gen=${g.id} [^\n]*result_expiring`).test(demo.log), demo);
		assert.equal(await flag(g), true);
	}
	assert.equal((await ended(w, saved.id, demo)).status, 'completed', demo.log);
	assert.equal(await flag(saved), false);
	const lost = await ended(w, gone.id, demo, 120000);
	assert.equal(lost.status, 'failed');
	assert.equal(lost.error_code, 'result_unavailable');
	assert.match(demo.log, new RegExp(`gen=${gone.id} [^\n]*result_lost`));
	for (const g of [saved, gone]) {
		assert.equal(demo.log.match(new RegExp(`gen=${g.id} [^\n]*result_expiring`, 'g')).length, 1);
	}
	await books(w, 90);
	await demo.kill('SIGTERM');
});
