// Credits always add up: submit, refund, settle, grants, and the audit, every
// line of which must notice its planted fault.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { kit, sha, start } from './pg.mjs';

let server;
before(async () => { server = await start(); });
after(async () => { await server.stop(); });

const fresh = (...args) => server.fresh(...args);

test('200 parallel submits with credits for 10: exactly 10', async () => {
	const { k, route } = await fresh(40);
	const u = await k.user(100);
	const out = await Promise.all(Array.from({ length: 200 },
		() => k.submit(u, route)));
	const n = (o) => out.filter((r) => r.outcome === o).length;
	assert.deepEqual([n('created'), n('insufficient')], [10, 190]);
	assert.equal(await k.balance(u), 0);
	assert.deepEqual(await k.audit(), {});
});

test('one key 200 times at once: one generation', async () => {
	const { k, route } = await fresh(40);
	const u = await k.user(1000);
	const out = await Promise.all(Array.from({ length: 200 },
		() => k.submit(u, route, { key: 'k1' })));
	assert.equal(new Set(out.map((r) => r.id)).size, 1);
	assert.equal(out.filter((r) => r.outcome === 'created').length, 1);
	assert.equal(out.filter((r) => r.outcome === 'replayed').length, 199);
	assert.equal(await k.balance(u), 990);
	const other = await k.submit(u, route, { key: 'k1', body: 'other' });
	assert.equal(other.outcome, 'mismatch');
	assert.equal(other.id, null);
	const foreign = await k.submit(await k.user(10), route, { key: 'k1' });
	assert.equal(foreign.outcome, 'created');
	assert.deepEqual(await k.audit(), {});
});

test('a key whose first call hangs answers running', async () => {
	const { db, k, route } = await fresh();
	const u = await k.user(100);
	const hung = await db.engine();
	await hung.query('begin');
	assert.equal((await kit(hung).submit(u, route, { key: 'k' })).outcome,
		'created');
	assert.equal((await k.submit(u, route, { key: 'k' })).outcome, 'running');
	await hung.query('rollback');
	assert.equal((await k.submit(u, route, { key: 'k' })).outcome, 'created');
	assert.equal(await k.balance(u), 90);
});

test('refused submits leave nothing behind', async () => {
	const { k, conn, route } = await fresh();
	const u = await k.user(100);
	const refuse = async (want, o = {}) => assert.equal(
		(await k.submit(o.user ?? u, o.route ?? route, o)).outcome, want);
	await refuse('not_found', { user: randomUUID() });
	await refuse('model_gone', { route: randomUUID() });
	await refuse('asset_gone', { start: randomUUID() });
	await refuse('insufficient', { credits: 101 });
	await conn.query("update system_config set value = 'false' "
		+ "where key = 'video_generation_enabled'");
	await refuse('disabled');
	await conn.query("update system_config set value = 'true' "
		+ "where key = 'video_generation_enabled'");
	await k.one('select user_update($1, null, null, $2, null, null)',
		[u, 'suspended']);
	await refuse('suspended');
	assert.equal((await k.one('select count(*) as n from generations')).n, 0);
	assert.equal(await k.balance(u), 100);
});

test('failure refunds once, a fee is kept, settlement only goes down',
	async () => {
		const { k, route, owner } = await fresh();
		const u = await k.user(100);
		let w = await k.at('submitted', u, route, owner);
		const r = await k.fail(w, owner);
		assert.equal(r.outcome, 'failed');
		assert.equal(r.balance_event.data.balance, 100);
		assert.equal((await k.fail(w, owner)).outcome, 'gone');
		w = await k.at('submitted', u, route, owner);
		await k.fail(w, owner, 4);
		assert.equal(await k.balance(u), 96);
		w = await k.at('submitted', u, route, owner);
		await k.fail(w, owner, 400);
		assert.equal(await k.balance(u), 86);
		w = await k.at('finalizing', u, route, owner);
		assert.equal((await k.finish(w, owner, 7)).charge_settled, 7);
		assert.equal(await k.balance(u), 79);
		w = await k.at('finalizing', u, route, owner);
		assert.equal((await k.finish(w, owner, 700)).charge_settled, 10);
		assert.equal(await k.balance(u), 69);
		w = await k.at('submitted', u, route, owner, { credits: 0 });
		assert.equal((await k.fail(w, owner)).outcome, 'failed');
		assert.equal(await k.balance(u), 69);
		assert.deepEqual(await k.audit(), {});
	});

