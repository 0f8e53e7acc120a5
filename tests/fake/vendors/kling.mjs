// kling.mjs - Kling's own API: v1 (flat, by JSON Web Token or key) and 3.x
// (contents and settings). An error may come with HTTP 200.
import { createHmac, randomUUID } from 'node:crypto';
import { Fake, standard_webhook, whsec } from '../kit.mjs';
import { any, base64, bool, either, int, list, need, num, one, shape, text, url } from '../shape.mjs';

const V1 = ['kling-v1', 'kling-v1-6', 'kling-v2-master', 'kling-v2-1-master', 'kling-v2-5-turbo', 'kling-v2-6'];
const picture = either(url, base64); // bare: no data: prefix
const flat = { model_name: one(...V1), prompt: text(2500), negative_prompt: text(2500), cfg_scale: num(0, 1), mode: one('std', 'pro'),
	sound: one('on', 'off'), duration: one('5', '10'), camera_control: any, watermark_info: any, callback_url: url,
	external_task_id: text(64) };
const TABLES = {
	text2video: { ...flat, prompt: need(text(2500)), aspect_ratio: one('16:9', '9:16', '1:1') },
	image2video: { ...flat, image: picture, image_tail: picture, static_mask: any, dynamic_masks: any },
};
const content = (kinds) => either(shape({ type: need(one('prompt')), text: need(text(2500)) }), ...kinds.map((k) =>
	shape({ type: need(one(k)), url: need(picture) })));
const v3 = (kinds) => shape({ contents: need(list(content(kinds))),
	settings: shape({ resolution: one('720p', '1080p', '4k'), aspect_ratio: one('16:9', '9:16', '1:1'), duration: int(3, 15),
		audio: one('native', 'off'), multi_shot: bool }),
	options: shape({ callback_url: url, external_task_id: text(64), watermark_info: shape({ enabled: need(bool) }) }) });

export class Kling extends Fake {
	name = 'kling';
	secret = whsec();

	// jwt: the key is "access:secret" and signs tokens of half an hour.
	constructor({ jwt = true } = {}) { super({ key: jwt ? `ak${randomUUID()}:sk${randomUUID()}` : `kling-${randomUUID()}` }); }

	get env() { return { ...super.env, REELD_PROVIDER_KLING_WEBHOOK_SECRET: this.secret }; }

	routes() {
		return [
			['POST', /^\/v1\/videos\/(text2video|image2video)$/, this.ask_v1, { fields: (v, path, c) => this.fields_v1(v, c.args[1]) }],
			['GET', /^\/v1\/videos\/(text2video|image2video)\/([\w-]+)$/, this.poll_v1],
			['POST', /^\/(text-to-video|image-to-video|omni-video)\/(kling-3\.0(?:-turbo|-omni)?)$/, this.ask_v3,
				{ fields: (v, path, c) => v3(c.args[1] === 'text-to-video' ? [] : ['first_frame', 'last_frame'])(v) }],
			['GET', /^\/tasks$/, this.poll_v3],
		];
	}

	new_id() { return String(8_000_000_000 + this.next++); }

	authorised(c) {
		if (!this.key.includes(':')) return c.bearer === this.key ? undefined : 'no such key';
		const [access, secret] = this.key.split(':');
		const [head, claims, mac] = (c.bearer ?? '').split('.');
		const want = createHmac('sha256', secret).update(`${head}.${claims}`).digest('base64url');
		if (mac !== want) return 'a token of another key';
		const { alg, typ } = JSON.parse(Buffer.from(head, 'base64url'));
		const { iss, exp, nbf } = JSON.parse(Buffer.from(claims, 'base64url'));
		const now = Date.now() / 1000;
		return alg === 'HS256' && typ === 'JWT' && iss === access && exp > now && exp <= now + 1801 && nbf <= now
			? undefined : `claims ${JSON.stringify({ alg, typ, iss, exp, nbf })}`;
	}

	fields_v1(v, kind) {
		const wrong = shape(TABLES[kind])(v);
		if (kind === 'image2video' && !v.image && !v.image_tail) wrong.push('image: one is needed');
		return wrong;
	}

