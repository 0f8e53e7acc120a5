-- What is looked at when a row is written, per row again, in statements that
-- each touch one row by its id. 0006 and 0011 did it per statement because a
-- statement costs more than a row; but it is its plan that costs, a trigger's
-- query over a transition table a third of a millisecond to start and end,
-- ten look-ups of one row less than that.

-- Users and accounts come and stay together (user_has_account, account_guard),
-- so the account stands for the user.
drop trigger generation_made on generations;
create or replace function generation_made() returns trigger
language plpgsql as $$
begin
	update accounts a set active = a.active
		+ generation_counts_active(new.status)::int,
		waiting = a.waiting + (new.status = 'pending')::int
		where a.user_id = new.user_id;
	if not found or not exists (select from model_routes r
			where r.id = new.route_id and r.model_id = new.model_id)
		or new.api_key_id is not null and not exists (select
			from api_keys k where k.id = new.api_key_id
			and k.user_id = new.user_id) then
		raise exception 'generation %: no such user, key, model or route',
			new.id using errcode = 'foreign_key_violation';
	end if;
	return null;
end $$;
create trigger generation_made after insert on generations
	for each row execute function generation_made();

drop trigger generation_moved on generations;
create or replace function generation_moved() returns trigger
language plpgsql as $$
declare
	a int := generation_counts_active(new.status)::int
		- generation_counts_active(old.status)::int;
	w int := (new.status = 'pending')::int - (old.status = 'pending')::int;
begin
	if a <> 0 or w <> 0 then
		update accounts x set active = x.active + a, waiting = x.waiting + w
			where x.user_id = new.user_id;
	end if;
	return null;
end $$;
create trigger generation_moved after update on generations
	for each row when (old.status is distinct from new.status)
	execute function generation_moved();

drop trigger charge_made on charges;
create or replace function charge_made() returns trigger
language plpgsql as $$
begin
	perform from generations g where g.id = new.generation_id
		and g.user_id = new.user_id;
	if found and new.price_plan_id is not null then
		perform from price_plans p where p.id = new.price_plan_id;
	end if;
	if not found then
		raise exception 'charge %: no such generation of the user, or price',
			new.id using errcode = 'foreign_key_violation';
	end if;
	return null;
end $$;
create trigger charge_made after insert on charges
	for each row execute function charge_made();

drop trigger event_made on events;
create or replace function event_made() returns trigger
language plpgsql as $$
begin
	if new.generation_id is null then
		perform from users u where u.id = new.user_id;
	else
		perform from generations g where g.id = new.generation_id
			and g.user_id = new.user_id;
	end if;
	if not found then
		raise exception 'event %: no such user or generation', new.seq
			using errcode = 'foreign_key_violation';
	end if;
	return null;
end $$;
create trigger event_made after insert on events
	for each row execute function event_made();

drop trigger job_made on jobs;
create or replace function job_made() returns trigger language plpgsql as $$
declare
	c uuid;
	due bigint;
	debit bigint;
begin
	select x.id, x.quote into c, due from charges x
		where x.generation_id = new.generation_id
		and x.user_id = new.user_id;
	if found and due > 0 then
		select -l.amount into debit from ledger_entry l
			where l.charge_id = c and l.type = 'video_generation';
	end if;
	if c is null or due <> coalesce(debit, 0) then
		raise exception 'job %: generation % has no charge in the ledger',
			new.id, new.generation_id using errcode = 'P0019';
	end if;
	return null;
end $$;
create trigger job_made after insert on jobs
	for each row execute function job_made();

drop trigger attempt_made on attempts;
create or replace function attempt_made() returns trigger
language plpgsql as $$
begin
	perform from jobs j, model_routes r where j.id = new.job_id
		and j.generation_id = new.generation_id
		and j.user_id = new.user_id and r.id = new.route_id;
	if found and new.account_id is not null then
		perform from provider_accounts a where a.id = new.account_id;
	end if;
	if not found then
		raise exception 'attempt %: no such job of the user, route or account',
			new.id using errcode = 'foreign_key_violation';
	end if;
	return null;
end $$;
create trigger attempt_made after insert on attempts
	for each row execute function attempt_made();

-- The entry's checks, the move of the balance, and what it leaves.
drop trigger ledger_made on ledger_entry;
drop function ledger_made();
drop trigger ledger_apply on ledger_entry;
create or replace function ledger_apply() returns trigger
language plpgsql as $$
declare
	owner uuid;
	due bigint; -- the charge's quote
	s generation_status;
	debited boolean;
	back bigint;
	now_has bigint;
	bad text := case
		when new.amount = 0 or new.amount not between -1000000000000
			and 1000000000000 or case when new.type in ('video_generation',
			'expire') then new.amount > 0 when new.type in ('adjustment',
			'transfer') then false else new.amount < 0 end then 'amount'
		when (new.charge_id is not null) <> (new.type in ('video_generation',
			'video_refund', 'settle_refund')) then 'charge_id'
		when length(new.idem_key) not between 1 and 300 then 'idem_key'
		when length(new.note) > 1000 then 'note' end;
