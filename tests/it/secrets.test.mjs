// secrets.test.mjs - what must stay secret is said nowhere: canaries go
// through a sign-in, a paid generation, a worker's job and many failures at
// log level debug, and are then looked for in all that is written or shown.
import assert from 'node:assert/strict';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { before, test } from 'node:test';
import { cli, fakeFal, reeld, until, worker } from './env.mjs';

let r, fal, ann, w;
const secrets = {}; // what it is -> text
const said = []; // [where, text]
const shown = (where, text) => said.push([where, typeof text === 'string' ? text : JSON.stringify(text)]);

const forms = (secret) => [secret, encodeURIComponent(secret), Buffer.from(secret).toString('base64').replace(/=+$/, ''),
	Buffer.from(secret).toString('hex')];
function found() {
	const hits = [];
	for (const [where, text] of said) {
		for (const [what, secret] of Object.entries(secrets)) {
			for (const form of forms(secret)) {
				const at = text.indexOf(form);
				if (at >= 0) hits.push(`${what} in ${where}: ...${text.slice(Math.max(0, at - 120), at + 40)}`);
			}
		}
	}
	return hits;
}

// Requests whose reply nobody may find a secret in.
async function call(method, path, options) {
	const res = await r.call(method, path, options);
	shown(`reply of ${method} ${path.replace(/[\w-]{30,}/g, '*')}`, `${[...res.headers].join('\n')}\n${JSON.stringify(res.body)}`);
	return res;
}

before(async () => {
	fal = await fakeFal();
	const canary = (name) => secrets[name] = `canary${randomBytes(12).toString('hex')}`;
	const db_password = canary('database password');
	r = await reeld({ env: {
		...fal.env,
		REELD_LOG_LEVEL: 'debug',
		REELD_PROVIDER_FAL_KEY: `id:${canary('provider key')}`,
		REELD_PROVIDER_REPLICATE_WEBHOOK_SECRET: `whsec_${canary('webhook secret')}`,
		REELD_AUTH_SECRET: canary('auth secret'),
		REELD_S3_SECRET_KEY: canary('s3 secret'),
		REELD_OAUTH_GITHUB_SECRET: canary('oauth secret'),
		REELD_HTTP_PUBLIC_URL: 'http://video.example.org',
		REELD_HTTP_TRUSTED_PROXIES: '127.0.0.1/32',
	}, seed: async (self) => {
		self.env.DATABASE_URL += ` password=${db_password}`;
	} });
	ann = await r.user({ scopes: 'generate,read,admin', credits: 1000000 });
	secrets['api key'] = ann.key.slice(22);
	w = await worker(r, { use_redis: false });
	secrets['worker key'] = readFileSync(`${w.dir}/key`, 'utf8').trim().slice(22);
});

test('a sign-in, with its link, session and ticket', async () => {
	const token = secrets['login token'] = randomBytes(32).toString('base64url');
	await r.psql('select login_link_create($1, $2, 600)', [createHash('sha256').update(token).digest(), ann.id]);
	const signed = await r.call('POST', '/api/v1/auth/link', { json: { token } });
	assert.equal(signed.status, 200);
	const cookie = signed.headers.get('set-cookie').split(';')[0];
	secrets['session token'] = cookie.split('=')[1];
	const page = { cookie, origin: 'http://video.example.org', 'sec-fetch-site': 'same-origin' };
	assert.equal((await call('GET', '/api/v1/me', { headers: page })).status, 200);
	await call('GET', '/api/v1/sessions', { headers: page });
	await call('GET', '/api/v1/keys', { headers: page });
	const made = await r.call('POST', '/api/v1/keys', { headers: page, json: { name: 'k' } });
	secrets['made key'] = made.body.key.slice(22);
	await call('GET', '/api/v1/keys', { headers: page });
	const { body } = await r.call('POST', '/api/v1/ws/ticket', { headers: page });
	secrets['ws ticket'] = body.ticket;
	await call('GET', `/api/v1/ws?ticket=${body.ticket}`);
	await call('POST', '/api/v1/auth/link', { json: { token } }); // used up
	await call('GET', `/login/link?token=${token}`); // where the e-mail points
	await call('GET', '/api/v1/me', { headers: { authorization: `Bearer ${ann.key}x` } });
	await call('GET', `/api/v1/nowhere/${encodeURIComponent(cookie)}`.slice(0, 17), { headers: page });
	await call('POST', '/api/v1/generations', { headers: { ...page, origin: 'https://evil.example' }, json: {} });
});

