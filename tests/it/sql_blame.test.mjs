// Which job crashed its instance: blame, setting apart, halves and the verdict.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { start } from './pg.mjs';

let server;
before(async () => { server = await start(); });
after(async () => { await server.stop(); });
const fresh = (...args) => server.fresh(...args);

// Crashes and those who adopt after them, on a pool or a connection.
function crashes({ k, conn }) {
	const c = {
		kill: (...ids) => conn.query("update instances set beat_at = now() - interval '1 min' "
			+ 'where id = any ($1)', [ids]),
		// So long ago that they say nothing about the next one.
		forget: () => conn.query("update instances set beat_at = now() - interval '11 min' "
			+ "where beat_at < now() - interval '20 s'"),
		// A whole pass, as an engine makes it.
		pass: async (o, limit = 100, names = null) => {
			const all = [];
			for (let after_id = null; ;) {
				const { rows } = await conn.query('select outcome, (w).job_id, (w).generation_id, '
					+ "(w).crash_count from job_adopt($1, '20 s', $2, $3, $4)", [o, after_id, limit, names]);
				if (rows.length === 0) return all;
				all.push(...rows);
				after_id = [after_id ?? '', ...rows.filter((r) => r.outcome !== 'set_apart')
					.map((r) => r.job_id)].sort().at(-1) || null;
			}
		},
		count: (rows) => rows.reduce((n, r) => ({ ...n, [r.outcome]: (n[r.outcome] ?? 0) + 1 }), {}),
		of: async (o) => (await conn.query('select id from jobs where owner = $1 and finished_at is null', [o]))
			.rows.map((r) => r.id),
		clean: async (o, ids) => (await k.one('select job_clean($1, $2) as n', [o, ids])).n,
		ends: async () => Object.fromEntries((await conn.query('select status::text, count(*)::int as n '
			+ 'from generations group by 1')).rows.map((r) => [r.status, r.n])),
	};
	// n submitted jobs of a user that has crashed twice with all of them.
	c.twice = async (n, owner, route, u) => {
		const made = [];
		for (let i = 0; i < n; i++) made.push(await k.at('submitted', u, route, owner));
		await conn.query('update jobs set crash_count = 2 where owner = $1', [owner]);
		return made;
	};
	return c;
}

test('one poison among 60: it fails, and nobody else', async () => {
	const w = await fresh();
	const { k, conn, route } = w;
	const c = crashes(w);
	const u = await k.user(1000, 100);
	let live = w.owner;
	for (let i = 0; i < 60; i++) await k.submit(u, route);
	const poison = (await k.claim(live, 'fal', 60)).map((j) => j.job_id)[Math.floor(Math.random() * 60)];
	let fell = 0;
	// It kills whatever carries it, before its neighbours take a step.
	for (; (await c.ends()).failed === undefined && fell < 30; fell++) {
		await c.kill(live);
		live = await k.instance();
		for (;;) {
			const rows = await c.pass(live);
			const mine = await c.of(live);
			if (mine.includes(poison) || rows.some((r) => r.outcome === 'poisoned')) break;
			assert.ok(rows.length > 0, 'nobody is left waiting');
			await c.clean(live, mine);
		}
	}
	assert.ok(fell < 14, `${fell} crashes`);
	assert.deepEqual(await c.ends(), { queued: 59, failed: 1 });
	const [{ id }] = (await conn.query("select j.id from jobs j join generations g on g.id = j.generation_id "
		+ "where g.error_code = 'internal_poison'")).rows;
	assert.equal(id, poison);
	assert.deepEqual(await k.audit(), {});
});

