// Who has a job: claiming, adopting those of the dead; what a crash of
// PostgreSQL leaves of a claim. Which job killed its process: sql_blame.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { postgres } from './env.mjs';
import { kit, start } from './pg.mjs';
import { children_of, until } from './services.mjs';

let server;
before(async () => { server = await start(); });
after(async () => { await server.stop(); });
const fresh = (...args) => server.fresh(...args);

test('four claimers never take one job twice, and keep the order',
	async () => {
		const { k, route } = await fresh(12);
		const us = await Promise.all(Array.from({ length: 100 },
			() => k.user(100)));
		await Promise.all(us.flatMap((u) => [1, 2, 3].map(() =>
			k.submit(u, route))));
		const owners = await Promise.all([1, 2, 3, 4].map(() =>
			k.instance()));
		const took = await Promise.all(owners.map(async (o) => {
			const ids = [];
			for (;;) {
				const rows = await k.claim(o, 'fal', 7);
				assert.ok(rows.length <= 7);
				if (rows.length === 0) return ids;
				ids.push(...rows.map((r) => r.job_id));
			}
		}));
		const flat = took.flat();
		assert.equal(flat.length, 300);
		assert.equal(new Set(flat).size, 300);
		const n = await k.one('select count(*) as n from jobs where '
			+ "status = 'running' and crash_count = 1");
		assert.equal(n.n, 300);
	});

test('claim: priority, time, slots, pause', async () => {
	const { conn, k, route, owner } = await fresh();
	const other = await k.route('worker');
	const mk = async (r, priority) => (await k.submit(await k.user(10), r,
		{ priority })).id;
	const late = await mk(route, 100);
	const first = await mk(route, 10);
	const w1 = await mk(other, 100);
	const claim = async (p, n) => (await conn.query('select generation_id '
		+ 'from job_claim($1, $2, $3)', [owner, p, n])).rows
		.map((r) => r.generation_id);
	const pause = (until) => k.one("select provider_pause('fal', $1, 'why', "
		+ 'null) as r', [until]);
	await pause(null);
	assert.deepEqual(await claim(['fal'], [5]), []);
	await k.one("select provider_resume('fal', null)");
	await pause(Date.now() - 5000);
	assert.deepEqual(await claim(['fal', 'worker'], [1, 0]), [first],
		'a pause that is over does not hold');
	assert.deepEqual(await claim(['fal', 'worker'], [5, 5]), [late, w1]);
	const w = await k.at('claimed', await k.user(10), route, owner);
	assert.equal((await k.move('job_requeue', w.job_id, owner, null, 60000,
		false, '429', '')).outcome, 'requeued');
	assert.deepEqual(await claim(['fal'], [5]), [], 'not before its time');
});

test('what was in other hands is not requeued, though it came back', async () => {
	const { k, conn, route, owner } = await fresh();
	const w = await k.at('submitting', await k.user(100), route, owner);
	const other = await k.instance();
	const adopt = async (from, to) => {
		await conn.query("update instances set beat_at = now() - interval '1 min' where id = $1", [from]);
		const rows = (await conn.query("select outcome, (w).* from job_adopt($1, '20 s', null, 10)", [to])).rows;
		assert.deepEqual(rows.map((r) => [r.outcome, r.attempt_status]), [['adopted', 'ambiguous']]);
		await conn.query('select job_clean($1, $2)', [to, [w.job_id]]);
	};
	const busy = () => k.move('job_requeue', w.job_id, owner, w.attempt_id, 0, false, '429', '');
	await adopt(owner, other); // it stood still; the other sends, and stands still
	await conn.query('select instance_beat($1)', [owner]);
	await adopt(other, owner);
	assert.equal((await busy()).outcome, 'gone', 'the other may have sent it');
	const [a] = (await conn.query('select status from attempts where id = $1', [w.attempt_id])).rows;
	assert.equal(a.status, 'ambiguous');
	assert.equal((await k.submitted(w.attempt_id, owner)).outcome, 'submitted', 'a repeat of it may be recorded');
});

test('adopt: the dead only, crash counting, poison', async () => {
	const { k, conn, route, owner } = await fresh();
	const u = await k.user(100);
	const w = await k.at('submitting', u, route, owner);
	const kill = (i) => conn.query("update instances set beat_at = now() - "
		+ "interval '1 min' where id = $1", [i]);
	const adopt = async (o) => (await conn.query('select outcome, event, '
		+ "(w).* from job_adopt($1, '20 s', null, 10)", [o])).rows;
	let live = await k.instance();
	assert.deepEqual(await adopt(live), []);
	await kill(owner);
	let rows = await adopt(live);
	assert.deepEqual([rows[0].outcome, rows[0].attempt_status,
		rows[0].crash_count], ['adopted', 'ambiguous', 2]);
	assert.equal((await k.submitted(w.attempt_id, owner)).outcome, 'gone',
		'the old owner is fenced off');
	const dead = live;
	await kill(dead);
	live = await k.instance();
	assert.deepEqual(await adopt(dead), [], 'a dead one adopts nothing');
	rows = await adopt(live);
	assert.deepEqual([rows[0].outcome, rows[0].event.data.error.code,
		rows[0].status], ['poisoned', 'internal_poison', 'failed']);
	assert.equal(await k.balance(u), 100);
	// A released or stopped instance's jobs are no crash.
	const w2 = await k.at('submitted', u, route, live);
	for (let i = 0; i < 5; i++) {
		await conn.query('select job_release($1, null)', [live]);
		await conn.query('select instance_stop($1)', [live]);
		assert.equal((await k.one('select instance_beat($1) as b',
			[live])).b, false);
		live = await k.instance();
		rows = await adopt(live);
		assert.deepEqual([rows[0].outcome, rows[0].crash_count],
			['adopted', 0]);
	}
	assert.equal((await k.finish(w2, live)).outcome, 'completed');
	assert.deepEqual(await k.audit(), {});
});

