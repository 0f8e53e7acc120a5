// lib.mjs - what the benchmarks share: rounds that alternate between reeld and
// its peer, medians, load by wrk, what a process has used.
//
// A benchmark never passes or fails by time.  It fails when what it measured
// was wrong: another body, a refused request, a lost event.
import { execFile, execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { Process, until } from '../it/services.mjs';

const run = promisify(execFile);

export const seconds = Number(process.env.BENCH_SECONDS ?? 3);
export const rounds = Number(process.env.BENCH_ROUNDS ?? 5);

export const median = (list) => {
	const sorted = [...list].sort((a, b) => a - b);
	const half = sorted.length >> 1;
	return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
};

export const percentile = (list, p) => {
	const sorted = [...list].sort((a, b) => a - b);
	return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p / 100))];
};

const short = (x) => (x >= 100 ? x.toFixed(0) : x >= 1 ? x.toFixed(2) : x.toPrecision(3));

const rows = [];

// `bench NAME VALUE UNIT ratio=R peer=PEER`: R is reeld's value over the
// peer's, so for rates more is better and for costs less is.  Without a peer
// there is no ratio.  `want` is the target, of the ratio unless of: 'value'
// says otherwise; at: 'least' (default) or 'most'.
export function report(name, value, unit, peer_value, peer, { want, at = 'least', of = 'ratio' } = {}) {
	const ratio = peer === undefined ? NaN : value / peer_value;
	const got = of === 'ratio' ? ratio : value;
	const shown = peer === undefined ? '-' : short(ratio);
	console.log(`bench ${name} ${short(value)} ${unit} ratio=${shown} peer=${peer ?? '-'}`);
	rows.push([name, `${short(value)} ${unit}`, peer ?? '-', peer === undefined ? '-' : short(peer_value), shown,
		want === undefined ? '' : `${of} ${at === 'least' ? '>=' : '<='} ${want}`,
		want === undefined ? '' : (at === 'least' ? got >= want : got <= want) ? 'holds' : 'MISSED']);
}

// Every figure so far with its target; whether one holds is for the reader,
// never for the exit code.
export function table() {
	const all = [['figure', 'value', 'peer', "peer's", 'ratio', 'target', ''], ...rows];
	const width = all[0].map((_, i) => Math.max(...all.map((r) => r[i].length)));
	return all.map((r) => r.map((c, i) => c.padEnd(width[i])).join('  ').trimEnd()).join('\n');
}

// Runs ours and theirs in turn; the medians of what they return.
export async function alternate(ours, theirs) {
	const a = [], b = [];
	for (let i = 0; i < rounds; i++) {
		a.push(await ours(i));
		b.push(await theirs(i));
	}
	return [median(a), median(b)];
}

// Requests per second of wrk; any error or status of 400 and more is ours.
export const wrk = async (url, options) => rate_of(await wrk_run(url, options));

const rate_of = (stdout) => Number(stdout.match(/Requests\/sec: +([\d.]+)/)[1]);

// apart: on the load's processor, see pin().
async function wrk_run(url, { key, connections = 32, script, args = [], apart = false } = {}, flags = []) {
	const { stdout } = await run('taskset', ['-c', apart ? processors.load : processors.any,
		'wrk', '-t1', `-c${connections}`, `-d${seconds}s`, ...flags,
		...(key ? ['-H', `Authorization: Bearer ${key}`] : []),
		...(script ? ['-s', script] : []), url, ...(args.length ? ['--', ...args] : [])]);
	if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`${url}\n${stdout}`);
	return stdout;
}

// The same with how long the slowest hundredth took, in ms.
export async function wrk_latency(url, options) {
	const out = await wrk_run(url, options, ['--latency']);
	const [, value, unit] = out.match(/99%\s+([\d.]+)(us|ms|s)\b/);
	return { rate: rate_of(out), p99: value * { us: 0.001, ms: 1, s: 1000 }[unit] };
}

// What queue_peer.mjs measured, on a fresh database of the server's cluster or
// on its Redis.
export async function queue_peer(server, what, name, ...numbers) {
	let address = server.redis.url.replace('unix://', '');
	if (name !== 'bullmq') {
		const database = `peer_${randomUUID().slice(0, 8)}`;
		const root = await server.pg.connect('postgres');
		await root.query(`create database ${database} owner reeld`);
		await root.end();
		address = `postgres://reeld@/${database}?host=${encodeURIComponent(server.pg.dir)}`;
	}
	const { stdout } = await run(process.execPath, [new URL('queue_peer.mjs', import.meta.url).pathname,
		what, name, address, ...numbers.map(String)]);
	return JSON.parse(stdout);
}

