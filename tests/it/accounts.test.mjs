// accounts.test.mjs - providers, their accounts and routes, for operators.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { fakeFal, reeld, until } from './env.mjs';

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

test('an account is made, changed, tested, paused and deleted; its key is seen nowhere', async () => {
	const dir = mkdtempSync(join(tmpdir(), 'reeld-keys-'));
	writeFileSync(join(dir, 'master'), randomBytes(32), { mode: 0o600 });
	writeFileSync(join(dir, 'third'), 'file-id:file-secret-5555\n', { mode: 0o600 });
	const key = `id:${randomBytes(12).toString('hex')}`;
	const refused = (res, status, code, pointer) => {
		assert.equal(res.status, status, JSON.stringify(res.body));
		assert.equal(res.body.code, code);
		assert.equal(res.body.errors?.[0]?.pointer, pointer);
	};
	const at = '/admin/providers/fal/accounts';
	refused(await r.admin.post(at, { label: 'x', key }), 409, 'no_master_key', '#/key');
	refused(await r.admin.post(at, { label: 'x', key_file: 'third' }), 409, 'no_key_dir', '#/key_file');
	await r.restart({ env: { REELD_SECRETS_MASTER_KEY_FILE: join(dir, 'master'), REELD_SECRETS_KEY_DIR: dir,
		PROVIDER_KEY_FAL: 'env-id:env-secret-4444', REELD_LOG_LEVEL: 'debug' } });
	// What would send other secrets to an address of somebody's choice.
	for (const [body, code, pointer] of [[{ key_env: 'DATABASE_URL' }, 'bad_key_env', '#/key_env'], [{ key_file: '../etc/passwd' }, 'bad_key_file', '#/key_file'],
		[{ key_file: '.hidden' }, 'bad_key_file', '#/key_file'], [{ key, key_file: 'third' }, 'two_keys', '#/key'], [{ key: 'a b' }, 'bad_key', '#/key'],
		[{ key, base_url: 'http://169.254.169.254' }, 'bad_base_url', '#/base_url'], [{ key, base_url: 'https://u:p@x.example' }, 'bad_base_url', '#/base_url'],
		[{ key, limits: { rpm: -1 } }, 'out_of_range', '#/limits/rpm'], [{ key, weight: 1001 }, 'out_of_range', '#/weight']]) {
		refused(await r.admin.post(at, { label: 'x', ...body }), 422, code, pointer);
	}
	refused(await r.admin.post(at, { label: 'x', key, allow_private: true }), 400, 'unknown_field', '#/allow_private');
	refused(await r.admin.post(at, { label: 'x' }), 400, 'missing_field', '#/key');
	assert.equal((await r.admin.post('/admin/providers/nobody/accounts', { label: 'x', key })).status, 404);
	const idem = { 'idempotency-key': 'make-it' };
	const made = await r.admin.post(at, { label: 'second', key, weight: 3, limits: { concurrency: 4 } }, idem);
	assert.equal(made.status, 201, JSON.stringify(made.body));
	const again = await r.admin.post(at, { label: 'second', key, weight: 3, limits: { concurrency: 4 } }, idem);
	assert.equal(again.body.id, made.body.id);
	refused(await r.admin.post(at, { label: 'second', key }), 409, 'taken', '#/label');
	const { id } = made.body;
	const look = async () => (await r.admin.get('/admin/providers/fal')).body.accounts.find((a) => a.id === id);
	const known = await until('it is in memory', async () => {
		const a = await look();
		return a.base_url !== null && a;
	});
	assert.deepEqual([known.key, known.weight, known.limits.concurrency], [{ source: 'stored', hint: key.slice(-4), problem: null }, 3, 4]);
	// The key is in the database, and only sealed.
	const [{ key_ref }] = await r.psql('select key_ref from provider_accounts where id = $1', [id]);
	assert.match(key_ref, /^sealed:[\w-]+$/);
	// Tested without spending: by the answer to a job that can't exist.
	const tested = await r.admin.post(`/admin/accounts/${id}/test`, {});
	assert.deepEqual({ ...tested.body, latency_ms: 0 }, { account_id: id, account: 'second', ok: true, reachable: true,
		key: 'valid', balance: null, latency_ms: 0, message: 'The key works.' });
	assert.equal((await r.admin.post('/admin/providers/fal/test', {})).body.account, 'default');
	assert.deepEqual(fal.submits, {});
	// Other sources, and their trouble.
	for (const [body, source, hint, problem] of [[{ key_file: 'third' }, 'file', '5555', null], [{ key_env: 'PROVIDER_KEY_FAL' }, 'env', '4444', null],
		[{ key_env: 'PROVIDER_KEY_NONE' }, 'env', '', 'PROVIDER_KEY_NONE is not set']]) {
		assert.equal((await r.admin.patch(`/admin/accounts/${id}`, body)).status, 200);
		const a = await until(`the key is ${source}`, async () => {
			const one = await look();
			return one.key.source === source && (one.key.hint === hint && one.key.problem === problem) && one;
		});
		assert.deepEqual(a.key, { source, hint, problem });
	}
	const none = await r.admin.post(`/admin/accounts/${id}/test`, {});
	assert.deepEqual([none.body.ok, none.body.reachable], [false, false]);
	const own = (await r.admin.get('/admin/providers/fal')).body.accounts[0];
	refused(await r.admin.patch(`/admin/accounts/${own.id}`, { key }), 409, 'from_configuration', undefined);
	refused(await r.admin.delete(`/admin/accounts/${own.id}`), 409, 'from_configuration', undefined);
	// Pauses.
	refused(await r.admin.post(`/admin/accounts/${id}/pause`, { until: '2001-01-01T00:00:00Z' }), 422, 'bad_time', '#/until');
	const paused = await r.admin.post(`/admin/accounts/${id}/pause`, { seconds: 60, reason: 'lunch' });
	assert.deepEqual([paused.body.state, paused.body.paused_reason], ['paused', 'lunch']);
	assert.equal((await r.admin.post(`/admin/accounts/${id}/resume`, {})).body.state, 'on');
	// By the command line, too.
	const cli = await r.cli('provider', 'test', 'fal');
	assert.equal(cli.code, 0, cli.err);
	assert.match(cli.out, /^ok=true reachable=true key=valid/);
	assert.equal((await r.cli('provider', 'test', 'fal', '--account', 'second')).code, 1);
	assert.equal((await r.cli('provider', 'test', 'fal', '--account', 'nobody')).code, 1);
	assert.equal((await r.cli('provider', 'pause', 'fal', '--account', 'second', '--reason', 'night')).code, 0);
	assert.equal((await look()).paused_reason, 'night');
	assert.equal((await r.cli('provider', 'resume', 'fal', '--account', 'second')).code, 0);
	assert.equal((await look()).state, 'on');
	assert.equal((await r.cli('provider', 'pause', 'nobody')).code, 1);
	assert.equal((await r.cli('provider', 'dance')).code, 2);
	// Roles: operators look, admins change.
	const operator = await r.user({ role: 'operator' });
	for (const res of [await operator.post(at, { label: 'o', key }), await operator.patch(`/admin/accounts/${id}`, { weight: 2 }),
		await operator.delete(`/admin/accounts/${id}`), await operator.post(`/admin/accounts/${id}/test`, {})]) assert.equal(res.status, 403);
	assert.equal((await r.admin.delete(`/admin/accounts/${id}`)).status, 204);
	assert.equal((await r.admin.delete(`/admin/accounts/${id}`)).status, 404);
	const log = await r.psql("select action, before, after from audit_log where target_id = $1 order by id", [id]);
	assert.deepEqual([...new Set(log.map((l) => l.action))], ['account.create', 'account.update', 'account.pause', 'account.resume', 'account.delete']);
	// Routes.
	const [route] = (await r.admin.get('/admin/providers/fal')).body.routes;
	const changed = await r.admin.patch(`/admin/routes/${route.id}`, { priority: 7, weight: 2, active: false });
	assert.deepEqual(changed.body, { ...route, priority: 7, weight: 2, active: false });
	assert.equal((await r.admin.patch(`/admin/routes/${id}`, { weight: 2 })).status, 404);
	refused(await r.admin.patch(`/admin/routes/${route.id}`, { weight: -1 }), 422, 'out_of_range', '#/weight');
	// Every table and the log.
	const said = [r.logs(), JSON.stringify(log)];
	for (const { name } of await r.psql(`select format('%I.%I', table_schema, table_name) as name from information_schema.tables
		where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')`)) {
		said.push(...(await r.psql(`select to_jsonb(t)::text as row from ${name} t`)).map((row) => row.row));
	}
	for (const secret of [key.slice(3), 'file-secret-5555', 'env-secret-4444', 'fal-secret-9876']) {
		const at_ = said.join('\n').indexOf(secret);
		assert.equal(at_, -1, said.join('\n').slice(Math.max(0, at_ - 200), at_ + 50));
	}
	rmSync(dir, { recursive: true });
});
