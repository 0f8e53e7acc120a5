/* test_pg_group.c - items gathered into transactions. */
#include "group_world.h"
#include "reeld/clock.h"

static void
add_locked(struct world *world, int i)
{
	struct json_object *o = json_new();

	json_set_int(o, "v", i);
	json_set_int(o, "d", 1);
	json_set_int(o, "lock", 7);
	json_set_text(o, "whose", "seven");
	pg_group_add(
	    world->group, o, &world->all[i].item, on_item, &world->all[i]);
	json_free(&o);
}

TEST(what_comes_in_one_turn_goes_together_and_each_has_its_row)
{
	struct world world;

	world_open(&world);
	for (int i = 0; i < MANY; i++)
		add(&world, i, 1, false);
	run_until(&world, MANY);
	for (int i = 0; i < MANY; i++) {
		CHECK_INT(world.all[i].told, ==, 1);
		CHECK_INT(world.all[i].v, ==, i);
		CHECK_INT(world.all[i].company, ==, i < 192 ? 64 : 8);
	}
	CHECK_INT(world.rows, ==, MANY);
	world_close(&world);
}

TEST(nobody_waits_for_company)
{
	struct world world;

	world_open(&world);
	add(&world, 0, 1, false);
	run_until(&world, 1);
	CHECK_INT(world.all[0].company, ==, 1);
	/* While one is under way the others gather. */
	world.slow_s = 0.05;
	add(&world, 1, 1, false);
	loop_run_for(world.loop, 0);
	add(&world, 2, 1, false);
	add(&world, 3, 1, false);
	run_until(&world, 4);
	CHECK_INT(world.all[1].company, ==, 1);
	CHECK_INT(world.all[2].company, ==, 2);
	CHECK_INT(world.all[3].company, ==, 2);
	world_close(&world);
}

TEST(what_has_no_row_in_company_is_sent_alone)
{
	struct world world;

	world_open(&world);
	for (int i = 0; i < 10; i++)
		add(&world, i, 1, i % 5 == 0);
	run_until(&world, 10);
	for (int i = 0; i < 10; i++) {
		CHECK_INT(world.all[i].v, ==, i);
		CHECK_INT(world.all[i].company, ==, i % 5 == 0 ? 1 : 10);
	}
	CHECK_INT(world.rows, ==, 10);
	world_close(&world);
}

/* The statement leaves them out of more than two. */
TEST(what_is_left_out_goes_along_again_before_it_is_alone)
{
	struct world world;

	world_open_again(&world, 1);
	for (int i = 0; i < 10; i++)
		add(&world, i, 1, i % 5 == 0);
	run_until(&world, 10);
	for (int i = 0; i < 10; i++) {
		CHECK_INT(world.all[i].v, ==, i);
		CHECK_INT(world.all[i].company, ==, i % 5 == 0 ? 2 : 10);
	}
	world_close(&world);

	world_open_again(&world, 2);
	for (int i = 0; i < 9; i++)
		add(&world, i, 1, i % 3 == 0);
	run_until(&world, 9);
	for (int i = 0; i < 9; i++)
		CHECK_INT(world.all[i].company, ==, i % 3 == 0 ? 1 : 9);
	CHECK_INT(world.rows, ==, 9);
	world_close(&world);

	/* The last of its kind is not what others wait behind. */
	world_open_again(&world, 5);
	for (int i = 0; i < 4; i++)
		add(&world, i, 1, i == 0);
	run_until(&world, 4);
	CHECK_INT(world.all[0].company, ==, 1);
	world_close(&world);
}

TEST(one_that_is_refused_harms_no_other)
{
	struct world world;

	world_open(&world);
	for (int i = 0; i < 10; i++)
		add(&world, i, i == 4 ? 0 : 1, false);
	run_until(&world, 10);
	for (int i = 0; i < 10; i++) {
		CHECK_INT(world.all[i].told, ==, 1);
		CHECK_INT(world.all[i].v, ==, i == 4 ? -1 : i);
		CHECK_STR(world.all[i].error, i == 4 ? "db_refused" : "");
	}
	CHECK_INT(world.rows, ==, 9);
	world_close(&world);
}

