// A fake fal.ai queue that plays scripts. What a request meets is chosen by
// its prompt: plan(prompt, {...}) before it is submitted; '*' is for all others.
//   submit   ok | cut (accepts, then hangs up) | cut-before (hangs up without
//            accepting) | cut-body (hangs up in its answer) | hang | 429 | 503 |
//            503-later | 500 | 502 | 422 | refused | html | no-id | vast (50 MB)
//            A list plays one per submit, the last one for the rest.
//   polls    how many times it says it is still running (default 1)
//   result   ok | failed | refused | html
//   words    what its errors say; units: how much it says it billed
//   video    ok | drip | stall | cut | html | 403 | short | loop (redirects to
//            itself) | inward (redirects to 169.254.169.254) | vast (says it has
//            a terabyte); a list plays one per download
//   hook     true: sends the webhook when done; 2: twice; 'now': as soon as the
//            submit is answered
// Webhooks are signed (Ed25519); the key stands at /.well-known/jwks.json,
// rotate() takes another one, keys = false serves none.
//   bytes    the file (default: a small MP4 made by ffmpeg); tiny: true for
//            the smallest one
// barrier(name) holds the answers at "submit", "poll", "result", "video" until
// release(name). Over HTTP: POST /control/plan {prompt, ...plan},
// POST /control/barrier/<name>, POST /control/release/<name>,
// GET /control/stats.
import { createHash, generateKeyPairSync, randomUUID, sign }
	from 'node:crypto';
import http from 'node:http';
import { mp4, send_huge, tiny } from './kit.mjs';

export { mp4, tiny };

const body_of = async (req) => {
	const parts = [];
	for await (const p of req) parts.push(p);
	return Buffer.concat(parts);
};

export class FakeFal {
	constructor() {
		this.plans = new Map();
		this.jobs = new Map();
		this.held = new Map();
		this.waiting = new Map();
		// Counted per prompt: what reached us, what we accepted (and bill).
		this.submits = {};
		this.accepted = {};
		this.cancels = {};
		this.downloads = {};
		this.links = {};
		this.hooks = [];
		this.active = this.peak = 0; // accepted, result not yet asked for
		this.arrivals = []; // of submits
		this.key_gets = 0;
		this.keys = true;
		this.rotate();
	}

	// The accepted job of a prompt, undefined before.
	of(prompt) {
		return [...this.jobs.values()].find((j) => j.prompt === prompt);
	}

	rotate() { this.key = generateKeyPairSync('ed25519'); }

	// Headers that sign a webhook's body as fal does.
	signature(body, { at = Math.floor(Date.now() / 1000),
		key = this.key } = {}) {
		const [id, user] = [randomUUID(), 'user-1'];
		const digest = createHash('sha256').update(body).digest('hex');
		return { 'x-fal-webhook-request-id': id,
			'x-fal-webhook-user-id': user,
			'x-fal-webhook-timestamp': String(at),
			'x-fal-webhook-signature': sign(null,
				Buffer.from(`${id}\n${user}\n${at}\n${digest}`),
				key.privateKey).toString('hex') };
	}

	async start(port = 0) {
		this.server = http.createServer((req, res) => {
			this.serve(req, res).catch((e) => {
				if (!res.headersSent) res.writeHead(500);
				res.end(String(e));
			});
		});
		await new Promise((r) => this.server.listen(port, '127.0.0.1', r));
		this.url = `http://127.0.0.1:${this.server.address().port}`;
		return this;
	}

	async stop() {
		for (const name of [...this.held.keys()]) this.release(name);
		this.server.closeAllConnections();
		await new Promise((r) => this.server.close(r));
	}

	plan(prompt, plan) { this.plans.set(prompt, plan); }

	barrier(name) {
		let open;
		const gate = new Promise((r) => { open = r; });
		this.held.set(name, { gate, open });
	}

	release(name) {
		this.held.get(name)?.open();
		this.held.delete(name);
	}

	// Resolves when a request stands at the barrier.
	reached(name) {
		return new Promise((r) => this.waiting.set(name, r));
	}

	async pass(name) {
		const held = this.held.get(name);
		if (!held) return;
		this.waiting.get(name)?.();
		await held.gate;
	}

	pick(value, n) {
		return Array.isArray(value) ? value[Math.min(n, value.length - 1)]
			: value;
	}

	stats() {
		const { submits, accepted, cancels, downloads, links } = this;
		return { submits, accepted, cancels, downloads, links };
	}

	json(res, status, value, headers = {}) {
		res.writeHead(status, { 'content-type': 'application/json',
			...headers });
		res.end(JSON.stringify(value));
	}

