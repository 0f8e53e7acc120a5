/* test_http_pure.c - the parts of src/http that are bytes in, facts out. */
#include "unit.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "http/internal.h"

TEST(urls_have_one_meaning)
{
	static const struct {
		const char *target, *path;
		int segments, queries; /* segments -1: refused */
	} rows[] = {
	    {"/", "/", 1, 0},
	    {"/a/b", "/a/b", 2, 0},
	    {"/a/", "/a/", 2, 0},
	    {"/a%20b?x=%26&y", "/a b", 1, 2},
	    {"/a?", "/a", 1, 0},
	    {"/a?&&x=1&", "/a", 1, 1},
	    {"//", NULL, -1, 0},
	    {"/a//b", NULL, -1, 0},
	    {"/a/..", NULL, -1, 0},
	    {"/a/%2E%2e/b", NULL, -1, 0},
	    {"/a%2fb", NULL, -1, 0},
	    {"/a%5Cb", NULL, -1, 0},
	    {"/a%", NULL, -1, 0},
	    {"/a%4", NULL, -1, 0},
	    {"/a%00", NULL, -1, 0},
	    {"/%c0%af", NULL, -1, 0},
	    {"/a?=1", NULL, -1, 0},
	    {"/a?x=1&x=2", NULL, -1, 0},
	    {"/a?x=%ed%a0%80", NULL, -1, 0},
	    {"/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", NULL, -1, 0},
	};

	for (size_t i = 0; i < nitems(rows); i++) {
		size_t len = strlen(rows[i].target);
		char *memory = xmalloc(3 * len + 8);
		struct url url;
		struct err err;

		memset(memory, 'X', 3 * len + 8);
		if (rows[i].segments < 0) {
			CHECK(!url_parse(
			    rows[i].target, len, memory, &url, &err));
			/* Problems name the path: no rubbish in it. */
			CHECK(strchr(url.path, 'X') == NULL);
			CHECK_INT(err.code, ==, ERR_BAD_INPUT);
		} else {
			CHECK(
			    url_parse(rows[i].target, len, memory, &url, &err));
			CHECK_STR(url.path, rows[i].path);
			CHECK_INT(url.n_segments, ==, rows[i].segments);
			CHECK_INT(url.n_query, ==, rows[i].queries);
		}
		free(memory);
	}
}

static void
on_nothing(struct http_call *call)
{
}

TEST(routes_are_found_with_fixed_before_parameters)
{
	static const struct http_route routes[] = {
	    {.method = HTTP_GET, .pattern = "/a/{id}", .handler = on_nothing},
	    {.method = HTTP_GET, .pattern = "/a/new", .handler = on_nothing},
	    {.method = HTTP_POST,
		.pattern = "/a/{id}/{verb}",
		.handler = on_nothing},
	    {.method = HTTP_GET,
		.pattern = "/a/new/deep/er",
		.handler = on_nothing},
	    {.method = HTTP_GET,
		.pattern = "/t/{rest*}",
		.handler = on_nothing},
	    {.method = HTTP_DELETE,
		.pattern = "/a/{id}",
		.handler = on_nothing},
	};
	static const struct {
		enum http_method method;
		const char *target;
		int index;
		const char *arg; /* value of the first one */
		bool other;	 /* another method would do */
	} rows[] = {
	    {HTTP_GET, "/a/x", 0, "x", false},
	    {HTTP_HEAD, "/a/x", 0, "x", false},
	    {HTTP_GET, "/a/new", 1, NULL, false},
	    {HTTP_DELETE, "/a/new", 5, "new", false},
	    {HTTP_POST, "/a/new/deep", 2, "new", false},
	    {HTTP_GET, "/a/new/deep/er", 3, NULL, false},
	    {HTTP_GET, "/a/", -1, NULL, false},
	    {HTTP_GET, "/a", -1, NULL, false},
	    {HTTP_PUT, "/a/x", -1, NULL, true},
	    {HTTP_GET, "/t/x/y", 4, "x/y", false},
	    {HTTP_GET, "/b", -1, NULL, false},
	};
	struct router *router = router_new(routes, nitems(routes));

	for (size_t i = 0; i < nitems(rows); i++) {
		struct route_match match;
		struct url url;
		char memory[200];

		CHECK(url_parse(rows[i].target, strlen(rows[i].target), memory,
		    &url, NULL));
		router_find(router, rows[i].method, &url, &match);
		CHECK_INT(match.index, ==, rows[i].index);
		if (rows[i].arg != NULL)
			CHECK_STR(match.args[0].value, rows[i].arg);
		if (match.index < 0)
			CHECK_INT(match.allow != 0, ==, rows[i].other);
	}
	router_free(router);
}

