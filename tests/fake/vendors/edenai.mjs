// edenai.mjs - Eden AI: jobs of v3, and the older v2 that clients still call.
// Their v3 of OpenAI's shape is EdenVideos in openai.mjs.
import { Fake } from '../kit.mjs';
import { any, bool, either, int, list, need, shape, text, url_or_data } from '../shape.mjs';

const MODEL = /^(amazon|minimax|bytedance|google|microsoft|openai|pixverse|pruna)\/[\w.:-]+$/;
const size = (v, path) => (/^\d+x\d+$/.test(v) ? [] : [`${path}: not 1280x720`]);
const v3 = shape({
	model: need((v, path) => (String(v).startsWith('video/generation_async/') && MODEL.test(v.slice(23)) ? [] : [`${path}: ${v}`])),
	input: need(shape({ text: need(text()), file: url_or_data, duration: int(), dimension: size, seed: int() })),
	provider_params: any, webhook_receiver: text(), user_webhook_parameters: any, show_original_response: bool });
const named = (v, path) => ([v].flat().every((p) => /^[a-z]+(\/[\w.:-]+)?$/.test(p)) ? [] : [`${path}: ${v}`]);
const v2_json = shape({ providers: need(either(named, list(named))), text: need(text()), duration: int(), fps: int(), dimension: size,
	seed: int(), file_url: url_or_data, settings: any, send_webhook_data: bool, show_base_64: bool, show_original_response: bool });
const digits = (v, path) => (/^\d+$/.test(v) ? [] : [`${path}: not a number`]);
const v2_form = shape({ providers: need(named), text: need(text()), duration: digits, fps: digits, dimension: size, seed: digits,
	file: (v, path) => (v?.bytes ? [] : [`${path}: no file`]), settings: text(), send_webhook_data: text(), show_base_64: text(),
	show_original_response: text() });

export class EdenAI extends Fake {
	name = 'edenai';

	routes() {
		return [
			['POST', /^\/v3\/universal-ai\/async$/, this.ask_v3, { fields: v3 }],
			['GET', /^\/v3\/universal-ai\/async\/([\w-]{36})$/, (c) => this.poll(c, this.jobs.get(c.args[1]))],
			['POST', /^\/v2\/video\/generation_async\/$/, this.ask_v2,
				{ type: ['application/json', 'multipart/form-data'], fields: { json: v2_json, form: v2_form } }],
			['GET', /^\/v2\/video\/generation_async\/([\w-]{36})\/$/, this.poll_v2],
		];
	}

	async ask_v3(c) {
		const { input } = c.body;
		return this.submit(c, { prompt: input.text, body: c.body, version: 3, hook: c.body.webhook_receiver,
			images: input.file ? [await this.image(input.file)] : [] });
	}

	async ask_v2(c) {
		const b = c.form ?? c.body;
		const given = b.file ?? b.file_url;
		return this.submit(c, { prompt: b.text, body: b, version: 2, images: given ? [await this.image(given)] : [] });
	}

	// Without these a reply holds the film itself, in base64.
	poll_v2(c) {
		if (c.query.get('show_base_64') !== 'false') this.complain(c, 'show_base_64 is on');
		if (c.query.get('response_as_dict') === 'false') this.complain(c, 'response_as_dict is off');
		return this.poll(c, this.jobs.get(c.args[1]));
	}

	accepted(c, job) {
		c.json(job.version === 3 ? 202 : 200, { public_id: job.id, status: 'processing' });
	}

	told(c, job, word) { return job.version === 3 ? this.told_v3(c, job, word) : this.told_v2(c, job, word); }

	told_v3(c, job, word) {
		const tell = (status, more = {}) => c.json(200, { public_id: job.id, status, cost: '0', provider: 'amazon', output: null,
			error: null, ...more });
		switch (word) {
		case 'queued': case 'running': return tell('processing');
		case 'odd': return tell('reticulating');
		case 'refused': return tell('fail', { error: { message: 'secret vendor words: blocked by our content moderation' } });
		case 'failed': return tell('fail', { error: { message: 'secret vendor words' } });
		case 'empty': return tell('success', { cost: '0.48', output: { video: '', video_resource_url: null } });
		default: return tell('success', { cost: '0.48', output: { video: '', video_resource_url: this.link(job), usage: {} } });
		}
	}

	told_v2(c, job, word) {
		const provider = [job.body.providers].flat()[0];
		const tell = (status, entry) => c.json(200, { public_id: job.id, status, error: null, results: entry ? { [provider]: entry } : {} });
		const none = { video: '', video_resource_url: null, cost: 0 };
		switch (word) {
		case 'queued': case 'running': return tell('processing');
		case 'odd': return tell('reticulating');
		// Finished, with an entry that failed.
		case 'refused': return tell('finished', { ...none, status: 'failed', error: { type: 'ProviderException',
			message: 'secret vendor words: the prompt was blocked by content moderation' } });
		case 'failed': return tell('finished', { ...none, status: 'failed', error: { type: 'ProviderException', message: 'secret vendor words' } });
		case 'empty': return tell('finished', { ...none, status: 'succeeded' });
		default: return tell('finished', { status: 'succeeded', video: '', video_resource_url: this.link(job), cost: 0.48, error: null });
		}
	}

	error(c, kind, script) {
		switch (kind) {
		case 'refused': return c.json(400, { detail: 'secret vendor words: rejected by the content moderation' });
		case 'invalid': return c.json(422, { detail: [{ loc: ['body', 'input'], msg: 'secret vendor words', type: 'value_error' }] });
		case '429': return c.json(429, { detail: 'Request was throttled.' }, { 'retry-after': String(script.retry_after ?? 1) });
		case 'key': return c.json(401, { detail: 'Invalid token' });
		case 'funds': return c.json(402, { detail: 'You do not have enough credits' });
		default: return c.json(Number(kind), { detail: 'secret vendor words' });
		}
	}

	invalid(c, wrong) { c.json(422, { detail: wrong.map((msg) => ({ loc: ['body'], msg, type: 'value_error' })) }); }
	no_such(c, status) { c.json(status, { detail: 'Not found.' }); }

	hook_body(job) {
		return { event: 'async_job_completed', job_id: job.id, status: 'success', output: {},
			user_parameters: job.body.user_webhook_parameters ?? {} };
	}

	hook_headers() { return { 'x-edenai-signature': 'ab'.repeat(128), 'x-edenai-hash-algorithm': 'SHA256' }; }
}