test('four poisons among 20 are all found, and nobody else', async () => {
	const w = await fresh();
	const { k, route } = w;
	const c = crashes(w);
	const u = await k.user(1000, 100);
	let live = w.owner;
	const jobs = await c.twice(20, live, route, u);
	const poisons = [0, 7, 13, 19].map((i) => jobs[i].job_id);
	for (let i = 0; ((await c.ends()).failed ?? 0) < 4; i++) {
		assert.ok(i < 60, JSON.stringify(await c.ends()));
		await c.kill(live);
		live = await k.instance();
		for (let n = 0; n < 20; n++) {
			await c.pass(live);
			const mine = await c.of(live);
			if (mine.some((id) => poisons.includes(id))) break;
			await c.clean(live, mine);
		}
	}
	assert.deepEqual(await c.ends(), { processing: 16, failed: 4 });
	const ended = await w.conn.query("select j.id from jobs j where j.status = 'failed' order by id");
	assert.deepEqual(ended.rows.map((r) => r.id), [...poisons].sort());
	assert.deepEqual(await k.audit(), {});
});

test('60 healthy jobs come through any number of crashes', async () => {
	const w = await fresh();
	const { k, conn, route } = w;
	const c = crashes(w);
	const u = await k.user(1000, 100);
	let live = w.owner;
	await c.twice(60, live, route, u);
	for (let i = 0; i < 6; i++) {
		await c.kill(live);
		live = await k.instance();
		const rows = await c.pass(live);
		// The whole lot at first, then what was carried; half of the least blamed come back.
		const [apart, taken] = [[60, 30], [30, 15], [15, 8], [8, 4], [4, 2], [2, 1]][i];
		assert.deepEqual(c.count(rows), { set_apart: apart, adopted: taken });
		assert.deepEqual(await c.pass(live), [], 'and no more before they took a step');
	}
	let rounds = 0;
	for (let mine = await c.of(live), was = 0; mine.length > was; rounds++) {
		was = mine.length;
		await c.clean(live, mine);
		await c.pass(live);
		mine = await c.of(live);
	}
	assert.ok(rounds < 16, `${rounds} rounds`);
	const [left] = (await conn.query('select count(*)::int as n, max(crash_count) as most, count(last_error)::int '
		+ 'as said from jobs where owner = $1', [live])).rows;
	assert.deepEqual(left, { n: 60, most: 0, said: 0 });
	assert.deepEqual(await c.ends(), { processing: 60 });
});

test('what was parked is not blamed for a crash, nor judged, nor set apart', async () => {
	const w = await fresh();
	const { k, conn, route, owner } = w;
	const c = crashes(w);
	const u = await k.user(100, 10);
	const parked = await k.at('submitting', u, route, owner);
	assert.equal((await k.one('select outcome from attempt_uncertain($1, $2, 600, $3)',
		[parked.attempt_id, owner, 'x'])).outcome, 'uncertain');
	let live = owner;
	for (let i = 0; i < 4; i++) {
		await c.kill(live);
		live = await k.instance();
		const rows = await c.pass(live);
		assert.deepEqual(rows.map((r) => [r.outcome, r.crash_count]), [['adopted', 0]]);
	}
	// Also one that an older version blamed; and it makes nobody's company.
	await conn.query('update jobs set crash_count = 2');
	const bad = await k.at('submitted', u, route, live);
	await conn.query('update jobs set crash_count = 2, lone_crashes = 1 where id = $1', [bad.job_id]);
	await c.forget();
	await c.kill(live);
	live = await k.instance();
	assert.deepEqual((await c.pass(live)).map((r) => [r.job_id, r.outcome]).sort(),
		[[parked.job_id, 'adopted'], [bad.job_id, 'poisoned']].sort());
	assert.equal((await k.one('select crash_count from jobs where id = $1', [parked.job_id])).crash_count, 2);
	assert.deepEqual(await k.audit(), {});
});

