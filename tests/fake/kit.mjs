// kit.mjs - what the fake vendors share: an HTTP server with strict routes,
// scripts, counts of what would be billed, and result files that misbehave.
//
// A vendor is a subclass in vendors/. It has a table of routes and its own
// words; what a request meets is scripted by its prompt:
//
//   fake.script('a boat', { submit: ['429', 'ok'], polls: ['queued', '500'], end: 'refused' });
//
//   submit   ok | lost (accepted, then hangs up) | gone (hangs up, accepts
//            nothing) | refused | invalid | 404 | 429 | 500 | 503 | funds |
//            key | html | truncated | huge | no-id; a list plays one per
//            submit, the last one for the rest
//   polls    one word per question: queued, running, odd (a status nobody
//            knows), 429, 500, html, truncated, huge, cut. Default: queued,
//            running
//   end      for all questions after that: done | refused | failed | empty
//            (done, but no video) | cancelled | running. Default: done
//   video    ok | cut | 403 (or another 4xx) | html | 5gb | private | slow; a
//            list plays one per download
//   hold     queued, running, submit, ...: that answer waits for release()
//
// What is asked for in a way the vendor would not take is answered as the
// vendor does and kept in `wrong`: a test ends with an empty one. `on_answer`
// is called with the prompt when an answer about a job has been sent.
import { execFileSync } from 'node:child_process';
import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const GB = 1024 ** 3;

function draw(source) {
	const file = join(tmpdir(), `reeld-fake-${randomUUID()}.mp4`);
	execFileSync('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', source, '-c:v', 'libx264', '-preset',
		'ultrafast', '-pix_fmt', 'yuv420p', '-movflags', '+faststart', file]);
	const bytes = readFileSync(file);
	rmSync(file);
	return bytes;
}
let sample, small;
export function mp4() {
	sample ??= draw('testsrc=size=320x180:rate=12:duration=2');
	return sample;
}
// As little work as a video can be.
export function tiny() {
	small ??= draw('testsrc=size=64x64:rate=5:duration=1');
	return small;
}

// About 50 MB of valid JSON around doc, made while it is sent.
export async function send_huge(res, doc) {
	const piece = `"${'x'.repeat(1 << 20)}",`;
	res.on('error', () => {});
	res.write(`${JSON.stringify(doc).slice(0, -1)},"filler":[`);
	for (let i = 0; i < 50 && !res.destroyed; i++) {
		if (!res.write(piece)) {
			await new Promise((go) => { res.once('drain', go); res.once('close', go); });
		}
	}
	res.end('""]}');
}

export const image_kind = (bytes) => {
	const head = bytes.toString('latin1', 0, 12);
	return head.startsWith('\x89PNG\r\n\x1a\n') ? 'image/png' : head.startsWith('\xff\xd8\xff') ? 'image/jpeg'
		: /^RIFF....WEBP/s.test(head) ? 'image/webp' : null;
};

// A request: method, path, query, headers, raw, body (JSON), form, args (of
// the path) and how to answer it.
class Call {
	constructor(req, res, raw) {
		Object.assign(this, { req, res, raw, method: req.method, headers: req.headers });
		const url = new URL(req.url, 'http://x');
		this.path = decodeURIComponent(url.pathname);
		this.query = url.searchParams;
	}

	json(status, doc, headers = {}) {
		this.res.writeHead(status, { 'content-type': 'application/json', ...headers });
		this.res.end(JSON.stringify(doc));
	}

	cut() { this.req.socket.destroy(); }
	get type() { return (this.headers['content-type'] ?? '').split(';')[0].trim(); }
	get bearer() { return /^Bearer (.+)$/.exec(this.headers.authorization ?? '')?.[1]; }
}

