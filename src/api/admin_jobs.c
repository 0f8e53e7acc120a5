/*
 * admin_jobs.c - everybody's generations, for operators: find, look into,
 * cancel, retry, and decide what ended in review.
 */
#include <stdlib.h>
#include <string.h>

#include "api/admin.h"
#include "api/handlers.h"
#include "api/submitted.h"
#include "api/view.h"
#include "reeld/flow.h"
#include "reeld/jobs.h"

struct json_object *
admin_job_view(const struct pg_rows *rows, int row, void *arg)
{
	struct json_object *obj = view_generation(rows, row), *job = NULL;

	api_set_text(obj, "user_id", rows, row, "user_id");
	api_set_text(obj, "email", rows, row, "email");
	api_set_text(obj, "provider_message", rows, row, "provider_message");
	if (!pg_null(rows, row, "job_id")) {
		job = json_new();
		api_set_text(job, "id", rows, row, "job_id");
		api_set_text(job, "status", rows, row, "job_status");
		api_set_text(job, "step", rows, row, "step");
		api_set_text(job, "owner", rows, row, "owner");
		api_set_int(job, "tries", rows, row, "tries");
		api_set_int(job, "crash_count", rows, row, "crash_count");
		api_set_int(job, "lone_crashes", rows, row, "lone_crashes");
		api_set_text(job, "last_error", rows, row, "last_error");
		api_set_time(
		    job, "result_expires_at", rows, row, "result_expires_ms");
		api_set_bool(
		    job, "result_expiring", rows, row, "result_expiring");
	}
	json_set_obj(obj, "job", &job);
	return obj;
}

/* What it cost us, and what is left; only for one job, not in lists. */
static void
set_money(struct json_object *obj, const struct pg_rows *rows)
{
	struct json_object *money = json_new();

	api_set_int(money, "cost_micro_usd", rows, 0, "cost_micro_usd");
	api_set_bool(money, "cost_estimated", rows, 0, "cost_estimated");
	api_set_int(money, "revenue_micro_usd", rows, 0, "revenue_micro_usd");
	api_set_int(money, "margin_micro_usd", rows, 0, "margin_micro_usd");
	json_set_obj(obj, "money", &money);
}

/* ---- the list ---- */

static void
on_jobs(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	api_page_reply(
	    call, arg, rows, "created_us", "id", admin_job_view, NULL);
	free(arg);
}

static void
on_found(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct app *app = api_app(call);

	if (pg_count(rows) == 0) {
		api_page_reply(call, arg, rows, "", NULL, NULL, NULL);
		free(arg);
		return;
	}
	api_query(call, app->pg_engine, STMT_ADMIN_JOB_GET,
	    PG_ARGS(pg_text(rows, 0, "generation_id")), on_jobs, arg, free);
}

static bool
state_ok(struct http_call *call, const char *state)
{
	enum gen_status status;
	struct err err;

	if (state == NULL || gen_status_parse(state, &status))
		return true;
	err_set_field(&err, ERR_INVALID, "bad_status", "?state",
	    "\"%.40s\" is no status.", state);
	http_reply_err(call, &err);
	return false;
}

void
api_admin_jobs(struct http_call *call)
{
	struct app *app = api_app(call);
	const char *state = http_query(call, "state");
	const char *provider = http_query(call, "provider");
	const char *q = http_query(call, "q");
	struct api_page *page;
	struct id id;

	if (!state_ok(call, state))
		return;
	page = xcalloc(1, sizeof *page);
	if (!api_page_read(call, 50, 200, page))
		free(page);
	else if (q != NULL && id_parse(q, &id))
		api_query(call, app->pg_engine, STMT_ADMIN_JOB_FIND,
		    PG_ARGS(id.text), on_found, page, free);
	else if (state != NULL)
		api_query(call, app->pg_engine, STMT_ADMIN_JOBS_IN,
		    PG_ARGS(state, provider, q, page->sort, page->id,
			page->limit_plus_1),
		    on_jobs, page, free);
	else
		api_query(call, app->pg_engine, STMT_ADMIN_JOBS,
		    PG_ARGS(
			provider, q, page->sort, page->id, page->limit_plus_1),
		    on_jobs, page, free);
}

