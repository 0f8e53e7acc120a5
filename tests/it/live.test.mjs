// live.test.mjs - WebSocket, event stream and long poll behind the real HTTP
// server (tests/unit/ws_server_demo), without a database.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';

const build = process.env.builddir ?? path.resolve(import.meta.dirname, '../../build');
const user = '0190d3a0-0000-7000-8000-000000000001';
const other = '0190d3a0-0000-7000-8000-000000000002';
const generation = '0190d3a0-0000-7000-8000-0000000000aa';
let server;
const children = new Set();

async function start(...args) {
	const child = spawn(path.join(build, 'tests/unit/ws_server_demo'), args,
		{ stdio: ['ignore', 'pipe', 'pipe'] });
	children.add(child);
	child.once('exit', () => children.delete(child));
	const self = { child, log: '' };
	child.stderr.on('data', d => { self.log += d; });
	const lines = createInterface({ input: child.stdout });
	const [line] = await once(lines, 'line');
	self.port = Number(line.split(' ')[1]);
	self.url = `127.0.0.1:${self.port}`;
	self.stop = async (signal = 'SIGINT') => {
		if (child.exitCode !== null) return child.exitCode;
		child.kill(signal);
		const [code] = await once(child, 'exit');
		return code;
	};
	return self;
}

async function until(what, check, ms = 10000) {
	const end = Date.now() + ms;
	for (;;) {
		const value = await check();
		if (value) return value;
		if (Date.now() > end) throw new Error(`never: ${what}`);
		await new Promise(r => setTimeout(r, 5));
	}
}

function attach(socket) {
	const all = [];
	socket.messages = all;
	socket.on('message', data => all.push(JSON.parse(data)));
	socket.on('error', () => {});
	socket.on('close', (code, reason) => { socket.over = { code, reason: String(reason) }; });
	socket.events = () => all.filter(m => m.type === 'batch').flatMap(m => m.events);
	socket.say = o => socket.send(JSON.stringify(o));
	socket.get = type => until(type, () => all.find(m => m.type === type));
	socket.ended = () => until('close', () => socket.over);
	return socket;
}

async function open(on = server, who = user) {
	const socket = attach(new WebSocket(`ws://${on.url}/ws`, 'reeld.v1',
		{ headers: { 'X-User': who } }));
	await socket.get('welcome');
	return socket;
}

async function subscribe(socket, topic) {
	socket.say({ type: 'subscribe', topic, id: topic });
	return until(topic, () => socket.messages.find(
		m => m.id === topic && m.type === 'subscribed'));
}

const stats = async (on = server) => (await fetch(`http://${on.url}/stats`)).json();
async function publish(event, on = server) {
	const reply = await fetch(`http://${on.url}/publish`, { method: 'POST',
		headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(event) });
	assert.equal(reply.status, 200, await reply.clone().text());
	return reply.text();
}
let version = 0;
const change = (object, v = ++version, more = {}) => ({ type: 'generation.processing',
	topics: [`generation:${object}`, `user:${user}`], object, version: v,
	data: { id: object, version: v }, ...more });

before(async () => { server = await start(); });
after(async () => {
	assert.equal(await server.stop(), 0, server.log);
	assert.doesNotMatch(server.log, /Sanitizer|runtime error/);
});

// A handshake by hand: what comes back until the end of the head.
function shake(headers, method = 'GET', target = '/ws') {
	return new Promise((resolve, reject) => {
		const socket = net.connect(server.port, '127.0.0.1', () => socket.write(
			`${method} ${target} HTTP/1.1\r\n${Object.entries(headers)
				.map(([k, v]) => `${k}: ${v}\r\n`).join('')}\r\n`));
		let text = '';
		socket.on('error', reject);
		socket.on('data', d => {
			text += d;
			if (text.includes('\r\n\r\n')) { resolve({ text, socket, status: Number(text.slice(9, 12)) }); }
		});
		socket.on('close', () => resolve({ text, socket, status: Number(text.slice(9, 12)) }));
	});
}
const good = () => ({ Host: server.url, Upgrade: 'websocket', Connection: 'keep-alive, Upgrade',
	'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
	Origin: `http://${server.url}` });

