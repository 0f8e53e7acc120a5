/*
 * claim.c - taking jobs: from the queue within the providers' limits, from
 * dead or leaving instances, and our own strays.  Only as many as there is
 * room for.
 */
#define LOG_MODULE "jobs"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/internal.h"
#include "reeld/clock.h"
#include "reeld/log.h"

enum { CLAIM_MAX = 200, ADOPT_MAX = 100 };

struct lane *
lane_find(struct engine *engine, const char *name)
{
	const struct provider *provider;
	struct lane *lane;

	for (int i = 0; i < engine->n_lanes; i++)
		if (str_eq(engine->lanes[i].provider->name, name))
			return &engine->lanes[i];
	provider = name != NULL ? provider_by_name(name) : NULL;
	if (provider == NULL || engine->n_lanes == MAX_LANES)
		return NULL;
	lane = &engine->lanes[engine->n_lanes++];
	memset(lane, 0, sizeof *lane);
	lane->provider = provider;
	lane->filled_ms = clock_mono_ms();
	lane->tokens = 1e9; /* until its limit is looked at */
	keys_init(&lane->keys);
	return lane;
}

/* How many more of this provider may start here now. */
static int
lane_room(struct engine *engine, struct lane *lane)
{
	const struct provider *p = lane->provider;
	const struct provider_account *account = engine->d.account != NULL
	    ? engine->d.account(engine->d.account_arg, p->name)
	    : NULL;
	int limit = account != NULL && account->concurrency > 0
	    ? account->concurrency
	    : p->concurrency;
	int rpm = account != NULL && account->rpm > 0 ? account->rpm
						      : p->requests_per_min;
	int room = CLAIM_MAX;
	int64_t now = clock_mono_ms();

	if (p->transport == PROVIDER_NONE)
		return 0;
	if (p->needs_key && (account == NULL || account->key == NULL))
		return 0;
	if (limit > 0 && limit - lane->running < room)
		room = limit - lane->running;
	if (rpm > 0) {
		double burst = rpm < 10 ? 1 : rpm / 10.0;

		lane->tokens += (double)(now - lane->filled_ms) * rpm / 60000;
		if (lane->tokens > burst)
			lane->tokens = burst;
		if (lane->tokens < room)
			room = (int)lane->tokens;
	}
	lane->filled_ms = now;
	return room > 0 ? room : 0;
}

static struct job *
take(struct engine *self, const struct pg_rows *rows, int row)
{
	struct job *job;

	if (job_find(self, pg_text(rows, row, "generation_id")) != NULL)
		return NULL; /* carried already */
	job = job_new(self, rows, row);
	if (job == NULL) {
		/* Not ours to judge: a newer version may know it. */
		log_error("job=%s provider=%s msg=\"unknown provider, left\"",
		    pg_text(rows, row, "job_id"),
		    log_text(pg_text(rows, row, "provider")));
		return NULL;
	}
	log_info("job=%s gen=%s provider=%s from=%d msg=\"taken\"",
	    job->id.text, job->generation.text, job->lane->provider->name,
	    (int)job->state.from);
	return job;
}

static void
on_claimed(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct engine *self = arg;
	int n;

	if (err != NULL) {
		/* It may have been committed: look for strays. */
		if (str_eq(err->name, "db_unknown"))
			self->check_soon = true;
		log_debug("msg=%s", log_text(err->msg));
		return;
	}
	n = pg_count(rows);
	if (n > 0)
		crash_point("claim.committed");
	for (int i = 0; i < n; i++) {
		struct job *job = take(self, rows, i);

		if (job == NULL)
			continue;
		self->stats.claimed++;
		if (job->lane->tokens >= 1)
			job->lane->tokens--;
		job_begin(job);
	}
	if (n > 0 || self->wake_again)
		timer_set_ms(&self->wake, 1);
	self->wake_again = false;
}

void
claim_start(struct engine *self)
{
	struct buf names, slots;
	int room = self->d.max_active - self->stats.active, any = 0;

	if (!self->up || self->draining || room <= 0)
		return;
	if (self->claim_query != NULL || self->check_query != NULL) {
		self->wake_again = true;
		return;
	}
	buf_init(&names, 65536);
	buf_init(&slots, 65536);
	for (size_t i = 0; provider_at(i) != NULL; i++) {
		struct lane *lane = lane_find(self, provider_at(i)->name);
		int n = lane != NULL ? lane_room(self, lane) : 0;

		if (n > room)
			n = room;
		if (n == 0)
			continue;
		room -= n;
		buf_printf(
		    &names, "%c%s", any ? ',' : '{', lane->provider->name);
		buf_printf(&slots, "%c%d", any ? ',' : '{', n);
		any++;
	}
	if (any > 0) {
		buf_putc(&names, '}');
		buf_putc(&slots, '}');
		pg_query_start(self->d.pg, STMT_JOB_CLAIM,
		    PG_ARGS(
			self->instance.text, buf_str(&names), buf_str(&slots)),
		    &self->claim_query, on_claimed, self);
	}
	buf_fini(&names);
	buf_fini(&slots);
}

/* --- Adoption
 * ------------------------------------------------------------------ */

/* After each whole pass, but said only when it changed. */
static void
tell_left(struct engine *self)
{
	if (self->skipped != self->stats.left)
		log_error(
		    "jobs=%d msg=\"left alone: their provider is not known "
		    "here, or their books do not let them end\"",
		    self->skipped);
	self->stats.left = self->skipped;
	self->skipped = 0;
}

