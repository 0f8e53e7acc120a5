-- The engine's side of a job: attempt, progress, end. ENGINE pool only.
-- job.owner is the fence: every function takes the caller's instance id and
-- answers `gone` (no g, nothing written) when the job is no longer its own or
-- has ended; the engine then drops the work silently. Who is the owner:
-- 05_claim.sql.

-- The job, locked, if p_owner has it still; else null. By its id alone: with
-- `finished_at is null` beside it, every job under way may be read (README).
create function job_hold(p_job uuid, p_owner uuid) returns jobs
language plpgsql as $$
declare
	j jobs;
begin
	select * into j from jobs where id = p_job for update;
	if j.owner is distinct from p_owner or j.finished_at is not null then
		return null;
	end if;
	return j;
end $$;

-- Retry policy per step (K6): submit never again unless surely not sent (3),
-- poll until the deadline, download and store 3 x 30 s then exponential.
create function job_tries_max(p_step text) returns int language sql immutable
as $$
	select case p_step when 'submit' then 3 when 'poll' then 2147483647
		when 'download' then 12 else 6 end
$$;

create function job_backoff(p_step text, p_tries int) returns interval
language sql volatile as $$
	select make_interval(secs => (0.5 + random()) * case
		when p_step = 'download' and p_tries <= 3 then 30
		when p_step = 'download' then least(30 * 2.0 ^ (p_tries - 3), 600)
		else least(5 * 2.0 ^ (p_tries - 1), 300) end)
$$;

-- job_requeue: the submit surely did not happen (429, 503, could not connect,
-- no credit there). p_counts = it used up a try (429 does not). p_delay_ms
-- null = the policy's; it is not waited when the job may go elsewhere.
-- p_leave = this route can't do it at all. p_account (a state: `held`, for
-- p_account_ms; `paused`, for p_account_ms; `broken`) is what its account
-- gets, with p_reason. A route whose tries are used up is left when there is
-- another one (attempt.fallback); which account, and which of the routes with
-- room, the next claim decides. Outcomes: requeued; exhausted (no route left,
-- nothing written: fail it); cancelled (the user asked meanwhile: ended and
-- refunded); gone (also when in review: a person may have seen it; fail it
-- instead; and when p_attempt was taken back before or the job has another
-- one: this call arrives late, and the attempt under way may have been paid
-- for; and when it is ambiguous: the job was in other hands, which may have
-- sent it too). An attempts_start whose answer was lost may still be on its
-- way too: its attempt is written as failed, so that it finds itself taken
-- back.
create function job_requeue(p_job uuid, p_owner uuid, p_attempt uuid,
	p_delay_ms int, p_counts boolean, p_code text, p_message text,
	p_leave boolean default false, p_account text default null,
	p_account_ms int default null, p_reason text default null)
returns move_result language plpgsql as $$
declare
	j jobs;
	g generations;
	r model_routes;
	spent boolean;
	elsewhere boolean;
