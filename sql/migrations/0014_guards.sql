-- Every order and every end changes an account twice, by statements of one
-- row that parsed three CHECKs and a trigger's condition anew (0013): those of
-- the counters are expressions of the guard now, which is asked always. That a
-- balance is not negative stays a CHECK, which no trigger has to be there for.
alter table accounts drop constraint accounts_active_check,
	drop constraint accounts_waiting_check;
create or replace function account_guard() returns trigger
language plpgsql as $$
declare
	bad text := case when new.active < 0 then 'active'
		when new.waiting < 0 then 'waiting' end;
begin
	if bad is not null then
		raise exception 'account %: % is negative', new.user_id, bad
			using errcode = 'check_violation', column = bad;
	end if;
	if tg_op = 'INSERT' then
		if (new.balance, new.active, new.waiting) <> (0, 0, 0) then
			raise exception 'an account starts empty'
				using errcode = 'P0017';
		end if;
		if not exists (select from users u where u.id = new.user_id) then
			raise exception 'account %: no such user', new.user_id
				using errcode = 'foreign_key_violation';
		end if;
	elsif new.balance <> old.balance and pg_trigger_depth() < 2 then
		raise exception 'only a ledger entry moves a balance'
			using errcode = 'P0017';
	end if;
	return new;
end $$;
drop trigger account_guard on accounts;
drop trigger account_guard_new on accounts;
create trigger account_guard before insert or update on accounts
	for each row execute function account_guard();

-- Whatever forgives a job its crashes forgives those that it was alone in
-- (0009), without a trigger of its own.
create or replace function job_guard() returns trigger language plpgsql as $$
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
	if new.crash_count = 0 then
		new.lone_crashes := 0;
	end if;
	return new;
end $$;
drop trigger job_cleared on jobs;
drop function job_cleared();

-- A debit is held against its charge alone, a payment back also against the
-- generation and the entries before it, in one look.
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
		select x.user_id, x.quote into owner, due from charges x
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
				filter (where l.type <> 'video_generation'),
				(select g.status from charges x join generations g
				on g.id = x.generation_id where x.id = new.charge_id)
				into debited, back, s from ledger_entry l
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
