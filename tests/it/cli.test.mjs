// cli.test.mjs - the command line: words, exit codes, settings, and the
// commands that work on the database.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { cli, postgres, reeld, top } from './env.mjs';
import { temp_dir } from './services.mjs';

test('help, version, and words it does not know', async () => {
	// [arguments, exit code, standard output, standard error]
	const table = [
		[[], 2, /^$/, /usage: reeld COMMAND/],
		[['--help'], 0, /usage: reeld COMMAND[^]*standalone[^]*api-key/, /^$/],
		[['-h'], 0, /usage/, /^$/],
		[['help'], 0, /usage/, /^$/],
		[['--version'], 0, /^reeld \d+\.\d+\.\d+\n$/, /^$/],
		[['-V'], 0, /^reeld /, /^$/],
		[['frobnicate'], 2, /^$/, /unknown command "frobnicate"/],
		[['serve', '--wings'], 2, /^$/, /--wings needs a value|unknown flag --wings/],
		[['serve', '--wings', 'two'], 2, /^$/, /unknown flag --wings/],
		[['serve', '-x'], 2, /^$/, /unknown flag -x/],
		[['serve', '--listen'], 2, /^$/, /--listen needs a value/],
		[['serve', ...'abcdefghi'], 2, /^$/, /too many words/],
		[['user'], 2, /^$/, /usage: reeld user add/],
		[['user', 'del', 'x@example.org'], 2, /^$/, /usage: reeld user add/],
		[['api-key', 'create'], 2, /^$/, /usage: reeld api-key create/],
		[['models'], 2, /^$/, /usage: reeld models init/],
		[['provider'], 2, /^$/, /usage: reeld provider list/],
		[['serve'], 78, /^$/, /DATABASE_URL/],
		[['serve', '--http.colour', 'red'], 78, /^$/, /unknown setting --http\.colour/],
		[['serve', '--db.pool_size', 'many'], 78, /^$/, /pool_size/],
		[['serve', '--db.pool_size', '100000'], 78, /^$/, /pool_size/],
		[['serve', '-c', '/nonexistent/reeld.conf'], 78, /^$/, /nonexistent/],
		[['audit', '--database-url', 'host=/nonexistent'], 1, /^$/, /nonexistent/],
		[['migrate', '--database-url', 'host=/nonexistent'], 1, /^$/, /nonexistent/],
	];
	for (const [args, code, out, err] of table) {
		const x = await cli(args);
		const what = `reeld ${args.join(' ')}: ${JSON.stringify(x)}`;
		assert.equal(x.code, code, what);
		assert.match(x.out, out, what);
		assert.match(x.err, err, what);
	}
});

test('settings: file, then environment, then flag; origins are told, secrets are not', async () => {
	const dir = temp_dir('cli');
	const file = join(dir, 'reeld.conf');
	writeFileSync(file, '# ours\nhttp.listen = 127.0.0.1:1111\nmedia.threads = 3\ndb.url = postgres://u:canary-1@h/d\n', { mode: 0o600 });
	const env = { REELD_HTTP_LISTEN: '127.0.0.1:2222', REELD_LOG_LEVEL: 'warn', FAL_KEY: 'canary-2' };
	const x = await cli(['print-config', '-c', file, '--http.listen', '127.0.0.1:3333'], env);
	assert.equal(x.code, 0, x.err);
	const line = (key) => x.out.split('\n').find((l) => l.startsWith(`${key} `)) ?? '';
	assert.match(line('http.listen'), /127\.0\.0\.1:3333.*flag/);
	assert.match(line('media.threads'), /3.*reeld\.conf/);
	assert.match(line('log.level'), /warn.*env REELD_LOG_LEVEL/);
	assert.match(line('jobs.slots'), /default/);
	assert.match(line('provider.fal.key'), /env FAL_KEY/);
	assert.doesNotMatch(x.out, /canary/);
	const b = await cli(['print-config', '-c', file], env);
	assert.match(b.out, /http\.listen.*2222/);

	const secret = join(dir, 'secret');
	writeFileSync(secret, 'canary-3\n', { mode: 0o600 });
	const c = await cli(['print-config'], { REELD_S3_SECRET_KEY_FILE: secret });
	assert.match(c.out, /^s3\.secret_key.*secret/m);
	assert.doesNotMatch(c.out, /canary/);
	const missing = await cli(['check-config'], { REELD_S3_SECRET_KEY_FILE: join(dir, 'none') });
	assert.equal(missing.code, 78);
	assert.match(missing.err, /none/);
});

