// The engine against real PostgreSQL, real libav and a fake fal that plays
// scripts: every way a generation can go, and kill -9 at every named point.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync }
	from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { FakeFal, mp4 } from '../fake/fal.mjs';
import { kit, start } from './pg.mjs';

const top = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const build = process.env.builddir ?? join(top, 'build');
const SPEC = { prompt: 'x', mode: 't2v', duration_ms: 2000 };

let server, fal, hooks;
const demos = new Set();
const broken = []; // logs with a sanitizer's or an assertion's word

before(async () => {
	server = await start();
	fal = await new FakeFal().start();
	// Stands for reeld's own /hooks route: hands the body to every engine.
	hooks = http.createServer(async (req, res) => {
		const parts = [];
		for await (const p of req) parts.push(p);
		const [, , provider, attempt, token] = req.url.split('/');
		let status = 0;
		for (const d of demos) {
			status = await d.hook(provider, attempt, token, req.headers,
				Buffer.concat(parts).toString());
		}
		res.writeHead(status || 503);
		res.end();
	});
	await new Promise((r) => hooks.listen(0, '127.0.0.1', r));
});
after(async () => {
	for (const d of demos) await d.kill();
	hooks.closeAllConnections();
	hooks.close();
	await fal.stop();
	await server.stop();
	assert.deepEqual(broken, []);
});

// As the adapter spells them: engine_demo looks them up exactly.
const hook_headers = ['Request-Id', 'User-Id', 'Timestamp', 'Signature']
	.map((h) => `X-Fal-Webhook-${h}`);

class Demo {
	constructor(db, dir, env = {}, { url = fal.url, redis = '-' } = {}) {
		this.log = '';
		this.out = '';
		this.waits = [];
		this.child = spawn(join(build, 'tests/it/engine_demo'), [
			`host=${db.dir} user=reeld dbname=${db.name}`, redis, dir, url,
			join(build, 'reel-media'),
			`http://127.0.0.1:${hooks.address().port}`],
		{ env: { ...process.env, ...env } });
		this.child.stderr.on('data', (d) => { this.log += d; });
		this.child.stdin.on('error', () => {});
		this.child.stdout.on('data', (d) => {
			this.out += d;
			this.waits = this.waits.filter((w) => !w());
		});
		this.gone = new Promise((r) => this.child.once('exit',
			(code, signal) => {
				demos.delete(this);
				if (/Sanitizer|runtime error|Assertion/.test(this.log)) {
					broken.push(this.log.slice(-4000));
				}
				r({ code, signal });
			}));
		demos.add(this);
	}

	said(re) {
		return new Promise((resolve) => {
			const look = () => {
				const m = this.out.match(re);
				if (m) resolve(m);
				return m;
			};
			if (!look()) this.waits.push(look);
		});
	}

	up() { return Promise.race([this.said(/^up /m), this.gone]); }
	tell(line) { this.child.stdin.write(`${line}\n`); }

	async hook(provider, attempt, token, headers, body) {
		const n = this.hooks = (this.hooks ?? 0) + 1;
		this.tell(`hook ${JSON.stringify({ n, provider, attempt, token,
			headers: { ...headers, ...Object.fromEntries(hook_headers.map(
				(h) => [h, headers[h.toLowerCase()]])) }, body })}`);
		const m = await Promise.race([this.gone,
			this.said(new RegExp(`^hook ${n} (\\d+)$`, 'm'))]);
		return Number(m[1] ?? 503);
	}

	async kill(signal = 'SIGKILL') {
		this.child.kill(signal);
		return this.gone;
	}
}

const left = [];
// A bucket server; gives the environment for the demo and the files' folder.
async function bucket(dir) {
	const { default: S3rver } = await import('@20minutes/s3rver');
	const s3 = new S3rver({ port: 0, address: '127.0.0.1', silent: true,
		directory: join(dir, 's3'),
		configureBuckets: [{ name: 'reeld', configs: [] }] });
	const { port } = await s3.run();
	return { env: { DEMO_S3: `http://127.0.0.1:${port}` },
		put: async (key, body) => assert.equal((await fetch(
			`http://127.0.0.1:${port}/reeld/${key}`,
			{ method: 'PUT', body })).status, 200),
		has: async (key) => existsSync(join(dir, 's3', 'reeld',
			`${key}._S3rver_object`)),
		close: () => s3.close() };
}

