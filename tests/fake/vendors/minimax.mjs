// minimax.mjs - MiniMax (Hailuo) direct: v1, whose errors are HTTP 200 and
// whose result is a file id, and v2 for MiniMax-H3.
import { Fake } from '../kit.mjs';
import { bool, either, int, list, need, one, shape, text, url_or_data } from '../shape.mjs';

const image = url_or_data;
const h23 = { duration: one(6, 10), resolution: one('768P', '1080P') };
const MODELS = {
	'MiniMax-Hailuo-2.3': { ...h23, first_frame_image: image },
	'MiniMax-Hailuo-2.3-Fast': { ...h23, first_frame_image: need(image) },
	'MiniMax-Hailuo-02': { duration: one(6, 10), resolution: one('512P', '768P', '1080P'), first_frame_image: image, last_frame_image: image },
	'T2V-01': { duration: one(6), resolution: one('720P') },
	'I2V-01': { duration: one(6), resolution: one('720P'), first_frame_image: need(image) },
	'S2V-01': { subject_reference: list(shape({ type: need(one('character')), image: need(list(image, 1)) })) },
};
const v1 = { model: need(text()), prompt: text(2000), prompt_optimizer: bool, fast_pretreatment: bool, callback_url: text(), aigc_watermark: bool };
const item = either(shape({ type: need(one('text')), text: need(text()) }),
	shape({ type: need(one('video_url')), video_url: need(shape({ url: need(text()) })), role: one('reference_video') }),
	shape({ type: need(one('image_url')), image_url: need(shape({ url: need(image) })), role: need(one('first_frame', 'last_frame', 'reference_image')) }));
const v2 = shape({ model: need(one('MiniMax-H3')), content: need(list(item)), resolution: one('768P', '2K'), duration: int(4, 15),
	ratio: one('16:9', '9:16', '1:1', '4:3', '3:4', '21:9', 'adaptive') });

export class MiniMax extends Fake {
	name = 'minimax';

	routes() {
		return [
			['POST', /^\/v1\/video_generation$/, this.ask_v1, { fields: (v) => this.fields_v1(v) }],
			['GET', /^\/v1\/query\/video_generation$/, (c) => this.poll(c, this.jobs.get(c.query.get('task_id')))],
			['GET', /^\/v1\/files\/retrieve$/, this.retrieve],
			['POST', /^\/v2\/video_generation$/, this.ask_v2, { fields: (v) => this.fields_v2(v) }],
			['GET', /^\/v2\/query\/video_generation\/(\w+)$/, (c) => this.poll(c, this.jobs.get(c.args[1]))],
		];
	}

	new_id() { return `17${this.next++}`; }

	fields_v1(v) {
		const table = MODELS[v.model];
		const wrong = table ? shape({ ...v1, ...table })(v) : [`model: ${v.model}`];
		if (v.resolution === '1080P' && v.duration !== undefined && v.duration !== 6) wrong.push('duration: 1080P is 6 s');
		if (!v.prompt && !v.first_frame_image) wrong.push('prompt: missing');
		return wrong;
	}

	fields_v2(v) {
		const wrong = v2(v);
		const roles = (v.content ?? []).map((i) => i.role).filter(Boolean);
		if (roles.length === 0 && (v.ratio === undefined || v.ratio === 'adaptive')) wrong.push('ratio: required for text');
		return wrong;
	}

	async ask_v1(c) {
		const b = c.body;
		const images = await Promise.all([b.first_frame_image, b.last_frame_image].filter(Boolean).map((v) => this.image(v)));
		return this.submit(c, { prompt: b.prompt, body: b, version: 1, images, hook: b.callback_url });
	}

	async ask_v2(c) {
		const images = await Promise.all(c.body.content.filter((i) => i.image_url).map((i) => this.image(i.image_url.url)));
		return this.submit(c, { prompt: c.body.content.find((i) => i.text)?.text, body: c.body, version: 2, images });
	}