const handshakes = [
	['as it should be', {}, 101],
	['with our subprotocol among others', { 'Sec-WebSocket-Protocol': 'chat, reeld.v1' }, 101],
	['with a foreign subprotocol', { 'Sec-WebSocket-Protocol': 'chat' }, 400],
	['version 8', { 'Sec-WebSocket-Version': '8' }, 400],
	['no key', { 'Sec-WebSocket-Key': undefined }, 400],
	['short key', { 'Sec-WebSocket-Key': 'c2hvcnQ=' }, 400],
	['key of other letters', { 'Sec-WebSocket-Key': '!!!!!!!!!!!!!!!!!!!!!!==' }, 400],
	['no upgrade', { Upgrade: undefined }, 400],
	['another upgrade', { Upgrade: 'h2c' }, 400],
	['Connection: close', { Connection: 'close' }, 400],
	['a foreign origin', { Origin: 'https://evil.example' }, 403],
	['origin null', { Origin: 'null' }, 403],
	['no origin, no key', { Origin: undefined }, 403],
	['no origin, API key', { Origin: undefined, 'X-User': user }, 101],
];
for (const [name, change_, status] of handshakes) {
	test(`handshake: ${name}`, async () => {
		const headers = { ...good(), ...change_ };
		for (const k of Object.keys(headers)) if (headers[k] === undefined) delete headers[k];
		const reply = await shake(headers);
		assert.equal(reply.status, status, reply.text);
		if (status === 101) assert.match(reply.text, /Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/i);
		if (change_['Sec-WebSocket-Version']) assert.match(reply.text, /Sec-WebSocket-Version: 13/i);
		reply.socket.destroy();
	});
}
const ping = '{"type":"ping"}';
const frames = [
	['binary', s => s.send(Buffer.from('{}')), 1008],
	['4096 bytes', s => s.send(`{"type":"ping","pad":"${'x'.repeat(4096 - 24)}"}`), 0],
	['5000 bytes', s => s.send('x'.repeat(5000)), 1009],
	['16 fragments', s => { for (let i = 0; i < 16; i++) s.send(i === 15 ? ping : ' ', { fin: i === 15 }); }, 0],
	['40 fragments', s => { for (let i = 0; i < 40; i++) s.send(' ', { fin: i === 39 }); }, 1008],
	['invalid UTF-8', s => s.send(Buffer.from([0xc3, 0x28]), { binary: false }), 1007],
	['20 messages', s => { for (let i = 0; i < 20; i++) s.send(ping); }, 0],
	['21 messages', s => { for (let i = 0; i < 21; i++) s.send(ping); }, 1008],
	['reserved opcode', s => s._socket.write(Buffer.from([0x83, 0x80, 0, 0, 0, 0])), 1002],
	['reserved bit', s => s._socket.write(Buffer.from([0xc1, 0x80, 0, 0, 0, 0])), 1002],
	['continuation without a start', s => s._socket.write(Buffer.from([0x80, 0x80, 0, 0, 0, 0])), 1002],
	['a ping frame', s => s.ping('hi'), 0],
	['its own close', s => s.close(1000, 'bye'), 1000],
];
for (const [name, send, code] of frames) {
	test(`frame: ${name}`, async () => {
		const socket = await open();
		let pong = false;
		socket.on('pong', () => { pong = true; });
		send(socket);
		if (code === 0) {
			await until('answer', () => pong || socket.messages.length > 1);
			assert.equal(socket.over, undefined);
			socket.terminate();
		} else {
			assert.equal((await socket.ended()).code, code);
		}
	});
}

test('topics: errors name the topic and the id', async () => {
	const socket = await open();
	for (const [topic, code] of [['nope', 'bad_topic'], ['generation:x', 'bad_topic'],
		['admin:queue', 'forbidden'], [`user:${other}`, 'forbidden']]) {
		socket.say({ type: 'subscribe', topic, id: topic });
		const error = await until(topic, () => socket.messages.find(m => m.id === topic));
		assert.equal(error.type, 'error');
		assert.equal(error.code, code);
		assert.equal(error.topic, topic);
	}
	socket.terminate();
});

