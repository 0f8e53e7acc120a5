-- What a person does to a generation. All run on the ENGINE pool with the
-- user as a parameter; every one checks that the row is the user's.

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
