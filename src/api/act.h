/*
 * act.h - a change that goes on when its client hangs up: the statement was
 * sent, so what it did must still be told to the listeners and the engine.
 */
#ifndef REELD_API_ACT_H
#define REELD_API_ACT_H

#include "api/internal.h"

struct act;
/*
 * rows or err, as in pg.h.  The events of the rows have been published.  Must
 * end the act (act_reply, act_err, act_end) or start its next statement.
 */
typedef void
act_fn(struct act *act, const struct pg_rows *rows, const struct err *err);

struct act {
	struct api_work work; /* first: what api_close() ends */
	struct app *app;
	struct http_call *call; /* NULL: the client is gone */
	char user[ID_LEN + 1];	/* the caller */
	enum role role;
	void *arg;
	/* internal */
	api_free_fn *arg_free;
	act_fn *fn;
	struct pg_query *query;
	struct loop_timer timer;
	void (*later)(struct act *act);
};

/* Arms http_on_gone(); takes arg. */
struct act *act_new(struct http_call *call, void *arg, api_free_fn *arg_free);
/* On the engine pool. */
void act_query(struct act *act, enum pg_stmt stmt,
    const struct pg_params *params, act_fn *fn);
/* Runs fn(act) after a pause. */
void act_later(struct act *act, int64_t ms, void (*fn)(struct act *act));
/* Replies, if somebody waits, and ends the act.  Takes *obj. */
void act_reply(struct act *act, int status, struct json_object **obj);
void act_no_content(struct act *act);
void act_err(struct act *act, const struct err *err);
void act_refuse(struct act *act, enum err_code code, const char *name,
    const char *fmt, ...) REELD_PRINTF(4, 5);
/* Without a reply (it was given); safe for NULL. */
void act_end(struct act *act);

#endif
