/* test_pg.c - the pool against a real PostgreSQL. */
#include "unit.h"

#include <signal.h>
#include <stdlib.h>

#include "reeld/loop.h"
#include "reeld/mem.h"
#include "reeld/pg.h"
#include "servers.h"

static struct servers servers;

struct fixture {
	struct loop *loop;
	struct pg_pool *pool;
	int done, failed, wanted;
	char name[40]; /* of the last error */
	char text[64]; /* of the last row */
	bool up;
};

static void
fixture_open_to(struct fixture *fx, const char *url, int size, int waiting,
    int64_t timeout_ms)
{
	struct pg_opts opts = {.name = "test",
	    .conninfo = url,
	    .size = size,
	    .max_waiting = waiting,
	    .timeout_ms = timeout_ms};

	memset(fx, 0, sizeof *fx);
	fx->loop = loop_new();
	fx->pool = pg_pool_new(fx->loop, &opts);
}

static void
fixture_open(struct fixture *fx, int size)
{
	fixture_open_to(fx, servers.pg_url, size, 20000, 10000);
}

static void
fixture_close(struct fixture *fx)
{
	pg_pool_free(fx->pool);
	loop_free(fx->loop);
}

static void
on_done(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct fixture *fx = arg;

	if (err != NULL) {
		fx->failed++;
		str_copy(fx->name, sizeof fx->name, err->name);
	} else {
		fx->done++;
		if (pg_count(rows) > 0 && pg_has(rows, "v")) {
			const char *v = pg_text(rows, 0, "v");

			str_copy(fx->text, sizeof fx->text, v != NULL ? v : "");
		}
	}
	if (fx->done + fx->failed == fx->wanted)
		loop_stop(fx->loop);
}

static void
run_until(struct fixture *fx, int ends)
{
	fx->wanted = ends;
	if (fx->done + fx->failed < ends)
		loop_run(fx->loop);
}

TEST(done_runs_once_and_later)
{
	struct fixture fx;
	struct pg_query *query = NULL;

	fixture_open(&fx, 1);
	pg_query_start(fx.pool, STMT_PING, NULL, &query, on_done, &fx);
	CHECK(query != NULL);
	CHECK_INT(fx.done, ==, 0);
	run_until(&fx, 1);
	CHECK(query == NULL);
	loop_run_for(fx.loop, 30);
	CHECK_INT(fx.done, ==, 1);
	CHECK_INT(fx.failed, ==, 0);
	fixture_close(&fx);
}

TEST(cancel_is_silent_and_the_connection_lives_on)
{
	struct fixture fx;
	struct pg_query *slow = NULL, *early = NULL, *after = NULL;
	struct pg_stats stats;

	fixture_open(&fx, 1);
	pg_query_start(fx.pool, STMT_PING, NULL, &after, on_done, &fx);
	run_until(&fx, 1);
	/* One cancelled before it is sent, one on the wire. */
	pg_query_start(
	    fx.pool, STMT_TEST_SLEEP, PG_ARGS("0.2"), &early, on_done, &fx);
	pg_query_cancel(&early);
	CHECK(early == NULL);
	pg_query_cancel(&early);
	pg_query_start(
	    fx.pool, STMT_TEST_SLEEP, PG_ARGS("0.2"), &slow, on_done, &fx);
	loop_run_for(fx.loop, 20);
	pg_query_cancel(&slow);
	pg_pool_stats(fx.pool, &stats);
	CHECK_INT(stats.in_flight, ==, 1);
	CHECK_INT(stats.orphans, ==, 1);
	pg_query_start(
	    fx.pool, STMT_TEST_ECHO, PG_ARGS("x"), &after, on_done, &fx);
	run_until(&fx, 2);
	CHECK_STR(fx.text, "x");
	CHECK_INT(fx.failed, ==, 0);
	pg_pool_stats(fx.pool, &stats);
	CHECK_INT(stats.in_flight, ==, 0);
	CHECK_INT(stats.connects, ==, 1);
	fixture_close(&fx);
}

