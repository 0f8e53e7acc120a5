/*
 * test_sim.c - the simulator over 10,000 seeds (SIM_SEEDS), that it is the
 * same every time, and that every planted fault is found: a check that has
 * never failed is none.
 */
#include "unit.h"

#include <stdlib.h>

#include "sim/sim.h"

static struct sim_world world;

static int
seeds(void)
{
	const char *text = getenv("SIM_SEEDS");

	return text != NULL ? (int)strtol(text, NULL, 10) : 10000;
}

TEST(test_seeds)
{
	int completed = 0, failed = 0, cancelled = 0, gens = 0;

	for (int seed = 1; seed <= seeds(); seed++) {
		sim_run(&world, (uint64_t)seed, FAULT_NONE, NULL, NULL);
		for (int i = 1; i <= world.db.n_gens; i++, gens++) {
			enum gen_status s = world.db.gens[i].status;

			completed += s == G_COMPLETED;
			failed += s == G_FAILED;
			cancelled += s == G_CANCELLED;
		}
		if (world.finding[0] == '\0')
			continue;
		sim_run(&world, (uint64_t)seed, FAULT_NONE, stdout, NULL);
		fail_msg(
		    "seed %d: %s (above; again: SIM_SEED=%d make simulate)",
		    seed, world.finding, seed);
	}
	/* A world in which little succeeds or little fails proves little. */
	CHECK_INT(gens, >, seeds() * 2);
	CHECK_INT(completed, >, gens / 3);
	CHECK_INT(failed, >, gens / 10);
	CHECK_INT(cancelled, >, gens / 50);
}

TEST(test_same_again)
{
	for (int seed = 1; seed <= 50; seed++) {
		static char first[8192], again[8192];
		int steps;

		sim_run(&world, (uint64_t)seed, FAULT_NONE, NULL, NULL);
		db_text(&world.db, first, sizeof first);
		steps = world.steps;
		sim_run(&world, (uint64_t)seed, FAULT_NONE, NULL, NULL);
		db_text(&world.db, again, sizeof again);
		CHECK_INT(world.steps, ==, steps);
		CHECK_STR(first, again);
	}
}

/* Which promise each planted fault breaks. */
static const struct {
	enum sim_fault fault;
	const char *finding;
} planted[] = {
    {FAULT_NO_FENCE, "two paid submits"},
    {FAULT_REFUND_TWICE, "I3"},
    {FAULT_KEEP_MONEY, "I4"},
    {FAULT_CANCEL_ANYTHING, "was completed and is cancelled"},
    {FAULT_NO_PROMOTION, "never came to an end"},
    {FAULT_NO_DEADLINE, "never came to an end"},
    {FAULT_KEY_IGNORED, "order"},
    {FAULT_TOPUP_TWICE, "I7"},
    {FAULT_OUTBOX_FORGETS, "stuck"},
    {FAULT_LOST_UPDATE, "I6"},
    {FAULT_LATE_REQUEUE, "two paid submits"},
    {FAULT_LATE_START, "two paid submits"},
    {FAULT_BLAME_ALL, "B1"},
    {FAULT_BLAME_PAGE, "B1"},
    {FAULT_BLAME_PARKED, "B3"},
    {FAULT_BLAME_COMPANY, "B2"},
    {FAULT_TAKE_ALL, "B4"},
    {FAULT_NO_DOUBT, "two paid submits"},
    {FAULT_SEND_AGAIN, "two paid submits"},
    {FAULT_REQUEUE_UNKNOWN, "two paid submits"},
    {FAULT_SEND_BEFORE_COMMIT, "two paid submits"},
    {FAULT_TRUST_REFUSAL, "two paid submits"},
    {FAULT_NO_GRACE, "two paid submits"},
};

TEST(test_planted_faults)
{
	for (size_t i = 0; i < sizeof planted / sizeof planted[0]; i++) {
		int seed = 0;

		do
			sim_run(&world, (uint64_t)++seed, planted[i].fault,
			    NULL, NULL);
		while (world.finding[0] == '\0' && seed < 10000);
		if (world.finding[0] == '\0')
			fail_msg("%s is not found in %d seeds",
			    sim_fault_name(planted[i].fault), seed);
		print_message("%s: seed %d: %s\n",
		    sim_fault_name(planted[i].fault), seed, world.finding);
		if (strstr(world.finding, planted[i].finding) == NULL)
			fail_msg("%s: found as: %s",
			    sim_fault_name(planted[i].fault), world.finding);
	}
	CHECK_INT(sizeof planted / sizeof planted[0], ==, SIM_FAULTS - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_seeds),
	    cmocka_unit_test(test_same_again),
	    cmocka_unit_test(test_planted_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
