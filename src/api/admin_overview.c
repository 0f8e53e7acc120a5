/*
 * admin_overview.c - how it stands: counts, money of the day, queues,
 * instances, workers; and pausing a queue or a worker.
 */
#include <stdlib.h>
#include <string.h>

#include "api/admin.h"
#include "api/handlers.h"
#include "api/live_hooks.h"
#include "api/view.h"
#include "reeld/clock.h"
#include "reeld/jobs.h"

/* ---- GET /admin/queues ---- */

static struct json_object *
queue_view(const struct pg_rows *rows, int row, void *arg)
{
	struct json_object *obj = json_new();

	api_set_text(obj, "provider", rows, row, "provider");
	api_set_text(obj, "display_name", rows, row, "display_name");
	api_set_text(obj, "state", rows, row, "state");
	api_set_time(obj, "paused_until", rows, row, "paused_until_ms");
	api_set_text(obj, "paused_reason", rows, row, "paused_reason");
	api_set_json(obj, "limits", rows, row, "limits");
	api_set_int(obj, "queued", rows, row, "queued");
	api_set_int(obj, "pending", rows, row, "pending");
	api_set_int(obj, "running", rows, row, "running");
	api_set_int(obj, "waiting", rows, row, "waiting");
	api_set_int(obj, "uncertain", rows, row, "uncertain");
	api_set_time(obj, "oldest_at", rows, row, "oldest_ms");
	return obj;
}

static void
on_queues(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct json_object *obj = view_list(rows, queue_view, NULL);

	http_reply_json(call, 200, &obj);
}

void
api_admin_queues(struct http_call *call)
{
	api_query(call, api_app(call)->pg_engine, STMT_ADMIN_QUEUES, NULL,
	    on_queues, NULL, NULL);
}

/* ---- pause and resume: the SQL functions write the audit log ---- */

struct pause {
	char *until, *reason;
	struct json_int seconds;
};
static const struct json_field pause_fields[] = {
    JTEXT(struct pause, until, 1, 40),
    JINT(struct pause, seconds, 1, 366 * 86400),
    JTEXT(struct pause, reason, 0, 500),
};

bool
admin_pause_read(struct http_call *call, struct admin_pause *out)
{
	struct pause in;
	struct err err;
	bool ok = true;

	if (!json_read(http_json(call), pause_fields, nitems(pause_fields), &in,
		&err)) {
		http_reply_err(call, &err);
		return false;
	}
	out->until_ms =
	    in.seconds.set ? clock_wall_ms() + in.seconds.v * 1000 : 0;
	if (in.until != NULL &&
	    (in.seconds.set || !time_parse_rfc3339(in.until, &out->until_ms) ||
		out->until_ms <= clock_wall_ms())) {
		err_set_field(&err, ERR_INVALID, "bad_time", "#/until",
		    "until is a time to come, as 2026-11-21T10:00:00Z; or "
		    "give seconds.");
		http_reply_err(call, &err);
		ok = false;
	}
	out->reason = ok ? xstrdup(in.reason) : NULL;
	json_read_free(pause_fields, nitems(pause_fields), &in);
	return ok;
}

static void
on_switched(struct act *act, const struct pg_rows *rows, const struct err *err)
{
	struct json_object *obj;

	if (err != NULL) {
		act_err(act, err);
	} else if (strcmp(pg_text(rows, 0, "outcome"), "ok") != 0) {
		act_refuse(act, ERR_NOT_FOUND, "", "There is no such queue.");
	} else {
		catalogue_reload(act->app->catalogue);
		engine_wake(act->app->engine);
		obj = json_new();
		json_set_text(obj, "state", act->arg);
		act_reply(act, 200, &obj);
	}
}

void
api_admin_queue_pause(struct http_call *call)
{
	struct admin_pause pause;
	struct act *act;

	if (!admin_pause_read(call, &pause))
		return;
	act = act_new(call, xstrdup("paused"), free);
	act_query(act, STMT_PROVIDER_PAUSE,
	    PG_ARGS(http_arg(call, "provider"),
		pause.until_ms > 0 ? pg_num(pause.until_ms) : NULL,
		pause.reason, act->user),
	    on_switched);
	free(pause.reason);
}

void
api_admin_queue_resume(struct http_call *call)
{
	struct act *act = act_new(call, xstrdup("on"), free);

	act_query(act, STMT_PROVIDER_RESUME,
	    PG_ARGS(http_arg(call, "provider"), act->user), on_switched);
}

/* ---- workers ---- */

static void
on_workers(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct json_object *obj = view_list(rows, worker_view, NULL);

	http_reply_json(call, 200, &obj);
}

void
api_admin_workers(struct http_call *call)
{
	api_query(call, api_app(call)->pg_engine, STMT_WORKER_LIST, NULL,
	    on_workers, NULL, NULL);
}

struct drain {
	struct json_bool on;
};
static const struct json_field drain_fields[] = {JBOOL(struct drain, on)};

struct draining {
	struct id worker;
	bool on;
};

