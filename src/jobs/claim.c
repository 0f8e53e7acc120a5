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

enum { CLAIM_MAX = 200, ADOPT_MAX = 100, CHECK_PAGE = 500 };
/* Between claims that look for jobs which have to change their route: less
 * than between two sweeps, each of which claims. */
enum {
	MOVE_MS = 700,
	MOVE_SOON_MS = 100, /* when a job has just left its account */
};

static void next_stray(struct engine *self);

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
	keys_init(&lane->keys);
	return lane;
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
		/* Only a claim makes a probe, one at a time: what was claimed
		 * before the circuit opened, and is adopted now, is none. */
		job->probe = pg_bool(rows, i, "probe");
		self->stats.claimed++;
		job_begin(job);
	}
	/* As many as were asked for: there may be more.  Fewer is all that is
	 * queued, or that a limit allows; who frees its room wakes us. */
	if (n >= self->claim_room || self->wake_again)
		timer_set_ms(&self->wake, 1);
	self->wake_again = false;
}

/* The columns of job_claim(), as PostgreSQL reads arrays. */
struct wanted {
	struct buf providers, slots, accounts, concurrency, rpm;
	int n;
};

static void
want(struct wanted *self, const struct provider *p,
    const struct catalogue_account *account, int slots)
{
	char c = self->n++ > 0 ? ',' : '{';

	buf_printf(&self->providers, "%c%s", c, p->name);
	buf_printf(&self->slots, "%c%d", c, slots);
	buf_printf(&self->accounts, "%c%s", c,
	    account != NULL ? account->id.text : "NULL");
	buf_printf(&self->concurrency, "%c%d", c,
	    account != NULL && account->concurrency > 0 ? account->concurrency
							: p->concurrency);
	buf_printf(&self->rpm, "%c%d", c,
	    account != NULL && account->rpm > 0 ? account->rpm
						: p->requests_per_min);
}

/* A provider that nothing can be sent to is named all the same: its queued
 * jobs may have other routes. */
static void
want_lane(struct engine *engine, struct wanted *self, const struct provider *p,
    int room, bool *any)
{
	size_t n = 0;
	const struct catalogue_account *accounts =
	    engine->d.accounts(engine->d.accounts_arg, p->name, &n);
	bool usable;

	if (p->transport == PROVIDER_NONE)
		return;
	if (n == 0)
		want(self, p, NULL, 0);
	for (size_t i = 0; i < n; i++) {
		usable = !p->needs_key || accounts[i].key != NULL;
		want(self, p, &accounts[i], usable ? room : 0);
		*any |= usable;
	}
}

