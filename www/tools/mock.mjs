// mock.mjs - a stand-in for the daemon while working on the pages: the API's
// shapes with jobs that move, all in memory.  A development tool only.
//
//   npm run mock                 serves dist/ too, on PORT (8090)
//   REELD_URL=http://127.0.0.1:8090 npm run dev
//
// Sign in at /login/link?token=demo (role: admin), or MOCK_OPEN=1 to be signed in.
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { WebSocketServer } from 'ws';

const port = Number(process.env.PORT ?? 8090);
const speed = Number(process.env.MOCK_SPEED ?? 1);
const dist = path.resolve(import.meta.dirname, '../dist');
const csp = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
	+ "connect-src 'self'; font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; require-trusted-types-for 'script'";

const temp = mkdtempSync(path.join(os.tmpdir(), 'reeld-mock-'));
process.on('exit', () => rmSync(temp, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));

const looks = ['gradients=s=1280x720:c0=0x1d2b64:c1=0xf8cdda:x0=0:y0=0:x1=1280:y1=720',
	'gradients=s=1280x720:c0=0x0f2027:c1=0x6dd5ed', 'gradients=s=720x1280:c0=0x42275a:c1=0xf7b267', 'testsrc2=s=1280x720'];
looks.forEach((look, i) => {
	execFileSync('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', `${look}:r=24:d=3`, '-c:v', 'libx264', '-pix_fmt', 'yuv420p', '-movflags', '+faststart', `${temp}/${i}.mp4`]);
	execFileSync('ffmpeg', ['-v', 'error', '-i', `${temp}/${i}.mp4`, '-frames:v', '1', '-vf', 'scale=480:-2', `${temp}/${i}.jpg`]);
});

const model = (slug, name, description, more = {}) => ({
	slug, name, description, provider: 'worker', category: 'demo', tags: ['text-to-video'], modes: ['t2v'],
	capabilities: { durations: [3, 5, 8], resolutions: ['480p', '720p', '1080p'], aspect_ratios: ['16:9', '9:16', '1:1'], audio: 'none',
		seed: true, negative_prompt: false, max_prompt: 4000, start_image: false, end_image: false, fps: [24], defaults: { duration: 5, resolution: '720p', aspect_ratio: '16:9' } },
	premium: false, default: false, deprecated: false, experimental: false, available: true, unavailable_reason: null, from_credits: 6, stats: null, ...more });
const models = [
	model('demo-sunset', 'Demo Sunset', 'A drawn sunset over hills, with your prompt as its title; sound is optional', { default: true, stats: { average_s: 14 } }),
	model('demo-ocean', 'Demo Ocean', 'Drawn waves that roll with the seed'),
	model('demo-orbit', 'Demo Orbit', 'Planets around a drawn sun, or around your start image', { modes: ['t2v', 'i2v'] }),
	model('demo-canvas', 'Demo Canvas', 'Your start image, brought to life with a slow camera move', { modes: ['i2v'] }),
	model('demo-fails', 'Demo Fails', 'Always fails: shows how an error looks and that the credits come back', { experimental: true }),
	model('demo-slow', 'Demo Slow', 'Takes about a minute: shows progress, the queue and cancelling'),
	model('kling-2.5-turbo-pro', 'Kling 2.5 Turbo Pro', 'Image to video with strong motion', { provider: 'fal', available: false, unavailable_reason: 'No key for fal.ai is set on this server.', premium: true, from_credits: 53 }),
];
Object.assign(models[0].capabilities, { audio: 'optional', fps: [24, 30] });
models[0].capabilities = { ...models[0].capabilities, durations: [3, 4, 5, 6, 7, 8] };
models[2].capabilities = { ...models[2].capabilities, start_image: true, negative_prompt: true };
models[3].capabilities = { ...models[3].capabilities, start_image: 'required', end_image: 'optional' };

