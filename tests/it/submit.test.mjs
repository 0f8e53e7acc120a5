// submit.test.mjs - what POST /generations refuses and how it says so, who
// may see what, and submits that race for credits, keys and slots.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, test } from 'node:test';
import { reeld, until } from './env.mjs';

let r, ann;
before(async () => {
	r = await reeld();
	ann = await r.user({ credits: 100000 });
});

const raw = async (who, body, headers) => {
	const x = await who.fetch('/api/v1/generations', { method: 'POST', body,
		headers: { 'content-type': 'application/json', ...headers } });
	return { status: x.status, body: await x.json(), type: x.headers.get('content-type') };
};
const good = { model: 'demo-sunset', prompt: 'a paper boat' };
const text = (more) => JSON.stringify({ ...good, ...more });

// [what is sent, status, pointer of the field, a value the answer names]
const refused = [
	['no JSON', 'hello', 400],
	['nothing', '', 400],
	['an array', '[]', 400],
	['a string', '"x"', 400],
	['null', 'null', 400],
	['cut off', '{"model":', 400],
	['bytes behind the end', `${text()} x`, 400],
	['two documents', text() + text(), 400],
	['a comment', `/* hi */${text()}`, 400],
	['single quotes', "{'model':'demo-sunset'}", 400],
	['a trailing comma', '{"model":"demo-sunset","prompt":"x",}', 400],
	['a key twice', '{"model":"demo-sunset","prompt":"a","prompt":"b"}', 400],
	['NaN', '{"model":"demo-sunset","prompt":"x","seed":NaN}', 400],
	['Infinity', '{"model":"demo-sunset","prompt":"x","duration":Infinity}', 400],
	['1e999', '{"model":"demo-sunset","prompt":"x","duration":1e999}', 400],
	['a seed over 64 bits', '{"model":"demo-sunset","prompt":"x","seed":99999999999999999999999}', 400, '#/seed'],
	['a seed with a fraction', text({ seed: 1.5 }), 400, '#/seed'],
	['a seed in quotes', text({ seed: '1' }), 400, '#/seed'],
	['a negative duration', text({ duration: -4 }), [400, 422], '#/duration'],
	['a duration in quotes', text({ duration: '4' }), 400, '#/duration'],
	['a duration of null', text({ duration: null }), [400, 422, 201]],
	['audio as a number', text({ audio: 1 }), 400, '#/audio'],
	['a prompt that is a number', text({ prompt: 7 }), 400, '#/prompt'],
	['a prompt that is a list', text({ prompt: ['x'] }), 400, '#/prompt'],
	['an empty prompt', text({ prompt: '' }), [400, 422], '#/prompt'],
	['no prompt', '{"model":"demo-sunset"}', [400, 422], '#/prompt'],
	['no model', '{"prompt":"x"}', [400, 422], '#/model'],
	['a prompt of 100,000 letters', text({ prompt: 'x'.repeat(100000) }), [400, 413, 422]],
	['NUL in a prompt', '{"model":"demo-sunset","prompt":"a\\u0000b"}', 400],
	['half a surrogate pair', '{"model":"demo-sunset","prompt":"\\ud800"}', 400],
	['bytes that are no UTF-8', Buffer.concat([Buffer.from('{"model":"demo-sunset","prompt":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]), 400],
	['an unknown field', text({ colour: 'red' }), 400, '#/colour'],
	['the credits themselves', text({ credits: 0 }), 400, '#/credits'],
	['another user', text({ user_id: randomUUID() }), 400, '#/user_id'],
	['__proto__', '{"model":"demo-sunset","prompt":"x","__proto__":{"a":1}}', 400],
	['200,000 brackets', '['.repeat(200000), [400, 413]],
	['40 deep in a field', `{"model":"demo-sunset","prompt":${'['.repeat(40)}${']'.repeat(40)}}`, 400],
	['a duration it cannot do', text({ duration: 777 }), 422, '#/duration', /\d/],
	['a resolution it cannot do', text({ resolution: '8k' }), 422, '#/resolution', /720p|1080p|480p/],
	['a shape it cannot do', text({ aspect_ratio: '17:3' }), 422, '#/aspect_ratio', /16:9/],
	['an image that is no id', text({ start_image: '../x' }), [400, 422], '#/start_image'],
	['somebody else\'s image', text({ start_image: randomUUID() }), 422],
	['an unknown model', text({ model: 'nope' }), 422, '#/model'],
	['a model by path', text({ model: '../etc' }), [400, 422], '#/model'],
];
test('what is refused, with the field it is about, and free of charge', async (t) => {
	const start = await ann.balance();
	for (const [name, body, want, pointer, names] of refused) {
		await t.test(name, async () => {
			const x = await raw(ann, body);
			const said = JSON.stringify(x.body);
			assert.ok([want].flat().includes(x.status), `${x.status} ${said}`);
			if (x.status === 201) return;
			assert.match(x.type, /^application\/problem\+json/);
			assert.equal(x.body.status, x.status);
			assert.ok(x.body.code && x.body.title && x.body.request_id, said);
			if (pointer) assert.equal(x.body.errors?.[0]?.pointer, pointer, said);
			if (names) assert.match(said, names);
			assert.doesNotMatch(said, /select |src\/|SQLSTATE/i);
		});
	}
	const spent = (await r.psql('select coalesce(sum(quote - refunded), 0) as n from charges')).at(0).n;
	assert.equal(await ann.balance(), start - Number(spent));
	assert.deepEqual(await r.books(), {});
});

test('the body itself: type, size', async () => {
	for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']) {
		const x = await raw(ann, text(), { 'content-type': type });
		assert.ok([400, 415].includes(x.status), `${type}: ${x.status}`);
	}
	// Refused by its length, and the client can read why though it sends it all.
	const big = await raw(ann, text({ prompt: 'x'.repeat(3 << 20) }));
	assert.deepEqual([big.status, big.body.status], [413, 413]);
});

test('an inactive model is refused and not offered', async () => {
	await r.psql("update models set is_active = false where slug = 'demo-ocean'");
	await r.restart();
	const x = await raw(ann, text({ model: 'demo-ocean' }));
	assert.equal(x.status, 422, JSON.stringify(x.body));
});

test('credits for exactly ten, 200 submits at once', async () => {
	const price = (await ann.post('/estimate', good)).body.credits;
	assert.ok(price > 0);
	const poor = await r.user({ credits: 10 * price });
	const all = await Promise.all(Array.from({ length: 200 }, () => poor.post('/generations', good)));
	const of = (status) => all.filter((x) => x.status === status);
	assert.equal(of(201).length, 10, JSON.stringify(all.map((x) => x.status)));
	assert.equal(of(402).length, 190);
	assert.equal(await poor.balance(), 0);
	// Three run, the others wait for their turn.
	const rows = await r.psql("select status::text, count(*) from generations where user_id = $1 group by 1", [poor.id]);
	const pending = rows.find((x) => x.status === 'pending')?.count;
	assert.equal(pending, 7, JSON.stringify(rows));
	// Cancelling one lets the next one in.
	const active = all.find((x) => x.status === 201 && x.body.status === 'queued').body;
	const c = await poor.post(`/generations/${active.id}/cancel`, {});
	assert.ok(c.status < 300, JSON.stringify(c.body));
	await poor.ended(active.id);
	const after = await r.psql("select count(*) from generations where user_id = $1 and status = 'pending'", [poor.id]);
	assert.equal(after[0].count, 6);
	assert.equal(await poor.balance(), price);
	assert.deepEqual(await r.books(), {});
});

test('one key, 200 at once: one generation, one charge', async () => {
	const start = await ann.balance();
	const headers = { 'idempotency-key': randomUUID() };
	const all = await Promise.all(Array.from({ length: 200 }, () => ann.post('/generations', good, headers)));
	const ids = new Set(all.filter((x) => x.status < 300).map((x) => x.body.id));
	assert.equal(ids.size, 1);
	assert.equal(all.filter((x) => x.status === 201).length, 1);
	for (const x of all) assert.ok([200, 201, 409].includes(x.status), String(x.status));
	const one = all.find((x) => x.status === 201).body;
	assert.equal(await ann.balance(), start - one.credits);
	const other = await ann.post('/generations', { ...good, prompt: 'else' }, headers);
	assert.equal(other.status, 422);
	// Keys are each user's own.
	const bob = await r.user({ credits: 1000 });
	const mine = await bob.post('/generations', good, headers);
	assert.equal(mine.status, 201);
	assert.notEqual(mine.body.id, one.id);
	assert.deepEqual(await r.books(), {});
});

test('an account that somebody holds delays its own orders only', async (t) => {
	const [bob, cid] = [await r.user({ credits: 1000 }), await r.user({ credits: 1000 })];
	const holder = await r.pg.connect(r.database);
	t.after(() => holder.end());
	for (const first of ['bob', 'cid', 'both']) {
		await holder.query('begin');
		await holder.query('select from accounts where user_id = $1 for update', [bob.id]);
		let answered = 0;
		// More than there are connections.
		const bobs = () => Array.from({ length: 6 }, () => bob.submit().then((m) => (answered++, m)));
		const cids = async (made) => assert.equal(new Set((await Promise.all(made)).map((m) => m.id)).size, 8);
		const one = () => cid.submit();
		const held = [];
		if (first === 'both') {
			// In one transaction that meets the lock, whatever their order.
			const made = [one(), one(), one(), one()];
			held.push(...bobs());
			await cids([...made, one(), one(), one(), one()]);
		} else {
			if (first === 'cid') await one();
			held.push(...bobs());
			await cids(Array.from({ length: 8 }, one));
		}
		await until('his wait alone', async () => (await r.psql(`select count(*) as n from pg_stat_activity
			where datname = current_database() and wait_event_type = 'Lock'`))[0].n >= 1);
		for (let i = 0; i < 3; i++) await cids(Array.from({ length: 8 }, one));
		assert.equal(answered, 0);
		await holder.query('commit');
		assert.equal(new Set((await Promise.all(held)).map((m) => m.id)).size, 6);
	}
	assert.deepEqual(await r.books(), {});
});

test('an account that stays held is told busy once its orders have waited, all of them', async (t) => {
	const bob = await r.user({ credits: 1000 });
	const holder = await r.pg.connect(r.database);
	t.after(() => holder.end());
	await holder.query('begin');
	await holder.query('select from accounts where user_id = $1 for update', [bob.id]);
	const all = await Promise.all(Array.from({ length: 12 }, () => bob.post('/generations', good)));
	for (const x of all) assert.deepEqual([x.status, x.body.code], [503, 'account_busy']);
	await holder.query('commit');
	assert.equal((await bob.submit()).status, 'queued');
	assert.equal((await r.psql('select count(*) as n from generations where user_id = $1', [bob.id]))[0].n, 1);
	assert.deepEqual(await r.books(), {});
});

test('cancel twenty times at once: one refund', async () => {
	const u = await r.user({ credits: 1000 });
	for (let i = 0; i < 5; i++) {
		const g = await u.submit(good);
		const all = await Promise.all(Array.from({ length: 20 }, () => u.post(`/generations/${g.id}/cancel`, {})));
		assert.ok(all.some((x) => x.status < 300));
		for (const x of all) assert.ok(x.status < 300 || x.status === 409, String(x.status));
		assert.equal((await u.ended(g.id)).status, 'cancelled');
		assert.equal(await u.balance(), 1000);
	}
	assert.deepEqual(await r.books(), {});
});

test('what is not yours is not there', async () => {
	const g = await ann.submit(good);
	const bob = await r.user({ credits: 1000 });
	const missing = randomUUID();
	const paths = [['GET', ''], ['GET', '/status'], ['GET', '/events'], ['GET', '/attempts'], ['GET', '/receipt'],
		['GET', '/content?variant=video'], ['GET', '/download'], ['POST', '/cancel'], ['POST', '/retry'],
		['PATCH', ''], ['DELETE', '']];
	for (const [method, tail] of paths) {
		const body = method === 'PATCH' ? { title: 'x' } : method === 'POST' ? {} : undefined;
		for (const id of [g.id, missing]) {
			const x = await bob.call(method, `/generations/${id}${tail}`, body);
			assert.equal(x.status, 404, `${method} ${tail}: ${x.status}`);
		}
		const nobody = await r.call(method, `/api/v1/generations/${g.id}${tail}`, { json: body });
		assert.equal(nobody.status, 401, `${method} ${tail}`);
		const bad = await ann.call(method, `/generations/not-an-id${tail}`, body);
		assert.ok([400, 404].includes(bad.status), `${method} ${tail}: ${bad.status}`);
	}
	assert.equal((await ann.get(`/generations/${g.id}`)).body.title ?? null, g.title ?? null);
	const list = await bob.get('/generations');
	assert.deepEqual(list.body.data, []);
});
