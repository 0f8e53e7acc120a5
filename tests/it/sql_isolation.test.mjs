// Row level security: a person's connection shows a person's rows, whatever
// the statement forgot to ask for.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { kit, start } from './pg.mjs';

let server;
before(async () => { server = await start(); });
after(async () => { await server.stop(); });

const tables = ['accounts', 'api_keys', 'sessions', 'generations', 'attempts',
	'events', 'charges', 'ledger_entry', 'assets', 'generation_asset',
	'grants', 'projects'];
const owners_only = ['users', 'identities', 'login_links', 'idempotency',
	'audit_log', 'jobs', 'grant_use', 'enhance_use', 'outbox', 'instances',
	'workers', 'providers', 'system_config', 'schema_migration'];

test('50 users on 4 connections, some aborted: no foreign row', async () => {
	const db = await server.database();
	const k = kit(await db.engine());
	const route = await k.route();
	const owner = await k.instance();
	const users = [];
	for (let i = 0; i < 50; i++) {
		const u = await k.user(100);
		await k.finish(await k.at('finalizing', u, route, owner), owner);
		await k.one("select api_key_create(gen_random_uuid(), $1, 'k', $2, "
			+ "sha256('x'), '{read}', null)", [u, `pre-${i}`]);
		await k.one("select session_create(sha256($1::text::bytea), $2, 60, "
			+ "null, 'a')", [u, u]);
		users.push(u);
	}
	const apps = await Promise.all([1, 2, 3, 4].map(() => db.app()));
	let foreign = 0;
	let own = 0;
	let aborted = 0;
	await Promise.all(apps.map(async (c, lane) => {
		for (let i = 0; i < 500; i++) {
			const u = users[(i * 7 + lane * 13) % 50];
			const t = tables[i % tables.length];
			if (i % 20 === 19) {
				await assert.rejects(c.as(u, 'select 1 / 0'));
				aborted++;
				const bare = await c.query(`select count(*) as n from ${t}`);
				foreign += bare.rows[0].n;
				continue;
			}
			for (const r of await c.as(u, `select user_id from ${t}`)) {
				if (r.user_id === u) own++;
				else foreign++;
			}
		}
	}));
	assert.equal(foreign, 0);
	assert.equal(aborted, 100);
	assert.ok(own > 1500);
});

test('nobody: no rows; another user: no read, no write', async () => {
	const db = await server.database();
	const k = kit(await db.engine());
	const route = await k.route();
	const [a, b] = [await k.user(100), await k.user(100)];
	const g = await k.submit(a, route);
	const c = await db.app();
	for (const t of tables) {
		assert.equal((await c.query(`select user_id from ${t}`)).rows.length, 0);
	}
	const as = (u, text) => c.as(u, text, [g.id]);
	assert.equal((await as(a, 'select * from generation_public where id = $1'))
		.length, 1);
	assert.equal((await as(b, 'select * from generation_public where id = $1'))
		.length, 0);
	for (const who of [a, b]) {
		await assert.rejects(c.as(who, "update generations set title = 'x', "
			+ 'version = version + 1 where id = $1', [g.id]),
		{ code: '42501' });
		await assert.rejects(c.as(who, 'insert into projects (user_id, name) '
			+ "values ($1, 'x')", [who]), { code: '42501' });
	}
	for (const t of tables) {
		await assert.rejects(c.as(a, `delete from ${t}`), { code: '42501' });
	}
	for (const t of owners_only) {
		await assert.rejects(c.as(a, `select from ${t}`), { code: '42501' });
	}
	for (const secret of ['token_hash from sessions', 'hash from api_keys',
		'key_ref from provider_accounts']) {
		await assert.rejects(c.as(a, `select ${secret}`), { code: '42501' });
	}
	// A name of his own for what the owner's function reads is not read.
	await assert.rejects(c.as(a, 'select queue_position(id) from jobs'),
		{ code: '42501' });
	// The line number in the queue counts everybody, and leaks nothing after.
	const second = await k.submit(b, route);
	const rows = await c.as(b, 'select queue_position($1) as n, '
		+ '(select count(*) from generations) as seen', [second.id]);
	assert.deepEqual([rows[0].n, rows[0].seen], [2, 1]);
	await c.query('create temporary table jobs (status text, provider text, '
		+ 'priority int, eligible_at timestamptz, id uuid, kind text, '
		+ 'generation_id uuid)');
	assert.equal((await c.as(b, 'select queue_position($1) as n', [second.id]))[0].n, 2);
	const role = (await c.query('select rolsuper, rolbypassrls from pg_roles '
		+ 'where rolname = current_user')).rows[0];
	assert.deepEqual(role, { rolsuper: false, rolbypassrls: false });
});
