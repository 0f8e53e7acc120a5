-- Statements about the database itself.

-- name: ping ()
select 1 as one;

-- name: schema_version ()
select coalesce(max(version), 0) as version,
       (select rolsuper from pg_roles where rolname = current_user) as is_super,
       (select pg_has_role(relowner, 'usage') from pg_class where oid = 'generations'::regclass) as owns_tables,
       (select rolsuper or rolbypassrls from pg_roles where rolname = left(current_user, 56) || '_reader') as reader_sees_all,
       has_function_privilege('pg_logical_emit_message(boolean, text, text)', 'execute') as may_flush
  from schema_migration;

-- name: flush ()
-- A commit that waits for the disk, and so for all that was written before it.
select pg_logical_emit_message(true, 'reeld', '');

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
-- skip: not in company of more than two; d = 0 spoils the transaction; lock: is
-- taken, by who may wait or with others that may, or only tried
select n, v, 1 / d as one, jsonb_array_length($1) as company,
       coalesce(async, false) as async
  from jsonb_to_recordset($1) as x(n int, v int, d int, skip boolean,
       s float8, lock bigint, pass boolean, alone boolean, wait_ms int,
       async boolean),
       lateral (select case when lock is null then true
                when pass then pg_try_advisory_xact_lock(lock)
                when coalesce(alone, false) and set_config('lock_timeout',
                     wait_ms::text, true) is null then false
                else pg_advisory_xact_lock(lock)::text is not null
                end as got) l,
       pg_sleep(case when got then coalesce(s, 0) else 0 end)
 where (skip is not true or jsonb_array_length($1) <= 2) and got;
