// luma.mjs - Luma's two APIs: Agents (ray-3.2) and, older, Dream Machine.
import { Fake } from '../kit.mjs';
import { bool, either, int, list, need, one, shape, text, url } from '../shape.mjs';

const b64 = (v, path) => (/^[A-Za-z0-9+/]{20,}={0,2}$/.test(v) ? [] : [`${path}: no base64`]);
const picture = either(shape({ url: need(url) }), shape({ generation_id: need(text()) }),
	shape({ data: need(b64), media_type: need(text()) }));

class Both extends Fake {
	new_id() { return super.new_id(); }

	error(c, kind, script) {
		switch (kind) {
		case 'refused': return c.json(400, { detail: 'secret vendor words: the prompt was blocked by moderation' });
		case 'invalid': return c.json(422, { detail: 'secret vendor words' });
		case '429': return c.json(429, { detail: 'Too many concurrent jobs' }, { 'retry-after': String(script.retry_after ?? 1),
			'x-ratelimit-limit': '30', 'x-ratelimit-remaining': '0' });
		case 'key': return c.json(401, { detail: 'Invalid API key' });
		case 'funds': return c.json(402, { detail: 'Insufficient credits' });
		default: return c.json(Number(kind), { detail: 'secret vendor words' });
		}
	}

	invalid(c, wrong) { c.json(422, { detail: wrong.join('; ') }); }
	no_such(c, status) { c.json(status, { detail: 'Not found' }); }
}

export class Luma extends Both {
	name = 'luma';

	get base() { return `${this.url}/v1`; }

	routes() {
		const video = shape({ resolution: one('360p', '540p', '720p', '1080p'), duration: one('5s', '10s'), loop: bool, hdr: bool,
			start_frame: picture, end_frame: picture, keyframes: list(picture, 64), keyframe_indexes: list(int(0), 64) });
		const fields = shape({ model: need(one('ray-3.2')), type: need(one('video')), prompt: need(text(6000)),
			aspect_ratio: one('9:16', '3:4', '1:1', '4:3', '16:9', '21:9'), video });
		return [
			['POST', /^\/v1\/generations$/, this.ask, { fields: (v) => fields(v).concat(
				v.video?.duration === '10s' && (v.video.start_frame || v.video.end_frame || v.video.hdr) ? ['video.duration: 10s with a frame'] : []) }],
			['GET', /^\/v1\/generations\/([\w-]{36})$/, (c) => this.poll(c, this.jobs.get(c.args[1]))],
		];
	}

	async ask(c) {
		const { video = {}, prompt } = c.body;
		const images = await Promise.all([video.start_frame, video.end_frame].filter(Boolean).map((f) => this.image(f.data ?? f.url)));
		return this.submit(c, { prompt, body: c.body, images });
	}

	doc(job, state, more = {}) {
		return { id: job.id, type: 'video', state, model: 'ray-3.2', created_at: new Date(job.at).toISOString(), output: [],
			failure_reason: null, failure_code: null, ...more };
	}

	accepted(c, job) { c.json(201, this.doc(job, 'queued')); }

	told(c, job, word) {
		switch (word) {
		case 'queued': return c.json(200, this.doc(job, 'queued'));
		case 'running': return c.json(200, this.doc(job, 'processing'));
		case 'odd': return c.json(200, this.doc(job, 'storyboarding'));
		case 'refused': return c.json(200, this.doc(job, 'failed', { failure_code: 'content_moderated', failure_reason: 'secret vendor words' }));
		case 'failed': return c.json(200, this.doc(job, 'failed', { failure_code: 'generation_failed', failure_reason: 'secret vendor words' }));
		case 'empty': return c.json(200, this.doc(job, 'completed'));
		default: return c.json(200, this.doc(job, 'completed', { output: [{ type: 'video', url: this.link(job) }] }));
		}
	}
}

export class LumaDream extends Both {
	name = 'luma_dream';

	get base() { return `${this.url}/dream-machine/v1`; }

	routes() {
		// By public URL only.
		const frame = either(shape({ type: need(one('image')), url: need(url) }), shape({ type: need(one('generation')), id: need(text()) }));
		const fields = shape({ model: need(one('ray-2', 'ray-flash-2')), prompt: text(), loop: bool, concepts: list(shape({ key: need(text()) })),
			aspect_ratio: one('1:1', '16:9', '9:16', '4:3', '3:4', '21:9', '9:21'), duration: one('5s', '9s'),
			resolution: one('540p', '720p', '1080p', '4k'), keyframes: shape({ frame0: frame, frame1: frame }), callback_url: url,
			generation_type: one('video') });
		const one_ = /^\/dream-machine\/v1\/generations\/([\w-]{36})$/;
		return [
			['POST', /^\/dream-machine\/v1\/generations(?:\/video)?$/, this.ask, { fields }],
			['GET', one_, (c) => this.poll(c, this.jobs.get(c.args[1]))],
			['DELETE', one_, this.remove],
		];
	}

	async ask(c) {
		const { frame0, frame1 } = c.body.keyframes ?? {};
		const images = await Promise.all([frame0, frame1].filter((f) => f?.url).map((f) => this.image(f.url)));
		return this.submit(c, { prompt: c.body.prompt, body: c.body, images, hook: c.body.callback_url });
	}

	doc(job, state, more = {}) {
		return { id: job.id, generation_type: 'video', state, failure_reason: null, created_at: new Date(job.at).toISOString(),
			assets: null, model: job.body.model, request: job.body, ...more };
	}

	accepted(c, job) { c.json(201, this.doc(job, 'queued')); }

	poll(c, job) {
		if (!job?.cancelled) return super.poll(c, job);
		this.watch(c, job.prompt);
		return this.no_such(c, 404); // it was deleted
	}

	told(c, job, word) {
		switch (word) {
		case 'queued': return c.json(200, this.doc(job, 'queued'));
		case 'running': return c.json(200, this.doc(job, 'dreaming'));
		case 'odd': return c.json(200, this.doc(job, 'napping'));
		case 'refused': return c.json(200, this.doc(job, 'failed', { failure_reason: 'secret vendor words: blocked by moderation' }));
		case 'failed': return c.json(200, this.doc(job, 'failed', { failure_reason: 'secret vendor words' }));
		case 'empty': return c.json(200, this.doc(job, 'completed', { assets: { video: null, image: 'https://x.example/a.jpg' } }));
		default: return c.json(200, this.doc(job, 'completed', { assets: { video: this.link(job) } }));
		}
	}

	remove(c) {
		const job = this.jobs.get(c.args[1]);
		if (!job || job.cancelled) return this.no_such(c, 404);
		this.cancel(job);
		c.res.writeHead(204);
		return c.res.end();
	}

	hook_body(job) { return this.doc(job, 'dreaming'); }
}
