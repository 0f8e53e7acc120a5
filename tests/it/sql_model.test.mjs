// The simulator's model of the database (tests/sim/db*.c) against sql/: random
// sequences of calls, written down by the model with the outcome and all rows
// that it expects, are made on PostgreSQL and compared, so that neither can
// drift from the other.  A sequence is one transaction: now() stands still in
// it, and the virtual clock moves by moving the rows' times.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { kit, start } from './pg.mjs';
import { build } from './services.mjs';

const SEEDS = Number(process.env.SQL_MODEL_SEEDS ?? 120);
const CALLS = 60;

let server;
before(async () => { server = await start(); });
after(async () => { await server.stop(); });

// Ids that sort like the model's numbers and tell them.
const id = (kind, n) => (n === 0 ? 'null'
	: `'${kind}0000000-0000-7000-8000-${String(n).padStart(12, '0')}'::uuid`);
const user = (n) => id('1', n);
const gen = (n) => id('2', n);
const job = (n) => id('3', n);
const attempt = (n) => id('4', n);
const owner = (n) => id('5', n);
const hash = (n) => `sha256('${n}')`;
const move = (call) => `select outcome, 0 as n, (g).id as gen from ${call}`;
const moved = (call) => `select outcome from ${call}`;
const number = (call) => `select 'number' as outcome, (${call})::int as n`;
const rows = (call, outcome, gid) => `select 'rows' as outcome,
	${outcome} as what, ${gid} as gen from ${call}`;
const word = (call) => `select ${call} as outcome`;

// Each function of the model as a statement.
const say = {
	generation_submit: (c, route) => move(`generation_submit(${user(c.user)},
		${gen(c.next)}, 'k${c.key}', ${hash(c.hash)}, null, '${route}', 't2v',
		'{"prompt":"a cat"}', '{}', ${c.amount}, '{"lines":[]}', null, null,
		null, null, null, ${c.delay_ms / 1000}, null, null, null)`),
	generation_cancel: (c) => move(`generation_cancel(${gen(c.gen)},
		${user(c.user)}, null)`),
	credit_adjust: (c) => `select outcome from credit_adjust(${user(c.user)},
		${c.amount}, 'adjustment', 'k${c.key}', null, 'x', null)`,
	review_resolve: (c) => move(`review_resolve(${gen(c.gen)}, '${c.action}',
		null, null)`),
	instance_start: (c) => `select 'number' as outcome, 1 as n
		from instance_start(${owner(c.owner)}, 'i', '0')`,
	instance_beat: (c) => number(`instance_beat(${owner(c.owner)})`),
	instance_stop: (c) => `select 'number' as outcome, 1 as n
		from instance_stop(${owner(c.owner)})`,
	job_claim: (c) => rows(`job_claim(${owner(c.owner)}, '{fal}',
		'{${c.limit}}')`, "'adopted'", 'generation_id'),
	job_adopt: (c) => rows(`job_adopt(${owner(c.owner)},
		interval '${c.delay_ms} milliseconds', ${job(c.after)}, ${c.limit})`,
	'outcome', '(w).generation_id'),
	job_clean: (c) => number(`job_clean(${owner(c.owner)},
		array[${job(c.gen)}])`),
	job_release: (c) => number(`job_release(${owner(c.owner)},
		array[${job(c.gen)}])`),
	job_requeue: (c) => move(`job_requeue(${job(c.gen)}, ${owner(c.owner)},
		${attempt(c.attempt)}, ${c.delay_ms}, ${c.counts}, 'x', null)`),
	attempt_start: (c) => moved(`attempts_start(${owner(c.owner)},
		jsonb_build_array(jsonb_build_object('n', 1, 'alone', true, 'job', ${job(c.gen)},
		'attempt', ${attempt(c.attempt)}, 'nonce', ${attempt(c.attempt)},
		'token_hash', encode(${hash(1)}, 'hex'), 'request', '{}'::jsonb)))`),
	attempt_submitted: (c) => moved(`attempts_submitted(${owner(c.owner)},
		jsonb_build_array(jsonb_build_object('n', 1, 'alone', true, 'attempt',
		${attempt(c.attempt)}, 'provider_job_id', '${c.provider_id}')))`),
	attempt_uncertain: (c) => move(`attempt_uncertain(${attempt(c.attempt)},
		${owner(c.owner)}, ${c.delay_ms / 1000}, 'x')`),
	attempt_late: (c) => word(`attempt_late(${attempt(c.attempt)}, '{}',
		null)`),
	generation_finalizing: (c) => move(`generation_finalizing(${job(c.gen)},
		${owner(c.owner)}, 'https://x/y', null, null, null)`),
	generation_result_url: (c) => word(`generation_result_url(${job(c.gen)},
		${owner(c.owner)}, 'https://x/z', null)`),
	generation_finish: (c) => move(`generation_finish(${job(c.gen)},
		${owner(c.owner)}, '[]', '{}', ${c.amount < 0 ? 'null' : c.amount},
		null)`),
	generation_fail: (c) => moved(`generations_fail(${owner(c.owner)},
		jsonb_build_array(jsonb_build_object('n', 1, 'alone', true, 'job', ${job(c.gen)},
		'class', 'provider', 'code', 'x', 'message', 'x', 'retryable', true)))`),
	generation_cancelled: (c) => move(`generation_cancelled(${job(c.gen)},
		${owner(c.owner)}, 0, null)`),
	generation_review: (c) => move(`generation_review(${job(c.gen)},
		${owner(c.owner)}, 'x', 'x')`),
	generations_overdue: () => rows('generations_overdue(100)', 'outcome',
		'(g).id'),
	generations_promote: () => `select 'number' as outcome, count(*)::int as n
		from generations_promote(100)`,
	outbox_sent: (c) => number(`outbox_sent(array(select seq from (select seq,
		row_number() over (order by seq) as i from events
		where generation_id is not null) e
		where i = any ('{${c.seqs}}')))`),
};

