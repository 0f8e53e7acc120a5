// drain - a full queue at a provider that answers at once: claim, attempt, one
// paid request, the end with its money in the ledger, against graphile-worker
// running tasks that do nothing, as many at once.
//
//   drain        the provider refuses each order, so that it ends failed and
//                paid back: all of the engine and the ledger, and no file
//   drain-video  whole generations: the provider calls back at once; poll,
//                download, probe, poster, two files stored, settled
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { reeld, until } from '../it/env.mjs';
import { temp_dir } from '../it/services.mjs';
import { alternate, cpu_ms, free_port, nginx, no_slow_turn, queue_peer, report } from './lib.mjs';

const SLOTS = 100, USERS = 8, IN_FLIGHT = 32;
const JOBS = Number(process.env.BENCH_DRAIN ?? 2000);
const VIDEOS = Number(process.env.BENCH_DRAIN_VIDEOS ?? 300);

// Nothing is sent to fal's account before that.
const hold = (server, until_sql) => server.psql(`update provider_accounts set hold_until = ${until_sql}
	where provider = 'fal'`);

// Orders that nobody may take yet.
export async function fill(server, people, n) {
	await hold(server, `now() + interval '1 hour'`);
	let left = n;
	await Promise.all(Array.from({ length: IN_FLIGHT }, async (_, i) => {
		while (left-- > 0) await people[(left + i) % people.length].submit({ model: 'kling-2.5' });
	}));
}

// Lets the engine at them; seconds until the last one has ended.
export async function empty(server) {
	await hold(server, 'null');
	const start = performance.now();
	await server.redis.command('publish', 'reeld:wake', 'claim');
	await all_ended(server);
	return (performance.now() - start) / 1000;
}

// Asked of the few accounts, a hundred times a second; the jobs themselves
// would be read whole, dead versions and all, by those who are measured.
export async function all_ended(server) {
	await until('all have ended', async () => (await server.psql(
		'select sum(active + waiting) = 0 as over from accounts'))[0].over, 600000);
	assert.ok((await server.psql('select not exists (select from jobs where finished_at is null) as over'))[0].over);
}

// What nginx says to an order when the file `refuse` is there.
const REFUSAL = JSON.stringify({ detail: [{ loc: ['body'], msg: 'value_error', type: 'value_error' }] });

// A fal of its own process; how: what every order meets. Refusals are nginx's,
// before the fake: with two processors for all, what a fake in node takes for
// an order is missing to those who are measured.
export async function provider(how) {
	const child = spawn('setpriv', ['--pdeathsig', 'SIGKILL', process.execPath,
		new URL('../fake/fal.mjs', import.meta.url).pathname], { stdio: ['ignore', 'pipe', 'inherit'] });
	const fake = String((await once(child.stdout, 'data'))[0]).trim();
	const dir = temp_dir('provider'), refuse = join(dir, 'refuse'), log = join(dir, 'refused.log');
	const front = await nginx('fal', dir, `log_format uri '$request_uri'; upstream fake { server ${fake.slice(7)}; keepalive 64; }`,
		`if (-f ${refuse}) { access_log ${log} uri; return 422 '${REFUSAL}'; }
		proxy_pass http://fake; proxy_http_version 1.1; proxy_set_header Connection "";`);
	const plan = async (json) => {
		if (json.submit === '422') writeFileSync(refuse, '');
		else rmSync(refuse, { force: true });
		await fetch(`${fake}/control/plan`, { method: 'POST', body: JSON.stringify({ prompt: '*', ...json }) });
	};
	await plan(how);
	return { url: front.url, plan, stop: () => { child.kill('SIGKILL'); return front.stop(); },
		env: { REELD_PROVIDER_FAL_BASE_URL: front.url.replace(/\/$/, ''), REELD_PROVIDER_FAL_KEY: 'test-id:test-secret',
			REELD_PROVIDER_FAL_ALLOW_PRIVATE: 'yes', REELD_PROVIDER_FAL_CONCURRENCY: String(SLOTS) },
		// How many orders were submitted, each once. Of those refused their
		// webhook's address, which has the attempt, is what is known.
		async asked() {
			const { submits } = await (await fetch(`${fake}/control/stats`)).json();
			for (const [prompt, n] of Object.entries(submits)) assert.equal(n, 1, `"${prompt}" was submitted ${n} times`);
			const refused = readFileSync(log, 'utf8').split('\n').filter(Boolean);
			assert.ok(refused.every((uri) => uri.includes('fal_webhook=')));
			assert.equal(new Set(refused).size, refused.length, 'an attempt was submitted twice');
			return Object.keys(submits).length + refused.length;
		} };
}

export async function customers(server, n = USERS) {
	const people = await Promise.all(Array.from({ length: n }, () => server.user({ credits: 100000000 })));
	await server.psql(`update users set concurrent_limit = 10000 where id = any ($1)`, [people.map((p) => p.id)]);
	return people;
}

async function rounds_of(server, fal, people, n, status, charge) {
	let orders = await fal.asked(), cpu = 0, spent = 0;
	const [ours, theirs] = await alternate(async () => {
		await fill(server, people, n);
		const before = cpu_ms(server.process.pid);
		const s = await empty(server);
		cpu += cpu_ms(server.process.pid) - before;
		spent += n;
		orders += n;
		assert.equal(await fal.asked(), orders, 'submits');
		return n / s;
	}, async () => (await queue_peer(server, 'drain', 'graphile-worker', JOBS, SLOTS)).rate);
	// Every order of this kind ended so, and so did its money and its event.
	const [found] = await server.psql(`select count(*) as n, count(*) filter (where g.status = $1
			and c.state = $2 and e.events = 1 and a.attempts = 1) as good
		from generations g join charges c on c.generation_id = g.id
			cross join lateral (select count(*) as attempts from attempts a where a.generation_id = g.id) a
			cross join lateral (select count(*) as events from events e where e.generation_id = g.id
				and e.type = 'generation.' || g.status) e
		where g.status = $1`, [status, charge]);
	assert.equal(found.good, spent, 'not all ended well');
	assert.equal(found.n, spent, 'not all ended alike');
	assert.deepEqual(await server.books(), {});
	return { ours, theirs, cpu: cpu / spent };
}

export default async function drain() {
	const port = await free_port();
	const fal = await provider({ submit: '422' });
	const server = await reeld({ env: { REELD_LOG_LEVEL: 'warn', REELD_DB_TIMEOUT: '60s',
		REELD_HTTP_LISTEN: `127.0.0.1:${port}`, REELD_HTTP_PUBLIC_URL: `http://127.0.0.1:${port}`, ...fal.env } });
	try {
		const people = await customers(server);
		const plain = await rounds_of(server, fal, people, JOBS, 'failed', 'refunded');
		report('drain', plain.ours, 'jobs/s', plain.theirs, 'graphile-worker', { want: 1 });
		await fal.plan({ tiny: true, polls: 0, hook: 'now' });
		const video = await rounds_of(server, fal, people, VIDEOS, 'completed', 'settled');
		const [{ n }] = await server.psql(`select count(*) as n from generations where media_state = 'stored'
			and video_asset_id is not null and thumbnail_asset_id is not null`);
		assert.equal(n, VIDEOS * Number(process.env.BENCH_ROUNDS ?? 5), 'videos or posters are missing');
		report('drain-video', video.ours, 'videos/s', video.theirs, 'graphile-worker');
		report('drain-cpu', plain.cpu, 'ms/job');
		report('drain-video-cpu', video.cpu, 'ms/video');
		no_slow_turn(server);
	} finally {
		await fal.stop();
		for (const one of [server, server.redis]) await one.stop();
	}
}