TEST(a_cancelled_one_is_not_told)
{
	struct world world;

	world_open(&world);
	/* Before it is sent: never sent. */
	for (int i = 0; i < 3; i++)
		add(&world, i, 1, false);
	pg_item_cancel(&world.all[1].item);
	CHECK(world.all[1].item == NULL);
	pg_item_cancel(&world.all[1].item);
	run_until(&world, 2);
	CHECK_INT(world.rows, ==, 2);
	/* On the wire, and by a neighbour's callback: done, not told. */
	world.slow_s = 0.05;
	for (int i = 3; i < 7; i++)
		add(&world, i, 1, false);
	loop_run_for(world.loop, 0);
	pg_item_cancel(&world.all[3].item);
	world.spares = &world.all[6];
	run_until(&world, 4);
	loop_run_for(world.loop, 20);
	CHECK_INT(world.rows, ==, 6);
	CHECK_INT(
	    world.all[1].told + world.all[3].told + world.all[6].told, ==, 0);
	world_close(&world);
}

TEST(the_next_are_sent_before_the_last_are_told)
{
	struct world world;

	world_open(&world);
	world.slow_s = 0.05;
	add(&world, 0, 1, false);
	loop_run_for(world.loop, 0);
	add(&world, 1, 1, false);
	add(&world, 2, 1, false);
	/* Who is told first cancels one of the next: too late. */
	world.spares = &world.all[1];
	run_until(&world, 2);
	CHECK_INT(world.all[1].told, ==, 0);
	CHECK_INT(world.all[2].company, ==, 2);
	CHECK_INT(world.rows, ==, 3);
	world_close(&world);
}

TEST(what_is_too_long_goes_in_parts)
{
	struct world world;
	struct json_object *o = json_new();
	char *long_text = xmalloc(300001);

	memset(long_text, 'x', 300000);
	long_text[300000] = '\0';
	json_set_int(o, "d", 1);
	json_set_text(o, "text", long_text);
	world_open(&world);
	for (int i = 0; i < 3; i++)
		pg_group_add(
		    world.group, o, &world.all[i].item, on_item, &world.all[i]);
	run_until(&world, 3);
	CHECK_INT(world.all[0].company, ==, 1);
	CHECK_INT(world.all[2].company, ==, 1);
	world_close(&world);
	json_free(&o);
	free(long_text);
}

/* Somebody who has the lock for three seconds. */
struct holder {
	struct loop *loop;
	struct pg_pool *pool, *looker;
	struct pg_query *holds, *looks;
	bool has, over;
};

static void
on_over(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct holder *holder = arg;

	CHECK(err == NULL);
	holder->over = true;
}

static void
on_look(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct holder *holder = arg;

	CHECK(err == NULL);
	holder->has = pg_count(rows) == 0;
	loop_stop(holder->loop);
}

static void
holder_open(struct holder *holder, struct world *world)
{
	struct pg_opts opts = {.name = "holder",
	    .conninfo = servers.pg_url,
	    .size = 1,
	    .max_waiting = 10,
	    .timeout_ms = 20000};

	memset(holder, 0, sizeof *holder);
	holder->loop = world->loop;
	holder->pool = pg_pool_new(world->loop, &opts);
	holder->looker = pg_pool_new(world->loop, &opts);
	pg_query_start(holder->pool, STMT_TEST_GROUP,
	    PG_ARGS("[{\"n\":1,\"v\":0,\"d\":1,\"lock\":7,\"s\":3}]"),
	    &holder->holds, on_over, holder);
	while (!holder->has) {
		CHECK(!holder->over);
		pg_query_start(holder->looker, STMT_TEST_GROUP,
		    PG_ARGS("[{\"n\":1,\"v\":0,\"d\":1,\"lock\":7,"
			    "\"pass\":true}]"),
		    &holder->looks, on_look, holder);
		loop_run(world->loop);
	}
}

static void
holder_close(struct holder *holder)
{
	pg_pool_free(holder->pool);
	pg_pool_free(holder->looker);
}

static void
add_some_locked(struct world *world)
{
	for (int i = 0; i < 10; i++) {
		if (i % 2 == 0)
			add(world, i, 1, false);
		else
			add_locked(world, i);
	}
}