export class Fake {
	// Subclasses: name (of the settings), key, routes(), and the words
	// accepted(), told(), error(), invalid(), no_such().
	constructor({ key } = {}) {
		this.key = key ?? `sk-${randomBytes(12).toString('hex')}`;
		this.scripts = new Map();
		this.jobs = new Map(); // by the vendor's id
		this.submits = {}; // by prompt: how often the paid request came
		this.paid = {}; // ... and was accepted
		this.arrivals = {}; // ... when
		this.cancels = {};
		this.downloads = {};
		this.wrong = [];
		this.trapped = 0; // connections that a redirect lured elsewhere
		this.holds = new Map();
		this.hooks = [];
		this.next = 1000;
	}

	get env() {
		const at = `REELD_PROVIDER_${this.name.toUpperCase()}`;
		return { [`${at}_KEY`]: this.key, [`${at}_BASE_URL`]: this.base, [`${at}_ALLOW_PRIVATE`]: 'yes' };
	}

	get base() { return this.url; }

	async start() {
		this.server = http.createServer((req, res) => {
			this.serve(req, res).catch((e) => {
				this.wrong.push(`${req.method} ${req.url}: ${e.stack}`);
				req.socket.destroy();
			});
		});
		this.trap = net.createServer((socket) => {
			this.trapped++;
			socket.destroy();
		});
		for (const server of [this.server, this.trap]) {
			await new Promise((ok) => server.listen(0, '127.0.0.1', ok));
		}
		this.url = `http://127.0.0.1:${this.server.address().port}`;
		this.table = this.routes();
		return this;
	}

	async stop() {
		for (const name of [...this.holds.keys()]) this.release(name);
		this.server.closeAllConnections();
		await Promise.all([this.server, this.trap].map((s) => new Promise((ok) => s.close(ok))));
	}

	script(prompt, script) { this.scripts.set(prompt, script); }
	scripted(prompt) { return this.scripts.get(prompt) ?? {}; }
	of(prompt) { return [...this.jobs.values()].filter((j) => j.prompt === prompt); }
	count(what, prompt) { what[prompt] = (what[prompt] ?? 0) + 1; return what[prompt]; }
	pick(value, n) { return Array.isArray(value) ? value[Math.min(n, value.length - 1)] : value; }
	new_id() { return randomUUID(); }

	// An answer that waits: hold() before, held() tells that it is reached.
	hold(name) {
		const held = {};
		held.gate = new Promise((ok) => { held.open = ok; });
		held.reached = new Promise((ok) => { held.reach = ok; });
		this.holds.set(name, held);
	}

	held(name) { return this.holds.get(name).reached; }
	release(name) {
		this.holds.get(name)?.open();
		this.holds.delete(name);
	}

	async pass(prompt, word) {
		const held = this.scripted(prompt).hold === word ? this.holds.get(prompt) : null;
		if (held == null) return;
		held.reach();
		await held.gate;
	}

	/* --- Requests ----------------------------------------------------- */

	complain(c, what) { this.wrong.push(`${this.name}: ${c.method} ${c.path}: ${what}`); }

	async serve(req, res) {
		const parts = [];
		try {
			for await (const p of req) parts.push(p);
		} catch {
			return undefined; // they hung up
		}
		const c = new Call(req, res, Buffer.concat(parts));
		const file = c.path.match(/^\/files\/([^/]+)\/(\d+)\.mp4$/);
		if (file) return this.public_file(c, this.jobs.get(file[1]), Number(file[2]));
		const here = this.table.map((row) => [row, row[1].exec(c.path)]).filter(([, m]) => m);
		const hit = here.find(([row]) => row[0] === c.method);
		if (!hit) {
			this.complain(c, here.length > 0 ? 'wrong method' : 'unknown path');
			return this.no_such(c, here.length > 0 ? 405 : 404);
		}
		const [[, , handler, { auth = true, type = 'application/json', fields } = {}], args] = hit;
		c.args = args;
		if (auth) {
			const bad = this.authorised(c);
			if (bad) {
				this.complain(c, bad);
				return this.error(c, 'key', {});
			}
		}
		const wrong = await this.read_body(c, type, fields);
		if (wrong.length > 0) {
			for (const w of wrong) this.complain(c, w);
			return this.invalid(c, wrong);
		}
		return handler.call(this, c);
	}