test('snapshot first, then only what is newer; twice-watched comes once', async () => {
	const socket = await open();
	await publish(change(generation, 10)); // the snapshot will say 10
	socket.say({ type: 'subscribe', topic: `generation:${generation}`, id: 1 });
	await until('subscription', async () => (await stats()).subscriptions === 1);
	await publish(change(generation, 11)); // held
	assert.equal(await publish(change(generation, 9)), 'not newer');
	const answer = await socket.get('subscribed');
	assert.deepEqual(answer.snapshot, [{ id: generation, version: 10 }]);
	await until('event', () => socket.events().length > 0);
	assert.equal(socket.messages.findIndex(m => m.type === 'batch') >
		socket.messages.indexOf(answer), true);
	assert.equal(socket.events()[0].version, 11);
	assert.equal(socket.events()[0].topic, `generation:${generation}`);
	await subscribe(socket, 'user:me');
	await publish(change(generation, 12));
	await publish(change(generation, 13));
	await until('13', () => socket.events().some(e => e.version === 13));
	assert.deepEqual(socket.events().map(e => e.version), [11, 12, 13]);
	socket.say({ type: 'unsubscribe', topic: 'user:me' });
	await socket.get('unsubscribed');
	socket.terminate();
	await until('no topics', async () => (await stats()).topics === 0);
});

test('events of one turn are one message', async () => {
	const socket = await open();
	await subscribe(socket, 'arena');
	await publish({ type: 'vote.tally', topics: ['arena'], data: { n: 1 }, repeat: 50 });
	await until('50', () => socket.events().length === 50);
	assert.equal(socket.messages.filter(m => m.type === 'batch').length, 1);
	socket.terminate();
});

test('1000 sockets hear a broadcast', async () => {
	const all = [];
	for (let i = 0; i < 1000; i += 50)
		all.push(...await Promise.all(Array.from({ length: 50 }, (_, k) =>
			open(server, `0190d3a0-0000-7000-8000-${String(i + k).padStart(12, '0')}`))));
	await Promise.all(all.map(s => subscribe(s, 'arena')));
	await publish({ type: 'vote.tally', topics: ['arena'], data: { n: 2 } });
	await Promise.all(all.map(s => until('event', () => s.events().length === 1)));
	// The HTTP server keeps no connection per socket.
	assert.equal((await stats()).connections < 50, true);
	for (const s of all) s.terminate();
	await until('all gone', async () => (await stats()).sessions === 0);
});

test('a 21st socket of one user is refused', async () => {
	const all = await Promise.all(Array.from({ length: 20 }, () => open(server, other)));
	const one = new WebSocket(`ws://${server.url}/ws`, 'reeld.v1', { headers: { 'X-User': other } });
	const [error] = await once(one, 'error');
	assert.match(error.message, /429/);
	for (const s of all) s.terminate();
	await until('all gone', async () => (await stats()).sessions === 0);
});

test('revoked users are closed with 1008', async () => {
	const socket = await open(server, other);
	await fetch(`http://${server.url}/revoke?user=${other}`, { method: 'POST' });
	assert.equal((await socket.ended()).code, 1008);
	assert.equal((await socket.get('bye')).reason, 'revoked');
});

test('event stream: snapshot, event with id, end', async () => {
	const cut = new AbortController();
	const reply = await fetch(`http://${server.url}/events?topics=arena`, { signal: cut.signal });
	assert.equal(reply.headers.get('content-type'), 'text/event-stream');
	let text = '';
	const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
	const read = async wanted => { while (!wanted.test(text)) text += (await reader.read()).value; };
	await read(/"subscribed"/);
	await publish({ type: 'vote.tally', topics: ['arena'], object: 'tally:1', version: 7, data: { n: 3 } });
	await read(/id: 7\ndata: \{"type":"vote.tally".*\}\n\n/);
	cut.abort();
	await until('stream gone', async () => (await stats()).sse === 0);
	assert.equal((await fetch(`http://${server.url}/events?topics=user:me`)).status, 400);
	assert.equal((await fetch(`http://${server.url}/events?topics=admin:queue`)).status, 401);
});

