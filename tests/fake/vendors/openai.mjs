// openai.mjs - the videos API that OpenAI had, as gateways serve it: a form
// or JSON, numbers as text, the file behind the key. EdenVideos is Eden AI's
// v3 of it.
import { randomUUID } from 'node:crypto';
import { Fake } from '../kit.mjs';
import { either, int, need, one, shape, text, url_or_data } from '../shape.mjs';

const SIZES = one('720x1280', '1280x720', '1024x1792', '1792x1024');
const part = (v, path) => (v?.bytes && /^image\//.test(v.type) && v.name ? [] : [`${path}: not a file of an image`]);
const common = { prompt: need(text(32000)), model: text(), seconds: one('4', '8', '12') };

export class OpenAI extends Fake {
	name = 'openai';

	get base() { return `${this.url}/v1`; }
	get root() { return new URL(this.base).pathname; }
	get tables() {
		return { form: shape({ ...common, size: SIZES, input_reference: part }),
			json: shape({ ...common, size: SIZES, input_reference: either(shape({ image_url: need(url_or_data) }),
				shape({ file_id: need(text()) })) }) };
	}

	routes() {
		const at = (tail) => new RegExp(`^${this.root}/videos${tail}$`);
		return [
			['POST', at(''), this.ask, { type: ['multipart/form-data', 'application/json'], fields: this.tables }],
			['GET', at('/(\\w+)'), (c) => this.poll(c, this.jobs.get(c.args[1]))],
			['GET', at('/(\\w+)/content'), this.content],
		];
	}

	new_id() { return `video_${randomUUID().replace(/-/g, '')}`; }

	async ask(c) {
		const b = c.form ?? c.body;
		const given = b.input_reference && (c.form ? b.input_reference : b.input_reference.image_url);
		return this.submit(c, { prompt: b.prompt, body: b, images: given ? [await this.image(given)] : [] });
	}

	video(job, status, more = {}) {
		return { id: job.id, object: 'video', model: job.body.model, status, progress: 0, created_at: job.at / 1000 | 0,
			completed_at: null, expires_at: null, error: null, prompt: job.prompt, remixed_from_video_id: null,
			seconds: job.body.seconds ?? '4', size: job.body.size ?? '720x1280', ...more };
	}

	accepted(c, job) { c.json(200, this.video(job, 'queued')); }

	told(c, job, word) {
		const at = Date.now() / 1000 | 0;
		switch (word) {
		case 'queued': return c.json(200, this.video(job, 'queued'));
		case 'running': return c.json(200, this.video(job, 'in_progress', { progress: 40 }));
		case 'odd': return c.json(200, this.video(job, 'upscaling'));
		case 'refused': return c.json(200, this.video(job, 'failed', { error: { code: 'moderation_blocked', message: 'secret vendor words' } }));
		case 'failed': return c.json(200, this.video(job, 'failed', { error: { code: 'internal_error', message: 'secret vendor words' } }));
		default:
			job.missing = word === 'empty';
			return c.json(200, this.video(job, 'completed', { progress: 100, completed_at: at, expires_at: at + 3600 }));
		}
	}

	content(c) {
		const job = this.jobs.get(c.args[1]);
		if (!['video', null].includes(c.query.get('variant'))) this.complain(c, `variant ${c.query.get('variant')}`);
		if (!job || job.missing) return this.no_such(c, 404);
		(job.fetched ??= []).push(1);
		return this.file(c, job);
	}

	error(c, kind, script) {
		const problem = (status, type, code, message, headers) => c.json(status, { error: { message, type, param: null, code } }, headers);
		switch (kind) {
		case 'refused': return problem(400, 'invalid_request_error', 'moderation_blocked', 'secret vendor words');
		case 'invalid': return problem(400, 'invalid_request_error', 'invalid_value', 'secret vendor words');
		case '429': return problem(429, 'rate_limit_error', 'rate_limit_exceeded', 'Rate limit reached',
			{ 'retry-after-ms': String(1000 * (script.retry_after ?? 1)) });
		case 'key': return problem(401, 'invalid_request_error', 'invalid_api_key', 'Incorrect API key provided');
		case 'funds': return problem(429, 'insufficient_quota', 'insufficient_quota', 'You exceeded your current quota');
		default: return problem(Number(kind), 'server_error', null, 'secret vendor words');
		}
	}

	invalid(c, wrong) { c.json(400, { error: { message: wrong.join('; '), type: 'invalid_request_error', param: null, code: null } }); }
	no_such(c, status) { c.json(status, { error: { message: 'Not found', type: 'invalid_request_error', param: null, code: null } }); }
}

// POST {base}/v3/videos: model is "provider/model", unknown fields are 422,
// content is a 302 to a signed link, then bytes.
export class EdenVideos extends OpenAI {
	get base() { return `${this.url}/v3`; }
	get tables() {
		const named = { ...common, model: need((v, path) => (/^[\w-]+\/[\w.:-]+$/.test(v) ? [] : [`${path}: not provider/model`])),
			seconds: either(text(3), int()), size: (v, path) => (/^\d+x\d+$/.test(v) ? [] : [`${path}: not 1280x720`]),
			seed: either(text(), int()) };
		return { form: shape({ ...named, input_reference: part }),
			json: shape({ ...named, input_reference: shape({ image_url: url_or_data, file_id: text() }) }) };
	}

	content(c) {
		const job = this.jobs.get(c.args[1]);
		if (!job || job.missing) return this.no_such(c, 404);
		c.res.writeHead(302, { location: this.link(job) });
		return c.res.end();
	}

	// The link is on the same host here, so its credentials may come along.
	public_file(c, job, n) {
		delete c.headers.authorization;
		return super.public_file(c, job, n);
	}

	invalid(c, wrong) { c.json(422, { error: { message: wrong.join('; '), type: 'invalid_request_error', param: null, code: null } }); }
}
