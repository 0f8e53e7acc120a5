-- Several accounts per provider: where the key of each comes from, what holds
-- an account back (a pause, a wait that its provider asked for, a circuit
-- breaker), and which account and routes a job has.
--
-- key_ref says where the key is, never what it is: 'conf' (provider.NAME.key),
-- 'env:NAME', 'file:NAME' (in secrets.key_dir), 'sealed:BASE64' (encrypted
-- with the master key file). key_hint: the last four characters, for people.

alter table provider_accounts
	add column base_url text check (length(base_url) between 1 and 500),
	add column key_hint text not null default ''
		check (length(key_hint) <= 4),
	add column paused_until timestamptz,
	add column paused_reason text check (length(paused_reason) <= 500),
	-- Its provider said "not now": no submits before that.
	add column hold_until timestamptz,
	-- Requests per minute: when the account is back at its full burst.
	add column submit_tat timestamptz,
	-- The circuit: closed while opened_until is null; from then on half open,
	-- one probe at a time (probe_at), each pushing opened_until on.
	add column opens int not null default 0 check (opens >= 0),
	add column probe_at timestamptz,
	add column idem_key text unique check (length(idem_key) <= 400),
	add column updated_at timestamptz not null default now(),
	add column deleted_at timestamptz,
	add constraint provider_accounts_label
		check (length(label) between 1 and 100),
	add constraint provider_accounts_key check (key_ref is null
		or key_ref ~ '^(conf$|env:|file:|sealed:)');
create index provider_accounts_live on provider_accounts (provider)
	where deleted_at is null;

alter table jobs
	-- Set when the job is claimed, gone when it goes back to the queue.
	add column account_id uuid references provider_accounts,
	-- Routes that were given up before anything was accepted.
	add column routes_tried uuid[];
create index jobs_account on jobs (account_id) where account_id is not null
	and finished_at is null and step in ('submit', 'poll');

-- For the operators' figures of the last hour and day.
create index attempts_recent on attempts using brin (created_at);
