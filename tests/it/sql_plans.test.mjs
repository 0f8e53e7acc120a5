// What one job does must not read all that are under way. A partial index that
// was nearly empty when its table was last analyzed (a quiet night) looks
// cheaper to the planner than the primary key, and is read whole, for each job,
// in the rush that follows.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { start } from './pg.mjs';

const LIVE = 1500, FEW = 300;

let server, f, user, jobs, queued, crowd;

before(async () => {
	server = await start();
	f = await server.fresh();
	const root = await f.db.root();
	for (const table of ['generations', 'jobs', 'charges', 'attempts', 'events', 'outbox', 'ledger_entry',
		'accounts', 'users']) {
		await root.query(`alter table ${table} set (autovacuum_enabled = off)`);
	}
	user = await f.k.user(1000000, 10000);
	// The night: all has ended, and is published.
	const ended = await f.k.claim(f.owner, 'fal', await orders(200));
	for (const w of ended) assert.equal((await f.k.start(w, f.owner)).outcome, 'started');
	assert.ok((await f.k.fails(f.owner, ended.map((w) => ({ job: w.job_id })))).every((r) => r.outcome === 'failed'));
	await f.conn.query('delete from outbox');
	await root.query('vacuum analyze');
	crowd = (await f.conn.query(`select (user_create(gen_random_uuid(), 'u' || n || '@example.org', 'T', 'user', 100,
		null)).id from generate_series(1, ${LIVE}) n`)).rows.map((r) => r.id);
	// The rush: of LIVE, some wait for a claim, most are with the provider.
	await orders(LIVE);
	jobs = await f.k.claim(f.owner, 'fal', LIVE - 100);
	const items = jobs.slice(0, LIVE - 300).map((w) => ({ job: w.job_id, attempt: randomUUID() }));
	const taken = await f.k.starts(f.owner, items);
	assert.ok(taken.length === items.length && taken.every((r) => r.outcome === 'started'));
	for (const [i, w] of jobs.entries()) w.attempt_id = items[i]?.attempt;
	assert.equal((await f.k.submits(f.owner, items.slice(0, LIVE - 500))).length, LIVE - 500);
	queued = (await f.conn.query(`select generation_id as id from jobs where status = 'queued' limit 1`)).rows[0].id;
	await f.conn.query('delete from outbox where seq < (select max(seq) - 5 from outbox)');
});
after(async () => { await server.stop(); });

// n orders of the user; returns n.
async function orders(n) {
	for (let i = 0; i < n; i++) assert.equal((await f.k.submit(user, f.route)).outcome, 'created');
	return n;
}

// Entries of all indexes that the call read, on a connection of its own that
// makes its plans now: for the values, then (`generic`) for all values.
async function reads(mode, call) {
	const conn = await f.db.engine();
	await conn.query(`set plan_cache_mode = ${mode}`);
	const read = async () => {
		await f.conn.query('select pg_stat_clear_snapshot()');
		return Number((await f.conn.query(`select sum(idx_tup_read) as n from pg_stat_user_indexes`)).rows[0].n);
	};
	const run = async () => {
		await conn.query('begin');
		await call(kit_on(conn));
		await conn.query('rollback');
		await conn.query('select pg_stat_force_next_flush()');
		return read();
	};
	await f.conn.query('select pg_stat_force_next_flush()');
	// The first may meet, and clears away, entries of dead rows.
	const before = await run(), n = await run() - before;
	await conn.end();
	return n;
}

function kit_on(conn) {
	const one = async (text, ...args) => (await conn.query(text, args)).rows[0];
	return { one, json: (name, item) => one(`select outcome from ${name}($1, $2)`, f.owner, JSON.stringify([item])) };
}

// A job that is claimed, submitting, submitted.
const at = { claimed: () => LIVE - 150, submitting: () => LIVE - 350, submitted: () => 700 };
const job = (state) => jobs[at[state]()];
const expect = (outcome) => (r) => assert.equal(r?.outcome, outcome);

const item = (w, more) => ({ n: 1, alone: more, job: w.job_id });
const started = (w, alone) => ({ ...item(w, alone), attempt: randomUUID(), nonce: randomUUID(), token_hash: '00'.repeat(32),
	request: {}, cost_micro_usd: 1 });
const failed = (w, alone) => ({ ...item(w, alone), class: 'provider', code: 'x', message: 'x', retryable: true, fee: 0 });
const taken = (w, alone) => ({ n: 1, alone, attempt: w.attempt_id, provider_job_id: 'p' });

