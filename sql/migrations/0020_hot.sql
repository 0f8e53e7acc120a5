-- The start of a job, and the end of its attempt and its charge, write into no
-- index. PostgreSQL leaves the indexes alone (HOT) where an update changes no
-- column that any index of the table names, its condition included, and the
-- new version has room on the page of the old one. Of the 41 entries that a
-- failed job made in indexes after its order, 12 were for nothing.
--
-- Room: orders come in groups, whole pages of them, and so do starts; the
-- first version can go when the second has been committed.
alter table generations set (fillfactor = 50);
alter table attempts set (fillfactor = 50);
alter table charges set (fillfactor = 50);
alter table jobs set (fillfactor = 50);

-- phase is status as coarse as the indexes need it: a start stays `open`.
create type generation_phase as enum ('draft', 'pending', 'open', 'review',
	'completed', 'ill');
create function phase_of(p_status generation_status)
returns generation_phase language sql immutable as $$
	-- Its constants are cast each: text that is cast at run time would not be
	-- immutable, and not be put in where it is called.
	select case p_status when 'draft' then 'draft'::generation_phase
		when 'pending' then 'pending'::generation_phase
		when 'review' then 'review'::generation_phase
		when 'completed' then 'completed'::generation_phase
		when 'failed' then 'ill'::generation_phase
		when 'cancelled' then 'ill'::generation_phase
		else 'open'::generation_phase end
$$;
-- check_at: when the sweep looks at deadline_at, never later than that. A start
-- changes the deadline of nearly all that there are, but seldom to something
-- sooner than what its order could say already.
alter table generations add column phase generation_phase,
	add column check_at timestamptz;

drop index generations_pending, generations_deadline, generations_review,
	generations_open, generations_open_newest, generations_ill,
	generations_ill_newest;

create or replace function generation_guard() returns trigger
language plpgsql as $$
declare
	bad text;
begin
	if tg_op = 'UPDATE' then
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
			is distinct from (old.id, old.user_id, old.credits,
			old.created_at, old.idem_key) then
			raise exception 'generation %: frozen column', old.id
				using errcode = 'P0004';
		end if;
	end if;
	bad := case
		when new.relation not in ('retry', 'remix', 'extend', 'edit',
			'stitch_input') then 'relation'
		when new.kind not in ('video', 'image', 'stitch', 'manual')
			then 'kind'
		when new.flow not in ('direct', 'staged') then 'flow'
		when new.mode not in ('t2v', 'i2v', 'v2v', 'ref') then 'mode'
		when length(new.prompt) > 20000 then 'prompt'
		when length(new.enhanced_prompt) > 20000 then 'enhanced_prompt'
		when length(new.negative_prompt) > 20000 then 'negative_prompt'
		when new.stage not in ('enhance', 'preview', 'submit', 'generate',
			'download', 'store') then 'stage'
		when new.progress not between 0 and 100 then 'progress'
		when new.progress_basis not in ('real', 'estimated', 'none')
			then 'progress_basis'
		when new.provider_position < 0 then 'provider_position'
		when new.eta_low_s < 0 then 'eta_low_s'
		when new.eta_high_s < 0 then 'eta_high_s'
		when new.credits not between 0 and 1000000000 then 'credits'
		when length(new.idem_key) not between 1 and 255
			or (new.idem_key is null) <> (new.body_hash is null)
			then 'idem_key'
		when length(new.body_hash) <> 32 then 'body_hash'
		when new.media_state not in ('none', 'stored', 'expired', 'purged')
			then 'media_state'
		when length(new.title) > 200 then 'title'
		when new.deadline_s <= 0 then 'deadline_s'
		when new.version <= 0 then 'version'
		when (new.status in ('completed', 'failed', 'cancelled'))
			<> (new.completed_at is not null) then 'completed_at'
		when new.status = 'failed' and new.error_code is null
			then 'error_code' end;
	if bad is not null then
		raise exception 'generation %: % is not one of its values', new.id,
			bad using errcode = 'check_violation', column = bad;
	end if;
	new.phase := phase_of(new.status);
	new.check_at := case when new.phase in ('pending', 'open')
		and new.deadline_at is not null then least(new.deadline_at,
		coalesce(new.check_at, now() + make_interval(secs =>
		new.deadline_s))) end;
	return new;
end $$;

-- The guard gives both to those that are there.
update generations set phase = null;
alter table generations alter column phase set not null;

create index generations_pending on generations (user_id, created_at, id)
	where phase = 'pending';
create index generations_check on generations (check_at, id)
	where check_at is not null;
create index generations_review on generations (review_at, id)
	where phase = 'review';
create index generations_open on generations
	(user_id, created_at desc, id desc)
	where phase not in ('completed', 'ill');
create index generations_open_newest on generations (created_at desc, id desc)
	where phase not in ('completed', 'ill');
create index generations_ill on generations
	(user_id, created_at desc, id desc)
	where phase = 'ill' and deleted_at is null;
create index generations_ill_newest on generations (created_at desc, id desc)
	where phase = 'ill';

-- What our own workers are offered and do; for everybody else's attempts it is
-- always null, whatever becomes of them.
alter table attempts add column at_worker text;
create function attempt_at_worker() returns trigger language plpgsql as $$
begin
	new.at_worker := case new.status when 'submitted' then 'offered'
		when 'running' then 'running' end;
	return new;
end $$;
drop index attempts_offered, attempts_on_worker;
create trigger attempt_at_worker before insert or update of status on attempts
	for each row when (new.provider = 'worker')
	execute function attempt_at_worker();
update attempts set status = status where provider = 'worker'
	and status in ('submitted', 'running');
create index attempts_offered on attempts (created_at, id)
	where at_worker = 'offered';
create index attempts_on_worker on attempts (worker_beat_at)
	where at_worker = 'running';

-- Few entries have a key of their own.
alter table ledger_entry drop constraint ledger_entry_idem_key_key;
create unique index ledger_entry_idem_key_key on ledger_entry (idem_key)
	where idem_key is not null;
