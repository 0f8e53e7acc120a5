// runway.mjs - Runway's tasks: its version header, models with their own
// fields, uploads, credits that a refusal costs too.
import { Fake } from '../kit.mjs';
import { bool, either, int, list, need, one, shape, text } from '../shape.mjs';

const MB = 1 << 20;
// An https URL, an upload, or a data URI of 5 MB.
const image = (v, path) => {
	if (typeof v !== 'string') return [`${path}: not text`];
	if (v.startsWith('data:')) return v.length <= 5 * MB ? [] : [`${path}: a data URI over 5 MB`];
	if (v.startsWith('runway://')) return [];
	if (!/^https?:\/\//.test(v) || v.length > 2048) return [`${path}: no https URL`];
	return [];
};
const images = (last) => either(image, list(shape({ uri: need(image), position: need(last ? one('first', 'last') : one('first')) }), 2));
const units = (v, path) => text(1000)(v, path); // JavaScript counts UTF-16 units, too
const moderation = shape({ publicFigureThreshold: one('auto', 'low') });
const seed = int(0, 4294967295);
const wide = ['1280:720', '720:1280'], hd = ['1920:1080', '1080:1920'];
const MODELS = {
	gen4_turbo: { image: { promptImage: need(images()), promptText: units, seed, duration: int(2, 10), contentModeration: moderation,
		ratio: need(one(...wide, '1104:832', '832:1104', '960:960', '1584:672')) } },
	'gen4.5': {
		text: { promptText: need(units), duration: need(int(2, 10)), ratio: need(one(...wide)), seed, contentModeration: moderation,
			outputFormat: one('mp4') },
		image: { promptImage: need(images()), promptText: need(units), duration: need(int(2, 10)), seed, contentModeration: moderation,
			ratio: need(one(...wide, '1104:832', '832:1104', '960:960', '1584:672')), outputFormat: one('mp4') },
	},
};
for (const model of ['veo3.1', 'veo3.1_fast']) {
	const fields = { ratio: need(one(...wide, ...hd)), duration: one(4, 6, 8), audio: bool, negativePrompt: text(), seed };
	MODELS[model] = { text: { promptText: need(units), ...fields },
		image: { promptImage: need(images(true)), promptText: units, ...fields } };
}

export class Runway extends Fake {
	name = 'runway';
	uploads = new Map();

	routes() {
		const task = /^\/v1\/tasks\/([\w-]{36})$/;
		const fields = (kind) => ({ fields: (v) => this.fields(kind, v) });
		return [
			['POST', /^\/v1\/text_to_video$/, this.ask, fields('text')],
			['POST', /^\/v1\/image_to_video$/, this.ask, fields('image')],
			['GET', task, (c) => this.poll(c, this.task(c))],
			['DELETE', task, this.remove],
			['POST', /^\/v1\/uploads$/, this.upload, { fields: shape({ filename: need(text(255, 3)), type: one('ephemeral') }) }],
			['POST', /^\/bucket\/(\w+)$/, this.uploaded, { auth: false, type: 'multipart/form-data' }],
		];
	}

	authorised(c) {
		if (c.bearer !== this.key) return 'no such key';
		return c.headers['x-runway-version'] === '2024-11-06' ? undefined : 'X-Runway-Version';
	}

	fields(kind, v) {
		const table = MODELS[v.model]?.[kind];
		return table ? shape({ model: need(text()), ...table })(v) : [`model: ${v.model} has no ${kind}_to_video`];
	}

	task(c) {
		const job = this.jobs.get(c.args[1]);
		return job?.deleted ? undefined : job;
	}

	async ask(c) {
		const given = [c.body.promptImage ?? []].flat().map((v) => v.uri ?? v);
		const images = await Promise.all(given.map((v) => (v.startsWith('runway://')
			? { form: 'upload', ...this.uploads.get(v) } : this.image(v))));
		return this.submit(c, { prompt: c.body.promptText, body: c.body, path: c.path, images });
	}

	upload(c) {
		const id = this.new_id().replace(/-/g, '');
		this.uploads.set(`runway://${id}`, { policy: id });
		c.json(200, { uploadUrl: `${this.url}/bucket/${id}`, fields: { key: `in/${id}`, policy: id, 'x-amz-signature': 'sig' },
			runwayUri: `runway://${id}` });
	}

	uploaded(c) {
		const kept = this.uploads.get(`runway://${c.args[1]}`);
		const names = Object.keys(c.form);
		if (c.headers.authorization) this.complain(c, 'a key for the bucket');
		if (!kept || c.form.policy !== kept.policy || c.form.key === undefined || c.form['x-amz-signature'] !== 'sig'
			|| names.at(-1) !== 'file') {
			this.complain(c, `form ${names}`);
			return c.json(403, { error: 'policy' });
		}
		Object.assign(kept, { bytes: c.form.file.bytes, type: c.form.file.type });
		c.res.writeHead(204);
		return c.res.end();
	}

	credits(job) { return (job.body.duration ?? 5) * 5; }

	accepted(c, job) { c.json(200, { id: job.id, estimatedCost: { credits: this.credits(job) } }); }

	told(c, job, word) {
		const task = { id: job.id, createdAt: new Date(job.at).toISOString() };
		const cost = { cost: { credits: this.credits(job) } };
		switch (word) {
		case 'queued': return c.json(200, { ...task, status: job.polls % 2 ? 'PENDING' : 'THROTTLED' });
		case 'running': return c.json(200, { ...task, status: 'RUNNING', progress: 0.4 });
		case 'odd': return c.json(200, { ...task, status: 'REHEARSING' });
		case 'refused': return c.json(200, { ...task, status: 'FAILED', failure: 'secret vendor words',
			failureCode: 'SAFETY.INPUT.TEXT', ...cost });
		case 'failed': return c.json(200, { ...task, status: 'FAILED', failure: 'secret vendor words',
			failureCode: 'INTERNAL.BAD_OUTPUT.CODE01', cost: { credits: 0 } });
		case 'empty': return c.json(200, { ...task, status: 'SUCCEEDED', output: [], ...cost });
		case 'cancelled': return c.json(200, { ...task, status: 'CANCELLED', cost: { credits: 0 } });
		default: return c.json(200, { ...task, status: 'SUCCEEDED', output: [this.link(job)], ...cost });
		}
	}

	remove(c) {
		const job = this.task(c);
		if (!job) return this.no_such(c, 404);
		this.cancel(job);
		job.deleted = true;
		c.res.writeHead(204);
		return c.res.end();
	}

	// A deleted task is not a mistake to ask for.
	poll(c, job) {
		if (!job && this.jobs.get(c.args[1])?.deleted) {
			this.watch(c, this.jobs.get(c.args[1]).prompt);
			return this.no_such(c, 404);
		}
		return super.poll(c, job);
	}

	error(c, kind, script) {
		switch (kind) {
		case 'refused': return c.json(400, { error: 'secret vendor words: did not pass content moderation' });
		case 'invalid': return c.json(400, { error: 'secret vendor words: validation of body failed', issues: [] });
		case '429': return c.json(429, { error: 'You have exceeded your daily limit' },
			script.retry_after ? { 'retry-after': String(script.retry_after) } : {});
		case 'key': return c.json(401, { error: 'The API key is invalid' });
		case 'funds': return c.json(400, { error: 'You do not have enough credits to run this task.' });
		default: return c.json(Number(kind), { error: 'secret vendor words' });
		}
	}

	invalid(c, wrong) { c.json(400, { error: 'Validation of body failed', issues: wrong }); }
	no_such(c, status) { c.json(status, { error: status === 405 ? 'Method not allowed' : 'Not found' }); }
}
