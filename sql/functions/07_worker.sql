-- reeld's own GPU workers: they carry out attempts of provider `worker`. The
-- engine "submits" by attempts_submitted() and puts the attempt on the Redis
-- list; a worker takes it from there, or over HTTP with worker_claim(). Either
-- way worker_job_start/claim is the one compare-and-swap that says who has it.
-- The job stays with the instance that owns it; what a worker reports is
-- written to the attempt, and the owner reads it (hint, or worker_results).
-- ENGINE pool only. p_token is SHA-256 of the per-job token, null when the
-- caller authenticated with a worker key instead.

-- outcome, and: attempt, job, generation, user, owner (instance to hint),
-- cancel (stop, the user no longer wants it), event (to publish or null),
-- work (job_work as JSON when the attempt was handed out).
create type worker_result as (outcome text, attempt_id uuid, job_id uuid,
	generation_id uuid, user_id uuid, owner uuid, cancel boolean,
	event json, work jsonb);

-- worker_register: creates or brings back worker p_id; returns its id.
create function worker_register(p_id uuid, p_name text, p_kind text,
	p_version text, p_caps jsonb, p_gpu text, p_vram_mb int) returns uuid
language sql as $$
	insert into workers (id, name, kind, version, capabilities, gpu, vram_mb)
	values (coalesce(p_id, uuid7()), p_name, coalesce(p_kind, 'gpu'),
		coalesce(p_version, ''), coalesce(p_caps, '{}'), p_gpu, p_vram_mb)
	on conflict (id) do update set name = excluded.name,
		kind = excluded.kind, version = excluded.version,
		capabilities = excluded.capabilities, gpu = excluded.gpu,
		vram_mb = excluded.vram_mb, state = 'online', beat_at = now()
	returning id
$$;

