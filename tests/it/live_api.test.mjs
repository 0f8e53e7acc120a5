// live_api.test.mjs - WebSocket, event stream and long polls of a whole reeld:
// who may listen to what, snapshots, and the events of real generations.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { reeld, until, worker } from './env.mjs';

let r, ann, bob;
before(async () => {
	r = await reeld();
	await worker(r);
	ann = await r.user({ credits: 1000000 });
	bob = await r.user({ credits: 1000000 });
});

test('user:me: a snapshot, then every change, versions growing', async () => {
	const slow = await ann.submit({ model: 'demo-slow' });
	const ws = await ann.ws();
	const welcome = await ws.get('welcome');
	assert.equal(welcome.user, ann.id);
	const { snapshot } = await ws.subscribe('user:me');
	assert.equal(snapshot[0].type, 'credits.balance');
	assert.equal(snapshot[0].balance, await ann.balance());
	assert.deepEqual(snapshot.slice(1).map((g) => g.id), [slow.id]);

	await ann.post(`/generations/${slow.id}/cancel`);
	await ws.event((e) => e.type === 'generation.cancelled' && e.data.id === slow.id);
	await ws.event((e) => e.type === 'credits.balance' && e.data.balance === snapshot[0].balance + slow.credits);

	const g = await ann.submit({});
	const last = await ws.event((e) => e.type === 'generation.completed' && e.data.id === g.id);
	assert.equal(last.data.video_url, `/api/v1/generations/${g.id}/content?variant=video`);
	const mine = ws.events().filter((e) => e.data.id === g.id);
	assert.equal(mine[0].type, 'generation.created');
	for (let i = 1; i < mine.length; i++) assert.ok(mine[i].version > mine[i - 1].version);
	const money = await ws.event((e) => e.type === 'credits.balance' && e.version > snapshot[0].version);
	assert.equal(typeof money.data.balance, 'number');
	assert.equal(ws.events().filter((e) => e.type === 'credits.balance').at(-1).data.balance, await ann.balance());
	await ws.close();
});

test('topics of others are refused', async () => {
	const g = await bob.submit({ model: 'demo-slow' });
	const ws = await ann.ws();
	for (const topic of [`generation:${g.id}`, `user:${bob.id}`, 'admin:queue', 'admin:workers', 'project:' + g.id, 'nonsense']) {
		const no = await ws.subscribe(topic);
		assert.equal(no.type, 'error', topic);
	}
	await ws.close();
	const visitor = await r.ws(null, { headers: { origin: r.url } });
	assert.equal((await visitor.get('welcome')).user, null);
	assert.equal((await visitor.subscribe('user:me')).type, 'error');
	assert.equal((await visitor.subscribe(`generation:${g.id}`)).type, 'error');
	await visitor.close();
	const foreign = await r.ws(null, { headers: { origin: 'https://evil.example' } });
	assert.equal(foreign.refused?.status, 403);
	const own = await bob.ws();
	assert.equal((await own.subscribe(`generation:${g.id}`)).snapshot[0].id, g.id);
	await own.close();
	const boss = await r.admin.ws();
	assert.equal((await boss.subscribe(`generation:${g.id}`)).snapshot[0].id, g.id);
	await boss.close();
	await bob.post(`/generations/${g.id}/cancel`);
	await bob.ended(g.id);
});

test('a ticket opens one socket', async () => {
	const ws = await r.ws(ann.key, { ticket: true, path: '/api/v1/ws', headers: { origin: r.url } });
	assert.equal((await ws.get('welcome')).user, ann.id);
	await ws.close();
});

