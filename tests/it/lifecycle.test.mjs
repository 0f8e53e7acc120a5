// lifecycle.test.mjs - the demo models through the real worker: each makes a
// file that plays; failing, cancelling and retrying give the money back.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { reeld, worker } from './env.mjs';

let r, ann;
before(async () => {
	r = await reeld();
	await worker(r, { name: 'one' });
	await worker(r, { name: 'two', use_redis: false });
	ann = await r.user({ credits: 100000 });
});

// What ffprobe, which is not ours, says about a file.
function probe(bytes) {
	const file = join(r.dir, 'probe.mp4');
	writeFileSync(file, bytes);
	const said = JSON.parse(execFileSync('ffprobe', ['-v', 'error', '-of', 'json', '-show_streams', '-show_format', file]));
	return { ...said, video: said.streams.find((s) => s.codec_type === 'video'), audio: said.streams.find((s) => s.codec_type === 'audio') };
}
const file_of = async (g) => {
	const x = await ann.fetch(g.video_url);
	assert.equal(x.status, 200);
	return Buffer.from(await x.arrayBuffer());
};
const shortest = async (slug) => (await ann.get(`/models/${slug}`)).body.capabilities;

async function start_image() {
	const png = join(r.dir, 'in.png');
	execFileSync('ffmpeg', ['-v', 'error', '-y', '-f', 'lavfi', '-i', 'testsrc=size=640x360', '-frames:v', '1', png]);
	const { readFileSync } = await import('node:fs');
	const form = new FormData();
	form.set('purpose', 'start');
	form.set('file', new Blob([readFileSync(png)], { type: 'image/png' }), 'in.png');
	const x = await ann.fetch('/api/v1/uploads', { method: 'POST', body: form });
	const body = await x.json();
	assert.equal(x.status, 201, JSON.stringify(body));
	return body.id;
}

for (const slug of ['demo-sunset', 'demo-ocean', 'demo-orbit', 'demo-pixel', 'demo-canvas']) {
	test(`${slug} makes a file that plays`, async () => {
		const caps = await shortest(slug);
		const body = { model: slug, duration: Math.min(...[caps.durations].flat().filter(Number.isFinite), caps.defaults.duration) };
		if (slug === 'demo-canvas') body.start_image = await start_image();
		if (caps.resolutions?.length > 0) body.resolution = caps.resolutions[0];
		if (caps.audio === 'optional') body.audio = true;
		const start = await ann.balance();
		const g = await ann.submit(body);
		const done = await ann.ended(g.id, 120000);
		assert.equal(done.status, 'completed', JSON.stringify(done.error));
		const said = probe(await file_of(done));
		assert.equal(said.video.width, done.video.width);
		assert.equal(said.video.height, done.video.height);
		assert.ok(Math.abs(Number(said.format.duration) - body.duration) < 0.5, said.format.duration);
		assert.equal(Boolean(said.audio), done.video.has_audio);
		if (body.audio) assert.ok(said.audio);
		assert.equal(await ann.balance(), start - done.credits);
		assert.deepEqual(await r.books(), {});
	});
}

test('demo-fails fails and gives the credits back', async () => {
	const start = await ann.balance();
	const g = await ann.submit({ model: 'demo-fails' });
	const done = await ann.ended(g.id);
	assert.equal(done.status, 'failed');
	assert.equal(done.error.class, 'bad_input');
	assert.ok(done.error.message);
	assert.equal(done.charge.state, 'refunded');
	assert.equal(await ann.balance(), start);
	const refused = await ann.ended((await ann.submit({ model: 'demo-fails', prompt: 'please refuse' })).id);
	assert.equal(refused.error.class, 'refused');
	assert.equal(await ann.balance(), start);
	assert.deepEqual(await r.books(), {});
});

test('cancel while it renders, then retry', async () => {
	const start = await ann.balance();
	const g = await ann.submit({ model: 'demo-slow' });
	await ann.until(g.id, (s) => s.status === 'processing' && s.progress > 0);
	const c = await ann.post(`/generations/${g.id}/cancel`, {});
	assert.ok(c.status === 200 || c.status === 202, JSON.stringify(c.body));
	const ended = await ann.ended(g.id);
	assert.equal(ended.status, 'cancelled');
	assert.equal(await ann.balance(), start);
	const again = await ann.post(`/generations/${g.id}/retry`, {});
	assert.equal(again.status, 201, JSON.stringify(again.body));
	assert.equal(again.body.parent_id, g.id);
	assert.equal(again.body.relation, 'retry');
	assert.equal(await ann.balance(), start - again.body.credits);
	await ann.post(`/generations/${again.body.id}/cancel`, {});
	await ann.ended(again.body.id);
	assert.equal(await ann.balance(), start);
	assert.deepEqual(await r.books(), {});
});

test('ranges of the file, and its end with the generation', async () => {
	const g = await ann.ended((await ann.submit({ model: 'demo-pixel' })).id);
	const whole = await file_of(g);
	const n = whole.length;
	// [Range, status, bytes]
	const table = [['bytes=0-0', 206, whole.subarray(0, 1)], ['bytes=-5', 206, whole.subarray(n - 5)],
		[`bytes=${n - 1}-`, 206, whole.subarray(n - 1)], ['bytes=10-5', 200, whole], [`bytes=${n}-`, 416, null],
		['bytes=abc', 200, whole], ['seconds=1-2', 200, whole], [`bytes=5-${n * 10}`, 206, whole.subarray(5)],
		['bytes=99999999999999999999-', 416, null]];
	for (const [range, status, bytes] of table) {
		const x = await ann.fetch(g.video_url, { headers: { range } });
		const got = Buffer.from(await x.arrayBuffer());
		// Too large a number may be no range at all.
		assert.ok(x.status === status || (x.status === 200 && range.length > 20) || (status === 200 && x.status === 416), `${range}: ${x.status}`);
		if (bytes && x.status === status) assert.ok(got.equals(bytes), range);
		if (x.status === 416) assert.equal(x.headers.get('content-range'), `bytes */${n}`);
	}
	const head = await ann.fetch(g.video_url, { method: 'HEAD' });
	assert.equal(head.headers.get('content-length'), String(n));
	const gone = await ann.delete(`/generations/${g.id}`);
	assert.ok([200, 204].includes(gone.status), String(gone.status));
	assert.equal((await ann.fetch(g.video_url)).status, 404);
	assert.equal((await ann.get(`/generations/${g.id}`)).status, 404);
	assert.deepEqual(await r.books(), {});
});

test('twenty at once over two workers: all end, in no more than the limit at a time', async () => {
	const bob = await r.user({ credits: 1000 });
	const all = await Promise.all(Array.from({ length: 20 }, (_, i) => bob.submit({ model: i % 4 ? 'demo-pixel' : 'demo-fails' })));
	const ends = await Promise.all(all.map((g) => bob.ended(g.id, 180000)));
	assert.equal(ends.filter((g) => g.status === 'completed').length, 15, JSON.stringify(ends.map((g) => g.error)));
	assert.equal(ends.filter((g) => g.status === 'failed').length, 5);
	const paid = ends.filter((g) => g.status === 'completed').reduce((sum, g) => sum + g.credits, 0);
	assert.equal(await bob.balance(), 1000 - paid);
	assert.deepEqual(await r.books(), {});
});