TEST(errors_hurt_only_their_own_query)
{
	struct fixture fx;
	struct pg_query *queries[6];

	fixture_open(&fx, 1);
	for (int i = 0; i < 6; i++)
		pg_query_start(fx.pool, STMT_TEST_DIVIDE,
		    PG_ARGS(i % 2 ? "0" : "2"), &queries[i], on_done, &fx);
	run_until(&fx, 6);
	CHECK_INT(fx.done, ==, 3);
	CHECK_INT(fx.failed, ==, 3);
	CHECK_STR(fx.name, "db_refused"); /* 22012: out of range */
	/* A malformed parameter, and NULL. */
	pg_query_start(fx.pool, STMT_TEST_DIVIDE, PG_ARGS("abc"), &queries[0],
	    on_done, &fx);
	run_until(&fx, 7);
	CHECK_INT(fx.failed, ==, 4);
	pg_query_start(
	    fx.pool, STMT_TEST_ECHO, PG_ARGS(NULL), &queries[0], on_done, &fx);
	run_until(&fx, 8);
	CHECK_STR(fx.text, "");
	CHECK_INT(fx.done, ==, 4);
	fixture_close(&fx);
}

TEST(the_actor_never_leaks_to_the_neighbour)
{
	enum { N = 2000 };
	static struct fixture owners[N];
	static struct pg_query *queries[N];
	struct fixture fx;
	char actors[N][40];

	fixture_open(&fx, 1);
	for (int i = 0; i < N; i++) {
		memset(&owners[i], 0, sizeof owners[i]);
		owners[i].loop = fx.loop;
		owners[i].wanted = -1;
		snprintf(actors[i], sizeof actors[i],
		    "00000000-0000-7000-8000-%012d", i);
		if (i % 3 == 0) /* nobody: must not see the one before */
			pg_query_start(fx.pool, STMT_TEST_ACTOR, NULL,
			    &queries[i], on_done, &owners[i]);
		else
			pg_query_start(fx.pool, STMT_TEST_ACTOR,
			    &(struct pg_params){.actor = actors[i]},
			    &queries[i], on_done, &owners[i]);
	}
	pg_query_start(fx.pool, STMT_PING, NULL, &queries[0], on_done, &fx);
	run_until(&fx, 1);
	for (int i = 0; i < N; i++) {
		CHECK_INT(owners[i].done, ==, 1);
		CHECK_STR(owners[i].text, i % 3 == 0 ? "" : actors[i]);
	}
	fixture_close(&fx);
}

TEST(the_wait_queue_is_bounded)
{
	struct fixture fx;
	struct pg_query *queries[12];

	fixture_open_to(&fx, "host=/nonexistent", 1, 10, 10000);
	for (int i = 0; i < 12; i++)
		pg_query_start(
		    fx.pool, STMT_PING, NULL, &queries[i], on_done, &fx);
	CHECK_INT(fx.failed, ==, 0); /* never from inside start */
	run_until(&fx, 2);
	CHECK_INT(fx.failed, ==, 2);
	CHECK_STR(fx.name, "db_busy");
	/* The others are told when nobody comes. */
	run_until(&fx, 12);
	CHECK_STR(fx.name, "db_unavailable");
	CHECK(!pg_pool_up(fx.pool));
	fixture_close(&fx);
}

TEST(a_deadline_is_told_and_the_query_drains)
{
	struct fixture fx;
	struct pg_query *query;

	fixture_open_to(&fx, servers.pg_url, 1, 10, 300);
	pg_query_start(fx.pool, STMT_PING, NULL, &query, on_done, &fx);
	run_until(&fx, 1);
	pg_query_start(
	    fx.pool, STMT_TEST_SLEEP, PG_ARGS("1"), &query, on_done, &fx);
	run_until(&fx, 2);
	CHECK_INT(fx.failed, ==, 1);
	CHECK_STR(fx.name, "db_unknown");
	/* The same connection serves again when the orphan is through. */
	while (fx.done < 2) {
		pg_query_start(fx.pool, STMT_PING, NULL, &query, on_done, &fx);
		run_until(&fx, fx.done + fx.failed + 1);
	}
	fixture_close(&fx);
}

