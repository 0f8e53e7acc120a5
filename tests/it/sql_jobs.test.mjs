// The life of a job: every legal and illegal move, promotion, races between the
// ways to end, sweeps.  sql_claim.test.mjs: who has it; sql_workers.test.mjs: our
// own GPU workers.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { sha, start } from './pg.mjs';

let server;
before(async () => { server = await start(); });
after(async () => { await server.stop(); });

const fresh = (...args) => server.fresh(...args);

const all = ['draft', 'pending', 'queued', 'processing', 'awaiting_approval',
	'finalizing', 'completed', 'failed', 'cancelling', 'cancelled', 'review'];
const legal = {
	draft: ['pending', 'queued', 'cancelled'],
	pending: ['queued', 'failed', 'cancelled'],
	queued: ['processing', 'failed', 'cancelled', 'review'],
	processing: ['queued', 'awaiting_approval', 'finalizing', 'completed',
		'failed', 'cancelling', 'cancelled', 'review'],
	awaiting_approval: ['queued', 'processing', 'failed', 'cancelling',
		'cancelled'],
	finalizing: ['completed', 'failed', 'review'],
	cancelling: ['finalizing', 'completed', 'failed', 'cancelled', 'review'],
	review: ['processing', 'finalizing', 'completed', 'failed', 'cancelled'],
	completed: [], failed: [], cancelled: [],
};

test('every move between statuses, legal or refused', async () => {
	const { db, conn, k, route } = await fresh();
	const u = await k.user(10);
	const { id } = await k.submit(u, route);
	const root = await db.root();
	const ended = (s) => ['completed', 'failed', 'cancelled'].includes(s);
	for (const from of all) {
		await root.query("set session_replication_role = 'replica'");
		await root.query('update generations set status = $2, error_code = '
			+ "'x', completed_at = $3 where id = $1",
		[id, from, ended(from) ? new Date() : null]);
		await root.query("set session_replication_role = 'origin'");
		for (const to of all.filter((s) => s !== from)) {
			await conn.query('begin');
			let code = 'ok';
			try {
				await conn.query('update generations set status = $2, '
					+ 'version = version + 1, completed_at = $3 '
					+ 'where id = $1', [id, to, ended(to) ? new Date() : null]);
			} catch (e) {
				code = e.code;
			}
			await conn.query('rollback');
			// Counters cannot follow a planted start: 23514 is theirs.
			// An end needs its money in the same statement: P0020.
			const want = legal[from].includes(to)
				? [ended(to) ? 'P0020' : 'ok', '23514'] : ['P0002'];
			assert.ok(want.includes(code), `${from} -> ${to}: ${code}`);
		}
	}
});

test('version only grows, frozen columns stay', async () => {
	const { conn, k, route } = await fresh();
	const { id } = await k.submit(await k.user(10), route);
	const refuses = (code, set) => assert.rejects(conn.query(
		`update generations set ${set} where id = $1`, [id]), { code });
	await refuses('P0003', 'version = version - 1');
	await refuses('P0003', "status = 'processing'");
	await refuses('P0004', 'credits = 1, version = version + 1');
	await refuses('P0004', 'user_id = gen_random_uuid(), '
		+ 'version = version + 1');
});

