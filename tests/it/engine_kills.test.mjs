// kill -9 of the engine at every named point: one end, one paid submit, books
// that add up.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeFal } from '../fake/fal.mjs';
import { books, ended, fal, hevc, over, until, world } from './engine_kit.mjs';

// kill -9 at every named point, then a second engine: one end, books right,
// one paid submit. [point, plan, what must come out; default completed]
const unsure = (g) => g.status === 'processing';
const points = [
	['claim.committed'],
	['submit.before_attempt_commit'],
	['submit.after_attempt_commit', {}, unsure],
	['submit.sending', {}, unsure],
	['submit.sent', {}, unsure],
	['submit.answered', {}, unsure],
	['submit.before_record', {}, unsure],
	['submit.recorded'],
	['poll.sent'],
	['poll.done_seen'],
	['finalize.before_commit'],
	['finalize.after_commit'],
	['download.partial', { video: 'drip' }],
	['download.complete'],
	['store.before_put'],
	['store.stored'],
	['poster.before'],
	['poster.done'],
	['poster.stored'],
	['finish.before_commit'],
	['finish.after_commit'],
	['fail.before_commit', { result: 'failed' }, (g) => g.status === 'failed'],
	['fail.after_commit', { result: 'failed' }, (g) => g.status === 'failed'],
	['requeue.before_commit', { submit: ['429', 'ok'] }, unsure],
	['requeue.after_commit', { submit: ['429', 'ok'] }],
	['rendition.stored', { codec: 'hevc' }],
	['uncertain.before_commit', { submit: 'cut' }, unsure],
	['uncertain.after_commit', { submit: 'cut' }, unsure],
];


for (const [point, plan = {}, expect] of points) {
	test(`kill -9 at ${point}`, async () => {
		const w = await world();
		const g = await w.submit({ polls: 2, ...plan,
			...(plan.codec ? { bytes: hevc() } : {}) });
		const a = w.demo({ REELD_CRASH_AT: point });
		const end = await Promise.race([a.gone, new Promise((r) => {
			setTimeout(r, 30000, 'never reached');
		})]);
		assert.deepEqual(end, { code: null, signal: 'SIGKILL' }, a.log);
		const b = w.demo();
		let row;
		if (expect === unsure) {
			await until(w, g.id, () => /"taken"/.test(b.log), b);
			const stop = Date.now() + 20000;
			let job;
			do {
				job = await w.k.one('select status from jobs');
				await new Promise((r) => { setTimeout(r, 20); });
			} while (job.status !== 'uncertain' && Date.now() < stop);
			assert.equal(job.status, 'uncertain', b.log);
			row = await w.row(g.id);
		} else {
			row = await ended(w, g.id, b);
			if (expect) assert.ok(expect(row), row.status);
			else assert.equal(row.status, 'completed', b.log);
		}
		assert.ok((fal.accepted[g.prompt] ?? 0) <= 1, 'paid twice');
		await books(w, row.status === 'failed' ? 100 : 90);
		const ends = await w.k.one("select count(*) from events where type in "
			+ "('generation.completed', 'generation.failed', "
			+ "'generation.cancelled')");
		assert.equal(ends.count, over(row) ? 1 : 0);
		await b.kill('SIGTERM');
	});
}

test('kill -9 at adopt.committed', async () => {
	const w = await world();
	const g = await w.submit({ polls: 2 });
	const a = w.demo({ REELD_CRASH_AT: 'poll.sent' });
	await a.gone;
	const b = w.demo({ REELD_CRASH_AT: 'adopt.committed' });
	assert.equal((await b.gone).signal, 'SIGKILL', b.log);
	const c = w.demo();
	assert.equal((await ended(w, g.id, c)).status, 'completed', c.log);
	assert.equal(fal.submits[g.prompt], 1);
	await books(w, 90);
	await c.kill('SIGTERM');
});

test('a job that was adopted and polled has no crashes on its account', async () => {
	const w = await world();
	const g = await w.submit({ polls: 1000 });
	const a = w.demo({ REELD_CRASH_AT: 'poll.sent:2' });
	assert.equal((await a.gone).signal, 'SIGKILL', a.log);
	await w.k.one('update jobs set crash_count = 1 returning id');
	const b = w.demo();
	await until(w, g.id, () => /"taken"/.test(b.log), b);
	let job;
	for (const end = Date.now() + 60_000; Date.now() < end;) {
		job = await w.k.one('select crash_count, finished_at from jobs');
		if (job.crash_count === 0) break;
		await new Promise((r) => { setTimeout(r, 20); });
	}
	assert.deepEqual(job, { crash_count: 0, finished_at: null }, b.log);
	await w.k.move('generation_cancel', g.id, w.user, w.user);
	b.tell(`cancel ${g.id}`);
	assert.equal((await ended(w, g.id, b)).status, 'cancelled', b.log);
	await b.kill('SIGTERM');
});

for (const point of ['cancel.before_commit', 'cancel.after_commit']) {
	test(`kill -9 at ${point}`, async () => {
		const w = await world();
		const g = await w.submit({ polls: 1000 });
		const a = w.demo({ REELD_CRASH_AT: point });
		await until(w, g.id, (r) => r.stage === 'generate', a);
		await w.k.move('generation_cancel', g.id, w.user, w.user);
		a.tell(`cancel ${g.id}`);
		assert.equal((await a.gone).signal, 'SIGKILL', a.log);
		const b = w.demo();
		assert.equal((await ended(w, g.id, b)).status, 'cancelled', b.log);
		await books(w, 100);
		await b.kill('SIGTERM');
	});
}

test('kill -9 at review.after_commit', async () => {
	const w = await world();
	const plan = { polls: 1e6 };
	const g = await w.submit(plan, { deadline_s: 1 });
	const a = w.demo({ REELD_CRASH_AT: 'review.after_commit' });
	assert.equal((await a.gone).signal, 'SIGKILL', a.log);
	assert.equal((await w.row(g.id)).status, 'review');
	await books(w, 90);
	plan.polls = 0;
	const b = w.demo();
	assert.equal((await ended(w, g.id, b)).status, 'completed', b.log);
	assert.equal(fal.submits[g.prompt], 1);
	await books(w, 90);
	await b.kill('SIGTERM');
});

for (const point of ['release.before_commit', 'release.after_commit']) {
	test(`kill -9 at ${point}`, async () => {
		const w = await world();
		w.fal = await new FakeFal().start();
		const g = await w.submit();
		w.fal.barrier('video');
		const there = w.fal.reached('video');
		const a = w.demo({ REELD_CRASH_AT: point }, { url: w.fal.url });
		await there;
		a.child.kill('SIGTERM');
		assert.equal((await a.gone).signal, 'SIGKILL', a.log);
		w.fal.release('video');
		const b = w.demo({}, { url: w.fal.url });
		assert.equal((await ended(w, g.id, b)).status, 'completed', b.log);
		assert.equal(w.fal.submits[g.prompt], 1);
		await books(w, 90);
		await b.kill('SIGTERM');
		await w.fal.stop();
	});
}
