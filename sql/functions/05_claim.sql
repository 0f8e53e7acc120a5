-- Who carries a job: claim, adopt, clean, release. ENGINE pool only.
-- job.owner is the lease.
--
-- Which job kills its process? crash_count goes up when a job is claimed, and
-- when its instance crashed (its beats stopped) while the job was performing;
-- it goes back to 0 at every clean step. Two or more make a suspect. What was
-- parked performed nothing and is not blamed. When an instance crashed with
--   one suspect: the poison, if nobody else can be blamed for three crashes,
--     or for any of those that it is blamed for (lone_crashes: it was all that
--     was performed, or the only suspect); before that, it is set apart;
--   else nobody is judged: all its suspects are set apart (owner null, and
--   still suspect), in the transaction that first looks at them.
-- Those set apart are taken by halves: of the least blamed, who crashed
-- together, and never beside others that are suspect, so that what crashes
-- again is always a smaller lot, however many poisons there are. The others
-- take their step and are cleared.

-- job_claim: takes queued jobs for instance p_owner, lowest (priority,
-- eligible_at, id) first. The arrays go together: up to p_slots[i] jobs of
-- provider p_providers[i] on account p_accounts[i] (null: no account), which
-- may have p_concurrency[i] jobs at once and p_rpm[i] submits per minute (0 or
-- null: no limit) over all instances; the account rows are the lock for that.
-- A provider or account that is paused, held or open gives none; one that is
-- half open gives one. Providers that are named and have no room at all lose
-- queued jobs to other routes that have (jobs_move), if p_move: to look for
-- these costs more than the claim, so who claims often asks for it once a
-- second. Fair between users
-- because only a user's first few generations are queued at all. Returns
-- job_work rows, job_status running. Planned once: for arrays PostgreSQL takes
-- the plan of these values for cheaper each time, and makes it for as long as the
-- statement runs.
create function job_claim(p_owner uuid, p_providers text[], p_slots int[],
	p_accounts uuid[] default null, p_concurrency int[] default null,
	p_rpm int[] default null, p_move boolean default true)
	returns setof job_work
language plpgsql rows 20 set plan_cache_mode = force_generic_plan as $$
declare
	ids uuid[];
	names text[];
	accounts uuid[];
	rooms int[];
	able text[];
	free int[];
	stuck text[];
