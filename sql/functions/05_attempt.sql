-- Attempts: one real submission to a provider each. ENGINE pool only; the fence
-- is that of 05_job.sql.

-- An attempt to be opened. request is already redacted. The rest is what
-- attempts_start() finds out.
create type start_item as (n int, job uuid, attempt uuid, nonce uuid,
	token_hash text, account uuid, request jsonb, cost_micro_usd bigint,
	generation uuid, user_id uuid, route uuid, provider text, number int);

-- attempts_start: BEFORE a byte leaves for the provider. Writes each attempt as
-- `submitting` with its nonce; the generation becomes processing and its
-- provider deadline starts. p_items is an array of start_item objects
-- (token_hash in hexadecimal). Nobody waits for a job: there is no row for one
-- that is locked by somebody or gone; send it again, its member `alone` true.
-- Outcomes: started; gone (lost, cancelled meanwhile, or taken
-- back by a job_requeue that overtook it).
create function attempts_start(p_owner uuid, p_items jsonb) returns table (
	n int, outcome text, generation_id uuid, user_id uuid, event_type text,
	event_version bigint, event_ms bigint, event_data json, seqs bigint[])
language plpgsql set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off
set enable_mergejoin = off set enable_bitmapscan = off as $$
#variable_conflict use_column
declare
	items start_item[] := array(select x from jsonb_populate_recordset(
		null::start_item, p_items) x);
	ids uuid[] := array(select i.job from unnest(items) i order by i.job);
	first int := items[1].n;
	alone boolean := coalesce((p_items->0->>'alone')::boolean, false);
begin
	if alone then
		perform from jobs where id = ids[1] for update;
	end if;
	ids := array(select j.id from unnest(ids) u cross join lateral (
		select x.id, x.owner, x.status, x.step from jobs x where x.id = u
			offset 0 for update skip locked) j
		where j.owner = p_owner and j.status = 'running'
		and j.step = 'submit');
	perform from generations where id = any (array(select generation_id
		from jobs where id = any (ids))) order by id for update;
	items := array(select (i.n, i.job, i.attempt, i.nonce, i.token_hash,
			coalesce(i.account, j.account_id), i.request, i.cost_micro_usd,
			g.id, g.user_id, g.route_id, g.provider, 1 + coalesce((select
			max(a.number) from attempts a where a.generation_id = g.id),
			0))::start_item
		from unnest(items) i cross join lateral (select x.generation_id,
				x.account_id from jobs x where x.id = i.job offset 0) j
			cross join lateral (select x.id, x.user_id, x.route_id,
				x.provider, x.status from generations x
				where x.id = j.generation_id offset 0) g
		where i.job = any (ids) and g.status = 'queued' and not exists (
			select from attempts a where a.id = i.attempt offset 0)
		order by i.n);
	if cardinality(items) = 0 then
		return query select first, 'gone', null::uuid, null::uuid, null,
			null::bigint, null::bigint, null::json, null::bigint[]
			where alone;
		return;
	end if;
	insert into attempts (id, generation_id, job_id, user_id, number, route_id,
		provider, account_id, status, nonce, token_hash, request,
		cost_quoted_micro_usd)
	select i.attempt, i.generation, i.job, i.user_id, i.number, i.route,
		i.provider, i.account, 'submitting', i.nonce,
		decode(i.token_hash, 'hex'), i.request, i.cost_micro_usd
	from unnest(items) i;
	update jobs j set attempt_id = i.attempt from unnest(items) i
		where j.id = i.job;
	update generations g set status = 'processing', stage = 'submit',
		version = g.version + 1, updated_at = now(),
		started_at = coalesce(g.started_at, now()),
		deadline_at = now() + make_interval(secs => g.deadline_s)
		from unnest(items) i where g.id = i.generation;
	return query with told as (
		insert into events (type, user_id, generation_id, version, data)
		select 'generation.processing', x.user_id, i.generation, x.version,
			x.data
		from unnest(items) i cross join lateral (
			select s.user_id, s.version, generation_data(s) as data
			from generations s where s.id = i.generation offset 0) x
		order by i.n
		returning *
	)
	select i.n, 'started', t.generation_id, t.user_id, t.type,
			t.version, ms(t.created_at), t.data, array[t.seq]
		from unnest(items) i join told t on t.generation_id = i.generation
		order by i.n;
end $$;

-- The answer to a submit. The rest is what attempts_submitted() finds out.
create type submitted_item as (n int, attempt uuid, provider_job_id text,
	refs jsonb, position int, job uuid, generation uuid,
	was generation_status);

-- attempts_submitted: the provider answered with its id; from here the job only
-- polls. Also called when a callback or a look-up finds an uncertain submit.
-- p_items is an array of submitted_item objects. Nobody waits for a job: there
-- is no row for one that is locked by somebody or gone; send it again, its
-- member `alone` true. Outcomes: submitted; cancelling (stored, and the user
-- wants it stopped); gone.
create function attempts_submitted(p_owner uuid, p_items jsonb) returns table (
	n int, outcome text, generation_id uuid, user_id uuid, event_type text,
	event_version bigint, event_ms bigint, event_data json, seqs bigint[])
language plpgsql set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off
set enable_mergejoin = off set enable_bitmapscan = off as $$
#variable_conflict use_column
declare
	items submitted_item[] := array(select x from jsonb_populate_recordset(
		null::submitted_item, p_items) x);
	first int := items[1].n;
	alone boolean := coalesce((p_items->0->>'alone')::boolean, false);
	ids uuid[];
	moved int;
