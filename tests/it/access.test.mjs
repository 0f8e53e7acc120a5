// access.test.mjs - who may do what: one table over every route of
// src/api/routes.c, tried by everybody.  A route without a row fails.
import assert from 'node:assert/strict';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { reeld, top, worker } from './env.mjs';

const source = readFileSync(join(top, 'src/api/routes.c'), 'utf8');

// The routes as the compiler sees them: {method, path}.
function routes_of(text) {
	const macro = Object.fromEntries([...text.matchAll(/^#define (\w+) (.+)$/gm)].map((m) => [m[1], m[2]]));
	const path = (expression) => expression.match(/"[^"]*"|\w+/g)
		.map((word) => (word[0] === '"' ? word.slice(1, -1) : path(macro[word]))).join('');
	const rows = text.slice(text.indexOf('routes[] = {'));
	const found = [...rows.matchAll(/\{HTTP_(\w+),\s*((?:"[^"]*"|\w+|\s)+),\s*api_/g)]
		.map((m) => `${m[1]} ${path(m[2])}`);
	assert.equal(found.length, rows.match(/\{HTTP_/g).length, 'a row that this test can not read');
	return found;
}

// What a caller gets, by the kind of route. 'ok' is the row's own status.
const kinds = {
	//        nobody    another   no scope  operator  admin     worker
	open: { nobody: 'ok', other: 'ok', weak: 'ok', operator: 'ok', admin: 'ok', worker: 'ok' },
	mine: { nobody: 401, other: 404, weak: 403, operator: 404, admin: 404, worker: 403 },
	// Operators may look.
	seen: { nobody: 401, other: 404, weak: 403, operator: 'ok', admin: 'ok', worker: 403 },
	self: { nobody: 401, other: 'ok', weak: 403, operator: 'ok', admin: 'ok', worker: 403 },
	operator: { nobody: 401, other: 403, weak: 403, operator: 'ok', admin: 'ok', worker: 403 },
	admin: { nobody: 401, other: 403, weak: 403, operator: 403, admin: 'ok', worker: 403 },
	// This machine, and operators.
	metrics: { nobody: 403, other: 403, weak: 403, operator: 'ok', admin: 'ok', worker: 403 },
	worker: { nobody: 401, other: 403, weak: 403, operator: 403, admin: 403, worker: 'ok' },
};

const V = '/api/v1';
// [route, kind, status of who may, {body, path, weak: who lacks nothing here}]
const table = [
	[`GET ${V}/auth/providers`, 'open', 200],
	[`POST ${V}/auth/link`, 'open', 404, { body: { token: randomBytes(32).toString('base64url') } }],
	[`POST ${V}/auth/logout`, 'open', 204, { once: true }],
	[`GET ${V}/sessions`, 'self', 200],
	[`DELETE ${V}/sessions/{id}`, 'mine', 404, { id: 'session' }],
	[`GET ${V}/me`, 'self', 200],
	[`PATCH ${V}/me`, 'self', 200, { body: { name: 'A' } }],
	[`GET ${V}/me/limits`, 'self', 200],
	[`GET ${V}/keys`, 'self', 200],
	[`POST ${V}/keys`, 'self', 400, { body: {} }],
	[`DELETE ${V}/keys/{id}`, 'mine', 404, { id: 'key' }],
	[`POST ${V}/ws/ticket`, 'self', 200, { optional: true }],
	[`GET ${V}/models`, 'open', 200],
	[`GET ${V}/models/default`, 'open', 200],
	[`GET ${V}/models/{slug}`, 'open', 200, { id: 'slug' }],
	[`POST ${V}/estimate`, 'self', 200, { body: { model: 'demo-pixel' } }],
	[`POST ${V}/prompts/enhance`, 'self', 400, { body: {} }],
	['POST /api/optimize-prompt', 'self', 400, { body: {} }],
	[`POST ${V}/uploads`, 'self', 415, { body: {}, form: true }],
	[`GET ${V}/assets`, 'self', 200],
	[`GET ${V}/assets/{id}`, 'mine', 404, { id: 'asset' }],
	[`DELETE ${V}/assets/{id}`, 'mine', 404, { id: 'asset' }],
	[`GET ${V}/assets/{id}/content`, 'mine', 404, { id: 'asset' }],
	[`GET ${V}/storage/usage`, 'self', 200],
	[`GET ${V}/credits`, 'self', 200],
	[`GET ${V}/credits/ledger`, 'self', 200],
	[`POST ${V}/generations`, 'self', 400, { body: {} }],
	[`GET ${V}/generations`, 'self', 200],
	[`GET ${V}/generations/{id}`, 'mine', 404],
	[`PATCH ${V}/generations/{id}`, 'mine', 404, { body: { title: 'taken over' } }],
	[`DELETE ${V}/generations/{id}`, 'mine', 404],
	[`GET ${V}/generations/{id}/status`, 'mine', 404],
	[`POST ${V}/generations/{id}/cancel`, 'mine', 404, { optional: true }],
	[`POST ${V}/generations/{id}/retry`, 'mine', 404, { optional: true }],
	[`GET ${V}/generations/{id}/events`, 'mine', 404],
	[`GET ${V}/generations/{id}/attempts`, 'mine', 404],
	[`GET ${V}/generations/{id}/receipt`, 'mine', 404],
	[`GET ${V}/generations/{id}/content`, 'seen', 200],
	[`GET ${V}/generations/{id}/download`, 'seen', 200],
	[`GET /ws`, 'open', 400],
	[`GET ${V}/ws`, 'open', 400],
	[`GET ${V}/events`, 'open', 400, { query: '?topics=nonsense' }],
	[`POST ${V}/worker/register`, 'worker', 200, { body: { name: 'w', version: '1', capabilities: ['video'] } }],
	[`POST ${V}/worker/heartbeat`, 'worker', 404, { body: { worker_id: randomUUID() } }],
	[`POST ${V}/worker/claim`, 'worker', 204, { body: { worker_id: randomUUID(), wait_s: 0 } }],
	[`POST ${V}/worker/jobs/{attempt}/start`, 'worker', 410, { id: 'attempt', body: { worker_id: randomUUID() } }],
	[`POST ${V}/worker/jobs/{attempt}/progress`, 'worker', 410, { id: 'attempt', body: { percent: 3 } }],
	[`POST ${V}/worker/jobs/{attempt}/complete`, 'worker', 410, { id: 'attempt', body: {} }],
	[`POST ${V}/worker/jobs/{attempt}/fail`, 'worker', 410, { id: 'attempt', body: { class: 'internal' } }],
	[`PUT ${V}/worker/jobs/{attempt}/upload`, 'worker', 410, { id: 'attempt', raw: 'x' }],
	[`GET ${V}/worker/jobs/{attempt}/input/{which}`, 'worker', 404, { id: 'attempt' }],
	[`POST /functions/v1/job-callback`, 'worker', 410, { body: { jobId: 'ATTEMPT', status: 'completed' } }],
	[`POST /hooks/{provider}/{attempt}/{token}`, 'open', 401, { id: 'attempt', raw: '{}' }],
	[`GET ${V}/admin/overview`, 'operator', 200],
	[`GET ${V}/admin/jobs`, 'operator', 200],
	['GET /api/jobs', 'operator', 200],
	[`POST ${V}/admin/jobs/bulk`, 'operator', 400, { body: {} }],
	[`GET ${V}/admin/jobs/{id}`, 'operator', 200],
	[`POST ${V}/admin/jobs/{id}/retry`, 'operator', 409, { optional: true }],
	[`POST ${V}/admin/jobs/{id}/cancel`, 'operator', 409, { optional: true }],
	[`GET ${V}/admin/queues`, 'operator', 200],
	[`POST ${V}/admin/queues/{provider}/pause`, 'operator', 404, { optional: true }],
	[`POST ${V}/admin/queues/{provider}/resume`, 'operator', 404, { optional: true }],
	[`GET ${V}/admin/providers`, 'operator', 200],
	[`GET ${V}/admin/providers/{provider}`, 'operator', 404],
	[`POST ${V}/admin/providers/{provider}/pause`, 'admin', 404, { optional: true }],
	[`POST ${V}/admin/providers/{provider}/resume`, 'admin', 404, { optional: true }],
	[`POST ${V}/admin/providers/{provider}/test`, 'admin', 404, { optional: true }],
	[`POST ${V}/admin/providers/{provider}/accounts`, 'admin', 404, { body: { label: 'x', key_env: 'PROVIDER_KEY_X' } }],
	[`PATCH ${V}/admin/accounts/{id}`, 'admin', 404, { id: 'random', body: { weight: 1 } }],
	[`DELETE ${V}/admin/accounts/{id}`, 'admin', 404, { id: 'random' }],
	[`POST ${V}/admin/accounts/{id}/pause`, 'admin', 404, { id: 'random', optional: true }],
	[`POST ${V}/admin/accounts/{id}/resume`, 'admin', 404, { id: 'random', optional: true }],
	[`POST ${V}/admin/accounts/{id}/test`, 'admin', 404, { id: 'random', optional: true }],
	[`PATCH ${V}/admin/routes/{id}`, 'admin', 404, { id: 'random', body: { weight: 1 } }],
	[`GET ${V}/admin/workers`, 'operator', 200],
	[`POST ${V}/admin/workers/{id}/drain`, 'operator', 404, { id: 'random', optional: true }],
	[`GET ${V}/admin/users`, 'admin', 200],
	[`POST ${V}/admin/users`, 'admin', 400, { body: {} }],
	[`PATCH ${V}/admin/users/{id}`, 'admin', 200, { id: 'owner', body: {} }],
	[`POST ${V}/admin/users/{id}/credits`, 'admin', 400, { id: 'owner', body: {} }],
	[`POST ${V}/admin/review/{id}/resolve`, 'admin', 409, { body: { action: 'refund' } }],
	[`GET ${V}/admin/audit/ledger`, 'admin', 200],
	[`GET ${V}/admin/audit-log`, 'admin', 200],
	['GET /livez', 'open', 200],
	['GET /readyz', 'open', 200],
	['GET /healthz', 'open', 200],
	['GET /version', 'open', 200],
	['GET /metrics', 'metrics', 200],
].map(([route, kind, ok, more = {}]) => {
	const [method, path] = route.split(' ');
	return { route, method, path, kind, ok, ...more };
});

let r, owner, g, sessions, secrets;
const ids = {};
const callers = {}; // name -> headers

// A browser that signed in by a link.
async function sign_in(email) {
	const token = randomBytes(32).toString('base64url');
	const [{ id }] = await r.psql('select id from users where email = $1', [email]);
	await r.psql('select login_link_create($1, $2, 600)', [createHash('sha256').update(token).digest(), id]);
	const res = await r.call('POST', `${V}/auth/link`, { json: { token }, headers: elsewhere() });
	assert.equal(res.status, 200, JSON.stringify(res.body));
	return res.headers.get('set-cookie').split(';')[0];
}
const bearer = (key) => ({ authorization: `Bearer ${key}` });
const browser = (cookie) => ({ cookie, origin: r.url, 'sec-fetch-site': 'same-origin' });

const address = (row, with_ids = ids) => row.path.replace(/\{(\w+)\}/g, (_, name) => ({
	id: with_ids[row.id ?? 'generation'], slug: 'demo-pixel', attempt: with_ids.attempt,
	which: 'start', provider: with_ids.provider ?? (row.path.startsWith('/hooks') ? 'worker' : 'nobody'), token: 'x'.repeat(43),
})[name]) + (row.query ?? '');

let callers_n = 0;
const elsewhere = () => ({ 'x-forwarded-for': `198.51.${(callers_n += 1) >> 8}.${callers_n & 255}` });

async function send(row, headers, { path = address(row), type, body } = {}) {
	const what = body ?? row.raw ?? (row.body && JSON.stringify(row.body).replace('ATTEMPT', ids.attempt));
	const res = await fetch(r.url + path, { method: row.method, redirect: 'manual', body: what,
		headers: { ...elsewhere(), ...headers, ...(what !== undefined ? { 'content-type': type ?? 'application/json' } : {}) },
		signal: AbortSignal.timeout(10000) });
	return { status: res.status, text: await res.text(), headers: res.headers };
}

// Everything that is written, without the marks of use and of beating hearts.
async function state() {
	const tables = await r.psql(`select relname as name from pg_class where relkind = 'r'
		and relnamespace = 'public'::regnamespace and relname not in ('instances', 'workers', 'outbox') order by 1`);
	const out = {};
	for (const { name } of tables) {
		const [row] = await r.psql(`select coalesce(md5(string_agg(x, '' order by x)), '') as sum from
			(select (to_jsonb(t) - 'last_used_at' - 'last_seen_at' - 'seen_at')::text as x from ${name} t) q`);
		out[name] = row.sum;
	}
	return out;
}

before(async () => {
	// Signing in is limited by address: each request comes from another.
	r = await reeld({ env: { REELD_HTTP_TRUSTED_PROXIES: '127.0.0.1/32' } });
	owner = await r.user({ email: 'canary-owner@example.org', scopes: 'generate,read,admin' });
	const other = await r.user({ scopes: 'generate,read,admin' });
	const operator = await r.user({ role: 'operator' });
	const w = await worker(r);
	g = await owner.submit({ prompt: 'canary prompt of the owner', duration: 2, title: 'canary title' });
	assert.equal((await owner.ended(g.id)).status, 'completed');
	await w.stop();
	const image = await r.psql(`insert into assets (id, user_id, kind, backend, key, name, mime, size_bytes, sha256, width, height)
		values (uuid7(), $1, 'start', 'local', 'images/canary', 'canary name', 'image/png', 1, $2, 1, 1) returning id`,
	[owner.id, randomBytes(32)]).catch((e) => { throw new Error(`assets: ${e.message}`); });
	sessions = { owner: await sign_in(owner.email), other: await sign_in(other.email),
		operator: await sign_in(operator.email), admin: await sign_in(r.admin.email) };
	Object.assign(callers, {
		nobody: {},
		'other session': browser(sessions.other),
		'other key': bearer(other.key),
		weak: bearer(await r.key(owner.email, 'webhook')),
		operator: bearer(operator.key),
		admin: bearer(r.admin.key),
		worker: bearer(await r.key(operator.email, 'worker')),
	});
	const one = async (text, params) => (await r.psql(text, params))[0].id;
	Object.assign(ids, {
		generation: g.id, owner: owner.id, random: randomUUID(), asset: image[0].id,
		attempt: await one('select id from attempts where generation_id = $1', [g.id]),
		session: await one('select id from sessions where user_id = $1', [owner.id]),
		key: await one('select id from api_keys where user_id = $1 limit 1', [owner.id]),
	});
	// What only its owner (and an operator) may read, and what nobody may.
	const keys = (await r.psql('select key from assets where user_id = $1', [owner.id])).map((a) => a.key);
	secrets = { theirs: ['canary prompt', 'canary title', 'canary name', owner.email, ...keys],
		never: [...keys, sessions.owner.split('=')[1], owner.key.slice(22)] };
});

test('every route has a row', () => {
	const have = routes_of(source);
	assert.deepEqual(table.map((row) => row.route).sort(), [...have].sort());
});

test('everybody tries everything', async () => {
	const wrong = [];
	for (const row of table) {
		for (const [name, headers] of Object.entries(callers)) {
			if (row.once && name !== 'nobody') continue; // it would end the session
			const kind = kinds[row.kind][name.split(' ')[0]];
			const want = kind === 'ok' ? row.ok : kind;
			const got = await send(row, headers);
			const where = `${row.route} by ${name}: ${got.status}, not ${want}: ${got.text.slice(0, 200)}`;
			if (got.status !== want) wrong.push(where);
			const hidden = ['operator', 'admin'].includes(name) ? secrets.never : secrets.theirs;
			for (const secret of hidden) if (got.text.includes(secret)) wrong.push(`LEAK of ${secret}: ${where}`);
			if (got.status >= 400 && got.text !== '' && !/problem\+json/.test(got.headers.get('content-type'))) wrong.push(`no problem: ${where}`);
		}
	}
	assert.deepEqual(wrong, []);
	// And nothing of it happened.
	const still = (await owner.get(`/generations/${g.id}`)).body;
	assert.equal(still.title, 'canary title');
	assert.equal((await owner.get(`/assets/${ids.asset}`)).status, 200);
	assert.equal((await owner.get('/sessions')).body.data.length, 1);
});

test('ids that are none', async () => {
	const wrong = [];
	const bad = ['nope', '%00', '..%2f..%2fetc', 'x'.repeat(300), `${randomUUID()}x`, '%ff', "'--", '0', randomUUID()];
	for (const row of table.filter((one) => one.path.includes('{'))) {
		for (const id of bad) {
			const fake = { ...ids, [row.id ?? 'generation']: id, attempt: id, provider: id };
			const who = { worker: callers.worker, admin: callers.admin, operator: callers.admin }[row.kind] ?? bearer(owner.key);
			const path = row.path.includes('{slug}') ? row.path.replace('{slug}', id) : address(row, fake);
			const got = await send(row, who, { path });
			const may = row.path.startsWith('/hooks') ? [400, 401, 404] : row.path.includes('/users/') ? [400, 404, 422] : [400, 404];
			if (!may.includes(got.status)) wrong.push(`${row.route} ${id}: ${got.status} ${got.text.slice(0, 150)}`);
		}
	}
	assert.deepEqual(wrong, []);
});

test('writes only from our own pages', async () => {
	const wrong = [];
	const writes = table.filter((row) => !['GET', 'HEAD'].includes(row.method));
	for (const row of writes) {
		const cookie = { admin: sessions.admin, operator: sessions.admin, worker: sessions.admin }[row.kind] ?? sessions.owner;
		for (const [name, headers] of Object.entries({
			origin: { origin: 'https://evil.example' },
			null: { origin: 'null' },
			suffix: { origin: `${r.url}.evil.example` },
			prefix: { origin: r.url.slice(0, -1) },
			other_port: { origin: 'http://127.0.0.1:1', 'sec-fetch-site': 'same-site' },
			site: { 'sec-fetch-site': 'cross-site', origin: r.url },
			silent: {},
		})) {
			// Without a cookie there is nobody to speak for.
			if (name === 'silent' && row.kind === 'open') continue;
			const got = await send(row, { cookie, ...headers });
			if (got.status !== 403 || !got.text.includes('cross_site')) wrong.push(`${row.route} ${name}: ${got.status} ${got.text.slice(0, 150)}`);
		}
		// What a form can send is not JSON.
		if (row.raw || row.method === 'DELETE') continue;
		for (const type of ['text/plain', 'text/plain;a=application/json', 'application/x-www-form-urlencoded']) {
			const got = await send(row, browser(cookie), { type, body: '{}' });
			if (got.status !== 415) wrong.push(`${row.route} ${type}: ${got.status} ${got.text.slice(0, 150)}`);
		}
	}
	assert.deepEqual(wrong, []);
	assert.equal((await owner.get('/sessions')).body.data.length, 1);
});

test('who may not send is told before he sends', async () => {
	const bob = await r.user();
	const attempt = ids.attempt;
	for (const [headers, want] of [[bearer(await r.key(bob.email, 'worker')), 403], [bearer(bob.key), 403],
		[{ 'x-job-token': 'x'.repeat(43) }, 401], [{}, 401]]) {
		// One gigabyte is promised; nothing of it is sent or asked for.
		const req = http.request(`${r.url}${V}/worker/jobs/${attempt}/upload`, { method: 'PUT',
			headers: { ...headers, 'content-type': 'video/mp4', 'content-length': 1 << 30, expect: '100-continue' } });
		req.flushHeaders();
		const got = await Promise.race([once(req, 'response'), once(req, 'continue')]);
		assert.equal(got[0]?.statusCode, want);
		req.on('error', () => {});
		req.destroy();
	}
});

test('no GET changes anything', async () => {
	const was = await state();
	for (const row of table.filter((one) => one.method === 'GET')) {
		for (const headers of [browser(sessions.admin), browser(sessions.owner), callers.worker]) await send(row, headers);
		// A method that hides in the query or a header stays a GET.
		await send(row, { ...browser(sessions.owner), 'x-http-method-override': 'DELETE' },
			{ path: `${address(row)}?_method=DELETE` });
	}
	assert.deepEqual(await state(), was);
	assert.deepEqual(await r.books(), {});
});
