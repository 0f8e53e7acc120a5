/*
 * submit.c - the one request that costs money.
 *
 * The attempt row is committed before a byte leaves.  Then the inputs are
 * read, an adapter may prepare (upload an image), and the paid request goes
 * out exactly once.  Its answer is one of: accepted, refused, busy, surely
 * not sent, or unknown; step() decides what follows.
 */
#define LOG_MODULE "jobs"
#include <stdlib.h>
#include <string.h>

#include "jobs/internal.h"
#include "reeld/clock.h"
#include "reeld/json.h"
#include "reeld/log.h"
#include "reeld/price.h"

void
submit_attempt(struct job *job)
{
	struct json_object *start = json_new(), *request = json_new();
	struct price_input in = price_input_of(&job->spec);
	char *token, hash[65];
	int64_t cost;

	job->attempt = id_new();
	job->nonce = id_new();
	token = job_token(job);
	json_set_text(request, "endpoint", job->endpoint);
	json_set_copy(request, "params", doc_json(job->params));
	sha256_hex(token, strlen(token), hash);
	free(token);
	json_set_text(start, "job", job->id.text);
	json_set_text(start, "attempt", job->attempt.text);
	json_set_text(start, "nonce", job->nonce.text);
	json_set_text(start, "token_hash", hash);
	json_set_obj(start, "request", &request);
	if (job->has_spec && price_cost(doc_json(job->cost_rule), &in, &cost))
		json_set_int(start, "cost_micro_usd", cost);
	crash_point("submit.before_attempt_commit");
	pg_group_add(job->engine->starts, start, &job->item, job_on_item, job);
	json_free(&start);
}

/* --- The requests --------------------------------------------------------- */

static void ask(struct job *job, enum provider_step what);

static void
give_image(const struct job_image *image, struct provider_image *out)
{
	out->url = image->url;
	out->data = image->data;
	out->len = image->len;
	out->mime = image->type;
}

static void
fill(struct job *job, struct provider_job *out, char **callback)
{
	job_provider(job, out);
	*callback = NULL;
	if (job->engine->public_url != NULL) {
		char *token = job_token(job);

		*callback =
		    xasprintf("%s/hooks/%s/%s/%s", job->engine->public_url,
			job->lane->provider->name, job->attempt.text, token);
		out->callback_url = *callback;
		free(token);
	}
	give_image(&job->images[0], &out->start);
	give_image(&job->images[1], &out->end);
}

static void
refused(struct job *job, struct provider_verdict *verdict)
{
	job->engine->stats.submit_refused++;
	job_why_verdict(job, verdict);
	log_info("job=%s attempt=%s code=%s msg=\"submit refused\"",
	    job->id.text, job->attempt.text, log_text(job->why_code));
}

static void
prepared(struct job *job, struct provider_verdict *verdict, int status)
{
	switch (verdict->state) {
	case PROVIDER_FAILED:
	case PROVIDER_REFUSED: {
		struct step_event event = {.on = ON_REFUSED};

		refused(job, verdict);
		/* Nothing was paid for: another account or route may do. */
		if (account_refused(job, verdict, status))
			event.on = ON_BUSY;
		provider_verdict_fini(verdict);
		event.why = job->why_code;
		job_on(job, &event);
		return;
	}
	case PROVIDER_UNKNOWN:
	case PROVIDER_BUSY: {
		/* Nothing was paid for yet. */
		struct step_event event = {.on = ON_NOT_SENT,
		    .retry_after_ms = verdict->retry_after_s * 1000LL};

		job->engine->stats.submit_not_sent++;
		provider_verdict_fini(verdict);
		job_on(job, &event);
		return;
	}
	default: {
		enum provider_step next = verdict->next;

		provider_verdict_fini(verdict);
		ask(job,
		    next == PROVIDER_STEP_PREPARE ? PROVIDER_STEP_PREPARE
						  : PROVIDER_STEP_SUBMIT);
	}
	}
}

