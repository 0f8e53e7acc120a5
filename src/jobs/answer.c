/*
 * answer.c - what the database answered to a job's effect becomes an event of
 * its state machine.  "gone" means that the job is somebody else's.
 */
#define LOG_MODULE "jobs"
#include <stdio.h>

#include "jobs/internal.h"
#include "reeld/log.h"

static const char *
point_of(enum step_do what)
{
	switch (what) {
	case DO_START:
		return "submit.after_attempt_commit";
	case DO_RECORD:
		return "submit.recorded";
	case DO_PARK:
		return "uncertain.after_commit";
	case DO_FINALIZE:
		return "finalize.after_commit";
	case DO_FINISH:
		return "finish.after_commit";
	case DO_FAIL:
		return "fail.after_commit";
	case DO_CANCELLED:
		return "cancel.after_commit";
	case DO_REVIEW:
		return "review.after_commit";
	case DO_REQUEUE:
		return "requeue.after_commit";
	default:
		return "release.after_commit";
	}
}

static void
count(struct engine_stats *stats, enum step_do what)
{
	switch (what) {
	case DO_FINISH:
		stats->completed++;
		break;
	case DO_FAIL:
		stats->failed++;
		break;
	case DO_CANCELLED:
		stats->cancelled++;
		break;
	case DO_REVIEW:
		stats->reviewed++;
		break;
	case DO_REQUEUE:
		stats->requeued++;
		break;
	case DO_RELEASE:
		stats->released++;
		break;
	default:
		break;
	}
}

static void
refused(struct job *job, enum step_do what, const struct err *err)
{
	char why[sizeof job->why_user];

	log_error("job=%s gen=%s do=%s code=%s msg=%s", job->id.text,
	    job->generation.text, step_do_name(what), err->name,
	    log_text(err->msg));
	snprintf(why, sizeof why,
	    "The database refused a step of it (%s): %.120s. An administrator "
	    "has to look.",
	    step_do_name(what), err->msg);
	job_why(job, "internal", "database_refused", why, NULL, false);
	job->engine->stats.db_refused++;
	job_on_simple(job, ON_DB_REFUSED);
}

/* shared: in a transaction with others, who publishes sees to the events. */
static void
answered(struct job *job, const struct pg_rows *rows, int row,
    const struct err *err, bool shared)
{
	enum step_do what = job->state.redo;
	const char *outcome;

	if (err != NULL && pg_refused(err)) {
		refused(job, what, err);
		return;
	}
	if (err != NULL || pg_count(rows) <= row) {
		log_warn("job=%s do=%s msg=%s", job->id.text,
		    step_do_name(what),
		    log_text(err != NULL ? err->msg : "no answer"));
		job->engine->stats.db_retries++;
		job_on_simple(job, ON_DB_AWAY);
		return;
	}
	outcome =
	    what == DO_RELEASE ? "released" : pg_text(rows, row, "outcome");
	crash_point(point_of(what));
	if (what != DO_RELEASE && !shared)
		engine_publish(job->engine, rows, row);
	if (what == DO_REQUEUE && job->verdict != NULL)
		accounts_changed(job->engine);
	if (str_eq(outcome, "gone") && what != DO_REVIEW) {
		job_on_simple(job, ON_LOST);
		return;
	}
	if (str_eq(outcome, "exhausted")) {
		if (!job->leave)
			job_why(job, "provider", "provider_unreachable",
			    "The provider could not be reached.", NULL, true);
		job_on_why(job, ON_EXHAUSTED, job->why_code);
		return;
	}
	if (what == DO_RECORD &&
	    job->lane->provider->transport == PROVIDER_WORKER)
		worker_offered(job);
	if (str_eq(outcome, "cancelling"))
		job->state.cancel = true;
	/* These set crash_count to 0 themselves; a fresh link does not. */
	if (what == DO_RECORD || what == DO_PARK ||
	    str_eq(outcome, "finalizing"))
		progress_cleaned(job);
	count(&job->engine->stats, what);
	if (str_eq(outcome, "requeued"))
		engine_elsewhere(job->engine);
	if (what == DO_FINALIZE || what == DO_FINISH || what == DO_CANCELLED)
		engine_room(job->engine);
	job_on_simple(job, ON_COMMITTED);
}

void
job_on_sql(const struct pg_rows *rows, const struct err *err, void *arg)
{
	answered(arg, rows, 0, err, false);
}

void
job_on_item(
    const struct pg_rows *rows, int row, const struct err *err, void *arg)
{
	answered(arg, rows, row, err, true);
}
