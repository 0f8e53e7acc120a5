// admin.test.mjs - what operators and admins see and do, and that nobody else
// can; every write is in the audit log.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, test } from 'node:test';
import { reeld } from './env.mjs';

let r, ann, op, admin;
before(async () => {
	r = await reeld(); // without a worker: what is queued stays there
	ann = await r.user({ credits: 1000000 });
	op = await r.user({ role: 'operator' });
	admin = r.admin;
});

const audit = async (action) => (await admin.get('/admin/audit-log?limit=200')).body.data.filter((l) => l.action === action);

test('who may: operators for jobs, admins for people and money', async () => {
	const id = randomUUID();
	const table = [
		['GET', '/admin/overview', true], ['GET', '/admin/jobs', true], ['GET', `/admin/jobs/${id}`, true],
		['POST', `/admin/jobs/${id}/retry`, true], ['POST', `/admin/jobs/${id}/cancel`, true],
		['POST', '/admin/jobs/bulk', true, { action: 'cancel', filter: {}, dry_run: true }],
		['GET', '/admin/queues', true], ['GET', '/admin/workers', true],
		['POST', '/admin/queues/nope/pause', true], ['POST', '/admin/queues/nope/resume', true],
		['POST', `/admin/workers/${id}/drain`, true],
		['GET', '/admin/users', false], ['POST', '/admin/users', false, {}],
		['PATCH', `/admin/users/${id}`, false, {}],
		['POST', `/admin/users/${id}/credits`, false, {}],
		['POST', `/admin/review/${id}/resolve`, false, {}],
		['GET', '/admin/audit/ledger', false], ['GET', '/admin/audit-log', false],
	];
	const reader = await r.user({ role: 'admin', scopes: 'read,generate' });
	for (const [method, path, operators, body] of table) {
		const where = `${method} ${path}`;
		assert.equal((await r.call(method, `/api/v1${path}`, { json: body })).status, 401, where);
		assert.equal((await ann.call(method, path, body)).status, 403, where);
		assert.equal((await reader.call(method, path, body)).status, 403, where);
		const got = (await op.call(method, path, body)).status;
		assert.ok(operators ? got !== 403 && got < 500 : got === 403, `${where} ${got}`);
		const all = (await admin.call(method, path, body)).status;
		assert.ok(all !== 401 && all !== 403 && all < 500, `${where} ${all}`);
	}
});

test('jobs: find, look, cancel, retry', async () => {
	const g = await ann.submit({ prompt: 'a needle in the hay' });
	const list = async (q) => (await op.get(`/admin/jobs?${q}`)).body.data.map((x) => x.id);
	assert.deepEqual(await list('q=needle'), [g.id]);
	assert.deepEqual(await list(`q=${g.id}`), [g.id]);
	assert.deepEqual(await list(`q=${randomUUID()}`), []);
	assert.ok((await list(`q=${encodeURIComponent(ann.email)}`)).includes(g.id));
	assert.equal((await op.get('/admin/jobs?state=lost')).status, 422);
	assert.equal((await r.call('GET', '/api/jobs?q=needle', { key: op.key })).body.data[0].id, g.id);
	assert.equal((await op.get('/admin/jobs?state=completed')).body.data.length, 0);

	const { body: one } = await op.get(`/admin/jobs/${g.id}`);
	assert.equal(one.email, ann.email);
	assert.ok(one.job.status);
	assert.equal(one.ledger.length, 1);
	assert.equal(one.ledger[0].amount, -g.credits);
	assert.equal(one.events[0].type, 'generation.created');
	assert.ok(Array.isArray(one.attempts));

	assert.equal((await op.post(`/admin/jobs/${g.id}/retry`)).status, 409);
	const stop = await op.post(`/admin/jobs/${g.id}/cancel`, { reason: 'test' });
	assert.equal(stop.status, 200, JSON.stringify(stop.body));
	await ann.ended(g.id);
	const [line] = await audit('generation.cancel');
	assert.equal(line.actor_id, op.id);
	assert.equal(line.target_id, g.id);
	assert.equal(line.after.reason, 'test');
	const again = await op.post(`/admin/jobs/${g.id}/retry`);
	assert.equal(again.status, 200, JSON.stringify(again.body));
	assert.equal(again.body.parent_id, g.id);
	assert.equal((await audit('generation.retry')).length, 1);
	await op.post(`/admin/jobs/${again.body.id}/cancel`);
	await ann.ended(again.body.id);
	assert.equal((await op.get(`/admin/jobs/${randomUUID()}`)).status, 404);
	assert.equal((await op.post(`/admin/jobs/${randomUUID()}/cancel`)).status, 404);
});

