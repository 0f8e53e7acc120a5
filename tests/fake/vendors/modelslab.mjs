// modelslab.mjs - ModelsLab v7 (partners' models) and v6 (its own): the key
// in every body, HTTP 200 for nearly everything, questions by POST.
import { Fake } from '../kit.mjs';
import { any, bool, either, int, list, need, num, one, shape, text, url_or_data } from '../shape.mjs';

const V7 = ['veo3', 'veo2', 'veo3-lite', 'sora-2', 'seedance-t2v', 'seedance-i2v', 'seedance-1-5-pro', 'seedance-1.0-pro-fast-t2v',
	'seedance-1.0-pro-i2v', 'wan2.6-t2v', 'wan2.6-i2v', 'wan2.1', 'kling-v2-5-turbo-t2v', 'kling-v2-master-t2v', 'Hailuo-2.3-t2v',
	'Hailuo-2.3-i2v', 'ltx-2-3-pro-i2v'];
const frame = { key: need(text()), prompt: need(text()), negative_prompt: text(), webhook: text(), track_id: either(text(), int()),
	seed: int() };
const v7 = { ...frame, model_id: need(one(...V7)), duration: text(3), aspect_ratio: one('16:9', '9:16', '1:1'),
	resolution: text(), camera_fixed: bool, generate_audio: bool };
const image_v7 = { ...v7, init_image: need(either(list(url_or_data), url_or_data)) };
const v6 = { ...frame, model_id: need(one('wan2.2', 'ltx-2.3')), num_inference_steps: int(1, 30), guidance_scale: num(0, 8),
	fps: int(1, 16), temp: bool };
const ultra = { ...v6, num_frames: int(1), portrait: bool, sample_shift: num() };
const V6 = {
	text2video: { ...v6, width: int(1, 512), height: int(1, 512), num_frames: int(1, 25), output_type: one('mp4', 'gif'), instant_response: bool },
	text2video_ultra: { ...ultra, resolution: int(1, 480) },
	img2video: { ...v6, width: int(1, 512), height: int(1, 512), num_frames: int(1, 25), output_type: one('mp4', 'gif'), init_image: need(url_or_data) },
	img2video_ultra: { ...ultra, resolution: int(1, 720), init_image: need(url_or_data) },
};

export class ModelsLab extends Fake {
	name = 'modelslab';

	get base() { return `${this.url}/api`; }

	routes() {
		const fetch = shape({ key: need(any) });
		const of = (version) => (c) => this.poll(c, this.known(c, version));
		return [
			['POST', /^\/api\/v7\/video-fusion\/(text|image)-to-video$/, this.ask,
				{ fields: (v, path, c) => shape(c.args[1] === 'image' ? image_v7 : v7)(v) }],
			['POST', /^\/api\/v6\/video\/(\w+2video\w*)$/, this.ask,
				{ fields: (v, path, c) => (V6[c.args[1]] ? shape(V6[c.args[1]])(v) : ['unknown path']) }],
			['POST', /^\/api\/v7\/video-fusion\/fetch\/(\d+)$/, of(7), { fields: fetch }],
			['POST', /^\/api\/v6\/video\/fetch\/(\d+)$/, of(6), { fields: fetch }],
		];
	}

	new_id() { return String(155262000 + this.next++); }

	// The body tells: see keyed().
	authorised(c) { return c.headers.authorization === undefined || c.bearer === this.key ? undefined : 'another Bearer'; }

	keyed(c) {
		if (c.body.key === this.key) return true;
		this.complain(c, 'no such key');
		this.error(c, 'key', {});
		return false;
	}

	known(c, version) {
		if (c.body.key !== this.key) this.complain(c, 'no such key');
		const job = this.jobs.get(c.args[1]);
		if (job && job.version !== version) this.complain(c, `the job is of v${job.version}`);
		return job;
	}

	async ask(c) {
		if (!this.keyed(c)) return undefined;
		const b = c.body;
		const images = await Promise.all([b.init_image ?? []].flat().map((v) => this.image(v)));
		// The default is an animated picture.
		const gif = /v6.*2video$/.test(c.path) && b.output_type !== 'mp4';
		if (gif) this.complain(c, 'a gif was asked for');
		return this.submit(c, { prompt: b.prompt, body: b, images, hook: b.webhook, version: c.path.startsWith('/api/v7') ? 7 : 6 });
	}

	going(job, status, more = {}) {
		const at = job.version === 7 ? 'v7/video-fusion' : 'v6/video';
		return { status, id: Number(job.id), eta: 10, fetch_result: `${this.base}/${at}/fetch/${job.id}`, output: [],
			future_links: [`${this.url}/files/${job.id}/0.mp4`], message: 'Try to fetch request after seconds estimated', ...more };
	}

	accepted(c, job) { c.json(200, this.going(job, 'processing')); }

	told(c, job, word) {
		switch (word) {
		case 'queued': case 'running': return c.json(200, this.going(job, 'processing'));
		case 'odd': return c.json(200, this.going(job, 'rendering'));
		case 'refused': return c.json(200, { status: 'error', message: 'secret vendor words: NSFW content detected' });
		case 'failed': return c.json(200, { status: 'failed', id: Number(job.id), messege: 'secret vendor words', output: '' });
		case 'empty': return c.json(200, { status: 'success', id: Number(job.id), output: [], proxy_links: [], meta: {} });
		default: return c.json(200, { status: 'success', id: Number(job.id), generationTime: 31.5, output: [this.link(job)],
			proxy_links: [], meta: {} });
		}
	}

	error(c, kind, script) {
		const problem = (status, message, more = {}) => c.json(status, { status: 'error', message, ...more });
		switch (kind) {
		case 'refused': return problem(200, 'secret vendor words: NSFW prompt');
		case 'invalid': return problem(200, { prompt: ['secret vendor words'] });
		case '429': return problem(429, 'Rate limit exceeded. Maximum 5 queued requests allowed.', { retry_after: script.retry_after ?? 1 });
		case 'key': return problem(401, 'Invalid API key');
		case 'funds': return problem(402, 'Insufficient credits');
		default: return problem(Number(kind), 'secret vendor words');
		}
	}

	invalid(c, wrong) { c.json(400, { status: 'error', message: wrong.join('; ') }); }
	no_such(c, status) { c.json(status, { status: 'error', message: 'Not found' }); }
	hook_body(job) { return { status: 'success', id: Number(job.id), output: [], track_id: job.body.track_id }; }
}
