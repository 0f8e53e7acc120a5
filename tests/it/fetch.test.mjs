// fetch, from outside: tests/unit/fetch_cli against servers that misbehave.
import test from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { execFileSync, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const build = process.env.REELD_BUILD ?? new URL('../../build', import.meta.url).pathname;

async function fetchCli(input, { file_bytes } = {}) {
  const cli = join(build, 'tests/unit/fetch_cli');
  const argv = file_bytes ? ['bash', '-c', `trap '' XFSZ; ulimit -f ${file_bytes / 1024}; exec "$0"`, cli] : [cli];
  const child = spawn(argv[0], argv.slice(1), { env: { ...process.env, http_proxy: 'http://127.0.0.1:1' } });
  let out = '', err = '';
  child.stdout.on('data', (d) => { out += d; });
  child.stderr.on('data', (d) => { err += d; });
  child.stdin.end(JSON.stringify(input));
  const code = await new Promise((done) => child.on('close', done));
  assert.equal(code, 0, err);
  assert.doesNotMatch(err, /Sanitizer|runtime error/);
  const lines = out.trim().split('\n').map((l) => JSON.parse(l));
  return { replies: lines.slice(0, -1), stats: lines.at(-1) };
}
const one = async (call, more = {}) => (await fetchCli({ ...more, calls: [call] })).replies[0];

// A server for the length of a test; hits counts requests.
async function server(t, handler, raw = false) {
  const s = raw ? net.createServer(handler) : http.createServer(handler);
  const sockets = new Set();
  s.on('connection', (c) => { sockets.add(c); c.on('error', () => {}); c.on('close', () => sockets.delete(c)); });
  await new Promise((done) => s.listen(0, '127.0.0.1', done));
  t.after(() => { sockets.forEach((c) => c.destroy()); s.close(); });
  return `http://127.0.0.1:${s.address().port}`;
}
// A raw server: answers the first bytes it sees with text, then may hang up.
const rawServer = (t, text, end = true) => server(t, (c) => {
  c.once('data', () => { c.write(text); if (end) c.end(); });
}, true);
const open = { allow_http: true, allow_private: true };
async function dir(t) {
  const d = await mkdtemp(join(tmpdir(), 'fetch-'));
  t.after(() => rm(d, { recursive: true }));
  return d;
}

test('untrusted URLs do not reach private addresses, however they are spelt', async (t) => {
  let hits = 0;
  const base = await server(t, (q, r) => { hits++; r.end(); });
  const port = new URL(base).port;
  const hosts = ['127.0.0.1', '127.1', '2130706433', '0x7f.1', '0177.0.0.1', '0', 'localhost', '[::1]',
    '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '10.0.0.1', '169.254.169.254', '192.168.1.1', '[fe80::1]', '[fc00::1]'];
  const { replies } = await fetchCli({ calls: hosts.flatMap((h) => [
    { url: `http://${h}/`, allow_http: true }, { url: `https://${h}/` },
    { url: `http://${h}:${port}/`, base: `http://${h}:${port}` }]) });
  replies.forEach((r, i) => {
    assert.equal(r.error, 'url_forbidden', `${hosts[Math.floor(i / 3)]} ${i % 3}`);
    assert.equal(r.sent, 'not_sent');
  });
  assert.equal(hits, 0);
});

test('only https on its port, no user info, no other schemes', async () => {
  const urls = ['http://example.org/', 'https://example.org:8443/', 'file:///etc/passwd', 'gopher://example.org/',
    'https://user:pw@example.org/', 'ftp://example.org/', 'nonsense'];
  const { replies } = await fetchCli({ calls: urls.map((url) => ({ url })) });
  for (const [i, r] of replies.entries()) assert.equal(r.error, 'url_forbidden', urls[i]);
});

test('a provider call stays on its own origin', async (t) => {
  const base = await server(t, (q, r) => r.end('ok'));
  const r = await one({ url: base + '/x', base: 'http://127.0.0.1:9', allow_private: true, bearer: 'secret' });
  assert.equal(r.error, 'url_forbidden');
});

test('redirects: credentials stay at home, private targets are refused, loops end', async (t) => {
  const seen = [];
  const other = await server(t, (q, r) => { seen.push(q.headers); r.end('other'); });
  const base = await server(t, (q, r) => {
    if (q.url === '/loop') r.writeHead(302, { location: '/loop' });
    else if (q.url === '/home') r.writeHead(302, { location: '/end' });
    else if (q.url === '/end') { seen.push(q.headers); r.writeHead(200); }
    else r.writeHead(302, { location: other + '/x' });
    r.end();
  });
  const keys = { secrets: { 'X-Key': 'secret' }, bearer: 'secret', headers: { 'X-Plain': 'yes' }, max_redirects: 3 };
  let r = await one({ url: base + '/away', ...open, ...keys });
  assert.equal(r.body, 'other');
  assert.equal(seen[0].authorization, undefined);
  assert.equal(seen[0]['x-key'], undefined);
  assert.equal(seen[0]['x-plain'], 'yes');
  r = await one({ url: base + '/home', ...open, ...keys });
  assert.equal(r.status, 200);
  assert.equal(seen[1].authorization, 'Bearer secret');
  assert.equal(seen[1]['x-key'], 'secret');
  // The right to a private network ends with the provider's own origin.
  r = await one({ url: base + '/away', base, allow_private: true, ...keys });
  assert.equal(r.error, 'url_forbidden');
  assert.equal(seen.length, 2);
  // A file's own origin may be private, and nothing else may.
  r = await one({ url: base + '/away', ...open, own_private: true, max_redirects: 3 });
  assert.equal(r.error, 'url_forbidden');
  r = await one({ url: base + '/home', ...open, own_private: true, max_redirects: 3 });
  assert.equal(r.status, 200);
  assert.equal(seen.length, 3);
  r = await one({ url: base + '/loop', ...open, ...keys });
  assert.equal(r.error, 'too_many_redirects');
  r = await one({ url: base + '/loop', ...open });
  assert.equal(r.status, 302);
});

test('what was sent: not, maybe, answered', async (t) => {
  const closed = await server(t, (q, r) => r.end());
  const gone = await rawServer(t, '');
  const silent = await server(t, () => {}, true);
  const plain = await rawServer(t, 'no TLS here\r\n');
  const tls = plain.replace('http:', 'https:');
  const refused = 'http://127.0.0.1:1';
  const p = (base, more) => one({ url: base + '/', base, allow_private: true, method: 'POST', body: '{}', ...more });
  const rows = [
    [await p(refused), 'connect_failed', 'not_sent'],
    [await p('http://name.invalid'), 'dns_failed', 'not_sent'],
    [await p(tls), 'tls_failed', 'not_sent'],
    [await p(silent.replace('http:', 'https:'), { connect_ms: 200 }), 'connect_timeout', 'not_sent'],
    [await p(gone), 'connection_lost', 'maybe'],
    [await p(silent, { timeout_ms: 300 }), 'timeout', 'maybe'],
    [await p(closed), undefined, 'answered'],
  ];
  for (const [r, error, sent] of rows) assert.deepEqual([r.error, r.sent], [error, sent]);
});

test('a kept connection that dies while nobody uses it is noticed once', async (t) => {
  let closed;
  const short = await server(t, (q, r) => {
    r.end('short');
    closed = new Promise((done) => { q.socket.once('close', done); });
    r.once('finish', () => q.socket.end());
  });
  const long = await server(t, async (q, r) => { await closed; setTimeout(() => r.end('long'), 300); });
  const of = (base) => ({ url: `${base}/`, base, allow_private: true });
  const { replies, stats } = await fetchCli({ calls: [of(short), of(long), of(short), of(long), of(short)] });
  assert.deepEqual(replies.map((r) => r.body), ['short', 'long', 'short', 'long', 'short']);
  assert.equal(stats.connections, 4);
  // A socket that stays readable would turn the loop without end.
  assert.ok(stats.turns < 500, `${stats.turns} turns`);
});

test('a POST never goes out twice, also when a kept connection dies', async (t) => {
  let posts = 0;
  const base = await server(t, (q, r) => {
    if (q.method === 'GET') return r.end('kept');
    posts++;
    q.socket.destroy();
  });
  const { replies } = await fetchCli({ calls: [
    { url: base + '/', base, allow_private: true },
    { url: base + '/', base, allow_private: true, method: 'POST', body: '{}' }] });
  assert.equal(replies[0].body, 'kept');
  assert.deepEqual([replies[1].error, replies[1].sent, posts], ['connection_lost', 'maybe', 1]);
});

test('connections to a provider are kept, to others they are not', async (t) => {
  const base = await server(t, (q, r) => r.end('x'));
  const kept = await fetchCli({ calls: [{ url: base + '/', base, allow_private: true, again: 4 }] });
  const fresh = await fetchCli({ calls: [{ url: base + '/', ...open, again: 4 }] });
  assert.equal(kept.stats.connections, 1);
  assert.equal(fresh.stats.connections, 5);
});

test('more calls than their host has room for wait their turn', async (t) => {
  let now = 0, most = 0;
  const seen = [];
  const base = await server(t, (q, r) => {
    most = Math.max(most, ++now);
    seen.push(q.url);
    setImmediate(() => { now--; r.end(q.url); });
  });
  const calls = Array.from({ length: 500 }, (_, i) => ({ url: `${base}/${i}`, base, allow_private: true }));
  const { replies, stats } = await fetchCli({ max_host_connections: 1, parallel: true, calls });
  assert.deepEqual(replies.map((r) => r.body).sort(), calls.map((_, i) => `/${i}`).sort());
  assert.equal(most, 1);
  assert.equal(stats.connections, 1);
  assert.deepEqual(seen, calls.map((_, i) => `/${i}`));
});

test('a host that is slow holds up nobody else', async (t) => {
  const held = [];
  let hits = 0;
  const slow = await server(t, (q, r) => { held.push(r); if (hits >= 8) r.end('slow'); });
  const quick = await server(t, (q, r) => {
    r.end('quick');
    if (++hits === 8) held.forEach((h) => h.end('slow'));
  });
  const calls = [slow, quick].flatMap((base) => Array.from({ length: 8 }, () => (
    { url: base, base, allow_private: true, connect_ms: 60000, timeout_ms: 60000 })));
  const { replies } = await fetchCli({ max_host_connections: 1, parallel: true, calls });
  assert.deepEqual(replies.map((r) => r.body), [...Array(8).fill('quick'), ...Array(8).fill('slow')]);
});

// It shares a connection as soon as the first answer told that it can.
test('over HTTP/2 four calls share a connection', async (t) => {
  const d = await dir(t);
  const pem = join(d, 'key.pem'), cert = join(d, 'cert.pem');
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
    '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-days', '2', '-keyout', pem, '-out', cert],
  { stdio: 'ignore' });
  const held = [];
  const s = http2.createSecureServer({ key: await readFile(pem), cert: await readFile(cert) });
  s.on('stream', (stream, headers) => {
    stream.respond({ ':status': 200 });
    if (headers[':path'] === '/first') return stream.end('first');
    held.push(stream);
    if (held.length === 4) held.forEach((h) => h.end('shared'));
  });
  await new Promise((done) => s.listen(0, '127.0.0.1', done));
  t.after(() => s.close());
  const base = `https://localhost:${s.address().port}`;
  const call = { base, allow_private: true, connect_ms: 60000, timeout_ms: 60000 };
  const { replies, stats } = await fetchCli({ ca_file: cert, max_host_connections: 1, parallel: true,
    calls: [{ ...call, url: `${base}/first` }, ...Array(4).fill({ ...call, url: `${base}/x` })] });
  assert.deepEqual(replies.map((r) => r.body), ['first', ...Array(4).fill('shared')]);
  assert.equal(stats.connections, 1);
});

