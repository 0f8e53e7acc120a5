-- What the engine asks besides the functions of job.sql. ENGINE pool only.

-- A page of the rows that are ours, by id: some may not be carried, when the
-- answer to a claim or to an end was lost.
-- name: engine_owned (uuid, uuid, bigint)
-- owner, after job id or null, limit
select j.id as job_id, j.generation_id from jobs j where j.owner = $1
	and j.id > coalesce($2::uuid, '00000000-0000-0000-0000-000000000000')
	and j.kind = 'generate' order by j.id limit $3;

-- Which of these, carried by us, are not ours any more.
-- name: engine_lost (uuid, uuid[])
select k.generation_id from unnest($2::uuid[]) as k(generation_id)
where not exists (select from jobs j where j.owner = $1 and j.kind = 'generate'
	and j.generation_id = k.generation_id);

-- What users want stopped, of ours.
-- name: engine_cancelling (uuid)
select j.generation_id from generations g join jobs j on j.generation_id = g.id
	and j.kind = 'generate'
where g.status = 'cancelling' and j.owner = $1 limit 1000;

-- name: engine_worker_poll (uuid)
select status::text as status, result, error_class, error_code, error_message,
	worker_id is not null as taken from attempts where id = $1;

-- The plan a generation was sold under; no row when it has none.
-- name: engine_price_rule (uuid)
select p.rule from charges c join price_plans p on p.id = c.price_plan_id
where c.generation_id = $1;
