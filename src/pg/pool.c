/*
 * pool.c - the pool: which connection takes which query, deadlines, and the
 * news of going up and down.
 */
#define LOG_MODULE "pg"
#include <stdlib.h>
#include <string.h>

#include "pg/internal.h"
#include "reeld/clock.h"
#include "reeld/log.h"
#include "reeld/mem.h"

static bool
may_wait(const struct conn *conn)
{
	for (const struct pg_query *q = conn->pipeline.first; q != NULL;
	     q = q->next)
		if (q->may_wait)
			return true;
	return false;
}

/* The ready connection with the shortest pipeline, or NULL.  What may wait for
 * a lock keeps to the first half of the connections, and others go behind it
 * only when there is no room elsewhere. */
static struct conn *
pick(struct pg_pool *pool, const struct pg_query *query)
{
	struct conn *best = NULL;
	int best_load = 0;

	for (int i = 0; i < pool->size; i++) {
		struct conn *conn = &pool->conns[i];
		int load = conn->pipeline.count;

		if (conn->state != CONN_READY || conn->retire || conn->broken ||
		    load >= PG_MAX_DEPTH)
			continue;
		if (query->may_wait ? i >= (pool->size + 1) / 2
				    : may_wait(conn))
			load += PG_MAX_DEPTH;
		if (best == NULL || load < best_load) {
			best = conn;
			best_load = load;
		}
	}
	return best;
}

void
pg_pool_send(struct pg_pool *pool)
{
	struct pg_query *query;
	struct conn *conn;

	while ((query = pool->waiting.first) != NULL) {
		if (query->slot == NULL) { /* cancelled before it was sent */
			query_free(list_take(&pool->waiting));
			continue;
		}
		conn = pick(pool, query);
		if (conn == NULL)
			break;
		conn_send(conn, list_take(&pool->waiting));
	}
	for (int i = 0; i < pool->size; i++) {
		conn = &pool->conns[i];
		if (conn->state == CONN_READY && !conn->broken &&
		    conn->pipeline.first != NULL)
			conn_flush(conn);
	}
}

static void
on_pump(void *arg)
{
	struct pg_pool *pool = arg;

	for (int i = 0; i < pool->size; i++) {
		struct conn *conn = &pool->conns[i];

		if (conn->broken)
			conn_close(conn, PQerrorMessage(conn->pg));
	}
	pg_pool_send(pool);
}

void
pool_pump_later(struct pg_pool *pool)
{
	if (pool->pump == NULL)
		loop_defer(pool->loop, "pg send", on_pump, pool, &pool->pump);
}

bool
pg_pool_up(const struct pg_pool *pool)
{
	for (int i = 0; i < pool->size; i++) {
		if (pool->conns[i].state == CONN_READY)
			return true;
	}
	return false;
}

void
pool_changed(struct pg_pool *pool)
{
	bool up = pg_pool_up(pool);

	if (up == pool->was_up)
		return;
	pool->was_up = up;
	log_info("pool=%s up=%d", pool->name, up);
	if (pool->on_change != NULL)
		pool->on_change(pool->on_change_arg);
}

void
pg_pool_on_change(struct pg_pool *pool, void (*fn)(void *arg), void *arg)
{
	pool->on_change = fn;
	pool->on_change_arg = arg;
}

/* Deadlines of the waiting ones: shorter while nobody is there to serve. */
static void
sweep_waiting(struct pg_pool *pool, int64_t now)
{
	bool up = pg_pool_up(pool);
	struct pg_query *query, *next;

	for (query = pool->waiting.first; query != NULL; query = next) {
		next = query->next;
		if (now < query->deadline_ms &&
		    (up || now < query->started_ms + PG_DOWN_WAIT_MS))
			continue;
		list_remove(&pool->waiting, query);
		pool->stats.timeouts++;
		query_fail(query, ERR_UNAVAILABLE, "db_unavailable",
		    "the database cannot be reached");
		/* The callback may have changed the list: from the start. */
		next = pool->waiting.first;
	}
}

/* Deadlines of the sent ones: the caller is told, the query drains as an
 * orphan; a connection that does not even do that is given up. */
static void
sweep_conn(struct conn *conn, int64_t now)
{
	struct pg_query *query = conn->pipeline.first;

	if (query != NULL && now > query->deadline_ms + PG_GRACE_MS) {
		conn->pool->stats.timeouts++;
		conn_close(conn, "no answer in time");
		return;
	}
	for (; query != NULL; query = query->next) {
		struct err err;

		if (query->slot == NULL || now < query->deadline_ms)
			continue;
		conn->pool->stats.timeouts++;
		err_set_name(&err, ERR_UNAVAILABLE, "db_unknown",
		    "the database did not answer in time");
		*query->slot = NULL;
		query->slot = NULL;
		query->done(NULL, &err, query->arg);
		/* done() may have freed much, but not this query: it is ours
		 * until its answer or the connection's end. */
		if (conn->state != CONN_READY)
			return;
	}
}

