// scale - `make bench-scale`: what people, operators and the engine do, in a
// database of 10^3 to 10^6 ended generations (BENCH_SIZES), beside the same
// server with 10^3. Both are asked in turn, so that both meet the same machine:
// the ratio of their slowest hundredths is what grew. Half of it all is one
// user's, who asks most of the questions.
import assert from 'node:assert/strict';
import { reeld } from '../it/env.mjs';
import { median, no_slow_turn, percentile, report, rounds, wrk_latency } from './lib.mjs';
import { taken } from './latency.mjs';
import { seed } from './seed.mjs';

const SIZES = (process.env.BENCH_SIZES ?? '1000,10000,100000,1000000').split(',').map(Number);
const BASE = 1000, USERS = 100, FIRST_CREDITS = 100000000;
const SAMPLES = Number(process.env.BENCH_SAMPLES ?? 100), BUDGET_MS = 20000;

class Side {
	static async start(n) {
		const self = new Side();
		self.server = await reeld({ env: { REELD_LOG_LEVEL: 'warn', REELD_DB_TIMEOUT: '60s' } });
		self.heavy = await self.server.user({ credits: FIRST_CREDITS });
		self.light = await self.server.user({ credits: FIRST_CREDITS });
		self.others = (await self.server.psql(`insert into users (email) select 'p' || i || '@example.org'
			from generate_series(1, $1::int) i returning id`, [USERS - 2])).map((u) => u.id);
		// Orders may wait: nobody here makes their videos.
		await self.server.psql(`update system_config set value = '1000000' where key = 'video_waiting_limit'`);
		self.rows = 0;
		await self.grow(n);
		self.taken = await taken(self.server, self.light);
		return self;
	}

	async grow(n) {
		const users = [this.light.id, ...this.others].flatMap((id) => [this.heavy.id, id]);
		await seed(this.server, users, n - this.rows, { state: 'ended' });
		this.rows = n;
		const at = `now() - random() * interval '364 days'`;
		this.ids = (await this.server.psql(`select g.id from (select ${at} as at from generate_series(1, 2000)) r
			cross join lateral (select id from generations g where g.user_id = $1 and g.deleted_at is null
			and g.created_at <= r.at order by g.created_at desc, g.id desc limit 1) g`, [this.heavy.id])).map((r) => r.id);
		// A page from the middle of the list, as its reader would have come to it.
		const { data, next_cursor } = (await this.heavy.get(
			`/generations?to=${new Date(Date.now() - 182 * 86400e3).toISOString()}`)).body;
		assert.ok(data.length > 0 && next_cursor, 'the list has no middle');
		this.deep = next_cursor;
		this.asked = 0;
	}

	// A reader's page: what it must hold tells that it was not refused or empty.
	async page(who, path, least = 1, most = 200) {
		const r = await who.get(path);
		assert.equal(r.status, 200, `${path}: ${JSON.stringify(r.body)}`);
		const { length } = r.body.data;
		assert.ok(length >= least && length <= most, `${path}: ${length} items`);
	}

	async status(id) {
		const r = await this.heavy.get(`/generations/${id}/status`);
		assert.ok(r.status === 200 && r.body.id === id && ['completed', 'failed'].includes(r.body.status));
	}

	async stop() {
		await this.taken.close();
		assert.deepEqual(await this.server.books(), {});
		no_slow_turn(this.server);
		for (const one of [this.server, this.server.redis]) await one.stop();
	}
}

