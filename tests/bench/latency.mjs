// latency - one order at a time on an idle server, from the request to the
// moment the engine has taken the job and said so ("processing" on the
// user's WebSocket: two transactions more than a queue's hand-over), against
// the time from the call of enqueue to the handler in three job queues.
import { setTimeout as sleep } from 'node:timers/promises';
import { median, percentile, queue_peer, report, rounds } from './lib.mjs';

const ORDERS = 40;

export default async function latency(server) {
	const ann = await server.user({ credits: 1000000 });
	await server.psql('update users set concurrent_limit = 10000 where id = $1', [ann.id]);
	const ws = await ann.ws();
	await ws.subscribe(`user:${ann.id}`);
	let seen;
	const times_of = new Map(); // generation: when it was said
	ws.socket.on('message', (data) => {
		const text = String(data);
		if (!text.includes('"generation.processing"')) return;
		times_of.set(text.match(/"generation:([0-9a-f-]{36})"|"id":"([0-9a-f-]{36})"/).slice(1).find(Boolean),
			performance.now());
		seen?.();
	});
	const ours = async () => {
		const times = [];
		for (let i = 0; i < ORDERS; i++) {
			await sleep(20);
			const at = performance.now();
			const { id } = await ann.submit();
			while (!times_of.has(id)) await new Promise((resolve) => { seen = resolve; });
			times.push(times_of.get(id) - at);
		}
		return { p50: percentile(times, 50), p99: percentile(times, 99) };
	};
	const peers = ['pg-boss', 'graphile-worker', 'bullmq'];
	const all = Object.fromEntries(['reeld', ...peers].map((name) => [name, []]));
	for (let i = 0; i < rounds; i++) {
		all.reeld.push(await ours());
		for (const name of peers) all[name].push(await queue_peer(server, 'latency', name, ORDERS));
	}
	await ws.close();
	const of = (name, what) => median(all[name].map((r) => r[what]));
	for (const name of peers) {
		report('latency', of('reeld', 'p50'), 'ms', of(name, 'p50'), name,
			name === peers[0] ? { want: 5, at: 'most', of: 'value' } : undefined);
		report('latency-p99', of('reeld', 'p99'), 'ms', of(name, 'p99'), name);
	}
}
