// The prompt before the submit: rewritten once, kept, the same in every
// attempt, and never a reason to fail; kill -9 in between pays for nothing.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FakeChat } from '../fake/chat.mjs';
import { books, ended, fal, until, world } from './engine_kit.mjs';

let chat;
before(async () => { chat = await new FakeChat().start(); });
after(() => chat.stop());

const spec = { enhance: true };
// As the API stores it: 10 credits and 5 for the enhancement.
const rule = { core: { type: 'per_call', credits: 10 },
	flat: [{ code: 'enhance', credits: 5, when: { enhance: true } }] };
async function world15() {
	const w = await world({ rule });
	w.env = { DEMO_CHAT: chat.url };
	w.order = (plan_of_fal = {}, o = {}) => w.submit(plan_of_fal,
		{ credits: 15, plan: w.plan, ...o, spec: { ...spec, ...o.spec } });
	// The prompt that reached fal is the rewritten one.
	w.answer = (g, text, fal_plan = {}) => {
		chat.on(g.prompt, text);
		fal.plan(text, fal_plan);
	};
	return w;
}

test('the rewritten prompt is sent, kept and shown; the user\'s stays', async () => {
	const w = await world15();
	chat.barrier();
	const g = await w.order();
	const better = `better ${g.prompt}`;
	w.answer(g, ` ${better}\n\n`);
	const demo = w.demo(w.env);
	await chat.reached();
	// People see what it waits for; nothing was sent.
	const shown = await w.row(g.id);
	assert.equal(shown.status, 'queued');
	assert.equal(shown.stage, 'enhance');
	chat.release();
	const done = await ended(w, g.id, demo);
	assert.equal(done.status, 'completed', demo.log);
	assert.equal(done.prompt, g.prompt);
	assert.equal(done.enhanced_prompt, better);
	assert.equal(fal.submits[better], 1);
	assert.equal(fal.submits[g.prompt], undefined);
	const [asked] = chat.asked.filter((a) => a.prompt.includes(g.prompt));
	assert.equal(asked.headers.authorization, 'Bearer chat-key');
	assert.equal(asked.body.max_tokens, 300);
	assert.match(asked.system, /camera moves/);
	assert.equal(chat.count(g.prompt), 1);
	const types = (await w.conn.query('select type, data->>\'stage\' as stage from events where '
		+ 'generation_id = $1 order by seq', [g.id])).rows.map((e) => `${e.type} ${e.stage ?? ''}`.trim());
	assert.deepEqual(types.slice(0, 3), ['generation.created', 'generation.stage enhance',
		'generation.processing submit']);
	await books(w, 85);
	await demo.kill('SIGTERM');
});

for (const how of ['hang', 'cut', 'html', 'empty', 'refuse', 'filter', 400, 429, 500, 503]) {
	test(`a language model that answers "${how}": the prompt as it was written, not paid for`, async () => {
		const w = await world15();
		const g = await w.order();
		chat.on(g.prompt, how);
		const demo = w.demo({ ...w.env, DEMO_CHAT_MS: how === 'hang' ? '300' : '20000' });
		const done = await ended(w, g.id, demo);
		assert.equal(done.status, 'completed', demo.log);
		assert.equal(done.enhanced_prompt, '');
		assert.equal(fal.submits[g.prompt], 1);
		assert.equal(chat.count(g.prompt), 1);
		await books(w, 90); // 5 of 15 came back
		await demo.kill('SIGTERM');
	});
}

test('a language model that is not there, and one that is configured no more', async () => {
	for (const env of [{ DEMO_CHAT: 'http://127.0.0.1:9/v1' }, {}]) {
		const w = await world15();
		const g = await w.order();
		const demo = w.demo(env);
		assert.equal((await ended(w, g.id, demo)).status, 'completed', demo.log);
		assert.equal(fal.submits[g.prompt], 1);
		await books(w, 90);
		await demo.kill('SIGTERM');
	}
});

test('busy three times: asked once, every attempt sends the same words', async () => {
	const w = await world15();
	const g = await w.order();
	const better = `better ${g.prompt}`;
	w.answer(g, better, { submit: ['429', '429', 'ok'] });
	const demo = w.demo(w.env);
	assert.equal((await ended(w, g.id, demo)).status, 'completed', demo.log);
	assert.equal(fal.submits[better], 3);
	assert.equal(chat.count(g.prompt), 1);
	await books(w, 85);
	await demo.kill('SIGTERM');
});

test('cancelled while it is rewritten: refunded, nothing is sent', async () => {
	const w = await world15();
	chat.barrier();
	const g = await w.order();
	const demo = w.demo(w.env);
	await chat.reached();
	await w.k.move('generation_cancel', g.id, w.user, w.user);
	chat.release();
	assert.equal((await ended(w, g.id, demo)).status, 'cancelled');
	await books(w, 100);
	const next = await w.submit();
	assert.equal((await ended(w, next.id, demo)).status, 'completed', demo.log);
	assert.equal(fal.submits[`${g.prompt}, in golden light`], undefined);
	await demo.kill('SIGTERM');
});

test('a stop while it is rewritten: another engine goes on', async () => {
	const w = await world15();
	chat.barrier();
	const g = await w.order();
	const a = w.demo(w.env);
	await chat.reached();
	assert.deepEqual(await a.kill('SIGTERM'), { code: 0, signal: null }, a.log);
	chat.release();
	const b = w.demo(w.env);
	assert.equal((await ended(w, g.id, b)).status, 'completed', b.log);
	assert.equal(fal.submits[`${g.prompt}, in golden light`], 1);
	await books(w, 85);
	await b.kill('SIGTERM');
});

for (const point of ['enhance.sent', 'enhance.answered', 'enhance.before_commit',
	'enhance.after_commit', 'submit.before_attempt_commit']) {
	test(`kill -9 at ${point}: rewritten and paid for once more at most`, async () => {
		const w = await world15();
		const g = await w.order();
		const better = `better ${g.prompt}`;
		w.answer(g, better);
		const a = w.demo({ ...w.env, REELD_CRASH_AT: point });
		assert.equal((await a.gone).signal, 'SIGKILL', a.log);
		assert.equal(fal.submits[better], undefined);
		const b = w.demo(w.env);
		const done = await ended(w, g.id, b);
		assert.equal(done.status, 'completed', b.log);
		assert.equal(done.enhanced_prompt, better);
		assert.equal(fal.submits[better], 1);
		assert.equal(chat.count(g.prompt) <= 2, true);
		if (/after_commit|attempt/.test(point)) assert.equal(chat.count(g.prompt), 1);
		await books(w, 85);
		await b.kill('SIGTERM');
	});
}

test('kill -9 with the paid request on the wire: the same words are uncertain, not sent again', async () => {
	const w = await world15();
	const g = await w.order();
	const better = `better ${g.prompt}`;
	w.answer(g, better);
	const a = w.demo({ ...w.env, REELD_CRASH_AT: 'submit.sent' });
	assert.equal((await a.gone).signal, 'SIGKILL', a.log);
	const b = w.demo(w.env);
	await until(w, g.id, () => /"taken"/.test(b.log), b);
	for (;;) {
		const job = await w.k.one('select status from jobs');
		if (job.status === 'uncertain') break;
		await new Promise((r) => { setTimeout(r, 20); });
	}
	assert.ok((fal.submits[better] ?? 0) <= 1);
	assert.equal(chat.count(g.prompt), 1);
	await b.kill('SIGTERM');
});
