// Starts and ends of several jobs in one transaction: the same as one after
// the other, and one's trouble is not another's.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { start } from './pg.mjs';

let server;
before(async () => { server = await start(); });
after(async () => { await server.stop(); });

const outcomes = (rows) => Object.fromEntries(rows.map((r) => [r.n, r.outcome]));

// n jobs that are claimed, of the users in turn.
async function claimed(f, users, n, credits) {
	const all = [];
	for (let i = 0; i < n; i++) {
		const g = await f.k.submit(users[i % users.length], f.route, { credits: credits?.(i) ?? 10 });
		assert.equal(g.outcome, 'created');
		all.push(g.id);
	}
	const rows = await f.k.claim(f.owner, 'fal', n);
	assert.equal(rows.length, n);
	return all.map((id) => rows.find((r) => r.generation_id === id));
}
// What happened to them, without ids and times.
const story = async (f, jobs) => (await f.conn.query(`select g.status, g.stage, g.version, g.error_class, g.error_code,
		g.error_message, g.provider_message, g.error_retryable, g.deadline_at is null as no_deadline, j.status as job,
		j.last_error, j.owner is null as free, c.state, c.fee, c.refunded, c.reason, a.status as attempt, a.number,
		a.error_class as a_class, a.cost_micro_usd, a.cost_quoted_micro_usd, encode(a.token_hash, 'hex') as token,
		a.request, a.provider, a.account_id,
		(select string_agg(e.type || ' ' || e.version || ' ' || coalesce(e.balance::text, '-'), ', ' order by e.seq)
			from events e where e.generation_id = g.id) as events,
		(select string_agg(l.type || ' ' || l.amount || ' ' || l.balance_after, ', ' order by l.id)
			from ledger_entry l where l.charge_id = c.id) as ledger
	from unnest($1::uuid[]) with ordinality as w(id, n) join jobs j on j.id = w.id
		join generations g on g.id = j.generation_id join charges c on c.generation_id = g.id
		left join attempts a on a.id = j.attempt_id order by w.n`, [jobs.map((w) => w.job_id)])).rows;

test('together as one after the other: rows, events, ledger, balances, places in line', async () => {
	const seen = [];
	for (const together of [false, true]) {
		const f = await server.fresh();
		// The third has more waiting than may run; the second's credits expire.
		const users = [await f.k.user(1000, 100), await f.k.user(0, 100), await f.k.user(1000, 4)];
		for (const [amount, days] of [[25, 1], [400, 30]]) {
			await f.k.one('select credit_adjust($1, $2, $3, $4, null, null, $5)', [users[1], amount, 'bonus',
				randomUUID(), new Date(Date.now() + days * 864e5)]);
		}
		const jobs = await claimed(f, users, 12, (i) => [10, 20, 0, 7][i % 4]);
		for (let i = 0; i < 3; i++) await f.k.submit(users[2], f.route);
		const opened = jobs.slice(0, 10); // the last two never get an attempt
		const items = opened.map((w) => ({ job: w.job_id, attempt: randomUUID() }));
		for (const part of together ? [items] : items.map((i) => [i])) {
			assert.ok((await f.k.starts(f.owner, part)).every((r) => r.outcome === 'started'));
		}
		const middle = await story(f, jobs);
		const ends = jobs.map((w, i) => ({ job: w.job_id, code: `code${i}`, fee: [0, 3, 50, -1][i % 4],
			...i % 2 ? { cost_micro_usd: 77 } : {} }));
		const told = [];
		for (const part of together ? [ends] : ends.map((e) => [e])) {
			const rows = await f.k.fails(f.owner, part);
			assert.deepEqual(rows.map((r) => r.n), part.map((_, i) => i + 1));
			told.push(...rows);
		}
		const promoted = told.flatMap((r) => r.promoted ?? []);
		for (const r of told) {
			assert.equal(r.event.type, 'generation.failed');
			const own = await f.k.one("select seq from events where generation_id = $1 and type = 'generation.failed'",
				[r.generation_id]);
			assert.deepEqual(r.seqs.map(Number), [own.seq, ...(r.promoted ?? []).map((p) => p.seq)]);
		}
		const balances = [];
		for (const u of users) balances.push(await f.k.balance(u));
		assert.deepEqual(await f.k.audit(), {});
		seen.push({ middle, end: await story(f, jobs), balances, promoted: promoted.length,
			events: told.map((r) => ({ ...r.event, generation_id: 0, user_id: users.indexOf(r.event.user_id), ts: 0,
				data: { ...r.event.data, id: 0, created_at: 0, started_at: 0, completed_at: 0 } })),
			balance_events: told.map((r) => r.balance_event && { ...r.balance_event, version: 0, ts: 0,
				user_id: users.indexOf(r.balance_event.user_id) }),
			accounts: (await f.conn.query('select balance, active, waiting from accounts where user_id = any ($1) '
				+ 'order by array_position($1, user_id)', [users])).rows,
			grants: (await f.conn.query('select credits, remaining from grants order by expires_at')).rows,
			used: (await f.conn.query('select credits, returned from grant_use order by 1, 2')).rows });
	}
	assert.deepEqual(seen[1], seen[0]);
	assert.equal(seen[0].promoted, 3);
	assert.ok(seen[0].used.length > 0);
});

