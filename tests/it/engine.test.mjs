// The engine against real PostgreSQL, real libav and a fake fal that plays
// scripts: every way a generation can go.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { mp4 } from '../fake/fal.mjs';
import { accepted, books, ended, fal, over, server, until, worker_world, world } from './engine_kit.mjs';

test('a file that the disk lost is fetched again', async () => {
	const w = await world();
	fal.barrier('video');
	const reached = fal.reached('video');
	const g = await w.submit({});
	const d = w.demo();
	await reached;
	const staged = readdirSync(join(w.dir, 'tmp')).filter((f) => f.endsWith('.part'));
	assert.equal(staged.length, 1);
	rmSync(join(w.dir, 'tmp', staged[0]));
	fal.release('video');
	const row = await ended(w, g.id, d);
	assert.equal(row.status, 'completed', d.log);
	assert.equal(fal.submits[g.prompt], 1);
	assert.equal(fal.downloads[g.prompt], 2);
	assert.deepEqual(readdirSync(join(w.dir, 'tmp')), []);
	await books(w, 90);
	assert.deepEqual(await d.kill('SIGTERM'), { code: 0, signal: null });
});

test('a video is made, stored, charged once', async () => {
	const w = await world();
	const g = await w.submit({ polls: 2, video: 'drip' });
	const d = w.demo();
	const row = await ended(w, g.id, d);
	assert.equal(row.status, 'completed', d.log);
	assert.equal(fal.submits[g.prompt], 1);
	assert.equal(row.video.width, 320);
	assert.equal(row.video.codec, 'h264');
	assert.ok(row.thumbnail_asset_id && row.video_asset_id);
	const assets = (await w.conn.query('select kind, key, size_bytes, width '
		+ 'from assets order by kind')).rows;
	assert.deepEqual(assets.map((a) => a.kind), ['thumbnail', 'video']);
	for (const a of assets) assert.ok(existsSync(join(w.dir, a.key)), a.key);
	assert.equal(assets[0].width, 480);
	assert.deepEqual(readdirSync(join(w.dir, 'tmp')), []);
	await books(w, 90);
	assert.deepEqual(await d.kill('SIGTERM'), { code: 0, signal: null });
});

const endings = [
	['a refusal', { submit: 'refused' }, 'failed', 'refused', 1],
	['bad input', { submit: '422' }, 'failed', 'bad_input', 1],
	['a failure of theirs', { result: 'failed' }, 'failed', 'provider', 1],
	['a late refusal', { result: 'refused' }, 'failed', 'refused', 1],
	['429, then fine', { submit: ['429', 'ok'] }, 'completed', null, 2],
	['503 until later, then fine', { submit: ['503-later', 'ok'] },
		'completed', null, 2],
	['an unknown word', { word: 'THINKING', polls: 2 }, 'completed', null, 1],
	['a dead link, then a fresh one', { video: ['403', 'ok'] }, 'completed',
		null, 1],
	['dead links for ever', { video: '403' }, 'failed', 'provider', 1],
	['a web page for a video', { video: 'html' }, 'failed', 'provider', 1],
	['rubbish for a video', { bytes: Buffer.alloc(5000, 'x') }, 'failed',
		'provider', 1],
];
for (const [name, plan, status, klass, submits] of endings) {
	test(name, async () => {
		const w = await world();
		const g = await w.submit(plan);
		const d = w.demo();
		const row = await ended(w, g.id, d);
		assert.equal(row.status, status, d.log);
		if (klass) assert.equal(row.error_class, klass);
		assert.equal(fal.submits[g.prompt], submits);
		await books(w, status === 'completed' ? 90 : 100);
		await d.kill('SIGTERM');
	});
}

for (const how of ['cut', 'cut-before', '500', '503', 'html', 'no-id']) {
	test(`submit ${how}: asked once, parked, the charge stands`, async () => {
		const w = await world();
		const g = await w.submit({ submit: how });
		const d = w.demo();
		const end = Date.now() + 20000;
		let job;
		do {
			job = await w.k.one('select status from jobs where '
				+ 'generation_id = $1', [g.id]);
			await new Promise((r) => { setTimeout(r, 20); });
		} while (job.status !== 'uncertain' && Date.now() < end);
		assert.equal(job.status, 'uncertain', d.log);
		assert.equal(fal.submits[g.prompt], 1);
		await books(w, 90);
		await d.kill('SIGTERM');
	});
}

test('a lost answer is found by its webhook', async () => {
	const w = await world();
	const g = await w.submit({ submit: 'cut' });
	const d = w.demo();
	await until(w, g.id, () => /orphan_submit/.test(d.log), d);
	let status;
	const job = fal.of(g.prompt);
	do {
		await fal.send_hook(job, 1);
		status = fal.hooks.at(-1).status;
	} while (status !== 200);
	for (let i = 0; i < 3; i++) await fal.send_hook(job, 1);
	const row = await ended(w, g.id, d);
	assert.equal(row.status, 'completed', d.log);
	assert.equal(fal.submits[g.prompt], 1);
	await books(w, 90);
	// Late and repeated ones change nothing.
	await fal.send_hook(job, 2);
	assert.equal(fal.hooks.at(-1).status, 200);
	assert.equal((await w.row(g.id)).version, row.version);
	await d.kill('SIGTERM');
});