test('expiring credits are spent first and come back', async () => {
	const { k, conn, route, owner } = await fresh();
	const u = await k.user(100);
	const adjust = (amount, key, expires) => k.one('select * from '
		+ 'credit_adjust($1, $2, $3, $4, null, null, $5)', [u, amount,
		'bonus', key, expires]);
	const later = new Date(Date.now() + 3600e3);
	await adjust(6, 'g1', new Date(Date.now() + 1800e3));
	await adjust(20, 'g2', later);
	const left = async () => (await conn.query('select remaining from grants '
		+ 'order by expires_at')).rows.map((r) => r.remaining);
	const w = await k.at('submitted', u, route, owner);
	assert.deepEqual(await left(), [0, 16]);
	await k.fail(w, owner);
	assert.deepEqual(await left(), [6, 20]);
	await conn.query("update grants set expires_at = now() - interval '1 s' "
		+ 'where credits = 20');
	assert.equal((await k.one('select grants_expire(10) as n')).n, 1);
	assert.equal(await k.balance(u), 106);
	assert.deepEqual(await left(), [0, 6]);
	await conn.query("update grants set expires_at = now() - interval '1 s'");
	assert.equal((await k.submit(u, route, { credits: 101 })).outcome,
		'insufficient', 'an expired grant is no money, swept or not');
	assert.equal(await k.balance(u), 100);
	assert.deepEqual(await k.audit(), {});
});

test('credit_adjust repeats safely and never goes below zero', async () => {
	const { k } = await fresh(20);
	const u = await k.user(0);
	const adjust = (amount, key, type = 'adjustment') => k.one('select * from '
		+ 'credit_adjust($1, $2, $3, $4, null, null, null)',
		[u, amount, type, key]);
	const out = await Promise.all(Array.from({ length: 50 },
		() => adjust(30, 'top-up', 'purchase')));
	assert.equal(out.filter((r) => r.outcome === 'adjusted').length, 1);
	assert.equal(await k.balance(u), 30);
	assert.equal((await adjust(31, 'top-up', 'purchase')).outcome,
		'mismatch');
	assert.equal((await adjust(-31, 'x')).outcome, 'insufficient');
	assert.equal((await adjust(-5, 'x', 'bonus')).outcome, 'bad_type');
	assert.equal((await adjust(-5, 'y')).balance, 25);
	assert.deepEqual(await k.audit(), {});
});