/* ---- one, with all that is known ---- */

static void
detail_free(void *arg)
{
	struct json_object *obj = arg;

	json_free(&obj);
}

/* The rows as a member. */
static void
set_rows(struct json_object *obj, const char *name, const struct pg_rows *rows,
    api_row_fn *row_fn)
{
	struct json_object *list = json_new_arr(), *item;

	for (int i = 0; i < pg_count(rows); i++) {
		item = row_fn(rows, i, NULL);
		json_add_obj(list, &item);
	}
	json_set_arr(obj, name, &list);
}

static struct json_object *
entry_view(const struct pg_rows *rows, int row, void *arg)
{
	struct json_object *obj = json_new();

	api_set_int(obj, "id", rows, row, "id");
	api_set_text(obj, "type", rows, row, "type");
	api_set_int(obj, "amount", rows, row, "amount");
	api_set_int(obj, "balance_after", rows, row, "balance_after");
	api_set_text(obj, "note", rows, row, "note");
	api_set_time(obj, "created_at", rows, row, "created_ms");
	return obj;
}

static struct json_object *
attempt_view(const struct pg_rows *rows, int row, void *arg)
{
	return view_attempt(rows, row, true);
}

static void
on_ledger(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct json_object *obj = arg;

	set_rows(obj, "ledger", rows, entry_view);
	http_reply_json(call, 200, &obj);
}

static void
on_events(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	set_rows(arg, "events", rows, view_event);
	api_query(call, api_app(call)->pg_engine, STMT_ADMIN_JOB_LEDGER,
	    PG_ARGS(json_text_at(arg, "id")), on_ledger, arg, detail_free);
}

static void
on_attempts(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	set_rows(arg, "attempts", rows, attempt_view);
	api_query(call, api_app(call)->pg_engine, STMT_GENERATION_EVENTS,
	    PG_ARGS(json_text_at(arg, "id"), NULL, NULL, "500"), on_events, arg,
	    detail_free);
}

static void
on_job(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct json_object *obj;

	if (pg_count(rows) == 0) {
		api_not_found(call);
		return;
	}
	obj = admin_job_view(rows, 0, NULL);
	(void)view_waiting(obj, api_app(call)->catalogue, rows, 0, true);
	set_money(obj, rows);
	api_query(call, api_app(call)->pg_engine, STMT_GENERATION_ATTEMPTS,
	    PG_ARGS(json_text_at(obj, "id"), NULL), on_attempts, obj,
	    detail_free);
}

void
api_admin_job(struct http_call *call)
{
	struct id id;

	if (api_id(call, "id", &id))
		api_query(call, api_app(call)->pg_engine, STMT_ADMIN_JOB_GET,
		    PG_ARGS(id.text), on_job, NULL, NULL);
}

/* ---- cancel and retry ---- */

struct reason {
	char *reason;
};
static const struct json_field reason_fields[] = {
    JTEXT(struct reason, reason, 0, 500),
};

bool
admin_reason(struct http_call *call, char **out)
{
	struct reason in;
	struct json_object *doc;
	struct err err;

	if (!json_read(http_json(call), reason_fields, nitems(reason_fields),
		&in, &err)) {
		http_reply_err(call, &err);
		return false;
	}
	doc = json_new();
	json_set_text(doc, "reason", in.reason);
	*out = json_dump_text(doc);
	json_free(&doc);
	json_read_free(reason_fields, nitems(reason_fields), &in);
	return true;
}