async function world() {
	const db = await server.database();
	const conn = await db.engine();
	const k = kit(conn);
	await k.one('select model_put($1)', [JSON.stringify({ slug: 'm',
		name: 'm', routes: [{ provider: 'fal',
			endpoint: 'fal-ai/test/text-to-video',
			params: { input: { prompt: 'prompt', start_image: 'image_url',
				end_image: 'tail_image_url' } } }],
		price: { rule: { base: 10 } } })]);
	const route = (await k.one('select id from model_routes limit 1')).id;
	const dir = mkdtempSync(join(tmpdir(), 'reeld-engine-'));
	left.push(dir);
	const user = await k.user(100);
	const w = { db, conn, k, route, dir, user,
		demo: (env, o) => new Demo(db, dir, env, o),
		submit: async (plan = {}, o = {}) => {
			const prompt = `p ${randomUUID()}`;
			fal.plan(prompt, plan);
			const g = await k.submit(w.user, w.route, { ...o,
				spec: { ...SPEC, prompt } });
			assert.equal(g.outcome, 'created');
			return { id: g.id, prompt };
		},
		row: (id) => k.one('select * from generations where id = $1', [id]),
	};
	return w;
}
after(() => left.forEach((d) => rmSync(d, { recursive: true })));

// Until the row satisfies ok(); the test's own limit is the deadline.
async function until(w, id, ok, demo, limit_ms = 60000) {
	const end = Date.now() + limit_ms;
	for (;;) {
		const g = await w.row(id);
		if (ok(g)) return g;
		if (Date.now() > end) {
			throw new Error(`stuck: ${JSON.stringify({ status: g.status,
				stage: g.stage, code: g.error_code })}\n`
				+ `${demo?.log.slice(-6000)}`);
		}
		await new Promise((r) => { setTimeout(r, 20); });
	}
}
const over = (g) => ['completed', 'failed', 'cancelled'].includes(g.status);
const ended = (w, id, demo, ms) => until(w, id, over, demo, ms);

async function books(w, expected) {
	assert.deepEqual(await w.k.audit(), {});
	assert.equal(await w.k.balance(w.user), expected);
}

test('a video is made, stored, charged once', async () => {
	const w = await world();
	const g = await w.submit({ polls: 2, video: 'drip' });
	const d = w.demo();
	const row = await ended(w, g.id, d);
	assert.equal(row.status, 'completed', d.log);
	assert.equal(fal.submits[g.prompt], 1);
	assert.equal(row.video.width, 320);
	assert.equal(row.video.codec, 'h264');
	assert.ok(row.thumbnail_asset_id && row.video_asset_id);
	const assets = (await w.conn.query('select kind, key, size_bytes, width '
		+ 'from assets order by kind')).rows;
	assert.deepEqual(assets.map((a) => a.kind), ['thumbnail', 'video']);
	for (const a of assets) assert.ok(existsSync(join(w.dir, a.key)), a.key);
	assert.equal(assets[0].width, 480);
	assert.deepEqual(readdirSync(join(w.dir, 'tmp')), []);
	await books(w, 90);
	assert.deepEqual(await d.kill('SIGTERM'), { code: 0, signal: null });
});

const endings = [
	['a refusal', { submit: 'refused' }, 'failed', 'refused', 1],
	['bad input', { submit: '422' }, 'failed', 'bad_input', 1],
	['a failure of theirs', { result: 'failed' }, 'failed', 'provider', 1],
	['a late refusal', { result: 'refused' }, 'failed', 'refused', 1],
	['429, then fine', { submit: ['429', 'ok'] }, 'completed', null, 2],
	['503, then fine', { submit: ['503', 'ok'] }, null, null, null],
	['an unknown word', { word: 'THINKING', polls: 2 }, 'completed', null, 1],
	['a dead link, then a fresh one', { video: ['403', 'ok'] }, 'completed',
		null, 1],
	['dead links for ever', { video: '403' }, 'failed', 'provider', 1],
	['a web page for a video', { video: 'html' }, 'failed', 'provider', 1],
	['rubbish for a video', { bytes: Buffer.alloc(5000, 'x') }, 'failed',
		'provider', 1],
];
for (const [name, plan, status, klass, submits] of endings) {
	if (status === null) continue;
	test(name, async () => {
		const w = await world();
		const g = await w.submit(plan);
		const d = w.demo();
		const row = await ended(w, g.id, d);
		assert.equal(row.status, status, d.log);
		if (klass) assert.equal(row.error_class, klass);
		assert.equal(fal.submits[g.prompt], submits);
		await books(w, status === 'completed' ? 90 : 100);
		await d.kill('SIGTERM');
	});
}

