/*
 * conn.c - one connection: resolve, connect, set up, then a pipeline in which
 * every query is a group of its own:
 *
 *	[prepare]  [set actor, plan]  execute  sync
 *
 * The sync ends the group's transaction, so a failed query aborts nothing but
 * itself.  Answers come in the order of the groups.
 */
#define LOG_MODULE "pg"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg/internal.h"
#include "reeld/clock.h"
#include "reeld/log.h"
#include "reeld/mem.h"

/* What a group sets for its own transaction.  A statement with many optional
 * filters is planned for the values it has: the plan for all values reads
 * everything that a user owns, and seems the cheaper one after five uses.  Its
 * page is read in the order of an index: row level security makes the planner
 * expect a hundredth of the rows, so that it would rather read the table and
 * sort it. */
#define SET_ACTOR "set_config('app.uid', $1, true)"
#define SET_CUSTOM "set_config('plan_cache_mode', 'force_custom_plan', true)"
#define SET_ORDERED SET_CUSTOM ", set_config('enable_sort', 'off', true)"
static const struct {
	const char *name, *sql;
	int n_params;
} settings[2][3] = {
    {{NULL, NULL, 0}, {"set_ordered", "select " SET_ORDERED, 0},
	{"set_custom", "select " SET_CUSTOM, 0}},
    {{"set_actor", "select " SET_ACTOR, 1},
	{"set_actor_ordered", "select " SET_ACTOR ", " SET_ORDERED, 1},
	{"set_actor_custom", "select " SET_ACTOR ", " SET_CUSTOM, 1}},
};

static void on_socket(int fd, int events, void *arg);

static bool
is_prepared(const struct conn *conn, enum pg_stmt stmt)
{
	return conn->prepared[stmt / 8] >> (stmt % 8) & 1;
}

void
conn_close(struct conn *conn, const char *why)
{
	struct pg_pool *pool = conn->pool;
	bool was_ready = conn->state == CONN_READY;
	struct query_list lost = conn->pipeline;
	struct pg_query *query;
	char reason[200]; /* why may lie inside the PGconn */

	str_copy(reason, sizeof reason, why);
	resolve_cancel(&conn->resolve);
	loop_io_free(&conn->io);
	if (conn->pg != NULL)
		PQfinish(conn->pg);
	conn->pg = NULL;
	conn->state = CONN_DOWN;
	conn->retire = conn->broken = false;
	memset(conn->prepared, 0, sizeof conn->prepared);
	list_init(&conn->pipeline);
	if (pool->freeing) {
		timer_clear(&conn->timer);
	} else {
		conn->failures++;
		timer_set_jitter_ms(&conn->timer,
		    conn->failures <= 1	     ? 20
			: conn->failures < 7 ? 50 << conn->failures
					     : 5000,
		    40);
	}
	if (was_ready)
		pool->stats.disconnects++;
	if (!pool->freeing && (was_ready || conn->failures == 1))
		log_warn("pool=%s msg=%s", pool->name, log_text(reason));
	while (lost.count > 0) {
		query = lost.first;
		lost.first = query->next;
		lost.count--;
		/* It was on its way: only the database knows what became of
		 * it. */
		if (pool->freeing)
			query_free(query);
		else
			query_fail(query, ERR_UNAVAILABLE, "db_unknown",
			    "the database connection was lost");
	}
	if (!pool->freeing)
		pool_changed(pool);
}

static void
watch(struct conn *conn, int events)
{
	if (conn->io == NULL)
		conn->io = loop_io_new(conn->pool->loop, PQsocket(conn->pg),
		    "pg", on_socket, conn);
	loop_io_set(conn->io, events);
}

static void
broke(struct conn *conn)
{
	conn->broken = true;
	pool_pump_later(conn->pool);
}

void
conn_flush(struct conn *conn)
{
	int left = PQflush(conn->pg);

	if (left < 0)
		broke(conn);
	else
		watch(conn, LOOP_READ | (left > 0 ? LOOP_WRITE : 0));
}

static bool
prepare_settings(struct conn *conn)
{
	for (size_t i = 0; i < nitems(settings); i++)
		for (size_t k = 0; k < nitems(settings[i]); k++)
			if (settings[i][k].name != NULL &&
			    PQsendPrepare(conn->pg, settings[i][k].name,
				settings[i][k].sql, settings[i][k].n_params,
				NULL) != 1)
				return false;
	return true;
}

