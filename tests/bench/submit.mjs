// submit - new generations, 32 in flight: the whole path of an order, durable
// (fsync on) when the answer leaves, against pgbench with the pool's number
// of connections calling the same SQL function with the same arguments.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { alternate, report, seconds, wrk } from './lib.mjs';

const run = promisify(execFile);
const pgbench = ['15', '16', '17'].map((v) => `/usr/lib/postgresql/${v}/bin/pgbench`).find(existsSync);
const USERS = 8;

const quote = (v) => (v === null ? 'null' : `'${String(v).replaceAll("'", "''")}'`);

// pgbench takes every ":word" for a variable of its own, also in JSON.
const json = (v) => `convert_from(decode('${Buffer.from(JSON.stringify(v)).toString('hex')}', 'hex'), 'UTF8')::jsonb`;

// The statement that the server would send for a generation of that user.
async function script(server, user_id, sample) {
	const [g] = await server.psql('select * from generations where id = $1', [sample]);
	const [charge] = await server.psql('select * from charges where generation_id = $1', [sample]);
	return `\\set n random(1, 9000000000000000)
begin;
select set_config('app.engine', 'on', true);
select outcome from generation_submit(${quote(user_id)}, gen_random_uuid(), 'b' || :n, sha256(:n::text::bytea),
	null, ${quote(g.route_id)}, ${quote(g.mode)}, ${json(g.spec)}, ${json(g.resolved)},
	${charge.quote}, ${json(charge.breakdown)}, ${quote(charge.price_plan_id)},
	null, null, null, null, 1800, 100, null, null);
commit;
`;
}

export default async function submit(server) {
	const people = await Promise.all(Array.from({ length: USERS }, () => server.user({ credits: 100000000 })));
	// More may wait than one user would want.
	await server.psql(`update system_config set value = '1000000' where key = 'video_waiting_limit'`);
	const sample = await people[0].submit();
	const files = [];
	for (const [i, p] of people.entries()) {
		files.push('-f', join(server.dir, `submit.${i}.sql`));
		writeFileSync(files.at(-1), await script(server, p.id, sample.id));
	}
	const count = async () => Number((await server.psql('select count(*) as n from generations'))[0].n);
	const before = await count();
	let wanted = 0;
	const [ours, theirs] = await alternate(async () => {
		const rate = await wrk(`${server.url}/api/v1/generations`,
			{ script: new URL('submit.lua', import.meta.url).pathname, args: people.map((p) => p.key) });
		wanted += rate * seconds;
		return rate;
	}, async () => {
		const { stdout } = await run(pgbench, ['-n', '-c', '4', '-j', '1', '-M', 'prepared', '-T', String(seconds),
			...files, '-h', server.pg.dir, '-U', 'reeld', server.database]);
		const rate = Number(stdout.match(/tps = ([\d.]+)/)[1]);
		wanted += rate * seconds;
		return rate;
	});
	// Every answer was a row.
	assert.ok(await count() - before > wanted * 0.9, 'generations are missing');
	assert.deepEqual(await server.books(), {});
	report('submit', ours, 'req/s', theirs, 'pgbench');
}
