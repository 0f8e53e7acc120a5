-- What operators see and do. ENGINE pool: it crosses users.

-- name: admin_jobs (text, text, bigint, uuid, bigint)
-- plan: custom
-- provider, q (in prompt, e-mail or model), cursor (created_us, id), limit
with page as materialized (
	select g.id, g.user_id, g.created_at, g.provider_message
	from generations g
	where ($1::text is null or g.provider = $1)
		and ($2::text is null or position(lower($2) in lower(g.prompt)) > 0
			or g.model = $2 or g.user_id = any (array(select u.id
			from users u where position(lower($2) in u.email) > 0)))
		and ($4::uuid is null or (g.created_at, g.id) < (timestamptz 'epoch'
			+ $3::bigint * interval '1 microsecond', $4))
	order by g.created_at desc, g.id desc limit $5
)
select gp.*, u.email, g.provider_message, j.id as job_id,
	j.status::text as job_status, j.step, j.owner, j.tries, j.crash_count,
	j.lone_crashes,
	j.last_error, ms(a.result_expires_at) as result_expires_ms,
	result_is_expiring(a, j) as result_expiring,
	(extract(epoch from g.created_at) * 1000000)::bigint
	as created_us
from page g join generation_public gp on gp.id = g.id
	join users u on u.id = g.user_id
	left join jobs j on j.generation_id = g.id and j.kind = 'generate'
	left join attempts a on a.id = j.attempt_id
order by g.created_at desc, g.id desc;

-- name: admin_jobs_in (generation_status, text, text, bigint, uuid, bigint)
-- plan: custom
-- as admin_jobs, of one status, which comes first
with page as materialized (
	select g.id, g.user_id, g.created_at, g.provider_message
	from generations g
	where g.status = $1
		and ($1 in ('completed', 'failed', 'cancelled')
			or g.phase not in ('completed', 'ill'))
		and ($1 not in ('failed', 'cancelled') or g.phase = 'ill')
		and ($2::text is null or g.provider = $2)
		and ($3::text is null or position(lower($3) in lower(g.prompt)) > 0
			or g.model = $3 or g.user_id = any (array(select u.id
			from users u where position(lower($3) in u.email) > 0)))
		and ($5::uuid is null or (g.created_at, g.id) < (timestamptz 'epoch'
			+ $4::bigint * interval '1 microsecond', $5))
	order by g.created_at desc, g.id desc limit $6
)
select gp.*, u.email, g.provider_message, j.id as job_id,
	j.status::text as job_status, j.step, j.owner, j.tries, j.crash_count,
	j.lone_crashes,
	j.last_error, ms(a.result_expires_at) as result_expires_ms,
	result_is_expiring(a, j) as result_expiring,
	(extract(epoch from g.created_at) * 1000000)::bigint
	as created_us
from page g join generation_public gp on gp.id = g.id
	join users u on u.id = g.user_id
	left join jobs j on j.generation_id = g.id and j.kind = 'generate'
	left join attempts a on a.id = j.attempt_id
order by g.created_at desc, g.id desc;

-- name: admin_job_find (text)
-- an id typed in: a generation, an attempt or a provider's job
select id as generation_id from generations where id::text = $1
	and $1 ~ '^[0-9a-f]{8}-[0-9a-f-]{27}$' and id = (case when $1 ~
	'^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
	then $1 end)::uuid
union
select generation_id from attempts where id = (case when $1 ~
	'^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
	then $1 end)::uuid
union
select a.generation_id from providers p join attempts a
	on a.provider = p.name and a.provider_job_id = $1
limit 20;

-- name: admin_job_get (uuid)
select gp.*, u.email, g.provider_message, j.id as job_id,
	j.status::text as job_status, j.step, j.owner, j.tries, j.crash_count,
	j.lone_crashes,
	j.last_error, ms(a.result_expires_at) as result_expires_ms,
	result_is_expiring(a, j) as result_expiring,
	(extract(epoch from g.created_at) * 1000000)::bigint
	as created_us, gm.*
from generations g join generation_public gp on gp.id = g.id
	join users u on u.id = g.user_id
	left join jobs j on j.generation_id = g.id and j.kind = 'generate'
	left join attempts a on a.id = j.attempt_id
	left join lateral generation_margin(g.id) gm on true
where g.id = $1;

-- name: admin_job_ledger (uuid)
select l.id, l.type::text as type, l.amount, l.balance_after, l.note,
	ms(l.created_at) as created_ms
from charges c join ledger_entry l on l.charge_id = c.id
where c.generation_id = $1 order by l.id;

-- name: admin_counts ()
select g.status::text as status, count(*) as n,
	ms(min(g.created_at)) as oldest_ms
