/* me.c - GET and PATCH /me, GET /me/limits. */
#include <string.h>

#include "api/enhance.h"
#include "api/handlers.h"
#include "api/internal.h"
#include "reeld/conf.h"

static struct json_object *
scopes_of(const struct identity *me)
{
	struct json_object *list = json_new_arr();
	const char *name;
	unsigned bit;

	for (size_t i = 0; (name = scope_name_at(i, &bit)) != NULL; i++) {
		if (me->scopes & bit)
			json_add_text(list, name);
	}
	return list;
}

static void
on_me(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	const struct identity *me = api_me(call);
	struct json_object *reply = json_new(), *limits = json_new();
	struct json_object *scopes = scopes_of(me);

	api_set_text(reply, "id", rows, 0, "id");
	api_set_text(reply, "email", rows, 0, "email");
	api_set_text(reply, "name", rows, 0, "name");
	json_set_text(reply, "role", role_name(me->role));
	api_set_int(reply, "balance", rows, 0, "balance");
	api_set_int(limits, "concurrent", rows, 0, "concurrent_limit");
	json_set_obj(reply, "limits", &limits);
	json_set_arr(reply, "scopes", &scopes);
	json_set_text(
	    reply, "auth", me->kind == IDENTITY_KEY ? "api_key" : "session");
	api_set_json(reply, "preferences", rows, 0, "preferences");
	api_set_time(reply, "created_at", rows, 0, "created_ms");
	http_reply_json(call, 200, &reply);
}

static void
reply_me(struct http_call *call)
{
	const char *user = api_me(call)->user;

	api_query(call, api_app(call)->pg_engine, STMT_USER_GET, PG_ARGS(user),
	    on_me, NULL, NULL);
}

void
api_me_get(struct http_call *call)
{
	reply_me(call);
}

struct patch {
	char *name;
};
static const struct json_field patch_fields[] = {
    JTEXT(struct patch, name, 0, 200, JREQ),
};

static void
on_patched(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	if (strcmp(pg_text(rows, 0, "outcome"), "updated") != 0)
		api_not_found(call);
	else
		reply_me(call);
}

void
api_me_patch(struct http_call *call)
{
	const char *user = api_me(call)->user;
	struct patch patch;
	struct err err;

	if (!json_read(http_json(call), patch_fields, nitems(patch_fields),
		&patch, &err)) {
		http_reply_err(call, &err);
		return;
	}
	api_query(call, api_app(call)->pg_engine, STMT_USER_UPDATE,
	    PG_ARGS(user, patch.name, NULL, NULL, NULL, user), on_patched, NULL,
	    NULL);
	json_read_free(patch_fields, nitems(patch_fields), &patch);
}

static void
add_rate(struct json_object *obj, const char *name, int64_t count,
    int64_t per_s, int64_t burst)
{
	struct json_object *rate = json_new();

	json_set_int(rate, "requests", count);
	json_set_int(rate, "seconds", per_s);
	json_set_int(rate, "burst", burst);
	json_set_obj(obj, name, &rate);
}

static void
on_limits(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	const struct app *app = api_app(call);
	const struct conf *conf = app->conf;
	struct json_object *reply = json_new(), *jobs = json_new();
	struct json_object *rates = json_new(), *enhance = json_new();

	json_set_int(jobs, "concurrent", pg_i64(rows, 0, "concurrent_limit"));
	json_set_int(jobs, "active", pg_i64(rows, 0, "active"));
	json_set_int(jobs, "waiting", pg_i64(rows, 0, "waiting"));
	json_set_int(jobs, "waiting_limit",
	    catalogue_config_int(app->catalogue, "video_waiting_limit", 10000));
	json_set_obj(reply, "generations", &jobs);
	add_rate(rates, "submit", conf->limits.submit_per_minute, 60,
	    conf->limits.submit_burst);
	add_rate(rates, "read", conf->limits.read_per_second, 1,
	    conf->limits.read_burst);
	add_rate(rates, "upload", conf->limits.upload_per_hour, 3600,
	    (conf->limits.upload_per_hour + 3) / 4);
	json_set_obj(reply, "rates", &rates);
	json_set_bool(enhance, "available", api_can_enhance(app));
	json_set_int(enhance, "per_day", conf->enhance.per_day);
	json_set_obj(reply, "enhance", &enhance);
	http_reply_json(call, 200, &reply);
}

void
api_me_limits(struct http_call *call)
{
	api_query(call, api_app(call)->pg_engine, STMT_USER_GET,
	    PG_ARGS(api_me(call)->user), on_limits, NULL, NULL);
}
