/* Capabilities: what fits, what is filled in, what is refused and how. */
#include <stdlib.h>

#include "reeld/capability.h"
#include "reeld/json.h"
#include "reeld/mem.h"
#include "reeld/slug.h"
#include "reeld/spec.h"
#include "unit.h"

static const char both[] =
    "{\"modes\":[\"t2v\",\"i2v\"],\"durations\":{\"list\":[4,6,8]},"
    "\"resolutions\":[\"720p\",\"1080p\"],\"aspect_ratios\":[\"16:9\","
    "\"9:16\"],\"fps\":[24,30],\"audio\":\"optional\",\"seed\":true,"
    "\"max_prompt\":10,\"defaults\":{\"duration\":8,\"resolution\":\"1080p\","
    "\"audio\":true}}";
static const char image_only[] =
    "{\"modes\":[\"i2v\"],\"durations\":{\"fixed\":5},"
    "\"end_image\":\"optional\",\"audio\":\"always\","
    "\"negative_prompt\":true,\"max_negative_prompt\":3}";
static const char range[] =
    "{\"modes\":[\"t2v\"],\"durations\":{\"min\":2,\"max\":5,\"step\":0.5}}";

static struct json_object *
caps_of(const char *text)
{
	struct json_object *caps;
	struct err err = {0};

	CHECK(json_parse(text, strlen(text), 1 << 16, &caps, &err));
	if (!capability_document_check(caps, &err))
		fail_msg("%s: %s", text, err.msg);
	return caps;
}

struct row {
	const char *caps, *prompt, *negative;
	int64_t ms;
	const char *resolution, *aspect_ratio;
	int fps;
	enum gen_audio audio;
	bool seed, start, end;
	const char *name, *pointer, *msg; /* name NULL: taken */
};
#define A GEN_AUDIO_UNSET

static const struct row rows[] = {
    {both, "a cat", NULL, 0, "", "", 0, A, 0, 0, 0, NULL, NULL, NULL},
    {both, "a cat", NULL, 6000, "720P", "9:16", 30, GEN_AUDIO_OFF, 1, 1, 0,
	NULL, NULL, NULL},
    {both, "", NULL, 0, "", "", 0, A, 0, 0, 0, "prompt_missing", "#/prompt",
	"empty"},
    {both, " \n", NULL, 0, "", "", 0, A, 0, 0, 0, "prompt_missing", "#/prompt",
	"empty"},
    {both, NULL, NULL, 0, "", "", 0, A, 0, 0, 0, "prompt_missing", "#/prompt",
	"empty"},
    {both, "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", NULL, 0, "", "",
	0, A, 0, 0, 0, NULL, NULL, NULL},
    {both, "12345678901", NULL, 0, "", "", 0, A, 0, 0, 0, "prompt_too_long",
	"#/prompt", "11"},
    {both, "x", "dogs", 0, "", "", 0, A, 0, 0, 0, "unsupported_negative_prompt",
	"#/negative_prompt", "negative"},
    {both, "x", NULL, 5000, "", "", 0, A, 0, 0, 0, "unsupported_duration",
	"#/duration", "5 seconds; the nearest it makes: 4 or 6"},
    {both, "x", NULL, 1000, "", "", 0, A, 0, 0, 0, "unsupported_duration",
	"#/duration", ": 4"},
    {both, "x", NULL, 16000, "", "", 0, A, 0, 0, 0, "unsupported_duration",
	"#/duration", ": 8"},
    {both, "x", NULL, 0, "4k", "", 0, A, 0, 0, 0, "unsupported_resolution",
	"#/resolution", "the nearest is 1080p of 720p, 1080p"},
    {both, "x", NULL, 0, "480p", "", 0, A, 0, 0, 0, "unsupported_resolution",
	"#/resolution", "the nearest is 720p"},
    {both, "x", NULL, 0, "huge", "", 0, A, 0, 0, 0, "unsupported_resolution",
	"#/resolution", "720p, 1080p"},
    {both, "x", NULL, 0, "", "21:9", 0, A, 0, 0, 0, "unsupported_aspect_ratio",
	"#/aspect_ratio", "the nearest is 16:9"},
    {both, "x", NULL, 0, "", "", 60, A, 0, 0, 0, "unsupported_fps", "#/fps",
	"60 frames per second; the nearest it makes: 30"},
    {both, "x", NULL, 0, "", "", 0, A, 0, 0, 1, "unsupported_end_image",
	"#/end_image", "no end image"},
    {image_only, "x", NULL, 0, "", "", 0, A, 0, 0, 0, "start_image_required",
	"#/start_image", "needs a start image"},
    {image_only, "x", "no!", 0, "", "", 0, A, 0, 1, 1, NULL, NULL, NULL},
    {image_only, "x", "dogs", 0, "", "", 0, A, 0, 1, 0, "prompt_too_long",
	"#/negative_prompt", "4"},
    {image_only, "x", NULL, 0, "720p", "", 0, A, 0, 1, 0,
	"unsupported_resolution", "#/resolution", "no choice"},
    {image_only, "x", NULL, 0, "", "", 24, A, 0, 1, 0, "unsupported_fps",
	"#/fps", "no choice"},
    {image_only, "x", NULL, 0, "", "", 0, GEN_AUDIO_OFF, 0, 1, 0,
	"unsupported_audio", "#/audio", "true"},
    {image_only, "x", NULL, 0, "", "", 0, A, 1, 1, 0, "unsupported_seed",
	"#/seed", "no seed"},
    {range, "x", NULL, 2500, "", "", 0, GEN_AUDIO_OFF, 0, 0, 0, NULL, NULL,
	NULL},
    {range, "x", NULL, 2600, "", "", 0, A, 0, 0, 0, "unsupported_duration",
	"#/duration", "2.6 seconds; the nearest it makes: 2.5 or 3"},
    {range, "x", NULL, 0, "", "", 0, GEN_AUDIO_ON, 0, 0, 0, "unsupported_audio",
	"#/audio", "false"},
    {range, "x", NULL, 0, "", "", 0, A, 0, 1, 0, "unsupported_start_image",
	"#/start_image", "no start image"},
};

