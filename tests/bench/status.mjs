// status - the status endpoint with an API key, hot, against nginx that
// returns the same bytes from its configuration, on the same processor; wrk
// has another.  And the processor time of each per request, which other work
// on the machine disturbs less than the rate.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Process, temp_dir, until } from '../it/services.mjs';
import { alternate, cpu_ms, free_port, median, pin, report, seconds, wrk } from './lib.mjs';

export async function nginx(body) {
	const dir = temp_dir('nginx'), port = await free_port();
	mkdirSync(join(dir, 'tmp'));
	writeFileSync(join(dir, 'nginx.conf'), `daemon off; worker_processes 1; pid ${dir}/pid;
user root; error_log ${dir}/error.log;
events { worker_connections 1024; }
http { access_log off; keepalive_requests 1000000000; default_type application/json;
client_body_temp_path ${dir}/tmp; proxy_temp_path ${dir}/tmp; fastcgi_temp_path ${dir}/tmp;
uwsgi_temp_path ${dir}/tmp; scgi_temp_path ${dir}/tmp;
server { listen 127.0.0.1:${port}; location / { return 200 '${body}'; } } }
`);
	const p = new Process(['nginx', '-p', dir, '-c', join(dir, 'nginx.conf')], { name: 'nginx' });
	const url = `http://127.0.0.1:${port}/`;
	await until(() => `nginx\n${p.log}`, () => fetch(url).then((r) => r.ok, () => false));
	const master = p.child.pid;
	const pid = Number(readFileSync(`/proc/${master}/task/${master}/children`, 'utf8'));
	return { url, pid, stop: () => p.kill('SIGTERM') };
}

export default async function status(server) {
	const ann = await server.user({ credits: 100 });
	// Nobody works on it: it is handed out and stays where it is.
	const g = await ann.until((await ann.submit()).id, (s) => s.status === 'processing');
	const path = `/api/v1/generations/${g.id}/status`;
	const body = await (await server.fetch(path, { key: ann.key })).text();
	assert.equal(JSON.parse(body).id, g.id);
	const peer = await nginx(body);
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
