// failover.test.mjs - several routes and accounts: another one is taken only
// before anything was accepted, polls stay where the job was submitted,
// limits and circuits hold over all instances, and the books stay right.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import http from 'node:http';
import { after, afterEach, before, describe, test } from 'node:test';
import { FakeFal, mp4 } from '../fake/fal.mjs';
import { crash_points, reeld, until } from './env.mjs';

const KEY_A = 'key-a:secret-aaaa', KEY_B = 'key-b:secret-bbbb';
const key_of = (req) => String(req.headers.authorization).replace('Key ', '');

// Says which key asked what, and refuses keys on demand.
class Keyed extends FakeFal {
	constructor() {
		super();
		this.seen = []; // [key, method, path, prompt?]
		this.deny = new Map(); // key -> [status, body]
	}

	async serve(req, res) {
		const path = new URL(req.url, this.url).pathname;
		if (!path.startsWith('/files/')) this.seen.push([key_of(req), req.method, path]);
		const deny = req.method === 'POST' && this.deny.get(key_of(req));
		if (deny) {
			req.resume();
			return this.json(res, deny[0], deny[1]);
		}
		return super.serve(req, res);
	}
}

// The second provider: an OpenAI-shaped gateway that makes every video.
class Gateway {
	constructor() { this.accepted = {}; }

	async start() {
		this.server = http.createServer(async (req, res) => {
			const parts = [];
			for await (const p of req) parts.push(p);
			const json = (value) => {
				res.writeHead(200, { 'content-type': 'application/json' });
				res.end(JSON.stringify(value));
			};
			if (req.url.endsWith('/content')) {
				res.writeHead(200, { 'content-type': 'video/mp4' });
				return res.end(mp4());
			}
			if (req.method === 'GET') return json({ id: req.url.split('/').pop(), status: 'completed' });
			const [, prompt] = /name="prompt"\r\n\r\n([^\r]*)/.exec(Buffer.concat(parts).toString());
			this.accepted[prompt] = (this.accepted[prompt] ?? 0) + 1;
			return json({ id: `v-${randomUUID()}`, object: 'video', status: 'queued' });
		});
		await new Promise((done) => this.server.listen(0, '127.0.0.1', done));
		this.url = `http://127.0.0.1:${this.server.address().port}/v1`;
		return this;
	}

	stop() {
		this.server.closeAllConnections();
		return new Promise((done) => this.server.close(done));
	}
}

const stops = [];
after(async () => { for (const one of stops) await one.stop(); });

