// kills.test.mjs - kill -9 of every process in the middle of a generation,
// and of reeld at each of its named crash points.  Afterwards nothing is lost,
// nothing is paid or charged twice, and the books are right.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { build, crash_points, fakeFal, reeld, until, worker } from './env.mjs';
import { size } from '../torture/size.mjs';
import { children_of } from './services.mjs';

const MODEL = 'kling-2.5'; // of the fal adapter
const over = (g) => ['completed', 'failed', 'cancelled'].includes(g.status);
let fal, w, bank;

before(async () => {
	fal = await fakeFal();
	w = await reeld({ env: { ...fal.env, REELD_JOBS_ADOPT_AFTER: '2s' } });
	bank = await w.user({ credits: 10_000_000 });
});
after(() => assert.deepEqual(Object.values(fal.accepted).filter((n) => n > 1), []));

// Submits with a prompt of its own, whose plan the fake follows.
async function submit(user, plan = {}, body = {}, headers) {
	const prompt = `p ${randomUUID()}`;
	fal.plan(prompt, { polls: 0, ...plan });
	const x = await user.post('/generations', { model: MODEL, prompt, ...body }, headers);
	assert.equal(x.status, 201, JSON.stringify(x.body));
	return { ...x.body, prompt };
}

async function one_end(r, id, prompt) {
	assert.deepEqual(await r.books(), {});
	const ends = await r.psql("select type from events where generation_id = $1 and type in "
		+ "('generation.completed', 'generation.failed', 'generation.cancelled')", [id]);
	assert.ok(ends.length <= 1, JSON.stringify(ends));
	if (prompt) assert.ok((fal.accepted[prompt] ?? 0) <= 1, 'paid twice');
	const charges = await r.psql('select state::text, quote, refunded from charges where generation_id = $1', [id]);
	assert.equal(charges.length, 1);
	return charges[0];
}

// [point, plan of the fake, what must come of it]; parked: the provider may
// have it, so nobody asks (and pays) again, and it waits for its webhook.
const points = [
	['claim.committed', {}, 'completed'],
	['submit.before_attempt_commit', {}, 'completed'],
	['submit.after_attempt_commit', {}, 'parked'],
	['submit.sending', {}, 'parked'],
	['submit.sent', {}, 'parked'],
	['submit.answered', {}, 'parked'],
	['submit.before_record', {}, 'parked'],
	// Nobody can call back without a public address: refunded at once.
	['submit.sent', {}, 'failed', ''],
	['submit.recorded', {}, 'completed'],
	['poll.sent', {}, 'completed'],
	['poll.done_seen', {}, 'completed'],
	['finalize.before_commit', {}, 'completed'],
	['finalize.after_commit', {}, 'completed'],
	['download.partial', { video: 'drip' }, 'completed'],
	['download.complete', {}, 'completed'],
	['store.before_put', {}, 'completed'],
	['put_start', {}, 'completed'],
	['put_synced', {}, 'completed'],
	['put_renamed', {}, 'completed'],
	['store.stored', {}, 'completed'],
	['poster.before', {}, 'completed'],
	['poster.done', {}, 'completed'],
	['poster.stored', {}, 'completed'],
	['finish.before_commit', {}, 'completed'],
	['finish.after_commit', {}, 'completed'],
	['fail.before_commit', { result: 'failed' }, 'failed'],
	['fail.after_commit', { result: 'failed' }, 'failed'],
	['requeue.after_commit', { submit: ['429', 'ok'] }, 'completed'],
];
test('kill -9 of reeld at each named point', { concurrency: 6 }, async (t) => {
	assert.ok(crash_points, 'a build without --enable-crash-points');
	// Each with a server of its own: most of it is waiting for the next poll.
	await Promise.all(points.map(([point, plan, end, public_url = 'http://reeld.test']) => t.test(`${point}: ${end}`, async () => {
		const r = await reeld({ env: { ...fal.env, REELD_JOBS_ADOPT_AFTER: '2s', REELD_CRASH_AT: point,
			REELD_HTTP_PUBLIC_URL: public_url } });
		const ann = await r.user({ credits: 10000 });
		const g = await submit(ann, plan);
		await r.died();
		// Its last words are in the pipe, perhaps not yet with us.
		await until(`point=${point} in the log`, () => r.logs().includes(`point=${point}`));
		await r.restart({ env: { REELD_CRASH_AT: '' } });
		if (end === 'parked') {
			await until('parked', async () => (await r.psql('select status::text from jobs where generation_id = $1',
				[g.id])).at(0)?.status === 'uncertain', 75000);
			assert.equal((await one_end(r, g.id, g.prompt)).refunded, 0);
			assert.equal(await ann.balance(), 10000 - g.credits);
			return r.stop();
		}
		const done = await ann.ended(g.id, 75000);
		assert.equal(done.status, end, JSON.stringify(done.error));
		const charge = await one_end(r, g.id, g.prompt);
		assert.equal(charge.refunded, end === 'failed' ? charge.quote : 0);
		if (end === 'completed') {
			const file = await ann.fetch(done.video_url);
			assert.equal(file.status, 200);
			assert.equal((await file.arrayBuffer()).byteLength, done.video.size_bytes);
		}
		return r.stop();
	})));
});

