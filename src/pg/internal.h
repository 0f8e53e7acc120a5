/* internal.h - what the files of src/pg share. */
#ifndef PG_INTERNAL_H
#define PG_INTERNAL_H

#include <libpq-fe.h>
#include <sys/queue.h>

#include "pg/rows.h"
#include "pg/stmt.h"
#include "reeld/loop.h"
#include "reeld/pg.h"
#include "reeld/resolve.h"

enum {
	PG_MAX_DEPTH = 32,  /* queries in one connection's pipeline */
	PG_MAX_RETRIES = 5, /* of a deadlocked query */
	PG_SWEEP_MS = 100,
	PG_CONNECT_MS = 5000,
	PG_GRACE_MS = 2000,	/* for an orphan to drain, past its deadline */
	PG_DOWN_WAIT_MS = 2000, /* a query's patience while nobody is there */
};

/* Linked lists of queries: a connection's pipeline, or the waiting ones. */
struct query_list {
	struct pg_query *first, **last;
	int count;
};

struct pg_query {
	struct pg_pool *pool;
	struct pg_query **slot; /* NULL: an orphan */
	pg_done_fn *done;
	void *arg;
	enum pg_stmt stmt;
	char *actor; /* with the values in one block, or NULL */
	char **values;
	size_t n_values;
	int64_t started_ms, deadline_ms;
	int64_t started_us;
	/* The last time: when, and when that connection had come up. */
	int64_t sent_us, conn_since_us;
	int tries;
	bool may_wait; /* for somebody's lock, for seconds */
	/* While in a pipeline: which answers are still to come, in order. */
	bool preparing, setting;
	PGresult *result;  /* the statement's own */
	PGresult *failure; /* the first error of the group */
	struct pg_query *next;
};

enum conn_state {
	CONN_DOWN,
	CONN_RESOLVING,
	CONN_CONNECTING,
	CONN_SETUP,
	CONN_READY
};

struct conn {
	struct pg_pool *pool;
	enum conn_state state;
	PGconn *pg;
	struct loop_io *io;
	struct loop_timer timer; /* connect deadline, or the pause between */
	struct resolve *resolve;
	int64_t since_us; /* up since then */
	int failures;
	bool retire;	/* close when its pipeline is empty */
	bool broken;	/* could not be written to: close in the next pump */
	int setup_left; /* syncs until it is ready */
	struct query_list pipeline;
	unsigned char prepared[(PG_STMT_COUNT + 7) / 8 + 1];
};

struct pg_pool {
	struct loop *loop;
	char *name, *conninfo, *session_sql, *host; /* host: to be resolved */
	int size, max_waiting;
	int64_t timeout_ms;
	struct conn *conns;
	struct query_list waiting;
	struct loop_timer sweep;
	struct loop_defer *pump;
	void (*on_change)(void *arg);
	void *on_change_arg;
	LIST_HEAD(, pace) paces;
	void (*say_done)(const char *stmt, void *arg);
	void *say_arg;
	bool was_up, ever_up, freeing;
	struct pg_stats stats;
};

/* conn.c: one connection's life. */
void conn_open(struct conn *conn);
void conn_close(struct conn *conn, const char *why);
/* Puts a query into the pipeline.  No callback runs inside these two: what
 * cannot be written to is closed in the next pump. */
void conn_send(struct conn *conn, struct pg_query *query);
void conn_flush(struct conn *conn);

/* query.c: lists and ends of queries. */
void list_init(struct query_list *list);
void list_add(struct query_list *list, struct pg_query *query);
void list_add_first(struct query_list *list, struct pg_query *query);
struct pg_query *list_take(struct query_list *list);
void list_remove(struct query_list *list, struct pg_query *query);
void query_free(struct pg_query *query);
/* Calls done() with the error and frees it. */
void query_fail(struct pg_query *query, enum err_code code, const char *name,
    const char *msg);
/* In its callback: the rows outlive it, PQclear() their result. */
struct pg_rows rows_take(const struct pg_rows *rows);
/* All answers are in: done(), or once more after a deadlock. */
void query_answered(struct pg_query *query);

/*
 * flush.c: commits that did not wait for the disk get there, several by one
 * more transaction.  What is told before that may be forgotten by a crash of
 * PostgreSQL.
 */
struct flush;
/* err: it is not known whether they did. */
typedef void flush_fn(const struct err *err, void *arg);
struct flush *flush_new(struct pg_pool *pool);
void flush_free(struct flush *self); /* silent; may be NULL */
/* For what was sent at sent_us, and committed as we have heard.  fn runs once,
 * later. */
void flush_wait(struct flush *self, int64_t sent_us, flush_fn *fn, void *arg);

/* pace.c: when a group sends again; go(arg) is called then. */
struct pace {
	struct pg_pool *pool;
	LIST_ENTRY(pace) link;
	enum pg_stmt stmt;
	struct loop_timer timer;
	int64_t began_us, next_us, heard_us;
};
void pace_init(struct pace *self, struct pg_pool *pool, enum pg_stmt stmt,
    void (*go)(void *arg), void *arg);
void pace_fini(struct pace *self);
void pace_began(struct pace *self);
void pace_ended(struct pace *self);
/* Not yet, while no more than these wait. */
bool pace_holds(struct pace *self, int waiting);

/* pool.c */
void pool_pump_later(struct pg_pool *pool);
void pool_changed(struct pg_pool *pool);
/* While any query waits or is out: its deadline is looked at. */
void pool_watch(struct pg_pool *pool);

/* error.c: what a failed result means. */
void pg_error_from(const PGresult *result, struct err *err);
bool pg_error_is_retryable(const PGresult *result);
/* The connection's prepared statements no longer fit the schema. */
bool pg_error_is_stale(const PGresult *result);

#endif