// A reeld with fal (accounts `default` and, with two, `second`), the gateway,
// and the models `two` (fal, then the gateway) and `one` (fal alone).
async function world({ two = false, env = {}, gateway = true } = {}) {
	const w = { fal: await new Keyed().start(), gate: await new Gateway().start() };
	stops.push(w.fal, w.gate);
	w.r = await reeld({ env: { REELD_PROVIDER_FAL_BASE_URL: w.fal.url, REELD_PROVIDER_FAL_KEY: KEY_A,
		REELD_PROVIDER_FAL_ALLOW_PRIVATE: 'yes', REELD_PROVIDER_OPENAI_BASE_URL: w.gate.url,
		...(gateway ? { REELD_PROVIDER_OPENAI_KEY: 'gate-key-000000' } : {}), REELD_PROVIDER_OPENAI_ALLOW_PRIVATE: 'yes',
		PROVIDER_KEY_SECOND: KEY_B, ...env } });
	const fal = { provider: 'fal', endpoint: 'fal-ai/test/text-to-video', params: { input: { prompt: 'prompt' } }, priority: 10 };
	const gate = { provider: 'openai', endpoint: 'sora-x', params: { input: { prompt: 'prompt', duration: { field: 'seconds', as: 'text' } } }, priority: 20 };
	const capabilities = { modes: ['t2v'], duration: { values: [2] } };
	for (const [slug, routes] of [['two', [fal, gate]], ['one', [fal]]]) {
		const shape = (await w.r.psql("select capabilities from models where slug = 'demo-pixel'"))[0].capabilities;
		await w.r.psql('select model_put($1)', [JSON.stringify({ slug, name: slug, capabilities: shape ?? capabilities,
			routes, price: { rule: { core: { type: 'per_call', credits: 10 }, minimum: 1 } } })]);
	}
	w.admin = w.r.admin;
	w.ann = await w.r.user({ credits: 10000 });
	await w.r.psql("select user_update($1, null, null, null, 50, null)", [w.ann.id]);
	w.provider = async () => (await w.admin.get('/admin/providers/fal')).body;
	w.account = async (label) => (await w.provider()).accounts.find((a) => a.label === label);
	// Any change of a route makes the models be read again, here and elsewhere.
	w.routes = (await w.provider()).routes;
	const { id } = w.routes.find((one) => one.model === 'one');
	assert.equal((await w.admin.patch(`/admin/routes/${id}`, { weight: 1 })).status, 200);
	await until(() => `the models are known ${w.said}`, async () => (w.said = JSON.stringify((await w.r.call('GET', '/api/v1/models/two')).body).slice(0, 1500)) && (await w.r.call('GET', '/api/v1/models/two')).body?.available);
	// A change is known a moment after it was answered.
	w.ready = () => until('fal is first again', async () => {
		const { body } = await w.r.call('GET', '/api/v1/models/one');
		return body.available && (await w.r.call('GET', '/api/v1/models/two')).body.provider === 'fal';
	});
	if (two) {
		const made = await w.admin.post('/admin/providers/fal/accounts', { label: 'second', key_env: 'PROVIDER_KEY_SECOND' });
		assert.equal(made.status, 201, JSON.stringify(made.body));
	}
	w.submit = async (plan = {}, model = 'two') => {
		const prompt = `p ${randomUUID()}`;
		w.fal.plan(prompt, plan);
		return { prompt, ...await w.ann.submit({ model, prompt, duration: 2 }) };
	};
	w.attempts = (g) => w.r.psql(`select a.provider, p.label, a.status::text, a.error_class, a.route_id, a.id
		from attempts a left join provider_accounts p on p.id = a.account_id where generation_id = $1 order by number`, [g.id]);
	w.fallbacks = (g) => w.r.psql("select data->'fallback' as f from events where generation_id = $1 and type = 'attempt.fallback' order by seq", [g.id]);
	w.paid = (g) => [w.fal.accepted[g.prompt] ?? 0, w.gate.accepted[g.prompt] ?? 0];
	// As if it had been some seconds ago.
	w.age = (what, s) => w.r.psql(`update provider_accounts set ${what} = ${what} - $1 * interval '1 second' where provider = 'fal'`, [s]);
	return w;
}

