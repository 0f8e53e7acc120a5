-- The paid submit. ENGINE pool, the user is a parameter. One order at a time
-- (generation_submit) or what arrived in one turn of a server together
-- (generation_submit_many): the work is the same set of statements either
-- way, and most of their cost is per statement, not per row.

-- An order. n counts from 1 within a call.
--   key, hash      idempotency key and SHA-256 of the body, or both null
--   route          the route the API chose; the model follows from it
--   spec           the request as checked, resolved what will be made
--   credits, breakdown, plan   the quote, frozen on the charge
--   deadline_s     null = the model's
--   parent, relation   both null, or the generation this one comes from
create type submit_item as (n int, user_id uuid, id uuid, key text,
	hash bytea, api_key uuid, route uuid, mode text, spec jsonb,
	resolved jsonb, credits bigint, breakdown jsonb, plan uuid,
	start_asset uuid, end_asset uuid, project uuid, title text,
	deadline_s int, priority int, parent uuid, relation text);

create function submit_lock_id(p_user uuid, p_key text) returns bigint
language plpgsql immutable as $$
begin
	return hashtextextended(p_user::text || ' ' || p_key, 7);
end $$;

-- Charges and creates, each order all or nothing; a refused one leaves nothing
-- and harms no other. Internal: the caller holds the keys' locks and the
-- accounts. Several orders of one user are taken in the order of n, as if one
-- had come after the other. Returns a row per order, see generation_submit.
-- A plan made while the tables were small is kept when they are large. So the
-- callers forbid scans, and every row of a large table is looked up by its id
-- in a lateral subquery that "offset 0" keeps the planner from turning round:
-- it would rather read a table of a few rows whole, once.
create function submit_all(p_items submit_item[]) returns table (n int,
	outcome text, event_seq bigint, event jsonb, balance_event jsonb,
	promoted jsonb, seqs bigint[], balance bigint, g generation_public)
language plpgsql as $$
#variable_conflict use_column
declare
	f record;
	who uuid;
	has bigint;
	runs int;
	wait int;
	expired bigint;		-- the user's ledger entry, if grants ran out
	last bigint[] := '{}';	-- the same by n
	queue_s int;
	said text[] := '{}';	-- outcome by n
	shown uuid[] := '{}';	-- the generation to answer with, by n
	had bigint[] := '{}';	-- balance of the refused, by n
	waits boolean[] := '{}'; -- by n: in line, null = not created
	charge uuid[] := '{}';	-- by n: the charge's id
	leaves bigint[] := '{}'; -- by n: the balance after it
	spends boolean := false; -- somebody has grants
