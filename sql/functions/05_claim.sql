-- Who carries a job: claim, adopt, clean, release. ENGINE pool only.
-- job.owner is the lease.
--
-- Which job kills its process? crash_count goes up when a job is claimed, and
-- when its instance crashed (its beats stopped) while the job was performing;
-- it goes back to 0 at every clean step. Two or more make a suspect. What was
-- parked performed nothing and is not blamed. When an instance crashed with
--   one suspect: the poison, if nobody else can be blamed for three crashes,
--     or for any of those that it is blamed for (lone_crashes: it was all that
--     was performed, or the only suspect); before that, it is set apart. If
--     instances fall without it, too (two more in ten minutes than it was on
--     board of), somebody else ends them: then it takes six that it is blamed
--     for;
--   else nobody is judged: all its suspects are set apart (owner null, and
--   still suspect), in the transaction that first looks at them.
-- Those set apart are taken by halves: of the least blamed, who crashed
-- together, and never beside others that are suspect, so that what crashes
-- again is always a smaller lot, however many poisons there are. The others
-- take their step and are cleared.

-- Holds the row of who is about to carry jobs; jobs.owner has no foreign key.
create function owner_hold(p_owner uuid) returns void language plpgsql as $$
begin
	perform from instances where id = p_owner for key share;
	if not found then
		raise exception 'instance % is not there', p_owner
			using errcode = 'foreign_key_violation';
	end if;
end $$;

-- job_claim: takes queued jobs for instance p_owner, lowest (priority,
-- eligible_at, id) first. The arrays go together: up to p_slots[i] jobs of
-- provider p_providers[i] on account p_accounts[i] (null: no account), which
-- may have p_concurrency[i] jobs at once and p_rpm[i] submits per minute (0
-- or null: no limit) over all instances; the account rows are the lock for
-- that. A provider or account that is paused, held or open gives none; one
-- that is half open gives one. Providers that are named and have no room at
-- all lose queued jobs to other routes that have (jobs_move), if p_move: to
-- look for these costs more than the claim, so who claims often asks for it
-- once a second. Fair between users because only a user's first few
-- generations are queued at all. Returns job_work rows, job_status running.
-- Accounts of providers with nothing queued are not even looked at, unless
-- for p_move. Statements as in submit_all().
create function job_claim(p_owner uuid, p_providers text[], p_slots int[],
	p_accounts uuid[] default null, p_concurrency int[] default null,
	p_rpm int[] default null, p_move boolean default true)
	returns setof job_work
language plpgsql rows 20 set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off
set enable_mergejoin = off set enable_bitmapscan = off as $$
declare
	-- of the providers that are named
	busy text[]; -- have something to take
	open text[] := '{}'; -- take work now
	closed text[] := '{}';
	-- of each provider's account that has room
	names text[] := '{}';
	accounts uuid[] := '{}';
	rooms int[] := '{}';
	rpms int[] := '{}';
	probes boolean[] := '{}'; -- is half open
	w record;
	a provider_accounts;
	room int;
	stuck text[];
	able text[];
	free int[];
	lanes int[]; -- of one provider: places in the arrays above
	picks uuid[]; -- of its jobs
	targets int[]; -- for each of these: its lane
	k int;
	n int;
	ids uuid[] := '{}';
