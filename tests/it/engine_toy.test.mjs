// engine_toy.test.mjs - a provider is one file, one line in the registry and
// one entry in the catalogue: tests/it/toy.c, run by the real engine.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { mp4 } from '../fake/kit.mjs';
import { books, ended, until, world } from './engine_kit.mjs';

async function toys() {
	const self = { films: new Map(), keys: new Set() };
	const json = (res, doc) => {
		res.writeHead(200, { 'content-type': 'application/json' });
		res.end(JSON.stringify(doc));
	};
	const server = http.createServer(async (req, res) => {
		const parts = [];
		for await (const p of req) parts.push(p);
		if (req.url.endsWith('.mp4')) return res.end(mp4());
		self.keys.add(req.headers.authorization);
		if (req.method === 'POST' && req.url === '/films') {
			const id = String(self.films.size);
			self.films.set(id, { asked: 0, ...JSON.parse(Buffer.concat(parts)) });
			return json(res, { id });
		}
		const film = self.films.get(req.url.slice('/films/'.length));
		if (!film || self.tearing) return json(res, { state: 'torn', why: 'the reel broke' });
		return json(res, film.asked++ < 1 || self.waits ? { state: 'drawing', percent: 30 }
			: { state: 'shown', film: `${self.url}/a.mp4` });
	});
	await new Promise((ok) => server.listen(0, '127.0.0.1', ok));
	self.url = `http://127.0.0.1:${server.address().port}`;
	self.stop = () => {
		server.closeAllConnections();
		server.close();
	};
	return self;
}

test('a toy provider makes a film, and fails to', async () => {
	const w = await world();
	const toy = await toys();
	await w.k.one('select model_put($1)', [JSON.stringify({ slug: 'toy', name: 'toy', routes: [{ provider: 'toy', endpoint: '',
		params: { input: { prompt: 'text', duration: 'length' } } }], price: { rule: null } })]);
	w.route = (await w.k.one("select id from model_routes where provider = 'toy'")).id;
	const d = w.demo({}, { url: toy.url, program: 'engine_toy' });

	toy.waits = true;
	const g = await w.submit();
	await until(w, g.id, (row) => row.progress === 30, d);
	toy.waits = false;
	assert.equal((await ended(w, g.id, d)).status, 'completed', d.log);
	const [film] = toy.films.values();
	assert.deepEqual([film.text, film.length], [g.prompt, 2]);
	assert.deepEqual([...toy.keys], ['Bearer k:s']);

	toy.tearing = true;
	const row = await ended(w, (await w.submit()).id, d);
	assert.deepEqual([row.status, row.error_code, row.provider_message], ['failed', 'torn', 'the reel broke']);
	await books(w, 90);
	await d.kill('SIGTERM');
	toy.stop();
});
