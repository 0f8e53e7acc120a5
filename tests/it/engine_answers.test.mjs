// The engine and what providers say late, twice, or not at all: webhooks,
// limits, races, and lost answers by recovery class.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import http from 'node:http';
import { test } from 'node:test';
import { FakeFal, mp4, tiny } from '../fake/fal.mjs';
import { size } from '../torture/size.mjs';
import { kit } from './pg.mjs';
import {
	accepted, books, ended, fal, over, server, until, worker_world, world,
} from './engine_kit.mjs';

// reliability D15: what comes to a webhook's address, and the answer.
test('webhooks: signature, age, token, other jobs, size, rubbish', async () => {
	const w = await world();
	const [g, other] = [await w.submit({ polls: 1e6 }),
		await w.submit({ polls: 1e6 })];
	const d = w.demo();
	for (const x of [g, other]) {
		await accepted(w, x, d);
	}
	const before = await w.row(g.id);
	const job = fal.of(g.prompt);
	const body = JSON.stringify({ request_id: job.id, status: 'OK' });
	const sent = fal.signature(body);
	const gets = fal.key_gets;
	const now = Math.floor(Date.now() / 1000);
	for (const [name, how, status] of [
		['unsigned', { headers: {} }, 401],
		['old', { at: now - 400 }, 401],
		['of tomorrow', { at: now + 400 }, 401],
		['another key', { key: new FakeFal().key }, 401],
		['of another body', { headers: fal.signature('{}') }, 401],
		['another token', { url: job.hook.replace(/[^/]+$/, 'A'.repeat(43)) },
			401],
		['another attempt', { url: job.hook.replace(/[^/]+(?=\/[^/]+$)/,
			randomUUID()) }, 404],
		['another job', { body: JSON.stringify({ request_id: fal.of(other.prompt).id,
			status: 'OK' }) }, 404],
		['no message', { body: '{"a":1}' }, 400],
		['no JSON', { body: 'hello' }, 400],
		['2 MB', { body: `{"a":"${'x'.repeat(2 << 20)}"}` }, 413],
		['good', { body, headers: sent }, 200],
		['replayed', { body, headers: sent }, 200],
	]) {
		await fal.send_hook(job, 1, how);
		assert.equal(fal.hooks.at(-1).status, status, name);
	}
	const after_all = await w.row(g.id);
	assert.equal(after_all.status, before.status);
	// The first one that a key might fit asks; then not for five minutes.
	assert.equal(fal.key_gets, gets + 1);
	assert.doesNotMatch(d.log, new RegExp(job.hook.split('/').at(-1)));
	await d.kill('SIGTERM');
});

for (const [ms, status, more] of [['0', 401, 0], ['1', 200, 1]]) {
	test(`webhooks: new keys, ${more ? 'fetched' : 'too soon'}`,
		async () => {
			const w = await world();
			const g = await w.submit({ polls: 1e6 });
			const d = w.demo({ DEMO_KEYS_MS: ms });
			const job = await accepted(w, g, d);
			const gets = fal.key_gets;
			for (let i = 0; i < 3; i++) await fal.send_hook(job, 1);
			assert.equal(fal.hooks.at(-1).status, 200);
			assert.equal(fal.key_gets, gets + 1);
			fal.rotate();
			await fal.send_hook(job, 1);
			assert.equal(fal.hooks.at(-1).status, status);
			assert.equal(fal.key_gets, gets + 1 + more);
			await d.kill('SIGTERM');
		});
}

