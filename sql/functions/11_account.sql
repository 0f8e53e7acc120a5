-- Providers' accounts: what the configuration gives, what operators change,
-- what the engine learns about them, and the move of a queued job to another
-- route. ENGINE pool. Lock order: job -> account; job_claim takes accounts
-- first, but only ever looks for jobs with SKIP LOCKED.

-- May this account start something now? Pauses that are over count as on.
create function account_able(a provider_accounts) returns boolean
language sql stable as $$
	select a.deleted_at is null and (a.state = 'on' or a.state = 'paused'
		and a.paused_until <= now())
		and (a.hold_until is null or a.hold_until <= now())
		and (a.opened_until is null or a.opened_until <= now())
$$;

create function account_circuit(a provider_accounts) returns text
language sql stable as $$
	select case when a.opened_until is null then 'closed'
		when a.opened_until <= now() or a.probe_at is not null
		then 'half_open' else 'open' end
$$;

-- Requests per minute, as a bucket that never lets more than p_rpm through in
-- any minute, even when they leave up to three seconds after their claim: a
-- burst of a tenth, the rest spread. submit_tat is when the bucket is full.
create function rate_burst(p_rpm int) returns int language sql immutable as $$
	select case when p_rpm < 20 then 1 else p_rpm / 10 end
$$;
create function rate_interval(p_rpm int) returns interval
language sql immutable as $$
	select make_interval(secs => 63.0 / (p_rpm - rate_burst(p_rpm) + 1))
$$;
create function rate_room(p_tat timestamptz, p_rpm int) returns int
language sql stable as $$
	select greatest(0, rate_burst(p_rpm) - ceil(extract(epoch from
		greatest(p_tat - now(), interval '0')) / extract(epoch from
		rate_interval(p_rpm)))::int)
$$;

-- accounts_sync: what the configuration has for its providers, as the account
-- `default` of each: [{provider, hint, conf}]; hint null = no key there. The
-- base URL stays in the configuration. An account that broke by its key comes
-- back when the key is another one. Unknown providers are made, named alike.
create function accounts_sync(p_list jsonb) returns int language plpgsql as $$
declare
	n int;
begin
	insert into providers (name, display_name)
		select x.provider, coalesce(x.title, x.provider)
		from jsonb_to_recordset(p_list) as x(provider text, title text)
		on conflict do nothing;
	insert into provider_accounts as a (provider, label, key_ref, key_hint)
		select x.provider, 'default', case when x.hint is not null
			then 'conf' end, coalesce(x.hint, '')
		from jsonb_to_recordset(p_list) as x(provider text, hint text)
		order by x.provider
		on conflict (provider, label) do update set key_ref = excluded.key_ref,
			key_hint = excluded.key_hint, updated_at = now(),
			state = case when a.state = 'broken' and a.key_hint
				<> excluded.key_hint then 'on' else a.state end,
			paused_reason = case when a.state = 'broken' and a.key_hint
				<> excluded.key_hint then null else a.paused_reason end
		where (a.key_ref, a.key_hint) is distinct from
			(excluded.key_ref, excluded.key_hint);
	get diagnostics n = row_count;
	return n;
end $$;

-- What the audit log keeps of an account: never its key.
create function account_facts(p_id uuid) returns jsonb language sql stable
as $$
	select jsonb_build_object('provider', a.provider, 'label', a.label, 'key',
		split_part(a.key_ref, ':', 1), 'hint', a.key_hint, 'base_url',
		a.base_url, 'weight', a.weight, 'limits', a.limits, 'state', a.state,
		'reason', a.paused_reason)
	from provider_accounts a where a.id = p_id
$$;
create function account_audit(p_id uuid, p_action text, p_before jsonb,
	p_actor uuid) returns void language sql as $$
	insert into audit_log (actor_id, actor_kind, action, target_type,
		target_id, before, after)
	select p_actor, case when p_actor is null then 'system' else 'user' end,
		p_action, 'account', p_id::text, p_before, account_facts(p_id)
$$;

