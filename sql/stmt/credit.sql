-- Credits.

-- name: credit_adjust (uuid, bigint, text, text, uuid, text, timestamptz)
-- engine pool: user, amount, type, key, actor, note, expires or null
select * from credit_adjust($1, $2, $3, $4, $5, $6, $7);

-- name: ledger_audit ()
-- engine pool
select * from ledger_audit();

-- name: credit_get (uuid)
-- app pool
select a.balance, a.active, a.waiting, coalesce((select max(id)
	from ledger_entry l where l.user_id = a.user_id), 0) as version,
	coalesce((select jsonb_agg(jsonb_build_object('remaining', g.remaining,
	'source', g.source, 'expires_ms', ms(g.expires_at)) order by
	g.expires_at) from grants g where g.user_id = a.user_id
	and g.remaining > 0 and g.expires_at > now()), '[]') as grants
from accounts a where a.user_id = $1;

-- name: ledger_list (uuid, ledger_type, bigint, bigint)
-- plan: custom, sorted
-- app pool: user, type, before id (cursor), limit
select l.id, l.type::text as type, l.amount, l.balance_after, l.note,
	ms(l.created_at) as created_ms, c.generation_id
from ledger_entry l left join charges c on c.id = l.charge_id
where l.user_id = $1 and ($2::ledger_type is null or l.type = $2)
	and ($3::bigint is null or l.id < $3) order by l.id desc limit $4;
