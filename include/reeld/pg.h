/*
 * pg.h - PostgreSQL on the loop: a pool of pipelined connections that run
 * the named statements of sql/stmt.
 *
 * pg_query_start() stores the new query in *slot.  The query is valid exactly
 * while *slot is non-NULL: this module clears *slot just before it calls
 * done(), and inside pg_query_cancel().  done() runs once, from the loop,
 * never from inside pg_query_start(); after a cancel it never runs.  A
 * cancelled statement is not stopped on the server: it drains unseen.
 *
 * Each query is a transaction of its own (one pipeline sync), so what must be
 * atomic is one statement or one SQL function.  The pool starts and goes on
 * without a server, and finds it when it comes back.
 */
#ifndef REELD_PG_H
#define REELD_PG_H

#include <stddef.h>
#include <stdint.h>

#include "pg/stmt_table.h" /* enum pg_stmt, made from sql/stmt */
#include "reeld/err.h"

struct json_object;
struct loop;
struct pg_pool;
struct pg_query;
struct pg_rows;

enum { PG_MAX_PARAMS = 48 };

struct pg_opts {
	const char *name;     /* for logs: "app" */
	const char *conninfo; /* URL or key=value words; copied */
	int size;	      /* connections */
	int max_waiting;    /* queries without a connection, beyond: refused */
	int64_t timeout_ms; /* deadline of one query */
	const char *session_sql; /* run on each new connection, or NULL */
};

/* Is it a URL or words that libpq can read?  It does not say what it read:
 * there may be a password in it. */
bool pg_conninfo_ok(const char *conninfo, struct err *err) REELD_MUST;
/* Never fails: without a server it tries for ever, with growing pauses. */
struct pg_pool *pg_pool_new(struct loop *loop, const struct pg_opts *opts);
/* Slots become NULL, done() is not called.  pool may be NULL. */
void pg_pool_free(struct pg_pool *pool);
/* At least one connection is ready. */
bool pg_pool_up(const struct pg_pool *pool);
/* fn(arg) from the loop whenever pg_pool_up() changed. */
void pg_pool_on_change(struct pg_pool *pool, void (*fn)(void *arg), void *arg);
/* Groups (pg_group.h) of several instances take turns: say_done tells the
 * others that a transaction of such a statement is over, and they call
 * pg_pool_others_done().  NULL: there are none, as at first. */
void pg_pool_set_others(struct pg_pool *pool,
    void (*say_done)(const char *stmt, void *arg), void *arg);
void pg_pool_others_done(struct pg_pool *pool, const char *stmt);

/* Text parameters, NULL for null; copied by pg_query_start(). */
struct pg_params {
	const char *actor; /* user id: row security applies as this user */
	const char *values[PG_MAX_PARAMS];
	size_t n;
};
#define PG_COUNT(...) (sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *))
#define PG_ARGS(...)                \
	(&(const struct pg_params){ \
	    .values = {__VA_ARGS__}, .n = PG_COUNT(__VA_ARGS__)})
#define PG_AS(user_id, ...)                            \
	(&(const struct pg_params){.actor = (user_id), \
	    .values = {__VA_ARGS__},                   \
	    .n = PG_COUNT(__VA_ARGS__)})
/* A number or truth value as a parameter; lives in a ring of 64 static
 * buffers: for use inside PG_ARGS(). */
const char *pg_num(int64_t value);
const char *pg_yes(bool value);

/*
 * err is NULL on success; rows and err die when the callback returns.
 * err names: db_unavailable (ERR_UNAVAILABLE: it was not run, try later),
 * db_unknown (ERR_UNAVAILABLE: it was sent and the answer is lost: it may
 * have been committed), db_busy (ERR_UNAVAILABLE with retry_after_s: the
 * wait queue is full), db_locked (ERR_UNAVAILABLE: somebody held a row for too
 * long, it was rolled back), db_timeout (ERR_TIMEOUT: the server gave up and
 * rolled back), db_conflict (ERR_CONFLICT: unique, foreign key, exclusion),
 * db_refused (ERR_INVALID: a check or a raised exception), db_rule
 * (ERR_INTERNAL: a business function or trigger says that the caller broke a
 * rule), db_error (ERR_INTERNAL).  Deadlocks and serialisation failures are run
 * again here.
 */
typedef void
pg_done_fn(const struct pg_rows *rows, const struct err *err, void *arg);

/* The database looked at the statement and said no (db_conflict, db_refused,
 * db_rule): the same again would be refused again. */
bool pg_refused(const struct err *err);

/* params may be NULL when the statement has none.  A wrong number of
 * parameters is a programming mistake. */
void pg_query_start(struct pg_pool *pool, enum pg_stmt stmt,
    const struct pg_params *params, struct pg_query **slot, pg_done_fn *done,
    void *arg);
void pg_query_cancel(struct pg_query **slot); /* *slot may be NULL */
/* What was started is sent now, and not at the end of the turn: for who has
 * much to do in it.  No callback runs inside. */
void pg_pool_send(struct pg_pool *pool);

/* Rows.  An unknown column is a programming mistake.  NULL reads as NULL, 0
 * or false; text is borrowed from the rows. */
int pg_count(const struct pg_rows *rows);
bool pg_null(const struct pg_rows *rows, int row, const char *column);
const char *pg_text(const struct pg_rows *rows, int row, const char *column);
int64_t pg_i64(const struct pg_rows *rows, int row, const char *column);
double pg_num_f(const struct pg_rows *rows, int row, const char *column);
bool pg_bool(const struct pg_rows *rows, int row, const char *column);
/* A json or jsonb column, parsed: the caller's to free; NULL for null. */
struct json_object *
pg_json(const struct pg_rows *rows, int row, const char *column);
bool pg_has(const struct pg_rows *rows, const char *column);

/* One row of our own, for who reads rows.  Names and values are copied; NULL
 * is null.  The caller's to free. */
struct pg_cell {
	const char *column, *value;
};
struct pg_rows *pg_rows_new(const struct pg_cell *cells, size_t n);
void pg_rows_free(struct pg_rows *rows); /* of pg_rows_new(); may be NULL */

/* The statement's text, for tools that run it over another connection. */
const char *pg_stmt_name(enum pg_stmt stmt);
const char *pg_stmt_sql(enum pg_stmt stmt);
int pg_stmt_params(enum pg_stmt stmt);

struct pg_stats {
	int ready, connecting, waiting, in_flight, orphans;
	uint64_t queries, errors, timeouts, retries, connects, disconnects;
	/* Per statement: how many, and how long in all. */
	struct {
		uint64_t count;
		int64_t total_us;
	} by_stmt[PG_STMT_COUNT];
};
void pg_pool_stats(const struct pg_pool *pool, struct pg_stats *out);

#endif