static void
on_drained(struct act *act, const struct pg_rows *rows, const struct err *err)
{
	struct draining *self = act->arg;
	struct json_object *obj;
	struct id worker = self->worker;
	bool on = self->on;

	if (err != NULL) {
		act_err(act, err);
	} else if (strcmp(pg_text(rows, 0, "outcome"), "ok") != 0) {
		act_refuse(act, ERR_NOT_FOUND, "", "There is no such worker.");
	} else {
		obj = json_new();
		json_set_text(obj, "id", worker.text);
		json_set_text(obj, "state", on ? "draining" : "online");
		admin_audit_reply(act, on ? "worker.drain" : "worker.resume",
		    "worker", worker.text, NULL, &obj);
	}
}

void
api_admin_worker_drain(struct http_call *call)
{
	struct draining *self;
	struct drain in;
	struct err err;
	struct id id;

	if (!api_id(call, "id", &id))
		return;
	if (!json_read(http_json(call), drain_fields, nitems(drain_fields), &in,
		&err)) {
		http_reply_err(call, &err);
		return;
	}
	self = xcalloc(1, sizeof *self);
	self->worker = id;
	self->on = !in.on.set || in.on.v;
	act_query(act_new(call, self, free), STMT_WORKER_DRAIN,
	    PG_ARGS(id.text, pg_yes(self->on)), on_drained);
}

/* ---- GET /admin/overview: one statement after the other ---- */

static void
overview_free(void *arg)
{
	struct json_object *obj = arg;

	json_free(&obj);
}

static struct json_object *
instance_view(const struct pg_rows *rows, int row)
{
	struct json_object *obj = json_new();

	api_set_text(obj, "id", rows, row, "id");
	api_set_text(obj, "name", rows, row, "name");
	api_set_text(obj, "version", rows, row, "version");
	api_set_bool(obj, "alive", rows, row, "alive");
	api_set_int(obj, "jobs", rows, row, "jobs");
	api_set_time(obj, "started_at", rows, row, "started_ms");
	api_set_time(obj, "beat_at", rows, row, "beat_ms");
	api_set_time(obj, "stopped_at", rows, row, "stopped_ms");
	return obj;
}

static void
on_instances(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct json_object *obj = arg, *list = json_new_arr(), *item;

	for (int i = 0; i < pg_count(rows); i++) {
		item = instance_view(rows, i);
		json_add_obj(list, &item);
	}
	json_set_arr(obj, "instances", &list);
	json_set_text(obj, "version", api_app(call)->version);
	http_reply_json(call, 200, &obj);
}

static void
on_overview_workers(
    struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct json_object *obj = arg, *workers = json_new();
	static const char *const states[] = {"online", "draining", "lost"};
	int64_t n[nitems(states)] = {0};

	for (int i = 0; i < pg_count(rows); i++)
		for (size_t s = 0; s < nitems(states); s++)
			n[s] += str_eq(pg_text(rows, i, "state"), states[s]);
	for (size_t s = 0; s < nitems(states); s++)
		json_set_int(workers, states[s], n[s]);
	json_set_obj(obj, "workers", &workers);
	api_query(call, api_app(call)->pg_engine, STMT_ADMIN_INSTANCES, NULL,
	    on_instances, obj, overview_free);
}

static void
on_overview_queues(
    struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct json_object *obj = arg, *list = json_new_arr(), *item;

	for (int i = 0; i < pg_count(rows); i++) {
		item = queue_view(rows, i, NULL);
		json_add_obj(list, &item);
	}
	json_set_arr(obj, "queues", &list);
	api_query(call, api_app(call)->pg_engine, STMT_WORKER_LIST, NULL,
	    on_overview_workers, obj, overview_free);
}

static void
on_money(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct json_object *obj = arg, *money = json_new();

	api_set_int(money, "spent", rows, 0, "spent");
	api_set_int(money, "refunded", rows, 0, "refunded");
	json_set_obj(obj, "money_24h", &money);
	api_set_int(obj, "results_expiring", rows, 0, "results_expiring");
	api_query(call, api_app(call)->pg_engine, STMT_ADMIN_QUEUES, NULL,
	    on_overview_queues, obj, overview_free);
}

static void
on_counts(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct json_object *obj = json_new(), *counts = json_new();
	int64_t oldest = 0, now = clock_wall_ms();

	for (int i = 0; i < pg_count(rows); i++) {
		const char *status = pg_text(rows, i, "status");

		json_set_int(counts, status, pg_i64(rows, i, "n"));
		if (strcmp(status, "queued") == 0)
			oldest = pg_i64(rows, i, "oldest_ms");
	}
	json_set_obj(obj, "counts", &counts);
	if (oldest > 0)
		json_set_int(obj, "oldest_queued_s",
		    now > oldest ? (now - oldest) / 1000 : 0);
	else
		json_set_null(obj, "oldest_queued_s");
	api_query(call, api_app(call)->pg_engine, STMT_ADMIN_MONEY, NULL,
	    on_money, obj, overview_free);
}

void
api_admin_overview(struct http_call *call)
{
	api_query(call, api_app(call)->pg_engine, STMT_ADMIN_COUNTS, NULL,
	    on_counts, NULL, NULL);
}