// The line that db_text() writes.
const n = (column) => `coalesce(right(${column}::text, 12)::bigint, 0)`;
const time = (column) => `coalesce(round(extract(epoch from ${column}
	- now()) * 1000)::text, '-')`;
const state = `select coalesce((select string_agg(format('u%s %s %s %s;',
	${n('user_id')}, balance, active, waiting), '' order by user_id)
	from accounts where user_id::text like '1%'), '')
|| coalesce((select string_agg(format(
	'g%s %s v%s %s %s %s %s %s %s o%s a%s c%s l%s t%s %s;', ${n('g.id')},
	g.status, g.version, c.state, c.refunded, coalesce(c.settled, 0),
	${time('g.deadline_at')}, j.status, j.step, ${n('j.owner')},
	${n('j.attempt_id')}, j.crash_count, j.lone_crashes, j.tries, ${time('j.eligible_at')}),
	'' order by g.id) from generations g join charges c
	on c.generation_id = g.id join jobs j on j.generation_id = g.id), '')
|| coalesce((select string_agg(format('a%s g%s n%s %s p%s%s%s;', ${n('id')},
	${n('generation_id')}, number, status, coalesce(provider_job_id, '0'),
	case when result_url is not null then ' url' end,
	case when late_result is not null then ' late' end), '' order by id)
	from attempts), '')
|| format('l%s e%s %s', (select count(*) from ledger_entry),
	(select count(*) from events where generation_id is not null),
	(select count(*) from events e where generation_id is not null
		and not exists (select from outbox o where o.seq = e.seq))) as state`;

// ms go by: everything that is compared with now() gets older.
const pass = (ms) => (ms <= 0 ? '' : `
update generations set deadline_at = deadline_at - interval '${ms} ms',
	review_at = review_at - interval '${ms} ms';
update jobs set eligible_at = eligible_at - interval '${ms} ms',
	started_at = started_at - interval '${ms} ms';
update instances set beat_at = beat_at - interval '${ms} ms';`);

async function begin(db, c) {
	await db.query('begin');
	const config = { video_queue_deadline_s: c.queue_ms / 1000,
		video_review_s: c.review_ms / 1000, video_waiting_limit: c.waiting };
	for (const [key, value] of Object.entries(config)) {
		await db.query('insert into system_config (key, value, type) values '
			+ "($1, $2, 'int') on conflict (key) do update set value = "
			+ 'excluded.value', [key, JSON.stringify(value)]);
	}
	for (const [i, [credits, limit]] of c.users.entries()) {
		const u = user(i + 1);
		await db.query(`select user_create(${u}, 'u${i}@example.org', 'U',
			'user', ${credits}, null);
			select user_update(${u}, null, null, null, ${limit}, null)`);
	}
}

