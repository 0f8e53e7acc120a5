// canary.test.mjs - what a provider says of a failure is for operators: a word
// planted in its replies is looked for in everything that its user can see.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { fakeFal, reeld, until } from './env.mjs';

const CANARY = 'canary-3f1c-of-the-provider';
let fal, r, ann, ops;
before(async () => {
	fal = await fakeFal();
	r = await reeld({ env: { ...fal.env }, seed: async (s) => {
		await s.psql('select outcome from model_put($1)', [JSON.stringify({ slug: 'it-canary', name: 'Canary',
			category: 'standard', active: true, capabilities: { modes: ['t2v'], durations: { fixed: 2 },
				audio: 'none', max_prompt: 400 },
			routes: [{ provider: 'fal', endpoint: 'fal-ai/it/canary', params: { input: { prompt: 'prompt' } },
				cost_rule: { core: { type: 'per_second', credits: 0.05 } } }],
			price: { rule: { core: { type: 'per_call', credits: 10 }, blocked_fee: 2 } } })]);
	} });
	ann = await r.user({ credits: 1000 });
	ops = await r.user({ role: 'operator', credits: 0 });
});

// Everything of a Server-Sent Events stream so far.
function listen(user) {
	const stop = new AbortController();
	const self = { text: '', stop: () => stop.abort() };
	self.ready = user.fetch('/api/v1/events?topics=user:me', { signal: stop.signal }).then(async (res) => {
		assert.equal(res.status, 200);
		self.done = (async () => {
			const decoder = new TextDecoder();
			try {
				for await (const part of res.body) self.text += decoder.decode(part, { stream: true });
			} catch { /* stopped */ }
		})();
	});
	return self;
}

// [what happens, code, is it refused for its content]
for (const [name, plan, code] of [
	['refused at once', { submit: 'refused' }, /content_policy_violation/],
	['not taken', { submit: '422' }, /./],
	['refused later', { result: 'refused' }, /content_policy_violation/],
	['failed later', { result: 'failed' }, /./]]) {
	test(`${name}: our words for its user, theirs for operators`, async () => {
		const prompt = `a boat, ${name}`;
		fal.plan(prompt, { ...plan, words: `Sorry: ${CANARY}` });
		const sse = listen(ann);
		await sse.ready;
		const ws = await ann.ws();
		const made = await ann.submit({ model: 'it-canary', prompt });
		await ws.subscribe(`generation:${made.id}`);
		const done = await ann.ended(made.id);
		assert.equal(done.status, 'failed');
		assert.match(done.error.code, code);
		await until('the socket tells the end', () => JSON.stringify(ws.messages).includes(done.error.code));
		await until('the stream tells the end', () => sse.text.includes('generation.failed'));
		sse.stop();
		const seen = { done, sse: sse.text, ws: ws.messages };
		for (const path of ['', '/status', '/events', '/attempts', '/receipt', '/content']) {
			const a = await ann.get(`/generations/${made.id}${path}`);
			seen[path] = [a.status, a.body, [...a.headers]];
		}
		seen.list = (await ann.get('/generations')).body;
		seen.ledger = (await ann.get('/credits/ledger')).body;
		const retry = await ann.post(`/generations/${made.id}/retry`);
		seen.retry = [retry.status, retry.body];
		seen.again = await ann.ended(retry.body.id);
		assert.equal(seen.again.status, 'failed');
		assert.equal(JSON.stringify(seen).includes(CANARY), false,
			JSON.stringify(Object.entries(seen).filter(([, v]) => JSON.stringify(v)?.includes(CANARY))));
		assert.ok(sse.text.includes(done.error.code));
		await ws.close();
		// Events are what every channel carries: none of them holds it.
		const [{ n }] = await r.psql('select count(*) as n from events where data::text like $1', [`%${CANARY}%`]);
		assert.equal(n, 0);
		const job = (await ops.get(`/admin/jobs/${made.id}`)).body;
		assert.ok(JSON.stringify(job.provider_message).includes(CANARY), JSON.stringify(job));
		assert.ok(JSON.stringify(job.attempts).includes(CANARY));
		assert.equal(job.money.cost_micro_usd, 0);
	});
}

test('money is for operators: the margin, and none of it for users', async () => {
	const prompt = 'a good boat';
	fal.plan(prompt, {});
	const made = await ann.submit({ model: 'it-canary', prompt });
	const done = await ann.ended(made.id);
	assert.equal(done.status, 'completed', r.logs());
	const job = (await ops.get(`/admin/jobs/${made.id}`)).body;
	// 10 credits of a cent each; 2 seconds of 5 cents, as the rule says.
	assert.deepEqual(job.money, { cost_micro_usd: 100000, cost_estimated: true,
		revenue_micro_usd: 100000, margin_micro_usd: 0 });
	assert.equal(job.attempts[0].cost_micro_usd, 100000);
	assert.equal(job.attempts[0].cost_estimated, true);
	assert.equal(job.job.result_expiring, false);
	const mine = [done, (await ann.get(`/generations/${made.id}/attempts`)).body,
		(await ann.get(`/generations/${made.id}/receipt`)).body];
	assert.doesNotMatch(JSON.stringify(mine), /cost_micro|margin|revenue/);
	assert.equal((await ann.get(`/admin/jobs/${made.id}`)).status, 403);
	assert.equal((await ops.get('/admin/overview')).body.results_expiring, 0);
	const estimate = (await ann.post('/estimate', { model: 'it-canary' })).body;
	assert.equal(estimate.blocked_fee, 2);
});
