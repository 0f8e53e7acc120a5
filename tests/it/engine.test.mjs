// The engine against real PostgreSQL, real libav and a fake fal that plays
// scripts: every way a generation can go, and kill -9 at every named point.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync,
	statSync, writeFileSync } from 'node:fs';
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
		fal,
		submit: async (plan = {}, o = {}) => {
			const prompt = `p ${randomUUID()}`;
			w.fal.plan(prompt, plan);
			const g = await k.submit(w.user, w.route, { ...o,
				spec: { ...SPEC, ...o.spec, prompt } });
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

test('a file that the disk lost is fetched again', async () => {
	const w = await world();
	fal.barrier('video');
	const reached = fal.reached('video');
	const g = await w.submit({});
	const d = w.demo();
	await reached;
	const staged = readdirSync(join(w.dir, 'tmp')).filter((f) => f.endsWith('.part'));
	assert.equal(staged.length, 1);
	rmSync(join(w.dir, 'tmp', staged[0]));
	fal.release('video');
	const row = await ended(w, g.id, d);
	assert.equal(row.status, 'completed', d.log);
	assert.equal(fal.submits[g.prompt], 1);
	assert.equal(fal.downloads[g.prompt], 2);
	assert.deepEqual(readdirSync(join(w.dir, 'tmp')), []);
	await books(w, 90);
	assert.deepEqual(await d.kill('SIGTERM'), { code: 0, signal: null });
});

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
	['503 until later, then fine', { submit: ['503-later', 'ok'] },
		'completed', null, 2],
	['an unknown word', { word: 'THINKING', polls: 2 }, 'completed', null, 1],
	['a dead link, then a fresh one', { video: ['403', 'ok'] }, 'completed',
		null, 1],
	['dead links for ever', { video: '403' }, 'failed', 'provider', 1],
	['a web page for a video', { video: 'html' }, 'failed', 'provider', 1],
	['rubbish for a video', { bytes: Buffer.alloc(5000, 'x') }, 'failed',
		'provider', 1],
];
for (const [name, plan, status, klass, submits] of endings) {
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

for (const how of ['cut', 'cut-before', '500', '503', 'html', 'no-id']) {
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
	['rendition.stored', { codec: 'hevc' }],
	['uncertain.before_commit', { submit: 'cut' }, unsure],
	['uncertain.after_commit', { submit: 'cut' }, unsure],
];

// H.265 in MP4: what most browsers can't play.
let hevc_bytes;
function hevc() {
	if (!hevc_bytes) {
		const file = join(tmpdir(), `reeld-hevc-${randomUUID()}.mp4`);
		execFileSync('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i',
			'testsrc=size=320x180:rate=12:duration=1', '-c:v', 'libx265',
			'-preset', 'ultrafast', '-x265-params', 'log-level=none',
			'-pix_fmt', 'yuv420p', '-tag:v', 'hvc1', file]);
		hevc_bytes = readFileSync(file);
		rmSync(file);
	}
	return hevc_bytes;
}
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

// --- Results --------------------------------------------------------------

test('H.265: the original is kept, browsers get a copy', async () => {
	const w = await world();
	const g = await w.submit({ bytes: hevc() });
	const d = w.demo();
	const row = await ended(w, g.id, d);
	assert.equal(row.status, 'completed', d.log);
	assert.equal(row.video.codec, 'hevc');
	const files = Object.fromEntries((await w.conn.query('select a.*, role '
		+ 'from assets a join generation_asset on asset_id = a.id')).rows
		.map((a) => [a.role, a]));
	assert.deepEqual(Object.keys(files).sort(),
		['rendition', 'thumbnail', 'video']);
	assert.equal(files.video.codec, 'hevc');
	assert.deepEqual(readFileSync(join(w.dir, files.video.key)), hevc());
	assert.equal(files.rendition.codec, 'h264');
	const copy = join(w.dir, files.rendition.key);
	assert.equal(statSync(copy).size, files.rendition.size_bytes);
	assert.equal(execFileSync('ffprobe', ['-v', 'error', '-select_streams',
		'v', '-show_entries', 'stream=codec_name,width', '-of', 'csv=p=0',
		copy], { encoding: 'utf8' }).trim(), 'h264,320');
	await books(w, 90);
	await d.kill('SIGTERM');
});

