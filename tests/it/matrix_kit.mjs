// matrix_kit.mjs - every adapter through the same scenarios, from a person's
// request to a file that plays: a column is a vendor's API, a row what
// happens to it. One reeld serves all columns of a file; a generation's
// prompt selects its script (fake/kit.mjs), so all of them run at once.
//
// Adapters ask every 5 to 10 seconds. Nothing waits for that here: as soon as
// a fake has answered, reeld is told to hurry, as another instance that got a
// webhook would tell it, and so is every open generation once a second.
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import zlib from 'node:zlib';
import { randomUUID } from 'node:crypto';
import { mp4 } from '../fake/kit.mjs';
import { reeld, until } from './env.mjs';
import { rows } from './matrix_rows.mjs';

const START = 100000, PRICE = 5, AT_ONCE = 48;

function png(width, height) {
	const chunk = (type, data) => {
		const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
		const out = Buffer.alloc(12 + data.length);
		out.writeUInt32BE(data.length);
		body.copy(out, 4);
		out.writeUInt32BE(zlib.crc32(body), 8 + data.length);
		return out;
	};
	const head = Buffer.alloc(13);
	head.writeUInt32BE(width);
	head.writeUInt32BE(height, 4);
	head.set([8, 2, 0, 0, 0], 8);
	return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', head),
		chunk('IDAT', zlib.deflateSync(Buffer.alloc((width * 3 + 1) * height, 0x55))), chunk('IEND', Buffer.alloc(0))]);
}

// The address that vendors call: known before reeld's own port is.
async function gate() {
	const self = { target: null };
	self.server = http.createServer(async (req, res) => {
		const parts = [];
		for await (const p of req) parts.push(p);
		const { host, connection, 'content-length': _, ...headers } = req.headers;
		const reply = await fetch(self.target + req.url, { method: req.method, headers, body: Buffer.concat(parts) })
			.catch(() => ({ status: 502, arrayBuffer: () => new ArrayBuffer(0) }));
		res.writeHead(reply.status);
		res.end(Buffer.from(await reply.arrayBuffer()));
	});
	await new Promise((ok) => self.server.listen(0, '127.0.0.1', ok));
	self.url = `http://127.0.0.1:${self.server.address().port}`;
	return self;
}

const model = (slug, provider, route, seconds) => ({ slug, name: slug, category: 'standard', active: true,
	capabilities: { modes: route.modes, durations: { fixed: seconds }, audio: 'none', seed: false, negative_prompt: false, max_prompt: 500 },
	routes: [{ provider, endpoint: route.endpoint, priority: 100, params: route.params }],
	price: { rule: { core: { type: 'per_call', credits: PRICE }, minimum: 1 } } });

// One vendor's API in the running matrix.
class Column {
	constructor(world, spec) {
		Object.assign(this, spec, { world, fake: world.fakes.get(spec.fake) });
		this.spent = 0; // credits that the rows say should be gone
	}

	get r() { return this.world.r; }
	slug(mode) { return `mx-${this.id}-${mode}`; }

	// A generation of this column; its prompt is what the fake knows it by.
	async submit(script, { mode = 't2v', start_image, own_pace = false } = {}) {
		const prompt = `${this.id} ${randomUUID()}`;
		this.fake.script(prompt, { bytes: this.world.bytes, ...script });
		const made = await this.user.submit({ model: this.slug(mode), prompt, ...(start_image ? { start_image } : {}) });
		if (!own_pace) this.world.open.set(prompt, made.id);
		return { id: made.id, prompt };
	}

	ended(g) { return this.user.ended(g.id, 170000).finally(() => this.world.open.delete(g.prompt)); }
	job(g) { return this.fake.of(g.prompt)[0]; }
	why(g, done) {
		const lines = this.r.logs().split('\n').filter((l) => l.includes(g.id) || /level=(warn|error)/.test(l));
		return `${JSON.stringify(done.error ?? done.status)} ${JSON.stringify(this.fake.wrong)}\n${lines.slice(-12).join('\n')}`;
	}

	async completed(g) {
		const done = await this.ended(g);
		assert.equal(done.status, 'completed', this.why(g, done));
		this.spent += PRICE;
		assert.deepEqual([done.charge.state, done.charge.refunded], ['settled', 0]);
		return done;
	}

	// Refunded, in our words; what the vendor said is for operators only.
	async failed(g, { code, class: class_, theirs = false }) {
		const done = await this.ended(g);
		assert.equal(done.status, 'failed', this.why(g, done));
		if (class_) assert.equal(done.error.class, class_, this.why(g, done));
		if (code) assert.match(done.error.code, code, this.why(g, done));
		assert.equal(done.charge.refunded, PRICE);
		assert.ok(done.error.message.length > 10);
		assert.doesNotMatch(JSON.stringify(done), /secret vendor words/);
		if (theirs) {
			const { body } = await this.r.admin.get(`/admin/jobs/${g.id}`);
			assert.match(JSON.stringify(body), /secret vendor words/);
		}
		return done;
	}

