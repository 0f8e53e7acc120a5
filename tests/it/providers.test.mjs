// providers.test.mjs - adapters behind the real server: images reach vendors
// from a disk and from S3, results that need the key, a file step, refusals.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import http from 'node:http';
import zlib from 'node:zlib';
import { mp4 } from '../fake/fal.mjs';
import { reeld, s3 } from './env.mjs';

const KEY = 'sk-test';

// Three vendors on one port, told apart by path. What a request meets is in
// its prompt; what came in is kept by prompt.
class Vendors {
	got = new Map();
	jobs = new Map();
	keyless = [];

	async start() {
		this.server = http.createServer((req, res) => {
			this.serve(req, res).catch((e) => {
				this.failure = e;
				res.destroy();
			});
		});
		await new Promise((ok) => this.server.listen(0, '127.0.0.1', ok));
		this.url = `http://127.0.0.1:${this.server.address().port}`;
		return this;
	}

	stop() {
		this.server.close();
		this.server.closeAllConnections();
	}

	json(res, status, body) {
		res.writeHead(status, { 'content-type': 'application/json' });
		res.end(JSON.stringify(body));
	}

	accept(kind, prompt, body) {
		const id = String(100 + this.jobs.size);
		this.got.set(prompt, [...(this.got.get(prompt) ?? []), body]);
		this.jobs.set(id, { kind, prompt, id });
		return id;
	}

	async serve(req, res) {
		const parts = [];
		for await (const p of req) parts.push(p);
		const body = Buffer.concat(parts);
		const { pathname, searchParams } = new URL(req.url, this.url);
		if (pathname === '/files/public.mp4') {
			if (req.headers.authorization) this.failure = new Error('a key for a public file');
			res.writeHead(200, { 'content-type': 'video/mp4' });
			res.end(mp4());
			return;
		}
		if (req.headers.authorization !== `Bearer ${KEY}`) {
			this.keyless.push(pathname);
			this.json(res, 401, { error: { message: 'no key' } });
			return;
		}
		// OpenAI-shaped
		if (req.method === 'POST' && pathname === '/v1/videos') {
			const form = await new Response(body, { headers: { 'content-type': req.headers['content-type'] } }).formData();
			this.json(res, 200, { id: this.accept('openai', form.get('prompt'), form), status: 'queued' });
		} else if (/^\/v1\/videos\/\d+$/.test(pathname)) {
			const { prompt } = this.jobs.get(pathname.split('/').pop());
			this.json(res, 200, prompt.startsWith('blocked')
				? { status: 'failed', error: { code: 'moderation_blocked', message: 'secret vendor words' } }
				: { status: 'completed', progress: 100 });
		} else if (/^\/v1\/videos\/\d+\/content$/.test(pathname)) {
			res.writeHead(200, { 'content-type': 'video/mp4' });
			res.end(mp4());
		// MiniMax v1
		} else if (pathname === '/v1/video_generation') {
			const doc = JSON.parse(body);
			this.json(res, 200, doc.prompt.startsWith('sensitive')
				? { task_id: '', base_resp: { status_code: 1026, status_msg: 'secret vendor words' } }
				: { task_id: this.accept('minimax', doc.prompt, doc), base_resp: { status_code: 0 } });
		} else if (pathname === '/v1/query/video_generation') {
			assert.ok(this.jobs.has(searchParams.get('task_id')));
			this.json(res, 200, { status: 'Success', file_id: 4242, base_resp: { status_code: 0 } });
		} else if (pathname === '/v1/files/retrieve') {
			assert.equal(searchParams.get('file_id'), '4242');
			this.json(res, 200, { file: { download_url: `${this.url}/files/public.mp4` } });
		// Runway
		} else if (pathname === '/v1/image_to_video' || pathname === '/v1/text_to_video') {
			assert.equal(req.headers['x-runway-version'], '2024-11-06');
			const doc = JSON.parse(body);
			this.json(res, 200, { id: this.accept('runway', doc.promptText, { pathname, ...doc }) });
		} else if (/^\/v1\/tasks\/\d+$/.test(pathname)) {
			this.json(res, 200, { status: 'SUCCEEDED', output: [`${this.url}/files/public.mp4`], cost: { credits: 25 } });
		} else {
			this.failure = new Error(`${req.method} ${pathname}`);
			this.json(res, 404, {});
		}
	}
}

const model = (slug, provider, endpoint, input) => ({ slug, name: slug, category: 'standard', active: true,
	capabilities: { modes: ['t2v', 'i2v'], durations: { fixed: 4 }, audio: 'none', seed: false,
		negative_prompt: false, max_prompt: 500 },
	routes: [{ provider, endpoint, priority: 100, params: { input: { duration: 'duration', ...input } } }],
	price: { rule: { core: { type: 'per_call', credits: 5 }, minimum: 1 } } });
const MODELS = [
	model('it-openai', 'openai', 'sora-x', { prompt: 'prompt', duration: { field: 'seconds', as: 'text' } }),
	model('it-minimax', 'minimax', 'MiniMax-Hailuo-02', { prompt: 'prompt', start_image: 'first_frame_image' }),
	model('it-runway', 'runway', 'wan3', { prompt: 'promptText' }),
];

