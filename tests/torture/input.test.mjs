// D11, D20, D21: hostile media from a provider, abused JSON, abused uploads.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { tiny } from '../fake/fal.mjs';
import { png } from '../it/png.mjs';
import { fakeFal, order, orders, rule, until, world } from './kit.mjs';
import { size } from './size.mjs';

let fal, r, ann;
before(async () => {
	fal = await fakeFal();
	r = await world({ fal });
	ann = await r.user({ credits: 10_000_000 });
});

const box = (type, body = Buffer.alloc(0), length = body.length + 8) => {
	const head = Buffer.alloc(8);
	head.writeUInt32BE(length >>> 0, 0);
	head.write(type, 4, 'latin1');
	return Buffer.concat([head, body]);
};
const ftyp = box('ftyp', Buffer.from('isom\0\0\x02\0isomiso2avc1mp41', 'latin1'));
test('D11: hostile files end in refunds, the server lives, nobody is called', async (t) => {
	const called = [];
	const trap = http.createServer((req, res) => { called.push(req.url); res.end(); });
	trap.listen(0, '127.0.0.1');
	await new Promise((d) => { trap.once('listening', d); });
	const url = `http://127.0.0.1:${trap.address().port}/x.ts`;
	const ebml = Buffer.from('1a45dfa3ff', 'hex');
	const whole = tiny();
	const bad = {
		'an HLS playlist': Buffer.from(`#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n${url}\n#EXT-X-ENDLIST\n`.padEnd(2000)),
		'an ffconcat list': Buffer.from(`ffconcat version 1.0\nfile '${url}'\nfile '/etc/passwd'\n`.padEnd(2000)),
		'a playlist behind ftyp': Buffer.concat([ftyp, Buffer.from(`#EXTM3U\n${url}\n`.padEnd(2000))]),
		'a giant moov': Buffer.concat([ftyp, box('moov', Buffer.alloc(5000, 'x'), 0xfffffff0)]),
		'no streams': Buffer.concat([ftyp, box('moov', box('mvhd', Buffer.alloc(100))), box('mdat', Buffer.alloc(1000))]),
		'moov in moov in moov': Buffer.concat([ftyp, Array.from({ length: 2000 }).reduce((b) => box('moov', b), Buffer.alloc(0))]),
		'endless EBML': Buffer.concat([ebml, Buffer.alloc(100000, 0xff)]),
		'cut in the middle': whole.subarray(0, whole.length >> 1),
		'SVG': Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg"><image href="${url}"/></svg>`.padEnd(2000)),
		'zeros': Buffer.alloc(100000),
	};
	const pid = r.process.pid;
	await Promise.all(Object.entries(bad).map(([what, bytes]) => t.test(what, async () => {
		const o = await order(ann, fal, { bytes });
		const g = await ann.ended(o.id, 150000);
		// What is whole up to the cut may be a video without its end.
		assert.ok(g.status === 'failed' || (what === 'cut in the middle' && g.status === 'completed'), `${what}: ${g.status}`);
	})));
	// Fuzzed: bytes of a good file changed anywhere; either end is right.
	let seed = 7;
	const random = (below) => { seed = (seed * 1103515245 + 12345) % 2147483648; return seed % below; };
	const n = size(24, 500);
	const ends = await orders(n, 12, async () => {
		const bytes = Buffer.from(whole);
		for (let k = 0; k < 1 + random(20); k++) bytes[random(bytes.length)] = random(256);
		const o = await order(ann, fal, { bytes });
		return (await ann.ended(o.id, 300000)).status;
	});
	t.diagnostic(`${n} fuzzed: ${ends.filter((s) => s === 'completed').length} completed`);
	assert.ok(ends.every((s) => s === 'completed' || s === 'failed'));
	assert.equal(r.process.pid, pid);
	assert.equal(r.process.ended, undefined);
	assert.deepEqual(called, []);
	trap.close();
	await rule(r, { limit_ms: 300000 });
});