TEST(requests)
{
	for (size_t i = 0; i < nitems(rows); i++) {
		const struct row *row = &rows[i];
		struct json_object *caps = caps_of(row->caps);
		struct gen_spec spec;
		struct err err = {0};
		bool ok;

		spec_init(&spec);
		spec.prompt = xstrdup(row->prompt);
		spec.negative_prompt = xstrdup(row->negative);
		spec.duration_ms = row->ms;
		str_copy(
		    spec.resolution, sizeof spec.resolution, row->resolution);
		str_copy(spec.aspect_ratio, sizeof spec.aspect_ratio,
		    row->aspect_ratio);
		spec.fps = row->fps;
		spec.audio = row->audio;
		spec.has_seed = row->seed;
		if (row->start)
			spec.start_asset = id_new();
		if (row->end)
			spec.end_asset = id_new();
		ok = capability_check(caps, &spec, &err);
		if (ok != (row->name == NULL))
			fail_msg("row %zu: %s", i, err.msg);
		if (ok) {
			CHECK(spec.duration_ms > 0);
			CHECK(spec.audio != GEN_AUDIO_UNSET);
			CHECK_INT(
			    spec.mode, ==, row->start ? GEN_I2V : GEN_T2V);
		} else {
			CHECK_INT(err.code, ==, ERR_INVALID);
			CHECK_STR(err.name, row->name);
			CHECK_STR(err.pointer, row->pointer);
			if (strstr(err.msg, row->msg) == NULL)
				fail_msg("row %zu: %s", i, err.msg);
		}
		spec_fini(&spec);
		json_free(&caps);
	}
}

TEST(filled_in)
{
	struct json_object *caps = caps_of(both), *out, *doc;
	struct gen_spec spec, again;
	struct err err = {0};
	int64_t value;

	spec_init(&spec);
	spec.prompt = xstrdup("a cat");
	CHECK(capability_check(caps, &spec, &err));
	CHECK_INT(spec.duration_ms, ==, 8000);
	CHECK_STR(spec.resolution, "1080p");
	CHECK_STR(spec.aspect_ratio, "16:9");
	CHECK_INT(spec.fps, ==, 24);
	CHECK_INT(spec.audio, ==, GEN_AUDIO_ON);
	CHECK_INT(spec.width, ==, 1920);
	CHECK_INT(spec.height, ==, 1080);
	/* What is stored comes back the same. */
	doc = spec_to_json(&spec);
	CHECK(spec_from_json(doc, &again, &err));
	CHECK_STR(again.prompt, "a cat");
	CHECK_INT(again.duration_ms, ==, 8000);
	CHECK_INT(again.audio, ==, GEN_AUDIO_ON);
	CHECK_INT(again.width, ==, 1920);
	json_set_text(doc, "surprise", "x");
	spec_fini(&again);
	CHECK(!spec_from_json(doc, &again, &err));
	json_free(&doc);
	out = capability_public(caps);
	CHECK(json_int_at(out, "durations.2", &value) && value == 8);
	CHECK_STR(json_text_at(out, "start_image"), "optional");
	CHECK_STR(json_text_at(out, "end_image"), "none");
	CHECK_STR(json_text_at(out, "defaults.aspect_ratio"), "16:9");
	json_free(&out);
	spec_fini(&spec);
	json_free(&caps);
}

