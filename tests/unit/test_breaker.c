/* test_breaker.c - when an account's circuit opens and closes. */
#include "unit.h"

#include "jobs/breaker.h"

static enum breaker_do
fails(struct breaker *b, int64_t now_ms)
{
	return breaker_on(b, true, false, now_ms);
}

static void
open_it(struct breaker *b, int64_t now_ms)
{
	for (int i = 1; i < BREAKER_FAILURES; i++)
		CHECK_INT(fails(b, now_ms + i), ==, BREAKER_NOTHING);
	CHECK_INT(fails(b, now_ms + BREAKER_FAILURES), ==, BREAKER_OPEN);
}

TEST(opens_after_failures_in_a_row)
{
	struct breaker b = {0};

	open_it(&b, 1000);
	CHECK_INT(b.failures, ==, BREAKER_FAILURES);
	CHECK_INT(
	    b.open_until_ms, ==, 1000 + BREAKER_FAILURES + BREAKER_OPEN_MS);
	/* Those that were on their way say nothing new. */
	CHECK_INT(fails(&b, 1100), ==, BREAKER_NOTHING);
}

TEST(an_answer_between_begins_anew)
{
	struct breaker b = {0};

	for (int i = 1; i < BREAKER_FAILURES; i++)
		(void)fails(&b, i);
	CHECK_INT(breaker_on(&b, false, false, 90), ==, BREAKER_NOTHING);
	open_it(&b, 100);
}

TEST(failures_far_apart_do_not_add_up)
{
	struct breaker b = {0};

	for (int i = 0; i < 100; i++)
		CHECK_INT(fails(&b, 1 + (int64_t)i * BREAKER_WINDOW_MS), ==,
		    BREAKER_NOTHING);
	/* Four in one window and the fifth after it. */
	b = (struct breaker){0};
	for (int i = 1; i < BREAKER_FAILURES; i++)
		(void)fails(&b, i);
	CHECK_INT(fails(&b, 2 + BREAKER_WINDOW_MS), ==, BREAKER_NOTHING);
	CHECK_INT(b.failures, ==, 1);
}

TEST(a_probe_decides_at_once)
{
	struct breaker b = {0};

	/* In a process that saw none of the failures. */
	CHECK_INT(breaker_on(&b, true, true, 5), ==, BREAKER_OPEN);
	CHECK_INT(breaker_on(&b, false, true, 6), ==, BREAKER_CLOSE);
	CHECK_INT(b.open_until_ms, ==, 0);
	CHECK_INT(breaker_on(&b, false, true, 7), ==, BREAKER_CLOSE);
	CHECK_INT(breaker_on(&b, false, false, 8), ==, BREAKER_NOTHING);
	/* And one that was on its way and is answered closes it, too. */
	open_it(&b, 10);
	CHECK_INT(breaker_on(&b, false, false, 20), ==, BREAKER_CLOSE);
}

TEST(after_its_time_it_counts_again)
{
	struct breaker b = {0};

	open_it(&b, 0);
	open_it(&b, 2 * BREAKER_OPEN_MS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(opens_after_failures_in_a_row),
	    cmocka_unit_test(an_answer_between_begins_anew),
	    cmocka_unit_test(failures_far_apart_do_not_add_up),
	    cmocka_unit_test(a_probe_decides_at_once),
	    cmocka_unit_test(after_its_time_it_counts_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
