# sql: migrations in order, functions and statements in name order.
EXTRA_DIST += sql/README.md tests/package.json tests/package-lock.json \
	tests/.npmrc tests/it/pg.mjs tests/it/sql_isolation.test.mjs \
	tests/it/sql_blame.test.mjs tests/it/sql_claim.test.mjs \
	tests/it/sql_groups.test.mjs \
	tests/it/sql_jobs.test.mjs tests/it/sql_money.test.mjs \
	tests/it/sql_statements.test.mjs tests/it/sql_workers.test.mjs
nobase_dist_pkgdata_DATA += \
	sql/migrations/0001_people.sql \
	sql/migrations/0002_catalogue.sql \
	sql/migrations/0003_generations.sql \
	sql/migrations/0004_money.sql \
	sql/migrations/0005_isolation.sql \
	sql/migrations/0006_speed.sql \
	sql/migrations/0007_accounts.sql \
	sql/migrations/0008_enhance.sql \
	sql/migrations/0009_blame.sql \
	sql/migrations/0010_scale.sql \
	sql/migrations/0011_orders.sql \
	sql/migrations/0012_ends.sql \
	sql/migrations/0013_rows.sql \
	sql/migrations/0014_guards.sql \
	sql/migrations/0015_outbox.sql \
	sql/migrations/0016_plain.sql \
	sql/migrations/0017_reader.sql \
	sql/migrations/0018_together.sql \
	sql/migrations/0019_moves.sql \
	sql/migrations/0020_hot.sql \
	sql/migrations/0021_settled.sql \
	sql/migrations/0022_ms.sql \
	sql/migrations/0023_owner.sql \
	sql/functions/00_reset.sql \
	sql/functions/01_public.sql \
	sql/functions/02_money.sql \
	sql/functions/03_flow.sql \
	sql/functions/04_generation.sql \
	sql/functions/04_submit.sql \
	sql/functions/05_attempt.sql \
	sql/functions/05_claim.sql \
	sql/functions/05_job.sql \
	sql/functions/06_sweep.sql \
	sql/functions/07_worker.sql \
	sql/functions/08_access.sql \
	sql/functions/09_audit.sql \
	sql/functions/10_catalogue.sql \
	sql/functions/11_account.sql

# Statement files become an enum and a table in src/pg.
STMT_FILES = \
	sql/stmt/account.sql \
	sql/stmt/admin.sql \
	sql/stmt/auth.sql \
	sql/stmt/catalogue.sql \
	sql/stmt/credit.sql \
	sql/stmt/engine.sql \
	sql/stmt/generation.sql \
	sql/stmt/job.sql \
	sql/stmt/live.sql \
	sql/stmt/system.sql \
	sql/stmt/worker.sql
nobase_dist_pkgdata_DATA += $(STMT_FILES)
nobase_dist_pkgdata_DATA += sql/seed/catalogue.json
