/*
 * once.c - POSTs that must not happen twice: the Idempotency-Key, the stored
 * reply, and work that goes on when its client hangs up.
 */
#define LOG_MODULE "api"
#include <stdlib.h>
#include <string.h>

#include "api/internal.h"
#include "reeld/log.h"
#include "reeld/token.h"

enum { MAX_KEY = 255 };

char *
api_idempotency_parse(const char *text, bool *bad)
{
	size_t len = text != NULL ? strlen(text) : 0;

	*bad = false;
	if (text == NULL)
		return NULL;
	/* A structured-field string, or the bare text. */
	if (len >= 2 && text[0] == '"' && text[len - 1] == '"') {
		text++;
		len -= 2;
	}
	*bad = len == 0 || len > MAX_KEY;
	for (size_t i = 0; i < len && !*bad; i++)
		*bad = text[i] < 0x21 || text[i] > 0x7e || text[i] == '"' ||
		    text[i] == '\\';
	return *bad ? NULL : xstrndup(text, len);
}

char *
api_idempotency_key(const struct http_call *call, bool *bad)
{
	return api_idempotency_parse(http_header(call, "Idempotency-Key"), bad);
}

static void
once_free(struct api_once *once)
{
	pg_query_cancel(&once->query);
	if (once->call != NULL)
		http_on_gone(once->call, NULL, NULL);
	api_work_end(&once->running);
	if (once->arg_free != NULL)
		once->arg_free(once->arg);
	json_free(&once->reply);
	free(once->key);
	free(once);
}

static void
on_end(struct api_work *work)
{
	once_free((struct api_once *)work);
}

static void
on_gone(void *arg)
{
	struct api_once *self = arg;

	self->call = NULL; /* and the work goes on */
}

/* The last reply of the call, if somebody still waits for it. */
static void
answer(struct api_once *self, const struct err *err)
{
	struct http_call *call = self->call;

	self->call = NULL;
	if (call == NULL)
		return;
	if (err != NULL)
		http_reply_err(call, err);
	else
		http_reply_json(call, self->status, &self->reply);
}

static void
on_done(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct api_once *self = arg;

	if (err != NULL)
		log_warn("route=%s msg=\"reply not stored\" error=%s",
		    self->route, err_code_name(err));
	answer(self, NULL);
	once_free(self);
}

void
api_once_reply(struct api_once *once, int status, struct json_object **obj)
{
	char *text;

	once->status = status;
	once->reply = *obj;
	*obj = NULL;
	if (once->key == NULL) {
		answer(once, NULL);
		once_free(once);
		return;
	}
	text = json_dump_text(once->reply);
	pg_query_start(once->app->pg_engine, STMT_IDEMPOTENCY_DONE,
	    PG_ARGS(once->user, once->route, once->key, pg_num(status), text),
	    &once->query, on_done, once);
	free(text);
}

struct dropped {
	struct api_once *once;
	struct err err;
};

static void
on_dropped(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct dropped *self = arg;

	/* A key that could not be freed says "running" until it is pruned. */
	if (err != NULL)
		log_warn("route=%s msg=\"key not freed\" error=%s",
		    self->once->route, err_code_name(err));
	answer(self->once, &self->err);
	self->once->arg = NULL;
	once_free(self->once);
	free(self);
}

void
api_once_err(struct api_once *once, const struct err *err)
{
	struct dropped *self;

	if (once->key == NULL) {
		answer(once, err);
		once_free(once);
		return;
	}
	if (once->arg_free != NULL)
		once->arg_free(once->arg);
	self = xcalloc(1, sizeof *self);
	self->once = once;
	self->err = *err;
	/* From here on arg is this, so that a shutdown frees it too. */
	once->arg = self;
	once->arg_free = free;
	pg_query_start(once->app->pg_engine, STMT_IDEMPOTENCY_DROP,
	    PG_ARGS(once->user, once->route, once->key), &once->query,
	    on_dropped, self);
}

static void
on_rows(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct api_once *self = arg;

	if (err != NULL)
		api_once_err(self, err);
	else
		self->rows_fn(self, rows);
}

void
api_once_query(struct api_once *once, struct pg_pool *pool, enum pg_stmt stmt,
    const struct pg_params *params, api_once_rows_fn *fn)
{
	once->rows_fn = fn;
	pg_query_start(pool, stmt, params, &once->query, on_rows, once);
}

static void
refuse(struct api_once *self, enum err_code code, const char *name,
    int retry_after_s, const char *text)
{
	struct err err;

	err_set_name(&err, code, name, "%s", text);
	err.retry_after_s = retry_after_s;
	answer(self, &err);
	once_free(self);
}

static void
replay(struct api_once *self, const struct pg_rows *rows)
{
	if (self->call != NULL)
		http_reply_header(self->call, "Idempotent-Replayed", "true");
	self->status = (int)pg_i64(rows, 0, "status");
	self->reply = pg_json(rows, 0, "reply");
	answer(self, NULL);
	once_free(self);
}

static void
on_begun(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct api_once *self = arg;
	const char *outcome;

	if (err != NULL) {
		answer(self, err);
		once_free(self);
		return;
	}
	outcome = pg_text(rows, 0, "outcome");
	if (strcmp(outcome, "fresh") == 0)
		self->work(self);
	else if (strcmp(outcome, "replayed") == 0)
		replay(self, rows);
	else if (strcmp(outcome, "mismatch") == 0)
		refuse(self, ERR_INVALID, "idempotency_mismatch", 0,
		    "This Idempotency-Key was used with another body.");
	else
		refuse(self, ERR_CONFLICT, "idempotency_running", 1,
		    "A request with this Idempotency-Key is still running.");
}

/* The body and whom it is for. */
static void
hash_request(const struct http_call *call, char out[67])
{
	const char *path = http_path(call), *body;
	uint8_t sum[2][32], both[32];
	size_t len;

	body = http_body(call, &len);
	sha256(path, strlen(path), sum[0]);
	sha256(body, len, sum[1]);
	sha256(sum, sizeof sum, both);
	hash_to_bytea(both, out);
}

void
api_once_start(struct http_call *call, const char *route, bool required,
    api_once_fn *work, void *arg, api_free_fn *arg_free)
{
	struct app *app = api_app(call);
	struct api_once *self;
	char hash[67];
	bool bad;
	char *key = api_idempotency_key(call, &bad);

	if (bad || (required && key == NULL)) {
		api_refuse(call, ERR_BAD_INPUT,
		    bad ? "bad_idempotency_key" : "idempotency_key_required",
		    bad ? "The Idempotency-Key is 1 to 255 printable ASCII "
			  "characters."
			: "This request needs an Idempotency-Key header.");
		if (arg_free != NULL)
			arg_free(arg);
		return;
	}
	self = xcalloc(1, sizeof *self);
	self->app = app;
	self->call = call;
	self->route = route;
	self->key = key;
	self->work = work;
	self->arg = arg;
	self->arg_free = arg_free;
	str_copy(self->user, sizeof self->user, api_me(call)->user);
	auth_ip_hash(app->auth, call, self->ip_hash);
	api_work_begin(app, &self->running, on_end);
	http_on_gone(call, on_gone, self);
	if (key == NULL) {
		work(self);
		return;
	}
	hash_request(call, hash);
	pg_query_start(app->pg_engine, STMT_IDEMPOTENCY_BEGIN,
	    PG_ARGS(self->user, route, key, hash), &self->query, on_begun,
	    self);
}
