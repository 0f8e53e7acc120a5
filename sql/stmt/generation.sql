-- Generations: the calls that change them (engine pool) and what people read
-- (app pool, with app.uid set; user ids are parameters all the same).

-- name: generation_submit (jsonb)
-- engine pool: [{n, user_id, id, key, hash (hex), ...}...], see submit_item; no
-- row for an order that must be sent again, alone
select * from generation_submit_many($1);

-- name: generation_replay (uuid)
-- engine pool: what was ordered with a key before, hidden or not
select * from generation_public where id = $1;

-- name: generation_cancel (uuid, uuid, uuid)
-- engine pool: generation, user or null, actor
select outcome, event_seq, event, balance_event, promoted, seqs, balance,
	(g).* from generation_cancel($1, $2, $3);

-- name: generation_retry (uuid, uuid, uuid, text, bytea, uuid, bigint, jsonb, uuid)
-- engine pool: generation, user or null, new id, key, body hash, route or null,
-- credits or null, breakdown, price plan
select outcome, event_seq, event, balance_event, promoted, seqs, balance,
	(g).* from generation_retry($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: generation_patch (uuid, uuid, text, boolean)
-- engine pool: generation, user, title or null, favourite or null
select outcome, event_seq, event, balance_event, promoted, seqs, balance,
	(g).* from generation_patch($1, $2, $3, $4);

-- name: generation_delete (uuid, uuid)
-- engine pool: generation, user or null
select outcome, event_seq, event, balance_event, promoted, seqs, balance,
	(g).* from generation_delete($1, $2);

-- name: generation_get (uuid, uuid)
-- app pool: generation, user or null (admin, engine pool)
select gp.*, case when gp.status = 'queued' then queue_position(gp.id) end
	as queue_position
from generation_public gp join generations g using (id)
where gp.id = $1 and ($2::uuid is null or gp.user_id = $2)
	and g.deleted_at is null;

-- name: generation_list (uuid, generation_status[], text, text, boolean, bigint, bigint, bigint, uuid, bigint)
-- plan: custom
-- app pool: user, statuses, model, search, favourite,
-- from_ms, to_ms, cursor (created_us, id of the last row), limit.
-- Ask for one more than the page to know whether there is a next one. The
-- phase says no more than the statuses, and chooses the index.
with page as materialized (
	select g.id, g.created_at from generations g
	where g.user_id = $1 and g.deleted_at is null
		and ($2::generation_status[] is null or g.status = any ($2))
		and (coalesce($2 && '{completed,failed,cancelled}', true)
			or g.phase not in ('completed', 'ill'))
		and (not coalesce($2 <@ '{failed,cancelled}', false)
			or g.phase = 'ill')
		and ($3::text is null or g.model = $3)
		and ($4::text is null or position(lower($4) in lower(g.prompt)) > 0
			or position(lower($4) in lower(g.title)) > 0)
		and ($5::boolean is null or g.favourite = $5)
		and ($6::bigint is null or g.created_at >= to_timestamp($6 / 1000.0))
		and ($7::bigint is null or g.created_at < to_timestamp($7 / 1000.0))
		and ($9::uuid is null or (g.created_at, g.id) < (timestamptz 'epoch'
			+ $8::bigint * interval '1 microsecond', $9))
	order by g.created_at desc, g.id desc limit $10
)
select gp.*, (extract(epoch from p.created_at) * 1000000)::bigint
	as created_us
from page p join generation_public gp on gp.id = p.id
order by p.created_at desc, p.id desc;

-- name: generation_active (uuid)
-- plan: custom
-- app pool: everything of the user that has not ended, for a live snapshot
select gp.* from generations g join generation_public gp on gp.id = g.id
where g.user_id = $1 and g.deleted_at is null
	and g.phase not in ('completed', 'ill') and g.phase <> 'draft'
order by g.created_at desc, g.id desc limit 200;

-- name: generation_status (uuid)
-- engine pool, cheap: fills the status cache; the caller compares user_id
select g.id, g.user_id, g.status::text as status, g.progress, g.version,
	g.stage, g.error_class, g.error_code, g.error_message, g.error_retryable,
	g.media_state, g.thumbnail_asset_id
from generations g where g.id = $1 and g.deleted_at is null;

-- name: generation_events (uuid, uuid, bigint, bigint)
-- app pool: generation, user or null (engine pool), after seq, limit
select e.seq, e.type, e.version, e.data, ms(e.created_at) as created_ms
from events e where e.generation_id = $1
	and ($2::uuid is null or e.user_id = $2)
	and e.seq > coalesce($3::bigint, 0)
order by e.seq limit $4;

-- name: generation_attempts (uuid, uuid)
-- app pool: generation, user or null (engine pool). Only an admin may see
-- error_message, cost and provider ids.
select a.id, a.number, a.status::text as status, a.provider,
	a.provider_job_id, a.provider_status, a.error_class, a.error_code,
	a.error_message, a.cost_quoted_micro_usd, a.cost_micro_usd,
	ac.micro_usd as cost_known_micro_usd, ac.estimated as cost_estimated,
	a.late_result, a.worker_id, a.route_id, a.account_id,
	(select p.label from provider_accounts p where p.id = a.account_id)
	as account, ms(a.created_at) as created_ms,
	ms(a.submitted_at) as submitted_ms, ms(a.started_at) as started_ms,
	ms(a.finished_at) as finished_ms
from attempts a left join lateral attempt_cost(a) ac on true
where a.generation_id = $1
	and ($2::uuid is null or a.user_id = $2) order by a.number;

-- name: generation_receipt (uuid, uuid)
-- app pool: generation, user or null (engine pool)
select g.id, g.status::text as status, g.model, g.model_name, c.quote,
	c.breakdown, c.plan_version, c.state::text as state, c.refunded, c.fee,
	c.settled, c.reason, ms(c.created_at) as charged_ms,
	ms(c.settled_at) as settled_ms, (select jsonb_agg(jsonb_build_object(
	'id', l.id, 'type', l.type, 'amount', l.amount, 'balance_after',
	l.balance_after, 'note', l.note, 'created_ms', ms(l.created_at))
	order by l.id) from ledger_entry l where l.charge_id = c.id) as entries
from generations g join charges c on c.generation_id = g.id
where g.id = $1 and ($2::uuid is null or g.user_id = $2);

-- name: generation_media (uuid, uuid, text)
-- app pool: generation, user or null (engine pool), roles (comma separated, the
-- first that is there)
select s.id, s.backend, s.bucket, s.key, s.mime, s.size_bytes,
	encode(s.sha256, 'hex') as sha256, s.visibility, s.state::text as state,
	g.title, g.model, g.status::text as status, g.media_state
from generations g left join lateral (select ga.asset_id
		from generation_asset ga where ga.generation_id = g.id
		and ga.role = any (string_to_array($3, ',')) and ga.ordinal = 0
		order by array_position(string_to_array($3, ','), ga.role) limit 1)
		x on true
	left join assets s on s.id = x.asset_id
where g.id = $1 and ($2::uuid is null or g.user_id = $2)
	and g.deleted_at is null;

-- name: project_list (uuid)
select id, name, ms(created_at) as created_ms from projects
where user_id = $1 order by created_at desc, id;

-- name: project_create (uuid, uuid, text)
insert into projects (id, user_id, name) values ($1, $2, $3)
returning id, name, ms(created_at) as created_ms;

-- name: asset_create (uuid, uuid, text, text, text, text, text, text, bigint, bytea, int, int, bigint)
-- engine pool: id, user, kind, backend, bucket, key, name, mime, size_bytes,
-- sha256, width, height, duration_ms
select asset_create as outcome from asset_create($1, $2, $3, $4, $5, $6, $7, $8,
	$9, $10, $11, $12, $13);

-- name: asset_delete (uuid, uuid)
-- engine pool: asset, user
select asset_delete as outcome from asset_delete($1, $2);

-- name: asset_get (uuid, uuid)
-- app pool: asset, user or null (engine pool)
select id, user_id, kind, backend, bucket, key, name, mime, size_bytes,
	encode(sha256, 'hex') as sha256, width, height, duration_ms, fps,
	has_audio, codec, visibility, state::text as state,
	ms(created_at) as created_ms
from assets where id = $1 and ($2::uuid is null or user_id = $2)
	and deleted_at is null;

-- name: asset_list (uuid, text, text, bigint, uuid, bigint)
-- plan: custom
-- app pool: user, kind, name contains, cursor (created_us, id), limit
select id, kind, backend, key, name, mime, size_bytes, width, height,
	duration_ms, ms(created_at) as created_ms,
	(extract(epoch from created_at) * 1000000)::bigint as created_us
from assets where user_id = $1 and deleted_at is null and state = 'ready'
	and ($2::text is null or kind = $2)
	and ($3::text is null or position(lower($3) in lower(name)) > 0)
	and ($5::uuid is null or (created_at, id) < (timestamptz 'epoch'
		+ $4::bigint * interval '1 microsecond', $5))
order by created_at desc, id desc limit $6;

-- name: assets_purgeable (text, bigint)
-- engine pool: deleted for an hour, file still there, in that kind of store
select id, backend, bucket, key from assets where deleted_at is not null
	and deleted_at < now() - interval '1 hour' and state <> 'purged'
	and backend = $1
order by deleted_at, id limit $2;

-- name: assets_purged (uuid[])
-- engine pool: their files are gone
select assets_purged($1) as n;

-- name: storage_usage (uuid)
select coalesce(sum(size_bytes), 0)::bigint as bytes, count(*) as files
from assets where user_id = $1 and deleted_at is null;