begin
	j := job_hold(p_job, p_owner);
	if j.id is null or j.step <> 'submit' or j.attempt_id <> p_attempt
		or exists (select from attempts where id = p_attempt
			and status not in ('created', 'submitting')) then
		return generation_unchanged('gone', null);
	end if;
	select * into g from generations where id = j.generation_id for update;
	if g.status not in ('queued', 'processing', 'cancelling') then
		return generation_unchanged('gone', null);
	end if;
	spent := p_leave or p_counts and j.tries + 1 >= job_tries_max('submit');
	if g.status <> 'cancelling' and spent then
		r := route_next(g.model_id, j.routes_tried || g.route_id, null);
		if r.id is null then
			return generation_unchanged('exhausted', g.id);
		end if;
	end if;
	update attempts set status = 'failed', finished_at = now(),
		error_class = 'not_sent', error_code = p_code,
		error_message = left(p_message, 2000) where id = p_attempt
		and job_id = p_job and status in ('created', 'submitting');
	if not found and p_attempt is not null then
		insert into attempts (id, generation_id, job_id, user_id, number,
			route_id, provider, account_id, status, nonce, error_class,
			error_code, finished_at)
		select p_attempt, g.id, j.id, g.user_id, 1 + coalesce((select
			max(number) from attempts where generation_id = g.id), 0),
			g.route_id, g.provider, j.account_id, 'failed', p_attempt,
			'not_sent', p_code, now() on conflict (id) do nothing;
	end if;
	if p_account = 'held' then
		update provider_accounts set hold_until = greatest(hold_until,
			now() + make_interval(secs => p_account_ms / 1000.0))
			where id = j.account_id;
	elsif p_account is not null and exists (select from provider_accounts
		where id = j.account_id and (state = 'on'
		or state = 'paused' and paused_until <= now())) then
		perform account_pause(j.account_id, p_account, ms(now()
			+ make_interval(secs => p_account_ms / 1000.0)), p_reason, null);
	end if;
	if g.status = 'cancelling' then
		return generation_end(g.id, 'cancelled', 'cancelled', 'cancelled',
			'Cancelled.', null, true, 0);
	end if;
	elsewhere := spent or j.account_id is not null and (exists (select
		from provider_accounts a where a.provider = j.provider
		and a.id <> j.account_id and account_able(a))
		or exists (select from model_routes o where o.model_id = g.model_id
		and o.is_active and o.provider <> j.provider
		and o.id <> all (coalesce(j.routes_tried, '{}'))));
	update jobs set status = 'queued', owner = null, crash_count = 0,
		account_id = null, tries = case when spent then 0
		else tries + p_counts::int end,
		routes_tried = case when spent then routes_tried || g.route_id
		else routes_tried end,
		attempt_id = null, last_error = left(p_code, 200),
		eligible_at = case when spent or elsewhere and not p_counts then
		now() else now() + coalesce(
		make_interval(secs => p_delay_ms / 1000.0),
		job_backoff('submit', j.tries + 1)) end where id = p_job;
	if spent then
		perform job_reroute(p_job, r, p_code);
	end if;
	update generations set status = 'queued', stage = null,
		version = version + 1, updated_at = now(),
		deadline_at = coalesce(j.started_at, now()) + make_interval(secs =>
			config_int('video_queue_deadline_s', 21600))
		where id = g.id and status <> 'queued';
	if not found then
		return generation_unchanged('requeued', g.id);
	end if;
	return generation_result('requeued', g.id, 'generation.queued', null,
		null);
end $$;

-- job_step_retry: a download or store step failed and may be tried again by
-- the same owner. Never goes back to submit. Outcomes: retry (wait delay_ms);
-- exhausted (nothing written: review or fail it); gone.
create function job_step_retry(p_job uuid, p_owner uuid, p_error text,
	out outcome text, out tries int, out delay_ms bigint)
language plpgsql as $$
declare
	j jobs;
	d interval;
begin
	j := job_hold(p_job, p_owner);
	if j.id is null then
		outcome := 'gone';
		return;
	end if;
	tries := j.tries + 1;
	if tries >= job_tries_max(j.step) then
		outcome := 'exhausted';
		return;
	end if;
	d := job_backoff(j.step, tries);
	delay_ms := (extract(epoch from d) * 1000)::bigint;
	update jobs set tries = j.tries + 1, crash_count = 0,
		last_error = left(p_error, 500), eligible_at = now() + d
		where id = p_job;
	outcome := 'retry';
end $$;

-- job_step: the job goes on to p_step (download, store) with p_state to resume
-- from (file hash, object key). Outcomes: ok, gone.
create function job_step(p_job uuid, p_owner uuid, p_step text, p_state jsonb)
returns text language plpgsql as $$
declare
	j jobs := job_hold(p_job, p_owner);
begin
	if j.id is null or j.step not in ('download', 'store')
		or p_step not in ('download', 'store') then
		return 'gone';
	end if;
	update jobs set tries = case when step = p_step then tries else 0 end,
		step = p_step, state = state || coalesce(p_state, '{}'),
		status = 'running', crash_count = 0 where id = p_job;
	return 'ok';
end $$;

-- generation_enhancing: the prompt is being rewritten before the submit; people
-- see the stage. Writes nothing when it shows already. Outcomes: enhancing;
-- gone (lost, or cancelled meanwhile).
create function generation_enhancing(p_job uuid, p_owner uuid)
returns move_result language plpgsql as $$
declare
	gid uuid;
begin
	select generation_id into gid from jobs where id = p_job
		and owner = p_owner and status = 'running' and step = 'submit'
		for update;
	if not found or (select g.status from generations g where g.id = gid)
		is distinct from 'queued' then
		return generation_unchanged('gone', null);
	end if;
	update generations set stage = 'enhance', version = version + 1,
		updated_at = now() where id = gid and stage is distinct from
		'enhance';
	if not found then
		return generation_unchanged('enhancing', gid);
	end if;
	return generation_result('enhancing', gid, 'generation.stage', null,
		null);
end $$;

-- generation_enhanced: what became of the prompt, '' when it is used as it
-- was written. Kept before the submit, so that a new attempt sends the same.
-- Outcomes: enhanced; gone.
create function generation_enhanced(p_job uuid, p_owner uuid, p_prompt text)
returns text language plpgsql as $$
declare
	gid uuid;
