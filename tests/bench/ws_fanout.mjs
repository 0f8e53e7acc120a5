// ws-fanout - one event of 200 bytes to 5,000 sockets, again and again, each
// when all have the one before: deliveries per second, the server's own
// processor time per delivery, and memory per socket, against npm ws.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { spawn } from 'node:child_process';
import { connect } from 'node:net';
import { createConnection } from 'node:net';
import { alternate, cpu_ms, report, rss_mib } from './lib.mjs';
import { until } from '../it/services.mjs';

const SOCKETS = Number(process.env.BENCH_SOCKETS ?? 5000);
const EVENTS = 20;

// A masked text frame of at most 125 bytes.
function frame(text) {
	const body = Buffer.from(text), mask = randomBytes(4);
	return Buffer.concat([Buffer.from([0x81, 0x80 | body.length]), mask,
		body.map((b, i) => b ^ mask[i & 3])]);
}

// Sockets that only count the text frames they get; frames may be cut
// anywhere.  (The `ws` client costs more than both servers.)
class Crowd {
	constructor() { this.sockets = []; this.frames = 0; }

	join(port, hello) {
		return new Promise((done, fail) => {
			const s = connect(port, '127.0.0.1');
			let rest = Buffer.alloc(0), open = false;
			s.on('error', fail);
			s.on('close', () => { if (!this.leaving) fail(new Error('socket closed')); });
			s.on('data', (data) => {
				rest = rest.length ? Buffer.concat([rest, data]) : data;
				if (!open) {
					const end = rest.indexOf('\r\n\r\n');
					if (end < 0) return;
					if (!/^HTTP\/1.1 101 /.test(rest)) { fail(new Error(String(rest))); return; }
					rest = rest.subarray(end + 4);
					open = true;
					if (hello) s.write(frame(hello));
					this.sockets.push(s);
					done();
				}
				for (;;) {
					if (rest.length < 2) return;
					const small = rest[1] & 0x7f, head = small === 126 ? 4 : 2;
					if (rest.length < head) return;
					const len = small === 126 ? rest.readUInt16BE(2) : small;
					if (rest.length < head + len) return;
					if ((rest[0] & 0x0f) === 1) this.frames++;
					rest = rest.subarray(head + len);
				}
			});
			s.write(`GET /ws HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nOrigin: http://127.0.0.1:${port}\r\n`
				+ 'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n'
				+ `Sec-WebSocket-Protocol: reeld.v1\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`);
		});
	}

	async fill(port, hello, frames_each) {
		for (let i = 0; i < SOCKETS; i += 100) {
			await Promise.all(Array.from({ length: Math.min(100, SOCKETS - i) }, () => this.join(port, hello)));
		}
		await until(() => `${this.frames} frames`, () => this.frames >= SOCKETS * frames_each);
		this.frames = 0;
	}

	leave() {
		this.leaving = true;
		for (const s of this.sockets) s.destroy();
	}
}

async function round(crowd, pid, send) {
	const start = performance.now(), cpu = cpu_ms(pid);
	for (let i = 1; i <= EVENTS; i++) {
		send();
		await new Promise((done, fail) => {
			const began = Date.now();
			const look = () => {
				if (crowd.frames >= i * SOCKETS) done();
				else if (Date.now() - began > 30000) fail(new Error(`${crowd.frames} of ${i * SOCKETS}`));
				else setImmediate(look);
			};
			look();
		});
	}
	const n = EVENTS * SOCKETS;
	assert.equal(crowd.frames, n);
	crowd.frames = 0;
	return { rate: n / ((performance.now() - start) / 1000), cost_us: (cpu_ms(pid) - cpu) * 1000 / n };
}

const event = () => {
	const data = { id: '', status: 'processing' };
	const make = () => JSON.stringify({ type: 'arena.vote', topic: 'arena', ts: new Date().toISOString(), data });
	data.id = 'x'.repeat(200 - make().length);
	return make();
};

export default async function ws_fanout(server) {
	const redis_path = server.redis.url.replace(/^unix:\/\//, '').replace(/\?.*/, '');
	const redis = createConnection(redis_path);
	redis.resume();
	const publish = () => {
		const text = `E bench 0 - arena\n${event()}`;
		redis.write(`*3\r\n$7\r\nPUBLISH\r\n$12\r\nreeld:events\r\n$${Buffer.byteLength(text)}\r\n${text}\r\n`);
	};
	const peer = spawn(process.execPath, [new URL('ws_peer.mjs', import.meta.url).pathname],
		{ stdio: ['pipe', 'pipe', 'inherit'] });
	const ours = new Crowd(), theirs = new Crowd();
	try {
		const port = await new Promise((done) => { peer.stdout.once('data', (d) => done(Number(d))); });
		const before = rss_mib(server.process.pid), before_peer = rss_mib(peer.pid);
		// The welcome, and the answer to subscribe.
		await ours.fill(server.port, '{"type":"subscribe","topic":"arena"}', 2);
		await theirs.fill(port, '', 0);
		const memory = rss_mib(server.process.pid) - before, memory_peer = rss_mib(peer.pid) - before_peer;
		const costs = [], costs_peer = [];
		const [rate, rate_peer] = await alternate(async () => {
			const r = await round(ours, server.process.pid, publish);
			costs.push(r.cost_us);
			return r.rate;
		}, async () => {
			const r = await round(theirs, peer.pid, () => peer.stdin.write(`${event()}\n`));
			costs_peer.push(r.cost_us);
			return r.rate;
		});
		const middle = (l) => l.sort((a, b) => a - b)[l.length >> 1];
		report('ws-fanout', rate, 'deliveries/s', rate_peer, 'ws');
		report('ws-fanout-cpu', middle(costs), 'us/delivery', middle(costs_peer), 'ws');
		report('ws-fanout-memory', memory * 1024 / SOCKETS, 'KiB/socket', memory_peer * 1024 / SOCKETS, 'ws');
	} finally {
		ours.leave();
		theirs.leave();
		redis.destroy();
		peer.kill();
	}
}