describe('before anything was accepted', () => {
	let w;
	before(async () => { w = await world(); });
	afterEach(() => w.fal.deny.clear());

	for (const how of ['429', '503-later']) {
		test(`${how}: the next route is taken, and paid once`, async () => {
			const g = await w.submit({ submit: how, retry_after: 600 });
			const done = await w.ann.ended(g.id);
			assert.equal(done.status, 'completed', w.r.logs().slice(-3000));
			assert.equal(done.provider, 'openai');
			assert.deepEqual(w.paid(g), [0, 1]);
			const all = await w.attempts(g);
			assert.deepEqual(all.map((a) => [a.provider, a.label, a.status, a.error_class]),
				[['fal', 'default', 'failed', 'not_sent'], ['openai', 'default', 'succeeded', null]]);
			assert.notEqual(all[0].route_id, all[1].route_id);
			assert.deepEqual((await w.fallbacks(g)).map((e) => [e.f.from, e.f.to]), [['fal', 'openai']]);
			const account = await w.account('default');
			assert.ok(account.held_until !== null);
			await w.age('hold_until', 1000); // it would hold for minutes
			assert.deepEqual(await w.r.books(), {});
		});
	}

	test('who leaves an account goes elsewhere at once, and does not wait for a sweep', async () => {
		const far = await world({ two: true, env: { REELD_JOBS_SWEEP: '60s' } });
		// From the first account to the second, and from there to the other route.
		const g = await far.submit({ submit: '429', retry_after: 600 });
		const done = await far.ann.ended(g.id);
		assert.equal(done.provider, 'openai');
		assert.deepEqual((await far.attempts(g)).map((a) => `${a.provider} ${a.status}`),
			['fal failed', 'fal failed', 'openai succeeded']);
		assert.deepEqual(await far.r.books(), {});
	});

	test('a bad key: the account breaks and says why, the job goes on elsewhere', async () => {
		w.fal.deny.set(KEY_A, [401, { detail: 'invalid key credentials' }]);
		const g = await w.submit();
		const done = await w.ann.ended(g.id);
		assert.equal(done.status, 'completed');
		assert.deepEqual(w.paid(g), [0, 1]);
		const account = await w.account('default');
		assert.equal(account.state, 'broken');
		assert.match(account.paused_reason, /key is not accepted/);
		// A job without another route waits, and both are told why.
		const stuck = (await w.r.psql("select id from model_routes where provider = 'fal'")).length;
		assert.ok(stuck > 0);
		const refused = await w.ann.post('/generations', { model: 'one', prompt: 'x', duration: 2 });
		assert.equal(refused.status, 503, 'sold although nobody can make it');
		w.fal.deny.clear();
		const resumed = await w.admin.post(`/admin/accounts/${account.id}/resume`, {});
		assert.equal(resumed.status, 200);
		assert.equal(resumed.body.state, 'on');
		await w.ready();
		assert.deepEqual(await w.r.books(), {});
	});

	test('no credit there: paused, the job waits and says why, and goes on', async () => {
		const g = await w.submit({}, 'one');
		await w.ann.ended(g.id);
		w.fal.deny.set(KEY_A, [403, { detail: 'User is locked. Reason: Exhausted balance. Top up your balance.' }]);
		const waits = await w.submit({}, 'one');
		const account = await until('the account is paused', async () => {
			const a = await w.account('default');
			return a.state === 'paused' && a;
		});
		assert.match(account.paused_reason, /no credit/);
		assert.ok(account.paused_until !== null);
		const seen = await until('a reason is shown', async () => {
			const one = (await w.ann.get(`/generations/${waits.id}`)).body;
			return one.waiting_reason && one;
		});
		assert.equal(seen.status, 'queued');
		assert.doesNotMatch(seen.waiting_reason, /credit|fal|key/i);
		const detail = (await w.admin.get(`/admin/jobs/${waits.id}`)).body;
		assert.match(detail.waiting_reason, /^All accounts of fal\.ai are paused: no credit/);
		assert.deepEqual(w.paid(waits), [0, 0]);
		w.fal.deny.clear();
		assert.equal((await w.admin.post(`/admin/accounts/${account.id}/resume`, {})).status, 200);
		await w.ready();
		assert.equal((await w.ann.ended(waits.id)).status, 'completed');
		assert.deepEqual(w.paid(waits), [1, 0]);
		assert.deepEqual(await w.r.books(), {});
	});

	test('a refusal for content is final: nobody laxer is asked', async () => {
		const g = await w.submit({ submit: 'refused' });
		const done = await w.ann.ended(g.id);
		assert.equal(done.status, 'failed');
		assert.equal(done.error.class, 'refused');
		assert.deepEqual(w.paid(g), [0, 0]);
		assert.equal((await w.attempts(g)).length, 1);
	});

	for (const [what, plan, paid] of [['accepted, then failed', { result: 'failed' }, 1], ['answer lost', { submit: 'cut' }, 1],
		['500', { submit: '500' }, 0]]) {
		test(`${what}: never sent anywhere else`, async () => {
			const g = await w.submit(plan);
			const done = await w.ann.ended(g.id);
			assert.equal(done.status, 'failed');
			assert.deepEqual(w.paid(g), [paid, 0]);
			assert.equal(w.fal.submits[g.prompt], 1);
			assert.equal((await w.attempts(g)).length, 1);
			assert.deepEqual(await w.r.books(), {});
		});
	}

	test('a paused provider: queued jobs take the other route', async () => {
		await w.admin.post('/admin/providers/fal/pause', { seconds: 600, reason: 'maintenance' });
		// Placed before this instance knows of the pause, as it were.
		const made = await w.r.psql(`select outcome, (g).id from generation_submit($1, $2, null, null, null,
			(select r.id from model_routes r join models m on m.id = r.model_id where m.slug = 'two' and r.provider = 'fal'),
			't2v', $3, $3, 10, '{"lines":[]}', null, null, null, null, null, null, null, null, null)`, [w.ann.id, randomUUID(),
			JSON.stringify({ ...(await w.r.psql("select spec from generations limit 1"))[0].spec, prompt: 'moved' })]);
		assert.equal(made[0].outcome, 'created');
		const done = await w.ann.ended(made[0].id);
		assert.equal(done.status, 'completed', JSON.stringify(done.error));
		assert.equal(done.provider, 'openai');
		assert.equal(w.gate.accepted.moved, 1);
		await w.admin.post('/admin/providers/fal/resume', {});
		await w.ready();
		assert.deepEqual(await w.r.books(), {});
	});

	test('it can\'t be reached: three tries, then the other route', async () => {
		await w.fal.stop();
		stops.splice(stops.indexOf(w.fal), 1);
		const g = await w.submit();
		const done = await w.ann.ended(g.id);
		assert.equal(done.status, 'completed', JSON.stringify(done.error));
		assert.deepEqual((await w.attempts(g)).map((a) => a.provider), ['fal', 'fal', 'fal', 'openai']);
		assert.equal((await w.fallbacks(g))[0].f.reason, 'not_sent');
		assert.deepEqual(await w.r.books(), {});
	});
});