begin
	select generation_id into gid from jobs where id = p_job
		and owner = p_owner and status = 'running' and step = 'submit'
		for update;
	if not found or (select g.status from generations g where g.id = gid)
		is distinct from 'queued' then
		return 'gone';
	end if;
	update generations set enhanced_prompt = p_prompt, updated_at = now()
		where id = gid;
	return 'enhanced';
end $$;

-- generations_progress: what polls brought, batched. Arrays by position; null
-- elements leave a column as it is; percent never goes back. Rows that are
-- locked, ended or not p_owner's are left out, which costs one progress step.
-- Returns the event to publish (not stored: the next one replaces it) and
-- whether the user asked to cancel.
create function generations_progress(p_owner uuid, p_ids uuid[],
	p_progress int[], p_basis text[], p_position int[], p_eta_low_s int[],
	p_eta_high_s int[]) returns table (generation_id uuid, version bigint,
	event json, cancel_requested boolean) language plpgsql as $$
begin
	return query
	with news as (
		select * from unnest(p_ids, p_progress, p_basis, p_position,
			p_eta_low_s, p_eta_high_s) as n(id, progress, basis, pos, low,
			high)
	), held as (
		select j.generation_id as id, j.owner, j.finished_at from jobs j
			where j.generation_id = any (p_ids) and j.kind = 'generate'
			order by j.id for update skip locked
	), moved as (
		update generations g set
			progress = greatest(g.progress, least(coalesce(n.progress, 0),
				100)),
			progress_basis = coalesce(n.basis, g.progress_basis),
			provider_position = n.pos, eta_low_s = n.low,
			eta_high_s = n.high, version = g.version + 1, updated_at = now()
		from news n join held on held.id = n.id and held.owner = p_owner
			and held.finished_at is null
		-- As text: by the status an index of all that are open may be read.
		where g.id = n.id and g.status::text in ('processing', 'cancelling',
			'finalizing', 'review')
		returning g
	)
	select (m.g).id, (m.g).version, json_build_object('type',
		'generation.progress', 'generation_id', (m.g).id, 'user_id',
		(m.g).user_id, 'version', (m.g).version, 'ts', ms(now()), 'data',
		generation_data(m.g)), (m.g).status = 'cancelling' from moved m;
end $$;

-- generation_finalizing: the provider has finished; only the download, store
-- and probe are left. A user's cancel that came too late does not stop it.
-- Outcomes: finalizing; gone.
create function generation_finalizing(p_job uuid, p_owner uuid,
	p_result_url text, p_expires_ms bigint, p_response jsonb,
	p_cost_micro_usd bigint) returns move_result language plpgsql as $$
declare
	j jobs;
	g generations;
begin
	j := job_hold(p_job, p_owner);
	if j.id is null or j.step not in ('submit', 'poll') then
		return generation_unchanged('gone', null);
	end if;
	select * into g from generations where id = j.generation_id for update;
	if g.status not in ('processing', 'cancelling', 'review') then
		return generation_unchanged('gone', null);
	end if;
	if g.status = 'review' then
		perform review_leave(g.id);
	end if;
	update attempts set status = 'succeeded', finished_at = now(),
		result_url = p_result_url, result_expires_at =
		to_timestamp(p_expires_ms / 1000.0), response = coalesce(p_response,
		response), cost_micro_usd = coalesce(p_cost_micro_usd,
		cost_micro_usd) where id = j.attempt_id;
	update jobs set status = 'running', step = 'download', tries = 0,
		crash_count = 0, last_error = null where id = p_job;
	update generations set status = 'finalizing', stage = 'download',
		version = version + 1, updated_at = now(),
		provider_position = null,
		deadline_at = now() + make_interval(secs => greatest(deadline_s,
		3600)) where id = g.id;
	return generation_result('finalizing', g.id, 'generation.finalizing',
		null, null);
end $$;

-- generation_result_url: a fresh link for a result being downloaded. Outcomes:
-- ok, gone.
create function generation_result_url(p_job uuid, p_owner uuid, p_url text,
	p_expires_ms bigint) returns text language plpgsql as $$
declare
	j jobs;
begin
	j := job_hold(p_job, p_owner);
	if j.id is null then
		return 'gone';
	end if;
	update attempts set result_url = p_url, result_expires_at =
		to_timestamp(p_expires_ms / 1000.0) where id = j.attempt_id;
	return 'ok';
end $$;