test('cancel while it renders: the provider is told, refunded', async () => {
	const w = await world();
	const g = await w.submit({ polls: 1000 });
	const d = w.demo();
	await accepted(w, g, d);
	const c = await w.k.move('generation_cancel', g.id, w.user, w.user);
	assert.equal(c.outcome, 'cancelling');
	d.tell(`cancel ${g.id}`);
	const row = await ended(w, g.id, d);
	assert.equal(row.status, 'cancelled');
	assert.equal(fal.cancels[g.prompt], 1);
	await books(w, 100);
	await d.kill('SIGTERM');
});

test('cancel is noticed without a hint', async () => {
	const w = await world();
	const g = await w.submit({ polls: 1000 });
	const d = w.demo();
	await accepted(w, g, d);
	await w.k.move('generation_cancel', g.id, w.user, w.user);
	assert.equal((await ended(w, g.id, d)).status, 'cancelled');
	await books(w, 100);
	await d.kill('SIGTERM');
});

test('drain: another engine goes on at once', async () => {
	const w = await world();
	const g = await w.submit({ polls: 20 });
	const a = w.demo();
	await until(w, g.id, (r) => r.stage === 'generate', a);
	assert.deepEqual(await a.kill('SIGTERM'), { code: 0, signal: null });
	const job = await w.k.one('select owner, status from jobs');
	assert.equal(job.owner, null);
	const b = w.demo();
	assert.equal((await ended(w, g.id, b)).status, 'completed');
	assert.equal(fal.submits[g.prompt], 1);
	await books(w, 90);
	await b.kill('SIGTERM');
});

test('connections cut again and again: every job ends once', async () => {
	const w = await world();
	w.user = await w.k.user(200, 20);
	const d = w.demo();
	await d.up();
	const all = [];
	for (let i = 0; i < 16; i++) {
		all.push(await w.submit({ polls: i % 4,
			result: i % 4 === 0 ? 'failed' : 'ok' }));
		await w.conn.query('select pg_terminate_backend(pid) from '
			+ 'pg_stat_activity where usename = $1 and pid <> '
			+ 'pg_backend_pid() and datname = current_database()', ['reeld']);
		await new Promise((r) => { setTimeout(r, 40); });
	}
	let done = 0;
	for (const g of all) {
		const row = await ended(w, g.id, d);
		done += row.status === 'completed';
		assert.ok((fal.accepted[g.prompt] ?? 0) <= 1, 'paid twice');
	}
	assert.ok(done >= 8, `${done}`);
	await books(w, 200 - 10 * done);
	const lost = await w.k.one('select count(*) from jobs where owner is not '
		+ 'null');
	assert.equal(lost.count, 0);
	await d.kill('SIGTERM');
});

test('two engines, one killed: nothing is done twice', async () => {
	const w = await world();
	w.user = await w.k.user(200, 20);
	const all = [];
	for (let i = 0; i < 12; i++) {
		all.push(await w.submit({ polls: 3 + i % 3 }));
	}
	const a = w.demo();
	const b = w.demo();
	await until(w, all[6].id, (g) => g.stage === 'generate'
		|| g.stage === 'download' || over(g), a);
	await a.kill();
	for (const g of all) {
		const row = await until(w, g.id, (r) => over(r)
			|| r.stage === 'submit', b);
		if (!over(row)) continue; // killed in the middle of a submit: parked
		assert.equal(row.status, 'completed', b.log);
		assert.equal(fal.submits[g.prompt], 1);
	}
	assert.deepEqual(await w.k.audit(), {});
	await b.kill('SIGTERM');
});

test('our own worker: offered, uploaded, finished', async () => {
	const w = await worker_world();
	const g = await w.submit();
	const d = w.demo();
	const r = await w.take();
	assert.equal(r.generation_id, g.id);
	const key = `videos/${g.id}/upload.mp4`;
	mkdirSync(join(w.dir, 'videos', g.id), { recursive: true });
	writeFileSync(join(w.dir, key), mp4());
	const done = await w.k.one('select * from worker_job_complete($1, $2, '
		+ 'null, $3)', [r.attempt_id, w.me, JSON.stringify({ key })]);
	assert.equal(done.outcome, 'completed');
	const row = await ended(w, g.id, d);
	assert.equal(row.status, 'completed', d.log);
	assert.equal(row.video.width, 320);
	assert.ok(row.thumbnail_asset_id);
	await books(w, 90);
	await d.kill('SIGTERM');
});

test('our own worker refuses: failed and refunded', async () => {
	const w = await worker_world();
	const g = await w.submit();
	const d = w.demo();
	const r = await w.take();
	await w.k.one('select * from worker_job_fail($1, $2, null, $3, $4, $5, '
		+ 'false)', [r.attempt_id, w.me, 'bad_input', 'bad_input', 'no']);
	const row = await ended(w, g.id, d);
	assert.equal(row.status, 'failed');
	assert.equal(row.error_class, 'bad_input');
	await books(w, 100);
	await d.kill('SIGTERM');
});