/* All that this version can carry, for PostgreSQL. */
static void
known_providers(struct buf *out)
{
	buf_init(out, 65536);
	for (size_t i = 0; provider_at(i) != NULL; i++)
		buf_printf(
		    out, "%c%s", i > 0 ? ',' : '{', provider_at(i)->name);
	buf_putc(out, '}');
}

static void
on_adopted(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct engine *self = arg;
	int n;

	self->adopting = false;
	if (err != NULL) {
		log_warn("msg=%s", log_text(err->msg));
		if (str_eq(err->name, "db_unknown"))
			self->check_soon = true;
		return;
	}
	n = pg_count(rows);
	if (n > 0)
		crash_point("adopt.committed");
	for (int i = 0; i < n; i++) {
		const char *outcome = pg_text(rows, i, "outcome");
		struct job *job;
		struct id id;

		if (id_parse(pg_text(rows, i, "job_id"), &id) &&
		    strcmp(id.text, self->adopt_after.text) > 0)
			self->adopt_after = id;
		if (str_eq(outcome, "poisoned")) {
			self->stats.poisoned++;
			log_error(
			    "job=%s msg=\"third crash, failed\"", id.text);
			engine_publish(self, rows, i);
			continue;
		}
		if (str_starts(outcome, "refused") && self->stats.left == 0)
			log_error(
			    "job=%s outcome=%s msg=\"could not be ended\"",
			    id.text, log_text(outcome));
		if (str_starts(outcome, "refused") ||
		    str_eq(outcome, "skipped"))
			self->skipped++;
		job = str_eq(outcome, "adopted") ? take(self, rows, i) : NULL;
		if (job == NULL)
			continue;
		self->stats.adopted++;
		job_begin(job);
	}
	/* A full page: there may be more behind it. */
	if (n > 0) {
		claim_adopt(self);
		return;
	}
	memset(&self->adopt_after, 0, sizeof self->adopt_after);
	tell_left(self);
}

void
claim_adopt(struct engine *self)
{
	char dead[32];
	struct buf providers;
	int room = self->d.max_active - self->stats.active;

	if (!self->up || self->draining || room <= 0 || self->adopting ||
	    self->lost_query != NULL || self->check_query != NULL)
		return;
	self->adopting = true;
	snprintf(
	    dead, sizeof dead, "%lld milliseconds", (long long)self->d.dead_ms);
	known_providers(&providers);
	pg_query_start(self->d.pg, STMT_JOB_ADOPT,
	    PG_ARGS(self->instance.text, dead,
		id_is_set(&self->adopt_after) ? self->adopt_after.text : NULL,
		pg_num(room < ADOPT_MAX ? room : ADOPT_MAX),
		buf_str(&providers)),
	    &self->lost_query, on_adopted, self);
	buf_fini(&providers);
}

/* --- Our list against the rows
 * --------------------------------------------------- */

static void
known(struct engine *self, struct buf *out)
{
	const struct job *job;

	buf_init(out, 64 << 20);
	buf_putc(out, '{');
	TAILQ_FOREACH (job, &self->jobs, entry)
		buf_printf(out, "%s%s", out->len > 1 ? "," : "", job->id.text);
	buf_putc(out, '}');
}

static void
on_strays(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct engine *self = arg;

	if (err != NULL) {
		self->check_soon = true;
		return;
	}
	for (int i = 0; i < pg_count(rows); i++) {
		struct job *job = take(self, rows, i);

		if (job != NULL)
			job_begin(job);
	}
	claim_start(self);
}

static void
on_changed(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct engine *self = arg;

	if (err != NULL)
		return;
	for (int i = 0; i < pg_count(rows); i++) {
		struct job *job =
		    job_find(self, pg_text(rows, i, "generation_id"));

		if (job == NULL || step_is_critical(job->state.phase))
			continue;
		if (pg_bool(rows, i, "lost")) {
			log_info(
			    "job=%s msg=\"not ours any more\"", job->id.text);
			self->stats.lease_lost++;
			job_free(job);
		} else if (pg_bool(rows, i, "cancel") && !job->state.cancel) {
			job_on_simple(job, ON_CANCEL);
		}
	}
}

/* Run now and then, and soon after a lost answer. */
void
claim_check(struct engine *self)
{
	struct buf ids;
	int64_t now = clock_mono_ms();

	if (!self->up || self->draining)
		return;
	known(self, &ids);
	if (self->cancel_query == NULL && !TAILQ_EMPTY(&self->jobs))
		pg_query_start(self->d.pg, STMT_ENGINE_CHANGED,
		    PG_ARGS(self->instance.text, buf_str(&ids)),
		    &self->cancel_query, on_changed, self);
	/* A claim under way would look like strays. */
	if ((self->check_soon || now - self->last_check_ms > 30000) &&
	    self->check_query == NULL && self->claim_query == NULL &&
	    !self->adopting) {
		self->check_soon = false;
		self->last_check_ms = now;
		pg_query_start(self->d.pg, STMT_ENGINE_STRAYS,
		    PG_ARGS(self->instance.text, buf_str(&ids)),
		    &self->check_query, on_strays, self);
	}
	buf_fini(&ids);
}
