// ws-storm - 9,000 sockets that do the same at once: they come, they vanish,
// they come again, and the server stops.  How long does somebody who has
// nothing to do with them wait meanwhile for an answer, and what does it cost?
import { join } from 'node:path';
import { Talk, cpu_ms, no_slow_turn, pin, report } from './lib.mjs';
import { build, until } from '../it/env.mjs';

const CROWD = Number(process.env.BENCH_STORM ?? 9000);

// Asks again and again; .stop(): the longest wait in ms.
function neighbour(server) {
	let longest = 0, over = false;
	const asking = (async () => {
		while (!over) {
			const start = performance.now();
			const r = await fetch(`${server.url}/livez`).catch(() => null);
			await r?.arrayBuffer();
			if (r?.ok) longest = Math.max(longest, performance.now() - start);
			await new Promise((done) => { setTimeout(done, 2); });
		}
	})();
	return { async stop() { over = true; await asking; return longest; } };
}

async function cost(server, name, act) {
	const cpu = cpu_ms(server.process.pid);
	await act();
	report(`${name}-cpu`, (cpu_ms(server.process.pid) - cpu) * 1000 / CROWD, 'us/socket');
}

async function measure(server, name, act) {
	const next_door = neighbour(server);
	await cost(server, name, act);
	report(`${name}-wait`, await next_door.stop(), 'ms');
}

export default async function ws_storm(first) {
	const server = await first.twin();
	const sessions = async () => Number((await (await fetch(`${server.url}/metrics`)).text())
		.match(/^reeld_ws_connections (\d+)/m)[1]);
	const crowds = [];
	const crowd = () => {
		crowds.push(new Talk([join(build, 'tests/bench/ws_crowd'), String(server.port), '2',
			'{"type":"subscribe","topic":"arena"}']));
		pin(crowds.at(-1).child.pid, 'load');
		return crowds.at(-1);
	};
	pin(server.process.pid, 'server');
	try {
		const gone = crowd(), stay = crowd();
		await measure(server, 'ws-come', () => gone.ask(`storm ${CROWD}`));
		await measure(server, 'ws-vanish', async () => {
			gone.child.kill('SIGKILL');
			await until('all are gone', async () => await sessions() === 0, 60000);
		});
		await stay.ask(`storm ${CROWD}`);
		await stay.ask('part');
		// It answers nobody else any more.
		await cost(server, 'ws-stop', () => {
			server.process.child.kill('SIGTERM');
			return stay.answer();
		});
		await server.stop();
		no_slow_turn(server);
	} finally {
		for (const c of crowds) c.child.kill();
		await server.stop();
	}
}
