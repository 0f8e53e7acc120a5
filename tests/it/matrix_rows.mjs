// matrix_rows.mjs - what happens to a vendor in the matrix, one row each.
// run(c) gets a column; for(c) says whether its vendor can do such a thing;
// slow: it waits for a timer of reeld's.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { until } from './env.mjs';

const image_ok = (image, c) => {
	assert.equal(image.form, c.form);
	assert.match(image.type, /^image\/(png|jpeg|webp)$/);
	assert.ok(image.bytes.length > 100);
};

const cost = async (c, g) => (await c.r.psql('select cost_micro_usd::int as cost from attempts where generation_id = $1', [g.id]))[0].cost;

// For questions that cost something: many tests ask at once.
const slowly = (what, check) => until(what, async () => {
	const yes = await check();
	if (!yes) await new Promise((go) => { setTimeout(go, 250); });
	return yes;
}, 170000);

// A webhook, again and again as vendors do it: while their keys can't be
// fetched it only hurries, or is asked to come again.
const says = (c, g, status, how) => slowly(() => `${status} for a webhook of ${g.prompt}: ${JSON.stringify(c.fake.hooks.slice(-3))}`,
	async () => await c.fake.send_hook(c.job(g), how) === status);

// After a lost answer: what brings the job back, by the vendor's class.
async function comes_back(c, g) {
	if (c.lost === 'C') {
		await slowly(() => `parked: ${g.prompt}`, async () => (await c.r.psql('select 1 from jobs where generation_id = $1 '
			+ "and status = 'uncertain'", [g.id])).length === 1);
		if (c.hook === 'signed') await says(c, g, 401, { forged: true });
		await says(c, g, 200);
	}
	if (c.lost === 'D') await c.failed(g, { class: 'uncertain', code: /^provider_unknown$/ });
	else await c.completed(g);
	assert.equal(c.fake.submits[g.prompt], 1, 'never submitted again');
}

