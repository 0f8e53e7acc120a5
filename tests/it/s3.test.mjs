// s3.test.mjs - a generation whose files live in a bucket, behind a server
// that checks every signature.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { reeld, s3, worker } from './env.mjs';

let r, ann, store;
before(async () => {
	store = await s3();
	r = await reeld({ env: store.env });
	await worker(r);
	ann = await r.user({ credits: 1000 });
});

test('the video is in the bucket and comes back by a signed link', async () => {
	const g = await ann.submit({ model: 'demo-pixel' });
	const done = await ann.ended(g.id);
	assert.equal(done.status, 'completed', JSON.stringify(done.error));
	const x = await ann.fetch(done.video_url, { redirect: 'follow' });
	assert.equal(x.status, 200);
	const bytes = Buffer.from(await x.arrayBuffer());
	assert.equal(bytes.length, done.video.size_bytes);
	assert.equal(bytes.subarray(4, 8).toString(), 'ftyp');
	const poster = await ann.fetch(done.thumbnail_url, { redirect: 'follow' });
	assert.equal(Buffer.from(await poster.arrayBuffer()).subarray(0, 2).toString('hex'), 'ffd8');
	const kept = await r.psql("select backend::text, count(*) from assets group by 1");
	assert.deepEqual(kept.map((k) => k.backend), ['s3']);
	// The link is signed: changed, the bucket refuses it.
	const link = await ann.fetch(done.video_url);
	if (link.status >= 300 && link.status < 400) {
		const changed = link.headers.get('location').replace(/.$/, (c) => (c === '0' ? '1' : '0'));
		assert.equal((await fetch(changed)).status, 403);
	}
	assert.deepEqual(await r.books(), {});
});

test('a bucket that refuses our key: nothing is shown, nothing is lost', async () => {
	const bad = await reeld({ env: { ...store.env, REELD_S3_SECRET_KEY: 'wrong' } });
	// The worker knows one address: the server must come back on it.
	await bad.restart({ args: ['--listen', `127.0.0.1:${bad.port}`] });
	const bob = await bad.user({ credits: 1000 });
	await worker(bad);
	const g = await bob.submit({ model: 'demo-pixel' });
	await bad.process.said(/SignatureDoesNotMatch|\/upload" status=502/);
	const now = (await bob.get(`/generations/${g.id}`)).body;
	assert.notEqual(now.status, 'completed');
	assert.equal(now.video_url, null);
	assert.deepEqual(await bad.books(), {});
	await bad.restart({ env: { REELD_S3_SECRET_KEY: 'S3RVER' } });
	assert.ok(['completed', 'failed'].includes((await bob.ended(g.id, 90000)).status));
	assert.deepEqual(await bad.books(), {});
});
