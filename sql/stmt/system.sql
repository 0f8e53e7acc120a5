-- Statements about the database itself.

-- name: ping ()
select 1 as one;

-- name: schema_version ()
select coalesce(max(version), 0) as version,
       (select rolsuper or rolbypassrls from pg_roles where rolname = current_user) as escapes_rls
  from schema_migration;

-- name: test_echo (text)
-- The next four are for the tests of src/pg; they read nothing.
select $1::text as v;

-- name: test_sleep (float8)
select pg_sleep($1);

-- name: test_divide (int)
select 1 / $1 as v;

-- name: test_actor ()
select current_setting('app.uid', true) as v;
