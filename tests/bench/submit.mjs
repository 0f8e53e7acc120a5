// submit - new generations, 32 in flight: the whole path of an order, durable
// (fsync on) when the answer leaves, against the bare enqueue of two job queues
// on the same PostgreSQL and against pgbench calling the SQL function with
// the pool's number of connections.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { median, pgbench, queue_peer, report, rounds, seconds, wrk_latency } from './lib.mjs';

const USERS = 8;

const quote = (v) => (v === null ? 'null' : `'${String(v).replaceAll("'", "''")}'`);

// pgbench takes every ":word" for a variable of its own, also in JSON.
const json = (v) => `convert_from(decode('${Buffer.from(JSON.stringify(v)).toString('hex')}', 'hex'), 'UTF8')::jsonb`;

// The statement that the server would send for a generation of that user.
async function script(server, user_id, sample) {
	const [g] = await server.psql('select * from generations where id = $1', [sample]);
	const [charge] = await server.psql('select * from charges where generation_id = $1', [sample]);
	return `\\set n random(1, 9000000000000000)
select outcome from generation_submit(${quote(user_id)}, gen_random_uuid(), 'b' || :n, sha256(:n::text::bytea),
	null, ${quote(g.route_id)}, ${quote(g.mode)}, ${json(g.spec)}, ${json(g.resolved)},
	${charge.quote}, ${json(charge.breakdown)}, ${quote(charge.price_plan_id)},
	null, null, null, null, 1800, 100, null, null);
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
	const rates = { reeld: [], pgbench: [], 'pg-boss': [], 'graphile-worker': [] }, p99 = { ...rates };
	for (const name of Object.keys(p99)) p99[name] = [];
	let wanted = 0;
	for (let i = 0; i < rounds; i++) {
		const ours = await wrk_latency(`${server.url}/api/v1/generations`,
			{ script: new URL('submit.lua', import.meta.url).pathname, args: people.map((p) => p.key) });
		rates.reeld.push(ours.rate);
		p99.reeld.push(ours.p99);
		wanted += ours.rate * seconds;
		for (const name of ['pg-boss', 'graphile-worker']) {
			const r = await queue_peer(server, 'enqueue', name, seconds, 32);
			rates[name].push(r.rate);
			p99[name].push(r.p99);
		}
		rates.pgbench.push(await pgbench(server, 4, files));
		wanted += rates.pgbench.at(-1) * seconds;
	}
	// Every answer was a row.
	assert.ok(await count() - before > wanted * 0.9, 'generations are missing');
	assert.deepEqual(await server.books(), {});
	for (const peer of ['pg-boss', 'graphile-worker', 'pgbench']) {
		report('submit', median(rates.reeld), 'req/s', median(rates[peer]), peer,
			peer === 'pg-boss' ? { want: 1.2 } : undefined);
		if (p99[peer].length > 0) report('submit-p99', median(p99.reeld), 'ms', median(p99[peer]), peer);
	}
}
