// catalogue_routes.test.mjs - every route of the seeded catalogue, asked with
// the least and with the most that its model offers, at vendors that refuse
// what they do not know.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import * as vendors from '../fake/vendors/all.mjs';
import { top } from './env.mjs';
import { World, upload } from './vendors.mjs';

const fakes = new Map([new vendors.Fal(), new vendors.Runway(), new vendors.Replicate(), new vendors.Google(), new vendors.ModelsLab(),
	new vendors.EdenAI(), new vendors.LumaDream(), new vendors.MiniMax()].map((fake) => [fake.name, fake]));
const seed = JSON.parse(readFileSync(join(top, 'sql/seed/catalogue.json')));

// One model per route: which one is taken is not the question here.
const models = seed.models.flatMap((m) => m.routes.filter((r) => !['worker', 'manual'].includes(r.provider))
	.map((route, n) => ({ ...m, slug: `${m.slug}-${n}`, routes: [route], active: true, default: false, sunset_at: undefined })));

const last = (list) => list?.at(-1);
const longest = (d) => d?.fixed ?? last(d?.list) ?? d?.max;

// What a person may ask for: nothing but the prompt, or everything.
function orders(m, start, end) {
	const { capabilities: c } = m;
	const image = c.modes[0] === 'i2v' ? { start_image: start } : {};
	const most = { duration: longest(c.durations), resolution: last(c.resolutions), aspect_ratio: last(c.aspect_ratios), fps: last(c.fps),
		...(c.seed ? { seed: 7 } : {}), ...(c.negative_prompt ? { negative_prompt: 'rain' } : {}),
		...(c.audio === 'optional' ? { audio: true } : {}), ...(c.end_image ? { end_image: end } : {}),
		...(c.modes.includes('i2v') ? { start_image: start } : {}) };
	return [image, { ...image, ...most }];
}

describe('the seeded routes', { concurrency: 24 }, () => {
	const world = new World(fakes);
	let ann, start, end;

	before(async () => {
		await world.start(models);
		ann = await world.user(10000000);
		[start, end] = [await upload(ann), await upload(ann, { purpose: 'end' })];
	});
	after(() => world.stop());

	for (const m of models) {
		const [{ provider, endpoint }] = m.routes;
		for (const n of [0, 1]) {
			test(`${m.slug} by ${provider} ${endpoint}: ${n ? 'all it offers' : 'the least'}`, async () => {
				const fake = fakes.get(provider);
				const prompt = `${m.slug} ${n}`;
				fake.script(prompt, { polls: [], bytes: world.bytes });
				const order = orders(m, start, end)[n];
				const made = await ann.submit({ model: m.slug, prompt, ...order });
				world.open.set(prompt, made.id);
				const done = await ann.ended(made.id, 120000);
				world.open.delete(prompt);
				assert.equal(done.status, 'completed', `${JSON.stringify(done.error)} ${JSON.stringify(order)}\n`
					+ fake.wrong.join('\n'));
				// The answer to the order is made without a look at it.
				const moves = ['status', 'stage', 'progress', 'progress_basis', 'version', 'charge', 'queue', 'video',
					'video_url', 'thumbnail_url', 'media_state', 'started_at', 'completed_at', 'can', 'waiting_reason'];
				assert.deepEqual([...Object.keys(made), 'waiting_reason'], Object.keys(done));
				for (const k of Object.keys(done)) if (!moves.includes(k)) assert.deepEqual(made[k], done[k], k);
				const [job] = fake.of(prompt);
				assert.equal(job.images.length, ['start_image', 'end_image'].filter((k) => order[k]).length);
			});
		}
	}
});

test('no vendor had a reason to complain', () => {
	assert.ok(models.length >= 36);
	for (const fake of fakes.values()) assert.deepEqual(fake.wrong, []);
});
