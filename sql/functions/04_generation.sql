-- What a person does to a generation. All run on the ENGINE pool with the
-- user as a parameter; every one checks that the row is the user's.

-- generation_submit: charges and creates, all or nothing.
--   p_key/p_hash   idempotency key and SHA-256 of the body, or both null
--   p_route        the route the API chose; the model follows from it
--   p_spec         the request as checked, p_resolved what will be made
--   p_credits, p_breakdown, p_plan   the quote, frozen on the charge
--   p_deadline_s   null = the model's
--   p_parent, p_relation   both null, or the generation this one comes from
-- Outcomes: created; replayed (same key and body: g is the stored one);
-- mismatch (key used with another body); running (the same key's first call
-- has not finished within 5 s); busy (the account is locked for 5 s);
-- insufficient (balance says how much there is); limit (too many waiting);
-- disabled (video_generation_enabled is off); suspended; model_gone;
-- asset_gone; project_gone; not_found (no such user).
create function generation_submit(p_user uuid, p_id uuid, p_key text,
	p_hash bytea, p_api_key uuid, p_route uuid, p_mode text, p_spec jsonb,
	p_resolved jsonb, p_credits bigint, p_breakdown jsonb, p_plan uuid,
	p_start uuid, p_end uuid, p_project uuid, p_title text, p_deadline_s int,
	p_priority int, p_parent uuid, p_relation text) returns move_result
language plpgsql set lock_timeout = '5s' as $$
declare
	old generations;
	f record;
	acc accounts;
	u record;
	entry bigint;
	expired bigint;
	charge uuid := uuid7();
	waits boolean;
	res move_result;
begin
	if p_key is not null then
		-- Duplicates of one key meet here, before they hold anything else.
		begin
			perform pg_advisory_xact_lock(hashtextextended(
				p_user::text || ' ' || p_key, 7));
		exception when lock_not_available then
			return generation_unchanged('running', null);
		end;
		select * into old from generations
			where user_id = p_user and idem_key = p_key;
		if found then
			return generation_unchanged(case when old.body_hash = p_hash
				then 'replayed' else 'mismatch' end,
				case when old.body_hash = p_hash then old.id end);
		end if;
	end if;
	select r.id, r.model_id, r.provider, m.slug, m.name, m.deadline_s,
		r.is_active and m.is_active and m.deleted_at is null
		and (m.sunset_at is null or m.sunset_at > now()) as usable,
		(select value = 'false' from system_config
			where key = 'video_generation_enabled') as disabled
		into f from model_routes r join models m on m.id = r.model_id
		where r.id = p_route;
	if f.disabled then
		return generation_unchanged('disabled', null);
	end if;
	if f.usable is not true then
		return generation_unchanged('model_gone', null);
	end if;
	if exists (select from unnest(array[p_start, p_end]) x
		where x is not null and not exists (select from assets
			where id = x and user_id = p_user and state = 'ready'
			and deleted_at is null)) then
		return generation_unchanged('asset_gone', null);
	end if;
	if p_project is not null and not exists (select from projects
		where id = p_project and user_id = p_user) then
		return generation_unchanged('project_gone', null);
	end if;

	begin
		select * into acc from accounts where user_id = p_user for update;
	exception when lock_not_available then
		return generation_unchanged('busy', null);
	end;
	if acc.user_id is null then
		return generation_unchanged('not_found', null);
	end if;
	select status, coalesce(concurrent_limit,
		config_int('video_concurrent_limit', 3)) as running,
		config_int('video_waiting_limit', 10000) as waiting,
		config_int('video_queue_deadline_s', 21600) as queue_s
		into u from users where id = p_user and deleted_at is null;
	if u.status is distinct from 'active' then
		return generation_unchanged('suspended', null);
	end if;
	waits := acc.waiting > 0 or acc.active >= u.running;
	if waits and acc.waiting >= u.waiting then
		return generation_unchanged('limit', null);
	end if;
	if exists (select from grants where user_id = p_user and remaining > 0
		and expires_at <= now()) then
		expired := grants_expire_user(p_user);
		select * into acc from accounts where user_id = p_user;
	end if;
	if acc.balance < p_credits then
		res := generation_unchanged('insufficient', null);
		res.balance := acc.balance;
		return res;
	end if;

	insert into generations (id, user_id, api_key_id, project_id, parent_id,
		relation, mode, model_id, model, model_name, route_id, provider,
		prompt, negative_prompt, spec, resolved, start_asset_id, end_asset_id,
		status, credits, idem_key, body_hash, title, deadline_s, deadline_at)
	values (p_id, p_user, p_api_key, p_project, p_parent, p_relation, p_mode,
		f.model_id, f.slug, f.name, f.id, f.provider,
		coalesce(p_spec->>'prompt', ''), p_spec->>'negative_prompt', p_spec,
		p_resolved, p_start, p_end,
		case when waits then 'pending' else 'queued' end::generation_status,
		p_credits, p_key, p_hash, p_title,
		coalesce(p_deadline_s, f.deadline_s), case when not waits then
		now() + make_interval(secs => u.queue_s) end);
	insert into charges (id, generation_id, user_id, quote, breakdown,
		price_plan_id, plan_version) values (charge, p_id, p_user, p_credits,
		p_breakdown, p_plan, (select version from price_plans
			where id = p_plan));
	entry := charge_debit(charge, p_user, p_credits);
	insert into jobs (generation_id, user_id, provider, status, priority)
		values (p_id, p_user, f.provider, case when waits then 'scheduled'
		else 'queued' end::job_status, coalesce(p_priority, 100));
	return generation_result('created', p_id, 'generation.created',
		coalesce(entry, expired), null);