function png(width, height) {
	const chunk = (type, data) => {
		const out = Buffer.alloc(12 + data.length);
		out.writeUInt32BE(data.length);
		out.write(type, 4, 'latin1');
		data.copy(out, 8);
		out.writeUInt32BE(zlib.crc32(out.subarray(4, 8 + data.length)), 8 + data.length);
		return out;
	};
	const head = Buffer.alloc(13);
	head.writeUInt32BE(width);
	head.writeUInt32BE(height, 4);
	head.set([8, 2, 0, 0, 0], 8);
	return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', head),
		chunk('IDAT', zlib.deflateSync(Buffer.alloc((width * 3 + 1) * height, 0x55))), chunk('IEND', Buffer.alloc(0))]);
}

let vendors;
const servers = {};
before(async () => {
	vendors = await new Vendors().start();
	const keys = {};
	for (const name of ['OPENAI', 'MINIMAX', 'RUNWAY']) {
		keys[`REELD_PROVIDER_${name}_KEY`] = KEY;
		keys[`REELD_PROVIDER_${name}_BASE_URL`] = vendors.url;
		keys[`REELD_PROVIDER_${name}_ALLOW_PRIVATE`] = 'yes';
	}
	const seed = async (r) => {
		for (const m of MODELS) await r.psql('select outcome from model_put($1)', [JSON.stringify(m)]);
	};
	for (const [store, env] of [['disk', {}], ['s3', (await s3()).env]]) {
		const r = await reeld({ env: { ...env, ...keys }, seed });
		servers[store] = { r, ann: await r.user({ credits: 1000 }) };
	}
});
after(() => {
	vendors.stop();
	assert.equal(vendors.failure, undefined, vendors.failure?.stack);
	// Every request for a vendor's API had its key, the files had none.
	assert.deepEqual(vendors.keyless, []);
});

async function upload(user) {
	const form = new FormData();
	form.append('purpose', 'start');
	form.append('file', new Blob([png(320, 180)], { type: 'image/png' }), 'a.png');
	const res = await user.fetch('/api/v1/uploads', { method: 'POST', body: form });
	const doc = await res.json();
	assert.equal(res.status, 201, JSON.stringify(doc));
	return doc.id;
}

async function finished(store, slug, prompt) {
	const { r, ann } = servers[store];
	const made = await ann.submit({ model: slug, prompt, start_image: await upload(ann) });
	const done = await ann.ended(made.id);
	assert.equal(done.status, 'completed', JSON.stringify(done) + r.logs());
	let file = await ann.fetch(done.video_url);
	if (file.status > 300 && file.status < 400) file = await fetch(file.headers.get('location'));
	assert.ok(Buffer.from(await file.arrayBuffer()).equals(mp4()), 'the file as it was made');
	assert.deepEqual(await r.books(), {});
	assert.equal(vendors.got.get(prompt).length, 1, 'asked for once');
	return { done, got: vendors.got.get(prompt)[0] };
}

const is_image = (bytes) => ['\x89PNG', '\xff\xd8\xff'].some((m) => bytes.toString('latin1').startsWith(m));

// Together: polls are ten seconds apart.
describe('adapters', { concurrency: true }, () => {
	for (const store of ['disk', 's3']) {
		test(`an OpenAI-shaped gateway gets the file part, gives the content to its key (${store})`, async () => {
			const { got } = await finished(store, 'it-openai', `a kite ${store}`);
			assert.equal(got.get('model'), 'sora-x');
			assert.equal(got.get('seconds'), '4');
			assert.ok(is_image(Buffer.from(await got.get('input_reference').arrayBuffer())));
		});

		test(`MiniMax gets a data URI and is asked for the file (${store})`, async () => {
			const { got } = await finished(store, 'it-minimax', `a boat ${store}`);
			assert.equal(got.duration, 4);
			const [, data] = /^data:image\/(?:png|jpeg);base64,(.*)$/.exec(got.first_frame_image);
			assert.ok(is_image(Buffer.from(data, 'base64')));
		});

		test(`Runway gets a data URI and tells what it cost (${store})`, async () => {
			const { r } = servers[store];
			const { done, got } = await finished(store, 'it-runway', `a tree ${store}`);
			assert.equal(got.pathname, '/v1/image_to_video');
			assert.match(got.promptImage, /^data:image\//);
			const [row] = await r.psql('select cost_micro_usd::int as cost from attempts where generation_id = $1', [done.id]);
			assert.equal(row.cost, 250000);
		});
	}

	for (const [slug, prompt, when] of [['it-openai', 'blocked', 'later'], ['it-minimax', 'sensitive', 'at once']]) {
		test(`${slug} refuses ${when}: our words, the credits back`, async () => {
			const { r } = servers.disk;
			const bob = await r.user({ credits: 100 });
			const made = await bob.submit({ model: slug, prompt });
			const done = await bob.ended(made.id);
			assert.equal(done.status, 'failed');
			assert.equal(done.error.class, 'refused');
			assert.equal(done.error.code, 'content_policy_violation');
			assert.doesNotMatch(JSON.stringify(done), /secret vendor words/);
			assert.equal(await bob.balance(), 100);
			assert.deepEqual(await r.books(), {});
		});
	}
});
