// storage, from outside: tests/unit/storage_cli on a directory and on an S3
// server that checks signatures.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, mkdir, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const build = process.env.REELD_BUILD ?? new URL('../../build', import.meta.url).pathname;

async function cli(input, env = {}) {
  const child = spawn(join(build, 'tests/unit/storage_cli'), { env: { ...process.env, ...env } });
  let out = '', err = '';
  child.stdout.on('data', (d) => { out += d; });
  child.stderr.on('data', (d) => { err += d; });
  child.stdin.end(JSON.stringify(input));
  const [code, signal] = await new Promise((done) => child.on('close', (...a) => done(a)));
  assert.doesNotMatch(err, /Sanitizer|runtime error/);
  return { code, signal, lines: out.trim().split('\n').filter(Boolean).map((l) => JSON.parse(l)) };
}
async function temp(t) {
  const d = await mkdtemp(join(tmpdir(), 'storage-'));
  t.after(() => rm(d, { recursive: true, force: true }));
  return d;
}
const key = 'videos/g/a.mp4';

test('disk: put, open, replace, delete; nothing is left in tmp', async (t) => {
  const dir = join(await temp(t), 'new');
  const { lines } = await cli({ dir, ops: [
    { op: 'put', key, bytes: 1000, temp: 'j.1.part' }, { op: 'open', key }, { op: 'put', key, bytes: 20 },
    { op: 'head', key }, { op: 'delete', key }, { op: 'delete', key }, { op: 'open', key },
    { op: 'put', key, bytes: 5, claim: 6 }] });
  assert.deepEqual(lines.map((l) => l.error ?? l.size), [1000, 1000, 20, 20, -1, -1, 'not_found', 'disk_failed', undefined]);
  assert.match(lines[1].first, /^0123456789abcdef/);
  assert.deepEqual(await readdir(join(dir, 'tmp')), []);
});

test('keys cannot leave the directory', async (t) => {
  const dir = await temp(t);
  const bad = ['../x', 'a/../x', '/etc/passwd', 'a//b', 'a/', '', '.x', 'a/.x', 'tmp/x', 'a\nb', 'a b', 'é', 'x'.repeat(241)];
  const { lines } = await cli({ dir, ops: bad.flatMap((k) => [{ op: 'open', key: k }, { op: 'put', key: k, bytes: 1 }, { op: 'delete', key: k }]) });
  for (const l of lines.slice(0, -1)) assert.equal(l.error, 'bad_key');
});

test('kill -9 at any step leaves no part of an object, and doing it again heals', async (t) => {
  if (!/define REELD_CRASH_POINTS/.test(await readFile(join(build, 'config.h'), 'utf8')))
    return t.skip('built without --enable-crash-points');
  const dir = await temp(t);
  for (const [point, there] of [['put_start', false], ['put_synced', false], ['put_renamed', true]]) {
    const put = { op: 'put', key: `videos/${point}/a.mp4`, bytes: 300000, temp: `${point}.1.part` };
    const dead = await cli({ dir, ops: [put] }, { REELD_CRASH_AT: point });
    assert.equal(dead.signal, 'SIGKILL', point);
    const { lines } = await cli({ dir, ops: [{ op: 'head', key: put.key }, { ...put, temp: `${point}.2.part` }, { op: 'head', key: put.key }] });
    assert.deepEqual(lines.slice(0, 3).map((l) => l.error ?? l.size), [there ? 300000 : 'not_found', 300000, 300000], point);
  }
});

test('the sweep takes old staging files only', async (t) => {
  const dir = await temp(t);
  await mkdir(join(dir, 'tmp'));
  for (const name of ['old.1.part', 'new.1.part']) await writeFile(join(dir, 'tmp', name), 'x');
  await utimes(join(dir, 'tmp/old.1.part'), 1, Date.now() / 1000 - 3700);
  await cli({ dir, ops: [{ op: 'sweep' }, { op: 'head', key }, { op: 'head', key }] });
  assert.deepEqual(await readdir(join(dir, 'tmp')), ['new.1.part']);
});

test('a full disk says so and shows no object', async (t) => {
  const dir = await temp(t);
  const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'none', dir]);
  if (mount.status !== 0) return t.skip('cannot mount a tmpfs here');
  try {
    const { lines } = await cli({ dir, ops: [{ op: 'low' }, { op: 'put', key, bytes: 8_100_000 }, { op: 'low' }] });
    assert.equal(lines[0].low, false);
    assert.equal(lines[1].size, 8_100_000);
    const full = await cli({ dir, ops: [{ op: 'low' }, { op: 'put', key: 'videos/b.mp4', bytes: 2_000_000, temp: 'b.1.part' }, { op: 'head', key: 'videos/b.mp4' }] });
    assert.equal(full.lines[0].low, true);
    assert.equal(full.lines[1].error, 'disk_full');
    assert.equal(full.lines[2].error, 'not_found');
  } finally { spawnSync('umount', [dir]); }
});

test('S3: signed puts, parts, ranges, links; a wrong key is refused', async (t) => {
  const { default: S3rver } = await import('@20minutes/s3rver');
  const dir = await temp(t);
  const server = new S3rver({ port: 0, address: '127.0.0.1', silent: true, directory: join(dir, 's3'), configureBuckets: [{ name: 'reeld', configs: [] }] });
  const { port } = await server.run();
  t.after(() => server.close());
  const s3 = { dir: join(dir, 'stage'), endpoint: `http://127.0.0.1:${port}`, bucket: 'reeld', access_key: 'S3RVER',
    secret_key: 'S3RVER', part_bytes: 5 << 20, multipart_over_bytes: 6_000_000, public_url: 'https://cdn.example.org/v/' };
  const big = 'videos/g/big.mp4';
  const { lines } = await cli({ ...s3, ops: [
    { op: 'put', key, bytes: 1000, temp: 'j.1.part' }, { op: 'head', key }, { op: 'put', key: big, bytes: 12_000_000 },
    { op: 'head', key: big }, { op: 'open', key: 'videos/none' },
    { op: 'presign', key: big, ttl: 60, disposition: 'attachment; filename="x y.mp4"' }, { op: 'public', key },
    { op: 'delete', key }, { op: 'head', key }] });
  assert.deepEqual(lines.slice(0, 5).map((l) => l.error ?? l.size), [1000, 1000, 12_000_000, 12_000_000, 'not_found']);
  assert.equal(lines[6].url, `https://cdn.example.org/v/${key}`);
  assert.equal(lines[8].error, 'not_found');
  const part = await fetch(lines[5].url, { headers: { range: 'bytes=5242870-5242889' } });
  assert.equal(part.status, 206);
  assert.equal(await part.text(), '6789abcdef0123456789');
  assert.equal(part.headers.get('content-disposition'), 'attachment; filename="x y.mp4"');
  assert.equal((await fetch(lines[5].url.replace(/.$/, (c) => (c === '0' ? '1' : '0')))).status, 403);
  const wrong = await cli({ ...s3, secret_key: 'wrong', ops: [{ op: 'put', key, bytes: 10 }, { op: 'put', key: big, bytes: 7_000_000 }] });
  assert.deepEqual(wrong.lines.slice(0, 2).map((l) => l.error), ['storage_refused', 'storage_refused']);
});
