/*
 * worker_files.c - a job's files: the images a worker starts from, and the
 * video it made, streamed to the staging directory and put in the store.
 */
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "api/worker.h"
#include "reeld/jobs.h"

struct upload {
	struct http_call *call;
	struct app *app;
	struct worker_call who;
	struct pg_query *query;
	struct engine_upload *put;
};

static void
upload_free(struct upload *self)
{
	pg_query_cancel(&self->query);
	engine_upload_cancel(&self->put);
	free(self);
}

static void
on_gone(void *arg)
{
	upload_free(arg);
}

static void
upload_fail(struct upload *self, const struct err *err)
{
	http_reply_err(self->call, err);
	upload_free(self);
}

static void
upload_refuse(
    struct upload *self, enum err_code code, const char *name, const char *text)
{
	struct err err;

	err_set_name(&err, code, name, "%s", text);
	upload_fail(self, &err);
}

/* False: the call was replied to and self is gone. */
static bool
upload_right(struct upload *self, const struct pg_rows *rows)
{
	const char *hash, *status;

	if (pg_count(rows) == 0 ||
	    !str_eq(pg_text(rows, 0, "provider"), "worker")) {
		upload_refuse(self, ERR_NOT_FOUND, "", "There is no such job.");
		return false;
	}
	hash = pg_text(rows, 0, "token_hash");
	if (self->who.token[0] != '\0' &&
	    (hash == NULL ||
		!secret_eq(hash, strlen(hash), self->who.token + 2, 64))) {
		upload_refuse(self, ERR_UNAUTHORIZED, "bad_token",
		    "This is not the token of the job.");
		return false;
	}
	status = pg_text(rows, 0, "called_status");
	if (!pg_bool(rows, 0, "attempt_current") ||
	    (!str_eq(status, "running") && !str_eq(status, "submitted"))) {
		upload_refuse(self, ERR_GONE, "gone",
		    "This job is over, cancelled, or another worker's.");
		return false;
	}
	return true;
}

static void
on_noted(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct upload *self = arg;
	const struct http_upload *file = http_upload(self->call, NULL);
	struct json_object *obj;
	char hex[65];

	if (err != NULL) {
		upload_fail(self, err);
		return;
	}
	if (strcmp(pg_text(rows, 0, "outcome"), "ok") != 0) {
		upload_refuse(self, ERR_GONE, "gone",
		    "This job is over, cancelled, or another worker's.");
		return;
	}
	obj = json_new();
	hex_encode(hex, file->sha256, sizeof file->sha256);
	json_set_int(obj, "size_bytes", file->size_bytes);
	json_set_text(obj, "sha256", hex);
	http_reply_json(self->call, 200, &obj);
	upload_free(self);
}

static void
on_put(const char *key, const struct err *err, void *arg)
{
	struct upload *self = arg;

	if (err != NULL) {
		upload_fail(self, err);
		return;
	}
	pg_query_start(self->app->pg_engine, STMT_WORKER_JOB_UPLOADED,
	    PG_ARGS(self->who.attempt.text,
		self->who.token[0] != '\0' ? self->who.token : NULL, key),
	    &self->query, on_noted, self);
}

static void
on_job(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct upload *self = arg;
	const struct http_upload *file = http_upload(self->call, NULL);

	if (err != NULL) {
		upload_fail(self, err);
		return;
	}
	if (!upload_right(self, rows))
		return;
	engine_upload_start(self->app->engine,
	    pg_text(rows, 0, "generation_id"),
	    &(struct engine_upload_in){.fd = file->fd,
		.size_bytes = file->size_bytes,
		.sha256 = file->sha256},
	    &self->put, on_put, self);
}

void
api_worker_upload(struct http_call *call)
{
	const struct http_upload *file = http_upload(call, NULL);
	struct worker_call who;
	struct upload *self;

	if (!worker_call_read(call, &who))
		return;
	if (file == NULL || file->size_bytes == 0) {
		api_refuse(call, ERR_BAD_INPUT, "empty", "The body is empty.");
		return;
	}
	self = xcalloc(1, sizeof *self);
	self->call = call;
	self->app = api_app(call);
	self->who = who;
	http_on_gone(call, on_gone, self);
	pg_query_start(self->app->pg_engine, STMT_JOB_BY_ATTEMPT,
	    PG_ARGS(who.attempt.text), &self->query, on_job, self);
}

/* ---- the images ---- */

static void
on_input(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	const char *which = http_arg(call, "which");
	bool start = strcmp(which, "start") == 0;
	const char *key, *hash, *token = arg;

	if (pg_count(rows) == 0 || (!start && strcmp(which, "end") != 0)) {
		api_not_found(call);
		free(arg);
		return;
	}
	key = pg_text(rows, 0, start ? "start_key" : "end_key");
	hash = pg_text(rows, 0, "token_hash");
	if (token[0] != '\0' &&
	    (hash == NULL || !secret_eq(hash, strlen(hash), token + 2, 64)))
		api_refuse(call, ERR_UNAUTHORIZED, "bad_token",
		    "This is not the token of the job.");
	else if (key == NULL)
		api_not_found(call);
	else
		api_reply_stored(call,
		    &(struct api_file){.key = key,
			.type = pg_text(
			    rows, 0, start ? "start_mime" : "end_mime")});
	free(arg);
}

void
api_worker_input(struct http_call *call)
{
	struct worker_call who;

	if (worker_call_read(call, &who))
		api_query(call, api_app(call)->pg_engine, STMT_JOB_BY_ATTEMPT,
		    PG_ARGS(who.attempt.text), on_input, xstrdup(who.token),
		    free);
}
