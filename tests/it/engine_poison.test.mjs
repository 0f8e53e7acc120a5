// Which job crashed the engine?  The one that did pays for it, its neighbours
// do not, and whatever a job survives clears it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeFal } from '../fake/fal.mjs';
import { accepted, books, ended, fal, over, until, worker_world, world } from './engine_kit.mjs';

const many = (w) => w.k.one('select user_update($1, null, null, null, 20, null)', [w.user]);
// Until its row owes nothing for crashes, and is not over.
async function cleared(w, d) {
	await until(w, (await w.k.one('select id from generations')).id, () => /"taken"/.test(d.log), d);
	for (const end = Date.now() + 60_000; ;) {
		const job = await w.k.one('select crash_count, finished_at from jobs');
		if (job.crash_count === 0) {
			assert.equal(job.finished_at, null, d.log);
			return;
		}
		assert.ok(Date.now() < end, `still ${job.crash_count}: ${d.log.slice(-4000)}`);
		await new Promise((r) => { setTimeout(r, 20); });
	}
}
// One more crash, which is under way, and it is a suspect.
const suspect = (w) => w.k.one('update jobs set crash_count = 1 returning id');

test('one job of seven kills every engine that carries it: it alone is failed', async () => {
	const w = await world();
	await many(w);
	const plans = Array.from({ length: 6 }, () => ({ polls: 1e6 }));
	const others = [];
	for (const plan of plans.slice(0, 3)) others.push(await w.submit(plan));
	const bad = await w.submit({ polls: 3 });
	for (const plan of plans.slice(3)) others.push(await w.submit(plan));
	let log = '', crashes = 0, row;
	for (row = await w.row(bad.id); !over(row); row = await w.row(bad.id)) {
		assert.ok(crashes < 20, log.slice(-6000));
		// Only of this one the provider says that it is done.
		const d = w.demo({ REELD_CRASH_AT: 'poll.done_seen' });
		let end;
		d.gone.then((e) => { end = e; });
		await until(w, bad.id, (r) => over(r) || end, d, 120000);
		if (end) {
			assert.equal(end.signal, 'SIGKILL', d.log);
			crashes++;
		} else {
			await d.kill('SIGTERM');
		}
		log += d.log;
	}
	assert.deepEqual([row.status, row.error_code], ['failed', 'internal_poison']);
	assert.match(log, /jobs=\d+ msg="set apart/);
	assert.match(log, /it crashed the server again and again/);
	for (const o of others) assert.equal((await w.row(o.id)).status, 'processing');
	for (const plan of plans) plan.polls = 0;
	const d = w.demo();
	for (const o of others) {
		assert.equal((await ended(w, o.id, d, 120000)).status, 'completed', d.log);
		assert.equal(fal.submits[o.prompt], 1);
	}
	await books(w, 40);
	await d.kill('SIGTERM');
});

test('what was set apart comes back by halves, within seconds', async (t) => {
	const w = await world();
	await many(w);
	const plans = Array.from({ length: 8 }, () => ({ polls: 1e6 }));
	const all = [];
	for (const plan of plans) all.push(await w.submit(plan));
	const a = w.demo();
	for (const o of all) await accepted(w, o, a);
	await a.kill();
	await w.conn.query('update jobs set crash_count = 2');
	const b = w.demo();
	const begin = Date.now();
	for (const o of all) {
		await until(w, o.id, () => b.log.includes(`gen=${o.id} provider=fal from=`), b, 120000);
	}
	t.diagnostic(`all taken after ${((Date.now() - begin) / 1000).toFixed(1)} s`);
	assert.match(b.log, /jobs=8 msg="set apart/);
	for (const plan of plans) plan.polls = 0;
	for (const o of all) assert.equal((await ended(w, o.id, b, 120000)).status, 'completed', b.log);
	await books(w, 20);
	await b.kill('SIGTERM');
});

test('a poll that fails clears a job', async () => {
	const w = await world();
	w.fal = await new FakeFal().start();
	const g = await w.submit({ polls: 1e6 });
	const a = w.demo({}, { url: w.fal.url });
	await accepted(w, g, a);
	await a.kill();
	await suspect(w);
	await w.fal.stop();
	const b = w.demo({}, { url: w.fal.url });
	await cleared(w, b);
	await b.kill('SIGTERM');
});

test('looking after one of our own workers clears a job', async () => {
	const w = await worker_world();
	await w.submit();
	const a = w.demo();
	await w.take();
	await a.kill();
	await suspect(w);
	const version = () => w.k.one('select version from generations');
	const before = await version();
	const b = w.demo();
	await cleared(w, b);
	assert.deepEqual(await version(), before, 'and nothing else was written');
	await b.kill('SIGTERM');
});

test('a download that is cut clears a job, which waits for the next', async () => {
	const w = await world();
	const g = await w.submit({ polls: 0, video: 'cut' });
	const a = w.demo({ REELD_CRASH_AT: 'finalize.after_commit' });
	assert.equal((await a.gone).signal, 'SIGKILL', a.log);
	await suspect(w);
	const b = w.demo();
	await cleared(w, b);
	assert.equal((await w.row(g.id)).status, 'finalizing');
	await b.kill('SIGTERM');
});
