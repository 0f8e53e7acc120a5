// run.mjs - `make bench`: node run.mjs [NAME...], against the build in
// REELD_BUILD.  One line per figure, and a table of them all at the end;
// README.md explains them.
import { reeld } from '../it/env.mjs';
import { no_slow_turn, table } from './lib.mjs';

const all = ['idle', 'status', 'status-cold', 'thumbnail', 'download', 'submit', 'latency', 'drain', 'two', 'poll', 'ws-fanout', 'ws-storm'];
const names = process.argv.length > 2 ? process.argv.slice(2) : all;

let server;
for (const name of names) {
	const { default: bench } = await import(`./${name.replaceAll('-', '_')}.mjs`);
	server ??= await reeld({ env: { REELD_LOG_LEVEL: 'warn', REELD_DB_TIMEOUT: '60s',
		REELD_LIMITS_READ_PER_SECOND: '10000000', REELD_LIMITS_READ_BURST: '10000000',
		REELD_LIVE_MAX_PER_USER: '0', REELD_LIVE_MAX_PER_IP: '0' } });
	const from = server.logs().length;
	try {
		await bench(server);
		no_slow_turn(server, from);
	} catch (e) {
		console.log(`bench ${name} failed`);
		console.error(e);
		process.exitCode = 1;
	}
}

console.log(`\n${table()}`);

// Nothing runs node:test's own hooks here.
if (server) {
	for (const one of [server, server.redis, server.pg]) await one.stop();
}
process.exit();