begin
	if bad is not null then
		raise exception 'entry of %: % is not one of its values', new.user_id,
			bad using errcode = 'check_violation', column = bad;
	end if;
	if new.charge_id is not null then
		select x.user_id, x.quote, g.status into owner, due, s
			from charges x join generations g on g.id = x.generation_id
			where x.id = new.charge_id;
		if owner is distinct from new.user_id then
			raise exception 'charge % is not there or another user''s',
				new.charge_id using errcode = 'P0010';
		end if;
		if new.type = 'video_generation' then
			if new.amount <> -due then
				raise exception 'charge %: debit is not the quote',
					new.charge_id using errcode = 'P0011';
			end if;
		else
			select bool_or(l.type = 'video_generation'), sum(l.amount)
				filter (where l.type <> 'video_generation')
				into debited, back from ledger_entry l
				where l.charge_id = new.charge_id;
			if debited is not true then
				raise exception 'charge %: refund without a debit',
					new.charge_id using errcode = 'P0012';
			end if;
			if new.type = 'video_refund' and s not in ('failed', 'cancelled')
				or new.type = 'settle_refund' and s <> 'completed' then
				raise exception 'charge %: % while generation is %',
					new.charge_id, new.type, s using errcode = 'P0013';
			end if;
			if coalesce(back, 0) + new.amount > due then
				raise exception 'charge %: refunds exceed it',
					new.charge_id using errcode = 'P0014';
			end if;
		end if;
	end if;
	update accounts a set balance = a.balance + new.amount
		where a.user_id = new.user_id returning a.balance into now_has;
	if not found then
		raise exception 'user % has no account', new.user_id
			using errcode = 'P0015';
	end if;
	if new.balance_after <> now_has then
		raise exception 'user %: entries do not follow the balance',
			new.user_id using errcode = 'P0021';
	end if;
	new.balance_after := now_has;
	return new;
end $$;
create trigger ledger_apply before insert on ledger_entry
	for each row execute function ledger_apply();

-- What a CHECK said. Each statement that writes a row parses and plans all
-- checks of its table anew, which for generations took longer than the rest of
-- it; the expression of a trigger is kept. accounts keeps its three, the
-- balance first.
do $$
declare
	c record;
begin
	for c in select conrelid::regclass as tab, conname from pg_constraint
		where contype = 'c' and conrelid in ('generations'::regclass,
		'charges'::regclass, 'jobs'::regclass, 'ledger_entry'::regclass) loop
		execute format('alter table %s drop constraint %I', c.tab, c.conname);
	end loop;
end $$;

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
	return new;
end $$;
drop trigger generation_guard on generations;
create trigger generation_guard before insert or update on generations
	for each row execute function generation_guard();

create or replace function charge_frozen() returns trigger
language plpgsql as $$
declare
	bad text;
begin
	if tg_op = 'UPDATE' and ((new.id, new.generation_id, new.user_id,
			new.quote, new.breakdown, new.price_plan_id, new.plan_version,
			new.created_at) is distinct from (old.id, old.generation_id,
			old.user_id, old.quote, old.breakdown, old.price_plan_id,
			old.plan_version, old.created_at)
		or new.refunded < old.refunded) then
		raise exception 'charge %: the price is frozen', old.id
			using errcode = 'P0018';
	end if;
	bad := case
		when new.quote not between 0 and 1000000000 then 'quote'
		when new.refunded < 0 or new.refunded + new.fee > new.quote
			then 'refunded'
		when new.fee < 0 then 'fee'
		when new.settled < 0 or new.settled + new.refunded <> new.quote
			then 'settled' end;
	if bad is not null then
		raise exception 'charge %: % is not one of its values', new.id,
			bad using errcode = 'check_violation', column = bad;
	end if;
	return new;
end $$;
drop trigger charge_frozen on charges;
create trigger charge_frozen before insert or update on charges
	for each row execute function charge_frozen();

create function job_guard() returns trigger language plpgsql as $$
declare
	bad text;
begin
	bad := case
		when new.kind not in ('generate', 'enhance', 'preview', 'probe',
			'thumbnail', 'stitch', 'metrics', 'ingest', 'webhook', 'cleanup',
			'reconcile', 'rating') then 'kind'
		when new.step not in ('submit', 'poll', 'download', 'store')
			then 'step'
		when new.lone_crashes < 0 then 'lone_crashes'
		when (new.status in ('succeeded', 'failed', 'cancelled'))
			<> (new.finished_at is not null) then 'finished_at'
		when new.owner is not null and new.status in ('scheduled', 'queued',
			'succeeded', 'failed', 'cancelled') then 'owner' end;
	if bad is not null then
		raise exception 'job %: % is not one of its values', new.id, bad
			using errcode = 'check_violation', column = bad;
	end if;
	return new;
end $$;
create trigger job_guard before insert or update on jobs
	for each row execute function job_guard();
