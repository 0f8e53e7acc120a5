-- accounts.active and accounts.waiting follow the statuses per statement, as
-- they do for new ones (0018): starts and ends come in groups, and so does
-- progress, which pays a look at the statuses for it. The sums of before and
-- after need no join of the two; accounts are locked in their order.
drop trigger generation_moved on generations;
create or replace function generation_moved() returns trigger
language plpgsql set enable_hashjoin = off set enable_mergejoin = off as $$
begin
	update accounts a set active = a.active + s.active,
		waiting = a.waiting + s.waiting
		from (select x.user_id, sum(x.active) as active,
				sum(x.waiting) as waiting
			from (select n.user_id, generation_counts_active(
					n.status)::int as active,
					(n.status = 'pending')::int as waiting
				from moved n
				union all select o.user_id, -generation_counts_active(
					o.status)::int, -(o.status = 'pending')::int
				from was o) x
			group by x.user_id having sum(x.active) <> 0
				or sum(x.waiting) <> 0 order by x.user_id offset 0) s
		where a.user_id = s.user_id;
	return null;
end $$;
create trigger generation_moved after update on generations
	referencing old table as was new table as moved
	for each statement execute function generation_moved();
