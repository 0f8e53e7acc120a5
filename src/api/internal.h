/*
 * internal.h - what the handlers of src/api share.
 *
 * A handler reads its input, starts one statement with api_query() and
 * replies in its callback.  api_query() arms http_on_gone(), answers errors of
 * the database, and cancels when the client hangs up; so a handler needs no
 * state of its own unless it has something to remember (arg).
 */
#ifndef REELD_API_INTERNAL_H
#define REELD_API_INTERNAL_H

#include "reeld/api.h"
#include "reeld/err.h"
#include "reeld/json.h"
#include "reeld/mem.h"
#include "reeld/pg.h"

struct app *api_app(const struct http_call *call);
/* The caller; never NULL (on routes for visitors it may be one). */
const struct identity *api_me(const struct http_call *call);
/* Path parameter as an id; false: replied 404 (nothing has such an id). */
bool
api_id(struct http_call *call, const char *name, struct id *out) REELD_MUST;
/* Replies err and returns false, for `return api_refuse(...)`. */
bool api_refuse(struct http_call *call, enum err_code code, const char *name,
    const char *fmt, ...) REELD_PRINTF(4, 5);
void api_not_found(struct http_call *call);

/* ---- one statement ---- */

typedef void api_free_fn(void *arg);
/* Takes arg.  Must reply, or start something that does. */
typedef void
api_rows_fn(struct http_call *call, const struct pg_rows *rows, void *arg);

/*
 * Runs stmt on the pool and calls fn with its rows.  When the statement fails
 * the error is replied; then, and when the client hangs up, arg goes to
 * arg_free (may be NULL) instead.
 */
void api_query(struct http_call *call, struct pg_pool *pool, enum pg_stmt stmt,
    const struct pg_params *params, api_rows_fn *fn, void *arg,
    api_free_fn *arg_free);
/* One row as the caller: statement of the app pool whose rows are the
 * caller's; no row: 404. */
void api_query_mine(struct http_call *call, enum pg_stmt stmt,
    const struct pg_params *params, api_rows_fn *fn, void *arg,
    api_free_fn *arg_free);

/* ---- pages ---- */

/* Where a page goes on: a sort value and an id ("" where the sort value alone
 * is unique), as opaque text. */
struct api_cursor {
	int64_t sort;
	struct id id;
};
enum { API_CURSOR_LEN = 96 };
void
api_cursor_encode(const struct api_cursor *cursor, char out[API_CURSOR_LEN]);
bool api_cursor_decode(
    const char *text, struct api_cursor *out, struct err *err) REELD_MUST;

/* ?limit= and ?cursor= as parameters of a statement that asks for one row
 * more than the page. */
struct api_page {
	int64_t limit;
	char limit_plus_1[24];
	const char *sort; /* NULL: from the start */
	const char *id;	  /* NULL: from the start, or no id in the cursor */
	char sort_text[24];
	struct api_cursor cursor;
};
/* False: replied. */
bool api_page_read(struct http_call *call, int64_t fallback, int64_t max,
    struct api_page *out) REELD_MUST;

typedef struct json_object *
api_row_fn(const struct pg_rows *rows, int row, void *arg);
/*
 * Replies {"data","next_cursor","has_more"} and a Link header.  sort and id
 * (may be NULL) name the cursor's columns.
 */
void api_page_reply(struct http_call *call, const struct api_page *page,
    const struct pg_rows *rows, const char *sort, const char *id,
    api_row_fn *row_fn, void *arg);

/* ---- work that outlives its client ---- */

/* Embedded first in what goes on after a hang-up, so that a shutdown can end
 * it.  api_work_end() unlinks it; end() is called by api_close() only, must
 * do that too, and frees it. */
struct api_work {
	struct api_work *next, **prev;
	void (*end)(struct api_work *work);
};
void api_work_begin(
    struct app *app, struct api_work *work, void (*end)(struct api_work *work));
void api_work_end(struct api_work *work);

/* ---- POSTs that must not happen twice ---- */

