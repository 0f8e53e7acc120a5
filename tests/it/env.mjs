// env.mjs - what every black-box test stands on: a reeld with its own
// database, Redis and files, users with keys, a real worker, a fake fal, an
// S3 server.  Everything started here is stopped when the test file ends; a
// sanitizer's report or a stop that is not clean fails the file, and when a
// test failed the last lines of all logs are printed.
//
//   const r = await reeld({ env: { REELD_LOG_LEVEL: 'debug' } });
//   const ann = await r.user({ credits: 100 });
//   const { status, body } = await ann.post('/generations', { model, prompt });
//   const g = await ann.ended(body.id);
//
// REELD_BUILD names the build directory.  REELD_ATTACH=host:port uses a
// server that runs elsewhere (in gdb, say) with the database of DATABASE_URL.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after } from 'node:test';
import pg from 'pg';
import { Live } from './live_client.mjs';
import { Postgres, Process, Redis, build, temp_dir, top, until } from './services.mjs';

export { build, top, until };
export const crash_points = existsSync(join(build, 'config.h'))
	&& /define REELD_CRASH_POINTS/.test(readFileSync(join(build, 'config.h'), 'utf8'));

const started = [];	/* newest first: stopped in this order */
const dirs = [];
let shared_pg;

after(async () => {
	const wrong = [];
	for (const one of started.splice(0)) {
		await Promise.resolve(one.stop()).catch((e) => wrong.push(e));
	}
	for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
	if (wrong.length > 0) throw wrong[0];
});
process.once('exit', () => {
	if (!process.exitCode) return;
	for (const p of logs_of_all) {
		process.stderr.write(`---- ${p.name} ${JSON.stringify(p.ended ?? 'up')}`
			+ `\n${p.log.split('\n').slice(-80).join('\n')}\n`);
	}
});
const logs_of_all = [];

// A program of ours: watched for what sanitizers say.
function program(argv, options) {
	const p = new Process(argv, options);
	logs_of_all.push(p);
	p.check = () => {
		const bad = p.log.match(/^.*(ERROR: (Address|Leak)Sanitizer|runtime error:|Assertion .* failed)[^]*/m);
		if (bad) throw new Error(`${p.name}: ${bad[0].slice(0, 4000)}`);
	};
	return p;
}

// Only what a test asks for: no settings of the caller's shell.
function clean_env(more) {
	const env = {};
	for (const [k, v] of Object.entries(process.env)) {
		if (!/^(REELD_|PG|DATABASE_URL|REDIS_URL|R2_|ADMIN_EMAILS|GITHUB_|GOOGLE_|[A-Z]+_(API_)?(KEY|TOKEN)$)/.test(k)) env[k] = v;
	}
	return { ...env, ASAN_OPTIONS: 'detect_leaks=1:exitcode=99:quarantine_size_mb=16',
		UBSAN_OPTIONS: 'print_stacktrace=1', ...more };
}

// One run of the command line: {code, signal, out, err}.
export async function cli(args, env = {}) {
	const p = program([join(build, 'reeld'), ...args],
		{ env: clean_env(env), name: `reeld-${args[0] ?? ''}` });
	const { code, signal } = await p.gone;
	logs_of_all.splice(logs_of_all.indexOf(p), 1);
	p.check();
	return { code, signal, out: p.out, err: p.log };
}
async function cli_ok(args, env) {
	const r = await cli(args, env);
	if (r.code !== 0) throw new Error(`reeld ${args.join(' ')}: ${r.code}\n${r.err}`);
	return r.out.trim();
}

// Fills a template database as an operator would.
export async function prepare(db_url) {
	const env = { DATABASE_URL: db_url, REELD_SQL_DIR: join(top, 'sql') };
	await cli_ok(['migrate'], env);
	await cli_ok(['models', 'init', '--demo'], env);
}

export async function postgres({ own = false } = {}) {
	const start = async (p) => {
		started.push(p); // the last to be stopped
		await p.template(prepare);
		return p;
	};
	if (own) return start(await Postgres.start());
	shared_pg ??= Postgres.shared().then(start);
	return shared_pg;
}