for (const how of ['cut', 'cut-before', '500', 'html', 'no-id']) {
	test(`submit ${how}: asked once, parked, the charge stands`, async () => {
		const w = await world();
		const g = await w.submit({ submit: how });
		const d = w.demo();
		const end = Date.now() + 20000;
		let job;
		do {
			job = await w.k.one('select status from jobs where '
				+ 'generation_id = $1', [g.id]);
			await new Promise((r) => { setTimeout(r, 20); });
		} while (job.status !== 'uncertain' && Date.now() < end);
		assert.equal(job.status, 'uncertain', d.log);
		assert.equal(fal.submits[g.prompt], 1);
		await books(w, 90);
		await d.kill('SIGTERM');
	});
}

test('a lost answer is found by its webhook', async () => {
	const w = await world();
	const g = await w.submit({ submit: 'cut' });
	const d = w.demo();
	await until(w, g.id, () => /orphan_submit/.test(d.log), d);
	let status;
	await until(w, g.id, async () => true, d);
	const job = [...fal.jobs.values()].find((j) => j.prompt === g.prompt);
	do {
		await fal.send_hook(job, 1);
		status = fal.hooks.at(-1).status;
	} while (status !== 200);
	for (let i = 0; i < 3; i++) await fal.send_hook(job, 1);
	const row = await ended(w, g.id, d);
	assert.equal(row.status, 'completed', d.log);
	assert.equal(fal.submits[g.prompt], 1);
	await books(w, 90);
	// Late and repeated ones change nothing.
	await fal.send_hook(job, 2);
	assert.equal(fal.hooks.at(-1).status, 200);
	assert.equal((await w.row(g.id)).version, row.version);
	await d.kill('SIGTERM');
});

