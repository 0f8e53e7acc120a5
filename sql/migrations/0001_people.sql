-- People and access: users with their credit account, identities, sessions,
-- one-time links, API keys, stored replies of idempotent requests, audit log.
--
-- A user's money and slot counters live in `accounts`, apart from the profile,
-- because that row is the lock every money move takes.

create function uuid7() returns uuid language sql volatile as $$
	-- 48 bits of unix milliseconds, then version 7, then random bits.
	select encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
		placing substring(int8send(
			floor(extract(epoch from clock_timestamp()) * 1000)::bigint)
			from 3)
		from 1 for 6), 52, 1), 53, 1), 'hex')::uuid
$$;

create function ms(t timestamptz) returns bigint language sql immutable
	parallel safe as $$ select floor(extract(epoch from t) * 1000)::bigint $$;

create type user_role as enum ('user', 'creator', 'operator', 'admin');
create type user_status as enum ('active', 'suspended');

create table users (
	id               uuid primary key default uuid7(),
	email            text not null check (length(email) between 3 and 254
	                     and email = lower(email)),
	name             text not null default '' check (length(name) <= 200),
	role             user_role not null default 'user',
	status           user_status not null default 'active',
	concurrent_limit int check (concurrent_limit between 1 and 10000),
	preferences      jsonb not null default '{}',
	last_login_at    timestamptz,
	created_at       timestamptz not null default now(),
	updated_at       timestamptz not null default now(),
	deleted_at       timestamptz
);
create unique index users_email on users (email) where deleted_at is null;
create index users_newest on users (created_at desc, id desc);

create table accounts (
	user_id  uuid primary key references users,
	balance  bigint not null default 0,
	active   int not null default 0 check (active >= 0),
	waiting  int not null default 0 check (waiting >= 0),
	constraint balance_not_negative check (balance >= 0)
) with (fillfactor = 50);
create index accounts_waiting on accounts (user_id) where waiting > 0;

create table identities (
	id         uuid primary key default uuid7(),
	user_id    uuid not null references users,
	provider   text not null check (length(provider) between 1 and 64),
	subject    text not null check (length(subject) between 1 and 255),
	claims     jsonb not null default '{}',
	created_at timestamptz not null default now(),
	unique (provider, subject)
);
create index identities_user on identities (user_id);

create table sessions (
	id         uuid primary key default uuid7(),
	token_hash bytea not null unique check (length(token_hash) = 32),
	user_id    uuid not null references users,
	ip_hash    bytea,
	user_agent text check (length(user_agent) <= 512),
	created_at timestamptz not null default now(),
	seen_at    timestamptz not null default now(),
	expires_at timestamptz not null
);
create index sessions_user on sessions (user_id);
create index sessions_expiry on sessions (expires_at);

create table login_links (
	token_hash bytea primary key check (length(token_hash) = 32),
	user_id    uuid not null references users,
	created_at timestamptz not null default now(),
	expires_at timestamptz not null,
	used_at    timestamptz
);
create index login_links_user on login_links (user_id);

create table api_keys (
	id         uuid primary key default uuid7(),
	user_id    uuid not null references users,
	name       text not null check (length(name) between 1 and 100),
	prefix     text not null unique check (length(prefix) between 4 and 64),
	hash       bytea not null check (length(hash) = 32),
	scopes     text[] not null check (cardinality(scopes) between 1 and 16),
	rate_per_minute int check (rate_per_minute > 0),
	created_at timestamptz not null default now(),
	expires_at timestamptz,
	used_at    timestamptz,
	revoked_at timestamptz
);
create index api_keys_user on api_keys (user_id, created_at desc);

create table projects (
	id         uuid primary key default uuid7(),
	user_id    uuid not null references users,
	name       text not null check (length(name) between 1 and 200),
	created_at timestamptz not null default now(),
	unique (user_id, id)
);

-- Replies of idempotent POSTs other than a submit (whose key is on the row).
create table idempotency (
	user_id    uuid not null references users,
	route      text not null check (length(route) <= 200),
	key        text not null check (length(key) between 1 and 255),
	body_hash  bytea not null check (length(body_hash) = 32),
	status     int,
	reply      jsonb,
	created_at timestamptz not null default now(),
	primary key (user_id, route, key)
);
create index idempotency_age on idempotency (created_at);

create table audit_log (
	id          bigint generated always as identity primary key,
	actor_id    uuid references users,
	actor_kind  text not null check (actor_kind in ('user', 'key', 'system',
	                'worker', 'provider')),
	action      text not null check (length(action) between 1 and 100),
	target_type text,
	target_id   text,
	before      jsonb,
	after       jsonb,
	ip_hash     bytea,
	created_at  timestamptz not null default now()
);
create index audit_log_target on audit_log (target_type, target_id, id desc);
