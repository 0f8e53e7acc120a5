// D16, D17: raw HTTP through nginx and HAProxy, where one request must never
// become two, and thousands of slow clients beside ordinary ones.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { H, get, parse, post, refused } from '../it/http_table.mjs';
import { Process, build, temp_dir, until } from '../it/services.mjs';
import { Proxy } from './proxy.mjs';
import { metric, usage, world } from './kit.mjs';
import { full, size } from './size.mjs';

const dir = temp_dir('front');
const procs = [];
let demo, tap, backend = { asked: 0, answered: 0 };
before(async () => {
	writeFileSync(join(dir, 'index.html'), 'page');
	demo = new Process([join(build, 'tests/unit/http_server_demo'), join(dir, 'port'), dir], { name: 'http_server_demo' });
	procs.push(demo);
	await until('port', () => existsSync(join(dir, 'port')) && readFileSync(join(dir, 'port'), 'utf8').endsWith('\n'));
	tap = await Proxy.to({ port: Number(readFileSync(join(dir, 'port'), 'utf8')) });
	// What the front says it sent, by the header it adds to each request, and
	// how often the backend answered: more answers than requests is smuggling.
	tap.tap = (name, chunk, link) => {
		link.seen ??= { up: '', down: '' };
		link.seen[name] += chunk.toString('latin1');
		backend.links.add(link);
	};
	backend.links = new Set();
	writeFileSync(join(dir, 'nginx.conf'), `daemon off; master_process off; pid ${dir}/nginx.pid;
error_log ${dir}/nginx.log; worker_rlimit_nofile 1024; events { worker_connections 512; }
http { access_log off; client_body_temp_path ${dir}/body; proxy_temp_path ${dir}/proxy; fastcgi_temp_path ${dir}/f;
 uwsgi_temp_path ${dir}/u; scgi_temp_path ${dir}/s; client_header_timeout 1s; client_body_timeout 1s; keepalive_timeout 1s;
 lingering_timeout 1s;
 upstream back { server 127.0.0.1:${tap.port}; keepalive 4; }
 server { listen unix:${dir}/nginx.sock; location / { proxy_pass http://back; proxy_http_version 1.1;
 proxy_request_buffering off; proxy_set_header Connection ""; proxy_set_header Host $http_host; proxy_set_header X-Front yes;
 proxy_read_timeout 3s; } } }`);
	writeFileSync(join(dir, 'haproxy.cfg'), `global
 maxconn 500
defaults
 mode http
 timeout client 1s
 timeout http-request 1s
 timeout http-keep-alive 1s
 timeout connect 2s
 timeout server 3s
 option http-keep-alive
 http-reuse always
frontend f
 bind unix@${dir}/haproxy.sock
 http-request set-header X-Front yes
 default_backend b
backend b
 server s 127.0.0.1:${tap.port}
`);
	procs.push(new Process(['nginx', '-c', join(dir, 'nginx.conf'), '-p', dir], { name: 'nginx', dies: 'SIGTERM' }));
	procs.push(new Process(['haproxy', '-db', '-f', join(dir, 'haproxy.cfg')], { name: 'haproxy' }));
	for (const name of ['nginx', 'haproxy']) await until(() => `${name} ${procs.map((p) => p.log)}`, () => existsSync(join(dir, `${name}.sock`)));
});
after(async () => {
	for (const p of procs.reverse()) await p?.kill(p === demo ? 'SIGTERM' : 'SIGKILL');
	await tap?.stop();
	rmSync(dir, { recursive: true, force: true });
	assert.doesNotMatch(demo.log, /Sanitizer|runtime error/);
});

// Sends all of it; what came back until the front hangs up.
const exchange = (name, bytes) => new Promise((done) => {
	const s = net.connect(join(dir, `${name}.sock`));
	let text = '';
	s.on('data', (d) => { text += d.toString('latin1'); });
	s.on('error', () => {});
	s.once('close', () => done(text));
	s.write(Buffer.from(bytes, 'latin1'));
});