const user = { id: randomUUID(), email: 'ada@example.org', name: 'Ada Lovelace', role: 'admin' };
let balance = 480, ledgerSeq = 0;
const ledger = [], all = new Map(), keys = [], sockets = new Set(), stored = new Map();
const move = (type, amount, generation = null, note = null) => {
	balance += amount;
	const e = { id: ++ledgerSeq, type, amount, balance_after: balance, note, created_at: new Date().toISOString(), generation_id: generation?.id ?? null };
	ledger.unshift(e);
	generation?.entries.push(e);
	send('credits.balance', `user:${user.id}`, ledgerSeq, { balance });
};

const view = g => {
	const { events, entries, timers, look, ...rest } = g;
	const over = ['completed', 'failed', 'cancelled'].includes(g.status);
	return { ...rest, can: { cancel: !over && g.status !== 'cancelling' && g.status !== 'finalizing', retry: g.status === 'failed' || g.status === 'cancelled', delete: over, download: g.status === 'completed' } };
};
function send(type, topic, version, data) {
	const text = JSON.stringify({ type: 'batch', events: [{ type, topic, version, ts: Date.now(), data }] });
	for (const s of sockets) s.send(text);
}
function change(g, type, values) {
	Object.assign(g, values);
	g.version++;
	const { can, charge, spec, prompt, ...data } = view(g);
	if (type !== 'progress') g.events.push({ seq: g.events.length + 1, type: `generation.${type}`, version: g.version, data: { status: g.status, stage: g.stage }, created_at: new Date().toISOString() });
	send(`generation.${type}`, `user:${user.id}`, g.version, data);
}
const at = (g, s, fn) => g.timers.push(setTimeout(fn, s * 1000 / speed));
function end(g, status, more = {}) {
	g.timers.forEach(clearTimeout);
	if (status !== 'completed') {
		g.charge = { ...g.charge, state: 'refunded', refunded: g.credits };
		move('video_refund', g.credits, g);
	} else g.charge = { ...g.charge, state: 'settled', settled: g.credits };
	change(g, status, { status, stage: null, queue: null, completed_at: new Date().toISOString(), ...more });
}
function run(g) {
	const slow = g.model === 'demo-slow' ? 60 : 8;
	at(g, .4, () => change(g, 'queued', { status: 'queued', queue: { position: 2, provider_position: null, eta_low_s: 10, eta_high_s: 25 } }));
	at(g, 1.6, () => change(g, 'processing', { status: 'processing', stage: 'submit', queue: null, started_at: new Date().toISOString() }));
	at(g, 2, () => change(g, 'stage', { stage: 'generate', progress: 0, progress_basis: g.model === 'demo-ocean' ? 'none' : g.model === 'demo-orbit' ? 'estimated' : 'real' }));
	for (let i = 1; i <= 20; i++) at(g, 2 + slow * i / 20, () => change(g, 'progress', { progress: i * 5 }));
	if (g.model === 'demo-fails') {
		at(g, 5, () => end(g, 'failed', { error: { class: 'provider', code: 'content_refused', message: 'The model refused this prompt.', retryable: true } }));
		return;
	}
	at(g, 2.2 + slow, () => change(g, 'finalizing', { status: 'finalizing', stage: 'download' }));
	at(g, 2.8 + slow, () => change(g, 'stage', { stage: 'store' }));
	at(g, 3.2 + slow, () => end(g, 'completed', done(g)));
}
const done = g => ({ progress: 100, video_url: `/api/v1/generations/${g.id}/content?variant=video`, thumbnail_url: `/api/v1/generations/${g.id}/content?variant=thumbnail`,
	video: { width: g.look === 2 ? 720 : 1280, height: g.look === 2 ? 1280 : 720, duration_s: 3, fps: 24, size_bytes: statSync(`${temp}/${g.look}.mp4`).size, has_audio: false, codec: 'h264' } });
