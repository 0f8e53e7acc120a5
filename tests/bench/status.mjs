// status - the status endpoint with an API key, hot, against nginx that
// returns the same bytes from its configuration, on the same processor; wrk
// has another.  And the processor time of each per request, which other work
// on the machine disturbs less than the rate.
import assert from 'node:assert/strict';
import { temp_dir } from '../it/services.mjs';
import { alternate, cpu_ms, median, nginx, pin, report, seconds, wrk } from './lib.mjs';

export default async function status(server) {
	const ann = await server.user({ credits: 100 });
	// Nobody works on it: it is handed out and stays where it is.
	const g = await ann.until((await ann.submit()).id, (s) => s.stage === 'generate');
	const path = `/api/v1/generations/${g.id}/status`;
	const body = await (await server.fetch(path, { key: ann.key })).text();
	assert.equal(JSON.parse(body).id, g.id);
	const peer = await nginx('status', temp_dir('nginx'), '', `return 200 '${body}';`);
	try {
		const costs = [], costs_peer = [];
		const round = async (pid, url, list) => {
			const cpu = cpu_ms(pid);
			const rate = await wrk(url, { key: ann.key, apart: true });
			list.push((cpu_ms(pid) - cpu) * 1000 / (rate * seconds));
			return rate;
		};
		pin(server.process.pid, 'server');
		pin(peer.pid, 'server');
		const [ours, theirs] = await alternate(
			() => round(server.process.pid, server.url + path, costs),
			() => round(peer.pid, peer.url, costs_peer));
		assert.equal(await (await server.fetch(path, { key: ann.key })).text(), body);
		report('status', ours, 'req/s', theirs, 'nginx', { want: 0.7 });
		report('status-cpu', median(costs), 'us/req', median(costs_peer), 'nginx');
	} finally {
		await peer.stop();
		pin(server.process.pid, 'any');
	}
}