test('adopting pages past jobs it must leave alone', async () => {
	const { k, conn, route, owner } = await fresh();
	const u = await k.user(100);
	await k.at('claimed', u, route, owner);
	await conn.query("insert into jobs (id, kind, generation_id, user_id, "
		+ "provider, status, owner) select uuid7(), 'rating', g.id, "
		+ "g.user_id, 'x', 'running', $1 from generations g, "
		+ 'generate_series(1, 300)', [owner]);
	const w = await k.at('claimed', u, route, owner);
	await conn.query("update instances set beat_at = now() - interval '1 min'");
	const live = await k.instance();
	let after_id = null;
	const got = [];
	for (;;) {
		const rows = (await conn.query('select outcome, (w).job_id from '
			+ "job_adopt($1, '20 s', $2, 50)", [live, after_id])).rows;
		if (rows.length === 0) break;
		got.push(...rows);
		after_id = rows.map((r) => r.job_id).sort().at(-1);
	}
	assert.equal(got.filter((r) => r.outcome === 'skipped').length, 300);
	assert.ok(got.some((r) => r.outcome === 'adopted'
		&& r.job_id === w.job_id));
});

test('adopting leaves the jobs of providers that this version does not know', async () => {
	const { k, conn, route, owner } = await fresh();
	const u = await k.user(100);
	const w = await k.at('submitted', u, route, owner);
	// Killing its process twice would be the end of it, where it is known.
	await conn.query('update jobs set crash_count = 5, lone_crashes = 2');
	await conn.query("update instances set beat_at = now() - interval '1 min'");
	const adopt = async (names) => (await conn.query('select outcome, (w).job_id '
		+ "from job_adopt($1, '20 s', null, 50, $2)", [await k.instance(), names])).rows;
	assert.deepEqual(await adopt(['runway', 'worker']), [{ outcome: 'skipped', job_id: w.job_id }]);
	const g = await k.one('select status from generations where id = $1', [w.generation_id]);
	assert.equal(g.status, 'processing');
	assert.equal((await adopt(['fal']))[0].outcome, 'poisoned');
	assert.deepEqual(await k.audit(), {});
});

// A claim does not wait for the disk; what is paid for on its word does.
test('a crash of PostgreSQL forgets a claim, never an attempt', async () => {
	const pg = await postgres({ own: true });
	const name = await pg.database();
	const engine = async () => {
		const conn = await pg.connect(name, 'reeld');
		return { conn, k: kit(conn) };
	};
	let { conn, k } = await engine();
	const u = await k.user(100), route = await k.route(), x = await k.instance();
	const [first, second] = [await k.submit(u, route), await k.submit(u, route)];
	// It would write what nobody waits for after a while.
	const writer = children_of(pg.process.pid).find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('walwriter'));
	process.kill(writer, 'SIGSTOP');
	const [sent] = await k.claim(x, 'fal', 1);
	assert.equal(sent.generation_id, first.id);
	assert.equal((await k.start(sent, x)).outcome, 'started');
	const [held] = await k.claim(x, 'fal', 1);
	assert.equal(held.generation_id, second.id);
	await pg.kill9();
	await pg.up();

	({ conn, k } = await engine());
	const row = (id) => k.one('select status::text, owner from jobs where id = $1', [id]);
	assert.deepEqual(await row(sent.job_id), { status: 'running', owner: x });
	assert.deepEqual(await row(held.job_id), { status: 'queued', owner: null });
	// Who still thinks that it has it may not send it; somebody else may.
	assert.equal((await k.start(held, x)).outcome, 'gone');
	const y = await k.instance();
	const [again] = await k.claim(y, 'fal', 1);
	assert.equal(again.job_id, held.job_id);
	assert.equal((await k.start(again, y)).outcome, 'started');
	assert.equal((await k.start(held, x)).outcome, 'gone');
	assert.equal(await k.balance(u), 80);
	assert.deepEqual(await k.audit(), {});
	await conn.end();
});

test('only an instance that is there takes jobs, and it stays while it has some', async () => {
	const { db, conn, k, route, owner } = await fresh();
	const { id } = await k.submit(await k.user(10), route);
	const missing = { code: '23503' };
	await assert.rejects(k.claim(randomUUID()), missing);
	const gone = () => conn.query('delete from instances where id = $1', [owner]);
	// Who forgets it while it takes its first job waits, and sees that job.
	const claimer = await db.engine();
	await claimer.query('begin');
	assert.equal((await kit(claimer).claim(owner)).length, 1);
	const waits = assert.rejects(gone(), missing);
	await until('the delete waits', async () => (await claimer.query(`select count(*)::int as n from pg_locks l
		where not l.granted`)).rows[0].n === 1);
	await claimer.query('commit');
	await waits;
	await assert.rejects(conn.query('update instances set id = gen_random_uuid()'), { code: 'P0005' });
	// An adopter that is not there takes none; jobs of the dead are what it is for.
	await conn.query(`update instances set beat_at = now() - interval '1 hour'`);
	await assert.rejects(conn.query(`select * from job_adopt($1, '30 s', null, 10)`, [randomUUID()]), missing);
	const [w] = (await conn.query('select * from job_work where generation_id = $1', [id])).rows;
	await conn.query(`update instances set beat_at = now()`);
	assert.equal((await k.start(w, owner)).outcome, 'started');
	assert.equal((await k.fail(w, owner)).outcome, 'failed');
	assert.equal((await gone()).rowCount, 1);
});