-- worker_heartbeat: p_attempt is what it works on, or null. Outcomes: ok
-- (drain: take nothing new; cancel: stop p_attempt; lost: p_attempt is no
-- longer this worker's), unknown (register again).
create function worker_heartbeat(p_id uuid, p_load real,
	p_loaded_model text, p_attempt uuid, out outcome text,
	out drain boolean, out cancel boolean, out lost boolean)
language plpgsql as $$
begin
	update workers set beat_at = now(), load = p_load,
		loaded_model = p_loaded_model, current_attempt = p_attempt,
		state = case state when 'lost' then 'online' else state end
		where id = p_id returning state = 'draining' into drain;
	if not found then
		outcome := 'unknown';
		return;
	end if;
	outcome := 'ok';
	cancel := false;
	lost := false;
	if p_attempt is not null then
		update attempts set worker_beat_at = now() where id = p_attempt
			and worker_id = p_id and status = 'running';
		lost := not found;
		cancel := coalesce((select g.status not in ('processing',
			'finalizing', 'review') from attempts a join generations g
			on g.id = a.generation_id where a.id = p_attempt), true);
	end if;
end $$;

-- worker_drain: no new work for it; p_on false ends that. Outcomes: ok,
-- not_found.
create function worker_drain(p_id uuid, p_on boolean) returns text
language plpgsql as $$
begin
	update workers set state = case when p_on then 'draining' else 'online'
		end::worker_state where id = p_id;
	return case when found then 'ok' else 'not_found' end;
end $$;

-- Locks the attempt's job, then the attempt, and checks the caller's right.
create function worker_hold(p_attempt uuid, p_token bytea,
	out r worker_result, out a attempts, out g generations)
language plpgsql as $$
begin
	r.outcome := 'not_found';
	r.attempt_id := p_attempt;
	select j.id, j.generation_id, j.user_id, j.owner into r.job_id,
		r.generation_id, r.user_id, r.owner from jobs j where j.id = (select
		job_id from attempts where id = p_attempt and provider = 'worker')
		for update;
	if not found then
		return;
	end if;
	select * into g from generations where id = r.generation_id for update;
	select * into a from attempts where id = p_attempt for update;
	if p_token is not null and a.token_hash is distinct from p_token then
		r.outcome := 'bad_token';
		return;
	end if;
	r.cancel := g.status not in ('processing', 'review', 'finalizing');
	r.outcome := case when g.status in ('completed', 'failed', 'cancelled')
		then 'ended' else 'held' end;
end $$;

-- worker_job_start: outcomes started; taken (another worker has it); cancelled
-- (nobody wants it any more); gone (not offered now); ended; bad_token;
-- not_found. Starting again by the same worker is started.
create function worker_job_start(p_attempt uuid, p_worker uuid,
	p_token bytea) returns worker_result language plpgsql as $$
declare
	h record;
	r worker_result;
	a attempts;
	g generations;
begin
	select * into h from worker_hold(p_attempt, p_token);
	r := h.r;
	a := h.a;
	g := h.g;
	if r.outcome <> 'held' then
		return r;
	end if;
	if a.status = 'running' then
		r.outcome := case when p_worker is not null
			and a.worker_id = p_worker then 'started' else 'taken' end;
	elsif a.status <> 'submitted' then
		r.outcome := 'gone';
	elsif r.cancel then
		r.outcome := 'cancelled';
	else
		update attempts set status = 'running', worker_id = p_worker,
			worker_beat_at = now(), started_at = now() where id = p_attempt;
		update workers set current_attempt = p_attempt, beat_at = now()
			where id = p_worker;
		r.outcome := 'started';
	end if;
	if r.outcome = 'started' then
		select to_jsonb(w) into r.work from job_work w
			where w.job_id = r.job_id;
	end if;
	return r;
end $$;

-- worker_claim: the oldest offered attempt whose model is in p_models (null =
-- any). Outcomes: started, none, draining (also for an unknown worker).
create function worker_claim(p_worker uuid, p_models text[])
returns worker_result language plpgsql as $$
declare
	r worker_result;
	c uuid;
begin
	if not exists (select from workers where id = p_worker
		and state = 'online') then
		r.outcome := 'draining';
		return r;
	end if;
	-- Locking the job first keeps the one lock order.
	select a.id into c from attempts a join jobs j on j.id = a.job_id
		join generations g on g.id = a.generation_id
		where a.at_worker = 'offered'
		and j.attempt_id = a.id and g.status = 'processing'
		and (p_models is null or g.model = any (p_models))
		order by a.created_at, a.id limit 1 for update of j skip locked;
	if not found then
		r.outcome := 'none';
		return r;
	end if;
	r := worker_job_start(c, p_worker, null);
	if r.outcome <> 'started' then
		r.outcome := 'none';
	end if;
	return r;
end $$;

-- worker_job_progress: outcomes ok (event to publish); gone (not running, or
-- another worker's); ended; bad_token; not_found.
create function worker_job_progress(p_attempt uuid, p_worker uuid,
	p_token bytea, p_progress int, p_eta_s int) returns worker_result
language plpgsql as $$
declare
	h record;
	r worker_result;
	a attempts;
	g generations;
begin
	select * into h from worker_hold(p_attempt, p_token);
	r := h.r;
	a := h.a;
	g := h.g;
	if r.outcome <> 'held' then
		return r;
	end if;
	if a.status <> 'running' or p_worker is not null
		and a.worker_id is not null and a.worker_id <> p_worker then
		r.outcome := 'gone';
		return r;
	end if;
	update attempts set worker_beat_at = now() where id = p_attempt;
	update generations u set progress = greatest(u.progress,
		least(greatest(p_progress, 0), 100)), progress_basis = 'real',
		eta_low_s = p_eta_s, eta_high_s = p_eta_s, version = u.version + 1,
		updated_at = now() where id = r.generation_id returning * into g;
	r.event := json_build_object('type', 'generation.progress',
		'generation_id', g.id, 'user_id', g.user_id, 'version', g.version,
		'ts', ms(now()), 'data', generation_data(g));
	r.outcome := 'ok';
	return r;
end $$;

-- worker_job_uploaded: the video is in the store under p_key; complete() will
-- name it. Outcomes: ok; gone; ended; bad_token; not_found.
create function worker_job_uploaded(p_attempt uuid, p_token bytea,
	p_key text) returns worker_result language plpgsql as $$
declare
	h record;
	r worker_result;
	a attempts;
begin
	select * into h from worker_hold(p_attempt, p_token);
	r := h.r;
	a := h.a;
	if r.outcome <> 'held' then
		return r;
	end if;
	r.outcome := 'gone';
	if a.status in ('running', 'submitted') then
		update attempts set worker_beat_at = case when status = 'running'
			then now() end, refs = refs || jsonb_build_object('upload', p_key)
			where id = p_attempt;
		r.outcome := 'ok';
	end if;
	return r;
end $$;

-- worker_job_complete: p_result {"key","url","metrics",...} is kept on the
-- attempt, with the key of what was uploaded; the owner's engine goes on with
-- the download and store steps. Outcomes: completed; already (told before);
-- no_upload (nothing to go on from); gone; ended (kept as late_result);
-- bad_token; not_found.
create function worker_job_complete(p_attempt uuid, p_worker uuid,
	p_token bytea, p_result jsonb) returns worker_result
language plpgsql as $$
declare
	h record;
	r worker_result;
	a attempts;
	g generations;
begin
	select * into h from worker_hold(p_attempt, p_token);
	r := h.r;
	a := h.a;
	g := h.g;
	p_result := coalesce(p_result, '{}') || case when a.refs ? 'upload' then
		jsonb_build_object('key', a.refs->'upload') else '{}' end;
	if r.outcome = 'ended' and a.status <> 'succeeded' then
		update attempts set late_result = p_result where id = p_attempt;
	end if;
	if r.outcome <> 'held' then
		return r;
	end if;
	if a.status = 'succeeded' then
		r.outcome := 'already';
	elsif a.status not in ('running', 'submitted') or p_worker is not null
		and a.worker_id is not null and a.worker_id <> p_worker then
		r.outcome := 'gone';
	elsif p_result->>'key' is null and p_result->>'url' is null then
		r.outcome := 'no_upload';
	else
		update attempts set status = 'succeeded', result = p_result,
			cost_micro_usd = 0, finished_at = now() where id = p_attempt;
		update workers set completed = completed + 1, current_attempt = null,
			beat_at = now() where id = coalesce(a.worker_id, p_worker);
		r.outcome := 'completed';
	end if;
	return r;
end $$;

-- worker_job_fail: outcomes failed (kept on the attempt; the owner's engine
-- ends the generation); requeued (p_retryable and fewer than 3 starts: offered
-- again, put it back on the list); already; gone; ended; bad_token; not_found.
create function worker_job_fail(p_attempt uuid, p_worker uuid, p_token bytea,
	p_class text, p_code text, p_message text, p_retryable boolean)
returns worker_result language plpgsql as $$
declare
	h record;
	r worker_result;
	a attempts;
	g generations;
	starts int;
begin
	select * into h from worker_hold(p_attempt, p_token);
	r := h.r;
	a := h.a;
	g := h.g;
	if r.outcome <> 'held' then
		return r;
	end if;
	if a.status = 'failed' then
		r.outcome := 'already';
		return r;
	elsif a.status <> 'running' or p_worker is not null
		and a.worker_id is not null and a.worker_id <> p_worker then
		r.outcome := 'gone';
		return r;
	end if;
	update workers set failed = failed + 1, current_attempt = null,
		beat_at = now() where id = a.worker_id;
	starts := coalesce((a.refs->>'starts')::int, 0) + 1;
	if p_retryable and starts < 3 and not r.cancel then
		update attempts set status = 'submitted', worker_id = null,
			worker_beat_at = null, refs = refs
			|| jsonb_build_object('starts', starts) where id = p_attempt;
		r.outcome := 'requeued';
		select to_jsonb(w) into r.work from job_work w
			where w.job_id = r.job_id;
	else
		update attempts set status = 'failed', finished_at = now(),
			error_class = p_class, error_code = p_code,
			error_message = left(p_message, 2000) where id = p_attempt;
		r.outcome := 'failed';
	end if;
	return r;
end $$;

-- worker_jobs_lost: attempts whose worker has not been heard of for p_dead go
-- back to be offered (same attempt: our own GPUs cost nothing twice); at the
-- third loss they fail, so that a job that kills workers ends. One row each,
-- outcome requeued (put it on the list again) or failed.
create function worker_jobs_lost(p_dead interval, p_limit int)
returns setof worker_result language plpgsql as $$
declare
	c record;
	r worker_result;
begin
	update workers set state = 'lost', current_attempt = null
		where id in (select id from workers where state = 'online'
		and beat_at < now() - p_dead order by id for update skip locked);
	for c in select a.id, a.job_id from attempts a
		cross join lateral (select x.finished_at from jobs x
			where x.id = a.job_id offset 0) j
		where a.at_worker = 'running'
		and a.worker_beat_at < now() - p_dead and j.finished_at is null
		order by a.worker_beat_at limit p_limit loop
		perform from jobs where id = c.job_id for update skip locked;
		continue when not found;
		-- The job is held: whatever the worker did before is visible now.
		perform from attempts where id = c.id and status = 'running'
			and worker_beat_at < now() - p_dead for update;
		if found then
			r := worker_job_fail(c.id, null, null, 'worker', 'worker_lost',
				'The worker stopped answering.', true);
			return next r;
		end if;
	end loop;
end $$;

-- worker_results: attempts that workers ended while their job still polls.
create function worker_results(p_owner uuid, p_limit int)
returns setof job_work language sql stable as $$
	select w.* from job_work w where w.owner = p_owner
		and w.provider = 'worker' and w.step = 'poll'
		and w.attempt_status in ('succeeded', 'failed')
		order by w.job_id limit p_limit
$$;
