// two - two instances on one PostgreSQL and one Redis, each with half of the
// customers: orders are submitted and ended at a provider that refuses them at
// once, as in `drain`. One instance alone against both with the same load, in
// turn; then whole generations over both. Wrong, and so a failure: an order
// that was submitted to the provider twice, books that do not add up, a
// customer whose socket, on either instance, missed an event of his.
import assert from 'node:assert/strict';
import { until, reeld } from '../it/env.mjs';
import { alternate, cpu_ms, free_port, no_slow_turn, report, rounds } from './lib.mjs';
import { all_ended, customers, provider } from './drain.mjs';

const USERS = 8, IN_FLIGHT = 32;
const ORDERS = Number(process.env.BENCH_TWO ?? 2000), VIDEOS = Number(process.env.BENCH_TWO_VIDEOS ?? 100);
const WARM = 500;

// n orders of all customers, each sent to one of the instances; seconds until
// the last one has ended.
async function carry(server, instances, people, n) {
	const start = performance.now();
	let left = n;
	await Promise.all(Array.from({ length: IN_FLIGHT }, async () => {
		while (left-- > 0) {
			const person = people[left % people.length];
			const { url } = instances[left % instances.length];
			const r = await fetch(`${url}/api/v1/generations`, { method: 'POST',
				headers: { authorization: `Bearer ${person.key}`, 'content-type': 'application/json' },
				body: JSON.stringify({ model: 'kling-2.5', prompt: `order ${start} ${left}` }) });
			assert.equal(r.status, 201, await r.text());
		}
	}));
	await all_ended(server);
	return (performance.now() - start) / 1000;
}

// A customer's sockets, one on each instance.
async function watch(instances, people) {
	const all = [];
	for (const person of people) {
		for (const server of instances) {
			const ws = await server.ws(person.key);
			assert.equal((await ws.subscribe(`user:${person.id}`)).type, 'subscribed');
			all.push({ person, server, ws });
		}
	}
	return all;
}

// Each socket has the end of every order of its customer, once, and no event of
// anybody else. Of what comes before the end only the newest is promised to a
// slow reader. Returns how many ended.
async function all_seen(server, sockets, since, type) {
	const rows = await server.psql(`select id, user_id, created_at >= $1 and 'generation.' || status = $2 as ended
		from generations`, [since, type]);
	for (const { person, ws } of sockets) {
		const own = rows.filter((g) => g.user_id === person.id), ended = own.filter((g) => g.ended);
		const told = () => ws.events().filter((e) => e.type === type).map((e) => e.data.id);
		const missing = () => {
			const seen = new Set(told());
			return ended.filter((g) => !seen.has(g.id));
		};
		assert.ok(ended.length > 0);
		await until(() => `${missing().length} of ${ended.length} ends on ${person.email}'s socket`,
			() => missing().length === 0, 60000);
		assert.equal(told().length, ended.length, 'an end was told twice');
		const ids = new Set(own.map((g) => g.id));
		const strange = ws.events().find((e) => e.type.startsWith('generation.') && !ids.has(e.data.id));
		assert.equal(strange, undefined, `an event of somebody else: ${JSON.stringify(strange)}`);
	}
	return rows.filter((g) => g.ended).length;
}

export default async function two() {
	const fal = await provider({ submit: '422' });
	const ports = [await free_port(), await free_port()];
	const env = (port) => ({ REELD_HTTP_LISTEN: `127.0.0.1:${port}`,
		REELD_HTTP_PUBLIC_URL: `http://127.0.0.1:${port}` });
	const server = await reeld({ env: { REELD_LOG_LEVEL: 'info', REELD_DB_TIMEOUT: '60s',
		REELD_LIVE_MAX_PER_USER: '0', REELD_LIVE_MAX_PER_IP: '0', ...fal.env, ...env(ports[0]) } });
	const twins = [];
	try {
		const people = await customers(server, USERS);
		let cpu = 0, orders = 0;
		const check = async () => {
			assert.equal(await fal.asked(), orders, 'orders submitted to the provider');
			const [{ n }] = await server.psql(`select count(*) as n from (select from attempts
				group by generation_id having count(*) > 1) x`);
			assert.equal(n, 0, 'orders with two attempts');
			assert.deepEqual(await server.books(), {});
		};
		// A process that has just started has its connections' plans to make.
		const warm = async (instances) => {
			await carry(server, instances, people, WARM);
			orders += WARM;
		};
		const [both, one] = await alternate(async () => {
			// A fresh one: the other rounds are of one process alone.
			const twin = await server.twin({ env: env(ports[1]) });
			twins.push(twin);
			const instances = [server, twin], sockets = await watch(instances, people);
			const [{ now: since }] = await server.psql('select now()');
			await warm(instances);
			const before = cpu_ms(server.process.pid) + cpu_ms(twin.process.pid);
			const s = await carry(server, instances, people, ORDERS);
			cpu += cpu_ms(server.process.pid) + cpu_ms(twin.process.pid) - before;
			orders += ORDERS;
			await check();
			assert.equal(await all_seen(server, sockets, since, 'generation.failed'), WARM + ORDERS);
			for (const { ws } of sockets) await ws.close();
			const carried = instances.map((i) => i.logs().match(/msg="taken"/g)?.length ?? 0);
			assert.ok(carried.every((n) => n > 0), `one instance took nothing: ${carried}`);
			await twin.stop();
			return ORDERS / s;
		}, async () => {
			const sockets = await watch([server, server], people);
			const [{ now: since }] = await server.psql('select now()');
			await warm([server]);
			const s = await carry(server, [server], people, ORDERS);
			orders += ORDERS;
			await check();
			assert.equal(await all_seen(server, sockets, since, 'generation.failed'), WARM + ORDERS);
			for (const { ws } of sockets) await ws.close();
			return ORDERS / s;
		});
		report('two', both, 'jobs/s', one, 'one instance', { want: 0.9 });
		report('two-cpu', cpu / (ORDERS * rounds), 'ms/job');
		// Whole videos, on both: each asked for and settled once.
		await fal.plan({ tiny: true, polls: 0, hook: 'now' });
		const twin = await server.twin({ env: env(ports[1]) });
		twins.push(twin);
		const sockets = await watch([server, twin], people);
		const [{ now: since }] = await server.psql('select now()');
		const s = await carry(server, [server, twin], people, VIDEOS);
		orders += VIDEOS;
		await check();
		assert.equal(await all_seen(server, sockets, since, 'generation.completed'), VIDEOS);
		const [{ n }] = await server.psql(`select count(*) as n from generations g join charges c on c.generation_id = g.id
			where g.created_at >= $1 and g.status = 'completed' and g.media_state = 'stored' and c.state = 'settled'`, [since]);
		assert.equal(n, VIDEOS, 'videos stored and settled');
		for (const { ws } of sockets) await ws.close();
		report('two-video', VIDEOS / s, 'videos/s');
		await twin.stop();
		for (const one_of of [server, ...twins]) no_slow_turn(one_of);
	} finally {
		await fal.stop();
		for (const one_of of [...twins, server]) if (!one_of.process.ended) await one_of.stop();
		await server.redis.stop();
	}
}
