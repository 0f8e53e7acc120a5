// account.test.mjs - who may do what, and the account half of the API: keys,
// sign-in links, sessions, models, estimates, credits.  uploads.test.mjs: its files.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import test from 'node:test';
import { problem, reeld, until } from './env.mjs';

// Each sign-in comes from an address of its own: they are limited by address.
const r = await reeld({ env: { REELD_HTTP_TRUSTED_PROXIES: '127.0.0.1/32' } });
let address = 0;
const elsewhere = () => ({ 'x-forwarded-for': `198.51.100.${address += 1}` });
const api = (path) => `/api/v1${path}`;

// Signs in by a fresh link: a browser, as far as the server can tell.
async function sign_in(email, ttl_s = 3600) {
	const token = randomBytes(32).toString('base64url');
	const hash = createHash('sha256').update(token).digest();
	const [user] = await r.psql('select id from users where email = $1', [email]);
	await r.psql('select login_link_create($1, $2, $3)', [hash, user.id, ttl_s]);
	const res = await r.call('POST', api('/auth/link'), { json: { token }, headers: elsewhere() });
	const cookie = res.headers.get('set-cookie');
	return { token, hash, res, cookie: cookie?.split(';')[0], full: cookie };
}
const same = (cookie) => ({ cookie, 'sec-fetch-site': 'same-origin', origin: r.url });

test('credentials: none, wrong, malformed, revoked, expired', async () => {
	problem(await r.call('GET', api('/me')), 401, 'unauthorized');
	const ann = await r.user();
	assert.equal((await ann.get('/me')).status, 200);
	const wrong = `${ann.key.slice(0, -1)}${ann.key.endsWith('a') ? 'b' : 'a'}`;
	const bad = await r.call('GET', api('/me'), { key: wrong });
	problem(bad, 401, 'invalid_token');
	assert.match(bad.headers.get('www-authenticate'), /^Bearer/);
	problem(await r.call('GET', api('/me'), { headers: { authorization: 'Basic YTpi' } }), 401, 'invalid_token');

	const { body: { data: [key] } } = await (await r.user({ email: 'keys@example.org', scopes: 'admin' })).get('/keys');
	assert.equal(key.prefix.length, 21);
	const bob = await r.user({ scopes: 'admin,read' });
	const list = await bob.get('/keys');
	assert.equal((await bob.delete(`/keys/${list.body.data[0].id}`)).status, 204);
	// At once, not when the cache is old.
	problem(await bob.get('/me'), 401, 'invalid_token');

	const eve = await r.user();
	await r.psql(`update api_keys set expires_at = now() - interval '1 s' where user_id = $1`, [eve.id]);
	problem(await eve.get('/me'), 401, 'invalid_token');
});

test('scopes and roles', async () => {
	const reader = await r.user({ scopes: 'read' });
	problem(await reader.get('/keys'), 403, 'scope_missing');
	// An admin's key without the scope has not his powers.
	const [boss] = [await r.user({ role: 'admin', scopes: 'read,generate' })];
	assert.equal((await boss.get('/me')).body.role, 'creator');
	assert.equal((await r.admin.get('/me')).body.role, 'admin');
});

test('me', async () => {
	const ann = await r.user({ credits: 123 });
	const { body } = await ann.get('/me');
	assert.equal(body.id, ann.id);
	assert.equal(body.email, ann.email);
	assert.equal(body.balance, 123);
	assert.deepEqual(body.scopes, ['read', 'generate']);
	assert.equal(body.auth, 'api_key');
	assert.equal(body.limits.concurrent, 3);
	const limits = await ann.get('/me/limits');
	assert.deepEqual(limits.body.generations, { concurrent: 3, active: 0, waiting: 0, waiting_limit: 10000 });
	const bob = await r.user({ scopes: 'read,admin' });
	const patched = await bob.patch('/me', { name: 'Bob \u{1f3ac}' });
	assert.equal(patched.status, 200);
	assert.equal(patched.body.name, 'Bob \u{1f3ac}');
	problem(await bob.patch('/me', { role: 'admin' }), 400, 'unknown_field');
});