test('a lone suspect in company is judged at the third time', async () => {
	const w = await fresh();
	const { k, route, conn } = w;
	const c = crashes(w);
	const u = await k.user(1000, 100);
	let live = w.owner;
	const [bad] = await c.twice(1, live, route, u);
	const seen = [];
	while (seen.at(-1) !== 'poisoned') {
		await k.at('submitted', u, route, live); // somebody else, every time
		await c.kill(live);
		live = await k.instance();
		const rows = await c.pass(live, 1);
		seen.push(rows.find((r) => r.job_id === bad.job_id && r.outcome !== 'adopted').outcome);
		if (seen.at(-1) === 'set_apart') assert.ok((await c.of(live)).includes(bad.job_id), 'and goes on');
		await c.clean(live, (await c.of(live)).filter((id) => id !== bad.job_id));
		assert.ok(seen.length < 9);
	}
	assert.deepEqual(seen, ['set_apart', 'set_apart', 'poisoned']);
	assert.equal((await c.ends()).failed, 1);
	assert.deepEqual((await conn.query('select max(crash_count) as m from jobs where finished_at is null')).rows,
		[{ m: 0 }]);
});

test('where others fall, too, it takes six', async () => {
	const w = await fresh();
	const { k, route, conn } = w;
	const c = crashes(w);
	const u = await k.user(100, 10);
	let live = w.owner;
	const [one] = await c.twice(1, live, route, u);
	// On board of two crashes, and of each that comes; four were without it.
	const strangers = await Promise.all([1, 2, 3, 4].map(() => k.instance()));
	await c.kill(...strangers);
	const seen = [];
	while (seen.at(-1) !== 'poisoned') {
		await c.kill(live);
		live = await k.instance();
		await c.kill(await k.instance());
		const rows = await c.pass(live);
		seen.push(rows.find((r) => r.outcome !== 'adopted')?.outcome);
		if (seen.at(-1) === 'set_apart') assert.ok((await c.of(live)).includes(one.job_id), 'and goes on');
		assert.ok(seen.length < 9);
	}
	assert.deepEqual(seen, [...Array(5).fill('set_apart'), 'poisoned']);
	assert.deepEqual(await k.audit(), {});
	// Those are forgotten; the next is judged by three again.
	await c.forget();
	const [two] = await c.twice(1, live, route, u);
	seen.length = 0;
	while (seen.at(-1) !== 'poisoned' && seen.length < 9) {
		await c.kill(live);
		live = await k.instance();
		seen.push((await c.pass(live)).find((r) => r.job_id === two.job_id && r.outcome !== 'adopted')?.outcome);
	}
	assert.deepEqual(seen, ['set_apart', 'set_apart', 'poisoned']);
});

test('a suspect that is alone at last is not judged for what it shared', async () => {
	const w = await fresh();
	const { k, conn, route } = w;
	const c = crashes(w);
	const u = await k.user(100, 10);
	let live = w.owner;
	const jobs = [];
	for (let i = 0; i < 3; i++) jobs.push(await k.at('submitted', u, route, live));
	const seen = [];
	for (let i = 0; i < 3; i++) {
		// All at first; then the two others end, and it is alone.
		for (const j of i === 2 ? jobs.slice(1) : []) assert.equal((await k.fail(j, live)).outcome, 'failed');
		await c.kill(live);
		live = await k.instance();
		seen.push(c.count(await c.pass(live)));
	}
	assert.deepEqual(seen, [{ adopted: 3 }, { adopted: 3 }, { set_apart: 1, adopted: 1 }]);
	const row = await k.one('select crash_count, lone_crashes, owner from jobs where id = $1', [jobs[0].job_id]);
	assert.deepEqual(row, { crash_count: 3, lone_crashes: 1, owner: live });
	// It is cleared whole; and three times alone from then on is the end.
	assert.equal(await c.clean(live, [jobs[0].job_id]), 1);
	assert.equal((await k.one('select lone_crashes as n from jobs where id = $1', [jobs[0].job_id])).n, 0);
	await c.forget();
	for (const what of ['adopted', 'adopted', 'poisoned']) {
		await c.kill(live);
		live = await k.instance();
		assert.deepEqual(c.count(await c.pass(live)), { [what]: 1 });
	}
	assert.equal(await k.balance(u), 100);
	assert.deepEqual((await conn.query('select distinct status::text from generations')).rows, [{ status: 'failed' }]);
	assert.deepEqual(await k.audit(), {});
});

