-- model_put: creates or updates one model from a catalogue document; what an
-- operator changed live (active, default, deprecated) is kept on update. The
-- price gets a new version only when the rule differs. Any pool; no row here
-- belongs to a user. Document: {slug,name,description,version,family,category,
-- tags[],aliases[],capabilities{},default_params{},premium,active,default,
-- deprecated,experimental,replacement,deadline_s,routes:[{provider,endpoint,
-- params{},priority,weight,active,cost_rule{},bills_on_failure,
-- bills_on_cancel}],price:{rule}}. Unknown providers are made, named alike.
-- Outcomes: created, updated.
create function model_put(p_doc jsonb, out outcome text, out id uuid)
language plpgsql as $$
declare
	r jsonb;
	plan price_plans;
	had boolean;
begin
	select exists (select from models where slug = p_doc->>'slug') into had;
	insert into models as m (slug, name, description, version, family,
		category, tags, aliases, capabilities, default_params, is_premium,
		is_active, is_default, is_deprecated, is_experimental, replacement,
		deadline_s)
	select p_doc->>'slug', p_doc->>'name',
		coalesce(p_doc->>'description', ''), p_doc->>'version',
		p_doc->>'family', p_doc->>'category',
		array(select jsonb_array_elements_text(p_doc->'tags')),
		array(select jsonb_array_elements_text(p_doc->'aliases')),
		coalesce(p_doc->'capabilities', '{}'),
		coalesce(p_doc->'default_params', '{}'),
		coalesce((p_doc->>'premium')::boolean, false),
		coalesce((p_doc->>'active')::boolean, true),
		coalesce((p_doc->>'default')::boolean, false) and not exists (select
			from models where is_default and deleted_at is null),
		coalesce((p_doc->>'deprecated')::boolean, false),
		coalesce((p_doc->>'experimental')::boolean, false),
		p_doc->>'replacement', coalesce((p_doc->>'deadline_s')::int, 1800)
	on conflict (slug) do update set name = excluded.name,
		description = excluded.description, version = excluded.version,
		family = excluded.family, category = excluded.category,
		tags = excluded.tags, aliases = excluded.aliases,
		capabilities = excluded.capabilities,
		default_params = excluded.default_params,
		is_premium = excluded.is_premium,
		is_experimental = excluded.is_experimental,
		replacement = excluded.replacement,
		deadline_s = excluded.deadline_s, updated_at = now()
	returning m.id into id;
	for r in select jsonb_array_elements(p_doc->'routes') loop
		insert into providers (name, display_name) values (r->>'provider',
			r->>'provider') on conflict do nothing;
		insert into model_routes as mr (model_id, provider, endpoint, params,
			priority, weight, is_active, cost_rule, bills_on_failure,
			bills_on_cancel)
		values (id, r->>'provider', coalesce(r->>'endpoint', ''),
			coalesce(r->'params', '{}'), coalesce((r->>'priority')::int, 100),
			coalesce((r->>'weight')::int, 1),
			coalesce((r->>'active')::boolean, true), r->'cost_rule',
			coalesce((r->>'bills_on_failure')::boolean, false),
			coalesce((r->>'bills_on_cancel')::boolean, false))
		on conflict (model_id, provider, endpoint) do update set
			params = excluded.params, cost_rule = excluded.cost_rule,
			bills_on_failure = excluded.bills_on_failure,
			bills_on_cancel = excluded.bills_on_cancel;
	end loop;
	if p_doc ? 'price' then
		select * into plan from price_plans where model_id = model_put.id
			and user_group = '*' and active_to is null for update;
		if not found or plan.rule <> p_doc->'price'->'rule' then
			update price_plans set active_to = now()
				where price_plans.id = plan.id;
			insert into price_plans (model_id, rule, version)
				values (model_put.id, p_doc->'price'->'rule', 1
				+ coalesce((select max(version) from price_plans
				where model_id = model_put.id and user_group = '*'), 0));
		end if;
	end if;
	outcome := case when had then 'updated' else 'created' end;
end $$;
