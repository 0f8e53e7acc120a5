/*
 * worker_job.c - what a worker says about one job: start, progress, the
 * result, failure; and the callback of the older protocol.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "api/worker.h"
#include "reeld/jobs.h"

struct report {
	struct id worker;
	struct json_int percent, eta_s;
	char *message, *class;
	struct json_bool retry;
	struct json_object *result;
};

/* Starts the act of a report; arg is the worker's id, to tell operators. */
static struct act *
report_act(struct http_call *call, const struct id *worker)
{
	return act_new(
	    call, id_is_set(worker) ? xstrdup(worker->text) : NULL, free);
}

static const char *
id_or_null(const struct id *id)
{
	return id_is_set(id) ? id->text : NULL;
}

static const char *
token_or_null(const struct worker_call *who)
{
	return who->token[0] != '\0' ? who->token : NULL;
}

/* False: replied. */
static bool
report_read(struct http_call *call, const struct json_field *fields, size_t n,
    struct worker_call *who, struct report *out)
{
	struct err err;

	memset(out, 0, sizeof *out);
	if (!worker_call_read(call, who))
		return false;
	if (json_read(http_json(call), fields, n, out, &err))
		return true;
	http_reply_err(call, &err);
	return false;
}

static void
reply_flag(struct act *act, const char *name, bool value)
{
	struct json_object *obj = json_new();

	json_set_bool(obj, name, value);
	act_reply(act, 200, &obj);
}

/* ---- start ---- */

static const struct json_field start_fields[] = {
    JID(struct report, worker, JAS("worker_id"), JREQ),
};

static void
on_started(struct act *act, const struct pg_rows *rows, const struct err *err)
{
	const char *outcome;

	if (err != NULL) {
		act_err(act, err);
		return;
	}
	outcome = pg_text(rows, 0, "outcome");
	if (strcmp(outcome, "started") == 0) {
		worker_news(act, rows, "worker.busy", act->arg);
		reply_flag(act, "ok", true);
	} else {
		worker_refuse(act, outcome);
	}
}

void
api_worker_start(struct http_call *call)
{
	struct worker_call who;
	struct report in;

	if (report_read(call, start_fields, nitems(start_fields), &who, &in))
		act_query(report_act(call, &in.worker), STMT_WORKER_JOB_START,
		    PG_ARGS(
			who.attempt.text, in.worker.text, token_or_null(&who)),
		    on_started);
}

/* ---- progress ---- */

static const struct json_field progress_fields[] = {
    JID(struct report, worker, JAS("worker_id")),
    JINT(struct report, percent, 0, 100, JREQ),
    JINT(struct report, eta_s, 0, 86400),
    JTEXT(struct report, message, 0, 500),
};

static void
on_progress(struct act *act, const struct pg_rows *rows, const struct err *err)
{
	const char *outcome;

	if (err != NULL) {
		act_err(act, err);
		return;
	}
	outcome = pg_text(rows, 0, "outcome");
	if (strcmp(outcome, "ok") == 0)
		reply_flag(act, "cancel", pg_bool(rows, 0, "cancel"));
	else
		worker_refuse(act, outcome);
}

void
api_worker_progress(struct http_call *call)
{
	struct worker_call who;
	struct report in;

	if (!report_read(
		call, progress_fields, nitems(progress_fields), &who, &in))
		return;
	act_query(report_act(call, &in.worker), STMT_WORKER_JOB_PROGRESS,
	    PG_ARGS(who.attempt.text, id_or_null(&in.worker),
		token_or_null(&who), pg_num(in.percent.v),
		in.eta_s.set ? pg_num(in.eta_s.v) : NULL),
	    on_progress);
	json_read_free(progress_fields, nitems(progress_fields), &in);
}

/* ---- the end ---- */

static const struct json_field complete_fields[] = {
    JID(struct report, worker, JAS("worker_id")),
    JOBJ(struct report, result),
};
static const struct json_field fail_fields[] = {
    JID(struct report, worker, JAS("worker_id")),
    JTEXT(struct report, class, 1, 40, JREQ),
    JTEXT(struct report, message, 0, 2000),
    JBOOL(struct report, retry),
};

static void
on_ended(struct act *act, const struct pg_rows *rows, const struct err *err)
{
	static const char *const fine[] = {
	    "completed", "failed", "requeued", "already"};
	const char *outcome;

	if (err != NULL) {
		act_err(act, err);
		return;
	}
	outcome = pg_text(rows, 0, "outcome");
	for (size_t i = 0; i < nitems(fine); i++)
		if (strcmp(outcome, fine[i]) == 0) {
			worker_news(act, rows, "worker.idle", act->arg);
			reply_flag(act, "success", true);
			return;
		}
	worker_refuse(act, outcome);
}

