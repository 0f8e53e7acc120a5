/* test_auth.c - the pure parts of auth: rates, forged requests, scopes, the
 * cache of identities. */
#include "unit.h"

#include <stdlib.h>

#include "auth/internal.h"
#include "reeld/mem.h"

#define SECOND INT64_C(1000000000)

TEST(a_burst_then_one_per_interval)
{
	struct limit_table *table = limit_table_new();
	struct limit_rate rate = limit_rate_of("read", 2, 1, 5);
	int64_t now = 1000 * SECOND;
	struct limit_result result;

	for (int i = 0; i < 5; i++) {
		result = limit_take(table, "ann", &rate, 1, now);
		CHECK(result.allowed);
		CHECK_INT(result.remaining, ==, 4 - i);
	}
	result = limit_take(table, "ann", &rate, 1, now);
	CHECK(!result.allowed);
	CHECK_INT(result.retry_s, ==, 1);
	CHECK_INT(result.reset_s, ==, 3); /* 2.5 s, rounded up */
	/* A refused request costs nothing. */
	result = limit_take(table, "ann", &rate, 1, now + SECOND / 2);
	CHECK(result.allowed);
	result = limit_take(table, "ann", &rate, 1, now + SECOND / 2);
	CHECK(!result.allowed);
	limit_table_free(table);
}

TEST(exactly_burst_plus_rate)
{
	struct limit_table *table = limit_table_new();
	struct limit_rate rate = limit_rate_of("submit", 60, 60, 30);
	int64_t allowed = 0;

	/* 1000 requests spread over 10 s. */
	for (int i = 0; i < 1000; i++)
		allowed += limit_take(
		    table, "ann", &rate, 1, SECOND + i * (SECOND / 100))
			       .allowed;
	CHECK_INT(allowed, ==, 30 + 9);
	limit_table_free(table);
}

TEST(keys_and_classes_are_apart_and_looking_is_free)
{
	struct limit_table *table = limit_table_new();
	struct limit_rate read = limit_rate_of("read", 1, 1, 1);
	struct limit_rate login = limit_rate_of("login", 1, 1, 1);

	CHECK(limit_take(table, "ann", &read, 0, SECOND).allowed);
	CHECK(limit_take(table, "ann", &read, 1, SECOND).allowed);
	CHECK(!limit_take(table, "ann", &read, 0, SECOND).allowed);
	CHECK(limit_take(table, "bob", &read, 1, SECOND).allowed);
	CHECK(limit_take(table, "ann", &login, 1, SECOND).allowed);
	limit_table_free(table);
}

TEST(a_flood_of_keys_keeps_to_its_memory)
{
	struct limit_table *table = limit_table_new();
	struct limit_rate rate = limit_rate_of("read", 1, 60, 1);
	char key[32];

	for (int i = 0; i < 300000; i++) {
		snprintf(key, sizeof key, "k%d", i);
		CHECK(limit_take(table, key, &rate, 1, SECOND).allowed);
	}
	limit_table_free(table);
}

