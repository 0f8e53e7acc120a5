/*
 * The seed catalogue: every model has capabilities, a price and routes that
 * the program itself accepts, and quotes for what it offers.
 */
#include <stdlib.h>

#include "providers/internal.h"
#include "reeld/capability.h"
#include "reeld/json.h"
#include "reeld/mem.h"
#include "reeld/price.h"
#include "reeld/slug.h"
#include "reeld/spec.h"
#include "unit.h"

static struct json_object *
load(void)
{
	const char *srcdir = getenv("srcdir");
	char *path = xasprintf(
	    "%s/sql/seed/catalogue.json", srcdir != NULL ? srcdir : "..");
	FILE *file = fopen(path, "r");
	struct json_object *doc;
	struct err err = {0};
	static char text[1 << 20];
	size_t len;

	if (file == NULL)
		fail_msg("no %s", path);
	len = fread(text, 1, sizeof text, file);
	fclose(file);
	free(path);
	if (!json_parse(text, len, sizeof text, &doc, &err))
		fail_msg("%s at %s", err.msg, err.pointer);
	return doc;
}

static void
check_quotes(const struct json_object *model, const char *slug)
{
	struct json_object *caps = json_obj_at(model, "capabilities");
	struct json_object *price = json_obj_at(model, "price.rule");
	int64_t ms[CAPABILITY_MAX_DURATIONS], from = 0;
	size_t n = capability_durations(caps, ms, nitems(ms));
	struct err err = {0};

	if (!price_from(price, caps, &from) || from < 1)
		fail_msg("%s: costs nothing", slug);
	for (size_t i = 0; i < n; i++) {
		struct gen_spec spec;
		struct price_quote quote;
		struct price_input in;

		spec_init(&spec);
		spec.prompt = xstrdup("a cat");
		spec.duration_ms = ms[i];
		if (str_eq(json_text_at(caps, "modes.0"), "i2v"))
			spec.start_asset = id_new();
		if (!capability_check(caps, &spec, &err))
			fail_msg("%s: %s", slug, err.msg);
		in = price_input_of(&spec);
		if (!price_quote(price, &in, &quote, &err))
			fail_msg("%s: %s", slug, err.msg);
		CHECK_INT(quote.credits, >=, from);
		spec_fini(&spec);
	}
}

/* Every default spec becomes a request of every route we can ask. */
static void
check_request_of(const struct json_object *model, const char *slug,
    const struct json_object *route)
{
	const struct provider *provider =
	    provider_by_name(json_text_at(route, "provider"));
	struct json_object *caps = json_obj_at(model, "capabilities");
	struct provider_job job = {.key = "k:s", .nonce = "n"};
	struct gen_spec spec;
	struct fetch_spec out;
	struct err err = {0};
	char *text;

	if (provider == NULL || provider->transport != PROVIDER_HTTP ||
	    (provider->prepare != NULL && provider->wants_prepare == NULL))
		return;
	spec_init(&spec);
	spec.prompt = xstrdup("a cat");
	if (str_eq(json_text_at(caps, "modes.0"), "i2v"))
		spec.start_asset = id_new();
	CHECK(capability_check(caps, &spec, &err));
	job.spec = &spec;
	job.endpoint = json_text_at(route, "endpoint");
	job.params = json_obj_at(route, "params");
	if (id_is_set(&spec.start_asset))
		job.start =
		    (struct provider_image){.url = "https://example.org/a.png",
			.data = provider->image_data ? "foo" : NULL,
			.len = provider->image_data ? 3 : 0};
	if (!provider_build(provider, PROVIDER_STEP_SUBMIT, &job, &out, &err))
		fail_msg("%s: %s", slug, err.msg);
	text = xstrndup(out.body, out.body_len);
	if (strstr(text, "a cat") == NULL)
		fail_msg("%s: no prompt in %s", slug, text);
	if (id_is_set(&spec.start_asset) &&
	    strstr(text, "https://example.org/a.png") == NULL &&
	    strstr(text, "Zm9v") == NULL)
		fail_msg("%s: no image in %s", slug, text);
	free(text);
	fetch_spec_fini(&out);
	spec_fini(&spec);
}