test('a submit whose server dies before the answer: the key finds it, once', async () => {
	await w.restart({ env: { REELD_CRASH_AT: 'claim.committed' } });
	const prompt = `p ${randomUUID()}`;
	const key = { 'idempotency-key': randomUUID() };
	const start = await bank.balance();
	const body = { model: MODEL, prompt };
	await bank.post('/generations', body, key).catch(() => null);
	await w.died();
	await w.restart({ env: { REELD_CRASH_AT: '' } });
	const again = await bank.post('/generations', body, key);
	assert.ok([200, 201].includes(again.status), JSON.stringify(again.body));
	assert.equal((await bank.ended(again.body.id)).status, 'completed');
	assert.equal(await bank.balance(), start - again.body.credits);
	await one_end(w, again.body.id, prompt);
});

test('kill -9 of reeld ten times under load: all end, each paid once', async () => {
	await w.restart({ env: { REELD_CRASH_AT: '' } });
	await w.psql("update system_config set value = '50' where key = 'video_concurrent_limit'");
	await w.restart();
	const many = await w.user({ credits: 10_000_000 });
	const all = [];
	for (let round = 0; round < 10; round++) {
		const some = await Promise.all(Array.from({ length: 4 }, () => submit(many, { polls: round % 2, video: 'drip' })));
		all.push(...some);
		// A different moment each round: when the n-th of them has been seen to move.
		await many.until(some[round % 4].id, (s) => s.version > round % 5 || over(s));
		await w.kill9();
		await w.restart();
	}
	for (const g of all) {
		const parked = async () => (await w.psql('select status::text from jobs where generation_id = $1', [g.id])).at(0)?.status === 'uncertain';
		await until('ended or parked', async () => over((await many.get(`/generations/${g.id}`)).body) || parked(), 75000);
		await one_end(w, g.id, g.prompt);
	}
	const done = await w.psql("select count(*) from generations where user_id = $1 and status = 'completed'", [many.id]);
	assert.ok(done[0].count > 0);
	const spent = await w.psql('select sum(quote - refunded) as n from charges c join generations g on g.id = c.generation_id where g.user_id = $1', [many.id]);
	assert.equal(await many.balance(), 10_000_000 - Number(spent[0].n));
});

test('kill -9 of the media helper: it comes back, the video is stored', async () => {
	// Helpers are started by the first work for them.
	assert.equal((await bank.ended((await submit(bank)).id)).status, 'completed');
	fal.barrier('video');
	const there = fal.reached('video');
	const g = await submit(bank);
	await there;
	const helpers = children_of(w.process.pid);
	assert.ok(helpers.length > 0);
	for (const pid of helpers) process.kill(pid, 'SIGKILL');
	fal.release('video');
	const done = await bank.ended(g.id);
	assert.equal(done.status, 'completed', JSON.stringify(done.error));
	assert.ok(done.video.width > 0);
	await one_end(w, g.id, g.prompt);
});

test('kill -9 of Redis: work goes on, and live news come back', async () => {
	const g = await submit(bank, { polls: 1 });
	await w.redis.kill9();
	const h = await submit(bank);
	for (const x of [g, h]) assert.equal((await bank.ended(x.id)).status, 'completed');
	await w.redis.up();
	await until('ready again', async () => (await w.call('GET', '/readyz')).status === 200);
	const live = await bank.ws();
	await live.subscribe('user:me');
	const i = await submit(bank);
	assert.equal((await bank.ended(i.id)).status, 'completed');
	await live.event((e) => e.data?.id === i.id && e.data?.status === 'completed');
	await live.close();
	assert.deepEqual(await w.books(), {});
});

