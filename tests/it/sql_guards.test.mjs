// What may stand in the rows that every job writes. These are no CHECKs, which
// each statement would parse anew, but expressions of triggers (0013): each is
// asked with a value beside it, and with the last one it allows.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { start } from './pg.mjs';

let server;
before(async () => { server = await start(); });
after(async () => { await server.stop(); });

const long = (n) => `repeat('x', ${n})`;
// table, column that the refusal names, a bad assignment, a good one
const rules = [
	['generations', 'relation', `relation = 'copy'`, `relation = 'remix'`],
	['generations', 'kind', `kind = 'text'`, `kind = 'stitch'`],
	['generations', 'flow', `flow = 'odd'`, `flow = 'staged'`],
	['generations', 'mode', `mode = 't2i'`, `mode = 'ref'`],
	['generations', 'prompt', `prompt = ${long(20001)}`, `prompt = ${long(20000)}`],
	['generations', 'enhanced_prompt', `enhanced_prompt = ${long(20001)}`, `enhanced_prompt = ${long(20000)}`],
	['generations', 'negative_prompt', `negative_prompt = ${long(20001)}`, `negative_prompt = ${long(20000)}`],
	['generations', 'stage', `stage = 'odd'`, `stage = 'store'`],
	['generations', 'progress', 'progress = 101', 'progress = 100'],
	['generations', 'progress', 'progress = -1', 'progress = 0'],
	['generations', 'progress_basis', `progress_basis = 'odd'`, `progress_basis = 'estimated'`],
	['generations', 'provider_position', 'provider_position = -1', 'provider_position = 0'],
	['generations', 'eta_low_s', 'eta_low_s = -1', 'eta_low_s = 0'],
	['generations', 'eta_high_s', 'eta_high_s = -1', 'eta_high_s = 0'],
	['generations', 'idem_key', `body_hash = sha256('x')`, 'body_hash = null'],
	['generations', 'media_state', `media_state = 'odd'`, `media_state = 'purged'`],
	['generations', 'title', `title = ${long(201)}`, `title = ${long(200)}`],
	['generations', 'deadline_s', 'deadline_s = 0', 'deadline_s = 1'],
	['generations', 'completed_at', 'completed_at = now()', 'completed_at = null'],
	['generations', 'error_code', `status = 'failed', version = version + 1, completed_at = now()`],
	['charges', 'refunded', 'refunded = 11', 'refunded = 10, fee = 0'],
	['charges', 'refunded', 'refunded = 10, fee = 1', 'refunded = 9, fee = 1'],
	['charges', 'fee', 'fee = -1', 'fee = 0'],
	['charges', 'settled', 'settled = 9', 'settled = 10'],
	['charges', 'settled', 'settled = -1, refunded = 11 - 1', 'settled = 0, refunded = 10'],
	['accounts', 'active', 'active = -1', 'active = 0'],
	['accounts', 'waiting', 'waiting = -1', 'waiting = 0'],
	['jobs', 'kind', `kind = 'odd'`, `kind = 'stitch'`],
	['jobs', 'step', `step = 'odd'`, `step = 'store'`],
	['jobs', 'lone_crashes', 'lone_crashes = -1', 'lone_crashes = 0'],
	['jobs', 'finished_at', 'finished_at = now()', `finished_at = now(), status = 'failed'`],
	['jobs', 'finished_at', `status = 'failed'`, 'finished_at = null'],
	['jobs', 'owner', 'owner = $2', `owner = $2, status = 'running'`],
];

test('a value beside those allowed is refused, and named', async () => {
	const { k, conn, route, owner } = await server.fresh();
	const u = await k.user(100);
	const g = await k.submit(u, route, { credits: 10 });
	const keys = { generations: 'id', charges: 'generation_id', jobs: 'generation_id',
		accounts: '(select id from generations g where g.user_id = accounts.user_id)' };
	for (const [table, column, bad, good] of rules) {
		const set = (what) => conn.query(`update ${table} set ${what} where ${keys[table]} = $1`,
			what.includes('$2') ? [g.id, owner] : [g.id]);
		await conn.query('begin');
		await assert.rejects(set(bad), (e) => {
			assert.equal(`${e.code} ${e.column}`, `23514 ${column}`, `${table}: ${bad}: ${e.message}`);
			return true;
		});
		await conn.query('rollback');
		if (good === undefined) continue;
		await conn.query('begin');
		assert.equal((await set(good)).rowCount, 1, `${table}: ${good}`);
		await conn.query('rollback');
	}
	// The same when a row is made.
	const copy = (more) => conn.query(`insert into generations (user_id, mode, model_id, model, model_name, route_id,
		provider, prompt, spec, status, credits, idem_key, body_hash, version) select user_id, mode, model_id, model,
		model_name, route_id, provider, prompt, spec, status, ${more} from generations where id = $1`, [g.id]);
	for (const [column, more] of [['credits', `-1, null, null, 1`], ['credits', `1000000001, null, null, 1`],
		['idem_key', `1, '', sha256('x'), 1`], ['idem_key', `1, ${long(256)}, sha256('x'), 1`],
		['idem_key', `1, 'k', null, 1`], ['body_hash', `1, 'k', 'x'::bytea, 1`], ['version', `1, null, null, 0`]]) {
		await assert.rejects(copy(more), { code: '23514', column }, more);
	}
	await conn.query('begin');
	assert.equal((await copy(`1000000000, ${long(255)}, sha256('x'), 1`)).rowCount, 1);
	await conn.query('rollback');
	await assert.rejects(conn.query(`insert into charges (generation_id, user_id, quote, breakdown)
		values ($1, $2, -1, '{}')`, [g.id, u]), { code: '23514', column: 'quote' });
	await assert.rejects(conn.query(`insert into jobs (generation_id, user_id, provider, status, kind, owner)
		values ($1, $2, 'fal', 'queued', 'stitch', $3)`, [g.id, u, owner]), { code: '23514', column: 'owner' });
	assert.deepEqual(await k.audit(), {});
});

test('an entry of the ledger has the sign of its type, and its charge', async () => {
	const { k, conn } = await server.fresh();
	const u = await k.user(100);
	const entry = (type, amount, more = {}) => conn.query(`insert into ledger_entry (user_id, type, amount, charge_id,
		idem_key, note) values ($1, $2, $3, $4, $5, $6)`, [u, type, amount, more.charge ?? null, more.key ?? null,
		more.note ?? null]);
	for (const [column, ...what] of [['amount', 'bonus', -1], ['amount', 'expire', 1], ['amount', 'purchase', 0],
		['amount', 'adjustment', 1000000000001], ['amount', 'transfer', -1000000000001],
		['charge_id', 'video_generation', -1], ['charge_id', 'video_refund', 1],
		['charge_id', 'bonus', 1, { charge: u }], ['idem_key', 'bonus', 1, { key: '' }],
		['idem_key', 'bonus', 1, { key: 'x'.repeat(301) }], ['note', 'bonus', 1, { note: 'x'.repeat(1001) }]]) {
		await assert.rejects(entry(...what), { code: '23514', column }, what.join(' '));
	}
	for (const what of [['bonus', 1], ['expire', -1], ['adjustment', -2], ['transfer', 2],
		['purchase', 1, { key: 'x'.repeat(300), note: 'x'.repeat(1000) }]]) {
		assert.equal((await entry(...what)).rowCount, 1, what.join(' '));
	}
	assert.equal(await k.balance(u), 101);
	assert.deepEqual(await k.audit(), {});
});