begin
	if not exists (select from jobs q where q.status = 'queued'
		and q.provider = any (p_providers) and q.eligible_at <= now()) then
		return;
	end if;
	-- Nothing is paid for on the word of a claim: attempts_start's commit comes
	-- before, and puts on disk all that was written until then. A claim that
	-- a crash of PostgreSQL forgets leaves a queued job.
	perform set_config('synchronous_commit', 'off', true);
	-- Claimers of one limited account come one after the other.
	perform from provider_accounts a where a.id in (select w.account
		from unnest(p_accounts, p_concurrency, p_rpm)
			as w(account, most, rpm) join provider_accounts l
			on l.id = w.account
		where w.most > 0 or w.rpm > 0 or l.opened_until is not null)
		order by a.id for no key update;
	select array_agg(x.provider), array_agg(x.account), array_agg(x.n)
		into names, accounts, rooms
	from (
		select w.provider, w.account, least(w.n,
			case when w.most > 0 then w.most - (select count(*)
				from jobs j where j.account_id = w.account
				and j.finished_at is null
				and j.step in ('submit', 'poll'))::int end,
			case when w.rpm > 0 then rate_room(a.submit_tat, w.rpm) end,
			case when a.opened_until is not null then 1 end) as n
		from unnest(p_providers, p_slots, p_accounts, p_concurrency, p_rpm)
			as w(provider, n, account, most, rpm)
			join providers p on p.name = w.provider
			left join provider_accounts a on a.id = w.account
		where w.n > 0 and (p.state = 'on'
			or p.state = 'paused' and p.paused_until <= now())
			and (p.sunset_at is null or p.sunset_at > now())
			and (w.account is null or account_able(a))
	) x where x.n > 0;
	if names is null then
		return;
	end if;
	stuck := array(select unnest(p_providers) except select unnest(names));
	if p_move and cardinality(stuck) > 0 then
		-- What is left after each provider's own queue.
		select array_agg(t.provider), array_agg(t.n) into able, free from (
			select o.provider, (o.n - (select count(*) from (select
				from jobs q where q.status = 'queued'
				and q.provider = o.provider and q.eligible_at <= now()
				limit o.n) own))::int as n
			from (select u.provider, sum(u.n) as n from unnest(names, rooms)
				as u(provider, n) group by u.provider) o) t where t.n > 0;
		if able is not null then
			perform jobs_move(stuck, able, free);
		end if;
	end if;
	with want as (
		select u.provider, sum(u.n) as n from unnest(names, rooms)
			as u(provider, n) group by u.provider
	), pick as materialized (
		select want.provider, j.id, j.nth from want cross join lateral (
			select f.id, row_number() over () as nth from (
				select q.id from jobs q where q.status = 'queued'
					and q.provider = want.provider and q.eligible_at <= now()
				order by q.priority, q.eligible_at, q.id limit want.n
				for update skip locked) f) j
	), slot as (
		-- By weight among the accounts that have room.
		select u.provider, u.account, row_number() over (partition by
			u.provider order by coalesce(a.weight, 1) = 0, -ln(1 - random())
			/ greatest(coalesce(a.weight, 1), 1)) as nth
		from unnest(names, accounts, rooms) as u(provider, account, n)
			left join provider_accounts a on a.id = u.account
			join (select p.provider, count(*) as n from pick p
				group by p.provider) got on got.provider = u.provider
			cross join generate_series(1, least(u.n, got.n))
	), took as (
		update jobs j set status = 'running', owner = p_owner,
			account_id = slot.account, crash_count = j.crash_count + 1,
			started_at = coalesce(j.started_at, now())
		from pick join slot using (provider, nth) where j.id = pick.id
		returning j.id, j.account_id
	), spent as (
		update provider_accounts a set
			submit_tat = case when w.rpm > 0 then greatest(a.submit_tat,
				now()) + t.n * rate_interval(w.rpm) else a.submit_tat end,
			probe_at = case when a.opened_until is not null then now() end,
			opened_until = case when a.opened_until is not null then now()
				+ interval '1 minute' end
		from (select account_id, count(*) as n from took
			where account_id is not null group by account_id) t
			join unnest(p_accounts, p_rpm) as w(account, rpm)
			on w.account = t.account_id
		where a.id = t.account_id and (w.rpm > 0
			or a.opened_until is not null)
	)
	select array_agg(id) into ids from took;
	if ids is null then
		return;
	end if;
	return query select * from job_work where job_id = any (ids)
		order by priority, eligible_ms, job_id;
end $$;

-- job_performs: is there something that a crash may be blamed on? What waits
-- for a callback or a person (uncertain) does nothing.
create function job_performs(p_status job_status) returns boolean
language sql immutable as $$
	select p_status in ('running', 'waiting')
$$;

create function job_is_suspect(p_status job_status, p_crashes int)
returns boolean language sql immutable as $$
	select p_crashes >= 2 and p_status in ('running', 'waiting')
$$;

-- attempt_doubt: the job changes hands. Whoever carried it may have sent its
-- attempt, or will when he goes on; nobody can take that back (job_requeue).
create function attempt_doubt(p_job uuid) returns void language sql as $$
	update attempts set status = 'ambiguous' where id = (select attempt_id
		from jobs where id = p_job and step = 'submit')
		and status = 'submitting'
$$;

