// replicate.mjs - Replicate's predictions: official models with their input
// schemas, files, signed webhooks.
import { Fake, standard_webhook, whsec } from '../kit.mjs';
import { bool, either, int, list, need, one, shape, text, url } from '../shape.mjs';

// A URL of anywhere, or data: up to about 256 kB of it.
const file = either(url, (v, path) => (typeof v === 'string' && v.startsWith('data:') && v.length <= 360 << 10 ? []
	: [`${path}: neither a URL nor a small data URI`]));
const veo = { prompt: need(text()), aspect_ratio: one('16:9', '9:16'), duration: one(4, 6, 8), image: file,
	negative_prompt: text(), resolution: one('720p', '1080p'), generate_audio: bool, seed: int() };
const ray = { prompt: need(text()), duration: one(5, 9), aspect_ratio: one('1:1', '3:4', '4:3', '9:16', '16:9', '9:21', '21:9'),
	loop: bool, start_image: file, start_image_url: file, end_image: file, end_image_url: file, concepts: list(text()) };
const MODELS = { 'google/veo-3': veo, 'google/veo-3-fast': veo, 'luma/ray-2-720p': ray, 'luma/ray-flash-2-540p': ray };
const EVENTS = one('start', 'output', 'logs', 'completed');
const frame = { webhook: url, webhook_events_filter: list(EVENTS) };

export class Replicate extends Fake {
	name = 'replicate';
	secret = whsec();
	files = new Map();

	get base() { return `${this.url}/v1`; }
	get env() { return { ...super.env, REELD_PROVIDER_REPLICATE_WEBHOOK_SECRET: this.secret }; }

	routes() {
		return [
			['POST', /^\/v1\/models\/([\w.-]+\/[\w.-]+)\/predictions$/, this.ask, { fields: (v, path, c) => this.fields(v, c.args[1]) }],
			['POST', /^\/v1\/predictions$/, this.ask, { fields: shape({ version: need(text()), input: need(shape({
				prompt: need(text()) }, { extra: true })), ...frame }) }],
			['GET', /^\/v1\/predictions\/(\w+)$/, (c) => this.poll(c, this.jobs.get(c.args[1]))],
			['POST', /^\/v1\/predictions\/(\w+)\/cancel$/, this.stop_it, { type: null }],
			['POST', /^\/v1\/files$/, this.take_file, { type: 'multipart/form-data' }],
			['GET', /^\/v1\/files\/(\w+)$/, this.give_file],
		];
	}

	new_id() { return super.new_id().replace(/-/g, '').slice(0, 26); }

	fields(v, model) {
		const input = MODELS[model];
		return input ? shape({ input: need(shape(input)), ...frame })(v) : [`no such model ${model}`];
	}

	async ask(c) {
		const { input } = c.body;
		const given = [input.image ?? input.start_image, input.last_frame ?? input.end_image].filter(Boolean);
		const images = await Promise.all(given.map((v) => this.kept(v) ?? this.image(v)));
		return this.submit(c, { prompt: input.prompt, body: c.body, images, hook: c.body.webhook,
			model: c.args[1] ?? c.body.version });
	}

	kept(v) {
		const id = /\/v1\/files\/(\w+)$/.exec(v)?.[1];
		return id && this.files.has(id) ? { form: 'upload', ...this.files.get(id) } : undefined;
	}

	async take_file(c) {
		const { content } = c.form;
		if (!content?.bytes) {
			this.complain(c, `form ${Object.keys(c.form)}`);
			return c.json(422, { title: 'Invalid', detail: 'content: required', status: 422 });
		}
		const id = this.new_id();
		this.files.set(id, { bytes: content.bytes, type: (await this.image(content)).type });
		return c.json(201, { id, name: content.name, content_type: content.type, size: content.bytes.length,
			urls: { get: `${this.base}/files/${id}` } });
	}

	give_file(c) { return c.json(200, { id: c.args[1] }); }

	prediction(job, status, more = {}) {
		const at = `${this.base}/predictions/${job.id}`;
		return { id: job.id, model: job.model, version: 'hidden', status, input: job.body.input, output: null, error: null,
			logs: '', metrics: {}, created_at: new Date(job.at).toISOString(), started_at: null, completed_at: null,
			data_removed: false, urls: { get: at, cancel: `${at}/cancel`, web: `https://replicate.com/p/${job.id}` }, ...more };
	}

	accepted(c, job) { c.json(201, this.prediction(job, 'starting')); }

	told(c, job, word) {
		const logs = 'Running...\n 40%|####      | 4/10\n';
		switch (word) {
		case 'queued': return c.json(200, this.prediction(job, 'starting'));
		case 'running': return c.json(200, this.prediction(job, 'processing', { logs }));
		case 'odd': return c.json(200, this.prediction(job, 'hibernating'));
		case 'refused': return c.json(200, this.prediction(job, 'failed', { error: 'secret vendor words: The input or output was '
			+ 'flagged as sensitive. Please try again with different inputs. (E005)' }));
		case 'failed': return c.json(200, this.prediction(job, 'failed', { error: 'secret vendor words: CUDA out of memory' }));
		case 'cancelled': return c.json(200, this.prediction(job, 'canceled'));
		case 'empty': return c.json(200, this.prediction(job, 'succeeded', { data_removed: true }));
		default: return c.json(200, this.prediction(job, 'succeeded', { output: this.link(job), logs,
			metrics: { predict_time: 12.5 } }));
		}
	}

	stop_it(c) {
		const job = this.jobs.get(c.args[1]);
		if (!job) return this.no_such(c, 404);
		this.cancel(job);
		return c.json(200, this.prediction(job, 'canceled'));
	}

	error(c, kind, script) {
		const problem = (status, title, detail, headers) => c.json(status, { title, detail, status }, headers);
		switch (kind) {
		case 'refused': return problem(422, 'Input validation failed', 'secret vendor words: NSFW content detected');
		case 'invalid': return problem(422, 'Input validation failed', 'secret vendor words');
		case '429': return c.json(429, { title: 'Too Many Requests', detail: 'Request was throttled.', status: 429,
			retry_after: script.retry_after ?? 1 }, { 'retry-after': String(script.retry_after ?? 1) });
		case 'key': return problem(401, 'Unauthenticated', 'You did not pass a valid authentication token');
		case 'funds': return problem(402, 'Insufficient credit', 'You have insufficient credit to run this model.');
		default: return problem(Number(kind), 'Internal server error', 'secret vendor words');
		}
	}

	invalid(c, wrong) {
		c.json(422, { title: 'Input validation failed', detail: wrong.join('; '), status: 422, invalid_fields: wrong });
	}

	no_such(c, status) { c.json(status, { title: 'Not found', detail: 'The requested resource could not be found.', status }); }

	hook_body(job) { return this.prediction(job, 'starting'); }
	hook_headers(body, { forged, at } = {}) { return standard_webhook(forged ? whsec() : this.secret, body, { at }); }
}