test('waiting for a turn ends with the time, and with a cancel', async (t) => {
  let hits = 0;
  const base = await server(t, (q, r) => { hits++; if (q.url === '/last') r.end(); });
  const call = { base, allow_private: true, connect_ms: 60000 };
  let { replies } = await fetchCli({ max_host_connections: 1, parallel: true, calls: [
    { ...call, url: `${base}/never`, timeout_ms: 4000 },
    ...Array(20).fill({ ...call, url: `${base}/waits`, timeout_ms: 500 })] });
  assert.equal(replies.length, 21);
  assert.equal(hits, 1);
  assert.equal(replies.filter((r) => r.error === 'connect_timeout' && r.sent === 'not_sent').length, 20);
  assert.equal(replies.filter((r) => r.error === 'timeout' && r.sent === 'maybe').length, 1);
  ({ replies } = await fetchCli({ max_host_connections: 1, parallel: true, calls: [
    { ...call, url: `${base}/last`, ends_all: true }, ...Array(20).fill({ ...call, url: `${base}/never` })] }));
  assert.deepEqual(replies.map((r) => r.status), [200]);
});

// One process that listens and stands still: what does not fit into its
// backlog gets no answer to its SYN.
async function silent(t) {
  const child = spawn(process.execPath, ['-e', `const s = require('net').createServer();
    s.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => process.stdout.write(String(s.address().port)));`]);
  t.after(() => child.kill('SIGKILL'));
  const port = Number(await new Promise((done) => child.stdout.once('data', done)));
  child.kill('SIGSTOP');
  for (;;) {
    const socket = net.connect(port, '127.0.0.1');
    t.after(() => socket.destroy());
    const in_time = await Promise.race([new Promise((done) => socket.once('connect', () => done(true))),
      new Promise((done) => { setTimeout(done, 1000); })]);
    if (!in_time) return `http://127.0.0.1:${port}`;
  }
}

