-- Catalogue and configuration: providers and their accounts, models, the
-- routes a model can take, versioned price plans, system_config; the running
-- instances and the GPU workers.

create type provider_state as enum ('on', 'paused', 'broken');

create table providers (
	name          text primary key check (name ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
	display_name  text not null,
	kind          text not null default 'builtin'
	                  check (kind in ('builtin', 'declarative', 'worker', 'manual')),
	base_url      text,
	key_env       text,
	limits        jsonb not null default '{}',
	state         provider_state not null default 'on',
	paused_until  timestamptz,
	paused_reason text,
	sunset_at     timestamptz,
	created_at    timestamptz not null default now(),
	updated_at    timestamptz not null default now()
);

create table provider_accounts (
	id           uuid primary key default uuid7(),
	provider     text not null references providers on update cascade,
	label        text not null,
	key_ref      text,
	weight       int not null default 1 check (weight >= 0),
	limits       jsonb not null default '{}',
	state        provider_state not null default 'on',
	failures     int not null default 0,
	opened_until timestamptz,
	created_at   timestamptz not null default now(),
	unique (provider, label)
);

create table models (
	id             uuid primary key default uuid7(),
	slug           text not null unique
	                   check (slug ~ '^[a-z0-9][a-z0-9._-]{0,99}$'),
	aliases        text[] not null default '{}',
	name           text not null check (length(name) between 1 and 200),
	description    text not null default '',
	version        text,
	family         text,
	category       text,
	tags           text[] not null default '{}',
	capabilities   jsonb not null default '{}',
	default_params jsonb not null default '{}',
	requirements   jsonb,
	is_premium      boolean not null default false,
	is_active       boolean not null default true,
	is_default      boolean not null default false,
	is_deprecated   boolean not null default false,
	is_experimental boolean not null default false,
	deprecated_at  timestamptz,
	replacement    text,
	sunset_at      timestamptz,
	deadline_s     int not null default 1800 check (deadline_s between 30 and 604800),
	created_at     timestamptz not null default now(),
	updated_at     timestamptz not null default now(),
	deleted_at     timestamptz
);
create unique index models_one_default on models ((true))
	where is_default and deleted_at is null;

create table model_routes (
	id              uuid primary key default uuid7(),
	model_id        uuid not null references models,
	provider        text not null references providers on update cascade,
	account_filter  text,
	endpoint        text not null default '',
	params          jsonb not null default '{}',
	priority        int not null default 100,
	weight          int not null default 1 check (weight >= 0),
	is_active       boolean not null default true,
	cost_rule       jsonb,
	bills_on_failure boolean not null default false,
	bills_on_cancel  boolean not null default false,
	created_at      timestamptz not null default now(),
	unique (model_id, provider, endpoint)
);

-- Never edited: a new price is a new version; active_to closes the old one.
create table price_plans (
	id          uuid primary key default uuid7(),
	model_id    uuid references models,
	user_group  text not null default '*',
	rule        jsonb not null,
	version     int not null check (version > 0),
	active_from timestamptz not null default now(),
	active_to   timestamptz,
	created_by  uuid references users,
	created_at  timestamptz not null default now(),
	check (active_to is null or active_to >= active_from)
);
create unique index price_plans_version on price_plans
	(coalesce(model_id, '00000000-0000-0000-0000-000000000000'), user_group,
	version);
create unique index price_plans_one_open on price_plans
	(coalesce(model_id, '00000000-0000-0000-0000-000000000000'), user_group)
	where active_to is null;

create function price_plan_frozen() returns trigger language plpgsql as $$
begin
	if (new.id, new.model_id, new.user_group, new.rule, new.version,
		new.active_from) is distinct from (old.id, old.model_id,
		old.user_group, old.rule, old.version, old.active_from) then
		raise exception 'a price plan is never edited, only superseded';
	end if;
	return new;
end $$;
create trigger price_plan_frozen before update on price_plans
	for each row execute function price_plan_frozen();

create table system_config (
	key        text primary key check (length(key) between 1 and 100),
	value      jsonb not null,
	type       text not null check (type in ('int', 'number', 'bool', 'text', 'json')),
	updated_by uuid references users,
	updated_at timestamptz not null default now()
);
insert into system_config (key, value, type) values
	('video_credit_per_second', '10', 'number'),
	('video_1080p_multiplier', '1.5', 'number'),
	('video_concurrent_limit', '3', 'int'),
	('video_generation_enabled', 'true', 'bool'),
	('video_waiting_limit', '10000', 'int'),
	('video_queue_deadline_s', '21600', 'int'),
	('video_review_s', '86400', 'int'),
	('credit_value_micros', '10000', 'int'),
	('currency', '"USD"', 'text');

create function config_int(p_key text, p_default int) returns int
language sql stable as $$
	select coalesce((select (value #>> '{}')::numeric::int from system_config
		where key = p_key and jsonb_typeof(value) = 'number'), p_default)
$$;

create table instances (
	id         uuid primary key,
	name       text not null default '',
	version    text not null default '',
	started_at timestamptz not null default now(),
	beat_at    timestamptz not null default now(),
	stopped_at timestamptz
) with (fillfactor = 50);

create type worker_state as enum ('online', 'draining', 'lost');
create table workers (
	id           uuid primary key default uuid7(),
	name         text not null check (length(name) between 1 and 100),
	kind         text not null default 'gpu',
	version      text not null default '',
	capabilities jsonb not null default '{}',
	gpu          text,
	vram_mb      int,
	load         real,
	loaded_model text,
	current_attempt uuid,
	state        worker_state not null default 'online',
	completed    bigint not null default 0,
	failed       bigint not null default 0,
	beat_at      timestamptz not null default now(),
	created_at   timestamptz not null default now()
) with (fillfactor = 50);