function make(b, past) {
	const m = models.find(one => one.slug === b.model), price = quote(b);
	const g = {
		id: randomUUID(), status: 'pending', stage: null, progress: null, progress_basis: 'none', version: 1, model: m.slug, model_name: m.name, provider: m.provider,
		mode: b.start_image ? 'i2v' : 't2v', prompt: b.prompt, negative_prompt: b.negative_prompt ?? null,
		spec: { duration: b.duration ?? 5, resolution: b.resolution ?? '720p', aspect_ratio: b.aspect_ratio ?? '16:9', audio: b.audio ?? false, seed: b.seed ?? 421337, fps: 24 },
		start_image: null, credits: price.credits, charge: { state: 'charged', credits: price.credits, refunded: 0, settled: null }, queue: null, error: null, video_url: null,
		thumbnail_url: null, video: null, parent_id: b.parent_id ?? null, relation: b.parent_id ? 'retry' : null, title: b.title ?? null, favourite: false,
		created_at: new Date(Date.now() - (past ?? 0)).toISOString(), started_at: null, completed_at: null, email: user.email,
		events: [], entries: [], timers: [], look: b.aspect_ratio === '9:16' ? 2 : all.size % 4 === 2 ? 3 : all.size % 4 };
	all.set(g.id, g);
	move('video_generation', -price.credits, g);
	return g;
}
const quote = b => {
	const seconds = b.duration ?? 5, base = seconds * 2, hd = b.resolution === '1080p' ? Math.ceil(base / 2) : 0;
	return { credits: base + hd, breakdown: [{ code: 'core', label: `${seconds} s at 2 credits`, credits: base }, ...(hd ? [{ code: 'resolution', label: '1080p resolution', credits: hd }] : [])],
		model: b.model, price_plan_version: 1, balance, affordable: balance >= base + hd, credit_value: { amount_micro: 10000, currency: 'USD' } };
};

move('adjustment', 600, null, 'welcome');
const prompts = ['A paper boat crossing a rain puddle at dusk, city lights rippling in the water', 'Dawn over terraced hills, mist lifting, the camera rising',
	'A tiny robot waters a plant on a windowsill', 'Waves at night under a green aurora', 'A cat in a spacesuit looks out of a porthole', 'Macro of a watch movement, gears turning slowly'];
prompts.forEach((prompt, i) => {
	const g = make({ model: models[i % 3].slug, prompt, aspect_ratio: i === 2 ? '9:16' : '16:9', title: i === 1 ? 'Opening shot' : undefined }, (i + 1) * 5e6);
	const t = n => new Date(Date.parse(g.created_at) + n).toISOString();
	g.events.push(...[['queued', 300], ['processing', 1500, 'submit'], ['processing', 2100, 'generate'], ['finalizing', 12200, 'download']]
		.map(([status, n, stage], k) => ({ seq: k + 1, type: `generation.${status}`, version: k + 2, data: { status, stage }, created_at: t(n) })));
	if (i === 4) end(g, 'failed', { error: { class: 'provider', code: 'content_refused', message: 'The model refused this prompt.', retryable: false } });
	else if (i === 5) end(g, 'cancelled');
	else { end(g, 'completed', done(g)); g.favourite = i === 1; }
	g.completed_at = t(13900);
	g.events.at(-1).created_at = g.completed_at;
});

const counts = () => [...all.values()].reduce((c, g) => ({ ...c, [g.status]: (c[g.status] ?? 0) + 1 }), {});
setInterval(() => { if (sockets.size) send('queue.stats', 'admin:queue', 0, { counts: counts(), oldest_queued_s: null }); }, 1000).unref();