TEST(ranges)
{
	static const struct {
		const char *text;
		int64_t size;
		enum range want;
		int64_t from, length;
	} rows[] = {
	    {NULL, 10, RANGE_NONE, 0, 0},
	    {"bytes=0-", 10, RANGE_OK, 0, 10},
	    {"bytes=3-5", 10, RANGE_OK, 3, 3},
	    {"bytes=3-99", 10, RANGE_OK, 3, 7},
	    {"bytes=-3", 10, RANGE_OK, 7, 3},
	    {"bytes=-30", 10, RANGE_OK, 0, 10},
	    {"bytes=-0", 10, RANGE_BAD, 0, 0},
	    {"bytes=10-", 10, RANGE_BAD, 0, 0},
	    {"bytes=0-", 0, RANGE_BAD, 0, 0},
	    {"bytes=5-3", 10, RANGE_NONE, 0, 0},
	    {"bytes=", 10, RANGE_NONE, 0, 0},
	    {"bytes=-", 10, RANGE_NONE, 0, 0},
	    {"bytes=1-2,3-4", 10, RANGE_NONE, 0, 0},
	    {"bytes=1 -2", 10, RANGE_NONE, 0, 0},
	    {"items=1-2", 10, RANGE_NONE, 0, 0},
	    {"bytes=99999999999999999999-", 10, RANGE_NONE, 0, 0},
	};

	for (size_t i = 0; i < nitems(rows); i++) {
		int64_t from = 0, length = 0;

		CHECK_INT(
		    range_parse(rows[i].text, rows[i].size, &from, &length), ==,
		    rows[i].want);
		if (rows[i].want != RANGE_OK)
			continue;
		CHECK_INT(from, ==, rows[i].from);
		CHECK_INT(length, ==, rows[i].length);
	}
}

TEST(entity_tags)
{
	CHECK(etag_matches("\"a\"", "a"));
	CHECK(etag_matches("W/\"b\" , \"a\"", "a"));
	CHECK(etag_matches("*", "a"));
	CHECK(!etag_matches("\"ab\"", "a"));
	CHECK(!etag_matches("a", "a"));
	CHECK(!etag_matches("\"a", "b"));
	CHECK(!etag_matches(NULL, "a"));
	CHECK(etag_is("\"a\"", "a"));
	CHECK(!etag_is("W/\"a\"", "a"));
}

TEST(tokens_are_not_shown)
{
	static const struct {
		const char *path, *shown;
	} rows[] = {
	    {"/api/v1/me", "/api/v1/me"},
	    {"/hooks/fal/0199/secret", "/hooks/fal/0199/*"},
	    {"/hooks/fal/0199/secret/more", "/hooks/fal/0199/*"},
	    {"/hooks/fal/0199/", "/hooks/fal/0199/"},
	    {"/hooks/fal", "/hooks/fal"},
	    {"/x/hooks/fal/0199/plain", "/x/hooks/fal/0199/plain"},
	};
	char out[40];

	for (size_t i = 0; i < nitems(rows); i++) {
		shown_path(rows[i].path, out, sizeof out);
		CHECK_STR(out, rows[i].shown);
	}
	shown_path("/hooks/fal/0123456789012345678901234567890123456789/s", out,
	    sizeof out);
	CHECK_STR(out, "/hooks/fal/0123456789012345678901234567");
}

