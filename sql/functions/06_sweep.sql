-- Sweeps and decisions. ENGINE pool. Every instance runs every sweep; SKIP
-- LOCKED keeps them apart, and each ends jobs in user order (README, locks).

-- generations_checked: one page of generations whose check_at (0020) came
-- before their deadline, which is when they are looked at next. By itself,
-- before generations_overdue(): it holds generations without their jobs.
-- Returns how many.
create function generations_checked(p_limit int) returns int
language plpgsql as $$
declare
	n int;
begin
	perform set_config('enable_sort', 'off', true);
	update generations set check_at = deadline_at where id = any (array(
		select g.id from generations g where g.check_at < now()
			and g.deadline_at >= now() order by g.check_at, g.id
			limit p_limit for update skip locked));
	get diagnostics n = row_count;
	return n;
end $$;

-- generations_overdue: one page of generations past their deadline. Queued too
-- long, or on our own workers (whose work costs nothing twice): failed and
-- refunded. At a paid provider: review, because money is uncertain. Cancel
-- never confirmed: cancelled and refunded. Ambiguous submits whose wait is
-- over: review. In review for video_review_s: failed and refunded (0 = never;
-- a later success is kept as late_result). Returns one move_result each, no
-- rows when nothing is overdue; outcome = the new status, or `refused ...`
-- with its g: the books did not let it move; it is looked at again after five
-- minutes, so that it does not stand before the others.
create function generations_overdue(p_limit int) returns setof move_result
language plpgsql as $$
declare
	d record;
	keep_s int := config_int('video_review_s', 86400);
	due uuid[];
begin
	-- Each by the index that has them in order, not by one that has them all.
	perform set_config('enable_sort', 'off', true);
	due := array(select g.id from generations g where g.check_at < now()
			and g.deadline_at < now() order by g.check_at, g.id
			limit p_limit)
		|| array(select g.id from generations g where g.phase = 'review'
			and keep_s > 0 and g.review_at < now()
			- make_interval(secs => keep_s) order by g.review_at, g.id
			limit p_limit)
		|| array(select j.generation_id from jobs j
			where j.status = 'uncertain' and j.eligible_at < now()
			and (select g.status from generations g
			where g.id = j.generation_id) in ('processing', 'cancelling')
			order by j.eligible_at, j.id limit p_limit);
	perform set_config('enable_sort', 'on', true);
	if cardinality(due) = 0 then
		return;
	end if;
	for d in
		with locked as (
			select j.id, j.generation_id, j.user_id, j.owner, j.status,
				j.attempt_id, j.provider
			from jobs j where j.generation_id = any (due)
				and j.kind = 'generate'
			order by j.id for update skip locked
		)
		select * from locked order by user_id, id loop
		declare
			g generations;
			j jobs;
			m move_result;
		begin
			select * into g from generations where id = d.generation_id
				for update;
			-- Again, now that both rows are held.
			select * into j from jobs where id = d.id;
			continue when j.finished_at is not null or not (
				g.status <> 'review' and g.deadline_at < now()
				or g.status = 'review' and keep_s > 0 and g.review_at < now()
					- make_interval(secs => keep_s)
				or j.status = 'uncertain' and j.eligible_at < now()
					and g.status in ('processing', 'cancelling'));
			if g.status = 'review' then
				m := generation_end(g.id, 'failed', 'uncertain',
					'unresolved', 'The provider never gave a clear answer.',
					null, true, 0);
			elsif g.status = 'cancelling' then
				update attempts set status = 'cancelled', finished_at = now()
					where id = j.attempt_id
					and status not in ('succeeded', 'failed', 'ambiguous');
				m := generation_end(g.id, 'cancelled', 'cancelled',
					'cancelled', 'Cancelled.', null, true, 0);
			elsif g.status in ('queued', 'pending', 'awaiting_approval') then
				m := generation_end(g.id, 'failed', 'timeout',
					'queue_timeout', 'It waited too long to start.', null,
					true, 0);
			elsif j.provider = 'worker' and g.status = 'processing' then
				update attempts set status = 'failed', finished_at = now(),
					error_class = 'timeout', error_code = 'deadline'
					where id = j.attempt_id and status <> 'succeeded';
				m := generation_end(g.id, 'failed', 'timeout',
					'deadline', 'It took too long.', null, true, 0);
			else
				update generations set status = 'review',
					version = version + 1, review_at = now(),
					updated_at = now(), error_class = 'uncertain',
					error_code = case when j.status = 'uncertain'
						then 'submit_unknown' else 'deadline' end,
					error_message = 'Past its deadline without a clear '
						'answer from the provider.',
					error_retryable = false where id = g.id;
				update charges set state = 'in_review', reason = 'overdue'
					where generation_id = g.id and state = 'charged';
				m := generation_result('review', g.id,
					'generation.review', null, user_promote(g.user_id));
			end if;
			return next m;
		exception when others then
			m := generation_unchanged(refusal(sqlstate, sqlerrm), g.id);
			update jobs set eligible_at = now() + interval '5 minutes'
				where id = d.id and status = 'uncertain';
			update generations set deadline_at = case when deadline_at < now()
				then now() + interval '5 minutes' else deadline_at end,
				review_at = case when status = 'review' then greatest(
				review_at, now() - make_interval(secs => keep_s)
				+ interval '5 minutes') end where id = g.id;
			return next m;
		end;
	end loop;