begin
	items := array(select (i.n, i.attempt, i.provider_job_id, i.refs,
			i.position, a.job_id, null, null)::submitted_item
		from unnest(items) i cross join lateral (select x.job_id
			from attempts x where x.id = i.attempt offset 0) a);
	if alone then
		perform from jobs where id = items[1].job for update;
	end if;
	ids := array(select j.id from (select o.job, o.attempt
			from unnest(items) o order by o.job offset 0) i
		cross join lateral (select x.id, x.owner, x.finished_at, x.step,
			x.attempt_id from jobs x where x.id = i.job offset 0
			for update skip locked) j
		where j.owner = p_owner and j.finished_at is null
		and j.step = 'submit' and j.attempt_id = i.attempt);
	perform from generations where id = any (array(select generation_id
		from jobs where id = any (ids))) order by id for update;
	items := array(select (i.n, i.attempt, i.provider_job_id, i.refs,
			i.position, i.job, g.id, g.status)::submitted_item
		from unnest(items) i cross join lateral (select x.generation_id
				from jobs x where x.id = i.job offset 0) j
			cross join lateral (select x.id, x.status from generations x
				where x.id = j.generation_id offset 0) g
		where i.job = any (ids) and g.status in ('processing', 'cancelling',
			'review') order by i.n);
	if cardinality(items) = 0 then
		return query select first, 'gone', null::uuid, null::uuid, null,
			null::bigint, null::bigint, null::json, null::bigint[]
			where alone;
		return;
	end if;
	perform review_leave(i.generation) from unnest(items) i
		where i.was = 'review';
	update attempts a set status = 'submitted', submitted_at = now(),
		provider_job_id = i.provider_job_id, refs = a.refs
		|| coalesce(i.refs, '{}'), provider_position = i.position,
		response = null from unnest(items) i where a.id = i.attempt;
	update jobs j set status = 'waiting', step = 'poll', tries = 0,
		crash_count = 0, last_error = null from unnest(items) i
		where j.id = i.job;
	get diagnostics moved = row_count;
	if moved <> cardinality(items) then
		raise exception 'attempts: only % of % are different ones', moved,
			cardinality(items) using errcode = 'P0002';
	end if;
	update generations g set version = g.version + 1, stage = 'generate',
		status = case when i.was = 'review' then 'processing' else g.status
		end, provider_position = i.position, updated_at = now(),
		deadline_at = case when i.was = 'review' then now()
		+ make_interval(secs => g.deadline_s) else g.deadline_at end
		from unnest(items) i where g.id = i.generation;
	return query with told as (
		insert into events (type, user_id, generation_id, version, data)
		select 'generation.stage', x.user_id, i.generation, x.version,
			x.data
		from unnest(items) i cross join lateral (
			select s.user_id, s.version, generation_data(s) as data
			from generations s where s.id = i.generation offset 0) x
		order by i.n
		returning *
	)
	select i.n, case when i.was = 'cancelling' then 'cancelling'
			else 'submitted' end, t.generation_id, t.user_id, t.type,
			t.version, ms(t.created_at), t.data, array[t.seq]
		from unnest(items) i join told t on t.generation_id = i.generation
		order by i.n;
end $$;

-- attempt_uncertain: the submit's answer was lost. p_wait_s > 0: the attempt
-- is ambiguous and the job waits that long for a callback or look-up before
-- generations_overdue() sends it to review; 0: review now. (A provider whose
-- policy is to refund: call generations_fail instead, the attempt stays known
-- by its nonce.) Outcomes: uncertain, review, gone.
create function attempt_uncertain(p_attempt uuid, p_owner uuid, p_wait_s int,
	p_message text) returns move_result language plpgsql as $$
declare
	j jobs;
begin
	j := job_hold((select job_id from attempts where id = p_attempt), p_owner);
	if j.id is null or j.attempt_id is distinct from p_attempt
		or j.step <> 'submit' then
		return generation_unchanged('gone', null);
	end if;
	update attempts set status = 'ambiguous',
		error_message = left(p_message, 2000) where id = p_attempt
		and status in ('submitting', 'ambiguous');
	if not found then
		return generation_unchanged('gone', null);
	end if;
	update jobs set status = 'uncertain', crash_count = 0,
		last_error = left(p_message, 500),
		eligible_at = now() + make_interval(secs => p_wait_s)
		where id = j.id;
	if p_wait_s <= 0 then
		return generation_review(j.id, p_owner, 'submit_unknown',
			'It is not known whether the provider took the request.');
	end if;
	return generation_unchanged('uncertain', j.generation_id);
end $$;

-- attempt_late: a definite answer for a generation that has already ended.
-- Stored for the books, changes nothing else. Outcomes: stored; not_late (use
-- the normal functions); not_found.
create function attempt_late(p_attempt uuid, p_result jsonb,
	p_cost_micro_usd bigint) returns text language plpgsql as $$
declare
	ended boolean;
begin
	select g.status in ('completed', 'failed', 'cancelled') into ended
		from attempts a join generations g on g.id = a.generation_id
		where a.id = p_attempt;
	if not found then
		return 'not_found';
	elsif not ended then
		return 'not_late';
	end if;
	update attempts set late_result = p_result, cost_micro_usd = coalesce(
		p_cost_micro_usd, cost_micro_usd) where id = p_attempt;
	return 'stored';
end $$;

