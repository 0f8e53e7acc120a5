-- The row shapes that the functions return, and the two helpers that write
-- history. Internal to this folder except the views, which statements read.

-- What the API needs to build the public object of a generation.
create view generation_public with (security_invoker = true) as
select g.id, g.user_id, g.status::text as status, g.stage, g.progress,
	g.progress_basis, g.version, g.model, g.model_name, g.provider, g.mode,
	g.prompt, nullif(g.enhanced_prompt, '') as enhanced_prompt,
	g.negative_prompt, g.spec, g.resolved, g.start_asset_id,
	g.end_asset_id, g.credits, c.state::text as charge_state,
	c.refunded as charge_refunded, c.settled as charge_settled,
	g.provider_position, g.eta_low_s, g.eta_high_s, g.error_class,
	g.error_code, g.error_message, g.error_retryable, g.media_state,
	g.video_asset_id, g.thumbnail_asset_id, g.video, g.parent_id, g.relation,
	g.title, g.favourite, g.project_id, ms(g.created_at) as created_ms,
	ms(g.started_at) as started_ms, ms(g.completed_at) as completed_ms,
	ms(g.cancel_requested_at) as cancel_requested_ms,
	ms(g.deadline_at) as deadline_ms
from generations g left join charges c on c.generation_id = g.id;
do $$
begin
	execute format('grant select on generation_public to %I',
		left(current_user, 56) || '_reader'); -- 0017
end $$;

-- What every business function that moves a generation returns.
--   outcome        see each function; never an exception for a business case
--   event_seq      the outbox row to mark sent once `event` is published
--   event          {type,generation_id,user_id,version,ts,data}
--   balance_event  {type:"credits.balance",...} when credits moved, else null
--   promoted       [{seq,event}...]: the user's next generations that this
--                  one's end let into the queue, else null; their presence
--                  also means "wake the claimers"
--   seqs           every event_seq of the call, for outbox_sent()
--   balance        the user's balance when the call looked at it, else null
--   g              the generation as it is now
-- Those for several generations return a row for each, and instead of event_seq,
-- event and balance_event their parts, which a server sends on as they are:
--   event_type, generation_id, user_id, event_version, event_ms, event_data
--   balance_version   the ledger entry that left `balance`; null: none
create type move_result as (outcome text, event_seq bigint, event json,
	balance_event json, promoted jsonb, seqs bigint[], balance bigint,
	g generation_public);

-- All that the engine needs to work on a job, in one row, and no more: it is
-- made and read for each job.
create view job_work with (security_invoker = true) as
select j.id as job_id, j.generation_id, j.user_id, j.kind, j.step,
	j.status::text as job_status, j.priority, j.eligible_at, j.crash_count,
	j.owner, g.status::text as status, g.prompt, g.enhanced_prompt,
	g.negative_prompt, g.spec, j.provider, r.endpoint, r.params,
	r.cost_rule, (m.capabilities->>'max_prompt')::int as max_prompt,
	(m.capabilities->>'result_lifetime_s')::int as result_lifetime_s,
	g.deadline_s, ms(g.deadline_at) as deadline_ms,
	a.id as attempt_id, a.status::text as attempt_status, a.nonce,
	coalesce(a.account_id, j.account_id) as account_id,
	coalesce(pa.opened_until is not null, false) as probe,
	a.provider_job_id, a.refs, a.result_url,
	ms(a.result_expires_at) as result_expires_ms,
	ms(a.finished_at) as result_ms,
	sa.key as start_key, sa.mime as start_mime,
	sa.size_bytes as start_bytes, sa.width as start_width,
	sa.height as start_height, ea.key as end_key, ea.mime as end_mime,
	ea.size_bytes as end_bytes, ea.width as end_width,
	ea.height as end_height
from jobs j join generations g on g.id = j.generation_id
	join model_routes r on r.id = g.route_id
	join models m on m.id = g.model_id
	left join attempts a on a.id = j.attempt_id
	left join provider_accounts pa
	on pa.id = coalesce(a.account_id, j.account_id)
	left join assets sa on sa.id = g.start_asset_id
	left join assets ea on ea.id = g.end_asset_id;

-- What an attempt cost us: what the provider said, else the estimate of its
-- submit where they bill such an end; estimated tells which. Null: unknown.
create function attempt_cost(a attempts, out micro_usd bigint,
	out estimated boolean) language sql stable as $$
	select coalesce(a.cost_micro_usd, case when s.maybe
		and not (a.status = 'failed' and not r.bills_on_failure
			and a.error_class is distinct from 'uncertain')
		and not (a.status = 'cancelled' and not r.bills_on_cancel)
		then a.cost_quoted_micro_usd else 0 end),
		a.cost_micro_usd is null and s.maybe
	from model_routes r, (select a.submitted_at is not null
		or a.status = 'ambiguous' or a.error_class = 'uncertain' as maybe) s
	where r.id = a.route_id
$$;