-- job_adopt: takes over jobs whose instance is dead (no beat for p_dead),
-- stopped, or that were released. Pages by id: call with p_after null, then
-- with the GREATEST job_id of the page, those set apart left out, until no row
-- comes (rows come in user order, see README, locks). Outcomes per row: adopted
-- (w.step and w.attempt_status say where it stood; what was submitting is
-- ambiguous now: it is not known whether the provider has it, and the earlier
-- owner, or one between, may come back to life and send it still); poisoned (failed with internal_poison and
-- refunded); set_apart (of w only job_id, generation_id, owner: the one that
-- crashed, and crash_count; of any page); skipped (a kind, or a provider that
-- is not in p_providers, which this version does not know: left alone, for one
-- that does); `refused ...` (the books did not let it end: left alone).
-- Those set apart come last, when the page is empty: of the least crashes that
-- there are, as many as leave p_owner with half of these, if it has no suspects
-- with other numbers of crashes.
create function job_adopt(p_owner uuid, p_dead interval, p_after uuid,
	p_limit int, p_providers text[] default null) returns setof adopt_result language plpgsql as $$
declare
	dead uuid[] := array(select id from instances where stopped_at is not null
		or beat_at < now() - p_dead);
	crashed uuid[] := array(select id from instances where stopped_at is null
		and beat_at < now() - p_dead);
	after uuid := coalesce(p_after, '00000000-0000-0000-0000-000000000000');
	crowd uuid[]; -- crashed while they performed several jobs
	open uuid[]; -- crashed with suspects, and not judged (yet)
	x uuid;
	ids uuid[];
	guilty uuid[] := '{}';
	n int;
	others int;
	lone int;
	most int;
	level int; -- of crashes
	own int;
	mixed boolean;
	held record;
	m move_result;
	res adopt_result;
begin
	if p_owner = any (crashed) then
		return; -- the caller itself missed its beats: it must not adopt
	end if;
	crowd := array(select owner from jobs where owner = any (crashed)
		and job_performs(status) group by owner having count(*) > 1);
	-- The row of the instance is the lock for judging it: who does not get it,
	-- or not all suspects, leaves alone whatever that instance performed.
	open := array(select distinct owner from jobs where owner = any (crashed)
		and job_is_suspect(status, crash_count));
	foreach x in array array(select id from instances where id = any (open)
		and stopped_at is null and beat_at < now() - p_dead
		order by id for no key update skip locked) loop
		select count(*) filter (where bad), count(*) filter (where not bad),
			max(lone_crashes + 1) filter (where bad),
			max(crash_count) filter (where bad) into n, others, lone, most
			from jobs cross join lateral (select job_is_suspect(status,
			crash_count) as bad) b where owner = x and job_performs(status);
		ids := array(select id from jobs where owner = x
			and job_is_suspect(status, crash_count)
			order by id for update skip locked);
		continue when cardinality(ids) <> n;
		open := array_remove(open, x);
		if n = 1 and (lone >= 3 or others = 0 and lone >= most) then
			guilty := guilty || ids;
			continue;
		end if;
		update jobs set owner = null, crash_count = crash_count + 1,
			lone_crashes = lone_crashes + (n = 1)::int,
			last_error = 'The server crashed while it carried this job; '
				'it is tried again in smaller company.'
			where id = any (ids);
		for held in select id, generation_id, crash_count from jobs
			where id = any (ids) order by id loop
			res := null;
			res.outcome := 'set_apart';
			res.w.job_id := held.id;
			res.w.generation_id := held.generation_id;
			res.w.owner := x;
			res.w.crash_count := held.crash_count;
			return next res;
		end loop;
	end loop;
	-- In user order: two sweeps that both end jobs lock accounts alike.
	for held in
		with locked as (
			select j.id, j.user_id, j.generation_id, j.kind, j.status,
				j.owner, j.provider
			from jobs j where j.id in (
				(select o.id from jobs o where o.owner is null
					and o.status in ('running', 'waiting', 'retry_wait',
					'uncertain') and o.id > after
					and not job_is_suspect(o.status, o.crash_count)
					order by o.id limit p_limit)
				union all
				(select d.id from jobs d where d.owner = any (dead)
					and d.id > after and not (d.owner = any (open)
					and job_performs(d.status)) order by d.id limit p_limit))
			and j.finished_at is null
			and (j.owner = any (dead) or j.owner is null
				and not job_is_suspect(j.status, j.crash_count))
			and j.status in ('running', 'waiting', 'retry_wait', 'uncertain')
			order by j.id limit p_limit
			for update skip locked)
		select * from locked order by user_id, id loop
		res := null;
		if held.kind <> 'generate' or held.provider <> all (p_providers) then
			res.outcome := 'skipped';
		elsif held.id = any (guilty) then
			begin
				update attempts set status = 'failed', finished_at = now(),
					error_class = 'internal', error_code = 'internal_poison'
					where job_id = held.id
					and status not in ('succeeded', 'failed', 'cancelled');
				m := generation_end(held.generation_id, 'failed', 'internal',
					'internal_poison',
					'The job failed repeatedly inside the server.', null,
					true, 0);
				perform rules_now();
				res.outcome := 'poisoned';
				res.event_seq := m.event_seq;
				res.event := m.event;
				res.balance_event := m.balance_event;
				res.promoted := m.promoted;
				res.seqs := m.seqs;
			exception when others then
				res.outcome := refusal(sqlstate, sqlerrm);
			end;
		else
			n := (held.owner is not null and held.owner = any (crashed)
				and job_performs(held.status))::int;
			update jobs set owner = p_owner, crash_count = crash_count + n,
				lone_crashes = case when held.owner = any (crowd)
				then lone_crashes else lone_crashes + n end
				where id = held.id;
			perform attempt_doubt(held.id);
			res.outcome := 'adopted';
		end if;
		select w into res.w from job_work w where w.job_id = held.id;
		return next res;
	end loop;
	if found then
		return;
	end if;
	select o.crash_count, count(*) into level, n from jobs o
		where o.owner is null and o.status in ('running', 'waiting',
		'retry_wait', 'uncertain')
		and job_is_suspect(o.status, o.crash_count) and o.kind = 'generate'
		and coalesce(o.provider = any (p_providers), true)
		group by o.crash_count order by o.crash_count limit 1;
	if not found then
		return;
	end if;
	select count(*), coalesce(bool_or(crash_count <> level), false)
		into own, mixed from jobs where owner = p_owner
		and job_is_suspect(status, crash_count);
	if mixed then
		return;
	end if;
	for held in select o.id from jobs o
		where o.owner is null and o.status in ('running', 'waiting',
		'retry_wait', 'uncertain') and job_performs(o.status)
		and o.crash_count = level and o.kind = 'generate'
		and coalesce(o.provider = any (p_providers), true)
		order by o.id limit greatest(least((own + n + 1) / 2 - own, p_limit), 0)
		for update skip locked loop
		update jobs set owner = p_owner where id = held.id;
		perform attempt_doubt(held.id);
		res := null;
		res.outcome := 'adopted';
		select w into res.w from job_work w where w.job_id = held.id;
		return next res;
	end loop;