	async control(req, res, what) {
		const [verb, name] = what.split('/');
		if (verb === 'stats') return this.json(res, 200, this.stats());
		if (verb === 'plan') {
			const { prompt, ...plan } = JSON.parse(await body_of(req));
			this.plan(prompt, plan);
		} else if (verb === 'barrier') this.barrier(name);
		else if (verb === 'release') this.release(name);
		return this.json(res, 200, {});
	}

	async serve(req, res) {
		const url = new URL(req.url, this.url);
		const path = url.pathname;
		if (path.startsWith('/control/')) {
			return this.control(req, res, path.slice(9));
		}
		if (path === '/.well-known/jwks.json') {
			this.key_gets++;
			const { x } = this.key.publicKey.export({ format: 'jwk' });
			return this.keys ? this.json(res, 200, { keys: [{ kty: 'OKP',
				crv: 'Ed25519', use: 'sig', kid: 'k', x }] })
				: this.json(res, 503, {});
		}
		const file = path.match(/^\/files\/([^/]+)\/(\d+)\.mp4$/);
		if (file) return this.video(req, res, file[1], Number(file[2]));
		if (!/^Key /.test(req.headers.authorization ?? '')) {
			return this.json(res, 401, { detail: 'no key' });
		}
		const m = path.match(/\/requests\/([^/]+)(\/status|\/cancel)?$/);
		if (!m) return this.submit(req, res, url);
		const job = this.jobs.get(m[1]);
		if (!job) return this.json(res, 404, { detail: 'not found' });
		if (m[2] === '/status') return this.status(res, job);
		if (m[2] === '/cancel') {
			this.cancels[job.prompt] = (this.cancels[job.prompt] ?? 0) + 1;
			job.cancelled = true;
			return this.json(res, 202, { status: 'CANCELLATION_REQUESTED' });
		}
		return this.result(res, job);
	}

	async submit(req, res, url) {
		const input = JSON.parse(await body_of(req));
		const { prompt } = input;
		const plan = this.plans.get(prompt) ?? this.plans.get('*') ?? {};
		const n = this.submits[prompt] = (this.submits[prompt] ?? 0) + 1;
		const how = this.pick(plan.submit ?? 'ok', n - 1);
		const id = randomUUID();
		const base = `${this.url}${url.pathname.split('/').slice(0, 3)
			.join('/')}/requests/${id}`;
		if (['ok', 'cut', 'cut-body', 'hang', 'vast'].includes(how)) {
			this.accepted[prompt] = (this.accepted[prompt] ?? 0) + 1;
			this.arrivals.push(performance.now());
			this.peak = Math.max(this.peak, ++this.active);
			this.jobs.set(id, { id, prompt, plan, polls: 0, input,
				hook: url.searchParams.get('fal_webhook') });
			if (plan.orphan_hook) this.send_hook(this.jobs.get(id), 1);
		}
		if (plan.hook === 'now') {
			const job = this.jobs.get(id);
			res.once('finish', () => this.send_hook(job, 1));
		}
		await this.pass('submit');
		const bad = (type, status = 422) => this.json(res, status,
			{ detail: [{ loc: ['body'], msg: plan.words ?? type, type }] });
		switch (how) {
		case 'cut': case 'cut-before': return req.socket.destroy();
		case 'hang': return undefined;
		case '429': return this.json(res, 429, { detail: 'slow down' },
			{ 'retry-after': String(plan.retry_after ?? 1) });
		case '503-later': return this.json(res, 503, { detail: 'later' },
			{ 'retry-after': String(plan.retry_after ?? 1) });
		case '503': return this.json(res, 503, { detail: 'down' });
		case 'cut-body': res.writeHead(200, { 'content-type':
			'application/json', 'content-length': 500 });
			return res.write('{"status": "IN_QU', () => req.socket.destroy());
		case 'vast': res.writeHead(200, { 'content-type': 'application/json' });
			return send_huge(res, { status: 'IN_QUEUE' });
		case '502': return this.json(res, 502, { detail: 'bad gateway' });
		case '500': return this.json(res, 500, { detail: 'broken' });
		case '422': return bad('value_error');
		case 'refused': return bad('content_policy_violation');
		case 'html': res.writeHead(200, { 'content-type': 'text/html' });
			return res.end('<html>hello</html>');
		case 'no-id': return this.json(res, 200, { status: 'IN_QUEUE' });
		default: return this.json(res, 200, { status: 'IN_QUEUE',
			request_id: id, response_url: base, status_url: `${base}/status`,
			cancel_url: `${base}/cancel`, queue_position: 1 });
		}
	}

