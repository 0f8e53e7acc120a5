// headers.test.mjs - what browsers are told: the security headers of every
// kind of reply, and the files of people as files that can do nothing.
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { reeld, worker } from './env.mjs';
import { temp_dir } from './services.mjs';

const V = '/api/v1';
let r, ann, g;
const pages = temp_dir('pages');
after(() => rmSync(pages, { recursive: true }));

before(async () => {
	mkdirSync(join(pages, 'assets'));
	writeFileSync(join(pages, 'index.html'), '<!doctype html><title>t</title>');
	writeFileSync(join(pages, 'assets/app-0123456789.js'), 'void 0;');
	r = await reeld({ env: { REELD_WWW_DIR: pages, REELD_HTTP_TLS_IN_FRONT: 'yes' } });
	ann = await r.user();
	const w = await worker(r);
	// As nasty as a title may be: quotes, line ends, a path, another header.
	g = await ann.submit({ duration: 2, title: '../"; x=y; ünï\r\nSet-Cookie: a=b \u202e.html' });
	assert.equal((await ann.ended(g.id)).status, 'completed');
	await w.stop();
});

// Directives of a policy: {name: [sources]}.
const policy = (text) => Object.fromEntries(text.split(';').map((d) => d.trim().split(/\s+/)).filter((d) => d[0])
	.map(([name, ...sources]) => [name, sources]));

test('the headers of every kind of reply', async () => {
	const me = { authorization: `Bearer ${ann.key}` };
	const html = { accept: 'text/html' };
	const content = `${V}/generations/${g.id}/content`;
	const tag = async (path, headers) => (await r.fetch(path, { headers })).headers.get('etag');
	const [page_tag, file_tag, models_tag] = [await tag('/', html), await tag(content, me), await tag(`${V}/models`, {})];
	const kinds = [
		// what, status, look, path, headers, method
		['a page', 200, 'page', '/', html],
		['a page, known', 304, 'page', '/', { ...html, 'if-none-match': page_tag }],
		['a page of the app', 200, 'page', '/videos/1', html],
		['a script', 200, 'api', '/assets/app-0123456789.js', {}],
		['an object', 200, 'api', `${V}/me`, me],
		['a list, known', 304, 'api', `${V}/models`, { 'if-none-match': models_tag }],
		['a refusal', 401, 'api', `${V}/me`, {}],
		['forbidden', 403, 'api', `${V}/admin/users`, me],
		['nothing', 404, 'api', `${V}/nothing`, me],
		['no file', 404, 'api', '/nothing.js', {}],
		['a bad path', 400, 'api', '/%00', {}],
		['a wrong method', 405, 'api', `${V}/models`, me, 'DELETE'],
		['options', 204, 'api', `${V}/models`, {}, 'OPTIONS'],
		['another type', 415, 'api', `${V}/generations`, { ...me, 'content-type': 'text/plain' }, 'POST'],
		['too long', 413, 'api', `${V}/auth/link`, { 'content-type': 'application/json' }, 'POST', `{"token":"${'x'.repeat(5000)}"}`],
		['a file', 200, 'file', content, me],
		['a part of it', 206, 'file', content, { ...me, range: 'bytes=0-9' }],
		['no part of it', 416, 'api', content, { ...me, range: 'bytes=999999999-' }],
		['a file, known', 304, 'file', content, { ...me, 'if-none-match': file_tag }],
		['a picture', 200, 'file', `${content}?variant=thumbnail`, me],
		['a download', 200, 'file', `${V}/generations/${g.id}/download`, me],
		['only its head', 200, 'file', content, me, 'HEAD'],
		['a probe', 200, 'api', '/livez', {}],
		['metrics', 200, 'api', '/metrics', {}],
		['a stream', 200, 'api', `${V}/events?topics=user:me`, me],
		['no WebSocket', 400, 'api', '/ws', {}],
	];
	const wrong = [];
	for (const [what, status, look, path, headers, method = 'GET', body] of kinds) {
		const stop = new AbortController();
		const res = await fetch(r.url + path, { method, headers, redirect: 'manual', signal: stop.signal,
			body: body ?? (headers['content-type'] ? 'x' : undefined) });
		const header = (name) => res.headers.get(name) ?? '';
		const expect = (ok, why) => ok || wrong.push(`${what}: ${why}: ${JSON.stringify([...res.headers])}`);
		expect(res.status === status, `status ${res.status}, not ${status}`);
		expect(header('x-content-type-options') === 'nosniff', 'nosniff');
		expect(header('referrer-policy') === 'strict-origin-when-cross-origin', 'referrer');
		expect(header('cross-origin-resource-policy') === 'same-origin', 'CORP');
		expect(/^max-age=31536000/.test(header('strict-transport-security')), 'HSTS');
		expect(header('x-request-id') !== '', 'request id');
		expect(header('cache-control') !== '', 'cache');
		expect(!res.headers.has('server') && !res.headers.has('x-powered-by'), 'our name');
		expect(!res.headers.has('access-control-allow-origin'), 'CORS');
		expect(!res.headers.has('set-cookie'), 'a cookie');
		const csp = policy(header('content-security-policy'));
		expect(csp['default-src']?.join() === "'none'", 'default-src');
		expect(!/unsafe-eval|\*|https?:(\s|;|$)/.test(header('content-security-policy')), 'a wide policy');
		if (look === 'page') {
			expect(csp['script-src']?.join() === "'self'", 'script-src');
			for (const name of ['base-uri', 'frame-ancestors']) expect(csp[name]?.join() === "'none'", name);
			expect(csp['form-action']?.join() === "'self'" || csp['form-action']?.join() === "'none'", 'form-action');
			expect(header('cross-origin-opener-policy') === 'same-origin', 'COOP');
			expect(header('x-frame-options') === 'DENY', 'framing');
		} else if (look === 'file') {
			expect(csp.sandbox?.length === 0 && !csp['script-src'], 'sandbox');
			expect(/^private/.test(header('cache-control')), 'a shared cache');
		} else {
			expect(csp['frame-ancestors']?.join() === "'none'", 'frame-ancestors');
		}
		stop.abort();
	}
	assert.deepEqual(wrong, []);
});