// reliability D3: whole by `make torture`.
test('kill -9 of PostgreSQL under load, again and again: 503 or one generation per key', async (t) => {
	const back = [];
	const r = await reeld({ own_pg: true, env: { ...fal.env, REELD_JOBS_ADOPT_AFTER: '2s' } });
	await r.psql("update system_config set value = '100' where key = 'video_concurrent_limit'");
	await r.restart();
	const ann = await r.user({ credits: 1_000_000 });
	const asked = [];
	for (let round = 0; round < size(5, 20); round++) {
		const wave = Array.from({ length: 6 }, () => ({ key: randomUUID(), prompt: `p ${randomUUID()}` }));
		for (const a of wave) fal.plan(a.prompt, { polls: 0 });
		asked.push(...wave);
		const answers = wave.map((a) => ann.post('/generations', { model: MODEL, prompt: a.prompt }, { 'idempotency-key': a.key }));
		if (round % 2) await Promise.race(answers); // in the middle of the others
		await r.pg.kill9();
		for (const x of await Promise.all(answers)) {
			assert.ok([201, 503].includes(x.status), `${x.status} ${JSON.stringify(x.body)}`);
			if (x.status === 503) assert.ok(Number(x.headers.get('retry-after')) > 0);
		}
		const down = await r.call('GET', '/readyz');
		assert.equal(down.status, 503);
		assert.equal((await r.call('GET', '/livez')).status, 200);
		// Away for a while, when there is time for it.
		await new Promise((d) => { setTimeout(d, size(0, 1000 + Math.random() * 9000)); });
		await r.pg.up();
		const up = performance.now();
		await until('ready again', async () => (await r.call('GET', '/readyz')).status === 200);
		back.push(Math.round(performance.now() - up));
	}
	t.diagnostic(`ready again after ${back} ms`);
	const ids = new Set();
	for (const a of asked) {
		const x = await until('accepted', async () => {
			const y = await ann.post('/generations', { model: MODEL, prompt: a.prompt }, { 'idempotency-key': a.key });
			return [200, 201].includes(y.status) ? y : null;
		});
		ids.add(x.body.id);
	}
	assert.equal(ids.size, asked.length);
	const rows = await r.psql('select count(*) from generations');
	assert.equal(rows[0].count, asked.length);
	for (const id of ids) {
		await until(`${id} ended or parked`, async () => over((await ann.get(`/generations/${id}`)).body)
			|| (await r.psql('select status::text from jobs where generation_id = $1', [id])).at(0)?.status === 'uncertain', 120000);
	}
	for (const a of asked) assert.ok((fal.accepted[a.prompt] ?? 0) <= 1, 'paid twice');
	assert.deepEqual(await r.books(), {});
});

// A renderer that reports and then stands until a file is there.
const renderer = (file) => ['--on', `video=echo progress 10; while [ ! -e '${file}' ]; do sleep 0.1; done; `
	+ `REEL_MODEL=demo-pixel exec '${join(build, 'reel-demo')}'`];

test('kill -9 of the worker: another one makes it, charged once', async () => {
	const r = await reeld();
	const ann = await r.user({ credits: 1000 });
	const first = await worker(r, { name: 'first', args: renderer(join(r.dir, 'never')) });
	const g = await ann.submit({ model: 'demo-slow' });
	await ann.until(g.id, (s) => s.status === 'processing' && s.progress > 0);
	await first.kill9();
	await worker(r, { name: 'second', args: renderer(r.dir) });
	const done = await ann.ended(g.id, 170000);
	assert.equal(done.status, 'completed', JSON.stringify(done.error));
	assert.equal(await ann.balance(), 1000 - done.credits);
	await one_end(r, g.id);
});

test('kill -9 of reeld while the worker renders: its file is still taken', async () => {
	const r = await reeld({ env: { REELD_JOBS_ADOPT_AFTER: '2s' } });
	const ann = await r.user({ credits: 1000 });
	// The worker knows one address: the server must come back on it.
	await r.restart({ args: ['--listen', `127.0.0.1:${r.port}`], env: { REELD_HTTP_LISTEN: `127.0.0.1:${r.port}` } });
	const go = join(r.dir, 'go');
	await worker(r, { args: renderer(go) });
	const g = await ann.submit({ model: 'demo-slow' });
	await ann.until(g.id, (s) => s.status === 'processing' && s.progress > 0);
	await r.kill9();
	await r.restart();
	writeFileSync(go, '');
	const done = await ann.ended(g.id, 170000);
	assert.equal(done.status, 'completed', JSON.stringify(done.error));
	assert.equal(await ann.balance(), 1000 - done.credits);
	await one_end(r, g.id);
});
