-- ledger_audit: adds the books up again. ENGINE pool; `reeld audit` and every
-- test's end run it. Every count must be 0; each line has a test that plants
-- the fault it looks for. The schema makes most of them impossible: the audit
-- is for restored backups, disabled triggers and what nobody thought of.
-- Set operations rather than NOT EXISTS: they stay linear on any estimate.
-- It alone reads whole tables, which the server's sessions forbid.
create function ledger_audit() returns table (name text, count bigint)
language sql stable set enable_seqscan = on as $$
	with entry_sum as (
		select user_id, sum(amount) as total from ledger_entry
			group by user_id
	), ledger_of as (
		select charge_id,
			-coalesce(sum(amount) filter (where type = 'video_generation'), 0)
				as debit,
			coalesce(sum(amount) filter (where type <> 'video_generation'), 0)
				as back
		from ledger_entry where charge_id is not null group by charge_id
	), book as (
		select g.id, g.status, c.id as charge_id, c.quote, c.refunded,
			c.settled, c.fee, c.state, coalesce(l.debit, 0) as debit,
			coalesce(l.back, 0) as back
		from generations g left join charges c on c.generation_id = g.id
			left join ledger_of l on l.charge_id = c.id
	)
	select 'balance_drift', count(*) from accounts a left join entry_sum e
		using (user_id) where a.balance <> coalesce(e.total, 0)
	union all
	select 'balance_chain', count(*) from (select user_id, balance_after,
		sum(amount) over (partition by user_id order by id) as running
		from ledger_entry) x where balance_after <> running
	union all
	select 'balance_negative', count(*) from accounts where balance < 0
	union all
	select 'user_without_account', count(*) from (select id from users
		except select user_id from accounts) x
	union all
	select 'job_without_charge', count(*) from (select generation_id from jobs
		except select generation_id from charges) x
	union all
	select 'charge_not_debited', count(*) from book
		where charge_id is not null and debit <> quote
	union all
	select 'ended_not_refunded', count(*) from book
		where status in ('failed', 'cancelled') and charge_id is not null
		and back + fee <> quote
	union all
	select 'refunded_not_ended', count(*) from book
		where status not in ('failed', 'cancelled', 'completed')
		and back <> 0
	union all
	select 'completed_not_settled', count(*) from book
		where status = 'completed' and (settled is null
		or settled <> quote - back)
	union all
	select 'refund_over_charge', count(*) from book where back > debit
	union all
	select 'refund_not_recorded', count(*) from book where back <> refunded
	union all
	select 'grants_over_balance', count(*) from (select user_id,
		sum(remaining) as held from grants group by user_id) x
		join accounts a using (user_id) where held > balance
	union all
	select 'grant_use_drift', count(*) from grants gr where exists (select
		from grant_use where grant_id = gr.id) and credits - remaining <
		(select sum(u.credits - u.returned) from grant_use u
			where u.grant_id = gr.id)
	union all
	select 'two_terminal_events', count(*) from (select generation_id
		from events where type in ('generation.completed',
		'generation.failed', 'generation.cancelled')
		group by generation_id having count(*) > 1) x
	union all
	select 'job_status_disagrees', count(*) from jobs j join generations g
		on g.id = j.generation_id where j.kind = 'generate'
		and (j.finished_at is not null) <> (g.status in ('completed',
		'failed', 'cancelled'))
	union all
	select 'job_missing', count(*) from (select id from generations
		where phase not in ('completed', 'ill') and status <> 'draft'
		except select generation_id from jobs where finished_at is null) x
	union all
	select 'counters_drift', count(*) from accounts a left join (select
		user_id, count(*) filter (where generation_counts_active(status))
			as active, count(*) filter (where status = 'pending') as waiting
		from generations where phase not in ('completed', 'ill')
			group by user_id) g using (user_id)
		where (a.active, a.waiting) <> (coalesce(g.active, 0),
			coalesce(g.waiting, 0))
	union all
	select 'phase_disagrees', count(*) from generations
		where phase <> phase_of(status) or phase in ('pending', 'open')
		and deadline_at is not null and coalesce(check_at > deadline_at, true)
	union all
	select 'done_without_media', count(*) from (select id from generations
		where status = 'completed' and media_state = 'stored'
		except select ga.generation_id from generation_asset ga join assets s
			on s.id = ga.asset_id where ga.role = 'video'
			and s.state = 'ready') x
	union all
	select 'past_deadline', count(*) from generations
		where deadline_at < now() - interval '10 minutes'
		and phase not in ('completed', 'ill')
		and status not in ('draft', 'review')
	union all
	select 'outbox_stuck', count(*) from outbox o join events e
		on e.seq = o.seq where e.created_at < now() - interval '5 minutes'
$$;
