/*
 * engine.c - the engine itself: its instance row and heartbeat, drain.
 */
#define LOG_MODULE "jobs"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/internal.h"
#include "reeld/clock.h"
#include "reeld/live.h"
#include "reeld/log.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0"
#endif

static void beat(void *arg);

/* --- The instance row -------------------------------------------------------
 */

static void
on_registered(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct engine *self = arg;

	(void)rows;
	/* A conflict is our own row: the first answer was lost. */
	if (err != NULL && err->code != ERR_CONFLICT) {
		log_warn("msg=%s", log_text(err->msg));
		timer_set_jitter_ms(&self->beat, 1000, 20);
		return;
	}
	self->up = true;
	hint_here(self);
	log_info("instance=%s msg=\"engine is up\"", self->instance.text);
	timer_set_jitter_ms(&self->beat, self->d.beat_ms, 10);
	timer_set_ms(&self->sweep, 0);
	timer_set_jitter_ms(&self->flush, 1000, 10);
	timer_set_ms(&self->tidy, 0);
}

static void
drop_everything(struct engine *self)
{
	struct job *job;
	bool draining = self->draining;

	self->draining = true; /* no slot is handed on meanwhile */
	while ((job = TAILQ_FIRST(&self->jobs)) != NULL)
		job_free(job);
	self->draining = draining;
}

static void
on_beat(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct engine *self = arg;

	if (err != NULL) {
		log_warn("msg=%s", log_text(err->msg));
		timer_set_jitter_ms(&self->beat, 1000, 20);
		return;
	}
	if (pg_count(rows) > 0 && pg_bool(rows, 0, "alive")) {
		hint_here(self);
		timer_set_jitter_ms(&self->beat, self->d.beat_ms, 10);
		return;
	}
	/* Somebody stopped us: nothing is ours.  Begin again. */
	log_error("instance=%s msg=\"the instance row is gone\"",
	    self->instance.text);
	drop_everything(self);
	self->up = false;
	self->instance = id_new();
	timer_set_ms(&self->beat, 0);
}

static void
beat(void *arg)
{
	struct engine *self = arg;

	if (self->beat_query != NULL)
		return;
	if (self->up)
		pg_query_start(self->d.pg, STMT_INSTANCE_BEAT,
		    PG_ARGS(self->instance.text), &self->beat_query, on_beat,
		    self);
	else
		pg_query_start(self->d.pg, STMT_INSTANCE_START,
		    PG_ARGS(self->instance.text, self->name, PACKAGE_VERSION),
		    &self->beat_query, on_registered, self);
}

/* --- Life
 * --------------------------------------------------------------------- */

static void
on_sweep(void *arg)
{
	struct engine *self = arg;

	timer_set_jitter_ms(&self->sweep, self->d.sweep_ms, 25);
	claim_start(self);
}

static void
on_change(const struct pg_rows *rows, int row, void *arg)
{
	engine_publish(arg, rows, row);
}

/* PostgreSQL looks for the next ones while these are told. */
static void
on_end(const struct pg_rows *rows, int row, void *arg)
{
	if (row == 0)
		engine_room_now(arg);
	engine_publish(arg, rows, row);
}

static struct pg_group *
gather(struct engine *self, enum pg_stmt stmt)
{
	return pg_group_new(&(struct pg_group_opts){.loop = self->d.loop,
	    .pool = self->d.pg,
	    .stmt = stmt,
	    .first = self->instance.text,
	    /* Paid for, and known to nobody else. */
	    .at_once = stmt == STMT_ATTEMPTS_SUBMITTED,
	    .each = stmt == STMT_GENERATIONS_FAIL ? on_end : on_change,
	    .arg = self});
}

struct engine *
engine_new(const struct engine_deps *deps)
{
	struct engine *self = xcalloc(1, sizeof *self);
	struct loop *loop = deps->loop;

	self->d = *deps;
	self->name = xstrdup(deps->name != NULL ? deps->name : "");
	if (deps->public_url != NULL && deps->public_url[0] != '\0')
		self->public_url = xstrdup(deps->public_url);
	self->worker_url = xstrdup(
	    deps->worker_url != NULL ? deps->worker_url : self->public_url);
	self->bucket = xstrdup(deps->bucket);
	if (deps->secret != NULL && deps->secret_len > 0) {
		self->secret = xmemdup(deps->secret, deps->secret_len);
	} else {
		self->d.secret_len = 32;
		self->secret = xmalloc(32);
		random_bytes(self->secret, 32);
	}
	if (self->d.max_active <= 0)
		self->d.max_active = 20000;
	if (self->d.slots <= 0)
		self->d.slots = 5;
	if (self->d.dead_ms <= 0)
		self->d.dead_ms = 20000;
	if (self->d.beat_ms <= 0)
		self->d.beat_ms = self->d.dead_ms / 4;
	if (self->d.sweep_ms <= 0)
		self->d.sweep_ms = 1000;
	if (self->d.download_max_bytes <= 0)
		self->d.download_max_bytes = 1LL << 30;
	if (self->d.keys_again_ms <= 0)
		self->d.keys_again_ms = 5LL * 60 * 1000;
	TAILQ_INIT(&self->jobs);
	TAILQ_INIT(&self->dirty);
	TAILQ_INIT(&self->blamed);
	TAILQ_INIT(&self->slot_queue);
	self->instance = id_new();
	buf_init(&self->sent, 1 << 20);
	timer_init(&self->beat, loop, "engine beat", beat, self);
	timer_init(&self->sweep, loop, "engine sweep", on_sweep, self);
	timer_init(&self->flush, loop, "engine flush", progress_flush, self);
	timer_init(&self->tidy, loop, "engine tidy", sweep_tidy, self);
	self->starts = gather(self, STMT_ATTEMPTS_START);
	self->submits = gather(self, STMT_ATTEMPTS_SUBMITTED);
	self->fails = gather(self, STMT_GENERATIONS_FAIL);
	hints_open(self, loop);
	return self;
}

