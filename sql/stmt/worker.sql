-- GPU workers. ENGINE pool; see sql/functions/07_worker.sql for the outcomes.

-- name: worker_register (uuid, text, text, text, jsonb, text, int)
select worker_register as id from worker_register($1, $2, $3, $4, $5, $6, $7);

-- name: worker_heartbeat (uuid, real, text, uuid)
select * from worker_heartbeat($1, $2, $3, $4);

-- name: worker_drain (uuid, boolean)
select worker_drain as outcome from worker_drain($1, $2);

-- name: worker_claim (uuid, text[])
select * from worker_claim($1, $2);

-- name: worker_job_start (uuid, uuid, bytea)
select * from worker_job_start($1, $2, $3);

-- name: worker_job_progress (uuid, uuid, bytea, int, int)
select * from worker_job_progress($1, $2, $3, $4, $5);

-- name: worker_job_uploaded (uuid, bytea, text)
select * from worker_job_uploaded($1, $2, $3);

-- name: worker_job_complete (uuid, uuid, bytea, jsonb)
select * from worker_job_complete($1, $2, $3, $4);

-- name: worker_job_fail (uuid, uuid, bytea, text, text, text, boolean)
select * from worker_job_fail($1, $2, $3, $4, $5, $6, $7);

-- name: worker_jobs_lost (interval, int)
select * from worker_jobs_lost($1, $2);

-- name: worker_results (uuid, int)
select * from worker_results($1, $2);

-- name: worker_list ()
select w.id, w.name, w.kind, w.version, w.capabilities, w.gpu, w.vram_mb,
	w.load, w.loaded_model, w.current_attempt, w.state::text as state,
	w.completed, w.failed, ms(w.beat_at) as beat_ms,
	ms(w.created_at) as created_ms, a.generation_id
from workers w left join attempts a on a.id = w.current_attempt
where w.beat_at > now() - interval '7 days'
order by w.state, w.name, w.id limit 500;
