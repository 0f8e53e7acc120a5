-- Prompt enhancement: what a language model made of a generation's prompt, and
-- how often each user asked for one without a generation (a daily cap).

-- null: not asked yet, or not wanted; '': asked, and of no use. The provider
-- gets the prompt as it was written then.
alter table generations add column enhanced_prompt text
	check (length(enhanced_prompt) <= 20000);

create table enhance_use (
	user_id uuid not null references users,
	day     date not null,
	n       int not null check (n > 0),
	primary key (user_id, day)
) with (fillfactor = 70);
alter table enhance_use enable row level security;
alter table enhance_use force row level security;
create policy own_rows on enhance_use using (
	(select current_setting('app.engine', true)) = 'on' or
	user_id = (select nullif(current_setting('app.uid', true), '')::uuid));
