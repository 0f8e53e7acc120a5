-- Credits. All of these run on the engine pool, inside the transaction of the
-- change they belong to, after the generation's job row and before anything
-- else of the user: lock order job -> generation -> account -> grants ->
-- ledger; a charge goes with its generation.

-- Takes what an expired grant still holds out of the balance. The caller has
-- the user's account locked. Returns the last ledger entry, or null.
create function grants_expire_user(p_user uuid) returns bigint
language plpgsql as $$
declare
	gr grants;
	last bigint;
begin
	for gr in select * from grants where user_id = p_user and remaining > 0
		and expires_at <= now() order by expires_at, id for update loop
		update grants set remaining = 0 where id = gr.id;
		insert into ledger_entry (user_id, type, amount, grant_id, note)
			values (p_user, 'expire', -gr.remaining, gr.id, 'grant expired')
			returning id into last;
	end loop;
	return last;
end $$;

-- Takes p_credits for a new charge out of the user's grants, soonest expiring
-- first; what they do not hold comes from the free credits. The caller holds
-- the account, has checked the balance and writes the ledger entry.
create function grants_spend(p_charge uuid, p_user uuid, p_credits bigint)
returns void language plpgsql as $$
declare
	gr grants;
	left_over bigint := p_credits;
	part bigint;
begin
	for gr in select * from grants where user_id = p_user and remaining > 0
		and expires_at > now() order by expires_at, id for update loop
		exit when left_over = 0;
		part := least(gr.remaining, left_over);
		update grants set remaining = remaining - part where id = gr.id;
		insert into grant_use (charge_id, grant_id, user_id, credits)
			values (p_charge, gr.id, p_user, part);
		left_over := left_over - part;
	end loop;
end $$;

-- p_credits of a charge go back into unexpired grants (what was spent last
-- returns first); what they did not give is free again. The caller holds the
-- account and writes the ledger entry.
create function grants_return(p_charge uuid, p_credits bigint) returns void
language plpgsql as $$
declare
	u record;
	left_over bigint := p_credits;
	part bigint;
begin
	for u in select gu.grant_id, gu.credits - gu.returned as held
		from grant_use gu join grants gr on gr.id = gu.grant_id
		where gu.charge_id = p_charge and gu.credits > gu.returned
		and gr.expires_at > now() order by gr.expires_at desc, gr.id
		for update loop
		exit when left_over = 0;
		part := least(u.held, left_over);
		update grant_use set returned = returned + part
			where charge_id = p_charge and grant_id = u.grant_id;
		update grants set remaining = remaining + part where id = u.grant_id;
		left_over := left_over - part;
	end loop;
end $$;

-- credit_adjust: engine pool. Admin corrections and purchases; the only way
-- credits enter. p_key (required) makes a repeat the same entry. p_amount < 0
-- takes credits away. p_expires makes a positive amount an expiring grant.
-- Outcomes: adjusted, replayed, mismatch (key used with other facts),
-- insufficient (would go below 0), not_found, bad_type.
create function credit_adjust(p_user uuid, p_amount bigint, p_type text,
	p_key text, p_actor uuid, p_note text, p_expires timestamptz,
	out outcome text, out entry_id bigint, out balance bigint,
	out balance_event json, out event_seq bigint)
language plpgsql as $$
declare
	l ledger_entry;
	free bigint;
	grant_row uuid;
	e events;
begin
	if p_type not in ('purchase', 'subscription_grant', 'bonus', 'promo',
		'adjustment', 'transfer') or p_amount = 0
		or p_amount < 0 and p_type not in ('adjustment', 'transfer') then
		outcome := 'bad_type';
		return;
	end if;
	select a.balance into balance from accounts a where user_id = p_user
		for update;
	if not found then
		outcome := 'not_found';
		return;
	end if;
	select * into l from ledger_entry where idem_key = p_key;
	if found then
		outcome := case when l.user_id = p_user and l.amount = p_amount
			and l.type::text = p_type then 'replayed' else 'mismatch' end;
		entry_id := case when outcome = 'replayed' then l.id end;
		return;
	end if;
	perform grants_expire_user(p_user);
	-- Credits held by grants are theirs; a correction takes only free ones.
	select a.balance - coalesce((select sum(remaining) from grants
		where user_id = p_user), 0), a.balance into free, balance
		from accounts a where user_id = p_user;
	if p_amount < 0 and free + p_amount < 0 then
		outcome := 'insufficient';
		return;
	end if;
	if p_expires is not null and p_amount > 0 then
		insert into grants (user_id, source, credits, remaining, expires_at)
			values (p_user, case p_type when 'purchase' then 'purchase'
			when 'subscription_grant' then 'subscription' else 'bonus' end,
			p_amount, p_amount, p_expires) returning id into grant_row;
	end if;
	insert into ledger_entry (user_id, type, amount, grant_id, idem_key,
		actor_id, note) values (p_user, p_type::ledger_type, p_amount,
		grant_row, p_key, p_actor, left(p_note, 1000))
		returning * into l;
	insert into events (type, user_id, version, data, balance,
		balance_version) values ('credits.entry', p_user, l.id,
		json_build_object('amount', l.amount, 'type', l.type),
		l.balance_after, l.id) returning * into e;
	if p_actor is not null then
		insert into audit_log (actor_id, actor_kind, action, target_type,
			target_id, after) values (p_actor, 'user', 'credits.adjust',
			'user', p_user, jsonb_build_object('amount', p_amount, 'type',
			p_type, 'note', p_note, 'entry', l.id));
	end if;
	outcome := 'adjusted';
	entry_id := l.id;
	balance := l.balance_after;
	event_seq := e.seq;
	balance_event := balance_json(p_user, l.balance_after, l.id,
		l.created_at);
end $$;

-- grants_expire: engine pool, sweep. Expires grants of up to p_limit users;
-- returns how many users had some. Users in id order: see README, lock order.
create function grants_expire(p_limit int) returns int
language plpgsql as $$
declare
	u uuid;
	n int := 0;
begin
	for u in select distinct user_id from grants where remaining > 0
		and expires_at <= now() order by user_id limit p_limit loop
		perform from accounts where user_id = u for update;
		if grants_expire_user(u) is not null then
			n := n + 1;
		end if;
	end loop;
	return n;
end $$;
