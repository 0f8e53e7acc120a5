/* test_base.c - errors, buffers, text, ids, digests, time. */
#include "unit.h"

#include <stdlib.h>

#include "reeld/clock.h"
#include "reeld/id.h"
#include "reeld/log.h"
#include "reeld/mem.h"

TEST(err_fills_and_wraps)
{
	struct err err;

	CHECK(!err_set_field(&err, ERR_INVALID, "bad_duration", "#/duration",
	    "%d is too long", 9));
	CHECK_STR(err.msg, "9 is too long");
	CHECK_STR(err.pointer, "#/duration");
	CHECK_STR(err_code_name(&err), "bad_duration");
	CHECK(!err_wrap(&err, "model %s", "m"));
	CHECK_STR(err.msg, "model m: 9 is too long");
	CHECK_INT(err_http_status(ERR_NO_CREDIT), ==, 402);
	CHECK(err_may_retry(ERR_UNAVAILABLE));
	for (int i = 0; i < ERR_CODES; i++)
		CHECK(err_name(i) != NULL && err_http_status(i) >= 200);
	CHECK(!err_set(NULL, ERR_GONE, "nobody listens"));
}

TEST(err_long_messages_are_cut_not_spilled)
{
	struct err err;
	char big[1000];

	memset(big, 'x', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	CHECK(!err_set(&err, ERR_INTERNAL, "%s", big));
	CHECK_INT(strlen(err.msg), ==, sizeof err.msg - 1);
	CHECK(!err_wrap(&err, "%s", big));
	CHECK_INT(strlen(err.msg), <, sizeof err.msg);
}

TEST(buf_grows_to_its_maximum_only)
{
	struct buf buf;

	buf_init(&buf, 10);
	CHECK_STR(buf_str(&buf), "");
	buf_puts(&buf, "12345");
	buf_printf(&buf, "%d", 678);
	CHECK_STR(buf_str(&buf), "12345678");
	buf_puts(&buf, "abc");
	CHECK(!buf_ok(&buf));
	CHECK_STR(buf_str(&buf), "12345678");
	buf_reset(&buf);
	CHECK(buf_ok(&buf));
	buf_puts(&buf, "abcdef");
	buf_drop(&buf, 2);
	CHECK_STR(buf_str(&buf), "cdef");
	buf_fini(&buf);
	buf_fini(&buf);
}

TEST(numbers_are_read_strictly)
{
	static const char *const bad[] = {"", "-", "+1", " 1", "1 ", "0x1",
	    "1e3", "9223372036854775808", "-9223372036854775809", "11", "-11"};
	int64_t n;

	for (size_t i = 0; i < nitems(bad); i++) {
		int64_t limit = i < 9 ? INT64_MAX : 10;

		CHECK(
		    !str_to_i64(bad[i], i < 9 ? INT64_MIN : -limit, limit, &n));
	}
	CHECK(str_to_i64("-9223372036854775808", INT64_MIN, INT64_MAX, &n));
	CHECK(n == INT64_MIN);
	CHECK(str_to_i64("9223372036854775807", INT64_MIN, INT64_MAX, &n));
	CHECK(n == INT64_MAX);
}

TEST(utf8_is_checked)
{
	static const char *const bad[] = {"\xc0\x80", "\xed\xa0\x80",
	    "\xf4\x90\x80\x80", "\xe2\x82", "\x80", "\xff"};

	for (size_t i = 0; i < nitems(bad); i++)
		CHECK(!utf8_valid(bad[i], strlen(bad[i])));
	CHECK(utf8_valid("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x8e\xac", 10));
	/* wherever it stands among ASCII */
	for (size_t at = 0; at < 24; at++) {
		char text[28];

		memset(text, 'a', sizeof text);
		memcpy(text + at, "\xf0\x9f\x8e\xac", 4);
		CHECK(utf8_valid(text, sizeof text));
		CHECK(utf8_valid(text, at));
		CHECK(!utf8_valid(text, at + 3));
		text[at + 3] = 'a';
		CHECK(!utf8_valid(text, sizeof text));
	}
	CHECK_INT(
	    utf8_count("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x8e\xac", 10), ==, 4);
}

TEST(encodings_round_trip)
{
	unsigned char raw[40], back[40];
	char text[128];

	for (size_t n = 0; n <= sizeof raw; n++) {
		random_bytes(raw, n);
		b64url_encode(text, raw, n);
		CHECK_INT(b64url_decode(back, sizeof back, text), ==, n);
		CHECK(n == 0 || memcmp(raw, back, n) == 0);
		hex_encode(text, raw, n);
		CHECK(hex_decode(back, n, text));
		CHECK(n == 0 || memcmp(raw, back, n) == 0);
	}
	CHECK_INT(b64url_decode(back, sizeof back, "a"), ==, -1);
	CHECK_INT(b64url_decode(back, sizeof back, "ab="), ==, -1);
	CHECK_INT(b64url_decode(back, 1, "abcd"), ==, -1);
	CHECK(!hex_decode(back, 1, "0g"));
	CHECK(!hex_decode(back, 1, "000"));
}

TEST(ids_are_version_7_and_sorted_by_time)
{
	struct id a = id_new(), b;

	CHECK_INT(strlen(a.text), ==, ID_LEN);
	CHECK(a.text[14] == '7');
	CHECK(strchr("89ab", a.text[19]) != NULL);
	CHECK(id_parse(a.text, &b));
	CHECK(id_eq(&a, &b));
	CHECK(id_parse("01890A5D-AC96-774B-BCCE-B302099A8057", &b));
	CHECK_STR(b.text, "01890a5d-ac96-774b-bcce-b302099a8057");
	CHECK(!id_parse("01890a5dac96774bbcceb302099a8057", &b));
	CHECK(!id_parse("01890a5d-ac96-774b-bcce-b302099a805g", &b));
	CHECK(!id_parse("", &b));
	CHECK(!id_parse(NULL, &b));
	CHECK(strncmp("0193", a.text, 4) < 0);
}

TEST(digests_match_published_vectors)
{
	char hex[65];
	uint8_t mac[32];

	sha256_hex("abc", 3, hex);
	CHECK_STR(hex,
	    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61"
	    "f20015ad");
	/* RFC 4231, test case 2. */
	hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, mac);
	hex_encode(hex, mac, sizeof mac);
	CHECK_STR(hex,
	    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b9"
	    "64ec3843");
	/* No key and no text; the one before leaves nothing behind. */
	hmac_sha256("", 0, "", 0, mac);
	hex_encode(hex, mac, sizeof mac);
	CHECK_STR(hex,
	    "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c71214"
	    "4292c5ad");
	/* A null pointer is an empty key, too. */
	hmac_sha256(NULL, 0, "", 0, mac);
	hex_encode(hex, mac, sizeof mac);
	CHECK_STR(hex,
	    "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c71214"
	    "4292c5ad");
	CHECK(secret_eq("abc", 3, "abc", 3));
	CHECK(!secret_eq("abc", 3, "abd", 3));
	CHECK(!secret_eq("abc", 3, "ab", 2));
}

