// accounts.test.mjs - providers, their accounts and routes, for operators.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { fakeFal, reeld } from './env.mjs';

let r, fal;
before(async () => {
	fal = await fakeFal();
	r = await reeld({ env: { ...fal.env, REELD_PROVIDER_FAL_KEY: 'fal-id:fal-secret-9876',
		REELD_PROVIDER_FAL_CONCURRENCY: '7' } });
});

test('every provider with its figures, accounts and routes', async () => {
	const operator = await r.user({ role: 'operator' });
	const { status, body } = await operator.get('/admin/providers');
	assert.equal(status, 200, JSON.stringify(body));
	const by = Object.fromEntries(body.data.map((p) => [p.name, p]));
	assert.ok(by.fal && by.worker && by.modelslab && by.runway, Object.keys(by).join());
	const { fal: one } = by;
	assert.deepEqual({ ...one, accounts: 0, routes: 0 }, { name: 'fal', title: 'fal.ai', kind: 'builtin', state: 'on',
		paused_until: null, paused_reason: null, sunset_at: null, configured: true, needs_key: true,
		requests: { submitted_1h: 0, failed_1h: 0, error_rate_1h: 0 }, in_flight: 0, queued: 0, spend_today_micro_usd: 0,
		median_s: null, waiting_reason: null, recovery: 'callback', webhooks: true, result_lifetime_s: one.result_lifetime_s,
		limits: { concurrency: null, rpm: null }, accounts: 0, routes: 0 });
	assert.equal(one.accounts.length, 1);
	const { id, created_at, ...account } = one.accounts[0];
	assert.match(id, /^[0-9a-f-]{36}$/);
	assert.match(created_at, /Z$/);
	assert.deepEqual(account, { provider: 'fal', label: 'default', state: 'on', paused_until: null, paused_reason: null,
		key: { source: 'env', hint: '9876', problem: null }, base_url: fal.url, weight: 1,
		limits: { concurrency: 7, rpm: null }, circuit: { state: 'closed', failures: 0, opened_until: null },
		held_until: null, in_flight: 0, spend_today_micro_usd: 0 });
	assert.ok(one.routes.length > 0);
	for (const route of one.routes) {
		assert.deepEqual(Object.keys(route), ['id', 'model', 'provider', 'endpoint', 'priority', 'weight', 'active']);
		assert.equal(route.provider, 'fal');
	}
	assert.equal(by.runway.configured, false);
	assert.equal(by.runway.accounts[0].key.source, 'none');
	assert.equal(by.worker.configured, true);
	const alone = await operator.get('/admin/providers/fal');
	assert.equal(alone.status, 200);
	assert.deepEqual(alone.body, one);
	assert.equal((await operator.get('/admin/providers/nobody')).status, 404);
	const ann = await r.user();
	assert.equal((await ann.get('/admin/providers')).status, 403);
	assert.ok(!JSON.stringify(body).includes('fal-secret'), 'a key is shown');
});
