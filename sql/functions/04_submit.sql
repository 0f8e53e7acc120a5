-- The paid submit. ENGINE pool, the user is a parameter. One order at a time
-- (generation_submit) or what arrived in one turn of a server together
-- (generation_submit_many): the work is the same either way, and much of its
-- cost is per statement, not per row.

-- An order. n counts from 1 within a call.
--   key, hash      idempotency key and SHA-256 of the body in hexadecimal, or
--                  both null
--   route          the route the API chose; the model follows from it
--   spec           the request as checked, resolved what will be made
--   credits, breakdown, plan   the quote, frozen on the charge
--   deadline_s     null = the model's
--   parent, relation   both null, or the generation this one comes from
--   alone          it waits for locks, wait_ms at most (null = 5 s)
--   pass           nobody of this call waits for a lock
--   async          the commit does not wait for the disk: who called asks for
--                  that before he tells anybody
-- The rest is what submit_all() finds out.
--   in_line        there is no room for it yet
create type submit_item as (n int, user_id uuid, id uuid, key text,
	hash text, api_key uuid, route uuid, mode text, spec jsonb,
	resolved jsonb, credits bigint, breakdown jsonb, plan uuid,
	start_asset uuid, end_asset uuid, project uuid, title text,
	deadline_s int, priority int, parent uuid, relation text,
	alone boolean, wait_ms int, pass boolean, async boolean, provider text,
	model_id uuid, model text, model_name text, in_line boolean);

create function submit_lock_id(p_user uuid, p_key text) returns bigint
language plpgsql immutable as $$
begin
	return hashtextextended(p_user::text || ' ' || p_key, 7);
end $$;

create function asset_usable(p_asset uuid, p_user uuid) returns boolean
language plpgsql stable as $$
begin
	return exists (select from assets where id = p_asset
		and user_id = p_user and state = 'ready' and deleted_at is null);
end $$;

create function project_usable(p_project uuid, p_user uuid) returns boolean
language plpgsql stable as $$
begin
	return exists (select from projects where id = p_project
		and user_id = p_user);
end $$;

-- Charges and creates, each order all or nothing; a refused one leaves nothing
-- and harms no other. Internal: the caller holds the keys' locks and the
-- accounts, and gives the orders by user; those of one user are taken as if
-- one had come after the other. Returns a row per order, see
-- generation_submit; of a created one with its event in parts (move_result),
-- of a replayed one with its id. Two kinds of statement only: those that look
-- up one row by its id, and those that write rows that are ready. A plan that
-- joins it all takes longer to start than these together.
create function submit_all(p_items submit_item[]) returns table (n int,
	outcome text, generation_id uuid, user_id uuid, status text, model text,
	model_name text, provider text, event_type text, event_version bigint,
	event_ms bigint, event_data json, seqs bigint[], balance bigint,
	balance_version bigint)
language plpgsql as $$
declare
	i submit_item;
	-- system_config
	disabled boolean;
	runs_max int;
	waits_max int;
	queue_s int;
	-- of each user
	users uuid[];
	balances bigint[];
	active int[];
	waiting int[];
	limits int[];
	statuses text[];
	expiries timestamptz[]; -- of the first of his grants
	-- the user of the order, as his orders before it leave him
	who uuid;
	user_status text;
	has bigint;
	runs int;
	waits int;
	limit_of int;
	last bigint;
	expired ledger_entry; -- of grants that ran out, the last
	-- the route of the order, and its model
	route uuid;
	usable boolean;
	found_provider text;
	found_model uuid;
	slug text;
	found_name text;
	found_deadline_s int;
	-- the order
	old_id uuid;
	old_hash bytea;
	made submit_item[] := '{}';
	-- of each that is made
	ids uuid[] := '{}';
	charges uuid[];
	-- the ledger's entry of it, or of grants that ran out before it, and the
	-- balance after that
	entries bigint[] := '{}';
	leaves bigint[] := '{}';
	rests bigint[] := '{}'; -- what it leaves of the balance
	spends boolean := false; -- somebody has grants
	k int;
	l ledger_entry;
	e events;
