// What each job writes: the indexes that a start and an end leave alone (HOT),
// and what those need instead of the status and the deadline: phase, check_at.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { sql_files, start } from './pg.mjs';

let server;
before(async () => { server = await start(); });
after(async () => { await server.stop(); });

const N = 60;

// Rows of each table that the call updated, and how many of these wrote into
// no index.
async function updates(f, call) {
	// Those of this session that it has not passed on to all yet: a flush
	// between the two would be at a commit.
	const so_far = async () => Object.fromEntries((await f.conn.query(`select relname, n_tup_upd::int as all,
		n_tup_hot_upd::int as hot from pg_stat_xact_user_tables`)).rows.map((r) => [r.relname, r]));
	await f.conn.query('begin');
	const before = await so_far();
	await call();
	const now = await so_far();
	await f.conn.query('commit');
	return Object.fromEntries(Object.entries(now).map(([name, r]) => [name, { all: r.all - before[name].all,
		hot: r.hot - before[name].hot }]));
}
// Not each has its room: a page's last row may have grown by a byte too many.
const nearly = ({ all, hot }) => {
	assert.ok(all >= N, `${all} were updated`);
	assert.ok(hot >= 0.8 * all, `only ${hot} of ${all} left the indexes alone`);
};

test('a start and the end of its attempt and charge write into no index', async () => {
	const f = await server.fresh();
	const user = await f.k.user(100000, 10000);
	for (let i = 0; i < N; i++) assert.equal((await f.k.submit(user, f.route)).outcome, 'created');
	const jobs = await f.k.claim(f.owner, 'fal', N);
	assert.equal(jobs.length, N);
	const started = await updates(f, async () => {
		const rows = await f.k.starts(f.owner, jobs.map((w) => ({ job: w.job_id, attempt: randomUUID() })));
		assert.ok(rows.length === N && rows.every((r) => r.outcome === 'started'));
	});
	nearly(started.generations);
	const ended = await updates(f, async () => {
		const rows = await f.k.fails(f.owner, jobs.map((w) => ({ job: w.job_id })));
		assert.ok(rows.length === N && rows.every((r) => r.outcome === 'failed'));
	});
	nearly(ended.attempts);
	nearly(ended.charges);
	assert.equal(ended.generations.hot, 0, 'an end belongs into other indexes');
	assert.deepEqual(await f.k.audit(), {});
});

const times = async (f, id) => (await f.conn.query(`select status, phase, check_at is null as never,
	check_at = deadline_at as in_time, check_at < deadline_at as early, check_at < now() as due from generations
	where id = $1`, [id])).rows[0];
const due = (f, id) => f.conn.query(`update generations set check_at = now() - interval '1 s' where id = $1`, [id]);
const checked = async (f) => Number((await f.k.one('select generations_checked(100) as n')).n);
const overdue = async (f) => (await f.conn.query('select outcome from generations_overdue(100)')).rows.map((r) => r.outcome);

test('who waits longer than a job may take is looked at once, and not ended', async () => {
	const f = await server.fresh();
	const user = await f.k.user(1000, 10);
	const { id } = await f.k.submit(user, f.route);
	assert.deepEqual(await times(f, id), { status: 'queued', phase: 'open', never: false, in_time: false, early: true,
		due: false });
	await due(f, id);
	assert.deepEqual(await overdue(f), []);
	assert.equal(await checked(f), 1);
	assert.deepEqual(await times(f, id), { status: 'queued', phase: 'open', never: false, in_time: true, early: false,
		due: false });
	assert.equal(await checked(f), 0);
	// Its start has a sooner deadline, and is looked at then.
	const [w] = await f.k.claim(f.owner);
	assert.equal((await f.k.start(w, f.owner)).outcome, 'started');
	assert.deepEqual(await times(f, id), { status: 'processing', phase: 'open', never: false, in_time: true,
		early: false, due: false });
	await f.conn.query(`update generations set deadline_at = now() - interval '1 s' where id = $1`, [id]);
	assert.equal(await checked(f), 0, 'what is due is not put off');
	assert.deepEqual(await overdue(f), ['review']);
	assert.deepEqual(await times(f, id), { status: 'review', phase: 'review', never: true, in_time: null, early: null,
		due: null });
});

test('who waits in line has no deadline; what has ended is not looked at', async () => {
	const f = await server.fresh();
	const user = await f.k.user(1000, 1);
	const [first, second] = [await f.k.submit(user, f.route), await f.k.submit(user, f.route)];
	assert.equal((await times(f, second.id)).phase, 'pending');
	assert.equal((await times(f, second.id)).never, true);
	const [w] = await f.k.claim(f.owner);
	assert.equal((await f.k.start(w, f.owner)).outcome, 'started');
	assert.equal((await f.k.fail(w, f.owner)).outcome, 'failed');
	assert.deepEqual(await times(f, first.id), { status: 'failed', phase: 'ill', never: true, in_time: null, early: null,
		due: null });
	const promoted = await times(f, second.id);
	assert.deepEqual([promoted.status, promoted.phase, promoted.never, promoted.early], ['queued', 'open', false, true]);
	assert.deepEqual(await f.k.audit(), {});
});