TEST(all_that_met_a_lock_in_company_pass_it_by)
{
	struct world world;
	struct holder holder;

	world_open(&world);
	holder_open(&holder, &world);
	add_some_locked(&world);
	/* Behind them. */
	loop_run_for(world.loop, 0);
	add(&world, 10, 1, false);
	run_until(&world, 6);
	for (int i = 0; i < 10; i += 2)
		CHECK_INT(world.all[i].company, ==, 10);
	CHECK_INT(world.all[10].company, ==, 1);
	/* Of the others the first waits. Those behind it do not even go along
	 * with who comes now. */
	add_locked(&world, 11);
	add(&world, 12, 1, false);
	run_until(&world, 7);
	CHECK_INT(world.all[12].company, ==, 1);
	pg_item_cancel(&world.all[5].item);
	CHECK(!holder.over);
	run_until(&world, 12);
	CHECK(holder.over);
	CHECK_INT(world.all[1].company, ==, 1);
	for (int i = 3; i <= 11; i += 2)
		CHECK_INT(world.all[i].told, ==, i != 5);
	for (int i = 7; i <= 11; i += 2)
		CHECK_INT(world.all[i].company, ==, 4);
	CHECK_INT(world.rows, ==, 12);
	holder_close(&holder);
	world_close(&world);
}

TEST(who_comes_alone_to_a_lock_is_not_waited_for)
{
	struct world world;
	struct holder holder;

	world_open(&world);
	holder_open(&holder, &world);
	add_locked(&world, 11);
	loop_run_for(world.loop, 0);
	add_some_locked(&world);
	run_until(&world, 5);
	CHECK(!holder.over);
	for (int i = 0; i < 10; i += 2)
		CHECK_INT(world.all[i].told, ==, 1);
	run_until(&world, 11);
	CHECK_INT(world.all[11].company, ==, 1);
	for (int i = 1; i < 10; i += 2)
		CHECK_INT(world.all[i].company, ==, 5);
	holder_close(&holder);
	world_close(&world);
}

static int
flushes(struct world *world)
{
	struct pg_stats stats;

	pg_pool_stats(world->pool, &stats);
	return (int)stats.by_stmt[STMT_FLUSH].count;
}

TEST(several_together_are_told_when_they_are_on_disk)
{
	struct pg_stats stats;
	struct world world;

	world_open_as(&world, 0, true, 2);
	/* A connection that is younger than they are could not tell. */
	do {
		loop_run_for(world.loop, 1);
		pg_pool_stats(world.pool, &stats);
	} while (stats.ready < 2);
	for (int i = 0; i < 70; i++)
		add(&world, i, 1, i == 3);
	run_until(&world, 70);
	for (int i = 0; i < 70; i++) {
		CHECK_INT(world.all[i].v, ==, i);
		CHECK_INT(world.all[i].company, ==,
		    i == 3	 ? 1
			: i < 64 ? 64
				 : 6);
		CHECK(world.all[i].async == (i != 3));
	}
	CHECK_INT(flushes(&world), >=, 1);
	CHECK_INT(flushes(&world), <=, 2);
	CHECK_INT(world.rows, ==, 70);
	/* One by itself waits for the disk as it is. */
	world.rows = flushes(&world);
	add(&world, 70, 1, false);
	run_until(&world, 71);
	CHECK(!world.all[70].async);
	CHECK_INT(flushes(&world), ==, world.rows - 1);
	world_close(&world);
}

/* The flush is behind the next ones, on the same connection. */
static void
be_done_and_not_on_disk(struct world *world)
{
	struct pg_stats stats;

	world_open_as(world, 0, true, 1);
	add(world, 0, 1, false);
	run_until(world, 1);
	add(world, 1, 1, false);
	add(world, 2, 1, false);
	loop_run_for(world->loop, 0);
	world->slow_s = 5;
	add(world, 3, 1, false);
	add(world, 4, 1, false);
	do {
		loop_run_for(world->loop, 5);
		pg_pool_stats(world->pool, &stats);
	} while (stats.in_flight < 2);
	CHECK_INT(world->told, ==, 1);
}