test('polls, cancel and result stay with the account, also when it is paused and its instance dies', async () => {
	const w = await world({ two: true });
	const b = await w.account('second');
	await w.admin.post(`/admin/accounts/${b.id}/pause`, { reason: 'not yet' });
	w.fal.barrier('poll');
	const reached = w.fal.reached('poll');
	const g = await w.submit({ polls: 2 }, 'one');
	await reached;
	const [attempt] = await w.attempts(g);
	assert.equal(attempt.label, 'default');
	const a = await w.account('default');
	assert.equal(a.in_flight, 1);
	// From now on the other account takes what is new.
	assert.equal((await w.admin.post(`/admin/accounts/${a.id}/pause`, { seconds: 3600, reason: 'rest' })).body.state, 'paused');
	assert.equal((await w.admin.post(`/admin/accounts/${b.id}/resume`, {})).body.state, 'on');
	assert.equal((await w.admin.delete(`/admin/accounts/${b.id}`)).status, 204);
	const made = await w.admin.post('/admin/providers/fal/accounts', { label: 'second', key_env: 'PROVIDER_KEY_SECOND' });
	assert.equal(made.status, 201, 'a label may be used again');
	// The models may still be those of before, then those between the two.
	const other = await until('the new account is known', () => w.submit({}, 'one').catch((e) => {
		if (!/All its accounts are paused/.test(e.message)) throw e;
	}));
	await until('the other account takes it', async () => (await w.attempts(other))[0]?.label === 'second');
	const twin = await w.r.twin({ env: { REELD_JOBS_ADOPT_AFTER: '2s' } });
	await w.r.kill9();
	w.ann.server = w.admin.server = twin;
	w.fal.release('poll');
	for (const [one, key] of [[g, KEY_A], [other, KEY_B]]) {
		assert.equal((await w.ann.ended(one.id, 90000)).status, 'completed', twin.logs().slice(-4000));
		const [{ id }] = await w.r.psql('select provider_job_id as id from attempts where generation_id = $1', [one.id]);
		const asked = w.fal.seen.filter((s) => s[2].includes(id));
		assert.ok(asked.length >= 2);
		assert.deepEqual([...new Set(asked.map((s) => s[0]))], [key]);
		assert.deepEqual(w.paid(one), [1, 0]);
	}
	assert.deepEqual(await w.r.books(), {});
	assert.ok(!/secret-(aaaa|bbbb)/.test(w.r.logs() + twin.logs()), 'a key is in the log');
});