test('the schema refuses what would break the books', async () => {
	const { k, conn, route, owner } = await fresh();
	const u = await k.user(100);
	const w = await k.at('submitted', u, route, owner);
	const done = await k.at('finalizing', u, route, owner);
	await k.finish(done, owner);
	const charge = (await k.one('select id from charges where '
		+ 'generation_id = $1', [w.generation_id])).id;
	const paid = (await k.one('select id from charges where '
		+ 'generation_id = $1', [done.generation_id])).id;
	const refuses = async (code, text, args) => {
		await assert.rejects(conn.query(text, args), (e) => {
			assert.equal(e.code, code, `${text}: ${e.message}`);
			return true;
		});
	};
	await refuses('P0016', 'update ledger_entry set amount = 1');
	await refuses('P0016', 'delete from ledger_entry');
	await refuses('P0016', 'truncate ledger_entry');
	await refuses('P0017', 'update accounts set balance = balance + 1');
	await refuses('23514', 'insert into ledger_entry (user_id, type, amount) '
		+ "values ($1, 'adjustment', -1000)", [u]);
	await refuses('23514', 'insert into ledger_entry (user_id, type, amount) '
		+ "values ($1, 'adjustment', 0)", [u]);
	await refuses('23505', 'insert into ledger_entry (user_id, type, amount, '
		+ "charge_id) values ($1, 'video_generation', -10, $2)", [u, charge]);
	await refuses('P0013', 'insert into ledger_entry (user_id, type, amount, '
		+ "charge_id) values ($1, 'video_refund', 10, $2)", [u, charge]);
	await refuses('P0013', 'insert into ledger_entry (user_id, type, amount, '
		+ "charge_id) values ($1, 'video_refund', 10, $2)", [u, paid]);
	await refuses('P0014', 'insert into ledger_entry (user_id, type, amount, '
		+ "charge_id) values ($1, 'settle_refund', 11, $2)", [u, paid]);
	await refuses('P0018', 'update charges set quote = 1');
	await refuses('P0018', "update charges set breakdown = '[]'");
	await refuses('P0005', 'delete from charges');
	await refuses('P0005', 'delete from generations');
	await refuses('P0020', "update generations set status = 'failed', "
		+ "error_code = 'x', completed_at = now(), version = version + 1 "
		+ 'where id = $1', [w.generation_id]);
	// Two entries in one statement say what each leaves.
	const { balance } = await k.one('select balance from accounts where user_id = $1', [u]);
	const pair = async (code, first, second) => refuses(code, 'insert into ledger_entry (user_id, type, amount, '
		+ "balance_after) values ($1, 'bonus', 3, $2), ($1, 'bonus', 4, $3)", [u, first, second]);
	await pair('P0021', Number(balance) + 4, Number(balance) + 8);
	await pair('P0021', Number(balance) + 3, Number(balance) + 4);
	// Only one by itself need not.
	await refuses('P0021', "insert into ledger_entry (user_id, type, amount) values ($1, 'bonus', 3), "
		+ "($1, 'bonus', 4)", [u]);
	await refuses('P0021', "insert into ledger_entry (user_id, type, amount, balance_after) values ($1, 'bonus', 3, $2)",
		[u, balance]);
	await conn.query('begin');
	assert.deepEqual((await conn.query("insert into ledger_entry (user_id, type, amount) values ($1, 'bonus', 3) "
		+ 'returning balance_after - $2 as more', [u, balance])).rows.map((r) => Number(r.more)), [3]);
	assert.equal((await k.one('select balance from accounts where user_id = $1', [u])).balance, balance + 3);
	await conn.query('rollback');
	assert.equal((await k.one('select balance from accounts where user_id = $1', [u])).balance, balance);
	await refuses('P0015', 'insert into ledger_entry (user_id, type, amount, balance_after) '
		+ "values ($1, 'bonus', 3, 3)", [randomUUID()]);
	await refuses('23503', 'insert into accounts (user_id) values ($1)', [randomUUID()]);
	// A charge that is not debited in full, and a job without a charge.
	const order = async () => {
		await conn.query('begin');
		const { rows: [g] } = await conn.query('insert into generations (id, user_id, mode, model_id, '
			+ 'model, model_name, route_id, provider, prompt, spec, status, '
			+ "credits) select $1, user_id, mode, model_id, model, model_name, "
			+ "route_id, provider, prompt, spec, 'queued', 5 from generations "
			+ 'where user_id = $2 limit 1 returning id', [randomUUID(), u]);
		return g.id;
	};
	const bill = async (id) => (await conn.query('insert into charges (generation_id, user_id, quote, breakdown) '
		+ "values ($1, $2, 5, '{}') returning id", [id, u])).rows[0].id;
	const job = "insert into jobs (generation_id, user_id, provider, status) values ($1, $2, 'fal', 'queued')";
	await refuses('P0011', 'insert into ledger_entry (user_id, type, amount, charge_id) '
		+ "values ($1, 'video_generation', -4, $2)", [u, await bill(await order())]);
	await conn.query('rollback');
	const unpaid = await order();
	await bill(unpaid);
	await refuses('P0019', job, [unpaid, u]);
	await conn.query('rollback');
	await refuses('P0019', job, [await order(), u]);
	await conn.query('rollback');
	assert.deepEqual(await k.audit(), {});
});

