/* What vendors and routes demand of input images. */
#include "provider_unit.h"

#include "reeld/fit.h"

static struct fit
fit_of(const char *provider, const char *params, bool as_data, int w, int h)
{
	struct json_object *doc = parse(params);
	struct gen_spec spec;
	struct provider_job job = {.spec = &spec, .params = doc};
	struct fit fit;
	struct err err = {0};

	spec_init(&spec);
	spec.width = w;
	spec.height = h;
	CHECK(provider_params_check(doc, &err));
	if (!provider_image_fit(
		provider_by_name(provider), &job, as_data, &fit, &err))
		fail_msg("%s: %s", params, err.msg);
	json_free(&doc);
	return fit;
}

TEST(vendors)
{
	struct fit fit = fit_of("comfyui", "{}", true, 0, 0);

	CHECK(fit_accepts(&fit, &(struct fit_image){0}));
	fit = fit_of("fal", "{}", false, 0, 0);
	CHECK_INT(fit.max_bytes, ==, 0);
	fit = fit_of("fal", "{}", true, 0, 0);
	CHECK_INT(fit.max_bytes, ==, 7499925);
	/* As text it has at most what was said. */
	CHECK_INT((fit.max_bytes + 2) / 3 * 4 + 30, <=, 10000000);
	fit = fit_of("runway", "{}", true, 1280, 720);
	CHECK_INT(fit.max_bytes, ==, 16000000);
	fit = fit_of("openai", "{}", true, 0, 0);
	CHECK_INT(fit.width, ==, 0);
	fit = fit_of("openai", "{}", true, 1280, 720);
	CHECK_INT(fit.width, ==, 1280);
	CHECK_INT(fit.height, ==, 720);
	fit = fit_of("kling", "{}", false, 0, 0);
	CHECK_INT(fit.min_side, ==, 300);
	CHECK_INT(fit.min_ratio, ==, 400);
	CHECK_INT(fit.max_ratio, ==, 2500);
}

TEST(routes)
{
	struct fit fit = fit_of("kling",
	    "{\"options\":{\"image\":{\"min_side\":100,\"max_side\":2048,"
	    "\"max_pixels\":2000000,\"formats\":[\"jpeg\",\"webp\"]}}}",
	    false, 0, 0);

	CHECK_INT(fit.min_side, ==, 100);
	CHECK_INT(fit.max_side, ==, 2048);
	CHECK_INT(fit.max_pixels, ==, 2000000);
	CHECK_INT(fit.formats, ==, FIT_JPEG);
	CHECK_INT(fit.max_bytes, ==, 10000000); /* the vendor's */
	fit =
	    fit_of("openai", "{\"options\":{\"image\":{\"video_size\":false}}}",
		true, 1280, 720);
	CHECK_INT(fit.width, ==, 0);
	fit = fit_of("edenai",
	    "{\"options\":{\"image\":{\"width\":1280,\"height\":720,"
	    "\"max_data_uri\":1000000}}}",
	    true, 0, 0);
	CHECK_INT(fit.width, ==, 1280);
	CHECK_INT(fit.max_bytes, ==, 749925);
}

TEST(wrong_routes)
{
	static const char *const docs[] = {
	    "{\"options\":{\"image\":{\"max_side\":1}}}",
	    "{\"options\":{\"image\":{\"max_side\":\"big\"}}}",
	    "{\"options\":{\"image\":{\"colour\":true}}}",
	    "{\"options\":{\"image\":{\"formats\":[\"gif\"]}}}",
	};

	for (size_t i = 0; i < nitems(docs); i++) {
		struct json_object *doc = parse(docs[i]);
		struct provider_job job = {.params = doc};
		struct fit fit;
		struct err err = {0};

		CHECK(!provider_params_check(doc, &err));
		CHECK_STR(err.name, "bad_params");
		CHECK(!provider_image_fit(
		    provider_by_name("fal"), &job, true, &fit, &err));
		json_free(&doc);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(vendors),
	    cmocka_unit_test(routes),
	    cmocka_unit_test(wrong_routes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
