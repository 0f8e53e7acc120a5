// seed.mjs - many generations at once, by set-based SQL with the triggers off
// (they would take hours for a million): each with charge, ledger entry, job,
// attempt and events, so that the books add up afterwards.

// n generations of `state`: completed (settled, spread over the last year),
// ended (the same, but every tenth failed and was paid back) or polling
// (submitted to fal, owned by nobody: the next sweep adopts them).
export async function seed(server, users, n, { state = 'completed', model = 'kling-2.5' } = {}) {
	const c = await server.pg.connect(server.database);
	const done = state !== 'polling';
	try {
		await c.query('set session_replication_role = replica');
		await c.query('set synchronous_commit = off');
		await c.query(`set work_mem = '256MB'`);
		const { rows: [{ id: route, provider }] } = await c.query('select r.id, r.provider from model_routes r '
			+ 'join models m on m.id = r.model_id where m.slug = $1 limit 1', [model]);
		// Ids as the server makes them: the time comes first.
		await c.query(`create temp table fresh as select
			(lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || substr(r, 1, 3) || '8'
				|| substr(r, 4, 15))::uuid as id,
			gen_random_uuid() as charge, gen_random_uuid() as job, gen_random_uuid() as attempt, i, user_id, at,
			good, case when not $7 then 'processing' when good then 'completed' else 'failed' end as status, prompt
			from (select i, ($2::uuid[])[1 + i % $3] as user_id, md5(random()::text) as r,
				now() - ($5::int * (1 - i / ($1::float + 1))) * interval '365 days' as at,
				not $6 or i % 10 <> 0 as good, case when $4 then (array['a boat on the river',
					'neon rain over a paper city', 'a cat that dreams', 'waves at night, slow'])[1 + i % 4]
					else 'poll' end || ' ' || i as prompt
				from generate_series(1, $1::int) as i) x`,
		[n, users, users.length, done, done ? 1 : 0, state === 'ended', done]);
		await c.query(`insert into generations (id, user_id, mode, model_id, model, model_name, route_id, provider,
				prompt, spec, resolved, status, phase, check_at, stage, progress, credits, media_state, deadline_at, version,
				created_at, started_at, completed_at, updated_at, error_class, error_code, error_message)
			select f.id, f.user_id, 't2v', m.id, m.slug, m.name, r.id, r.provider, f.prompt,
				jsonb_build_object('prompt', f.prompt, 'mode', 't2v'), '{}',
				f.status::generation_status, phase_of(f.status::generation_status),
				case when not $2 then now() + interval '1 day' end, case when not $2 then 'generate' end,
				case when $2 and f.good then 100 else 0 end, 10,
				'none', case when not $2 then now() + interval '1 day' end, 4, f.at, f.at,
				case when $2 then f.at + interval '90 s' end, f.at,
				case when not f.good then 'provider' end, case when not f.good then 'internal_error' end,
				case when not f.good then 'The provider could not make this video.' end
			from fresh f join model_routes r on r.id = $1 join models m on m.id = r.model_id`, [route, done]);
		await c.query(`insert into charges (id, generation_id, user_id, quote, breakdown, state, settled, refunded,
				reason, created_at, settled_at)
			select charge, id, user_id, 10, '{"lines": []}', (case when not $1 then 'charged' when good then 'settled'
				else 'refunded' end)::charge_state, case when $1 and good then 10 end, case when good then 0 else 10 end,
				case when not good then 'internal_error' end, at, case when $1 then at end from fresh`, [done]);
		// The balance is what the entries say: a purchase that pays for it all.
		await c.query(`with base as (select a.user_id, a.balance, count(*) as n from fresh f
				join accounts a using (user_id) group by 1, 2)
			insert into ledger_entry (user_id, type, amount, balance_after, created_at)
			select user_id, 'purchase', 10 * n, balance + 10 * n, now() - interval '366 days' from base`);
		await c.query(`with entry as (
				select user_id, i, 0 as part, -10 as amount, charge, at from fresh
				union all select user_id, i, 1, 10, charge, at + interval '90 s' from fresh where not good)
			insert into ledger_entry (user_id, type, amount, balance_after, charge_id, created_at)
			select e.user_id, (case e.part when 0 then 'video_generation' else 'video_refund' end)::ledger_type, e.amount,
				a.balance + 10 * u.n + sum(e.amount) over (partition by e.user_id order by e.i, e.part), e.charge, e.at
			from entry e join accounts a using (user_id)
				join (select user_id, count(*) as n from fresh group by 1) u using (user_id)
			order by e.i, e.part`);
		await c.query(`update accounts a set balance = a.balance + 10 * x.n from (select user_id, count(*) as n
			from fresh where not good group by 1) x where x.user_id = a.user_id`);
		await c.query(`insert into jobs (id, generation_id, user_id, provider, status, step, attempt_id, created_at,
				started_at, finished_at) select job, id, user_id, $1, (case when not $2 then 'waiting'
				when good then 'succeeded' else 'failed' end)::job_status, 'poll', attempt, at, at,
				case when $2 then at end from fresh`, [provider, done]);
		await c.query(`insert into attempts (id, generation_id, job_id, user_id, number, route_id, provider, status,
				nonce, provider_job_id, created_at, submitted_at, finished_at)
			select attempt, id, job, user_id, 1, $1, $2, (case when not $3 then 'submitted' when good then 'succeeded'
				else 'failed' end)::attempt_status, gen_random_uuid(), 'seed-' || i, at, at,
				case when $3 then at end from fresh`, [route, provider, done]);
		await c.query(`insert into events (type, user_id, generation_id, version, data, created_at)
			select 'generation.' || e.what, user_id, id, e.v, jsonb_build_object('id', id, 'status', e.what), at
			from fresh cross join lateral (values ('created', 1), ('processing', 2), (status, 3)) as e(what, v)
			where $1 or e.v < 3`, [done]);
		if (!done) {
			await c.query(`update accounts a set active = a.active + x.n from (select user_id, count(*) as n
				from fresh group by 1) x where x.user_id = a.user_id`);
		}
		await c.query('drop table fresh');
		await c.query('set session_replication_role = origin');
		await c.query('vacuum analyze');
	} finally { await c.end(); }
}
