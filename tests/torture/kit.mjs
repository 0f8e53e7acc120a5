// kit.mjs - what the torture scenarios share: servers with proxies in front of
// their stores, load that repeats like a good client, and rule R.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after } from 'node:test';
import { fakeFal, fal_env, postgres, reeld, until } from '../it/env.mjs';
import { Process } from '../it/services.mjs';
import { Proxy } from './proxy.mjs';

export const MODEL = 'kling-2.5'; // of the fal adapter
const wires = [];
after(async () => { for (const w of wires) await w.stop(); });

export async function wire(target, options) {
	const p = await Proxy.to(target, options);
	wires.push(p);
	return p;
}

// A fake fal in a process of its own, for loads under which this one would
// answer for it late. What JSON can say is planned; `accepted` is of the last
// refresh().
export async function far_fal() {
	const child = new Process([process.execPath, fileURLToPath(new URL('../fake/fal.mjs', import.meta.url))], { name: 'fal' });
	wires.push({ stop: () => child.kill() });
	const [url] = await child.said(/^http:.*$/m);
	const ask = async (path, json) => {
		const res = await fetch(`${url}/control/${path}`, json && { method: 'POST', body: JSON.stringify(json) });
		assert.equal(res.status, 200);
		return res.json();
	};
	return { env: fal_env(url), accepted: {}, plan: (prompt, plan) => ask('plan', { prompt, ...plan }),
		async refresh() { this.accepted = (await ask('stats')).accepted; } };
}

// A reeld that makes videos at fal; no public address, so that a lost answer
// of a paid submit ends in a refund at once. pg, redis: through a proxy, as
// r.pg_wire, r.redis_wire.
export async function world({ fal, env = {}, pg = false, redis = false, own_pg = false, args } = {}) {
	const provider = fal ?? await fakeFal();
	const r = await reeld({ own_pg, args, env: { ...provider.env, REELD_JOBS_ADOPT_AFTER: '2s', ...env },
		seed: async (s) => {
			await s.psql("update system_config set value = '100000' where key = 'video_concurrent_limit'");
			if (pg) {
				s.pg_wire = await wire({ path: `${s.pg.dir}/.s.PGSQL.5432` }, { pg: true });
				s.env.DATABASE_URL = `host=${s.pg_wire.dir} dbname=${s.database} user=reeld`;
			}
			if (redis) {
				s.redis_wire = await wire({ path: s.redis.socket });
				s.env.REDIS_URL = `unix://${s.redis_wire.path}`;
			}
		} });
	r.fal = provider;
	return r;
}

// One order, asked for with its key until there is a definite answer; `to`
// gives the server of each try. {id, prompt, key, status, tries}
export async function order(user, fal, plan = {}, { to = () => user.server, limit_ms = 120000 } = {}) {
	const prompt = `p ${randomUUID()}`;
	const key = randomUUID();
	await fal.plan(prompt, { polls: 0, tiny: true, ...plan });
	const end = Date.now() + limit_ms;
	for (let tries = 1; ; tries++) {
		const x = await to().call('POST', '/api/v1/generations', { key: user.key,
			json: { model: MODEL, prompt }, headers: { 'idempotency-key': key } })
			.catch((e) => ({ status: 0, body: String(e) }));
		if (x.status === 201 || x.status === 200) return { id: x.body.id, prompt, key, status: x.status, tries };
		const again = x.status === 0 || x.status === 503 || x.status === 504 || x.body?.code === 'running';
		assert.ok(again, `${x.status} ${JSON.stringify(x.body)}`);
		if (Date.now() > end) throw new Error(`never accepted: ${x.status} ${JSON.stringify(x.body)}`);
		await new Promise((r) => { setTimeout(r, 100); });
	}
}

// n orders, so many at a time.
export async function orders(n, at_once, make) {
	const all = [];
	let next = 0;
	await Promise.all(Array.from({ length: Math.min(at_once, n) }, async () => {
		while (next < n) all.push(await make(next++));
	}));
	return all;
}