test('what is gone, locked, or ended has no row in company, and is decided alone', async () => {
	const f = await server.fresh(3);
	const jobs = await claimed(f, [await f.k.user(1000, 100)], 6);
	const [lost, locked, taken] = jobs;
	await f.conn.query('update jobs set owner = $2 where id = $1', [lost.job_id, await f.k.instance()]);
	const other = await f.db.engine();
	await other.query('begin');
	await other.query('select from jobs where id = $1 for update', [locked.job_id]);
	const used = randomUUID();
	await f.k.start(taken, f.owner, used);
	const items = jobs.map((w) => ({ job: w.job_id, attempt: w === taken ? used : randomUUID() }));
	const ok = { 4: 'started', 5: 'started', 6: 'started' };
	assert.deepEqual(outcomes(await f.k.starts(f.owner, items)), ok);
	assert.deepEqual(outcomes(await f.k.starts(f.owner, items)), {});
	for (const i of [0, 2, 3]) assert.deepEqual(outcomes(await f.k.starts(f.owner, [items[i]])), { 1: 'gone' });
	// Who comes by himself is not alone yet: others may gather behind him.
	assert.deepEqual(await f.k.starts(f.owner, [{ ...items[1], alone: false }]), []);
	const waits = f.k.starts(f.owner, [items[1]]);
	await other.query('commit');
	assert.deepEqual(outcomes(await waits), { 1: 'started' });

	await other.query('begin');
	await other.query('select from jobs where id = $1 for update', [locked.job_id]);
	await f.k.fail(jobs[5], f.owner);
	assert.deepEqual(outcomes(await f.k.fails(f.owner, items)), { 3: 'failed', 4: 'failed', 5: 'failed' });
	assert.deepEqual(outcomes(await f.k.fails(f.owner, items)), {});
	for (const i of [0, 2, 5]) assert.deepEqual(outcomes(await f.k.fails(f.owner, [items[i]])), { 1: 'gone' });
	assert.deepEqual(await f.k.fails(f.owner, [{ ...items[1], alone: false }]), []);
	const ends = f.k.fails(f.owner, [items[1]]);
	await other.query('commit');
	assert.deepEqual(outcomes(await ends), { 1: 'failed' });
	assert.deepEqual(await f.k.audit(), {});
});

