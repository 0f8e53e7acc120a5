// The engine's files: input images on their way out, results on their way in.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
	existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { mp4 } from '../fake/fal.mjs';
import { books, bucket, ended, fal, hevc, until, world } from './engine_kit.mjs';

// --- Input images ---------------------------------------------------------

async function image(w, key, bytes) {
	const id = randomUUID();
	await w.k.one('insert into assets (id, user_id, kind, backend, key, mime, '
		+ "size_bytes) values ($1, $2, 'start', 'local', $3, 'image/png', $4)",
	[id, w.user, key, bytes.length]);
	return id;
}
const images = [['inputs/start.png', Buffer.from('start image')],
	['inputs/end.png', Buffer.from('end image, another length')]];
const input_of = (g) => fal.of(g.prompt)?.input;
const as_uri = (b) => `data:image/png;base64,${b.toString('base64')}`;

test('start and end image of a directory go as data URIs', async () => {
	const w = await world();
	const [start, end] = await Promise.all(images.map(async ([key, b]) => {
		mkdirSync(dirname(join(w.dir, key)), { recursive: true });
		writeFileSync(join(w.dir, key), b);
		return image(w, key, b);
	}));
	const g = await w.submit({}, { start, end });
	const one = await w.submit({}, { end });
	const none = await w.submit();
	const d = w.demo();
	for (const x of [g, one, none]) {
		assert.equal((await ended(w, x.id, d)).status, 'completed', d.log);
	}
	assert.equal(input_of(g).image_url, as_uri(images[0][1]));
	assert.equal(input_of(g).tail_image_url, as_uri(images[1][1]));
	assert.equal(input_of(one).image_url, undefined);
	assert.equal(input_of(one).tail_image_url, as_uri(images[1][1]));
	assert.deepEqual(Object.keys(input_of(none)), ['prompt']);
	await books(w, 70);
	await d.kill('SIGTERM');
});

test('an input image that is gone: failed, refunded, not sent', async () => {
	const w = await world();
	const start = await image(w, 'inputs/none.png', Buffer.from('x'));
	const g = await w.submit({}, { start });
	const d = w.demo();
	const row = await ended(w, g.id, d);
	assert.equal(row.error_code, 'image_unavailable', d.log);
	assert.equal(fal.submits[g.prompt], undefined);
	await books(w, 100);
	await d.kill('SIGTERM');
});

for (const hidden of [false, true]) {
	test(`a bucket ${hidden ? 'out of their reach' : 'they can reach'}: `
		+ 'inputs and results', async () => {
		const w = await world();
		const s3 = await bucket(w.dir);
		const [start, end] = await Promise.all(images.map(
			async ([key, b]) => {
				await s3.put(key, b);
				return image(w, key, b);
			}));
		const g = await w.submit({}, { start, end });
		const d = w.demo({ ...s3.env,
			...(hidden ? { DEMO_S3_PRIVATE: '1' } : {}) });
		const row = await ended(w, g.id, d);
		assert.equal(row.status, 'completed', d.log);
		const sent = [input_of(g).image_url, input_of(g).tail_image_url];
		for (const [i, url] of sent.entries()) {
			if (hidden) {
				assert.equal(url, as_uri(images[i][1]));
				continue;
			}
			assert.ok(url.startsWith(s3.env.DEMO_S3), url);
			const got = await fetch(url);
			assert.deepEqual(Buffer.from(await got.arrayBuffer()),
				images[i][1]);
		}
		const assets = (await w.conn.query("select key, backend, bucket from "
			+ "assets where kind in ('video', 'thumbnail')")).rows;
		assert.equal(assets.length, 2);
		for (const a of assets) {
			assert.equal(a.backend, 's3');
			assert.equal(a.bucket, 'reeld');
			assert.ok(await s3.has(a.key), a.key);
		}
		assert.deepEqual(readdirSync(join(w.dir, 'tmp')), []);
		await books(w, 90);
		await d.kill('SIGTERM');
		await s3.close();
	});
}

// --- Results --------------------------------------------------------------

