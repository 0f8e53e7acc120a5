// generations.test.mjs - one generation from POST to a playable file, over the
// API alone, with a real worker.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { reeld, until, worker } from './env.mjs';

let r, ann, bob;
before(async () => {
	r = await reeld();
	await worker(r);
	ann = await r.user({ credits: 1000000 });
	bob = await r.user({ credits: 1000000 });
});

test('from POST to a file that plays', async () => {
	const made = await ann.post('/generations', { model: 'demo-pixel', prompt: 'a red kite', title: 'Kite' });
	assert.equal(made.status, 201, JSON.stringify(made.body));
	assert.equal(made.headers.get('location'), `/api/v1/generations/${made.body.id}`);
	assert.ok(['queued', 'processing'].includes(made.body.status));
	assert.equal(made.body.prompt, 'a red kite');
	assert.ok(made.body.credits > 0);
	assert.equal(made.body.charge.state, 'charged');
	assert.equal(made.body.can.cancel, true);

	const done = await ann.ended(made.body.id);
	assert.equal(done.status, 'completed', JSON.stringify(done));
	assert.equal(done.can.download, true);
	assert.ok(done.video.width > 0 && done.video.duration_s > 0);
	assert.ok(done.version > made.body.version);

	const whole = await ann.fetch(done.video_url);
	assert.equal(whole.status, 200);
	assert.equal(whole.headers.get('content-type'), 'video/mp4');
	const bytes = Buffer.from(await whole.arrayBuffer());
	assert.equal(bytes.length, done.video.size_bytes);
	const etag = whole.headers.get('etag');
	assert.match(etag, /^"[0-9a-f-]+"$/);
	assert.equal(bytes.subarray(4, 8).toString(), 'ftyp');
	const part = await ann.fetch(done.video_url, { headers: { range: 'bytes=10-19' } });
	assert.equal(part.status, 206);
	assert.deepEqual(Buffer.from(await part.arrayBuffer()), bytes.subarray(10, 20));
	assert.equal((await ann.fetch(done.video_url, { headers: { 'if-none-match': etag } })).status, 304);
	const poster = await ann.fetch(done.thumbnail_url);
	assert.equal(poster.headers.get('content-type'), 'image/jpeg');
	await poster.arrayBuffer();
	const saved = await ann.fetch(`/api/v1/generations/${done.id}/download`);
	assert.match(saved.headers.get('content-disposition'), /^attachment; filename="Kite\.mp4"/);
	await saved.arrayBuffer();

	const again = await ann.get(`/generations/${done.id}`);
	const tag = again.headers.get('etag');
	assert.equal((await ann.get(`/generations/${done.id}`, { 'if-none-match': tag })).status, 304);

	const { body: receipt } = await ann.get(`/generations/${done.id}/receipt`);
	assert.equal(receipt.credits, done.credits);
	assert.equal(receipt.state, 'settled');
	assert.deepEqual(receipt.entries.map((e) => e.amount), [-done.credits]);
	const { body: events } = await ann.get(`/generations/${done.id}/events?limit=2`);
	assert.equal(events.data.length, 2);
	assert.equal(events.data[0].type, 'generation.created');
	assert.equal(events.has_more, true);
	const { body: more } = await ann.get(`/generations/${done.id}/events?cursor=${events.next_cursor}`);
	assert.equal(more.data.at(-1).type, 'generation.completed');
	const { body: attempts } = await ann.get(`/generations/${done.id}/attempts`);
	assert.equal(attempts.data.length, 1);
	assert.equal(attempts.data[0].status, 'succeeded');
	assert.equal('cost_micro_usd' in attempts.data[0], false);
	assert.deepEqual(await r.books(), {});
});