test('the whole way: versions, events, outbox', async () => {
	const { conn, k, route, owner } = await fresh();
	const u = await k.user(50);
	const w = await k.at('finalizing', u, route, owner, { key: 'a' });
	assert.equal((await k.one('select job_step($1, $2, $3, $4) as r',
		[w.job_id, owner, 'store', '{"key":"k"}'])).r, 'ok');
	const done = await k.finish(w, owner);
	assert.equal(done.outcome, 'completed');
	assert.equal(done.event.type, 'generation.completed');
	assert.equal(done.event.data.video_url,
		`/api/v1/generations/${done.id}/content?variant=video`);
	assert.deepEqual([done.progress, done.media_state, done.charge_state],
		[100, 'stored', 'settled']);
	const ev = (await conn.query('select type, version from events '
		+ 'where generation_id = $1 order by seq', [done.id])).rows;
	assert.deepEqual(ev.map((e) => e.type), ['generation.created',
		'generation.processing', 'generation.stage', 'generation.finalizing',
		'generation.completed']);
	assert.deepEqual(ev.map((e) => e.version), [1, 2, 3, 4, 5]);
	const out = (await conn.query("select * from outbox_pending('0 s', 100)"))
		.rows;
	assert.equal(out.filter((o) => o.event.generation_id === done.id).length,
		5);
	assert.equal(out.find((o) => o.event.type === 'generation.created')
		.balance_event.data.balance, 40);
	const seqs = out.map((o) => o.seq);
	assert.equal((await k.one('select outbox_sent($1) as n', [seqs])).n,
		seqs.length);
	assert.equal((await k.one('select outbox_sent($1) as n', [seqs])).n, 0);
	// A late answer is kept and changes nothing.
	assert.equal((await k.one('select attempt_late($1, $2, 7) as r',
		[w.attempt_id, '{"late":true}'])).r, 'stored');
	assert.equal((await k.finish(w, owner)).outcome, 'gone');
	assert.equal((await k.fail(w, owner)).outcome, 'gone');
	assert.deepEqual(await k.audit(), {});
});

test('over the limit waits; every end lets the next one in', async () => {
	const { k, route, owner } = await fresh();
	const u = await k.user(1000);
	const gs = [];
	for (let i = 0; i < 6; i++) gs.push(await k.submit(u, route));
	assert.deepEqual(gs.map((g) => g.status), ['queued', 'queued', 'queued',
		'pending', 'pending', 'pending']);
	const c = await k.move('generation_cancel', gs[0].id, u, u);
	assert.equal(c.outcome, 'cancelled');
	assert.equal(c.promoted.length, 1);
	assert.equal(c.promoted[0].event.generation_id, gs[3].id);
	assert.equal(c.seqs.length, 2);
	const ws = await k.claim(owner);
	assert.equal(ws.length, 3);
	const f = await k.fail(ws[0], owner);
	assert.equal(f.promoted[0].event.generation_id, gs[4].id);
	// Cancelling one that waits moves nobody.
	assert.equal((await k.move('generation_cancel', gs[5].id, u, u))
		.promoted, null);
	assert.equal((await k.move('generation_cancel', gs[5].id, u, u)).outcome,
		'already');
	await k.one("update system_config set value = '2' where key = "
		+ "'video_waiting_limit' returning key");
	for (let i = 0; i < 2; i++) {
		assert.equal((await k.submit(u, route)).outcome, 'created');
	}
	assert.equal((await k.submit(u, route)).outcome, 'limit');
	await k.one('select user_update($1, null, null, null, 5, null)', [u]);
	const p = await k.one('select * from generations_promote(10)');
	assert.equal(p.promoted.length, 2);
	assert.deepEqual(await k.audit(), {});
});

test('cancel races finish races fail: one end each, money exact',
	async () => {
		const { k, conn, route, owner } = await fresh(24);
		const users = await Promise.all([...Array(20)].map(() =>
			k.user(1000, 100)));
		const ws = [];
		for (const u of users) {
			for (let i = 0; i < 10; i++) await k.submit(u, route);
		}
		for (const w of await k.claim(owner, 'fal', 1000)) {
			const a = await k.start(w, owner);
			await k.submitted(a.attempt, owner);
			ws.push(w);
		}
		assert.equal(ws.length, 200);
		const ends = new Map(ws.map((w) => [w.generation_id, 0]));
		const count = (r) => {
			if (['completed', 'failed', 'cancelled'].includes(r.outcome)) {
				ends.set(r.id, ends.get(r.id) + 1);
			}
		};
		await Promise.all(ws.flatMap((w) => [
			k.finish(w, owner).then(count),
			k.fail(w, owner).then(count),
			k.fail(w, owner).then(count),
			k.move('generation_cancel', w.generation_id, w.user_id, w.user_id)
				.then(() => k.move('generation_cancelled', w.job_id, owner, 0,
					null)).then(count),
			k.move('generation_patch', w.generation_id, w.user_id, 't', true),
			conn.query('select * from generations_progress($1, $2, $3, $4, '
				+ '$5, $6, $7)', [owner, ws.map((x) => x.generation_id)
				.sort(() => Math.random() - 0.5), ws.map(() => 50),
			ws.map(() => 'real'), ws.map(() => null), ws.map(() => null),
			ws.map(() => null)]),
		]));
		assert.deepEqual([...new Set(ends.values())], [1]);
		assert.equal((await k.one("select count(*) as n from ledger_entry "
			+ "where type = 'video_refund'")).n, (await k.one('select count(*)'
			+ " as n from generations where status in ('failed', "
			+ "'cancelled')")).n);
		assert.deepEqual(await k.audit(), {});
	});

