// What a generation costs us and what its user pays when a provider refuses:
// the fee of the plan, the provider's own word, else an estimate.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ended, books, world } from './engine_kit.mjs';

const CENTS = { core: { type: 'per_second', credits: 0.05 }, per_unit: 0.035 };
const fee = (n) => ({ core: { type: 'per_call', credits: 10 },
	...(n === undefined ? {} : { blocked_fee: n }) });
const money = (w, id) => w.k.one('select * from generation_margin($1)', [id]);

// [of the plan, of the price 10, kept, where it is refused]
for (const [n, kept, plan] of [[3, 3, { submit: 'refused' }], [3, 3, { result: 'refused' }],
	[10, 10, { result: 'refused' }], [99, 10, { submit: 'refused' }], [0, 0, { result: 'refused' }],
	[undefined, 0, { result: 'refused' }], [3, 0, { result: 'failed' }], [3, 0, { submit: '422' }]]) {
	test(`a plan with blocked_fee ${n}: ${JSON.stringify(plan)} keeps ${kept} of 10`, async () => {
		const w = await world({ rule: fee(n) });
		const g = await w.submit(plan, { plan: w.plan });
		const demo = w.demo();
		const row = await ended(w, g.id, demo);
		assert.equal(row.status, 'failed');
		assert.equal(row.error_class === 'refused', /refused/.test(JSON.stringify(plan)));
		const c = await w.k.one('select * from charges');
		assert.equal(c.fee, kept);
		assert.equal(c.refunded, 10 - kept);
		assert.equal(c.state, kept > 0 ? 'partially_refunded' : 'refunded');
		await books(w, 100 - kept);
		await demo.kill('SIGTERM');
	});
}

test('kill -9 before and after the refusal is written: the fee once', async () => {
	for (const point of ['fail.before_commit', 'fail.after_commit']) {
		const w = await world({ rule: fee(4) });
		const g = await w.submit({ result: 'refused' }, { plan: w.plan });
		const a = w.demo({ REELD_CRASH_AT: point });
		assert.equal((await a.gone).signal, 'SIGKILL', a.log);
		const b = w.demo();
		assert.equal((await ended(w, g.id, b)).status, 'failed');
		await books(w, 96);
		await b.kill('SIGTERM');
	}
});

test('a free generation that is refused: nothing to keep, nothing to give back', async () => {
	const w = await world({ rule: fee(3) });
	const g = await w.submit({ result: 'refused' }, { plan: w.plan, credits: 0 });
	const demo = w.demo();
	assert.equal((await ended(w, g.id, demo)).status, 'failed');
	assert.equal((await w.k.one('select state from charges')).state, 'refunded');
	await books(w, 100);
	await demo.kill('SIGTERM');
});

test('units that fal says it billed are the cost; else an estimate, marked as one', async () => {
	const w = await world({ route: { cost_rule: CENTS } });
	const told = await w.submit({ units: 3 });
	const not_told = await w.submit({});
	const demo = w.demo();
	for (const g of [told, not_told]) {
		assert.equal((await ended(w, g.id, demo)).status, 'completed', demo.log);
	}
	// 10 credits of a cent each; 3 units of 3.5 cents; 2 seconds of 5 cents.
	assert.deepEqual(await money(w, told.id), { cost_micro_usd: 105000, cost_estimated: false,
		revenue_micro_usd: 100000, margin_micro_usd: -5000 });
	assert.deepEqual(await money(w, not_told.id), { cost_micro_usd: 100000, cost_estimated: true,
		revenue_micro_usd: 100000, margin_micro_usd: 0 });
	await demo.kill('SIGTERM');
});

test('no rule: the cost is not known, and no margin is made up', async () => {
	const w = await world();
	const g = await w.submit({});
	const demo = w.demo();
	assert.equal((await ended(w, g.id, demo)).status, 'completed', demo.log);
	assert.deepEqual(await money(w, g.id), { cost_micro_usd: null, cost_estimated: true,
		revenue_micro_usd: 100000, margin_micro_usd: null });
	await demo.kill('SIGTERM');
});

test('failures cost what the route says: nothing, or the estimate', async () => {
	for (const [bills, cost] of [[false, 0], [true, 100000]]) {
		const w = await world({ route: { cost_rule: CENTS, bills_on_failure: bills } });
		const g = await w.submit({ result: 'failed' });
		const refused = await w.submit({ submit: '422' });
		const demo = w.demo();
		assert.equal((await ended(w, g.id, demo)).status, 'failed');
		assert.equal((await ended(w, refused.id, demo)).status, 'failed');
		const m = await money(w, g.id);
		assert.equal(m.cost_micro_usd, cost);
		assert.equal(m.revenue_micro_usd, 0);
		// Never taken: nothing can have been billed.
		assert.equal((await money(w, refused.id)).cost_micro_usd, 0);
		await demo.kill('SIGTERM');
	}
});
