-- Providers' accounts and routes. ENGINE pool: no row belongs to a user.

-- name: accounts_sync (jsonb)
-- what the configuration gives: [{provider, title, hint}]
select accounts_sync as n from accounts_sync($1);

-- name: account_list ()
-- for the snapshot in memory: keys sealed, as they are stored
select a.id, a.provider, p.display_name, a.label, a.key_ref, a.key_hint,
	a.base_url, a.weight, (a.limits->>'concurrency')::int as concurrency,
	(a.limits->>'rpm')::int as rpm, a.state::text as state,
	ms(a.paused_until) as paused_until_ms, a.paused_reason,
	ms(a.hold_until) as hold_until_ms, a.failures,
	account_circuit(a) as circuit, ms(a.opened_until) as opened_until_ms,
	case when p.state = 'broken' or p.state = 'paused' and (p.paused_until
		is null or p.paused_until > now()) then coalesce(p.paused_reason, '')
		end as provider_paused
from provider_accounts a join providers p on p.name = a.provider
where a.deleted_at is null
order by a.provider, a.label <> 'default', a.label;

-- name: account_create (uuid, text, text, text, text, text, text, int, jsonb, uuid)
-- id, idempotency key, provider, label, key reference, hint, base URL, weight,
-- limits, actor
select * from account_create($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: account_update (uuid, text, text, text, text, int, jsonb, uuid)
-- id, label, key reference, hint, base URL, weight, limits, actor
select account_update as outcome from account_update($1, $2, $3, $4, $5, $6,
	$7, $8);

-- name: account_delete (uuid, uuid)
select account_delete as outcome from account_delete($1, $2);

-- name: account_pause (uuid, text, bigint, text, uuid)
-- id, state, until, reason, actor
select account_pause as outcome from account_pause($1, $2, $3, $4, $5);

-- name: account_resume (uuid, uuid)
select account_resume as outcome from account_resume($1, $2);

-- name: account_open (uuid, int, int)
-- id, failures, first wait in ms
select account_open as ms from account_open($1, $2, $3);

-- name: account_close (uuid)
select account_close as closed from account_close($1);

-- name: admin_providers (text)
-- one, or null: all; figures of the last hour and of today (UTC)
with recent as materialized (
	select provider, account_id, status, created_at, error_class,
		cost_micro_usd, finished_at - submitted_at as took
	from attempts where created_at >= least(date_trunc('day', now()),
		now() - interval '1 hour')
		and ($1::text is null or provider = $1)
), figures as (
	select provider,
		count(*) filter (where created_at > now() - interval '1 hour') as n,
		count(*) filter (where created_at > now() - interval '1 hour'
			and status = 'failed' and coalesce(error_class, '')
			not in ('refused', 'bad_input', 'cancelled')) as failed,
		coalesce(sum(cost_micro_usd) filter (where created_at
			>= date_trunc('day', now())), 0)::bigint as spend,
		(percentile_cont(0.5) within group (order by
			extract(epoch from took)) filter (where status = 'succeeded'))
			::real as median_s
	from recent group by provider
), load as (
	select provider, count(*) filter (where status = 'queued') as queued,
		count(*) filter (where status not in ('queued', 'scheduled'))
			as in_flight
	from jobs where finished_at is null
		and ($1::text is null or provider = $1) group by provider
)
select p.name, p.display_name, p.kind, p.state::text as state,
	ms(p.paused_until) as paused_until_ms, p.paused_reason,
	ms(p.sunset_at) as sunset_ms, coalesce(f.n, 0) as submitted_1h,
	coalesce(f.failed, 0) as failed_1h, coalesce(f.spend, 0) as spend_today,
	f.median_s, coalesce(l.queued, 0) as queued,
	coalesce(l.in_flight, 0) as in_flight
from providers p left join figures f on f.provider = p.name
	left join load l on l.provider = p.name
where $1::text is null or p.name = $1 order by p.name;

-- name: admin_accounts (text, uuid)
-- of one provider or all; or one account
select a.id, a.provider, a.label, a.key_ref, a.key_hint, a.base_url, a.weight,
	(a.limits->>'concurrency')::int as concurrency,
	(a.limits->>'rpm')::int as rpm, a.state::text as state,
	ms(a.paused_until) as paused_until_ms, a.paused_reason,
	ms(a.hold_until) as hold_until_ms, account_circuit(a) as circuit,
	a.failures, ms(a.opened_until) as opened_until_ms,
	ms(a.created_at) as created_ms,
	(select count(*) from jobs j where j.account_id = a.id
		and j.finished_at is null and j.step in ('submit', 'poll'))
		as in_flight, coalesce(s.spend, 0)::bigint as spend_today
from provider_accounts a left join (select account_id,
	sum(cost_micro_usd) as spend from attempts
	where created_at >= date_trunc('day', now()) group by account_id) s
	on s.account_id = a.id
where a.deleted_at is null and ($1::text is null or a.provider = $1)
	and ($2::uuid is null or a.id = $2)
order by a.provider, a.label <> 'default', a.label;

-- name: admin_routes (text, uuid)
-- of one provider or all; or one route
select r.id, r.provider, m.slug as model, r.endpoint, r.priority, r.weight,
	r.is_active
from model_routes r join models m on m.id = r.model_id
where m.deleted_at is null and ($1::text is null or r.provider = $1)
	and ($2::uuid is null or r.id = $2)
order by r.provider, m.slug, r.priority, r.endpoint;

-- name: route_update (uuid, int, int, boolean, uuid)
-- id, priority, weight, active, actor
select route_update as outcome from route_update($1, $2, $3, $4, $5);