test('connections that were given up before they were made leave nothing behind', async (t) => {
  const base = await silent(t);
  let asked;
  const good = await server(t, async (q, r) => { asked = true; setTimeout(() => r.end('good'), 300); });
  const call = { base, allow_private: true, url: `${base}/`, connect_ms: 60000 };
  // Cancelled, and too late.
  const { replies, stats } = await fetchCli({ parallel: true, calls: [
    { url: `${good}/`, base: good, allow_private: true, ends_all: true }, ...Array(5).fill(call),
    { ...call, connect_ms: 100, timeout_ms: 100 }] });
  assert.ok(asked);
  assert.deepEqual(replies.map((r) => r.error ?? r.body), ['connect_timeout', 'good']);
  assert.equal(stats.connections, 7);
  assert.ok(stats.sockets <= 1, `${stats.sockets} sockets are watched`);
});

test('limits: body, header, compression, bad requests', async (t) => {
  const base = await server(t, (q, r) => {
    if (q.url === '/endless') { const f = () => { while (r.write('x'.repeat(65536))); r.once('drain', f); }; return f(); }
    if (q.url === '/header') r.setHeader('X-Big', 'h'.repeat(70000));
    if (q.url === '/gzip') r.setHeader('Content-Encoding', 'gzip');
    if (q.url === '/busy') { r.statusCode = 429; r.setHeader('Retry-After', '3'); }
    r.end(q.headers['accept-encoding'] ?? 'none');
  });
  const get = (path, more) => one({ url: base + path, ...open, ...more });
  assert.equal((await get('/endless', { max_bytes: 100000 })).error, 'reply_too_large');
  assert.equal((await get('/header')).error, 'headers_too_large');
  assert.equal((await get('/gzip')).error, 'bad_reply');
  assert.equal((await get('/')).body, 'none');
  assert.deepEqual([(await get('/busy')).retry_after_s, (await get('/busy')).status], [3, 429]);
  for (const bad of [{ headers: { A: 'b\r\nX: y' } }, { headers: { 'A b': 'c' } }, { headers: { Host: 'x' } },
    { method: 'TRACE' }, { method: 'GET', body: 'x' }])
    assert.equal((await get('/', bad)).error, 'bad_request');
});