	async status(res, job) {
		await this.pass('poll');
		job.polls++;
		const word = job.plan.word;
		if (job.cancelled) {
			return this.json(res, 200, { status: 'COMPLETED',
				error: 'cancelled' });
		}
		if (word && job.polls === 1) {
			return this.json(res, 200, { status: word });
		}
		if (job.polls <= (job.plan.polls ?? 1)) {
			return this.json(res, 202, job.polls === 1
				? { status: 'IN_QUEUE', queue_position: 3 }
				: { status: 'IN_PROGRESS', logs: null });
		}
		if (job.plan.hook && job.plan.hook !== 'now' && !job.hooked) {
			job.hooked = true;
			this.send_hook(job, Number(job.plan.hook));
		}
		return this.json(res, 200, { status: 'COMPLETED', metrics: {} });
	}

	async result(res, job) {
		if (!job.asked) this.active--;
		job.asked = true;
		await this.pass('result');
		if (job.cancelled) {
			return this.json(res, 499, { detail: 'cancelled',
				error_type: 'client_cancelled' });
		}
		switch (job.plan.result ?? 'ok') {
		case 'failed': return this.json(res, 500, { detail: job.plan.words ?? 'it broke',
			error_type: 'internal_server_error' });
		case 'refused': return this.json(res, 422, { detail: [{ msg: job.plan.words ?? 'no',
			type: 'content_policy_violation' }] });
		case 'html': res.writeHead(200, { 'content-type': 'text/html' });
			return res.end('<html></html>');
		default: break;
		}
		const n = this.links[job.prompt] = (this.links[job.prompt] ?? 0) + 1;
		return this.json(res, 200, { video: { url:
			`${this.url}/files/${job.id}/${n}.mp4`,
			content_type: 'video/mp4' }, seed: 7 }, job.plan.units === undefined
			? {} : { 'x-fal-billable-units': String(job.plan.units) });
	}

	async video(req, res, id) {
		const job = this.jobs.get(id);
		const n = this.downloads[job.prompt]
			= (this.downloads[job.prompt] ?? 0) + 1;
		const how = this.pick(job.plan.video ?? 'ok', n - 1);
		const bytes = job.plan.bytes ?? (job.plan.tiny ? tiny() : mp4());
		await this.pass('video');
		if (how === '403' || how === '404') {
			res.writeHead(Number(how));
			return res.end();
		}
		if (how === 'loop' || how === 'inward') {
			res.writeHead(302, { location: how === 'loop' ? req.url
				: 'http://169.254.169.254/latest/meta-data/' });
			return res.end();
		}
		if (how === 'vast') {
			res.writeHead(200, { 'content-type': 'video/mp4',
				'content-length': 1e12 });
			return res.write(bytes);
		}
		if (how === 'html') {
			res.writeHead(200, { 'content-type': 'text/html' });
			return res.end('<!doctype html><p>sign in');
		}
		const range = req.headers.range?.match(/^bytes=(\d+)-$/);
		const from = range ? Number(range[1]) : 0;
		res.writeHead(range ? 206 : 200, { 'content-type': 'video/mp4',
			'accept-ranges': 'bytes', etag: '"v1"',
			'content-length': bytes.length - from,
			...(range ? { 'content-range':
				`bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {}) });
		const half = from + Math.floor((bytes.length - from) / 2);
		if (how === 'cut' || how === 'stall') {
			res.write(bytes.subarray(from, half), () => {
				if (how === 'cut') res.socket.destroy();
			});
			return undefined;
		}
		if (how === 'drip') {
			for (let i = from; i < bytes.length; i += 4096) {
				res.write(bytes.subarray(i, i + 4096));
				await new Promise((r) => { setTimeout(r, 5); });
			}
			return res.end();
		}
		return res.end(bytes.subarray(from));
	}

	// What fal says about a job; how: see signature(), or headers.
	async send_hook(job, times, how = {}) {
		if (!job.hook) return;
		for (let i = 0; i < times; i++) {
			const body = how.body ?? JSON.stringify({ request_id: job.id,
				gateway_request_id: job.id, ...(how.error
					? { status: 'ERROR', error: 'Invalid status code: 422' }
					: { status: 'OK', payload: { video: { url:
						`${this.url}/files/${job.id}/1.mp4` } } }) });
			const reply = await fetch(how.url ?? job.hook, { method: 'POST',
				headers: { 'content-type': 'application/json',
					...(how.headers ?? this.signature(body, how)) }, body })
				.catch((e) => ({ status: String(e) }));
			this.hooks.push({ prompt: job.prompt, status: reply.status });
		}
	}
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
	const fal = await new FakeFal().start(Number(process.argv[2] ?? 0));
	console.log(fal.url);
}