test('mixed load of everything: no deadlock, books exact', async () => {
	const { k, conn, route } = await fresh(32);
	const users = await Promise.all([...Array(6)].map(() => k.user(400)));
	const owners = await Promise.all([1, 2, 3].map(() => k.instance()));
	const pick = (a) => a[Math.floor(Math.random() * a.length)];
	const owned = new Map(owners.map((o) => [o, []]));
	const ids = [];
	await conn.query("update system_config set value = '1' where key = "
		+ "'video_queue_deadline_s'");
	const acts = [
		async () => {
			const r = await k.submit(pick(users), route,
				{ key: `k${Math.floor(Math.random() * 300)}`,
					deadline_s: 1 });
			if (r.id) ids.push([r.id, r.user_id]);
		},
		async () => {
			const o = pick(owners);
			for (const w of await k.claim(o, 'fal', 3)) {
				const a = await k.start(w, o);
				if (a.outcome !== 'started') continue;
				await k.submitted(a.attempt, o);
				owned.get(o).push(w);
			}
		},
		async () => {
			const o = pick(owners);
			const w = owned.get(o).pop();
			if (w) await k.finish(w, o, 5);
		},
		async () => {
			const o = pick(owners);
			const w = owned.get(o).shift();
			if (w) await k.fail(w, o);
		},
		async () => {
			const [id, u] = pick(ids) ?? [];
			if (id) await k.move('generation_cancel', id, u, u);
		},
		async () => {
			await conn.query('select * from generations_overdue(20)');
		},
		async () => {
			await conn.query('select * from generations_promote(20)');
		},
		async () => {
			await conn.query("select * from job_adopt($1, '20 s', null, 20)",
				[pick(owners)]);
		},
		async () => {
			await conn.query('select job_release($1, null)', [pick(owners)]);
		},
		async () => {
			await k.one('select * from credit_adjust($1, 3, $2, $3, null, '
				+ 'null, $4)', [pick(users), 'bonus', randomUUID(),
				new Date(Date.now() + 300)]);
		},
		async () => {
			await conn.query('select grants_expire(10)');
		},
		async () => {
			const w = pick(pick([...owned.values()]));
			if (w) {
				await k.move('generation_review', w.job_id, pick(owners),
					'x', 'y');
				await k.move('review_resolve', w.generation_id,
					pick(['refund', 'charge', 'deliver']), null, 'n');
			}
		},
	];
	await Promise.all([...Array(30)].map(async () => {
		for (let i = 0; i < 60; i++) await pick(acts)();
	}));
	// The load really went everywhere, or the test proves nothing.
	const seen = (await conn.query('select distinct status::text as s from '
		+ 'generations')).rows.map((r) => r.s);
	for (const st of ['completed', 'failed', 'cancelled']) {
		assert.ok(seen.includes(st), `no ${st} among ${seen}`);
	}
	assert.doesNotMatch(server.log(), /deadlock detected/);
	const found = await k.audit();
	assert.deepEqual(found, {});
});