// A request inside the body of another: who disagrees about lengths sees it.
const inner = get('/api/things/smuggled');
const chunk = `${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`;
const hidden = {
	'CL.TE': `POST /api/raw HTTP/1.1\r\n${H}Content-Length: ${inner.length + 5}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${inner}`,
	'TE.CL': `POST /api/raw HTTP/1.1\r\n${H}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}`,
	'TE.TE in another case': `POST /api/raw HTTP/1.1\r\n${H}Content-Length: 4\r\nTransfer-Encoding: chunked\r\nTransfer-encoding: identity\r\n\r\n${chunk}`,
	'TE with a tab': `POST /api/raw HTTP/1.1\r\n${H}Content-Length: 4\r\nTransfer-Encoding:\tchunked\r\n\r\n${chunk}`,
	'TE folded': `POST /api/raw HTTP/1.1\r\n${H}Content-Length: 4\r\nTransfer-Encoding:\r\n chunked\r\n\r\n${chunk}`,
	'TE behind a bare LF': `POST /api/raw HTTP/1.1\r\n${H}Content-Length: 4\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n${chunk}`,
	'TE with a blank before the colon': `POST /api/raw HTTP/1.1\r\n${H}Content-Length: 4\r\nTransfer-Encoding : chunked\r\n\r\n${chunk}`,
	'TE x, chunked': `POST /api/raw HTTP/1.1\r\n${H}Content-Length: 4\r\nTransfer-Encoding: x, chunked\r\n\r\n${chunk}`,
	'CL 0 and a body': `POST /api/plain HTTP/1.1\r\n${H}Content-Length: 0\r\nContent-Length: ${inner.length}\r\n\r\n${inner}`,
	'CL with a plus': `POST /api/raw HTTP/1.1\r\n${H}Content-Length: +${inner.length}\r\n\r\n${inner}`,
	'CL in octal': `POST /api/raw HTTP/1.1\r\n${H}Content-Length: 0${inner.length}\r\n\r\n${inner}`,
	'body of a GET': `GET /api/hello HTTP/1.1\r\n${H}Content-Length: ${inner.length}\r\n\r\n${inner}`,
	'body of a DELETE': `DELETE /api/things/1 HTTP/1.1\r\n${H}Content-Length: ${inner.length}\r\n\r\n${inner}`,
	'body where none belongs': post('/api/plain', 'application/json', inner),
	'body of a refused one': post('/api/nope', 'text/plain', inner),
	'body the gate refuses': post('/api/echo', 'application/json', inner, 'X-Gate: no\r\n'),
	'chunk sizes past 2^64': `POST /api/raw HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n1${'0'.repeat(16)}\r\n${inner}\r\n0\r\n\r\n`,
	'chunk extension with LF': `POST /api/raw HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n1;\n${chunk}`,
	'trailer that is a header': `POST /api/raw HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: ${inner.length}\r\n\r\n${inner.replace('smuggled', 'second')}`,
	'expect and a body at once': post('/api/nope', 'text/plain', inner, 'Expect: 100-continue\r\n'),
	'upgrade and a request behind': `GET /ws HTTP/1.0\r\n${H}Upgrade: websocket\r\n\r\n`,
};
// 422: HAProxy's word for an encoding it does not know.
const statuses = new Set([100, 200, 201, 204, 400, 401, 403, 404, 405, 408, 411, 413, 414, 415, 417, 422, 426, 431, 501, 502, 505]);

