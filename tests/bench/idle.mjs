// idle - from exec to the first 200 of /readyz, and resident memory then,
// against a node:http server that says hello.  The daemon has its database
// and Redis connected by then; node has nothing to connect to.  Then what
// both use while nobody asks for anything: processor time and wake-ups.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Process, build } from '../it/services.mjs';
import { alternate, cpu_ms, free_port, report, rss_mib } from './lib.mjs';

const hello = `require('node:http').createServer((q, s) => s.end('{}')).listen(+process.argv[1], '127.0.0.1')`;

// The first answer, asked for without a pause.
async function answered(url, p) {
	for (;;) {
		if (p.ended) throw new Error(p.log);
		const r = await fetch(url()).catch(() => null);
		await r?.arrayBuffer();
		if (r?.ok) return;
	}
}

const IDLE_S = Number(process.env.BENCH_IDLE_SECONDS ?? 20);

// How often its threads went to sleep, which is how often they woke.
const sleeps = (pid) => readdirSync(`/proc/${pid}/task`).reduce((n, t) => n + Number(
	readFileSync(`/proc/${pid}/task/${t}/status`, 'utf8').match(/^voluntary_ctxt_switches:\s+(\d+)/m)[1]), 0);

// All at the same time: they do nothing.
async function rest(pids) {
	const before = pids.map((p) => [cpu_ms(p), sleeps(p)]), start = performance.now();
	await new Promise((done) => { setTimeout(done, IDLE_S * 1000); });
	const s = (performance.now() - start) / 1000;
	return pids.map((p, i) => ({ cpu: (cpu_ms(p) - before[i][0]) / s, wakes: (sleeps(p) - before[i][1]) / s }));
}

async function measure(argv, env, url) {
	const start = performance.now();
	const p = new Process(argv, { env });
	await answered(url, p);
	const ready = performance.now() - start, rss = rss_mib(p.pid);
	await p.kill('SIGTERM');
	return { ready, rss };
}

export default async function idle(server) {
	const ours = [], theirs = [];
	const [ready, ready_node] = await alternate(async (i) => {
		const file = join(server.dir, `idle.${i}`);
		const m = await measure([join(build, 'reeld'), 'serve', '--port-file', file],
			{ ...process.env, ...server.env },
			() => `http://127.0.0.1:${existsSync(file) ? readFileSync(file, 'utf8').trim() : '1'}/readyz`);
		ours.push(m.rss);
		return m.ready;
	}, async () => {
		const port = await free_port();
		const m = await measure([process.execPath, '-e', hello, String(port)], process.env,
			() => `http://127.0.0.1:${port}/`);
		theirs.push(m.rss);
		return m.ready;
	});
	report('idle-ready', ready, 'ms', ready_node, 'node:http', { want: 200, at: 'most', of: 'value' });
	const middle = (l) => l.sort((a, b) => a - b)[l.length >> 1];
	report('idle-rss', middle(ours), 'MiB', middle(theirs), 'node:http', { want: 25, at: 'most', of: 'value' });
	const port = await free_port(), node = new Process([process.execPath, '-e', hello, String(port)]);
	await answered(() => `http://127.0.0.1:${port}/`, node);
	const [us, them] = await rest([server.process.pid, node.pid]);
	await node.kill('SIGTERM');
	report('idle-cpu', us.cpu, 'ms/s', them.cpu || NaN, 'node:http');
	report('idle-wakeups', us.wakes, '/s', them.wakes || NaN, 'node:http');
}