begin
	select coalesce(bool_or(key = 'video_generation_enabled'
			and value = 'false'), false),
		coalesce(max((value #>> '{}')::numeric) filter (where key =
			'video_concurrent_limit'), 3)::int,
		coalesce(max((value #>> '{}')::numeric) filter (where key =
			'video_waiting_limit'), 10000)::int,
		coalesce(max((value #>> '{}')::numeric) filter (where key =
			'video_queue_deadline_s'), 21600)::int
		into disabled, runs_max, waits_max, queue_s
		from system_config where key in ('video_generation_enabled',
			'video_concurrent_limit', 'video_waiting_limit',
			'video_queue_deadline_s') and (jsonb_typeof(value) = 'number'
			or key = 'video_generation_enabled');
	select array_agg(w.id), array_agg(w.balance), array_agg(w.active),
		array_agg(w.waiting), array_agg(w.status), array_agg(w.most),
		array_agg(w.expiry)
		into users, balances, active, waiting, statuses, limits, expiries
		from (select distinct x.user_id as id from unnest(p_items) x) d
		cross join lateral (select a.user_id as id, a.balance, a.active,
			a.waiting, u.status::text, coalesce(u.concurrent_limit, runs_max)
			as most, (select min(gr.expires_at) from grants gr
				where gr.user_id = a.user_id and gr.remaining > 0) as expiry
			from accounts a left join users u on u.id = a.user_id
				and u.deleted_at is null
			where a.user_id = d.id offset 0) w;
	foreach i in array p_items loop
		old_id := null;
		if i.key is not null then
			select o.id, o.body_hash into old_id, old_hash from generations o
				where o.user_id = i.user_id and o.idem_key = i.key;
		end if;
		if i.route is distinct from route then
			route := i.route;
			select mr.is_active and x.is_active and x.deleted_at is null
				and (x.sunset_at is null or x.sunset_at > now()),
				mr.provider, x.id, x.slug, x.name, x.deadline_s
				into usable, found_provider, found_model, slug, found_name,
				found_deadline_s
				from model_routes mr join models x on x.id = mr.model_id
				where mr.id = route;
		end if;
		if i.user_id is distinct from who then
			who := i.user_id;
			k := array_position(users, who);
			has := balances[k];
			runs := active[k];
			waits := waiting[k];
			user_status := statuses[k];
			limit_of := limits[k];
			expired := null;
			if expiries[k] <= now() then
				last := grants_expire_user(who);
				select x.* into expired from ledger_entry x
					where x.id = last;
				has := coalesce(expired.balance_after, has);
			end if;
			spends := spends or expiries[k] is not null;
		end if;
		if old_id is not null then
			outcome := case when old_hash = decode(i.hash, 'hex')
				then 'replayed' else 'mismatch' end;
		elsif disabled then
			outcome := 'disabled';
		elsif usable is not true then
			outcome := 'model_gone';
		elsif i.start_asset is not null and not asset_usable(i.start_asset,
				who) or i.end_asset is not null
				and not asset_usable(i.end_asset, who) then
			outcome := 'asset_gone';
		elsif i.project is not null and not project_usable(i.project,
				who) then
			outcome := 'project_gone';
		elsif has is null then
			outcome := 'not_found';
		elsif user_status is distinct from 'active' then
			outcome := 'suspended';
		elsif (waits > 0 or runs >= limit_of) and waits >= waits_max then
			outcome := 'limit';
		elsif has < i.credits then
			outcome := 'insufficient';
		else
			outcome := 'created';
		end if;
		if outcome <> 'created' then
			n := i.n;
			balance := case outcome when 'insufficient' then has end;
			-- Should its commit not be on disk yet (async): ours has locked
			-- the account, so it is written, and waits for both.
			generation_id := case outcome when 'replayed' then old_id end;
			return next;
			continue;
		end if;
		i.provider := found_provider;
		i.model_id := found_model;
		i.model := slug;
		i.model_name := found_name;
		i.deadline_s := coalesce(i.deadline_s, found_deadline_s);
		i.in_line := waits > 0 or runs >= limit_of;
		made := made || i;
		ids := ids || i.id;
		entries := entries || expired.id;
		leaves := leaves || expired.balance_after;
		has := has - i.credits;
		rests := rests || has;
		if i.in_line then
			waits := waits + 1;
		else
			runs := runs + 1;
		end if;
	end loop;
	if cardinality(made) = 0 then
		return;
	end if;
	charges := array(select uuid7() from unnest(ids));

	insert into generations (id, user_id, api_key_id, project_id, parent_id,
		relation, mode, model_id, model, model_name, route_id, provider,
		prompt, negative_prompt, spec, resolved, start_asset_id,
		end_asset_id, status, credits, idem_key, body_hash, title,
		deadline_s, deadline_at)
	select x.id, x.user_id, x.api_key, x.project, x.parent, x.relation,
		x.mode, x.model_id, x.model, x.model_name, x.route, x.provider,
		coalesce(x.spec->>'prompt', ''), x.spec->>'negative_prompt', x.spec,
		x.resolved, x.start_asset, x.end_asset, case when x.in_line then
		'pending' else 'queued' end::generation_status, x.credits, x.key,
		decode(x.hash, 'hex'), x.title, x.deadline_s, case when not x.in_line
		then now() + make_interval(secs => queue_s) end
	from unnest(made) x;
	insert into charges (id, generation_id, user_id, quote, breakdown,
		price_plan_id, plan_version)
	select charges[x.ordinality], x.id, x.user_id, x.credits, x.breakdown,
		x.plan, (select p.version from price_plans p where p.id = x.plan)
	from unnest(made) with ordinality x;
	if spends then
		perform grants_spend(charges[x.ordinality], x.user_id, x.credits)
			from unnest(made) with ordinality x where x.credits > 0;
	end if;
	for l in insert into ledger_entry (user_id, type, amount, charge_id,
			balance_after)
		select x.user_id, 'video_generation', -x.credits,
				charges[x.ordinality], rests[x.ordinality]
			from unnest(made) with ordinality x where x.credits > 0
		returning * loop
		k := array_position(charges, l.charge_id);
		entries[k] := l.id;
		leaves[k] := l.balance_after;
	end loop;
	insert into jobs (generation_id, user_id, provider, status, priority)
	select x.id, x.user_id, x.provider, case when x.in_line
		then 'scheduled' else 'queued' end::job_status,
		coalesce(x.priority, 100)
	from unnest(made) x;
	for e in insert into events (type, user_id, generation_id, version, data,
			balance, balance_version)
		select 'generation.created', x.user_id, x.id, s.version,
			generation_data(s), case when x.credits > 0
			then leaves[x.ordinality] end, case when x.credits > 0
			then entries[x.ordinality] end
		from unnest(made) with ordinality x cross join lateral (select y.*
			from generations y where y.id = x.id offset 0) s
		returning * loop
		k := array_position(ids, e.generation_id);
		i := made[k];
		n := i.n;
		outcome := 'created';
		generation_id := i.id;
		user_id := i.user_id;
		status := case when i.in_line then 'pending' else 'queued' end;
		model := i.model;
		model_name := i.model_name;
		provider := i.provider;
		event_type := e.type;
		event_version := e.version;
		event_ms := ms(e.created_at);
		event_data := e.data;
		seqs := array[e.seq];
		balance := leaves[k];
		balance_version := entries[k];
		return next;
	end loop;
end $$;

-- The locks of one order: its key's, then the account. First without waiting:
-- the exception block of a wait is a subtransaction, and what it locks the
-- outer one changes dearly. Returns null, or the outcome running or busy.
create function submit_wait(p_user uuid, p_key text, p_wait_ms int)
returns text language plpgsql set lock_timeout = '5s' as $$
begin
	if p_wait_ms between 1 and 5000 then
		perform set_config('lock_timeout', p_wait_ms::text, true);
	end if;
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
set enable_bitmapscan = off as $$
declare
	s record;
	res move_result;
	refused text := submit_wait(p_user, p_key, null);
begin
	if refused is not null then
		return generation_unchanged(refused, null);
	end if;
	select * into strict s from submit_all(array[(1, p_user, p_id, p_key,
		encode(p_hash, 'hex'), p_api_key, p_route, p_mode, p_spec, p_resolved,
		p_credits, p_breakdown, p_plan, p_start, p_end, p_project, p_title,
		p_deadline_s, p_priority, p_parent, p_relation, true, null, null,
		null, null, null, null, null, null)::submit_item]);
	res.outcome := s.outcome;
	res.event_seq := s.seqs[1];
	if s.event_type is not null then
		select event_json(x) into res.event from events x
			where x.seq = s.seqs[1];
		res.balance_event := balance_json(p_user, s.balance,
			s.balance_version, now());
	end if;
	res.seqs := s.seqs;
	res.balance := s.balance;
	select x into res.g from generation_public x
		where x.id = s.generation_id;
	return res;
end $$;

-- generation_submit_many: several orders in one transaction; p_items is an
-- array of submit_item objects. One that is alone is generation_submit. Of
-- others there is no row for an order whose key is locked by somebody or
-- stands twice in the array; send it again, alone. An account that is locked
-- for a tenth of a second ends the transaction: send all again, `pass` with
-- each, and there is no row for those whose account is locked at that moment.
create function generation_submit_many(p_items jsonb) returns table (n int,
	outcome text, generation_id uuid, user_id uuid, status text, model text,
	model_name text, provider text, event_type text, event_version bigint,
	event_ms bigint, event_data json, seqs bigint[], balance bigint,
	balance_version bigint)
language plpgsql set plan_cache_mode = force_generic_plan
set enable_bitmapscan = off as $$
declare
	items submit_item[] := array(select x from jsonb_populate_recordset(
		null::submit_item, p_items) x);
	i submit_item;
	refused text;
	keys text[] := '{}';
	key_of text;
	free submit_item[] := '{}';
	users uuid[] := '{}';
begin
	if cardinality(items) = 1 and items[1].alone then
		refused := submit_wait(items[1].user_id, items[1].key,
			items[1].wait_ms);
		if refused is not null then
			n := items[1].n;
			outcome := refused;
			return next;
			return;
		end if;
		return query select * from submit_all(items);
		return;
	end if;
	if items[1].async then
		perform set_config('synchronous_commit', 'off', true);
	end if;
	-- Keys before accounts, as in submit_wait.
	foreach i in array items loop
		if i.key is not null then
			key_of := i.user_id || ' ' || i.key;
			continue when key_of = any (keys) or not
				pg_try_advisory_xact_lock(submit_lock_id(i.user_id, i.key));
			keys := keys || key_of;
		end if;
		free := free || i;
		users := users || i.user_id;
	end loop;
	if items[1].pass then
		users := array(select a.user_id from accounts a
			where a.user_id = any (users) order by a.user_id
			for update skip locked);
		return query select * from submit_all(array(select x from unnest(free) x
			where x.user_id = any (users) order by x.user_id, x.n));
		return;
	end if;
	-- In user order. An end or another instance holds an account for a commit:
	-- to pass it by cost an order of its own for each that was left out.
	perform set_config('lock_timeout', '100ms', true);
	perform from accounts a where a.user_id = any (users)
		order by a.user_id for update;
	return query select * from submit_all(array(select x from unnest(free) x
		order by x.user_id, x.n));
end $$;
