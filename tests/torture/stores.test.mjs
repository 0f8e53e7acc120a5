// D5, D6: Redis dies, or stands still; PostgreSQL stands still.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { children_of } from '../it/services.mjs';
import { fakeFal, order, orders, rule, until, usage, world } from './kit.mjs';
import { size } from './size.mjs';

let fal;
before(async () => { fal = await fakeFal(); });
const signal = (pids, name) => { for (const pid of pids) process.kill(pid, name); };
const redis_says = (r, word) => until(`redis ${word}`, async () => (await r.call('GET', '/readyz?verbose')).body.checks.redis === word);
// What a socket heard of each object: versions only grow, none comes twice.
function in_order(live) {
	const last = new Map();
	for (const e of live.events()) {
		if (e.version === undefined) continue;
		const key = `${e.type.split('.')[0]} ${e.data.id ?? ''}`;
		assert.ok((last.get(key) ?? -1) < e.version, `${key}: ${e.version} after ${last.get(key)}`);
		last.set(key, e.version);
	}
}

test('D5: Redis dies, stays away, comes back empty', async () => {
	const a = await world({ fal });
	const b = await a.twin();
	const ann = await a.user({ credits: 100000 });
	const live = await b.ws(ann.key); // on the other instance
	await live.subscribe('user:me');
	await a.redis.kill9();
	await Promise.all([redis_says(a, 'away'), redis_says(b, 'away')]);
	const done = (o) => live.event((e) => e.data?.id === o.id && e.data?.status === 'completed', 60000);
	const end = Date.now() + size(1, 120) * 1000;
	do {
		const some = await orders(3, 3, () => order(ann, fal));
		for (const o of some) await done(o); // read again, nobody tells
	} while (Date.now() < end);
	await a.redis.up();
	await Promise.all([redis_says(a, 'ok'), redis_says(b, 'ok')]);
	assert.equal(await a.redis.command('dbsize'), '0');
	for (const o of await orders(3, 3, () => order(ann, fal))) await done(o);
	in_order(live);
	await live.close();
	await rule(a);
});

test('D6: Redis stands still: nothing waits for it, nothing piles up', async (t) => {
	const r = await world({ fal });
	const ann = await r.user({ credits: 100000 });
	const live = await r.ws(ann.key);
	await live.subscribe('user:me');
	await order(ann, fal);
	await rule(r);
	const before = usage(r.process.pid).rss;
	signal([r.redis.process.pid], 'SIGSTOP');
	let slowest = 0;
	const end = Date.now() + size(14, 60) * 1000;
	let first, n = 0;
	do { // answered while it stands: it is woken only afterwards
		const start = performance.now();
		assert.equal((await ann.get('/credits')).status, 200);
		if (n++ % 20 === 0) first ??= (await order(ann, fal)).id;
		slowest = Math.max(slowest, performance.now() - start);
	} while (Date.now() < end);
	await live.event((e) => e.data?.id === first && e.data?.status === 'completed', 60000);
	await redis_says(r, 'away'); // two pings went unanswered
	const grown = usage(r.process.pid).rss - before;
	signal([r.redis.process.pid], 'SIGCONT');
	await redis_says(r, 'ok');
	t.diagnostic(`${n} requests, slowest ${slowest.toFixed(0)} ms, ${grown.toFixed(1)} MB more`);
	assert.ok(grown < 64, `${grown} MB`);
	await live.event((e) => e.data?.id === first);
	await live.close();
	await rule(r);
});

test('PostgreSQL stands still: 503 at the deadline, then all goes on', async (t) => {
	const r = await world({ fal, own_pg: true, env: { REELD_DB_TIMEOUT: '1s' } });
	const ann = await r.user({ credits: 100000 });
	const all = await orders(3, 3, (i) => order(ann, fal, { polls: i }));
	for (let round = 0; round < size(2, 20); round++) {
		const pids = [r.pg.process.pid, ...children_of(r.pg.process.pid)];
		signal(pids, 'SIGSTOP');
		const some = orders(3, 3, () => order(ann, fal)); // with their keys, until accepted
		// Probes answer for themselves: not ready, but alive.
		await until('not ready', async () => (await r.call('GET', '/readyz')).status === 503);
		assert.equal((await r.call('GET', '/livez')).status, 200);
		signal(pids, 'SIGCONT');
		all.push(...await some);
		await until('ready', async () => (await r.call('GET', '/readyz')).status === 200);
	}
	assert.equal(new Set(all.map((o) => o.id)).size, all.length);
	const ends = await rule(r);
	t.diagnostic(`${JSON.stringify(ends)}, ${all.filter((o) => o.tries > 1).length} asked again`);
	assert.ok(ends.completed > 0);
});
