-- What is done for each order and each end, once instead of twice.

-- Events are made, stored and sent on as text; nobody looks into them here.
alter table events alter column data type json using data::json;

create or replace function generation_made() returns trigger
language plpgsql as $$
begin
	update accounts a set active = a.active
		+ generation_counts_active(new.status)::int,
		waiting = a.waiting + (new.status = 'pending')::int
		where a.user_id = new.user_id and exists (select
			from model_routes r where r.id = new.route_id
			and r.model_id = new.model_id);
	if not found or new.api_key_id is not null and not exists (select
			from api_keys k where k.id = new.api_key_id
			and k.user_id = new.user_id) then
		raise exception 'generation %: no such user, key, model or route',
			new.id using errcode = 'foreign_key_violation';
	end if;
	return null;
end $$;

-- Of the entries of a charge there is one of each type, and a generation that
-- has ended stays as it ended: what pays back a failed one is the first that
-- does, and so is what pays back a completed one.
create or replace function ledger_apply() returns trigger
language plpgsql as $$
declare
	owner uuid;
	due bigint; -- the charge's quote
	made uuid; -- its generation
	s generation_status;
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
		select x.user_id, x.quote, x.generation_id into owner, due, made
			from charges x where x.id = new.charge_id;
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
			select g.status into s from generations g where g.id = made;
			perform from ledger_entry l where l.charge_id = new.charge_id
				and l.type::text = 'video_generation';
			if not found then
				raise exception 'charge %: refund without a debit',
					new.charge_id using errcode = 'P0012';
			end if;
			if new.amount > due then
				raise exception 'charge %: refunds exceed it',
					new.charge_id using errcode = 'P0014';
			end if;
		end if;
		if new.type = 'video_refund' and s not in ('failed', 'cancelled')
			or new.type = 'settle_refund' and s <> 'completed' then
			raise exception 'charge %: % while generation is %',
				new.charge_id, new.type, s using errcode = 'P0013';
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

-- The one entry that may pay back, by how it ended.
create or replace function generation_is_settled() returns trigger
language plpgsql set enable_bitmapscan = off as $$
declare
	c record;
begin
	select x.quote, x.refunded, x.fee, x.settled,
		coalesce((select l.amount from ledger_entry l
			where l.charge_id = x.id and l.type::text = case new.status
			when 'completed' then 'settle_refund' else 'video_refund' end
			limit 1), 0) as back into c from charges x
		where x.generation_id = new.id;
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