test('downloads: hash, short body, length limits, stall, error page', async (t) => {
  const d = await dir(t), data = randomBytes(3_000_000);
  const base = await server(t, (q, r) => {
    if (q.url === '/ok') return r.end(data);
    if (q.url === '/short') { r.writeHead(200, { 'content-length': 5000 }); r.write('abc'); return setImmediate(() => r.destroy()); }
    if (q.url === '/huge') { r.writeHead(200, { 'content-length': 1e12 }); return r.write('abc'); }
    if (q.url === '/endless') { const f = () => { while (r.write(data)); r.once('drain', f); }; return f(); }
    if (q.url === '/stall') { r.writeHead(200); return r.write('abc'); }
    r.writeHead(403); r.end('expired');
  });
  const get = (path, more) => one({ url: base + path, ...open, sink: join(d, path.slice(1)), ...more });
  const ok = await get('/ok');
  assert.equal(ok.sha256, createHash('sha256').update(data).digest('hex'));
  assert.deepEqual(await readFile(join(d, 'ok')), data);
  assert.equal((await get('/short')).error, 'short_body');
  assert.equal((await get('/huge')).error, 'reply_too_large');
  assert.equal((await get('/endless', { max_bytes: 5_000_000 })).error, 'reply_too_large');
  assert.equal((await get('/stall', { low_speed_ms: 1000 })).error, 'stalled');
  const page = await get('/no');
  assert.deepEqual([page.status, page.body, page.sha256], [403, 'expired', undefined]);
  assert.equal((await readFile(join(d, 'no'))).length, 0);
  const stop = await get('/endless', { cancel_at: 1 });
  assert.equal(stop.cancelled, true);
});