// Every accepted order has ended, or waits where people see it.
export const settled = (r, limit_ms = 180000) => until(() => `all ended\n${r.logs().slice(-6000)}`, async () => {
	const [{ n }] = await r.psql("select count(*) as n from generations g where g.status not in "
		+ "('completed', 'failed', 'cancelled', 'review') and not exists (select from jobs j where "
		+ "j.generation_id = g.id and j.status = 'uncertain')").catch(() => [{ n: 1 }]);
	return n === 0;
}, limit_ms).catch(async (e) => {
	r.process.child.kill('SIGUSR1');
	const left = await r.psql("select g.status, g.stage, j.* from generations g join jobs j on j.generation_id = g.id where j.finished_at is null");
	await new Promise((d) => { setTimeout(d, 500); });
	throw new Error(`${JSON.stringify(left)}\n${JSON.stringify(await r.psql('select * from instances'))}\n${r.logs().slice(-3000)}\n${e.message}`);
});

// What rule R finds wrong with the books, the provider's bill and the files;
// [] when it holds.
export async function findings(r, fal) {
	const wrong = [];
	const say = async (what, text, params) => {
		for (const row of await r.psql(text, params)) wrong.push(`${what}: ${JSON.stringify(row)}`);
	};
	const books = await r.books();
	if (Object.keys(books).length > 0) wrong.push(`books: ${JSON.stringify(books)}`);
	const audit = await r.cli('audit');
	if (audit.code !== 0) wrong.push(`reeld audit: ${audit.code} ${audit.out}${audit.err}`);
	await say('not one charge', 'select g.id, count(c.id) from generations g left join charges c '
		+ 'on c.generation_id = g.id group by 1 having count(c.id) <> 1');
	await say('ended twice', "select generation_id, count(*) from events where type in ('generation.completed', "
		+ "'generation.failed', 'generation.cancelled') group by 1 having count(*) > 1");
	await say('refund of what was made', "select g.id, g.status, c.refunded from generations g join charges c on "
		+ "c.generation_id = g.id where g.status = 'completed' and (c.settled is null or c.settled = 0 or c.settled + c.refunded <> c.quote)");
	await say('no refund', "select g.id, g.status, c.quote, c.refunded from generations g join charges c on "
		+ "c.generation_id = g.id where g.status in ('failed', 'cancelled') and c.refunded + c.fee < c.quote");
	await fal.refresh?.();
	for (const [prompt, n] of Object.entries(fal.accepted)) if (n > 1) wrong.push(`paid ${n} times: ${prompt}`);
	for (const g of await r.psql("select id, prompt from generations where status = 'completed' and model = $1", [MODEL])) {
		if (!fal.accepted[g.prompt]) wrong.push(`made from nothing: ${g.id}`);
	}
	for (const a of await r.psql("select a.key from assets a join generation_asset ga on ga.asset_id = a.id where "
		+ "a.backend = 'local' and a.state = 'ready'")) {
		if (!existsSync(join(r.env.REELD_STORAGE_DIR, a.key))) wrong.push(`lost file: ${a.key}`);
	}
	return wrong;
}

// Rule R, once the fault is over: everything ends, nothing is left behind.
export async function rule(r, { limit_ms } = {}) {
	await settled(r, limit_ms);
	await until('the outbox is empty', async () => (await r.psql('select count(*) as n from outbox'))[0].n === 0, 60000);
	const staging = join(r.env.REELD_STORAGE_DIR, 'tmp');
	await until(() => `no staging file: ${readdirSync(staging)}`, () => r.crashed || readdirSync(staging).length === 0, 60000);
	assert.deepEqual(await findings(r, r.fal), []);
	const rows = await r.psql('select status::text, count(*) as n from generations group by 1');
	return Object.fromEntries(rows.map((x) => [x.status, x.n]));
}

// From /proc: resident and peak memory in MB, open descriptors.
export function usage(pid) {
	const status = readFileSync(`/proc/${pid}/status`, 'latin1');
	const mb = (name) => Number(status.match(new RegExp(`${name}:\\s+(\\d+) kB`))[1]) / 1024;
	return { rss: mb('VmRSS'), peak: mb('VmHWM'), fds: readdirSync(`/proc/${pid}/fd`).length };
}

// A number of /metrics: metric(r, 'reeld_ws_connections').
export async function metric(r, name) {
	const { body } = await r.call('GET', '/metrics');
	const line = body.split('\n').find((l) => l.startsWith(`${name} `));
	if (!line) throw new Error(`no metric ${name}`);
	return Number(line.split(' ').pop());
}

export { fakeFal, postgres, until };