async function call(db, c, route, ms) {
	const made = c.fn === 'generation_submit' && c.outcome === 'created'
		? `set local session_replication_role = replica;
			update jobs set id = ${job(c.next)}
			where generation_id = ${gen(c.next)};
			set local session_replication_role = origin;` : '';
	try {
		const all = await db.query(`${pass(ms)} savepoint s;
			${say[c.fn](c, route)}; ${made}
			execute model_state`);
		const at = all.findIndex((r) => r.fields.some(
			(f) => f.name === 'outcome'));
		return { rows: all[at].rows, state: all.at(-1).rows[0].state };
	} catch (e) {
		await db.query('rollback to savepoint s');
		return { raised: e.message, rows: [],
			state: (await db.query('execute model_state')).rows[0].state };
	}
}

const told = (r) => r.rows.map((x) => `${x.what} `
	+ `${Number(x.gen.slice(-12))}`).join(', ');

test('the model says what PostgreSQL does', async (t) => {
	const { stdout } = await promisify(execFile)(
		join(build, 'tests/sim/simulate'), ['calls', '1', `${SEEDS}`,
			`${CALLS}`], { maxBuffer: 1 << 28 });
	const lines = stdout.trimEnd().split('\n').map((l) => JSON.parse(l));
	const base = await server.database();
	const route = await kit(await base.engine()).route();
	const db = await base.root();
	await db.query(`prepare model_state as ${state}`);
	const seen = {};
	let seed = 0, clock = 0, gens = 0, failed = null;
	for (const c of lines) {
		if (c.fn === 'begin') {
			if (seed > 0) await db.query('rollback');
			// Rows that were rolled back slow down every scan.
			if (c.seed % 10 === 0) await db.query('vacuum');
			await begin(db, c);
			({ seed } = c);
			clock = 1000;
			gens = 0;
			continue;
		}
		c.next = gens + 1;
		const got = await call(db, c, route, c.t - clock);
		clock = c.t;
		if (c.outcome === 'created') gens++;
		const outcome = got.raised ? 'raised'
			: got.rows[0]?.outcome ?? 'rows';
		failed = `seed ${seed}, ${JSON.stringify({ ...c, state: '' })}: `
			+ `${got.raised ?? ''}`;
		assert.equal(outcome, c.outcome, failed);
		if (c.outcome === 'number') {
			assert.equal(got.rows[0].n, c.number, failed);
		} else if (c.outcome === 'rows') {
			assert.equal(told(got), c.rows, failed);
		}
		assert.equal(got.state, c.state, failed);
		for (const what of [c.outcome, ...c.rows.split(', ')]) {
			const one = `${c.fn} ${what.split(' ')[0]}`;
			seen[one] = (seen[one] ?? 0) + 1;
		}
	}
	await db.query('rollback');
	t.diagnostic(`${lines.length} calls, ${Object.keys(seen).length} outcomes`);
	// What was never met was not compared.
	for (const one of ['generation_submit created', 'generation_submit replayed',
		'generation_submit mismatch', 'generation_submit limit',
		'generation_submit insufficient', 'generation_cancel cancelled',
		'generation_cancel cancelling', 'generation_cancel too_late',
		'job_requeue requeued', 'job_requeue exhausted', 'job_requeue gone',
		'job_requeue cancelled', 'attempt_start started', 'attempt_start gone',
		'attempt_submitted submitted', 'attempt_submitted gone',
		'attempt_submitted cancelling', 'attempt_uncertain uncertain',
		'attempt_uncertain review', 'attempt_late stored',
		'generation_finalizing finalizing', 'generation_finish completed',
		'generation_finish gone', 'generation_fail failed',
		'generation_fail gone', 'generation_cancelled cancelled',
		'generation_cancelled not_asked', 'generation_review review',
		'review_resolve refunded', 'review_resolve charged',
		'review_resolve delivering', 'review_resolve no_result',
		'job_adopt adopted', 'job_adopt poisoned', 'job_adopt set_apart',
		'generations_overdue failed', 'generations_overdue cancelled',
		'generations_overdue review']) {
		assert.ok(seen[one] > 0, `never met: ${one}`);
	}
});