static void
check_routes(const struct json_object *model, const char *slug)
{
	struct json_object *routes = json_arr_at(model, "routes");
	struct err err = {0};

	CHECK_INT(json_count(routes), >=, 1);
	for (size_t i = 0; i < json_count(routes); i++) {
		struct json_object *route = json_item(routes, i);

		CHECK(json_text_at(route, "provider") != NULL);
		CHECK(json_text_at(route, "endpoint") != NULL);
		if (!provider_params_check(json_obj_at(route, "params"), &err))
			fail_msg("%s: %s", slug, err.msg);
		if (json_has(route, "cost_rule") &&
		    !price_rule_check(json_obj_at(route, "cost_rule"), &err))
			fail_msg("%s: cost: %s", slug, err.msg);
		check_request_of(model, slug, route);
	}
}

TEST(every_model)
{
	struct json_object *doc = load(), *models = json_arr_at(doc, "models");
	struct err err = {0};
	int defaults = 0, demo_defaults = 0, demos = 0;

	CHECK_INT(json_count(models), ==, 45);
	for (size_t i = 0; i < json_count(models); i++) {
		struct json_object *model = json_item(models, i);
		const char *slug = json_text_at(model, "slug");
		bool flag = false;

		CHECK(slug != NULL && slug_valid(slug));
		CHECK(json_text_at(model, "name") != NULL);
		if (!capability_document_check(
			json_obj_at(model, "capabilities"), &err))
			fail_msg("%s: %s", slug, err.msg);
		if (!price_rule_check(json_obj_at(model, "price.rule"), &err))
			fail_msg("%s: %s", slug, err.msg);
		check_quotes(model, slug);
		check_routes(model, slug);
		if (json_bool_at(model, "default", &flag) && flag) {
			CHECK_STR(slug, "luma-ray-flash-2-540p");
			defaults++;
		}
		if (json_bool_at(model, "default_demo", &flag) && flag) {
			CHECK_STR(slug, "demo-sunset");
			demo_defaults++;
		}
		if (json_bool_at(model, "demo", &flag) && flag)
			demos++;
		if (json_text_at(model, "sunset_at") != NULL)
			CHECK(json_bool_at(model, "active", &flag) && !flag);
		for (size_t k = 0; k < i; k++)
			CHECK(!str_eq(
			    slug, json_text_at(json_item(models, k), "slug")));
	}
	CHECK_INT(defaults, ==, 1);
	CHECK_INT(demo_defaults, ==, 1);
	CHECK_INT(demos, ==, 7);
	json_free(&doc);
}

/* The prices that the specification names, out of the seed itself. */
TEST(known_prices)
{
	static const struct {
		const char *slug, *resolution;
		int64_t ms, credits;
	} rows[] = {
	    {"veo3", "720p", 8000, 2500},
	    {"veo2", "720p", 8000, 2200},
	    {"t2v-ultra", "720p", 8000, 1300},
	    {"wan-2.2-t2v", "720p", 10000, 1200},
	    {"seedance-t2v", "720p", 5000, 400},
	    {"runway-gen3", "720p", 10000, 750},
	    {"kling-2.5", "720p", 5000, 500},
	    {"nova-reel", "720p", 6000, 400},
	    {"veo3", "1080p", 16000, 5250},
	    {"google-veo-3", "720p", 8000, 60},
	    {"luma-ray-2-720p", "720p", 5000, 9},
	    {"luma-ray-flash-2-540p", "540p", 5000, 6},
	    {"google-veo-3.1", "720p", 4000, 40},
	    {"google-veo-3.1", "1080p", 8000, 120},
	    {"wan-2.1-14b", "720p", 5000, 1},
	};
	struct json_object *doc = load(), *models = json_arr_at(doc, "models");

	for (size_t i = 0; i < nitems(rows); i++) {
		struct price_input in = {.duration_ms = rows[i].ms,
		    .resolution = rows[i].resolution};
		struct price_quote quote = {0};

		for (size_t k = 0; k < json_count(models); k++) {
			struct json_object *model = json_item(models, k);

			if (str_eq(json_text_at(model, "slug"), rows[i].slug))
				CHECK(price_quote(
				    json_obj_at(model, "price.rule"), &in,
				    &quote, NULL));
		}
		if (quote.credits != rows[i].credits)
			fail_msg(
			    "%s: %lld", rows[i].slug, (long long)quote.credits);
	}
	json_free(&doc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_model),
	    cmocka_unit_test(known_prices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
