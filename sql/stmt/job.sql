-- The engine's statements. ENGINE pool. Parameters are those of the function of
-- the same name, in its order; see sql/functions for the outcomes.

-- name: job_claim (uuid, text[], int[], uuid[], int[], int[], boolean)
select * from job_claim($1, $2, $3, $4, $5, $6, $7);

-- name: job_adopt (uuid, interval, uuid, int, text[])
select outcome, event_seq, event, balance_event, promoted, seqs, (w).* from
	job_adopt($1, $2, $3, $4, $5);

-- name: job_clean (uuid, uuid[])
select job_clean as n from job_clean($1, $2);

-- name: job_release (uuid, uuid[])
select job_release as n from job_release($1, $2);

-- name: job_requeue (uuid, uuid, uuid, int, boolean, text, text, boolean, text, int, text)
select outcome, event_seq, event, balance_event, promoted, seqs, balance,
	(g).* from job_requeue($1, $2, $3, $4, $5, $6, $7,
	$8, $9, $10, $11);

-- name: job_step_retry (uuid, uuid, text)
select * from job_step_retry($1, $2, $3);

-- name: job_step (uuid, uuid, text, jsonb)
select job_step as outcome from job_step($1, $2, $3, $4);

-- name: job_get (uuid)
select * from job_work where job_id = $1;

-- name: job_owned (uuid, uuid, bigint)
-- owner, after job id or null, limit
select * from job_work where owner = $1 and job_id >
	coalesce($2::uuid, '00000000-0000-0000-0000-000000000000')
order by job_id limit $3;

-- name: job_by_generation (uuid)
-- for hints: who owns the job, where it stands
select * from job_work where generation_id = $1 and kind = 'generate';

-- name: job_by_attempt (uuid)
-- for provider callbacks: the attempt's job, and its callback token's hash
select w.*, encode(t.token_hash, 'hex') as token_hash,
	t.id = w.attempt_id as attempt_current,
	t.status::text as called_status, t.nonce as called_nonce
from attempts t join job_work w on w.job_id = t.job_id where t.id = $1;

-- name: generation_enhancing (uuid, uuid)
select outcome, event_seq, event, balance_event, promoted, seqs, balance,
	(g).* from generation_enhancing($1, $2);

-- name: generation_enhanced (uuid, uuid, text)
select generation_enhanced as outcome from generation_enhanced($1, $2, $3);

-- name: attempts_start (uuid, jsonb)
-- owner, [{n, job, attempt, ...}...], see start_item; no row for one that must
-- be sent again, alone
select * from attempts_start($1, $2);

-- name: attempts_submitted (uuid, jsonb)
-- owner, [{n, attempt, provider_job_id, refs, position}...]; no row for one
-- that must be sent again, alone
select * from attempts_submitted($1, $2);

-- name: attempt_uncertain (uuid, uuid, int, text)
select outcome, event_seq, event, balance_event, promoted, seqs, balance,
	(g).* from attempt_uncertain($1, $2, $3, $4);

-- name: attempt_late (uuid, jsonb, bigint)
select attempt_late as outcome from attempt_late($1, $2, $3);

-- name: generations_progress (uuid, uuid[], int[], text[], int[], int[], int[])
select * from generations_progress($1, $2, $3, $4, $5, $6, $7);

-- name: generation_finalizing (uuid, uuid, text, bigint, jsonb, bigint)
select outcome, event_seq, event, balance_event, promoted, seqs, balance,
	(g).* from generation_finalizing($1, $2, $3, $4, $5, $6);

-- name: generation_result_url (uuid, uuid, text, bigint)
select generation_result_url as outcome from generation_result_url($1, $2, $3,
	$4);

-- name: generation_finish (uuid, uuid, jsonb, jsonb, bigint, bigint)
select outcome, event_seq, event, balance_event, promoted, seqs, balance,
	(g).* from generation_finish($1, $2, $3, $4, $5, $6);

-- name: generations_fail (uuid, jsonb)
-- owner, [{n, job, class, ...}...], see fail_item; no row for one that must be
-- sent again, alone
select * from generations_fail($1, $2);

-- name: generation_cancelled (uuid, uuid, bigint, bigint)
select outcome, event_seq, event, balance_event, promoted, seqs, balance,
	(g).* from generation_cancelled($1, $2, $3, $4);

-- name: generation_review (uuid, uuid, text, text)
select outcome, event_seq, event, balance_event, promoted, seqs, balance,
	(g).* from generation_review($1, $2, $3, $4);

-- name: generations_checked (int)
select generations_checked as n from generations_checked($1);

-- name: generations_overdue (int)
select outcome, event_seq, event, balance_event, promoted, seqs, balance,
	(g).* from generations_overdue($1);

-- name: generations_promote (int)
select * from generations_promote($1);

-- name: grants_expire (int)
select grants_expire as n from grants_expire($1);

-- name: instance_start (uuid, text, text)
select instance_start from instance_start($1, $2, $3);

-- name: instance_beat (uuid)
select instance_beat as alive from instance_beat($1);

-- name: instance_stop (uuid)
select instance_stop from instance_stop($1);

-- name: access_prune ()
select access_prune from access_prune();

-- name: events_prune (interval, int)
select events_prune as n from events_prune($1, $2);