TEST(file_names_are_only_names)
{
	static const struct {
		const char *given, *clean;
	} rows[] = {
	    {"../../etc/passwd", "passwd"},
	    {"C:\\x\\y.png", "y.png"},
	    {"...hidden", "hidden"},
	    {"a\r\nX: y", "a__X_ y"},
	    {"a\"b", "a_b"},
	    {"a\xe2\x80\xaegpj.exe", "a_gpj.exe"},
	    {"a\xe2\x81\xa9\xe2\x80", "a_"},
	    {"", ""},
	};
	char out[40], text[300];

	for (size_t i = 0; i < nitems(rows); i++) {
		display_name(rows[i].given, out, sizeof out);
		CHECK_STR(out, rows[i].clean);
	}
	/* a cut never leaves half a character */
	display_name("\xc3\xa9\xc3\xa9\xc3\xa9", out, 4);
	CHECK_STR(out, "\xc3\xa9");
	disposition(true, "a\r\nb\"\xc3\xa9.mp4", text, sizeof text);
	CHECK_STR(text,
	    "attachment; filename=\"a__b__.mp4\"; "
	    "filename*=UTF-8''a__b_%C3%A9.mp4");
	disposition(false, "plain.mp4", text, sizeof text);
	CHECK_STR(text, "inline; filename=\"plain.mp4\"");
}

TEST(client_behind_proxies)
{
	static const struct {
		const char *peer, *forwarded, *want;
	} rows[] = {
	    {"9.9.9.9", "1.1.1.1", "9.9.9.9"}, /* not trusted */
	    {"10.0.0.1", NULL, "10.0.0.1"},
	    {"10.0.0.1", "1.1.1.1", "1.1.1.1"},
	    {"10.0.0.1", "6.6.6.6, 1.1.1.1", "1.1.1.1"},
	    {"10.0.0.1", "6.6.6.6, 1.1.1.1, 10.9.9.9", "1.1.1.1"},
	    {"10.0.0.1", "10.1.1.1,10.2.2.2", "10.1.1.1"},
	    {"10.0.0.1", "1.1.1.1, junk", "10.0.0.1"},
	    {"10.0.0.1", "1.1.1.1,", "10.0.0.1"},
	    {"10.0.0.1", "::ffff:10.2.2.2", "10.2.2.2"},
	    {"fd00::1", "2001:db8::1", "2001:db8::1"},
	    {"fe00::1", "2001:db8::1", "fe00::1"},
	};
	struct cidr *list;
	size_t count;
	struct err err;
	char out[48];

	CHECK(cidr_parse_list("10.0.0.0/8, fd00::/9", &list, &count, &err));
	CHECK_INT(count, ==, 2);
	for (size_t i = 0; i < nitems(rows); i++) {
		client_ip(rows[i].peer, &rows[i].forwarded,
		    rows[i].forwarded != NULL, list, count, out, sizeof out);
		CHECK_STR(out, rows[i].want);
	}
	free(list);
	CHECK(!cidr_parse_list("10.0.0.0/33", &list, &count, &err));
	CHECK(!cidr_parse_list("10.0.0.0/8, host", &list, &count, &err));
	CHECK_INT(count, ==, 0);
	CHECK(cidr_parse_list("", &list, &count, &err));
}