/* The session: deadlines on the server's side, whatever the pool wants, and
 * the statements that set the actor and the way to plan.  Whoever waits for
 * 25 rows does not want other processes started, or code compiled, for them:
 * that takes longer than the rows.  And every row that we ask for has an
 * index: to look whether one exists, the planner would rather begin to read
 * the table, in the hope to meet one soon, and job_claim() read all jobs when
 * none was queued. */
static bool
send_setup(struct conn *conn)
{
	struct pg_pool *pool = conn->pool;
	char limit[32];
	const char *values[] = {limit};

	/* The server gives up a little after us: nothing runs for ever. */
	snprintf(limit, sizeof limit, "%lld",
	    (long long)(pool->timeout_ms + PG_GRACE_MS / 2));
	conn->setup_left = 1;
	return PQsetnonblocking(conn->pg, 1) == 0 &&
	    PQenterPipelineMode(conn->pg) == 1 &&
	    PQsendQueryParams(conn->pg,
		"select set_config('statement_timeout', $1, false), "
		"set_config('application_name', 'reeld', false), "
		"set_config('enable_seqscan', 'off', false), "
		"set_config('max_parallel_workers_per_gather', '0', false), "
		"set_config('jit', 'off', false)",
		1, NULL, values, NULL, NULL, 0) == 1 &&
	    (pool->session_sql == NULL ||
		PQsendQueryParams(conn->pg, pool->session_sql, 0, NULL, NULL,
		    NULL, NULL, 0) == 1) &&
	    prepare_settings(conn) && PQpipelineSync(conn->pg) == 1;
}

static void
enter_ready(struct conn *conn)
{
	conn->state = CONN_READY;
	conn->since_us = clock_mono_ns() / 1000;
	conn->failures = 0;
	timer_clear(&conn->timer);
	conn->pool->stats.connects++;
	pool_changed(conn->pool);
	pool_pump_later(conn->pool);
}

static void
step_connect(struct conn *conn)
{
	switch (PQconnectPoll(conn->pg)) {
	case PGRES_POLLING_READING:
		/* The socket may be another one than before. */
		loop_io_free(&conn->io);
		watch(conn, LOOP_READ);
		break;
	case PGRES_POLLING_WRITING:
		loop_io_free(&conn->io);
		watch(conn, LOOP_WRITE);
		break;
	case PGRES_POLLING_OK:
		loop_io_free(&conn->io);
		conn->state = CONN_SETUP;
		if (!send_setup(conn))
			conn_close(conn, PQerrorMessage(conn->pg));
		else
			conn_flush(conn);
		break;
	case PGRES_POLLING_FAILED:
	default:
		conn_close(conn, PQerrorMessage(conn->pg));
		break;
	}
}

/* What the server says by the way goes to our log, not to stderr. */
static void
on_notice(void *arg, const PGresult *result)
{
	log_debug("notice=%s",
	    log_text(PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)));
}

static void
connect_to(struct conn *conn, const char *ip)
{
	/* What comes before the conninfo is a default it may override; the
	 * address we looked up comes after it.  GSS would look up names. */
	const char *keys[] = {"gssencmode", "dbname", "hostaddr", NULL};
	const char *values[] = {"disable", conn->pool->conninfo, ip, NULL};

	if (ip == NULL)
		keys[2] = NULL;
	conn->state = CONN_CONNECTING;
	conn->pg = PQconnectStartParams(keys, values, 1);
	if (conn->pg == NULL)
		abort();
	PQsetNoticeReceiver(conn->pg, on_notice, NULL);
	if (PQstatus(conn->pg) == CONNECTION_BAD) {
		conn_close(conn, PQerrorMessage(conn->pg));
		return;
	}
	/* The documentation: act as if the poll had asked for writing. */
	watch(conn, LOOP_WRITE);
}

static void
on_resolved(const char *ip, const struct err *err, void *arg)
{
	struct conn *conn = arg;

	if (err != NULL)
		conn_close(conn, err->msg);
	else
		connect_to(conn, ip);
}

void
conn_open(struct conn *conn)
{
	timer_set_ms(&conn->timer, PG_CONNECT_MS);
	if (conn->pool->host == NULL) {
		connect_to(conn, NULL);
		return;
	}
	conn->state = CONN_RESOLVING;
	resolve_start(conn->pool->loop, conn->pool->host, &conn->resolve,
	    on_resolved, conn);
}

