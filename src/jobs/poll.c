/*
 * poll.c - asking the provider how far it is, and asking it to stop.
 * Nothing is written to PostgreSQL for an answer that brings nothing new.
 */
#define LOG_MODULE "jobs"
#include <stdlib.h>
#include <string.h>

#include "jobs/internal.h"
#include "reeld/clock.h"
#include "reeld/json.h"
#include "reeld/log.h"

/* Questions that a paid job survives "not found". */
enum { NOT_KNOWN_YET = 3 };

/* Bytes of an answer that are kept, to know it again. */
enum { SAID_MAX = 1024 };

static void ask(struct job *job, enum provider_step what);

static void
note_status(struct job *job, const struct provider_verdict *verdict)
{
	if (verdict->state != PROVIDER_UNKNOWN || verdict->status[0] == '\0' ||
	    job->lane->odd_status)
		return;
	job->lane->odd_status = true;
	log_warn("provider=%s status=%s msg=\"unknown status, taken as "
		 "running\"",
	    job->lane->provider->name, log_text(verdict->status));
}

static enum step_on
meaning(struct job *job, const struct provider_verdict *verdict)
{
	switch (verdict->state) {
	case PROVIDER_QUEUED:
	case PROVIDER_RUNNING:
		return ON_ALIVE;
	case PROVIDER_DONE:
		if (job->result_url != NULL)
			return ON_DONE;
		job_why(job, "provider", "no_result",
		    "The provider finished without a video.",
		    verdict->provider_message, true);
		return ON_FAILED;
	case PROVIDER_FAILED:
		if (verdict->class == PROVIDER_CLASS_NOT_FOUND &&
		    !job->state.have_id)
			return ON_ABSENT;
		/* One of their servers may not have heard of it yet. */
		if (verdict->class == PROVIDER_CLASS_NOT_FOUND &&
		    job->state.polls < NOT_KNOWN_YET && !job->state.cancel)
			return ON_POLL_FAILED;
		/* fall through */
	case PROVIDER_REFUSED:
		job_why_verdict(job, verdict);
		return ON_FAILED;
	case PROVIDER_CANCELLED:
		job_why_verdict(job, verdict);
		return ON_GONE;
	case PROVIDER_UNKNOWN:
		/* A whole answer with a word nobody knows: still running. */
		if (verdict->status[0] != '\0')
			return ON_ALIVE;
		/* fall through */
	default:
		return ON_POLL_FAILED;
	}
}

/* The same words as the last time, and then they said that it goes on. */
static bool
is_repeated(const struct job *job, const struct fetch_reply *reply)
{
	return job->last_said != NULL && job->asking == PROVIDER_STEP_POLL &&
	    reply->status == job->last_status && reply->retry_after_s == 0 &&
	    reply->body.len == job->last_len &&
	    memcmp(reply->body.data, job->last_said, job->last_len) == 0;
}

static void
remember(struct job *job, const struct fetch_reply *reply)
{
	free(job->last_said);
	job->last_said = NULL;
	if (reply->body.len == 0 || reply->body.len > SAID_MAX)
		return;
	job->last_said = xmemdup(reply->body.data, reply->body.len);
	job->last_len = reply->body.len;
	job->last_status = reply->status;
}

static void
on_reply(const struct fetch_reply *reply, const struct err *err, void *arg)
{
	struct job *job = arg;
	struct provider_verdict verdict;
	struct provider_job pj;
	struct step_event event = {0};
	enum provider_step next;

	if (err == NULL && is_repeated(job, reply)) {
		progress_note(job, job->progress, job->position);
		job_on_simple(job, ON_ALIVE);
		return;
	}
	job_provider(job, &pj);
	provider_read(
	    job->lane->provider, job->asking, &pj, reply, err, &verdict);
	note_status(job, &verdict);
	job_learn(job, &verdict);
	next = verdict.next;
	if (job->asking != PROVIDER_STEP_CANCEL &&
	    (next == PROVIDER_STEP_RESULT || next == PROVIDER_STEP_POLL) &&
	    next != job->asking) {
		provider_verdict_fini(&verdict);
		ask(job, next);
		return;
	}
	if (job->asking == PROVIDER_STEP_CANCEL) {
		provider_verdict_fini(&verdict);
		job_on_simple(job, ON_REVOKED);
		return;
	}
	event.on = meaning(job, &verdict);
	if (event.on == ON_POLL_FAILED)
		job->engine->stats.poll_failures++;
	if (event.on == ON_ALIVE) {
		progress_note(job, verdict.progress, verdict.queue_position);
		if (err == NULL && job->asking == PROVIDER_STEP_POLL &&
		    verdict.retry_after_s == 0)
			remember(job, reply);
	}
	event.retry_after_ms = verdict.retry_after_s * 1000LL;
	event.why = job->why_code;
	if (event.on == ON_DONE) {
		crash_point("poll.done_seen");
		if (job->result_expires_ms > 0)
			event.expires_ms = clock_mono_ms() +
			    job->result_expires_ms - clock_wall_ms();
	}
	provider_verdict_fini(&verdict);
	job_on(job, &event);
}

