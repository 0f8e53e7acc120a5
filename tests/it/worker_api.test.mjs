// worker_api.test.mjs - the endpoints of GPU workers, played by hand: rights,
// claims, uploads, ends, and what a worker may not do.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { reeld } from './env.mjs';

let r, ann, key, video, id;
const post = (path, json, headers = {}, who = key) =>
	r.call('POST', `/api/v1/worker${path}`, { key: who, json, headers });
const upload = (attempt, body, headers = {}, who = key) =>
	r.call('PUT', `/api/v1/worker/jobs/${attempt}/upload`, { key: who, body,
		headers: { 'content-type': 'video/mp4', ...headers } });

before(async () => {
	r = await reeld();
	ann = await r.user({ credits: 1000000 });
	const op = await r.user({ role: 'operator' });
	key = await r.key(op.email, 'worker');
	const dir = mkdtempSync(join(tmpdir(), 'reeld-clip-'));
	execFileSync('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', 'testsrc=size=320x240:rate=24:duration=2',
		'-pix_fmt', 'yuv420p', join(dir, 'clip.mp4')]);
	video = readFileSync(join(dir, 'clip.mp4'));
	rmSync(dir, { recursive: true });
	id = (await post('/register', { name: 'hand', version: '1', capabilities: ['video'], gpu_name: 'none' })).body.worker_id;
	assert.ok(id);
});

// Claims until it is the generation's turn.
async function claim(generation) {
	const got = await post('/claim', { worker_id: id, wait_s: 20 });
	assert.equal(got.status, 200, JSON.stringify(got.body));
	assert.equal(got.body.videoId, generation);
	return got.body;
}

test('only a worker key of an operator', async () => {
	const user = await r.user({ scopes: 'generate,read' });
	const sneaky = await r.key(user.email, 'worker');
	for (const [who, status] of [[null, 401], [user.key, 403], [sneaky, 403]]) {
		assert.equal((await post('/register', { name: 'x' }, {}, who)).status, status);
		assert.equal((await post('/claim', { worker_id: id, wait_s: 0 }, {}, who)).status, status);
	}
	assert.equal((await post('/claim', { worker_id: id, wait_s: 26 })).status, 422);
	assert.equal((await post('/heartbeat', { worker_id: randomUUID(), job: null })).status, 404);
	assert.deepEqual((await post('/heartbeat', { worker_id: id, job: null })).body, { cancel: false, drain: false });
	assert.equal((await post('/claim', { worker_id: id, wait_s: 0 })).status, 204);
});

test('claim, progress, upload, complete', async () => {
	const waiting = post('/claim', { worker_id: id, wait_s: 20 }); // before there is work
	const g = await ann.submit({ prompt: 'by hand' });
	const job = (await waiting).body;
	assert.equal(job.videoId, g.id);
	for (const name of ['jobId', 'userId', 'jobType', 'prompt', 'timestamp', 'uploadUrl', 'callbackUrl']) {
		assert.ok(job[name], `${name} in ${JSON.stringify(job)}`);
	}
	const token = job.token ?? job.jobToken;
	const mine = { 'x-job-token': token };
	const base = `/jobs/${job.jobId}`;
	assert.equal((await post(`${base}/start`, { worker_id: id }, mine)).status, 200);
	const other = (await post('/register', { name: 'other' })).body.worker_id;
	assert.equal((await post(`${base}/start`, { worker_id: other }, mine)).status, 409);
	assert.deepEqual((await post(`${base}/progress`, { worker_id: id, percent: 40 }, mine)).body, { cancel: false });
	assert.equal((await ann.get(`/generations/${g.id}`)).body.progress, 40);
	assert.equal((await post(`${base}/progress`, { worker_id: id, percent: 140 }, mine)).status, 422);
	assert.equal((await post(`${base}/complete`, { worker_id: id }, mine)).status, 422); // nothing was sent
	for (const forged of ['x', randomBytes(32).toString('base64url')]) {
		assert.equal((await upload(job.jobId, video, { 'x-job-token': forged })).status, 401);
		assert.equal((await post(`${base}/progress`, { percent: 50 }, { 'x-job-token': forged })).status, 401);
		assert.equal((await post(`${base}/complete`, {}, { 'x-job-token': forged }, null)).status, 401);
	}
	assert.equal((await upload(job.jobId, video, {}, null)).status, 401);
	const sent = await upload(job.jobId, video, mine, null); // the token alone is enough
	assert.equal(sent.status, 200, JSON.stringify(sent.body));
	assert.deepEqual(sent.body, { size_bytes: video.length, sha256: createHash('sha256').update(video).digest('hex') });
	// A worker can't name somebody else's file.
	const end = { worker_id: id, result: { key: 'videos/other/secret.mp4', seed: 7 } };
	assert.deepEqual((await post(`${base}/complete`, end, mine)).body, { success: true });
	const done = await ann.ended(g.id);
	assert.equal(done.status, 'completed', JSON.stringify(done.error));
	const bytes = Buffer.from(await (await ann.fetch(`${done.video_url}`.replace('=video', '=original'))).arrayBuffer());
	assert.deepEqual(bytes, video);
	assert.equal((await post(`${base}/progress`, { worker_id: id, percent: 99 }, mine)).status, 410);
	assert.equal((await upload(job.jobId, video, mine)).status, 410);
	assert.equal((await post(`/jobs/${randomUUID()}/start`, { worker_id: id })).status, 404);
});

