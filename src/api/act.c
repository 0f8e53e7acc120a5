/* act.c - changes that outlive their client; see act.h. */
#include <stdio.h>
#include <stdlib.h>

#include "api/act.h"
#include "reeld/jobs.h"

void
act_end(struct act *act)
{
	if (act == NULL)
		return;
	if (act->call != NULL)
		http_on_gone(act->call, NULL, NULL);
	pg_query_cancel(&act->query);
	timer_fini(&act->timer);
	api_work_end(&act->work);
	if (act->arg_free != NULL)
		act->arg_free(act->arg);
	free(act);
}

static void
on_gone(void *arg)
{
	struct act *self = arg;

	self->call = NULL; /* and the work goes on */
}

static void
on_end(struct api_work *work)
{
	act_end((struct act *)work);
}

struct act *
act_new(struct http_call *call, void *arg, api_free_fn *arg_free)
{
	struct act *self = xcalloc(1, sizeof *self);
	const struct identity *me = api_me(call);

	self->app = api_app(call);
	self->call = call;
	self->role = me->role;
	self->arg = arg;
	self->arg_free = arg_free;
	str_copy(self->user, sizeof self->user, me->user);
	api_work_begin(self->app, &self->work, on_end);
	http_on_gone(call, on_gone, self);
	return self;
}

static void
on_rows(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct act *self = arg;

	if (err == NULL && pg_has(rows, "event"))
		for (int i = 0; i < pg_count(rows); i++)
			engine_publish(self->app->engine, rows, i);
	self->fn(self, rows, err);
}

void
act_query(struct act *act, enum pg_stmt stmt, const struct pg_params *params,
    act_fn *fn)
{
	act->fn = fn;
	pg_query_start(
	    act->app->pg_engine, stmt, params, &act->query, on_rows, act);
}

static void
on_later(void *arg)
{
	struct act *self = arg;

	self->later(self);
}

void
act_later(struct act *act, int64_t ms, void (*fn)(struct act *act))
{
	act->later = fn;
	timer_fini(&act->timer);
	timer_init(&act->timer, act->app->loop, "api later", on_later, act);
	timer_set_ms(&act->timer, ms);
}

/* The call to reply to, which ends with the reply; NULL: nobody waits. */
static struct http_call *
take_call(struct act *act)
{
	struct http_call *call = act->call;

	act->call = NULL;
	return call;
}

void
act_reply(struct act *act, int status, struct json_object **obj)
{
	struct http_call *call = take_call(act);

	if (call != NULL)
		http_reply_json(call, status, obj);
	json_free(obj);
	act_end(act);
}

void
act_no_content(struct act *act)
{
	struct http_call *call = take_call(act);

	if (call != NULL)
		http_reply_no_content(call);
	act_end(act);
}

void
act_err(struct act *act, const struct err *err)
{
	struct http_call *call = take_call(act);

	if (call != NULL)
		http_reply_err(call, err);
	act_end(act);
}

void
act_refuse(
    struct act *act, enum err_code code, const char *name, const char *fmt, ...)
{
	struct err err;
	char text[sizeof err.msg];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	err_set_name(&err, code, name, "%s", text);
	act_err(act, &err);
}
