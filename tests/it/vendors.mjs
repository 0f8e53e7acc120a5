// vendors.mjs - a reeld whose providers are the strict fakes, and models of
// the test's own.
//
// Adapters ask every 5 to 10 seconds. Nothing waits for that here: as soon as
// a fake has answered, reeld is told to hurry, as another instance that got a
// webhook would tell it, and so is every open generation once a second.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import net from 'node:net';
import zlib from 'node:zlib';
import { mp4 } from '../fake/kit.mjs';
import { reeld } from './env.mjs';

// Rows that no compression makes smaller, without a filter.
function randomRows(width, height) {
	const rows = randomBytes((width * 3 + 1) * height);
	for (let y = 0; y < height; y++) rows[y * (width * 3 + 1)] = 0;
	return rows;
}

export function png(width, height, noise = false) {
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
		chunk('IDAT', zlib.deflateSync(noise ? randomRows(width, height) : Buffer.alloc((width * 3 + 1) * height, 0x55))), chunk('IEND', Buffer.alloc(0))]);
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
	self.server.keepAliveTimeout = 0; // no race with a caller that reuses
	await new Promise((ok) => self.server.listen(0, '127.0.0.1', ok));
	self.url = `http://127.0.0.1:${self.server.address().port}`;
	return self;
}

// An input of user's; its id.
export async function upload(user, { width = 1280, height = 720, purpose = 'start', noise = false } = {}) {
	const form = new FormData();
	form.append('purpose', purpose);
	form.append('file', new Blob([png(width, height, noise)], { type: 'image/png' }), 'a.png');
	const res = await user.fetch('/api/v1/uploads', { method: 'POST', body: form });
	const doc = await res.json();
	assert.equal(res.status, 201, JSON.stringify(doc));
	return doc.id;
}

export class World {
	// fakes: a Map of fakes that are not started yet.
	constructor(fakes) {
		this.fakes = fakes;
		this.open = new Map(); // prompts and ids of what reeld is to hurry
		this.bytes = mp4();
	}

	// models: documents for model_put().
	async start(models) {
		this.door = await gate();
		const env = { REELD_HTTP_PUBLIC_URL: this.door.url, REELD_JOBS_SLOTS: '24', REELD_MEDIA_THREADS: '2' };
		for (const fake of this.fakes.values()) {
			const name = `REELD_PROVIDER_${fake.name.toUpperCase()}`;
			await fake.start();
			Object.assign(env, fake.env, { [`${name}_CONCURRENCY`]: '1000', [`${name}_RPM`]: '100000' });
		}
		const seed = async (r) => {
			for (const m of models) {
				const [row] = await r.psql('select outcome from model_put($1)', [JSON.stringify(m)]);
				assert.match(row.outcome, /^(created|updated)$/, m.slug);
			}
		};
		this.r = await reeld({ env, seed });
		this.door.target = this.r.url;
		this.redis = net.connect(this.r.redis.socket);
		this.redis.resume();
		for (const fake of this.fakes.values()) fake.on_answer = (prompt) => this.hurry(this.open.get(prompt));
		this.pump = setInterval(() => { for (const id of this.open.values()) this.hurry(id); }, 1000);
	}

	hurry(id) { if (id) this.redis.write(`PUBLISH reeld:wake "hurry ${id}"\r\n`); }

	async user(credits) {
		const user = await this.r.user({ credits });
		await this.r.psql('update users set concurrent_limit = 1000 where id = $1', [user.id]);
		return user;
	}

	async stop() {
		clearInterval(this.pump);
		this.redis?.destroy();
		this.door?.server.closeAllConnections();
		this.door?.server.close();
		for (const fake of this.fakes.values()) await fake.stop();
	}
}
