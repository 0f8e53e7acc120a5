// D4 and the wires: commits whose answer is lost, and slow, cut, silent and
// reset connections to PostgreSQL, Redis, the provider and the bucket.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { s3 } from '../it/env.mjs';
import { fakeFal, order, orders, rule, settled, until, wire, world } from './kit.mjs';
import { size } from './size.mjs';

let fal;
before(async () => { fal = await fakeFal(); });

const engine = { job_claim: {}, attempts_start: {}, attempts_submitted: {}, generation_finalizing: {}, generation_finish: {},
	generations_fail: { result: 'failed' }, job_requeue: { submit: ['429', 'ok'] } };
test('D4: the answer to a commit is lost, or the commit is', async (t) => {
	const r = await world({ fal, pg: true });
	const ann = await r.user({ credits: 1_000_000 });
	for (let round = 0; round < size(1, 10); round++) {
		await settled(r); // the refunds of the last round are in the balance
		for (const how of ['lose', 'before', 'cut']) {
			const done = r.pg_wire.commit(/^generation_submit$/, how);
			const before = await ann.balance();
			const o = await order(ann, fal, {});
			await done;
			const rows = await r.psql('select id, credits from generations where prompt = $1', [o.prompt]);
			assert.deepEqual(rows.map((x) => x.id), [o.id], how);
			const looked = r.pg_wire.commit(/^generation_replay$/, how);
			const again = await ann.post('/generations', { model: 'kling-2.5', prompt: o.prompt }, { 'idempotency-key': o.key });
			await looked;
			assert.equal(again.status, 200, JSON.stringify(again.body));
			assert.equal(again.body.id, o.id);
			assert.equal(await ann.balance(), before - rows[0].credits);
			// Without a key the server alone finds out what became of it.
			const lost = r.pg_wire.commit(/^generation_submit$/, how);
			const prompt = `once ${how} ${round}`;
			fal.plan(prompt, { polls: 0 });
			const x = await ann.post('/generations', { model: 'kling-2.5', prompt });
			await lost;
			const [{ n }] = await r.psql('select count(*) as n from generations where prompt = $1', [prompt]);
			assert.ok(x.status === 201 ? n === 1 : x.status === 503 && n === 0, `${how}: ${x.status}, ${n} made`);
		}
		for (const [name, plan] of Object.entries(engine)) {
			const hit = ['lose', 'before', 'cut'].map((how) => r.pg_wire.commit(new RegExp(`^${name}$`), how));
			await orders(3, 3, () => order(ann, fal, plan));
			await Promise.all(hit);
		}
	}
	t.diagnostic(JSON.stringify(await rule(r)));
});

const faults = { late: { latency_ms: 40, jitter_ms: 80 }, slow: { rate: 30000 }, bytes: { split: true },
	'no answers': { drop: 'down' }, 'half-open': { accept: 'half-open' }, 'refused': { accept: 'reset' } };
// Faults one after the other while orders come; the wire is cut between them.
async function shake(p, seconds, also = {}) {
	for (const [name, f] of Object.entries({ ...faults, ...also })) {
		p.set(f);
		if (f.accept) p.reset(); // a fault of new connections needs new ones
		await new Promise((r) => { setTimeout(r, seconds * 1000); });
		p.set();
		if (f.drop || f.split) p.cut();
		void name;
	}
	p.set();
}

test('every wire shakes: all orders end, nothing is paid twice', async (t) => {
	const bucket = await s3();
	const wire_fal = await wire({ port: Number(new URL(fal.url).port) });
	const wire_s3 = await wire({ port: bucket.port });
	const direct = fal.url;
	fal.url = wire_fal.url; // what it says about itself, too
	const r = await world({ fal, pg: true, redis: true, env: { ...bucket.env, REELD_DB_TIMEOUT: '2s',
		REELD_PROVIDER_FAL_BASE_URL: wire_fal.url, REELD_S3_ENDPOINT: `http://127.0.0.1:${wire_s3.port}` } });
	const ann = await r.user({ credits: 1_000_000_000 });
	let over = false;
	const shaking = Promise.all([shake(r.pg_wire, size(1.2, 20)), shake(r.redis_wire, size(1.5, 20)),
		// A duplicated answer is one too many: the connection is not used again.
		shake(wire_fal, size(1.3, 20), { twice: { duplicate: true }, short: { cut_after: 400 } }),
		shake(wire_s3, size(1.4, 20), { short: { cut_after: 100 } })]).then(() => { over = true; });
	const all = [];
	while (!over) all.push(...await orders(size(4, 20), size(4, 20), (i) => order(ann, fal, { polls: i % 3 })));
	await shaking;
	// A circuit stays open for up to five minutes behind the last failure.
	const ends = await rule(r, { limit_ms: 600000 });
	fal.url = direct;
	t.diagnostic(`${all.length} orders: ${JSON.stringify(ends)}`);
	assert.ok(ends.completed > 0, JSON.stringify(ends));
	await until('ready', async () => (await r.call('GET', '/readyz')).status === 200);
	assert.equal(r.process.ended, undefined);
});
