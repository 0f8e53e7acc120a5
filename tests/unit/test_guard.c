/* test_guard.c - every kind of address an untrusted URL must not reach. */
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "fetch/guard.h"
#include "reeld/fetch.h"
#include "reeld/mem.h"

static const char *const refused[] = {
    /* IPv4: first and last address of each network */
    "0.0.0.0", "0.255.255.255", "10.0.0.0", "10.1.2.3", "10.255.255.255",
    "100.64.0.0", "100.127.255.255", "127.0.0.1", "127.255.255.254",
    "169.254.0.1", "169.254.169.254", "172.16.0.0", "172.31.255.255",
    "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.0.1", "192.168.255.255",
    "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1",
    "239.255.255.255", "240.0.0.1", "255.255.255.255",
    /* IPv6 */
    "::", "::1", "::2", "::7f00:1", "::127.0.0.1", "::8.8.8.8",
    "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:10.0.0.1",
    "::ffff:169.254.169.254", "::ffff:0.0.0.0", "64:ff9b::1", "64:ff9b::7f00:1",
    "64:ff9b:1::1", "100::1", "2001::1", "2001:0:53aa:64c::1", "2001:10::1",
    "2001:db8::1", "2002::1", "2002:7f00:1::", "2002:a00:1::1", "3fff::1",
    "4000::1", "5f00::1", "fc00::1", "fd12:3456:789a::1", "fe80::1",
    "fe80::1%eth0", "fe80::1%1", "febf::1", "fec0::1", "ff00::1", "ff02::1",
    /* not an address in canonical form */
    "", "localhost", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "8.8.8.8.",
    " 8.8.8.8", "8.8.8.8:443", "[2606:4700::1]"};

static const char *const allowed[] = {"1.1.1.1", "8.8.8.8", "9.255.255.255",
    "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1",
    "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0",
    "192.0.1.0", "192.0.3.0", "192.167.255.255", "192.169.0.0",
    "198.17.255.255", "198.20.0.0", "198.51.99.255", "203.0.112.1",
    "203.0.114.0", "223.255.255.255", "2606:4700::1111", "2a00:1450::1",
    "2001:200::1", "2001:4860:4860::8888", "2003::1", "::ffff:8.8.8.8"};

static void
to_sockaddr(const char *ip, struct sockaddr_storage *out)
{
	struct sockaddr_in *in = (void *)out;
	struct sockaddr_in6 *in6 = (void *)out;

	memset(out, 0, sizeof *out);
	if (inet_pton(AF_INET, ip, &in->sin_addr) == 1)
		in->sin_family = AF_INET;
	else if (inet_pton(AF_INET6, ip, &in6->sin6_addr) == 1)
		in6->sin6_family = AF_INET6;
	else
		out->ss_family = AF_UNSPEC;
}

TEST(table_refuses_what_is_not_public)
{
	struct sockaddr_storage ss;

	for (size_t i = 0; i < nitems(refused); i++) {
		if (fetch_address_is_public(refused[i]))
			fail_msg("%s is allowed", refused[i]);
		to_sockaddr(refused[i], &ss);
		if (guard_sockaddr_ok(NULL, (struct sockaddr *)&ss))
			fail_msg("%s is allowed as sockaddr", refused[i]);
	}
}

TEST(table_allows_its_neighbours)
{
	struct sockaddr_storage ss;

	for (size_t i = 0; i < nitems(allowed); i++) {
		if (!fetch_address_is_public(allowed[i]))
			fail_msg("%s is refused", allowed[i]);
		to_sockaddr(allowed[i], &ss);
		if (!guard_sockaddr_ok(NULL, (struct sockaddr *)&ss))
			fail_msg("%s is refused as sockaddr", allowed[i]);
	}
}

TEST(other_families_are_refused)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	CHECK(!guard_sockaddr_ok(NULL, (struct sockaddr *)&un));
}