	// The file as people get it: whole, by ranges, and described.
	async plays(done, bytes = this.world.bytes) {
		const whole = await this.user.fetch(done.video_url);
		assert.equal(whole.status, 200);
		assert.ok(Buffer.from(await whole.arrayBuffer()).equals(bytes), 'the file as it was made');
		const part = await this.user.fetch(done.video_url, { headers: { range: 'bytes=4-7' } });
		assert.equal(part.status, 206);
		assert.equal(await part.text(), 'ftyp');
		assert.equal(done.video.width, 320);
		assert.equal(done.video.height, 180);
		assert.ok(done.video.duration_s >= 1.9 && done.video.duration_s <= 2.1, JSON.stringify(done.video));
	}

	async upload() {
		const form = new FormData();
		form.append('purpose', 'start');
		form.append('file', new Blob([png(1280, 720)], { type: 'image/png' }), 'a.png');
		const res = await this.user.fetch('/api/v1/uploads', { method: 'POST', body: form });
		const doc = await res.json();
		assert.equal(res.status, 201, JSON.stringify(doc));
		return doc.id;
	}

	// Until the vendor's side satisfies ok().
	async seen(g, what, ok) {
		await until(() => `${what}: ${JSON.stringify({ ...this.job(g), body: 0, script: 0, images: 0 })}`, ok, 170000);
	}
}

// columns: [{id, fake, seconds, text, image, ...}], see the test files.
// fakes: a Map of names and started fakes.
export function matrix(fakes, columns) {
	const world = { fakes, open: new Map(), bytes: mp4() };
	const table = columns.map((spec, index) => new Column(world, { index, ...spec }));
	let pump, redis;

	before(async () => {
		const door = await gate();
		world.door = door;
		const env = { REELD_HTTP_PUBLIC_URL: door.url, REELD_JOBS_SLOTS: '24', REELD_MEDIA_THREADS: '2' };
		for (const fake of fakes.values()) {
			await fake.start();
			Object.assign(env, fake.env, { [`REELD_PROVIDER_${fake.name.toUpperCase()}_CONCURRENCY`]: '1000',
				[`REELD_PROVIDER_${fake.name.toUpperCase()}_RPM`]: '100000' });
		}
		const seed = async (r) => {
			for (const c of table) {
				const all = { t2v: { modes: ['t2v'], ...c.text }, ...(c.image ? { i2v: { modes: ['i2v'], ...c.text, ...c.image } } : {}) };
				for (const [mode, route] of Object.entries(all)) {
					const [row] = await r.psql('select outcome from model_put($1)',
						[JSON.stringify(model(c.slug(mode), c.fake.name, route, c.seconds))]);
					assert.match(row.outcome, /created|ok|changed|new/);
				}
			}
		};
		world.r = await reeld({ env, seed });
		door.target = world.r.url;
		for (const c of table) c.user = await world.r.user({ credits: START });
		await world.r.psql('update users set concurrent_limit = 1000');
		redis = net.connect(world.r.redis.socket);
		redis.resume();
		const hurry = (id) => redis.write(`PUBLISH reeld:wake "hurry ${id}"\r\n`);
		for (const fake of fakes.values()) {
			fake.on_answer = (prompt) => {
				const id = world.open.get(prompt);
				if (id) hurry(id);
			};
		}
		pump = setInterval(() => { for (const id of world.open.values()) hurry(id); }, 1000);
	});

	after(async () => {
		clearInterval(pump);
		redis?.destroy();
		world.door?.server.closeAllConnections();
		world.door?.server.close();
		for (const fake of fakes.values()) await fake.stop();
	});

	// Those that wait for a timer of reeld's begin first.
	const slow = (row) => (row.slow ? 0 : 1);
	const all = Object.entries(rows).sort(([, a], [, b]) => slow(a) - slow(b));
	describe('every provider', { concurrency: AT_ONCE }, () => {
		for (const [name, row] of all) {
			for (const c of table) {
				if (row.for && !row.for(c)) continue;
				test(`${c.id}: ${name}`, () => row.run(c));
			}
		}
	});

	describe('afterwards', () => {
		for (const c of table) {
			test(`${c.id}: the balance is what its videos cost`, async () => {
				assert.equal(await c.user.balance(), START - c.spent);
			});
		}
		test('the books are right, and no vendor had a reason to complain', async () => {
			assert.deepEqual(await world.r.books(), {});
			for (const fake of fakes.values()) {
				assert.deepEqual(fake.wrong, []);
				assert.equal(fake.trapped, 0, 'a private address was contacted');
				// Nothing was bought twice, whatever happened.
				assert.deepEqual(Object.entries(fake.paid).filter(([, n]) => n !== 1), []);
			}
		});
	});
}
