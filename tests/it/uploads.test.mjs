// uploads.test.mjs - the files of an account: images that are uploaded, quotas,
// assets and who may see them, hang-ups.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join, relative } from 'node:path';
import test from 'node:test';
import { problem, reeld, until } from './env.mjs';
import { png } from './png.mjs';

const r = await reeld();
const api = (path) => `/api/v1${path}`;

function form(file, { purpose, name = 'a.png', type = 'image/png', field = 'file' } = {}) {
	const f = new FormData();
	if (purpose !== undefined) f.append('purpose', purpose);
	if (file) f.append(field, new Blob([file], { type }), name);
	return f;
}
const upload = async (user, file, options) => {
	const res = await user.fetch(api('/uploads'), { method: 'POST', body: form(file, options) });
	return { status: res.status, headers: res.headers, body: await res.json() };
};

test('an upload is a new image of ours', async () => {
	const ann = await r.user();
	const up = await upload(ann, png(64, 48), { purpose: 'start', name: '../../etc/pass"wd\u00e4.png' });
	assert.equal(up.status, 201, JSON.stringify(up.body));
	assert.equal(up.body.width, 64);
	assert.equal(up.body.height, 48);
	assert.equal(up.body.kind, 'start');
	const got = await ann.fetch(up.body.url);
	assert.equal(got.status, 200);
	const bytes = Buffer.from(await got.arrayBuffer());
	assert.equal(bytes.length, up.body.size_bytes);
	assert.ok(!bytes.includes('secret-comment'), 'metadata is gone');
	assert.equal(got.headers.get('content-type'), up.body.mime);
	assert.equal(got.headers.get('etag'), `"${createHash('sha256').update(bytes).digest('hex')}"`);
	assert.match(got.headers.get('cache-control'), /private.*immutable/);
	assert.match(got.headers.get('content-security-policy'), /sandbox/);
	const part = await ann.fetch(up.body.url, { headers: { range: 'bytes=0-9' } });
	assert.equal(part.status, 206);
	assert.deepEqual(Buffer.from(await part.arrayBuffer()), bytes.subarray(0, 10));
	const again = await ann.fetch(up.body.url, { headers: { 'if-none-match': got.headers.get('etag') } });
	assert.equal(again.status, 304);
});

test('uploads that are refused', async () => {
	const ann = await r.user();
	problem(await upload(await r.user({ scopes: 'read' }), png(20, 20)), 403, 'scope_missing');
	problem(await upload(ann, null, { purpose: 'start' }), 400, 'file_missing');
	problem(await upload(ann, png(8, 8), { purpose: 'wallpaper' }), 422, 'bad_purpose');
	problem(await upload(ann, Buffer.from('<html><script>alert(1)</script>'), { name: 'a.png' }), 415, 'media_type');
	const broken = png(64, 48).subarray(0, 60);
	const res = await upload(ann, broken);
	assert.ok([415, 422].includes(res.status), JSON.stringify(res.body));
	problem(await upload(ann, Buffer.alloc(10 * 1024 * 1024 + 1)), 413, 'image_too_large');
	assert.equal((await ann.get('/assets')).body.data.length, 0);
	assert.deepEqual((await ann.get('/storage/usage')).body.files, 0);
});

test('a refusal after the caller was looked up reads the body first', async () => {
	const ann = await r.user({ scopes: 'read' });
	const body = Buffer.alloc(1000, 'x');
	const socket = connect(r.port, '127.0.0.1');
	let text = '';
	socket.on('data', (d) => { text += d; });
	const over = once(socket, 'close'); // rejects when the connection was reset
	socket.write(`POST ${api('/uploads')} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${ann.key}\r\n`
		+ `Content-Type: multipart/form-data; boundary=x\r\nContent-Length: ${body.length}\r\n\r\n`);
	problem(await ann.get('/keys'), 403, 'scope_missing'); // by now both were looked up
	assert.equal(text, '');
	socket.write(body);
	await over;
	assert.match(text, /^HTTP\/1\.1 403 [^]*scope_missing/);
});

test('the storage quota of a user', async () => {
	const ann = await r.user();
	await r.psql(`insert into system_config (key, value, type) values ('storage_quota_bytes', '100', 'int')
		on conflict (key) do update set value = excluded.value`);
	await r.redis.command('publish', 'reeld:catalogue', 'somebody');
	await until('quota', async () => (await ann.get('/storage/usage')).body.limit_bytes === 100);
	problem(await upload(ann, png(64, 48)), 422, 'storage_quota');
	await r.psql(`delete from system_config where key = 'storage_quota_bytes'`);
	await r.redis.command('publish', 'reeld:catalogue', 'somebody');
	await until('no quota', async () => (await ann.get('/storage/usage')).body.limit_bytes > 100);
	assert.equal((await upload(ann, png(64, 48))).status, 201);
});