test('keys are shown once and never do more than their maker', async () => {
	const ann = await r.user({ scopes: 'admin,read,generate' });
	const made = await ann.post('/keys', { name: 'ci', scopes: ['read'] });
	assert.equal(made.status, 201);
	assert.match(made.body.key, /^rld_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$/);
	const me = await r.call('GET', api('/me'), { key: made.body.key });
	assert.equal(me.body.id, ann.id);
	assert.deepEqual(me.body.scopes, ['read']);
	const list = await ann.get('/keys');
	assert.ok(!JSON.stringify(list.body).includes(made.body.key));
	assert.deepEqual(list.body.data.find((k) => k.id === made.body.id).scopes, ['read']);
	problem(await ann.post('/keys', { name: 'w', scopes: ['worker'] }), 403, 'scope_missing');
	problem(await ann.post('/keys', { name: 'w', scopes: ['everything'] }), 422, 'unknown_scope');
	problem(await ann.post('/keys', { name: '' }), 422, 'out_of_range');
	problem(await ann.post('/keys', { name: 'x', expires_at: '2001-01-01T00:00:00Z' }), 422, 'bad_time');
	const other = await r.user({ scopes: 'admin' });
	problem(await other.delete(`/keys/${made.body.id}`), 404, 'not_found');
	assert.equal((await r.call('GET', api('/me'), { key: made.body.key })).status, 200);
	assert.ok(!r.logs().includes(made.body.key));
});

test('a link signs in once; the session ends at logout', async () => {
	const ann = await r.user();
	const { token, res, cookie, full } = await sign_in(ann.email);
	assert.equal(res.status, 200, JSON.stringify(res.body));
	assert.equal(res.body.id, ann.id);
	assert.match(full, /^reeld=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=\d+$/);
	problem(await r.call('POST', api('/auth/link'), { json: { token } }), 410, 'link_used');
	const me = await r.call('GET', api('/me'), { headers: { cookie } });
	assert.equal(me.status, 200);
	assert.equal(me.body.auth, 'session');
	const out = await r.call('POST', api('/auth/logout'), { headers: same(cookie) });
	assert.equal(out.status, 204);
	assert.match(out.headers.get('set-cookie'), /^reeld=; .*Max-Age=0/);
	problem(await r.call('GET', api('/me'), { headers: { cookie } }), 401, 'unauthorized');
	assert.ok(!r.logs().includes(token) && !r.logs().includes(cookie.slice(6)));
});

test('links that are no good', async () => {
	const ann = await r.user();
	problem(await r.call('POST', api('/auth/link'), { json: { token: randomBytes(32).toString('base64url') } }), 404, 'link_unknown');
	problem(await r.call('POST', api('/auth/link'), { json: { token: 'short' } }), 404, 'link_unknown');
	problem(await r.call('POST', api('/auth/link'), { json: {} }), 400, 'missing_field');
	const { hash } = await sign_in(ann.email);
	await r.psql(`update login_links set used_at = null, expires_at = now() - interval '1 s' where token_hash = $1`, [hash]);
	const bad = await sign_in(ann.email).then(async (s) => {
		await r.psql(`update login_links set used_at = null, expires_at = now() - interval '1 s' where token_hash = $1`, [s.hash]);
		return r.call('POST', api('/auth/link'), { json: { token: s.token }, headers: elsewhere() });
	});
	problem(bad, 410, 'link_expired');
	await r.psql(`select user_update($1, null, null, 'suspended', null, null)`, [ann.id]);
	problem((await sign_in(ann.email)).res, 403, 'suspended');
	problem(await r.call('POST', api('/auth/link'), { json: { token: 'x' }, headers: { origin: 'https://evil.test' } }), 403, 'cross_site');
});