for (const [rule, ordered, pays] of [
	[{ core: { type: 'per_second', credits: 5 } }, 8000, 10],
	[{ core: { type: 'per_second', credits: 5 } }, 2000, 10],
	[{ core: { type: 'base', credits: 40, seconds: 8 } }, 8000, 40],
	[null, 8000, 40],
]) {
	test(`two seconds made of ${ordered / 1000}, sold by `
		+ `${rule?.core.type ?? 'no plan'}: ${pays} credits`, async () => {
		const w = await world();
		await w.k.one('select model_put($1)', [JSON.stringify({ slug: 's',
			name: 's', routes: [], price: { rule } })]);
		const plan = rule && (await w.k.one('select p.id from price_plans p '
			+ "join models m on m.id = p.model_id where slug = 's'")).id;
		const g = await w.submit({}, { plan, credits: Math.max(pays,
			ordered / 200), spec: { duration_ms: ordered } });
		const d = w.demo();
		assert.equal((await ended(w, g.id, d)).status, 'completed', d.log);
		const c = await w.k.one('select quote, settled, refunded from charges '
			+ 'where generation_id = $1', [g.id]);
		assert.equal(c.settled, pays);
		assert.equal(c.refunded, c.quote - pays);
		await books(w, 100 - pays);
		await d.kill('SIGTERM');
	});
}

// Each waits 30 s for its second try: side by side.
test('downloads that wait', { concurrency: true }, async (t) => {
	const stalled = t.test('stalled: cut, then resumed', async () => {
		const w = await world();
		const g = await w.submit({ video: ['stall', 'ok'] });
		const d = w.demo({ DEMO_STALL_MS: '1000' });
		const row = await ended(w, g.id, d, 150000);
		assert.equal(row.status, 'completed', d.log);
		assert.match(d.log, /slow|stalled/i);
		assert.equal(fal.downloads[g.prompt], 2);
		assert.deepEqual(readFileSync(join(w.dir, (await w.k.one('select key '
			+ "from assets where kind = 'video'")).key)), mp4());
		await books(w, 90);
		await d.kill('SIGTERM');
	});
	const full = t.test('a full disk: waits, ends when there is room',
		async (s) => {
			const w = await world();
			try {
				execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'none',
					w.dir]);
			} catch {
				return s.skip('cannot mount a tmpfs here');
			}
			try {
				const filler = join(w.dir, 'filler');
				const big = Buffer.concat([mp4(), Buffer.alloc(4 << 20)]);
				big.writeUInt32BE(4 << 20, mp4().length); // one 'free' box
				big.write('free', mp4().length + 4);
				writeFileSync(filler, Buffer.alloc(5 << 20));
				const g = await w.submit({ bytes: big });
				const d = w.demo();
				await until(w, g.id, () => /disk is (nearly )?full/.test(d.log), d);
				const row = await w.row(g.id);
				assert.equal(row.status, 'finalizing');
				assert.equal((await w.k.one('select count(*) from assets'))
					.count, 0);
				assert.ok(!existsSync(join(w.dir, 'videos')));
				rmSync(filler);
				const end = await ended(w, g.id, d, 150000);
				assert.equal(end.status, 'completed', d.log);
				assert.equal(fal.submits[g.prompt], 1);
				await books(w, 90);
				await d.kill('SIGTERM');
			} finally {
				execFileSync('umount', ['-l', w.dir]);
			}
			return undefined;
		});
	await Promise.all([stalled, full]);
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

function tiny() {
	const file = join(tmpdir(), `reeld-tiny-${randomUUID()}.mp4`);
	execFileSync('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i',
		'testsrc=size=64x64:rate=5:duration=1', '-c:v', 'libx264', '-preset',
		'ultrafast', '-pix_fmt', 'yuv420p', file]);
	const bytes = readFileSync(file);
	rmSync(file);
	return bytes;
}

// reliability D14.
test('cancel, finish and five webhooks at once, 200 times', async () => {
	const n = 200;
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