test('uploads at once stop at the quota, and leave no file', async () => {
	const image = png(64, 48);
	const first = await r.user();
	const made = await upload(first, image);
	assert.equal(made.status, 201);
	const size = made.body.size_bytes;
	// What was made of it, so that the same size comes out again.
	const again = Buffer.from(await (await first.fetch(made.body.url)).arrayBuffer());
	assert.equal(again.length, size);
	const limit = 4 * size + (size >> 1);
	await r.psql(`insert into system_config (key, value, type) values ('storage_quota_bytes', to_jsonb($1::bigint), 'int')
		on conflict (key) do update set value = excluded.value`, [limit]);
	await r.redis.command('publish', 'reeld:catalogue', 'somebody');
	await until('quota', async () => (await first.get('/storage/usage')).body.limit_bytes === limit);
	const ann = await r.user();
	const bob = await r.user();
	const answers = await Promise.all(Array.from({ length: 24 }, (_, i) => upload(i % 2 ? ann : bob, again)));
	for (const [n, user] of [bob, ann].entries()) {
		const mine = answers.filter((_, i) => i % 2 === n);
		assert.equal(mine.filter((x) => x.status === 201).length, 4, JSON.stringify(mine.map((x) => x.body)));
		for (const x of mine.filter((y) => y.status !== 201)) problem(x, 422, 'storage_quota');
		const { bytes, files } = (await user.get('/storage/usage')).body;
		assert.deepEqual([bytes, files], [4 * size, 4]);
	}
	// One that is deleted makes room for one.
	const { data: [one] } = (await ann.get('/assets')).body;
	assert.equal((await ann.delete(`/assets/${one.id}`)).status, 204);
	const more = await Promise.all(Array.from({ length: 4 }, () => upload(ann, again)));
	assert.equal(more.filter((x) => x.status === 201).length, 1);
	// What was refused after it had been stored is gone from there.
	const keys = new Set((await r.psql('select key from assets')).map((a) => a.key.split('/')[1]));
	await until('no file without its row', () => {
		const stored = readdirSync(join(r.dir, 'files'), { recursive: true, withFileTypes: true })
			.filter((f) => f.isFile() && /\/images\//.test(`${f.path ?? f.parentPath}/`)).map((f) => (f.path ?? f.parentPath).split('/').at(-1));
		assert.ok(stored.length > 0);
		return stored.every((id) => keys.has(id));
	});
	await r.psql(`delete from system_config where key = 'storage_quota_bytes'`);
	await r.redis.command('publish', 'reeld:catalogue', 'somebody');
	await until('no quota', async () => (await ann.get('/storage/usage')).body.limit_bytes > limit);
});

test('assets are their owner\'s', async () => {
	const ann = await r.user();
	const bob = await r.user();
	const ids = [];
	for (let i = 0; i < 3; i += 1) ids.push((await upload(ann, png(32 + i, 32))).body.id);
	const first = await ann.get('/assets?limit=2');
	assert.deepEqual(first.body.data.map((a) => a.id), [ids[2], ids[1]]);
	assert.equal(first.body.has_more, true);
	assert.match(first.headers.get('link'), /rel="next"/);
	const rest = await ann.get(`/assets?limit=2&cursor=${first.body.next_cursor}`);
	assert.deepEqual(rest.body.data.map((a) => a.id), [ids[0]]);
	assert.equal(rest.body.next_cursor, null);
	const next = /<([^>]+)>/.exec(first.headers.get('link'))[1];
	assert.deepEqual((await (await ann.fetch(next)).json()).data.map((a) => a.id), [ids[0]]);
	problem(await ann.get('/assets?cursor=zzz'), 400, 'bad_cursor');
	problem(await ann.get('/assets?limit=1000'), 400, 'bad_query');

	for (const user of [bob, r.admin]) {
		problem(await user.get(`/assets/${ids[0]}`), 404, 'not_found');
		problem(await user.get(`/assets/${ids[0]}/content`), 404, 'not_found');
		problem(await user.delete(`/assets/${ids[0]}`), 404, 'not_found');
	}
	problem(await r.call('GET', api(`/assets/${ids[0]}/content`)), 401, 'unauthorized');
	problem(await ann.get('/assets/not-an-id'), 404, 'not_found');
	assert.equal((await bob.get('/assets')).body.data.length, 0);
	assert.equal((await ann.delete(`/assets/${ids[0]}`)).status, 204);
	problem(await ann.get(`/assets/${ids[0]}`), 404, 'not_found');
	problem(await ann.delete(`/assets/${ids[0]}`), 404, 'not_found');
});

test('a hang-up at any moment of an upload leaves no file without its row', async () => {
	const ann = await r.user();
	const image = png(400, 300);
	const head = '--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n';
	const body = Buffer.concat([Buffer.from(head), image, Buffer.from('\r\n--x--\r\n')]);
	const one = (i) => new Promise((done, fail) => {
		const socket = connect(r.port, '127.0.0.1', () => {
			socket.write(`POST ${api('/uploads')} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${ann.key}\r\n`
				+ `Content-Type: multipart/form-data; boundary=x\r\nContent-Length: ${body.length}\r\n\r\n`);
			socket.write(body);
			setTimeout(() => socket.destroy(), i);
		});
		socket.on('error', fail);
		socket.on('close', done);
		socket.resume();
	});
	for (let i = 0; i < 40; i += 1) await one(i);
	const files = (dir) => (existsSync(dir) ? readdirSync(dir, { recursive: true, withFileTypes: true }).filter((e) => e.isFile()) : []);
	await until('what is on disk has rows', async () => {
		const rows = await r.psql(`select key from assets where kind in ('start', 'end', 'reference')`);
		const keys = rows.map((x) => x.key).sort();
		const found = files(join(r.dir, 'files', 'images')).map((e) => relative(join(r.dir, 'files'), join(e.parentPath ?? e.path, e.name))).sort();
		return JSON.stringify(keys) === JSON.stringify(found)
			&& files(join(r.dir, 'files', 'tmp')).filter((e) => e.name.startsWith('upload-')).length === 0;
	});
	assert.equal((await upload(ann, image)).status, 201, 'and it still works');
});
