/*
 * expiry.c - results that their provider will soon have no more: they are
 * fetched first, and people hear of it before one is lost.
 */
#define LOG_MODULE "jobs"
#include <inttypes.h>

#include "jobs/internal.h"
#include "reeld/clock.h"
#include "reeld/log.h"

enum { CHECK_MS = 1000 };

void
expiry_set(struct job *job, int64_t expires_ms)
{
	job->engine->dying += (expires_ms > 0) - (job->result_expires_ms > 0);
	job->result_expires_ms = expires_ms;
}

void
expiry_learn(struct job *job, int64_t expires_ms)
{
	int64_t life_s = job->result_lifetime_s > 0
	    ? job->result_lifetime_s
	    : job->lane->provider->result_lifetime_s;

	job->result_seen_ms = clock_wall_ms();
	expiry_set(job,
	    expires_ms > 0   ? expires_ms
		: life_s > 0 ? job->result_seen_ms + life_s * 1000
			     : 0);
	job->alarmed = false;
}

bool
expiry_before(const struct job *a, const struct job *b)
{
	if (a->result_expires_ms == 0)
		return false;
	return b->result_expires_ms == 0 ||
	    a->result_expires_ms < b->result_expires_ms;
}

static bool
is_near(const struct job *job, int64_t now)
{
	return job->result_expires_ms > 0 && step_has_result(&job->state) &&
	    step_result_is_near(
		now, job->result_seen_ms, job->result_expires_ms);
}

static void
alarm_once(struct job *job, int64_t now)
{
	if (job->alarmed)
		return;
	job->alarmed = true;
	job->engine->stats.expiry_alarms++;
	log_error("job=%s gen=%s provider=%s left_s=%" PRId64
		  " lifetime_s=%" PRId64 " phase=%s waits_for_slot=%d "
		  "msg=\"result_expiring: not stored yet\"",
	    job->id.text, job->generation.text, job->lane->provider->name,
	    (job->result_expires_ms - now) / 1000,
	    (job->result_expires_ms - job->result_seen_ms) / 1000,
	    step_phase_name(job->state.phase), job->wants_slot);
}

void
expiry_check(struct engine *self)
{
	int64_t mono = clock_mono_ms(), now = clock_wall_ms();
	struct job *job;
	int near = 0;

	if (mono - self->last_expiry_ms < CHECK_MS)
		return;
	self->last_expiry_ms = mono;
	/* Thousands that only wait need not be looked at. */
	for (job = self->dying > 0 ? TAILQ_FIRST(&self->jobs) : NULL;
	     job != NULL; job = TAILQ_NEXT(job, entry)) {
		if (!is_near(job, now))
			continue;
		near++;
		alarm_once(job, now);
	}
	self->stats.results_expiring = near;
}

void
expiry_lost(struct job *job)
{
	job->engine->stats.results_lost++;
	log_error("job=%s gen=%s provider=%s provider_id=%s code=%s "
		  "msg=\"result_lost: made, and never stored\"",
	    job->id.text, job->generation.text, job->lane->provider->name,
	    log_text(job->provider_id != NULL ? job->provider_id : ""),
	    log_text(job->why_code));
}