test('bulk: a dry run counts, the run says what became of each', async () => {
	const before = await ann.balance();
	const word = `bulk${randomUUID().slice(0, 8)}`;
	const ids = [];
	for (let i = 0; i < 4; i++) ids.push((await ann.submit({ prompt: `${word} ${i}` })).id);
	const ask = { action: 'cancel', filter: { q: word } };
	const { body: dry } = await op.post('/admin/jobs/bulk', { ...ask, dry_run: true });
	assert.equal(dry.count, 4);
	assert.equal(dry.more, false);
	assert.match(dry.words, /Cancel 4 generations/);
	assert.ok(dry.credits > 0);
	assert.notEqual(await ann.balance(), before); // nothing was done yet
	const { body: run } = await op.post('/admin/jobs/bulk', { ...ask, exclude_ids: [ids[0]], reason: 'spring' });
	assert.equal(run.results.length, 3);
	assert.deepEqual(run.results.map((x) => x.id).sort(), ids.slice(1).sort());
	for (const id of ids.slice(1)) assert.equal((await ann.ended(id)).status, 'cancelled');
	const [line] = await audit('bulk.cancel');
	assert.equal(line.after.reason, 'spring');
	assert.equal(Object.values(line.after.summary).reduce((a, b) => a + b), 3);
	await ann.post(`/generations/${ids[0]}/cancel`);
	await ann.ended(ids[0]);
	assert.equal(await ann.balance(), before);
	for (const bad of [{ action: 'explode', filter: {} }, { action: 'cancel' },
		{ action: 'cancel', filter: { state: 'completed' } }, { action: 'retry', filter: { colour: 'red' } }]) {
		assert.ok([400, 422].includes((await op.post('/admin/jobs/bulk', bad)).status), JSON.stringify(bad));
	}
});

test('queues: pausing holds them', async () => {
	const queue = async () => (await op.get('/admin/queues')).body.data.find((q) => q.provider === 'worker');
	assert.equal((await queue()).state, 'on');
	const until = new Date(Date.now() + 3600e3).toISOString();
	assert.equal((await op.post('/admin/queues/worker/pause', { until: 'tomorrow' })).status, 422);
	assert.equal((await op.post('/admin/queues/worker/pause', { until, reason: 'repairs' })).status, 200);
	assert.equal((await queue()).state, 'paused');
	assert.equal((await queue()).paused_reason, 'repairs');
	assert.equal((await op.post('/admin/queues/worker/resume')).status, 200);
	assert.equal((await queue()).state, 'on');
	assert.equal((await op.post('/admin/queues/nope/pause')).status, 404);
	assert.equal((await audit('provider.pause')).length, 1);
	const { body } = await op.get('/admin/overview');
	assert.equal(typeof body.counts, 'object');
	assert.equal(body.instances.filter((i) => i.alive).length, 1);
	assert.ok(body.queues.length > 0 && body.money_24h.spent > 0);
});

test('users and their credits', async () => {
	const email = `n${randomUUID().slice(0, 8)}@example.org`;
	const made = await admin.post('/admin/users', { email, role: 'user', credits: 7 });
	assert.equal(made.status, 201, JSON.stringify(made.body));
	assert.equal((await admin.post('/admin/users', { email })).status, 409);
	assert.equal((await admin.post('/admin/users', { email: 'nobody' })).status, 422);
	const find = async () => (await admin.get(`/admin/users?q=${encodeURIComponent(email)}`)).body.data[0];
	assert.equal((await find()).balance, 7);

	const give = { amount: 100, note: 'thanks' };
	const path = `/admin/users/${made.body.id}/credits`;
	assert.equal((await admin.post(path, give)).status, 400);
	const key = { 'idempotency-key': randomUUID() };
	const all = await Promise.all(Array.from({ length: 5 }, () => admin.post(path, give, key)));
	assert.ok(all.every((x) => x.status === 200 || x.status === 409), JSON.stringify(all.map((x) => x.body)));
	const replay = await admin.post(path, give, key);
	assert.equal(replay.status, 200);
	assert.equal(replay.headers.get('idempotent-replayed'), 'true');
	assert.equal((await find()).balance, 107);
	assert.equal((await admin.post(path, { ...give, amount: 5 }, key)).status, 422);
	const fresh = () => ({ 'idempotency-key': randomUUID() });
	assert.equal((await admin.post(path, { amount: -1000, note: 'too much' }, fresh())).status, 409);
	assert.equal((await admin.post(path, { amount: -7, note: 'back' }, fresh())).status, 200);
	assert.equal((await find()).balance, 100);
	assert.equal((await admin.post(path, { amount: 0, note: 'none' }, fresh())).status, 422);
	assert.equal((await admin.post(`/admin/users/${randomUUID()}/credits`, give, fresh())).status, 404);
	assert.equal((await audit('credits.adjust')).length >= 2, true);

	const victim = await r.user({});
	assert.equal((await victim.get('/me')).status, 200);
	assert.equal((await admin.patch(`/admin/users/${victim.id}`, { status: 'suspended' })).status, 200);
	assert.equal((await victim.get('/me')).status, 401);
	assert.equal((await admin.patch(`/admin/users/${admin.id}`, { role: 'user' })).status, 409);
});

test('review: only an admin decides, once', async () => {
	const g = await ann.submit({});
	assert.equal((await admin.post(`/admin/review/${g.id}/resolve`, { action: 'refund' })).status, 409);
	assert.equal((await admin.post(`/admin/review/${randomUUID()}/resolve`, { action: 'refund' })).status, 404);
	assert.equal((await admin.post(`/admin/review/${g.id}/resolve`, { action: 'shrug' })).status, 422);
	await ann.post(`/generations/${g.id}/cancel`);
	await ann.ended(g.id);
});

test('the books are right, and say so', async () => {
	const { body } = await admin.get('/admin/audit/ledger');
	assert.equal(body.ok, true, JSON.stringify(body));
	assert.ok(body.lines.length > 10);
});
