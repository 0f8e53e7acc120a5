/* json_parse(): what is taken, what is refused, and where it points. */
#include <stdlib.h>

#include "reeld/json.h"
#include "reeld/mem.h"
#include "unit.h"

static bool
parses(const char *text, size_t len, int flags, struct err *err)
{
	struct json_object *obj = (void *)1;
	bool ok = json_parse_flags(text, len, 1 << 20, flags, &obj, err);

	if (ok)
		CHECK(obj != NULL || strcmp(text, "null") == 0);
	else
		CHECK(obj == NULL);
	json_free(&obj);
	json_free(&obj);
	return ok;
}

static const char *const good[] = {
    "{}",
    " {} \r\n\t",
    "{\"a\":1,\"b\":{\"a\":1},\"c\":[{\"a\":1},{\"a\":1}]}",
    "{\"n\":-9223372036854775808,\"m\":9223372036854775807}",
    "{\"n\":1.5e300,\"m\":0.1,\"z\":0,\"k\":-0.5}",
    "{\"n\":1e-999}", /* too small is zero, not wrong */
    "{\"s\":\"\\u00e9\\ud83d\\ude00 \\\" \\\\ \\/ \\n\"}",
    "{\"s\":\"\xc3\xa9\xf0\x9f\x98\x80\"}",
    "{\"\":0,\" \":1}",
    "{\"a\":[],\"b\":{},\"c\":null,\"d\":true,\"e\":false}",
};

TEST(good_documents)
{
	for (size_t i = 0; i < nitems(good); i++) {
		struct err err = {0};

		if (!parses(good[i], strlen(good[i]), 0, &err))
			fail_msg("%s: %s", good[i], err.msg);
	}
}

/* pointer NULL: json-c refuses it and there is no pointer. */
static const struct {
	const char *text, *pointer;
	bool foreign_ok;
} bad[] = {
    {"", NULL, false},
    {" ", NULL, false},
    {"{", NULL, false},
    {"{\"a\":1", NULL, false},
    {"{\"a\"}", NULL, false},
    {"{\"a\":}", NULL, false},
    {"{\"a\":1,}", NULL, false},
    {"{\"a\":[1,]}", NULL, false},
    {"{\"a\":[,1]}", NULL, false},
    {"{\"a\":1}}", NULL, false},
    {"{\"a\":1} x", NULL, false},
    {"{}{}", NULL, false},
    {"\xef\xbb\xbf{}", NULL, false},
    {"{'a':1}", NULL, false},
    {"{\"a\":'b'}", NULL, false},
    {"{a:1}", NULL, false},
    {"{/* c */}", NULL, false},
    {"{\"a\":1 // c\n}", NULL, false},
    {"{\"a\":\"\n\"}", NULL, false},
    {"{\"a\":\"\x01\"}", NULL, false},
    {"{\"a\":\"\t\"}", NULL, false},
    {"{\"a\":\"\\x41\"}", NULL, false},
    {"{\"a\":\"\\u12\"}", NULL, false},
    {"{\"a\":\"\xff\"}", NULL, false},
    {"{\"a\":\"\xc0\xaf\"}", NULL, false},
    {"{\"a\":\"\xed\xa0\x80\"}", NULL, false},
    {"{\"a\":01}", NULL, false},
    {"{\"a\":+1}", NULL, false},
    {"{\"a\":.5}", NULL, false},
    {"{\"a\":1.}", NULL, false},
    {"{\"a\":1e}", NULL, false},
    {"{\"a\":-}", NULL, false},
    {"{\"a\":0x10}", NULL, false},
    {"{\"a\":True}", NULL, false},
    {"{\"a\":NULL}", NULL, false},
    {"{\"a\":undefined}", NULL, false},
    {"{\"a\":NaN}", NULL, false},
    {"{\"a\":nan}", NULL, false},
    {"{\"a\":Infinity}", NULL, false},
    {"{\"a\":-Infinity}", NULL, false},
    {"{\"a\":1,\"b\":2,\"a\":3}", "#/a", true},
    {"{\"x\":[0,{\"b\":2,\"\\u0062\":3}]}", "#/x/1/b", true},
    {"{\"a\":{\"b\":1},\"a\":{\"c\":1}}", "#/a", true},
    {"{\"a\":9223372036854775808}", "#/a", true},
    {"{\"a\":-9223372036854775809}", "#/a", true},
    {"{\"a\":[1,99999999999999999999999999]}", "#/a/1", true},
    {"{\"a\":1e999}", "#/a", true},
    {"{\"a\":{\"b\":-1e999}}", "#/a/b", true},
    {"{\"a\":\"x\\u0000y\"}", "#/a", true},
    {"{\"a\":\"\\ud800\"}", "#/a", true},
    {"{\"a\":\"\\ud800x\"}", "#/a", true},
    {"{\"a\":\"\\ud800\\u0041\"}", "#/a", true},
    {"{\"a\":\"\\udc00\"}", "#/a", true},
    {"{\"a\\u0000b\":1}", "#", true},
};