test('two adopters at once never judge the same crash from halves', async () => {
	const w = await fresh(8);
	const { k, route } = w;
	const c = crashes(w);
	const u = await k.user(2000, 200);
	let lives = [w.owner];
	await c.twice(40, w.owner, route, u);
	for (let i = 0; i < 5; i++) {
		await c.kill(...lives);
		lives = await Promise.all([1, 2, 3].map(() => k.instance()));
		const all = (await Promise.all(lives.map((o) => c.pass(o, 7)))).flat();
		const apart = all.filter((r) => r.outcome === 'set_apart').map((r) => r.job_id);
		assert.equal(new Set(apart).size, apart.length, 'each once');
		assert.equal(all.filter((r) => r.outcome === 'poisoned').length, 0);
	}
	for (let left = 40; left > 0;) {
		left = 40;
		for (const o of lives) {
			const mine = await c.of(o);
			left -= mine.length;
			await c.clean(o, mine);
			await c.pass(o);
		}
	}
	assert.deepEqual(await c.ends(), { processing: 40 });
	// While one judges, the other leaves alone all that the dead one performed.
	const [a, b] = await Promise.all([w.db.engine(), w.db.engine()]);
	const dead = await k.instance();
	const [bad] = await c.twice(1, dead, route, u);
	const other = await k.at('submitted', u, route, dead);
	await c.kill(dead);
	await a.query('begin');
	await a.query('select from instances where id = $1 for no key update', [dead]);
	assert.deepEqual(await crashes({ k, conn: b }).pass(await k.instance()), []);
	await a.query('rollback');
	// Nor from a part of them: one row is held by somebody else.
	const second = await k.at('submitted', u, route, dead);
	await b.query('update jobs set crash_count = 2 where id = $1', [second.job_id]);
	await a.query('begin');
	await a.query('select from jobs where id = $1 for update', [second.job_id]);
	const live = await k.instance();
	assert.deepEqual(await crashes({ k, conn: b }).pass(live), []);
	await a.query('commit');
	const rows = await crashes({ k, conn: b }).pass(live);
	assert.deepEqual(c.count(rows), { set_apart: 2, adopted: 2 });
	assert.deepEqual(rows.filter((r) => r.outcome === 'set_apart').map((r) => r.job_id).sort(),
		[bad.job_id, second.job_id].sort());
	assert.ok(rows.some((r) => r.outcome === 'adopted' && r.job_id === other.job_id && r.crash_count === 1));
	assert.doesNotMatch(server.log(), /deadlock detected/);
	assert.deepEqual(await k.audit(), {});
});

test('set apart, and of a provider that only a newer version knows', async () => {
	const w = await fresh();
	const { k, route, owner } = w;
	const c = crashes(w);
	const u = await k.user(100, 10);
	await c.twice(4, owner, route, u);
	await c.kill(owner);
	const old = await k.instance();
	assert.deepEqual(c.count(await c.pass(old, 10, ['runway'])), { set_apart: 4 });
	assert.deepEqual(c.count(await c.pass(await k.instance(), 10, ['fal'])), { adopted: 2 });
});

test('waiting for a held row, cleaning leaves none suspect', async () => {
	const w = await fresh();
	const { k, route, owner, db } = w;
	const c = crashes(w);
	const jobs = await c.twice(3, owner, route, await k.user(100, 10));
	const a = await db.engine();
	await a.query('begin');
	await a.query('select from jobs where id = $1 for update', [jobs[1].job_id]);
	const done = c.clean(owner, jobs.map((j) => j.job_id));
	const root = await db.root();
	for (;;) { // until it waits
		const { rows } = await root.query("select from pg_stat_activity where wait_event_type = 'Lock' "
			+ "and query like '%job_clean%' and datname = current_database()");
		if (rows.length > 0) break;
	}
	await a.query('commit');
	assert.equal(await done, 3);
});