const pgbench_path = ['15', '16', '17'].map((v) => `/usr/lib/postgresql/${v}/bin/pgbench`).find(existsSync);

// Transactions per second of pgbench on the server's database.
export async function pgbench(server, connections, args) {
	const { stdout } = await run(pgbench_path, ['-n', '-c', String(connections), '-j', '1', '-M', 'prepared',
		'-T', String(seconds), ...args, '-h', server.pg.dir, '-U', 'reeld', server.database]);
	if (!/number of failed transactions: 0 /.test(stdout)) throw new Error(`pgbench\n${stdout}`);
	return Number(stdout.match(/tps = ([\d.]+)/)[1]);
}

const last = availableParallelism() - 1;
const processors = { server: `${last}`, load: '0', any: `0-${last}` };

// The server and its peer have one processor to themselves, the last, and the
// load has the first; 'any' is for whoever comes next.  On a machine with one
// processor all share it.
export function pin(pid, what) {
	execFileSync('taskset', ['-acp', processors[what], String(pid)], { stdio: 'ignore' });
}

// A turn of the loop over 50 ms means that something held it up: it worked too
// long, or it waited.  When it did neither, the machine ran somebody else;
// that is told, but is not the server's fault.
export function no_slow_turn(server, from = 0) {
	const turns = server.logs().slice(from).match(/^.*slow turn.*$/mg) ?? [];
	const value = (line, name) => Number(line.match(new RegExp(` ${name}=(\\d+)`))[1]);
	const wrong = turns.find((l) => value(l, 'cpu_ms') >= 50 || value(l, 'waits') > 0);
	if (wrong) throw new Error(`the loop was held up: ${wrong}`);
	if (turns.length) console.log(`note: ${turns.length} slow turns while the machine ran something else`);
}

// A program that answers each command by one line.
export class Talk {
	constructor(argv) {
		this.child = spawn(argv[0], argv.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] });
		this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
	}

	async answer() {
		const { value, done } = await this.lines.next();
		if (done) throw new Error(`${this.child.spawnfile} ended`);
		return value;
	}

	ask(command) {
		this.child.stdin.write(`${command}\n`);
		return this.answer();
	}
}

// Nobody listens there a moment later, most likely: for peers that cannot
// tell the port they took.
export const free_port = () => new Promise((done) => {
	const server = createServer().listen(0, '127.0.0.1', () => {
		const { port } = server.address();
		server.close(() => done(port));
	});
});

export const rss_mib = (pid) => Number(readFileSync(`/proc/${pid}/status`, 'utf8')
	.match(/VmRSS:\s+(\d+)/)[1]) / 1024;

// Processor milliseconds so far, user and system.
export function cpu_ms(pid) {
	const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
	const f = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
	return (Number(f[11]) + Number(f[12])) * 10; // USER_HZ is 100
}

// nginx with one worker; http: more for its http block, location: what it says
// to everything. pid is the worker's.
export async function nginx(name, dir, http, location) {
	const port = await free_port(), url = `http://127.0.0.1:${port}/`;
	mkdirSync(join(dir, 'tmp'));
	writeFileSync(join(dir, 'nginx.conf'), `daemon off; worker_processes 1; pid ${dir}/pid;
user root; error_log ${dir}/error.log;
events { worker_connections 1024; }
http { access_log off; keepalive_requests 1000000000; default_type application/json;
client_body_temp_path ${dir}/tmp; proxy_temp_path ${dir}/tmp; fastcgi_temp_path ${dir}/tmp;
uwsgi_temp_path ${dir}/tmp; scgi_temp_path ${dir}/tmp; ${http}
server { listen 127.0.0.1:${port}; location / { ${location} } } }
`);
	const p = new Process(['nginx', '-p', dir, '-c', join(dir, 'nginx.conf')], { name });
	await until(() => `nginx\n${p.log}`, () => fetch(url).then(() => true, () => false));
	const master = p.child.pid;
	return { url, pid: Number(readFileSync(`/proc/${master}/task/${master}/children`, 'utf8')),
		stop: () => p.kill('SIGTERM') };
}