	submit(c, order) {
		c.version = order.version;
		return super.submit(c, order);
	}

	poll(c, job) {
		c.version = c.path.startsWith('/v2') ? 2 : 1;
		if (job && job.version !== c.version) this.complain(c, `the task is of v${job.version}`);
		return super.poll(c, job);
	}

	ok(c, doc) { c.json(200, { ...doc, base_resp: { status_code: 0, status_msg: 'success' } }); }
	accepted(c, job) { return job.version === 1 ? this.ok(c, { task_id: job.id }) : c.json(200, { task_id: job.id }); }

	told(c, job, word) {
		if (job.version === 2) return this.told_v2(c, job, word);
		const tell = (status, more = {}) => this.ok(c, { task_id: job.id, status, file_id: '', ...more });
		switch (word) {
		case 'queued': return tell(job.polls % 2 ? 'Preparing' : 'Queueing');
		case 'running': return tell('Processing');
		case 'odd': return tell('Polishing');
		case 'refused': return c.json(200, { task_id: job.id, status: 'Fail', file_id: '',
			base_resp: { status_code: 1027, status_msg: 'secret vendor words' } });
		case 'failed': return c.json(200, { task_id: job.id, status: 'Fail', file_id: '',
			base_resp: { status_code: 1000, status_msg: 'secret vendor words' } });
		case 'empty': return tell('Success', { file_id: '' });
		default:
			job.file_id = 205258526000000 + this.next++;
			return tell('Success', { file_id: String(job.file_id), video_width: 1366, video_height: 768 });
		}
	}

	// A number here, text there.
	retrieve(c) {
		const job = [...this.jobs.values()].find((j) => String(j.file_id) === c.query.get('file_id'));
		if (!job) {
			this.complain(c, 'unknown file');
			return this.no_such(c, 404);
		}
		return this.ok(c, { file: { file_id: job.file_id, bytes: 0, created_at: 1, filename: 'output.mp4', purpose: 'video_generation',
			download_url: this.link(job) } });
	}

	told_v2(c, job, word) {
		const tell = (status, more = {}) => c.json(200, { task: { id: job.id, status, ...more } });
		switch (word) {
		case 'queued': return tell('queued');
		case 'running': return tell('running');
		case 'odd': return tell('polishing');
		case 'refused': return tell('failed', { error: { code: '1027', message: 'secret vendor words: output sensitive' } });
		case 'failed': return tell('failed', { error: { code: '1000', message: 'secret vendor words' } });
		case 'cancelled': return tell('cancelled');
		case 'empty': return tell('succeeded', { content: {} });
		default: return tell('succeeded', { content: { url: this.link(job) }, usage: { output_seconds: 6 } });
		}
	}

	error(c, kind) {
		if ((c.version ?? (c.path.startsWith('/v2') ? 2 : 1)) === 2) {
			const [status, message] = { refused: [400, 'secret vendor words: input sensitive (1026)'], invalid: [400, 'secret vendor words'],
				429: [429, 'rate limit'], key: [401, 'invalid api key'], funds: [402, 'insufficient balance'] }[kind]
				?? [Number(kind), 'secret vendor words'];
			return c.json(status, { error: { message, http_code: String(status) } });
		}
		const code = { refused: 1026, invalid: 2013, 429: 1002, key: 1004, funds: 1008 }[kind];
		if (code === undefined) return c.json(Number(kind), { base_resp: { status_code: 1000, status_msg: 'secret vendor words' } });
		return c.json(200, { task_id: '', base_resp: { status_code: code, status_msg: 'secret vendor words' } });
	}

	invalid(c, wrong) {
		return c.path.startsWith('/v2') ? c.json(400, { error: { message: wrong.join('; '), http_code: '400' } })
			: c.json(200, { task_id: '', base_resp: { status_code: 2013, status_msg: wrong.join('; ') } });
	}

	no_such(c, status) { c.json(status, { base_resp: { status_code: 2013, status_msg: 'not found' } }); }
}
