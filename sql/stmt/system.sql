-- Statements about the database itself.

-- name: ping ()
select 1 as one;

-- name: schema_version ()
select coalesce(max(version), 0) as version,
       (select rolsuper or rolbypassrls from pg_roles where rolname = current_user) as escapes_rls
  from schema_migration;
