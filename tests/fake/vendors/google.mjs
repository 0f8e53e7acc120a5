// google.mjs - the Gemini API: Veo's long-running operations and the
// Interactions API of Gemini Omni. Files need the key.
import { Fake } from '../kit.mjs';
import { any, base64, bool, either, int, list, need, one, shape, text } from '../shape.mjs';

const OMNI = /^gemini-omni-/;
const image = shape({ bytesBase64Encoded: need(base64), mimeType: need(one('image/png', 'image/jpeg', 'image/webp')) });
const veo = shape({
	instances: need(list(shape({ prompt: need(text()), image, lastFrame: image, video: any,
		referenceImages: list(shape({ image: need(image), referenceType: need(one('asset', 'style')) }), 3) }), 1)),
	// Not on this API: seed, fps, generateAudio, outputGcsUri, mask, ...
	parameters: shape({ aspectRatio: one('16:9', '9:16'), resolution: one('720p', '1080p', '4k'), durationSeconds: one(4, 6, 8),
		negativePrompt: text(), personGeneration: one('allow_all', 'allow_adult', 'dont_allow'), sampleCount: one(1),
		enhancePrompt: bool }),
	webhookConfig: any,
});
const part = either(shape({ type: need(one('text')), text: need(text()) }),
	shape({ type: need(one('image')), data: need(base64), mime_type: need(text()) }),
	shape({ type: need(one('image')), uri: need(text()), mime_type: text() }));
const omni = shape({ model: need(text()), input: need(either(text(), list(part))), background: need(one(true)), store: bool,
	response_format: need(shape({ type: need(one('video')), aspect_ratio: text(), resolution: text(), delivery: one('uri', 'inline'),
		duration: (v, path) => (/^\d+s$/.test(v) ? [] : [`${path}: not "8s"`]) })),
	generation_config: shape({ video_config: shape({ task: one('text_to_video', 'image_to_video', 'reference_to_video', 'edit',
		'extend', 'upscale') }), temperature: int() }),
	webhook_config: any });

export class Google extends Fake {
	name = 'google';

	get base() { return `${this.url}/v1beta`; }

	routes() {
		return [
			['POST', /^\/v1beta\/models\/([\w.-]+):predictLongRunning$/, this.ask, { fields: veo }],
			['GET', /^\/v1beta\/(models\/[\w.-]+\/operations\/\w+)$/, (c) => this.poll(c, this.jobs.get(c.args[1]))],
			['POST', /^\/v1beta\/interactions$/, this.ask_omni, { fields: omni }],
			['GET', /^\/v1beta\/interactions\/(\w+)$/, (c) => this.poll(c, this.jobs.get(c.args[1]))],
			['POST', /^\/v1beta\/interactions\/(\w+)\/cancel$/, this.stop_it, { type: null }],
			['GET', /^\/v1beta\/files\/(\w+):download$/, this.download],
		];
	}

	authorised(c) {
		if (c.query.has('key')) return 'the key in the URL';
		return c.headers['x-goog-api-key'] === this.key ? undefined : 'no x-goog-api-key';
	}

	async ask(c) {
		if (!/^veo-/.test(c.args[1])) return this.gone(c, c.args[1]);
		const [one_] = c.body.instances;
		this.model = c.args[1];
		const given = [one_.image, one_.lastFrame, ...(one_.referenceImages ?? []).map((r) => r.image)].filter(Boolean);
		const wrong = given.length > 0 && c.body.parameters?.personGeneration === 'allow_all'
			? ['personGeneration: allow_all with an image'] : [];
		const images = await Promise.all(given.map((i) => this.image(i.bytesBase64Encoded)));
		given.forEach((i, n) => { if (images[n].type !== i.mimeType) wrong.push(`an image is ${images[n].type}, not ${i.mimeType}`); });
		if (wrong.length > 0) {
			this.complain(c, wrong.join());
			return this.invalid(c, wrong);
		}
		return this.submit(c, { prompt: one_.prompt, body: c.body, model: c.args[1], images });
	}

	gone(c, model) {
		this.complain(c, `model ${model}`);
		c.json(404, { error: { code: 404, message: `models/${model} is not found for API version v1beta`, status: 'NOT_FOUND' } });
	}

	async ask_omni(c) {
		const { model, input } = c.body;
		if (!OMNI.test(model)) return this.gone(c, model);
		const parts = typeof input === 'string' ? [{ type: 'text', text: input }] : input;
		const images = await Promise.all(parts.filter((p) => p.type === 'image').map((p) => this.image(p.data ?? p.uri)));
		return this.submit(c, { prompt: parts.find((p) => p.type === 'text')?.text, body: c.body, model, omni: true, images });
	}

