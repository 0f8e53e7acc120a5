/*
 * Google: whole requests, and the verdict of every stored reply, for Veo and
 * for Gemini Omni.
 */
#include "provider_unit.h"

#define BASE "https://generativelanguage.googleapis.com/v1beta"
#define HEAD "Accept: application/json\nx-goog-api-key: !k\n"
#define JSON_HEAD HEAD "Content-Type: application/json\n\n"

static struct provider_job
veo(struct gen_spec *spec)
{
	spec_init(spec);
	return (struct provider_job){.spec = spec,
	    .endpoint = "veo-3.1-generate-001",
	    .key = "k",
	    .now_ms = 1000,
	    .provider_id = "models/veo-3.1-generate-001/operations/abc123"};
}

static struct provider_job
omni(struct gen_spec *spec)
{
	struct provider_job job = veo(spec);

	job.endpoint = "gemini-omni-1.1-flash";
	job.provider_id = "v1_abc";
	return job;
}

static const struct want veo_wants[] = {
    {SUBMIT, 200, "submitted.json", S(QUEUED), C(NONE), "", 0, 0},
    /* It may have been accepted. */
    {SUBMIT, 200, "submitted_no_name.json", S(UNKNOWN), C(UNREADABLE),
	"http_200", 0, 0},
    {SUBMIT, 200, "submitted_evil.json", S(UNKNOWN), C(UNREADABLE), "http_200",
	0, 0},
    {SUBMIT, 200, "truncated.json", S(UNKNOWN), C(UNREADABLE), "http_200", 0,
	0},
    {SUBMIT, 200, "error.html", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {SUBMIT, 502, "error.html", S(UNKNOWN), C(PROVIDER), "http_502", 1, 0},
    {SUBMIT, 500, "error_503.json", S(UNKNOWN), C(PROVIDER), "http_500", 1, 0},
    {SUBMIT, 503, "error_503.json", S(UNKNOWN), C(PROVIDER), "http_503", 1, 0},
    {SUBMIT, 504, "error_503.json", S(UNKNOWN), C(TIMEOUT), "http_504", 1, 0},
    /* Surely not. */
    {SUBMIT, 503, "error_503_retry.json", S(BUSY), C(PROVIDER), "http_503", 1,
	0},
    {SUBMIT, 429, "error_429.json", S(BUSY), C(RATE_LIMIT), "http_429", 1, 0},
    {SUBMIT, 429, "error.html", S(BUSY), C(RATE_LIMIT), "http_429", 1, 0},
    {SUBMIT, 429, "error_429_daily.json", S(FAILED), C(FUNDS), "daily_quota", 1,
	0},
    {SUBMIT, 400, "error_400.json", S(FAILED), C(BAD_INPUT), "http_400", 0, 0},
    {SUBMIT, 400, "error_400_policy.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {SUBMIT, 400, "error_400_key.json", S(FAILED), C(ACCOUNT), "bad_key", 0, 0},
    {SUBMIT, 400, "error_400_billing.json", S(FAILED), C(ACCOUNT),
	"failed_precondition", 0, 0},
    {SUBMIT, 401, "error_403.json", S(FAILED), C(ACCOUNT), "http_401", 0, 0},
    {SUBMIT, 403, "error_403.json", S(FAILED), C(ACCOUNT), "http_403", 0, 0},
    {SUBMIT, 404, "error_404.json", S(FAILED), C(NOT_FOUND), "http_404", 0, 0},

    {POLL, 200, "running.json", S(RUNNING), C(NONE), "", 0, 0},
    {POLL, 200, "running_percent.json", S(RUNNING), C(NONE), "", 0, 0},
    {POLL, 200, "success.json", S(DONE), C(NONE), "", 0, 0},
    {POLL, 200, "success_videos.json", S(DONE), C(NONE), "", 0, 0},
    /* Done is not success. */
    {POLL, 200, "filtered.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {POLL, 200, "filtered_count.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {POLL, 200, "empty_done.json", S(FAILED), C(PROVIDER), "no_video", 0, 0},
    {POLL, 200, "success_inline.json", S(FAILED), C(PROVIDER), "no_link", 0, 0},
    {POLL, 200, "success_gs.json", S(FAILED), C(PROVIDER), "no_link", 0, 0},
    {POLL, 200, "failed_invalid.json", S(FAILED), C(BAD_INPUT),
	"invalid_argument", 0, 0},
    {POLL, 200, "failed_image.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {POLL, 200, "failed_quota.json", S(FAILED), C(RATE_LIMIT),
	"resource_exhausted", 1, 0},
    {POLL, 200, "failed_internal.json", S(FAILED), C(PROVIDER), "internal", 1,
	0},
    {POLL, 200, "failed_odd.json", S(FAILED), C(PROVIDER), "unknown", 1, 0},
    {POLL, 200, "failed_huge.json", S(FAILED), C(PROVIDER), "unknown", 1, 0},
    /* No trouble of a poll may end a paid job. */
    {POLL, 200, "submitted_no_name.json", S(UNKNOWN), C(UNREADABLE), "http_200",
	0, 0},
    {POLL, 200, "truncated.json", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {POLL, 200, "error.html", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {POLL, 502, "error.html", S(UNKNOWN), C(PROVIDER), "http_502", 1, 0},
    {POLL, 400, "error_400_key.json", S(UNKNOWN), C(BAD_INPUT), "http_400", 0,
	0},
    {POLL, 403, "error_403.json", S(UNKNOWN), C(ACCOUNT), "http_403", 0, 0},
    {POLL, 429, "error_429.json", S(BUSY), C(RATE_LIMIT), "http_429", 1, 0},
    {POLL, 503, "error_503.json", S(BUSY), C(PROVIDER), "http_503", 1, 0},
    {POLL, 404, "error_404.json", S(FAILED), C(NOT_FOUND), "http_404", 0, 0},
};

static const struct want omni_wants[] = {
    {SUBMIT, 200, "omni_submitted.json", S(QUEUED), C(NONE), "", 0, 0},
    {SUBMIT, 200, "submitted_no_name.json", S(UNKNOWN), C(UNREADABLE),
	"http_200", 0, 0},
    {SUBMIT, 429, "error_429.json", S(BUSY), C(RATE_LIMIT), "http_429", 1, 0},
    {POLL, 200, "omni_queued.json", S(QUEUED), C(NONE), "", 0, 0},
    {POLL, 200, "omni_running.json", S(RUNNING), C(NONE), "", 0, 0},
    {POLL, 200, "omni_success.json", S(DONE), C(NONE), "", 0, 0},
    {POLL, 200, "omni_success_top.json", S(DONE), C(NONE), "", 0, 0},
    /* The user's own video is not the result. */
    {POLL, 200, "omni_text.json", S(FAILED), C(PROVIDER), "no_video", 0, 0},
    {POLL, 200, "omni_data.json", S(FAILED), C(PROVIDER), "no_link", 0, 0},
    {POLL, 200, "omni_refused.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {POLL, 200, "omni_failed.json", S(FAILED), C(PROVIDER), "unavailable", 1,
	0},
    {POLL, 200, "omni_budget.json", S(FAILED), C(FUNDS), "budget_exceeded", 0,
	0},
    {POLL, 200, "omni_incomplete.json", S(FAILED), C(PROVIDER), "incomplete", 0,
	0},
    {POLL, 200, "omni_cancelled.json", S(CANCELLED), C(CANCELLED), "cancelled",
	0, 0},
    {POLL, 200, "omni_new.json", S(UNKNOWN), C(NONE), "", 0, 0},
    {POLL, 200, "error.html", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {POLL, 404, "error_404.json", S(FAILED), C(NOT_FOUND), "http_404", 0, 0},
    {CANCEL, 200, "omni_cancelled.json", S(UNKNOWN), C(NONE), "", 0, POLL},
    {CANCEL, 404, "error_404.json", S(UNKNOWN), C(NOT_FOUND), "http_404", 0,
	POLL},
};

TEST(every_reply)
{
	struct gen_spec spec;
	struct provider_job job = veo(&spec);

	check_wants(&provider_google, &job, veo_wants, nitems(veo_wants));
	check_cut_off(&provider_google, &job, SUBMIT, "submitted.json");
	check_cut_off(&provider_google, &job, POLL, "success.json");
	job = omni(&spec);
	check_wants(&provider_google, &job, omni_wants, nitems(omni_wants));
	check_cut_off(&provider_google, &job, POLL, "omni_success.json");
}

TEST(what_is_kept)
{
	struct gen_spec spec;
	struct provider_job job = veo(&spec);
	struct provider_verdict v =
	    verdict_of(&provider_google, &job, SUBMIT, 200, "submitted.json");

	CHECK_STR(
	    v.provider_id, "models/veo-3.1-generate-001/operations/abc123");
	provider_verdict_fini(&v);
	v = verdict_of(&provider_google, &job, POLL, 200, "success.json");
	CHECK_STR(v.result_url, BASE "/files/q1w2:download?alt=media");
	CHECK(v.result_needs_key);
	CHECK_INT(v.result_expires_ms, ==, 1000 + 2 * 24 * 3600 * 1000LL);
	provider_verdict_fini(&v);
	/* Elsewhere our key is not sent. */
	v = verdict_of(
	    &provider_google, &job, POLL, 200, "success_videos.json");
	CHECK(!v.result_needs_key);
	provider_verdict_fini(&v);
	v = verdict_of(
	    &provider_google, &job, POLL, 200, "running_percent.json");
	CHECK_INT(v.progress, ==, 40);
	provider_verdict_fini(&v);
	v = verdict_of(&provider_google, &job, SUBMIT, 429, "error_429.json");
	CHECK_INT(v.retry_after_s, ==, 32);
	CHECK_STR(v.provider_message, "You exceeded your current quota");
	provider_verdict_fini(&v);
	v = verdict_of(&provider_google, &job, POLL, 429, "error_429.json");
	CHECK_INT(v.retry_after_s, ==, 32);
	provider_verdict_fini(&v);
	v = verdict_of(
	    &provider_google, &job, SUBMIT, 503, "error_503_retry.json");
	CHECK_INT(v.retry_after_s, ==, 2);
	provider_verdict_fini(&v);
	v = verdict_of(&provider_google, &job, POLL, 200, "filtered.json");
	CHECK(strstr(v.provider_message, "real people") != NULL);
	provider_verdict_fini(&v);
	job = omni(&spec);
	v = verdict_of(
	    &provider_google, &job, SUBMIT, 200, "omni_submitted.json");
	CHECK_STR(v.provider_id, "v1_abc");
	provider_verdict_fini(&v);
	v = verdict_of(&provider_google, &job, POLL, 200, "omni_success.json");
	CHECK_STR(v.result_url, BASE "/files/z9:download?alt=media");
	CHECK(v.result_needs_key);
	provider_verdict_fini(&v);
}

TEST(veo_requests)
{
	struct json_object *params =
	    parse("{\"input\":{\"prompt\":\"instances.prompt\","
		  "\"aspect_ratio\":\"parameters.aspectRatio\","
		  "\"resolution\":\"parameters.resolution\","
		  "\"duration\":\"parameters.durationSeconds\","
		  "\"negative_prompt\":\"parameters.negativePrompt\"},"
		  "\"options\":{\"parameters\":{\"personGeneration\":"
		  "\"allow_adult\"}}}");
	struct gen_spec spec;
	struct provider_job job = veo(&spec);

	spec.prompt = xstrdup("a \"cat\"");
	spec.duration_ms = 8000;
	str_copy(spec.resolution, sizeof spec.resolution, "720p");
	str_copy(spec.aspect_ratio, sizeof spec.aspect_ratio, "16:9");
	check_request(&provider_google, SUBMIT, &job,
	    "POST " BASE
	    "/models/veo-3.1-generate-001:predictLongRunning\n" JSON_HEAD
	    "{\"instances\":[{}],\"parameters\":{}}");
	job.params = params;
	check_request(&provider_google, SUBMIT, &job,
	    "POST " BASE
	    "/models/veo-3.1-generate-001:predictLongRunning\n" JSON_HEAD
	    "{\"instances\":[{\"prompt\":\"a \\\"cat\\\"\"}],\"parameters\":{"
	    "\"aspectRatio\":\"16:9\",\"resolution\":\"720p\","
	    "\"durationSeconds\":8,\"personGeneration\":\"allow_adult\"}}");
	job.start = (struct provider_image){.url = "https://e.org/a",
	    .data = "foo",
	    .len = 3,
	    .mime = "image/jpeg"};
	job.end = (struct provider_image){.data = "foobar", .len = 6};
	check_request(&provider_google, SUBMIT, &job,
	    "POST " BASE
	    "/models/veo-3.1-generate-001:predictLongRunning\n" JSON_HEAD
	    "{\"instances\":[{\"prompt\":\"a \\\"cat\\\"\",\"image\":{"
	    "\"bytesBase64Encoded\":\"Zm9v\",\"mimeType\":\"image/jpeg\"},"
	    "\"lastFrame\":{\"bytesBase64Encoded\":\"Zm9vYmFy\","
	    "\"mimeType\":\"image/png\"}}],\"parameters\":{"
	    "\"aspectRatio\":\"16:9\",\"resolution\":\"720p\","
	    "\"durationSeconds\":8,\"personGeneration\":\"allow_adult\"}}");
	/* A video without the image asked for would be paid in vain. */
	job.start.len = 0;
	check_request(
	    &provider_google, SUBMIT, &job, "error image_unavailable");
	check_request(&provider_google, POLL, &job,
	    "GET " BASE
	    "/models/veo-3.1-generate-001/operations/abc123\n" HEAD);
	check_request(&provider_google, CANCEL, &job, "error unsupported");
	job.provider_id = "../x";
	check_request(&provider_google, POLL, &job, "error no_reference");
	job.endpoint = "veo/../../x";
	check_request(&provider_google, SUBMIT, &job, "error no_endpoint");
	job.endpoint = "veo?x";
	check_request(&provider_google, SUBMIT, &job, "error no_endpoint");
	job.key = NULL;
	check_request(&provider_google, POLL, &job, "error no_key");
	spec_fini(&spec);
	json_free(&params);
}

TEST(omni_requests)
{
	struct json_object *params =
	    parse("{\"input\":{\"prompt\":\"input\","
		  "\"aspect_ratio\":\"response_format.aspect_ratio\","
		  "\"resolution\":\"response_format.resolution\","
		  "\"duration\":{\"field\":\"response_format.duration\","
		  "\"suffix\":\"s\"}}}");
	struct gen_spec spec;
	struct provider_job job = omni(&spec);

	spec.prompt = xstrdup("a cat");
	spec.duration_ms = 8000;
	str_copy(spec.resolution, sizeof spec.resolution, "720p");
	str_copy(spec.aspect_ratio, sizeof spec.aspect_ratio, "16:9");
	job.params = params;
	check_request(&provider_google, SUBMIT, &job,
	    "POST " BASE "/interactions\n" JSON_HEAD
	    "{\"model\":\"gemini-omni-1.1-flash\",\"input\":\"a cat\","
	    "\"background\":true,\"store\":true,\"response_format\":{"
	    "\"type\":\"video\",\"aspect_ratio\":\"16:9\","
	    "\"resolution\":\"720p\",\"duration\":\"8s\","
	    "\"delivery\":\"uri\"}}");
	job.start = (struct provider_image){
	    .data = "foo", .len = 3, .mime = "image/jpeg"};
	check_request(&provider_google, SUBMIT, &job,
	    "POST " BASE "/interactions\n" JSON_HEAD
	    "{\"model\":\"gemini-omni-1.1-flash\",\"input\":["
	    "{\"type\":\"text\",\"text\":\"a cat\"},"
	    "{\"type\":\"image\",\"data\":\"Zm9v\","
	    "\"mime_type\":\"image/jpeg\"}],\"generation_config\":{"
	    "\"video_config\":{\"task\":\"image_to_video\"}},"
	    "\"background\":true,\"store\":true,\"response_format\":{"
	    "\"type\":\"video\",\"aspect_ratio\":\"16:9\","
	    "\"resolution\":\"720p\",\"duration\":\"8s\","
	    "\"delivery\":\"uri\"}}");
	check_request(&provider_google, POLL, &job,
	    "GET " BASE "/interactions/v1_abc\n" HEAD);
	check_request(&provider_google, CANCEL, &job,
	    "POST " BASE "/interactions/v1_abc/cancel\n" HEAD);
	spec_fini(&spec);
	json_free(&params);
}

/* The key goes to the file's own host, and only there. */
TEST(download)
{
	struct gen_spec spec;
	struct provider_job job = veo(&spec);
	struct fetch_spec out;
	struct err err = {0};

	CHECK(provider_download(&provider_google, &job,
	    BASE "/files/q:download?alt=media", true, &out, &err));
	CHECK_STR(out.headers[0].name, "x-goog-api-key");
	CHECK_STR(out.headers[0].value, "k");
	CHECK(out.headers[0].secret);
	CHECK_INT(out.max_redirects, >, 0);
	CHECK(out.trust == FETCH_PROVIDER);
	fetch_spec_fini(&out);
	CHECK(!provider_download(&provider_google, &job,
	    "https://generativelanguage.googleapis.com.evil.example/f", true,
	    &out, &err));
	CHECK_STR(err.name, "url_forbidden");
	CHECK(provider_download(&provider_google, &job,
	    "https://storage.googleapis.com/o.mp4", false, &out, &err));
	CHECK_INT(out.n_headers, ==, 0);
	CHECK(out.trust == FETCH_UNTRUSTED);
	fetch_spec_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_reply),
	    cmocka_unit_test(what_is_kept),
	    cmocka_unit_test(veo_requests),
	    cmocka_unit_test(omni_requests),
	    cmocka_unit_test(download),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
