-- Re-applying starts here: drops every function, view and row type that a
-- file of this folder made, so that a changed signature leaves no old twin.
-- What migrations made (triggers, helpers used in indexes) stays: it is in
-- `kept`, or a trigger function. Functions are called by name at run time, so
-- nothing else depends on them.

do $$
declare
	f record;
	kept text[] := array['uuid7', 'ms', 'config_int', 'generation_may_move',
		'generation_counts_active', 'phase_of'];
begin
	for f in select p.oid::regprocedure as sig from pg_proc p
		where p.pronamespace = current_schema()::regnamespace
		and p.prokind = 'f' and p.prorettype <> 'trigger'::regtype
		and p.proname <> all (kept)
		and not exists (select from pg_depend d
			where d.objid = p.oid and d.deptype = 'e') loop
		execute format('drop function %s', f.sig);
	end loop;
	for f in select t.oid::regtype as sig from pg_type t
		join pg_class c on c.oid = t.typrelid and c.relkind = 'c'
		where t.typnamespace = current_schema()::regnamespace
		and not exists (select from pg_depend d
			where d.objid = c.oid and d.deptype = 'e') loop
		execute format('drop type %s', f.sig);
	end loop;
	set local client_min_messages = warning;
	drop view if exists job_work;
	drop view if exists generation_public;
end $$;
