/*
 * ops.c - is it alive, may it get requests, what is it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/handlers.h"
#include "api/internal.h"
#include "reeld/jobs.h"
#include "reeld/redis.h"
#include "reeld/storage.h"

/* The loop turns, or nobody would answer. */
void
api_livez(struct http_call *call)
{
	http_cache(call, "no-store");
	http_reply_text(call, 200, "ok\n");
}

struct ready {
	struct http_call *call;
	struct pg_query *query;
	struct json_object *checks;
	bool ok;
};

static bool
is_excluded(struct http_call *call, const char *name)
{
	const char *list = http_query(call, "exclude");
	size_t len = strlen(name);

	for (; list != NULL; list = strchr(list, ',')) {
		list += *list == ',';
		if (strncmp(list, name, len) == 0 &&
		    (list[len] == ',' || list[len] == '\0'))
			return true;
	}
	return false;
}

/* why: for operators; NULL: it is fine. */
static void
check(struct ready *self, const char *name, bool needed, const char *why)
{
	json_set_text(self->checks, name, why == NULL ? "ok" : why);
	if (why != NULL && needed && !is_excluded(self->call, name))
		self->ok = false;
}

static void
check_here(struct ready *self)
{
	struct app *app = api_app(self->call);
	struct err err;
	int fd;

	check(self, "draining", true,
	    http_server_draining(app->http) ? "going down" : NULL);
	check(self, "catalogue", true,
	    catalogue_ready(app->catalogue) ? NULL : "not loaded yet");
	check(self, "engine", true,
	    engine_is_up(app->engine) ? NULL : "not registered");
	/* Without Redis everything works, only slower. */
	check(self, "redis", false,
	    app->redis == NULL	       ? "not configured"
		: redis_up(app->redis) ? NULL
				       : "away");
	if (storage_temp_anon(app->storage, &fd, &err)) {
		close(fd);
		check(self, "storage", true,
		    storage_is_low(app->storage) ? "disk nearly full" : NULL);
	} else {
		check(self, "storage", true, err.msg);
	}
}

static void
ready_reply(struct ready *self)
{
	struct http_call *call = self->call;
	struct json_object *obj;
	int status = self->ok ? 200 : 503;

	http_cache(call, "no-store");
	if (http_query(call, "verbose") == NULL) {
		http_reply_text(
		    call, status, self->ok ? "ready\n" : "not ready\n");
	} else {
		obj = json_new();
		json_set_text(obj, "status", self->ok ? "ready" : "not ready");
		json_set_obj(obj, "checks", &self->checks);
		http_reply_json(call, status, &obj);
	}
	json_free(&self->checks);
	free(self);
}

static void
on_schema(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct ready *self = arg;
	int64_t version = err == NULL ? pg_i64(rows, 0, "version") : 0;
	char why[80];

	check(self, "database", true, err != NULL ? err->msg : NULL);
	snprintf(why, sizeof why,
	    "version %" PRId64 ", wanted %d: run reeld migrate", version,
	    PG_SCHEMA_VERSION);
	/* A newer one serves the release before it too: sql/README.md. */
	if (err == NULL)
		check(self, "schema", true,
		    version < PG_SCHEMA_VERSION ? why : NULL);
	ready_reply(self);
}

static void
on_ready_gone(void *arg)
{
	struct ready *self = arg;

	pg_query_cancel(&self->query);
	json_free(&self->checks);
	free(self);
}

void
api_readyz(struct http_call *call)
{
	struct app *app = api_app(call);
	struct ready *self = xcalloc(1, sizeof *self);

	self->call = call;
	self->checks = json_new();
	self->ok = true;
	check_here(self);
	if (!pg_pool_up(app->pg) || !pg_pool_up(app->pg_engine)) {
		check(self, "database", true, "away");
		ready_reply(self);
		return;
	}
	http_on_gone(call, on_ready_gone, self);
	pg_query_start(app->pg_engine, STMT_SCHEMA_VERSION, NULL, &self->query,
	    on_schema, self);
}

static void
on_version(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct json_object *obj = json_new();

	json_set_text(obj, "name", "reeld");
	json_set_text(obj, "version", api_app(call)->version);
	api_set_int(obj, "schema", rows, 0, "version");
	http_cache(call, "no-store");
	http_reply_json(call, 200, &obj);
}

void
api_version(struct http_call *call)
{
	api_query(call, api_app(call)->pg_engine, STMT_SCHEMA_VERSION, NULL,
	    on_version, NULL, NULL);
}