test('cancelled before a worker took it: off, refunded', async () => {
	const w = await worker_world();
	const g = await w.submit();
	const d = w.demo();
	await until(w, g.id, (r) => r.stage === 'generate', d);
	await w.k.move('generation_cancel', g.id, w.user, w.user);
	d.tell(`cancel ${g.id}`);
	assert.equal((await ended(w, g.id, d)).status, 'cancelled');
	await books(w, 100);
	await d.kill('SIGTERM');
});

test('a provider that cannot be reached: three tries, refunded', async () => {
	const w = await world();
	const g = await w.submit();
	const d = w.demo({}, { url: 'http://127.0.0.1:1' });
	const row = await ended(w, g.id, d);
	assert.equal(row.status, 'failed');
	assert.equal(row.error_code, 'provider_unreachable');
	await books(w, 100);
	const n = await w.k.one('select count(*) from attempts');
	assert.equal(n.count, 3);
	await d.kill('SIGTERM');
});

// Without the sweep a queue of seven would take minutes.
test('a slot at the provider is taken when it is free, not by the sweep', async () => {
	const w = await world();
	await w.conn.query('update users set concurrent_limit = 20 where id = $1', [w.user]);
	const all = [];
	for (let i = 0; i < 6; i++) all.push(await w.submit({ submit: '422' }));
	all.push(await w.submit());
	fal.barrier('video'); // it downloads: its provider has no more to do
	all.push(await w.submit({ submit: '422' }));
	const d = w.demo({ DEMO_CONCURRENCY: '1', DEMO_SWEEP_MS: '3600000' });
	assert.equal((await ended(w, all[7].id, d)).status, 'failed');
	assert.equal((await w.row(all[6].id)).status, 'finalizing');
	fal.release('video');
	assert.equal((await ended(w, all[6].id, d)).status, 'completed');
	await books(w, 90);
	assert.equal((await d.kill('SIGTERM')).code, 0, d.log);
});

test('drain waits for the paid request on the wire', async () => {
	const w = await world();
	const g = await w.submit();
	fal.barrier('submit');
	const there = fal.reached('submit');
	const a = w.demo();
	await there;
	a.child.kill('SIGTERM');
	await until(w, g.id, (r) => r.status === 'processing', a);
	fal.release('submit');
	assert.deepEqual(await a.gone, { code: 0, signal: null });
	const b = w.demo();
	assert.equal((await ended(w, g.id, b)).status, 'completed', b.log);
	assert.equal(fal.submits[g.prompt], 1);
	await books(w, 90);
	await b.kill('SIGTERM');
});

test('the workers list is filled, and again after Redis lost it', async () => {
	const w = await worker_world();
	const sock = join(w.dir, 'redis.sock');
	const redis = spawn('redis-server', ['--port', '0', '--unixsocket', sock,
		'--save', '', '--dir', w.dir]);
	await new Promise((r) => redis.stdout.on('data', (d) => {
		if (/eady to accept/.test(d)) r();
	}));
	const cli = (...args) => execFileSync('redis-cli', ['-s', sock, ...args],
		{ encoding: 'utf8' }).trim();
	const g = await w.submit();
	const d = w.demo({}, { redis: `unix://${sock}` });
	const listed = async () => {
		while (cli('llen', 'job-queue') === '0') {
			await new Promise((r) => { setTimeout(r, 50); });
		}
		return JSON.parse(cli('lindex', 'job-queue', '0'));
	};
	const job = await listed();
	assert.equal(job.videoId, g.id);
	assert.equal(job.userId, w.user);
	assert.equal(job.jobType, 'video');
	assert.equal(job.prompt, g.prompt);
	assert.ok(job.token && job.uploadUrl.includes(job.jobId));
	cli('del', 'job-queue');
	assert.equal((await listed()).jobId, job.jobId);
	// The token is the one whose hash is in the attempt.
	const t = await w.k.one('select token_hash = sha256(convert_to($1, '
		+ "'UTF8')) as ok from attempts", [job.token]);
	assert.equal(t.ok, true);
	await d.kill('SIGTERM');
	redis.kill('SIGTERM');
});

test('a job that kills its engine three times is failed, refunded', async () => {
	const w = await world();
	const g = await w.submit({ polls: 0 });
	for (let i = 0; i < 3; i++) {
		const d = w.demo({ REELD_CRASH_AT: 'poll.done_seen' });
		assert.equal((await d.gone).signal, 'SIGKILL', d.log);
	}
	const d = w.demo();
	const row = await ended(w, g.id, d);
	assert.equal(row.status, 'failed');
	assert.equal(row.error_code, 'internal_poison');
	assert.equal(fal.submits[g.prompt], 1);
	await books(w, 100);
	await d.kill('SIGTERM');
});