-- generation_finish: files are stored; asset rows, settlement and event in one
-- transaction. p_assets: [{id,role,kind,backend,bucket,key,mime,size_bytes,
-- sha256 (hex),width,height,duration_ms,fps,has_audio,codec,visibility}...];
-- p_settle: the measured price, null = the quote; never above the quote.
-- Outcomes: completed; gone.
create function generation_finish(p_job uuid, p_owner uuid, p_assets jsonb,
	p_video jsonb, p_settle bigint, p_cost_micro_usd bigint)
returns move_result language plpgsql as $$
declare
	j jobs;
	g generations;
	c charges;
	entry bigint;
	due bigint;
begin
	j := job_hold(p_job, p_owner);
	if j.id is null then
		return generation_unchanged('gone', null);
	end if;
	select * into g from generations where id = j.generation_id for update;
	if g.status not in ('processing', 'finalizing', 'cancelling', 'review')
	then
		return generation_unchanged('gone', null);
	end if;
	if g.status = 'review' then
		perform review_leave(g.id);
	end if;
	with a as (
		insert into assets (id, user_id, kind, backend, bucket, key, mime,
			size_bytes, sha256, width, height, duration_ms, fps, has_audio,
			codec, visibility)
		select coalesce(x.id, uuid7()), g.user_id, x.kind, x.backend,
			x.bucket, x.key, x.mime, x.size_bytes, decode(x.sha256, 'hex'),
			x.width, x.height, x.duration_ms, x.fps, x.has_audio, x.codec,
			coalesce(x.visibility, 'private')
		from jsonb_to_recordset(p_assets) as x(id uuid, kind text,
			backend text, bucket text, key text, mime text,
			size_bytes bigint, sha256 text, width int, height int,
			duration_ms bigint, fps real, has_audio boolean, codec text,
			visibility text)
		returning id, key
	)
	insert into generation_asset (generation_id, user_id, asset_id, role,
		ordinal)
	select g.id, g.user_id, a.id, x.role, row_number() over
		(partition by x.role order by a.id) - 1
	from a join jsonb_to_recordset(p_assets) as x(key text, role text)
		on x.key = a.key;

	update jobs set status = 'succeeded', owner = null, finished_at = now(),
		crash_count = 0, last_error = null where id = p_job;
	update attempts set status = 'succeeded', cost_micro_usd = coalesce(
		p_cost_micro_usd, cost_micro_usd), finished_at = coalesce(finished_at,
		now()) where id = j.attempt_id;
	select * into strict c from charges where generation_id = g.id;
	due := least(greatest(coalesce(p_settle, c.quote), 0), c.quote);
	update charges set state = case when due < c.quote
		then 'partially_refunded' else 'settled' end::charge_state,
		refunded = c.quote - due, settled = due, settled_at = now()
		where id = c.id;
	if due < c.quote then
		perform from accounts where user_id = c.user_id for update;
		perform grants_return(c.id, c.quote - due);
	end if;
	-- At once, as in generations_end().
	with ended as (update generations set status = 'completed', stage = null,
			progress = 100, version = version + 1, updated_at = now(),
			completed_at = now(), deadline_at = null,
			provider_position = null, eta_low_s = null, eta_high_s = null,
			video = p_video, media_state = case when exists (select
				from generation_asset where generation_id = g.id
				and role = 'video') then 'stored' else 'none' end,
			video_asset_id = (select asset_id from generation_asset
				where generation_id = g.id and role = 'video'
				and ordinal = 0),
			thumbnail_asset_id = (select asset_id from generation_asset
				where generation_id = g.id and role = 'thumbnail'
				and ordinal = 0)
			where id = g.id)
	insert into ledger_entry (user_id, type, amount, charge_id, note)
		select c.user_id, 'settle_refund', c.quote - due, c.id,
			'settled to measured use' where due < c.quote
		returning id into entry;
	return generation_result('completed', g.id, 'generation.completed',
		entry, user_promote(g.user_id));
end $$;

-- A definite failure, see generations_fail().
create type fail_item as (n int, job uuid, class text, code text,
	message text, provider_message text, retryable boolean, fee bigint,
	response jsonb, cost_micro_usd bigint);

-- generations_fail: definite failures; refunds all but the fee in the same
-- transaction. p_items is an array of fail_item objects; message is for the
-- user, provider_message for admins. Nobody waits long for a lock: there is no
-- row for a job that is locked by somebody, not p_owner's or ended; send it
-- again by itself, its member `alone` true. An account that is locked for a
-- second ends the transaction: send all again, `pass` with each, and there is
-- no row for those whose account is locked. Outcomes: failed; gone.
create function generations_fail(p_owner uuid, p_items jsonb) returns table (
	n int, outcome text, generation_id uuid, user_id uuid, event_type text,
	event_version bigint, event_ms bigint, event_data json, promoted jsonb,
	seqs bigint[], balance bigint, balance_version bigint)