begin
	for f in select i.n, i.user_id, i.id, i.hash, i.credits, old.id as old_id,
		old.body_hash, r.usable,
		i.start_asset is not null and not exists (select from assets s
			where s.id = i.start_asset and s.user_id = i.user_id
			and s.state = 'ready' and s.deleted_at is null)
		or i.end_asset is not null and not exists (select from assets s
			where s.id = i.end_asset and s.user_id = i.user_id
			and s.state = 'ready' and s.deleted_at is null) as asset_gone,
		i.project is not null and not exists (select from projects p
			where p.id = i.project and p.user_id = i.user_id)
			as project_gone,
		a.user_id as account, a.balance, a.active, a.waiting, u.status,
		coalesce(u.concurrent_limit, conf.running) as running,
		conf.disabled, conf.waiting as waiting_max, conf.queue_s,
		(select min(gr.expires_at) from grants gr where gr.user_id =
			i.user_id and gr.remaining > 0) as first_expiry
		from (select coalesce(bool_or(key = 'video_generation_enabled'
				and value = 'false'), false) as disabled,
			coalesce(max((value #>> '{}')::numeric) filter (where key =
				'video_concurrent_limit'), 3)::int as running,
			coalesce(max((value #>> '{}')::numeric) filter (where key =
				'video_waiting_limit'), 10000)::int as waiting,
			coalesce(max((value #>> '{}')::numeric) filter (where key =
				'video_queue_deadline_s'), 21600)::int as queue_s
			from system_config where key in ('video_generation_enabled',
				'video_concurrent_limit', 'video_waiting_limit',
				'video_queue_deadline_s') and (jsonb_typeof(value) = 'number'
				or key = 'video_generation_enabled')) conf
		cross join unnest(p_items) i
		left join lateral (select o.id, o.body_hash from generations o
			where o.user_id = i.user_id and o.idem_key = i.key offset 0)
			old on true
		left join lateral (select mr.is_active and m.is_active
				and m.deleted_at is null and (m.sunset_at is null
				or m.sunset_at > now()) as usable
			from model_routes mr join models m on m.id = mr.model_id
			where mr.id = i.route offset 0) r on true
		left join accounts a on a.user_id = i.user_id
		left join users u on u.id = i.user_id and u.deleted_at is null
		order by i.user_id, i.n loop
		if f.user_id is distinct from who then
			who := f.user_id;
			has := f.balance;
			runs := f.active;
			wait := f.waiting;
			queue_s := f.queue_s;
			expired := null;
			if f.first_expiry <= now() then
				expired := grants_expire_user(who);
				select balance into has from accounts where user_id = who;
			end if;
		end if;
		said[f.n] := case
			when f.old_id is not null then case when f.body_hash = f.hash
				then 'replayed' else 'mismatch' end
			when f.disabled then 'disabled'
			when f.usable is not true then 'model_gone'
			when f.asset_gone then 'asset_gone'
			when f.project_gone then 'project_gone'
			when f.account is null then 'not_found'
			when f.status is distinct from 'active' then 'suspended'
			when (wait > 0 or runs >= f.running) and wait >= f.waiting_max
				then 'limit'
			when has < f.credits then 'insufficient'
			else 'created' end;
		if said[f.n] = 'created' then
			shown[f.n] := f.id;
			waits[f.n] := wait > 0 or runs >= f.running;
			charge[f.n] := uuid7();
			last[f.n] := expired;
			spends := spends or f.first_expiry is not null;
			has := has - f.credits;
			leaves[f.n] := has;
			if waits[f.n] then
				wait := wait + 1;
			else
				runs := runs + 1;
			end if;
		elsif said[f.n] = 'replayed' then
			shown[f.n] := f.old_id;
		elsif said[f.n] = 'insufficient' then
			had[f.n] := has;
		end if;
	end loop;

	if 'created' = any (said) then
		with ordered as (
			insert into generations (id, user_id, api_key_id, project_id,
				parent_id, relation, mode, model_id, model, model_name,
				route_id, provider, prompt, negative_prompt, spec, resolved,
				start_asset_id, end_asset_id, status, credits, idem_key,
				body_hash, title, deadline_s, deadline_at)
			select i.id, i.user_id, i.api_key, i.project, i.parent,
				i.relation, i.mode, m.id, m.slug, m.name, r.id, r.provider,
				coalesce(i.spec->>'prompt', ''), i.spec->>'negative_prompt',
				i.spec, i.resolved, i.start_asset, i.end_asset,
				case when waits[i.n] then 'pending' else 'queued'
				end::generation_status, i.credits, i.key, i.hash, i.title,
				coalesce(i.deadline_s, m.deadline_s), case when not waits[i.n]
				then now() + make_interval(secs => queue_s) end
			from unnest(p_items) i join model_routes r on r.id = i.route
				join models m on m.id = r.model_id
			where waits[i.n] is not null
		)
		insert into charges (id, generation_id, user_id, quote, breakdown,
			price_plan_id, plan_version)
		select charge[i.n], i.id, i.user_id, i.credits, i.breakdown,
			i.plan, (select p.version from price_plans p
			where p.id = i.plan)
		from unnest(p_items) i where waits[i.n] is not null;
		if spends then
			perform grants_spend(charge[i.n], i.user_id, i.credits)
				from unnest(p_items) i
				where waits[i.n] is not null and i.credits > 0;
		end if;
	end if;

	return query with paid as (
		insert into ledger_entry (user_id, type, amount, charge_id,
			balance_after)
		select i.user_id, 'video_generation', -i.credits, charge[i.n],
			leaves[i.n]
		from unnest(p_items) i
		where waits[i.n] is not null and i.credits > 0 order by i.n
		returning id, charge_id, balance_after, created_at
	), line as (
		insert into jobs (generation_id, user_id, provider, status, priority)
		select i.id, i.user_id, r.provider, case when waits[i.n] then
			'scheduled' else 'queued' end::job_status,
			coalesce(i.priority, 100)
		from unnest(p_items) i join model_routes r on r.id = i.route
		where waits[i.n] is not null order by i.n
	), told as (
		insert into events (type, user_id, generation_id, version, data,
			balance, balance_version)
		select 'generation.created', i.user_id, i.id, x.version, x.data,
			l.balance_after, l.id
		from unnest(p_items) i cross join lateral (
				select s.version, generation_data(s) as data
				from generations s where s.id = i.id offset 0) x
			left join paid l on l.charge_id = charge[i.n]
		where waits[i.n] is not null order by i.n
		returning generation_id, seq, event_json(events) as event
	)
	select i.n, said[i.n], e.seq, e.event, balance_json(i.user_id,
		l.balance_after, l.id, l.created_at), null::jsonb,
		case when e.seq is not null then array[e.seq] end,
		coalesce(l.balance_after, had[i.n]), gp.x
	from unnest(p_items) i
		left join lateral (select x from generation_public x
			where x.id = shown[i.n] offset 0) gp on true
		left join told e on waits[i.n] is not null
			and e.generation_id = i.id
		left join lateral (
			select p.id, p.balance_after, p.created_at
			from paid p where p.charge_id = charge[i.n]
			union all
			-- Nothing was due, but grants ran out.
			select s.id, s.balance_after, s.created_at
			from ledger_entry s where s.id = case
				when i.credits = 0 then last[i.n] end) l on true
	order by i.n;
end $$;

-- The locks of one order: its key's, then the account. First without waiting:
-- the exception block of a wait is a subtransaction, and what it locks the
-- outer one changes dearly. Returns null, or the outcome running or busy.
create function submit_wait(p_user uuid, p_key text) returns text
language plpgsql set lock_timeout = '5s' as $$
begin
	if p_key is not null
		and not pg_try_advisory_xact_lock(submit_lock_id(p_user, p_key)) then
		-- Duplicates of one key meet here, before they hold anything else.
		begin
			perform pg_advisory_xact_lock(submit_lock_id(p_user, p_key));
		exception when lock_not_available then
			return 'running';
		end;
	end if;
	perform from accounts where user_id = p_user for update skip locked;
	if not found then
		begin
			perform from accounts where user_id = p_user for update;
		exception when lock_not_available then
			return 'busy';
		end;
	end if;
	return null;
end $$;

-- generation_submit: one order, charged and created, all or nothing; the
-- parameters are the members of submit_item. Outcomes: created; replayed
-- (same key and body: g is the stored one); mismatch (key used with another
-- body); running (the same key's first call has not finished within 5 s);
-- busy (the account is locked for 5 s); insufficient (balance says how much
-- there is); limit (too many waiting); disabled (video_generation_enabled is
-- off); suspended; model_gone; asset_gone; project_gone; not_found (no such
-- user).
create function generation_submit(p_user uuid, p_id uuid, p_key text,
	p_hash bytea, p_api_key uuid, p_route uuid, p_mode text, p_spec jsonb,
	p_resolved jsonb, p_credits bigint, p_breakdown jsonb, p_plan uuid,
	p_start uuid, p_end uuid, p_project uuid, p_title text, p_deadline_s int,
	p_priority int, p_parent uuid, p_relation text) returns move_result
language plpgsql set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off
set enable_mergejoin = off as $$
declare
	s record;
	res move_result;
	refused text := submit_wait(p_user, p_key);
begin
	if refused is not null then
		return generation_unchanged(refused, null);
	end if;
	select * into strict s from submit_all(array[(1, p_user, p_id, p_key,
		p_hash, p_api_key, p_route, p_mode, p_spec, p_resolved, p_credits,
		p_breakdown, p_plan, p_start, p_end, p_project, p_title,
		p_deadline_s, p_priority, p_parent, p_relation)::submit_item]);
	res.outcome := s.outcome;
	res.event_seq := s.event_seq;
	res.event := s.event;
	res.balance_event := s.balance_event;
	res.seqs := s.seqs;
	res.balance := s.balance;
	res.g := s.g;
	return res;
end $$;

-- generation_submit_many: several orders in one transaction; p_items is an
-- array of objects with the members of submit_item (hash in hexadecimal).
-- An array of one is generation_submit. With more nobody waits for a lock, so
-- that one user's trouble is not another's: there is no row for an order
-- whose key or account is locked by somebody, or whose key stands twice in
-- the array. Send it again, alone.
create function generation_submit_many(p_items jsonb) returns table (n int,
	outcome text, event_seq bigint, event jsonb, balance_event jsonb,
	promoted jsonb, seqs bigint[], balance bigint, g generation_public)
language plpgsql set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off
set enable_mergejoin = off as $$
declare
	items submit_item[];
	free uuid[];
	alone boolean := jsonb_array_length(p_items) = 1;
	refused text;
begin
	-- Keys before accounts, as in submit_wait.
	select array_agg(row(x.n, x.user_id, x.id, x.key, decode(x.hash, 'hex'),
		x.api_key, x.route, x.mode, x.spec, x.resolved, x.credits,
		x.breakdown, x.plan, x.start_asset, x.end_asset, x.project, x.title,
		x.deadline_s, x.priority, x.parent, x.relation)::submit_item),
		array_agg(x.user_id) into items, free
		from (select *, row_number() over (partition by y.user_id, y.key
				order by y.n) as nth
			from jsonb_to_recordset(p_items) as y(n int, user_id uuid,
				id uuid, key text, hash text, api_key uuid, route uuid,
				mode text, spec jsonb, resolved jsonb, credits bigint,
				breakdown jsonb, plan uuid, start_asset uuid, end_asset uuid,
				project uuid, title text, deadline_s int, priority int,
				parent uuid, relation text)) x
		where alone or x.key is null or x.nth = 1
		and pg_try_advisory_xact_lock(submit_lock_id(x.user_id, x.key));
	if alone then
		refused := submit_wait(items[1].user_id, items[1].key);
		if refused is not null then
			return query select items[1].n, refused, null::bigint,
				null::jsonb, null::jsonb, null::jsonb, null::bigint[],
				null::bigint, null::generation_public;
			return;
		end if;
	else
		free := array(select a.user_id from accounts a
			where a.user_id = any (free) for update skip locked);
	end if;
	return query select * from submit_all(array(select i from unnest(items) i
		where i.user_id = any (free)));
end $$;
