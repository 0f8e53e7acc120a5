// D7, D9: a provider that answers badly, and results that cannot be fetched.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { fakeFal, order, rule, until, usage, world } from './kit.mjs';

let fal, r, ann;
before(async () => {
	fal = await fakeFal();
	r = await world({ fal });
	ann = await r.user({ credits: 1_000_000 });
});

// [what, plan, status, code]; how often it is asked is in the plan.
const answers = [
	['500', { submit: '500' }, 'failed', 'provider_unknown'],
	['502', { submit: '502' }, 'failed', 'provider_unknown'],
	['it hangs', { submit: 'hang' }, 'failed', 'provider_unknown'],
	['it hangs up', { submit: 'cut' }, 'failed', 'provider_unknown'],
	['it hangs up in the body', { submit: 'cut-body' }, 'failed', 'provider_unknown'],
	['200 with a page', { submit: 'html' }, 'failed', 'provider_unknown'],
	['200 without an id', { submit: 'no-id' }, 'failed', 'provider_unknown'],
	['200 with 50 MB', { submit: 'vast' }, 'failed', 'provider_unknown'],
	['429 for 3 s, then fine', { submit: ['429', 'ok'], retry_after: 3 }, 'completed', null],
	['its result redirects for ever', { video: 'loop' }, 'failed', 'too_many_redirects'],
	['its result is said to have a terabyte', { video: 'vast' }, 'failed', 'reply_too_large'],
	['its result is a web page', { video: 'html' }, 'failed', null],
	['its link died, and the fresh one too', { video: '403' }, 'failed', 'result_unavailable'],
];
test('D7, D9: each has its end, asked once, refunded when there is no video', async (t) => {
	const before = usage(r.process.pid);
	// So many bad answers open the circuit, for longer each time: an operator
	// resumes the account. What each answer comes to is the question here.
	const { body: { accounts: [account] } } = await r.admin.get('/admin/providers/fal');
	let over = false;
	const operator = (async () => {
		while (!over) {
			const { status } = await r.admin.post(`/admin/accounts/${account.id}/resume`, {});
			assert.equal(status, 200);
			await new Promise((done) => { setTimeout(done, 1000); });
		}
	})();
	await Promise.all(answers.map(([what, plan, status, code]) => t.test(what, async () => {
		const at = performance.now();
		const o = await order(ann, fal, plan);
		const g = await ann.ended(o.id, 120000);
		assert.equal(g.status, status, JSON.stringify(g.error));
		if (code) assert.equal(g.error.code, code, JSON.stringify(g.error));
		assert.equal(fal.submits[o.prompt], Array.isArray(plan.submit) ? 2 : 1);
		if (plan.retry_after) assert.ok(performance.now() - at >= plan.retry_after * 1000);
	}))).finally(() => { over = true; });
	await operator;
	await rule(r);
	const after = usage(r.process.pid);
	t.diagnostic(`peak ${after.peak.toFixed(0)} MB, before ${before.rss.toFixed(0)} MB`);
	// 50 MB of JSON were not kept (a sanitizer keeps what was freed for a while).
	assert.ok(after.peak - before.rss < 300, JSON.stringify([before, after]));
	await until('descriptors are back', () => usage(r.process.pid).fds <= before.fds + 12);
});
