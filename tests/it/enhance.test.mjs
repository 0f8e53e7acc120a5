// enhance.test.mjs - POST /prompts/enhance: what a language model makes of an
// idea, and that nothing it does is an error of ours.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FakeChat } from '../fake/chat.mjs';
import { fakeFal, reeld, until } from './env.mjs';

let chat, fal, r, ann;
before(async () => {
	chat = await new FakeChat().start();
	fal = await fakeFal();
	r = await reeld({ env: { ...chat.env, ...fal.env, REELD_ENHANCE_TIMEOUT: '2s' }, seed: async (s) => {
		await s.psql('select outcome from model_put($1)', [JSON.stringify({ slug: 'it-short', name: 'Short',
			category: 'standard', active: true, capabilities: { modes: ['t2v'], durations: { fixed: 2 },
				audio: 'none', max_prompt: 40 },
			routes: [{ provider: 'fal', endpoint: 'fal-ai/it/short', params: { input: { prompt: 'prompt' } } }],
			price: { rule: { core: { type: 'per_call', credits: 10 }, flat: [{ code: 'enhance',
				label: 'Prompt enhancement', credits: 5, when: { enhance: true } }] } } })]);
	} });
	ann = await r.user({ credits: 1000 });
});
after(() => chat.stop());

const improve = (body, who = ann) => who.post('/prompts/enhance', body);

test('an idea becomes a prompt; the older address is the same', async () => {
	const a = await improve({ prompt: 'a fox', content_type: 'video', negative_prompt: 'snow' });
	assert.equal(a.status, 200, JSON.stringify(a.body));
	assert.deepEqual(a.body, { prompt: 'a fox', enhanced_prompt: 'a fox Must not be seen: snow, in golden light',
		changed: true, fallback: false, model: null, enhanced_by: 'small' });
	const { system, headers, body } = chat.asked.at(-1);
	assert.match(system, /AI video generator/);
	assert.equal(headers.authorization, 'Bearer chat-key');
	assert.equal(body.temperature, 0.7);
	const b = await r.call('POST', '/api/optimize-prompt', { key: ann.key,
		json: { prompt: 'a hare', content_type: 'image' } });
	assert.equal(b.status, 200);
	assert.equal(b.body.enhanced_prompt, 'a hare, in golden light');
	assert.match(chat.asked.at(-1).system, /AI image generator/);
});

test('cut to the words and to what the model takes', async () => {
	chat.on('endless', `${'word '.repeat(500)}`);
	const a = await improve({ prompt: 'endless' });
	assert.equal(a.body.enhanced_prompt.split(' ').length, 200);
	const b = await improve({ prompt: 'endless', model: 'it-short' });
	assert.equal(b.body.enhanced_prompt, 'word word word word word word word word');
	assert.equal(b.body.model, 'it-short');
	chat.on('unseen', 'a\u0007\u001b[31m \u202eb\nc');
	assert.equal((await improve({ prompt: 'unseen' })).body.enhanced_prompt, 'a[31m b c');
});

for (const how of ['hang', 'cut', 'html', 'empty', 'refuse', 'filter', 401, 429, 500]) {
	test(`a server that answers "${how}": the prompt as it was, 200`, async () => {
		const prompt = `fallback-${how}`;
		chat.on(prompt, how);
		const a = await improve({ prompt });
		assert.equal(a.status, 200);
		assert.deepEqual(a.body, { prompt, enhanced_prompt: prompt, changed: false, fallback: true,
			model: null, enhanced_by: null });
		assert.doesNotMatch(JSON.stringify(a.body), /canary/);
	});
}

test('what is asked wrongly is said', async () => {
	for (const [body, status, pointer] of [
		[{}, 400, '#/prompt'], [{ prompt: '' }, 422, '#/prompt'], [{ prompt: ' \n' }, 422, '#/prompt'],
		[{ prompt: 'x', content_type: 'audio' }, 422, '#/content_type'],
		[{ prompt: 'x', model: 'nope' }, 422, '#/model'], [{ prompt: 'x', temperature: 2 }, 400, '#/temperature'],
		[{ prompt: 'x'.repeat(20001) }, 422, '#/prompt']]) {
		const a = await improve(body);
		assert.equal(a.status, status, JSON.stringify(body));
		assert.equal(a.body.errors[0].pointer, pointer);
	}
	assert.equal((await r.call('POST', '/api/v1/prompts/enhance', { json: { prompt: 'x' } })).status, 401);
});