TEST(times_round_trip)
{
	char text[40];
	int64_t ms;
	int s;

	time_rfc3339(1700000000123, text, sizeof text);
	CHECK_STR(text, "2023-11-14T22:13:20.123Z");
	CHECK(time_parse_rfc3339(text, &ms));
	CHECK(ms == 1700000000123);
	CHECK(time_parse_rfc3339("2023-11-14T23:13:20+01:00", &ms));
	CHECK(ms == 1700000000000);
	CHECK(!time_parse_rfc3339("2023-11-14", &ms));
	CHECK(!time_parse_rfc3339("2023-11-14T22:13:20Zx", &ms));
	time_http(1700000000123, text, sizeof text);
	CHECK_STR(text, "Tue, 14 Nov 2023 22:13:20 GMT");
	CHECK(time_parse_http(text, &ms));
	CHECK(ms == 1700000000000);
	CHECK(time_parse_retry_after("7", 600, &s));
	CHECK_INT(s, ==, 7);
	CHECK(time_parse_retry_after("99999999999", 600, &s));
	CHECK_INT(s, ==, 600);
	CHECK(time_parse_retry_after("Tue, 14 Nov 2023 22:13:20 GMT", 600, &s));
	CHECK_INT(s, ==, 0);
	CHECK(!time_parse_retry_after("soon", 600, &s));
	CHECK(!time_parse_retry_after("-1", 600, &s));
}

TEST(log_values_are_quoted)
{
	char long_text[2000];

	CHECK_STR(log_text("a\"b\\c\nd"), "\"a\\\"b\\\\c\\x0ad\"");
	CHECK_STR(log_text(NULL), "\"\"");
	memset(long_text, '\n', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = '\0';
	CHECK_INT(strlen(log_text(long_text)), <, 512);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(err_fills_and_wraps),
	    cmocka_unit_test(err_long_messages_are_cut_not_spilled),
	    cmocka_unit_test(buf_grows_to_its_maximum_only),
	    cmocka_unit_test(numbers_are_read_strictly),
	    cmocka_unit_test(utf8_is_checked),
	    cmocka_unit_test(encodings_round_trip),
	    cmocka_unit_test(ids_are_version_7_and_sorted_by_time),
	    cmocka_unit_test(digests_match_published_vectors),
	    cmocka_unit_test(times_round_trip),
	    cmocka_unit_test(log_values_are_quoted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