from (select status, created_at from generations where phase not in
		('completed', 'ill')
	union all
	select status, created_at from generations where status in
		('completed', 'failed', 'cancelled')
		and created_at > now() - interval '1 day') g
where g.status <> 'draft' group by g.status;

-- name: admin_money ()
-- the last day; and the results that their provider will soon have no more,
-- and we do not have yet
select coalesce(-sum(amount) filter (where type = 'video_generation'), 0)
	::bigint as spent, coalesce(sum(amount) filter (where type in
	('video_refund', 'settle_refund')), 0)::bigint as refunded,
	(select count(*) from jobs j join attempts a on a.id = j.attempt_id
		where j.finished_at is null and j.step in ('download', 'store')
		and result_is_expiring(a, j)) as results_expiring
from ledger_entry where created_at > now() - interval '1 day';

-- name: admin_bulk_ids (generation_status[], text, text, text, bigint)
-- plan: custom
-- statuses, provider, model, q; what a bulk action would hit
select g.id, g.user_id, g.status::text as status, g.credits
from generations g where g.status = any ($1)
	and ($1 && '{completed,failed,cancelled}'
		or g.phase not in ('completed', 'ill'))
	and (not $1 <@ '{failed,cancelled}' or g.phase = 'ill')
	and ($2::text is null or g.provider = $2)
	and ($3::text is null or g.model = $3)
	and ($4::text is null or position(lower($4) in lower(g.prompt)) > 0)
	and g.deleted_at is null
order by g.created_at, g.id limit $5;

-- name: admin_queues ()
select p.name as provider, p.display_name, p.state::text as state,
	ms(p.paused_until) as paused_until_ms, p.paused_reason, p.limits,
	coalesce(j.queued, 0) as queued, coalesce(j.pending, 0) as pending,
	coalesce(j.running, 0) as running, coalesce(j.waiting, 0) as waiting,
	coalesce(j.uncertain, 0) as uncertain, j.oldest_ms
from providers p left join (select provider,
	count(*) filter (where status = 'queued') as queued,
	count(*) filter (where status = 'scheduled') as pending,
	count(*) filter (where status = 'running') as running,
	count(*) filter (where status = 'waiting') as waiting,
	count(*) filter (where status = 'uncertain') as uncertain,
	ms(min(eligible_at) filter (where status = 'queued')) as oldest_ms
	from jobs where finished_at is null group by provider) j
	on j.provider = p.name
order by p.name;

-- name: provider_pause (text, bigint, text, uuid)
select provider_pause as outcome from provider_pause($1, $2, $3, $4);

-- name: provider_resume (text, uuid)
select provider_resume as outcome from provider_resume($1, $2);

-- name: review_resolve (uuid, text, uuid, text)
select outcome, event_seq, event, balance_event, promoted, seqs, balance,
	(g).* from review_resolve($1, $2, $3, $4);

-- name: admin_users (text, bigint, uuid, bigint)
-- plan: custom
-- q (in e-mail or name), cursor (created_us, id), limit
select u.id, u.email, u.name, u.role::text as role, u.status::text as status,
	u.concurrent_limit, a.balance, a.active, a.waiting,
	ms(u.created_at) as created_ms, ms(u.last_login_at) as last_login_ms,
	(extract(epoch from u.created_at) * 1000000)::bigint as created_us
from users u join accounts a on a.user_id = u.id
where u.deleted_at is null and ($1::text is null
	or position(lower($1) in u.email) > 0
	or position(lower($1) in lower(u.name)) > 0)
	and ($3::uuid is null or (u.created_at, u.id) < (timestamptz 'epoch'
		+ $2::bigint * interval '1 microsecond', $3))
order by u.created_at desc, u.id desc limit $4;

-- name: admin_instances ()
select i.id, i.name, i.version, ms(i.started_at) as started_ms,
	ms(i.beat_at) as beat_ms, ms(i.stopped_at) as stopped_ms,
	i.stopped_at is null and i.beat_at > now() - interval '20 seconds'
	as alive, (select count(*) from jobs j where j.owner = i.id) as jobs
from instances i order by i.started_at desc limit 100;

-- name: admin_audit_log (text, text, bigint, bigint)
-- plan: custom
-- target type, target id, before id, limit
select l.id, l.actor_id, l.actor_kind, l.action, l.target_type, l.target_id,
	l.before, l.after, ms(l.created_at) as created_ms
from audit_log l where ($1::text is null or l.target_type = $1)
	and ($2::text is null or l.target_id = $2)
	and ($3::bigint is null or l.id < $3) order by l.id desc limit $4;