TEST(bad_documents)
{
	static const struct {
		const char *text, *pointer;
	} bad[] = {
	    {"{}", "#/modes"},
	    {"{\"modes\":[],\"durations\":{\"fixed\":5}}", "#/modes"},
	    {"{\"modes\":[\"v2v\"],\"durations\":{\"fixed\":5}}", "#/modes"},
	    {"{\"modes\":[\"t2v\"],\"durations\":{}}", "#/durations"},
	    {"{\"modes\":[\"t2v\"],\"durations\":{\"list\":[]}}",
		"#/durations"},
	    {"{\"modes\":[\"t2v\"],\"durations\":{\"list\":[5,5]}}",
		"#/durations"},
	    {"{\"modes\":[\"t2v\"],\"durations\":{\"min\":2,\"max\":1,"
	     "\"step\":1}}",
		"#/durations/max"},
	    {"{\"modes\":[\"t2v\"],\"durations\":{\"min\":0.1,\"max\":7200,"
	     "\"step\":0.1}}",
		"#/durations/step"},
	    {"{\"modes\":[\"t2v\"],\"durations\":{\"fixed\":5},"
	     "\"defaults\":{\"duration\":6}}",
		"#/defaults/duration"},
	    {"{\"modes\":[\"t2v\"],\"durations\":{\"fixed\":5},"
	     "\"audio\":\"loud\"}",
		"#/audio"},
	    {"{\"modes\":[\"t2v\"],\"durations\":{\"fixed\":5},"
	     "\"start_image\":\"optional\"}",
		"#/modes"},
	    {"{\"modes\":[\"i2v\"],\"durations\":{\"fixed\":5},"
	     "\"start_image\":\"none\"}",
		"#/start_image"},
	    {"{\"modes\":[\"t2v\"],\"durations\":{\"fixed\":5},"
	     "\"colour\":true}",
		"#/colour"},
	};

	for (size_t i = 0; i < nitems(bad); i++) {
		struct json_object *caps;
		struct err err = {0};

		CHECK(json_parse(
		    bad[i].text, strlen(bad[i].text), 4096, &caps, NULL));
		if (capability_document_check(caps, &err))
			fail_msg("taken: %s", bad[i].text);
		CHECK_STR(err.pointer, bad[i].pointer);
		json_free(&caps);
	}
}

TEST(sizes)
{
	static const struct {
		const char *resolution, *ratio;
		int width, height;
	} known[] = {
	    {"720p", "16:9", 1280, 720},
	    {"720p", "9:16", 720, 1280},
	    {"1080p", "1:1", 1080, 1080},
	    {"4k", "16:9", 3840, 2160},
	    {"480p", "16:9", 854, 480},
	    {"540p", "4:3", 720, 540},
	    {"1280x720", "9:16", 1280, 720},
	    {"1080p", "21:9", 2520, 1080},
	};
	int width, height;

	for (size_t i = 0; i < nitems(known); i++) {
		CHECK(size_derive(
		    known[i].resolution, known[i].ratio, &width, &height));
		CHECK_INT(width, ==, known[i].width);
		CHECK_INT(height, ==, known[i].height);
	}
	CHECK(!size_derive("auto", "16:9", &width, &height));
	CHECK(!size_derive("720p", "auto", &width, &height));
	CHECK(!size_derive("720p", "16:0", &width, &height));
	CHECK(!size_derive("720p", "9999:1", &width, &height));
	CHECK(!size_derive("", "", &width, &height));
}

TEST(slugs)
{
	char out[32];

	slug_make("Kling 2.5 Turbo (Pro)!", "x", out, sizeof out);
	CHECK_STR(out, "kling-2.5-turbo-pro");
	slug_make("\xe6\x97\xa5\xe6\x9c\xac", "video", out, sizeof out);
	CHECK_STR(out, "video");
	slug_make("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbb", "x", out, sizeof out);
	CHECK_INT(strlen(out), <=, 31);
	CHECK(slug_valid(out) && slug_valid("veo-3.1") && slug_valid("0"));
	CHECK(!slug_valid("") && !slug_valid("-a") && !slug_valid("A") &&
	    !slug_valid("a/b") && !slug_valid("a b"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(requests),
	    cmocka_unit_test(filled_in),
	    cmocka_unit_test(bad_documents),
	    cmocka_unit_test(sizes),
	    cmocka_unit_test(slugs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
