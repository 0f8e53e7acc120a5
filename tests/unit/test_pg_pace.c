/* test_pg_pace.c - groups of several instances take turns. */
#include "group_world.h"

static void
say_done(const char *stmt, void *arg)
{
	int *n = arg;

	CHECK_STR(stmt, pg_stmt_name(STMT_TEST_GROUP));
	++*n;
}

/* Two in two turns; how many went in the transaction of the first of them. */
static int
company_of_two(struct world *world)
{
	int i = world->told;

	add(world, i, 1, false);
	loop_run_for(world->loop, 0);
	add(world, i + 1, 1, false);
	run_until(world, i + 2);
	return (int)world->all[i].company;
}

/* Two together that took so long, after another instance had been heard of;
 * then the next two, as above. */
static int
company_after(struct world *world, const char *stmt, bool again)
{
	int i = world->told;

	pg_pool_others_done(world->pool, stmt);
	world->slow_s = 0.02;
	add(world, i, 1, false);
	add(world, i + 1, 1, false);
	run_until(world, i + 2);
	world->slow_s = 0;
	if (again)
		pg_pool_others_done(world->pool, stmt);
	return company_of_two(world);
}

TEST(instances_take_turns)
{
	const char *stmt = pg_stmt_name(STMT_TEST_GROUP);
	struct world world;
	int said = 0, n = 0;

	world_open(&world);
	CHECK_INT(company_after(&world, "another", false), ==, 1);
	pg_pool_set_others(world.pool, say_done, &said);
	/* On a machine that stands still the time may be over. */
	while (company_after(&world, stmt, false) != 2)
		CHECK_INT(world.told, <, MANY / 2);
	CHECK_INT(said, >, 0);
	/* The other one is done. */
	CHECK_INT(company_after(&world, stmt, true), ==, 1);
	/* Enough for a large one do not wait. */
	n = world.told;
	pg_pool_others_done(world.pool, stmt);
	world.slow_s = 0.02;
	add(&world, n, 1, false);
	add(&world, n + 1, 1, false);
	run_until(&world, n + 2);
	world.slow_s = 0;
	for (int i = 2; i < 34; i++)
		add(&world, n + i, 1, false);
	loop_run_for(world.loop, 0);
	add(&world, n + 34, 1, false);
	run_until(&world, n + 35);
	CHECK_INT(world.all[n + 2].company, ==, 32);
	CHECK_INT(world.all[n + 34].company, ==, 1);
	world_close(&world);
}

TEST(what_is_sent_at_once_waits_for_no_turn)
{
	const char *stmt = pg_stmt_name(STMT_TEST_GROUP);
	struct world world;

	at_once = true;
	world_open(&world);
	at_once = false;
	for (int i = 0; i < 3; i++)
		CHECK_INT(company_after(&world, stmt, false), ==, 1);
	world_close(&world);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(instances_take_turns),
	    cmocka_unit_test(what_is_sent_at_once_waits_for_no_turn),
	};

	return cmocka_run_group_tests(tests, group_start, group_stop);
}
