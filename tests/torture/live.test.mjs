// D19: thousands of sockets that never read, while events come without end;
// those who read are not held up, and the memory stays bounded.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import WebSocket from 'ws';
import { Process, build, until } from '../it/services.mjs';
import { usage } from './kit.mjs';
import { size } from './size.mjs';

let server;
after(() => server?.kill());
const user = (n) => `0190d3a0-0000-7000-8000-${String(n).padStart(12, '0')}`;

test('D19: sockets that never read', async (t) => {
	const silent = size(60, 2000), seconds = size(8, 60), at_once = 10;
	// Pings every 20 s; behind for 40 s is too slow, 120 s without a word is silent.
	server = new Process([join(build, 'tests/unit/ws_server_demo'), '20000', '120000'], { name: 'ws_server_demo',
		// What is free must not stay in the sanitizer's quarantine: 256 MB by default.
		env: { ...process.env, ASAN_OPTIONS: 'quarantine_size_mb=8' } });
	const [, port] = await server.said(/port (\d+)/);
	const stats = async () => (await fetch(`http://127.0.0.1:${port}/stats`)).json();
	const open = (n) => new Promise((done, fail) => {
		const ws = new WebSocket(`ws://127.0.0.1:${port}/ws`, 'reeld.v1', { headers: { 'X-User': user(n) } });
		ws.seen = 0;
		ws.late = [];
		ws.on('error', fail);
		ws.on('close', (code) => { ws.over = code; });
		ws.on('message', (d) => {
			const m = JSON.parse(d);
			if (m.type === 'welcome') ws.send(JSON.stringify({ type: 'subscribe', topic: 'arena', id: 1 }));
			if (m.type === 'subscribed') done(ws);
			for (const e of m.events ?? []) {
				ws.seen++;
				ws.late.push(performance.now() - e.data.at);
			}
		});
	});
	const slow = [];
	for (let i = 0; i < silent; i += 20) slow.push(...await Promise.all(Array.from({ length: 20 }, (_, k) => open(i + k))));
	const fast = await Promise.all(Array.from({ length: 5 }, (_, k) => open(100000 + k)));
	for (const s of slow) s._socket.pause();
	const before = usage(server.pid);
	const end = Date.now() + seconds * 1000;
	let sent = 0, peak = 0;
	const pad = 'x'.repeat(2000);
	// The kernel takes some of it: it goes on until all of them have been cut.
	while (Date.now() < end || (await stats()).closed_slow + (await stats()).closed_silent < slow.length) {
		for (let i = 0; i < at_once; i++, sent++) {
			const x = await fetch(`http://127.0.0.1:${port}/publish`, { method: 'POST', headers: { 'content-type': 'application/json' },
				body: JSON.stringify({ type: 'vote.tally', topics: ['arena'], object: `t:${sent}`, version: 1, data: { pad, at: performance.now() } }) });
			assert.equal(x.status, 200);
		}
		peak = Math.max(peak, usage(server.pid).rss);
	}
	await until(() => `the readers have all ${sent}: ${JSON.stringify(fast.map((f) => [f.seen, f.over]))}`,
		() => fast.every((f) => f.seen === sent), 120000);
	const late = fast.flatMap((f) => f.late).sort((a, b) => a - b);
	const grown = peak - before.rss;
	t.diagnostic(`${silent} silent, ${sent} events, readers p99 ${late[Math.floor(late.length * 0.99)].toFixed(1)} ms, ${grown.toFixed(1)} MB more`);
	// 120 kB each and the frames they share; a sanitizer adds its own.
	assert.ok(grown < 40 + silent * 0.25, `${grown} MB`);
	const { closed_slow, closed_silent } = await stats();
	assert.equal(closed_slow + closed_silent, slow.length, 'all of the silent were cut');
	for (const s of [...slow, ...fast]) s.terminate();
	await until('all gone', async () => (await stats()).sessions === 0);
	await until('descriptors are back', () => usage(server.pid).fds <= before.fds - silent);
	assert.doesNotMatch(server.log, /Sanitizer|runtime error/);
});
