/* sessions.c - the caller's sign-ins, and tickets for the WebSocket. */
#include <string.h>

#include "api/handlers.h"
#include "api/internal.h"
#include "reeld/token.h"

static struct json_object *
show(const struct pg_rows *rows, int row, void *arg)
{
	const struct identity *me = arg;
	struct json_object *item = json_new();

	api_set_text(item, "id", rows, row, "id");
	json_set_bool(item, "current",
	    strcmp(pg_text(rows, row, "id"), me->session) == 0);
	api_set_text(item, "user_agent", rows, row, "user_agent");
	api_set_time(item, "created_at", rows, row, "created_ms");
	api_set_time(item, "seen_at", rows, row, "seen_ms");
	api_set_time(item, "expires_at", rows, row, "expires_ms");
	return item;
}

static void
on_list(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	static const struct api_page all = {.limit = 1000};
	struct identity me = *api_me(call);

	api_page_reply(call, &all, rows, "seen_ms", "id", show, &me);
}

void
api_sessions_list(struct http_call *call)
{
	const char *user = api_me(call)->user;

	api_query(call, api_app(call)->pg, STMT_SESSION_LIST, PG_AS(user, user),
	    on_list, NULL, NULL);
}

static void
on_revoked(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	if (pg_count(rows) == 0) {
		api_not_found(call);
		return;
	}
	auth_changed_session(api_app(call)->auth, pg_text(rows, 0, "id"));
	http_reply_no_content(call);
}

void
api_sessions_delete(struct http_call *call)
{
	const char *user = api_me(call)->user;
	struct id id;

	if (api_id(call, "id", &id))
		api_query(call, api_app(call)->pg_engine, STMT_SESSION_REVOKE,
		    PG_ARGS(id.text, user), on_revoked, NULL, NULL);
}

void
api_ws_ticket(struct http_call *call)
{
	char ticket[TOKEN_LEN + 1];
	struct json_object *reply;
	struct err err;

	if (!auth_ticket_new(api_app(call)->auth, api_me(call), ticket,
		sizeof ticket, &err)) {
		http_reply_err(call, &err);
		return;
	}
	reply = json_new();
	json_set_text(reply, "ticket", ticket);
	json_set_int(reply, "expires_in_s", AUTH_TICKET_MS / 1000);
	http_reply_json(call, 200, &reply);
}