test('several orders in one transaction: each has its own end', async () => {
	const { k, db, conn, route } = await fresh();
	const [ann, bob, cid] = [await k.user(25), await k.user(100), await k.user(5)];
	const order = (n, user_id, more = {}) => ({ n, user_id, id: randomUUID(), route,
		mode: 't2v', spec: { prompt: 'a cat' }, resolved: {}, credits: 10,
		breakdown: { lines: [] }, ...more });
	const keyed = (n, user_id, key, body = 'b', more = {}) => order(n, user_id,
		{ key, hash: sha(body).toString('hex'), ...more });
	const many = async (...orders) => Object.fromEntries((await conn.query('select n, outcome, '
		+ 'seqs, balance, generation_id as id, status from generation_submit_many($1)',
		[JSON.stringify(orders)])).rows.map((r) => [r.n, r]));
	const first = keyed(1, bob, 'k');
	const all = [first, order(2, ann), order(3, cid), order(4, ann), order(5, randomUUID()),
		order(6, ann), order(7, bob, { route: randomUUID() }), keyed(8, bob, 'k')];
	const r = await many(...all);
	// Ann had credits for two; a key's second is not judged.
	assert.deepEqual(Object.values(r).map((x) => `${x.n} ${x.outcome}`), ['1 created', '2 created',
		'3 insufficient', '4 created', '5 not_found', '6 insufficient', '7 model_gone']);
	assert.deepEqual([r[2].balance, r[4].balance, r[6].balance, r[3].balance], [15, 5, 5, 5]);
	assert.equal(r[1].id, first.id);
	assert.equal(new Set([1, 2, 4].flatMap((n) => r[n].seqs)).size, 3);
	// As if one had come after the other: two of them run, the third waits.
	await k.one('select user_update($1, null, null, null, $2, null)', [bob, 2]);
	const b = await many(order(1, bob), order(2, bob), keyed(3, bob, 'k'), keyed(4, bob, 'j'),
		keyed(5, ann, 'k', 'other'));
	assert.deepEqual(Object.values(b).map((x) => [x.outcome, x.status]), [['created', 'queued'],
		['created', 'pending'], ['replayed', null], ['created', 'pending'],
		['insufficient', null]]);
	assert.equal(b[3].id, first.id);
	assert.equal((await many(order(1, ann), keyed(2, bob, 'k', 'other')))[2].outcome, 'mismatch');
	// A locked key holds up nobody: it has no row. A locked account does, for a moment.
	const other = await db.engine();
	await other.query('begin');
	await other.query('select pg_advisory_xact_lock(submit_lock_id($1, $2))', [bob, 'x']);
	const held = await many(order(1, ann, { credits: 10 }), order(2, bob), keyed(3, bob, 'x'));
	assert.deepEqual(Object.values(held).map((x) => `${x.n} ${x.outcome}`), ['1 insufficient', '2 created']);
	await other.query('select from accounts where user_id = $1 for update', [ann]);
	await assert.rejects(many(order(1, ann, { credits: 1 }), order(2, bob)), { code: '55P03' });
	await assert.rejects(many(order(1, ann, { credits: 1 })), { code: '55P03' });
	assert.deepEqual(await many(keyed(1, bob, 'x')), {});
	// Those that pass by do not wait: no row for her.
	const past = await many(...[order(1, ann, { credits: 1 }), order(2, bob), order(3, ann, { credits: 1 })]
		.map((o) => ({ ...o, pass: true })));
	assert.deepEqual(Object.values(past).map((x) => `${x.n} ${x.outcome}`), ['2 created']);
	// How long one waits that is alone can be said.
	assert.equal((await many(order(1, ann, { credits: 1, alone: true, wait_ms: 1 })))[1].outcome, 'busy');
	// One that is alone waits instead, and what is wrong is refused whole.
	const waits = many(order(1, ann, { credits: 1, alone: true }));
	await other.query('rollback');
	assert.equal((await waits)[1].outcome, 'created');
	await assert.rejects(many(order(1, bob), order(2, bob, { id: first.id })), { code: '23505' });
	assert.equal(await k.balance(bob), 100 - 60);
	assert.equal((await k.one('select count(*) as n from generations')).n, 9);
	assert.deepEqual(await k.audit(), {});
});

