// soak.mjs - half a load for half an hour with a random fault every 20 s, then
// the slopes: memory, descriptors, files, outbox, loop lag, books.
//
//   make soak                     SOAK_MINUTES=30 SOAK_RATE=1 SOAK_SEED=…
//
// SOAK_RATE: orders a second.  The seed is printed; it chooses the faults.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { children_of } from '../it/services.mjs';
import { png } from '../it/png.mjs';
import { fakeFal, order, rule, until, usage, wire, world } from './kit.mjs';

const minutes = Number(process.env.SOAK_MINUTES ?? 30);
const rate = Number(process.env.SOAK_RATE ?? 1);
let seed = Number(process.env.SOAK_SEED ?? Date.now() % 1e6);
const FAULT_EVERY_MS = 20000;
const sleep = (ms) => new Promise((r) => { setTimeout(r, ms); });
const random = (below) => { seed = (seed * 1103515245 + 12345) % 2147483648; return Math.floor(seed / 65536) % below; };

// Least squares: the slope per x and how sure it is (two standard errors).
export function slope(points) {
	const n = points.length;
	const mx = points.reduce((s, p) => s + p[0], 0) / n, my = points.reduce((s, p) => s + p[1], 0) / n;
	const sxx = points.reduce((s, [x]) => s + (x - mx) ** 2, 0);
	const b = points.reduce((s, [x, y]) => s + (x - mx) * (y - my), 0) / sxx;
	const rest = points.reduce((s, [x, y]) => s + (y - my - b * (x - mx)) ** 2, 0);
	return { per: b, sure: 2 * Math.sqrt(rest / Math.max(1, n - 2) / sxx) };
}
// The bucket that holds 99 of 100, from two readings of the histogram.
async function lags(r) {
	const { body } = await r.call('GET', '/metrics');
	return [...body.matchAll(/^reeld_loop_lag_seconds_bucket\{le="([^"]+)"\} (\d+)$/gm)]
		.map(([, le, n]) => [le === '+Inf' ? Infinity : Number(le), Number(n)]);
}
const bound_above = (s) => [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, Infinity].find((b) => b >= s);
function p99(before, after) {
	const n = after.map(([le, x], i) => [le, x - before[i][1]]);
	return n.find(([, x]) => x >= n.at(-1)[1] * 0.99)[0];
}

// An idle process beside it with the same timer: what the machine itself adds.
function bystander() {
	const child = spawn(process.execPath, ['-e', `const all = []; let due = performance.now() + 100;
		const tick = () => { all.push(performance.now() - due); due = performance.now() + 100; setTimeout(tick, 100); };
		setTimeout(tick, 100); process.on('SIGTERM', () => { all.sort((a, b) => a - b);
		console.log(all[Math.floor(all.length * 0.99)] / 1000); process.exit(); });`], { stdio: ['ignore', 'pipe', 'inherit'] });
	let out = '';
	child.stdout.on('data', (d) => { out += d; });
	const gone = new Promise((done) => { child.once('close', done); });
	return async () => { child.kill('SIGTERM'); await gone; return Number(out); };
}

test(`soak: ${minutes} min, seed ${seed}`, async (t) => {
	const say = (text) => { t.diagnostic(text); console.error(`soak: ${text}`); };
	say(`seed ${seed}`);
	const fal = await fakeFal();
	const fal_wire = await wire({ port: Number(new URL(fal.url).port) });
	fal.url = fal_wire.url;
	const r = await world({ fal, pg: true, redis: true, own_pg: true,
		env: { REELD_PROVIDER_FAL_BASE_URL: fal_wire.url, REELD_DB_TIMEOUT: '2s', REELD_LOG_LEVEL: 'error' } });
	const twin = await r.twin();
	r.crashed = true; // the twin is killed now and then
	const ann = await r.user({ credits: 1_000_000_000 });
	await Promise.all(Array.from({ length: 4 }, () => order(ann, fal)));
	await until('quiet', async () => (await ann.get('/generations?limit=1')).body.data[0]?.status === 'completed');
	const baseline = usage(r.process.pid);

	const still = async (pids, ms) => {
		for (const pid of pids) process.kill(pid, 'SIGSTOP');
		await sleep(ms);
		for (const pid of pids) process.kill(pid, 'SIGCONT');
	};
	const shake = (w, faults) => async () => {
		w.set(faults);
		if (faults.accept) w.reset();
		await sleep(4000);
		w.set();
		if (faults.drop || faults.duplicate) w.cut();
	};
	const faults = {
		'redis killed': async () => { await r.redis.kill9(); await sleep(3000); await r.redis.up(); },
		'redis still': () => still([r.redis.process.pid], 5000),
		'postgres killed': async () => { await r.pg.kill9(); await sleep(1000); await r.pg.up(); },
		'postgres still': () => still([r.pg.process.pid, ...children_of(r.pg.process.pid)], 3000),
		'postgres cut': async () => r.pg_wire.cut(),
		'postgres late': shake(r.pg_wire, { latency_ms: 30, jitter_ms: 60 }),
		'postgres silent': shake(r.pg_wire, { drop: 'down' }),
		'a commit lost': async () => { await Promise.race([Promise.all([1, 2, 3].map(() => r.pg_wire.commit(/^(attempt_|generation_)/, 'lose'))), sleep(4000)]); r.pg_wire.orders.length = 0; },
		'redis in pieces': shake(r.redis_wire, { split: true }),
		'provider half-open': shake(fal_wire, { accept: 'half-open' }),
		'provider resets': shake(fal_wire, { accept: 'reset' }),
		'provider slow': shake(fal_wire, { rate: 20000 }),
		'provider says it twice': shake(fal_wire, { duplicate: true }),
		'helpers killed': async () => { for (const pid of children_of(r.process.pid)) process.kill(pid, 'SIGKILL'); },
		'twin killed': async () => { await twin.kill9(); await twin.restart(); },
	};

	const end = Date.now() + minutes * 60000;
	const over = () => Date.now() >= end;
	const pending = new Set();
	const count = { orders: 0, reads: 0, refused_reads: 0, uploads: 0, faults: {} };
	const failed = [];
	const run = async () => {
		while (!over()) {
			const p = order(ann, fal, { polls: random(4), result: random(20) === 0 ? 'failed' : 'ok', video: random(10) === 0 ? 'drip' : 'ok' },
				{ limit_ms: 300000 }).then(() => { count.orders++; }, (e) => failed.push(e));
			pending.add(p);
			p.finally(() => pending.delete(p));
			await sleep(1000 / rate * (0.5 + random(1000) / 1000));
		}
	};
	const read = async () => {
		while (!over()) {
			const x = await ann.get('/generations?limit=20').catch(() => ({ status: 0 }));
			if (x.status === 200) count.reads++;
			else count.refused_reads++;
			await sleep(100);
		}
	};
	const upload = async () => {
		while (!over()) {
			const form = new FormData();
			form.append('file', new Blob([png(64 + random(64), 48)], { type: 'image/png' }), 'a.png');
			const x = await ann.fetch('/api/v1/uploads', { method: 'POST', body: form }).catch(() => null);
			if (x?.status === 201) {
				count.uploads++;
				await ann.delete(`/assets/${(await x.json()).id}`).catch(() => null);
			} else await x?.text().catch(() => '');
			await sleep(5000);
		}
	};
	const listen = async () => {
		while (!over()) {
			const live = await r.ws(ann.key).catch(() => null);
			if (live && !live.refused) {
				await live.subscribe('user:me').catch(() => null);
				await Promise.race([live.over, sleep(15000 + random(20000))]);
				live.socket.terminate();
			} else await sleep(1000);
		}
	};
	const break_things = async () => {
		// Each kind once before memory is looked at: the first of a kind takes some for good.
		const names = Object.keys(faults), first = [...names];
		while (!over()) {
			await sleep(Math.min(FAULT_EVERY_MS, Math.max(0, end - Date.now())));
			if (over()) return;
			const name = first.shift() ?? names[random(names.length)];
			await faults[name]();
			count.faults[name] = (count.faults[name] ?? 0) + 1;
		}
	};
	const points = [];
	let lag_before = null, beside = null;
	const warm = Date.now() + minutes * 60000 * 0.3;
	const watch = async () => {
		while (!over()) {
			if (r.process.ended) throw new Error(`reeld ended: ${r.logs().slice(-3000)}`);
			if (Date.now() > warm) {
				lag_before ??= await lags(r);
				beside ??= bystander();
				points.push([Date.now() / 3600000, usage(r.process.pid).rss]);
			}
			await sleep(2000);
		}
	};
	await Promise.all([run(), read(), upload(), ...Array.from({ length: 8 }, listen), break_things(), watch()]);
	for (const w of [r.pg_wire, r.redis_wire, fal_wire]) w.set();
	await Promise.all(pending);
	assert.deepEqual(failed, []);
	const lag = p99(lag_before, await lags(r));
	const machine = await beside();
	const ends = await rule(r, { limit_ms: 600000 });
	await until('descriptors are back', () => usage(r.process.pid).fds <= baseline.fds + 5, 120000);
	const { per, sure } = slope(points);
	say(`memory each minute: ${points.filter((p, i) => i % 30 === 0).map((p) => p[1].toFixed(1)).join(' ')}`);
	say(JSON.stringify({ ...count, ...ends, audit: 'clean' }));
	say(`memory ${per.toFixed(2)} MB/h +- ${sure.toFixed(2)}, now ${usage(r.process.pid).rss.toFixed(1)} MB, at first ${baseline.rss.toFixed(1)} MB; `
		+ `loop lag p99 <= ${lag * 1000} ms, of an idle process ${(machine * 1000).toFixed(1)} ms; descriptors ${usage(r.process.pid).fds}, at first ${baseline.fds}`);
	// Under a third of a megabyte in all is no slope: pages come one by one.
	const grown = per * (points.at(-1)[0] - points[0][0]);
	assert.ok(per - sure < 1 || grown < 0.35, `memory grows by ${per} +- ${sure} MB an hour`);
	// A machine that others use is late by itself: then not later than twice that.
	assert.ok(lag <= Math.max(0.02, 2 * machine) || lag <= bound_above(machine), `loop lag p99 <= ${lag} s, of an idle process ${machine} s`);
	assert.ok(count.orders > 0 && count.reads > 0 && count.uploads > 0);
});
