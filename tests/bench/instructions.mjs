// instructions - how many instructions PostgreSQL executes for an order, a
// claim, and a job (claim, start, failure), by itself and in company: a backend of its own
// (`postgres --single`) under callgrind, which counts and does not drift with
// the machine. Named by hand only; needs valgrind.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { cpSync, chownSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kit, start } from '../it/pg.mjs';
import { report } from './lib.mjs';

const USERS = 8, COMPANY = 16;
// Plans are made and caches filled by the first calls of a session, so what a
// call costs is the difference between many and few of them.
const FEW = 10, MANY = 30;

const program = ['17', '16', '15'].map((v) => `/usr/lib/postgresql/${v}/bin/postgres`)
	.find((p) => spawnSync(p, ['--version']).status === 0);
const session = ['set session authorization reeld', `select set_config('enable_seqscan', 'off', false),
	set_config('max_parallel_workers_per_gather', '0', false), set_config('jit', 'off', false)`];
const list = (items) => `'${JSON.stringify(items)}'`;

// The copy belongs to whom the cluster belongs to, who may not be us.
function copy(from, to) {
	cpSync(from, to, { recursive: true });
	const { uid, gid } = statSync(from);
	const give = (path) => {
		chownSync(path, uid, gid);
		if (statSync(path).isDirectory()) for (const name of readdirSync(path)) give(join(path, name));
	};
	give(to);
	rmSync(join(to, 'postmaster.pid'), { force: true });
	return process.getuid() === 0 ? ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'] : [];
}

// Instructions of a session that runs these statements on a copy of the data.
function count(dir, database, statements) {
	const here = mkdtempSync(join(tmpdir(), 'reeld-count-'));
	try {
		const data = join(here, 'data'), out = join(data, 'callgrind.out');
		const [as, ...rest] = [...copy(join(dir, 'data'), data), 'valgrind'];
		const { uid, gid } = statSync(data);
		chownSync(here, uid, gid);
		const run = spawnSync(as, [...rest, '--tool=callgrind', `--callgrind-out-file=${out}`, program, '--single', '-j',
			'-D', data, '-c', 'fsync=off', database], { cwd: data, encoding: 'utf8',
			input: [...session, ...statements].map((s) => `${s.replace(/\s+/g, ' ')};\n\n`).join('') });
		assert.equal(run.status, 0, `${run.error} ${run.stdout} ${run.stderr}`.slice(-3000));
		assert.doesNotMatch(run.stderr, /ERROR/);
		return Number(readFileSync(out, 'utf8').match(/^summary: (\d+)/m)[1]);
	} finally {
		rmSync(here, { recursive: true, force: true });
	}
}

export default async function instructions() {
	const server = await start();
	try {
		const { db, conn, route, owner } = await server.fresh();
		const k = kit(conn), root = await db.root();
		for (const key of ['video_waiting_limit', 'video_concurrent_limit']) {
			await conn.query(`insert into system_config (key, value, type) values ($1, '1000000', 'int')
				on conflict (key) do update set value = excluded.value`, [key]);
		}
		const people = [];
		for (let i = 0; i < USERS; i++) people.push(await k.user(1000000));
		const order = (i) => ({ n: i + 1, user_id: people[i % USERS], id: randomUUID(), route, mode: 't2v',
			spec: { prompt: 'a paper boat on a lake at dawn', duration: 5, resolution: '720p', aspect_ratio: '16:9' },
			resolved: { duration_s: 5, resolution: '720p', aspect_ratio: '16:9', audio: false }, credits: 4,
			breakdown: { lines: [{ label: 'base', credits: 4 }] }, deadline_s: 600, priority: 100, async: true });
		const orders = (n) => Array.from({ length: n }, (_, i) => order(i));
		// Of the jobs that the instance holds at this moment.
		const each = (n, what, extra) => `(select jsonb_agg(jsonb_build_object('n', n, 'alone', ${n === 1}, 'job', id,
			${extra}) order by id) from (select row_number() over (order by id) as n, id from jobs
			where owner = '${owner}' ${what}) x)`;
		const steps = {
			order: (n) => `select count(*) from generation_submit_many(${list(orders(n))})`,
			claim: (n) => `select count(*) from job_claim('${owner}', '{fal}', '{${n}}', null, null, null, false)`,
			start: (n) => `select count(*) from attempts_start('${owner}', ${each(n, 'and attempt_id is null',
				`'attempt', gen_random_uuid(), 'nonce', gen_random_uuid(), 'token_hash', repeat('ab', 32),
				'request', '{}'::jsonb, 'cost_micro_usd', 5`)})`,
			failure: (n) => `select count(*) from generations_fail('${owner}', ${each(n, '', `'class', 'provider', 'code',
				'provider_error', 'message', 'It failed.', 'provider_message', 'raw', 'retryable', true, 'fee', 0`)})`,
		};
		for (let i = 0; i < MANY; i++) {
			await conn.query('select from generation_submit_many($1)', [JSON.stringify(orders(COMPANY))]);
		}
		await root.query('vacuum analyze');
		await root.query('checkpoint');
		for (const n of [1, COMPANY]) {
			for (const [name, does] of [['order', ['order']], ['claim', ['claim']], ['job', ['claim', 'start', 'failure']]]) {
				const run = (times) => count(db.dir, db.name, Array.from({ length: times },
					() => does.map((step) => steps[step](n))).flat());
				report(`instructions-${name}${n > 1 ? `-of-${n}` : ''}`, (run(MANY) - run(FEW)) / (MANY - FEW) / n / 1000, 'k');
			}
		}
	} finally {
		await server.stop();
	}
}
