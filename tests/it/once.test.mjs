// once.test.mjs - a POST with an Idempotency-Key happens once: replays, races,
// hang-ups, and a process that died in the middle.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import test from 'node:test';
import { reeld, until } from './env.mjs';

const r = await reeld();
const give = (user, amount, key) => r.admin.post(`/admin/users/${user.id}/credits`, { amount, note: 'test' },
	key ? { 'idempotency-key': key } : {});

test('a key is asked for, and replays', async () => {
	const ann = await r.user({ credits: 0 });
	const bob = await r.user({ credits: 0 });
	assert.equal((await give(ann, 5)).body.code, 'idempotency_key_required');
	assert.equal((await give(ann, 5, 'a b')).body.code, 'bad_idempotency_key');
	const key = randomUUID();
	const first = await give(ann, 5, key);
	assert.equal(first.status, 200, JSON.stringify(first.body));
	assert.equal(first.headers.get('idempotent-replayed'), null);
	const again = await give(ann, 5, `"${key}"`);
	assert.deepEqual([again.status, again.body], [200, first.body]);
	assert.equal(again.headers.get('idempotent-replayed'), 'true');
	assert.equal((await give(ann, 6, key)).body.code, 'idempotency_mismatch');
	assert.equal((await give(bob, 5, key)).body.code, 'idempotency_mismatch', 'the same body for somebody else');
	assert.deepEqual([await ann.balance(), await bob.balance()], [5, 0]);
});

test('twenty at once', async () => {
	const ann = await r.user({ credits: 0 });
	const key = randomUUID();
	const all = await Promise.all(Array.from({ length: 20 }, () => give(ann, 7, key)));
	assert.ok(all.every((x) => x.status === 200 || (x.status === 409 && x.body.code === 'idempotency_running')));
	assert.equal(await ann.balance(), 7);
	assert.equal((await give(ann, 7, key)).status, 200);
});

test('what was refused frees its key', async () => {
	const ann = await r.user({ credits: 0 });
	const key = randomUUID();
	assert.equal((await give(ann, -5, key)).status, 409);
	await give(ann, 10, randomUUID());
	assert.equal((await give(ann, -5, key)).status, 200);
	assert.equal(await ann.balance(), 5);
});

test('the client hangs up at any moment', async () => {
	const ann = await r.user({ credits: 0 });
	const keys = Array.from({ length: 30 }, () => randomUUID());
	const body = JSON.stringify({ amount: 1, note: 'test' });
	const one = (key, i) => new Promise((done, fail) => {
		const socket = connect(r.port, '127.0.0.1', () => {
			socket.write(`POST /api/v1/admin/users/${ann.id}/credits HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${r.admin.key}\r\n`
				+ `Idempotency-Key: ${key}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
			setTimeout(() => socket.destroy(), i / 4);
		});
		socket.on('error', fail);
		socket.on('close', done);
		socket.resume();
	});
	for (const [i, key] of keys.entries()) await one(key, i);
	for (const key of keys) await until(key, async () => (await give(ann, 1, key)).status === 200);
	assert.equal(await ann.balance(), 30);
});

test('its process died before the reply was stored', async () => {
	const ann = await r.user({ credits: 0 });
	const key = randomUUID();
	assert.equal((await give(ann, 3, key)).status, 200);
	const set = (age) => r.psql(`update idempotency set status = null, reply = null, created_at = now() - $2::interval where key = $1`, [key, age]);
	await set('10 seconds');
	assert.equal((await give(ann, 3, key)).body.code, 'idempotency_running');
	await set('2 minutes');
	assert.equal((await give(ann, 3, key)).status, 200);
	assert.equal(await ann.balance(), 3, 'the ledger knows the key');
	assert.deepEqual(await r.books(), {});
});
