/* Field tables, path getters and writing. */
#include <stdlib.h>

#include "reeld/json.h"
#include "reeld/mem.h"
#include "unit.h"

static const char *const words[] = {"red", "blue", NULL};

struct form {
	char *prompt, *title;
	struct json_int count;
	struct json_num ratio;
	struct json_bool loud;
	int colour;
	struct id start;
	struct json_object *extra, *list;
	struct json_texts tags;
};
static const struct json_field fields[] = {
    JTEXT(struct form, prompt, 1, 5, JREQ),
    JTEXT(struct form, title, 0, 10),
    JINT(struct form, count, -1, 10),
    JNUM(struct form, ratio, 0.5, 2),
    JBOOL(struct form, loud),
    JENUM(struct form, colour, words),
    JID(struct form, start, JAS("start_image")),
    JOBJ(struct form, extra),
    JARR(struct form, list, 2),
    JTEXTS(struct form, tags, 2, 3),
};

static struct json_object *
parse(const char *text)
{
	struct json_object *obj;
	struct err err = {0};

	if (!json_parse(text, strlen(text), 1 << 16, &obj, &err))
		fail_msg("%s: %s", text, err.msg);
	return obj;
}

TEST(a_full_form)
{
	struct json_object *obj =
	    parse("{\"prompt\":\"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\","
		  "\"count\":-1,\"ratio\":2,\"loud\":false,\"colour\":\"blue\","
		  "\"start_image\":\"01890A5D-AC96-774B-BCCE-B302099A8057\","
		  "\"extra\":{\"a\":1},\"list\":[1],\"tags\":[\"a\",\"b\"],"
		  "\"title\":null}");
	struct form form;

	CHECK(json_read(obj, fields, nitems(fields), &form, NULL));
	CHECK_INT(utf8_count(form.prompt, strlen(form.prompt)), ==, 5);
	CHECK(form.title == NULL);
	CHECK(form.count.set && form.count.v == -1);
	CHECK(form.ratio.set && form.ratio.v == 2);
	CHECK(form.loud.set && !form.loud.v);
	CHECK_INT(form.colour, ==, 1);
	CHECK_STR(form.start.text, "01890a5d-ac96-774b-bcce-b302099a8057");
	CHECK_INT(json_count(form.extra), ==, 1);
	CHECK_INT(form.tags.n, ==, 2);
	CHECK_STR(form.tags.v[1], "b");
	json_read_free(fields, nitems(fields), &form);
	json_read_free(fields, nitems(fields), &form);
	json_free(&obj);
}

/* Minus zero is a whole number, and zero. */
TEST(minus_zero)
{
	struct json_object *obj = parse("{\"prompt\":\"x\",\"count\":-0}");
	struct form form;

	CHECK(json_read(obj, fields, nitems(fields), &form, NULL));
	CHECK(form.count.set && form.count.v == 0);
	json_read_free(fields, nitems(fields), &form);
	json_free(&obj);
}

TEST(absent_values)
{
	struct json_object *obj = parse("{\"prompt\":\"x\"}");
	struct form form;

	memset(&form, 0xff, sizeof form);
	CHECK(json_read(obj, fields, nitems(fields), &form, NULL));
	CHECK(form.title == NULL && !form.count.set && !form.ratio.set &&
	    !form.loud.set && form.colour == -1 && !id_is_set(&form.start) &&
	    form.extra == NULL && form.list == NULL && form.tags.n == 0);
	json_read_free(fields, nitems(fields), &form);
	json_free(&obj);
}

static const struct {
	const char *text;
	enum err_code code;
	const char *name, *pointer;
} bad[] = {
    {"{}", ERR_BAD_INPUT, "missing_field", "#/prompt"},
    {"{\"prompt\":null}", ERR_BAD_INPUT, "missing_field", "#/prompt"},
    {"{\"prompt\":\"\"}", ERR_INVALID, "out_of_range", "#/prompt"},
    {"{\"prompt\":\"123456\"}", ERR_INVALID, "out_of_range", "#/prompt"},
    {"{\"prompt\":7}", ERR_BAD_INPUT, "wrong_type", "#/prompt"},
    {"{\"prompt\":[\"x\"]}", ERR_BAD_INPUT, "wrong_type", "#/prompt"},
    {"{\"prompt\":\"x\",\"colr\":1}", ERR_BAD_INPUT, "unknown_field", "#/colr"},
    /* The name in C is not a name in the document. */
    {"{\"prompt\":\"x\",\"start\":null}", ERR_BAD_INPUT, "unknown_field",
	"#/start"},
    {"{\"prompt\":\"x\",\"count\":\"5\"}", ERR_BAD_INPUT, "wrong_type",
	"#/count"},
    {"{\"prompt\":\"x\",\"count\":5.0}", ERR_BAD_INPUT, "wrong_type",
	"#/count"},
    {"{\"prompt\":\"x\",\"count\":true}", ERR_BAD_INPUT, "wrong_type",
	"#/count"},
    {"{\"prompt\":\"x\",\"count\":11}", ERR_INVALID, "out_of_range", "#/count"},
    {"{\"prompt\":\"x\",\"count\":-2}", ERR_INVALID, "out_of_range", "#/count"},
    {"{\"prompt\":\"x\",\"ratio\":2.01}", ERR_INVALID, "out_of_range",
	"#/ratio"},
    {"{\"prompt\":\"x\",\"loud\":1}", ERR_BAD_INPUT, "wrong_type", "#/loud"},
    {"{\"prompt\":\"x\",\"loud\":\"true\"}", ERR_BAD_INPUT, "wrong_type",
	"#/loud"},
    {"{\"prompt\":\"x\",\"colour\":\"Red\"}", ERR_INVALID, "out_of_range",
	"#/colour"},
    {"{\"prompt\":\"x\",\"start_image\":\"1\"}", ERR_INVALID, "bad_id",
	"#/start_image"},
    {"{\"prompt\":\"x\",\"extra\":[]}", ERR_BAD_INPUT, "wrong_type", "#/extra"},
    {"{\"prompt\":\"x\",\"list\":{}}", ERR_BAD_INPUT, "wrong_type", "#/list"},
    {"{\"prompt\":\"x\",\"list\":[1,2,3]}", ERR_INVALID, "out_of_range",
	"#/list"},
    {"{\"prompt\":\"x\",\"tags\":[\"a\",1]}", ERR_BAD_INPUT, "wrong_type",
	"#/tags/1"},
    {"{\"prompt\":\"x\",\"tags\":[\"abcd\"]}", ERR_INVALID, "out_of_range",
	"#/tags/0"},
};

