-- How a generation ends and what that sets in motion. Internal: called by the
-- functions of 04..06 with the job row (if there is one) already locked.

-- Lets the user's oldest pending generations into the queue while there is
-- room. Skips a job that somebody holds: whoever holds it is ending it, and
-- promotes in turn. Returns [{seq,event}...] or null.
create function user_promote(p_user uuid) returns jsonb language plpgsql as $$
declare
	a accounts;
	room int;
	p record;
	e events;
	res jsonb;
begin
	select * into a from accounts where user_id = p_user for update;
	if a.waiting = 0 then
		return null;
	end if;
	select coalesce(u.concurrent_limit,
		config_int('video_concurrent_limit', 3)) - a.active into room
		from users u where u.id = p_user;
	if room <= 0 then
		return null;
	end if;
	for p in select j.id, j.generation_id from generations g
		join jobs j on j.generation_id = g.id and j.kind = 'generate'
		where g.user_id = p_user and g.status = 'pending'
		and j.status = 'scheduled'
		order by g.created_at, g.id limit room
		for update of j skip locked loop
		update jobs set status = 'queued', eligible_at = now()
			where id = p.id;
		update generations set status = 'queued', version = version + 1,
			updated_at = now(), deadline_at = now() + make_interval(secs =>
			config_int('video_queue_deadline_s', 21600))
			where id = p.generation_id;
		insert into events (type, user_id, generation_id, version, data)
			select 'generation.queued', g.user_id, g.id, g.version,
			generation_data(g) from generations g where g.id = p.generation_id
			returning * into e;
		res := coalesce(res, '[]') || jsonb_build_object('seq', e.seq,
			'event', event_json(e));
	end loop;
	return res;
end $$;

-- Ends generation p_id as failed or cancelled: status, job, refund of all but
-- p_fee, promotion, event; one transaction, so all or nothing.
create function generation_end(p_id uuid, p_status generation_status,
	p_class text, p_code text, p_message text, p_provider_message text,
	p_retryable boolean, p_fee bigint) returns move_result
language plpgsql as $$
declare
	c charges;
	entry bigint;
	n int;
begin
	p_fee := greatest(coalesce(p_fee, 0), 0);
	update generations set status = p_status, version = version + 1,
		completed_at = now(), updated_at = now(), deadline_at = null,
		error_class = p_class, error_code = p_code,
		error_message = p_message, provider_message = p_provider_message,
		error_retryable = p_retryable, provider_position = null
		where id = p_id
		and status not in ('completed', 'failed', 'cancelled');
	if not found then
		raise exception 'generation %: ended twice', p_id
			using errcode = 'P0002';
	end if;
	update jobs set status = case p_status when 'failed' then 'failed'
		else 'cancelled' end::job_status, owner = null, finished_at = now(),
		last_error = p_code where generation_id = p_id
		and finished_at is null;
	update charges set fee = least(p_fee, quote),
		refunded = quote - least(p_fee, quote),
		state = case when least(p_fee, quote) > 0 then 'partially_refunded'
		else 'refunded' end::charge_state, reason = p_code,
		settled_at = now() where generation_id = p_id returning * into c;
	get diagnostics n = row_count;
	if n = 1 then
		entry := charge_give_back(c.id, c.user_id, c.refunded,
			'video_refund', p_code);
	end if;
	return generation_result(p_status::text, p_id, 'generation.' || p_status,
		entry, user_promote((select user_id from generations
			where id = p_id)));
end $$;

-- For sweeps that end several generations: what would be checked at commit is
-- checked now, so that one bad row is refused by itself.
create function rules_now() returns void language plpgsql as $$
begin
	set constraints all immediate;
	set constraints all deferred;
end $$;

-- The outcome of a row that was refused; what is no refusal goes on up.
create function refusal(p_state text, p_message text) returns text
language plpgsql as $$
begin
	if p_state !~ '^(23|P0)' then
		raise exception using errcode = p_state, message = p_message;
	end if;
	return 'refused ' || left(p_message, 200);
end $$;

-- A generation leaves review alive: its note and its charge's mark go.
create function review_leave(p_id uuid) returns void language sql as $$
	update generations set review_at = null, error_class = null,
		error_code = null, error_message = null, error_retryable = null
		where id = p_id;
	update charges set state = 'charged', reason = null
		where generation_id = p_id and state = 'in_review';
$$;

-- The result of a call that changed nothing.
create function generation_unchanged(p_outcome text, p_id uuid)
returns move_result language plpgsql stable as $$
declare
	res move_result;
begin
	res.outcome := p_outcome;
	if p_id is not null then
		select gp into res.g from generation_public gp where gp.id = p_id;
	end if;
	return res;
end $$;
