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
		where g.user_id = p_user and g.phase = 'pending'
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

-- Ends generations as failed or cancelled: status, job, refund of all but the
-- fee, promotion, event; one transaction, so all or nothing. The caller holds
-- the job rows. n counts from 1; several of one user are taken in its order.
-- promoted is with the last of the user. Statements as in submit_all().
create function generations_end(p_items end_item[]) returns table (n int,
	outcome text, generation_id uuid, user_id uuid, event_type text,
	event_version bigint, event_ms bigint, event_data json, promoted jsonb,
	seqs bigint[], balance bigint, balance_version bigint)
language plpgsql set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off
set enable_mergejoin = off set enable_bitmapscan = off as $$
declare
	many int := cardinality(p_items);
	k int;
	whose int;
	users uuid[];
	balances bigint[];
	-- of each item
	ids uuid[] := array(select f.id from unnest(p_items) with ordinality f
		order by f.ordinality);
	owners uuid[];
	charges uuid[] := array_fill(null::uuid, array[many]);
	back bigint[] := '{}'; -- what its user gets back
	entries bigint[] := '{}'; -- the ledger's entry of that
	leaves bigint[] := '{}'; -- the balance after it
	news jsonb[] := '{}'; -- what its end let into the queue
	c record;
	l ledger_entry;
	e events;
begin
	owners := array(select x.user_id from unnest(p_items) with ordinality f
		cross join lateral (select y.user_id, y.status from generations y
			where y.id = f.id offset 0 for update) x
		where x.status not in ('completed', 'failed', 'cancelled')
		order by f.ordinality);
	if cardinality(owners) <> many then
		raise exception 'generations: % of % to be ended are there, and open',
			cardinality(owners), many using errcode = 'P0002';
	end if;
	update jobs j set status = case f.status when 'failed' then 'failed'
		else 'cancelled' end::job_status, owner = null, finished_at = now(),
		last_error = f.code
		from unnest(p_items) f cross join lateral (select x.id, x.finished_at
			from jobs x where x.generation_id = f.id and x.kind = 'generate'
			offset 0) x
		where x.finished_at is null and j.id = x.id;
	for c in update charges x set fee = least(greatest(coalesce(f.fee, 0), 0),
			x.quote), refunded = x.quote - least(greatest(coalesce(f.fee, 0),
			0), x.quote), state = case when f.fee > 0 and x.quote > 0
			then 'partially_refunded' else 'refunded' end::charge_state,
			reason = f.code, settled_at = now()
		from unnest(p_items) with ordinality f
		where x.generation_id = f.id
		returning x.id, x.refunded, f.ordinality as at loop
		charges[c.at] := c.id;
		back[c.at] := c.refunded;
	end loop;
	-- Others wait for the accounts: what needs none of them came before.
	select array_agg(a.user_id), array_agg(a.balance) into users, balances
		from (select x.user_id, x.balance from accounts x
			where x.user_id = any (owners) order by x.user_id for update) a;
	for k in 1..many loop
		if array_position(ids, ids[k]) < k then
			raise exception 'generations: % is to be ended twice', ids[k]
				using errcode = 'P0002';
		end if;
		if back[k] > 0 then
			whose := array_position(users, owners[k]);
			balances[whose] := balances[whose] + back[k];
			leaves[k] := balances[whose];
		end if;
	end loop;
	perform grants_return(f.id, back[f.at])
		from unnest(charges) with ordinality f (id, at)
		where back[f.at] > 0 and exists (select from grant_use u
			where u.charge_id = f.id offset 0);
	-- Ended and paid back at once: each of the two is only right with the
	-- other (0021).
	for l in with ended as (update generations x set status = f.status,
			version = x.version + 1, completed_at = now(),
			updated_at = now(), deadline_at = null, error_class = f.class,
			error_code = f.code, error_message = f.message,
			provider_message = f.provider_message,
			error_retryable = f.retryable, provider_position = null
			from unnest(p_items) f where x.id = f.id)
		insert into ledger_entry (user_id, type, amount, charge_id,
			balance_after, note)
		select owners[f.ordinality], 'video_refund', back[f.ordinality],
			charges[f.ordinality], leaves[f.ordinality], left(f.code, 1000)
		from unnest(p_items) with ordinality f where back[f.ordinality] > 0
		returning * loop
		k := array_position(charges, l.charge_id);
		entries[k] := l.id;
	end loop;
	-- Who waited for the room; told with the user's last.
	for k in reverse many..1 loop
		if owners[k] = any (users) then
			users := array_remove(users, owners[k]);
			news[k] := user_promote(owners[k]);
		end if;
	end loop;
	for e in insert into events (type, user_id, generation_id, version, data,
			balance, balance_version)
		select 'generation.' || f.status, x.user_id, f.id, x.version,
			generation_data(x), leaves[f.ordinality], entries[f.ordinality]
		from unnest(p_items) with ordinality f cross join lateral (select y.*
			from generations y where y.id = f.id offset 0) x
		returning * loop
		k := array_position(ids, e.generation_id);
		n := p_items[k].n;
		outcome := p_items[k].status;
		generation_id := e.generation_id;
		user_id := e.user_id;
		event_type := e.type;
		event_version := e.version;
		event_ms := ms(e.created_at);
		event_data := e.data;
		promoted := news[k];
		seqs := array[e.seq];
		if promoted is not null then
			seqs := seqs || array(select (x->>'seq')::bigint
				from jsonb_array_elements(promoted) x);
		end if;
		balance := leaves[k];
		balance_version := entries[k];
		return next;
	end loop;
end $$;

-- generations_end of one.
create function generation_end(p_id uuid, p_status generation_status,
	p_class text, p_code text, p_message text, p_provider_message text,
	p_retryable boolean, p_fee bigint) returns move_result
language plpgsql as $$
declare
	s record;
	res move_result;
begin
	select * into strict s from generations_end(array[(1, p_id, p_status,
		p_class, p_code, p_message, p_provider_message, p_retryable,
		p_fee)::end_item]);
	res.outcome := s.outcome;
	res.event_seq := s.seqs[1];
	select event_json(e), balance_json(s.user_id, s.balance,
		s.balance_version, e.created_at) into res.event, res.balance_event
		from events e where e.seq = s.seqs[1];
	res.promoted := s.promoted;
	res.seqs := s.seqs;
	res.balance := s.balance;
	select gp into res.g from generation_public gp where gp.id = p_id;
	return res;
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
