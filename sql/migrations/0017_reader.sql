-- Who reads for a person is a role of its own: it may read, no more, and only
-- his rows. The owner of the tables, who does business for all, is no longer
-- asked by row level security: its answer to him was always yes, and to ask in
-- every small statement was a seventh of what an order costs.
--
-- The role's name follows the owner's, here, in 01_public.sql, and where the
-- app pool takes it on (src/main/wire.c).
do $$
declare
	reader text := left(current_user, 56) || '_reader';
	was text := current_setting('role');
	t text;
	col text;
begin
	begin
		if not exists (select from pg_roles where rolname = reader) then
			execute format('create role %I nologin', reader);
			execute format('grant %I to %I', reader, current_user);
		end if;
		perform set_config('role', reader, true);
	exception when insufficient_privilege then
		raise exception 'the role % is missing or not ours; as an '
			'administrator of the database: create role %; grant % to %',
			reader, quote_ident(reader), quote_ident(reader),
			quote_ident(current_user) using errcode = '42501';
	end;
	perform set_config('role', was, true);

	foreach t in array array['users', 'accounts', 'identities', 'sessions',
		'login_links', 'api_keys', 'projects', 'idempotency', 'audit_log',
		'assets', 'generations', 'generation_asset', 'jobs', 'attempts',
		'events', 'charges', 'grants', 'grant_use', 'ledger_entry',
		'enhance_use'] loop
		col := case t when 'users' then 'id' when 'audit_log' then 'actor_id'
			else 'user_id' end;
		execute format('alter table %I no force row level security', t);
		execute format('drop policy own_rows on %I', t);
		-- The sub-select is evaluated once per query. What stands before it is
		-- never true: by the equation alone PostgreSQL would know that it says
		-- the same as the statement's own condition, expect all of the user's
		-- rows, and look for a rare type or status, whose frequency it may not
		-- know here, among all rows in their order instead of by the small
		-- index that has them.
		execute format('create policy own_rows on %I for select to %I using '
			'((select '''') = ''never'' or %I = (select nullif('
			'current_setting(''app.uid'', true), '''')::uuid))', t, reader, col);
	end loop;

	execute format('grant usage on schema %I to %I', current_schema(), reader);
	execute format('grant select on accounts, assets, attempts, charges, '
		'events, generation_asset, generations, grants, ledger_entry, '
		'model_routes, projects to %I', reader);
	execute format('grant select (id, user_id, user_agent, created_at, '
		'seen_at, expires_at) on sessions to %I', reader);
	execute format('grant select (id, user_id, name, prefix, scopes, '
		'created_at, expires_at, used_at, revoked_at) on api_keys to %I',
		reader);
	execute format('grant select (id, label) on provider_accounts to %I',
		reader);
end $$;
