// comfyui.mjs - ComfyUI's server: graphs, its queue and history, files by
// /view. It has no key; one in front of it may.
import { randomUUID } from 'node:crypto';
import { Fake } from '../kit.mjs';
import { any, bool, need, num, shape, text } from '../shape.mjs';

const INPUTS = { CLIPTextEncode: ['text', 'clip'], LoadImage: ['image'], KSampler: ['seed', 'steps'],
	VHS_VideoCombine: ['images', 'frame_rate', 'format'] };

export class ComfyUI extends Fake {
	name = 'comfyui';
	inputs = new Map();

	constructor() { super({ key: '' }); }

	get env() {
		return { REELD_PROVIDER_COMFYUI_BASE_URL: this.url, REELD_PROVIDER_COMFYUI_ALLOW_PRIVATE: 'yes' };
	}

	routes() {
		return [
			['POST', /^\/prompt$/, this.ask, { fields: shape({ prompt: need((v, path) => this.graph(v, path)), client_id: text(),
				extra_data: any, front: bool, number: num(), prompt_id: text() }) }],
			['GET', /^\/history\/([\w-]+)$/, this.history],
			['GET', /^\/history$/, this.all_history],
			['GET', /^\/queue$/, this.queue],
			['POST', /^\/queue$/, this.edit_queue, { fields: shape({ delete: any, clear: bool }) }],
			['POST', /^\/interrupt$/, this.interrupt, { type: null }],
			['POST', /^\/upload\/image$/, this.upload, { type: 'multipart/form-data' }],
			['GET', /^\/view$/, this.view],
		];
	}

	authorised(c) { return c.headers.origin === undefined ? undefined : 'a cross-origin browser'; }

	// The API format: numbered nodes with a class and inputs.
	graph(v, path) {
		return Object.entries(v).flatMap(([id, node]) => {
			const names = INPUTS[node?.class_type];
			if (!names) return [`${path}.${id}: no such class ${node?.class_type}`];
			return Object.entries(node.inputs ?? {}).flatMap(([name, value]) => {
				if (!names.includes(name)) return [`${path}.${id}.${name}: unknown input`];
				if (node.class_type === 'KSampler' && !Number.isInteger(value)) return [`${path}.${id}.${name}: no integer`];
				return [];
			});
		});
	}

	async ask(c) {
		const nodes = Object.values(c.body.prompt);
		const wanted = nodes.filter((n) => n.class_type === 'LoadImage').map((n) => n.inputs.image);
		const missing = wanted.filter((name) => !this.inputs.has(name));
		if (missing.length > 0) {
			this.complain(c, `Invalid image file: ${missing}`);
			return this.invalid(c, missing);
		}
		return this.submit(c, { prompt: nodes.find((n) => n.class_type === 'CLIPTextEncode')?.inputs.text, body: c.body,
			client: c.body.client_id, images: wanted.map((name) => ({ form: 'upload', ...this.inputs.get(name) })) });
	}

	accepted(c, job) { c.json(200, { prompt_id: job.id, number: this.next++, node_errors: {} }); }

	// A question is /history, then /queue: the second gives the word of the
	// first.
	async history(c) {
		const job = this.jobs.get(c.args[1]);
		if (!job) return c.json(200, {});
		return this.poll(c, job);
	}

	told(c, job, word) {
		job.word = word;
		if (['queued', 'running', 'odd'].includes(word)) return c.json(200, {});
		job.over = word;
		return c.json(200, { [job.id]: this.entry(job, word) });
	}

	entry(job, word) {
		const say = (name, data = {}) => [name, { prompt_id: job.id, ...data }];
		const end = { failed: say('execution_error', { exception_message: 'secret vendor words', node_type: 'KSampler' }),
			refused: say('execution_error', { exception_message: 'secret vendor words: NSFW content', node_type: 'SafetyChecker' }),
			cancelled: say('execution_interrupted', { node_type: 'KSampler' }) }[word] ?? say('execution_success');
		const ok = end[0] === 'execution_success';
		return { prompt: [1, job.id, job.body.prompt, { client_id: job.client }, ['9']],
			outputs: word === 'done' ? { 9: { images: [{ filename: 'p.png', subfolder: '', type: 'temp' }],
				gifs: [{ filename: `${job.id}_${++job.links}.mp4`, subfolder: 'reeld', type: 'output', format: 'video/h264-mp4' }] } } : {},
			status: { status_str: ok ? 'success' : 'error', completed: ok, messages: [say('execution_start'), end] } };
	}

	all_history(c) {
		c.json(200, Object.fromEntries([...this.jobs.values()].filter((j) => j.over).map((j) => [j.id, this.entry(j, j.over)])));
	}

	queue(c) {
		const open = [...this.jobs.values()].filter((j) => !j.over && !j.cancelled);
		const item = (j) => [1, j.id, j.body.prompt, { client_id: j.client }, ['9']];
		c.json(200, { queue_running: open.filter((j) => j.word === 'running').map(item),
			queue_pending: open.filter((j) => j.word !== 'running').map(item) });
	}

	edit_queue(c) {
		for (const id of c.body.delete ?? []) {
			const job = this.jobs.get(id);
			if (job && job.word !== 'running') this.remove(job);
		}
		c.res.writeHead(200);
		c.res.end();
	}

	// Out of the queue, and in no history.
	remove(job) {
		this.cancel(job);
		job.script = { ...job.script, gone: true };
	}

	poll(c, job) {
		if (!job.script.gone) return super.poll(c, job);
		this.watch(c, job.prompt);
		return c.json(200, {});
	}

	interrupt(c) {
		const running = [...this.jobs.values()].find((j) => j.word === 'running' && !j.over);
		if (running) this.cancel(running);
		c.res.writeHead(200);
		c.res.end();
	}

	async upload(c) {
		const { image, type, overwrite, subfolder = '' } = c.form;
		if (!image?.bytes || (type !== undefined && type !== 'input') || (overwrite !== undefined && !/^(true|1|false)$/.test(overwrite))) {
			this.complain(c, `form ${Object.keys(c.form)}`);
			return c.json(400, {});
		}
		const name = `${randomUUID().slice(0, 8)}-${image.name}`;
		this.inputs.set(name, { bytes: image.bytes, type: (await this.image(image)).type });
		return c.json(200, { name, subfolder, type: 'input' });
	}

	view(c) {
		const job = this.jobs.get(/^([\w-]{36})_\d+\.mp4$/.exec(c.query.get('filename'))?.[1]);
		if (!job || c.query.get('type') !== 'output' || c.query.get('subfolder') !== 'reeld') {
			this.complain(c, 'no such file');
			return this.no_such(c, 404);
		}
		(job.fetched ??= []).push(job.links);
		return this.file(c, job);
	}

	error(c, kind) {
		if (/^\d+$/.test(kind)) {
			c.res.writeHead(Number(kind), { 'content-type': 'text/plain' });
			return c.res.end('500 Internal Server Error\n\nServer got itself in trouble');
		}
		return this.invalid(c, ['secret vendor words']);
	}

	invalid(c, wrong) {
		c.json(400, { error: { type: 'prompt_outputs_failed_validation', message: 'Prompt outputs failed validation',
			details: wrong.join('; '), extra_info: {} }, node_errors: {} });
	}

	no_such(c, status) {
		c.res.writeHead(status, { 'content-type': 'text/plain' });
		c.res.end(`${status}: ${status === 405 ? 'Method Not Allowed' : 'Not Found'}`);
	}
}