TEST(cookies_and_ids)
{
	char out[16];

	CHECK(cookie_find("a=1; sid=x; b=2", "sid", out, sizeof out));
	CHECK_STR(out, "x");
	CHECK(!cookie_find("xsid=1; sidx=2", "sid", out, sizeof out));
	CHECK(!cookie_find("sid=01234567890123456", "sid", out, sizeof out));
	CHECK(!cookie_find(NULL, "sid", out, sizeof out));
	CHECK(request_id_valid("abc-123_4.5:6"));
	CHECK(!request_id_valid("short"));
	CHECK(!request_id_valid("has blank"));
	CHECK(traceparent_valid(
	    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
	CHECK(!traceparent_valid(
	    "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
	CHECK(!traceparent_valid(
	    "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
	CHECK(!traceparent_valid(
	    "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"));
}

struct sink {
	struct buf got;
};

static bool
on_part(void *arg, const char *name, const char *filename, const char *type,
    struct err *err)
{
	struct sink *self = arg;

	buf_printf(&self->got, "[%s|%s|%s]", name,
	    filename != NULL ? filename : "-", type);
	return true;
}

static bool
on_data(void *arg, const char *data, size_t len, struct err *err)
{
	struct sink *self = arg;

	buf_add(&self->got, data, len);
	return true;
}

static bool
on_part_end(void *arg, struct err *err)
{
	struct sink *self = arg;

	buf_puts(&self->got, ".");
	return true;
}

/* However the bytes are cut, the parts are the same. */
TEST(multipart_in_pieces_of_every_size)
{
	static const char body[] = "--B\r\n"
				   "Content-Disposition: form-data; "
				   "name=\"t\"\r\n\r\n"
				   "\r\r\n\r\n--\r\n--A\r\n-\r\n"
				   "--B\r\n"
				   "content-disposition: form-data; name=f; "
				   "filename=\"a\\\"b;c\"\r\n"
				   "Content-Type: image/png\r\n\r\n"
				   "\r\n--B--\r\n";
	static const struct multipart_hooks hooks = {
	    on_part, on_data, on_part_end};
	size_t len = sizeof body - 1;

	for (size_t step = 1; step <= len; step++) {
		struct sink sink;
		struct err err;
		struct multipart *parser = multipart_new(
		    "multipart/form-data; boundary=B", &hooks, &sink, &err);

		CHECK(parser != NULL);
		buf_init(&sink.got, 1000);
		for (size_t i = 0; i < len; i += step) {
			size_t n = len - i < step ? len - i : step;

			CHECK(multipart_feed(parser, body + i, n, &err));
		}
		CHECK(multipart_end(parser, &err));
		CHECK_STR(buf_str(&sink.got),
		    "[t|-|]\r\r\n\r\n--\r\n--A\r\n-.[f|a\"b;c|image/png].");
		buf_fini(&sink.got);
		multipart_free(parser);
	}
}

/* Every prefix but the whole is refused at the end. */
TEST(multipart_cut_short)
{
	static const char body[] =
	    "--B\r\nContent-Disposition: form-data; name=\"t\"\r\n\r\nx\r\n"
	    "--B--";
	static const struct multipart_hooks hooks = {
	    on_part, on_data, on_part_end};

	for (size_t len = 0; len < sizeof body; len++) {
		struct sink sink;
		struct err err;
		struct multipart *parser = multipart_new(
		    "multipart/form-data; boundary=B", &hooks, &sink, &err);

		buf_init(&sink.got, 1000);
		CHECK(multipart_feed(parser, body, len, &err));
		CHECK_INT(
		    multipart_end(parser, &err), ==, len == sizeof body - 1);
		buf_fini(&sink.got);
		multipart_free(parser);
	}
}

/* The guard sees the library's strings: a head cut in place. */
TEST(guard_sees_what_does_not_tile)
{
	char head[] = "GET\0/a\0HTTP/1.1\0\0Host\0 b\0\0\0\0";
	size_t len = sizeof head - 1;
	char *url = head + 4, *version = head + 7, *name = version + 10;
	struct guard_field field = {name, name + 6, 4, 1};

	CHECK(guard_tiled(head, url, 2, version, &field, 1, len));
	CHECK(!guard_tiled(head, url, 2, version, &field, 1, len - 1));
	CHECK(!guard_tiled(head, url, 1, version, &field, 1, len));
	CHECK(!guard_tiled(head, url, 2, version, &field, 0, len));
	field.value_len = 0; /* a NUL hid the rest */
	CHECK(!guard_tiled(head, url, 2, version, &field, 1, len));
	field.value_len = 1;
	field.value = "b"; /* a fold was copied elsewhere */
	CHECK(!guard_tiled(head, url, 2, version, &field, 1, len));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(urls_have_one_meaning),
	    cmocka_unit_test(routes_are_found_with_fixed_before_parameters),
	    cmocka_unit_test(ranges),
	    cmocka_unit_test(entity_tags),
	    cmocka_unit_test(tokens_are_not_shown),
	    cmocka_unit_test(file_names_are_only_names),
	    cmocka_unit_test(client_behind_proxies),
	    cmocka_unit_test(cookies_and_ids),
	    cmocka_unit_test(multipart_in_pieces_of_every_size),
	    cmocka_unit_test(multipart_cut_short),
	    cmocka_unit_test(guard_sees_what_does_not_tile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