TEST(addresses)
{
	static const struct {
		const char *ip, *key;
	} cases[] = {
	    {"192.0.2.7", "192.0.2.7"},
	    {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"},
	    {"2001:db8:1:2::1", "2001:db8:1:2::"},
	    {"::1", "::"},
	    {"", ""},
	};
	char key[64];

	for (size_t i = 0; i < nitems(cases); i++) {
		limit_ip_key(cases[i].ip, key, sizeof key);
		CHECK_STR(key, cases[i].key);
	}
}

TEST(forged_requests)
{
	static const char url[] = "https://video.example.org";
	static const struct {
		const char *site, *origin, *host, *url;
		bool cookie, ok;
	} cases[] = {
	    /* pages of ours */
	    {"same-origin", "https://video.example.org", "video.example.org",
		url, true, true},
	    {NULL, "https://video.example.org", "inner:8080", url, true, true},
	    {"same-origin", NULL, "video.example.org", url, true, true},
	    {NULL, "http://localhost:8080", "localhost:8080", "", true, true},
	    {"none", NULL, "x", "", true, true},
	    {NULL, "HTTPS://VIDEO.example.org", "x", url, true, true},
	    /* of others */
	    {"cross-site", "https://evil.test", "video.example.org", url, true,
		false},
	    {"same-site", "https://blog.example.org", "video.example.org", url,
		true, false},
	    {"same-origin", "https://evil.test", "video.example.org", url, true,
		false},
	    {NULL, "null", "video.example.org", url, true, false},
	    {NULL, "", "video.example.org", url, true, false},
	    {NULL, "https://video.example.org.evil.test", "x", url, true,
		false},
	    {NULL, "https://video.example", "x", url, true, false},
	    {NULL, "https://evil.test/video.example.org", "x", url, true,
		false},
	    {NULL, "https://video.example.org:8443", "x", url, true, false},
	    {NULL, "ftp://video.example.org", "video.example.org", "", true,
		false},
	    {NULL, "http://", "", "", true, false},
	    {NULL, "https://evil.test", NULL, "", true, false},
	    /* no browser says nothing at all: fine without a cookie only */
	    {NULL, NULL, "video.example.org", url, true, false},
	    {NULL, NULL, "video.example.org", url, false, true},
	    {"cross-site", NULL, "video.example.org", url, false, false},
	    {NULL, "https://evil.test", "video.example.org", url, false, false},
	};

	for (size_t i = 0; i < nitems(cases); i++) {
		struct forgery_in in = {.fetch_site = cases[i].site,
		    .origin = cases[i].origin,
		    .host = cases[i].host,
		    .public_url = cases[i].url,
		    .cookie = cases[i].cookie};

		if (forgery_ok(&in) != cases[i].ok)
			fail_msg("case %zu", i);
	}
}

TEST(scopes_and_roles)
{
	enum role role;

	CHECK_INT(scopes_of_array("{read,generate}"), ==,
	    SCOPE_READ | SCOPE_GENERATE);
	CHECK_INT(scopes_of_array("{}"), ==, 0);
	CHECK_INT(scopes_of_array(NULL), ==, 0);
	CHECK_INT(scopes_of_array("{readx,\"admin\"}"), ==, SCOPE_ADMIN);
	CHECK_INT(scopes_of_array("{worker"), ==, SCOPE_WORKER);
	CHECK_INT(scope_parse("reading"), ==, 0);
	CHECK(role_parse("operator", &role) && role == ROLE_OPERATOR);
	CHECK(!role_parse("root", &role) && !role_parse(NULL, &role));
	CHECK(ROLE_VISITOR < ROLE_USER && ROLE_USER < ROLE_CREATOR &&
	    ROLE_CREATOR < ROLE_OPERATOR && ROLE_OPERATOR < ROLE_ADMIN);
}

static struct shared *
someone(const char *user, const char *session)
{
	struct shared *who = xcalloc(1, sizeof *who);

	who->refs = 1;
	str_copy(who->who.user, sizeof who->who.user, user);
	str_copy(who->who.session, sizeof who->who.session, session);
	return who;
}

TEST(the_cache_forgets_by_age_and_by_name)
{
	struct cache *cache = cache_new();
	struct shared *ann = someone("ann", "s1"), *found;
	uint8_t a[32] = {1}, b[32] = {2}, c[32] = {3};

	cache_put(cache, a, ann, 0, 1000);
	cache_put(cache, b, NULL, 0, 100);
	CHECK_INT(cache_get(cache, a, 999, &found), ==, CACHE_FOUND);
	CHECK(found == ann);
	CHECK_INT(cache_get(cache, b, 50, &found), ==, CACHE_NOBODY);
	CHECK_INT(cache_get(cache, b, 100, &found), ==, CACHE_MISS);
	CHECK_INT(cache_get(cache, c, 0, &found), ==, CACHE_MISS);
	cache_put(cache, b, NULL, 0, 100);
	cache_drop(cache, NULL, "s2");
	CHECK_INT(cache_get(cache, b, 0, &found), ==, CACHE_NOBODY);
	cache_drop(cache, "bob", NULL); /* perhaps b was his */
	CHECK_INT(cache_get(cache, b, 0, &found), ==, CACHE_MISS);
	CHECK_INT(cache_get(cache, a, 0, &found), ==, CACHE_FOUND);
	cache_drop(cache, NULL, "s1");
	CHECK_INT(cache_get(cache, a, 0, &found), ==, CACHE_MISS);
	cache_put(cache, a, ann, 0, 1000);
	cache_drop(cache, "ann", NULL);
	CHECK_INT(cache_get(cache, a, 0, &found), ==, CACHE_MISS);
	CHECK_INT(ann->refs, ==, 1);
	shared_unref(&ann);
	cache_free(cache);
}

TEST(the_cache_is_bounded)
{
	struct cache *cache = cache_new();
	struct shared *ann = someone("ann", "s1"), *found;
	uint8_t hash[32] = {0};

	for (int i = 0; i < AUTH_MAX_IDENTITIES + 500; i++) {
		memcpy(hash, &i, sizeof i);
		cache_put(cache, hash, ann, 0, 1000);
	}
	CHECK_INT(cache_count(cache), ==, AUTH_MAX_IDENTITIES);
	CHECK_INT(cache_get(cache, hash, 0, &found), ==, CACHE_FOUND);
	memset(hash, 0, sizeof hash);
	CHECK_INT(cache_get(cache, hash, 0, &found), ==, CACHE_MISS);
	cache_free(cache);
	CHECK_INT(ann->refs, ==, 1);
	shared_unref(&ann);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_burst_then_one_per_interval),
	    cmocka_unit_test(exactly_burst_plus_rate),
	    cmocka_unit_test(keys_and_classes_are_apart_and_looking_is_free),
	    cmocka_unit_test(a_flood_of_keys_keeps_to_its_memory),
	    cmocka_unit_test(addresses),
	    cmocka_unit_test(forged_requests),
	    cmocka_unit_test(scopes_and_roles),
	    cmocka_unit_test(the_cache_forgets_by_age_and_by_name),
	    cmocka_unit_test(the_cache_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