class Refuse extends Error { constructor(status, code, detail, errors) { super(detail); Object.assign(this, { status, code, errors }); } }
const page = (data, q) => {
	const limit = Number(q.get('limit') ?? 50), from = Number(q.get('cursor') ?? 0);
	return { data: data.slice(from, from + limit), next_cursor: data.length > from + limit ? String(from + limit) : null, has_more: data.length > from + limit };
};
const find = id => all.get(id) ?? (() => { throw new Refuse(404, 'not_found', 'There is no such generation.'); })();
const newest = () => [...all.values()].sort((a, b) => b.created_at.localeCompare(a.created_at));
const filter = (q, key) => newest().map(view).filter(g => (!q.get(key) || q.get(key).split(',').includes(g.status)) && (!q.get('model') || g.model === q.get('model'))
	&& (!q.get('favourite') || g.favourite) && (g.prompt + g.title + g.id).toLowerCase().includes((q.get('search') ?? q.get('q') ?? '').toLowerCase()));
function cancel(g) {
	if (g.status === 'pending' || g.status === 'queued') end(g, 'cancelled', { error: { class: 'cancelled', code: 'cancelled', message: 'Cancelled.', retryable: true } });
	else if (g.status === 'processing') {
		change(g, 'cancelling', { status: 'cancelling' });
		g.timers.forEach(clearTimeout);
		at(g, 1.5, () => end(g, 'cancelled', { error: { class: 'cancelled', code: 'cancelled', message: 'Cancelled.', retryable: true } }));
	} else throw new Refuse(409, 'too_late', 'It is too late to cancel this.');
	return view(g);
}
const replays = new Map();
const routes = [
	['GET /me', () => ({ ...user, balance, limits: { concurrent: 3 }, scopes: [], auth: 'session' })],
	['POST /auth/logout', () => null],
	['GET /models', () => ({ data: models, next_cursor: null, has_more: false })],
	['POST /estimate', ({ b }) => quote(b)],
	['POST /generations', ({ b, key }) => {
		if (replays.has(key)) return view(all.get(replays.get(key)));
		if (!b.prompt) throw new Refuse(422, 'bad_input', 'prompt must not be empty.', [{ pointer: '#/prompt', detail: 'must not be empty' }]);
		if (quote(b).credits > balance) throw new Refuse(402, 'no_credit', 'Not enough credits.');
		const g = make(b);
		if (key) replays.set(key, g.id);
		run(g);
		return view(g);
	}],
	['GET /generations', ({ q }) => page(filter(q, 'status'), q)],
	['GET /generations/:id', ({ id }) => view(find(id))],
	['PATCH /generations/:id', ({ id, b }) => { change(find(id), 'updated', b); return view(find(id)); }],
	['DELETE /generations/:id', ({ id }) => { all.delete(find(id).id); return null; }],
	['POST /generations/:id/cancel', ({ id }) => cancel(find(id))],
	['POST /generations/:id/retry', ({ id }) => { const o = find(id), g = make({ ...o.spec, model: o.model, prompt: o.prompt, parent_id: id }); run(g); return view(g); }],
	['GET /generations/:id/events', ({ id, q }) => page(find(id).events, q)],
	['GET /generations/:id/receipt', ({ id }) => { const g = find(id); return { ...g.charge, breakdown: quote({ ...g.spec }).breakdown, entries: g.entries }; }],
	['GET /assets/:id', ({ id }) => stored.get(id)],
	['GET /keys', ({ q }) => page(keys, q)],
	['POST /keys', ({ b }) => { const id = randomUUID().slice(0, 12); keys.unshift({ id, prefix: `rld_live_${id}`, created_at: new Date().toISOString(), last_used_at: null, ...b }); return { ...keys[0], key: `rld_live_${id}_${'x'.repeat(43)}` }; }],
	['DELETE /keys/:id', ({ id }) => { keys.splice(keys.findIndex(k => k.id === id), 1); return null; }],
	['GET /credits', () => ({ balance })],
	['GET /credits/ledger', ({ q }) => page(ledger, q)],
	['GET /admin/overview', () => ({ counts: counts(), oldest_queued_s: null })],
	['GET /admin/jobs', ({ q }) => page(filter(q, 'state'), q)],
	['GET /admin/jobs/:id', ({ id }) => { const g = find(id); return { ...view(g), events: g.events, ledger: g.entries, attempts: g.events.length > 1 ? [{ id: randomUUID(), number: 1, status: g.status === 'completed' ? 'succeeded' : 'running', provider: g.provider, provider_job_id: 'mock-1', worker_id: 'w-1', created_at: g.created_at, submitted_at: g.created_at, finished_at: g.completed_at }] : [] }; }],
	['POST /admin/jobs/bulk', ({ b }) => {
		const hit = (b.filter.ids ? b.filter.ids.map(id => all.get(id)) : [...all.values()].filter(g => !b.filter.state || g.status === b.filter.state))
			.filter(g => g && (b.action === 'cancel' ? view(g).can.cancel : view(g).can.retry));
		if (!b.dry_run) hit.forEach(g => (b.action === 'cancel' ? cancel(g) : run(make({ ...g.spec, model: g.model, prompt: g.prompt }))));
		return { count: hit.length, results: b.dry_run ? undefined : hit.map(g => ({ id: g.id, outcome: 'ok' })) };
	}],
	['POST /admin/jobs/:id/cancel', ({ id }) => cancel(find(id))],
	['POST /admin/jobs/:id/retry', ({ id }) => { const o = find(id), g = make({ ...o.spec, model: o.model, prompt: o.prompt, parent_id: id }); run(g); return view(g); }],
	['GET /admin/workers', ({ q }) => page([{ id: 'w-1', name: 'demo worker', version: '0.1.0', state: 'online', gpu: null, vram_mb: null, completed: 41, failed: 2, generation_id: null, seen_at: new Date().toISOString() }], q)],
	['GET /admin/users', ({ q }) => page([{ ...user, status: 'active', balance, active: 0, created_at: new Date(Date.now() - 9e8).toISOString() }], q)],
	['POST /admin/users/:id/credits', ({ b }) => { move('adjustment', b.amount, null, b.note); return { balance }; }],
].map(([at, fn]) => {
	const [method, pattern] = at.split(' ');
	return { method, re: new RegExp(`^/api/v1${pattern.replace(':id', '([^/]+)')}$`), fn };
});

