/* flush.c - commits that did not wait for the disk; see internal.h. */
#define LOG_MODULE "pg"
#include <stdlib.h>
#include <sys/queue.h>

#include "pg/internal.h"
#include "reeld/log.h"
#include "reeld/mem.h"

struct wait {
	TAILQ_ENTRY(wait) entry;
	int64_t sent_us;
	flush_fn *fn;
	void *arg;
};
TAILQ_HEAD(waits, wait);

struct flush {
	struct pg_pool *pool;
	struct waits now, next; /* for the flush under way, for another one */
	struct pg_query *query;
};

static void flush_start(struct flush *self);

/* A crash of PostgreSQL ends all connections: one that was there before the
 * transactions were sent, and still is, says that there was none. */
static bool
is_on_disk(const struct wait *wait, const struct pg_rows *rows)
{
	return rows->query->conn_since_us <= wait->sent_us;
}

static void
on_flush(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct flush *self = arg;
	struct waits told = TAILQ_HEAD_INITIALIZER(told);
	struct wait *wait;
	struct err unknown;

	err_set_name(&unknown, ERR_UNAVAILABLE, "db_unknown",
	    "the database did not say that it is on disk");
	if (err != NULL)
		log_warn(
		    "error=%s msg=\"commits may not be on disk\"", err->name);
	TAILQ_CONCAT(&told, &self->now, entry);
	flush_start(self);
	while ((wait = TAILQ_FIRST(&told)) != NULL) {
		bool ok = err == NULL && is_on_disk(wait, rows);

		TAILQ_REMOVE(&told, wait, entry);
		wait->fn(ok ? NULL : &unknown, wait->arg);
		free(wait);
	}
}

static void
flush_start(struct flush *self)
{
	if (self->query != NULL || TAILQ_EMPTY(&self->next))
		return;
	TAILQ_CONCAT(&self->now, &self->next, entry);
	pg_query_start(
	    self->pool, STMT_FLUSH, NULL, &self->query, on_flush, self);
}

void
flush_wait(struct flush *self, int64_t sent_us, flush_fn *fn, void *arg)
{
	struct wait *wait = xcalloc(1, sizeof *wait);

	wait->sent_us = sent_us;
	wait->fn = fn;
	wait->arg = arg;
	TAILQ_INSERT_TAIL(&self->next, wait, entry);
	flush_start(self);
}

struct flush *
flush_new(struct pg_pool *pool)
{
	struct flush *self = xcalloc(1, sizeof *self);

	self->pool = pool;
	TAILQ_INIT(&self->now);
	TAILQ_INIT(&self->next);
	return self;
}

void
flush_free(struct flush *self)
{
	struct wait *wait;

	if (self == NULL)
		return;
	pg_query_cancel(&self->query);
	TAILQ_CONCAT(&self->now, &self->next, entry);
	while ((wait = TAILQ_FIRST(&self->now)) != NULL) {
		TAILQ_REMOVE(&self->now, wait, entry);
		free(wait);
	}
	free(self);
}
