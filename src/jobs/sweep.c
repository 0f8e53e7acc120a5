/*
 * sweep.c - the safety nets, run by every instance without a leader: adopt,
 * compare our list with the rows, end the overdue, publish again what was not
 * marked, lost workers, promotion, pruning.  One small page at a time, with
 * jitter, so that two instances seldom meet; SKIP LOCKED keeps them apart
 * when they do.
 */
#define LOG_MODULE "jobs"
#include <stdio.h>

#include "jobs/internal.h"
#include "reeld/json.h"
#include "reeld/log.h"

enum {
	TIDY_MS = 1000, /* between two steps */
	PAGE = 100,
	CHECKED = 1000, /* were looked at too early; 15,000 in a minute */
};

static void
on_ended(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct engine *self = arg;

	if (err != NULL) {
		log_warn("msg=%s", log_text(err->msg));
		return;
	}
	for (int i = 0; i < pg_count(rows); i++) {
		log_warn("gen=%s outcome=%s msg=\"overdue\"",
		    pg_text(rows, i, "id"),
		    log_text(pg_text(rows, i, "outcome")));
		engine_publish(self, rows, i);
	}
	if (pg_count(rows) > 0)
		self->check_soon = true;
}

static void
on_outbox(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct engine *self = arg;

	if (err != NULL)
		return;
	for (int i = 0; i < pg_count(rows); i++) {
		char seq[32];

		engine_publish(self, rows, i);
		snprintf(seq, sizeof seq, "{%s}", pg_text(rows, i, "seq"));
		events_mark(self, seq);
		self->stats.outbox_resent++;
	}
}

static void
on_promoted(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct engine *self = arg;

	if (err != NULL)
		return;
	for (int i = 0; i < pg_count(rows); i++)
		engine_publish(self, rows, i);
}

static void
on_quiet(const struct pg_rows *rows, const struct err *err, void *arg)
{
	(void)rows;
	(void)arg;
	if (err != NULL)
		log_warn("msg=%s", log_text(err->msg));
}

static void
on_results(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct engine *self = arg;

	if (err != NULL)
		return;
	for (int i = 0; i < pg_count(rows); i++) {
		struct job *job =
		    job_find(self, pg_text(rows, i, "generation_id"));

		if (job != NULL)
			job_on_simple(job, ON_HURRY);
	}
}

static void
run(struct engine *self, enum pg_stmt stmt, const struct pg_params *params,
    pg_done_fn *done)
{
	if (self->tidy_query == NULL)
		pg_query_start(
		    self->d.pg, stmt, params, &self->tidy_query, done, self);
}

static void
on_checked(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct engine *self = arg;

	on_quiet(rows, err, arg);
	run(self, STMT_GENERATIONS_OVERDUE, PG_ARGS(pg_num(PAGE)), on_ended);
}

void
sweep_tidy(void *arg)
{
	struct engine *self = arg;
	int step = self->tidy_step++;

	timer_set_jitter_ms(&self->tidy, TIDY_MS, 25);
	if (!self->up || self->draining)
		return;
	/* The comparison first: it does not run beside an adoption, and one
	 * begins here every second. */
	claim_check(self);
	claim_adopt(self);
	expiry_check(self);
	worker_offer(self, step);
	switch (step % 8) {
	case 0:
	case 4:
		run(self, STMT_GENERATIONS_CHECKED, PG_ARGS(pg_num(CHECKED)),
		    on_checked);
		break;
	case 1:
	case 5:
		if (self->d.live != NULL)
			run(self, STMT_OUTBOX_PENDING,
			    PG_ARGS("5 seconds", pg_num(PAGE)), on_outbox);
		break;
	case 2:
		run(self, STMT_GENERATIONS_PROMOTE, PG_ARGS(pg_num(PAGE)),
		    on_promoted);
		break;
	case 3:
	case 7:
		run(self, STMT_WORKER_RESULTS,
		    PG_ARGS(self->instance.text, pg_num(PAGE)), on_results);
		break;
	default:
		if (step % 64 == 38)
			run(self, STMT_GRANTS_EXPIRE, PG_ARGS(pg_num(PAGE)),
			    on_quiet);
		else if (step % 64 == 14)
			run(self, STMT_EVENTS_PRUNE,
			    PG_ARGS("7 days", pg_num(1000)), on_quiet);
		else if (step % 64 == 22)
			run(self, STMT_ACCESS_PRUNE, NULL, on_quiet);
		else if (step % 64 == 6)
			purge_start(self);
		else if (step % 512 == 30)
			storage_sweep(self->d.storage);
		break;
	}
}
