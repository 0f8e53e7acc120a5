-- What each order did by itself is done once per statement and user: the
-- ledger's look at charges, the move of the balance, a job's look at its debit.
-- Row after row, each order of a group wrote the account anew, and each of
-- those versions had to be walked over by the next.

-- Whoever writes several entries of a user in one statement says what each
-- leaves of the balance; for a single one it is found here. Either way
-- ledger_made() holds it against the account.
create or replace function ledger_apply() returns trigger language plpgsql as $$
begin
	select a.balance + new.amount into new.balance_after from accounts a
		where a.user_id = new.user_id for update;
	if not found then
		raise exception 'user % has no account', new.user_id
			using errcode = 'P0015';
	end if;
	return new;
end $$;
drop trigger ledger_apply on ledger_entry;
create trigger ledger_apply before insert on ledger_entry
	for each row when (new.balance_after is null)
	execute function ledger_apply();

-- The accounts follow in a loop because a set would be joined by a plan that
-- may read all of them.
create function ledger_made() returns trigger language plpgsql
set enable_seqscan = off as $$
declare
	e record;
	u record;
	s generation_status;
	had bigint;
begin
	for e in select n.user_id, n.type, n.amount, n.charge_id, c.user_id
		as owner, c.quote, c.generation_id
		from made n left join lateral (select x.user_id, x.quote,
			x.generation_id from charges x where x.id = n.charge_id offset 0)
			c on true
		where n.charge_id is not null and (c.user_id is distinct from n.user_id
			or n.type <> 'video_generation' or n.amount <> -c.quote) loop
		if e.owner is distinct from e.user_id then
			raise exception 'charge % is not there or another user''s',
				e.charge_id using errcode = 'P0010';
		end if;
		if e.type = 'video_generation' then
			raise exception 'charge %: debit is not the quote', e.charge_id
				using errcode = 'P0011';
		end if;
		select status into strict s from generations
			where id = e.generation_id;
		if not exists (select from ledger_entry where charge_id = e.charge_id
			and type = 'video_generation') then
			raise exception 'charge %: refund without a debit', e.charge_id
				using errcode = 'P0012';
		end if;
		if e.type = 'video_refund' and s not in ('failed', 'cancelled')
			or e.type = 'settle_refund' and s <> 'completed' then
			raise exception 'charge %: % while generation is %', e.charge_id,
				e.type, s using errcode = 'P0013';
		end if;
		if (select sum(amount) from ledger_entry where charge_id = e.charge_id
			and type <> 'video_generation') > e.quote then
			raise exception 'charge %: refunds exceed it', e.charge_id
				using errcode = 'P0014';
		end if;
	end loop;
	for u in select x.user_id, sum(x.amount)::bigint as moved,
		min(x.was) as low, max(x.was) as high
		from (select n.user_id, n.amount, n.balance_after - sum(n.amount)
			over (partition by n.user_id order by n.id) as was from made n) x
		group by x.user_id order by x.user_id loop
		update accounts a set balance = a.balance + u.moved
			where a.user_id = u.user_id returning a.balance - u.moved into had;
		if not found then
			raise exception 'user % has no account', u.user_id
				using errcode = 'P0015';
		end if;
		if u.low <> had or u.high <> had then
			raise exception 'user %: entries do not follow the balance',
				u.user_id using errcode = 'P0021';
		end if;
	end loop;
	return null;
end $$;
create trigger ledger_made after insert on ledger_entry
	referencing new table as made
	for each statement execute function ledger_made();

create or replace function generation_made() returns trigger language plpgsql
set enable_seqscan = off as $$
declare
	bad uuid;
	s record;
begin
	select n.id into bad from made n
		where not exists (select from users u where u.id = n.user_id offset 0)
		or not exists (select from model_routes r where r.id = n.route_id
			and r.model_id = n.model_id offset 0)
		or n.api_key_id is not null and not exists (select from api_keys k
			where k.id = n.api_key_id and k.user_id = n.user_id offset 0);
	if found then
		raise exception 'generation %: no such user, key, model or route',
			bad using errcode = 'foreign_key_violation';
	end if;
	for s in select user_id, count(*) filter (where
			generation_counts_active(status)) as active,
			count(*) filter (where status = 'pending') as waiting
		from made group by user_id order by user_id loop
		update accounts a set active = a.active + s.active,
			waiting = a.waiting + s.waiting
			where a.user_id = s.user_id and (s.active > 0 or s.waiting > 0);
	end loop;
	return null;
end $$;

-- "offset 0": looked up row by row. Without it the planner may read the whole
-- table once instead, which is right while it is small and kept when it isn't.
create or replace function charge_made() returns trigger language plpgsql
set enable_seqscan = off as $$
declare
	bad uuid;
begin
	select n.id into bad from made n
		where not exists (select from generations g
			where g.id = n.generation_id and g.user_id = n.user_id offset 0)
		or n.price_plan_id is not null and not exists (select
			from price_plans p where p.id = n.price_plan_id offset 0);
	if found then
		raise exception 'charge %: no such generation of the user, or price',
			bad using errcode = 'foreign_key_violation';
	end if;
	return null;
end $$;
create or replace function event_made() returns trigger language plpgsql
set enable_seqscan = off as $$
declare
	bad bigint;
begin
	select n.seq into bad from made n where case
		when n.generation_id is null then not exists (select from users u
			where u.id = n.user_id offset 0)
		else not exists (select from generations g where g.id =
			n.generation_id and g.user_id = n.user_id offset 0) end;
	if found then
		raise exception 'event %: no such user or generation', bad
			using errcode = 'foreign_key_violation';
	end if;
	return null;
end $$;

-- At once, not at commit: an order's debit is written before its job, or by
-- the same statement.
drop trigger job_is_charged on jobs;
drop function job_is_charged();
create function job_made() returns trigger language plpgsql
set enable_seqscan = off as $$
declare
	bad record;
begin
	select n.id, n.generation_id into bad from made n
		where not exists (select from charges c
			where c.generation_id = n.generation_id and c.user_id = n.user_id
			and c.quote = coalesce((select -l.amount from ledger_entry l
				where l.charge_id = c.id and l.type = 'video_generation'), 0)
			offset 0) limit 1;
	if found then
		raise exception 'job %: generation % has no charge in the ledger',
			bad.id, bad.generation_id using errcode = 'P0019';
	end if;
	return null;
end $$;
create trigger job_made after insert on jobs referencing new table as made
	for each statement execute function job_made();

-- A second change of an account in one transaction looked up and locked its
-- user, because the version before it was the transaction's own. Users are
-- never deleted and keep their ids, accounts keep theirs.
create or replace function account_guard() returns trigger
language plpgsql as $$
begin
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
alter table accounts drop constraint accounts_user_id_fkey;

-- Its condition on `waiting` made every change of the counter write a new
-- entry into both indexes, and the next look at the account pass the old ones.
-- generations_pending knows who waits.
drop index accounts_waiting;
