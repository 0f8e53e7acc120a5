-- Less work per change, the same rules.

-- extract() of a timestamptz is not immutable in PostgreSQL's eyes, so an
-- immutable function around it was never inlined but parsed and planned anew
-- at each call: ten times per submit.
create or replace function ms(t timestamptz) returns bigint language sql stable
	parallel safe as $$ select floor(extract(epoch from t) * 1000)::bigint $$;

-- The same for its sub-select: a function of its own keeps its plan.
create or replace function config_int(p_key text, p_default int) returns int
language plpgsql stable as $$
begin
	return coalesce((select (value #>> '{}')::numeric::int from system_config
		where key = p_key and jsonb_typeof(value) = 'number'), p_default);
end $$;

-- Foreign keys of what a submit writes, looked at once per statement instead
-- of once per row and key: a foreign key locks the row it points to, and the
-- submits of all users locked the same model, route and price plan. A look
-- without a lock is as safe because what is pointed to is never deleted and
-- never changes its id. It says more, too: a row belongs to the user whose
-- generation it is about. A plan made while the tables were empty must not
-- scan them when they are full, hence enable_seqscan.
create function id_kept() returns trigger language plpgsql as $$
begin
	raise exception '%: ids and owners never change', tg_table_name
		using errcode = 'P0005';
end $$;
do $$
declare
	t text;
begin
	foreach t in array array['users', 'api_keys', 'models', 'model_routes',
		'price_plans'] loop
		execute format('create trigger %I before delete on %I for each row '
			'execute function row_kept()', t || '_kept', t);
		execute format('create trigger %I before truncate on %I for each '
			'statement execute function row_kept()', t || '_kept_all', t);
		execute format('create trigger %I before update of id on %I for each '
			'row when (new.id is distinct from old.id) execute function '
			'id_kept()', t || '_id_kept', t);
	end loop;
	foreach t in array array['jobs', 'events', 'ledger_entry'] loop
		execute format('create trigger %I before update of user_id, %I on %I '
			'for each row when (new.user_id is distinct from old.user_id or '
			'new.%2$I is distinct from old.%2$I) execute function id_kept()',
			t || '_owner_kept', case t when 'ledger_entry' then 'charge_id'
			else 'generation_id' end, t);
	end loop;
end $$;
create trigger charge_kept_all before truncate on charges
	for each statement execute function row_kept();
create trigger account_kept_all before truncate on accounts
	for each statement execute function row_kept();
create trigger account_id_kept before update of user_id on accounts
	for each row when (new.user_id is distinct from old.user_id)
	execute function id_kept();
create trigger generation_model_kept before update of api_key_id, model_id
	on generations for each row when ((new.api_key_id, new.model_id)
	is distinct from (old.api_key_id, old.model_id))
	execute function id_kept();
-- Failover takes another route, always one of the same model.
create function generation_rerouted() returns trigger language plpgsql as $$
begin
	if not exists (select from model_routes r where r.id = new.route_id
		and r.model_id = new.model_id) then
		raise exception 'generation %: no such route of its model', new.id
			using errcode = 'foreign_key_violation';
	end if;
	return new;
end $$;
create trigger generation_rerouted before update of route_id on generations
	for each row when (new.route_id is distinct from old.route_id)
	execute function generation_rerouted();

alter table generations drop constraint generations_user_id_fkey,
	drop constraint generations_api_key_id_fkey,
	drop constraint generations_model_id_fkey,
	drop constraint generations_route_id_fkey;
alter table charges drop constraint charges_generation_id_fkey,
	drop constraint charges_user_id_fkey,
	drop constraint charges_price_plan_id_fkey;
-- job_is_charged() finds the charge of that user's generation.
alter table jobs drop constraint jobs_generation_id_fkey,
	drop constraint jobs_user_id_fkey;
alter table events drop constraint events_generation_id_fkey,
	drop constraint events_user_id_fkey;
-- ledger_apply() finds the charge and the account.
alter table ledger_entry drop constraint ledger_entry_user_id_fkey,
	drop constraint ledger_entry_charge_id_fkey;

-- Also: accounts.active and accounts.waiting follow, once per statement and
-- user, so that a submit of several orders touches each account once.
create function generation_made() returns trigger language plpgsql
set enable_seqscan = off as $$
declare
	bad uuid;
begin
	select n.id into bad from made n
		where not exists (select from users u where u.id = n.user_id)
		or not exists (select from model_routes r where r.id = n.route_id
			and r.model_id = n.model_id)
		or n.api_key_id is not null and not exists (select from api_keys k
			where k.id = n.api_key_id and k.user_id = n.user_id);
	if found then
		raise exception 'generation %: no such user, key, model or route',
			bad using errcode = 'foreign_key_violation';
	end if;
	update accounts a set active = a.active + s.active,
		waiting = a.waiting + s.waiting
		from (select user_id, count(*) filter (where
				generation_counts_active(status)) as active,
			count(*) filter (where status = 'pending') as waiting
			from made group by user_id) s
		where a.user_id = s.user_id and (s.active > 0 or s.waiting > 0);
	return null;
end $$;
drop trigger generation_count_new on generations;
create trigger generation_made after insert on generations
	referencing new table as made
	for each statement execute function generation_made();

create function charge_made() returns trigger language plpgsql
set enable_seqscan = off as $$
declare
	bad uuid;
begin
	select n.id into bad from made n
		where not exists (select from generations g
			where g.id = n.generation_id and g.user_id = n.user_id)
		or n.price_plan_id is not null and not exists (select
			from price_plans p where p.id = n.price_plan_id);
	if found then
		raise exception 'charge %: no such generation of the user, or price',
			bad using errcode = 'foreign_key_violation';
	end if;
	return null;
end $$;
create trigger charge_made after insert on charges
	referencing new table as made
	for each statement execute function charge_made();

create function event_made() returns trigger language plpgsql
set enable_seqscan = off as $$
declare
	bad bigint;
begin
	select n.seq into bad from made n where case
		when n.generation_id is null then
			not exists (select from users u where u.id = n.user_id)
		else not exists (select from generations g
			where g.id = n.generation_id and g.user_id = n.user_id) end;
	if found then
		raise exception 'event %: no such user or generation', bad
			using errcode = 'foreign_key_violation';
	end if;
	return null;
end $$;
create trigger event_made after insert on events
	referencing new table as made
	for each statement execute function event_made();

-- The guard has nothing to say to a change of the counters.
drop trigger account_guard on accounts;
create trigger account_guard_new before insert on accounts
	for each row execute function account_guard();
create trigger account_guard before update on accounts
	for each row when (new.balance is distinct from old.balance)
	execute function account_guard();

-- One look instead of two.
create or replace function job_is_charged() returns trigger
language plpgsql set enable_seqscan = off as $$
begin
	if not exists (select from charges c where
		c.generation_id = new.generation_id and c.user_id = new.user_id
		and c.quote = coalesce((select
			-l.amount from ledger_entry l where l.charge_id = c.id
			and l.type = 'video_generation'), 0)) then
		raise exception 'job %: generation % has no charge in the ledger',
			new.id, new.generation_id using errcode = 'P0019';
	end if;
	return null;
end $$;
