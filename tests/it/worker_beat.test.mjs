// worker_beat.test.mjs - reel-worker against a server that takes its time: a
// worker that is silent for 45 s loses its job, so it beats while it sends.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import http from 'node:http';
import { join } from 'node:path';
import { rmSync, writeFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { Process, build, temp_dir } from './services.mjs';

const dir = temp_dir('beat');
const job = randomUUID();
const said = []; // what it sent, in order
let sending = false; // what is made is sent, wanted or not
let tell;
const done = new Promise((ok) => { tell = ok; });
let beats = []; // who waits for a heartbeat of the job

const server = http.createServer(async (req, res) => {
	const url = new URL(req.url, 'http://x');
	const answer = (status, body) => {
		res.writeHead(status, { 'content-type': 'application/json' });
		res.end(body && JSON.stringify(body));
	};
	const beat = () => new Promise((ok) => { beats.push(ok); });
	if (/upload$/.test(url.pathname)) {
		// Nothing of it is read, then nothing is answered, until it beats.
		sending = true;
		await beat();
		for await (const p of req) said.push(['bytes', p.length]);
		await beat();
		said.push(['upload']);
		return answer(200, {});
	}
	let text = '';
	for await (const p of req) text += p;
	const body = text ? JSON.parse(text) : {};
	if (/register$/.test(url.pathname)) return answer(200, { worker_id: randomUUID(), heartbeat_s: 1 });
	if (/heartbeat$/.test(url.pathname)) {
		if (body.job === job) for (const ok of beats.splice(0)) ok();
		return answer(200, { cancel: sending, drain: false });
	}
	if (/claim$/.test(url.pathname)) {
		if (said.length > 0) return answer(204);
		said.push(['claim']);
		return answer(200, { jobId: job, jobType: 'video', token: 'x'.repeat(43), prompt: 'x',
			baseUrl: 'http://other.example', startImageUrl: `http://other.example/api/v1/worker/jobs/${job}/input/start` });
	}
	if (/input\/start$/.test(url.pathname)) {
		await beat();
		said.push(['input', req.headers['x-job-token']]);
		res.writeHead(200);
		return res.end('image');
	}
	if (/complete$|fail$/.test(url.pathname)) tell(url.pathname.split('/').pop());
	return answer(200, { ok: true, success: true, cancel: false });
});
await new Promise((ok) => { server.listen(0, '127.0.0.1', ok); });
after(() => {
	server.closeAllConnections();
	server.close();
	rmSync(dir, { recursive: true });
});

test('it beats while it fetches and while it sends', async () => {
	writeFileSync(join(dir, 'key'), 'rld_live_x', { mode: 0o600 });
	// More than the sockets' buffers hold.
	const p = new Process([join(build, 'reel-worker'), '--url', `http://127.0.0.1:${server.address().port}`,
		'--key-file', join(dir, 'key'), '--work-dir', join(dir, 'jobs'), '--name', 'w',
		'--on', "video=head -c 33554432 /dev/zero > \"$REEL_OUTPUT\""], { name: 'reel-worker' });
	try {
		const end = await Promise.race([done, p.gone.then(() => 'gone')]);
		assert.equal(end, 'complete', p.log);
		assert.deepEqual(said[1], ['input', 'x'.repeat(43)]);
		assert.deepEqual(said.at(-1), ['upload']);
		assert.equal(said.filter((one) => one[0] === 'bytes').reduce((sum, one) => sum + one[1], 0), 33554432);
	} finally {
		await p.kill('SIGTERM');
	}
	assert.doesNotMatch(p.log, /Sanitizer|runtime error/);
});