// It is put together from what was written, not looked up.
test('what an order returns is what is there', async () => {
	const { k, conn, route } = await fresh();
	const u = await k.user(100, 2);
	const first = await k.submit(u, route);
	const asset = async (n) => (await k.one(`insert into assets (user_id, kind, backend, key, mime, size_bytes)
		values ($1, 'source_image', 'local', $2, 'image/png', 1) returning id`, [u, n])).id;
	const project = (await k.one("insert into projects (user_id, name) values ($1, 'p') returning id", [u])).id;
	const [plan] = (await conn.query('select id from price_plans limit 1')).rows;
	const order = (n, more = {}) => ({ n, user_id: u, id: randomUUID(), route, mode: 't2v', spec: { prompt: 'a cat' },
		resolved: { duration_s: 5 }, credits: 10, breakdown: { lines: [] }, ...more });
	// The third and the fourth wait.
	const { rows } = await conn.query('select * from generation_submit_many($1)',
		[JSON.stringify([order(1, { spec: {} }), order(2, { plan: plan?.id, credits: 0, title: 'A title', project }),
			order(3, { mode: 'i2v', start_asset: await asset('a'), end_asset: await asset('b'),
				spec: { prompt: 'x', negative_prompt: 'y' }, parent: first.id, relation: 'remix' }),
			order(4, { key: 'k', hash: sha('b').toString('hex'), deadline_s: 60, priority: 1 })])]);
	assert.deepEqual(rows.map((r) => `${r.outcome} ${r.status}`), ['created queued', 'created pending',
		'created pending', 'created pending']);
	for (const r of rows) {
		const stored = await k.one(`select g.user_id, g.status::text as status, g.model, g.model_name, g.provider,
			e.type as event_type, g.version as event_version, ms(g.created_at) as event_ms,
			generation_data(g) as event_data, array[e.seq] as seqs, e.balance, e.balance_version
			from generations g join events e on e.generation_id = g.id where g.id = $1`, [r.generation_id]);
		for (const [name, value] of Object.entries(stored)) assert.deepEqual(r[name], value, name);
		assert.deepEqual(r.event_data.id, r.generation_id);
		const entry = await k.one(`select l.id, l.balance_after from ledger_entry l join charges c
			on c.id = l.charge_id where c.generation_id = $1`, [r.generation_id]);
		assert.deepEqual([r.balance_version, r.balance], [entry?.id ?? null, entry?.balance_after ?? null]);
	}
	assert.deepEqual(await k.audit(), {});
});