-- account_create: outcomes created, replayed (same p_idem: id is the first
-- one's), taken (label), no_provider.
create function account_create(p_id uuid, p_idem text, p_provider text,
	p_label text, p_key_ref text, p_key_hint text, p_base_url text,
	p_weight int, p_limits jsonb, p_actor uuid, out outcome text, out id uuid)
language plpgsql as $$
begin
	id := p_id;
	if not exists (select from providers where name = p_provider) then
		outcome := 'no_provider';
		return;
	end if;
	insert into provider_accounts (id, provider, label, key_ref, key_hint,
		base_url, weight, limits, idem_key) values (p_id, p_provider, p_label,
		p_key_ref, coalesce(p_key_hint, ''), p_base_url,
		coalesce(p_weight, 1), coalesce(p_limits, '{}'), p_idem)
		on conflict do nothing;
	if not found then
		select a.id into id from provider_accounts a where a.idem_key = p_idem;
		outcome := case when found then 'replayed' else 'taken' end;
		return;
	end if;
	perform account_audit(p_id, 'account.create', null, p_actor);
	outcome := 'created';
end $$;

-- account_update: null leaves a column; p_base_url '' clears it. A new key
-- ends `broken`. What the configuration owns (the key of `default`) is not
-- changed here. Outcomes: updated, taken, from_conf, not_found.
create function account_update(p_id uuid, p_label text, p_key_ref text,
	p_key_hint text, p_base_url text, p_weight int, p_limits jsonb,
	p_actor uuid) returns text language plpgsql as $$
declare
	a provider_accounts;
	before jsonb := account_facts(p_id);
begin
	select * into a from provider_accounts where id = p_id
		and deleted_at is null for update;
	if not found then
		return 'not_found';
	end if;
	if a.label = 'default' and (p_key_ref is not null or p_label is not null
		or p_base_url is not null) then
		return 'from_conf';
	end if;
	if p_label is not null and exists (select from provider_accounts o
		where o.provider = a.provider and o.label = p_label
		and o.id <> p_id) then
		return 'taken';
	end if;
	update provider_accounts set label = coalesce(p_label, label),
		key_ref = coalesce(p_key_ref, key_ref),
		key_hint = case when p_key_ref is null then key_hint
			else coalesce(p_key_hint, '') end,
		base_url = case when p_base_url is null then base_url
			else nullif(p_base_url, '') end,
		weight = coalesce(p_weight, weight),
		limits = coalesce(p_limits, limits),
		state = case when p_key_ref is not null and state = 'broken'
			then 'on' else state end,
		paused_reason = case when p_key_ref is not null and state = 'broken'
			then null else paused_reason end,
		updated_at = now() where id = p_id;
	perform account_audit(p_id, 'account.update', before, p_actor);
	return 'updated';
end $$;

-- account_delete: its row stays for the books, its key goes. Outcomes:
-- deleted, in_use (jobs that it submitted are still under way: pause it
-- first), from_conf, not_found.
create function account_delete(p_id uuid, p_actor uuid) returns text
language plpgsql as $$
declare
	a provider_accounts;
	before jsonb := account_facts(p_id);
begin
	select * into a from provider_accounts where id = p_id
		and deleted_at is null for update;
	if not found then
		return 'not_found';
	elsif a.label = 'default' then
		return 'from_conf';
	end if;
	if exists (select from jobs j left join attempts t on t.id = j.attempt_id
		where j.finished_at is null and (j.account_id = p_id
		or t.account_id = p_id)) then
		return 'in_use';
	end if;
	update provider_accounts set deleted_at = now(), key_ref = null,
		key_hint = '', label = left(label, 40) || ' (deleted ' || id || ')'
		where id = p_id;
	perform account_audit(p_id, 'account.delete', before, p_actor);
	return 'deleted';
end $$;

-- account_pause: no new submits; what it submitted is carried on. p_state:
-- paused, or broken (until somebody resumes it). Outcomes: ok, not_found.
create function account_pause(p_id uuid, p_state text, p_until_ms bigint,
	p_reason text, p_actor uuid) returns text language plpgsql as $$
declare
	before jsonb := account_facts(p_id);
begin
	update provider_accounts set state = p_state::provider_state,
		paused_until = to_timestamp(p_until_ms / 1000.0),
		paused_reason = left(p_reason, 500), updated_at = now()
		where id = p_id and deleted_at is null;
	if not found then
		return 'not_found';
	end if;
	perform account_audit(p_id, 'account.pause', before, p_actor);
	return 'ok';
end $$;

-- account_resume: also closes the circuit. Outcomes: ok, not_found.
create function account_resume(p_id uuid, p_actor uuid) returns text
language plpgsql as $$
declare
	before jsonb := account_facts(p_id);
begin
	update provider_accounts set state = 'on', paused_until = null,
		paused_reason = null, hold_until = null, failures = 0, opens = 0,
		opened_until = null, probe_at = null, updated_at = now()
		where id = p_id and deleted_at is null;
	if not found then
		return 'not_found';
	end if;
	perform account_audit(p_id, 'account.resume', before, p_actor);
	return 'ok';
end $$;

-- account_open: an instance counted p_failures in a row. Twice as long each
-- time, up to five minutes. Returns for how long.
create function account_open(p_id uuid, p_failures int, p_base_ms int)
returns bigint language sql as $$
	update provider_accounts set failures = p_failures, opens = opens + 1,
		probe_at = null, opened_until = now() + make_interval(secs => least(
		p_base_ms * 2.0 ^ least(opens, 20), greatest(300000, p_base_ms))
		/ 1000.0), updated_at = now()
		where id = p_id returning floor(extract(epoch from opened_until
		- now()) * 1000)::bigint
$$;

-- account_close: its provider works again. True when it was not closed.
create function account_close(p_id uuid) returns boolean language plpgsql
as $$
begin
	update provider_accounts set failures = 0, opens = 0, opened_until = null,
		probe_at = null, updated_at = now()
		where id = p_id and opened_until is not null;
	return found;
end $$;

-- route_next: the best other route of a model whose provider is in p_to (null:
-- any), by priority, then by weight; null when there is none.
create function route_next(p_model uuid, p_tried uuid[], p_to text[])
returns model_routes language sql volatile as $$
	select r from model_routes r join providers p on p.name = r.provider
	where r.model_id = p_model and r.is_active
		and r.id <> all (coalesce(p_tried, '{}'))
		and (p_to is null or r.provider = any (p_to))
		and (p.sunset_at is null or p.sunset_at > now())
		and (p.state = 'on' or p.state = 'paused' and p.paused_until <= now())
	order by r.priority, -ln(1 - random()) / greatest(r.weight, 0.001), r.id
	limit 1
$$;

-- job_reroute: a job that its caller has locked, and that nobody submitted,
-- takes another route. Nothing of its price changes. Writes attempt.fallback.
create function job_reroute(p_job uuid, r model_routes, p_why text)
returns void language plpgsql as $$
declare
	was record;
begin
	select g.id, g.provider, g.route_id into was from jobs j
		join generations g on g.id = j.generation_id
		where j.id = p_job for update of g;
	update jobs set provider = r.provider where id = p_job;
	update generations set provider = r.provider, route_id = r.id,
		version = version + 1, updated_at = now() where id = was.id;
	insert into events (type, user_id, generation_id, version, data)
		select 'attempt.fallback', g.user_id, g.id, g.version,
			generation_data(g)::jsonb || jsonb_build_object('fallback',
			jsonb_build_object('from', was.provider, 'to', r.provider,
			'reason', p_why))
		from generations g where g.id = was.id;
end $$;

-- jobs_move: queued jobs of providers that can't take them (p_from) go to a
-- route whose provider has room (p_to, p_room). Looks at the first 1000 of
-- each queue only, and only where some model has such a second route.
create function jobs_move(p_from text[], p_to text[], p_room int[])
returns int language plpgsql as $$
declare
	room int[] := p_room;
	able text[];
	moved int := 0;
	i int;
	c record;
	r model_routes;
begin
	for c in select j.id, j.generation_id, j.routes_tried, j.model_id
		from unnest(p_from) f cross join lateral (
			select q.id, q.generation_id, q.routes_tried, g.model_id,
				q.priority, q.eligible_at
			from (select * from jobs q where q.status = 'queued'
				and q.provider = f and q.eligible_at <= now()
				order by q.priority, q.eligible_at, q.id limit 1000) q
			join generations g on g.id = q.generation_id
			where exists (select from model_routes o
				where o.model_id = g.model_id and o.is_active
				and o.provider = any (p_to)
				and o.id <> all (coalesce(q.routes_tried, '{}')))) j
		where exists (select from model_routes a join model_routes b
			using (model_id) where a.provider = f and b.is_active
			and b.provider = any (p_to))
		order by j.priority, j.eligible_at, j.id loop
		select array_agg(t.name) into able from unnest(p_to, room)
			as t(name, n) where n > 0;
		exit when able is null;
		r := route_next(c.model_id, c.routes_tried, able);
		continue when r.id is null;
		perform from jobs where id = c.id and status = 'queued'
			and provider = any (p_from) for update skip locked;
		continue when not found;
		perform job_reroute(c.id, r, 'busy');
		i := array_position(p_to, r.provider);
		room[i] := room[i] - 1;
		moved := moved + 1;
	end loop;
	return moved;
end $$;

-- route_update: null leaves a column. Outcomes: updated, not_found.
create function route_update(p_id uuid, p_priority int, p_weight int,
	p_active boolean, p_actor uuid) returns text language plpgsql as $$
declare
	was jsonb;
	is_now jsonb;
begin
	select jsonb_build_object('priority', priority, 'weight', weight,
		'active', is_active) into was from model_routes where id = p_id
		for update;
	if not found then
		return 'not_found';
	end if;
	update model_routes set priority = coalesce(p_priority, priority),
		weight = coalesce(p_weight, weight),
		is_active = coalesce(p_active, is_active) where id = p_id
		returning jsonb_build_object('priority', priority, 'weight', weight,
		'active', is_active) into is_now;
	insert into audit_log (actor_id, actor_kind, action, target_type,
		target_id, before, after) values (p_actor, case when p_actor is null
		then 'system' else 'user' end, 'route.update', 'route', p_id::text,
		was, is_now);
	return 'updated';
end $$;