test('a cookie writes only from our own pages', async () => {
	const ann = await r.user();
	const { cookie } = await sign_in(ann.email);
	const patch = (headers) => r.call('PATCH', api('/me'), { json: { name: 'x' }, headers: { cookie, ...headers } });
	assert.equal((await patch({ 'sec-fetch-site': 'same-origin', origin: r.url })).status, 200);
	assert.equal((await patch({ origin: r.url })).status, 200);
	for (const headers of [{}, { origin: 'https://evil.test' }, { origin: 'null' }, { 'sec-fetch-site': 'cross-site' },
		{ 'sec-fetch-site': 'same-site', origin: r.url }, { origin: `${r.url}.evil.test` }]) {
		problem(await patch(headers), 403, 'cross_site');
	}
	// A key is not sent by browsers: no such rule.
	const bob = await r.user({ scopes: 'admin,read' });
	assert.equal((await bob.patch('/me', { name: 'y' }, { origin: 'https://evil.test' })).status, 200);
	// Reading is not writing.
	assert.equal((await r.call('GET', api('/me'), { headers: { cookie, origin: 'https://evil.test' } })).status, 200);
});

test('sessions are listed and revoked', async () => {
	const ann = await r.user();
	const a = await sign_in(ann.email);
	const b = await sign_in(ann.email);
	const list = await r.call('GET', api('/sessions'), { headers: { cookie: a.cookie } });
	assert.equal(list.body.data.length, 2);
	const other = list.body.data.find((s) => !s.current);
	const mine = list.body.data.find((s) => s.current);
	assert.ok(mine);
	assert.equal((await r.call('GET', api('/me'), { headers: { cookie: b.cookie } })).status, 200);
	const bob = await r.user();
	const foreign = await sign_in(bob.email);
	problem(await r.call('DELETE', api(`/sessions/${other.id}`), { headers: same(foreign.cookie) }), 404, 'not_found');
	assert.equal((await r.call('DELETE', api(`/sessions/${other.id}`), { headers: same(a.cookie) })).status, 204);
	problem(await r.call('GET', api('/me'), { headers: { cookie: b.cookie } }), 401, 'unauthorized');
	assert.equal((await r.call('GET', api('/me'), { headers: { cookie: a.cookie } })).status, 200);
	// Unused for too long.
	const c = await sign_in(ann.email);
	await r.psql(`update sessions set seen_at = now() - interval '8 days' where user_id = $1`, [ann.id]);
	problem(await r.call('GET', api('/me'), { headers: { cookie: c.cookie } }), 401, 'unauthorized');
});

test('models', async () => {
	const list = await r.call('GET', api('/models'));
	assert.equal(list.status, 200);
	const demo = list.body.data.find((m) => m.slug === 'demo-pixel');
	assert.ok(demo, 'the demo models are in the seed');
	assert.equal(demo.available, true);
	assert.equal(demo.unavailable_reason, null);
	assert.ok(demo.from_credits > 0);
	assert.ok(demo.capabilities.durations.length > 0);
	const unkeyed = list.body.data.find((m) => !m.available);
	assert.ok(unkeyed.unavailable_reason, 'says why');
	for (const m of list.body.data) {
		assert.ok(m.name && Array.isArray(m.modes) && Array.isArray(m.tags), m.slug);
		assert.ok(m.from_credits > 0, m.slug);
		assert.equal((await r.call('GET', api(`/models/${m.slug}`))).body.slug, m.slug);
	}
	const etag = list.headers.get('etag');
	assert.equal(demo.stats, null, 'nothing has run yet');
	assert.equal((await r.fetch(api('/models'), { headers: { 'if-none-match': etag } })).status, 304);
	const some = await r.call('GET', api('/models?available=true&mode=i2v'));
	assert.ok(some.body.data.every((m) => m.available && m.modes.includes('i2v')));
	assert.equal((await r.call('GET', api('/models/default'))).body.available, true);
	problem(await r.call('GET', api('/models/no-such')), 404, 'unknown_model');
});