TEST(a_killed_server_is_found_again)
{
	struct fixture fx;
	struct pg_query *query, *waiting;

	fixture_open(&fx, 2);
	pg_query_start(fx.pool, STMT_PING, NULL, &query, on_done, &fx);
	run_until(&fx, 1);
	pg_query_start(
	    fx.pool, STMT_TEST_SLEEP, PG_ARGS("5"), &query, on_done, &fx);
	loop_run_for(fx.loop, 50);
	servers_kill_postgres(&servers);
	run_until(&fx, 2);
	CHECK_STR(fx.name, "db_unknown"); /* it was on the wire */
	while (pg_pool_up(fx.pool))	  /* until the other one noticed too */
		loop_run_for(fx.loop, 10);
	pg_query_start(fx.pool, STMT_PING, NULL, &waiting, on_done, &fx);
	run_until(&fx, 3);
	CHECK_STR(fx.name, "db_unavailable");
	CHECK(!pg_pool_up(fx.pool));
	servers_start_postgres(&servers);
	while (!pg_pool_up(fx.pool))
		loop_run_for(fx.loop, 20);
	pg_query_start(
	    fx.pool, STMT_TEST_ECHO, PG_ARGS("back"), &query, on_done, &fx);
	run_until(&fx, 4);
	CHECK_STR(fx.text, "back");
	fixture_close(&fx);
}

TEST(freeing_the_pool_empties_the_slots)
{
	struct fixture fx;
	struct pg_query *sent, *waiting;

	fixture_open(&fx, 1);
	pg_query_start(fx.pool, STMT_PING, NULL, &sent, on_done, &fx);
	run_until(&fx, 1);
	pg_query_start(
	    fx.pool, STMT_TEST_SLEEP, PG_ARGS("5"), &sent, on_done, &fx);
	loop_run_for(fx.loop, 20);
	pg_query_start(fx.pool, STMT_PING, NULL, &waiting, on_done, &fx);
	fixture_close(&fx);
	CHECK(sent == NULL);
	CHECK(waiting == NULL);
	CHECK_INT(fx.done, ==, 1);
}

TEST(ten_thousand_queries_come_back_in_full)
{
	enum { N = 10000 };
	static struct pg_query *queries[N];
	struct fixture fx;

	fixture_open(&fx, 3);
	for (int i = 0; i < N; i++)
		pg_query_start(fx.pool, STMT_TEST_ECHO, PG_ARGS(pg_num(i)),
		    &queries[i], on_done, &fx);
	run_until(&fx, N);
	CHECK_INT(fx.done, ==, N);
	for (int i = 0; i < N; i++)
		CHECK(queries[i] == NULL);
	fixture_close(&fx);
}

static int
group_start(void **state)
{
	servers_start(&servers, 1, 0);
	return 0;
}

static int
group_stop(void **state)
{
	servers_stop(&servers);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(done_runs_once_and_later),
	    cmocka_unit_test(cancel_is_silent_and_the_connection_lives_on),
	    cmocka_unit_test(errors_hurt_only_their_own_query),
	    cmocka_unit_test(the_actor_never_leaks_to_the_neighbour),
	    cmocka_unit_test(the_wait_queue_is_bounded),
	    cmocka_unit_test(a_deadline_is_told_and_the_query_drains),
	    cmocka_unit_test(a_killed_server_is_found_again),
	    cmocka_unit_test(freeing_the_pool_empties_the_slots),
	    cmocka_unit_test(ten_thousand_queries_come_back_in_full),
	};

	return cmocka_run_group_tests(tests, group_start, group_stop);
}
