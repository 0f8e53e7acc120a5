// engine_images.test.mjs - a bucket that vendors can reach: those that take
// addresses of images get signed ones, and fetch what is there.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import * as vendors from '../fake/vendors/all.mjs';
import { books, bucket, ended, world } from './engine_kit.mjs';
import { png } from './vendors.mjs';

const text = { field: 'duration', as: 'text' };
for (const [name, Vendor, endpoint, input] of [
	['fal', vendors.Fal, 'fal-ai/kling-video/v2.5-turbo/pro/image-to-video', { start_image: 'image_url', end_image: 'tail_image_url', duration: text }],
	['kling', vendors.Kling, 'kling-v2-6', { duration: text }],
	['kling', vendors.Kling, 'kling-3.0', { duration: 'settings.duration' }],
	['edenai', vendors.EdenAI, 'amazon/amazon.nova-reel-v1:1', { prompt: 'text', start_image: 'file', duration: 'duration' }],
	['edenai', vendors.EdenAI, 'v2/amazon/amazon.nova-reel-v1:0', { prompt: 'text', start_image: 'file_url', duration: 'duration' }],
	['modelslab', vendors.ModelsLab, 'seedance-i2v', { start_image: 'init_image[]', duration: text }],
	['luma_dream', vendors.LumaDream, 'ray-2', { duration: { field: 'duration', suffix: 's' } }],
]) {
	test(`${name} ${endpoint}: the images' own addresses`, async (t) => {
		const w = await world();
		const fake = await new Vendor().start();
		t.after(() => fake.stop());
		fake.key = 'k:s'; // the demo's
		const s3 = await bucket(w.dir);
		t.after(() => s3.close());
		const sizes = [[1280, 720], [640, 360]];
		const bytes = sizes.map(([width, height]) => png(width, height));
		const [start, end] = await Promise.all(bytes.map(async (b, i) => {
			const key = `inputs/${i}.png`;
			await s3.put(key, b);
			const id = randomUUID();
			await w.k.one('insert into assets (id, user_id, kind, backend, key, mime, size_bytes, width, height) values '
				+ "($1, $2, 'start', 'local', $3, 'image/png', $4, $5, $6)", [id, w.user, key, b.length, ...sizes[i]]);
			return id;
		}));
		await w.k.one('select model_put($1)', [JSON.stringify({ slug: 'v', name: 'v', routes: [{ provider: name, endpoint,
			params: { input: { prompt: 'prompt', ...input } } }], price: { rule: null } })]);
		w.route = (await w.k.one("select id from model_routes where endpoint = $1", [endpoint])).id;
		const both = !/edenai|modelslab/.test(name);
		const g = await w.submit({}, { start, ...(both ? { end } : {}), spec: { mode: 'i2v', duration_ms: 5000, start_asset: start } });
		const d = w.demo(s3.env, { url: fake.base });
		assert.equal((await ended(w, g.id, d)).status, 'completed', `${d.log.slice(-4000)}\n${fake.wrong.join('\n')}`);
		const [job] = fake.of(g.prompt);
		assert.equal(job.images.length, both ? 2 : 1);
		for (const [i, image] of job.images.entries()) {
			assert.equal(image.form, 'url');
			assert.ok(image.url.startsWith(s3.env.DEMO_S3), image.url);
			assert.match(image.url, /X-Amz-Signature=/);
			assert.ok(image.bytes.equals(bytes[i]));
		}
		assert.deepEqual(fake.wrong, []);
		await books(w, 90);
		await d.kill('SIGTERM');
	});
}