test('600 event streams hear a broadcast, and are missed by nobody when they hang up', async () => {
	const all = await Promise.all(Array.from({ length: 600 }, async (_, i) => {
		const socket = net.connect(server.port, '127.0.0.1');
		const stream = { socket, text: '' };
		socket.on('data', d => { stream.text += d; });
		socket.on('error', () => {});
		await once(socket, 'connect');
		const name = `0190d3a0-0000-7000-8000-${String(i).padStart(12, '0')}`;
		socket.write(`GET /events?topics=arena HTTP/1.1\r\nHost: ${server.url}\r\nX-User: ${name}\r\n\r\n`);
		await until('subscribed', () => stream.text.includes('"subscribed"'), 60000);
		return stream;
	}));
	await publish({ type: 'vote.tally', topics: ['arena'], data: { n: 4 } });
	await until('event', () => all.every(s => s.text.includes('vote.tally')), 60000);
	for (const s of all) assert.equal(s.text.match(/vote\.tally/g).length, 1);
	for (const s of all) s.socket.destroy();
	await until('streams gone', async () => (await stats()).sse === 0, 60000);
	await until('connections gone', async () => (await stats()).connections < 50, 60000);
});

test('long poll: newer, timeout, hang-up', async () => {
	const id = '0190d3a0-0000-7000-8000-0000000000bb';
	const at = q => fetch(`http://${server.url}/wait?id=${id}&${q}`);
	assert.equal(await (await at('version=0&ms=50')).text(), 'timeout');
	const reply = at('version=0');
	await until('wait', async () => (await stats()).waits === 1);
	await publish(change(id, 1));
	assert.equal(await (await reply).text(), 'newer');
	assert.equal(await (await at('version=0')).text(), 'newer'); // known already
	const cut = new AbortController();
	const gone = fetch(`http://${server.url}/wait?id=${id}&version=1`, { signal: cut.signal });
	await until('wait', async () => (await stats()).waits === 1);
	cut.abort();
	await assert.rejects(gone);
	await until('no wait', async () => (await stats()).waits === 0);
});

test('slow readers fall behind, are told bye and closed with 1013; others go on', async () => {
	const quick = await start('1000', '120000');
	const fast = await open(quick, other);
	await subscribe(fast, 'arena');
	const slow = await open(quick);
	await subscribe(slow, 'arena');
	slow._socket.pause();
	const pad = 'x'.repeat(2000);
	let sent = 0;
	// The kernel's buffers grow for a while, so publish until it is enough.
	await until('closed', async () => {
		for (let i = 0; i < 20; i++, sent++)
			await publish({ type: 'vote.tally', topics: ['arena'], object: `t:${sent}`,
				version: 1, data: { pad, sent } }, quick);
		return (await stats(quick)).closed_slow === 1;
	}, 30000);
	slow._socket.resume();
	// What the kernel had buffered comes first, then the farewell.
	assert.equal([1013, 1006].includes((await slow.ended()).code), true);
	await until('all of it', () => fast.events().length === sent);
	fast.terminate();
	assert.equal(await quick.stop(), 0, quick.log);
	assert.doesNotMatch(quick.log, /Sanitizer|runtime error/);
});

test('silent sockets are pinged, and ended when they do not answer', async () => {
	const quick = await start('200');
	const alive = await open(quick);
	let pings = 0;
	alive.on('ping', () => { pings++; });
	const dead = await open(quick, other);
	dead._socket.pause();
	await until('hang-up', async () => (await stats(quick)).closed_silent === 1);
	assert.equal(pings > 0, true);
	assert.equal(alive.over, undefined);
	alive.terminate();
	dead.terminate();
	assert.equal(await quick.stop(), 0, quick.log);
});

test('drain: 1012, a reconnect hint for each, long polls answered', async () => {
	const quick = await start();
	const all = await Promise.all(Array.from({ length: 10 }, () => open(quick)));
	const poll = fetch(`http://${quick.url}/wait?id=${generation}&version=1`);
	await until('wait', async () => (await stats(quick)).waits === 1);
	const over = quick.stop('SIGTERM');
	for (const s of all) assert.equal((await s.ended()).code, 1012);
	const hints = all.map(s => s.messages.find(m => m.type === 'bye').reconnect_after_ms);
	assert.equal(hints.every(h => h >= 500), true);
	assert.equal(new Set(hints).size > 1, true);
	assert.equal(await over, 0, quick.log);
	await poll.catch(() => {});
});

// Last: a test that failed half-way must not keep the run waiting.
after(() => children.forEach(c => c.kill('SIGKILL')));