test('a sweep puts off a page at a time, past those that somebody holds', async () => {
	const f = await server.fresh();
	const user = await f.k.user(1000, 10);
	const ids = [];
	for (let i = 0; i < 5; i++) ids.push((await f.k.submit(user, f.route)).id);
	for (const id of ids) await due(f, id);
	const other = await f.db.engine();
	await other.query('begin');
	await other.query('select from generations where id = $1 for update', [ids[0]]);
	assert.equal((await f.k.one('select generations_checked(3) as n')).n, 3);
	assert.equal(await checked(f), 1);
	await other.query('rollback');
	assert.equal(await checked(f), 1);
	assert.equal(await checked(f), 0);
});

test('attempts are in the workers\' indexes while they are offered or run, and only our own', async () => {
	const f = await server.fresh(undefined, 'worker');
	const user = await f.k.user(1000, 10);
	const at = async (id) => (await f.conn.query('select at_worker from attempts where id = $1', [id])).rows[0].at_worker;
	const w = await f.k.at('submitted', user, f.route, f.owner, { provider: 'worker' });
	assert.equal(await at(w.attempt_id), 'offered');
	const { token_hash: token } = (await f.conn.query('select token_hash from attempts where id = $1', [w.attempt_id])).rows[0];
	assert.equal((await f.k.one('select (worker_job_start($1, null, $2)).outcome', [w.attempt_id, token])).outcome, 'started');
	assert.equal(await at(w.attempt_id), 'running');
	assert.equal((await f.k.one(`select (worker_job_fail($1, null, $2, 'provider', 'x', 'y', false)).outcome`,
		[w.attempt_id, token])).outcome, 'failed');
	assert.equal(await at(w.attempt_id), null);
	const g = await server.fresh();
	const v = await g.k.at('submitted', await g.k.user(1000, 10), g.route, g.owner);
	assert.equal((await g.conn.query('select at_worker from attempts where id = $1', [v.attempt_id])).rows[0].at_worker, null);
});

test('rows of before get their phase, their look at the deadline and their place at the workers', async () => {
	const root = await server.connect('postgres', 'postgres');
	await root.query('create database before template template0 owner reeld');
	await root.end();
	const c = await server.connect('before');
	const admin = await server.connect('before', 'postgres');
	const files = sql_files('migrations'), at = files.findIndex((f) => f.name === '0020_hot.sql');
	assert.ok(at > 0);
	for (const f of files.slice(0, at)) await c.query(f.text);
	await admin.query('set session_replication_role = replica');
	const statuses = (await c.query('select unnest(enum_range(null::generation_status))::text as s')).rows.map((r) => r.s);
	for (const status of statuses) {
		const ended = ['completed', 'failed', 'cancelled'].includes(status);
		await admin.query(`insert into generations (user_id, mode, model_id, model, model_name, route_id, provider,
				prompt, spec, resolved, status, credits, deadline_s, deadline_at, version, completed_at, error_code)
			values (gen_random_uuid(), 't2v', gen_random_uuid(), 'm', 'M', gen_random_uuid(), 'worker', 'p', '{}', '{}',
				$1, 4, 600, case when $2 then now() + interval '1 hour' end, 3, case when $3 then now() end,
				case when $3 then 'x' end)`, [status, !ended && status !== 'pending' && status !== 'draft', ended]);
	}
	for (const [provider, status] of [['worker', 'submitted'], ['worker', 'running'], ['worker', 'failed'], ['fal', 'submitted']]) {
		await admin.query(`insert into attempts (generation_id, job_id, user_id, number, route_id, provider, status, nonce)
			values (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 1, gen_random_uuid(), $1, $2,
				gen_random_uuid())`, [provider, status]);
	}
	for (const f of files.slice(at)) await c.query(f.text);
	const phases = (await c.query(`select status, phase, check_at < deadline_at as looked from generations`)).rows;
	const now = Object.fromEntries(phases.map((r) => [r.status, [r.phase, r.looked]]));
	const own = { draft: 'draft', pending: 'pending', review: 'review', completed: 'completed', failed: 'ill', cancelled: 'ill' };
	assert.deepEqual(now, Object.fromEntries(statuses.map((s) => [s, [own[s] ?? 'open', own[s] ? null : true]])));
	assert.deepEqual((await c.query(`select provider, status, at_worker from attempts order by 1, 2`)).rows, [
		{ provider: 'fal', status: 'submitted', at_worker: null },
		{ provider: 'worker', status: 'submitted', at_worker: 'offered' },
		{ provider: 'worker', status: 'running', at_worker: 'running' },
		{ provider: 'worker', status: 'failed', at_worker: null },
	]);
	await c.end();
	await admin.end();
});