TEST(own_addresses_are_refused_too)
{
	struct guard guard;
	struct err err;

	CHECK(guard_init(&guard, "8.8.8.0/24, 1.1.1.1 2606:4700::/32,", &err));
	CHECK_INT(guard.n, ==, 3);
	CHECK(!guard_text_ok(&guard, "8.8.8.8"));
	CHECK(!guard_text_ok(&guard, "::ffff:8.8.8.8"));
	CHECK(guard_text_ok(&guard, "8.8.9.8"));
	CHECK(!guard_text_ok(&guard, "1.1.1.1"));
	CHECK(guard_text_ok(&guard, "1.1.1.2"));
	CHECK(!guard_text_ok(&guard, "2606:4700::1"));
	CHECK(guard_text_ok(&guard, "2606:4701::1"));
	/* 38.6.71.0 starts with the bytes of 2606:47: families don't mix */
	CHECK(guard_text_ok(&guard, "38.6.71.0"));
	guard_fini(&guard);
	guard_fini(&guard);
	CHECK(guard_init(&guard, NULL, &err));
	CHECK_INT(guard.n, ==, 0);
}

TEST(deny_list_is_checked)
{
	struct err err;

	CHECK(fetch_deny_ok("10.0.0.0/8,::1/128", &err));
	CHECK(fetch_deny_ok("0.0.0.0/0", &err));
	CHECK(!fetch_deny_ok("10.0.0.0/33", &err));
	CHECK(!fetch_deny_ok("10.0.0.0/", &err));
	CHECK(!fetch_deny_ok("10.0.0/8", &err));
	CHECK(!fetch_deny_ok("example.org", &err));
	CHECK(!fetch_deny_ok("::1/129", &err));
}

TEST(origins_are_compared_whole)
{
	char out[100], small[10];

	CHECK(fetch_url_origin("HTTPS://Example.ORG/x?y", out, sizeof out));
	CHECK_STR(out, "https://example.org:443");
	CHECK(fetch_url_origin("http://a:8080", out, sizeof out));
	CHECK_STR(out, "http://a:8080");
	CHECK(fetch_url_origin("https://[::1]:9/", out, sizeof out));
	CHECK_STR(out, "https://[::1]:9");
	CHECK(!fetch_url_origin("https://u:p@example.org/", out, sizeof out));
	CHECK(!fetch_url_origin("/relative", out, sizeof out));
	CHECK(!fetch_url_origin("", out, sizeof out));
	CHECK(!fetch_url_origin("https://example.org/", small, sizeof small));
}

/* One that was seen before is known again only when it is the same. */
TEST(known_origins_are_not_mistaken)
{
	static const char *const others[][2] = {
	    {"https://api.example.org.evil.net/x",
		"https://api.example.org.evil.net:443"},
	    {"https://api.example.org:8443/x", "https://api.example.org:8443"},
	    {"http://api.example.org/x", "http://api.example.org:80"},
	    {"https://api.example.or/x", "https://api.example.or:443"},
	    {"https://api.example.org?x", "https://api.example.org:443"},
	    {"https://API.example.org/x", "https://api.example.org:443"},
	    {"https://api.example.org@evil.net/x", NULL},
	    {"https://api.example.org:x@evil.net/", NULL},
	    {"https://api.example.org:99999/", NULL},
	    {"https://api.example.org/a b", NULL},
	    {"https://api.example.org/\x01", NULL},
	};
	char out[100], small[10];

	for (int round = 0; round < 3; round++) {
		CHECK(fetch_url_origin(
		    "https://api.example.org/a", out, sizeof out));
		CHECK_STR(out, "https://api.example.org:443");
		CHECK(!fetch_url_origin(
		    "https://api.example.org/a", small, sizeof small));
		for (size_t i = 0; i < nitems(others); i++) {
			bool ok =
			    fetch_url_origin(others[i][0], out, sizeof out);

			CHECK(ok == (others[i][1] != NULL));
			if (ok)
				CHECK_STR(out, others[i][1]);
		}
	}
	/* More than are remembered. */
	for (int i = 0; i < 100; i++) {
		char url[60], want[60];

		snprintf(url, sizeof url, "https://h%d.example.org/v", i % 40);
		snprintf(
		    want, sizeof want, "https://h%d.example.org:443", i % 40);
		CHECK(fetch_url_origin(url, out, sizeof out));
		CHECK_STR(out, want);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(table_refuses_what_is_not_public),
	    cmocka_unit_test(table_allows_its_neighbours),
	    cmocka_unit_test(other_families_are_refused),
	    cmocka_unit_test(own_addresses_are_refused_too),
	    cmocka_unit_test(deny_list_is_checked),
	    cmocka_unit_test(origins_are_compared_whole),
	    cmocka_unit_test(known_origins_are_not_mistaken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