test('a paused provider makes its models unavailable, with its reason', async () => {
	const [{ provider }] = await r.psql(`select distinct r.provider from model_routes r join models m on m.id = r.model_id where m.slug = 'demo-pixel'`);
	await r.psql('select provider_pause($1, null, $2, null)', [provider, 'moving house']);
	// Another instance says so (any sender but this one).
	await r.redis.command('publish', 'reeld:catalogue', 'somebody');
	await until('unavailable', async () => {
		const m = await r.call('GET', api('/models/demo-pixel'));
		return !m.body.available && m.body.unavailable_reason === 'moving house';
	});
	await r.psql('select provider_resume($1, null)', [provider]);
	await r.redis.command('publish', 'reeld:catalogue', 'somebody');
	await until('available', async () => (await r.call('GET', api('/models/demo-pixel'))).body.available);
});

test('estimate', async () => {
	const ann = await r.user({ credits: 1 });
	const model = (await r.call('GET', api('/models/demo-pixel'))).body;
	const e = await ann.post('/estimate', { model: 'demo-pixel' });
	assert.equal(e.status, 200, JSON.stringify(e.body));
	assert.equal(e.body.breakdown.reduce((n, l) => n + l.credits, 0), e.body.credits);
	assert.equal(e.body.balance, 1);
	assert.equal(e.body.affordable, e.body.credits <= 1);
	assert.deepEqual(e.body.credit_value, { amount_micro: 10000, currency: 'USD' });
	assert.equal(e.body.spec.duration, model.capabilities.defaults.duration);
	const longest = Math.max(...model.capabilities.durations);
	const more = await ann.post('/estimate', { model: 'demo-pixel', duration: longest });
	assert.ok(more.body.credits >= e.body.credits);
	problem(await ann.post('/estimate', { model: 'nope' }), 422, 'unknown_model');
	problem(await ann.post('/estimate', {}), 400, 'missing_field');
	problem(await ann.post('/estimate', { model: 'demo-pixel', colour: 'red' }), 400, 'unknown_field');
	const bad = await ann.post('/estimate', { model: 'demo-pixel', duration: 3599 });
	problem(bad, 422, 'unsupported_duration');
	assert.equal(bad.body.errors[0].pointer, '#/duration');
});

test('a hang-up while the caller is looked up', async () => {
	const users = await Promise.all(Array.from({ length: 5 }, () => r.user()));
	for (let i = 0; i < 40; i += 1) {
		const socket = connect(r.port, '127.0.0.1');
		const gone = once(socket, 'close');
		await once(socket, 'connect');
		// Nobody has looked up this user's key yet, or the last one hung up.
		socket.write(`GET ${api('/me')} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${users[i % 5].key}\r\n\r\n`);
		if (i % 2) await new Promise(setImmediate);
		socket.destroy();
		await gone;
	}
	const all = await Promise.all(users.flatMap((u) => [u.get('/me'), u.get('/me')]));
	assert.ok(all.every((x) => x.status === 200));
});

test('credits and the ledger', async () => {
	const ann = await r.user({ credits: 500 });
	for (const n of [10, -20, 30]) {
		await r.psql(`select * from credit_adjust($1, $2, 'adjustment', $3, null, 'test', null)`, [ann.id, n, `t:${ann.id}:${n}`]);
	}
	const credits = await ann.get('/credits');
	assert.equal(credits.body.balance, 520);
	const all = [];
	let cursor = '';
	do {
		const page = await ann.get(`/credits/ledger?limit=3${cursor}`);
		assert.equal(page.status, 200);
		all.push(...page.body.data);
		cursor = page.body.next_cursor ? `&cursor=${page.body.next_cursor}` : null;
	} while (cursor);
	assert.deepEqual(all.map((e) => e.amount), [30, -20, 10, 500]);
	assert.equal(all[0].balance_after, 520);
	assert.deepEqual((await ann.get('/credits/ledger?type=bonus')).body.data.map((e) => e.amount), [500]);
	for (const { type } of await r.psql('select unnest(enum_range(null::ledger_type))::text as type'))
		assert.equal((await ann.get(`/credits/ledger?type=${type}`)).status, 200, type);
	assert.deepEqual([(await ann.get('/credits/ledger?type=gift')).body].map((b) => [b.status, b.code]), [[422, 'bad_type']]);
	const bob = await r.user({ credits: 0 });
	assert.equal((await bob.get('/credits/ledger')).body.data.length, 0);
});

