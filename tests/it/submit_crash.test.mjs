// submit_crash.test.mjs - a submit that is cut: reeld dies at each named point
// around it, or the database dies in the middle of its transaction. The same
// request again must find or make one generation, charged once.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, test } from 'node:test';
import { crash_points, reeld, until } from './env.mjs';

let r, ann;
before(async () => {
	r = await reeld({ own_pg: true });
	ann = await r.user({ credits: 1000 });
});

const made = async (prompt) => (await r.psql('select id, credits, status from generations where prompt = $1', [prompt]));

for (const [point, committed] of [['api.request_read', false], ['api.before_submit', false], ['api.after_submit', true]]) {
	test(`killed at ${point}`, { skip: !crash_points && 'a build without crash points' }, async () => {
		await r.restart({ env: { REELD_CRASH_AT: point } });
		const before = await ann.balance();
		const body = { model: 'demo-pixel', prompt: `cut ${randomUUID()}` };
		const key = { 'idempotency-key': randomUUID() };
		await assert.rejects(ann.post('/generations', body, key));
		await r.died();
		assert.equal((await made(body.prompt)).length, committed ? 1 : 0);
		await r.restart({ env: { REELD_CRASH_AT: '' } });
		const again = await ann.post('/generations', body, key);
		assert.equal(again.status, committed ? 200 : 201, JSON.stringify(again.body));
		assert.equal((await made(body.prompt)).length, 1);
		assert.equal(await ann.balance(), before - again.body.credits);
		assert.deepEqual(await r.books(), {});
	});
}

// Holds the user's account, so that a submit stands in its transaction; kills
// its backend, which takes the whole server through a recovery.
async function cut_submit(headers) {
	const body = { model: 'demo-pixel', prompt: `lost ${randomUUID()}` };
	const before = await ann.balance();
	const blocker = await r.pg.connect(r.database);
	await blocker.query('begin');
	await blocker.query('select from accounts where user_id = $1 for update', [ann.id]);
	const reply = ann.post('/generations', body, headers);
	const watcher = await r.pg.connect(r.database);
	const pid = await until('a submit that waits', async () => (await watcher.query(
		`select pid from pg_stat_activity where wait_event_type = 'Lock' and query like '%generation_submit%'`)).rows[0]?.pid);
	process.kill(pid, 'SIGKILL');
	const got = await reply;
	await blocker.end().catch(() => {});
	await watcher.end().catch(() => {});
	assert.equal(got.status, 201, JSON.stringify(got.body));
	await until('the database is back', async () => (await made(body.prompt).catch(() => null)) !== null);
	assert.equal((await made(body.prompt)).length, 1);
	assert.equal(await ann.balance(), before - got.body.credits);
	assert.deepEqual(await r.books(), {});
}

test('the database dies in the middle: with a key', () => cut_submit({ 'idempotency-key': randomUUID() }));
test('the database dies in the middle: without a key', () => cut_submit({}));

test('orders in company, and the database dies: what was answered is there', async () => {
	// So many that none of them comes near his limit of orders per minute.
	const people = await Promise.all(Array.from({ length: 12 }, () => r.user({ credits: 1_000_000 })));
	let told = [], down = false;
	const order = async (u) => {
		while (!down) {
			const body = { model: 'demo-pixel', prompt: 'company' };
			const x = await u.post('/generations', body);
			if (x.status === 201) told.push(x.body.id);
			else assert.equal(x.status, 503, JSON.stringify(x.body));
		}
	};
	for (let round = 0; round < 5; round++) {
		[told, down] = [[], false];
		const all = Promise.all(people.flatMap((u) => [order(u), order(u)]));
		await until('many are told', () => told.length > 150);
		await r.pg.kill9();
		down = true;
		await r.pg.up();
		await all;
		const rows = await r.psql('select count(*) as n from generations where id = any ($1)', [told]);
		assert.equal(Number(rows[0].n), told.length);
	}
	await until('the books are whole', async () => Object.keys(await r.books()).length === 0);
});

test('a role that may not flush is told at the start', async () => {
	const root = await r.pg.connect(r.database);
	const message = /may not call pg_logical_emit_message/;
	assert.doesNotMatch(r.logs(), message);
	await root.query('revoke execute on function pg_logical_emit_message(boolean, text, text) from public');
	await r.restart();
	await until('it is said', () => message.test(r.logs()));
	await root.query('grant execute on function pg_logical_emit_message(boolean, text, text) to public');
	await root.end();
	await r.restart();
});

test('the client hangs up: what was begun is done, and told', async () => {
	const body = { model: 'demo-pixel', prompt: `left ${randomUUID()}` };
	const ws = await ann.ws();
	await ws.subscribe('user:me');
	const blocker = await r.pg.connect(r.database);
	await blocker.query('begin');
	await blocker.query('select from accounts where user_id = $1 for update', [ann.id]);
	const gone = new AbortController();
	const reply = ann.fetch('/api/v1/generations', { json: body, signal: gone.signal }).catch(() => null);
	await until('a submit that waits', async () => (await r.psql(
		`select pid from pg_stat_activity where wait_event_type = 'Lock' and query like '%generation_submit%'`))[0]);
	gone.abort();
	await reply;
	await blocker.query('commit');
	await blocker.end();
	const event = await ws.event((e) => e.type === 'generation.created');
	assert.equal((await made(body.prompt))[0].id, event.data.id);
	await ws.close();
});