test('a failure for good refunds; one to try again goes back', async () => {
	const before = await ann.balance();
	const g = await ann.submit({});
	const job = await claim(g.id);
	const base = `/jobs/${job.jobId}`;
	assert.deepEqual((await post(`${base}/fail`, { worker_id: id, class: 'stopping', message: 'bye', retry: true })).body, { success: true });
	const again = await claim(g.id);
	assert.equal(again.jobId, job.jobId);
	assert.deepEqual((await post(`${base}/fail`, { worker_id: id, class: 'refused', message: 'no', retry: false })).body, { success: true });
	const over = await ann.ended(g.id);
	assert.equal(over.status, 'failed');
	assert.equal(over.error.code, 'safety_blocked');
	assert.equal(await ann.balance(), before);
});

test('a cancelled job tells its worker', async () => {
	const g = await ann.submit({});
	const job = await claim(g.id);
	await ann.post(`/generations/${g.id}/cancel`);
	const beat = await post('/heartbeat', { worker_id: id, job: job.jobId });
	assert.equal(beat.body.cancel, true);
	const said = await post(`/jobs/${job.jobId}/progress`, { worker_id: id, percent: 10 });
	assert.ok(said.status === 410 || said.body.cancel === true, JSON.stringify(said.body));
	await post(`/jobs/${job.jobId}/fail`, { worker_id: id, class: 'cancelled', message: 'cancelled', retry: false });
	assert.equal((await ann.ended(g.id)).status, 'cancelled');
});

test('the older callback does the same', async () => {
	const g = await ann.submit({});
	const job = await claim(g.id);
	const say = (json, headers = { 'x-job-token': job.token ?? job.jobToken }) =>
		r.call('POST', '/functions/v1/job-callback', { json, headers });
	assert.equal((await say({ status: 'completed' })).status, 400);
	assert.equal((await say({ jobId: job.jobId })).status, 400);
	assert.equal((await say({ jobId: job.jobId, status: 'completed' }, {})).status, 401);
	assert.equal((await say({ jobId: job.jobId, status: 'completed' }, { 'x-job-token': 'guess' })).status, 401);
	assert.equal((await say({ jobId: job.jobId, status: 'processing' })).status, 200);
	await upload(job.jobId, video);
	assert.deepEqual((await say({ jobId: job.jobId, status: 'completed', outputUrl: 'x' })).body, { success: true });
	assert.equal((await ann.ended(g.id)).status, 'completed');
	assert.deepEqual(await r.books(), {});
});

test('provider hooks: a token that is wrong says nothing', async () => {
	const hook = (path, body = '{}') => r.fetch(`/hooks/${path}`, { method: 'POST', body,
		headers: { 'content-type': 'application/json' } });
	// fal signs its webhooks: without a signature nothing is even looked up.
	assert.equal((await hook(`fal/${randomUUID()}/token`)).status, 401);
	assert.equal((await hook(`nobody/${randomUUID()}/token`)).status, 404);
	// Refused by its declared length: only the head is sent, so the answer
	// cannot be lost to a reset while a body is still on its way.
	const head = http.request(`${r.url}/hooks/fal/${randomUUID()}/token`, { method: 'POST',
		headers: { 'content-type': 'application/json', 'content-length': 1024 * 1024 + 1 } });
	head.on('error', () => {}); // our own end below
	head.flushHeaders();
	const [refused] = await once(head, 'response', { signal: AbortSignal.timeout(10000) });
	assert.equal(refused.statusCode, 413);
	head.destroy();
	assert.equal((await hook(`fal/${randomUUID()}/token`, 'no json')).status, 401);
});