test('check-config: 78 with file and line', async () => {
	const file = join(temp_dir('cli'), 'bad.conf');
	// [what the file says, what is said about it]
	const table = [
		['media.threads = lots\n', /bad\.conf:1: .*media\.threads/],
		['\n\nhttp.lisen = 127.0.0.1:1\n', /bad\.conf:3: .*http\.lisen/],
		['just words\n', /bad\.conf:1/],
		['storage.backend = tape\n', /bad\.conf:1: .*(disk|s3)/],
		['storage.backend = s3\n', /s3\.bucket/],
		['http.public_url = ftp://x\n', /public_url/],
	];
	for (const [text, said] of table) {
		writeFileSync(file, text, { mode: 0o600 });
		const x = await cli(['check-config', '-c', file]);
		assert.equal(x.code, 78, text);
		assert.match(x.err, said, text);
	}
	writeFileSync(file, 'media.threads = 2\n', { mode: 0o600 });
	const fine = await cli(['check-config', '-c', file]);
	assert.deepEqual([fine.code, fine.out], [0, 'ok\n']);
	writeFileSync(file, 'db.url = postgres://u:p@h/d\n');
	chmodSync(file, 0o644);
	assert.match((await cli(['check-config', '-c', file])).err, /chmod 600/);
});

test('the sample file is one that works, and names every setting', async () => {
	const sample = await cli(['print-config', 'sample']);
	assert.equal(sample.code, 0);
	const file = join(temp_dir('cli'), 'sample.conf');
	writeFileSync(file, sample.out, { mode: 0o600 });
	const x = await cli(['check-config', '-c', file]);
	assert.equal(x.code, 0, x.err);
	const all = (await cli(['print-config'])).out.match(/^[a-z0-9_]+\.[a-z0-9_]+(?= )/gm);
	assert.ok(all.length > 40);
	for (const key of all) assert.ok(sample.out.includes(key), key);
	// With every line uncommented it says the defaults again.
	writeFileSync(file, sample.out.replace(/^# ?([a-z0-9_]+\.[a-z0-9_.]+ =)/gm, '$1'), { mode: 0o600 });
	const again = await cli(['check-config', '-c', file]);
	assert.equal(again.code, 0, again.err);
});

test('migrate makes the role that reads, or says who has to', async () => {
	const pg = await postgres();
	const root = await pg.connect('postgres');
	for (const name of ['cli_plain', 'cli_maker']) {
		await root.query(`create role ${name} login ${name === 'cli_maker' ? 'createrole' : ''}`);
		await root.query(`create database ${name} owner ${name}`);
	}
	const migrate = (name) => cli(['migrate'], { REELD_SQL_DIR: join(top, 'sql'),
		DATABASE_URL: `host=${pg.dir} user=${name} dbname=${name}` });
	const refused = await migrate('cli_plain');
	assert.equal(refused.code, 1);
	assert.match(refused.err, /create role cli_plain_reader; grant cli_plain_reader to cli_plain\b/);
	await root.query('create role cli_plain_reader; grant cli_plain_reader to cli_plain');
	for (const name of ['cli_plain', 'cli_maker']) {
		const done = await migrate(name);
		assert.equal(done.code, 0, done.err);
		const db = await pg.connect(name, name);
		await db.query(`set role ${name}_reader`);
		assert.equal((await db.query('select from generations')).rows.length, 0);
		await assert.rejects(db.query('select from users'), { code: '42501' });
		await db.end();
	}
	await root.end();
});

test('migrate twice, by an ordinary role; a changed migration is refused', async () => {
	const pg = await postgres();
	const root = await pg.connect('postgres');
	await root.query('create database cli_migrate owner reeld');
	await root.end();
	const env = { DATABASE_URL: pg.url('cli_migrate'), REELD_SQL_DIR: join(top, 'sql') };
	const many = await Promise.all([1, 2, 3].map(() => cli(['migrate'], env)));
	for (const x of many) assert.equal(x.code, 0, x.err);
	const db = await pg.connect('cli_migrate');
	const before = (await db.query('select version, sha256, applied_at from schema_migration order by 1')).rows;
	assert.ok(before.length > 1);
	assert.equal((await cli(['migrate'], env)).code, 0);
	assert.deepEqual((await db.query('select version, sha256, applied_at from schema_migration order by 1')).rows, before);
	await db.query("update schema_migration set sha256 = 'x' where version = 1");
	const changed = await cli(['migrate'], env);
	assert.equal(changed.code, 1);
	assert.match(changed.err, /has changed since/);
	await db.end();
});

test('users and keys from the command line', async () => {
	const r = await reeld();
	const made = await r.cli('user', 'add', 'ann@example.org', '--role', 'operator', '--credits', '50');
	assert.equal(made.code, 0, made.err);
	assert.match(made.out, /^[0-9a-f-]{36}\n$/);
	const again = await r.cli('user', 'add', 'Ann@example.org', '--role', 'user', '--credits', '-20');
	assert.equal(again.out, made.out);
	const key = await r.cli('api-key', 'create', '--user', 'ann@example.org', '--name', 'k');
	assert.match(key.out, /^rld_live_[A-Za-z0-9_-]{12}_[A-Za-z0-9_-]{43,60}\n$/);
	const me = await r.call('GET', '/api/v1/me', { key: key.out.trim() });
	assert.equal(me.status, 200);
	assert.equal(me.body.email, 'ann@example.org');
	assert.equal(me.body.role, 'user');
	assert.equal(me.body.balance, 30);
	// Only its hash is kept.
	const secret = key.out.trim().split('_').pop();
	const kept = JSON.stringify(await r.psql('select * from api_keys'));
	assert.ok(!kept.includes(secret));
	// [arguments, what is said]
	const refused = [
		[['user', 'add', 'nobody'], /no e-mail/],
		[['user', 'add', 'a@b@c'], /no e-mail/],
		[['user', 'add', 'x@example.org', '--role', 'king'], /--role is one of/],
		[['user', 'add', 'x@example.org', '--credits', 'lots'], /--credits/],
		[['user', 'add', 'ann@example.org', '--credits', '-31'], /credits/],
		[['api-key', 'create', '--user', 'none@example.org', '--name', 'k'], /no user/],
		[['api-key', 'create', '--user', 'ann@example.org', '--name', 'k', '--scopes', 'fly'], /fly/],
	];
	for (const [args, said] of refused) {
		const x = await r.cli(...args);
		assert.equal(x.code, 1, args.join(' '));
		assert.match(x.err, said);
		assert.equal(x.out, '');
	}
	assert.deepEqual(await r.books(), {});
});

test('audit: 0 and "clean", or 1 and the line that is off', async () => {
	const r = await reeld();
	const fine = await r.cli('audit');
	assert.equal(fine.code, 0);
	assert.match(fine.out, /^balance_drift +0$/m);
	assert.match(fine.out, /clean\n$/);
	await r.psql('alter table accounts disable trigger user');
	await r.psql('update accounts set balance = balance + 1 where user_id = $1', [r.admin.id]);
	await r.psql('alter table accounts enable trigger user');
	const off = await r.cli('audit');
	assert.equal(off.code, 1);
	assert.match(off.out, /^balance_drift +1$/m);
});

test('admin-link signs in once; provider list; models init keeps what an operator changed', async () => {
	const r = await reeld();
	const link = (await r.cli('admin-link', '--email', 'boss@example.org', '--http.public_url', r.url)).out.trim();
	assert.ok(link.startsWith(`${r.url}/login/link?token=`), link);
	const token = new URL(link).searchParams.get('token');
	const post = () => r.call('POST', '/api/v1/auth/link', { json: { token }, headers: { origin: r.url, 'sec-fetch-site': 'same-origin' } });
	const first = await post();
	assert.ok(first.status < 300, JSON.stringify(first.body));
	assert.match(first.headers.get('set-cookie'), /HttpOnly/i);
	assert.ok((await post()).status >= 400);
	const providers = await cli(['provider', 'list'], { FAL_KEY: 'a:canary' });
	assert.match(providers.out, /^fal +yes/m);
	assert.doesNotMatch(providers.out, /canary/);
	await r.psql("update models set is_active = false where slug = 'demo-ocean'");
	assert.equal((await r.cli('models', 'init', '--demo')).code, 0);
	assert.equal((await r.psql("select is_active from models where slug = 'demo-ocean'"))[0].is_active, false);
});

test('serve: port 0, the port file, a port that is taken, files only we can read', async () => {
	const r = await reeld();
	assert.ok(r.port > 0);
	const taken = await r.cli('serve', '--listen', `127.0.0.1:${r.port}`);
	assert.equal(taken.code, 1);
	assert.match(taken.err, new RegExp(`127\\.0\\.0\\.1:${r.port}`));
	const file = join(r.dir, 'none', 'port');
	const bad = await r.cli('serve', '--listen', '127.0.0.1:0', '--port-file', file);
	assert.equal(bad.code, 1);
	assert.ok(!existsSync(file));
	const mode = spawnSync('stat', ['-c', '%a', join(r.env.REELD_STORAGE_DIR, 'secret')], { encoding: 'utf8' }).stdout;
	assert.equal(mode.trim(), '600');
	assert.equal(readFileSync(join(r.env.REELD_STORAGE_DIR, 'secret')).length, 32);
});

test('SIGHUP reloads, or keeps the old settings and says why', async () => {
	const file = join(temp_dir('cli'), 'r.conf');
	writeFileSync(file, 'log.level = info\n', { mode: 0o600 });
	const r = await reeld({ args: ['-c', file] });
	writeFileSync(file, 'log.level = loud\n', { mode: 0o600 });
	r.process.child.kill('SIGHUP');
	await r.process.said(/r\.conf:1/);
	assert.equal((await r.call('GET', '/readyz')).status, 200);
	writeFileSync(file, 'log.level = debug\n', { mode: 0o600 });
	r.process.child.kill('SIGHUP');
	await r.process.said(/settings reloaded/);
	await r.call('GET', '/api/v1/models'); // probes are not logged
	await r.process.said(/level=debug/);
});