	// undefined, or what is wrong with the credentials.
	authorised(c) { return c.bearer === this.key ? undefined : 'no such key'; }

	async read_body(c, type, fields) {
		if (c.method === 'GET' || c.method === 'DELETE') return c.raw.length > 0 ? ['a body'] : [];
		if (c.type === 'multipart/form-data' && String(type).includes('multipart')) {
			const form = await new Response(c.raw, { headers: { 'content-type': c.headers['content-type'] } }).formData();
			c.form = {};
			for (const [name, value] of form) {
				c.form[name] = typeof value === 'string' ? value : { type: value.type, name: value.name,
					bytes: Buffer.from(await value.arrayBuffer()) };
			}
			return fields?.form ? fields.form(c.form) : [];
		}
		if (type === null) return [];
		if (!String(type).includes(c.type) || c.type === '') {
			return c.raw.length === 0 && !fields ? [] : [`content type "${c.type}"`];
		}
		if (c.type !== 'application/json') return [];
		try {
			c.body = JSON.parse(c.raw);
		} catch {
			return ['no JSON'];
		}
		const check = fields?.json ?? (typeof fields === 'function' ? fields : null);
		return check ? check(c.body, '', c) : [];
	}

	// What an image field brought: {form, type, bytes}.
	async image(value) {
		if (value?.bytes) return { form: 'multipart', type: image_kind(value.bytes), bytes: value.bytes };
		const data = /^data:([^;]+);base64,(.*)$/.exec(value);
		if (data) return this.decoded('data_uri', data[2]);
		if (/^https?:/.test(value)) {
			const bytes = Buffer.from(await (await fetch(value, { redirect: 'error' })).arrayBuffer());
			return { form: 'url', type: image_kind(bytes), bytes, url: value };
		}
		return this.decoded('base64', value);
	}

	decoded(form, data) {
		const bytes = Buffer.from(data, 'base64');
		return { form, type: image_kind(bytes), bytes };
	}

	/* --- The life of a job -------------------------------------------- */

	// A paid request that the vendor understands. order: {prompt, images,
	// hook, ...}, kept with the job.
	async submit(c, order) {
		const script = this.scripted(order.prompt);
		const n = this.count(this.submits, order.prompt);
		const how = this.pick(script.submit ?? 'ok', n - 1);
		let job;
		(this.arrivals[order.prompt] ??= []).push(performance.now());
		if (['ok', 'lost', 'truncated', 'huge', 'html', 'no-id'].includes(how)) {
			this.count(this.paid, order.prompt);
			job = { id: this.new_id(), polls: 0, links: 0, script, at: Date.now(), ...order };
			this.jobs.set(job.id, job);
		}
		await this.pass(order.prompt, 'submit');
		if (how === 'lost' || how === 'gone') return c.cut();
		this.watch(c, order.prompt);
		if (how === 'ok') return this.accepted(c, job);
		return this.odd_answer(c, how, job) ?? this.error(c, how, script);
	}

	watch(c, prompt) {
		c.res.once('close', () => this.on_answer?.(prompt));
	}

	// A question about a job; undefined for one that is not known.
	async poll(c, job) {
		if (!job) {
			this.complain(c, 'unknown job');
			return this.no_such(c, 404);
		}
		const words = job.script.polls ?? ['queued', 'running'];
		const word = job.cancelled ? 'cancelled' : words[job.polls] ?? job.script.end ?? 'done';
		// What it says for good needs no hurry.
		if (job.polls < words.length + 1 && word !== words[job.polls - 1]) this.watch(c, job.prompt);
		job.polls++;
		await this.pass(job.prompt, word);
		return this.odd_answer(c, word, job) ?? (/^\d|^(funds|key)$/.test(word)
			? this.error(c, word, job.script) : this.told(c, job, word));
	}

