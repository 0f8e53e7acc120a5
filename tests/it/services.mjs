// services.mjs - the programs that tests need around reeld: a private
// PostgreSQL cluster and redis-servers, all on unix sockets in a temporary
// folder, none of them outliving the test that started them.
//
// PostgreSQL is started once per run by tests/run.mjs, which names it in
// REELD_TEST_PG; a test file started by hand, or one that kills its database,
// gets its own. fsync stays on, as in production.
import { execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { appendFileSync, chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync,
	readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';

pg.types.setTypeParser(20, Number); // bigint: our numbers fit

export const top = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
export const build = process.env.REELD_BUILD ?? join(top, 'build');

const pg_bin = process.env.PG_BINDIR ?? ['15', '16', '17']
	.map((v) => `/usr/lib/postgresql/${v}/bin`).find((d) => existsSync(d));

export const temp_dir = (name) => {
	const dir = mkdtempSync(join(tmpdir(), `reeld-${name}-`));
	chmodSync(dir, 0o755);
	return dir;
};

// Looks again and again until check() gives something, or fails.
export async function until(what, check, limit_ms = 30000) {
	const end = Date.now() + limit_ms;
	for (;;) {
		const value = await check();
		if (value) return value;
		if (Date.now() > end) {
			throw new Error(`never: ${typeof what === 'function' ? what()
				: what}`);
		}
		await new Promise((r) => { setTimeout(r, 10); });
	}
}

// A program that dies with us. Its stderr and stdout are kept.
export class Process {
	constructor(argv, { env, cwd, as = [], name, dies = 'SIGKILL' } = {}) {
		this.name = name ?? argv[0].split('/').pop();
		this.log = '';
		this.out = '';
		this.child = spawn('setpriv', [...as, '--pdeathsig', dies, '--',
			...argv], { cwd, env: env ?? process.env,
			stdio: ['ignore', 'pipe', 'pipe'] });
		this.child.stdout.on('data', (d) => { this.out += d; });
		this.child.stderr.on('data', (d) => {
			this.log += d;
			if (process.env.REELD_TEST_LOGS) this.keep(d);
		});
		const event = (name) => new Promise((resolve, reject) => {
			this.child.once('error', reject);
			this.child.once(name, (code, signal) => {
				this.ended = { code, signal };
				resolve(this.ended);
			});
		});
		this.dead = event('exit');
		this.gone = event('close'); // and all that it wrote is here
	}

	get pid() { return this.child.pid; }

	keep(data) {
		const file = (process.argv[1] ?? 'test').split('/').pop();
		mkdirSync(process.env.REELD_TEST_LOGS, { recursive: true });
		appendFileSync(join(process.env.REELD_TEST_LOGS,
			`${file}.${this.name}.${this.pid}.log`), data);
	}

	// Until its stderr or stdout matches.
	said(re, limit_ms) {
		return until(() => `${this.name}: ${re}\n${this.log.slice(-4000)}`, () => {
			if (this.ended) {
				throw new Error(`${this.name} ended `
					+ `${JSON.stringify(this.ended)}\n${this.log.slice(-4000)}`);
			}
			return re.exec(this.log) ?? re.exec(this.out);
		}, limit_ms);
	}

	async kill(signal = 'SIGKILL') {
		if (!this.ended) this.child.kill(signal);
		// Its children may hold its pipes open.
		return signal === 'SIGKILL' ? this.dead : this.gone;
	}
}

const nobody = () => {
	if (process.getuid() !== 0) return null;
	const id = (flag) => Number(execFileSync('id', [flag, 'nobody']));
	return { uid: id('-u'), gid: id('-g') };
};

const children_of = (pid) => readdirSync('/proc').filter((d) => /^\d+$/.test(d))
	.map(Number).filter((p) => {
		try {
			const stat = readFileSync(`/proc/${p}/stat`, 'latin1');
			return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
				=== pid;
		} catch { return false; }
	});
const alive = (pid) => {
	try {
		const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
		return stat.slice(stat.lastIndexOf(')') + 2)[0] !== 'Z';
	} catch { return false; }
};
export { alive, children_of };

export class Postgres {
	// Its own cluster, empty but for the ordinary role `reeld`.
	static async start() {
		const self = new Postgres();
		self.dir = temp_dir('pg');
		self.own = true;
		self.as = [];
		const user = nobody();
		if (user) {
			chownSync(self.dir, user.uid, user.gid);
			self.as = [`--reuid=${user.uid}`, `--regid=${user.gid}`,
				'--clear-groups'];
		}
		const init = new Process([`${pg_bin}/initdb`, '-D', `${self.dir}/data`,
			'-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8',
			'--no-sync'], { as: self.as, cwd: '/', name: 'initdb' });
		const { code } = await init.gone;
		if (code !== 0) throw new Error(init.log);
		await self.up();
		const root = await self.connect('postgres');
		await root.query('create role reeld login');
		await root.query('create role reeld_reader; grant reeld_reader to reeld');
		await root.end();
		return self;
	}

	// The cluster of this run (tests/run.mjs), or one of our own.
	static async shared() {
		if (!process.env.REELD_TEST_PG) return Postgres.start();
		const self = new Postgres();
		Object.assign(self, JSON.parse(process.env.REELD_TEST_PG));
		self.own = false;
		return self;
	}

	async up() {
		this.process = new Process([`${pg_bin}/postgres`, '-D',
			`${this.dir}/data`, '-k', this.dir, '-c', 'listen_addresses=',
			'-c', 'max_connections=400', '-c', 'shared_buffers=64MB',
			'-c', 'unix_socket_permissions=0777'],
		{ as: this.as, cwd: '/', name: 'postgres', dies: 'SIGQUIT' });
		await this.process.said(/ready to accept connections/);
	}

	// Every process of it, at once.
	async kill9() {
		const all = [this.process.pid, ...children_of(this.process.pid)];
		for (const pid of all) {
			try { process.kill(pid, 'SIGKILL'); } catch { /* gone already */ }
		}
		await this.process.gone;
		await until('the backends are gone', () => !all.some(alive));
	}

	async connect(database, user = 'postgres') {
		const c = new pg.Client({ host: this.dir, user, database });
		c.on('error', () => {}); // a killed server is not our failure
		await c.connect();
		return c;
	}

	url(database, user = 'reeld') {
		return `host=${this.dir} dbname=${database} user=${user}`;
	}

	// The migrated template is made once per cluster by prepare(url).
	async template(prepare) {
		if (this.ready) return;
		const root = await this.connect('postgres');
		await root.query('create database template_reeld owner reeld');
		await root.end();
		await prepare(this.url('template_reeld'));
		this.ready = true;
	}

	async database() {
		const name = `t_${randomUUID().slice(0, 8)}`;
		const root = await this.connect('postgres');
		// Two at once would find the template in use.
		await root.query('select pg_advisory_lock(1)');
		await root.query(`create database ${name} template template_reeld `
			+ 'owner reeld');
		await root.end();
		return name;
	}

	async stop() {
		if (!this.own) return;
		await this.process.kill('SIGINT');
		rmSync(this.dir, { recursive: true, force: true });
	}
}

export class Redis {
	static async start() {
		const self = new Redis();
		self.dir = temp_dir('redis');
		self.socket = join(self.dir, 'redis.sock');
		self.url = `unix://${self.socket}`;
		await self.up();
		return self;
	}

	async up() {
		this.process = new Process(['redis-server', '--port', '0',
			'--unixsocket', this.socket, '--dir', this.dir, '--save', '',
			'--appendonly', 'no', '--maxmemory-policy', 'noeviction'],
		{ name: 'redis' });
		await this.process.said(/ready to accept connections|now ready/i);
	}

	async kill9() { await this.process.kill('SIGKILL'); }

	async command(...argv) {
		const cli = new Process(['redis-cli', '-s', this.socket, ...argv]);
		await cli.gone;
		return cli.out.trim();
	}

	async stop() {
		await this.process.kill('SIGTERM');
		rmSync(this.dir, { recursive: true, force: true });
	}
}