static void
complete(struct act *act, const char *attempt, const char *worker,
    const char *token, const struct json_object *result)
{
	struct json_object *kept =
	    result != NULL ? json_copy(result) : json_new();
	char *text;

	/* Which file it is, is known from its upload alone. */
	json_unset(kept, "key");
	json_unset(kept, "url");
	text = json_dump_text(kept);
	json_free(&kept);
	act_query(act, STMT_WORKER_JOB_COMPLETE,
	    PG_ARGS(attempt, worker, token, text), on_ended);
	free(text);
}

void
api_worker_complete(struct http_call *call)
{
	struct worker_call who;
	struct report in;

	if (report_read(
		call, complete_fields, nitems(complete_fields), &who, &in))
		complete(report_act(call, &in.worker), who.attempt.text,
		    id_or_null(&in.worker), token_or_null(&who), in.result);
}

static void
fail(struct act *act, const char *attempt, const char *worker,
    const char *token, const char *class, const char *message, bool retry)
{
	char code[64];

	if (strcmp(class, "refused") == 0)
		str_copy(code, sizeof code, "safety_blocked");
	else
		snprintf(code, sizeof code, "worker_%s", class);
	act_query(act, STMT_WORKER_JOB_FAIL,
	    PG_ARGS(attempt, worker, token, class, code,
		message != NULL ? message : "", pg_yes(retry)),
	    on_ended);
}

void
api_worker_fail(struct http_call *call)
{
	struct worker_call who;
	struct report in;

	if (!report_read(call, fail_fields, nitems(fail_fields), &who, &in))
		return;
	fail(report_act(call, &in.worker), who.attempt.text,
	    id_or_null(&in.worker), token_or_null(&who), in.class, in.message,
	    in.retry.set && in.retry.v);
	json_read_free(fail_fields, nitems(fail_fields), &in);
}

/* ---- POST /functions/v1/job-callback ---- */

struct callback {
	struct id job;
	char *status, *message, *output_url;
	struct json_object *result;
};
static const struct json_field callback_fields[] = {
    JID(struct callback, job, JAS("jobId"), JREQ),
    JTEXT(struct callback, status, 1, 40, JREQ),
    JTEXT(struct callback, message, 0, 2000, JAS("errorMessage")),
    JTEXT(struct callback, output_url, 0, 4000, JAS("outputUrl")),
    JOBJ(struct callback, result),
};

static void
on_begun(struct act *act, const struct pg_rows *rows, const struct err *err)
{
	const char *outcome;

	if (err != NULL) {
		act_err(act, err);
		return;
	}
	outcome = pg_text(rows, 0, "outcome");
	/* Says so again: it is the same worker, as far as this one knows. */
	if (strcmp(outcome, "started") == 0 || strcmp(outcome, "taken") == 0) {
		worker_news(act, rows, "worker.busy", NULL);
		reply_flag(act, "success", true);
	} else {
		worker_refuse(act, outcome);
	}
}

void
api_worker_callback(struct http_call *call)
{
	char token[67];
	const char *hash;
	struct callback in;
	struct err err;

	if (!worker_token_read(call, token))
		return;
	if (!json_read(http_json(call), callback_fields,
		nitems(callback_fields), &in, &err)) {
		err.code = ERR_BAD_INPUT;
		http_reply_err(call, &err);
		return;
	}
	hash = token[0] != '\0' ? token : NULL;
	if (!worker_token_is(call, &in.job))
		api_refuse(call, ERR_UNAUTHORIZED, "bad_token",
		    "This is not the token of the job.");
	else if (strcmp(in.status, "completed") == 0)
		complete(act_new(call, NULL, NULL), in.job.text, NULL, hash,
		    in.result);
	else if (strcmp(in.status, "failed") == 0)
		fail(act_new(call, NULL, NULL), in.job.text, NULL, hash,
		    "internal", in.message, false);
	else if (strcmp(in.status, "processing") == 0 ||
	    strcmp(in.status, "running") == 0)
		act_query(act_new(call, NULL, NULL), STMT_WORKER_JOB_START,
		    PG_ARGS(in.job.text, NULL, hash), on_begun);
	else
		api_refuse(call, ERR_BAD_INPUT, "bad_status",
		    "status is processing, completed or failed.");
	json_read_free(callback_fields, nitems(callback_fields), &in);
}
