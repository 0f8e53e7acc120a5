// Our own GPU workers in SQL: what they are offered, start, lose and finish.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { sha, start } from './pg.mjs';

let server;
before(async () => { server = await start(); });
after(async () => { await server.stop(); });

const fresh = (...args) => server.fresh(...args);

test('workers: one winner, wrong token, lost and late', async () => {
	const { k, conn, route, owner } = await fresh(0, 'worker');
	const u = await k.user(100);
	const reg = async () => (await k.one('select worker_register(null, $1, '
		+ "null, null, null, null, null) as id", ['gpu'])).id;
	const [w1, w2] = [await reg(), await reg()];
	const w = await k.at('submitted', u, route, owner,
		{ provider: 'worker' });
	const call = (name, ...args) => k.one(`select * from ${name}(`
		+ `${args.map((_, i) => `$${i + 1}`).join(', ')})`, args);
	const tok = sha('token');
	assert.equal((await call('worker_job_start', w.attempt_id, w1,
		sha('wrong'))).outcome, 'bad_token');
	const s = await call('worker_job_start', w.attempt_id, w1, tok);
	assert.deepEqual([s.outcome, s.work.prompt], ['started', 'a cat']);
	assert.equal((await call('worker_job_start', w.attempt_id, w2, tok))
		.outcome, 'taken');
	assert.equal((await call('worker_claim', w2, null)).outcome, 'none');
	const p = await call('worker_job_progress', w.attempt_id, w1, tok, 40, 9);
	assert.equal(p.event.data.progress, 40);
	assert.equal((await call('worker_job_progress', w.attempt_id, w1, tok,
		20, 9)).event.data.progress, 40, 'never back');
	await conn.query("update attempts set worker_beat_at = now() - interval "
		+ "'1 min'; update workers set beat_at = now() - interval '1 min'");
	const lost = (await conn.query("select * from worker_jobs_lost('30 s', "
		+ '10)')).rows;
	assert.deepEqual(lost.map((l) => [l.outcome, l.attempt_id]),
		[['requeued', w.attempt_id]]);
	const beat = await call('worker_heartbeat', w1, 0.5, 'wan', w.attempt_id);
	assert.deepEqual([beat.outcome, beat.lost], ['ok', true]);
	await call('worker_heartbeat', w2, 0.5, 'wan', null);
	const c = await call('worker_claim', w2, ['m-worker']);
	assert.deepEqual([c.outcome, c.attempt_id], ['started', w.attempt_id]);
	assert.equal((await call('worker_job_complete', w.attempt_id, w1, tok,
		'{}')).outcome, 'gone');
	const done = await call('worker_job_complete', w.attempt_id, w2, tok,
		'{"key":"x"}');
	assert.deepEqual([done.outcome, done.owner], ['completed', owner]);
	assert.equal((await call('worker_job_complete', w.attempt_id, w2, tok,
		'{}')).outcome, 'already');
	const res = (await conn.query('select * from worker_results($1, 10)',
		[owner])).rows;
	assert.deepEqual(res.map((r) => r.attempt_id), [w.attempt_id]);
	assert.deepEqual((await conn.query('select result from attempts where id = $1',
		[w.attempt_id])).rows[0].result, { key: 'x' });
	assert.equal((await k.finalizing(w, owner)).outcome, 'finalizing');
	assert.equal((await k.finish(w, owner)).outcome, 'completed');
	// Cancelled while offered: nobody starts it. A killer of workers ends.
	const v = await k.at('submitted', u, route, owner,
		{ provider: 'worker' });
	await k.move('generation_cancel', v.generation_id, u, u);
	assert.equal((await call('worker_job_start', v.attempt_id, w2, tok))
		.outcome, 'cancelled');
	const x = await k.at('submitted', u, route, owner,
		{ provider: 'worker' });
	for (const want of ['requeued', 'requeued', 'failed']) {
		assert.equal((await call('worker_job_start', x.attempt_id, w2, tok))
			.outcome, 'started');
		assert.equal((await call('worker_job_fail', x.attempt_id, w2, tok,
			'worker', 'oom', 'x', true)).outcome, want);
	}
	assert.equal((await k.fail(x, owner)).outcome, 'failed');
	assert.equal((await call('worker_job_complete', x.attempt_id, w2, tok,
		'{"late":1}')).outcome, 'ended');
	assert.deepEqual((await k.one('select late_result from attempts where '
		+ 'id = $1', [x.attempt_id])).late_result, { late: 1 });
	assert.deepEqual(await k.audit(), {});
});
