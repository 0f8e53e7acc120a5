/* test_api.c - the pure parts of the API: cursors and idempotency keys. */
#include "unit.h"

#include <stdlib.h>

#include "api/internal.h"

TEST(cursors_round_trip)
{
	struct api_cursor in = {.sort = INT64_MAX, .id = id_new()}, out;
	char text[API_CURSOR_LEN];
	struct err err;

	api_cursor_encode(&in, text);
	CHECK(api_cursor_decode(text, &out, &err));
	CHECK_INT(out.sort, ==, in.sort);
	CHECK_STR(out.id.text, in.id.text);
	in = (struct api_cursor){.sort = 0};
	api_cursor_encode(&in, text);
	CHECK(api_cursor_decode(text, &out, &err));
	CHECK_INT(out.sort, ==, 0);
	CHECK(!id_is_set(&out.id));
}

TEST(cursors_of_others_are_refused)
{
	static const char *const plain[] = {"", "12", ":",
	    "-1:", "x:", "12:abc",
	    "99999999999999999999:", "12:01234567-89ab-7def-8123-456789abcde",
	    " 12:", "12:;drop"};
	struct api_cursor out;
	char text[2 * API_CURSOR_LEN];
	struct err err;

	for (size_t i = 0; i < nitems(plain); i++) {
		b64url_encode(text, plain[i], strlen(plain[i]));
		if (api_cursor_decode(text, &out, &err))
			fail_msg("taken: %s", plain[i]);
		CHECK_STR(err_code_name(&err), "bad_cursor");
		CHECK_INT(out.sort, ==, 0);
	}
	b64url_encode(text, "1\0:", 3);
	CHECK(!api_cursor_decode(text, &out, &err));
	CHECK(!api_cursor_decode("!!!!", &out, &err));
	memset(text, 'A', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	CHECK(!api_cursor_decode(text, &out, &err));
}

TEST(idempotency_keys)
{
	static const struct {
		const char *header, *key;
		bool bad;
	} cases[] = {
	    {NULL, NULL, false},
	    {"abc-1", "abc-1", false},
	    {"\"abc-1\"", "abc-1", false},
	    {"", NULL, true},
	    {"\"\"", NULL, true},
	    {"\"", NULL, true},
	    {"a b", NULL, true},
	    {"a\"b", NULL, true},
	    {"a\\b", NULL, true},
	    {"\xc3\xa4", NULL, true},
	};
	char longest[258];
	bool bad;
	char *key;

	for (size_t i = 0; i < nitems(cases); i++) {
		key = api_idempotency_parse(cases[i].header, &bad);
		CHECK_INT(bad, ==, cases[i].bad);
		CHECK_INT(key != NULL, ==, cases[i].key != NULL);
		if (key != NULL)
			CHECK_STR(key, cases[i].key);
		free(key);
	}
	memset(longest, 'k', 256);
	longest[256] = '\0';
	CHECK(api_idempotency_parse(longest, &bad) == NULL && bad);
	longest[255] = '\0';
	key = api_idempotency_parse(longest, &bad);
	CHECK(key != NULL && !bad);
	free(key);
}

TEST(every_route_is_well_formed)
{
	size_t n;
	const struct http_route *routes = api_routes(&n);

	CHECK_INT(n, >, 0);
	for (size_t i = 0; i < n; i++) {
		const struct http_route *route = &routes[i];

		CHECK(route->handler != NULL);
		CHECK(route->pattern[0] == '/');
		if (route->scope != NULL && scope_parse(route->scope) == 0)
			fail_msg(
			    "%s: no scope %s", route->pattern, route->scope);
		/* Whoever must be known is also told what for. */
		if (route->role > ROLE_VISITOR && route->scope == NULL)
			fail_msg("%s: no scope", route->pattern);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(cursors_round_trip),
	    cmocka_unit_test(cursors_of_others_are_refused),
	    cmocka_unit_test(idempotency_keys),
	    cmocka_unit_test(every_route_is_well_formed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
