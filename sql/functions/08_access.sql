-- Users, keys, sessions, one-time links, stored replies. ENGINE pool: they run
-- before it is known who the caller is, or for somebody else. Secrets arrive
-- as SHA-256; times in milliseconds.

-- user_create: p_credits > 0 gives a bonus under key 'user:<id>'. Outcomes:
-- created, exists (the id returned is the existing user's).
create function user_create(p_id uuid, p_email text, p_name text,
	p_role text, p_credits bigint, p_actor uuid, out outcome text,
	out id uuid) language plpgsql as $$
begin
	insert into users as u (id, email, name, role) values (p_id,
		lower(p_email), coalesce(p_name, ''), p_role::user_role)
		on conflict (email) where deleted_at is null do nothing
		returning u.id into id;
	if id is null then
		outcome := 'exists';
		select u.id into id from users u where email = lower(p_email)
			and deleted_at is null;
		return;
	end if;
	outcome := 'created';
	if p_credits > 0 then
		perform credit_adjust(id, p_credits, 'bonus', 'user:' || id, p_actor,
			'first credits', null);
	end if;
	insert into audit_log (actor_id, actor_kind, action, target_type,
		target_id, after) values (p_actor, case when p_actor is null
		then 'system' else 'user' end, 'user.create', 'user', id,
		jsonb_build_object('role', p_role, 'credits', p_credits));
end $$;

-- user_update: null leaves a column. p_limit 0 = back to the default.
-- Suspending also ends sessions. Outcomes: updated, not_found.
create function user_update(p_id uuid, p_name text, p_role text,
	p_status text, p_limit int, p_actor uuid) returns text
language plpgsql as $$
declare
	was users;
begin
	select * into was from users where id = p_id and deleted_at is null
		for update;
	if not found then
		return 'not_found';
	end if;
	update users set name = coalesce(p_name, name),
		role = coalesce(p_role::user_role, role),
		status = coalesce(p_status::user_status, status),
		concurrent_limit = case when p_limit is null then concurrent_limit
			else nullif(p_limit, 0) end, updated_at = now() where id = p_id;
	if p_status = 'suspended' then
		delete from sessions where user_id = p_id;
	end if;
	if p_role is not null or p_status is not null or p_limit is not null then
		insert into audit_log (actor_id, actor_kind, action, target_type,
			target_id, before, after) values (p_actor, case when p_actor
			is null then 'system' else 'user' end, 'user.update', 'user',
			p_id, jsonb_build_object('role', was.role, 'status', was.status,
			'limit', was.concurrent_limit), jsonb_build_object('role', p_role,
			'status', p_status, 'limit', p_limit));
	end if;
	return 'updated';
end $$;

-- user_identity: log-in from outside: finds the user of (provider, subject),
-- else links the user of that verified e-mail, else creates one. Outcomes:
-- found, linked, created.
create function user_identity(p_provider text, p_subject text,
	p_email text, p_name text, p_role text, p_claims jsonb,
	out outcome text, out user_id uuid) language plpgsql as $$
begin
	select i.user_id into user_id from identities i
		where provider = p_provider and subject = p_subject;
	if found then
		outcome := 'found';
		return;
	end if;
	select c.id, case c.outcome when 'exists' then 'linked' else 'created' end
		into user_id, outcome from user_create(uuid7(), p_email, p_name,
		p_role, 0, null) c;
	insert into identities (user_id, provider, subject, claims)
		values (user_identity.user_id, p_provider, p_subject,
		coalesce(p_claims, '{}')) on conflict (provider, subject) do nothing;
end $$;

-- api_key_create: outcomes created, exists (the prefix is taken: make
-- another), limit (100 keys live).
create function api_key_create(p_id uuid, p_user uuid, p_name text,
	p_prefix text, p_hash bytea, p_scopes text[], p_expires_ms bigint)
returns text language plpgsql as $$
begin
	if (select count(*) from api_keys where user_id = p_user
		and revoked_at is null) >= 100 then
		return 'limit';
	end if;
	insert into api_keys (id, user_id, name, prefix, hash, scopes, expires_at)
		values (p_id, p_user, p_name, p_prefix, p_hash, p_scopes,
		to_timestamp(p_expires_ms / 1000.0)) on conflict (prefix) do nothing;
	return case when found then 'created' else 'exists' end;
end $$;

-- api_key_revoke: p_user null = an operator. Outcomes: revoked, not_found.
create function api_key_revoke(p_id uuid, p_user uuid) returns text
language plpgsql as $$
begin
	update api_keys set revoked_at = now() where id = p_id
		and (p_user is null or user_id = p_user) and revoked_at is null;
	return case when found then 'revoked' else 'not_found' end;
end $$;

-- session_create: returns the session's id, null when the user is not active.
create function session_create(p_hash bytea, p_user uuid, p_ttl_s bigint,
	p_ip_hash bytea, p_agent text) returns uuid language plpgsql as $$
declare
	sid uuid;
begin
	update users set last_login_at = now() where id = p_user
		and status = 'active' and deleted_at is null;
	if not found then
		return null;
	end if;
	insert into sessions (token_hash, user_id, ip_hash, user_agent,
		expires_at) values (p_hash, p_user, p_ip_hash, left(p_agent, 512),
		now() + make_interval(secs => p_ttl_s)) returning id into sid;
	return sid;
end $$;

-- session_end: by token hash. True when there was one.
create function session_end(p_hash bytea) returns boolean language plpgsql
as $$
begin
	delete from sessions where token_hash = p_hash;
	return found;
end $$;

-- login_link_create: single use, 15 minutes to 24 hours.
create function login_link_create(p_hash bytea, p_user uuid, p_ttl_s bigint)
returns void language sql as $$
	insert into login_links (token_hash, user_id, expires_at) values (p_hash,
		p_user, now() + make_interval(secs => least(greatest(p_ttl_s, 900),
		86400)));
$$;

-- login_link_use: swaps a link for a session. Outcomes: ok (user_id,
-- session_id), used, expired, not_found, suspended.
create function login_link_use(p_hash bytea, p_session_hash bytea,
	p_ttl_s bigint, p_ip_hash bytea, p_agent text, out outcome text,
	out user_id uuid, out session_id uuid) language plpgsql as $$
declare
	l login_links;
begin
	select * into l from login_links where token_hash = p_hash for update;
	if not found then
		outcome := 'not_found';
	elsif l.used_at is not null then
		outcome := 'used';
	elsif l.expires_at <= now() then
		outcome := 'expired';
	else
		session_id := session_create(p_session_hash, l.user_id, p_ttl_s,
			p_ip_hash, p_agent);
		if session_id is null then
			outcome := 'suspended';
			return;
		end if;
		update login_links set used_at = now() where token_hash = p_hash;
		outcome := 'ok';
		user_id := l.user_id;
	end if;
end $$;

-- access_prune: forgets expired sessions, old links and stored replies.
create function access_prune() returns void language sql as $$
	delete from sessions where expires_at < now();
	delete from login_links where expires_at < now() - interval '7 days';
	delete from idempotency where created_at < now() - interval '1 day';
	delete from enhance_use where day < (now() at time zone 'utc')::date - 1;
$$;

-- enhance_take: engine pool. One more prompt of the user's day (UTC); p_limit 0
-- = no limit. Outcomes: taken; limit (retry_after_s: until the day ends).
create function enhance_take(p_user uuid, p_limit int, out outcome text,
	out used int, out retry_after_s int) language plpgsql as $$
begin
	insert into enhance_use as e (user_id, day, n)
		values (p_user, (now() at time zone 'utc')::date, 1)
		on conflict (user_id, day) do update set n = e.n + 1
		where p_limit = 0 or e.n < p_limit returning n into used;
	outcome := case when found then 'taken' else 'limit' end;
	retry_after_s := ceil(extract(epoch from date_trunc('day', now()
		at time zone 'utc') + interval '1 day' - (now()
		at time zone 'utc')));
end $$;

-- idempotency_begin: for POSTs whose key is not on a row of their own.
-- Outcomes: fresh (do the work, then idempotency_done or _drop); replayed
-- (status, reply); mismatch (other body); running (not done yet).
create function idempotency_begin(p_user uuid, p_route text, p_key text,
	p_hash bytea, out outcome text, out status int, out reply jsonb)
language plpgsql set lock_timeout = '5s' as $$
declare
	i idempotency;
begin
	begin
		insert into idempotency (user_id, route, key, body_hash)
			values (p_user, p_route, p_key, p_hash)
			on conflict (user_id, route, key) do nothing;
	exception when lock_not_available then
		outcome := 'running';
		return;
	end;
	if found then
		outcome := 'fresh';
		return;
	end if;
	select * into i from idempotency where user_id = p_user
		and route = p_route and key = p_key;
	outcome := case when i.body_hash is distinct from p_hash then 'mismatch'
		when i.status is null then 'running' else 'replayed' end;
	if outcome = 'replayed' then
		status := i.status;
		reply := i.reply;
	elsif outcome = 'running' and i.created_at < now() - interval '1 minute' then
		-- Its process died. The work knows the key too: it may be done again.
		update idempotency set created_at = now() where user_id = p_user
			and route = p_route and key = p_key and created_at = i.created_at
			and idempotency.status is null;
		if found then
			outcome := 'fresh';
		end if;
	end if;
end $$;

create function idempotency_done(p_user uuid, p_route text, p_key text,
	p_status int, p_reply jsonb) returns void language sql as $$
	update idempotency set status = p_status, reply = p_reply
		where user_id = p_user and route = p_route and key = p_key
		and status is null;
$$;

-- idempotency_drop: the work failed before it did anything: free the key.
create function idempotency_drop(p_user uuid, p_route text, p_key text)
returns void language sql as $$
	delete from idempotency where user_id = p_user and route = p_route
		and key = p_key and status is null;
$$;

create function audit_add(p_actor uuid, p_kind text, p_action text,
	p_target_type text, p_target_id text, p_before jsonb, p_after jsonb,
	p_ip_hash bytea) returns void language sql as $$
	insert into audit_log (actor_id, actor_kind, action, target_type,
		target_id, before, after, ip_hash) values (p_actor, p_kind, p_action,
		p_target_type, p_target_id, p_before, p_after, p_ip_hash);
$$;

-- asset_create: an upload that has been stored. Outcomes: created; full (it
-- would pass the quota of the user, whose uploads wait for each other here).
create function asset_create(p_id uuid, p_user uuid, p_kind text,
	p_backend text, p_bucket text, p_key text, p_name text, p_mime text,
	p_size_bytes bigint, p_sha256 bytea, p_width int, p_height int,
	p_duration_ms bigint) returns text
language plpgsql set lock_timeout = '5s' as $$
declare
	quota bigint := coalesce((select (value #>> '{}')::numeric::bigint
		from system_config where key = 'storage_quota_bytes'
		and jsonb_typeof(value) = 'number'), 20::bigint << 30);
begin
	perform from accounts where user_id = p_user for update;
	if p_size_bytes + (select coalesce(sum(size_bytes), 0) from assets
		where user_id = p_user and deleted_at is null) > quota then
		return 'full';
	end if;
	insert into assets (id, user_id, kind, backend, bucket, key, name, mime,
		size_bytes, sha256, width, height, duration_ms) values (p_id, p_user,
		p_kind, p_backend, p_bucket, p_key, p_name, p_mime, p_size_bytes,
		p_sha256, p_width, p_height, p_duration_ms);
	return 'created';
end $$;

-- asset_delete: outcomes deleted; in_use (an unfinished generation needs it);
-- not_found.
create function asset_delete(p_id uuid, p_user uuid) returns text
language plpgsql as $$
begin
	perform from assets where id = p_id and user_id = p_user
		and deleted_at is null for update;
	if not found then
		return 'not_found';
	end if;
	if exists (select from generations g where g.user_id = p_user
		and (g.start_asset_id = p_id or g.end_asset_id = p_id)
		and g.phase not in ('completed', 'ill')) then
		return 'in_use';
	end if;
	update assets set deleted_at = now() where id = p_id;
	return 'deleted';
end $$;

-- assets_purged: their files are gone from the store.
create function assets_purged(p_ids uuid[]) returns int language plpgsql
as $$
declare
	n int;
begin
	update assets set state = 'purged' where id = any (p_ids)
		and deleted_at is not null and state <> 'purged';
	get diagnostics n = row_count;
	return n;
end $$;