void
claim_start(struct engine *self)
{
	struct buf *buf;
	struct wanted wanted = {.n = 0};
	struct buf *const columns[] = {&wanted.providers, &wanted.slots,
	    &wanted.accounts, &wanted.concurrency, &wanted.rpm};
	int room = self->d.max_active - self->stats.active;
	int64_t now = clock_mono_ms();
	bool any = false,
	     move = now - self->last_move_ms >=
	    (self->move_soon ? MOVE_SOON_MS : MOVE_MS);

	if (!self->up || self->draining || room <= 0 ||
	    self->d.accounts == NULL)
		return;
	if (self->claim_query != NULL || self->check_query != NULL) {
		self->wake_again = true;
		return;
	}
	if (room > CLAIM_MAX)
		room = CLAIM_MAX;
	self->claim_room = room;
	for (size_t i = 0; i < nitems(columns); i++)
		buf_init(columns[i], 1 << 20);
	for (size_t i = 0; provider_at(i) != NULL; i++)
		want_lane(self, &wanted, provider_at(i), room, &any);
	for (size_t i = 0; i < nitems(columns); i++) {
		buf = columns[i];
		buf_putc(buf, '}');
	}
	if (any && move) {
		self->last_move_ms = now;
		self->move_soon = false;
	}
	if (any) {
		pg_query_start(self->d.pg, STMT_JOB_CLAIM,
		    PG_ARGS(self->instance.text, buf_str(&wanted.providers),
			buf_str(&wanted.slots), buf_str(&wanted.accounts),
			buf_str(&wanted.concurrency), buf_str(&wanted.rpm),
			pg_yes(move)),
		    &self->claim_query, on_claimed, self);
		pg_pool_send(self->d.pg);
	}
	for (size_t i = 0; i < nitems(columns); i++)
		buf_fini(columns[i]);
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
	int n, apart = 0;

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

		if (str_eq(outcome, "set_apart")) { /* of no page */
			apart++;
			continue;
		}
		if (id_parse(pg_text(rows, i, "job_id"), &id) &&
		    strcmp(id.text, self->adopt_after.text) > 0)
			self->adopt_after = id;
		if (str_eq(outcome, "poisoned")) {
			self->stats.poisoned++;
			log_error("job=%s msg=\"it crashed the server again "
				  "and again, failed\"",
			    id.text);
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
	self->stats.set_apart += (uint64_t)apart;
	if (apart > 0)
		log_warn("jobs=%d msg=\"set apart: one of them may have "
			 "crashed its instance; they are tried by halves\"",
		    apart);
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

/* A row that is ours and that nobody carries. */
static void
on_stray(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct engine *self = arg;
	struct job *job;

	if (err != NULL) {
		self->check_soon = true;
		return;
	}
	if (!self->draining && pg_count(rows) > 0 &&
	    str_eq(pg_text(rows, 0, "owner"), self->instance.text)) {
		job = take(self, rows, 0);
		if (job != NULL)
			job_begin(job);
	}
	next_stray(self);
}

static void
next_stray(struct engine *self)
{
	if (self->n_strays == 0) {
		claim_start(self);
		return;
	}
	pg_query_start(self->d.pg, STMT_JOB_GET,
	    PG_ARGS(self->strays[--self->n_strays].text), &self->check_query,
	    on_stray, self);
}

static void
on_owned(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct engine *self = arg;
	int n;

	if (err != NULL) {
		self->check_soon = true;
		return;
	}
	n = pg_count(rows);
	self->n_strays = 0;
	for (int i = 0; i < n; i++) {
		struct id id;

		if (!id_parse(pg_text(rows, i, "job_id"), &id))
			continue;
		self->owned_after = id;
		if (job_find(self, pg_text(rows, i, "generation_id")) != NULL)
			continue;
		self->strays[self->n_strays++] = id;
		if (self->n_strays == MAX_STRAYS)
			break; /* the next page begins here */
	}
	self->checking = n == CHECK_PAGE || self->n_strays == MAX_STRAYS;
	next_stray(self);
}

/* Our rows, a page a second, from the first one now and then and soon after
 * a lost answer.  A claim under way would look like strays. */
static void
check_owned(struct engine *self)
{
	int64_t now = clock_mono_ms();

	if (self->check_query != NULL || self->claim_query != NULL ||
	    self->adopting)
		return;
	if (self->check_soon || now - self->last_check_ms > 30000) {
		self->check_soon = false;
		self->last_check_ms = now;
		memset(&self->owned_after, 0, sizeof self->owned_after);
	} else if (!self->checking) {
		return;
	}
	pg_query_start(self->d.pg, STMT_ENGINE_OWNED,
	    PG_ARGS(self->instance.text,
		id_is_set(&self->owned_after) ? self->owned_after.text : NULL,
		pg_num(CHECK_PAGE)),
	    &self->check_query, on_owned, self);
}

static void
on_lost(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct engine *self = arg;

	if (err != NULL)
		return;
	for (int i = 0; i < pg_count(rows); i++) {
		struct job *job =
		    job_find(self, pg_text(rows, i, "generation_id"));

		if (job == NULL || step_is_critical(job->state.phase))
			continue;
		log_info("job=%s msg=\"not ours any more\"", job->id.text);
		self->stats.lease_lost++;
		job_free(job);
	}
}

/* The next page of what we carry: is it still ours? */
static void
check_carried(struct engine *self)
{
	struct buf ids;
	struct job *job = self->check_next;

	if (self->owner_query != NULL || TAILQ_EMPTY(&self->jobs))
		return;
	if (job == NULL)
		job = TAILQ_FIRST(&self->jobs);
	buf_init(&ids, CHECK_PAGE * (ID_LEN + 1) + 2);
	for (int n = 0; job != NULL && n < CHECK_PAGE; n++) {
		buf_printf(
		    &ids, "%c%s", n > 0 ? ',' : '{', job->generation.text);
		job = TAILQ_NEXT(job, entry);
	}
	self->check_next = job;
	buf_putc(&ids, '}');
	pg_query_start(self->d.pg, STMT_ENGINE_LOST,
	    PG_ARGS(self->instance.text, buf_str(&ids)), &self->owner_query,
	    on_lost, self);
	buf_fini(&ids);
}

static void
on_cancelling(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct engine *self = arg;

	if (err != NULL)
		return;
	for (int i = 0; i < pg_count(rows); i++) {
		struct job *job =
		    job_find(self, pg_text(rows, i, "generation_id"));

		if (job != NULL && !step_is_critical(job->state.phase) &&
		    !job->state.cancel)
			job_on_simple(job, ON_CANCEL);
	}
}

/* Each second.  Pages, so that no turn is long however many jobs there are;
 * what users cancelled is asked for whole, because it is little. */
void
claim_check(struct engine *self)
{
	if (!self->up || self->draining)
		return;
	check_carried(self);
	if (self->cancel_query == NULL && !TAILQ_EMPTY(&self->jobs))
		pg_query_start(self->d.pg, STMT_ENGINE_CANCELLING,
		    PG_ARGS(self->instance.text), &self->cancel_query,
		    on_cancelling, self);
	check_owned(self);
}