test('callbacks: noise asks no database, and an address has its limit', async () => {
	const twin = await r.twin({ env: { REELD_LIMITS_HOOKS_PER_MINUTE: '1', REELD_LIMITS_HOOKS_BURST: '6',
		REELD_HTTP_TRUSTED_PROXIES: '127.0.0.1/32' } });
	const from = (ip, path, more = {}) => twin.call('POST', path, { json: {}, ...more,
		headers: { 'x-forwarded-for': ip, ...more.headers } });
	const asked = async (query) => Number((await twin.call('GET', '/metrics')).body
		.match(new RegExp(`^reeld_db_query_duration_seconds_count\\{query="${query}"\\} (\\d+)`, 'm'))?.[1] ?? 0);
	const good = randomBytes(32).toString('base64url');
	// replicate signs only where a secret is set: the token is all there is.
	const hook = (attempt, token) => from('203.0.113.1', `/hooks/replicate/${attempt}/${token}`);
	assert.equal((await hook('nonsense', good)).status, 404);
	for (const token of ['x', 'A'.repeat(42), 'A'.repeat(42) + '!', 'A'.repeat(44)]) {
		assert.equal((await hook(randomUUID(), token)).status, 401, token);
	}
	assert.equal(await asked('job_by_attempt'), 0);
	assert.equal((await hook(randomUUID(), good)).status, 404);
	assert.equal(await asked('job_by_attempt'), 1, 'a whole one does ask');
	const over = await hook(randomUUID(), good);
	assert.equal(over.status, 429);
	assert.equal(over.body.code, 'rate_limited');
	assert.ok(Number(over.headers.get('retry-after')) >= 1);
	assert.equal(await asked('job_by_attempt'), 1);
	// The older callback, from another address.
	const say = (headers) => from('203.0.113.2', '/functions/v1/job-callback',
		{ json: { jobId: randomUUID(), status: 'processing' }, headers });
	for (const token of ['x', good, good, good, good, good]) {
		assert.equal((await say({ 'x-job-token': token })).status, 401);
	}
	assert.equal(await asked('worker_job_start'), 0, 'a forged token asks nothing');
	let last;
	for (let i = 0; i < 2; i++) last = await say({ 'x-job-token': good });
	assert.equal(last.status, 429);
	assert.match((await twin.call('GET', '/metrics')).body, /^reeld_http_limited_total [2-9]/m);
	// An operator's key is known before anything is asked: not counted.
	for (let i = 0; i < 8; i++) {
		assert.equal((await from('203.0.113.2', '/functions/v1/job-callback', { key, json: { jobId: randomUUID(), status: 'processing' } })).status, 404);
	}
	await twin.stop();
});

test('probes and metrics', async () => {
	for (const path of ['/livez', '/readyz', '/healthz']) assert.equal((await r.fetch(path)).status, 200);
	const ready = await r.call('GET', '/readyz?verbose');
	assert.equal(ready.body.checks.database, 'ok');
	assert.equal((await r.call('GET', '/version')).body.name, 'reeld');
	const { body } = await r.call('GET', '/metrics');
	const seen = new Map();
	for (const line of body.split('\n').filter(Boolean)) {
		if (line.startsWith('# TYPE')) {
			const [, , name, type] = line.split(' ');
			assert.ok(!seen.has(name), `${name} twice`);
			seen.set(name, type);
		} else if (!line.startsWith('#')) {
			assert.match(line, /^[a-z_]+(\{[a-z_]+="[^"\n]*"(,[a-z_]+="[^"\n]*")*\})? -?[0-9.e+-]+$/);
			const name = line.match(/^[a-z_]+/)[0];
			const base = name.replace(/_(bucket|sum|count)$/, '');
			assert.ok(seen.has(name) || seen.has(base), line);
		}
	}
	for (const [name, type] of seen) {
		if (type === 'counter') assert.match(name, /_total$/);
		assert.doesNotMatch(name, /_ms$/);
	}
	assert.match(body, /^reeld_loop_lag_seconds_bucket\{le="\+Inf"\} [1-9]/m);
	assert.match(body, /reeld_http_requests_total\{method="POST",route="\/api\/v1\/generations",code="2xx"\} [1-9]/);
	assert.match(body, /reeld_jobs_finished_total\{outcome="completed"\} [1-9]/);
	assert.equal((await r.fetch('/metrics', { headers: { 'x-forwarded-for': '203.0.113.9' } })).status, 403);
});

// Last: this server is not to be used any more.
test('a schema that is older than the program is not ready', async () => {
	const [{ version }] = await r.psql('select max(version) as version from schema_migration');
	assert.equal((await r.call('GET', '/version')).body.schema, version);
	await r.psql('delete from schema_migration where version = $1', [version]);
	const old = await r.call('GET', '/readyz?verbose');
	assert.equal(old.status, 503);
	assert.match(old.body.checks.schema, new RegExp(`version \\d+, wanted ${version}: run reeld migrate`));
	await r.psql("insert into schema_migration (version, name, sha256) values (9999, 'x', 'x')");
	assert.equal((await r.call('GET', '/readyz')).status, 200);
});
