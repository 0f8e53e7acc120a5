// poll - BENCH_JOBS (10,000) generations in flight at a fake fal that answers
// "still running" after 5 ms, each asked every 10 s +- 20 %: what the asking
// costs, and how late it is, against a bare poller of timers and undici.
// Both poll at the same time, each a fake of its own, so both meet the same
// machine.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { reeld, until } from '../it/env.mjs';
import { cpu_ms, no_slow_turn, report, rss_mib } from './lib.mjs';
import { seed } from './seed.mjs';

const JOBS = Number(process.env.BENCH_JOBS ?? 10000), WINDOW_MS = 40000;
const node = (file, ...args) => spawn('setpriv', ['--pdeathsig', 'SIGKILL', process.execPath,
	new URL(file, import.meta.url).pathname, ...args.map(String)], { stdio: ['ignore', 'pipe', 'inherit'] });
const line = async (child) => String((await once(child.stdout, 'data'))[0]).trim();

async function metric(server, name) {
	const text = await (await server.fetch('/metrics', { key: server.admin.key })).text();
	return Number(text.match(new RegExp(`^${name.replace(/[{}"=]/g, '\\$&')} ([\\d.]+)$`, 'm'))?.[1] ?? NaN);
}

export default async function poll() {
	const fakes = [node('poll_fake.mjs'), node('poll_fake.mjs')];
	const urls = await Promise.all(fakes.map(line));
	const server = await reeld({ env: { REELD_LOG_LEVEL: 'warn', REELD_DB_TIMEOUT: '60s',
		REELD_PROVIDER_FAL_BASE_URL: urls[0], REELD_PROVIDER_FAL_KEY: 'test-id:test-secret',
		REELD_PROVIDER_FAL_ALLOW_PRIVATE: 'yes', REELD_PROVIDER_FAL_CONCURRENCY: '100000' } });
	let peer;
	try {
		const people = await Promise.all(Array.from({ length: 4 }, () => server.user({ credits: 0 })));
		await seed(server, people.map((p) => p.id), JOBS, { state: 'polling', model: 'kling-2.5-turbo-pro' });
		peer = node('poll_peer.mjs', urls[1], JOBS, 10000);
		const ready = line(peer);
		// Six quick polls, then one in 10 s.
		await until('all are polled', async () => await metric(server, 'reeld_provider_requests_total{op="poll"}')
			>= 7 * JOBS, 300000);
		await ready;
		const writes = async () => Number((await server.psql(`select sum(n_tup_ins + n_tup_upd + n_tup_del) as n
			from pg_stat_user_tables where relname in ('generations', 'jobs', 'attempts', 'events', 'charges')`))[0].n);
		const asked = () => Promise.all(urls.map(async (u) => Number(await (await fetch(`${u}/count`)).text())));
		const late = async () => Promise.all(['reeld_job_timers_total', 'reeld_job_timers_late_total']
			.map((name) => metric(server, name)));
		peer.kill('SIGUSR2');
		await line(peer);
		const [w, [a0, b0], [t0, l0]] = [await writes(), await asked(), await late()];
		const [ours, theirs] = [cpu_ms(server.process.pid), cpu_ms(peer.pid)];
		await sleep(WINDOW_MS);
		const [cpu, peer_cpu] = [cpu_ms(server.process.pid) - ours, cpu_ms(peer.pid) - theirs];
		const [[a1, b1], [t1, l1]] = [await asked(), await late()];
		peer.kill('SIGUSR2');
		const theirs_late = JSON.parse(await line(peer));
		assert.equal(await metric(server, 'reeld_jobs_carried'), JOBS);
		for (const n of [a1 - a0, b1 - b0]) assert.ok(n > JOBS * WINDOW_MS / 10000 * 0.8, `polled ${n} times`);
		assert.equal(await writes() - w, 0, 'an unchanged poll wrote');
		report('poll-cpu', cpu / (a1 - a0) * 1000, 'us/poll', peer_cpu / (b1 - b0) * 1000, 'undici',
			{ want: 0.7, at: 'most' });
		report('poll-rss', rss_mib(server.process.pid), 'MiB', rss_mib(peer.pid), 'undici', { want: 1, at: 'most' });
		// At most 1 % over 100 ms: the 99th percentile is at most 100 ms.
		report('poll-late', 100 * (l1 - l0) / (t1 - t0), '% > 100 ms',
			100 * theirs_late.late / theirs_late.polls, 'undici', { want: 1, at: 'most', of: 'value' });
		no_slow_turn(server);
	} finally {
		peer?.kill('SIGKILL');
		for (const f of fakes) f.kill('SIGKILL');
		for (const one of [server, server.redis]) await one.stop();
	}
}