end $$;

-- generations_promote: safety net behind the promotion that every end does;
-- also what makes a raised limit take effect. One row per user with news.
create function generations_promote(p_limit int)
returns table (user_id uuid, promoted jsonb) language plpgsql as $$
begin
	-- From one user to the next in the index of what is pending.
	for user_id in with recursive who as (
			(select g.user_id from generations g where g.phase = 'pending'
				order by g.user_id limit 1)
			union all
			select (select g.user_id from generations g
				where g.phase = 'pending' and g.user_id > w.user_id
				order by g.user_id limit 1)
			from who w where w.user_id is not null)
		select w.user_id from who w join lateral (select u.concurrent_limit,
			a.active from accounts a join users u on u.id = a.user_id
			where a.user_id = w.user_id and a.waiting > 0 offset 0) x on true
		where x.active < coalesce(x.concurrent_limit,
			config_int('video_concurrent_limit', 3))
		order by w.user_id limit p_limit loop
		promoted := user_promote(user_id);
		if promoted is not null then
			return next;
		end if;
	end loop;
end $$;

-- review_resolve: an admin decides. refund: failed and refunded. charge: the
-- price stands, completed without media. deliver: go on from what the attempt
-- knows (its result link: download; its provider id: poll). p_generation must
-- be in review. Outcomes: refunded, charged, delivering (wake the adopters),
-- no_result (nothing to deliver from), not_review, bad_action, not_found.
create function review_resolve(p_generation uuid, p_action text,
	p_actor uuid, p_note text) returns move_result language plpgsql as $$
declare
	g generations;
	a attempts;
	m move_result;
begin
	if p_action not in ('charge', 'refund', 'deliver') then
		return generation_unchanged('bad_action', null);
	end if;
	perform from jobs where generation_id = p_generation
		and kind = 'generate' for update;
	select * into g from generations where id = p_generation for update;
	if not found then
		return generation_unchanged('not_found', null);
	end if;
	if g.status <> 'review' then
		return generation_unchanged('not_review', g.id);
	end if;
	select at.* into a from attempts at join jobs j on j.attempt_id = at.id
		where j.generation_id = g.id and j.kind = 'generate';
	if p_action = 'deliver' and a.result_url is null
		and a.provider_job_id is null then
		return generation_unchanged('no_result', g.id);
	end if;
	insert into audit_log (actor_id, actor_kind, action, target_type,
		target_id, after) values (p_actor, case when p_actor is null
		then 'system' else 'user' end, 'review.' || p_action, 'generation',
		g.id, jsonb_build_object('note', p_note));
	if p_action = 'refund' then
		m := generation_end(g.id, 'failed', 'uncertain', 'refunded',
			'Refunded after review.', null, true, 0);
		m.outcome := 'refunded';
		return m;
	end if;
	perform review_leave(g.id);
	if p_action = 'charge' then
		update jobs set status = 'succeeded', owner = null,
			finished_at = now() where generation_id = g.id
			and kind = 'generate';
		update charges set state = 'settled', settled = quote,
			settled_at = now(), reason = 'review'
			where generation_id = g.id;
		update generations set status = 'completed', stage = null,
			version = version + 1, updated_at = now(), completed_at = now(),
			deadline_at = null where id = g.id;
		return generation_result('charged', g.id, 'generation.completed',
			null, user_promote(g.user_id));
	end if;
	update jobs set owner = null, tries = 0, crash_count = 0,
		step = case when a.result_url is not null then 'download'
			else 'poll' end,
		status = case when a.result_url is not null then 'running'
			else 'waiting' end::job_status
		where generation_id = g.id and kind = 'generate';
	update attempts set status = case when a.result_url is not null
		then 'succeeded' else 'submitted' end::attempt_status
		where id = a.id;
	update generations set status = case when a.result_url is not null
		then 'finalizing' else 'processing' end::generation_status,
		stage = case when a.result_url is not null then 'download'
		else 'generate' end, version = version + 1, updated_at = now(),
		deadline_at = now() + make_interval(secs => deadline_s)
		where id = g.id;
	return generation_result('delivering', g.id, 'generation.updated', null,
		null);