// Someone with an API key; paths are below /api/v1.
export class User {
	constructor(server, fields) { Object.assign(this, { server }, fields); }

	fetch(path, options) { return this.server.fetch(path, { key: this.key, ...options }); }
	call(method, path, json, headers) {
		return this.server.call(method, `/api/v1${path}`, { key: this.key, json, headers });
	}

	get(path, headers) { return this.call('GET', path, undefined, headers); }
	post(path, json, headers) { return this.call('POST', path, json, headers); }
	patch(path, json, headers) { return this.call('PATCH', path, json, headers); }
	put(path, json, headers) { return this.call('PUT', path, json, headers); }
	delete(path, headers) { return this.call('DELETE', path, undefined, headers); }
	ws() { return this.server.ws(this.key); }

	// Submits; fails the test unless accepted. Returns the generation.
	async submit(body, headers) {
		const r = await this.post('/generations',
			{ model: 'demo-pixel', prompt: `a boat ${randomUUID()}`, ...body }, headers);
		if (r.status !== 201) throw new Error(`submit: ${r.status} ${JSON.stringify(r.body)}`);
		return r.body;
	}

	// Waits by long polls until ok(status object); then the generation.
	async until(id, ok, limit_ms = 60000) {
		const end = Date.now() + limit_ms;
		let version = 0, last;
		while (Date.now() < end) {
			const wait = Math.max(1, Math.min(25, Math.ceil((end - Date.now()) / 1000)));
			const r = await this.get(`/generations/${id}/status?wait=${wait}&version=${version}`)
				.catch((e) => ({ status: 0, body: String(e) }));
			last = r;
			if (r.status === 200 && ok(r.body)) return (await this.get(`/generations/${id}`)).body;
			if (r.status === 200) version = r.body.version;
			else if (r.status !== 0 && r.status < 500) break;
			else await new Promise((done) => { setTimeout(done, 50); });
		}
		throw new Error(`stuck: ${JSON.stringify(last)}`);
	}

	ended(id, limit_ms) {
		return this.until(id, (g) => ['completed', 'failed', 'cancelled'].includes(g.status), limit_ms);
	}

	async balance() { return (await this.get('/credits')).body.balance; }
}

class Reeld {
	// env + args of the running server; the other fields never change.
	async start({ env = {}, args = [] } = {}) {
		this.env = { ...this.env, ...env };
		if (args.length > 0) this.args = args;
		const port_file = join(this.dir, `port.${randomUUID().slice(0, 8)}`);
		this.process = program([join(build, 'reeld'), 'serve', '--port-file',
			port_file, ...this.args], { env: clean_env(this.env), name: 'reeld' });
		await until(() => `port file\n${this.logs().slice(-4000)}`, () => {
			if (this.process.ended) throw new Error(`reeld ended ${JSON.stringify(this.process.ended)}\n${this.logs()}`);
			return existsSync(port_file);
		});
		this.port = Number(readFileSync(port_file, 'utf8'));
		this.url = `http://127.0.0.1:${this.port}`;
		await until(() => `/readyz\n${this.logs().slice(-4000)}`, async () => {
			if (this.process.ended) throw new Error(`reeld ended\n${this.logs()}`);
			return (await fetch(`${this.url}/readyz`).catch(() => null))?.status === 200;
		});
		return this;
	}

	// Like fetch(), with {key} for the API key and {json} for a body.
	fetch(path, { key, json, headers, ...rest } = {}) {
		return fetch(path.startsWith('http') ? path : this.url + path, { redirect: 'manual', ...rest,
			...(json !== undefined ? { method: rest.method ?? 'POST', body: JSON.stringify(json) } : {}),
			headers: { ...(key ? { authorization: `Bearer ${key}` } : {}),
				...(json !== undefined ? { 'content-type': 'application/json' } : {}), ...headers } });
	}

	// {status, headers, body}: body parsed when it is JSON.
	async call(method, path, options) {
		const r = await this.fetch(path, { ...options, method });
		const text = await r.text();
		const json = /json/.test(r.headers.get('content-type') ?? '') && text !== '';
		return { status: r.status, headers: r.headers, body: json ? JSON.parse(text) : text };
	}

	cli(...args) { return cli(args, this.env); }