test('admin:queue: numbers every second while somebody looks', async () => {
	const boss = await r.admin.ws();
	const { snapshot } = await boss.subscribe('admin:queue');
	assert.equal(snapshot[0].type, 'queue.stats');
	assert.equal(typeof snapshot[0].queued, 'number');
	assert.ok(snapshot.length > 1 && snapshot[1].email);
	await boss.event((e) => e.type === 'queue.stats' && Array.isArray(e.data.providers));
	const { snapshot: workers } = await boss.subscribe('admin:workers');
	assert.equal(workers[0].name, 'w');
	assert.equal(workers[0].state, 'online');
	const g = await ann.submit({});
	await boss.event((e) => e.type === 'generation.completed' && e.data.id === g.id);
	await boss.event((e) => e.type === 'worker.busy' && e.data.generation_id === g.id);
	await boss.close();
});

test('the event stream says the same', async () => {
	const end = new AbortController();
	const stream = await ann.fetch('/api/v1/events?topics=user:me', { signal: end.signal });
	assert.match(stream.headers.get('content-type'), /text\/event-stream/);
	const g = await ann.submit({});
	let text = '';
	for await (const chunk of stream.body.pipeThrough(new TextDecoderStream())) {
		text += chunk;
		if (text.includes('generation.completed') && text.includes(g.id)) break;
	}
	end.abort();
	assert.match(text, /"type":"subscribed"/);
});

test('so many live connections of a user, and of an address', async () => {
	const twin = await r.twin({ env: { REELD_LIVE_MAX_PER_USER: '3', REELD_LIVE_MAX_PER_IP: '2',
		REELD_HTTP_TRUSTED_PROXIES: '127.0.0.1/32' } });
	const open = [];
	const socket = async (key, ip) => {
		const ws = await twin.ws(key, { headers: { origin: twin.url, ...(ip ? { 'x-forwarded-for': ip } : {}) } });
		if (!ws.refused) await ws.get('welcome');
		return ws;
	};
	const stream = async (key, ip) => {
		const end = new AbortController();
		open.push(end);
		const reply = await twin.fetch('/api/v1/events?topics=arena', { key, signal: end.signal,
			headers: ip ? { 'x-forwarded-for': ip } : {} });
		return { reply, end: () => end.abort() };
	};
	const full = async (key, ip) => {
		const { refused } = await socket(key, ip);
		const { reply } = await stream(key, ip);
		for (const { status, headers, body } of [refused ?? {}, { status: reply.status,
			headers: Object.fromEntries(reply.headers), body: await reply.text() }]) {
			assert.equal(status, 429);
			assert.match(headers['content-type'], /application\/problem\+json/);
			assert.equal(headers['retry-after'], '30');
			assert.equal(JSON.parse(body).code, 'too_many_live');
		}
	};
	// Both kinds count together, from wherever.
	const first = await socket(ann.key, '203.0.113.1');
	assert.equal(first.refused, null);
	assert.equal((await socket(ann.key, '203.0.113.2')).refused, null);
	const third = await stream(ann.key);
	assert.equal(third.reply.status, 200);
	await full(ann.key);
	assert.equal((await socket(bob.key, '203.0.113.1')).refused, null, 'others are not held up');
	// One that ends, of either kind, makes room.
	await first.close();
	await until('room after a socket', async () => !(await socket(ann.key)).refused);
	third.end();
	await until('room after a stream', async () => (await stream(ann.key)).reply.status === 200);
	await full(ann.key);
	// Nobody in particular: by address, IPv6 by its network.
	for (const [a, b, elsewhere] of [['203.0.113.9', '203.0.113.9', '203.0.113.10'],
		['2001:db8:1:2::1', '2001:db8:1:2:ffff::9', '2001:db8:1:3::1']]) {
		assert.equal((await socket(null, a)).refused, null);
		assert.equal((await stream(null, b)).reply.status, 200);
		await full(null, a);
		await full(null, b);
		assert.equal((await socket(null, elsewhere)).refused, null);
	}
	const { body } = await twin.call('GET', '/metrics');
	assert.ok(Number(body.match(/^reeld_live_refused_total\{by="user"\} (\d+)/m)[1]) >= 4);
	assert.equal(body.match(/^reeld_live_refused_total\{by="address"\} (\d+)/m)[1], '8');
	for (const end of open) end.abort();
	await twin.stop();
});