test('a circuit opens, lets one through, and closes', async () => {
	const w = await world();
	for (let i = 0; i < 5; i++) await w.ann.ended((await w.submit({ submit: '500' }, 'one')).id);
	const open = await until('the circuit opens', async () => {
		const a = await w.account('default');
		return a.circuit.state === 'open' && a;
	});
	assert.equal(open.circuit.failures, 5);
	// Nothing reaches them; a job that can goes elsewhere.
	const waits = [];
	for (let i = 0; i < 4; i++) waits.push(await w.submit({}, 'one'));
	const moved = await w.submit({}, 'two');
	assert.equal((await w.ann.ended(moved.id)).provider, 'openai');
	for (const g of waits) assert.deepEqual(await w.attempts(g), []);
	assert.match((await w.admin.get(`/admin/jobs/${waits[0].id}`)).body.waiting_reason, /circuit is open/);
	const metrics = (await w.r.call('GET', '/metrics')).body;
	assert.match(metrics, /reeld_account_circuit\{provider="fal",account="default"\} 2/);
	// Half open: one of the four, although all of them wait.
	w.fal.barrier('submit');
	const reached = w.fal.reached('submit');
	await w.age('opened_until', 3600);
	await reached;
	assert.equal((await w.account('default')).circuit.state, 'half_open');
	const twin = await w.r.twin(); // another instance lets none through, either
	const claim = await w.r.psql(`select count(*)::int as n from job_claim((select id from instances order by started_at desc limit 1),
		'{fal}', '{10}', array[(select id from provider_accounts where provider = 'fal')], '{0}', '{0}')`);
	assert.equal(claim[0].n, 0);
	assert.equal((await Promise.all(waits.map(w.attempts))).flat().length, 1);
	w.fal.release('submit');
	for (const g of waits) {
		assert.equal((await w.ann.ended(g.id)).status, 'completed', w.r.logs().slice(-3000) + twin.logs().slice(-3000));
		assert.deepEqual(w.paid(g), [1, 0]);
	}
	assert.equal((await w.account('default')).circuit.state, 'closed');
	assert.deepEqual(await w.r.books(), {});
});

test('five requests per minute hold over two instances', async () => {
	const w = await world();
	const { id } = await w.account('default');
	assert.deepEqual((await w.admin.patch(`/admin/accounts/${id}`, { limits: { rpm: 5 } })).body.limits, { concurrency: null, rpm: 5 });
	const twin = await w.r.twin();
	const all = [];
	for (let i = 0; i < 6; i++) all.push(await w.submit({}, 'one'));
	const started = async () => (await w.r.psql("select count(*)::int as n from attempts"))[0].n;
	for (let n = 1; n <= 6; n++) {
		await until(`request ${n}`, async () => await started() >= n);
		assert.equal(await started(), n);
		// Who asks now gets none: it is the database that counts.
		const [claim] = await w.r.psql(`select count(*)::int as n from job_claim((select id from instances order by started_at desc limit 1),
			'{fal}', '{10}', array[$1::uuid], '{0}', '{5}')`, [id]);
		assert.equal(claim.n, 0, `after request ${n}`);
		await w.age('submit_tat', 12.6); // 63 s by five
	}
	for (const g of all) assert.equal((await w.ann.ended(g.id)).status, 'completed', twin.logs().slice(-2000));
	assert.deepEqual(await w.r.books(), {});
});

test('a concurrency limit holds over two instances', async () => {
	const w = await world();
	const { id } = await w.account('default');
	assert.equal((await w.admin.patch(`/admin/accounts/${id}`, { limits: { concurrency: 2 } })).status, 200);
	await w.r.twin();
	const all = [];
	for (let i = 0; i < 8; i++) all.push(await w.submit({ polls: 2 }, 'one'));
	for (const g of all) assert.equal((await w.ann.ended(g.id)).status, 'completed');
	assert.equal(w.fal.peak, 2);
	assert.deepEqual(await w.r.books(), {});
});

describe('kill -9 around a change of route', { skip: !crash_points && 'needs --enable-crash-points' }, () => {
	for (const point of ['requeue.before_commit', 'requeue.after_commit', 'claim.committed:2', 'submit.after_attempt_commit:2']) {
		test(point, async () => {
			const w = await world({ env: { REELD_CRASH_AT: point, REELD_JOBS_ADOPT_AFTER: '2s' } });
			const g = await w.submit({ submit: ['429', 'ok'], retry_after: 600 });
			await w.r.died();
			await w.r.restart({ env: { REELD_CRASH_AT: '' } });
			const done = await w.ann.ended(g.id, 120000);
			const paid = w.paid(g);
			// Where it is not known whether it was sent, it is given back.
			if (done.status === 'completed') assert.equal(paid[0] + paid[1], 1);
			else assert.deepEqual([done.error.code, paid[0] + paid[1]], ['provider_unknown', 0]);
			assert.equal(await w.ann.balance(), 10000 - (done.status === 'completed' ? 10 : 0));
			assert.deepEqual(await w.r.books(), {});
		});
	}
});