	// The same external id twice is the same task.
	async ask_v1(c) {
		const b = c.body;
		const known = [...this.jobs.values()].find((j) => b.external_task_id && j.external === b.external_task_id);
		if (known) this.count(this.submits, b.prompt);
		if (known) return this.accepted(c, known);
		const images = await Promise.all([b.image, b.image_tail].filter(Boolean).map((v) => this.image(v)));
		return this.submit(c, { prompt: b.prompt, body: b, kind: c.args[1], images, hook: b.callback_url, external: b.external_task_id });
	}

	async ask_v3(c) {
		const { contents, options = {} } = c.body;
		const images = await Promise.all(contents.filter((x) => x.url).map((x) => this.image(x.url)));
		return this.submit(c, { prompt: contents.find((x) => x.type === 'prompt')?.text, body: c.body, v3: true, images,
			hook: options.callback_url, external: options.external_task_id });
	}

	poll_v1(c) {
		const [, kind, id] = c.args;
		const job = this.jobs.get(id) ?? [...this.jobs.values()].find((j) => j.external === id);
		if (job && (job.kind !== kind || job.v3)) this.complain(c, `the task is of ${job.kind}`);
		// Asked by an id that never arrived: their answer, not a mistake.
		if (!job && /^[\w-]{36}$/.test(id)) return this.no_such(c, 404);
		return this.poll(c, job);
	}

	poll_v3(c) { return this.poll(c, this.jobs.get(c.query.get('task_ids'))); }

	accepted(c, job) {
		this.say(c, job.v3 ? { id: job.id, status: 'submitted', outputs: [] }
			: { task_id: job.id, task_status: 'submitted', task_info: { external_task_id: job.external }, created_at: job.at, updated_at: job.at });
	}

	say(c, data) { c.json(200, { code: 0, message: 'SUCCEED', request_id: randomUUID(), data }); }

	told(c, job, word) {
		const tell = (status, more = {}) => this.say(c, job.v3
			? { id: job.id, status: status === 'succeed' ? 'succeeded' : status, outputs: [], billing: [], ...more.v3 }
			: { task_id: job.id, task_status: status, task_status_msg: '', task_info: { external_task_id: job.external },
				created_at: job.at, updated_at: Date.now(), ...more.v1 });
		const why = (text_) => ({ v1: { task_status_msg: text_ }, v3: { message: text_ } });
		switch (word) {
		case 'queued': return tell('submitted');
		case 'running': return tell('processing');
		case 'odd': return tell('arranging');
		case 'refused': return tell('failed', why('secret vendor words: content moderation'));
		case 'failed': return tell('failed', why('secret vendor words'));
		case 'empty': return tell('succeed', { v1: { task_result: { videos: [] } }, v3: {} });
		default: {
			const at = this.link(job);
			return tell('succeed', { v1: { task_result: { videos: [{ id: '1', url: at, duration: '5' }] } },
				v3: { outputs: [{ type: 'video', url: at, duration: '5' }] } });
		}
		}
	}

	error(c, kind) {
		const problem = (status, code, message) => c.json(status, { code, message, request_id: randomUUID() });
		switch (kind) {
		case 'refused': return problem(400, 1301, 'secret vendor words');
		case 'invalid': return problem(400, 1201, 'secret vendor words');
		case '429': return problem(429, 1303, 'parallel task over resource pack limit');
		case 'key': return problem(401, 1002, 'authorization is invalid');
		case '404': return problem(404, 1203, 'secret vendor words');
		case 'funds': return problem(429, 1102, 'Account balance not enough');
		default: return problem(Number(kind), 5000, 'secret vendor words');
		}
	}

	invalid(c, wrong) { c.json(400, { code: 1201, message: wrong.join('; '), request_id: randomUUID() }); }
	no_such(c, status) { c.json(status, { code: 1203, message: 'the requested resource does not exist', request_id: randomUUID() }); }

	hook_body(job) {
		return { task_id: job.id, task_status: 'processing', task_info: { external_task_id: job.external }, task_result: {} };
	}

	hook_headers(body, { forged, at } = {}) { return standard_webhook(forged ? whsec() : this.secret, body, { at }); }
}
