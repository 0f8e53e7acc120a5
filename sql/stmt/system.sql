-- Statements about the database itself.

-- name: ping ()
select 1 as one;

-- name: schema_version ()
select coalesce(max(version), 0) as version,
       (select rolsuper or rolbypassrls from pg_roles where rolname = current_user) as escapes_rls
  from schema_migration;

-- name: test_echo (text)
-- The next five are for the tests of src/pg; they read nothing.
select $1::text as v;

-- name: test_sleep (float8)
select pg_sleep($1);

-- name: test_divide (int)
select 1 / $1 as v;

-- name: test_actor ()
select current_setting('app.uid', true) as v;

-- name: test_group (jsonb)
-- skip: not in company of more than two; d = 0 spoils the transaction
select n, v, 1 / d as one, jsonb_array_length($1) as company
  from jsonb_to_recordset($1) as x(n int, v int, d int, skip boolean,
       s float8), pg_sleep(coalesce(s, 0))
 where skip is not true or jsonb_array_length($1) <= 2;
