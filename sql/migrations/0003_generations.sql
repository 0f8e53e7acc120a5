-- The generation core: assets, generations, attempts, jobs, events.
-- Sized for 10^6..10^7 generations: every hot scan has a partial index that
-- holds only live rows, every list is a keyset over (created_at, id).

create type generation_status as enum ('draft', 'pending', 'queued',
	'processing', 'awaiting_approval', 'finalizing', 'completed', 'failed',
	'cancelling', 'cancelled', 'review');
create type job_status as enum ('scheduled', 'queued', 'running', 'waiting',
	'retry_wait', 'succeeded', 'failed', 'cancelled', 'uncertain');
create type attempt_status as enum ('created', 'submitting', 'submitted',
	'running', 'succeeded', 'failed', 'cancelled', 'ambiguous');
create type asset_state as enum ('uploading', 'ready', 'expired', 'purged');

create table assets (
	id          uuid primary key default uuid7(),
	user_id     uuid not null references users,
	kind        text not null check (kind in ('source_image', 'start', 'end',
	                'reference', 'preview', 'video', 'thumbnail', 'spritesheet',
	                'rendition', 'stitched', 'embedding', 'system')),
	backend     text not null check (backend in ('local', 's3')),
	bucket      text,
	key         text not null check (length(key) between 1 and 1024),
	name        text check (length(name) <= 255),
	mime        text not null,
	size_bytes  bigint not null check (size_bytes >= 0),
	sha256      bytea check (length(sha256) = 32),
	width       int check (width > 0),
	height      int check (height > 0),
	duration_ms bigint check (duration_ms >= 0),
	fps         real check (fps >= 0),
	has_audio   boolean,
	codec       text,
	visibility  text not null default 'private'
	                check (visibility in ('private', 'unlisted', 'public')),
	pinned      boolean not null default false,
	state       asset_state not null default 'ready',
	expires_at  timestamptz,
	created_at  timestamptz not null default now(),
	deleted_at  timestamptz
);
create index assets_user on assets (user_id, created_at desc, id desc)
	where deleted_at is null;
create index assets_key on assets (key);
create index assets_deleted on assets (deleted_at, id)
	where deleted_at is not null and state <> 'purged';

create table generations (
	id            uuid primary key default uuid7(),
	user_id       uuid not null references users,
	api_key_id    uuid references api_keys,
	project_id    uuid references projects,
	parent_id     uuid references generations,
	relation      text check (relation in ('retry', 'remix', 'extend', 'edit',
	                  'stitch_input')),
	kind          text not null default 'video'
	                  check (kind in ('video', 'image', 'stitch', 'manual')),
	flow          text not null default 'direct'
	                  check (flow in ('direct', 'staged')),
	mode          text not null check (mode in ('t2v', 'i2v', 'v2v', 'ref')),
	model_id      uuid not null references models,
	model         text not null,
	model_name    text not null,
	route_id      uuid not null references model_routes,
	provider      text not null,
	prompt        text not null check (length(prompt) <= 20000),
	negative_prompt text check (length(negative_prompt) <= 20000),
	spec          jsonb not null,
	resolved      jsonb,
	start_asset_id uuid references assets,
	end_asset_id   uuid references assets,
	status        generation_status not null,
	stage         text check (stage in ('enhance', 'preview', 'submit',
	                  'generate', 'download', 'store')),
	progress      int not null default 0 check (progress between 0 and 100),
	progress_basis text not null default 'none'
	                  check (progress_basis in ('real', 'estimated', 'none')),
	provider_position int check (provider_position >= 0),
	eta_low_s     int check (eta_low_s >= 0),
	eta_high_s    int check (eta_high_s >= 0),
	credits       bigint not null check (credits between 0 and 1000000000),
	idem_key      text check (length(idem_key) between 1 and 255),
	body_hash     bytea check (length(body_hash) = 32),
	error_class   text,
	error_code    text,
	error_message text,
	error_retryable boolean,
	provider_message text,
	media_state   text not null default 'none'
	                  check (media_state in ('none', 'stored', 'expired', 'purged')),
	video_asset_id uuid references assets,
	thumbnail_asset_id uuid references assets,
	video         jsonb,
	title         text check (length(title) <= 200),
	favourite     boolean not null default false,
	deadline_s    int not null default 1800 check (deadline_s > 0),
	deadline_at   timestamptz,
	cancel_requested_at timestamptz,
	cancel_requested_by uuid references users,
	review_at     timestamptz,
	version       bigint not null default 1 check (version > 0),
	created_at    timestamptz not null default now(),
	started_at    timestamptz,
	completed_at  timestamptz,
	updated_at    timestamptz not null default now(),
	deleted_at    timestamptz,
	check ((idem_key is null) = (body_hash is null)),
	check ((status in ('completed', 'failed', 'cancelled'))
		= (completed_at is not null)),
	check (status <> 'failed' or error_code is not null)
) with (fillfactor = 80);
create unique index generations_idem on generations (user_id, idem_key)
	where idem_key is not null;