begin
	-- In the order of the queue's index: without, the whole queue was read to
	-- see that it is not empty.
	busy := array(select p.name from (select distinct u as name
			from unnest(p_providers) u) p
		cross join lateral (select from jobs q where q.status = 'queued'
			and q.provider = p.name and q.eligible_at <= now()
			order by q.priority, q.eligible_at, q.id limit 1) x);
	if cardinality(busy) = 0 then
		return;
	end if;
	-- Nothing is paid for on the word of a claim: attempts_start's commit comes
	-- before, and puts on disk all that was written until then. A claim that
	-- a crash of PostgreSQL forgets leaves a queued job.
	perform set_config('synchronous_commit', 'off', true);
	for w in select * from unnest(p_providers, p_slots, p_accounts,
			p_concurrency, p_rpm) as u(provider, n, account, most, rpm)
		where u.n > 0 and (p_move or u.provider = any (busy))
		order by u.account loop
		continue when w.provider = any (closed);
		if w.provider <> all (open) then
			perform from providers p where p.name = w.provider
				and (p.state = 'on' or p.state = 'paused'
					and p.paused_until <= now())
				and (p.sunset_at is null or p.sunset_at > now());
			if not found then
				closed := closed || w.provider;
				continue;
			end if;
			open := open || w.provider;
		end if;
		room := w.n;
		a := null;
		if w.account is not null then
			-- Claimers of one limited account come one after the other.
			select x.* into a from provider_accounts x where x.id = w.account;
			if w.most > 0 or w.rpm > 0 or a.opened_until is not null then
				select x.* into a from provider_accounts x
					where x.id = w.account for no key update;
			end if;
			continue when account_able(a) is not true;
			if w.most > 0 then
				room := least(room, w.most - (select count(*) from jobs j
					where j.account_id = w.account and j.finished_at is null
					and j.step in ('submit', 'poll')));
			end if;
			if w.rpm > 0 then
				room := least(room, rate_room(a.submit_tat, w.rpm));
			end if;
			if a.opened_until is not null then
				room := least(room, 1);
			end if;
		end if;
		if room > 0 then
			names := names || w.provider;
			accounts := accounts || w.account;
			rooms := rooms || room;
			rpms := rpms || w.rpm;
			probes := probes || (a.opened_until is not null);
		end if;
	end loop;
	if cardinality(names) = 0 then
		return;
	end if;
	perform owner_hold(p_owner);
	if p_move then
		stuck := array(select distinct u from unnest(p_providers) u
			where u <> all (names));
	end if;
	if cardinality(stuck) > 0 then
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
	for w in select u.provider, sum(u.n)::int as n from unnest(names, rooms)
			as u(provider, n) group by u.provider order by u.provider loop
		picks := array(select q.id from jobs q where q.status = 'queued'
			and q.provider = w.provider and q.eligible_at <= now()
			order by q.priority, q.eligible_at, q.id limit w.n
			for update skip locked);
		continue when cardinality(picks) = 0;
		lanes := array_positions(names, w.provider);
		if cardinality(lanes) = 1 then
			targets := array_fill(lanes[1], array[cardinality(picks)]);
		else
			-- By weight among the accounts that have room.
			targets := array(select u.lane from unnest(lanes) as u(lane)
				left join provider_accounts x on x.id = accounts[u.lane]
				cross join generate_series(1, least(rooms[u.lane],
					cardinality(picks)))
				order by coalesce(x.weight, 1) = 0, -ln(1 - random())
					/ greatest(coalesce(x.weight, 1), 1)
				limit cardinality(picks));
		end if;
		update jobs j set status = 'running', owner = p_owner,
			account_id = accounts[t.lane], crash_count = j.crash_count + 1,
			started_at = coalesce(j.started_at, now())
			from unnest(picks, targets) as t(id, lane) where j.id = t.id;
		ids := ids || picks;
		foreach k in array lanes loop
			n := cardinality(array_positions(targets, k));
			if n > 0 and (rpms[k] > 0 or probes[k]) then
				update provider_accounts x set
					submit_tat = case when rpms[k] > 0 then
						greatest(x.submit_tat, now())
						+ n * rate_interval(rpms[k]) else x.submit_tat end,
					probe_at = case when probes[k] then now() end,
					opened_until = case when probes[k] then now()
						+ interval '1 minute' end
					where x.id = accounts[k];
			end if;
		end loop;
	end loop;
	return query select * from job_work where job_id = any (ids)
		order by priority, eligible_at, job_id;
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
-- with the GREATEST job_id of the page, those set apart left out, until no
-- row comes (rows come in user order, see README, locks). Outcomes per row:
-- adopted (w.step and w.attempt_status say where it stood; what was
-- submitting is ambiguous now: it is not known whether the provider has it,
-- and the earlier owner, or one between, may come back to life and send it
-- still); poisoned (failed with internal_poison and refunded); set_apart (of
-- w only job_id, generation_id, owner: the one that crashed, and crash_count;
-- of any page); skipped (a kind, or a provider that is not in p_providers,
-- which this version does not know: left alone, for one that does); `refused
-- ...` (the books did not let it end: left alone). Those set apart come last,
-- when the page is empty: of the least crashes that there are, as many as
-- leave p_owner with half of these, if it has no suspects with other numbers
-- of crashes.
create function job_adopt(p_owner uuid, p_dead interval, p_after uuid,
	p_limit int, p_providers text[] default null) returns setof adopt_result
language plpgsql as $$
declare
	dead uuid[] := array(select id from instances where stopped_at is not null
		or beat_at < now() - p_dead);
	crashed uuid[] := array(select id from instances where stopped_at is null
		and beat_at < now() - p_dead);
	after uuid := coalesce(p_after, '00000000-0000-0000-0000-000000000000');
	crowd uuid[]; -- crashed while they performed several jobs
	lately int := (select count(*) from instances where stopped_at is null
		and beat_at < now() - p_dead and beat_at > now() - interval '10 min');
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
	-- Every second, and nearly always there is nothing.
	if not exists (select from jobs where owner = any (dead))
		and not exists (select from jobs where owner is null and status in
			('running', 'waiting', 'retry_wait', 'uncertain')) then
		return;
	end if;
	perform owner_hold(p_owner);
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
		if n = 1 and (case when lately >= most + 2 then lone >= 6
				else lone >= 3 or others = 0 and lone >= most end) then
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
	ids uuid[] := array(select j.id from (select distinct u as id
			from unnest(p_ids) u order by u offset 0) i
		cross join lateral (select x.id, x.owner, x.crash_count from jobs x
			where x.id = i.id offset 0 for update) j
		where j.owner = p_owner and j.crash_count > 0);
begin
	update jobs set crash_count = 0,
		last_error = case when crash_count < 3 then last_error end
		where id = any (ids);
	return cardinality(ids);
end $$;

-- job_release: a draining instance gives back its jobs (p_ids null = all).
-- Jobs that never reached a provider go back to the queue, the others wait
-- for a living instance to adopt them at once. Returns how many.
create function job_release(p_owner uuid, p_ids uuid[]) returns int
language plpgsql as $$
declare
	ids uuid[];
	n int;
begin
	if p_ids is null then
		ids := array(select id from jobs where owner = p_owner
			order by id for update);
	else
		ids := array(select j.id from (select distinct u as id
				from unnest(p_ids) u order by u offset 0) i
			cross join lateral (select x.id, x.owner from jobs x
				where x.id = i.id offset 0 for update) j
			where j.owner = p_owner);
	end if;
	update jobs j set owner = null, crash_count = 0,
		status = case when j.step = 'submit' and j.status = 'running'
			and g.status = 'queued' then 'queued'::job_status
			else j.status end,
		account_id = case when j.step = 'submit' and j.status = 'running'
			and g.status = 'queued' then null else j.account_id end
		from generations g where g.id = j.generation_id
		and j.id = any (ids);
	get diagnostics n = row_count;
	return n;
end $$;
