/*
 * step_result.c - the half of the state machine where a result exists: fetched,
 * looked at, stored.  Pure, like step.c.
 */
#include "jobs/step_make.h"

struct step_out
step_downloaded(const struct step *s, const struct step_event *e)
{
	struct step copy = *s;
	int64_t delay;

	switch (e->on) {
	case ON_DOWNLOADED:
		return out(s, STEP_PROBING, DO_PROBE);
	case ON_DOWNLOAD_BAD:
		return fail(s, e->why);
	case ON_LINK_DEAD:
		/* Ask the provider again: the answer holds a fresh link. */
		if (!s->have_id || s->from == FROM_STORED || s->fresh_link ||
		    s->relinks >= STEP_RELINKS_MAX)
			return fail(s, "result_unavailable");
		copy.relinks++;
		return wait_in(&copy, STEP_WAITING, 0);
	case ON_DOWNLOAD_AWAY:
		if (copy.draining)
			return sql(&copy, DO_RELEASE);
		if (e->now_ms >= copy.give_up_ms && copy.give_up_ms != 0)
			return fail(s, "result_unavailable");
		copy.download_tries++;
		delay = copy.download_tries <= STEP_DOWNLOAD_FIXED
		    ? jitter(STEP_DOWNLOAD_MS, e->random)
		    : backoff(2 * STEP_DOWNLOAD_MS,
			  copy.download_tries - STEP_DOWNLOAD_FIXED,
			  4 * STEP_BACKOFF_CAP_MS, e->random);
		if (e->retry_after_ms > delay)
			delay = e->retry_after_ms;
		return wait_in(&copy, STEP_DOWNLOAD_WAIT, delay);
	default:
		return stay(s);
	}
}

struct step_out
step_probed(const struct step *s, const struct step_event *e)
{
	struct step copy = *s;

	switch (e->on) {
	case ON_PROBED:
		copy.unplayable = e->unplayable;
		return out(&copy, STEP_STORING, DO_STORE);
	case ON_MEDIA_BAD:
		return fail(s, e->why);
	case ON_MEDIA_AWAY:
		/* Our own helper's trouble must not lose a paid video. */
		if (++copy.probe_tries >= STEP_PROBES_MAX)
			return out(&copy, STEP_STORING, DO_STORE);
		return wait_in(&copy, STEP_PROBE_WAIT,
		    backoff(STEP_LOCAL_MS, copy.probe_tries,
			STEP_BACKOFF_CAP_MS, e->random));
	default:
		return stay(s);
	}
}

struct step_out
step_stored(const struct step *s, const struct step_event *e)
{
	struct step copy = *s;

	switch (e->on) {
	case ON_STORED:
		if (s->unplayable)
			return out(s, STEP_RENDERING, DO_RENDER);
		return out(s, STEP_POSTING, DO_POST);
	case ON_STORE_AWAY:
		if (copy.draining)
			return sql(&copy, DO_RELEASE);
		if (copy.give_up_ms != 0 && e->now_ms >= copy.give_up_ms)
			return fail(s, "storage_unavailable");
		copy.store_tries++;
		/* What was downloaded is not there any more. */
		return wait_in(&copy,
		    e->lost ? STEP_DOWNLOAD_WAIT : STEP_STORE_WAIT,
		    backoff(STEP_LOCAL_MS, copy.store_tries,
			STEP_BACKOFF_CAP_MS, e->random));
	default:
		return stay(s);
	}
}
