/* Luma's Agents API: whole requests, and the verdict of every stored reply. */
#include "provider_unit.h"

#define BASE "https://agents.lumalabs.ai/v1"
#define HEADERS "Accept: application/json\nAuthorization: !Bearer luma-api-1\n"
#define JSON "Content-Type: application/json\n\n"

static struct provider_job
job_of(struct gen_spec *spec)
{
	return (struct provider_job){.spec = spec,
	    .endpoint = "ray-3.2",
	    .key = "luma-api-1",
	    .nonce = "n1",
	    .now_ms = 1700000000000,
	    .provider_id = "gen-1/.."};
}

static const struct want wants[] = {
    {SUBMIT, 201, "submitted.json", S(QUEUED), C(NONE), "", 0, 0},
    {SUBMIT, 201, "submitted_no_id.json", S(UNKNOWN), C(UNREADABLE), "http_201",
	0, 0},
    {SUBMIT, 201, "truncated.json", S(UNKNOWN), C(UNREADABLE), "http_201", 0,
	0},
    {SUBMIT, 200, "error.html", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {SUBMIT, 502, "error.html", S(UNKNOWN), C(PROVIDER), "http_502", 1, 0},
    {SUBMIT, 503, "busy.json", S(UNKNOWN), C(PROVIDER), "http_503", 1, 0},
    {SUBMIT, 429, "rate_limited.json", S(BUSY), C(RATE_LIMIT), "http_429", 1,
	0},
    {SUBMIT, 429, "busy.json", S(BUSY), C(RATE_LIMIT), "http_429", 1, 0},
    {SUBMIT, 400, "moderated.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {SUBMIT, 422, "invalid.json", S(FAILED), C(BAD_INPUT), "http_422", 0, 0},
    {SUBMIT, 413, "too_large.json", S(FAILED), C(BAD_INPUT), "http_413", 0, 0},
    {SUBMIT, 402, "no_credit.json", S(FAILED), C(FUNDS), "provider_funds", 0,
	0},
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
    {POLL, 200, "filtered_text.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {POLL, 200, "failed.json", S(FAILED), C(PROVIDER), "provider_error", 1, 0},
    {POLL, 200, "failed_null.json", S(FAILED), C(PROVIDER), "provider_error", 1,
	0},
    {POLL, 200, "failed_new.json", S(FAILED), C(PROVIDER), "provider_error", 0,
	0},
    {POLL, 200, "no_budget.json", S(FAILED), C(FUNDS), "provider_funds", 0, 0},
    {POLL, 200, "lost_output.json", S(FAILED), C(PROVIDER),
	"no_media_generated", 1, 0},
    {POLL, 200, "new_status.json", S(UNKNOWN), C(NONE), "", 0, 0},
    {POLL, 200, "truncated.json", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {POLL, 200, "error.html", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {POLL, 502, "error.html", S(UNKNOWN), C(PROVIDER), "http_502", 1, 0},
    {POLL, 400, "moderated.json", S(UNKNOWN), C(BAD_INPUT), "http_400", 0, 0},
    {POLL, 401, "bad_key.json", S(UNKNOWN), C(ACCOUNT), "http_401", 0, 0},
    {POLL, 429, "rate_limited.json", S(BUSY), C(RATE_LIMIT), "http_429", 1, 0},
    {POLL, 404, "expired.json", S(FAILED), C(NOT_FOUND), "http_404", 0, 0},
};

TEST(every_reply)
{
	struct gen_spec spec;
	struct provider_job job;
	struct provider_verdict v;

	spec_init(&spec);
	job = job_of(&spec);
	check_wants(&provider_luma, &job, wants, nitems(wants));
	check_cut_off(&provider_luma, &job, SUBMIT, "submitted.json");
	check_cut_off(&provider_luma, &job, POLL, "success.json");
	check_cut_off(&provider_luma, &job, POLL, "filtered.json");

	v = verdict_of(&provider_luma, &job, SUBMIT, 201, "submitted.json");
	CHECK_STR(v.provider_id, "gen-1");
	provider_verdict_fini(&v);
	v = verdict_of(&provider_luma, &job, POLL, 200, "success.json");
	CHECK_STR(v.result_url, "https://cdn.luma.example/v.mp4?sig=1");
	CHECK(!v.result_needs_key);
	CHECK(v.result_expires_ms == job.now_ms + 3600000);
	provider_verdict_fini(&v);
	v = verdict_of(&provider_luma, &job, SUBMIT, 422, "invalid.json");
	CHECK_STR(v.provider_message, "Input should be '5s' or '10s'");
	provider_verdict_fini(&v);
}

TEST(requests)
{
	struct json_object *params =
	    parse("{\"input\":{\"prompt\":\"prompt\",\"aspect_ratio\":"
		  "\"aspect_ratio\",\"duration\":{\"field\":\"video.duration\","
		  "\"suffix\":\"s\"},\"resolution\":\"video.resolution\"}}");
	struct json_object *hdr =
	    parse("{\"input\":{\"prompt\":\"prompt\"},"
		  "\"fixed\":{\"video\":{\"hdr\":true}}}");
	struct gen_spec spec;
	struct provider_job job;

	spec_init(&spec);
	spec.prompt = xstrdup("a cat");
	spec.duration_ms = 10000;
	str_copy(spec.resolution, sizeof spec.resolution, "720p");
	str_copy(spec.aspect_ratio, sizeof spec.aspect_ratio, "16:9");
	job = job_of(&spec);
	job.params = params;
	job.callback_url = "https://reeld.example/hooks/luma/a/t";
	check_request(&provider_luma, SUBMIT, &job,
	    "POST " BASE "/generations\n" HEADERS JSON
	    "{\"model\":\"ray-3.2\",\"type\":\"video\",\"prompt\":\"a cat\","
	    "\"aspect_ratio\":\"16:9\",\"video\":{\"duration\":\"10s\","
	    "\"resolution\":\"720p\"}}");
	job.start.url = "https://x.example/a.png";
	check_request(
	    &provider_luma, SUBMIT, &job, "error unsupported_with_image");
	spec.duration_ms = 5000;
	job.end = (struct provider_image){
	    .data = "abc", .len = 3, .mime = "image/png"};
	check_request(&provider_luma, SUBMIT, &job,
	    "POST " BASE "/generations\n" HEADERS JSON
	    "{\"model\":\"ray-3.2\",\"type\":\"video\",\"prompt\":\"a cat\","
	    "\"aspect_ratio\":\"16:9\",\"video\":{\"duration\":\"5s\","
	    "\"resolution\":\"720p\",\"start_frame\":{\"url\":"
	    "\"https://x.example/a.png\"},\"end_frame\":{\"data\":\"YWJj\","
	    "\"media_type\":\"image/png\"}}}");
	job.params = hdr;
	check_request(
	    &provider_luma, SUBMIT, &job, "error unsupported_with_image");
	check_request(&provider_luma, POLL, &job,
	    "GET " BASE "/generations/gen-1%2F..\n" HEADERS);
	check_request(&provider_luma, CANCEL, &job, "error unsupported");
	job.provider_id = NULL;
	check_request(&provider_luma, POLL, &job, "error no_reference");
	job.endpoint = "";
	check_request(&provider_luma, SUBMIT, &job, "error no_endpoint");
	spec_fini(&spec);
	json_free(&params);
	json_free(&hdr);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_reply),
	    cmocka_unit_test(requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