test('the same key is the same generation', async () => {
	const body = { model: 'demo-pixel', prompt: `again ${randomUUID()}` };
	const key = { 'idempotency-key': `"${randomUUID()}"` };
	const before = await ann.balance();
	const all = await Promise.all(Array.from({ length: 20 }, () => ann.post('/generations', body, key)));
	const ids = new Set(all.map((x) => x.body.id));
	assert.equal(ids.size, 1, JSON.stringify(all.map((x) => x.status)));
	assert.equal(all.filter((x) => x.status === 201).length, 1);
	assert.ok(all.filter((x) => x.status === 200).every((x) => x.headers.get('idempotent-replayed') === 'true'));
	assert.equal(await ann.balance(), before - all[0].body.credits);
	const bare = { 'idempotency-key': key['idempotency-key'].slice(1, -1) };
	assert.equal((await ann.post('/generations', body, bare)).status, 200);
	const other = await ann.post('/generations', { ...body, prompt: 'else' }, key);
	assert.equal(other.status, 422);
	assert.equal(other.body.code, 'idempotency_mismatch');
	const bad = await ann.post('/generations', body, { 'idempotency-key': 'x'.repeat(256) });
	assert.equal(bad.status, 400);
	await ann.ended(all[0].body.id);
});

test('the answer to an order is what a look at it shows', async () => {
	const cid = await r.user({ credits: 1000 });
	const body = { model: 'demo-slow', prompt: 'a slow boat', title: 'Boat' };
	const all = [];
	for (let i = 0; i < 4; i++) all.push(await cid.post('/generations', body, { 'idempotency-key': `look-${i}` }));
	const made = all[3].body;
	assert.equal(made.status, 'pending');
	assert.deepEqual((await cid.get(`/generations/${made.id}`)).body, { ...made, waiting_reason: null });
	const again = await cid.post('/generations', body, { 'idempotency-key': 'look-3' });
	assert.deepEqual([again.status, again.body], [200, made]);
	for (const x of all.reverse()) {
		await cid.post(`/generations/${x.body.id}/cancel`);
		await cid.ended(x.body.id);
	}
	// A key finds what its owner has hidden since.
	assert.equal((await cid.delete(`/generations/${made.id}`)).status, 204);
	const hidden = await cid.post('/generations', body, { 'idempotency-key': 'look-3' });
	assert.deepEqual([hidden.status, hidden.body.id, hidden.body.status], [200, made.id, 'cancelled']);
	assert.equal(hidden.headers.get('idempotent-replayed'), 'true');
});

test('what is refused costs nothing', async () => {
	const poor = await r.user({ credits: 1 });
	const body = { model: 'demo-pixel', prompt: 'p' };
	const table = [
		[poor, body, 402, 'no_credit'],
		[ann, { ...body, max_credits: 0 }, 422, 'over_max_credits'],
		[ann, { ...body, model: 'nope' }, 422, 'unknown_model'],
		[ann, { ...body, start_image: randomUUID() }, 422],
		[ann, { ...body, colour: 'red' }, 400],
		[ann, { ...body, duration: 'long' }, 400],
		[ann, { ...body, duration: 777 }, 422, 'unsupported_duration'],
		[ann, { ...body, project_id: randomUUID() }, 422, 'unknown_project'],
		[ann, { model: 'demo-pixel' }, 422],
	];
	const before = await ann.balance();
	for (const [who, json, status, code] of table) {
		const x = await who.post('/generations', json);
		assert.equal(x.status, status, JSON.stringify([json, x.body]));
		if (code) assert.equal(x.body.code, code);
		assert.match(x.headers.get('content-type'), /problem\+json/);
	}
	assert.equal(await ann.balance(), before);
	assert.equal(await poor.balance(), 1);
	assert.equal((await r.call('POST', '/api/v1/generations', { json: body })).status, 401);
});