test('a row belongs to the user of what it is about', async () => {
	const { k, conn, route, owner } = await fresh();
	const [ann, bob] = [await k.user(100), await k.user(100)];
	const w = await k.at('submitted', ann, route, owner);
	const refuses = (code, text, args) => assert.rejects(conn.query(text, args),
		(e) => { assert.equal(e.code, code, `${text}: ${e.message}`); return true; });
	const copy = (what) => `insert into generations (id, user_id, mode, model_id, model, model_name, route_id, `
		+ `provider, prompt, spec, status, credits, api_key_id) select gen_random_uuid(), ${what.user ?? 'user_id'}, `
		+ `mode, ${what.model ?? 'model_id'}, model, model_name, ${what.route ?? 'route_id'}, provider, prompt, spec, `
		+ `'queued', 5, ${what.key ?? 'null'} from generations limit 1`;
	for (const what of ['user', 'model', 'route', 'key']) {
		await refuses('23503', copy({ [what]: 'gen_random_uuid()' }));
	}
	await refuses('23503', `insert into charges (generation_id, user_id, quote, breakdown) values ($1, $2, 1, '{}')`,
		[randomUUID(), ann]);
	await conn.query('begin');
	await conn.query(copy({}));
	await refuses('23503', `insert into charges (generation_id, user_id, quote, breakdown) select id, $1, 5, '{}' `
		+ 'from generations where credits = 5', [bob]);
	await conn.query('rollback');
	await refuses('23503', `insert into events (type, user_id, generation_id, version, data) values ('x', $1, $2, 1, '{}')`,
		[bob, w.generation_id]);
	await refuses('23503', `insert into events (type, user_id, version, data) values ('x', $1, 1, '{}')`, [randomUUID()]);
	await refuses('P0019', 'insert into jobs (kind, generation_id, user_id, provider, status) '
		+ `values ('probe', $1, $2, 'fal', 'queued')`, [w.generation_id, bob]);
	const attempt = (what) => 'insert into attempts (generation_id, job_id, user_id, number, route_id, provider, '
		+ `account_id, status, nonce) select ${what.generation ?? 'generation_id'}, ${what.job ?? 'job_id'}, `
		+ `${what.user ?? 'user_id'}, number + 1, ${what.route ?? 'route_id'}, provider, ${what.account ?? 'account_id'}, `
		+ "'created', nonce from attempts limit 1";
	for (const what of ['generation', 'job', 'user', 'route', 'account']) {
		await refuses('23503', attempt({ [what]: 'gen_random_uuid()' }));
	}
	await refuses('23503', attempt({ user: `'${bob}'` }));
	await conn.query(attempt({}));
	for (const column of ['user_id', 'generation_id', 'job_id', 'route_id']) {
		await refuses('P0005', `update attempts set ${column} = gen_random_uuid()`);
	}
	await k.one("insert into provider_accounts (provider, label) values ('fal', 'x')");
	for (const [table, column] of [['users', 'id'], ['api_keys', 'id'], ['models', 'id'], ['model_routes', 'id'],
		['price_plans', 'id'], ['accounts', 'user_id'], ['jobs', 'user_id'], ['jobs', 'id'],
		['provider_accounts', 'id'], ['events', 'generation_id']]) {
		if (!['accounts', 'events', 'api_keys'].includes(table)) await refuses('P0005', `delete from ${table}`);
		if (table !== 'api_keys') await refuses(table === 'price_plans' ? 'P0001' : 'P0005', `update ${table} set ${column} = gen_random_uuid()`);
	}
	await refuses('P0016', 'update ledger_entry set user_id = gen_random_uuid()');
	assert.deepEqual(await k.audit(), {});
});