TEST(a_crash_before_they_are_on_disk_is_told)
{
	struct world world;

	be_done_and_not_on_disk(&world);
	servers_kill_postgres(&servers);
	run_until(&world, 5);
	for (int i = 1; i < 5; i++)
		CHECK_STR(world.all[i].error, "db_unknown");
	CHECK_INT(world.rows, ==, 1);
	world_close(&world);
	servers_start_postgres(&servers);
}

TEST(freeing_the_group_forgets_what_is_not_on_disk)
{
	struct world world;

	be_done_and_not_on_disk(&world);
	pg_group_free(world.group);
	world.group = NULL;
	for (int i = 1; i < 5; i++)
		CHECK(world.all[i].item == NULL);
	CHECK_INT(world.told, ==, 1);
	world_close(&world);
}

struct flushed {
	struct loop *loop;
	int told, unknown, wanted;
};

static void
on_flushed(const struct err *err, void *arg)
{
	struct flushed *flushed = arg;

	flushed->unknown += err != NULL;
	if (++flushed->told == flushed->wanted)
		loop_stop(flushed->loop);
}

TEST(a_connection_that_came_after_them_cannot_know)
{
	struct world world;
	struct flushed flushed = {.wanted = 2};
	struct flush *flush;
	int64_t before = clock_mono_ns() / 1000;

	world_open(&world);
	flushed.loop = world.loop;
	add(&world, 0, 1, false);
	run_until(&world, 1);
	flush = flush_new(world.pool);
	flush_wait(flush, before, on_flushed, &flushed);
	flush_wait(flush, clock_mono_ns() / 1000, on_flushed, &flushed);
	loop_run(world.loop);
	CHECK_INT(flushed.told, ==, 2);
	CHECK_INT(flushed.unknown, ==, 1);
	/* The first one's was under way: the second had its own. */
	CHECK_INT(flushes(&world), ==, 2);
	flush_free(flush);
	world_close(&world);
}

TEST(without_a_database_each_is_told)
{
	struct world world;

	world_open(&world);
	add(&world, 0, 1, false);
	run_until(&world, 1);
	world.slow_s = 0.5;
	for (int i = 1; i < 5; i++)
		add(&world, i, 1, false);
	loop_run_for(world.loop, 0);
	servers_kill_postgres(&servers);
	run_until(&world, 5);
	for (int i = 1; i < 5; i++)
		CHECK_INT(world.all[i].told, ==, 1);
	world_close(&world);
	servers_start_postgres(&servers);
}

TEST(freeing_the_group_empties_the_slots)
{
	struct world world;

	world_open(&world);
	world.slow_s = 0.5;
	for (int i = 0; i < 100; i++)
		add(&world, i, 1, i == 0);
	loop_run_for(world.loop, 0);
	pg_group_free(world.group);
	world.group = NULL;
	for (int i = 0; i < 100; i++)
		CHECK(world.all[i].item == NULL);
	loop_run_for(world.loop, 50);
	CHECK_INT(world.told, ==, 0);
	world_close(&world);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		what_comes_in_one_turn_goes_together_and_each_has_its_row),
	    cmocka_unit_test(nobody_waits_for_company),
	    cmocka_unit_test(what_has_no_row_in_company_is_sent_alone),
	    cmocka_unit_test(
		what_is_left_out_goes_along_again_before_it_is_alone),
	    cmocka_unit_test(one_that_is_refused_harms_no_other),
	    cmocka_unit_test(a_cancelled_one_is_not_told),
	    cmocka_unit_test(the_next_are_sent_before_the_last_are_told),
	    cmocka_unit_test(what_is_too_long_goes_in_parts),
	    cmocka_unit_test(who_comes_alone_to_a_lock_is_not_waited_for),
	    cmocka_unit_test(all_that_met_a_lock_in_company_pass_it_by),
	    cmocka_unit_test(several_together_are_told_when_they_are_on_disk),
	    cmocka_unit_test(a_crash_before_they_are_on_disk_is_told),
	    cmocka_unit_test(freeing_the_group_forgets_what_is_not_on_disk),
	    cmocka_unit_test(a_connection_that_came_after_them_cannot_know),
	    cmocka_unit_test(without_a_database_each_is_told),
	    cmocka_unit_test(freeing_the_group_empties_the_slots),
	};

	return cmocka_run_group_tests(tests, group_start, group_stop);
}
