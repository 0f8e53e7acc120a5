-- Starts and ends of several jobs in one transaction: what each row did by
-- itself is done once per statement and user, as 0011 did for orders.

-- accounts.active and accounts.waiting follow the statuses.
create function generation_moved() returns trigger language plpgsql
set enable_seqscan = off as $$
declare
	s record;
begin
	for s in select user_id, sum(active) as active, sum(waiting) as waiting
		from (select user_id, generation_counts_active(status)::int as active,
				(status = 'pending')::int as waiting from now_is
			union all
			select user_id, -generation_counts_active(status)::int,
				-(status = 'pending')::int from was) x
		group by user_id having sum(active) <> 0 or sum(waiting) <> 0
		order by user_id loop
		update accounts a set active = a.active + s.active,
			waiting = a.waiting + s.waiting where a.user_id = s.user_id;
	end loop;
	return null;
end $$;
drop trigger generation_count_move on generations;
drop function generation_count();
create trigger generation_moved after update on generations
	referencing old table as was new table as now_is
	for each statement execute function generation_moved();

-- What a charge allows is looked at for all entries of a statement at once.
create or replace function ledger_made() returns trigger language plpgsql
set enable_seqscan = off as $$
declare
	e record;
	u record;
	had bigint;
begin
	for e in select n.user_id, n.type, n.charge_id, c.user_id as owner,
			c.quote, s.status, b.debited, b.back
		from made n
		left join lateral (select x.user_id, x.quote, x.generation_id
			from charges x where x.id = n.charge_id offset 0) c on true
		left join lateral (select g.status from generations g
			where g.id = c.generation_id and n.type <> 'video_generation'
			offset 0) s on true
		left join lateral (select bool_or(l.type = 'video_generation')
				as debited, sum(l.amount) filter (where
				l.type <> 'video_generation') as back
			from ledger_entry l where l.charge_id = n.charge_id
			and n.type <> 'video_generation' offset 0) b on true
		where n.charge_id is not null and (c.user_id is distinct from n.user_id
			or case n.type when 'video_generation' then n.amount <> -c.quote
			else b.debited is not true or b.back > c.quote
			or n.type = 'video_refund' and (s.status is null
				or s.status not in ('failed', 'cancelled'))
			or n.type = 'settle_refund'
				and s.status is distinct from 'completed' end) loop
		if e.owner is distinct from e.user_id then
			raise exception 'charge % is not there or another user''s',
				e.charge_id using errcode = 'P0010';
		end if;
		if e.type = 'video_generation' then
			raise exception 'charge %: debit is not the quote', e.charge_id
				using errcode = 'P0011';
		end if;
		if e.debited is not true then
			raise exception 'charge %: refund without a debit', e.charge_id
				using errcode = 'P0012';
		end if;
		if e.type = 'video_refund' and (e.status is null
				or e.status not in ('failed', 'cancelled'))
			or e.type = 'settle_refund'
				and e.status is distinct from 'completed' then
			raise exception 'charge %: % while generation is %', e.charge_id,
				e.type, e.status using errcode = 'P0013';
		end if;
		raise exception 'charge %: refunds exceed it', e.charge_id
			using errcode = 'P0014';
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

-- One look at the charge and its entries instead of two.
create or replace function generation_is_settled() returns trigger
language plpgsql set enable_seqscan = off as $$
declare
	c record;
begin
	select x.refunded, x.fee, x.quote, x.settled, (select coalesce(sum(
			l.amount), 0) from ledger_entry l where l.charge_id = x.id
			and l.type <> 'video_generation') as back into c
		from charges x where x.generation_id = new.id;
	if not found then
		if new.status = 'cancelled' and not exists (select from jobs
			where generation_id = new.id) then
			return null; -- a draft that was never submitted
		end if;
		raise exception 'generation %: ended without a charge', new.id
			using errcode = 'P0020';
	end if;
	if c.back <> c.refunded
		or new.status in ('failed', 'cancelled')
			and c.refunded + c.fee <> c.quote
		or new.status = 'completed' and (c.settled is null
			or c.settled + c.refunded <> c.quote) then
		raise exception 'generation %: % and its charge disagree', new.id,
			new.status using errcode = 'P0020';
	end if;
	return null;
end $$;

-- Attempts point at rows that all of a user, a route or an account share; a
-- foreign key locks these rows, one by one, at each start. As with orders the
-- rows are kept for ever, and what points at them is looked at per statement.
do $$
declare
	t text;
begin
	foreach t in array array['jobs', 'provider_accounts'] loop
		execute format('create trigger %I before delete on %I for each row '
			'execute function row_kept()', t || '_kept', t);
		execute format('create trigger %I before truncate on %I for each '
			'statement execute function row_kept()', t || '_kept_all', t);
		execute format('create trigger %I before update of id on %I for each '
			'row when (new.id is distinct from old.id) execute function '
			'id_kept()', t || '_id_kept', t);
	end loop;
end $$;
create trigger attempts_owner_kept before update of user_id, generation_id,
	job_id, route_id on attempts for each row when ((new.user_id,
	new.generation_id, new.job_id, new.route_id) is distinct from
	(old.user_id, old.generation_id, old.job_id, old.route_id))
	execute function id_kept();
alter table attempts drop constraint attempts_generation_id_fkey,
	drop constraint attempts_job_id_fkey,
	drop constraint attempts_user_id_fkey,
	drop constraint attempts_route_id_fkey,
	drop constraint attempts_account_id_fkey;
-- job_claim() takes the account from its row, and an attempt copies it.
alter table jobs drop constraint jobs_account_id_fkey;
create function attempt_made() returns trigger language plpgsql
set enable_seqscan = off as $$
declare
	bad uuid;
begin
	select n.id into bad from made n
		where not exists (select from jobs j where j.id = n.job_id
			and j.generation_id = n.generation_id and j.user_id = n.user_id
			offset 0)
		or not exists (select from model_routes r where r.id = n.route_id
			offset 0)
		or n.account_id is not null and not exists (select
			from provider_accounts a where a.id = n.account_id offset 0);
	if found then
		raise exception 'attempt %: no such job of the user, route or account',
			bad using errcode = 'foreign_key_violation';
	end if;
	return null;
end $$;
create trigger attempt_made after insert on attempts
	referencing new table as made
	for each statement execute function attempt_made();