test('answers of providers together as one after the other', async () => {
	const seen = [];
	for (const together of [false, true]) {
		const f = await server.fresh();
		const jobs = await claimed(f, [await f.k.user(1000, 100), await f.k.user(1000, 100)], 6);
		const items = jobs.map((w, i) => ({ attempt: randomUUID(), provider_job_id: `fal-${i}`,
			...i % 2 ? { refs: { look: i }, position: i } : {} }));
		await f.k.starts(f.owner, jobs.map((w, i) => ({ job: w.job_id, attempt: items[i].attempt })));
		// One is to be stopped, one was given up: a person looks at it.
		assert.equal((await f.k.one('select (generation_cancel($1, user_id, null)).outcome from generations where id = $1',
			[jobs[1].generation_id])).outcome, 'cancelling');
		assert.equal((await f.k.one('select (attempt_uncertain($1, $2, 0, $3)).outcome', [items[2].attempt, f.owner, 'lost']))
			.outcome, 'review');
		const rows = [];
		for (const part of together ? [items] : items.map((i) => [i])) rows.push(...await f.k.submits(f.owner, part));
		assert.deepEqual(rows.map((r) => r.outcome), ['submitted', 'cancelling', 'submitted', 'submitted', 'submitted', 'submitted']);
		for (const r of rows) {
			assert.equal(r.event.type, 'generation.stage');
			const own = await f.k.one("select max(seq) as seq from events where generation_id = $1", [r.generation_id]);
			assert.deepEqual(r.seqs.map(Number), [own.seq]);
		}
		assert.deepEqual(await f.k.audit(), {});
		seen.push({ story: (await story(f, jobs)).map((x) => ({ ...x, account_id: 0 })),
			attempts: (await f.conn.query(`select status, provider_job_id, refs, provider_position, submitted_at is not null as at
				from attempts order by provider_job_id`)).rows,
			jobs: (await f.conn.query('select status, step, tries, crash_count, last_error from jobs j order by created_at, id')).rows,
			told: rows.map((r) => [r.event.version, r.event.data.status, r.event.data.stage, r.event.data.queue]) });
	}
	assert.deepEqual(seen[1], seen[0]);
	assert.equal(seen[0].attempts[2].provider_job_id, 'fal-2');
	assert.equal(seen[0].story[2].status, 'processing');
	assert.equal(seen[0].story[2].reason, null);
});

test('an answer that is late, locked or said twice', async () => {
	const f = await server.fresh(3);
	const jobs = await claimed(f, [await f.k.user(1000, 100)], 5);
	const items = jobs.map(() => ({ attempt: randomUUID() }));
	await f.k.starts(f.owner, jobs.map((w, i) => ({ job: w.job_id, attempt: items[i].attempt })));
	await f.conn.query('update jobs set owner = $2 where id = $1', [jobs[0].job_id, await f.k.instance()]);
	await f.k.fail(jobs[1], f.owner);
	const other = await f.db.engine();
	await other.query('begin');
	await other.query('select from jobs where id = $1 for update', [jobs[2].job_id]);
	const all = [...items, { attempt: randomUUID() }]; // and one that nobody made
	await assert.rejects(f.k.submits(f.owner, [...all, items[4]]), { code: 'P0002' });
	assert.deepEqual(outcomes(await f.k.submits(f.owner, all)), { 4: 'submitted', 5: 'submitted' });
	assert.deepEqual(outcomes(await f.k.submits(f.owner, all)), {});
	for (const i of [0, 1, 3, 5]) assert.deepEqual(outcomes(await f.k.submits(f.owner, [all[i]])), { 1: 'gone' });
	assert.deepEqual(await f.k.submits(f.owner, [{ ...items[2], alone: false }]), []);
	const waits = f.k.submits(f.owner, [items[2]]);
	await other.query('commit');
	assert.deepEqual(outcomes(await waits), { 1: 'submitted' });
	assert.deepEqual(await f.k.audit(), {});
});

test('an account that is locked ends a company within seconds, one alone waits', async () => {
	const f = await server.fresh(3);
	const [ann, bob] = [await f.k.user(100, 10), await f.k.user(100, 10)];
	const jobs = await claimed(f, [ann, bob], 4);
	const whose = async (w) => (await f.k.one('select user_id from jobs where id = $1', [w.job_id])).user_id;
	const anns = [], bobs = [];
	for (const w of jobs) (await whose(w) === ann ? anns : bobs).push(w);
	const other = await f.db.engine();
	await other.query('begin');
	await other.query('select from accounts where user_id = $1 for update', [ann]);
	await assert.rejects(f.k.fails(f.owner, jobs.map((w) => ({ job: w.job_id }))), { code: '55P03' });
	// Those that pass by do not wait: no row for hers.
	const past = [anns[0], bobs[0], anns[1]].map((w) => ({ job: w.job_id, pass: true }));
	assert.deepEqual(outcomes(await f.k.fails(f.owner, past)), { 2: 'failed' });
	assert.deepEqual(outcomes(await f.k.fails(f.owner, [{ job: bobs[1].job_id }])), { 1: 'failed' });
	await assert.rejects(f.k.fails(f.owner, [{ job: anns[0].job_id, alone: false }]), { code: '55P03' });
	const waits = f.k.fails(f.owner, [{ job: anns[0].job_id }]);
	await other.query('commit');
	assert.deepEqual(outcomes(await waits), { 1: 'failed' });
	assert.deepEqual(await f.k.audit(), {});
});

