-- What grows with the number of generations gets an index, and what no plan
-- can use goes.
--
-- The tables have row level security, and comparing an enum is not leakproof:
-- PostgreSQL must ask the policy first, so that `status = 'failed'` is never
-- an index condition. It may choose a partial index by it, though.

drop index generations_status;

-- Everything that has not ended: few rows, of one user and of all.
create index generations_open on generations
	(user_id, created_at desc, id desc)
	where status not in ('completed', 'failed', 'cancelled');
create index generations_open_newest on generations (created_at desc, id desc)
	where status not in ('completed', 'failed', 'cancelled');
-- What ended without a video. Completed ones are most of the list itself.
create index generations_ill on generations
	(user_id, created_at desc, id desc)
	where status in ('failed', 'cancelled') and deleted_at is null;
create index generations_ill_newest on generations (created_at desc, id desc)
	where status in ('failed', 'cancelled');
create index generations_favourite on generations
	(user_id, created_at desc, id desc) where favourite and deleted_at is null;
create index generations_model on generations
	(user_id, model, created_at desc, id desc) where deleted_at is null;
create index generations_provider on generations
	(provider, created_at desc, id desc);

-- Most entries are debits, ledger_user finds those; a page of another type
-- would read past all of them.
create index ledger_back on ledger_entry (user_id, id desc)
	where type in ('video_refund', 'settle_refund');
create index ledger_moves on ledger_entry (user_id, id desc)
	where type not in ('video_generation', 'video_refund', 'settle_refund');
-- The last day. Entries are only ever appended.
create index ledger_day on ledger_entry using brin (created_at)
	with (pages_per_range = 32, autosummarize = on);
