// The database refuses a step of a job, which is no outage: the job goes to
// review at once and says why; nothing is paid twice, and what an
// administrator decides is carried out.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { books, ended, fal, until, world } from './engine_kit.mjs';

// A rule that refuses every new or changed row of a table that matches.
async function refuse(w, table, when) {
	await w.conn.query('create or replace function no() returns trigger language plpgsql as $$ begin '
		+ "raise exception 'planted' using errcode = '23514'; end $$");
	await w.conn.query(`create trigger planted before insert or update on ${table} for each row `
		+ `when (${when}) execute function no()`);
	return () => w.conn.query(`drop trigger planted on ${table}`);
}
const refusals = (demo) => demo.log.match(/msg="a rule of the database refused it"/g)?.length ?? 0;
const in_review = (w, id, demo) => until(w, id, (g) => g.status === 'review', demo);

test('the end is refused: review, then delivered', async () => {
	const w = await world();
	const heal = await refuse(w, 'assets', 'true');
	const g = await w.submit();
	const demo = w.demo();
	const row = await in_review(w, g.id, demo);
	assert.equal(row.error_code, 'database_refused');
	assert.match(row.error_message, /\(finish\)/);
	assert.equal(refusals(demo), 1, demo.log);
	await books(w, 90);
	await heal();
	assert.equal((await w.k.move('review_resolve', g.id, 'deliver', w.user, '')).outcome, 'delivering');
	assert.equal((await ended(w, g.id, demo)).status, 'completed', demo.log);
	assert.equal(fal.submits[g.prompt], 1);
	await books(w, 90);
	assert.equal((await demo.kill('SIGTERM')).code, 0, demo.log);
});

test('the start is refused: nothing is sent, and an adopter sends nothing', async () => {
	const w = await world();
	const heal = await refuse(w, 'attempts', 'true');
	const g = await w.submit();
	const a = w.demo();
	assert.match((await in_review(w, g.id, a)).error_message, /\(start\)/);
	await a.kill();
	await heal();
	const b = w.demo();
	await until(w, g.id, () => /"taken"/.test(b.log), b);
	// It rests: a second job of the same engine goes all the way meanwhile.
	const h = await w.submit();
	assert.equal((await ended(w, h.id, b)).status, 'completed', b.log);
	assert.equal((await w.row(g.id)).status, 'review');
	assert.equal(fal.submits[g.prompt], undefined);
	assert.equal((await w.k.move('review_resolve', g.id, 'refund', w.user, '')).outcome, 'refunded');
	await books(w, 90);
	assert.equal((await b.kill('SIGTERM')).code, 0, b.log);
});

test('the provider has it, and its id is refused: never sent again', async () => {
	const w = await world();
	const heal = await refuse(w, 'attempts', "new.status = 'submitted'");
	const g = await w.submit();
	const demo = w.demo();
	assert.match((await in_review(w, g.id, demo)).error_message, /\(record\)/);
	assert.equal(refusals(demo), 1, demo.log);
	await demo.kill();
	await heal();
	const b = w.demo();
	await until(w, g.id, () => /"taken"/.test(b.log), b);
	assert.equal((await ended(w, (await w.submit()).id, b)).status, 'completed', b.log);
	assert.equal(fal.submits[g.prompt], 1);
	assert.equal((await w.row(g.id)).status, 'review');
	await books(w, 80);
	assert.equal((await b.kill('SIGTERM')).code, 0, b.log);
});

test('the failure itself is refused: review, not a loop', async () => {
	const w = await world();
	await refuse(w, 'generations', "new.status = 'failed'");
	const g = await w.submit({ result: 'failed' });
	const demo = w.demo();
	assert.match((await in_review(w, g.id, demo)).error_message, /\(fail\)/);
	assert.equal(refusals(demo), 1, demo.log);
	await books(w, 90);
	assert.equal((await demo.kill('SIGTERM')).code, 0, demo.log);
});