-- A generation's money for operators: what the provider got, and what is left
-- of the credits that stay charged. Nulls where a cost is unknown.
create function generation_margin(p_id uuid, out cost_micro_usd bigint,
	out cost_estimated boolean, out revenue_micro_usd bigint,
	out margin_micro_usd bigint) language sql stable as $$
	select x.cost, x.estimated, m.revenue, m.revenue - x.cost
	from (select case when bool_and(ac.micro_usd is not null) is not false
			then coalesce(sum(ac.micro_usd), 0)::bigint end as cost,
			coalesce(bool_or(ac.estimated), false) as estimated
		from attempts a cross join lateral attempt_cost(a) ac
		where a.generation_id = p_id) x,
		(select case when coalesce((select value #>> '{}' from system_config
			where key = 'currency'), 'USD') = 'USD' then (c.quote - c.refunded)
			* config_int('credit_value_micros', 10000) end as revenue
			from charges c where c.generation_id = p_id) m
$$;

-- Is the provider's copy of a result about to go, and ours not stored yet?
-- src/jobs/step.h has the same rule.
create function result_is_expiring(a attempts, j jobs) returns boolean
language sql stable as $$
	select coalesce(j.step in ('download', 'store') and j.finished_at is null
		and (a.result_expires_at - now() < 0.2 * (a.result_expires_at
			- a.finished_at)
		or a.result_expires_at - now() < interval '15 minutes'
		and a.result_expires_at - a.finished_at > interval '15 minutes'),
		false)
$$;

create type adopt_result as (outcome text, event_seq bigint, event json,
	balance_event json, promoted jsonb, seqs bigint[], w job_work);

-- json, not jsonb: it is only ever sent on and stored, and half as dear to make.
create function event_json(e events) returns json language sql stable as $$
	select json_build_object('type', e.type, 'generation_id',
		e.generation_id, 'user_id', e.user_id, 'version', e.version, 'ts',
		ms(e.created_at), 'data', e.data)
$$;

create function balance_json(p_user uuid, p_balance bigint, p_version bigint,
	p_at timestamptz) returns json language sql stable as $$
	select case when p_balance is not null then json_build_object('type',
		'credits.balance', 'user_id', p_user, 'version', p_version, 'ts',
		ms(p_at), 'data', json_build_object('balance', p_balance)) end
$$;

-- The part of a generation that travels in its events. Put together as text
-- and then looked at once: json_build_object() looks up the type of each
-- member at each call.
create function generation_data(g generations) returns json
language sql stable as $$
	select concat('{"id":"', g.id, '","status":"', g.status, '","stage":',
		coalesce('"' || g.stage || '"', 'null'), ',"progress":', g.progress,
		',"progress_basis":"', g.progress_basis, '","version":', g.version,
		',"model":"', g.model, '","model_name":', to_json(g.model_name),
		',"provider":"', g.provider, '","credits":', g.credits, ',"title":',
		coalesce(to_json(g.title)::text, 'null'), ',"favourite":',
		case when g.favourite then 'true' else 'false' end, ',"parent_id":',
		coalesce('"' || g.parent_id::text || '"', 'null'), ',"queue":', case when g.status in ('queued',
			'processing') and (g.eta_high_s is not null
			or g.provider_position is not null) then json_build_object(
			'provider_position', g.provider_position, 'eta_low_s', g.eta_low_s,
			'eta_high_s', g.eta_high_s)::text else 'null' end,
		',"error":', case when g.error_code is not null then concat('{"class":',
			coalesce(to_json(g.error_class)::text, 'null'), ',"code":',
			to_json(g.error_code), ',"message":',
			coalesce(to_json(g.error_message)::text, 'null'), ',"retryable":',
			case g.error_retryable when true then 'true' when false
			then 'false' else 'null' end, '}') else 'null' end,
		',"video":', coalesce(g.video::text, 'null'), ',"video_url":',
		case when g.media_state = 'stored' then '"/api/v1/generations/'
			|| g.id || '/content?variant=video"' else 'null' end,
		',"thumbnail_url":', case when g.thumbnail_asset_id is not null
			and g.media_state = 'stored' then '"/api/v1/generations/' || g.id
			|| '/content?variant=thumbnail"' else 'null' end,
		',"created_at":', ms(g.created_at), ',"started_at":',
		coalesce(ms(g.started_at)::text, 'null'), ',"completed_at":',
		coalesce(ms(g.completed_at)::text, 'null'), '}')::json
$$;

-- Writes the event of a change just made to generation p_id and builds the
-- result row. p_ledger is the ledger entry of the same change, if any.
create function generation_result(p_outcome text, p_id uuid, p_type text,
	p_ledger bigint, p_promoted jsonb) returns move_result
language plpgsql as $$
declare
	e events;
	res move_result;
	l ledger_entry;
begin
	res.outcome := p_outcome;
	if p_ledger is not null then
		select * into l from ledger_entry where id = p_ledger;
	end if;
	if p_type is not null then
		insert into events (type, user_id, generation_id, version, data,
			balance, balance_version)
		select p_type, g.user_id, g.id, g.version, generation_data(g),
			l.balance_after, l.id from generations g where g.id = p_id
		returning * into e;
		res.event_seq := e.seq;
		res.event := event_json(e);
		res.seqs := array[e.seq] || array(select (p->>'seq')::bigint
			from jsonb_array_elements(p_promoted) p);
	end if;
	res.balance := l.balance_after;
	res.balance_event := balance_json(l.user_id, l.balance_after, l.id,
		l.created_at);
	res.promoted := p_promoted;
	select gp into res.g from generation_public gp where gp.id = p_id;
	return res;
end $$;
