// drain.test.mjs - SIGTERM: remote renders go on and are taken over, sockets
// are told, requests in flight are answered, and the exit is 0.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import net from 'node:net';
import { before, test } from 'node:test';
import { fakeFal, reeld, until } from './env.mjs';
import { tiny } from '../fake/fal.mjs';
import { size } from '../torture/size.mjs';
import { png } from './png.mjs';

let fal;
before(async () => { fal = await fakeFal(); });

// An upload of which half has arrived; .answer: its status, 0 when it was cut.
async function half_upload(server, user) {
	const body = Buffer.concat([Buffer.from('--q\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n'
		+ 'Content-Type: image/png\r\n\r\n'), png(64, 48), Buffer.from('\r\n--q--\r\n')]);
	const s = net.connect(server.port, '127.0.0.1');
	let text = '';
	s.on('data', (d) => { text += d; });
	s.on('error', () => {});
	const answer = new Promise((done) => { s.once('close', () => done(Number(text.slice(9, 12)) || 0)); });
	await new Promise((done) => { s.once('connect', done); });
	s.write(`POST /api/v1/uploads HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${user.key}\r\n`
		+ `Content-Type: multipart/form-data; boundary=q\r\nContent-Length: ${body.length}\r\n\r\n`);
	await new Promise((done) => { s.write(body.subarray(0, body.length >> 1), done); });
	return { answer };
}

// reliability D24: whole by `make torture`.
test('the other instance goes on, nothing fails, sockets get 1012', async (t) => {
	const a = await reeld({ env: fal.env });
	const ann = await a.user({ credits: 1_000_000 });
	await a.psql("update system_config set value = '10000' where key = 'video_concurrent_limit'");
	await a.restart();
	const live = await ann.ws();
	await live.subscribe('user:me');
	// At most 20 sockets of one user.
	const sockets = [];
	for (let i = 1; i < size(12, 1000); i++) {
		if (i % 20 === 1) sockets.owner = await a.user();
		sockets.push(await sockets.owner.ws());
	}
	const make = async (plan) => {
		const prompt = `p ${randomUUID()}`;
		fal.plan(prompt, plan);
		return { prompt, ...await ann.submit({ model: 'kling-2.5', prompt }) };
	};
	// The provider works at these until it is told: alive when the signal comes,
	// however long it took to make them all.
	const busy = { polls: Infinity, bytes: tiny() };
	const all = [];
	for (let i = 0; i < size(12, 500); i++) all.push(await make(busy));
	const [{ id: first }] = await a.psql('select id from instances where stopped_at is null');
	const alive_at = (r, owner) => r.psql('select count(*) as n from jobs j join generations g on g.id = j.generation_id '
		+ "where g.status = 'processing' and j.owner = $1 and g.id = any($2)", [owner, all.map((g) => g.id)]).then(([{ n }]) => n);
	await until('all are at the provider', async () => await alive_at(a, first) === all.length
		&& all.every((g) => fal.accepted[g.prompt] === 1), 120000);
	const b = await a.twin();
	const wait = ann.get(`/generations/${all[11].id}/status?wait=25&version=1000`);
	const uploads = await Promise.all(Array.from({ length: size(3, 50) }, () => half_upload(a, ann)));
	// And some that are anywhere: queued, being sent, polled, downloaded.
	const moving = [];
	for (let i = 0; i < size(6, 50); i++) moving.push(await make({ polls: i % 3, bytes: tiny() }));
	assert.equal(await alive_at(a, first), all.length);
	const signal = performance.now();
	await a.stop(); // fails unless it exits with 0
	const exit = performance.now();
	const [{ id: second }] = await b.psql('select id from instances where stopped_at is null');
	assert.notEqual(second, first);
	await until('the other one has them all', async () => await alive_at(b, second) === all.length);
	t.diagnostic(`${all.length} jobs alive: ended ${Math.round(exit - signal)} ms after the signal, all taken over `
		+ `${Math.round(performance.now() - exit)} ms later`);
	busy.polls = 0;
	const answer = await wait.catch(() => ({ status: 0 }));
	assert.ok([0, 200, 304, 503].includes(answer.status), String(answer.status));
	for (const u of uploads) {
		// What was begun is answered, or cut; never taken without an answer.
		const status = await u.answer;
		assert.ok([0, 201, 408, 503].includes(status), String(status));
	}
	for (const s of sockets) assert.equal((await s.over).code, 1012);
	const closed = await live.over;
	assert.equal(closed.code, 1012, JSON.stringify(closed));
	assert.ok(live.messages.some((m) => m.type === 'bye'), 'no bye');
	ann.server = b;
	for (const g of [...all, ...moving]) {
		const done = await ann.ended(g.id, 180000);
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