// What is asked of one side; each takes milliseconds.
const questions = {
	'status-hot': (s) => s.status(s.ids[0]),
	// Each id once: nothing of it is in the server's cache.
	'status-cold': (s) => s.status(s.ids[++s.asked % s.ids.length]),
	generation: (s) => s.heavy.get(`/generations/${s.ids[++s.asked % s.ids.length]}`),
	list: (s) => s.page(s.heavy, '/generations', 24),
	'list-deep': (s) => s.page(s.heavy, `/generations?cursor=${s.deep}`, 24),
	'list-light': (s) => s.page(s.light, '/generations?limit=5'),
	'list-failed': (s) => s.page(s.heavy, '/generations?status=failed'),
	'list-active': (s) => s.page(s.heavy, '/generations?status=active', 0),
	'list-model': (s) => s.page(s.heavy, '/generations?model=sora-2', 0, 0),
	'list-favourite': (s) => s.page(s.heavy, '/generations?favourite=true', 0, 0),
	'search-common': (s) => s.page(s.heavy, '/generations?search=boat', 24),
	'search-rare': (s) => s.page(s.heavy, '/generations?search=submarine', 0, 0),
	credits: (s) => s.heavy.get('/credits'),
	ledger: (s) => s.page(s.heavy, '/credits/ledger'),
	'ledger-type': (s) => s.page(s.heavy, '/credits/ledger?type=purchase'),
	'ledger-none': (s) => s.page(s.heavy, '/credits/ledger?type=promo', 0, 0),
	'admin-jobs': (s) => s.page(s.server.admin, '/admin/jobs', 50),
	'admin-failed': (s) => s.page(s.server.admin, '/admin/jobs?state=failed', 50),
	'admin-review': (s) => s.page(s.server.admin, '/admin/jobs?state=review', 0, 0),
	'admin-provider': (s) => s.page(s.server.admin, '/admin/jobs?provider=runway', 0, 0),
	'admin-search': (s) => s.page(s.server.admin, '/admin/jobs?q=submarine', 0, 0),
	'admin-overview': (s) => s.server.admin.get('/admin/overview'),
	'admin-users': (s) => s.page(s.server.admin, '/admin/users', 50),
	// From the order to the moment the engine has taken the job.
	taken: (s) => s.taken.order(),
};

async function time(side, ask) {
	const at = performance.now();
	const r = await ask(side);
	const ms = performance.now() - at;
	if (r?.status !== undefined) assert.equal(r.status, 200);
	return ms;
}

async function submits(side) {
	return wrk_latency(`${side.server.url}/api/v1/generations`,
		{ script: new URL('submit.lua', import.meta.url).pathname, args: [side.heavy.key, side.light.key] });
}

const only = process.env.BENCH_ONLY?.split(',');

async function compare(big, base) {
	const name = `scale-1e${Math.round(Math.log10(big.rows))}`;
	for (const [what, ask] of Object.entries(questions)) {
		if (only && !only.includes(what)) continue;
		const ours = [], theirs = [];
		// The first few plan, and read what nobody had asked for yet.
		for (let i = 0; i < 6; i++) for (const side of [big, base]) await time(side, ask);
		// What takes seconds is asked less often.
		const end = performance.now() + BUDGET_MS;
		for (let i = 0; i < SAMPLES && (i < 10 || performance.now() < end); i++) {
			ours.push(await time(big, ask));
			theirs.push(await time(base, ask));
		}
		report(`${name}-${what}`, percentile(ours, 50), 'ms p50', percentile(theirs, 50), '10^3');
		report(`${name}-${what}`, percentile(ours, 99), 'ms p99', percentile(theirs, 99), '10^3',
			{ want: 2, at: 'most' });
	}
	if (only && !only.includes('submit')) return;
	const ours = [], theirs = [];
	for (let i = 0; i < rounds; i++) {
		ours.push(await submits(big));
		theirs.push(await submits(base));
	}
	const of = (list, key) => median(list.map((r) => r[key]));
	report(`${name}-submit`, of(ours, 'rate'), 'req/s', of(theirs, 'rate'), '10^3', { want: 0.5 });
	report(`${name}-submit`, of(ours, 'p99'), 'ms p99', of(theirs, 'p99'), '10^3', { want: 2, at: 'most' });
}

export default async function scale() {
	const big = await Side.start(SIZES[0]);
	for (const n of SIZES) {
		if (n > big.rows) {
			const at = performance.now();
			await big.grow(n);
			console.log(`note: ${n} generations after ${Math.round((performance.now() - at) / 1000)} s`);
		}
		// Its own each time: orders of the last comparison are not 10^3.
		const base = await Side.start(BASE);
		await compare(big, base);
		const [{ n: found }] = await big.server.psql(`select count(*) as n from generations where status in
			('completed', 'failed')`);
		assert.equal(found, n);
		assert.deepEqual(await big.server.books(), {});
		await base.stop();
	}
	await big.stop();
}