test('cancel, retry, change, delete; and only by the owner', async () => {
	const before = await bob.balance();
	const g = await bob.submit({ model: 'demo-slow' });
	for (const [method, path] of [['GET', ''], ['GET', '/status'], ['GET', '/events'], ['GET', '/attempts'],
		['GET', '/receipt'], ['GET', '/content'], ['GET', '/download'], ['POST', '/cancel'],
		['POST', '/retry'], ['DELETE', '']]) {
		const x = await ann.call(method, `/generations/${g.id}${path}`);
		assert.equal(x.status, 404, `${method} ${path} ${JSON.stringify(x.body)}`);
	}
	assert.equal((await ann.patch(`/generations/${g.id}`, { title: 'mine' })).status, 404);
	assert.equal((await bob.get('/generations/not-an-id')).status, 404);
	assert.equal((await bob.post(`/generations/${g.id}/retry`)).status, 409);
	assert.equal((await bob.delete(`/generations/${g.id}`)).status, 409);
	const stop = await bob.post(`/generations/${g.id}/cancel`);
	assert.ok([200, 202].includes(stop.status), JSON.stringify(stop.body));
	const over = await bob.ended(g.id);
	assert.equal(over.status, 'cancelled');
	assert.equal(over.charge.state, 'refunded');
	assert.equal(await bob.balance(), before);
	assert.equal((await bob.post(`/generations/${g.id}/cancel`)).status, 200);

	const key = { 'idempotency-key': randomUUID() };
	const retried = await bob.post(`/generations/${g.id}/retry`, undefined, key);
	assert.equal(retried.status, 201, JSON.stringify(retried.body));
	assert.equal(retried.body.parent_id, g.id);
	assert.equal(retried.body.relation, 'retry');
	const replayed = await bob.post(`/generations/${g.id}/retry`, undefined, key);
	assert.equal(replayed.status, 200);
	assert.equal(replayed.body.id, retried.body.id);
	await bob.post(`/generations/${retried.body.id}/cancel`);
	await bob.ended(retried.body.id);

	const titled = await bob.patch(`/generations/${g.id}`, { title: 'Old', favourite: true });
	assert.equal(titled.body.title, 'Old');
	assert.equal(titled.body.favourite, true);
	assert.equal((await bob.patch(`/generations/${g.id}`, { title: null })).body.title, null);
	assert.equal((await bob.patch(`/generations/${g.id}`, {})).status, 422);
	const stars = (await bob.get('/generations?favourite=true')).body.data;
	assert.deepEqual(stars.map((x) => x.id), [g.id]);
	assert.equal((await bob.delete(`/generations/${g.id}`)).status, 204);
	assert.equal((await bob.get(`/generations/${g.id}`)).status, 404);
	assert.equal((await bob.get('/generations?favourite=true')).body.data.length, 0);
	assert.deepEqual(await r.books(), {});
});

test('lists: filters, pages', async () => {
	const eve = await r.user({ credits: 1000000 });
	const ids = [];
	for (let i = 0; i < 5; i++) ids.unshift((await eve.submit({ prompt: `number ${i}` })).id);
	for (const id of ids) await eve.ended(id);
	const seen = [];
	let path = '/generations?limit=2';
	for (;;) {
		const { body } = await eve.get(path);
		seen.push(...body.data.map((g) => g.id));
		assert.equal(body.has_more, body.next_cursor !== null);
		if (!body.has_more) break;
		path = `/generations?limit=2&cursor=${body.next_cursor}`;
	}
	assert.deepEqual(seen, ids);
	const count = async (query) => (await eve.get(`/generations?${query}`)).body.data.length;
	assert.equal(await count('status=completed'), 5);
	assert.equal(await count('status=active'), 0);
	assert.equal(await count('search=number%203'), 1);
	assert.equal(await count('model=demo-sunset'), 0);
	assert.equal(await count('to=2001-01-01T00:00:00Z'), 0);
	for (const q of ['status=lost', 'limit=0', 'limit=9999', 'cursor=zzz', 'from=yesterday', 'favourite=maybe']) {
		assert.ok([400, 422].includes((await eve.get(`/generations?${q}`)).status), q);
	}
});

test('what was deleted leaves the store an hour later', async () => {
	const [kept, gone] = [await ann.submit({}), await ann.submit({})];
	for (const g of [kept, gone]) assert.equal((await ann.ended(g.id)).status, 'completed');
	const files = async (id) => (await r.psql('select a.key, a.state from generation_asset ga join assets a '
		+ 'on a.id = ga.asset_id where ga.generation_id = $1', [id]));
	const there = async (id) => (await files(id)).map((f) => existsSync(join(r.dir, 'files', f.key)));
	assert.deepEqual(new Set([...await there(kept.id), ...await there(gone.id)]), new Set([true]));
	assert.equal((await ann.delete(`/generations/${gone.id}`)).status, 204);
	assert.equal((await ann.get(`/generations/${gone.id}/content`)).status, 404);
	await r.psql(`update assets set deleted_at = now() - interval '2 hours' where deleted_at is not null`);
	await r.restart(); // the sweeps begin anew
	await until('the files are gone', async () => (await files(gone.id)).every((f) => f.state === 'purged'), 90000);
	assert.deepEqual(new Set(await there(gone.id)), new Set([false]));
	assert.deepEqual(new Set(await there(kept.id)), new Set([true]));
});
