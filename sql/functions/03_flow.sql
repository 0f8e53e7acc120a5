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

-- An end: failed or cancelled. fee null = nothing is kept.
create type end_item as (n int, id uuid, status generation_status, class text,
	code text, message text, provider_message text, retryable boolean,
	fee bigint);
create type back_item as (n int, charge uuid, user_id uuid, credits bigint,
	note text);
create type entry_item as (n int, id bigint, user_id uuid,
	balance_after bigint, created_at timestamptz);

-- Ends generations as failed or cancelled: status, job, refund of all but the
-- fee, promotion, event; one transaction, so all or nothing. The caller holds
-- the job rows. n counts from 1; several of one user are taken in its order.
-- promoted is with the last of the user. Plans as in submit_all().
create function generations_end(p_items end_item[]) returns table (n int,
	outcome text, event_seq bigint, event jsonb, balance_event jsonb,
	promoted jsonb, seqs bigint[], balance bigint)
language plpgsql set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off
set enable_mergejoin = off as $$
#variable_conflict use_column
declare
	users uuid[];
	twice uuid;
	ended int;
	backs back_item[];
	entries entry_item[];
	news jsonb[]; -- of each user: what was let into the queue
begin
	with g as materialized (
		select x.* from unnest(p_items) i cross join lateral (
			select y.id, y.user_id, y.status from generations y
			where y.id = i.id offset 0 for update) x
	)
	select array(select distinct user_id from g order by user_id),
		(select id from g where status in ('completed', 'failed',
		'cancelled') limit 1) into users, twice;
	if twice is not null then
		raise exception 'generation %: ended twice', twice
			using errcode = 'P0002';
	end if;
	perform from accounts where user_id = any (users) order by user_id
		for update;
	update generations g set status = i.status, version = g.version + 1,
		completed_at = now(), updated_at = now(), deadline_at = null,
		error_class = i.class, error_code = i.code,
		error_message = i.message, provider_message = i.provider_message,
		error_retryable = i.retryable, provider_position = null
		from unnest(p_items) i where g.id = i.id;
	get diagnostics ended = row_count;
	if ended <> cardinality(p_items) then
		raise exception 'generations: % of % to be ended are there', ended,
			cardinality(p_items) using errcode = 'P0002';
	end if;
	update jobs j set status = case i.status when 'failed' then 'failed'
		else 'cancelled' end::job_status, owner = null, finished_at = now(),
		last_error = i.code
		from unnest(p_items) i cross join lateral (select x.id, x.finished_at
			from jobs x where x.generation_id = i.id and x.kind = 'generate'
			offset 0) x
		where x.finished_at is null and j.id = x.id;
	with changed as (
		update charges c set fee = f.fee, refunded = c.quote - f.fee,
			state = case when f.fee > 0 then 'partially_refunded'
			else 'refunded' end::charge_state, reason = i.code,
			settled_at = now()
		from unnest(p_items) i cross join lateral (select least(greatest(
			coalesce(i.fee, 0), 0), x.quote) as fee from charges x
			where x.generation_id = i.id offset 0) f
		where c.generation_id = i.id
		returning i.n, c.id, c.user_id, c.refunded, i.code
	)
	select array_agg((k.n, k.id, k.user_id, k.refunded, k.code)::back_item
		order by k.n) into backs from changed k where k.refunded > 0;
	if backs is not null then
		perform grants_return(b.charge, b.credits) from unnest(backs) b
			where exists (select from grant_use u
				where u.charge_id = b.charge offset 0);
		with made as (
			insert into ledger_entry (user_id, type, amount, charge_id, note,
				balance_after)
			select b.user_id, 'video_refund', b.credits, b.charge,
				left(b.note, 1000), a.balance + sum(b.credits) over
				(partition by b.user_id order by b.n)
			from unnest(backs) b left join lateral (select x.balance
				from accounts x where x.user_id = b.user_id offset 0)
				a on true order by b.n
			returning id, user_id, charge_id, balance_after, created_at
		)
		select array_agg((b.n, m.id, m.user_id, m.balance_after,
			m.created_at)::entry_item) into entries
			from made m join unnest(backs) b on b.charge = m.charge_id;
	end if;
	news := array(select user_promote(u) from unnest(users) u);
	return query with told as (
		insert into events (type, user_id, generation_id, version, data,
			balance, balance_version)
		select 'generation.' || i.status, x.user_id, i.id, x.version, x.data,
			l.balance_after, l.id
		from unnest(p_items) i cross join lateral (
				select s.user_id, s.version, generation_data(s) as data
				from generations s where s.id = i.id offset 0) x
			left join unnest(entries) l on l.n = i.n order by i.n
		returning generation_id, user_id, seq, event_json(events) as event
	)
	select x.n, x.status::text, x.seq, x.event, balance_json(l.user_id,
		l.balance_after, l.id, l.created_at), x.news, array[x.seq] || array(
		select (e->>'seq')::bigint from jsonb_array_elements(x.news) e),
		l.balance_after
	from (select i.n, i.status, t.seq, t.event, case when lead(i.n) over
				(partition by t.user_id order by i.n) is null then
				news[array_position(users, t.user_id)] end as news
			from unnest(p_items) i join told t on t.generation_id = i.id) x
		left join unnest(entries) l on l.n = x.n
	order by x.n;
end $$;

-- generations_end of one.
create function generation_end(p_id uuid, p_status generation_status,
	p_class text, p_code text, p_message text, p_provider_message text,
	p_retryable boolean, p_fee bigint) returns move_result
language plpgsql as $$
declare
	res move_result;
begin
	select e.outcome, e.event_seq, e.event, e.balance_event, e.promoted,
		e.seqs, e.balance into res.outcome, res.event_seq, res.event,
		res.balance_event, res.promoted, res.seqs, res.balance
		from generations_end(array[(1, p_id, p_status, p_class, p_code,
		p_message, p_provider_message, p_retryable, p_fee)::end_item]) e;
	select gp into res.g from generation_public gp where gp.id = p_id;
	return res;
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