test('D20: abused JSON: a clear answer, never a 5xx, nothing made', async () => {
	const before = (await r.psql('select count(*) as n from generations'))[0].n;
	const good = '"model":"kling-2.5","prompt":"x"';
	const deep = (n) => '['.repeat(n);
	const bodies = [
		'', ' ', 'null', '1', '"x"', '[]', '[{}]', '{', '{"a"}', '{"a":}', '{"a":1,}', "{'a':1}", '{a:1}', `{${good}}}`, `{${good}} {}`,
		`{${good},"prompt":"y"}`, `{${good},"\\u0070rompt":"y"}`, `{${good},"prompt":"a\\u0000b"}`, `{"model":"kling-2.5","prompt":"\\ud800"}`,
		'{"model":"kling-2.5","prompt":"\xff\xfe"}', `{${good},"duration":NaN}`, `{${good},"duration":Infinity}`, `{${good},"duration":1e400}`,
		`{${good},"duration":"5"}`, `{${good},"duration":5.5}`, `{${good},"duration":-5}`, `{${good},"duration":99999999999999999999}`,
		`{${good},"duration":9223372036854775807}`, `{${good},"duration":true}`, `{${good},"duration":[5]}`, `{${good},"nobody_knows":1}`,
		`{${good},"__proto__":{}}`, `{"model":["kling-2.5"],"prompt":"x"}`, `{"model":{},"prompt":"x"}`, `{"model":null,"prompt":"x"}`,
		'{"model":"kling-2.5","prompt":7}', `{${good},"spec":${deep(200000)}`, deep(200000), `{"a":${deep(50)}1${']'.repeat(50)}}`,
		`{"model":"kling-2.5","prompt":"${'x'.repeat(100000)}"}`, `{${good},"x":"${'y'.repeat(10 << 20)}"}`, '\ufeff{}', `/* c */{${good}}`, '{"\\u0000":1}',
		`{${Array.from({ length: 5000 }, (_, i) => `"k${i}":1`).join(',')}}`,
	];
	for (const body of bodies) {
		const x = await ann.fetch('/api/v1/generations', { method: 'POST', headers: { 'content-type': 'application/json' },
			body: Buffer.from(body, body.includes('\xff') ? 'latin1' : 'utf8') }).catch((e) => ({ status: 413, cut: e }));
		assert.ok([400, 413, 422].includes(x.status), `${x.status} for ${body.slice(0, 80)}`);
		if (!x.cut) {
			const problem = await x.json().catch(() => ({}));
			assert.equal(problem.status, x.status, body.slice(0, 80));
			if (/duration|nobody|"model":[[{]/.test(body) && x.status === 422) assert.ok(problem.errors?.[0]?.pointer, JSON.stringify(problem));
		}
	}
	assert.equal((await r.psql('select count(*) as n from generations'))[0].n, before);
	assert.equal((await ann.get('/credits')).status, 200);
});

test('D21: abused uploads: refused, nothing stays, nothing outside the store', async () => {
	const B = 'xYzXyZ';
	const head = (name, type = 'image/png', more = '') => `--${B}\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\n`
		+ `Content-Type: ${type}\r\n${more}\r\n`;
	const end = `\r\n--${B}--\r\n`;
	const whole = (name, bytes, type) => Buffer.concat([Buffer.from(head(name, type), 'latin1'), bytes, Buffer.from(end)]);
	const send = async (body, type = `multipart/form-data; boundary=${B}`) => {
		const x = await ann.fetch('/api/v1/uploads', { method: 'POST', headers: { 'content-type': type }, body });
		return { status: x.status, body: await x.json().catch(() => null) };
	};
	const huge = png(8, 8); // says it is 40,000 x 40,000
	huge.writeUInt32BE(40000, 16);
	huge.writeUInt32BE(40000, 20);
	const text = (t) => Buffer.from(t);
	const rows = [
		['HTML', whole('a.png', text('<html><script>alert(1)</script></html>')), undefined, [415]],
		['SVG', whole('a.svg', text('<svg xmlns="http://www.w3.org/2000/svg"/>'), 'image/svg+xml'), undefined, [415]],
		['SVG called PNG', whole('a.png', text('<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>')), undefined, [415]],
		['40,000 x 40,000', whole('a.png', huge), undefined, [415, 422]],
		['a head and nothing', whole('a.png', png(8, 8).subarray(0, 33)), undefined, [415, 422]],
		['an empty file', whole('a.png', Buffer.alloc(0)), undefined, [400, 415, 422]],
		['a thousand parts', Buffer.from(Array.from({ length: 1000 }, (_, i) => `--${B}\r\nContent-Disposition: form-data; name="f${i}"\r\n\r\nx\r\n`).join('') + `--${B}--\r\n`), undefined, [400, 413]],
		['no boundary', whole('a.png', png(8, 8)), 'multipart/form-data', [400]],
		['another boundary', whole('a.png', png(8, 8)), 'multipart/form-data; boundary=other', [400]],
		['cut at 99 %', whole('a.png', png(64, 64)).subarray(0, -3), undefined, [400]],
		['JSON', text('{"file": "x"}'), 'application/json', [400, 415]],
	];
	const kept = async () => (await ann.get('/storage/usage')).body.files;
	const before = await kept();
	for (const [what, body, type, want] of rows) {
		const x = await send(body, type);
		assert.ok(want.includes(x.status), `${what}: ${x.status} ${JSON.stringify(x.body)}`);
	}
	assert.equal(await kept(), before);
	// Names that are no names: taken as text, or refused; never a path.
	for (const name of ['../../x', '..\\..\\x', '/etc/passwd', 'a\\"b', 'x'.repeat(5000), '%00', 'CON', '.', 'a\u202egnp.exe']) {
		const x = await send(whole(Buffer.from(name).toString('latin1'), png(16, 16)));
		assert.ok([201, 400, 415, 422].includes(x.status), `${name}: ${x.status}`);
		if (x.status === 201) {
			assert.ok(!/[/\\\r\n]|\.\./.test(x.body.name ?? ''), JSON.stringify(x.body));
			const got = await ann.fetch(x.body.url);
			assert.match(got.headers.get('content-type'), /^image\/(png|jpeg)$/);
			assert.match(got.headers.get('content-security-policy'), /sandbox/);
		}
	}
	// A polyglot is drawn again: what was behind the picture is gone.
	const evil = '<script>alert(document.domain)</script>';
	const poly = await send(whole('a.png', Buffer.concat([png(16, 16), text(evil)])));
	if (poly.status === 201) assert.ok(!(await (await ann.fetch(poly.body.url)).text()).includes(evil));
	else assert.ok([415, 422].includes(poly.status));
	await until('no temporary file', () => readdirSync(join(r.dir, 'files', 'tmp')).length === 0);
	assert.ok(readdirSync(join(r.dir, 'files')).every((f) => /^[a-z]+(\.[a-z]+)?$/.test(f)), String(readdirSync(join(r.dir, 'files'))));
});
