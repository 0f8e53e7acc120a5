// Input images within a provider's limits: made to fit by the sandboxed helper
// before anything is paid, from a directory and from a bucket.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { books, bucket, ended, fal, world } from './engine_kit.mjs';

const drawn = {};
function png(size) {
	if (!drawn[size]) {
		const file = join(tmpdir(), `reeld-input-${randomUUID()}.png`);
		execFileSync('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', `testsrc=s=${size}`,
			'-frames:v', '1', file]);
		drawn[size] = readFileSync(file);
		rmSync(file);
	}
	return drawn[size];
}

async function image(w, bytes, size, { put, mime = 'image/png' } = {}) {
	const id = randomUUID(), key = `images/${id}/a.png`;
	const [width, height] = size ? size.split('x').map(Number) : [null, null];
	await w.k.one('insert into assets (id, user_id, kind, backend, key, mime, size_bytes, width, height) '
		+ "values ($1, $2, 'start', $3, $4, $5, $6, $7, $8)",
	[id, w.user, put ? 's3' : 'local', key, mime, bytes.length, width, height]);
	if (put) await put(key, bytes);
	else {
		mkdirSync(dirname(join(w.dir, key)), { recursive: true });
		writeFileSync(join(w.dir, key), bytes);
	}
	return id;
}

// {type, width, height, bytes} of a data URI, by ffprobe.
function what(uri) {
	const [, type, text] = /^data:(image\/\w+);base64,(.*)$/.exec(uri);
	const bytes = Buffer.from(text, 'base64');
	const file = join(tmpdir(), `reeld-got-${randomUUID()}`);
	writeFileSync(file, bytes);
	const [width, height] = execFileSync('ffprobe', ['-v', 'error', '-show_entries',
		'stream=width,height', '-of', 'csv=p=0', file]).toString().trim().split(',').map(Number);
	rmSync(file);
	return { type, width, height, bytes: bytes.length, length: uri.length };
}
const got = (g) => fal.of(g.prompt)?.input;
const limits = (image_limits) => ({ route: { params: { options: { image: image_limits } } } });

test('too large a picture, in each way; one that fits is sent as it is', async () => {
	const cases = [
		[{ max_side: 512 }, '1600x900', { width: 512, height: 288 }],
		[{ min_side: 300 }, '200x100', { width: 600, height: 300 }],
		[{ max_ratio: 2, formats: ['jpeg'] }, '900x300', { type: 'image/jpeg', width: 600, height: 300 }],
		[{ width: 1280, height: 720 }, '640x640', { width: 1280, height: 720 }],
		[{ max_data_uri: 20000 }, '1600x900', {}],
		[{ max_side: 2000, max_bytes: 10000000 }, '640x360', { type: 'image/png', width: 640, height: 360 }],
	];
	for (const [l, size, want] of cases) {
		const w = await world(limits(l));
		const start = await image(w, png(size), size);
		const g = await w.submit({}, { start });
		const d = w.demo();
		assert.equal((await ended(w, g.id, d)).status, 'completed', d.log);
		const is = what(got(g).image_url);
		for (const [k, v] of Object.entries(want)) assert.equal(is[k], v, `${JSON.stringify(l)}: ${k}`);
		if (l.max_data_uri) assert.ok(is.length <= l.max_data_uri, String(is.length));
		if (want.type === 'image/png') assert.equal(is.bytes, png(size).length);
		assert.equal(fal.submits[g.prompt], 1);
		await books(w, 90);
		await d.kill('SIGTERM');
	}
});

test('both images, one of them unknown in size, from a bucket', async () => {
	const w = await world(limits({ max_side: 400 }));
	const b = await bucket(w.dir);
	const start = await image(w, png('1000x500'), null, b);
	const end = await image(w, png('300x200'), '300x200', b);
	const g = await w.submit({}, { start, end });
	const d = w.demo(b.env);
	assert.equal((await ended(w, g.id, d)).status, 'completed', d.log);
	// What had to be changed goes as bytes, the other as a link.
	const is = what(got(g).image_url);
	assert.deepEqual([is.width, is.height], [400, 200]);
	assert.match(got(g).tail_image_url, /^http:.*X-Amz-Signature/);
	await books(w, 90);
	await d.kill('SIGTERM');
	await b.close();
});

for (const [how, l, bytes, size] of [
	['can\'t grow so much', { min_side: 4000 }, () => png('200x100'), '200x100'],
	['can\'t be so small', { width: 1280, height: 720, max_bytes: 1000 }, () => png('1600x900'), '1600x900'],
	['is no picture', { max_side: 100 }, () => Buffer.from('no picture at all'), '640x360'],
]) {
	test(`an image that ${how}: refused in our words, refunded, nothing is sent`, async () => {
		const w = await world(limits(l));
		const g = await w.submit({}, { start: await image(w, bytes(), size) });
		const d = w.demo();
		const row = await ended(w, g.id, d);
		assert.equal(row.status, 'failed');
		assert.equal(row.error_code, 'image_unusable', d.log);
		assert.equal(row.error_class, 'bad_input');
		assert.match(row.error_message, /can't be made to fit/);
		assert.equal(fal.submits[g.prompt], undefined);
		await books(w, 100);
		await d.kill('SIGTERM');
	});
}

test('a route whose limits are wrong: refunded, nothing is sent', async () => {
	const w = await world(limits({ max_side: 'huge' }));
	const g = await w.submit({}, { start: await image(w, png('200x100'), '200x100') });
	const d = w.demo();
	assert.equal((await ended(w, g.id, d)).error_code, 'bad_params', d.log);
	assert.equal(fal.submits[g.prompt], undefined);
	await books(w, 100);
	await d.kill('SIGTERM');
});

test('kill -9 between the fitted image and the submit\'s answer: as without one', async () => {
	const w = await world(limits({ max_side: 128 }));
	const g = await w.submit({}, { start: await image(w, png('640x360'), '640x360') });
	const a = w.demo({ REELD_CRASH_AT: 'submit.recorded' });
	assert.equal((await a.gone).signal, 'SIGKILL', a.log);
	const b = w.demo();
	assert.equal((await ended(w, g.id, b)).status, 'completed', b.log);
	assert.equal(fal.submits[g.prompt], 1);
	await books(w, 90);
	await b.kill('SIGTERM');
});
