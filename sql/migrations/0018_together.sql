-- What is looked at when rows are written, per statement again (0011): orders
-- and ends come in groups of a dozen and more now, and since 0017 a query over
-- a transition table starts as fast as two or three rows are looked up by
-- queries of their own; an account is written once for all orders of a group.
-- What needs no query stays with its row (0013).
--
-- "offset 0": looked up row by row. Without it the planner may read the whole
-- table once instead, which is right while it is small and kept when it isn't.
-- What is updated is joined: those functions forbid the joins that may do that.

-- accounts.active and accounts.waiting follow the statuses. Users and accounts
-- come and stay together, so the account stands for the user.
drop trigger generation_made on generations;
create or replace function generation_made() returns trigger
language plpgsql set enable_hashjoin = off set enable_mergejoin = off as $$
declare
	bad uuid;
	many bigint;
begin
	select n.id into bad from made n
		where not exists (select from model_routes r where r.id = n.route_id
			and r.model_id = n.model_id offset 0)
		or n.api_key_id is not null and not exists (select
			from api_keys k where k.id = n.api_key_id
			and k.user_id = n.user_id offset 0) limit 1;
	if not found then
		update accounts a set active = a.active + s.active,
			waiting = a.waiting + s.waiting
			from (select n.user_id, sum(generation_counts_active(
					n.status)::int) as active, sum((n.status
					= 'pending')::int) as waiting
				from made n group by n.user_id offset 0) s
			where a.user_id = s.user_id;
		get diagnostics many = row_count;
		if many <> (select count(distinct n.user_id) from made n) then
			select n.id into bad from made n where not exists (select
				from accounts a where a.user_id = n.user_id) limit 1;
		end if;
	end if;
	if bad is not null then
		raise exception 'generation %: no such user, key, model or route',
			bad using errcode = 'foreign_key_violation';
	end if;
	return null;
end $$;
create trigger generation_made after insert on generations
	referencing new table as made
	for each statement execute function generation_made();

drop trigger charge_made on charges;
create or replace function charge_made() returns trigger
language plpgsql as $$
declare
	bad uuid;
begin
	select n.id into bad from made n
		where not exists (select from generations g
			where g.id = n.generation_id and g.user_id = n.user_id offset 0)
		or n.price_plan_id is not null and not exists (select
			from price_plans p where p.id = n.price_plan_id offset 0) limit 1;
	if found then
		raise exception 'charge %: no such generation of the user, or price',
			bad using errcode = 'foreign_key_violation';
	end if;
	return null;
end $$;
create trigger charge_made after insert on charges
	referencing new table as made
	for each statement execute function charge_made();

drop trigger job_made on jobs;
create or replace function job_made() returns trigger language plpgsql as $$
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

drop trigger event_made on events;
create or replace function event_made() returns trigger
language plpgsql as $$
declare
	bad bigint;
begin
	select n.seq into bad from made n where case
		when n.generation_id is null then not exists (select from users u
			where u.id = n.user_id offset 0)
		else not exists (select from generations g
			where g.id = n.generation_id and g.user_id = n.user_id offset 0)
		end limit 1;
	if found then
		raise exception 'event %: no such user or generation', bad
			using errcode = 'foreign_key_violation';
	end if;
	insert into outbox select n.seq from made n;
	return null;
end $$;
create trigger event_made after insert on events
	referencing new table as made
	for each statement execute function event_made();

drop trigger attempt_made on attempts;
create or replace function attempt_made() returns trigger
language plpgsql as $$
declare
	bad uuid;
begin
	select n.id into bad from made n
		where not exists (select from jobs j where j.id = n.job_id
			and j.generation_id = n.generation_id
			and j.user_id = n.user_id offset 0)
		or not exists (select from model_routes r where r.id = n.route_id
			offset 0)
		or n.account_id is not null and not exists (select
			from provider_accounts a where a.id = n.account_id offset 0)
		limit 1;
	if found then
		raise exception 'attempt %: no such job of the user, route or account',
			bad using errcode = 'foreign_key_violation';
	end if;
	return null;
end $$;
create trigger attempt_made after insert on attempts
	referencing new table as made
	for each statement execute function attempt_made();

-- Whoever writes several entries of a user in one statement says what each
-- leaves of the balance; for a single one it is found here. Either way
-- ledger_made() holds it against the account.
drop trigger ledger_apply on ledger_entry;
drop function ledger_apply();
create function ledger_guard() returns trigger language plpgsql as $$
declare
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
	if new.balance_after is null then
		select a.balance + new.amount into new.balance_after from accounts a
			where a.user_id = new.user_id for update;
		if not found then
			raise exception 'user % has no account', new.user_id
				using errcode = 'P0015';
		end if;
	end if;
	return new;
end $$;
create trigger ledger_guard before insert on ledger_entry
	for each row execute function ledger_guard();

-- What a charge allows, and the move of the balance. Of the entries of a
-- charge there is one of each type, and a generation that has ended stays as
-- it ended: what pays back a failed one is the first that does, and so is what
-- pays back a completed one.
create function ledger_made() returns trigger
language plpgsql set enable_hashjoin = off set enable_mergejoin = off as $$
declare
	e record;
	many bigint;
begin
	select n.user_id, n.type, n.amount, n.charge_id, c.user_id as owner,
		c.quote, c.status, c.debited into e
		from made n left join lateral (select x.user_id, x.quote,
			case when n.type <> 'video_generation' then (select g.status
				from generations g where g.id = x.generation_id) end
				as status,
			n.type = 'video_generation' or exists (select
				from ledger_entry l where l.charge_id = x.id
				and l.type = 'video_generation') as debited
			from charges x where x.id = n.charge_id offset 0) c on true
		where n.charge_id is not null and (c.user_id is distinct
			from n.user_id or not c.debited or case n.type
			when 'video_generation' then n.amount <> -c.quote
			when 'video_refund' then n.amount > c.quote or c.status
				not in ('failed', 'cancelled')
			else n.amount > c.quote or c.status <> 'completed' end) limit 1;
	if found then
		if e.owner is distinct from e.user_id then
			raise exception 'charge % is not there or another user''s',
				e.charge_id using errcode = 'P0010';
		elsif e.type = 'video_generation' then
			raise exception 'charge %: debit is not the quote', e.charge_id
				using errcode = 'P0011';
		elsif not e.debited then
			raise exception 'charge %: refund without a debit', e.charge_id
				using errcode = 'P0012';
		elsif e.amount > e.quote then
			raise exception 'charge %: refunds exceed it', e.charge_id
				using errcode = 'P0014';
		end if;
		raise exception 'charge %: % while generation is %', e.charge_id,
			e.type, e.status using errcode = 'P0013';
	end if;
	update accounts a set balance = a.balance + s.moved
		from (select x.user_id, sum(x.amount)::bigint as moved,
				min(x.was) as low, max(x.was) as high
			from (select n.user_id, n.amount, n.balance_after - sum(n.amount)
				over (partition by n.user_id order by n.id) as was
				from made n) x group by x.user_id offset 0) s
		where a.user_id = s.user_id and a.balance = s.low
			and a.balance = s.high;
	get diagnostics many = row_count;
	if many <> (select count(distinct n.user_id) from made n) then
		select n.user_id into e from made n where not exists (select
			from accounts a where a.user_id = n.user_id) limit 1;
		if found then
			raise exception 'user % has no account', e.user_id
				using errcode = 'P0015';
		end if;
		raise exception 'entries do not follow the balance'
			using errcode = 'P0021';
	end if;
	return null;
end $$;
create trigger ledger_made after insert on ledger_entry
	referencing new table as made
	for each statement execute function ledger_made();