test('too often', async () => {
	const other = await reeld({ env: { REELD_LIMITS_READ_PER_SECOND: '1', REELD_LIMITS_READ_BURST: '5' } });
	const ann = await other.user();
	const bob = await other.user();
	const all = await Promise.all(Array.from({ length: 12 }, () => ann.get('/credits')));
	const ok = all.filter((x) => x.status === 200).length;
	assert.ok(ok >= 5 && ok < 12, `${ok} let in`);
	const refused = all.find((x) => x.status === 429);
	problem(refused, 429, 'rate_limited');
	assert.ok(Number(refused.headers.get('retry-after')) >= 1);
	assert.match(refused.headers.get('ratelimit'), /^"read";r=0;t=\d+$/);
	assert.match(refused.headers.get('ratelimit-policy'), /^"read";q=5;w=5$/);
	assert.equal((await bob.get('/credits')).status, 200, 'others are not held up');
	let last;
	for (let i = 0; i < 12; i += 1) last = await other.call('POST', api('/auth/link'), { json: { token: 'x' } });
	problem(last, 429, 'rate_limited');
});

test('a reload changes the rates', async () => {
	const file = join(r.dir, 'reeld.conf');
	const limits = (n) => writeFileSync(file, `limits.read_per_second = 1\nlimits.read_burst = ${n}\n`);
	limits(1);
	const other = await r.twin({ args: ['-c', file],
		env: { REELD_LIMITS_READ_PER_SECOND: undefined, REELD_LIMITS_READ_BURST: undefined } });
	const ann = await other.user();
	const policy = async () => (await ann.get('/credits')).headers.get('ratelimit-policy');
	assert.equal(await policy(), '"read";q=1;w=1');
	limits(77);
	other.process.child.kill('SIGHUP');
	await until('the new rate', async () => await policy() === '"read";q=77;w=77');
	await other.stop();
});

test('an address of admin.emails becomes admin at sign-in', async () => {
	const other = await r.twin({ env: { ADMIN_EMAILS: 'someone@example.org, chief@example.org' } });
	const ann = await r.user({ email: 'chief@example.org' });
	const token = randomBytes(32).toString('base64url');
	await r.psql('select login_link_create($1, $2, 3600)', [createHash('sha256').update(token).digest(), ann.id]);
	const res = await other.call('POST', api('/auth/link'), { json: { token } });
	assert.equal(res.body.role, 'admin');
	// A right that changed in one instance is known in the other.
	const cookie = res.headers.get('set-cookie').split(';')[0];
	assert.equal((await r.call('GET', api('/me'), { headers: { cookie } })).body.role, 'admin');
	assert.equal((await other.call('POST', api('/auth/logout'), { headers: { cookie, origin: other.url } })).status, 204);
	await until('known here too', async () => (await r.call('GET', api('/me'), { headers: { cookie } })).status === 401, 5000);
	await other.stop();
});

test('without its database it says so, and goes on when it is back', async () => {
	const other = await reeld({ own_pg: true });
	const ann = await other.user();
	const bob = await other.user();
	assert.equal((await ann.get('/me')).status, 200);
	await other.pg.kill9();
	for (const user of [ann, bob]) {
		const res = await user.get('/credits');
		assert.equal(res.status, 503, JSON.stringify(res.body));
		assert.match(res.body.code, /^db_(unavailable|unknown|busy)$/);
		assert.equal(res.body.retryable, true);
	}
	// What is in memory is still served.
	assert.equal((await other.call('GET', api('/models'))).status, 200);
	await other.pg.up();
	await until('back', async () => (await bob.get('/credits')).status === 200);
	assert.equal((await ann.get('/credits')).status, 200);
});

test('without Redis a revoked key still ends here at once', async () => {
	const other = await reeld();
	await other.redis.kill9();
	const ann = await other.user({ scopes: 'admin,read' });
	const { body } = await ann.get('/keys');
	assert.equal((await ann.delete(`/keys/${body.data[0].id}`)).status, 204);
	problem(await ann.get('/me'), 401, 'invalid_token');
	await other.redis.up();
});
