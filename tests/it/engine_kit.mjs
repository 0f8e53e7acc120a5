// What the engine's tests share: PostgreSQL, the fake fal, engine_demo as a
// child process, and a world of one user and one model per test.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { FakeFal } from '../fake/fal.mjs';
import { kit, start } from './pg.mjs';

export const top = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
export const build = process.env.builddir ?? join(top, 'build');
export const SPEC = { prompt: 'x', mode: 't2v', duration_ms: 2000 };

export let server, fal, hooks;
export const demos = new Set();
export const broken = []; // logs with a sanitizer's or an assertion's word

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
export const hook_headers = ['Request-Id', 'User-Id', 'Timestamp', 'Signature']
	.map((h) => `X-Fal-Webhook-${h}`);

export class Demo {
	constructor(db, dir, env = {}, { url = fal.url, redis = '-',
		reachable = true, program = 'engine_demo' } = {}) {
		this.log = '';
		this.out = '';
		this.waits = [];
		this.child = spawn(join(build, 'tests/it', program), [
			`host=${db.dir} user=reeld dbname=${db.name}`, redis, dir, url,
			join(build, 'reel-media'),
			reachable ? `http://127.0.0.1:${hooks.address().port}` : ''],
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

export const left = [];
// A bucket server; gives the environment for the demo and the files' folder.
export async function bucket(dir) {
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

// rule: of its price plan, w.plan; route: more fields of the model's route.
export async function world({ rule = { base: 10 }, route: more = {} } = {}) {
	const db = await server.database();
	const conn = await db.engine();
	const k = kit(conn);
	await k.one('select model_put($1)', [JSON.stringify({ slug: 'm',
		name: 'm', routes: [{ provider: 'fal',
			endpoint: 'fal-ai/test/text-to-video',
			params: { input: { prompt: 'prompt', start_image: 'image_url',
				end_image: 'tail_image_url' }, ...more.params },
			...(({ params, ...rest }) => rest)(more) }],
		price: { rule } })]);
	// The accounts that engine_demo uses.
	await k.one("insert into providers (name, display_name) values ('worker', 'own') on conflict do nothing");
	await k.one("insert into provider_accounts (id, provider, label) values "
		+ "('00000000-0000-7000-8000-000000000001', 'fal', 'default'), "
		+ "('00000000-0000-7000-8000-000000000002', 'worker', 'default')");
	const route = (await k.one('select id from model_routes limit 1')).id;
	const plan = (await k.one('select id from price_plans limit 1')).id;
	const dir = mkdtempSync(join(tmpdir(), 'reeld-engine-'));
	left.push(dir);
	const user = await k.user(100);
	const w = { db, conn, k, route, plan, dir, user,
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
export async function until(w, id, ok, demo, limit_ms = 60000) {
	const end = Date.now() + limit_ms;
	for (;;) {
		const g = await w.row(id);
		if (await ok(g)) return g;
		if (Date.now() > end) {
			throw new Error(`stuck: ${JSON.stringify({ status: g.status,
				stage: g.stage, code: g.error_code })}\n`
				+ `${demo?.log.slice(-6000)}`);
		}
		await new Promise((r) => { setTimeout(r, 20); });
	}
}

// Until we know the provider's id of it; gives the fake's job. Stage generate
// is earlier: it begins before the request is sent.
export async function accepted(w, g, demo) {
	await until(w, g.id, async () => (await w.k.one('select 1 from attempts '
		+ 'where generation_id = $1 and provider_job_id is not null', [g.id])),
	demo);
	return w.fal.of(g.prompt);
}
export const over = (g) => ['completed', 'failed', 'cancelled'].includes(g.status);
export const ended = (w, id, demo, ms) => until(w, id, over, demo, ms);

export async function books(w, expected) {
	assert.deepEqual(await w.k.audit(), {});
	assert.equal(await w.k.balance(w.user), expected);
}

export async function worker_world() {
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

// H.265 in MP4: what most browsers can't play.
export let hevc_bytes;
export function hevc() {
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