end $$;

-- job_clean: these jobs took a step without crashing (say, the first poll
-- after an adoption). Waits for rows that are held, so that none stays suspect
-- unnoticed. Returns how many were still p_owner's, and blamed.
create function job_clean(p_owner uuid, p_ids uuid[]) returns int
language plpgsql as $$
declare
	n int;
begin
	update jobs set crash_count = 0,
		last_error = case when crash_count < 3 then last_error end
		where id in (select id from jobs where id = any (p_ids)
		and owner = p_owner and crash_count > 0 order by id for update);
	get diagnostics n = row_count;
	return n;
end $$;

-- job_release: a draining instance gives back its jobs (p_ids null = all).
-- Jobs that never reached a provider go back to the queue, the others wait
-- for a living instance to adopt them at once. Returns how many.
create function job_release(p_owner uuid, p_ids uuid[]) returns int
language plpgsql as $$
declare
	n int;
begin
	update jobs j set owner = null, crash_count = 0,
		status = case when j.step = 'submit' and j.status = 'running'
			and g.status = 'queued' then 'queued'::job_status
			else j.status end,
		account_id = case when j.step = 'submit' and j.status = 'running'
			and g.status = 'queued' then null else j.account_id end
		from generations g where g.id = j.generation_id
		and j.id in (select id from jobs where owner = p_owner
			and (p_ids is null or id = any (p_ids)) order by id for update);
	get diagnostics n = row_count;
	return n;
end $$;
