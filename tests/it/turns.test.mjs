// turns.test.mjs - two busy instances take what is ordered in turns: whichever
// was asked, both carry some, nothing is done twice, and work is not lost to
// one that was named and is dead or gone.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, test } from 'node:test';
import { fakeFal, reeld, until } from './env.mjs';
import { Process } from './services.mjs';

const BURST = 24; // orders at once, enough to be busy

let fal, a, ann, wake;
before(async () => {
	fal = await fakeFal();
	fal.plan('*', { submit: '422' });
	a = await reeld({ env: fal.env });
	ann = await a.user({ credits: 1_000_000 });
	await a.psql('update users set concurrent_limit = 10000 where id = $1', [ann.id]);
	wake = new Process(['redis-cli', '-s', a.redis.socket, 'subscribe', 'reeld:wake'], { name: 'wake' });
	await until('it listens', () => /subscribe/.test(wake.out));
});

const hints = (kind) => [...wake.out.matchAll(new RegExp(`^${kind} (\\S+) ?(\\S*)$`, 'mg'))].map((m) => ({ who: m[1], by: m[2], at: m.index }));
const instance = async () => (await a.psql('select id from instances order by started_at desc limit 1'))[0].id;
const taken = (server) => server.logs().match(/msg="taken"/g)?.length ?? 0;
// Each knows of the other.
const joined = async (id, other) => until('both said that they are there', () => {
	const from = hints('here').findIndex((h) => h.who === id);
	return from >= 0 && hints('here').slice(from).some((h) => h.who === other);
});

const ordered = [];
async function burst() {
	const made = await Promise.all(Array.from({ length: BURST }, async () => {
		const prompt = `p ${randomUUID()}`;
		return { prompt, ...await ann.submit({ model: 'kling-2.5', prompt }) };
	}));
	ordered.push(...made);
}
const all_end = () => until('all have ended', async () => (await a.psql(
	"select count(*) as n from generations where status <> 'failed'"))[0].n === 0, 60000);

test('asked of one, taken by both', async () => {
	const first = await instance();
	await burst();
	await all_end();
	assert.deepEqual(hints('done'), [], 'nobody is there to be told');
	const b = await a.twin();
	const second = await instance();
	assert.notEqual(first, second);
	await joined(second, first);
	await until('both have taken some', async () => {
		await burst();
		return taken(a) > 0 && taken(b) > 0 && hints('claim').some((h) => h.who === second && h.by === first);
	}, 60000);
	await all_end();
	// Each told the other when it had been at the database.
	assert.ok(hints('done').some((h) => h.who === first && h.by === 'generation_submit'));
	for (const who of [first, second]) {
		assert.ok(hints('done').some((h) => h.who === who && h.by === 'generations_fail'), wake.out);
	}

	// It is named for a while after its death.
	await b.kill9();
	const from = wake.out.length;
	await until('the dead one was named', async () => {
		await burst();
		return hints('claim').some((h) => h.at > from && h.who === second);
	}, 30000);
	await all_end();
});

test('who left is not named any more', async () => {
	const before = await instance();
	const c = await a.twin();
	const third = await instance();
	assert.notEqual(third, before);
	await until('it was named', async () => {
		await burst();
		return hints('claim').some((h) => h.who === third);
	}, 60000);
	await all_end();
	await c.stop();
	await until('it said so', () => hints('gone').some((h) => h.who === third));
	await burst();
	await all_end();
	const gone = hints('gone').find((h) => h.who === third).at;
	assert.equal(hints('claim').filter((h) => h.at > gone && h.who === third).length, 0);
});

test('each was submitted once, and paid back', async () => {
	for (const g of ordered) assert.equal(fal.submits[g.prompt], 1);
	const [{ n, twice }] = await a.psql(`select count(*) as n, count(*) filter (where attempts <> 1) as twice from (
		select g.id, count(t.id) as attempts from generations g left join attempts t on t.generation_id = g.id group by g.id) x`);
	assert.equal(n, ordered.length);
	assert.equal(twice, 0);
	assert.deepEqual(await a.books(), {});
	assert.equal(await ann.balance(), 1_000_000);
});
