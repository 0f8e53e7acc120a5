/*
 * row.c - a job made from its row (job_work): where it stands, what it is to
 * do, and what is known of its attempt.
 */
#define LOG_MODULE "jobs"
#include <stdio.h>
#include <string.h>

#include "jobs/internal.h"
#include "reeld/capability.h"
#include "reeld/clock.h"
#include "reeld/json.h"
#include "reeld/log.h"

/* Without a public address no callback ever comes: nothing to wait for. */
static enum step_class
class_of(const struct provider *provider, const char *endpoint, bool reachable)
{
	switch (provider->recovery_of != NULL && endpoint != NULL
		? provider->recovery_of(endpoint)
		: provider->recovery) {
	case PROVIDER_RECOVER_RESUBMIT:
		return STEP_CLASS_A;
	case PROVIDER_RECOVER_FIND:
		return STEP_CLASS_B;
	case PROVIDER_RECOVER_CALLBACK:
		return reachable ? STEP_CLASS_C : STEP_CLASS_D;
	default:
		return STEP_CLASS_D;
	}
}

static enum step_from
from_of(const char *step, const char *job_status, const char *attempt_status,
    bool has_attempt)
{
	if (str_eq(step, "download") || str_eq(step, "store"))
		return FROM_DOWNLOAD;
	if (str_eq(step, "poll"))
		return FROM_POLL;
	if (str_eq(job_status, "uncertain"))
		return FROM_PARKED;
	if (has_attempt &&
	    (str_eq(attempt_status, "submitting") ||
		str_eq(attempt_status, "ambiguous")))
		return FROM_SENDING;
	return FROM_SUBMIT;
}

static void
take_id(struct id *out, const char *text)
{
	if (text == NULL || !id_parse(text, out))
		memset(out, 0, sizeof *out);
}

static void
read_spec(struct job *job, const struct pg_rows *rows, int row)
{
	struct json_object *doc = pg_json(rows, row, "spec");
	struct err err;

	if (doc != NULL && spec_from_json(doc, &job->spec, &err)) {
		job->has_spec = true;
		/* The columns are the truth for text. */
		if (job->spec.prompt == NULL)
			job->spec.prompt =
			    xstrdup(pg_text(rows, row, "prompt"));
		if (job->spec.negative_prompt == NULL)
			job->spec.negative_prompt =
			    xstrdup(pg_text(rows, row, "negative_prompt"));
	} else {
		log_error("job=%s msg=%s", job->id.text,
		    log_text(doc == NULL ? "no spec" : err.msg));
	}
	json_free(&doc);
}

/* What the model takes, and what was made of the prompt so far. */
static void
read_prompt(struct job *job, const struct pg_rows *rows, int row)
{
	job->max_prompt = pg_null(rows, row, "max_prompt")
	    ? CAPABILITY_MAX_PROMPT
	    : pg_i64(rows, row, "max_prompt");
	job->result_lifetime_s = pg_i64(rows, row, "result_lifetime_s");
	job->wants_enhance = job->has_spec && job->spec.enhance;
	job->enhanced = xstrdup(pg_text(rows, row, "enhanced_prompt"));
	enhance_apply(job);
}

static int64_t
number_of(
    const struct pg_rows *rows, int row, const char *which, const char *what)
{
	char column[32];

	snprintf(column, sizeof column, "%s_%s", which, what);
	return pg_null(rows, row, column) ? 0 : pg_i64(rows, row, column);
}

static void
read_image(struct job_image *image, const struct pg_rows *rows, int row,
    const char *which)
{
	char column[32];

	snprintf(column, sizeof column, "%s_key", which);
	if (pg_null(rows, row, column))
		return;
	str_copy(image->key, sizeof image->key, pg_text(rows, row, column));
	snprintf(column, sizeof column, "%s_mime", which);
	str_copy(image->mime, sizeof image->mime, pg_text(rows, row, column));
	image->bytes = number_of(rows, row, which, "bytes");
	image->width = (int)number_of(rows, row, which, "width");
	image->height = (int)number_of(rows, row, which, "height");
}

struct job *
job_new(struct engine *engine, const struct pg_rows *rows, int row)
{
	struct lane *lane = lane_find(engine, pg_text(rows, row, "provider"));
	const struct catalogue_account *account;
	struct job *job;
	int64_t deadline_ms, now = clock_mono_ms();

	if (lane == NULL)
		return NULL;
	job = xcalloc(1, sizeof *job);
	job->engine = engine;
	job->lane = lane;
	take_id(&job->id, pg_text(rows, row, "job_id"));
	take_id(&job->generation, pg_text(rows, row, "generation_id"));
	take_id(&job->user, pg_text(rows, row, "user_id"));
	take_id(&job->attempt, pg_text(rows, row, "attempt_id"));
	take_id(&job->nonce, pg_text(rows, row, "nonce"));
	take_id(&job->account, pg_text(rows, row, "account_id"));
	job->endpoint = xstrdup(pg_text(rows, row, "endpoint"));
	job->params = doc_take(engine, rows, row, "params");
	job->refs = pg_json(rows, row, "refs");
	job->cost_rule = doc_take(engine, rows, row, "cost_rule");
	job->provider_id = xstrdup(pg_text(rows, row, "provider_job_id"));
	job->result_url = xstrdup(pg_text(rows, row, "result_url"));
	if (!pg_null(rows, row, "result_expires_ms"))
		expiry_set(job, pg_i64(rows, row, "result_expires_ms"));
	if (!pg_null(rows, row, "result_ms"))
		job->result_seen_ms = pg_i64(rows, row, "result_ms");
	job->deadline_s = pg_i64(rows, row, "deadline_s");
	job->cost_micro_usd = job->settle = -1;
	job->progress = job->position = -1;
	job->video.fd = job->poster.fd = job->playable.fd = job->fit_fd = -1;
	read_image(&job->images[0], rows, row, "start");
	read_image(&job->images[1], rows, row, "end");
	job->blamed = pg_i64(rows, row, "crash_count") > 0;
	read_spec(job, rows, row);
	read_prompt(job, rows, row);
	timer_init(&job->timer, engine->d.loop, "job", job_on_timer, job);

	deadline_ms = now + job->deadline_s * 1000;
	if (!pg_null(rows, row, "attempt_id") &&
	    !pg_null(rows, row, "deadline_ms"))
		deadline_ms =
		    now + pg_i64(rows, row, "deadline_ms") - clock_wall_ms();
	account = job_account(job);
	step_init(&job->state,
	    from_of(pg_text(rows, row, "step"),
		pg_text(rows, row, "job_status"),
		pg_text(rows, row, "attempt_status"), id_is_set(&job->attempt)),
	    class_of(
		lane->provider, job->endpoint, job->engine->public_url != NULL),
	    account != NULL && account->poll_ms > 0 ? account->poll_ms
						    : lane->provider->poll_ms,
	    lane->provider->transport == PROVIDER_WORKER ||
		provider_has_step(lane->provider, PROVIDER_STEP_CANCEL),
	    str_eq(pg_text(rows, row, "status"), "cancelling"), deadline_ms);
	job->state.enhance = job->wants_enhance && job->enhanced == NULL;
	job->state.reviewed = str_eq(pg_text(rows, row, "status"), "review");

	TAILQ_INSERT_TAIL(&engine->jobs, job, entry);
	HASH_ADD_KEYPTR(
	    hh, engine->by_generation, job->generation.text, ID_LEN, job);
	lane->running++;
	account_count(job, 1);
	engine->stats.active++;
	return job;
}