static void
ask(struct job *job, enum provider_step what)
{
	struct provider_job pj;
	struct fetch_spec spec;
	struct err err = {0};

	job_provider(job, &pj);
	if (!provider_build(job->lane->provider, what, &pj, &spec, &err)) {
		log_warn("job=%s msg=%s", job->id.text, log_text(err.msg));
		job_later(job,
		    what == PROVIDER_STEP_CANCEL ? ON_REVOKED : ON_POLL_FAILED,
		    NULL);
		return;
	}
	job->asking = what;
	fetch_start(job->engine->d.fetch, &spec, &job->call, on_reply, job);
	if (what == PROVIDER_STEP_POLL)
		crash_point("poll.sent");
}

/* --- Our own workers: what they reported is in the attempt -----------------
 */

static void
worker_failed(struct job *job, const struct pg_rows *rows)
{
	const char *class = pg_text(rows, 0, "error_class");
	bool final = str_eq(class, "bad_input") || str_eq(class, "refused");

	job_why(job, class != NULL ? class : "worker",
	    pg_null(rows, 0, "error_code") ? "worker_failed"
					   : pg_text(rows, 0, "error_code"),
	    final ? "The worker refused this request."
		  : "The worker could not make this video.",
	    pg_text(rows, 0, "error_message"), !final);
}

static void
on_worker(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct job *job = arg;
	const char *status;

	if (err != NULL || pg_count(rows) < 1) {
		job_on_simple(job, ON_POLL_FAILED);
		return;
	}
	status = pg_text(rows, 0, "status");
	job->taken = pg_bool(rows, 0, "taken");
	if (str_eq(status, "succeeded")) {
		struct json_object *result = pg_json(rows, 0, "result");
		const char *key = json_text_at(result, "key");

		if (key != NULL && storage_key_ok(key)) {
			free(job->result_url);
			job->result_url = xasprintf("store:%s", key);
			json_free(&result);
			job_on_simple(job, ON_DONE);
			return;
		}
		json_free(&result);
		job_why(job, "worker", "no_result",
		    "The worker finished without a video.", NULL, true);
		job_on_why(job, ON_FAILED, job->why_code);
	} else if (str_eq(status, "failed")) {
		worker_failed(job, rows);
		job_on_why(job, ON_FAILED, job->why_code);
	} else if (str_eq(status, "cancelled")) {
		job_on_simple(job, ON_GONE);
	} else if (job->state.cancel && !job->taken) {
		job_on_simple(job, ON_GONE); /* nobody took it: it is off */
	} else {
		job_on_simple(job, ON_ALIVE);
	}
}

void
poll_start(struct job *job)
{
	job->polls++;
	job->engine->stats.polls++;
	if (job->lane->provider->transport == PROVIDER_WORKER) {
		pg_query_start(job->engine->d.pg, STMT_ENGINE_WORKER_POLL,
		    PG_ARGS(job->attempt.text), &job->query, on_worker, job);
		return;
	}
	ask(job, job->state.have_id ? PROVIDER_STEP_POLL : PROVIDER_STEP_FIND);
}

void
poll_revoke(struct job *job)
{
	if (job->lane->provider->transport == PROVIDER_WORKER) {
		/* Its next heartbeat or progress report tells the worker. */
		job_later(job, ON_REVOKED, NULL);
		return;
	}
	ask(job, PROVIDER_STEP_CANCEL);
}
