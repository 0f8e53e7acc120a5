-- Who carries a job is looked for once per claim, and not for each job of it:
-- the foreign key's look, its lock and its log record were 2 of 100 parts of
-- what a failed job costs. What sets an owner looks itself (owner_hold());
-- whoever owns a job stays.
alter table jobs drop constraint jobs_owner_fkey;
create function instance_kept() returns trigger language plpgsql as $$
begin
	if exists (select from jobs where owner = old.id) then
		raise exception 'instance %: it has jobs', old.id
			using errcode = 'foreign_key_violation';
	end if;
	return null;
end $$;
-- After it: a claim that holds the row is over then, and is seen.
create trigger instance_kept after delete on instances
	for each row execute function instance_kept();
create trigger instances_id_kept before update of id on instances
	for each row when (new.id is distinct from old.id)
	execute function id_kept();