export const rows = {
	'text to video': { run: async (c) => {
		const g = await c.submit({});
		await c.plays(await c.completed(g));
		assert.equal(c.fake.submits[g.prompt], 1);
		assert.equal(await cost(c, g), c.cost ?? null);
	} },

	'image to video': { for: (c) => c.image, run: async (c) => {
		const g = await c.submit({}, { mode: 'i2v', start_image: await c.upload() });
		await c.plays(await c.completed(g));
		const { images } = c.job(g);
		assert.equal(images.length, 1);
		image_ok(images[0], c);
	} },

	// Beyond what they take inside a request.
	'a large image': { for: (c) => c.large, run: async (c) => {
		const g = await c.submit({}, { mode: 'i2v', start_image: await c.upload({ noise: true }) });
		await c.completed(g);
		image_ok(c.job(g).images[0], { form: c.large });
	} },

	'progress and place in the queue': { for: (c) => c.progress || c.position, run: async (c) => {
		const g = await c.submit({ polls: Array(2000).fill(c.progress ? 'running' : 'queued') });
		await c.user.until(g.id, (s) => s.stage === 'generate' && (!c.progress || s.progress >= c.progress), 170000);
		if (c.position) {
			await c.seen(g, 'the position', async () => (await c.user.get(`/generations/${g.id}`)).body
				.queue?.provider_position === c.position);
		}
		c.job(g).script.polls = [];
		await c.completed(g);
	} },

	'refused when it is asked': { for: (c) => c.refuses !== false, run: async (c) => {
		const g = await c.submit({ submit: 'refused' });
		await c.failed(g, { class: 'refused', code: /^content_policy_violation$/, theirs: true });
		assert.equal(c.fake.submits[g.prompt], 1);
	} },

	'refused by the filter': { for: (c) => c.refuses !== false, run: async (c) => {
		const g = await c.submit({ end: 'refused' });
		await c.failed(g, { class: 'refused', code: /^content_policy_violation$/, theirs: true });
		if (c.refusal_cost) assert.equal(await cost(c, g), c.refusal_cost);
	} },

	'input not taken': { run: async (c) => {
		await c.failed(await c.submit({ submit: 'invalid' }), { class: 'bad_input', theirs: true });
	} },

	'a model that is gone': { run: async (c) => {
		const g = await c.submit({ submit: '404' });
		const done = await c.failed(g, { class: 'not_found' });
		assert.match(done.error.message, /model/);
	} },

	failure: { run: async (c) => {
		await c.failed(await c.submit({ end: 'failed' }), { class: 'provider', theirs: true });
	} },

	'finished without a video': { run: async (c) => {
		await c.failed(await c.submit({ end: 'empty' }), {});
	} },

	// The account rests, and the job waits until somebody has seen to it.
	'no credit there': { alone: true, for: (c) => c.account === undefined, run: async (c) => {
		const g = await c.submit({ submit: ['funds', 'ok'] });
		const account = await c.rests(g);
		assert.equal(account.state, 'paused');
		assert.match(account.paused_reason, /no credit/);
		await c.goes_on(g, account);
	} },

	'a bad key': { alone: true, for: (c) => c.account !== false, run: async (c) => {
		const g = await c.submit({ submit: ['key', 'ok'] });
		const account = await c.rests(g);
		// 403 is "not this model" as well: that ends the job, not the account.
		if (account === 'failed') return void await c.failed(g, { class: 'account' });
		assert.equal(account.state, 'broken');
		assert.match(account.paused_reason, /key is not accepted/);
		await c.goes_on(g, account);
	} },

	'too many requests': { slow: true, for: (c) => c.limits !== false, run: async (c) => {
		const g = await c.submit({ submit: ['429', 'ok'], retry_after: 4 });
		await c.completed(g);
		const [first, second] = c.fake.arrivals[g.prompt];
		assert.equal(c.fake.submits[g.prompt], 2);
		// Without their word the wait is a second or two.
		if (c.says_when) assert.ok(second - first >= 3900, `again after ${second - first} ms`);
	} },

	'trouble while it is asked': { slow: true, run: async (c) => {
		const g = await c.submit({ polls: ['500', 'html', 'queued', 'truncated', 'odd', '503', 'cut', 'running'] });
		await c.plays(await c.completed(g));
		assert.equal(c.fake.submits[g.prompt], 1);
	} },

	'not known at first': { slow: true, for: (c) => c.id !== 'comfyui', run: async (c) => {
		const g = await c.submit({ polls: ['404', 'running'] });
		await c.completed(g);
	} },

	forgotten: { slow: true, for: (c) => c.id !== 'comfyui', run: async (c) => {
		const g = await c.submit({ polls: ['running'], end: '404' });
		await c.failed(g, { class: 'not_found' });
		assert.ok(c.job(g).polls > 2);
	} },

	'50 MB of JSON': { slow: true, run: async (c) => {
		const g = await c.submit({ polls: ['huge', 'running'] });
		await c.completed(g);
	} },

	'a lost answer': { slow: true, run: async (c) => {
		await comes_back(c, await c.submit({ submit: 'lost' }));
	} },

	'an answer that is a web page, or has no end': { slow: true, run: async (c) => {
		await comes_back(c, await c.submit({ submit: c.index % 2 ? 'html' : 'huge' }));
	} },

	'half an answer': { slow: true, run: async (c) => {
		await comes_back(c, await c.submit({ submit: 'truncated' }));
	} },

	'a download that breaks off': { slow: true, run: async (c) => {
		const g = await c.submit({ video: ['cut', 'ok'] });
		await c.plays(await c.completed(g));
		assert.equal(c.fake.downloads[g.prompt], 2);
		assert.equal(c.job(g).resumed, 1, 'from where it broke');
	} },

	'a slow download': { run: async (c) => {
		const g = await c.submit({ video: 'slow' });
		await c.plays(await c.completed(g));
		assert.equal(c.fake.downloads[g.prompt], 1);
	} },

	// Amazon's stores say 403 for it, Google's 400.
	'an expired link': { run: async (c) => {
		const g = await c.submit({ video: [['403', '400', '410'][c.index % 3], 'ok'] });
		await c.plays(await c.completed(g));
		const { fetched } = c.job(g);
		assert.equal(fetched.length, 2);
		if (!c.same_link) assert.notEqual(fetched[0], fetched[1], 'by a fresh link');
	} },

	'a link that is dead for good': { run: async (c) => {
		const g = await c.submit({ video: '404' });
		await c.failed(g, { code: /^result_unavailable$/ });
	} },

	'a web page for a video': { run: async (c) => {
		await c.failed(await c.submit({ video: 'html' }), { code: /^result_not_video$/ });
	} },

	'5 GB': { run: async (c) => {
		const g = await c.submit({ video: '5gb' });
		await c.failed(g, { code: /^reply_too_large$/ });
		assert.equal(c.fake.downloads[g.prompt], 1);
	} },

	'a redirect into our network': { run: async (c) => {
		await c.failed(await c.submit({ video: 'private' }), { code: c.redirects === false ? /^result_unavailable$/ : /^url_forbidden$/ });
		assert.equal(c.fake.trapped, 0);
	} },

	cancel: { run: async (c) => {
		const g = await c.submit({ end: c.pending ?? 'running', polls: [] });
		await c.user.until(g.id, (s) => s.stage === 'generate', 170000);
		await c.seen(g, 'asked', () => c.job(g)?.polls > 0);
		assert.equal((await c.user.post(`/generations/${g.id}/cancel`)).status, 202);
		if (c.cancel) {
			await c.seen(g, 'cancelled there', () => c.fake.cancels[g.prompt] === 1);
		} else {
			// It goes on there and is paid for; what comes is kept.
			c.job(g).script.end = 'done';
		}
		const done = await c.ended(g);
		assert.equal(done.status, c.cancel ? 'cancelled' : 'completed', c.why(g, done));
		if (c.cancel) assert.equal(done.charge.refunded, 5);
		else c.spent += 5;
	} },

	webhooks: { for: (c) => c.hook, run: async (c) => {
		const g = await c.submit({ end: 'running', polls: [] }, { own_pace: true });
		const row = async () => (await c.r.psql('select g.version, g.status, a.provider_job_id from generations g join attempts a '
			+ 'on a.generation_id = g.id where g.id = $1', [g.id]))[0];
		await c.seen(g, 'its id', async () => (await row())?.provider_job_id);
		const job = c.job(g);
		assert.ok(job.hook, 'it was told where to call');
		const before = await row();
		const now = Math.floor(Date.now() / 1000);
		const another = job.hook.replace(/[^/]+$/, 'A'.repeat(43));
		await says(c, g, 401, { url: another });
		await says(c, g, 404, { url: job.hook.replace(/[^/]+(?=\/[^/]+$)/, randomUUID()) });
		if (c.hook === 'signed') {
			await says(c, g, 401, { forged: true });
			await says(c, g, 401, { at: now - 400 });
		}
		const polls = job.polls;
		for (let i = 0; i < 2; i++) await says(c, g, 200);
		await c.seen(g, 'the webhook hurries', () => job.polls > polls);
		assert.deepEqual({ ...await row(), version: 0 }, { ...before, version: 0 }, 'nothing changed');
		job.script.end = 'done';
		await says(c, g, 200);
		await c.completed(g);
	} },
};