test('webhooks: without keys they only hurry', async (t) => {
	const w = await world();
	const g = await w.submit({ polls: 3 });
	const lost = await w.submit({ submit: 'cut' });
	fal.keys = false;
	t.after(() => { fal.keys = true; });
	const d = w.demo();
	const job = await accepted(w, g, d);
	await fal.send_hook(job, 1);
	assert.equal(fal.hooks.at(-1).status, 200);
	await until(w, lost.id, async () => (await w.k.one('select status from '
		+ 'jobs where generation_id = $1', [lost.id])).status === 'uncertain',
	d);
	// An id is not believed from a message that may be anybody's.
	await fal.send_hook(fal.of(lost.prompt), 1);
	assert.equal(fal.hooks.at(-1).status, 503);
	await fal.send_hook(job, 1, { headers: {} });
	assert.equal(fal.hooks.at(-1).status, 401);
	assert.equal((await ended(w, g.id, d)).status, 'completed', d.log);
	assert.equal((await w.row(lost.id)).status, 'processing');
	await d.kill('SIGTERM');
});

test('a success after the refund is kept and changes nothing', async () => {
	const w = await world();
	const g = await w.submit({ result: 'failed' });
	const d = w.demo();
	const row = await ended(w, g.id, d);
	assert.equal(row.status, 'failed');
	const job = fal.of(g.prompt);
	const late = async () => (await w.k.one('select late_result, status from '
		+ 'attempts where generation_id = $1', [g.id]));
	await fal.send_hook(job, 1, { error: true });
	assert.equal((await late()).late_result, null);
	await fal.send_hook(job, 2);
	assert.equal(fal.hooks.at(-1).status, 200);
	const kept = await late();
	assert.equal(kept.status, 'failed');
	assert.match(kept.late_result.result.video.url, /mp4$/);
	assert.equal(kept.late_result.provider_id, job.id);
	assert.equal((await w.row(g.id)).version, row.version);
	await books(w, 100);
	await d.kill('SIGTERM');
});

test('a provider holds no more than its limit', async () => {
	const w = await world();
	w.user = await w.k.user(200, 20);
	w.fal = await new FakeFal().start();
	const all = [];
	for (let i = 0; i < 8; i++) all.push(await w.submit({ polls: 2 }));
	const d = w.demo({ DEMO_CONCURRENCY: '2' }, { url: w.fal.url });
	for (const g of all) {
		assert.equal((await ended(w, g.id, d)).status, 'completed', d.log);
	}
	assert.equal(w.fal.peak, 2);
	await books(w, 120);
	await d.kill('SIGTERM');
	await w.fal.stop();
});

test('requests per minute: a burst of a tenth, then one by one', async () => {
	const w = await world();
	w.user = await w.k.user(200, 20);
	w.fal = await new FakeFal().start();
	const all = [];
	for (let i = 0; i < 9; i++) all.push(await w.submit());
	const d = w.demo({ DEMO_RPM: '60' }, { url: w.fal.url });
	for (const g of all) {
		assert.equal((await ended(w, g.id, d)).status, 'completed', d.log);
	}
	// One a second after the first six; half of it, for a slow machine.
	const [first, ...rest] = w.fal.arrivals;
	for (const [i, at] of rest.entries()) {
		assert.ok(at - first >= (i - 5) * 500, `${i}: ${at - first}`);
	}
	await d.kill('SIGTERM');
	await w.fal.stop();
});

test('jobs that are adopted while the circuit is open do not hold it open', async () => {
	const w = await world();
	w.user = await w.k.user(200, 20);
	const account = '00000000-0000-7000-8000-000000000001';
	const dead = await w.k.instance();
	const all = [];
	for (let i = 0; i < 8; i++) all.push(await w.submit({ submit: 'cut-before' }));
	assert.equal((await w.k.claim(dead, 'fal', 8)).length, 8);
	await w.conn.query('update jobs set account_id = $1', [account]);
	await w.conn.query("update provider_accounts set opens = 1, opened_until = now() + interval '1 hour' "
		+ 'where id = $1', [account]);
	await w.conn.query("update instances set beat_at = now() - interval '1 hour' where id = $1", [dead]);
	const d = w.demo();
	for (const g of all) await until(w, g.id, () => fal.submits[g.prompt] > 0, d);
	await until(w, all[0].id, () => d.log.match(/orphan_submit|surely not sent|submit refused/g)?.length >= 8, d);
	// The fifth failure opens it here, those behind it say nothing new.
	assert.equal(d.log.match(/circuit opened/g)?.length, 1, d.log);
	const { opens } = await w.k.one('select opens from provider_accounts where id = $1', [account]);
	assert.ok(opens <= 2, `${opens}`);
	await d.kill('SIGTERM');
});