language plpgsql set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off
set enable_mergejoin = off set enable_bitmapscan = off as $$
#variable_conflict use_column
declare
	items fail_item[] := array(select x from jsonb_populate_recordset(
		null::fail_item, p_items) x);
	ids uuid[] := array(select i.job from unnest(items) i order by i.job);
begin
	if (p_items->0->>'alone')::boolean then
		if (job_hold(ids[1], p_owner)).id is null then
			return query select items[1].n, 'gone', null::uuid, null::uuid,
				null, null::bigint, null::bigint, null::json, null::jsonb,
				null::bigint[], null::bigint, null::bigint;
			return;
		end if;
	else
		perform set_config('lock_timeout', '1s', true);
		ids := array(select j.id from unnest(ids) u cross join lateral (
			select x.id, x.owner, x.finished_at from jobs x where x.id = u
				offset 0 for update skip locked) j
			where j.owner = p_owner and j.finished_at is null);
	end if;
	if (p_items->0->>'pass')::boolean then
		perform from generations where id = any (array(select j.generation_id
			from jobs j where j.id = any (ids))) order by id for update;
		ids := array(select j.id from unnest(ids) u cross join lateral (
			select x.id, x.user_id from jobs x where x.id = u offset 0) j
			cross join lateral (select from accounts a
				where a.user_id = j.user_id offset 0 for update skip locked) a);
	end if;
	-- A result that cannot be stored was still a success at the provider.
	update attempts a set status = case a.status when 'succeeded'
		then a.status else 'failed' end,
		finished_at = coalesce(a.finished_at, now()), error_class = i.class,
		error_code = i.code, error_message = left(i.provider_message, 2000),
		response = coalesce(i.response, a.response),
		cost_micro_usd = coalesce(i.cost_micro_usd, a.cost_micro_usd)
		from unnest(items) i cross join lateral (select x.attempt_id
			from jobs x where x.id = i.job offset 0) j
		where i.job = any (ids) and a.id = j.attempt_id;
	return query select * from generations_end(array(select (i.n,
		j.generation_id, 'failed', i.class, i.code, i.message,
		left(i.provider_message, 2000), i.retryable, i.fee)::end_item
		from unnest(items) i cross join lateral (select x.generation_id
			from jobs x where x.id = i.job offset 0) j
		where i.job = any (ids) order by i.n));
end $$;

-- generation_cancelled: the provider confirmed the stop, or nothing had been
-- sent. Outcomes: cancelled; not_asked (nobody cancelled it); gone.
create function generation_cancelled(p_job uuid, p_owner uuid, p_fee bigint,
	p_cost_micro_usd bigint) returns move_result language plpgsql as $$
declare
	j jobs;
	g generations;
begin
	j := job_hold(p_job, p_owner);
	if j.id is null then
		return generation_unchanged('gone', null);
	end if;
	select * into g from generations where id = j.generation_id for update;
	if g.cancel_requested_at is null then
		return generation_unchanged('not_asked', g.id);
	end if;
	if g.status = 'finalizing' then
		return generation_unchanged('gone', null);
	end if;
	update attempts set status = 'cancelled', finished_at = now(),
		cost_micro_usd = coalesce(p_cost_micro_usd, cost_micro_usd)
		where id = j.attempt_id and status not in ('succeeded', 'failed');
	return generation_end(g.id, 'cancelled', 'cancelled', 'cancelled',
		'Cancelled.', null, true, p_fee);
end $$;

-- generation_review: outcome or money uncertain; the charge stays until
-- review_resolve(), a late answer, or video_review_s passes. The owner keeps
-- the job and may go on polling. Outcomes: review; gone.
create function generation_review(p_job uuid, p_owner uuid, p_code text,
	p_message text) returns move_result language plpgsql as $$
declare
	j jobs;
begin
	j := job_hold(p_job, p_owner);
	if j.id is null then
		return generation_unchanged('gone', null);
	end if;
	update generations set status = 'review', version = version + 1,
		review_at = now(), updated_at = now(), error_class = 'uncertain',
		error_code = p_code, error_message = p_message,
		error_retryable = false where id = j.generation_id
		and status in ('queued', 'processing', 'finalizing', 'cancelling');
	if not found then
		return generation_unchanged('gone', null);
	end if;
	update charges set state = 'in_review', reason = p_code
		where generation_id = j.generation_id and state = 'charged';
	return generation_result('review', j.generation_id, 'generation.review',
		null, user_promote(j.user_id));
end $$;