end $$;

-- generation_cancel: p_user null = an operator may cancel anybody's; p_actor
-- is who asked. Outcomes: cancelled (was not at the provider: refunded at
-- once); cancelling (the engine must stop the provider; hint its owner);
-- already (was cancelling or cancelled); too_late (finalizing, in review, or
-- ended otherwise: g tells); not_found.
create function generation_cancel(p_id uuid, p_user uuid, p_actor uuid)
returns move_result language plpgsql as $$
declare
	g generations;
begin
	perform from jobs where generation_id = p_id and kind = 'generate'
		for update;
	select * into g from generations where id = p_id
		and (p_user is null or user_id = p_user) for update;
	if not found then
		return generation_unchanged('not_found', null);
	end if;
	case
	when g.status in ('draft', 'pending', 'queued') then
		update generations set cancel_requested_at = now(),
			cancel_requested_by = p_actor where id = p_id;
		return generation_end(p_id, 'cancelled', 'cancelled', 'cancelled',
			'Cancelled.', null, true, 0);
	when g.status in ('processing', 'awaiting_approval') then
		update generations set status = 'cancelling', version = version + 1,
			cancel_requested_at = now(), cancel_requested_by = p_actor,
			updated_at = now() where id = p_id;
		return generation_result('cancelling', p_id,
			'generation.cancelling', null, null);
	when g.status in ('cancelling', 'cancelled') then
		return generation_unchanged('already', p_id);
	else
		return generation_unchanged('too_late', p_id);
	end case;
end $$;

-- generation_retry: a new generation with the failed or cancelled one's
-- inputs, charged again. p_user null = an operator; the owner pays. p_credits
-- null = the frozen price of the old one; p_route null = its route.
-- Outcomes: those of generation_submit, and not_found, not_failed.
create function generation_retry(p_id uuid, p_user uuid, p_new uuid,
	p_key text, p_hash bytea, p_route uuid, p_credits bigint,
	p_breakdown jsonb, p_plan uuid) returns move_result
language plpgsql as $$
declare
	g generations;
	c charges;
begin
	select * into g from generations where id = p_id
		and (p_user is null or user_id = p_user);
	if not found then
		return generation_unchanged('not_found', null);
	end if;
	if g.status not in ('failed', 'cancelled') then
		return generation_unchanged('not_failed', p_id);
	end if;
	select * into strict c from charges where generation_id = p_id;
	return generation_submit(g.user_id, p_new, p_key, p_hash, null,
		coalesce(p_route, g.route_id), g.mode, g.spec, g.resolved,
		coalesce(p_credits, c.quote),
		case when p_credits is null then c.breakdown else p_breakdown end,
		case when p_credits is null then c.price_plan_id else p_plan end,
		g.start_asset_id, g.end_asset_id, g.project_id, g.title,
		g.deadline_s, null, g.id, 'retry');
end $$;

-- generation_patch: null = leave as it is; an empty title clears it.
-- Outcomes: updated, not_found.
create function generation_patch(p_id uuid, p_user uuid, p_title text,
	p_favourite boolean) returns move_result language plpgsql as $$
begin
	update generations set title = case when p_title is null then title
		else nullif(p_title, '') end,
		favourite = coalesce(p_favourite, favourite),
		version = version + 1, updated_at = now()
		where id = p_id and user_id = p_user and deleted_at is null;
	if not found then
		return generation_unchanged('not_found', null);
	end if;
	return generation_result('updated', p_id, 'generation.updated', null,
		null);
end $$;

-- generation_delete: hides an ended generation and marks its files for the
-- sweep (assets_purgeable). Money rows stay. p_user null = an operator.
-- Outcomes: deleted, active (still running: cancel first), not_found.
create function generation_delete(p_id uuid, p_user uuid)
returns move_result language plpgsql as $$
declare
	g generations;
begin
	select * into g from generations where id = p_id and deleted_at is null
		and (p_user is null or user_id = p_user) for update;
	if not found then
		return generation_unchanged('not_found', null);
	end if;
	if g.status not in ('draft', 'completed', 'failed', 'cancelled') then
		return generation_unchanged('active', p_id);
	end if;
	update generations set deleted_at = now(), version = version + 1,
		updated_at = now(), media_state = case media_state when 'stored'
		then 'purged' else media_state end where id = p_id;
	update assets set deleted_at = now() where deleted_at is null
		and id in (select asset_id from generation_asset
			where generation_id = p_id);
	return generation_result('deleted', p_id, 'generation.deleted', null,
		null);
end $$;
