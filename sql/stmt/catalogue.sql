-- Models, routes, prices, configuration. No row belongs to a user here.

-- name: catalogue_load ()
-- every model with its usable routes (best first) and open price plans; a plan
-- with model null fits every model
select m.id, m.slug, to_jsonb(m.aliases) as aliases, m.name, m.description,
	m.version, m.family, m.category, to_jsonb(m.tags) as tags, m.capabilities, m.default_params, m.is_premium,
	m.is_active, m.is_default, m.is_deprecated, m.is_experimental,
	m.replacement, ms(m.sunset_at) as sunset_ms, m.deadline_s,
	(select jsonb_agg(jsonb_build_object('id', r.id, 'provider', r.provider,
		'endpoint', r.endpoint, 'params', r.params, 'account_filter',
		r.account_filter, 'priority', r.priority, 'weight', r.weight,
		'cost_rule', r.cost_rule, 'bills_on_failure', r.bills_on_failure,
		'bills_on_cancel', r.bills_on_cancel, 'provider_state', p.state,
		'provider_name', p.display_name, 'paused_reason', p.paused_reason,
		'paused_until_ms', ms(p.paused_until), 'sunset_ms',
		ms(p.sunset_at)) order by r.priority, r.weight desc, r.id)
		from model_routes r join providers p on p.name = r.provider
		where r.model_id = m.id and r.is_active) as routes,
	(select jsonb_agg(jsonb_build_object('id', pp.id, 'model', pp.model_id,
		'user_group', pp.user_group, 'rule', pp.rule, 'version', pp.version)
		order by pp.model_id nulls last, pp.user_group)
		from price_plans pp where (pp.model_id = m.id or pp.model_id is null)
		and pp.active_from <= now()
		and (pp.active_to is null or pp.active_to > now())) as plans
from models m where m.deleted_at is null
order by m.is_default desc, m.name, m.slug;

-- name: system_config_load ()
select key, value, type from system_config order by key;

-- name: system_config_set (text, jsonb, text, uuid)
insert into system_config (key, value, type, updated_by)
values ($1, $2, $3, $4) on conflict (key) do update set value =
	excluded.value, updated_by = excluded.updated_by, updated_at = now()
returning key, value, type;

-- name: provider_put (text, text, text, text, text, jsonb)
-- name, display name, kind, base url, key env, limits
insert into providers (name, display_name, kind, base_url, key_env, limits)
values ($1, $2, $3, $4, $5, coalesce($6::jsonb, '{}'))
on conflict (name) do update set display_name = excluded.display_name,
	kind = excluded.kind, base_url = excluded.base_url,
	key_env = excluded.key_env, updated_at = now()
returning name;

-- name: provider_list ()
select name, display_name, kind, base_url, key_env, limits,
	state::text as state, ms(paused_until) as paused_until_ms, paused_reason
from providers order by name;

-- name: model_put (jsonb)
-- the document of catalogue.json; see the function
select * from model_put($1);

-- name: model_stats (interval)
-- engine pool: what ended in that time, per model
select model, count(*) filter (where status = 'completed') as completed,
	count(*) filter (where status = 'failed') as failed,
	avg(extract(epoch from completed_at - started_at)) filter
	(where status = 'completed')::real as average_s,
	(percentile_cont(0.5) within group (order by
	extract(epoch from completed_at - started_at)) filter
	(where status = 'completed'))::real as median_s
from generations where status in ('completed', 'failed')
	and created_at > now() - $1::interval group by model;
