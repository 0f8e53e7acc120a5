// ws-fanout - one event of 200 bytes to 5,000 and to 9,000 sockets, again and
// again, each when all have the one before: frames per second, the time from
// the trigger to the receipts, the server's own processor time per frame, and
// memory per idle socket, against npm ws.  Both servers have the same client
// (ws_crowd.c) and the same processor, the client has another.
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { Talk, alternate, cpu_ms, median, no_slow_turn, pin, report, rss_mib } from './lib.mjs';
import { build } from '../it/env.mjs';

const CROWDS = (process.env.BENCH_SOCKETS ?? '5000,9000').split(',').map(Number);
const EVENTS = 20;

const event = () => {
	const data = { id: '', status: 'processing' };
	const make = () => JSON.stringify({ type: 'arena.vote', topic: 'arena', ts: new Date().toISOString(), data });
	data.id = 'x'.repeat(200 - make().length);
	return make();
};

// {rate, cost_us, p50, p99}: medians over the events, in ms from the trigger.
async function round(side, n) {
	const cpu = cpu_ms(side.pid), p50 = [], p99 = [];
	let spent = 0;
	for (let i = 0; i < EVENTS; i++) {
		await side.crowd.ask('arm');
		const start = process.hrtime.bigint();
		side.send(event());
		const [, ...at] = (await side.crowd.answer()).split(' ');
		const ms = at.map((t) => Number(BigInt(t) - start) / 1e6);
		p50.push(ms[0]);
		p99.push(ms[1]);
		spent += ms[2];
	}
	return { rate: EVENTS * n / (spent / 1000), cost_us: (cpu_ms(side.pid) - cpu) * 1000 / (EVENTS * n),
		p50: median(p50), p99: median(p99) };
}

async function compare(ours, theirs, n, more) {
	for (const side of [ours, theirs]) {
		side.rss ??= rss_mib(side.pid);
		await side.crowd.ask(`join ${more}`);
		side.memory = (rss_mib(side.pid) - side.rss) * 1024 / n;
	}
	const a = [], b = [];
	await alternate(async () => { a.push(await round(ours, n)); return 0; },
		async () => { b.push(await round(theirs, n)); return 0; });
	const middle = (list, what) => median(list.map((r) => r[what]));
	const name = `ws-fanout-${n}`;
	report(name, middle(a, 'rate'), 'frames/s', middle(b, 'rate'), 'ws', { want: 1.1 });
	report(`${name}-p50`, middle(a, 'p50'), 'ms', middle(b, 'p50'), 'ws');
	report(`${name}-p99`, middle(a, 'p99'), 'ms', middle(b, 'p99'), 'ws');
	report(`${name}-cpu`, middle(a, 'cost_us'), 'us/frame', middle(b, 'cost_us'), 'ws');
	report(n === CROWDS[0] ? 'ws-fanout-memory' : `${name}-memory`, ours.memory, 'KiB/socket', theirs.memory, 'ws',
		{ want: 11, at: 'most', of: 'value' });
}

export default async function ws_fanout(first) {
	// A fresh one: what other benchmarks left in the heap would hide memory.
	const server = await first.twin();
	const redis = createConnection(server.redis.url.replace(/^unix:\/\//, '').replace(/\?.*/, ''));
	redis.resume();
	const peer = new Talk([process.execPath, new URL('ws_peer.mjs', import.meta.url).pathname]);
	const sides = [];
	const side = (pid, port, send, ...greeting) => {
		const crowd = new Talk([join(build, 'tests/bench/ws_crowd'), String(port), ...greeting]);
		pin(pid, 'server');
		pin(crowd.child.pid, 'load');
		sides.push({ pid, send, crowd });
		return sides.at(-1);
	};
	try {
		// The welcome, and the answer to subscribe.
		const ours = side(server.process.pid, server.port, (data) => {
			// What the server makes of it is what the peer is given.
			const { type, ts, data: body } = JSON.parse(data);
			const text = `E bench 0 - arena ${type} ${Date.parse(ts)}\n${JSON.stringify(body)}`;
			redis.write(`*3\r\n$7\r\nPUBLISH\r\n$12\r\nreeld:events\r\n$${Buffer.byteLength(text)}\r\n${text}\r\n`);
		}, '2', '{"type":"subscribe","topic":"arena"}');
		const theirs = side(peer.child.pid, Number(await peer.answer()), (data) => peer.child.stdin.write(`${data}\n`), '0');
		let there = 0;
		for (const n of CROWDS) {
			await compare(ours, theirs, n, n - there);
			there = n;
		}
		no_slow_turn(server);
	} finally {
		for (const { crowd } of sides) crowd.child.kill();
		redis.destroy();
		peer.child.kill();
		await server.stop();
	}
}