void
engine_start(struct engine *self)
{
	self->started = true;
	timer_set_ms(&self->beat, 0);
}

static void
cancel_queries(struct engine *self)
{
	struct pg_query **queries[] = {&self->beat_query, &self->claim_query,
	    &self->flush_query, &self->clean_query, &self->check_query,
	    &self->lost_query, &self->sent_query, &self->tidy_query,
	    &self->cancel_query, &self->release_query, &self->stop_query,
	    &self->push_query, &self->owner_query};

	for (size_t i = 0; i < nitems(queries); i++)
		pg_query_cancel(queries[i]);
}

void
engine_free(struct engine *self)
{
	if (self == NULL)
		return;
	drop_everything(self);
	cancel_queries(self);
	pg_group_free(self->starts);
	pg_group_free(self->submits);
	pg_group_free(self->fails);
	account_free_all(self);
	for (int i = 0; i < self->n_lanes; i++)
		keys_fini(&self->lanes[i].keys);
	worker_push_cancel(self);
	purge_end(self);
	timer_fini(&self->beat);
	timer_fini(&self->sweep);
	hints_close(self);
	timer_fini(&self->flush);
	timer_fini(&self->tidy);
	timer_fini(&self->drain_timer);
	loop_defer_cancel(&self->drain_defer);
	buf_fini(&self->sent);
	free(self->name);
	free(self->public_url);
	free(self->worker_url);
	free(self->bucket);
	free(self->secret);
	free(self);
}

const struct id *
engine_instance(const struct engine *self)
{
	return &self->instance;
}

const struct engine_stats *
engine_stats(const struct engine *self)
{
	return &self->stats;
}

bool
engine_is_up(const struct engine *self)
{
	return self->up && !self->draining;
}

void
engine_dump(const struct engine *self)
{
	const struct job *job;

	TAILQ_FOREACH (job, &self->jobs, entry)
		job_dump(job);
}

/* --- Drain
 * -------------------------------------------------------------------- */

static void
drained(struct engine *self)
{
	loop_fn *fn = self->drained;

	timer_clear(&self->drain_timer);
	self->drained = NULL;
	if (fn != NULL)
		fn(self->drained_arg);
}

static void
on_stopped(const struct pg_rows *rows, const struct err *err, void *arg)
{
	(void)rows;
	if (err != NULL)
		log_warn("msg=%s", log_text(err->msg));
	drained(arg);
}

static void
on_drain_late(void *arg)
{
	struct engine *self = arg;

	log_warn("left=%d msg=\"drain timed out\"", self->stats.active);
	drained(self);
}

/* The last job is gone: say goodbye. */
void
engine_job_gone(struct engine *self)
{
	if (!self->draining || self->releasing || self->drained == NULL ||
	    !TAILQ_EMPTY(&self->jobs) || self->release_query != NULL ||
	    self->stop_query != NULL)
		return;
	timer_clear(&self->beat);
	pg_query_cancel(&self->beat_query);
	events_flush(self);
	hint_send(self, "adopt");
	pg_query_start(self->d.pg, STMT_INSTANCE_STOP,
	    PG_ARGS(self->instance.text), &self->stop_query, on_stopped, self);
}

static void
on_all_released(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct engine *self = arg;

	if (err != NULL)
		log_warn("msg=%s", log_text(err->msg));
	else
		self->stats.released += (uint64_t)pg_i64(rows, 0, "n");
	hint_send(self, "adopt");
	hint_send(self, "claim");
	engine_job_gone(self);
}

/* Jobs that only wait are given back by one statement. */
static void
release_idle(struct engine *self)
{
	struct job *job, *next;
	struct buf ids;

	self->releasing = true; /* they are not gone before the statement */
	buf_init(&ids, 64 << 20);
	buf_putc(&ids, '{');
	for (job = TAILQ_FIRST(&self->jobs); job != NULL; job = next) {
		enum step_phase phase = job->state.phase;

		next = TAILQ_NEXT(job, entry);
		if (phase != STEP_WAITING && phase != STEP_PARKED &&
		    phase != STEP_POLLING && phase != STEP_RESEND) {
			job_on_simple(job, ON_DRAIN);
			continue;
		}
		buf_printf(&ids, "%s%s", ids.len > 1 ? "," : "", job->id.text);
		job_free(job);
	}
	buf_putc(&ids, '}');
	if (ids.len > 2)
		pg_query_start(self->d.pg, STMT_JOB_RELEASE,
		    PG_ARGS(self->instance.text, buf_str(&ids)),
		    &self->release_query, on_all_released, self);
	buf_fini(&ids);
	self->releasing = false;
}

static void
on_drain(void *arg)
{
	struct engine *self = arg;

	release_idle(self);
	engine_job_gone(self);
}

void
engine_drain(struct engine *self, int64_t timeout_ms, loop_fn *done, void *arg)
{
	self->drained = done;
	self->drained_arg = arg;
	self->draining = true;
	hint_gone(self);
	timer_clear(&self->sweep);
	timer_clear(&self->wake);
	timer_clear(&self->others);
	timer_clear(&self->tidy);
	timer_init(&self->drain_timer, self->d.loop, "engine drain",
	    on_drain_late, self);
	/* A database that is away is not waited for. */
	timer_set_ms(&self->drain_timer, self->up ? timeout_ms : 1);
	if (self->up)
		loop_defer(self->d.loop, "engine drain", on_drain, self,
		    &self->drain_defer);
}