	// A fresh user with an API key. {email, role, credits, scopes}
	async user({ email = `u${randomUUID().slice(0, 8)}@example.org`, role = 'user', credits = 1000,
		scopes = role === 'admin' || role === 'operator' ? 'generate,read,admin' : 'generate,read' } = {}) {
		const id = await cli_ok(['user', 'add', email, '--role', role, '--credits', String(credits)], this.env);
		return new User(this, { id, email, role, key: await this.key(email, scopes) });
	}

	key(email, scopes = 'generate,read') {
		return cli_ok(['api-key', 'create', '--user', email, '--name', 'test', '--scopes', scopes], this.env);
	}

	// Rows of a query that sees everything.
	async psql(text, params) {
		if (!this.db || this.db.broken) {
			this.db = process.env.REELD_ATTACH ? new pg.Client({ connectionString: process.env.DATABASE_URL })
				: await this.pg.connect(this.database);
			this.db.on('error', () => { this.db.broken = true; });
			if (process.env.REELD_ATTACH) await this.db.connect();
		}
		return (await this.db.query(text, params)).rows;
	}

	// The lines of ledger_audit() that are not 0: {} when the books are right.
	async books() {
		return Object.fromEntries((await this.psql('select name, count from ledger_audit() where count <> 0'))
			.map((r) => [r.name, r.count]));
	}

	// An open WebSocket; {headers, path, protocol, ticket: true}.
	async ws(key, options = {}) { return Live.open(this, key, options); }

	logs() { return this.process.log; }

	// SIGTERM; must end with 0 and without a complaint.
	async stop(limit_ms = 30000) {
		if (this.attached || !this.process) return this.close();
		if (!this.process.ended && !this.killed) {
			this.process.child.kill('SIGTERM');
			const timer = setTimeout(() => { this.hung = true; this.process.child.kill('SIGKILL'); }, limit_ms);
			await this.process.gone;
			clearTimeout(timer);
		}
		await this.process.gone;
		this.process.check();
		if (this.hung) throw new Error('reeld did not stop');
		const { code } = this.process.ended;
		if (code !== 0 && !this.killed) throw new Error(`reeld ended ${JSON.stringify(this.process.ended)}\n${this.logs().slice(-4000)}`);
		return this.close();
	}

	async close() {
		if (this.db) await this.db.end().catch(() => {});
		this.db = null;
	}

	async kill9() {
		this.killed = true;
		await this.process.kill('SIGKILL');
		this.process.check();
	}

	// A crash point or a kill: until it is dead.
	async died() {
		this.killed = true;
		await until(() => `it dies\n${this.logs().slice(-4000)}`, () => this.process.ended);
	}

	// The same database, Redis and files again.
	async restart(options) {
		if (!this.process.ended) await this.stop();
		this.process.check();
		this.killed = false;
		return this.start(options);
	}

	// Another instance on the same database, Redis and files.
	async twin(options) {
		const other = Object.assign(new Reeld(), { pg: this.pg, database: this.database, redis: this.redis,
			dir: this.dir, env: this.env, args: this.args, admin: this.admin });
		started.unshift(other);
		return other.start(options);
	}
}

