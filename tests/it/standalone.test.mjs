// standalone.test.mjs - `reeld standalone` as contrib/run starts it: its own
// database and cache under one folder, stopped by SIGINT, started again after
// kill -9.
import assert from 'node:assert/strict';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { build, top, until } from './env.mjs';
import { Process, alive, children_of, temp_dir } from './services.mjs';

const dir = join(temp_dir('alone'), 'var');
const running = [];
after(async () => {
	for (const p of running) await p.kill('SIGKILL');
	rmSync(join(dir, '..'), { recursive: true, force: true });
});

async function start() {
	const began = Date.now();
	const p = new Process([join(build, 'reeld'), 'standalone', '--demo', '--dir', dir, '--listen', '127.0.0.1:0',
		'--sql-dir', join(top, 'sql'), '--media-helper', join(build, 'reel-media')],
	{ name: 'standalone', env: { ...process.env, DATABASE_URL: '', REDIS_URL: '' } });
	running.push(p);
	p.url = (await p.said(/^ready: (\S+)$/m, 90000))[1].replace('localhost', '127.0.0.1');
	p.link = (await p.said(/^sign in: (\S+)$/m))[1];
	p.took_ms = Date.now() - began;
	assert.doesNotMatch(p.log, /Sanitizer|runtime error/);
	return p;
}

const post = (p, path, json, cookie) => fetch(p.url + path, { method: 'POST', body: JSON.stringify(json),
	headers: { 'content-type': 'application/json', origin: p.url.replace('127.0.0.1', 'localhost'),
		'sec-fetch-site': 'same-origin', ...(cookie ? { cookie } : {}) } });

async function sign_in(p) {
	const x = await post(p, '/api/v1/auth/link', { token: new URL(p.link).searchParams.get('token') });
	assert.ok(x.status < 300, `${x.status} ${await x.text()}`);
	return x.headers.get('set-cookie').split(';')[0];
}

async function make_video(p, cookie) {
	const x = await post(p, '/api/v1/generations', { model: 'demo-pixel', prompt: 'alone' }, cookie);
	const g = await x.json();
	assert.equal(x.status, 201, JSON.stringify(g));
	return until('the video', async () => {
		const now = await (await fetch(`${p.url}/api/v1/generations/${g.id}/status?wait=5`, { headers: { cookie } })).json();
		if (['failed', 'cancelled'].includes(now.status)) throw new Error(JSON.stringify(now));
		return now.status === 'completed' && g.id;
	}, 120000);
}

test('first start, a video, SIGINT; second start, kill -9, third start', async (t) => {
	const first = await start();
	t.diagnostic(`first start ${first.took_ms} ms`);
	const cookie = await sign_in(first);
	const id = await make_video(first, cookie);
	assert.ok(readdirSync(join(dir, 'files')).length > 0);
	const children = children_of(first.pid);
	assert.ok(children.length >= 3, 'postgres, redis, worker');
	assert.deepEqual(await first.kill('SIGINT'), { code: 0, signal: null }, first.log.slice(-3000));
	assert.deepEqual(children.filter(alive), []);

	const second = await start();
	t.diagnostic(`second start ${second.took_ms} ms`);
	assert.notEqual(second.link, first.link);
	// The session outlives the process, and so do the files.
	const kept = await fetch(`${second.url}/api/v1/generations/${id}/content?variant=video`, { headers: { cookie } });
	assert.equal(kept.status, 200);
	await kept.arrayBuffer();
	const orphans = children_of(second.pid);
	await second.kill('SIGKILL');
	await until('its children are gone', () => !orphans.some(alive), 60000);

	const third = await start();
	await make_video(third, await sign_in(third));
	assert.deepEqual(await third.kill('SIGINT'), { code: 0, signal: null });
});