TEST(bad_documents)
{
	for (size_t i = 0; i < nitems(bad); i++) {
		struct err err = {0};

		if (parses(bad[i].text, strlen(bad[i].text), 0, &err))
			fail_msg("taken: %s", bad[i].text);
		if (err.code != ERR_BAD_INPUT || err.msg[0] == '\0')
			fail_msg("%s: code %d", bad[i].text, (int)err.code);
		if (bad[i].pointer != NULL &&
		    strcmp(bad[i].pointer, err.pointer) != 0)
			fail_msg("%s: pointer %s", bad[i].text, err.pointer);
		if (parses(bad[i].text, strlen(bad[i].text), JSON_FOREIGN,
			NULL) != bad[i].foreign_ok)
			fail_msg("foreign: %s", bad[i].text);
	}
}

TEST(bytes_behind_the_end)
{
	CHECK(!parses("{}\0", 3, 0, NULL));
	CHECK(!parses("{\"a\":1}\0{}", 10, 0, NULL));
	CHECK(!parses("{\"a\":\"x\0y\"}", 11, 0, NULL));
	CHECK(!parses("{\"a\":1\0}", 8, 0, NULL));
	CHECK(!parses("\0", 1, 0, NULL));
	CHECK(!parses("1\0", 2, JSON_ANY_ROOT, NULL));
}

TEST(root_values)
{
	static const char *const roots[] = {
	    "1", "-1.5e3", "\"x\"", "[1,2]", "true", "null", " 1 "};

	for (size_t i = 0; i < nitems(roots); i++) {
		if (parses(roots[i], strlen(roots[i]), 0, NULL))
			fail_msg("taken as an object: %s", roots[i]);
		if (!parses(roots[i], strlen(roots[i]), JSON_ANY_ROOT, NULL))
			fail_msg("refused: %s", roots[i]);
	}
}

static char *
nested(size_t depth, const char *open, const char *inner, const char *close)
{
	struct buf buf;

	buf_init(&buf, 16 << 20);
	for (size_t i = 0; i < depth; i++)
		buf_puts(&buf, open);
	buf_puts(&buf, inner);
	for (size_t i = 0; i < depth; i++)
		buf_puts(&buf, close);
	return buf_take(&buf, NULL);
}

TEST(depth)
{
	static const size_t depths[] = {1, 30, 31, 32, 33, 34, 200, 200000};

	for (size_t i = 0; i < nitems(depths); i++) {
		char *arrays = nested(depths[i], "[", "1", "]");
		char *objects = nested(depths[i], "{\"a\":", "1", "}");
		char *open = nested(depths[i], "[", "", "");
		struct err err = {0};
		bool ok = depths[i] < 32; /* the 1 counts too */

		if (parses(arrays, strlen(arrays), JSON_ANY_ROOT, &err) != ok)
			fail_msg("arrays %zu: %s", depths[i], err.msg);
		if (parses(objects, strlen(objects), 0, &err) != ok)
			fail_msg("objects %zu: %s", depths[i], err.msg);
		CHECK(!parses(open, strlen(open), JSON_ANY_ROOT, NULL));
		free(arrays);
		free(objects);
		free(open);
	}
}