// --- Late and at once -----------------------------------------------------

test('a worker that was lost and then succeeds: kept, not charged', async () => {
	const w = await worker_world();
	const g = await w.submit();
	const d = w.demo();
	let r;
	for (let i = 0; i < 3; i++) {
		r = await w.take();
		await w.conn.query("update attempts set worker_beat_at = now() - "
			+ "interval '1 hour' where id = $1", [r.attempt_id]);
		await w.conn.query("select worker_jobs_lost('1 minute', 10)");
	}
	const row = await ended(w, g.id, d);
	assert.equal(row.status, 'failed', d.log);
	const late = await w.k.one('select * from worker_job_complete($1, $2, '
		+ "null, '{\"key\": \"videos/x/late.mp4\"}')", [r.attempt_id, w.me]);
	assert.equal(late.outcome, 'ended');
	const a = await w.k.one('select status, late_result from attempts where '
		+ 'id = $1', [r.attempt_id]);
	assert.equal(a.status, 'failed');
	assert.equal(a.late_result.key, 'videos/x/late.mp4');
	assert.equal((await w.row(g.id)).version, row.version);
	await books(w, 100);
	await d.kill('SIGTERM');
});

// reliability D14: whole by `make torture`.
test('cancel, finish and five webhooks at once, hundreds of times', async () => {
	const n = size(200, 1000);
	const w = await world();
	w.user = await w.k.user(10 * n, n);
	const small = tiny();
	const all = [];
	for (let i = 0; i < n; i++) {
		all.push(await w.submit({ polls: i % 3, hook: '5', bytes: small,
			result: i % 10 === 9 ? 'failed' : 'ok' }));
	}
	const pool = w.db.pool(8);
	const d = w.demo();
	// Half are cancelled as soon as they run, at different moments.
	const outcomes = await Promise.all(all.map(async (g, i) => {
		if (i % 2) return null;
		for (;;) {
			const r = (await pool.query('select stage, status from '
				+ 'generations where id = $1', [g.id])).rows[0];
			if (r.stage === 'generate' || over(r)) break;
			await new Promise((s) => { setTimeout(s, 50 + i); });
		}
		const c = await kit(pool).move('generation_cancel', g.id, w.user,
			w.user);
		if (i % 4) d.tell(`cancel ${g.id}`);
		return c.outcome;
	}));
	const count = { completed: 0, failed: 0, cancelled: 0 };
	for (const g of all) {
		const row = await ended(w, g.id, d, 150000);
		count[row.status]++;
		assert.equal(fal.accepted[g.prompt], 1);
	}
	const ends = (await w.conn.query("select generation_id, count(*) from "
		+ "events where type in ('generation.completed', 'generation.failed', "
		+ "'generation.cancelled') group by 1")).rows;
	assert.equal(ends.length, n);
	assert.ok(ends.every((e) => e.count === 1));
	assert.ok(count.completed > 0 && count.failed > 0 && count.cancelled > 0,
		JSON.stringify([count, outcomes]));
	const sent = new Set(all.map((g) => g.prompt));
	const answers = fal.hooks.filter((h) => sent.has(h.prompt));
	assert.ok(answers.every((h) => h.status === 200),
		JSON.stringify(answers.find((h) => h.status !== 200)));
	await books(w, 10 * (count.failed + count.cancelled));
	await d.kill('SIGTERM');
});

// --- A lost answer, by recovery class ------------------------------------