for (const [name, second, resumes] of [
  ['resumes with Range and If-Range', { status: 206, etag: '"v1"' }, true],
  ['starts from zero when the file changed', { status: 200, etag: '"v2"' }, true],
  ['refuses a range it did not ask for', { status: 206, etag: '"v1"', shift: 1 }, false],
  ['refuses a range of another version', { status: 206, etag: '"v2"' }, false],
]) test(`a broken download ${name}`, async (t) => {
  const d = await dir(t), data = randomBytes(400_000), half = 200_000;
  let n = 0, asked;
  const base = await server(t, (q, r) => {
    if (n++ === 0) {
      r.writeHead(200, { etag: '"v1"', 'content-length': data.length });
      return r.write(data.subarray(0, half), () => r.socket.end());
    }
    asked = q.headers;
    const from = second.status === 206 ? Number(/bytes=(\d+)-/.exec(q.headers.range)[1]) + (second.shift ?? 0) : 0;
    r.writeHead(second.status, { etag: second.etag, 'content-length': data.length - from,
      ...(from ? { 'content-range': `bytes ${from}-${data.length - 1}/${data.length}` } : {}) });
    r.end(data.subarray(from));
  });
  const { replies } = await fetchCli({ calls: [{ url: base + '/v', ...open, sink: join(d, 'v'), again: 1 }] });
  assert.equal(replies[0].error, 'short_body');
  assert.equal(asked['if-range'], '"v1"');
  if (!resumes) return assert.equal(replies[1].error, 'bad_reply');
  assert.equal(replies[1].sha256, createHash('sha256').update(data).digest('hex'));
  assert.deepEqual(await readFile(join(d, 'v')), data);
});

// Serves ranges of it; the ranges that were asked for.
async function ranges(t, data) {
  const asked = [];
  const base = await server(t, (q, r) => {
    const from = Number(/bytes=(\d+)-/.exec(q.headers.range)?.[1] ?? 0);
    asked.push(from);
    r.writeHead(from ? 206 : 200, { etag: '"v1"', 'content-length': data.length - from,
      ...(from ? { 'content-range': `bytes ${from}-${data.length - 1}/${data.length}` } : {}) });
    r.end(data.subarray(from));
  });
  return { base, asked };
}

test('a full disk ends a download, and what it took counts', async (t) => {
  const d = await dir(t), data = randomBytes(6_000_000), limit = 512_000;
  const { base, asked } = await ranges(t, data);
  const { replies } = await fetchCli({ calls: [{ url: base + '/v', ...open, sink: join(d, 'v'), again: 1 }] },
    { file_bytes: limit });
  assert.deepEqual(replies.map((r) => [r.error, r.bytes]), [['disk_full', limit], ['disk_full', limit]]);
  assert.deepEqual(asked, [0, limit]);
  assert.deepEqual(await readFile(join(d, 'v')), data.subarray(0, limit));
});

test('a cancelled download can be taken up at once', async (t) => {
  const d = await dir(t), data = randomBytes(6_000_000);
  const { base, asked } = await ranges(t, data);
  const { replies } = await fetchCli({ calls: [{ url: base + '/v', ...open, sink: join(d, 'v'), again: 1, cancel_at: 1 }] });
  assert.equal(replies[0].cancelled, true);
  assert.equal(replies[1].sha256, createHash('sha256').update(data).digest('hex'));
  assert.deepEqual(await readFile(join(d, 'v')), data);
  assert.ok(asked[1] > 0 && asked[1] < data.length, `resumed at ${asked[1]}`);
});

test('many downloads at once are whole, each with its hash', async (t) => {
  const d = await dir(t), data = randomBytes(5_000_000), sum = createHash('sha256').update(data).digest('hex');
  const { base } = await ranges(t, data);
  const calls = Array.from({ length: 40 }, (_, i) => ({ url: base + '/v', ...open, sink: join(d, String(i)) }));
  const { replies, stats } = await fetchCli({ parallel: true, calls });
  assert.deepEqual(replies.map((r) => r.sha256), calls.map(() => sum));
  for (const c of calls) assert.deepEqual(await readFile(c.sink), data);
  assert.equal(stats.connections, 40);
});
