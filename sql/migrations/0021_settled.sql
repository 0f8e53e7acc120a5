-- What an end and its charge say is held against each other with the statement
-- that ends generations, for all of it in one query, and no longer at commit,
-- for each by one of its own: that was a tenth of all that a failure costs.
-- For this, the money has to be in the same statement (generations_end).
drop trigger generation_is_settled on generations;
create or replace function generation_is_settled() returns trigger
language plpgsql set enable_hashjoin = off set enable_mergejoin = off as $$
declare
	e record;
begin
	-- Most changes end nothing, and are not asked more.
	perform from moved n where n.status in ('completed', 'failed',
		'cancelled') limit 1;
	if not found then
		return null;
	end if;
	-- Of the entries of a charge that pay back there is one by how it ended.
	select n.id, n.status, c.id as charge into e
		from moved n left join lateral (select x.id, x.quote, x.refunded,
			x.fee, x.settled, coalesce((select l.amount from ledger_entry l
				where l.charge_id = x.id and l.type = case n.status
				when 'completed' then 'settle_refund'::ledger_type
				else 'video_refund'::ledger_type end), 0) as back
			from charges x where x.generation_id = n.id offset 0) c on true
		where n.status in ('completed', 'failed', 'cancelled')
		and (case when c.id is null then n.status <> 'cancelled' or exists (
				select from jobs j where j.generation_id = n.id offset 0)
			else c.back <> c.refunded
			or n.status in ('failed', 'cancelled')
				and c.refunded + c.fee <> c.quote
			or n.status = 'completed' and (c.settled is null
				or c.settled + c.refunded <> c.quote) end) limit 1;
	if found and e.charge is null then
		-- Only a draft that was never submitted has none.
		raise exception 'generation %: ended without a charge', e.id
			using errcode = 'P0020';
	elsif found then
		raise exception 'generation %: % and its charge disagree', e.id,
			e.status using errcode = 'P0020';
	end if;
	return null;
end $$;
create trigger generation_is_settled after update on generations
	referencing new table as moved
	for each statement execute function generation_is_settled();