test('H.265: the original is kept, browsers get a copy', async () => {
	const w = await world();
	const g = await w.submit({ bytes: hevc() });
	const d = w.demo();
	const row = await ended(w, g.id, d);
	assert.equal(row.status, 'completed', d.log);
	assert.equal(row.video.codec, 'hevc');
	const files = Object.fromEntries((await w.conn.query('select a.*, role '
		+ 'from assets a join generation_asset on asset_id = a.id')).rows
		.map((a) => [a.role, a]));
	assert.deepEqual(Object.keys(files).sort(),
		['rendition', 'thumbnail', 'video']);
	assert.equal(files.video.codec, 'hevc');
	assert.deepEqual(readFileSync(join(w.dir, files.video.key)), hevc());
	assert.equal(files.rendition.codec, 'h264');
	const copy = join(w.dir, files.rendition.key);
	assert.equal(statSync(copy).size, files.rendition.size_bytes);
	assert.equal(execFileSync('ffprobe', ['-v', 'error', '-select_streams',
		'v', '-show_entries', 'stream=codec_name,width', '-of', 'csv=p=0',
		copy], { encoding: 'utf8' }).trim(), 'h264,320');
	await books(w, 90);
	await d.kill('SIGTERM');
});

for (const [rule, ordered, pays] of [
	[{ core: { type: 'per_second', credits: 5 } }, 8000, 10],
	[{ core: { type: 'per_second', credits: 5 } }, 2000, 10],
	[{ core: { type: 'base', credits: 40, seconds: 8 } }, 8000, 40],
	[null, 8000, 40],
]) {
	test(`two seconds made of ${ordered / 1000}, sold by `
		+ `${rule?.core.type ?? 'no plan'}: ${pays} credits`, async () => {
		const w = await world();
		await w.k.one('select model_put($1)', [JSON.stringify({ slug: 's',
			name: 's', routes: [], price: { rule } })]);
		const plan = rule && (await w.k.one('select p.id from price_plans p '
			+ "join models m on m.id = p.model_id where slug = 's'")).id;
		const g = await w.submit({}, { plan, credits: Math.max(pays,
			ordered / 200), spec: { duration_ms: ordered } });
		const d = w.demo();
		assert.equal((await ended(w, g.id, d)).status, 'completed', d.log);
		const c = await w.k.one('select quote, settled, refunded from charges '
			+ 'where generation_id = $1', [g.id]);
		assert.equal(c.settled, pays);
		assert.equal(c.refunded, c.quote - pays);
		await books(w, 100 - pays);
		await d.kill('SIGTERM');
	});
}

// Each waits 30 s for its second try: side by side.
test('downloads that wait', { concurrency: true }, async (t) => {
	const stalled = t.test('stalled: cut, then resumed', async () => {
		const w = await world();
		const g = await w.submit({ video: ['stall', 'ok'] });
		const d = w.demo({ DEMO_STALL_MS: '1000' });
		const row = await ended(w, g.id, d, 150000);
		assert.equal(row.status, 'completed', d.log);
		assert.match(d.log, /slow|stalled/i);
		assert.equal(fal.downloads[g.prompt], 2);
		assert.deepEqual(readFileSync(join(w.dir, (await w.k.one('select key '
			+ "from assets where kind = 'video'")).key)), mp4());
		await books(w, 90);
		await d.kill('SIGTERM');
	});
	const full = t.test('a full disk: waits, ends when there is room',
		async (s) => {
			const w = await world();
			try {
				execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'none',
					w.dir]);
			} catch {
				return s.skip('cannot mount a tmpfs here');
			}
			try {
				const filler = join(w.dir, 'filler');
				const big = Buffer.concat([mp4(), Buffer.alloc(4 << 20)]);
				big.writeUInt32BE(4 << 20, mp4().length); // one 'free' box
				big.write('free', mp4().length + 4);
				writeFileSync(filler, Buffer.alloc(5 << 20));
				const g = await w.submit({ bytes: big });
				const d = w.demo();
				await until(w, g.id, () => /disk is (nearly )?full/.test(d.log), d);
				const row = await w.row(g.id);
				assert.equal(row.status, 'finalizing');
				assert.equal((await w.k.one('select count(*) from assets'))
					.count, 0);
				assert.ok(!existsSync(join(w.dir, 'videos')));
				rmSync(filler);
				const end = await ended(w, g.id, d, 150000);
				assert.equal(end.status, 'completed', d.log);
				assert.equal(fal.submits[g.prompt], 1);
				await books(w, 90);
				await d.kill('SIGTERM');
			} finally {
				execFileSync('umount', ['-l', w.dir]);
			}
			return undefined;
		});
	await Promise.all([stalled, full]);
});
