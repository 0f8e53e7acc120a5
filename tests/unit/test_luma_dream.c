/* Luma's Dream Machine: whole requests, every stored reply, callbacks. */
#include "provider_unit.h"

#define BASE "https://api.lumalabs.ai/dream-machine/v1"
#define HEADERS "Accept: application/json\nAuthorization: !Bearer luma-1\n"
#define JSON "Content-Type: application/json\n\n"

static struct provider_job
job_of(struct gen_spec *spec)
{
	return (struct provider_job){.spec = spec,
	    .endpoint = "ray-flash-2",
	    .key = "luma-1",
	    .nonce = "n1",
	    .now_ms = 1700000000000,
	    .provider_id = "70a9/.."};
}

static const struct want wants[] = {
    {SUBMIT, 201, "submitted.json", S(QUEUED), C(NONE), "", 0, 0},
    {SUBMIT, 201, "submitted_no_id.json", S(UNKNOWN), C(UNREADABLE), "http_201",
	0, 0},
    {SUBMIT, 201, "truncated.json", S(UNKNOWN), C(UNREADABLE), "http_201", 0,
	0},
    {SUBMIT, 200, "error.html", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {SUBMIT, 500, "error.html", S(UNKNOWN), C(PROVIDER), "http_500", 1, 0},
    {SUBMIT, 429, "rate_limited.json", S(BUSY), C(RATE_LIMIT), "http_429", 1,
	0},
    {SUBMIT, 400, "moderated.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {SUBMIT, 400, "no_credit.json", S(FAILED), C(FUNDS), "provider_funds", 0,
	0},
    {SUBMIT, 400, "invalid.json", S(FAILED), C(BAD_INPUT), "http_400", 0, 0},
    {SUBMIT, 401, "bad_key.json", S(FAILED), C(ACCOUNT), "http_401", 0, 0},
    {SUBMIT, 403, "bad_key.json", S(FAILED), C(ACCOUNT), "http_403", 0, 0},

    {POLL, 200, "queued.json", S(QUEUED), C(NONE), "", 0, 0},
    {POLL, 200, "running.json", S(RUNNING), C(NONE), "", 0, 0},
    {POLL, 200, "success.json", S(DONE), C(NONE), "", 0, 0},
    {POLL, 200, "no_video.json", S(FAILED), C(PROVIDER), "no_media_generated",
	1, 0},
    {POLL, 200, "done_moderated.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {POLL, 200, "filtered.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {POLL, 200, "failed.json", S(FAILED), C(PROVIDER), "provider_error", 1, 0},
    {POLL, 200, "failed_null.json", S(FAILED), C(PROVIDER), "provider_error", 1,
	0},
    {POLL, 200, "new_status.json", S(UNKNOWN), C(NONE), "", 0, 0},
    {POLL, 200, "truncated.json", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {POLL, 200, "error.html", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {POLL, 502, "error.html", S(UNKNOWN), C(PROVIDER), "http_502", 1, 0},
    {POLL, 401, "bad_key.json", S(UNKNOWN), C(ACCOUNT), "http_401", 0, 0},
    {POLL, 429, "rate_limited.json", S(BUSY), C(RATE_LIMIT), "http_429", 1, 0},
    {POLL, 404, "expired.json", S(FAILED), C(NOT_FOUND), "http_404", 0, 0},

    {CANCEL, 204, "empty.json", S(CANCELLED), C(CANCELLED),
	"provider_cancelled", 0, 0},
    {CANCEL, 404, "expired.json", S(UNKNOWN), C(NOT_FOUND), "http_404", 0,
	POLL},
    {CANCEL, 500, "error.html", S(UNKNOWN), C(PROVIDER), "http_500", 1, POLL},
};

TEST(every_reply)
{
	struct gen_spec spec;
	struct provider_job job;
	struct provider_verdict v;

	spec_init(&spec);
	job = job_of(&spec);
	check_wants(&provider_luma_dream, &job, wants, nitems(wants));
	check_cut_off(&provider_luma_dream, &job, SUBMIT, "submitted.json");
	check_cut_off(&provider_luma_dream, &job, POLL, "success.json");
	check_cut_off(&provider_luma_dream, &job, POLL, "filtered.json");

	v = verdict_of(
	    &provider_luma_dream, &job, SUBMIT, 201, "submitted.json");
	CHECK_STR(v.provider_id, "70a9-1");
	provider_verdict_fini(&v);
	v = verdict_of(&provider_luma_dream, &job, POLL, 200, "success.json");
	CHECK_STR(v.result_url, "https://storage.cdn-luma.com/v.mp4");
	CHECK(!v.result_needs_key);
	provider_verdict_fini(&v);
}

TEST(requests)
{
	struct json_object *params =
	    parse("{\"input\":{\"prompt\":\"prompt\",\"aspect_ratio\":"
		  "\"aspect_ratio\",\"duration\":{\"field\":\"duration\","
		  "\"suffix\":\"s\"}},\"fixed\":{\"resolution\":\"540p\"}}");
	struct gen_spec spec;
	struct provider_job job;

	spec_init(&spec);
	spec.prompt = xstrdup("a cat");
	spec.duration_ms = 9000;
	str_copy(spec.aspect_ratio, sizeof spec.aspect_ratio, "9:21");
	job = job_of(&spec);
	job.params = params;
	check_request(&provider_luma_dream, SUBMIT, &job,
	    "POST " BASE "/generations/video\n" HEADERS JSON
	    "{\"model\":\"ray-flash-2\",\"prompt\":\"a cat\","
	    "\"aspect_ratio\":\"9:21\",\"duration\":\"9s\","
	    "\"resolution\":\"540p\"}");
	job.callback_url = "https://reeld.example/hooks/luma_dream/a/t";
	job.start.url = "https://x.example/a.png";
	job.end.url = "https://x.example/b.png";
	check_request(&provider_luma_dream, SUBMIT, &job,
	    "POST " BASE "/generations/video\n" HEADERS JSON
	    "{\"model\":\"ray-flash-2\",\"prompt\":\"a cat\","
	    "\"aspect_ratio\":\"9:21\",\"duration\":\"9s\","
	    "\"resolution\":\"540p\",\"keyframes\":{\"frame0\":{\"type\":"
	    "\"image\",\"url\":\"https://x.example/a.png\"},\"frame1\":"
	    "{\"type\":\"image\",\"url\":\"https://x.example/b.png\"}},"
	    "\"callback_url\":\"https://reeld.example/hooks/luma_dream/a/t\"}");
	/* They can't take bytes. */
	job.end = (struct provider_image){.data = "abc", .len = 3};
	check_request(
	    &provider_luma_dream, SUBMIT, &job, "error image_needs_url");
	check_request(&provider_luma_dream, POLL, &job,
	    "GET " BASE "/generations/70a9%2F..\n" HEADERS);
	check_request(&provider_luma_dream, CANCEL, &job,
	    "DELETE " BASE "/generations/70a9%2F..\n" HEADERS);
	job.provider_id = NULL;
	check_request(&provider_luma_dream, POLL, &job, "error no_reference");
	job.endpoint = "ray/2";
	check_request(&provider_luma_dream, SUBMIT, &job, "error no_endpoint");
	spec_fini(&spec);
	json_free(&params);
}

TEST(callback)
{
	struct gen_spec spec;
	struct provider_job job;
	struct provider_verdict v;
	struct json_object *doc;
	struct err err = {0};
	struct buf body;

	spec_init(&spec);
	job = job_of(&spec);
	fixture_read("luma_dream", "success.json", &body);
	doc = parse(body.data);
	provider_verdict_init(&v);
	CHECK(!provider_luma_dream.hook(&job, doc, &v, &err));
	CHECK_STR(err.name, "other_request");
	job.provider_id = NULL;
	CHECK(provider_luma_dream.hook(&job, doc, &v, &err));
	/* It only hurries a poll: nobody signed it. */
	CHECK_INT(v.state, ==, PROVIDER_UNKNOWN);
	CHECK_INT(v.next, ==, PROVIDER_STEP_POLL);
	CHECK(v.result_url == NULL);
	CHECK_STR(v.provider_id, "70a9-1");
	provider_verdict_fini(&v);
	json_free(&doc);
	doc = parse("{\"id\":\"\",\"state\":\"completed\"}");
	CHECK(!provider_luma_dream.hook(&job, doc, &v, &err));
	json_free(&doc);
	buf_fini(&body);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_reply),
	    cmocka_unit_test(requests),
	    cmocka_unit_test(callback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
