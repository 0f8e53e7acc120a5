/* query.c - a query's own life: its copy of the parameters, the lists it is
 * in, and its one end. */
#define LOG_MODULE "pg"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg/internal.h"
#include "reeld/clock.h"
#include "reeld/log.h"
#include "reeld/mem.h"

void
list_init(struct query_list *list)
{
	list->first = NULL;
	list->last = &list->first;
	list->count = 0;
}

void
list_add(struct query_list *list, struct pg_query *query)
{
	query->next = NULL;
	*list->last = query;
	list->last = &query->next;
	list->count++;
}

void
list_add_first(struct query_list *list, struct pg_query *query)
{
	query->next = list->first;
	if (list->first == NULL)
		list->last = &query->next;
	list->first = query;
	list->count++;
}

struct pg_query *
list_take(struct query_list *list)
{
	struct pg_query *query = list->first;

	if (query == NULL)
		return NULL;
	list->first = query->next;
	if (list->first == NULL)
		list->last = &list->first;
	list->count--;
	return query;
}

void
list_remove(struct query_list *list, struct pg_query *query)
{
	for (struct pg_query **at = &list->first; *at != NULL;
	     at = &(*at)->next) {
		if (*at != query)
			continue;
		*at = query->next;
		if (list->last == &query->next)
			list->last = at;
		list->count--;
		return;
	}
}

/* The pointers and the text in one block. */
static void
copy_params(struct pg_query *query, const struct pg_params *params)
{
	size_t n = params != NULL ? params->n : 0, bytes = 0, len;
	char *p;

	for (size_t i = 0; i < n; i++)
		bytes += params->values[i] != NULL
		    ? strlen(params->values[i]) + 1
		    : 0;
	if (params != NULL && params->actor != NULL)
		bytes += strlen(params->actor) + 1;
	query->n_values = n;
	query->values = xmalloc(n * sizeof *query->values + bytes);
	p = (char *)(query->values + n);
	for (size_t i = 0; i < n; i++) {
		query->values[i] = NULL;
		if (params->values[i] == NULL)
			continue;
		len = strlen(params->values[i]) + 1;
		query->values[i] = memcpy(p, params->values[i], len);
		p += len;
	}
	if (params != NULL && params->actor != NULL) {
		len = strlen(params->actor) + 1;
		query->actor = memcpy(p, params->actor, len);
	}
}

static void
on_busy(void *arg)
{
	query_fail(arg, ERR_UNAVAILABLE, "db_busy", "too many requests wait");
}

void
pg_query_start(struct pg_pool *pool, enum pg_stmt stmt,
    const struct pg_params *params, struct pg_query **slot, pg_done_fn *done,
    void *arg)
{
	struct pg_query *query = xcalloc(1, sizeof *query);

	assert((params != NULL ? params->n : 0) ==
	    (size_t)pg_stmt_table[stmt].n_params);
	query->pool = pool;
	query->stmt = stmt;
	query->slot = slot;
	query->done = done;
	query->arg = arg;
	query->started_us = clock_mono_ns() / 1000;
	query->started_ms = query->started_us / 1000;
	query->deadline_ms = query->started_ms + pool->timeout_ms;
	copy_params(query, params);
	*slot = query;
	if (pool->waiting.count >= pool->max_waiting) {
		/* Told later, like every other end. */
		loop_defer(pool->loop, "pg busy", on_busy, query, NULL);
		return;
	}
	list_add(&pool->waiting, query);
	pool_watch(pool);
	pool_pump_later(pool);
}

void
pg_query_cancel(struct pg_query **slot)
{
	struct pg_query *query = *slot;

	if (query == NULL)
		return;
	/* An orphan: waiting ones are dropped by the pump, sent ones drain. */
	*slot = NULL;
	query->slot = NULL;
}

void
query_free(struct pg_query *query)
{
	if (query == NULL)
		return;
	PQclear(query->result);
	PQclear(query->failure);
	free(query->values);
	free(query);
}

struct pg_rows
rows_take(const struct pg_rows *rows)
{
	struct pg_rows mine = {rows->result, NULL};

	rows->query->result = NULL;
	return mine;
}

static void
finish(
    struct pg_query *query, const struct pg_rows *rows, const struct err *err)
{
	struct pg_stats *stats = &query->pool->stats;

	stats->queries++;
	stats->errors += err != NULL;
	stats->by_stmt[query->stmt].count++;
	stats->by_stmt[query->stmt].total_us +=
	    clock_mono_ns() / 1000 - query->started_us;
	if (query->slot != NULL) {
		*query->slot = NULL;
		query->slot = NULL;
		query->done(rows, err, query->arg);
	}
	query_free(query);
}

void
query_fail(struct pg_query *query, enum err_code code, const char *name,
    const char *msg)
{
	struct err err;

	err_set_name(&err, code, name, "%s", msg);
	if (code == ERR_UNAVAILABLE)
		err.retry_after_s = 1;
	finish(query, NULL, &err);
}

void
query_answered(struct pg_query *query)
{
	struct pg_rows rows = {query->result, query};
	struct err err;

	if (query->failure != NULL) {
		if (pg_error_is_retryable(query->failure) &&
		    query->tries++ < PG_MAX_RETRIES && query->slot != NULL) {
			PQclear(query->failure);
			PQclear(query->result);
			query->failure = query->result = NULL;
			query->pool->stats.retries++;
			list_add_first(&query->pool->waiting, query);
			pool_pump_later(query->pool);
			return;
		}
		pg_error_from(query->failure, &err);
		if (err.code == ERR_INTERNAL)
			log_error("statement=%s msg=\"failed\"",
			    pg_stmt_table[query->stmt].name);
		finish(query, NULL, &err);
		return;
	}
	if (query->result == NULL) {
		query_fail(query, ERR_INTERNAL, "db_error",
		    "the database gave no answer");
		return;
	}
	finish(query, &rows, NULL);
}
