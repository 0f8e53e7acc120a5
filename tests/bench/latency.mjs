// latency - one order at a time on an idle server, from the request to the
// moment the engine has taken the job, against the time from the call of enqueue
// to the handler in three job queues.  That moment is the begin of the
// transaction in which the engine, holding the job, writes down its attempt; the
// database's clock is this machine's.  And to "processing" on the user's
// WebSocket, which is when that transaction is on disk and told.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { median, percentile, queue_peer, report, rounds } from './lib.mjs';

const ORDERS = 40;

// What to add to performance.now() for the time of day, to a few microseconds.
function wall_clock() {
	const then = Date.now();
	let now;
	while ((now = Date.now()) === then);
	return now - performance.now();
}

// POSTs an order over a connection of its own, without what a client library in
// this process would add: the bytes are ready when the clock starts. Gives the
// time and the id.
function line(server, key) {
	const { hostname, port } = new URL(server.url);
	let socket, text = '', done;
	const answer = (what) => { done?.(what); done = undefined; };
	const hear = (data) => {
		text += data;
		const [, head, length, body] = text.match(/^(HTTP[^]*?content-length: (\d+)[^]*?\r\n\r\n)([^]*)$/i) ?? [];
		if (head === undefined || Buffer.byteLength(body) < Number(length)) return;
		text = '';
		answer(head.startsWith('HTTP/1.1 201') ? JSON.parse(body).id : Promise.reject(new Error(head + body)));
	};
	// Before the clock starts; the server closes one that was idle for long.
	const open = async () => {
		if (socket?.writable) return;
		socket = connect(port, hostname);
		await once(socket, 'connect');
		socket.setNoDelay(true);
		socket.on('data', hear);
		socket.on('close', () => done && answer(Promise.reject(new Error('the connection was closed'))));
	};
	return { open, post() {
		const body = JSON.stringify({ model: 'demo-pixel', prompt: `a boat ${randomUUID()}` });
		const bytes = `POST /api/v1/generations HTTP/1.1\r\nhost: ${hostname}:${port}\r\nauthorization: Bearer ${key}\r\n`
			+ `content-type: application/json\r\nidempotency-key: ${randomUUID()}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
		const id = new Promise((resolve) => { done = resolve; });
		const at = performance.now();
		socket.write(bytes);
		return { at, id };
	}, close: () => socket?.destroy() };
}

// Somebody's orders, one at a time: order() gives its id, when it was sent, and
// the ms until it was told to be under way.
export async function taken(server, ann) {
	await server.psql('update users set concurrent_limit = 10000 where id = $1', [ann.id]);
	const ws = await ann.ws();
	await ws.subscribe(`user:${ann.id}`);
	let seen;
	const times_of = new Map(); // generation: when it was said
	ws.socket.on('message', (data) => {
		const text = String(data);
		if (!text.includes('"generation.processing"')) return;
		times_of.set(text.match(/"generation:([0-9a-f-]{36})"|"id":"([0-9a-f-]{36})"/).slice(1).find(Boolean),
			performance.now());
		seen?.();
	});
	const http = line(server, ann.key);
	const order = async () => {
		await http.open();
		const sent = http.post(), { at } = sent, id = await sent.id;
		while (!times_of.has(id)) await new Promise((resolve) => { seen = resolve; });
		return { id, at, told: times_of.get(id) - at };
	};
	return { order, close: () => { http.close(); return ws.close(); } };
}

export default async function latency(server) {
	const ann = await taken(server, await server.user({ credits: 1000000 }));
	const ours = async () => {
		const times = [], sent = new Map(), offset = wall_clock();
		for (let i = 0; i < ORDERS; i++) {
			await sleep(20);
			const { id, at, told } = await ann.order();
			times.push(told);
			sent.set(id, at);
		}
		const rows = await server.psql(`select generation_id as id, extract(epoch from created_at)::float8 * 1000 as at
			from attempts where number = 1 and generation_id = any ($1)`, [[...sent.keys()]]);
		const claims = rows.map((r) => r.at - offset - sent.get(r.id));
		assert.equal(claims.length, ORDERS);
		assert.ok(Math.min(...claims) > 0 && Math.max(...claims) < Math.max(...times), 'the clocks disagree');
		return { p50: percentile(claims, 50), p99: percentile(claims, 99), told: percentile(times, 50) };
	};
	const peers = ['pg-boss', 'graphile-worker', 'bullmq'];
	const all = Object.fromEntries(['reeld', ...peers].map((name) => [name, []]));
	for (let i = 0; i < rounds; i++) {
		all.reeld.push(await ours());
		for (const name of peers) all[name].push(await queue_peer(server, 'latency', name, ORDERS));
	}
	await ann.close();
	const of = (name, what) => median(all[name].map((r) => r[what]));
	report('latency-told', of('reeld', 'told'), 'ms');
	for (const name of peers) {
		report('latency', of('reeld', 'p50'), 'ms', of(name, 'p50'), name,
			name === peers[0] ? { want: 5, at: 'most', of: 'value' } : undefined);
		report('latency-p99', of('reeld', 'p99'), 'ms', of(name, 'p99'), name);
	}
}
