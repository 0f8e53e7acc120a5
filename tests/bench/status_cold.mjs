// status-cold - the status endpoint with an API key when the status has to be
// read: many more generations than the cache holds, asked for one after another,
// so that each is gone before its turn comes again (what is read while another
// one is dropped is not kept, so the cache's content can be older than its
// size says).  Against pgbench with the
// same SELECT, prepared, of the same rows, on as many connections as the
// server's pool has.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { reeld, top } from '../it/env.mjs';
import { alternate, no_slow_turn, pgbench, report, wrk } from './lib.mjs';

const ROWS = 300000; // LIVE_MAX_OBJECTS is 20000
const FIRST = 100000000000;
const CONNECTIONS = 4; // db.pool_size
const prefix = '01900000-0000-7000-8000-';

// generation_status of sql/stmt, with the id of row :n.
function script() {
	const text = readFileSync(join(top, 'sql/stmt/generation.sql'), 'utf8');
	const sql = text.match(/-- name: generation_status \(uuid\)\n((?:.+\n)+)/)[1].replace(/^--.*\n/gm, '');
	assert.equal(sql.split('$1').length, 2);
	return `\\set n random(${FIRST}, ${FIRST + ROWS - 1})\n${sql.replace('$1', `('${prefix}' || :n::text)::uuid`)}`;
}

const cached = async (server, result) => {
	const { body } = await server.call('GET', '/metrics', { key: server.admin.key });
	return Number(body.match(new RegExp(`^reeld_status_cache_total{result="${result}"} (\\d+)`, 'm'))[1]);
};

export default async function status_cold() {
	// Of its own: rows out of nothing would spoil the books of the others.
	const server = await reeld({ env: { REELD_LOG_LEVEL: 'warn', REELD_DB_TIMEOUT: '60s',
		REELD_DB_POOL_SIZE: String(CONNECTIONS),
		REELD_LIMITS_READ_PER_SECOND: '10000000', REELD_LIMITS_READ_BURST: '10000000' } });
	try {
		const ann = await server.user({ credits: 100 });
		const g = await ann.until((await ann.submit()).id, (s) => s.status === 'processing');
		const root = await server.pg.connect(server.database);
		await root.query(`set session_replication_role = replica`);
		await root.query(`insert into generations select (jsonb_populate_record(g, jsonb_build_object('id',
			$2::text || n))).* from generations g, generate_series($3::bigint, $4::bigint) n where g.id = $1`,
		[g.id, prefix, FIRST, FIRST + ROWS - 1]);
		await root.query('vacuum analyze generations');
		await root.end();
		const path = (n) => `/api/v1/generations/${prefix}${FIRST + n}/status`;
		const { body } = await server.call('GET', path(7), { key: ann.key });
		assert.equal(body.id, `${prefix}${FIRST + 7}`);
		const sql = join(server.dir, 'status.sql');
		writeFileSync(sql, script());
		let asked = 0;
		const hits = await cached(server, 'hit');
		const [ours, theirs] = await alternate(async () => {
			const rate = await wrk(server.url, { key: ann.key,
				script: new URL('status_cold.lua', import.meta.url).pathname,
				args: [prefix, FIRST, ROWS, (asked + 1000) % ROWS].map(String) });
			asked = await cached(server, 'miss');
			return rate;
		}, () => pgbench(server, CONNECTIONS, ['-f', sql]));
		assert.equal(await cached(server, 'hit'), hits, 'the cache was hit');
		assert.ok(asked > 4000, 'too few were asked for');
		report('status-cold', ours, 'req/s', theirs, 'pgbench', { want: 0.5 });
		no_slow_turn(server);
	} finally { await server.stop(); }
}