static void
submitted(struct job *job, struct provider_verdict *verdict,
    const struct fetch_reply *reply)
{
	struct step_event event = {.on = ON_UNCERTAIN,
	    .retry_after_ms = verdict->retry_after_s * 1000LL};
	struct engine_stats *stats = &job->engine->stats;
	enum submit_outcome outcome = SUBMIT_UNCERTAIN;

	account_verdict_clear(job);
	switch (verdict->state) {
	case PROVIDER_FAILED:
	case PROVIDER_REFUSED:
	case PROVIDER_CANCELLED:
		refused(job, verdict);
		event.on = ON_REFUSED;
		event.why = job->why_code;
		outcome = SUBMIT_REFUSED;
		/* Not about the video: another account or route may do. */
		if (account_refused(job, verdict, reply->status))
			event.on = ON_BUSY;
		break;
	case PROVIDER_BUSY:
		event.on =
		    reply->sent == FETCH_NOT_SENT ? ON_NOT_SENT : ON_BUSY;
		outcome = event.on == ON_BUSY ? SUBMIT_BUSY : SUBMIT_NOT_SENT;
		if (event.on == ON_BUSY)
			account_hold(job);
		stats->submit_busy += event.on == ON_BUSY;
		stats->submit_not_sent += event.on == ON_NOT_SENT;
		break;
	case PROVIDER_QUEUED:
	case PROVIDER_RUNNING:
	case PROVIDER_DONE:
		if (job->provider_id == NULL)
			break;
		/* Before its commit: an operator can adopt it from the log. */
		log_info("job=%s attempt=%s nonce=%s provider=%s "
			 "provider_id=%s msg=\"accepted\"",
		    job->id.text, job->attempt.text, job->nonce.text,
		    job->lane->provider->name, log_text(job->provider_id));
		event.on = ON_ACCEPTED;
		outcome = SUBMIT_ACCEPTED;
		job->position = verdict->queue_position;
		break;
	default:
		break;
	}
	if (event.on == ON_UNCERTAIN) {
		stats->submit_uncertain++;
		job_why(job, "uncertain", "provider_unknown",
		    "The provider gave no clear answer; your credits were "
		    "returned.",
		    verdict->provider_message, true);
		event.why = job->why_code;
		log_warn("job=%s attempt=%s nonce=%s provider=%s code=%s "
			 "status=%d ms=%lld msg=\"orphan_submit: answer "
			 "lost\"",
		    job->id.text, job->attempt.text, job->nonce.text,
		    job->lane->provider->name, log_text(verdict->code),
		    reply->status, (long long)reply->total_ms);
		stats->orphan_submits += job->state.class == STEP_CLASS_D;
	}
	account_note(job, outcome);
	provider_verdict_fini(verdict);
	job_on(job, &event);
}

static void
on_reply(const struct fetch_reply *reply, const struct err *err, void *arg)
{
	struct job *job = arg;
	struct provider_verdict verdict;
	struct provider_job pj;
	char *callback;

	if (job->asking == PROVIDER_STEP_SUBMIT)
		crash_point("submit.answered");
	fill(job, &pj, &callback);
	provider_read(
	    job->lane->provider, job->asking, &pj, reply, err, &verdict);
	free(callback);
	job_learn(job, &verdict);
	if (job->asking == PROVIDER_STEP_PREPARE)
		prepared(job, &verdict, reply->status);
	else
		submitted(job, &verdict, reply);
}

static void
ask(struct job *job, enum provider_step what)
{
	struct provider_job pj;
	struct fetch_spec spec;
	struct err err = {0};
	char *callback;
	bool ok;

	fill(job, &pj, &callback);
	ok = provider_build(job->lane->provider, what, &pj, &spec, &err);
	free(callback);
	if (!ok) {
		job_why(job, "bad_input", err_code_name(&err),
		    "This request can't be made with this model.", err.msg,
		    false);
		log_warn("job=%s msg=%s", job->id.text, log_text(err.msg));
		/* Nothing was sent, and another route may know how. */
		job->leave = true;
		job_later(job, ON_BUSY, job->why_code);
		return;
	}
	job->asking = what;
	if (what == PROVIDER_STEP_SUBMIT) {
		job->engine->stats.submits++;
		crash_point("submit.sending");
	}
	fetch_start(job->engine->d.fetch, &spec, &job->call, on_reply, job);
	if (what == PROVIDER_STEP_SUBMIT)
		crash_point("submit.sent");
}

void
submit_loaded(struct job *job)
{
	struct provider_job pj;
	char *callback;

	fill(job, &pj, &callback);
	free(callback);
	pj.callback_url = NULL;
	ask(job,
	    provider_wants_prepare(job->lane->provider, &pj)
		? PROVIDER_STEP_PREPARE
		: PROVIDER_STEP_SUBMIT);
}

void
submit_send(struct job *job)
{
	if (job->lane->provider->transport == PROVIDER_WORKER) {
		/* The offer is the committed attempt itself. */
		free(job->provider_id);
		job->provider_id = xstrdup(job->attempt.text);
		job_later(job, ON_ACCEPTED, NULL);
		return;
	}
	if (!job->has_spec) {
		job_why(job, "internal", "bad_spec",
		    "The stored request can't be read.", NULL, false);
		job_later(job, ON_REFUSED, job->why_code);
		return;
	}
	images_free(job);
	images_load(job);
}

void
submit_record(struct job *job)
{
	struct json_object *item = json_new();

	images_free(job);
	json_set_text(item, "attempt", job->attempt.text);
	json_set_text(item, "provider_job_id", job->provider_id);
	if (job->refs != NULL)
		json_set_copy(item, "refs", job->refs);
	if (job->position >= 0)
		json_set_int(item, "position", job->position);
	crash_point("submit.before_record");
	pg_group_add(job->engine->submits, item, &job->item, job_on_item, job);
	json_free(&item);
}