test('one row with broken books stops no sweep', async () => {
	const { db, k, conn, route, owner } = await fresh();
	const u = await k.user(1000, 50);
	const made = [];
	for (const state of ['submitted', 'submitted', 'queued', 'queued', 'queued']) {
		made.push((await k.at(state, u, route, owner)).generation_id);
	}
	await conn.query("update generations set deadline_at = now() - interval '1 s'");
	await conn.query("update generations set deadline_at = now() - interval '2 s' where id = $1", [made[2]]);
	// The charges of two of them are gone: what no code of ours can do.
	const root = await db.root();
	await root.query('set session_replication_role = replica');
	const broken = [made[0], made[2]];
	await root.query('delete from charges where generation_id = any ($1)', [broken]);
	const page = async () => (await conn.query('select outcome, (g).id from generations_overdue(2)')).rows;
	const seen = new Map();
	for (let rows = await page(); rows.length > 0; rows = await page()) {
		for (const r of rows) seen.set(r.id, r.outcome);
	}
	assert.deepEqual([...seen.keys()].sort(), [...made].sort());
	assert.match(seen.get(made[2]), /^refused ./);
	assert.deepEqual([0, 1, 3, 4].map((i) => seen.get(made[i])), ['review', 'review', 'failed', 'failed']);
	// Nothing of the refused one was done.
	assert.equal((await k.one('select status from generations where id = $1', [made[2]])).status, 'queued');

	// And a poisoned job whose end is refused does not stop adoption.
	await conn.query('update jobs set crash_count = 5, lone_crashes = 2 where generation_id = $1', [made[0]]);
	await conn.query("update instances set beat_at = now() - interval '1 min'");
	const rows = (await conn.query('select outcome, (w).generation_id as id from '
		+ "job_adopt($1, '20 s', null, 50, '{fal}')", [await k.instance()])).rows;
	const by = Object.fromEntries(rows.map((r) => [r.id, r.outcome]));
	assert.match(by[made[0]], /^refused ./);
	assert.equal(by[made[1]], 'adopted');
});

test('statements that arrive late do not take the next attempt back',
	async () => {
		const { k, route, owner } = await fresh();
		const requeue = (w, attempt) => k.move('job_requeue', w.job_id, owner,
			attempt, 0, false, 'db', '');
		const start = (w, attempt) => k.start(w, owner, attempt);
		let w = await k.at('claimed', await k.user(10), route, owner);
		const never = randomUUID();
		// The start was not heard of: taken back, then it arrives.
		assert.equal((await requeue(w, never)).outcome, 'requeued');
		[w] = await k.claim(owner);
		assert.equal((await start(w, never)).outcome, 'gone');
		// A repeat of that requeue arrives: before and after the next start.
		assert.equal((await requeue(w, never)).outcome, 'gone');
		const next = randomUUID();
		assert.equal((await start(w, next)).outcome, 'started');
		assert.equal((await requeue(w, never)).outcome, 'gone');
		assert.equal((await k.submitted(next, owner)).outcome, 'submitted');
	});

test('submit outcomes: requeue, exhausted, uncertain, review', async () => {
	const { k, conn, route, owner } = await fresh();
	const u = await k.user(100);
	const requeue = (w, counts) => k.move('job_requeue', w.job_id, owner,
		w.attempt_id, 0, counts, 'no_route', '');
	await k.at('submitting', u, route, owner);
	let w = (await conn.query('select * from job_work')).rows[0];
	for (const want of ['requeued', 'requeued', 'exhausted']) {
		assert.equal((await requeue(w, true)).outcome, want);
		if (want === 'requeued') {
			[w] = await k.claim(owner);
			assert.equal((await k.start(w, owner)).outcome, 'started');
			w = (await conn.query('select * from job_work where job_id = $1',
				[w.job_id])).rows[0];
		}
	}
	assert.equal((await conn.query('select number from attempts where id = $1',
		[w.attempt_id])).rows[0].number, 3);
	await k.fail(w, owner);
	w = await k.at('submitting', u, route, owner);
	const unsure = (s) => k.move('attempt_uncertain', w.attempt_id, owner, s,
		'timeout');
	assert.equal((await unsure(600)).outcome, 'uncertain');
	assert.equal((await k.submitted(w.attempt_id, owner)).outcome,
		'submitted', 'a callback clears the doubt');
	await k.fail(w, owner);
	w = await k.at('submitting', u, route, owner);
	await unsure(600);
	await k.move('generation_review', w.job_id, owner, 'x', 'y');
	assert.equal((await requeue(w, false)).outcome, 'gone',
		'what is in review is not sent again');
	assert.equal((await k.submitted(w.attempt_id, owner)).outcome,
		'submitted');
	await k.fail(w, owner);
	w = await k.at('submitting', u, route, owner);
	await unsure(600);
	assert.equal((await conn.query('select * from generations_overdue(9)'))
		.rows.length, 0);
	await conn.query("update jobs set eligible_at = now() - interval '1 s' "
		+ "where status = 'uncertain'");
	const o = (await conn.query('select outcome, (g).error_code as code from '
		+ 'generations_overdue(9)')).rows;
	assert.deepEqual(o, [{ outcome: 'review', code: 'submit_unknown' }]);
	assert.equal(await k.balance(u), 90, 'the charge stays');
	assert.equal((await k.move('review_resolve', w.generation_id, 'deliver',
		u, '')).outcome, 'no_result');
	assert.equal((await k.submitted(w.attempt_id, owner)).status,
		'processing');
	await k.move('generation_review', w.job_id, owner, 'x', 'y');
	assert.equal((await k.move('review_resolve', w.generation_id, 'deliver',
		u, '')).outcome, 'delivering');
	assert.equal((await conn.query("select * from job_adopt($1, '20 s', "
		+ 'null, 5)', [owner])).rows.length, 1);
	await k.finalizing(w, owner);
	await k.move('generation_review', w.job_id, owner, 'x', 'y');
	const r = await k.move('review_resolve', w.generation_id, 'refund', u,
		'sorry');
	assert.deepEqual([r.outcome, r.status], ['refunded', 'failed']);
	assert.equal(await k.balance(u), 100);
	w = await k.at('submitted', u, route, owner);
	await k.move('generation_review', w.job_id, owner, 'x', 'y');
	assert.equal((await requeue(w, false)).outcome, 'gone');
	assert.equal((await k.move('review_resolve', w.generation_id, 'charge',
		u, '')).outcome, 'charged');
	assert.equal(await k.balance(u), 90);
	assert.deepEqual(await k.audit(), {});
});

