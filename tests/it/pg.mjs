// A private PostgreSQL for tests of the database alone: one cluster per run on
// a unix socket, migrated once as the ordinary role `reeld` into a template,
// a fresh database per test. fsync stays on, as in production.
import { execFileSync, spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { chownSync, existsSync, mkdtempSync, readFileSync, readdirSync,
	rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';

pg.types.setTypeParser(20, Number);

const top = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const bin = process.env.PG_BINDIR ?? ['17', '16', '15'].map((v) =>
	`/usr/lib/postgresql/${v}/bin`).find((d) => existsSync(d));

export const sql_dir = join(top, 'sql');

export function sql_files(folder) {
	const dir = join(sql_dir, folder);
	return readdirSync(dir).filter((f) => f.endsWith('.sql')).sort()
		.map((f) => ({ name: f, text: readFileSync(join(dir, f), 'utf8') }));
}

export async function start() {
	const dir = mkdtempSync(join(tmpdir(), 'reeld-pg-'));
	let who = [];
	if (process.getuid() === 0) {
		const id = (flag) => Number(execFileSync('id', [flag, 'nobody']));
		chownSync(dir, id('-u'), id('-g'));
		who = ['setpriv', '--reuid=nobody', `--regid=${id('-g')}`,
			'--clear-groups'];
	}
	const run = (...argv) => {
		const [cmd, ...args] = [...who, ...argv];
		return { cmd, args };
	};
	const init = run(`${bin}/initdb`, '-D', `${dir}/data`, '-U', 'postgres',
		'-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync');
	execFileSync(init.cmd, init.args, { cwd: '/', stdio: 'pipe' });
	const server = run(`${bin}/postgres`, '-D', `${dir}/data`, '-k', dir,
		'-c', 'listen_addresses=', '-c', 'max_connections=300',
		'-c', 'deadlock_timeout=200ms', '-c', 'shared_buffers=64MB');
	const child = spawn(server.cmd, server.args,
		{ cwd: '/', stdio: ['ignore', 'ignore', 'pipe'] });
	let log = '';
	const ready = new Promise((resolve, reject) => {
		child.stderr.on('data', (d) => {
			log += d;
			if (/ready to accept connections/.test(log)) resolve();
		});
		child.once('exit', () => reject(new Error(log)));
	});
	await ready;

	const connect = async (database, user = 'reeld') => {
		const c = new pg.Client({ host: dir, user, database });
		await c.connect();
		return c;
	};
	const root = await connect('postgres', 'postgres');
	await root.query('create role reeld login');
	await root.query('create role reeld_reader; grant reeld_reader to reeld');
	await root.query('create database template owner reeld');
	const t = await connect('template');
	// The migrator's own record, which `reeld migrate` makes first.
	await t.query('create table schema_migration (version int primary key, '
		+ 'name text not null, sha256 text not null, '
		+ 'applied_at timestamptz not null default now())');
	for (const f of sql_files('migrations')) {
		await t.query(f.text);
	}
	const functions = sql_files('functions').map((f) => f.text).join('\n');
	await t.query(functions);
	await t.query(functions); // a second migrate must work too
	await t.end();

	const open = [];
	return {
		log: () => log,
		connect,
		// A database with a route and an instance; a pool of that size, or one
		// connection.
		async fresh(size, provider = 'fal') {
			const db = await this.database();
			const conn = size ? db.pool(size) : await db.engine();
			const k = kit(conn);
			return { db, conn, k, route: await k.route(provider),
				owner: await k.instance() };
		},
		async database() {
			const name = `t_${randomUUID().slice(0, 8)}`;
			await root.query(`create database ${name} template template `
				+ 'owner reeld');
			return new Database(name, dir, connect, open);
		},
		async stop() {
			await Promise.all(open.map((c) => c.end()));
			await root.end();
			const gone = new Promise((r) => child.once('exit', r));
			child.kill('SIGINT');
			await gone;
			rmSync(dir, { recursive: true, force: true });
		},
	};
}

export const sha = (text) => createHash('sha256').update(text).digest();

class Database {
	constructor(name, dir, connect, open) {
		Object.assign(this, { name, dir, make: connect, open_list: open });
	}

	// A connection of the engine pool.
	async engine() {
		const c = await this.make(this.name);
		this.open_list.push(c);
		return c;
	}

	// A connection of the app pool: as(user, sql, args) is one request.
	async app() {
		const c = await this.make(this.name);
		await c.query('set role reeld_reader');
		this.open_list.push(c);
		c.as = async (user, text, args) => {
			await c.query('begin');
			try {
				await c.query("select set_config('app.uid', $1, true)",
					[user]);
				const r = await c.query(text, args);
				await c.query('commit');
				return r.rows;
			} catch (e) {
				await c.query('rollback');
				throw e;
			}
		};
		return c;
	}

	async root() {
		const c = await this.make(this.name, 'postgres');
		this.open_list.push(c);
		return c;
	}

	// A pool of engine connections; its query() takes a free one.
	pool(size) {
		const p = new pg.Pool({ host: this.dir, user: 'reeld', max: size,
			database: this.name });
		this.open_list.push(p);
		return p;
	}
}

// What tests need again and again, over any engine connection or pool.
export function kit(db) {
	const one = async (text, args) => (await db.query(text, args)).rows[0];
	const move = (name, ...args) => one('select outcome, event_seq, event, '
		+ 'balance_event, promoted, seqs, balance, (g).* from '
		+ `${name}(${args.map((_, i) => `$${i + 1}`).join(', ')})`,
		args.map((a) => a !== null && typeof a === 'object'
			&& !Buffer.isBuffer(a) && !Array.isArray(a)
			? JSON.stringify(a) : a));
	// A row of parts (see engine_publish), with the event that is made of them.
	const whole = (r) => (r.event_type == null ? r : { ...r, event: { type: r.event_type,
		generation_id: r.generation_id, user_id: r.user_id, version: r.event_version,
		ts: r.event_ms, data: r.event_data }, balance_event: r.balance_version == null ? null
		: { type: 'credits.balance', user_id: r.user_id, version: r.balance_version,
			ts: r.event_ms, data: { balance: r.balance } } });
	const k = {
		one,
		move,
		async user(credits = 0, limit = null) {
			const id = randomUUID();
			await one('select user_create($1, $2, $3, $4, $5, null)',
				[id, `${id}@example.org`, 'Test', 'user', credits]);
			if (limit !== null) {
				await one('select user_update($1, null, null, null, $2, null)',
					[id, limit]);
			}
			return id;
		},
		async route(provider = 'fal') {
			const slug = `m-${provider}`;
			await one('select model_put($1)', [JSON.stringify({ slug,
				name: slug, routes: [{ provider, endpoint: 'e' }],
				price: { rule: { base: 10 } } })]);
			return (await one('select r.id from model_routes r join models m '
				+ 'on m.id = r.model_id where m.slug = $1', [slug])).id;
		},
		async instance() {
			const id = randomUUID();
			await one('select instance_start($1, $2, $3)', [id, 'i', '0']);
			return id;
		},
		submit: (user, route, o = {}) => move('generation_submit', user,
			o.id ?? randomUUID(), o.key ?? null, o.key ? sha(o.body ?? 'b')
			: null, null, route, 't2v', o.spec ?? { prompt: 'a cat' }, {},
			o.credits ?? 10, o.breakdown ?? { lines: [] }, o.plan ?? null,
			o.start ?? null, o.end ?? null, null, null, o.deadline_s ?? null,
			o.priority ?? null, null, null),
		claim: async (owner, provider = 'fal', n = 10) => (await db.query(
			'select * from job_claim($1, $2, $3)', [owner, [provider], [n]]))
			.rows,
		// The items of these are numbered here, one by itself is alone; a row for
		// each, as they come.
		starts: async (owner, items) => (await db.query('select * from '
			+ 'attempts_start($1, $2)', [owner, JSON.stringify(items.map(
			(i, n) => ({ n: n + 1, alone: items.length === 1, nonce: randomUUID(), token_hash:
				sha('token').toString('hex'), request: { prompt: 'x' },
			cost_micro_usd: 5, ...i })))])).rows.map(whole),
		fails: async (owner, items) => (await db.query('select * from '
			+ 'generations_fail($1, $2)', [owner, JSON.stringify(items.map(
			(i, n) => ({ n: n + 1, alone: items.length === 1, class: 'provider', code: 'provider_error',
				message: 'It failed.', provider_message: 'raw',
				retryable: true, fee: 0, ...i })))])).rows.map(whole),
		start: async (w, owner, attempt = randomUUID()) => {
			const [r] = await k.starts(owner, [{ job: w.job_id, attempt }]);
			return { ...r, attempt };
		},
		submits: async (owner, items) => (await db.query('select * from '
			+ 'attempts_submitted($1, $2)', [owner, JSON.stringify(items.map(
			(i, n) => ({ n: n + 1, alone: items.length === 1, provider_job_id: `p-${i.attempt}`,
				...i })))])).rows.map(whole),
		submitted: async (attempt, owner) => {
			const [r] = await k.submits(owner, [{ attempt }]);
			return { ...await one('select * from generation_public where id = '
				+ '(select generation_id from attempts where id = $1)',
			[attempt]), ...r };
		},
		finalizing: (w, owner) => move('generation_finalizing', w.job_id,
			owner, 'https://x/y.mp4', null, {}, 5),
		finish: (w, owner, settle = null) => one('select outcome, event, '
			+ 'balance_event, promoted, (g).* from generation_finish($1, $2, '
			+ '$3, $4, $5, $6)', [w.job_id, owner, JSON.stringify([{
			role: 'video', kind: 'video', backend: 'local',
			key: `videos/${w.job_id}.mp4`, mime: 'video/mp4',
			size_bytes: 10, sha256: sha('v').toString('hex') }]),
			JSON.stringify({ width: 1280 }), settle, 5]),
		fail: async (w, owner, fee = 0) => {
			const [r] = await k.fails(owner, [{ job: w.job_id, fee }]);
			return { ...await one('select * from generation_public where id = '
				+ '(select generation_id from jobs where id = $1)',
			[w.job_id]), ...r };
		},
		balance: async (user) => (await one('select balance from accounts '
			+ 'where user_id = $1', [user])).balance,
		audit: async () => Object.fromEntries((await db.query('select * '
			+ 'from ledger_audit()')).rows.filter((r) => r.count !== 0)
			.map((r) => [r.name, r.count])),
	};
	// Takes a fresh generation to the given state; returns its job_work row.
	k.at = async (state, user, route, owner, o = {}) => {
		const g = await k.submit(user, route, o);
		if (g.outcome !== 'created') throw new Error(g.outcome);
		if (state === 'queued') return { generation_id: g.id };
		const w = (await k.claim(owner, o.provider ?? 'fal', 1))[0];
		if (w?.generation_id !== g.id) throw new Error('claimed another');
		if (state === 'claimed') return w;
		const a = await k.start(w, owner);
		w.attempt_id = a.attempt;
		if (state === 'submitting') return w;
		await k.submitted(a.attempt, owner);
		if (state === 'submitted') return w;
		await k.finalizing(w, owner);
		return w;
	};
	return k;
}