const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml; charset=utf-8', '.txt': 'text/plain; charset=utf-8' };
function file(req, res, name, type) {
	const data = readFileSync(name), range = /^bytes=(\d+)-(\d*)$/.exec(req.headers.range ?? '');
	const from = range ? Number(range[1]) : 0, to = range?.[2] ? Math.min(Number(range[2]), data.length - 1) : data.length - 1;
	res.writeHead(range ? 206 : 200, { 'Content-Type': type, 'Accept-Ranges': 'bytes', 'Content-Length': to - from + 1,
		...(range ? { 'Content-Range': `bytes ${from}-${to}/${data.length}` } : {}), ...(type.startsWith('text/html') ? { 'Content-Security-Policy': csp } : {}) });
	res.end(data.subarray(from, to + 1));
}
const signedIn = req => process.env.MOCK_OPEN === '1' || /reeld=in/.test(req.headers.cookie ?? '');
const server = http.createServer(async (req, res) => {
	const url = new URL(req.url, 'http://mock');
	const json = (status, o, headers = {}) => { res.writeHead(status, { 'Content-Type': status < 400 ? 'application/json' : 'application/problem+json', ...headers }); res.end(o === null ? undefined : JSON.stringify(o)); };
	const parts = [];
	for await (const part of req) parts.push(part);
	const raw = Buffer.concat(parts);
	try {
		if (!url.pathname.startsWith('/api/')) {
			const name = path.join(dist, path.normalize(url.pathname));
			const there = name.startsWith(dist) && existsSync(name) && statSync(name).isFile();
			return file(req, res, there ? name : path.join(dist, 'index.html'), types[path.extname(there ? name : '.html')] ?? 'text/html; charset=utf-8');
		}
		const b = (req.headers['content-type'] ?? '').includes('json') && raw.length ? JSON.parse(raw) : {};
		if (url.pathname === '/api/v1/auth/link') {
			if (b.token !== 'demo') throw new Refuse(401, 'link_invalid', 'This sign-in link was used already, or is too old.');
			return json(200, { id: user.id }, { 'Set-Cookie': 'reeld=in; HttpOnly; SameSite=Lax; Path=/' });
		}
		if (!signedIn(req)) throw new Refuse(401, 'unauthenticated', 'Sign in first.');
		if (url.pathname === '/api/v1/auth/logout') return json(200, {}, { 'Set-Cookie': 'reeld=; Max-Age=0; Path=/' });
		if (url.pathname === '/api/v1/uploads') {
			const body = raw.subarray(raw.indexOf('\r\n\r\n', raw.indexOf('filename=')) + 4), id = randomUUID();
			stored.set(id, { id, url: `/api/v1/assets/${id}/content`, width: 640, height: 360, mime: 'image/png', size_bytes: body.length, kind: 'start', body });
			const { body: _body, ...asset } = stored.get(id);
			return json(201, asset);
		}
		const asset = /^\/api\/v1\/assets\/([^/]+)\/content$/.exec(url.pathname);
		if (asset) { res.writeHead(200, { 'Content-Type': 'image/png' }); return res.end(stored.get(asset[1])?.body); }
		const media = /^\/api\/v1\/generations\/([^/]+)\/(content|download)$/.exec(url.pathname);
		if (media) {
			const thumb = url.searchParams.get('variant') === 'thumbnail';
			return file(req, res, `${temp}/${find(media[1]).look}.${thumb ? 'jpg' : 'mp4'}`, thumb ? 'image/jpeg' : 'video/mp4');
		}
		for (const r of routes) {
			const m = r.method === req.method && r.re.exec(url.pathname);
			if (!m) continue;
			const out = r.fn({ id: m[1], q: url.searchParams, b, key: req.headers['idempotency-key'] });
			return json(out === null ? 204 : 200, out);
		}
		throw new Refuse(404, 'not_found', 'Nothing is here.');
	} catch (e) {
		json(e.status ?? 500, { type: 'about:blank', title: e.code ?? 'error', status: e.status ?? 500, detail: e.message, code: e.code ?? 'internal', request_id: randomUUID(), errors: e.errors ?? [] });
		if (!e.status) console.error(e);
	}
});
const wss = new WebSocketServer({ noServer: true });
server.on('upgrade', (req, socket, head) => {
	if (!signedIn(req)) { socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n'); return; }
	wss.handleUpgrade(req, socket, head, ws => {
		sockets.add(ws);
		ws.on('close', () => sockets.delete(ws));
		ws.send(JSON.stringify({ type: 'welcome', session: randomUUID(), user: user.id, heartbeat_ms: 25000 }));
		ws.on('message', text => {
			const m = JSON.parse(text);
			if (m.type === 'ping') return ws.send(JSON.stringify({ type: 'pong' }));
			if (m.type !== 'subscribe') return;
			const live = newest().filter(g => !['completed', 'failed', 'cancelled'].includes(g.status)).map(view);
			const snapshot = m.topic === 'user:me' ? [{ id: `credits:${user.id}`, version: ledgerSeq, balance }, ...live]
				: m.topic === 'admin:queue' ? [{ id: 'queue', version: 0, counts: counts() }] : m.topic.startsWith('generation:') && all.has(m.topic.slice(11)) ? [view(all.get(m.topic.slice(11)))] : [];
			ws.send(JSON.stringify({ type: 'subscribed', topic: m.topic, id: m.id, snapshot }));
		});
	});
});
server.listen(port, '127.0.0.1', () => console.log(`mock: http://127.0.0.1:${server.address().port}/login/link?token=demo`));
