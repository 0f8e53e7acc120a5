/*
 * call.c - what every handler starts with: the app, the caller, path ids,
 * and one statement whose rows make the reply.
 */
#include <stdio.h>
#include <stdlib.h>

#include "api/internal.h"
#include "api/worker.h"

struct app *
api_app(const struct http_call *call)
{
	return http_app(call);
}

const struct identity *
api_me(const struct http_call *call)
{
	return auth_identity(call);
}

enum http_gate
api_gate(struct http_call *call)
{
	/* Before a body is taken: forged job tokens end here. */
	if ((http_route(call)->flags & AUTH_JOB_TOKEN) != 0 &&
	    !worker_token_ok(call)) {
		api_refuse(call, ERR_UNAUTHORIZED, "bad_token",
		    "This is not the token of the job.");
		return GATE_DONE;
	}
	return auth_gate(api_app(call)->auth, call);
}

bool
api_refuse(struct http_call *call, enum err_code code, const char *name,
    const char *fmt, ...)
{
	struct err err;
	char text[sizeof err.msg];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	err_set_name(&err, code, name, "%s", text);
	http_reply_err(call, &err);
	return false;
}

void
api_not_found(struct http_call *call)
{
	api_refuse(call, ERR_NOT_FOUND, "", "There is no such thing here.");
}

bool
api_id(struct http_call *call, const char *name, struct id *out)
{
	if (id_parse(http_arg(call, name), out))
		return true;
	api_not_found(call);
	return false;
}

struct step {
	struct http_call *call;
	struct pg_query *query;
	api_rows_fn *fn;
	void *arg;
	api_free_fn *arg_free;
	bool one_row;
};

static void
step_free(struct step *self)
{
	pg_query_cancel(&self->query);
	if (self->arg_free != NULL)
		self->arg_free(self->arg);
	free(self);
}

static void
on_gone(void *arg)
{
	step_free(arg);
}

static void
on_rows(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct step *self = arg;
	struct step was = *self;

	if (err != NULL) {
		http_reply_err(self->call, err);
		step_free(self);
	} else if (self->one_row && pg_count(rows) == 0) {
		api_not_found(self->call);
		step_free(self);
	} else {
		http_on_gone(self->call, NULL, NULL);
		free(self);
		was.fn(was.call, rows, was.arg);
	}
}

static void
step_start(struct http_call *call, struct pg_pool *pool, enum pg_stmt stmt,
    const struct pg_params *params, const struct step *what)
{
	struct step *self = xmemdup(what, sizeof *what);

	self->call = call;
	http_on_gone(call, on_gone, self);
	pg_query_start(pool, stmt, params, &self->query, on_rows, self);
}

void
api_query(struct http_call *call, struct pg_pool *pool, enum pg_stmt stmt,
    const struct pg_params *params, api_rows_fn *fn, void *arg,
    api_free_fn *arg_free)
{
	step_start(call, pool, stmt, params,
	    &(struct step){.fn = fn, .arg = arg, .arg_free = arg_free});
}

void
api_query_mine(struct http_call *call, enum pg_stmt stmt,
    const struct pg_params *params, api_rows_fn *fn, void *arg,
    api_free_fn *arg_free)
{
	step_start(call, api_app(call)->pg, stmt, params,
	    &(struct step){
		.fn = fn, .arg = arg, .arg_free = arg_free, .one_row = true});
}