static void
on_cancelled(struct act *act, const struct pg_rows *rows, const struct err *err)
{
	struct json_object *obj;
	const char *outcome;

	if (err != NULL) {
		act_err(act, err);
		return;
	}
	outcome = pg_text(rows, 0, "outcome");
	if (strcmp(outcome, "not_found") == 0) {
		act_refuse(act, ERR_NOT_FOUND, "", "There is no such job.");
	} else if (strcmp(outcome, "too_late") == 0) {
		act_refuse(act, ERR_CONFLICT, "too_late",
		    "It can't be cancelled any more: it is %s.",
		    pg_text(rows, 0, "status"));
	} else {
		if (strcmp(outcome, "cancelling") == 0)
			engine_cancel_hint(
			    act->app->engine, pg_text(rows, 0, "id"));
		obj = view_generation(rows, 0);
		admin_audit_reply(act, "generation.cancel", "generation",
		    pg_text(rows, 0, "id"), act->arg, &obj);
	}
}

void
api_admin_job_cancel(struct http_call *call)
{
	struct act *act;
	struct id id;
	char *reason;

	if (!api_id(call, "id", &id) || !admin_reason(call, &reason))
		return;
	act = act_new(call, reason, free);
	act_query(act, STMT_GENERATION_CANCEL,
	    PG_ARGS(id.text, NULL, act->user), on_cancelled);
}

static void
on_retried(struct act *act, const struct pg_rows *rows, const struct err *err)
{
	struct json_object *obj;

	if (err != NULL) {
		act_err(act, err);
	} else if (strcmp(pg_text(rows, 0, "outcome"), "created") == 0) {
		engine_wake(act->app->engine);
		obj = view_generation(rows, 0);
		admin_audit_reply(act, "generation.retry", "generation",
		    pg_text(rows, 0, "parent_id"), act->arg, &obj);
	} else {
		submitted(act, rows, 0, -1);
	}
}

void
api_admin_job_retry(struct http_call *call)
{
	struct id id, fresh = id_new();
	struct act *act;
	char *reason;

	if (!api_id(call, "id", &id) || !admin_reason(call, &reason))
		return;
	act = act_new(call, reason, free);
	act_query(act, STMT_GENERATION_RETRY,
	    PG_ARGS(
		id.text, NULL, fresh.text, NULL, NULL, NULL, NULL, NULL, NULL),
	    on_retried);
}

/* ---- POST /admin/review/{id}/resolve ---- */

static const char *const actions[] = {"charge", "refund", "deliver", NULL};
struct resolve {
	int action;
	char *note;
};
static const struct json_field resolve_fields[] = {
    JENUM(struct resolve, action, actions, JREQ),
    JTEXT(struct resolve, note, 0, 500),
};

static void
on_resolved(struct act *act, const struct pg_rows *rows, const struct err *err)
{
	struct json_object *obj;
	const char *outcome;

	if (err != NULL) {
		act_err(act, err);
		return;
	}
	outcome = pg_text(rows, 0, "outcome");
	if (strcmp(outcome, "not_found") == 0) {
		act_refuse(act, ERR_NOT_FOUND, "", "There is no such job.");
	} else if (strcmp(outcome, "not_review") == 0) {
		act_refuse(act, ERR_CONFLICT, "not_review",
		    "It is not in review: it is %s.",
		    pg_text(rows, 0, "status"));
	} else if (strcmp(outcome, "no_result") == 0) {
		act_refuse(act, ERR_CONFLICT, "no_result",
		    "Nothing is known that could be delivered.");
	} else {
		engine_wake(act->app->engine);
		obj = view_generation(rows, 0);
		json_set_text(obj, "outcome", outcome);
		act_reply(act, 200, &obj);
	}
}

void
api_admin_review_resolve(struct http_call *call)
{
	struct resolve in;
	struct act *act;
	struct err err;
	struct id id;

	if (!api_id(call, "id", &id))
		return;
	if (!json_read(http_json(call), resolve_fields, nitems(resolve_fields),
		&in, &err)) {
		http_reply_err(call, &err);
		return;
	}
	act = act_new(call, NULL, NULL);
	act_query(act, STMT_REVIEW_RESOLVE,
	    PG_ARGS(id.text, actions[in.action], act->user, in.note),
	    on_resolved);
	json_read_free(resolve_fields, nitems(resolve_fields), &in);
}