// Faults are planted by a superuser with the triggers off: as a bad restore.
const faults = {
	balance_drift: 'update accounts set balance = balance + 1',
	balance_chain: 'update ledger_entry set balance_after = balance_after + 1 '
		+ 'where id = (select min(id) from ledger_entry)',
	balance_negative: 'alter table accounts drop constraint '
		+ 'balance_not_negative; update accounts set balance = -1',
	user_without_account: "insert into users (email) values ('x@y.z')",
	job_without_charge: 'delete from grant_use; delete from ledger_entry '
		+ 'where charge_id is not null; delete from charges',
	charge_not_debited: "delete from ledger_entry where type = "
		+ "'video_generation'",
	ended_not_refunded: "delete from ledger_entry where type = "
		+ "'video_refund'",
	refunded_not_ended: "update generations set status = 'processing', "
		+ "completed_at = null where status = 'failed'",
	completed_not_settled: 'update charges set settled = null',
	refund_over_charge: "update ledger_entry set amount = 99 where type = "
		+ "'video_refund'",
	refund_not_recorded: 'update charges set refunded = 0 where refunded > 0',
	grants_over_balance: 'insert into grants (user_id, source, credits, '
		+ "remaining, expires_at) select user_id, 'bonus', 9999, 9999, now() "
		+ '+ interval \'1 day\' from accounts',
	grant_use_drift: 'with g as (insert into grants (user_id, source, '
		+ "credits, remaining, expires_at) select user_id, 'bonus', 5, 5, "
		+ "now() + interval '1 day' from accounts returning *) insert into "
		+ 'grant_use (charge_id, grant_id, user_id, credits) select c.id, '
		+ 'g.id, g.user_id, 3 from g, charges c',
	two_terminal_events: 'insert into events (type, user_id, generation_id, '
		+ "version, data) select 'generation.failed', user_id, id, 9, '{}' "
		+ "from generations where status = 'failed'",
	job_status_disagrees: "update jobs set status = 'succeeded', owner = "
		+ "null, finished_at = now() where finished_at is null",
	job_missing: 'delete from attempts; delete from jobs where finished_at '
		+ 'is null',
	counters_drift: 'update accounts set active = active + 1',
	phase_disagrees: "update generations set phase = 'open' where "
		+ "status = 'completed'",
	done_without_media: "update assets set state = 'purged'",
	past_deadline: "update generations set deadline_at = now() - interval "
		+ "'1 hour' where status = 'processing'",
	outbox_stuck: "update events set created_at = now() - interval '1 hour'",
};

test('an end and its money are one statement; of several the one that is wrong is named', async () => {
	const { conn, k, route, owner } = await fresh();
	const u = await k.user(100);
	const [a, b] = [await k.at('submitted', u, route, owner), await k.at('submitted', u, route, owner)];
	const ids = [a, b].map((w) => w.generation_id);
	// Both are paid back, the second by one credit too few.
	const end = (short) => conn.query(`with c as (update charges set state = 'refunded', refunded = quote,
			settled_at = now() where generation_id = any ($1) returning id, generation_id, user_id, quote),
		due as (select c.*, c.quote - case when generation_id = $2 then $3::bigint else 0 end as back from c),
		g as (update generations set status = 'failed', error_code = 'x', error_class = 'provider',
			version = version + 1, completed_at = now(), deadline_at = null where id = any ($1))
		insert into ledger_entry (user_id, type, amount, charge_id, balance_after)
		select user_id, 'video_refund', back, id, 80 + sum(back) over (order by generation_id) from due
			where back > 0 order by generation_id`, [ids, ids[1], short]);
	await assert.rejects(end(1), (e) => e.code === 'P0020' && e.message.includes(ids[1]));
	await assert.rejects(end(10), (e) => e.code === 'P0020' && e.message.includes(ids[1]), 'nothing is not enough');
	assert.equal((await conn.query(`select count(*)::int as n from generations where status = 'failed'`)).rows[0].n, 0);
	await end(0);
	assert.equal(await k.balance(u), 100);
	const gone = (await k.audit());
	assert.deepEqual(Object.keys(gone), ['job_status_disagrees'], 'only the jobs, left alone here, are wrong');
});

test('the audit finds every planted fault, and knows no other line',
	async (t) => {
		const { db, k, route, owner } = await fresh();
		const u = await k.user(100);
		await k.at('submitted', u, route, owner);
		await k.fail(await k.at('submitted', u, route, owner), owner);
		await k.finish(await k.at('finalizing', u, route, owner), owner);
		assert.deepEqual(await k.audit(), {});
		const names = (await (await db.engine()).query('select name from '
			+ 'ledger_audit()')).rows.map((r) => r.name);
		assert.deepEqual(names.sort(), Object.keys(faults).sort());
		const root = await db.root();
		for (const [name, text] of Object.entries(faults)) {
			await t.test(name, async () => {
				await root.query('begin');
				await root.query("set local session_replication_role = "
					+ "'replica'");
				await root.query(text);
				const found = await kit(root).audit();
				await root.query('rollback');
				assert.ok(found[name] > 0, JSON.stringify(found));
			});
		}
		assert.deepEqual(await k.audit(), {});
	});