/*
 * Work that is done once per Idempotency-Key, also when the client hangs up
 * in the middle (call is then NULL: nothing but this struct may be used).
 * Its reply is stored and replayed for 24 h.  The SQL function that does the
 * work must know the key too, so that doing it again changes nothing: that
 * happens when an answer was lost, or a process died before the reply was
 * stored.
 */
struct api_once {
	struct api_work running; /* internal */
	struct app *app;
	struct http_call *call; /* NULL: the client is gone */
	char user[ID_LEN + 1];	/* the caller */
	char *key;		/* NULL: none was given */
	char ip_hash[67];
	void *arg;
	/* internal */
	const char *route;
	api_free_fn *arg_free;
	struct pg_query *query;
	void (*work)(struct api_once *once);
	void (*rows_fn)(struct api_once *once, const struct pg_rows *rows);
	int status;
	struct json_object *reply;
};
typedef void api_once_fn(struct api_once *once);
typedef void
api_once_rows_fn(struct api_once *once, const struct pg_rows *rows);

/* The key of the request, unquoted, or NULL (*bad: it is malformed). */
char *api_idempotency_key(const struct http_call *call, bool *bad);
char *api_idempotency_parse(const char *header, bool *bad);
/*
 * Starts work(once), which ends with api_once_reply() or api_once_err().
 * Takes arg.  route: a fixed name, the key's space.  required: 400 without a
 * key.
 */
void api_once_start(struct http_call *call, const char *route, bool required,
    api_once_fn *work, void *arg, api_free_fn *arg_free);
/* A statement of the work; its failure ends it with that error. */
void api_once_query(struct api_once *once, struct pg_pool *pool,
    enum pg_stmt stmt, const struct pg_params *params, api_once_rows_fn *fn);
/* Stores and replies; takes *obj.  once is gone after these. */
void
api_once_reply(struct api_once *once, int status, struct json_object **obj);
/* Frees the key and replies: nothing was done, or it may be done again. */
void api_once_err(struct api_once *once, const struct err *err);

/* ---- small readers of rows ---- */

/* Sets name from a text, bigint (ms since 1970 -> RFC 3339) or jsonb column;
 * null stays null. */
void api_set_text(struct json_object *obj, const char *name,
    const struct pg_rows *rows, int row, const char *column);
void api_set_int(struct json_object *obj, const char *name,
    const struct pg_rows *rows, int row, const char *column);
void api_set_bool(struct json_object *obj, const char *name,
    const struct pg_rows *rows, int row, const char *column);
void api_set_time(struct json_object *obj, const char *name,
    const struct pg_rows *rows, int row, const char *column);
void api_set_json(struct json_object *obj, const char *name,
    const struct pg_rows *rows, int row, const char *column);

/* ---- files ---- */

/* Replies a stored object: from disk with Range, from a bucket by a redirect.
 * Copies what file points to. */
struct api_file {
	const char *key, *type;
	const char *etag;     /* NULL: none */
	const char *filename; /* NULL: none */
	bool attachment;
	const char *cache; /* NULL: "private, no-store" */
};
void api_reply_stored(struct http_call *call, const struct api_file *file);

/* ---- reading an order (POST /generations, POST /estimate) ---- */

struct gen_spec;
struct price_quote;
/* The request's own fields beside the spec. */
struct api_order {
	const struct catalogue_model *model; /* borrowed for this turn */
	struct gen_spec *spec;		     /* owned */
	struct price_quote *quote;	     /* owned */
	char *title;			     /* owned, NULL: none */
	struct id project;		     /* "" none */
	int64_t max_credits;		     /* -1: not given */
};
/*
 * Reads the body, finds the model, checks and completes the spec, prices it.
 * Does not look at images in the database.  estimate: a prompt may be
 * missing, and the model unavailable.  On failure nothing is left.
 */
bool api_order_read(struct http_call *call, bool estimate,
    struct api_order *out, struct err *err) REELD_MUST;
void api_order_fini(struct api_order *order); /* safe twice */

#endif