test('a client that hangs up: the question is dropped, the server lives', async () => {
	chat.on('gone away', 'hang');
	const stop = new AbortController();
	const call = r.fetch('/api/v1/prompts/enhance', { key: ann.key, json: { prompt: 'gone away' },
		signal: stop.signal }).catch((e) => e.name);
	await until('it is asked', () => chat.count('gone away') === 1);
	stop.abort();
	assert.equal(await call, 'AbortError');
	assert.equal((await improve({ prompt: 'still here' })).status, 200);
});

test('an order with enhance: priced, rewritten, shown; without it nobody is asked', async () => {
	const order = { model: 'it-short', prompt: 'a boat', enhance: true };
	const estimate = await ann.post('/estimate', order);
	assert.equal(estimate.body.credits, 15);
	chat.on('a boat', 'a boat on a wide lake');
	const made = await ann.submit(order);
	assert.equal(made.credits, 15);
	assert.equal(made.enhanced_prompt, null);
	const done = await ann.ended(made.id);
	assert.equal(done.status, 'completed', r.logs());
	assert.equal(done.prompt, 'a boat');
	assert.equal(done.enhanced_prompt, 'a boat on a wide lake');
	assert.equal(done.charge.settled, 15);
	assert.equal(fal.submits['a boat on a wide lake'], 1);
	const asked = chat.asked.length;
	const plain = await ann.ended((await ann.submit({ ...order, enhance: false })).id);
	assert.equal(plain.charge.settled, 10);
	assert.equal(plain.enhanced_prompt, null);
	assert.equal(chat.asked.length, asked);
	// One that comes to nothing is given back.
	chat.on('a kite', 'empty');
	const kite = await ann.ended((await ann.submit({ ...order, prompt: 'a kite' })).id);
	assert.equal(kite.charge.settled, 10);
	assert.equal(kite.charge.refunded, 5);
	assert.equal(fal.submits['a kite'], 1);
	assert.deepEqual(await r.books(), {});
	const metrics = (await r.call('GET', '/metrics', { key: r.admin.key })).body;
	assert.match(metrics, /reeld_prompts_total\{result="enhanced"\} 1\n/);
	assert.match(metrics, /reeld_prompts_total\{result="as_written"\} 1\n/);
});

test('so many a day, counted by the database, each user for himself', async () => {
	await r.restart({ env: { REELD_ENHANCE_PER_DAY: '3' } });
	const bob = await r.user({ credits: 0 });
	const all = await Promise.all(Array.from({ length: 8 }, () => improve({ prompt: 'many' }, bob)));
	const by = (s) => all.filter((a) => a.status === s);
	assert.equal(by(200).length, 3);
	assert.equal(by(429).length, 5);
	assert.equal(by(429)[0].body.code, 'enhance_limit');
	const wait = Number(by(429)[0].headers.get('retry-after'));
	assert.ok(wait > 0 && wait <= 86400, String(wait));
	const limits = (await bob.get('/me/limits')).body;
	assert.deepEqual(limits.enhance, { available: true, per_day: 3 });
	const eve = await r.user({ credits: 0 });
	assert.equal((await improve({ prompt: 'mine' }, eve)).status, 200);
	// Yesterday's are forgotten.
	await r.psql("update enhance_use set day = day - 1 where user_id = $1", [bob.id]);
	assert.equal((await improve({ prompt: 'a new day' }, bob)).status, 200);
});

test('not set up: said where it is asked for, and orders are refused', async () => {
	await r.restart({ env: { REELD_ENHANCE_BASE_URL: '' } });
	const a = await improve({ prompt: 'x' });
	assert.equal(a.status, 503);
	assert.equal(a.body.code, 'enhance_off');
	assert.equal((await ann.get('/me/limits')).body.enhance.available, false);
	const b = await ann.post('/generations', { model: 'it-short', prompt: 'x', enhance: true });
	assert.equal(b.status, 422);
	assert.equal(b.body.code, 'unsupported_enhance');
});