test('overdue: what each state becomes', async () => {
	const { k, conn, route, owner } = await fresh();
	const own = await k.route('worker');
	const u = await k.user(1000, 50);
	const want = {};
	const add = async (state, status, r = route, provider = 'fal') => {
		const w = await k.at(state, u, r, owner, { provider });
		want[w.generation_id] = status;
		return w;
	};
	await add('submitted', 'review');
	await add('finalizing', 'review');
	await add('submitted', 'failed', own, 'worker');
	const c = await add('submitted', 'cancelled');
	await k.move('generation_cancel', c.generation_id, u, u);
	const v = await add('submitted', 'failed');
	await k.move('generation_review', v.job_id, owner, 'x', 'y');
	await add('queued', 'failed');
	await conn.query("update generations set deadline_at = now() - interval "
		+ "'1 s', review_at = review_at - interval '2 days' where status not "
		+ "in ('completed', 'failed')");
	const rows = (await conn.query('select (g).id, (g).status from '
		+ 'generations_overdue(50)')).rows;
	assert.deepEqual(Object.fromEntries(rows.map((r) => [r.id, r.status])),
		want);
	assert.equal((await conn.query('select * from generations_overdue(50)'))
		.rows.length, 0);
	assert.equal(await k.balance(u), 980);
	assert.deepEqual(await k.audit(), {});
});

test('retry makes a new, charged generation; delete hides', async () => {
	const { k, route, owner } = await fresh();
	const u = await k.user(100);
	const w = await k.at('submitted', u, route, owner);
	const retry = (key) => k.move('generation_retry', w.generation_id, u,
		randomUUID(), key, sha('r'), null, null, null, null);
	assert.equal((await retry('x')).outcome, 'not_failed');
	await k.fail(w, owner);
	const [a, b] = [await retry('x'), await retry('x')];
	assert.deepEqual([a.outcome, a.relation, a.parent_id, b.outcome, b.id],
		['created', 'retry', w.generation_id, 'replayed', a.id]);
	const del = (id, who) => k.move('generation_delete', id, who);
	assert.equal((await del(a.id, u)).outcome, 'active');
	assert.equal((await del(w.generation_id, await k.user())).outcome,
		'not_found');
	assert.equal((await del(w.generation_id, u)).outcome, 'deleted');
	assert.equal((await del(w.generation_id, u)).outcome, 'not_found');
	assert.deepEqual(await k.audit(), {});
});