	// Answers that are no vendor's; undefined for all others.
	odd_answer(c, how, job) {
		const { res } = c;
		switch (how) {
		case 'cut': c.cut(); return true;
		case 'html': res.writeHead(200, { 'content-type': 'text/html' });
			res.end('<!doctype html><title>Just a moment...</title>');
			return true;
		case 'truncated': res.writeHead(200, { 'content-type': 'application/json' });
			res.end(`{"id": "${job.id}", "status": "proc`);
			return true;
		case 'huge': res.writeHead(200, { 'content-type': 'application/json' });
			send_huge(res, { id: job.id });
			return true;
		case 'no-id': c.json(200, {}); return true;
		default: return undefined;
		}
	}

	cancel(job) {
		this.count(this.cancels, job.prompt);
		job.cancelled = true;
	}

	// Each telling gives a link of its own.
	link(job) { return `${this.url}/files/${job.id}/${++job.links}.mp4`; }

	/* --- Files -------------------------------------------------------- */

	public_file(c, job, n) {
		const secret = ['authorization', 'x-goog-api-key', 'cookie'].find((h) => c.headers[h]);
		if (secret) this.complain(c, `${secret} for a public file`);
		if (!job) return this.no_such(c, 404);
		(job.fetched ??= []).push(n);
		return this.file(c, job);
	}

	file(c, job) {
		const { res } = c;
		const n = this.count(this.downloads, job.prompt);
		const how = this.pick(job.script.video ?? 'ok', n - 1);
		const bytes = job.script.bytes ?? mp4();
		if (/^4\d\d$/.test(how)) {
			res.writeHead(Number(how), { 'content-type': 'application/xml' });
			return res.end('<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>');
		}
		if (how === 'html') {
			res.writeHead(200, { 'content-type': 'text/html' });
			return res.end('<!doctype html><p>sign in');
		}
		if (how === 'private') {
			res.writeHead(302, { location: `http://127.0.0.1:${this.trap.address().port}/latest/meta-data` });
			return res.end();
		}
		const head = { 'content-type': 'video/mp4', 'accept-ranges': 'bytes', etag: '"v1"' };
		if (how === '5gb') {
			res.writeHead(200, { ...head, 'content-length': 5 * GB });
			return res.write(bytes);
		}
		const range = c.headers.range?.match(/^bytes=(\d+)-$/);
		const from = range ? Number(range[1]) : 0;
		if (range) job.resumed = (job.resumed ?? 0) + 1;
		res.writeHead(range ? 206 : 200, { ...head, 'content-length': bytes.length - from,
			...(range ? { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {}) });
		if (how === 'cut') {
			return res.write(bytes.subarray(from, from + (bytes.length - from >> 1)), () => res.socket.destroy());
		}
		if (how === 'slow') return this.drip(res, bytes, from);
		return res.end(bytes.subarray(from));
	}

	async drip(res, bytes, from) {
		for (let i = from; i < bytes.length && !res.destroyed; i += 4096) {
			res.write(bytes.subarray(i, i + 4096));
			await new Promise((go) => { setTimeout(go, 20); });
		}
		res.end();
	}

	/* --- Webhooks ----------------------------------------------------- */

	// Posts body to the job's callback; how: {url, headers, body}. The status.
	async send_hook(job, how = {}) {
		const body = how.body ?? JSON.stringify(this.hook_body(job));
		const reply = await fetch(how.url ?? job.hook, { method: 'POST', body,
			headers: { 'content-type': 'application/json', ...(how.headers ?? this.hook_headers(body, how)) } });
		this.hooks.push({ prompt: job.prompt, status: reply.status });
		await reply.arrayBuffer();
		return reply.status;
	}

	hook_headers() { return {}; }
}

// Standard Webhooks: webhook-id, webhook-timestamp, webhook-signature.
export const whsec = () => `whsec_${randomBytes(24).toString('base64')}`;
export function standard_webhook(secret, body, { at = Math.floor(Date.now() / 1000), id = `msg_${randomUUID()}` } = {}) {
	const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
	const mac = createHmac('sha256', key).update(`${id}.${at}.${body}`).digest('base64');
	return { 'webhook-id': id, 'webhook-timestamp': String(at), 'webhook-signature': `v1,${mac}` };
}
