/* The list payload of GPU workers and what their callbacks mean. */
#include <stdlib.h>

#include "providers/internal.h"
#include "reeld/mem.h"
#include "reeld/spec.h"
#include "unit.h"

static struct json_object *
parse(const char *text)
{
	struct json_object *obj;

	CHECK(json_parse(text, strlen(text), 1 << 16, &obj, NULL));
	return obj;
}

TEST(payload)
{
	struct json_object *params =
	    parse("{\"options\":{\"steps\":25,\"prompt\":\"not this\"}}");
	struct json_object *doc = NULL;
	struct gen_spec spec;
	struct provider_job job = {.spec = &spec,
	    .attempt_id = "a1",
	    .generation_id = "g1",
	    .user_id = "u1",
	    .endpoint = "Wan-AI/Wan2.1-T2V-14B",
	    .params = params,
	    .start = {.url = "https://s/1.png"},
	    .upload_url = "https://r/up",
	    .callback_url = "https://r/cb",
	    .job_token = "secret",
	    .now_ms = 1700000000000};
	struct err err = {0};
	int64_t value;

	spec_init(&spec);
	spec.prompt = xstrdup("a cat");
	spec.negative_prompt = xstrdup("dogs");
	spec.duration_ms = 5000;
	spec.fps = 16;
	spec.width = 1280;
	spec.height = 720;
	spec.has_seed = true;
	spec.seed = 42;
	spec.mode = GEN_I2V;
	CHECK(provider_worker.payload(&job, &doc, &err));
	/* The seven keys that existing workers read. */
	CHECK_STR(json_text_at(doc, "jobId"), "a1");
	CHECK_STR(json_text_at(doc, "videoId"), "g1");
	CHECK_STR(json_text_at(doc, "userId"), "u1");
	CHECK_STR(json_text_at(doc, "jobType"), "video");
	CHECK_STR(json_text_at(doc, "prompt"), "a cat");
	CHECK(json_has(doc, "characterId"));
	CHECK_STR(json_text_at(doc, "timestamp"), "2023-11-14T22:13:20.000Z");
	CHECK_STR(json_text_at(doc, "negativePrompt"), "dogs");
	CHECK(json_int_at(doc, "frames", &value) && value == 80);
	CHECK(json_int_at(doc, "width", &value) && value == 1280);
	CHECK(json_int_at(doc, "seed", &value) && value == 42);
	CHECK(json_int_at(doc, "steps", &value) && value == 25);
	CHECK_STR(json_text_at(doc, "startImageUrl"), "https://s/1.png");
	CHECK_STR(json_text_at(doc, "uploadUrl"), "https://r/up");
	CHECK_STR(json_text_at(doc, "callbackUrl"), "https://r/cb");
	CHECK_STR(json_text_at(doc, "jobToken"), "secret");
	json_free(&doc);
	job.job_token = NULL;
	CHECK(!provider_worker.payload(&job, &doc, &err));
	CHECK(doc == NULL);
	spec_fini(&spec);
	json_free(&params);
}

TEST(callbacks)
{
	static const struct {
		const char *body;
		bool ok;
		enum provider_state state;
		enum provider_class class;
		const char *text; /* result_url, message or err.pointer */
	} rows[] = {
	    {"{\"jobId\":\"a1\",\"status\":\"completed\",\"outputUrl\":"
	     "\"x_final.mp4\"}",
		true, PROVIDER_DONE, 0, "x_final.mp4"},
	    {"{\"jobId\":\"a1\",\"status\":\"completed\",\"result\":"
	     "{\"seed\":7,\"enhancedPrompt\":\"p\"}}",
		true, PROVIDER_DONE, 0, NULL},
	    {"{\"jobId\":\"a1\",\"status\":\"processing\",\"progress\":42,"
	     "\"hostname\":\"gpu1\"}",
		true, PROVIDER_RUNNING, 0, NULL},
	    {"{\"jobId\":\"a1\",\"status\":\"failed\",\"errorMessage\":"
	     "\"CUDA out of memory\"}",
		true, PROVIDER_FAILED, PROVIDER_CLASS_PROVIDER,
		"CUDA out of memory"},
	    {"{\"jobId\":\"a1\",\"status\":\"failed\",\"errorClass\":"
	     "\"refused\",\"errorMessage\":\"no\"}",
		true, PROVIDER_REFUSED, PROVIDER_CLASS_REFUSED, "no"},
	    {"{\"jobId\":\"a1\",\"status\":\"cancelled\"}", true,
		PROVIDER_CANCELLED, PROVIDER_CLASS_CANCELLED, NULL},
	    {"{\"status\":\"completed\"}", false, 0, 0, "#/jobId"},
	    {"{\"jobId\":7,\"status\":\"completed\"}", false, 0, 0, "#/jobId"},
	    {"{\"jobId\":\"a1\"}", false, 0, 0, "#/status"},
	    {"{\"jobId\":\"a1\",\"status\":\"bananas\"}", false, 0, 0,
		"#/status"},
	    {"{\"jobId\":\"other\",\"status\":\"completed\"}", false, 0, 0,
		"#/jobId"},
	};
	struct provider_job job = {.attempt_id = "a1"};

	for (size_t i = 0; i < nitems(rows); i++) {
		struct json_object *body = parse(rows[i].body);
		struct provider_verdict v;
		struct err err = {0};

		provider_verdict_init(&v);
		if (provider_worker.hook(&job, body, &v, &err) != rows[i].ok)
			fail_msg("%s", rows[i].body);
		if (!rows[i].ok)
			CHECK_STR(err.pointer, rows[i].text);
		else {
			CHECK_INT(v.state, ==, rows[i].state);
			CHECK_INT(v.class, ==, rows[i].class);
			if (v.state == PROVIDER_DONE)
				CHECK(str_eq(v.result_url, rows[i].text));
			else if (rows[i].text != NULL)
				CHECK_STR(v.provider_message, rows[i].text);
		}
		provider_verdict_fini(&v);
		json_free(&body);
	}
}

TEST(manual_never_generates)
{
	struct provider_job job = {0};
	struct fetch_spec out;
	struct err err = {0};

	CHECK(!provider_build(provider_by_name("manual"), PROVIDER_STEP_SUBMIT,
	    &job, &out, &err));
	CHECK_STR(err.name, "manual_model");
	CHECK(!provider_build(
	    &provider_manual, PROVIDER_STEP_POLL, &job, &out, &err));
	CHECK_STR(err.name, "unsupported");
	CHECK(provider_by_name("nobody") == NULL);
	CHECK(provider_by_name("fal") == &provider_fal);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(payload),
	    cmocka_unit_test(callbacks),
	    cmocka_unit_test(manual_never_generates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