const cases = {
	'generation_submit': (q) => q.one('select outcome from generation_submit($1, $2, null, null, null, $3, \'t2v\', \'{}\', '
		+ '\'{}\', 10, \'{}\', null, null, null, null, null, null, null, null, null)', user, randomUUID(), f.route)
		.then(expect('created')),
	'attempts_start': (q) => q.json('attempts_start', started(job('claimed'), false)).then(expect('started')),
	'attempts_start alone': (q) => q.json('attempts_start', started(job('claimed'), true)).then(expect('started')),
	// Of users who are many, where there were few.
	'generation_submit_many': async (q) => assert.equal((await q.one(`select count(*) as n from generation_submit_many($1)
		where outcome = 'created'`, JSON.stringify(Array.from({ length: 8 }, (_, i) => ({ n: i + 1, user_id: crowd[i >> 1],
		id: randomUUID(), route: f.route, mode: 't2v', spec: {}, resolved: {}, credits: 10, breakdown: {} }))))).n, 8),
	'attempts_submitted': (q) => q.json('attempts_submitted', taken(job('submitting'), false)).then(expect('submitted')),
	'attempts_submitted alone': (q) => q.json('attempts_submitted', taken(job('submitting'), true))
		.then(expect('submitted')),
	'generations_fail': (q) => q.json('generations_fail', failed(job('submitted'), false)).then(expect('failed')),
	'generations_fail alone': (q) => q.json('generations_fail', failed(job('submitted'), true)).then(expect('failed')),
	'generations_fail, who pass by': (q) => q.json('generations_fail', { ...failed(job('submitted'), false), pass: true })
		.then(expect('failed')),
	'attempt_uncertain': (q) => q.one('select outcome from attempt_uncertain($1, $2, 60, $3)', job('submitting').attempt_id,
		f.owner, 'x').then(expect('uncertain')),
	'job_requeue': (q) => q.one('select outcome from job_requeue($1, $2, $3, 1000, false, $4, null)',
		job('submitting').job_id, f.owner, job('submitting').attempt_id, 'busy').then(expect('requeued')),
	'generation_enhancing': (q) => q.one('select outcome from generation_enhancing($1, $2)', job('claimed').job_id, f.owner)
		.then(expect('enhancing')),
	'generation_enhanced': async (q) => assert.equal((await q.one('select generation_enhanced($1, $2, $3) as x',
		job('claimed').job_id, f.owner, 'a')).x, 'enhanced'),
	'generations_progress': async (q) => assert.equal((await q.one('select count(*) as n from generations_progress($1, $2, '
		+ '\'{50}\', \'{real}\', \'{null}\', \'{null}\', \'{null}\')', f.owner, [job('submitted').generation_id])).n, 1),
	'generation_finalizing, result_url, step, step_retry, finish': async (q) => {
		const w = job('submitted');
		expect('finalizing')(await q.one('select outcome from generation_finalizing($1, $2, $3, null, null, null)',
			w.job_id, f.owner, 'https://x/y'));
		assert.equal((await q.one('select generation_result_url($1, $2, $3, null) as x', w.job_id, f.owner, 'u')).x, 'ok');
		assert.equal((await q.one('select job_step($1, $2, $3, null) as x', w.job_id, f.owner, 'store')).x, 'ok');
		expect('retry')(await q.one('select outcome from job_step_retry($1, $2, $3)', w.job_id, f.owner, 'x'));
		expect('completed')(await q.one('select outcome from generation_finish($1, $2, $3, $4, null, null)', w.job_id,
			f.owner, JSON.stringify([{ role: 'video', kind: 'video', backend: 'local', key: 'k', mime: 'video/mp4',
				size_bytes: 1, sha256: '00'.repeat(32) }]), '{}'));
	},
	'generation_cancel, generation_cancelled': async (q) => {
		const w = job('submitted');
		await q.one('select outcome from generation_cancel($1, $2, null)', w.generation_id, user);
		expect('cancelled')(await q.one('select outcome from generation_cancelled($1, $2, 0, null)', w.job_id, f.owner));
	},
	'generation_cancel of a queued one': (q) => q.one('select outcome from generation_cancel($1, $2, null)', queued, user)
		.then(expect('cancelled')),
	...Object.fromEntries(['charge', 'refund', 'deliver'].map((action) => [`generation_review, ${action}`, async (q) => {
		const w = job('submitted');
		expect('review')(await q.one('select outcome from generation_review($1, $2, $3, $4)', w.job_id, f.owner, 'c', 'm'));
		expect({ charge: 'charged', refund: 'refunded', deliver: 'delivering' }[action])(await q.one(
			'select outcome from review_resolve($1, $2, null, null)', w.generation_id, action));
	}])),
	'job_clean, job_release': async (q) => {
		assert.equal((await q.one('select job_clean($1, $2) as n', f.owner, [job('claimed').job_id])).n, 1);
		assert.equal((await q.one('select job_release($1, $2) as n', f.owner, [job('submitted').job_id])).n, 1);
	},
	'job_claim': async (q) => assert.ok((await q.one('select job_id from job_claim($1, \'{fal}\', \'{1}\')', f.owner)).job_id),
	'generations_overdue': async (q) => {
		await q.one('update generations set deadline_at = now() - interval \'1 s\' where id = $1', job('submitted').generation_id);
		expect('review')(await q.one('select outcome from generations_overdue(10)'));
	},
	'outbox_pending': async (q) => assert.ok((await q.one('select seq from outbox_pending(interval \'0 s\', 10)')).seq),
};

for (const [name, call] of Object.entries(cases)) {
	for (const mode of ['force_custom_plan', 'force_generic_plan']) {
		test(`${name} (${mode})`, async () => {
			const n = await reads(mode, call);
			assert.ok(n > 0, 'its reads were not counted');
			assert.ok(n < FEW, `${n} entries of indexes read, of ${LIVE} jobs under way`);
		});
	}
}
