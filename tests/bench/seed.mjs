// seed.mjs - many generations at once, by set-based SQL with the triggers off
// (they would take hours for a million): each with charge, ledger entry, job,
// attempt and events, so that the books add up afterwards.

// n generations of `state`: completed (settled, spread over the last year) or
// polling (submitted to fal, owned by nobody: the next sweep adopts them).
export async function seed(server, users, n, { state = 'completed', model = 'seedance-2.0' } = {}) {
	const c = await server.pg.connect(server.database);
	const done = state === 'completed';
	try {
		await c.query('set session_replication_role = replica');
		await c.query('set synchronous_commit = off');
		const { rows: [{ id: route, provider }] } = await c.query('select r.id, r.provider from model_routes r '
			+ 'join models m on m.id = r.model_id where m.slug = $1 limit 1', [model]);
		await c.query(`create temp table fresh as select gen_random_uuid() as id, gen_random_uuid() as charge,
			gen_random_uuid() as job, gen_random_uuid() as attempt, i, ($2::uuid[])[1 + i % $3] as user_id,
			now() - ($5::int * i / $1::float) * interval '365 days' as at,
			case when $4 then (array['a boat on the river', 'neon rain over a paper city', 'a cat that dreams',
				'waves at night, slow'])[1 + i % 4] else 'poll' end || ' ' || i as prompt
			from generate_series(1, $1::int) as i`, [n, users, users.length, done, done ? 1 : 0]);
		await c.query(`insert into generations (id, user_id, mode, model_id, model, model_name, route_id, provider,
				prompt, spec, resolved, status, stage, progress, credits, media_state, deadline_at, version,
				created_at, started_at, completed_at, updated_at)
			select f.id, f.user_id, 't2v', m.id, m.slug, m.name, r.id, r.provider, f.prompt,
				jsonb_build_object('prompt', f.prompt, 'mode', 't2v'), '{}',
				$2::generation_status, case when not $3 then 'generate' end, case when $3 then 100 else 0 end, 10,
				'none', case when not $3 then now() + interval '1 day' end, 4, f.at, f.at,
				case when $3 then f.at + interval '90 s' end, f.at
			from fresh f join model_routes r on r.id = $1 join models m on m.id = r.model_id`,
		[route, done ? 'completed' : 'processing', done]);
		await c.query(`insert into charges (id, generation_id, user_id, quote, breakdown, state, settled, created_at,
				settled_at) select charge, id, user_id, 10, '{"lines": []}', $1::charge_state,
				case when $2 then 10 end, at, case when $2 then at end from fresh`,
		[done ? 'settled' : 'charged', done]);
		// The balance is what the entries say: a purchase that pays for it all.
		await c.query(`with base as (select a.user_id, a.balance, count(*) as n from fresh f
				join accounts a using (user_id) group by 1, 2)
			insert into ledger_entry (user_id, type, amount, balance_after, created_at)
			select user_id, 'purchase', 10 * n, balance + 10 * n, now() - interval '366 days' from base`);
		await c.query(`insert into ledger_entry (user_id, type, amount, balance_after, charge_id, created_at)
			select f.user_id, 'video_generation', -10, a.balance + 10 * (count(*) over (partition by f.user_id)
				- row_number() over w), f.charge, f.at
			from fresh f join accounts a using (user_id) window w as (partition by f.user_id order by f.i)
			order by f.user_id, f.i`);
		await c.query(`insert into jobs (id, generation_id, user_id, provider, status, step, attempt_id, created_at,
				started_at, finished_at) select job, id, user_id, $1, $2::job_status, 'poll', attempt, at, at,
				case when $3 then at end from fresh`, [provider, done ? 'succeeded' : 'waiting', done]);
		await c.query(`insert into attempts (id, generation_id, job_id, user_id, number, route_id, provider, status,
				nonce, provider_job_id, created_at, submitted_at, finished_at)
			select attempt, id, job, user_id, 1, $1, $2, $3::attempt_status, gen_random_uuid(), 'seed-' || i, at, at,
				case when $4 then at end from fresh`, [route, provider, done ? 'succeeded' : 'submitted', done]);
		await c.query(`insert into events (type, user_id, generation_id, version, data, created_at, published_at)
			select 'generation.' || e.what, user_id, id, e.v, jsonb_build_object('id', id, 'status', e.what), at, at
			from fresh, (values ('created', 1), ('processing', 2), ('completed', 3)) as e(what, v)
			where $1 or e.v < 3`, [done]);
		if (!done) {
			await c.query(`update accounts a set active = a.active + x.n from (select user_id, count(*) as n
				from fresh group by 1) x where x.user_id = a.user_id`);
		}
		await c.query('drop table fresh');
		await c.query('set session_replication_role = origin');
		await c.query('analyze');
	} finally { await c.end(); }
}
