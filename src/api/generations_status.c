/*
 * generations_status.c - GET /generations/{id}/status: from the cache that
 * events keep right, else from the row; with ?wait= it waits for news.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "api/view.h"
#include "reeld/live.h"

enum { MAX_WAIT_S = 60 };

struct poll {
	struct http_call *call;
	struct app *app;
	struct id id;
	char user[ID_LEN + 1];
	int64_t version; /* what the client has; -1: nothing */
	struct live_wait *wait;
	struct pg_query *query;
	uint64_t stamp;
	bool last; /* waited enough: the next answer is sent */
};

static bool
is_over(const char *body, size_t len)
{
	static const char name[] = "\"status\":\"";
	static const char *const over[] = {
	    "completed\"", "failed\"", "cancelled\""};
	/* Quotes inside texts are escaped: only the member can match. */
	const char *at = memmem(body, len, name, sizeof name - 1);
	const char *value = at != NULL ? at + sizeof name - 1 : body + len;
	size_t left = (size_t)(body + len - value);

	for (size_t i = 0; i < nitems(over); i++) {
		size_t n = strlen(over[i]);

		if (n <= left && memcmp(value, over[i], n) == 0)
			return true;
	}
	return false;
}

static void
reply(struct http_call *call, const char *body, size_t len, int64_t version)
{
	char tag[32];

	snprintf(tag, sizeof tag, "v%" PRId64, version);
	http_etag(call, tag);
	http_cache(call, "private, no-cache");
	if (!is_over(body, len))
		http_reply_header(call, "Retry-After", "2");
	http_reply_bytes(call, 200, "application/json", body, len);
}

static void
poll_free(struct poll *self)
{
	live_wait_cancel(&self->wait);
	pg_query_cancel(&self->query);
	free(self);
}

static void
on_gone(void *arg)
{
	poll_free(arg);
}

/* True: it was news, and was sent. */
static bool
answer(struct poll *self, const char *body, size_t len, int64_t version)
{
	struct http_call *call = self->call;

	if (!self->last && version <= self->version && !is_over(body, len))
		return false;
	reply(call, body, len, version);
	poll_free(self);
	return true;
}

static void
on_row(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct poll *self = arg;
	struct json_object *status;
	struct buf body;
	int64_t version;

	if (err != NULL || pg_count(rows) == 0 ||
	    !str_eq(pg_text(rows, 0, "user_id"), self->user)) {
		if (err != NULL)
			http_reply_err(self->call, err);
		else
			api_not_found(self->call);
		poll_free(self);
		return;
	}
	version = pg_i64(rows, 0, "version");
	status = view_status(rows, 0);
	buf_init(&body, 64 * 1024);
	json_dump(status, &body);
	json_free(&status);
	live_status_put(self->app->live, self->id.text, self->user, version,
	    buf_str(&body), body.len, self->stamp);
	answer(self, buf_str(&body), body.len, version);
	buf_fini(&body);
}

static void
read_row(struct poll *self)
{
	self->stamp = live_status_stamp(self->app->live);
	pg_query_start(self->app->pg_engine, STMT_GENERATION_STATUS,
	    PG_ARGS(self->id.text), &self->query, on_row, self);
}

static void
on_wait(enum live_wait_result result, void *arg)
{
	struct poll *self = arg;
	struct live_status status;

	self->last = true;
	if (self->query != NULL)
		return; /* its row is sent when it is there */
	if (live_status_get(
		self->app->live, self->id.text, self->user, &status))
		answer(self, status.body, status.len, status.version);
	else
		read_row(self);
}

static bool
args_read(
    struct http_call *call, int64_t *wait_s, int64_t *version, struct err *err)
{
	return http_query_int(call, "wait", 0, MAX_WAIT_S, 0, wait_s, err) &&
	    http_query_int(call, "version", 0, INT64_MAX, -1, version, err);
}

void
api_generations_status(struct http_call *call)
{
	struct app *app = api_app(call);
	const char *me = api_me(call)->user;
	struct live_status status;
	int64_t wait_s, version;
	struct poll *self;
	struct err err;
	struct id id;
	bool cached;

	if (!api_id(call, "id", &id))
		return;
	if (!args_read(call, &wait_s, &version, &err)) {
		http_reply_err(call, &err);
		return;
	}
	cached = live_status_get(app->live, id.text, me, &status);
	if (cached &&
	    (wait_s == 0 || status.version > version ||
		is_over(status.body, status.len))) {
		reply(call, status.body, status.len, status.version);
		return;
	}
	self = xcalloc(1, sizeof *self);
	self->call = call;
	self->app = app;
	self->id = id;
	self->version = version;
	self->last = wait_s == 0;
	str_copy(self->user, sizeof self->user, me);
	http_on_gone(call, on_gone, self);
	/* First the wait, then the row: no change falls in between. */
	if (wait_s > 0)
		live_wait_start(app->live, id.text, version, wait_s * 1000,
		    &self->wait, on_wait, self);
	if (!cached)
		read_row(self);
}