// Starts `reeld serve`. env: settings over the defaults below; args: more
// flags; own_pg: a database server that may be killed; seed(r): runs before
// the start. Fields: url, port, dir, database, pg, redis, admin.
export async function reeld({ env = {}, args = [], own_pg = false, seed } = {}) {
	const r = new Reeld();
	r.args = args;
	if (process.env.REELD_ATTACH) {
		r.attached = true;
		r.url = `http://${process.env.REELD_ATTACH}`;
		r.port = Number(process.env.REELD_ATTACH.split(':').pop());
		r.env = { DATABASE_URL: process.env.DATABASE_URL };
		r.process = { log: '', ended: null };
		r.admin = await r.user({ role: 'admin', credits: 100000 });
		return r;
	}
	r.pg = await postgres({ own: own_pg });
	r.redis = await Redis.start();
	started.unshift(r.redis);
	r.database = await r.pg.database();
	r.dir = temp_dir('it');
	dirs.push(r.dir);
	mkdirSync(join(r.dir, 'files'));
	r.env = {
		DATABASE_URL: r.pg.url(r.database),
		REDIS_URL: r.redis.url,
		REELD_HTTP_LISTEN: '127.0.0.1:0',
		REELD_STORAGE_DIR: join(r.dir, 'files'),
		REELD_SQL_DIR: join(top, 'sql'),
		...(existsSync(join(top, 'www/dist/index.html')) ? { REELD_WWW_DIR: join(top, 'www/dist') } : {}),
		// Tests are not people: no rate limits unless a test sets them.
		REELD_LIMITS_SUBMIT_PER_MINUTE: '1000000',
		REELD_LIMITS_SUBMIT_BURST: '1000000',
		REELD_LIMITS_READ_PER_SECOND: '1000000',
		REELD_LIMITS_READ_BURST: '1000000',
		REELD_LIMITS_UPLOAD_PER_HOUR: '1000000',
		REELD_LIMITS_HOOKS_PER_MINUTE: '1000000',
		REELD_LIMITS_HOOKS_BURST: '1000000',
		...env,
	};
	if (seed) await seed(r);
	started.unshift(r);
	await r.start();
	r.admin = await r.user({ role: 'admin', credits: 100000, email: 'admin@example.org' });
	return r;
}

// A real reel-worker that draws demo videos for r.
export async function worker(r, { args = ['--demo'], name = 'w', env = {}, use_redis = true } = {}) {
	const dir = temp_dir('work');
	dirs.push(dir);
	r.worker_email ??= (await r.user({ role: 'operator', credits: 0, email: 'worker@example.org' })).email;
	writeFileSync(join(dir, 'key'), await r.key(r.worker_email, 'worker'), { mode: 0o600 });
	const p = program([join(build, 'reel-worker'), '--url', r.url, '--key-file', join(dir, 'key'),
		...(use_redis && r.redis ? ['--redis', r.redis.url] : []), '--work-dir', join(dir, 'jobs'),
		'--name', name, ...args], { env: clean_env(env), name: 'reel-worker' });
	const self = { process: p, dir, logs: () => p.log,
		kill9: () => p.kill('SIGKILL'),
		async stop() {
			if (!p.ended) await p.kill('SIGTERM');
			p.check();
		} };
	started.unshift(self);
	await p.said(/msg="registered"/);
	return self;
}

// The answer is this error, as all of them look.
export function problem(res, status, code) {
	assert.equal(res.status, status, JSON.stringify(res.body));
	assert.equal(res.body.code, code);
	assert.equal(res.body.status, status);
	assert.match(res.headers.get('content-type'), /^application\/problem\+json/);
	assert.ok(res.body.request_id);
}

export const fal_env = (url) => ({ REELD_PROVIDER_FAL_BASE_URL: url, REELD_PROVIDER_FAL_KEY: 'test-id:test-secret',
	REELD_PROVIDER_FAL_ALLOW_PRIVATE: 'yes' });

// A fake fal.ai (tests/fake/fal.mjs); .env makes a reeld use it.
export async function fakeFal() {
	const { FakeFal } = await import('../fake/fal.mjs');
	const fal = await new FakeFal().start();
	fal.env = fal_env(fal.url);
	started.push(fal);
	return fal;
}

// An S3-compatible server that checks signatures; .env makes a reeld use it.
export async function s3() {
	const { default: S3rver } = await import('@20minutes/s3rver');
	const dir = temp_dir('s3');
	dirs.push(dir);
	const server = new S3rver({ port: 0, address: '127.0.0.1', silent: true, directory: dir,
		configureBuckets: [{ name: 'reeld', configs: [] }] });
	const { port } = await server.run();
	const self = { dir, port, stop: () => server.close(),
		env: { REELD_STORAGE_BACKEND: 's3', REELD_S3_ENDPOINT: `http://127.0.0.1:${port}`,
			REELD_S3_BUCKET: 'reeld', REELD_S3_REGION: 'us-east-1', REELD_S3_ACCESS_KEY: 'S3RVER',
			REELD_S3_SECRET_KEY: 'S3RVER', REELD_S3_ALLOW_PRIVATE: 'yes' } };
	started.push(self);
	return self;
}
