-- Money: charges, the append-only ledger, grants. The invariants of credits
-- live here, so no code path can break them:
--   I2 balance >= 0 (check); I3 one entry of each type per charge (unique),
--   refunds <= charge (trigger); I4 a job has a charge and its debit, a failed
--   or cancelled generation is refunded, a completed one is not (deferred
--   triggers); I5 entries never change (trigger); I6 the balance is the sum of
--   the entries (only the ledger's insert trigger writes it); I7 one entry per
--   outside key (unique); I8 a charge's price never changes (trigger).

create type charge_state as enum ('charged', 'settled', 'refunded',
	'partially_refunded', 'in_review');
create type ledger_type as enum ('purchase', 'subscription_grant', 'bonus',
	'promo', 'video_generation', 'video_refund', 'settle_refund',
	'adjustment', 'expire', 'transfer');

create table charges (
	id            uuid primary key default uuid7(),
	generation_id uuid not null unique references generations,
	user_id       uuid not null references users,
	quote         bigint not null check (quote between 0 and 1000000000),
	breakdown     jsonb not null,
	price_plan_id uuid references price_plans,
	plan_version  int,
	state         charge_state not null default 'charged',
	refunded      bigint not null default 0 check (refunded >= 0),
	fee           bigint not null default 0 check (fee >= 0),
	settled       bigint check (settled >= 0),
	reason        text,
	created_at    timestamptz not null default now(),
	settled_at    timestamptz,
	check (refunded + fee <= quote),
	check (settled is null or settled + refunded = quote)
) with (fillfactor = 80);

-- Credits that expire. Part of the balance, spent first.
create table grants (
	id         uuid primary key default uuid7(),
	user_id    uuid not null references users,
	source     text not null check (source in ('purchase', 'subscription',
	               'bonus', 'redeem')),
	credits    bigint not null check (credits > 0),
	remaining  bigint not null check (remaining >= 0),
	expires_at timestamptz not null,
	created_at timestamptz not null default now(),
	check (remaining <= credits)
);
create index grants_open on grants (user_id, expires_at) where remaining > 0;
create index grants_expiry on grants (expires_at) where remaining > 0;

create table grant_use (
	charge_id uuid not null references charges,
	grant_id  uuid not null references grants,
	user_id   uuid not null references users,
	credits   bigint not null check (credits > 0),
	returned  bigint not null default 0 check (returned >= 0),
	primary key (charge_id, grant_id),
	check (returned <= credits)
);

create table ledger_entry (
	id            bigint generated always as identity primary key,
	user_id       uuid not null references users,
	type          ledger_type not null,
	amount        bigint not null check (amount <> 0
	                  and amount between -1000000000000 and 1000000000000),
	balance_after bigint not null check (balance_after >= 0),
	charge_id     uuid references charges,
	grant_id      uuid references grants,
	idem_key      text unique check (length(idem_key) between 1 and 300),
	actor_id      uuid references users,
	note          text check (length(note) <= 1000),
	created_at    timestamptz not null default now(),
	unique (charge_id, type),
	check ((charge_id is not null) = (type in ('video_generation',
		'video_refund', 'settle_refund'))),
	check (case when type in ('video_generation', 'expire') then amount < 0
		when type in ('adjustment', 'transfer') then true
		else amount > 0 end)
);
create index ledger_user on ledger_entry (user_id, id desc);

create function ledger_apply() returns trigger language plpgsql as $$
declare
	c charges;
	s generation_status;
begin
	if new.charge_id is not null then
		select * into strict c from charges where id = new.charge_id;
		if c.user_id <> new.user_id then
			raise exception 'charge % is another user''s', c.id
				using errcode = 'P0010';
		end if;
		if new.type = 'video_generation' and new.amount <> -c.quote then
			raise exception 'charge %: debit is not the quote', c.id
				using errcode = 'P0011';
		end if;
		if new.type <> 'video_generation' then
			select status into strict s from generations
				where id = c.generation_id;
			if not exists (select from ledger_entry where charge_id = c.id
				and type = 'video_generation') then
				raise exception 'charge %: refund without a debit', c.id
					using errcode = 'P0012';
			end if;
			if new.type = 'video_refund'
				and s not in ('failed', 'cancelled')
				or new.type = 'settle_refund' and s <> 'completed' then
				raise exception 'charge %: % while generation is %',
					c.id, new.type, s using errcode = 'P0013';
			end if;
			if new.amount + coalesce((select sum(amount) from ledger_entry
				where charge_id = c.id and type <> 'video_generation'), 0)
				> c.quote then
				raise exception 'charge %: refunds exceed it', c.id
					using errcode = 'P0014';
			end if;
		end if;
	end if;
	update accounts set balance = balance + new.amount
		where user_id = new.user_id returning balance into new.balance_after;
	if not found then
		raise exception 'user % has no account', new.user_id
			using errcode = 'P0015';
	end if;
	return new;
end $$;
create trigger ledger_apply before insert on ledger_entry
	for each row execute function ledger_apply();

create function ledger_frozen() returns trigger language plpgsql as $$
begin
	raise exception 'the ledger is append-only' using errcode = 'P0016';
end $$;
create trigger ledger_frozen before update or delete or truncate
	on ledger_entry for each statement execute function ledger_frozen();

-- Depth 2 is the ledger trigger's own update.
create function account_guard() returns trigger language plpgsql as $$
begin
	if tg_op = 'INSERT' then
		if (new.balance, new.active, new.waiting) <> (0, 0, 0) then
			raise exception 'an account starts empty'
				using errcode = 'P0017';
		end if;
	elsif new.balance <> old.balance and pg_trigger_depth() < 2 then
		raise exception 'only a ledger entry moves a balance'
			using errcode = 'P0017';
	end if;
	return new;
end $$;
create trigger account_guard before insert or update on accounts
	for each row execute function account_guard();
create trigger account_kept before delete on accounts
	for each row execute function row_kept();

create function user_has_account() returns trigger language plpgsql as $$
begin
	insert into accounts (user_id) values (new.id);
	return null;
end $$;
create trigger user_has_account after insert on users
	for each row execute function user_has_account();

create function charge_frozen() returns trigger language plpgsql as $$
begin
	if (new.id, new.generation_id, new.user_id, new.quote, new.breakdown,
		new.price_plan_id, new.plan_version, new.created_at)
		is distinct from (old.id, old.generation_id, old.user_id, old.quote,
		old.breakdown, old.price_plan_id, old.plan_version, old.created_at)
		or new.refunded < old.refunded then
		raise exception 'charge %: the price is frozen', old.id
			using errcode = 'P0018';
	end if;
	return new;
end $$;
create trigger charge_frozen before update on charges
	for each row execute function charge_frozen();
create trigger charge_kept before delete on charges
	for each row execute function row_kept();

create function job_is_charged() returns trigger language plpgsql as $$
declare
	c charges;
	debit bigint;
begin
	select * into c from charges where generation_id = new.generation_id;
	if not found then
		raise exception 'job %: generation % has no charge', new.id,
			new.generation_id using errcode = 'P0019';
	end if;
	select -amount into debit from ledger_entry
		where charge_id = c.id and type = 'video_generation';
	if coalesce(debit, 0) <> c.quote then
		raise exception 'job %: charge % is not in the ledger', new.id, c.id
			using errcode = 'P0019';
	end if;
	return null;
end $$;
create constraint trigger job_is_charged after insert on jobs
	deferrable initially deferred
	for each row execute function job_is_charged();

create function generation_is_settled() returns trigger language plpgsql as $$
declare
	c charges;
	back bigint;
begin
	select * into c from charges where generation_id = new.id;
	if not found then
		if new.status = 'cancelled' and not exists (select from jobs
			where generation_id = new.id) then
			return null; -- a draft that was never submitted
		end if;
		raise exception 'generation %: ended without a charge', new.id
			using errcode = 'P0020';
	end if;
	select coalesce(sum(amount), 0) into back from ledger_entry
		where charge_id = c.id and type <> 'video_generation';
	if back <> c.refunded
		or new.status in ('failed', 'cancelled')
			and c.refunded + c.fee <> c.quote
		or new.status = 'completed' and (c.settled is null
			or c.settled + c.refunded <> c.quote) then
		raise exception 'generation %: % and its charge disagree', new.id,
			new.status using errcode = 'P0020';
	end if;
	return null;
end $$;
create constraint trigger generation_is_settled after update on generations
	deferrable initially deferred for each row
	when (old.status is distinct from new.status
		and new.status in ('completed', 'failed', 'cancelled'))
	execute function generation_is_settled();
