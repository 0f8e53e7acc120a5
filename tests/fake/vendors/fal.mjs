// fal.mjs - fal.ai's queue, strict: endpoint ids, their fields, the key, and
// addresses of a request that hold only owner/app. (../fal.mjs is the looser
// one that the engine's own tests play with.)
import { createHash, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { Fake } from '../kit.mjs';
import { bool, int, list, need, num, one, shape, text, url_or_data, without } from '../shape.mjs';

const prompt = need(text(5000)), image = url_or_data, seed = int();
const texts = (from, to) => one(...Array.from({ length: to - from + 1 }, (_, i) => String(from + i)));
const veo = { prompt, duration: one('4s', '6s', '8s'), aspect_ratio: one('16:9', '9:16'), resolution: one('720p', '1080p'),
	generate_audio: bool, negative_prompt: text(), seed, auto_fix: bool, safety_tolerance: texts(1, 6) };
const veo_image = { ...veo, image_url: need(image), aspect_ratio: one('auto', '16:9', '9:16') };
const kling = { prompt, duration: one('5', '10'), negative_prompt: text(), cfg_scale: num(0, 1) };
const sora = { prompt, duration: one('4', '8', '12', '16', '20'), model: text(), delete_video: bool,
	detect_and_block_ip: bool, character_ids: list(text(), 2) };
const hailuo = { prompt, prompt_optimizer: bool };
const hailuo_image = { ...hailuo, image_url: need(image) };
const hailuo_timed = { duration: one('6', '10') };
const wan = { prompt, audio_url: text(), negative_prompt: text(500), enable_prompt_expansion: bool,
	enable_safety_checker: bool, seed };
const seedance = { prompt, duration: texts(2, 12), aspect_ratio: one('21:9', '16:9', '4:3', '1:1', '3:4', '9:16', '9:21'),
	resolution: one('480p', '720p', '1080p'), camera_fixed: bool, num_frames: int(), seed, enable_safety_checker: bool };
const seedance_image = { ...seedance, image_url: need(image), end_image_url: image,
	aspect_ratio: one('auto', '21:9', '16:9', '4:3', '1:1', '3:4', '9:16') };
const vidu = { prompt: need(text(3000)), duration: texts(2, 8), movement_amplitude: one('auto', 'small', 'medium', 'large'),
	bgm: bool, seed };
const vidu_image = { ...vidu, image_url: need(image), end_image_url: image, resolution: one('720p', '1080p') };
const luma = { prompt, duration: one('5s', '9s'), resolution: one('540p', '720p', '1080p'), loop: bool,
	aspect_ratio: one('16:9', '9:16', '4:3', '3:4', '21:9', '9:21') };
const luma_image = { ...luma, image_url: image, end_image_url: image };
const pika = { prompt, duration: one('5', '10'), resolution: one('720p', '1080p'), negative_prompt: text(), seed };

// Fields are the vendor's table; a null is an endpoint whose fields it does
// not tell: any are taken.
const ENDPOINTS = {
	'kling-video/v2.5-turbo/pro/text-to-video': { ...kling, aspect_ratio: one('16:9', '9:16', '1:1') },
	'kling-video/v2.5-turbo/pro/image-to-video': { ...kling, image_url: need(image), tail_image_url: image },
	'kling-video/v2.5-turbo/standard/image-to-video': { ...kling, image_url: need(image) },
	'kling-video/o1/image-to-video': null,
	'veo3.1': veo, 'veo3.1/fast': veo, 'veo3.1/lite': veo,
	'veo3.1/image-to-video': veo_image, 'veo3.1/fast/image-to-video': veo_image,
	'veo3.1/first-last-frame-to-video': { ...veo, first_frame_url: need(image), last_frame_url: need(image),
		resolution: one('720p', '1080p', '4k') },
	'veo3.1/reference-to-video': { ...without(veo, 'seed', 'negative_prompt'), image_urls: need(list(image)),
		duration: one('8s'), resolution: one('720p', '1080p', '4k') },
	'sora-2/text-to-video': { ...sora, aspect_ratio: one('16:9', '9:16'), resolution: one('720p') },
	'sora-2/image-to-video': { ...sora, image_url: need(image), aspect_ratio: one('auto', '16:9', '9:16'),
		resolution: one('auto', '720p') },
	'sora-2/image-to-video/pro': { ...sora, image_url: need(image), aspect_ratio: one('auto', '16:9', '9:16'),
		resolution: one('auto', '720p', '1080p', 'true_1080p') },
	'minimax/hailuo-2.3/pro/text-to-video': hailuo,
	'minimax/hailuo-2.3/standard/text-to-video': { ...hailuo, ...hailuo_timed },
	'minimax/hailuo-2.3/pro/image-to-video': hailuo_image,
	'minimax/hailuo-2.3-fast/pro/image-to-video': hailuo_image,
	'minimax/hailuo-2.3/standard/image-to-video': { ...hailuo_image, ...hailuo_timed },
	'minimax/hailuo-2.3-fast/standard/image-to-video': { ...hailuo_image, ...hailuo_timed },
	'wan-25-preview/text-to-video': { ...wan, duration: texts(2, 15), resolution: one('720p', '1080p'),
		aspect_ratio: one('16:9', '9:16', '1:1', '4:3', '3:4') },
	'wan-25-preview/image-to-video': { ...wan, prompt: need(text(800)), image_url: need(image), duration: one('5', '10'),
		resolution: one('480p', '720p', '1080p') },
	'bytedance/seedance/v1/pro/text-to-video': seedance, 'bytedance/seedance/v1/pro/fast/text-to-video': seedance,
	'bytedance/seedance/v1/pro/image-to-video': seedance_image, 'bytedance/seedance/v1/pro/fast/image-to-video': seedance_image,
	'vidu/q2/text-to-video': { ...vidu, aspect_ratio: one('16:9', '9:16', '1:1'), resolution: one('360p', '520p', '720p', '1080p') },
	'vidu/q2/image-to-video/pro': vidu_image, 'vidu/q2/image-to-video/turbo': vidu_image,
	'vidu/q2/reference-to-video/pro': { ...vidu, reference_image_urls: list(image), reference_video_urls: list(text()),
		duration: num(), aspect_ratio: text(), resolution: one('540p', '720p', '1080p') },
	'vidu/q2/reference-to-video': null,
	'luma-dream-machine/ray-2': luma, 'luma-dream-machine/ray-2-flash': luma,
	'luma-dream-machine/ray-2/image-to-video': luma_image, 'luma-dream-machine/ray-2-flash/image-to-video': luma_image,
	'pika/v2.2/text-to-video': { ...pika, aspect_ratio: one('16:9', '9:16', '1:1', '4:5', '5:4', '3:2', '2:3') },
	'pika/v2.2/image-to-video': { ...pika, image_url: need(image) },
	'pika/v2/turbo/image-to-video': null,
};

const HEADERS = { 'x-fal-queue-priority': /^(normal|low)$/, 'x-fal-request-timeout': /^\d+(\.\d+)?$/,
	'x-fal-no-retry': /^1$/, 'x-fal-store-io': /^0$/, 'x-fal-runner-hint': /./,
	'x-fal-object-lifecycle-preference': /^\{"expiration_duration_seconds":\d+\}$/ };

export class Fal extends Fake {
	name = 'fal';
	keys = generateKeyPairSync('ed25519');

	constructor() { super({ key: `${randomUUID()}:${randomUUID().replace(/-/g, '')}` }); }

	routes() {
		const request = String.raw`^\/(fal-ai\/[^/]+)\/requests\/([\w-]+)`;
		return [
			['GET', /^\/\.well-known\/jwks\.json$/, this.jwks, { auth: false }],
			['GET', new RegExp(`${request}\\/status$`), (c) => this.status(c)],
			['PUT', new RegExp(`${request}\\/cancel$`), this.stop_it, { type: null }],
			['GET', new RegExp(`${request}$`), this.result],
			['POST', /^\/fal-ai\/((?!.*\/requests\/).+)$/, this.ask, { fields: (v, path, c) => this.fields(v, c) }],
		];
	}

	authorised(c) { return c.headers.authorization === `Key ${this.key}` ? undefined : 'not "Key id:secret"'; }

	fields(v, c) {
		const wrong = Object.entries(c.headers).filter(([k, value]) => k.startsWith('x-fal-')
			&& !HEADERS[k]?.test(value)).map(([k, value]) => `header ${k}: ${value}`);
		const table = ENDPOINTS[c.args[1]];
		for (const k of c.query.keys()) if (k !== 'fal_webhook') wrong.push(`query ${k}`);
		if (table === undefined) wrong.push(`no such endpoint ${c.args[1]}`);
		else if (table) wrong.push(...shape(table)(v));
		if (table && c.args[1].startsWith('luma') && c.args[1].includes('image') && !v.image_url && !v.end_image_url) {
			wrong.push('image_url: one is needed');
		}
		return wrong;
	}

	jwks(c) {
		const { x } = this.keys.publicKey.export({ format: 'jwk' });
		c.json(200, { keys: [{ kty: 'OKP', crv: 'Ed25519', use: 'sig', kid: 'k', x }] });
	}

	async ask(c) {
		const b = c.body;
		const given = [b.image_url, b.start_image_url, b.first_frame_url, ...(b.image_urls ?? []), ...(b.reference_image_urls ?? []),
			b.tail_image_url, b.end_image_url, b.last_frame_url].filter(Boolean);
		return this.submit(c, { prompt: b.prompt, body: b, app: `fal-ai/${c.args[1].split('/')[0]}`,
			images: await Promise.all(given.map((v) => this.image(v))), hook: c.query.get('fal_webhook') });
	}

	accepted(c, job) {
		const at = `${this.url}/${job.app}/requests/${job.id}`;
		c.json(200, { status: 'IN_QUEUE', request_id: job.id, response_url: at, status_url: `${at}/status`,
			cancel_url: `${at}/cancel`, queue_position: 0 }, { 'x-fal-request-id': job.id });
	}

	known(c) {
		const job = this.jobs.get(c.args[2]);
		if (job && job.app !== c.args[1]) this.complain(c, `the request is of ${job.app}`);
		return job;
	}

	status(c) { return this.poll(c, this.known(c)); }

	told(c, job, word) {
		if (word === 'queued') return c.json(202, { status: 'IN_QUEUE', request_id: job.id, queue_position: 2 });
		if (word === 'running') return c.json(202, { status: 'IN_PROGRESS', request_id: job.id, logs: null });
		if (word === 'odd') return c.json(202, { status: 'WARMING_UP', request_id: job.id });
		job.over = word;
		return c.json(200, { status: 'COMPLETED', request_id: job.id, metrics: { inference_time: 41.2 },
			...(word === 'failed' ? { error: 'Internal Server Error', error_type: 'internal_server_error' } : {}) });
	}

	result(c) {
		const job = this.known(c);
		if (!job) return this.no_such(c, 404);
		if (!job.over) return c.json(400, { detail: 'Request is still in progress' });
		switch (job.over) {
		case 'refused': return this.model_error(c, 422, 'content_policy_violation', false);
		case 'failed': return this.model_error(c, 500, 'internal_server_error', true);
		case 'cancelled': return c.json(499, { detail: 'secret vendor words', error_type: 'client_cancelled' },
			{ 'x-fal-error-type': 'client_cancelled' });
		case 'empty': return c.json(200, { seed: 7 });
		default: return c.json(200, this.output(job), { 'x-fal-billable-units': '5' });
		}
	}

	output(job) {
		return { video: { url: this.link(job), content_type: 'video/mp4', file_name: 'output.mp4', file_size: 1 }, seed: 7 };
	}

	model_error(c, status, type, again) {
		c.json(status, { detail: [{ loc: ['body', 'prompt'], msg: 'secret vendor words', type,
			url: `https://docs.fal.ai/errors#${type}`, input: {} }] }, { 'x-fal-retryable': String(again) });
	}

	stop_it(c) {
		const job = this.known(c);
		if (!job) return this.no_such(c, 404);
		this.cancel(job);
		return c.json(202, { status: 'CANCELLATION_REQUESTED' });
	}

	error(c, kind, script) {
		switch (kind) {
		case 'refused': return this.model_error(c, 422, 'content_policy_violation', false);
		case 'invalid': return this.model_error(c, 422, 'value_error', false);
		case '429': return c.json(429, { detail: 'secret vendor words' }, { 'retry-after': String(script.retry_after ?? 1) });
		case '503': return c.json(503, { detail: 'no runner', error_type: 'runner_scheduling_failure' },
			{ 'x-fal-error-type': 'runner_scheduling_failure' });
		case '404': return c.json(404, { detail: 'Application not found' });
		case 'key': return c.json(401, { detail: 'Cannot access application. Authentication is required' });
		case 'funds': return c.json(403, { detail: 'User is locked. Reason: Exhausted balance.' });
		default: return c.json(Number(kind), { detail: 'secret vendor words', error_type: 'internal_error' });
		}
	}

	invalid(c, wrong) {
		c.json(422, { detail: wrong.map((msg) => ({ loc: ['body', msg.split(':')[0]], msg, type: 'value_error' })) });
	}

	no_such(c, status) { c.json(status, { detail: status === 405 ? 'Method Not Allowed' : 'Not Found' }); }

	hook_body(job) {
		return { request_id: job.id, gateway_request_id: job.id, status: 'OK', payload: { seed: 7 } };
	}

	hook_headers(body, { at = Math.floor(Date.now() / 1000), forged = false } = {}) {
		const [id, user] = [randomUUID(), 'user-1'];
		const key = forged ? generateKeyPairSync('ed25519').privateKey : this.keys.privateKey;
		const digest = createHash('sha256').update(body).digest('hex');
		return { 'x-fal-webhook-request-id': id, 'x-fal-webhook-user-id': user, 'x-fal-webhook-timestamp': String(at),
			'x-fal-webhook-signature': sign(null, Buffer.from(`${id}\n${user}\n${at}\n${digest}`), key).toString('hex') };
	}
}