test('a paid generation, and failures of all kinds', async () => {
	// The first of fal's models that needs nothing but a prompt.
	const list = (await r.call('GET', '/api/v1/models?mode=t2v&provider=fal')).body.data;
	const { slug } = list.find((one) => one.available);
	const plans = { good: { hook: true }, cut: { submit: 'cut-before' }, refused: { submit: 'refused' },
		html: { submit: 'html' }, failed: { result: 'failed' } };
	for (const [name, plan] of Object.entries(plans)) fal.plan(`canary-${name}`, plan);
	const all = await Promise.all(Object.keys(plans).map((name) => ann.submit({ model: slug, prompt: `canary-${name}` })));
	const good = await ann.until(all[0].id, (g) => ['completed', 'failed'].includes(g.status));
	assert.equal(good.status, 'completed', JSON.stringify(good.error));
	const job = await until('a hook', () => [...fal.jobs.values()].find((j) => j.prompt === 'canary-good' && j.hook));
	const hook = new URL(job.hook).pathname;
	secrets['hook token'] = hook.split('/').pop();
	// Right, unsigned, and not even JSON: it is in the path of each.
	for (const body of [JSON.stringify({ request_id: job.id, status: 'OK' }), '{}', '<']) {
		await call('POST', hook, { body, headers: { 'content-type': 'application/json' } });
	}
	await call('GET', hook);
	await call('POST', `${hook}/more`, { body: '{}' });
	for (const g of all) {
		for (const what of ['', '/status', '/events', '/attempts', '/receipt']) await call('GET', `/api/v1/generations/${g.id}${what}`, { key: ann.key });
		await call('GET', `/api/v1/admin/jobs/${g.id}`, { key: r.admin.key });
	}
	for (const path of ['overview', 'jobs', 'queues', 'workers', 'users', 'audit-log', 'audit/ledger']) await call('GET', `/api/v1/admin/${path}`, { key: r.admin.key });
});

test('the job of a worker, and what processes are called', async () => {
	const g = await ann.submit({ prompt: 'canary by a worker', duration: 4 });
	const seen = new Set();
	const look = () => {
		for (const pid of readdirSync('/proc').filter((d) => /^\d+$/.test(d))) {
			let line;
			try { line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '); } catch { continue; }
			if (!seen.has(line)) shown(`the command line of ${pid}`, line);
			seen.add(line);
		}
	};
	const timer = setInterval(look, 20);
	const done = await ann.ended(g.id);
	clearInterval(timer);
	look();
	assert.equal(done.status, 'completed', w.logs());
	assert.ok([...seen].some((line) => line.includes('reel-worker')), 'the command lines were not seen');
	// Its token, as the server makes it.
	const [attempt] = await r.psql('select id, token_hash from attempts where generation_id = $1', [g.id]);
	const { createHmac } = await import('node:crypto');
	const secret = createHash('sha256').update(secrets['auth secret']).digest();
	const token = secrets['job token'] = createHmac('sha256', secret).update(attempt.id).digest('base64url');
	assert.deepEqual(createHash('sha256').update(token).digest(), attempt.token_hash, 'the token is made otherwise');
	for (const end of ['start', 'progress', 'complete', 'fail']) {
		await call('POST', `/api/v1/worker/jobs/${attempt.id}/${end}`, { headers: { 'x-job-token': token }, json: { worker_id: randomUUID() } });
	}
	await call('GET', `/api/v1/worker/jobs/${attempt.id}/input/start`, { headers: { 'x-job-token': token } });
});

test('no secret is found anywhere', async () => {
	shown('metrics', (await r.call('GET', '/metrics', { key: r.admin.key })).body);
	const config = await r.cli('print-config');
	assert.match(config.out, /provider\.fal\.key/);
	shown('print-config', config.out + config.err);
	const bad = await r.cli('print-config', '--http-listen', 'nonsense', '--nonsense');
	shown('a bad command line', bad.out + bad.err);
	// The database goes away: what is said about its address?
	const lost = await reeld_without_database();
	shown('a lost database', lost);
	for (const { name } of await r.psql(`select format('%I.%I', table_schema, table_name) as name from information_schema.tables
		where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')`)) {
		const rows = await r.psql(`select to_jsonb(t)::text as row from ${name} t`);
		shown(`table ${name}`, rows.map((row) => row.row).join('\n'));
	}
	shown('log of reeld', r.logs());
	shown('log of reel-worker', w.logs());
	// The net has no holes: what is no secret is found.
	const all = said.map((one) => one[1]).join('\n');
	for (const known of [ann.email, 'canary by a worker', 'level=debug', ann.id]) assert.ok(all.includes(known), known);
	assert.ok(Object.keys(secrets).length >= 14, Object.keys(secrets).join());
	assert.deepEqual(found(), []);
	assert.deepEqual(await r.books(), {});
});

async function reeld_without_database() {
	const words = r.env.DATABASE_URL;
	const url = `postgresql://reeld:${secrets['database password']}@`;
	const runs = await Promise.all([words.replace(/host=\S+/, 'host=/nonexistent'), `${words} nonsense=1`,
		`${url}[bad/x`, `${url}127.0.0.1:1/x`].map((DATABASE_URL) => cli(['migrate'], { ...r.env, DATABASE_URL })));
	for (const one of runs) assert.notEqual(one.code, 0);
	return runs.map((one) => one.out + one.err).join('\n');
}