create index generations_user on generations
	(user_id, created_at desc, id desc) where deleted_at is null;
create index generations_newest on generations (created_at desc, id desc);
create index generations_status on generations
	(status, created_at desc, id desc);
create index generations_pending on generations (user_id, created_at, id)
	where status = 'pending';
create index generations_deadline on generations (deadline_at, id)
	where status not in ('completed', 'failed', 'cancelled', 'draft', 'review');
create index generations_review on generations (review_at, id)
	where status = 'review';
create index generations_parent on generations (parent_id)
	where parent_id is not null;

create table generation_asset (
	generation_id uuid not null references generations,
	user_id       uuid not null references users,
	asset_id      uuid not null references assets,
	role          text not null check (role in ('video', 'thumbnail',
	                  'rendition', 'spritesheet', 'preview')),
	ordinal       int not null default 0,
	primary key (generation_id, role, ordinal)
);
create index generation_asset_asset on generation_asset (asset_id);

create table jobs (
	id            uuid primary key default uuid7(),
	kind          text not null default 'generate' check (kind in ('generate',
	                  'enhance', 'preview', 'probe', 'thumbnail', 'stitch',
	                  'metrics', 'ingest', 'webhook', 'cleanup', 'reconcile',
	                  'rating')),
	generation_id uuid not null references generations,
	user_id       uuid not null references users,
	provider      text not null,
	status        job_status not null,
	step          text not null default 'submit'
	                  check (step in ('submit', 'poll', 'download', 'store')),
	state         jsonb not null default '{}',
	priority      int not null default 100,
	eligible_at   timestamptz not null default now(),
	owner         uuid references instances,
	attempt_id    uuid,
	crash_count   int not null default 0,
	-- Tries of the current step; the policy is K6 (see job_tries_max()).
	tries         int not null default 0,
	last_error    text,
	created_at    timestamptz not null default now(),
	started_at    timestamptz,
	finished_at   timestamptz,
	check ((status in ('succeeded', 'failed', 'cancelled'))
		= (finished_at is not null)),
	check (status not in ('scheduled', 'queued', 'succeeded', 'failed',
		'cancelled') or owner is null)
) with (fillfactor = 70);
create unique index jobs_one_pipeline on jobs (generation_id)
	where kind = 'generate';
create index jobs_claim on jobs (provider, priority, eligible_at, id)
	where status = 'queued';
create index jobs_orphan on jobs (id) where owner is null
	and status in ('running', 'waiting', 'retry_wait', 'uncertain');
create index jobs_owner on jobs (owner, id) where owner is not null;
create index jobs_held on jobs (provider, status)
	where finished_at is null;
create index jobs_uncertain on jobs (eligible_at, id)
	where status = 'uncertain';

create table attempts (
	id            uuid primary key default uuid7(),
	generation_id uuid not null references generations,
	job_id        uuid not null references jobs,
	user_id       uuid not null references users,
	number        int not null check (number > 0),
	route_id      uuid not null references model_routes,
	provider      text not null,
	account_id    uuid references provider_accounts,
	status        attempt_status not null,
	nonce         uuid not null,
	token_hash    bytea check (length(token_hash) = 32),
	request       jsonb,
	provider_job_id text,
	refs          jsonb not null default '{}',
	provider_status text,
	provider_position int,
	result_url    text,
	result_expires_at timestamptz,
	result        jsonb,
	late_result   jsonb,
	response      jsonb,
	cost_quoted_micro_usd bigint,
	cost_micro_usd bigint,
	error_class   text,
	error_code    text,
	error_message text,
	worker_id     uuid references workers,
	worker_beat_at timestamptz,
	created_at    timestamptz not null default now(),
	submitted_at  timestamptz,
	started_at    timestamptz,
	finished_at   timestamptz,
	unique (generation_id, number)
) with (fillfactor = 80);
create index attempts_job on attempts (job_id);
create index attempts_provider_job on attempts (provider, provider_job_id)
	where provider_job_id is not null;