for (const name of ['nginx', 'haproxy']) {
	test(`D16: behind ${name}, one request is one request`, async (t) => {
		backend.links.clear();
		const rows = [...Object.entries(refused).map(([n, [, bytes]]) => [n, bytes]), ...Object.entries(hidden)];
		assert.ok(rows.length >= 93, `${rows.length} rows`);
		const count = {};
		let next = 0;
		await Promise.all(Array.from({ length: 8 }, async () => {
			while (next < rows.length) {
				const [what, bytes] = rows[next++];
				const text = await exchange(name, bytes);
				const { replies } = parse(text, bytes.startsWith('HEAD'));
				for (const r of replies) {
					assert.ok(statuses.has(r.status), `${what}: ${r.status}`);
					assert.ok(!/"id":"smuggled"/.test(r.body), `${what}: ${r.body}`);
				}
				count[replies[0]?.status ?? 'none'] = (count[replies[0]?.status ?? 'none'] ?? 0) + 1;
				// Whoever comes next over the same connections gets his own answer.
				const victim = `v${next}-${Math.random().toString(36).slice(2)}`;
				const own = parse(await exchange(name, get(`/api/things/${victim}`, 'Connection: close\r\n')), false).replies;
				assert.equal(own[0]?.status, 200, `${what}: then ${JSON.stringify(own)}`);
				assert.equal(JSON.parse(own[0].body).id, victim, what);
			}
		}));
		for (const link of backend.links) {
			const { up, down } = link.seen;
			const asked = up.match(/\r\nx-front: yes/gi)?.length ?? 0;
			const answered = down.match(/HTTP\/1\.[01] [2-5]\d\d /g)?.length ?? 0;
			assert.ok(answered <= asked, `${answered} answers to ${asked} requests:\n${up.slice(0, 4000)}`);
		}
		t.diagnostic(`${rows.length} rows: ${JSON.stringify(count)}`);
	});
}

test('D17: slow heads, bodies and readers beside ordinary traffic', async (t) => {
	const n = size(150, 5000);
	const r = await world();
	const ann = await r.user();
	const calm = usage(r.process.pid).fds;
	const slow = [];
	let cut = 0;
	const open = (bytes, drip) => new Promise((done) => {
		const s = net.connect(r.port, '127.0.0.1');
		const timer = drip && setInterval(() => s.write(drip), 1000);
		s.on('error', () => {});
		s.once('close', () => { clearInterval(timer); cut++; });
		s.once('connect', () => { s.write(bytes); done(s); });
		if (!drip) s.pause();
		else s.resume();
	});
	const host = `Host: localhost\r\nAuthorization: Bearer ${ann.key}\r\n`;
	for (let i = 0; i < n; i += 50) {
		slow.push(...await Promise.all(Array.from({ length: 50 }, (_, k) => [
			() => open(`GET /livez HTTP/1.1\r\n${host}X-A: `, 'a'),
			() => open(`POST /api/v1/generations HTTP/1.1\r\n${host}Content-Type: application/json\r\nContent-Length: 50000\r\n\r\n{`, ' '),
			// The list of models, again and again: cheap to make, and never read.
			() => open(`GET /api/v1/models HTTP/1.1\r\n${host}\r\n`.repeat(16), null),
		][k % 3]())));
	}
	const took = [];
	// Two thirds of them drip: they are cut while they do.
	while (cut < Math.floor(slow.length * 2 / 3) - 2) {
		const start = performance.now();
		assert.equal((await ann.get('/credits')).status, 200);
		took.push(performance.now() - start);
	}
	took.sort((a, b) => a - b);
	t.diagnostic(`${slow.length} slow, ${took.length} ordinary requests, p50 ${took[took.length >> 1].toFixed(0)} ms, `
		+ `p99 ${took[Math.floor(took.length * 0.99)].toFixed(0)} ms`);
	for (const s of slow) s.destroy();
	await until('descriptors are back', () => usage(r.process.pid).fds <= calm + 8);
	assert.ok(await metric(r, 'reeld_loop_slow_turns_total') >= 0);
});

if (full) test('D17: slowhttptest', async () => {
	execFileSync('which', ['slowhttptest']);
	const r = await world();
	const calm = usage(r.process.pid).fds;
	for (const mode of [['-H'], ['-B'], ['-X']]) {
		const p = new Process(['slowhttptest', ...mode, '-c', '5000', '-r', '500', '-i', '5', '-l', '60', '-u', `${r.url}/livez`, '-x', '24', '-p', '3'], { name: 'slowhttptest' });
		let served = 0;
		while (!p.ended) {
			assert.equal((await r.call('GET', '/livez')).status, 200);
			served++;
		}
		assert.ok(served > 0);
	}
	await until('descriptors are back', () => usage(r.process.pid).fds <= calm + 8);
});
