/* test_turns.c - which instance takes what was just ordered. */
#include "unit.h"

#include "jobs/turns.h"

enum { SILENCE = 15000 };

static struct id
named(char c)
{
	struct id id;
	char text[] = "00000000-0000-7000-8000-000000000000";

	text[0] = c;
	CHECK(id_parse(text, &id));
	return id;
}

/* Told of as much work as makes it busy. */
static void
busy(struct turns *t, int64_t wall_ms)
{
	for (int i = 0; i < TURNS_BUSY; i++)
		turns_told(t, wall_ms);
}

TEST(alone_all_is_its_own)
{
	struct turns t = {0};
	struct id own = named('a');

	for (int64_t ms = 0; ms < 10 * TURN_MS; ms += 7) {
		turns_told(&t, ms);
		CHECK(turns_whose(&t, &own, ms, ms, SILENCE) == &own);
	}
}

TEST(with_little_work_each_takes_its_own)
{
	struct turns t = {0};
	struct id own = named('a'), other = named('b');

	CHECK(turns_heard(&t, &other, 0));
	CHECK(!turns_heard(&t, &other, 1));
	for (int64_t ms = 0; ms < 10 * TURN_MS; ms += TURN_MS) {
		for (int i = 1; i < TURNS_BUSY; i++)
			turns_told(&t, ms);
		CHECK(turns_whose(&t, &own, ms, 0, SILENCE) == &own);
	}
}

/* Three instances that each know the two others, whichever they heard first. */
TEST(all_name_the_same_and_each_has_its_turn)
{
	struct turns t[3] = {{.n = 0}};
	struct id ids[3] = {named('c'), named('a'), named('b')};
	int turns[3] = {0};

	for (int i = 0; i < 3; i++) {
		CHECK(turns_heard(&t[i], &ids[(i + 2) % 3], 0));
		CHECK(turns_heard(&t[i], &ids[(i + 1) % 3], 0));
	}
	for (int64_t ms = 5000; ms < 5000 + 9 * TURN_MS; ms += TURN_MS) {
		const struct id *who = NULL;

		for (int i = 0; i < 3; i++) {
			const struct id *named_by;

			busy(&t[i], ms);
			named_by = turns_whose(&t[i], &ids[i], ms, 0, SILENCE);
			CHECK(who == NULL || id_eq(who, named_by));
			/* The same until the turn ends. */
			CHECK(id_eq(named_by,
			    turns_whose(
				&t[i], &ids[i], ms + TURN_MS - 1, 0, SILENCE)));
			who = named_by;
		}
		for (int i = 0; i < 3; i++)
			turns[i] += id_eq(who, &ids[i]);
	}
	for (int i = 0; i < 3; i++)
		CHECK_INT(turns[i], ==, 3);
}

TEST(a_turn_remembers_the_one_before)
{
	struct turns t = {0};
	struct id own = named('a'), other = named('b');

	CHECK(turns_heard(&t, &other, 0));
	busy(&t, 0);
	CHECK(id_eq(&other, turns_whose(&t, &own, TURN_MS, 0, SILENCE)));
	/* Two later it is forgotten. */
	CHECK(turns_whose(&t, &own, 3 * TURN_MS, 0, SILENCE) == &own);
}

TEST(who_left_or_is_silent_has_no_turn)
{
	struct turns t = {0};
	struct id own = named('b'), left = named('a'), silent = named('c');

	CHECK(turns_heard(&t, &left, 0));
	CHECK(turns_heard(&t, &silent, 0));
	CHECK_INT(t.n, ==, 2);
	turns_gone(&t, &left);
	turns_gone(&t, &own); /* never heard of */
	for (int64_t ms = 0; ms < 4 * TURN_MS; ms += TURN_MS) {
		busy(&t, ms);
		CHECK(!id_eq(&left, turns_whose(&t, &own, ms, ms, SILENCE)));
	}
	busy(&t, 0);
	CHECK(turns_whose(&t, &own, TURN_MS, SILENCE + 1, SILENCE) == &own);
	CHECK_INT(t.n, ==, 0);
}

TEST(more_than_can_be_counted)
{
	struct turns t = {0};
	struct id own = named('b');

	for (int i = 0; i < TURNS_PEERS; i++) {
		struct id id = id_new();

		CHECK(turns_heard(&t, &id, 0));
	}
	CHECK(!turns_heard(&t, &own, 0));
	CHECK_INT(t.n, ==, TURNS_PEERS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(alone_all_is_its_own),
	    cmocka_unit_test(with_little_work_each_takes_its_own),
	    cmocka_unit_test(all_name_the_same_and_each_has_its_turn),
	    cmocka_unit_test(a_turn_remembers_the_one_before),
	    cmocka_unit_test(who_left_or_is_silent_has_no_turn),
	    cmocka_unit_test(more_than_can_be_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