create index attempts_offered on attempts (created_at, id)
	where provider = 'worker' and status = 'submitted';
create index attempts_on_worker on attempts (worker_beat_at)
	where provider = 'worker' and status = 'running';

-- History and outbox in one: a row with published_at null is still to be
-- published. balance is set when the same transaction moved credits.
create table events (
	seq           bigint generated always as identity primary key,
	type          text not null,
	user_id       uuid not null references users,
	generation_id uuid references generations,
	version       bigint not null,
	data          jsonb not null,
	balance       bigint,
	balance_version bigint,
	created_at    timestamptz not null default now(),
	published_at  timestamptz
) with (fillfactor = 80);
create index events_outbox on events (seq) where published_at is null;
create index events_generation on events (generation_id, seq);

-- Which status may follow which; src/domain/flow.c holds the same table.
create function generation_may_move(a generation_status, b generation_status)
returns boolean language sql immutable as $$
	select case a
	when 'draft' then b in ('pending', 'queued', 'cancelled')
	when 'pending' then b in ('queued', 'failed', 'cancelled')
	when 'queued' then b in ('processing', 'failed', 'cancelled', 'review')
	when 'processing' then b in ('queued', 'awaiting_approval', 'finalizing',
		'completed', 'failed', 'cancelling', 'cancelled', 'review')
	when 'awaiting_approval' then b in ('queued', 'processing', 'failed',
		'cancelling', 'cancelled')
	when 'finalizing' then b in ('completed', 'failed', 'review')
	when 'cancelling' then b in ('finalizing', 'completed', 'failed',
		'cancelled', 'review')
	when 'review' then b in ('processing', 'finalizing', 'completed', 'failed',
		'cancelled')
	else false end
$$;

create function generation_counts_active(s generation_status) returns boolean
language sql immutable as $$
	select s in ('queued', 'processing', 'awaiting_approval', 'finalizing',
		'cancelling')
$$;

create function generation_guard() returns trigger language plpgsql as $$
begin
	if new.status is distinct from old.status then
		if not generation_may_move(old.status, new.status) then
			raise exception 'generation %: % may not become %', old.id,
				old.status, new.status using errcode = 'P0002';
		end if;
		if new.version <= old.version then
			raise exception 'generation %: version must grow', old.id
				using errcode = 'P0003';
		end if;
	elsif new.version < old.version then
		raise exception 'generation %: version must grow', old.id
			using errcode = 'P0003';
	end if;
	if (new.id, new.user_id, new.credits, new.created_at, new.idem_key)
		is distinct from (old.id, old.user_id, old.credits, old.created_at,
		old.idem_key) then
		raise exception 'generation %: frozen column', old.id
			using errcode = 'P0004';
	end if;
	return new;
end $$;
create trigger generation_guard before update on generations
	for each row execute function generation_guard();

-- accounts.active and accounts.waiting follow the statuses.
create function generation_count() returns trigger language plpgsql as $$
declare
	a int := generation_counts_active(new.status)::int;
	w int := (new.status = 'pending')::int;
begin
	if tg_op = 'UPDATE' then
		a := a - generation_counts_active(old.status)::int;
		w := w - (old.status = 'pending')::int;
	end if;
	if a <> 0 or w <> 0 then
		update accounts set active = active + a, waiting = waiting + w
			where user_id = new.user_id;
	end if;
	return null;
end $$;
create trigger generation_count_new after insert on generations
	for each row execute function generation_count();
create trigger generation_count_move after update of status on generations
	for each row when (old.status is distinct from new.status)
	execute function generation_count();

create function row_kept() returns trigger language plpgsql as $$
begin
	raise exception '% rows are never deleted', tg_table_name
		using errcode = 'P0005';
end $$;
create trigger generation_kept before delete on generations
	for each row execute function row_kept();
create trigger generation_kept_all before truncate on generations
	for each statement execute function row_kept();