TEST(bad_forms)
{
	for (size_t i = 0; i < nitems(bad); i++) {
		struct json_object *obj = parse(bad[i].text);
		struct err err = {0};
		struct form form;

		if (json_read(obj, fields, nitems(fields), &form, &err))
			fail_msg("taken: %s", bad[i].text);
		CHECK_INT(err.code, ==, bad[i].code);
		CHECK_STR(err.name, bad[i].name);
		CHECK_STR(err.pointer, bad[i].pointer);
		json_free(&obj);
	}
}

TEST(paths)
{
	struct json_object *obj = parse(
	    "{\"video\":{\"url\":\"u\"},\"images\":[{\"n\":1},{\"n\":2.5}],"
	    "\"ok\":true,\"none\":null,\"text\":\"5\"}");
	int64_t i = -7;
	double d = 0;
	bool b = false;

	CHECK_STR(json_text_at(obj, "video.url"), "u");
	CHECK(json_int_at(obj, "images.0.n", &i) && i == 1);
	CHECK(!json_int_at(obj, "images.1.n", &i) && i == 1);
	CHECK(json_num_at(obj, "images.1.n", &d) && d == 2.5);
	CHECK(json_num_at(obj, "images.0.n", &d) && d == 1);
	CHECK(json_bool_at(obj, "ok", &b) && b);
	CHECK(!json_int_at(obj, "text", &i) && !json_bool_at(obj, "text", &b));
	CHECK(json_text_at(obj, "ok") == NULL);
	CHECK(json_at(obj, "images.2.n") == NULL);
	CHECK(json_at(obj, "images.-1") == NULL);
	CHECK(json_at(obj, "video.url.x") == NULL);
	CHECK(json_at(obj, "none.x") == NULL && json_at(NULL, "a") == NULL);
	CHECK(json_has(obj, "none") && !json_has(obj, "nothing"));
	CHECK_INT(json_count(json_arr_at(obj, "images")), ==, 2);
	CHECK(json_obj_at(obj, "images") == NULL);
	json_free(&obj);
	CHECK(json_parse_flags(
	    "{\"a\":18446744073709551615}", 26, 100, JSON_FOREIGN, &obj, NULL));
	CHECK(!json_int_at(obj, "a", &i));
	json_free(&obj);
}

TEST(writing)
{
	struct json_object *obj = json_new(), *list = json_new_arr(), *copy;
	struct buf buf;
	char *text;

	json_set_text(obj, "t", "a/\"\xc3\xa9\n");
	json_set_text(obj, "z", NULL);
	json_set_int(obj, "i", INT64_MIN);
	json_set_num(obj, "n", 0.1);
	json_set_num(obj, "third", 1.0 / 3);
	json_set_bool(obj, "b", true);
	json_set_time_ms(obj, "at", 1700000000123);
	json_set_time_ms(obj, "never", 0);
	json_add_int(list, 1);
	json_add_text(list, "x");
	json_set_arr(obj, "l", &list);
	CHECK(list == NULL);
	copy = json_copy(obj);
	CHECK(json_eq(copy, obj));
	json_free(&obj);
	text = json_dump_text(copy);
	CHECK_STR(text,
	    "{\"t\":\"a/\\\"\xc3\xa9\\n\",\"z\":null,"
	    "\"i\":-9223372036854775808,\"n\":0.1,"
	    "\"third\":0.33333333333333331,\"b\":true,"
	    "\"at\":\"2023-11-14T22:13:20.123Z\",\"never\":null,"
	    "\"l\":[1,\"x\"]}");
	buf_init(&buf, 10);
	json_dump(copy, &buf);
	CHECK(!buf_ok(&buf));
	buf_fini(&buf);
	free(text);
	json_free(&copy);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_full_form),
	    cmocka_unit_test(minus_zero),
	    cmocka_unit_test(absent_values),
	    cmocka_unit_test(bad_forms),
	    cmocka_unit_test(paths),
	    cmocka_unit_test(writing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