// reliability D15: what comes to a webhook's address, and the answer.
test('webhooks: signature, age, token, other jobs, size, rubbish', async () => {
	const w = await world();
	const [g, other] = [await w.submit({ polls: 1e6 }),
		await w.submit({ polls: 1e6 })];
	const d = w.demo();
	for (const x of [g, other]) {
		await until(w, x.id, (r) => r.stage === 'generate', d);
	}
	const before = await w.row(g.id);
	const of = (x) => [...fal.jobs.values()].find((j) => j.prompt === x.prompt);
	const job = of(g);
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
		['another job', { body: JSON.stringify({ request_id: of(other).id,
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
			await until(w, g.id, (r) => r.stage === 'generate', d);
			const job = [...fal.jobs.values()].find((j) =>
				j.prompt === g.prompt);
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

test('webhooks: without keys they only hurry', async () => {
	const w = await world();
	const g = await w.submit({ polls: 3 });
	const lost = await w.submit({ submit: 'cut' });
	fal.keys = false;
	const d = w.demo();
	await until(w, g.id, (r) => r.stage === 'generate', d);
	const of = (x) => [...fal.jobs.values()].find((j) => j.prompt === x.prompt);
	await fal.send_hook(of(g), 1);
	assert.equal(fal.hooks.at(-1).status, 200);
	await until(w, lost.id, async () => (await w.k.one('select status from '
		+ 'jobs where generation_id = $1', [lost.id])).status === 'uncertain',
	d);
	// An id is not believed from a message that may be anybody's.
	await fal.send_hook(of(lost), 1);
	assert.equal(fal.hooks.at(-1).status, 503);
	await fal.send_hook(of(g), 1, { headers: {} });
	assert.equal(fal.hooks.at(-1).status, 401);
	assert.equal((await ended(w, g.id, d)).status, 'completed', d.log);
	assert.equal((await w.row(lost.id)).status, 'processing');
	fal.keys = true;
	await d.kill('SIGTERM');
});

test('a success after the refund is kept and changes nothing', async () => {
	const w = await world();
	const g = await w.submit({ result: 'failed' });
	const d = w.demo();
	const row = await ended(w, g.id, d);
	assert.equal(row.status, 'failed');
	const job = [...fal.jobs.values()].find((j) => j.prompt === g.prompt);
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

test('cancel while it renders: the provider is told, refunded', async () => {
	const w = await world();
	const g = await w.submit({ polls: 1000 });
	const d = w.demo();
	await until(w, g.id, (r) => r.stage === 'generate', d);
	const c = await w.k.move('generation_cancel', g.id, w.user, w.user);
	assert.equal(c.outcome, 'cancelling');
	d.tell(`cancel ${g.id}`);
	const row = await ended(w, g.id, d);
	assert.equal(row.status, 'cancelled');
	assert.equal(fal.cancels[g.prompt], 1);
	await books(w, 100);
	await d.kill('SIGTERM');
});

test('cancel is noticed without a hint', async () => {
	const w = await world();
	const g = await w.submit({ polls: 1000 });
	const d = w.demo();
	await until(w, g.id, (r) => r.stage === 'generate', d);
	await w.k.move('generation_cancel', g.id, w.user, w.user);
	assert.equal((await ended(w, g.id, d)).status, 'cancelled');
	await books(w, 100);
	await d.kill('SIGTERM');
});

test('drain: another engine goes on at once', async () => {
	const w = await world();
	const g = await w.submit({ polls: 20 });
	const a = w.demo();
	await until(w, g.id, (r) => r.stage === 'generate', a);
	assert.deepEqual(await a.kill('SIGTERM'), { code: 0, signal: null });
	const job = await w.k.one('select owner, status from jobs');
	assert.equal(job.owner, null);
	const b = w.demo();
	assert.equal((await ended(w, g.id, b)).status, 'completed');
	assert.equal(fal.submits[g.prompt], 1);
	await books(w, 90);
	await b.kill('SIGTERM');
});

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
	['uncertain.before_commit', { submit: 'cut' }, unsure],
	['uncertain.after_commit', { submit: 'cut' }, unsure],
];
for (const [point, plan = {}, expect] of points) {
	test(`kill -9 at ${point}`, async () => {
		const w = await world();
		const g = await w.submit({ polls: 2, ...plan });
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

test('connections cut again and again: every job ends once', async () => {
	const w = await world();
	w.user = await w.k.user(200, 20);
	const d = w.demo();
	await d.up();
	const all = [];
	for (let i = 0; i < 16; i++) {
		all.push(await w.submit({ polls: i % 4,
			result: i % 4 === 0 ? 'failed' : 'ok' }));
		await w.conn.query('select pg_terminate_backend(pid) from '
			+ 'pg_stat_activity where usename = $1 and pid <> '
			+ 'pg_backend_pid() and datname = current_database()', ['reeld']);
		await new Promise((r) => { setTimeout(r, 40); });
	}
	let done = 0;
	for (const g of all) {
		const row = await ended(w, g.id, d);
		done += row.status === 'completed';
		assert.ok((fal.accepted[g.prompt] ?? 0) <= 1, 'paid twice');
	}
	assert.ok(done >= 8, `${done}`);
	await books(w, 200 - 10 * done);
	const lost = await w.k.one('select count(*) from jobs where owner is not '
		+ 'null');
	assert.equal(lost.count, 0);
	await d.kill('SIGTERM');
});

test('two engines, one killed: nothing is done twice', async () => {
	const w = await world();
	w.user = await w.k.user(200, 20);
	const all = [];
	for (let i = 0; i < 12; i++) {
		all.push(await w.submit({ polls: 3 + i % 3 }));
	}
	const a = w.demo();
	const b = w.demo();
	await until(w, all[6].id, (g) => g.stage === 'generate'
		|| g.stage === 'download' || over(g), a);
	await a.kill();
	for (const g of all) {
		const row = await until(w, g.id, (r) => over(r)
			|| r.stage === 'submit', b);
		if (!over(row)) continue; // killed in the middle of a submit: parked
		assert.equal(row.status, 'completed', b.log);
		assert.equal(fal.submits[g.prompt], 1);
	}
	assert.deepEqual(await w.k.audit(), {});
	await b.kill('SIGTERM');
});

async function worker_world() {
	const w = await world();
	await w.k.one('select model_put($1)', [JSON.stringify({ slug: 'own',
		name: 'own', routes: [{ provider: 'worker', endpoint: 'demo' }],
		price: { rule: { base: 10 } } })]);
	w.route = (await w.k.one("select id from model_routes where provider = "
		+ "'worker'")).id;
	const me = (await w.k.one('select worker_register(null, $1, null, null, '
		+ 'null, null, null) as id', ['w'])).id;
	w.take = async () => {
		for (;;) {
			const r = await w.k.one('select * from worker_claim($1, null)',
				[me]);
			if (r.outcome === 'started') return r;
			await new Promise((s) => { setTimeout(s, 20); });
		}
	};
	w.me = me;
	return w;
}

test('our own worker: offered, uploaded, finished', async () => {
	const w = await worker_world();
	const g = await w.submit();
	const d = w.demo();
	const r = await w.take();
	assert.equal(r.generation_id, g.id);
	const key = `videos/${g.id}/upload.mp4`;
	mkdirSync(join(w.dir, 'videos', g.id), { recursive: true });
	writeFileSync(join(w.dir, key), mp4());
	const done = await w.k.one('select * from worker_job_complete($1, $2, '
		+ 'null, $3)', [r.attempt_id, w.me, JSON.stringify({ key })]);
	assert.equal(done.outcome, 'completed');
	const row = await ended(w, g.id, d);
	assert.equal(row.status, 'completed', d.log);
	assert.equal(row.video.width, 320);
	assert.ok(row.thumbnail_asset_id);
	await books(w, 90);
	await d.kill('SIGTERM');
});

test('our own worker refuses: failed and refunded', async () => {
	const w = await worker_world();
	const g = await w.submit();
	const d = w.demo();
	const r = await w.take();
	await w.k.one('select * from worker_job_fail($1, $2, null, $3, $4, $5, '
		+ 'false)', [r.attempt_id, w.me, 'bad_input', 'bad_input', 'no']);
	const row = await ended(w, g.id, d);
	assert.equal(row.status, 'failed');
	assert.equal(row.error_class, 'bad_input');
	await books(w, 100);
	await d.kill('SIGTERM');
});

test('cancelled before a worker took it: off, refunded', async () => {
	const w = await worker_world();
	const g = await w.submit();
	const d = w.demo();
	await until(w, g.id, (r) => r.stage === 'generate', d);
	await w.k.move('generation_cancel', g.id, w.user, w.user);
	d.tell(`cancel ${g.id}`);
	assert.equal((await ended(w, g.id, d)).status, 'cancelled');
	await books(w, 100);
	await d.kill('SIGTERM');
});

test('a provider that cannot be reached: three tries, refunded', async () => {
	const w = await world();
	const g = await w.submit();
	const d = w.demo({}, { url: 'http://127.0.0.1:1' });
	const row = await ended(w, g.id, d);
	assert.equal(row.status, 'failed');
	assert.equal(row.error_code, 'provider_unreachable');
	await books(w, 100);
	const n = await w.k.one('select count(*) from attempts');
	assert.equal(n.count, 3);
	await d.kill('SIGTERM');
});

test('drain waits for the paid request on the wire', async () => {
	const w = await world();
	const g = await w.submit();
	fal.barrier('submit');
	const there = fal.reached('submit');
	const a = w.demo();
	await there;
	a.child.kill('SIGTERM');
	await until(w, g.id, (r) => r.status === 'processing', a);
	fal.release('submit');
	assert.deepEqual(await a.gone, { code: 0, signal: null });
	const b = w.demo();
	assert.equal((await ended(w, g.id, b)).status, 'completed', b.log);
	assert.equal(fal.submits[g.prompt], 1);
	await books(w, 90);
	await b.kill('SIGTERM');
});

test('the workers list is filled, and again after Redis lost it', async () => {
	const w = await worker_world();
	const sock = join(w.dir, 'redis.sock');
	const redis = spawn('redis-server', ['--port', '0', '--unixsocket', sock,
		'--save', '', '--dir', w.dir]);
	await new Promise((r) => redis.stdout.on('data', (d) => {
		if (/eady to accept/.test(d)) r();
	}));
	const cli = (...args) => execFileSync('redis-cli', ['-s', sock, ...args],
		{ encoding: 'utf8' }).trim();
	const g = await w.submit();
	const d = w.demo({}, { redis: `unix://${sock}` });
	const listed = async () => {
		while (cli('llen', 'job-queue') === '0') {
			await new Promise((r) => { setTimeout(r, 50); });
		}
		return JSON.parse(cli('lindex', 'job-queue', '0'));
	};
	const job = await listed();
	assert.equal(job.videoId, g.id);
	assert.equal(job.userId, w.user);
	assert.equal(job.jobType, 'video');
	assert.equal(job.prompt, g.prompt);
	assert.ok(job.token && job.uploadUrl.includes(job.jobId));
	cli('del', 'job-queue');
	assert.equal((await listed()).jobId, job.jobId);
	// The token is the one whose hash is in the attempt.
	const t = await w.k.one('select token_hash = sha256(convert_to($1, '
		+ "'UTF8')) as ok from attempts", [job.token]);
	assert.equal(t.ok, true);
	await d.kill('SIGTERM');
	redis.kill('SIGTERM');
});

test('a job that kills its engine three times is failed, refunded', async () => {
	const w = await world();
	const g = await w.submit({ polls: 0 });
	for (let i = 0; i < 3; i++) {
		const d = w.demo({ REELD_CRASH_AT: 'poll.done_seen' });
		assert.equal((await d.gone).signal, 'SIGKILL', d.log);
	}
	const d = w.demo();
	const row = await ended(w, g.id, d);
	assert.equal(row.status, 'failed');
	assert.equal(row.error_code, 'internal_poison');
	assert.equal(fal.submits[g.prompt], 1);
	await books(w, 100);
	await d.kill('SIGTERM');
});

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

// --- Input images ---------------------------------------------------------

async function image(w, key, bytes) {
	const id = randomUUID();
	await w.k.one('insert into assets (id, user_id, kind, backend, key, mime, '
		+ "size_bytes) values ($1, $2, 'start', 'local', $3, 'image/png', $4)",
	[id, w.user, key, bytes.length]);
	return id;
}
const images = [['inputs/start.png', Buffer.from('start image')],
	['inputs/end.png', Buffer.from('end image, another length')]];
const input_of = (g) => [...fal.jobs.values()].find((j) =>
	j.prompt === g.prompt)?.input;
const as_uri = (b) => `data:image/png;base64,${b.toString('base64')}`;

test('start and end image of a directory go as data URIs', async () => {
	const w = await world();
	const [start, end] = await Promise.all(images.map(async ([key, b]) => {
		mkdirSync(dirname(join(w.dir, key)), { recursive: true });
		writeFileSync(join(w.dir, key), b);
		return image(w, key, b);
	}));
	const g = await w.submit({}, { start, end });
	const one = await w.submit({}, { end });
	const none = await w.submit();
	const d = w.demo();
	for (const x of [g, one, none]) {
		assert.equal((await ended(w, x.id, d)).status, 'completed', d.log);
	}
	assert.equal(input_of(g).image_url, as_uri(images[0][1]));
	assert.equal(input_of(g).tail_image_url, as_uri(images[1][1]));
	assert.equal(input_of(one).image_url, undefined);
	assert.equal(input_of(one).tail_image_url, as_uri(images[1][1]));
	assert.deepEqual(Object.keys(input_of(none)), ['prompt']);
	await books(w, 70);
	await d.kill('SIGTERM');
});

test('an input image that is gone: failed, refunded, not sent', async () => {
	const w = await world();
	const start = await image(w, 'inputs/none.png', Buffer.from('x'));
	const g = await w.submit({}, { start });
	const d = w.demo();
	const row = await ended(w, g.id, d);
	assert.equal(row.error_code, 'image_unavailable', d.log);
	assert.equal(fal.submits[g.prompt], undefined);
	await books(w, 100);
	await d.kill('SIGTERM');
});

for (const hidden of [false, true]) {
	test(`a bucket ${hidden ? 'out of their reach' : 'they can reach'}: `
		+ 'inputs and results', async () => {
		const w = await world();
		const s3 = await bucket(w.dir);
		const [start, end] = await Promise.all(images.map(
			async ([key, b]) => {
				await s3.put(key, b);
				return image(w, key, b);
			}));
		const g = await w.submit({}, { start, end });
		const d = w.demo({ ...s3.env,
			...(hidden ? { DEMO_S3_PRIVATE: '1' } : {}) });
		const row = await ended(w, g.id, d);
		assert.equal(row.status, 'completed', d.log);
		const sent = [input_of(g).image_url, input_of(g).tail_image_url];
		for (const [i, url] of sent.entries()) {
			if (hidden) {
				assert.equal(url, as_uri(images[i][1]));
				continue;
			}
			assert.ok(url.startsWith(s3.env.DEMO_S3), url);
			const got = await fetch(url);
			assert.deepEqual(Buffer.from(await got.arrayBuffer()),
				images[i][1]);
		}
		const assets = (await w.conn.query("select key, backend, bucket from "
			+ "assets where kind in ('video', 'thumbnail')")).rows;
		assert.equal(assets.length, 2);
		for (const a of assets) {
			assert.equal(a.backend, 's3');
			assert.equal(a.bucket, 'reeld');
			assert.ok(await s3.has(a.key), a.key);
		}
		assert.deepEqual(readdirSync(join(w.dir, 'tmp')), []);
		await books(w, 90);
		await d.kill('SIGTERM');
		await s3.close();
	});
}
