-- Row level security behind the user_id that every statement carries anyway.
-- The app pool names its user in app.uid, per transaction; the engine pool
-- says app.engine once per session. Neither set: no rows at all.
-- The sub-selects make PostgreSQL evaluate the settings once per query.

do $$
declare
	t text;
	col text;
begin
	foreach t in array array['users', 'accounts', 'identities', 'sessions',
		'login_links', 'api_keys', 'projects', 'idempotency', 'audit_log',
		'assets', 'generations', 'generation_asset', 'jobs', 'attempts',
		'events', 'charges', 'grants', 'grant_use', 'ledger_entry'] loop
		col := case t when 'users' then 'id' when 'audit_log' then 'actor_id'
			else 'user_id' end;
		execute format('alter table %I enable row level security', t);
		execute format('alter table %I force row level security', t);
		execute format('create policy own_rows on %I using ('
			'(select current_setting(''app.engine'', true)) = ''on'' or '
			'%I = (select nullif(current_setting(''app.uid'', true), '
			''''')::uuid))', t, col);
	end loop;
end $$;
