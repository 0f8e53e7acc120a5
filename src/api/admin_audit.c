/*
 * admin_audit.c - who did what: writing it down, and reading it; the books.
 */
#define LOG_MODULE "api"
#include <stdlib.h>

#include "api/admin.h"
#include "api/handlers.h"
#include "api/view.h"
#include "reeld/log.h"

/* The reply waits in the act for its line in the log. */
struct audited {
	void *arg;
	api_free_fn *arg_free;
	struct json_object *reply;
};

static void
audited_free(void *arg)
{
	struct audited *self = arg;

	if (self->arg_free != NULL)
		self->arg_free(self->arg);
	json_free(&self->reply);
	free(self);
}

static void
on_audited(struct act *act, const struct pg_rows *rows, const struct err *err)
{
	struct audited *self = act->arg;

	/* It was done all the same. */
	if (err != NULL)
		log_error("actor=%s msg=\"not in the audit log\" error=%s",
		    act->user, err_code_name(err));
	act_reply(act, 200, &self->reply);
}

void
admin_audit_reply(struct act *act, const char *action, const char *target_type,
    const char *target_id, const char *after, struct json_object **reply)
{
	struct audited *self = xcalloc(1, sizeof *self);
	char ip[67] = "";

	self->arg = act->arg;
	self->arg_free = act->arg_free;
	self->reply = *reply;
	*reply = NULL;
	act->arg = self;
	act->arg_free = audited_free;
	if (act->call != NULL)
		auth_ip_hash(act->app->auth, act->call, ip);
	act_query(act, STMT_AUDIT_ADD,
	    PG_ARGS(act->user, "user", action, target_type, target_id, NULL,
		after, ip[0] != '\0' ? ip : NULL),
	    on_audited);
}

/* ---- GET /admin/audit-log ---- */

static struct json_object *
entry_view(const struct pg_rows *rows, int row, void *arg)
{
	struct json_object *obj = json_new();

	api_set_int(obj, "id", rows, row, "id");
	api_set_text(obj, "actor_id", rows, row, "actor_id");
	api_set_text(obj, "actor_kind", rows, row, "actor_kind");
	api_set_text(obj, "action", rows, row, "action");
	api_set_text(obj, "target_type", rows, row, "target_type");
	api_set_text(obj, "target_id", rows, row, "target_id");
	api_set_json(obj, "before", rows, row, "before");
	api_set_json(obj, "after", rows, row, "after");
	api_set_time(obj, "created_at", rows, row, "created_ms");
	return obj;
}

static void
on_entries(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	api_page_reply(call, arg, rows, "id", NULL, entry_view, NULL);
	free(arg);
}

void
api_admin_audit_log(struct http_call *call)
{
	struct api_page *page = xcalloc(1, sizeof *page);

	if (!api_page_read(call, 50, 200, page)) {
		free(page);
		return;
	}
	api_query(call, api_app(call)->pg_engine, STMT_ADMIN_AUDIT_LOG,
	    PG_ARGS(http_query(call, "target_type"),
		http_query(call, "target_id"), page->sort, page->limit_plus_1),
	    on_entries, page, free);
}

/* ---- GET /admin/audit/ledger ---- */

static void
on_ledger(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct json_object *obj = json_new(), *lines = json_new_arr();
	bool ok = true;

	for (int i = 0; i < pg_count(rows); i++) {
		struct json_object *line = json_new();

		api_set_text(line, "name", rows, i, "name");
		api_set_int(line, "count", rows, i, "count");
		ok = ok && pg_i64(rows, i, "count") == 0;
		json_add_obj(lines, &line);
	}
	json_set_bool(obj, "ok", ok);
	json_set_arr(obj, "lines", &lines);
	http_reply_json(call, 200, &obj);
}

void
api_admin_audit_ledger(struct http_call *call)
{
	api_query(call, api_app(call)->pg_engine, STMT_LEDGER_AUDIT, NULL,
	    on_ledger, NULL, NULL);
}