void
conn_send(struct conn *conn, struct pg_query *query)
{
	const struct stmt_row *row = &pg_stmt_table[query->stmt];
	const char *actor[] = {query->actor};
	const char *set = settings[query->actor != NULL][row->plan].name;
	bool ok = true;

	query->preparing = !is_prepared(conn, query->stmt);
	query->setting = set != NULL;
	query->sent_us = clock_mono_ns() / 1000;
	query->conn_since_us = conn->since_us;
	list_add(&conn->pipeline, query);
	if (query->preparing) {
		ok = PQsendPrepare(conn->pg, row->name, row->sql, row->n_params,
			 NULL) == 1;
		conn->prepared[query->stmt / 8] |=
		    (unsigned char)(1 << query->stmt % 8);
	}
	if (ok && query->setting)
		ok = PQsendQueryPrepared(conn->pg, set, query->actor != NULL,
			 actor, NULL, NULL, 0) == 1;
	ok = ok &&
	    PQsendQueryPrepared(conn->pg, row->name, (int)query->n_values,
		(const char *const *)query->values, NULL, NULL, 0) == 1 &&
	    PQpipelineSync(conn->pg) == 1;
	if (!ok)
		broke(conn);
}

/* One result of the first group in the pipeline. */
static void
take_result(struct conn *conn, PGresult *result)
{
	struct pg_query *query = conn->pipeline.first;
	ExecStatusType status = PQresultStatus(result);

	if (status == PGRES_PIPELINE_SYNC) {
		PQclear(result);
		list_take(&conn->pipeline);
		if (query->failure != NULL && pg_error_is_stale(query->failure))
			conn->retire = true;
		query_answered(query);
		return;
	}
	if (status == PGRES_PIPELINE_ABORTED) {
		PQclear(result);
		return;
	}
	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
		if (query->preparing) /* so it is not there */
			conn->prepared[query->stmt / 8] &=
			    (unsigned char)~(1 << query->stmt % 8);
		if (query->failure == NULL)
			query->failure = result;
		else
			PQclear(result);
		return;
	}
	if (query->preparing) {
		query->preparing = false;
		PQclear(result);
	} else if (query->setting) {
		query->setting = false;
		PQclear(result);
	} else {
		PQclear(query->result);
		query->result = result;
	}
}

static void
take_setup(struct conn *conn, PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);
	char why[200] = "";

	if (status != PGRES_PIPELINE_SYNC && status != PGRES_COMMAND_OK &&
	    status != PGRES_TUPLES_OK)
		str_copy(why, sizeof why, PQresultErrorMessage(result));
	PQclear(result);
	if (why[0] != '\0')
		conn_close(conn, why);
	else if (status == PGRES_PIPELINE_SYNC && --conn->setup_left == 0)
		enter_ready(conn);
}

static void
read_results(struct conn *conn)
{
	int nulls = 0;

	while (conn->pg != NULL && nulls < 2 && !PQisBusy(conn->pg)) {
		PGresult *result = PQgetResult(conn->pg);

		if (result == NULL) { /* between two commands, or no more */
			nulls++;
			continue;
		}
		nulls = 0;
		if (conn->state == CONN_SETUP) {
			take_setup(conn, result);
		} else if (conn->pipeline.first != NULL) {
			take_result(conn, result);
		} else {
			/* Unasked for: FATAL before the server goes. */
			char why[200];

			str_copy(why, sizeof why, PQresultErrorMessage(result));
			PQclear(result);
			conn_close(conn, why);
			return;
		}
	}
}

static void
on_socket(int fd, int events, void *arg)
{
	struct conn *conn = arg;

	if (conn->state == CONN_CONNECTING) {
		step_connect(conn);
		return;
	}
	if (events & LOOP_READ) {
		if (PQconsumeInput(conn->pg) == 0) {
			read_results(conn); /* what came before the end */
			if (conn->pg != NULL)
				conn_close(conn, PQerrorMessage(conn->pg));
			return;
		}
		read_results(conn);
		if (conn->pg == NULL)
			return;
	}
	if (PQstatus(conn->pg) == CONNECTION_BAD) {
		conn_close(conn, PQerrorMessage(conn->pg));
		return;
	}
	if (conn->retire && conn->pipeline.first == NULL) {
		conn_close(conn, "the schema changed: connecting again");
		return;
	}
	conn_flush(conn);
	if (conn->pool->waiting.first != NULL)
		pool_pump_later(conn->pool);
}
