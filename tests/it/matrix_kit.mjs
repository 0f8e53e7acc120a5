// matrix_kit.mjs - every adapter through the same scenarios, from a person's
// request to a file that plays: a column is a vendor's API, a row what
// happens to it. One reeld serves all columns of a file; a generation's
// prompt selects its script (fake/kit.mjs), so all of them run at once.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { randomUUID } from 'node:crypto';
import { until } from './env.mjs';
import { rows } from './matrix_rows.mjs';
import { World, upload } from './vendors.mjs';

const START = 100000, PRICE = 5, AT_ONCE = 40;

const model = (slug, provider, route, seconds) => ({ slug, name: slug, category: 'standard', active: true,
	capabilities: { modes: route.modes, durations: { fixed: seconds }, audio: 'none', seed: false, negative_prompt: false, max_prompt: 500 },
	routes: [{ provider, endpoint: route.endpoint, priority: 100, params: route.params }],
	price: { rule: { core: { type: 'per_call', credits: PRICE }, minimum: 1 } } });

// One vendor's API in the running matrix.
class Column {
	constructor(world, spec) {
		Object.assign(this, spec, { world, fake: world.fakes.get(spec.fake) });
		this.spent = 0; // credits that the rows say should be gone
	}

	get r() { return this.world.r; }
	slug(mode) { return `mx-${this.id}-${mode}`; }

	// A generation of this column; its prompt is what the fake knows it by.
	async submit(script, { mode = 't2v', start_image, own_pace = false } = {}) {
		const prompt = `${this.id} ${randomUUID()}`;
		this.fake.script(prompt, { bytes: this.world.bytes, ...script });
		const made = await this.user.submit({ model: this.slug(mode), prompt, ...(start_image ? { start_image } : {}) });
		if (!own_pace) this.world.open.set(prompt, made.id);
		return { id: made.id, prompt };
	}

	ended(g) { return this.user.ended(g.id, 170000).finally(() => this.world.open.delete(g.prompt)); }
	job(g) { return this.fake.of(g.prompt)[0]; }
	why(g, done) {
		const lines = this.r.logs().split('\n').filter((l) => l.includes(g.id) || /level=(warn|error)/.test(l));
		return `${JSON.stringify(done.error ?? done.status)} ${JSON.stringify(this.fake.wrong)}\n${lines.slice(-12).join('\n')}`;
	}

	async completed(g) {
		const done = await this.ended(g);
		assert.equal(done.status, 'completed', this.why(g, done));
		this.spent += PRICE;
		assert.deepEqual([done.charge.state, done.charge.refunded], ['settled', 0]);
		return done;
	}

	// Refunded, in our words; what the vendor said is for operators only.
	async failed(g, { code, class: class_, theirs = false }) {
		const done = await this.ended(g);
		assert.equal(done.status, 'failed', this.why(g, done));
		if (class_) assert.equal(done.error.class, class_, this.why(g, done));
		if (code) assert.match(done.error.code, code, this.why(g, done));
		assert.equal(done.charge.refunded, PRICE);
		assert.ok(done.error.message.length > 10);
		assert.doesNotMatch(JSON.stringify(done), /secret vendor words/);
		if (theirs) {
			const { body } = await this.r.admin.get(`/admin/jobs/${g.id}`);
			assert.match(JSON.stringify(body), /secret vendor words/);
		}
		return done;
	}

	// Until the account that was asked takes nothing new, and the job waits.
	async rests(g) {
		return until(() => `the account rests\n${this.r.logs().slice(-2000)}`, async () => {
			const { body } = await this.r.admin.get(`/admin/providers/${this.fake.name}`);
			const [account] = body.accounts;
			const { status } = (await this.user.get(`/generations/${g.id}`)).body;
			return status === 'failed' ? status : account.state !== 'on' && status === 'queued' && account;
		}, 170000);
	}

	async goes_on(g, account) {
		assert.equal(this.fake.submits[g.prompt], 1);
		assert.equal((await this.r.admin.post(`/admin/accounts/${account.id}/resume`, {})).status, 200);
		await this.completed(g);
		assert.equal(this.fake.submits[g.prompt], 2);
		await until('it is offered again', async () => (await this.r.call('GET', `/api/v1/models/${this.slug('t2v')}`)).body.available);
	}

	// The file as people get it: whole, by ranges, and described.
	async plays(done, bytes = this.world.bytes) {
		const whole = await this.user.fetch(done.video_url);
		assert.equal(whole.status, 200);
		assert.ok(Buffer.from(await whole.arrayBuffer()).equals(bytes), 'the file as it was made');
		const part = await this.user.fetch(done.video_url, { headers: { range: 'bytes=4-7' } });
		assert.equal(part.status, 206);
		assert.equal(await part.text(), 'ftyp');
		assert.equal(done.video.width, 320);
		assert.equal(done.video.height, 180);
		assert.ok(done.video.duration_s >= 1.9 && done.video.duration_s <= 2.1, JSON.stringify(done.video));
	}

	upload(how) { return upload(this.user, how); }

	// Until the vendor's side satisfies ok().
	async seen(g, what, ok) {
		await until(() => `${what}: ${JSON.stringify({ ...this.job(g), body: 0, script: 0, images: 0 })}`, ok, 170000);
	}
}

// columns: [{id, fake, seconds, text, image, ...}], see the test files.
// fakes: a Map of names and started fakes.
export function matrix(fakes, columns) {
	const world = new World(fakes);
	const table = columns.map((spec, index) => new Column(world, { index, ...spec }));
	before(async () => {
		await world.start(table.flatMap((c) => Object.entries({ t2v: { modes: ['t2v'], ...c.text },
			...(c.image ? { i2v: { modes: ['i2v'], ...c.text, ...c.image } } : {}) })
			.map(([mode, route]) => model(c.slug(mode), c.fake.name, route, c.seconds))));
		for (const c of table) c.user = await world.user(START);
	});
	after(() => world.stop());

	// Those that wait for a timer of reeld's begin first.
	const slow = (row) => (row.slow ? 0 : 1);
	const all = Object.entries(rows).sort(([, a], [, b]) => slow(a) - slow(b));
	describe('every provider', { concurrency: AT_ONCE }, () => {
		for (const [name, row] of all) {
			for (const c of table) {
				if (row.alone || (row.for && !row.for(c))) continue;
				test(`${c.id}: ${name}`, () => row.run(c));
			}
		}
	});

	// What stops an account would stop the others' jobs, too.
	describe('one after the other', () => {
		for (const c of table) {
			for (const [name, row] of Object.entries(rows)) {
				if (row.alone && (!row.for || row.for(c))) test(`${c.id}: ${name}`, () => row.run(c));
			}
		}
	});

	describe('afterwards', () => {
		for (const c of table) {
			test(`${c.id}: the balance is what its videos cost`, async () => {
				assert.equal(await c.user.balance(), START - c.spent);
			});
		}
		test('the books are right, and no vendor had a reason to complain', async () => {
			assert.deepEqual(await world.r.books(), {});
			for (const fake of fakes.values()) {
				assert.deepEqual(fake.wrong, []);
				assert.equal(fake.trapped, 0, 'a private address was contacted');
				// Nothing was bought twice, whatever happened.
				assert.deepEqual(Object.entries(fake.paid).filter(([, n]) => n !== 1), []);
			}
		});
	});
}
