-- What the engine asks besides the functions of job.sql. ENGINE pool only.

-- Rows that are ours but that we do not carry: the answer to a claim or to an
-- end was lost.
-- name: engine_strays (uuid, uuid[])
select w.* from job_work w where w.owner = $1 and w.job_id <> all ($2::uuid[])
	and w.kind = 'generate' order by w.job_id limit 200;

-- What we carry and is not ours any more, or what a user wants stopped.
-- name: engine_changed (uuid, uuid[])
select k.id as job_id, j.generation_id, j.owner is distinct from $1 as lost,
	coalesce(g.status = 'cancelling', false) as cancel
from unnest($2::uuid[]) as k(id) left join jobs j on j.id = k.id
	left join generations g on g.id = j.generation_id
where j.owner is distinct from $1 or g.status = 'cancelling';

-- name: engine_worker_poll (uuid)
select status::text as status, result, error_class, error_code, error_message,
	worker_id is not null as taken from attempts where id = $1;

-- The plan a generation was sold under; no row when it has none.
-- name: engine_price_rule (uuid)
select p.rule from charges c join price_plans p on p.id = c.price_plan_id
where c.generation_id = $1;
