// D10: a disk that is full in the middle of a download, and one that fails to
// keep what was written. strace makes the system calls fail; no mount needed.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { png } from '../it/png.mjs';
import { fakeFal, order, rule, until, world } from './kit.mjs';

let fal, r, ann;
before(async () => {
	fal = await fakeFal();
	r = await world({ fal });
	ann = await r.user({ credits: 1_000_000 });
	await ann.ended((await order(ann, fal)).id); // its threads are there
});

// Attaches strace to the server: fails the calls that match until lift().
async function inject(...rules) {
	const child = spawn('strace', ['-f', '-q', '-e', `trace=${rules.map((x) => x.split(':')[0]).join(',')}`,
		...rules.flatMap((x) => ['-e', `inject=${x}`]), '-p', String(r.process.pid)], { stdio: ['ignore', 'ignore', 'pipe'] });
	let log = '';
	child.stderr.on('data', (d) => { log += d; });
	const gone = new Promise((done) => { child.once('exit', done); });
	await until(() => `strace is attached: ${log}`, () => {
		if (child.exitCode !== null) throw new Error(`strace: ${log}`);
		return readdirSync(`/proc/${r.process.pid}/task`).every((tid) => {
			const m = readFileSync(`/proc/${r.process.pid}/task/${tid}/status`, 'latin1').match(/TracerPid:\t(\d+)/);
			return Number(m[1]) === child.pid;
		});
	});
	return {
		hits: () => (log.match(/\(INJECTED\)/g) ?? []).length,
		log: () => log,
		async lift() { child.kill('SIGINT'); await gone; },
	};
}
const objects = () => (existsSync(join(r.dir, 'files', 'videos')) ? readdirSync(join(r.dir, 'files', 'videos')) : []);
const waiting = (id) => until('a try failed', async () => (await r.psql('select status from generations where id = $1', [id]))[0].status === 'finalizing');

test('no room in the middle of a download: it waits, and ends when there is', async () => {
	const before = objects().length;
	const fault = await inject('pwrite64:error=ENOSPC');
	const o = await order(ann, fal, { video: 'drip' });
	await until(() => `no room ${fault.log()}`, () => fault.hits() > 0);
	await waiting(o.id);
	assert.equal(objects().length, before, 'no part of it is to be seen');
	await fault.lift();
	assert.equal((await ann.ended(o.id, 150000)).status, 'completed');
	assert.equal(fal.submits[o.prompt], 1);
	await rule(r);
});

test('fsync fails: the bytes are not trusted, the video is fetched again', async () => {
	const before = objects().length;
	const fault = await inject('fsync:error=EIO:when=1');
	const o = await order(ann, fal);
	await until(() => `EIO ${fault.log()}`, () => fault.hits() > 0);
	const g = await ann.ended(o.id, 150000);
	await fault.lift();
	assert.equal(g.status, 'completed', JSON.stringify(g.error));
	assert.ok(fal.downloads[o.prompt] >= 2, 'fetched again');
	assert.equal(objects().length, before + 1);
	assert.match(r.logs(), /did not keep the file/);
	await rule(r);
});

test('uploads to a disk that fails: 507 or 503, and nothing stays', async () => {
	const send = async () => {
		const form = new FormData();
		form.append('file', new Blob([png(64, 48)], { type: 'image/png' }), 'a.png');
		const x = await ann.fetch('/api/v1/uploads', { method: 'POST', body: form });
		return { status: x.status, body: await x.json() };
	};
	const fault = await inject('fsync:error=EIO', 'linkat:error=ENOSPC', 'rename:error=ENOSPC');
	const x = await send();
	const hits = fault.hits();
	await fault.lift();
	assert.ok(hits > 0, fault.log());
	assert.ok([503, 507].includes(x.status), JSON.stringify(x));
	assert.equal((await ann.get('/assets')).body.data.filter((a) => a.kind !== 'video' && a.kind !== 'thumbnail').length, 0);
	assert.equal((await send()).status, 201);
	await rule(r);
});
