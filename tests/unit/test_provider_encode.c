/* Data URIs, multipart bodies, tokens and durations of the adapters. */
#include "provider_unit.h"

TEST(base64_and_data_uris)
{
	static const struct {
		const char *plain, *base64;
	} rows[] = {{"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"},
	    {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="},
	    {"foobar", "Zm9vYmFy"}};
	struct provider_image image = {.mime = "image/jpeg"};
	char *text;

	CHECK(image_base64(&image) == NULL);
	CHECK(image_data_uri(&image) == NULL);
	CHECK(!image_given(&image));
	for (size_t i = 0; i < nitems(rows); i++) {
		image.data = rows[i].plain;
		image.len = strlen(rows[i].plain);
		text = image_base64(&image);
		CHECK_STR(text, rows[i].base64);
		free(text);
	}
	image.len = 3;
	text = image_data_uri(&image);
	CHECK_STR(text, "data:image/jpeg;base64,Zm9v");
	free(text);
}

TEST(images_in_the_form_asked_for)
{
	static const struct {
		const char *as, *url, *data, *want;
	} rows[] = {
	    {"native", "https://e.org/a", NULL, "https://e.org/a"},
	    {"native", "https://e.org/a", "foo", "https://e.org/a"},
	    {"native", NULL, "foo", "data:image/png;base64,Zm9v"},
	    {"data_uri", "https://e.org/a", "foo",
		"data:image/png;base64,Zm9v"},
	    {"base64", "https://e.org/a", "foo", "Zm9v"},
	    /* A paid video without the image is worse than none. */
	    {"base64", "https://e.org/a", NULL, NULL},
	    {"native", NULL, NULL, ""},
	};

	for (size_t i = 0; i < nitems(rows); i++) {
		char *doc = xasprintf("{\"input\":{\"start_image\":{\"field\":"
				      "\"image\",\"as\":\"%s\"}}}",
		    rows[i].as);
		struct json_object *params = parse(doc), *body = json_new();
		struct provider_job job = {.params = params};
		struct gen_spec spec;
		struct err err = {0};

		spec_init(&spec);
		job.spec = &spec;
		job.start.url = rows[i].url;
		job.start.data = rows[i].data;
		job.start.len = rows[i].data != NULL ? strlen(rows[i].data) : 0;
		CHECK_INT(
		    provider_map(&job, body, &err), ==, rows[i].want != NULL);
		if (rows[i].want != NULL && rows[i].want[0] != '\0')
			CHECK_STR(json_text_at(body, "image"), rows[i].want);
		else
			CHECK(!json_has(body, "image"));
		json_free(&body);
		json_free(&params);
		free(doc);
	}
}

TEST(multipart)
{
	struct provider_job job = {.nonce = "n1"};
	struct multipart form;
	struct fetch_spec out;

	fetch_spec_init(&out, "POST", "https://example.org/");
	multipart_init(&form, &job);
	multipart_field(&form, "prompt", "a\r\n--x");
	multipart_file(&form, "image", "a\"\r\nb.png", "image/png", "\0\1", 2);
	multipart_finish(&form, &out);
	CHECK_STR(out.headers[0].name, "Content-Type");
	CHECK_STR(
	    out.headers[0].value, "multipart/form-data; boundary=reeld-n1");
	static const char want[] =
	    "--reeld-n1\r\nContent-Disposition: form-data; name=\"prompt\""
	    "\r\n\r\na\r\n--x\r\n"
	    "--reeld-n1\r\nContent-Disposition: form-data; name=\"image\"; "
	    "filename=\"ab.png\"\r\nContent-Type: image/png\r\n\r\n\0\1\r\n"
	    "--reeld-n1--\r\n";
	CHECK_INT(out.body_len, ==, sizeof want - 1);
	assert_memory_equal(out.body, want, sizeof want - 1);
	fetch_spec_fini(&out);
}

/* Made with another implementation of RFC 7515. */
TEST(token)
{
	char *text = jwt_hs256("ak", "sk", 1700001800, 1699999995);

	CHECK_STR(text,
	    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJhayIsImV4cCI"
	    "6MTcwMDAwMTgwMCwibmJmIjoxNjk5OTk5OTk1fQ.mgn0T3D3XT4hbNxAtEsJ"
	    "sDH8-Kpgvs6l8t89iZ9EkEg");
	free(text);
}

TEST(durations)
{
	static const struct {
		const char *text;
		int seconds;
	} rows[] = {{"32s", 32}, {"0.5s", 1}, {"1.000001s", 2}, {"9999s", 600},
	    {"0s", 0}, {"-1s", 0}, {"32", 0}, {"s", 0}, {"", 0}, {NULL, 0},
	    {"nans", 0}, {"1e2s", 100}, {"32s ", 0}};

	for (size_t i = 0; i < nitems(rows); i++)
		CHECK_INT(duration_text_s(rows[i].text), ==, rows[i].seconds);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(base64_and_data_uris),
	    cmocka_unit_test(images_in_the_form_asked_for),
	    cmocka_unit_test(multipart),
	    cmocka_unit_test(token),
	    cmocka_unit_test(durations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