/* An idle pool sleeps: the next query sets the timer again. */
static void
on_sweep(void *arg)
{
	struct pg_pool *pool = arg;
	int64_t now = clock_mono_ms();
	bool busy;

	sweep_waiting(pool, now);
	for (int i = 0; i < pool->size; i++)
		sweep_conn(&pool->conns[i], now);
	busy = pool->waiting.count > 0;
	for (int i = 0; i < pool->size && !busy; i++)
		busy = pool->conns[i].pipeline.count > 0;
	if (busy)
		pool_watch(pool);
}

void
pool_watch(struct pg_pool *pool)
{
	if (!timer_is_set(&pool->sweep))
		timer_set_ms(&pool->sweep, PG_SWEEP_MS);
}

/* A connection's timer: its pause is over, or its connecting took too long. */
static void
on_conn_timer(void *arg)
{
	struct conn *conn = arg;

	if (conn->state == CONN_DOWN)
		conn_open(conn);
	else if (conn->state != CONN_READY)
		conn_close(conn, "connecting took too long");
}

/* The host name that libpq would look up itself, blocking the loop; NULL for
 * sockets, addresses, and lists of hosts (use hostaddr with those). */
static char *
host_to_resolve(const char *conninfo)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL), *o;
	char *host = NULL;
	bool has_address = false;

	for (o = options; o != NULL && o->keyword != NULL; o++) {
		if (o->val == NULL || o->val[0] == '\0')
			continue;
		if (strcmp(o->keyword, "hostaddr") == 0)
			has_address = true;
		if (strcmp(o->keyword, "host") == 0 && o->val[0] != '/' &&
		    o->val[0] != '@' && strchr(o->val, ',') == NULL)
			host = xstrdup(o->val);
	}
	PQconninfoFree(options);
	if (has_address) {
		free(host);
		host = NULL;
	}
	return host;
}

bool
pg_conninfo_ok(const char *conninfo, struct err *err)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);

	if (options == NULL)
		return err_set(err, ERR_BAD_INPUT,
		    "db.url is not an address of PostgreSQL: neither a URL "
		    "nor key=value words that it knows");
	PQconninfoFree(options);
	return true;
}

struct pg_pool *
pg_pool_new(struct loop *loop, const struct pg_opts *opts)
{
	struct pg_pool *pool = xcalloc(1, sizeof *pool);

	pool->loop = loop;
	pool->name = xstrdup(opts->name);
	pool->conninfo = xstrdup(opts->conninfo);
	pool->session_sql = xstrdup(opts->session_sql);
	pool->host = host_to_resolve(opts->conninfo);
	pool->size = opts->size;
	pool->max_waiting = opts->max_waiting;
	pool->timeout_ms = opts->timeout_ms;
	list_init(&pool->waiting);
	timer_init(&pool->sweep, loop, "pg sweep", on_sweep, pool);
	pool->conns = xcalloc((size_t)pool->size, sizeof *pool->conns);
	for (int i = 0; i < pool->size; i++) {
		struct conn *conn = &pool->conns[i];

		conn->pool = pool;
		list_init(&conn->pipeline);
		timer_init(
		    &conn->timer, loop, "pg connect", on_conn_timer, conn);
		timer_set_ms(&conn->timer, 0);
	}
	return pool;
}

void
pg_pool_free(struct pg_pool *pool)
{
	struct pg_query *query;

	if (pool == NULL)
		return;
	pool->freeing = true;
	loop_defer_cancel(&pool->pump);
	while ((query = list_take(&pool->waiting)) != NULL) {
		if (query->slot != NULL)
			*query->slot = NULL;
		query_free(query);
	}
	for (int i = 0; i < pool->size; i++) {
		struct conn *conn = &pool->conns[i];

		for (query = conn->pipeline.first; query != NULL;
		     query = query->next) {
			if (query->slot != NULL)
				*query->slot = NULL;
		}
		conn_close(conn, "closing");
		timer_fini(&conn->timer);
	}
	timer_fini(&pool->sweep);
	free(pool->conns);
	free(pool->host);
	free(pool->session_sql);
	free(pool->conninfo);
	free(pool->name);
	free(pool);
}

void
pg_pool_stats(const struct pg_pool *pool, struct pg_stats *out)
{
	*out = pool->stats;
	out->waiting = pool->waiting.count;
	out->ready = out->connecting = out->in_flight = out->orphans = 0;
	for (int i = 0; i < pool->size; i++) {
		const struct conn *conn = &pool->conns[i];

		out->ready += conn->state == CONN_READY;
		out->connecting += conn->state != CONN_READY;
		out->in_flight += conn->pipeline.count;
		for (const struct pg_query *q = conn->pipeline.first; q != NULL;
		     q = q->next)
			out->orphans += q->slot == NULL;
	}
}
