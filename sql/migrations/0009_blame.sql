-- Which job crashes its process: jobs.crash_count says how often a job was on
-- board; this how often nobody else could be blamed. The rule is at the top of
-- functions/05_claim.sql.
alter table jobs add column lone_crashes int not null default 0
	check (lone_crashes >= 0);

-- Whatever forgives a job its crashes forgives these too.
create function job_cleared() returns trigger language plpgsql as $$
begin
	new.lone_crashes := 0;
	return new;
end $$;
create trigger job_cleared before update of crash_count on jobs
	for each row when (new.crash_count = 0 and old.lone_crashes > 0)
	execute function job_cleared();