// Kling's v1 as far as it matters: accepts, then hangs up. by_our_id: can it
// be asked by the id we chose?
async function kling_world(by_our_id) {
	const w = await world();
	await w.k.one('select model_put($1)', [JSON.stringify({ slug: 'kl',
		name: 'kl', routes: [{ provider: 'kling', endpoint: 'kling-v2-6',
			params: { input: { prompt: 'prompt' } } }],
		price: { rule: null } })]);
	w.route = (await w.k.one("select id from model_routes where provider = "
		+ "'kling'")).id;
	w.tasks = [];
	w.asked = 0;
	const server = http.createServer(async (req, res) => {
		const parts = [];
		for await (const p of req) parts.push(p);
		if (req.url.endsWith('.mp4')) return res.end(mp4());
		if (req.method === 'POST') {
			w.tasks.push({ id: `task-${w.tasks.length}`,
				...JSON.parse(Buffer.concat(parts)) });
			return req.socket.destroy();
		}
		w.asked++;
		const id = req.url.split('/').at(-1);
		const task = w.tasks.find((t) => t.id === id
			|| (by_our_id && t.external_task_id === id));
		res.writeHead(task ? 200 : 503,
			{ 'content-type': 'application/json' });
		return res.end(JSON.stringify(task ? { code: 0, data: {
			task_id: task.id, task_status: 'succeed', task_result: {
				videos: [{ url: `${w.url}/v.mp4` }] } } } : { code: 1 }));
	});
	await new Promise((r) => server.listen(0, '127.0.0.1', r));
	w.url = `http://127.0.0.1:${server.address().port}`;
	w.stop = () => {
		server.closeAllConnections();
		server.close();
	};
	return w;
}

for (const by_our_id of [true, false]) {
	test(`class B, ${by_our_id ? 'found by our id' : 'its callback is first'}: `
		+ 'one paid submit, no refund', async () => {
		const w = await kling_world(by_our_id);
		const g = await w.submit();
		const d = w.demo({}, { url: w.url });
		if (!by_our_id) {
			await until(w, g.id, () => w.asked > 1, d);
			const [t] = w.tasks;
			const r = await fetch(t.callback_url, { method: 'POST',
				body: JSON.stringify({ data: { task_id: t.id, task_info:
					{ external_task_id: t.external_task_id } } }) });
			assert.equal(r.status, 200);
		}
		const row = await ended(w, g.id, d);
		assert.equal(row.status, 'completed', d.log);
		assert.equal(w.tasks.length, 1);
		const a = await w.k.one('select provider_job_id from attempts');
		assert.equal(a.provider_job_id, 'task-0');
		await books(w, 90);
		await d.kill('SIGTERM');
		w.stop();
	});
}

test('class D: refunded at once, asked once, noted', async () => {
	const w = await world();
	await w.k.one('select model_put($1)', [JSON.stringify({ slug: 'rw',
		name: 'rw', routes: [{ provider: 'runway', endpoint: 'gen4.5',
			params: { input: { prompt: 'promptText' } } }],
		price: { rule: null } })]);
	w.route = (await w.k.one("select id from model_routes where provider = "
		+ "'runway'")).id;
	let n = 0;
	const server = http.createServer((req) => {
		n++;
		req.socket.destroy();
	});
	await new Promise((r) => server.listen(0, '127.0.0.1', r));
	const g = await w.submit();
	const d = w.demo({}, { url: `http://127.0.0.1:${server.address().port}` });
	const row = await ended(w, g.id, d);
	assert.equal(row.status, 'failed', d.log);
	assert.equal(row.error_code, 'provider_unknown');
	assert.match(d.log, /orphan_submit/);
	assert.equal(n, 1);
	await books(w, 100);
	await d.kill('SIGTERM');
	server.close();
});

test('a lost answer where no callback can come: refunded at once', async () => {
	const w = await world();
	const g = await w.submit({ submit: 'cut' });
	const d = w.demo({}, { reachable: false });
	const row = await ended(w, g.id, d);
	assert.equal(row.status, 'failed', d.log);
	assert.equal(row.error_code, 'provider_unknown');
	assert.equal(fal.submits[g.prompt], 1);
	await books(w, 100);
	await d.kill('SIGTERM');
});
