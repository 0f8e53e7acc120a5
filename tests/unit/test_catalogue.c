/* test_catalogue.c - which route a generation takes. */
#include "unit.h"

#include "reeld/catalogue.h"
#include "reeld/mem.h"

static size_t
pick(const struct catalogue_route *routes, size_t n)
{
	struct catalogue_model model = {.routes = routes, .n_routes = n};
	const struct catalogue_route *route = catalogue_pick_route(&model);

	return route != NULL ? (size_t)(route - routes) : n;
}

TEST(only_usable_routes_of_the_best_priority)
{
	const struct catalogue_route routes[] = {
	    {.priority = 1, .weight = 5, .usable = false},
	    {.priority = 2, .weight = 1, .usable = true},
	    {.priority = 2, .weight = 9, .usable = false},
	    {.priority = 2, .weight = 3, .usable = true},
	    {.priority = 3, .weight = 100, .usable = true},
	};
	int count[5] = {0};

	for (int i = 0; i < 4000; i++) {
		size_t at = pick(routes, nitems(routes));

		CHECK(at < nitems(routes));
		count[at]++;
	}
	CHECK_INT(count[0] + count[2] + count[4], ==, 0);
	/* 1 in 4, far from both ends of chance. */
	CHECK_INT(count[1], >, 700);
	CHECK_INT(count[1], <, 1300);
}

TEST(no_weights_and_no_routes)
{
	const struct catalogue_route none[] = {{.usable = false}};
	const struct catalogue_route zero[] = {
	    {.priority = 1, .usable = true}, {.priority = 1, .usable = true}};

	CHECK_INT(pick(none, 1), ==, 1);
	CHECK_INT(pick(none, 0), ==, 0);
	CHECK_INT(pick(zero, 2), ==, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_usable_routes_of_the_best_priority),
	    cmocka_unit_test(no_weights_and_no_routes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