TEST(size)
{
	struct err err = {0};
	struct json_object *obj;
	size_t len = 10 << 20;
	char *text = xmalloc(len);

	memset(text, ' ', len);
	memcpy(text, "{\"a\":\"", 6);
	memset(text + 6, 'x', len - 8);
	memcpy(text + len - 2, "\"}", 2);
	CHECK(!json_parse(text, len, 1 << 20, &obj, &err));
	CHECK_INT(err.code, ==, ERR_TOO_LARGE);
	CHECK(obj == NULL);
	CHECK(json_parse(text, len, len, &obj, &err));
	CHECK_INT(strlen(json_text_at(obj, "a")), ==, len - 8);
	json_free(&obj);
	free(text);
}

/* Many names in one object must not cost their square. */
TEST(many_names)
{
	struct json_object *obj;
	struct err err = {0};
	struct buf buf;

	buf_init(&buf, 16 << 20);
	buf_puts(&buf, "{\"first\":1");
	for (int i = 0; i < 200000; i++)
		buf_printf(&buf, ",\"name%d\":%d", i, i);
	buf_puts(&buf, "}");
	CHECK(json_parse(buf.data, buf.len, buf.len, &obj, &err));
	CHECK_INT(json_count(obj), ==, 200001);
	json_free(&obj);
	buf.len--;
	buf_puts(&buf, ",\"name77\":0}");
	CHECK(!json_parse(buf.data, buf.len, buf.len, &obj, &err));
	CHECK_STR(err.pointer, "#/name77");
	buf_fini(&buf);
}

/* A long path is cut, never overrun, and stays UTF-8. */
TEST(long_pointer)
{
	struct err err = {0};
	struct buf buf;

	buf_init(&buf, 4096);
	buf_puts(&buf, "{\"");
	for (int i = 0; i < 200; i++)
		buf_puts(&buf, "\xc3\xa9");
	buf_puts(&buf, "\":1e999}");
	CHECK(!parses(buf.data, buf.len, 0, &err));
	CHECK_INT(strlen(err.pointer), >, 40);
	CHECK(utf8_valid(err.pointer, strlen(err.pointer)));
	buf_fini(&buf);
}

/* Every prefix and every one-byte change ends in an answer, not a crash. */
TEST(mutations)
{
	static const char text[] = "{\"a\":[1,-2.5e1,{\"b\\u00e9\":\"\\ud83d"
				   "\\ude00\",\"c\":null}],\"d\":true}";
	char copy[sizeof text];
	int taken = 0;

	for (size_t len = 0; len < sizeof text - 1; len++)
		CHECK(!parses(text, len, 0, NULL));
	for (size_t i = 0; i < sizeof text - 1; i++) {
		for (int c = 0; c < 256; c++) {
			memcpy(copy, text, sizeof text);
			copy[i] = (char)c;
			taken += parses(copy, sizeof text - 1, 0, NULL);
			(void)!parses(
			    copy, sizeof text - 1, JSON_FOREIGN, NULL);
		}
	}
	CHECK_INT(taken, >, 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(good_documents),
	    cmocka_unit_test(bad_documents),
	    cmocka_unit_test(bytes_behind_the_end),
	    cmocka_unit_test(root_values),
	    cmocka_unit_test(depth),
	    cmocka_unit_test(size),
	    cmocka_unit_test(many_names),
	    cmocka_unit_test(long_pointer),
	    cmocka_unit_test(mutations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