test('one whose books are wrong takes nobody along', async () => {
	const f = await server.fresh();
	const jobs = await claimed(f, [await f.k.user(100, 10)], 3);
	const root = await f.db.root();
	await root.query('set session_replication_role = replica');
	await root.query('update charges set refunded = 5 where generation_id = $1', [jobs[1].generation_id]);
	await root.query('delete from ledger_entry where charge_id = (select id from charges where generation_id = $1)',
		[jobs[1].generation_id]);
	const items = jobs.map((w) => ({ job: w.job_id }));
	await assert.rejects(f.k.fails(f.owner, items), { code: 'P0012' });
	await assert.rejects(f.k.fails(f.owner, [items[1]]), { code: 'P0012' });
	for (const i of [0, 2]) assert.deepEqual(outcomes(await f.k.fails(f.owner, [items[i]])), { 1: 'failed' });
	assert.equal((await f.k.one('select status from generations where id = $1', [jobs[1].generation_id])).status, 'queued');
});

test('two instances end the jobs of the same users at once: no deadlock, all paid back', async () => {
	const f = await server.fresh(8);
	const users = [];
	for (let i = 0; i < 6; i++) users.push(await f.k.user(1000, 100));
	const jobs = await claimed(f, users, 120);
	let refused = 0;
	const send = async (part) => {
		try {
			return await f.k.fails(f.owner, part);
		} catch (e) {
			assert.equal(e.code, '55P03');
			refused++;
			return [];
		}
	};
	// Each group has jobs of all users, in another order.
	await Promise.all(Array.from({ length: 8 }, async (_, i) => {
		const mine = jobs.filter((__, k) => k % 8 === i).map((w) => ({ job: w.job_id }));
		const part = i % 2 ? mine.reverse() : mine;
		const rows = await send(part);
		const done = new Set(rows.map((r) => r.n));
		for (const [n, one] of part.entries()) {
			if (!done.has(n + 1)) assert.equal((await f.k.fails(f.owner, [one]))[0].outcome, 'failed');
		}
	}));
	for (const u of users) assert.equal(await f.k.balance(u), 1000);
	assert.deepEqual(await f.k.audit(), {});
	assert.ok(refused <= 8);
});

test('one that stands twice in a group ends nobody', async () => {
	const f = await server.fresh();
	const jobs = await claimed(f, [await f.k.user(1000, 100)], 2);
	for (const w of jobs) await f.k.start(w, f.owner);
	const before = await story(f, jobs);
	const ends = [jobs[0], jobs[1], jobs[0]].map((w) => ({ job: w.job_id }));
	await assert.rejects(f.k.fails(f.owner, ends), { code: 'P0002' });
	assert.deepEqual(await story(f, jobs), before);
	assert.deepEqual(outcomes(await f.k.fails(f.owner, ends.slice(0, 2))), { 1: 'failed', 2: 'failed' });
	assert.deepEqual(await f.k.audit(), {});
});

test('an account is written when one of its generations moves', async () => {
	const f = await server.fresh();
	const users = [await f.k.user(1000, 100), await f.k.user(1000, 100), await f.k.user(1000, 100)];
	const jobs = await claimed(f, users, 5);
	const versions = async () => (await f.conn.query('select active, waiting, xmin::text from accounts '
		+ 'where user_id = any ($1) order by array_position($1, user_id)', [users])).rows;
	const before = await versions();
	assert.deepEqual(before.map((a) => [a.active, a.waiting]), [[2, 0], [2, 0], [1, 0]]);
	await f.k.starts(f.owner, jobs.map((w) => ({ job: w.job_id, attempt: randomUUID() })));
	await f.conn.query('update generations set progress = 50');
	assert.deepEqual(await versions(), before, 'one that is queued and one that runs are both active');
	const ends = [jobs[0], jobs[1], jobs[4]].map((w) => ({ job: w.job_id, code: 'it_failed', fee: 0 }));
	assert.equal((await f.k.fails(f.owner, ends)).length, 3);
	const moved = await versions();
	assert.deepEqual(moved.map((a) => a.active), [1, 0, 1]);
	assert.equal(moved[2].xmin, before[2].xmin);
	assert.deepEqual(await f.k.audit(), {});
});
