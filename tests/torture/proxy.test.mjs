// The fault proxy does what it says: each fault against a server of our own.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { postgres, until } from '../it/env.mjs';
import { Proxy } from './proxy.mjs';

const ANSWER = 'x'.repeat(1000);
let echo, proxy, asked = 0;
before(async () => {
	echo = http.createServer((req, res) => { asked++; res.end(ANSWER); });
	echo.listen(0, '127.0.0.1');
	await once(echo, 'listening');
	proxy = await Proxy.to({ port: echo.address().port });
});
after(async () => { await proxy.stop(); echo.close(); echo.closeAllConnections(); });

const get = async (limit_ms = 20000) => {
	const r = await fetch(proxy.url, { headers: { connection: 'close' }, signal: AbortSignal.timeout(limit_ms) });
	return r.text();
};
// Everything the other side says to one request, byte by byte as it comes.
async function raw() {
	const s = net.connect(proxy.port, '127.0.0.1');
	const chunks = [];
	let error = null;
	s.on('data', (d) => chunks.push(d));
	s.on('error', (e) => { error = e.code; });
	s.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
	await new Promise((r) => { s.once('close', r); });
	return { chunks, text: Buffer.concat(chunks).toString(), error };
}

test('a wire', async () => { proxy.set(); assert.equal(await get(), ANSWER); });
test('late, slow, in pieces, and still whole', async () => {
	for (const faults of [{ latency_ms: 30, jitter_ms: 20 }, { rate: 20000 }, { split: true }]) {
		proxy.set(faults);
		const start = performance.now();
		assert.equal(await get(), ANSWER, JSON.stringify(faults));
		if (faults.latency_ms) assert.ok(performance.now() - start >= 60);
		if (faults.rate) assert.ok(performance.now() - start >= 1000 * 1000 / 20000);
	}
});
test('cut after so many bytes', async () => {
	proxy.set({ cut_after: 300 });
	assert.equal((await raw()).text.length, 300);
	await assert.rejects(get());
});
test('reset, half-open, one direction dropped', async () => {
	proxy.set({ accept: 'reset' });
	assert.equal((await raw()).error, 'ECONNRESET');
	const before = asked;
	for (const faults of [{ accept: 'half-open' }, { drop: 'up' }]) {
		proxy.set(faults);
		await assert.rejects(get(300), /abort|timeout/i, JSON.stringify(faults));
	}
	assert.equal(asked, before);
	proxy.set({ drop: 'down' });
	await assert.rejects(get(300), /abort|timeout/i);
	assert.equal(asked, before + 1, 'it was asked, and could not answer');
});
test('an answer twice', async () => {
	proxy.set({ duplicate: true });
	assert.equal((await raw()).text.match(/HTTP\/1.1 200/g).length, 2);
	proxy.set();
});

test('a commit of PostgreSQL: lost, not sent, late', async (t) => {
	const server = await postgres();
	const database = await server.database();
	const wire = await Proxy.to({ path: `${server.dir}/.s.PGSQL.5432` }, { pg: true });
	// However it ends: what is left open keeps this process from ending.
	t.after(() => wire.stop());
	const open = async () => {
		const c = new pg.Client({ host: wire.dir, user: 'reeld', database });
		c.on('error', () => {});
		await c.connect();
		return c;
	};
	const root = await server.connect(database);
	t.after(() => root.end());
	await root.query('create table t (n int); grant all on t to public');
	const add = (c, n) => c.query({ name: 'add_row', text: 'insert into t values ($1)', values: [n] });
	const rows = async () => (await root.query('select n from t order by n')).rows.map((r) => r.n);
	let c = await open();
	await add(c, 1);
	let done = wire.commit(/^add_row$/, 'lose');
	await assert.rejects(add(c, 2));
	await done;
	assert.deepEqual(await rows(), [1, 2]);
	c = await open();
	done = wire.commit(/^add_row$/, 'before');
	await assert.rejects(add(c, 3));
	await done;
	assert.deepEqual(await rows(), [1, 2]);
	c = await open();
	await c.query('select 1'); // another statement passes
	done = wire.commit(/insert into t/, 'lose'); // by its text
	await c.query('begin');
	await assert.rejects(c.query('insert into t values (4); commit'));
	await done;
	assert.deepEqual(await rows(), [1, 2, 4]);
	c = await open();
	done = wire.commit(/^add_row$/, 200);
	const start = performance.now();
	await add(c, 5);
	await done;
	assert.ok(performance.now() - start >= 200);
	await c.end();
	// Two in one pipeline: the first breaks the connection, the second is for the next.
	const both = ['lose', 'before'].map((how) => wire.commit(/insert into t/, how));
	const s = net.connect(wire.path);
	const typed = (type, ...text) => {
		const body = Buffer.from(`${text.join('\0')}\0`);
		const head = Buffer.from(`${type}\0\0\0\0`);
		head.writeUInt32BE(body.length + 4, type.length);
		return Buffer.concat([head, body]);
	};
	s.write(typed('', '\0\x03\0', 'user', 'reeld', 'database', database, ''));
	let said = '';
	s.on('data', (d) => { said += d.toString('latin1'); });
	await until('ready for a query', () => said.endsWith('Z\0\0\0\x05I'));
	s.write(Buffer.concat([typed('Q', 'insert into t values (6)'), typed('Q', 'insert into t values (7)')]));
	await once(s, 'close');
	await both[0];
	assert.deepEqual((await rows()).filter((n) => n <= 6), [1, 2, 4, 5, 6]);
	c = await open();
	await assert.rejects(add(c, 8));
	await both[1];
	assert.ok(!(await rows()).includes(8));
	// One that dies with its connection before its answer comes is for the next, too.
	c = await open();
	done = wire.commit(/^add_row$/, 'lose');
	await root.query('begin; lock t');
	const waiting = add(c, 9);
	await until('it waits for the lock', async () => (await root.query("select count(*) as n from pg_stat_activity where wait_event_type = 'Lock'")).rows[0].n === 1);
	wire.cut();
	await assert.rejects(waiting);
	await root.query('rollback');
	c = await open();
	await assert.rejects(add(c, 10));
	await done;
	assert.ok((await rows()).includes(10));
});