// Small replies with a tag are cast from moulds, whose headers and bodies are
// changed from one reply to the next.
test('replies that look alike keep their own headers and bodies', async () => {
	const people = await Promise.all([r.user(), r.user()]);
	const wanted = await Promise.all(people.flatMap((user) => [0, 1].map(async () => {
		const path = `${V}/generations/${(await user.submit()).id}/status`;
		const first = await r.call('GET', path, { key: user.key });
		return { path, key: user.key, first };
	})));
	const names = (headers) => [...headers.keys()].filter((name) => !['date', 'connection', 'content-length', 'content-type'].includes(name)).join();
	const ask = async (i) => {
		const { path, key, first } = wanted[i % wanted.length];
		const known = i % 3 === 1, head = i % 3 === 2;
		const id = `request-${i}-${'x'.repeat(i % 40)}`;
		const got = await r.fetch(path, { key, method: head ? 'HEAD' : 'GET',
			headers: { 'x-request-id': id, ...(known ? { 'if-none-match': first.headers.get('etag') } : {}) } });
		const text = await got.text();
		// They are handed out meanwhile: then the tag is another, and the body whole.
		const same = got.headers.get('etag') === first.headers.get('etag');
		assert.equal(got.headers.get('x-request-id'), id);
		assert.match(got.headers.get('ratelimit'), /^"read";r=\d+;t=\d+$/);
		assert.equal(names(got.headers), names(first.headers));
		assert.equal(got.status, known && same ? 304 : 200);
		if (got.status === 304 || head) assert.equal(text, '');
		else assert.equal(JSON.parse(text).id, first.body.id);
		if (got.status === 200 && !head) assert.equal(got.headers.get('etag'), `"v${JSON.parse(text).version}"`);
	};
	for (let round = 0; round < 10; round++) await Promise.all(Array.from({ length: 24 }, (_, i) => ask(round * 24 + i)));
});

test('the name of a download is only a name', async () => {
	const res = await ann.fetch(`${V}/generations/${g.id}/download`);
	const text = res.headers.get('content-disposition');
	// A plain name between quotes; the true one as RFC 8187 writes it.
	const m = text.match(/^attachment; filename="([^"\\\r\n/]*)"(; filename\*=UTF-8''([\w%.~-]+))?$/);
	assert.ok(m, text);
	assert.match(m[1], /\.mp4$/);
	assert.ok(/^[\x20-\x7e]*$/.test(m[1]), text);
	const name = decodeURIComponent(m[3]);
	assert.ok(!/[/\\"\x00-\x1f\u202e]/.test(name), name);
	assert.ok(name.includes('ünï'), name);
	assert.equal(res.headers.get('set-cookie'), null);
	assert.equal(res.headers.get('content-type'), 'video/mp4');
	const inline = await ann.fetch(`${V}/generations/${g.id}/content`);
	assert.match(inline.headers.get('content-disposition') ?? 'inline', /^inline/);
});