end $$;

-- provider_pause / provider_resume: claims stop at once, jobs under way go on.
-- p_until null = until resumed. Outcomes: ok, not_found.
create function provider_pause(p_provider text, p_until_ms bigint,
	p_reason text, p_actor uuid) returns text language plpgsql as $$
begin
	update providers set state = 'paused', paused_until =
		to_timestamp(p_until_ms / 1000.0), paused_reason = p_reason,
		updated_at = now() where name = p_provider;
	if not found then
		return 'not_found';
	end if;
	insert into audit_log (actor_id, actor_kind, action, target_type,
		target_id, after) values (p_actor, case when p_actor is null
		then 'system' else 'user' end, 'provider.pause', 'provider',
		p_provider, jsonb_build_object('reason', p_reason, 'until_ms',
		p_until_ms));
	return 'ok';
end $$;

create function provider_resume(p_provider text, p_actor uuid) returns text
language plpgsql as $$
begin
	update providers set state = 'on', paused_until = null,
		paused_reason = null, updated_at = now() where name = p_provider;
	if not found then
		return 'not_found';
	end if;
	insert into audit_log (actor_id, actor_kind, action, target_type,
		target_id) values (p_actor, case when p_actor is null then 'system'
		else 'user' end, 'provider.resume', 'provider', p_provider);
	return 'ok';
end $$;

-- instance_start: p_id is random per process start, never reused.
create function instance_start(p_id uuid, p_name text, p_version text)
returns void language sql as $$
	insert into instances (id, name, version) values (p_id, p_name, p_version);
$$;

-- instance_beat: every 5 s. False: this instance was stopped or forgotten; it
-- owns nothing any more and must restart under a new id.
create function instance_beat(p_id uuid) returns boolean language plpgsql
as $$
begin
	update instances set beat_at = now() where id = p_id
		and stopped_at is null;
	return found;
end $$;

-- instance_stop: after job_release. Forgets old instances on the way.
create function instance_stop(p_id uuid) returns void language sql as $$
	update instances set stopped_at = now() where id = p_id;
	delete from instances i where beat_at < now() - interval '1 day'
		and i.id <> p_id
		and not exists (select from jobs where owner = i.id);
$$;

-- queue_position: how many queued jobs of the provider come before this one,
-- 1 = next; null when it is not queued, at most 1001. Counts everybody's jobs,
-- so it is asked as their owner; it tells a number, never a row.
create function queue_position(p_id uuid) returns int
language plpgsql stable security definer as $$
begin
	return (select (select count(*) from (select from jobs o
			where o.status = 'queued' and o.provider = j.provider
			and (o.priority, o.eligible_at, o.id)
			<= (j.priority, j.eligible_at, j.id) limit 1001) x)
		from jobs j where j.generation_id = p_id and j.kind = 'generate'
			and j.status = 'queued');
end $$;
do $$
begin
	-- Not what somebody calls jobs in his own schema.
	execute format('alter function queue_position(uuid) set search_path = '
		'%I, pg_temp', current_schema());
end $$;

-- outbox_pending: events older than p_age that nobody said were published.
create function outbox_pending(p_age interval, p_limit int)
returns table (seq bigint, event json, balance_event json)
language sql stable as $$
	select o.seq, event_json(l.e), balance_json((l.e).user_id, (l.e).balance,
		(l.e).balance_version, (l.e).created_at)
	from outbox o cross join lateral (select e from events e
			where e.seq = o.seq offset 0) l
		where (l.e).created_at < now() - p_age order by o.seq limit p_limit
$$;

-- outbox_sent: they are published; returns how many were not yet.
create function outbox_sent(p_seqs bigint[]) returns int language plpgsql
as $$
declare
	n int;
begin
	delete from outbox where seq in (select seq from outbox
		where seq = any (p_seqs) order by seq for update skip locked);
	get diagnostics n = row_count;
	return n;
end $$;

-- events_prune: drops published events older than p_keep whose generation has
-- ended; a page at a time, returns how many. It looks at the oldest only, ten
-- pages of them, so that it never reads all that is young.
create function events_prune(p_keep interval, p_limit int) returns int
language plpgsql as $$
declare
	n int;
begin
	delete from events where seq in (select o.seq from (select e.seq,
			e.created_at, e.generation_id
			from events e order by e.seq limit 10 * p_limit) o
		where o.created_at < now() - p_keep
		and not exists (select from outbox x where x.seq = o.seq)
		and not exists (select from generations g where g.id = o.generation_id
			and g.phase not in ('completed', 'ill'))
		order by o.seq limit p_limit);
	get diagnostics n = row_count;
	return n;
end $$;
