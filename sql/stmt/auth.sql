-- Users, sessions, keys, links, stored replies. ENGINE pool: the caller is not
-- known yet, or is not the row's owner; the *_list of a person use the app pool.

-- name: user_create (uuid, text, text, text, bigint, uuid)
select * from user_create($1, $2, $3, $4, $5, $6);

-- name: user_update (uuid, text, text, text, int, uuid)
select user_update as outcome from user_update($1, $2, $3, $4, $5, $6);

-- name: user_identity (text, text, text, text, text, jsonb)
select * from user_identity($1, $2, $3, $4, $5, $6);

-- name: user_get (uuid)
select u.id, u.email, u.name, u.role::text as role, u.status::text as status,
	a.balance, a.active, a.waiting, coalesce(u.concurrent_limit,
	config_int('video_concurrent_limit', 3)) as concurrent_limit,
	u.preferences, ms(u.created_at) as created_ms,
	ms(u.last_login_at) as last_login_ms
from users u join accounts a on a.user_id = u.id
where u.id = $1 and u.deleted_at is null;

-- name: enhance_take (uuid, int)
-- engine pool: user, limit a day or 0
select * from enhance_take($1, $2);

-- name: user_by_email (text)
select id, email, name, role::text as role, status::text as status
from users where email = lower($1) and deleted_at is null;

-- name: session_find (bytea, bigint)
-- by token hash, not unused for so many seconds; touches seen_at at most once
-- a minute
with s as (
	select s.id, s.user_id, s.expires_at, s.seen_at from sessions s
	where s.token_hash = $1 and s.expires_at > now()
		and s.seen_at > now() - $2::bigint * interval '1 second'
), touched as (
	update sessions t set seen_at = now() from s where t.id = s.id
		and s.seen_at < now() - interval '1 minute'
)
select s.id as session_id, ms(s.expires_at) as expires_ms, u.id as user_id,
	u.email, u.name, u.role::text as role, u.status::text as status
from s join users u on u.id = s.user_id
where u.status = 'active' and u.deleted_at is null;

-- name: api_key_find (text)
-- by prefix; the caller compares hash in constant time. Touches used_at at
-- most once a minute.
with k as (
	select * from api_keys where prefix = $1 and revoked_at is null
		and (expires_at is null or expires_at > now())
), touched as (
	update api_keys t set used_at = now() from k where t.id = k.id
		and (k.used_at is null or k.used_at < now() - interval '1 minute')
)
select k.id as key_id, encode(k.hash, 'hex') as hash, k.scopes,
	k.rate_per_minute, u.id as user_id, u.email, u.name,
	u.role::text as role, u.status::text as status
from k join users u on u.id = k.user_id
where u.status = 'active' and u.deleted_at is null;

-- name: session_create (bytea, uuid, bigint, bytea, text)
select session_create as id from session_create($1, $2, $3, $4, $5);

-- name: session_end (bytea)
select session_end as found from session_end($1);

-- name: session_list (uuid)
-- app pool
select id, user_agent, ms(created_at) as created_ms, ms(seen_at) as seen_ms,
	ms(expires_at) as expires_ms
from sessions where user_id = $1 and expires_at > now()
order by seen_at desc, id limit 200;

-- name: session_revoke (uuid, uuid)
-- engine pool: session, user
delete from sessions where id = $1 and user_id = $2 returning id;

-- name: login_link_create (bytea, uuid, bigint)
select login_link_create from login_link_create($1, $2, $3);

-- name: login_link_use (bytea, bytea, bigint, bytea, text)
select * from login_link_use($1, $2, $3, $4, $5);

-- name: api_key_create (uuid, uuid, text, text, bytea, text[], bigint)
select api_key_create as outcome from api_key_create($1, $2, $3, $4, $5, $6,
	$7);

-- name: api_key_revoke (uuid, uuid)
select api_key_revoke as outcome from api_key_revoke($1, $2);

-- name: api_key_list (uuid)
-- app pool
select id, name, prefix, scopes, ms(created_at) as created_ms,
	ms(expires_at) as expires_ms, ms(used_at) as used_ms
from api_keys where user_id = $1 and revoked_at is null
order by created_at desc, id;

-- name: idempotency_begin (uuid, text, text, bytea)
select * from idempotency_begin($1, $2, $3, $4);

-- name: idempotency_done (uuid, text, text, int, jsonb)
select idempotency_done from idempotency_done($1, $2, $3, $4, $5);

-- name: idempotency_drop (uuid, text, text)
select idempotency_drop from idempotency_drop($1, $2, $3);

-- name: audit_add (uuid, text, text, text, text, jsonb, jsonb, bytea)
select audit_add from audit_add($1, $2, $3, $4, $5, $6, $7, $8);