test('the status: cached, with a tag, and long polls end with news', async () => {
	const g = await ann.submit({ model: 'demo-slow' });
	const first = await ann.get(`/generations/${g.id}/status`);
	assert.deepEqual(Object.keys(first.body).sort(), ['id', 'progress', 'stage', 'status', 'version', 'video_url']);
	const tag = first.headers.get('etag');
	const second = await ann.get(`/generations/${g.id}/status`, { 'if-none-match': tag });
	assert.ok(second.status === 304 || second.body.version > first.body.version);
	assert.ok(Number(first.headers.get('retry-after')) > 0);
	assert.equal((await bob.get(`/generations/${g.id}/status`)).status, 404);
	const poll = ann.get(`/generations/${g.id}/status?wait=30&version=1000000`);
	assert.equal((await ann.post(`/generations/${g.id}/cancel`)).status < 300, true);
	const over = await ann.ended(g.id);
	assert.equal(over.status, 'cancelled');
	assert.equal((await poll).body.status, 'cancelled'); // an end is always news
	const known = await ann.get(`/generations/${g.id}/status?wait=30&version=${over.version}`);
	assert.equal(known.body.version, over.version); // at once: nothing will come
	for (const q of ['wait=-1', 'wait=x', 'wait=999', 'version=x']) {
		assert.equal((await ann.get(`/generations/${g.id}/status?${q}`)).status, 400, q);
	}
});

test('Redis dies: everything goes on, and comes back', async () => {
	const g = await ann.submit({ model: 'demo-slow' });
	const ws = await ann.ws();
	await ws.subscribe(`generation:${g.id}`);
	await r.redis.kill9();
	await until('it is noticed', async () => (await r.call('GET', '/readyz?verbose')).body.checks.redis === 'away');
	assert.equal((await r.fetch('/readyz')).status, 200);
	// What another instance would do: a change that no event tells.
	await r.psql(`select generation_patch($1, $2, 'changed', null)`, [g.id, ann.id]);
	await ws.event((e) => e.data.id === g.id && e.data.title === 'changed');
	assert.equal((await ann.get(`/generations/${g.id}`)).body.title, 'changed');
	await ann.post(`/generations/${g.id}/cancel`);
	assert.equal((await ann.ended(g.id)).status, 'cancelled');
	const next = await ann.submit({});
	assert.equal((await ann.ended(next.id)).status, 'completed');
	await r.redis.up();
	await until('it is back', async () => (await r.call('GET', '/readyz?verbose')).body.checks.redis === 'ok');
	await ws.close();
});

test('a snapshot that is too large ends its listener and nothing else', async () => {
	const eve = await r.user({ credits: 1000000 });
	// What they wrote becomes six times longer as JSON.
	await Promise.all(Array.from({ length: 60 }, () => eve.submit({ model: 'demo-slow' })));
	await r.psql(`alter table generations disable trigger user`);
	await r.psql(`update generations set prompt = repeat(chr(1), 20000) where user_id = $1`, [eve.id]);
	await r.psql(`alter table generations enable trigger user`);
	const stream = await eve.fetch('/api/v1/events?topics=user:me');
	assert.equal(stream.status, 200);
	const text = await stream.text().catch(() => ''); // it ends
	assert.ok(!text.includes('subscribed'));
	const ws = await eve.ws();
	await ws.get('welcome');
	ws.subscribe('user:me').catch(() => {});
	await until('the end of the session', () => ws.over);
	assert.equal((await eve.get('/credits')).status, 200);
	const { data } = (await eve.get('/generations?limit=100')).body;
	await Promise.all(data.map((g) => eve.post(`/generations/${g.id}/cancel`)));
	assert.deepEqual(await r.books(), {});
});