	async submit(c, order) {
		this.omni_next = order.omni;
		this.model = order.model;
		return super.submit(c, order);
	}

	new_id() {
		const id = super.new_id().replace(/-/g, '');
		return this.omni_next ? id : `models/${this.model}/operations/${id}`;
	}

	// The file's own id: a job's id has slashes.
	uri(job) {
		job.file = `f${job.id.split('/').pop()}${++job.links}`;
		return `${this.base}/files/${job.file}:download?alt=media`;
	}

	accepted(c, job) {
		c.json(200, job.omni ? { id: job.id, object: 'interaction', model: job.model, status: 'in_progress' } : { name: job.id });
	}

	told(c, job, word) {
		if (job.omni) return this.told_omni(c, job, word);
		const name = job.id;
		const done = (response) => c.json(200, { name, done: true,
			response: { '@type': 'type.googleapis.com/google.ai.generativelanguage.v1beta.PredictLongRunningResponse', ...response } });
		switch (word) {
		case 'queued': return c.json(200, { name });
		case 'running': return c.json(200, { name, done: false, metadata: { '@type': 'x' } });
		case 'odd': return c.json(200, { name, metadata: { state: 'DREAMING' } });
		case 'refused': return done({ generateVideoResponse: { raiMediaFilteredCount: 1,
			raiMediaFilteredReasons: ['secret vendor words'] } });
		case 'failed': return c.json(200, { name, done: true, error: { code: 13, message: 'secret vendor words', details: [] } });
		case 'empty': return done({ generateVideoResponse: {} });
		default: return done({ generateVideoResponse: { generatedSamples: [{ video: { uri: this.uri(job) } }] } });
		}
	}

	told_omni(c, job, word) {
		const tell = (status, more = {}) => c.json(200, { id: job.id, object: 'interaction', model: job.model, status, ...more });
		const steps = (content) => ({ steps: [{ type: 'thought', content: [{ type: 'text', text: 'a plan' }] },
			{ type: 'model_output', content }] });
		switch (word) {
		case 'queued': return tell('queued');
		case 'running': return tell('in_progress');
		case 'odd': return tell('pondering');
		case 'refused': return tell('failed', { errors: [{ code: 'content_filtered',
			message: 'secret vendor words: violates our content policy' }] });
		case 'failed': return tell('failed', { errors: [{ code: 'internal', message: 'secret vendor words' }] });
		case 'cancelled': return tell('cancelled');
		case 'empty': return tell('completed', steps([{ type: 'text', text: 'I can not draw that.' }]));
		default: return tell('completed', steps([{ type: 'video', uri: this.uri(job), mime_type: 'video/mp4' }]));
		}
	}

	download(c) {
		const job = [...this.jobs.values()].find((j) => j.file === c.args[1]);
		if (!job || c.query.get('alt') !== 'media') return this.no_such(c, 404);
		(job.fetched ??= []).push(job.links);
		return this.file(c, job);
	}

	stop_it(c) {
		const job = this.jobs.get(c.args[1]);
		if (!job) return this.no_such(c, 404);
		this.cancel(job);
		return c.json(200, { id: job.id, status: 'cancelled' });
	}

	error(c, kind, script) {
		const problem = (code, status, message, details = []) => c.json(code, { error: { code, message, status, details } });
		switch (kind) {
		case 'refused': return problem(400, 'INVALID_ARGUMENT', 'secret vendor words: the prompt violates our Responsible AI practices');
		case 'invalid': return problem(400, 'INVALID_ARGUMENT', 'secret vendor words');
		case '429': return problem(429, 'RESOURCE_EXHAUSTED', 'Quota exceeded for requests per minute.', [{
			'@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: `${script.retry_after ?? 1}s` }]);
		case 'key': return problem(403, 'PERMISSION_DENIED', 'API key not valid. Please pass a valid API key.');
		case 'funds': return problem(400, 'FAILED_PRECONDITION', 'Billing is not enabled for this project.');
		default: return problem(Number(kind), kind === '503' ? 'UNAVAILABLE' : 'INTERNAL', 'secret vendor words');
		}
	}

	invalid(c, wrong) { c.json(400, { error: { code: 400, message: wrong.join('; '), status: 'INVALID_ARGUMENT' } }); }
	no_such(c, status) { c.json(status, { error: { code: status, message: 'Not found', status: 'NOT_FOUND' } }); }
}
