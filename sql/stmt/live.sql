-- The event bus: what was written and not yet published. ENGINE pool.

-- name: outbox_pending (interval, int)
select * from outbox_pending($1, $2);

-- name: outbox_sent (bigint[])
select outbox_sent as n from outbox_sent($1);

-- name: live_queue_stats ()
-- the admin:queue topic
select provider, count(*) filter (where status = 'queued') as queued,
	count(*) filter (where status = 'scheduled') as pending,
	count(*) filter (where status = 'running') as running,
	count(*) filter (where status = 'waiting') as waiting,
	count(*) filter (where status = 'uncertain') as uncertain,
	ms(min(eligible_at) filter (where status = 'queued')) as oldest_ms
from jobs where finished_at is null group by provider order by provider;

-- name: live_generations (uuid[])
-- what somebody watches, read again while events may be missed
select gp.* from generation_public gp where gp.id = any ($1);

-- name: live_user_generations (uuid[])
-- what changed lately of those whose user is watched: of each the newest 200,
-- as a page shows them
select gp.* from unnest($1::uuid[]) as u(id) cross join lateral (
	select n.id, n.updated_at from generations n where n.user_id = u.id
		and n.deleted_at is null order by n.created_at desc, n.id desc
		limit 200) g join generation_public gp on gp.id = g.id
where g.updated_at > now() - interval '20 seconds';

-- name: live_balances (uuid[])
select a.user_id, a.balance, coalesce((select max(id) from ledger_entry l
	where l.user_id = a.user_id), 0) as version
from accounts a where a.user_id = any ($1);
