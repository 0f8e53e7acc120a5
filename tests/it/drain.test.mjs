// drain.test.mjs - SIGTERM: remote renders go on and are taken over, sockets
// are told, requests in flight are answered, and the exit is 0.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, test } from 'node:test';
import { fakeFal, reeld } from './env.mjs';

let fal;
before(async () => { fal = await fakeFal(); });

test('the other instance goes on, nothing fails, sockets get 1012', async () => {
	const a = await reeld({ env: fal.env });
	const ann = await a.user({ credits: 1_000_000 });
	await a.psql("update system_config set value = '100' where key = 'video_concurrent_limit'");
	await a.restart();
	const live = await ann.ws();
	await live.subscribe('user:me');
	const all = [];
	for (let i = 0; i < 12; i++) {
		const prompt = `p ${randomUUID()}`;
		fal.plan(prompt, { polls: i % 3 });
		all.push({ prompt, ...await ann.submit({ model: 'kling-2.5', prompt }) });
	}
	await ann.until(all[0].id, (s) => s.status === 'processing');
	const b = await a.twin();
	const wait = ann.get(`/generations/${all[11].id}/status?wait=25&version=1000`);
	await a.stop(); // fails unless it exits with 0
	const answer = await wait.catch(() => ({ status: 0 }));
	assert.ok([0, 200, 304, 503].includes(answer.status), String(answer.status));
	const closed = await live.over;
	assert.equal(closed.code, 1012, JSON.stringify(closed));
	assert.ok(live.messages.some((m) => m.type === 'bye'), 'no bye');
	ann.server = b;
	for (const g of all) {
		const done = await ann.ended(g.id, 90000);
		assert.equal(done.status, 'completed', JSON.stringify(done.error));
		assert.equal(fal.accepted[g.prompt], 1);
	}
	assert.deepEqual(await b.books(), {});
});

test('a second SIGTERM ends it at once, as safe as kill -9', async () => {
	const r = await reeld({ env: { ...fal.env, REELD_JOBS_ADOPT_AFTER: '2s' } });
	const ann = await r.user({ credits: 100000 });
	const prompt = `p ${randomUUID()}`;
	fal.barrier('submit');
	const there = fal.reached('submit');
	const g = await ann.submit({ model: 'kling-2.5', prompt });
	await there; // a paid request is on the wire: a drain waits for it
	r.process.child.kill('SIGTERM');
	await r.process.said(/drain|stopping|SIGTERM/i);
	r.process.child.kill('SIGTERM');
	await r.died();
	fal.release('submit');
	await r.restart();
	const state = await ann.until(g.id, () => true);
	assert.ok(state.status !== 'failed');
	assert.ok((fal.accepted[prompt] ?? 0) <= 1);
	assert.deepEqual(await r.books(), {});
});
