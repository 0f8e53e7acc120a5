/* Runway: whole requests, and the verdict of every stored reply. */
#include "provider_unit.h"

#define HEADERS                          \
	"Accept: application/json\n"     \
	"Authorization: !Bearer key_1\n" \
	"X-Runway-Version: 2024-11-06\n"
#define JSON "Content-Type: application/json\n\n"
#define BASE "https://api.dev.runwayml.com"

static struct provider_job
job_of(struct gen_spec *spec)
{
	return (struct provider_job){.spec = spec,
	    .endpoint = "gen4_turbo",
	    .key = "key_1",
	    .nonce = "n1",
	    .now_ms = 1700000000000,
	    .provider_id = "17f20503/../x"};
}

static const struct want wants[] = {
    {SUBMIT, 200, "submitted.json", S(QUEUED), C(NONE), "", 0, 0},
    {SUBMIT, 200, "submitted_no_id.json", S(UNKNOWN), C(UNREADABLE), "http_200",
	0, 0},
    {SUBMIT, 200, "error.html", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {SUBMIT, 200, "truncated.json", S(UNKNOWN), C(UNREADABLE), "http_200", 0,
	0},
    {SUBMIT, 500, "error.html", S(UNKNOWN), C(PROVIDER), "http_500", 1, 0},
    {SUBMIT, 502, "error.html", S(UNKNOWN), C(PROVIDER), "http_502", 1, 0},
    {SUBMIT, 504, "empty.json", S(UNKNOWN), C(TIMEOUT), "http_504", 1, 0},
    {SUBMIT, 409, "bad_request.json", S(UNKNOWN), C(BAD_INPUT), "http_409", 0,
	0},
    {SUBMIT, 429, "rate_limited.json", S(BUSY), C(RATE_LIMIT), "http_429", 1,
	0},
    {SUBMIT, 400, "bad_request.json", S(FAILED), C(BAD_INPUT), "http_400", 0,
	0},
    {SUBMIT, 400, "no_credit.json", S(FAILED), C(FUNDS), "provider_funds", 0,
	0},
    {SUBMIT, 400, "moderated.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {SUBMIT, 500, "moderated.json", S(UNKNOWN), C(PROVIDER), "http_500", 1, 0},
    {SUBMIT, 401, "bad_key.json", S(FAILED), C(ACCOUNT), "http_401", 0, 0},
    {SUBMIT, 401, "moderated.json", S(FAILED), C(ACCOUNT), "http_401", 0, 0},

    {POLL, 200, "queued.json", S(QUEUED), C(NONE), "", 0, 0},
    {POLL, 200, "throttled.json", S(QUEUED), C(NONE), "", 0, 0},
    {POLL, 200, "running.json", S(RUNNING), C(NONE), "", 0, 0},
    {POLL, 200, "success.json", S(DONE), C(NONE), "", 0, 0},
    {POLL, 200, "no_video.json", S(FAILED), C(PROVIDER), "no_media_generated",
	1, 0},
    {POLL, 200, "filtered.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {POLL, 200, "filtered_output.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {POLL, 200, "filtered_early.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {POLL, 200, "failed.json", S(FAILED), C(PROVIDER), "provider_error", 1, 0},
    {POLL, 200, "failed_no_code.json", S(FAILED), C(PROVIDER), "provider_error",
	1, 0},
    {POLL, 200, "failed_new_code.json", S(FAILED), C(PROVIDER),
	"provider_error", 0, 0},
    {POLL, 200, "bad_output.json", S(FAILED), C(PROVIDER), "bad_output", 1, 0},
    {POLL, 200, "third_party.json", S(FAILED), C(PROVIDER), "provider_error", 1,
	0},
    {POLL, 200, "preprocessing.json", S(FAILED), C(PROVIDER), "provider_error",
	1, 0},
    {POLL, 200, "bad_asset.json", S(FAILED), C(BAD_INPUT), "bad_image", 0, 0},
    {POLL, 200, "cancelled.json", S(CANCELLED), C(CANCELLED),
	"provider_cancelled", 0, 0},
    {POLL, 200, "new_status.json", S(UNKNOWN), C(NONE), "", 0, 0},
    {POLL, 200, "truncated.json", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {POLL, 200, "error.html", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {POLL, 502, "error.html", S(UNKNOWN), C(PROVIDER), "http_502", 1, 0},
    {POLL, 401, "bad_key.json", S(UNKNOWN), C(ACCOUNT), "http_401", 0, 0},
    {POLL, 400, "moderated.json", S(UNKNOWN), C(BAD_INPUT), "http_400", 0, 0},
    {POLL, 429, "rate_limited.json", S(BUSY), C(RATE_LIMIT), "http_429", 1, 0},
    {POLL, 404, "expired.json", S(FAILED), C(NOT_FOUND), "http_404", 0, 0},

    {CANCEL, 204, "empty.json", S(CANCELLED), C(CANCELLED),
	"provider_cancelled", 0, 0},
    {CANCEL, 404, "expired.json", S(UNKNOWN), C(NOT_FOUND), "http_404", 0,
	POLL},
    {CANCEL, 502, "error.html", S(UNKNOWN), C(PROVIDER), "http_502", 1, POLL},

    {PREPARE, 500, "error.html", S(BUSY), C(PROVIDER), "http_500", 1, 0},
    {PREPARE, 401, "bad_key.json", S(FAILED), C(ACCOUNT), "http_401", 0, 0},
    {PREPARE, 200, "truncated.json", S(BUSY), C(PROVIDER), "upload_failed", 0,
	0},
    {PREPARE, 200, "upload_bad.json", S(BUSY), C(PROVIDER), "upload_failed", 0,
	0},
};

TEST(every_reply)
{
	struct gen_spec spec;
	struct provider_job job;

	spec_init(&spec);
	job = job_of(&spec);
	check_wants(&provider_runway, &job, wants, nitems(wants));
	check_cut_off(&provider_runway, &job, SUBMIT, "submitted.json");
	check_cut_off(&provider_runway, &job, POLL, "success.json");
	check_cut_off(&provider_runway, &job, POLL, "filtered.json");
}

TEST(what_is_kept)
{
	struct gen_spec spec;
	struct provider_job job;
	struct provider_verdict v;

	spec_init(&spec);
	job = job_of(&spec);
	v = verdict_of(&provider_runway, &job, SUBMIT, 200, "submitted.json");
	CHECK_STR(v.provider_id, "17f20503-6c24-4c16-946b-35dbbce2af2f");
	provider_verdict_fini(&v);
	v = verdict_of(&provider_runway, &job, POLL, 200, "running.json");
	CHECK_INT(v.progress, ==, 40);
	CHECK_INT(v.cost_micro_usd, ==, -1);
	provider_verdict_fini(&v);
	v = verdict_of_text(&provider_runway, &job, POLL, 200,
	    "{\"status\":\"RUNNING\",\"progress\":40}");
	CHECK_INT(v.progress, ==, 40);
	provider_verdict_fini(&v);
	v = verdict_of_text(&provider_runway, &job, POLL, 200,
	    "{\"status\":\"RUNNING\",\"progress\":1e300}");
	CHECK_INT(v.progress, ==, -1);
	provider_verdict_fini(&v);
	v = verdict_of(&provider_runway, &job, POLL, 200, "success.json");
	CHECK_STR(v.result_url,
	    "https://dnznrvs05pmza.cloudfront.net/x.mp4?_jwt=abc");
	CHECK(!v.result_needs_key);
	CHECK(v.result_expires_ms == job.now_ms + INT64_C(86400000));
	CHECK_INT(v.cost_micro_usd, ==, 250000);
	provider_verdict_fini(&v);
	/* A refusal that is billed. */
	v = verdict_of(&provider_runway, &job, POLL, 200, "filtered.json");
	CHECK_INT(v.cost_micro_usd, ==, 250000);
	CHECK_STR(v.provider_message,
	    "SAFETY.INPUT.TEXT: The prompt did not pass moderation.");
	provider_verdict_fini(&v);
	v = verdict_of(&provider_runway, &job, POLL, 200, "failed.json");
	CHECK_INT(v.cost_micro_usd, ==, 0);
	provider_verdict_fini(&v);
	v = verdict_of(&provider_runway, &job, POLL, 200, "new_status.json");
	CHECK_STR(v.status, "POLISHING");
	provider_verdict_fini(&v);
}

TEST(requests)
{
	struct json_object *params =
	    parse("{\"input\":{\"prompt\":\"promptText\",\"duration\":"
		  "\"duration\",\"seed\":\"seed\",\"size\":{\"field\":"
		  "\"ratio\",\"values\":{\"1280x720\":\"1280:720\"}}}}");
	struct gen_spec spec;
	struct provider_job job;

	spec_init(&spec);
	spec.prompt = xstrdup("a \"cat\"");
	spec.duration_ms = 5000;
	spec.has_seed = true;
	spec.seed = 4294967295;
	spec.width = 1280;
	spec.height = 720;
	job = job_of(&spec);
	job.params = params;
	check_request(&provider_runway, SUBMIT, &job, "error image_required");
	job.start.url = "https://example.org/a.png";
	check_request(&provider_runway, SUBMIT, &job,
	    "POST " BASE "/v1/image_to_video\n" HEADERS JSON
	    "{\"model\":\"gen4_turbo\",\"promptText\":\"a \\\"cat\\\"\","
	    "\"duration\":5,\"seed\":4294967295,\"ratio\":\"1280:720\","
	    "\"promptImage\":\"https://example.org/a.png\"}");
	job.start = (struct provider_image){
	    .data = "abc", .len = 3, .mime = "image/jpeg"};
	job.end.url = "https://example.org/b.png";
	job.endpoint = "veo3.1";
	check_request(&provider_runway, SUBMIT, &job,
	    "POST " BASE "/v1/image_to_video\n" HEADERS JSON
	    "{\"model\":\"veo3.1\",\"promptText\":\"a \\\"cat\\\"\","
	    "\"duration\":5,\"seed\":4294967295,\"ratio\":\"1280:720\","
	    "\"promptImage\":[{\"uri\":\"data:image/jpeg;base64,YWJj\","
	    "\"position\":\"first\"},{\"uri\":\"https://example.org/b.png\","
	    "\"position\":\"last\"}]}");
	job.start = job.end = (struct provider_image){0};
	job.endpoint = "gen4.5";
	check_request(&provider_runway, SUBMIT, &job,
	    "POST " BASE "/v1/text_to_video\n" HEADERS JSON
	    "{\"model\":\"gen4.5\",\"promptText\":\"a \\\"cat\\\"\","
	    "\"duration\":5,\"seed\":4294967295,\"ratio\":\"1280:720\"}");
	check_request(&provider_runway, POLL, &job,
	    "GET " BASE "/v1/tasks/17f20503%2F..%2Fx\n" HEADERS);
	check_request(&provider_runway, CANCEL, &job,
	    "DELETE " BASE "/v1/tasks/17f20503%2F..%2Fx\n" HEADERS);
	job.base_url = "http://127.0.0.1:9/";
	check_request(&provider_runway, POLL, &job,
	    "GET http://127.0.0.1:9/v1/tasks/17f20503%2F..%2Fx\n" HEADERS);
	spec.width = 999;
	check_request(&provider_runway, SUBMIT, &job, "error bad_params");
	job.endpoint = "gen4.5/../x";
	check_request(&provider_runway, SUBMIT, &job, "error no_endpoint");
	job.provider_id = NULL;
	check_request(&provider_runway, POLL, &job, "error no_reference");
	job.key = NULL;
	check_request(&provider_runway, POLL, &job, "error no_key");
	spec_fini(&spec);
	json_free(&params);
}

/* 500 characters of two UTF-16 units each are the limit. */
TEST(prompt_is_counted_as_they_do)
{
	struct gen_spec spec;
	struct provider_job job;
	struct buf prompt;
	char *text;

	spec_init(&spec);
	buf_init(&prompt, 1 << 16);
	for (int i = 0; i < 500; i++)
		buf_puts(&prompt, "\xf0\x9f\x90\xb1");
	spec.prompt = xstrdup(buf_str(&prompt));
	job = job_of(&spec);
	job.endpoint = "gen4.5";
	text = request_text(&provider_runway, SUBMIT, &job);
	CHECK(str_starts(text, "POST "));
	free(text);
	free(spec.prompt);
	buf_putc(&prompt, '!');
	spec.prompt = buf_take(&prompt, NULL);
	check_request(&provider_runway, SUBMIT, &job, "error prompt_too_long");
	job.endpoint = "veo3.1_fast";
	check_request(&provider_runway, SUBMIT, &job, "error prompt_too_long");
	job.endpoint = "wan3";
	text = request_text(&provider_runway, SUBMIT, &job);
	CHECK(str_starts(text, "POST "));
	free(text);
	spec_fini(&spec);
}

/* An image too large for a data URI goes by their upload, without our key. */
TEST(upload)
{
	struct gen_spec spec;
	struct provider_job job;
	struct provider_verdict v;
	struct json_object *refs;
	struct fetch_spec out;
	struct err err = {0};
	size_t len = 4 << 20;
	char *image = xcalloc(1, len), *text;

	spec_init(&spec);
	job = job_of(&spec);
	CHECK(!provider_wants_prepare(&provider_runway, &job));
	job.start = (struct provider_image){
	    .data = image, .len = 3 << 20, .mime = "image/png"};
	CHECK(!provider_wants_prepare(&provider_runway, &job));
	job.start.len = len;
	CHECK(provider_wants_prepare(&provider_runway, &job));
	check_request(&provider_runway, PREPARE, &job,
	    "POST " BASE "/v1/uploads\n" HEADERS JSON
	    "{\"filename\":\"image.png\",\"type\":\"ephemeral\"}");
	v = verdict_of(&provider_runway, &job, PREPARE, 200, "upload.json");
	CHECK_INT(v.next, ==, PROVIDER_STEP_PREPARE);
	refs = v.refs;
	v.refs = NULL;
	provider_verdict_fini(&v);

	job.refs = refs;
	CHECK(provider_build(&provider_runway, PREPARE, &job, &out, &err));
	CHECK_STR(out.url, "https://uploads.example.org/bucket");
	CHECK_INT(out.trust, ==, FETCH_UNTRUSTED);
	CHECK_INT(out.n_headers, ==, 1);
	CHECK(
	    str_starts(out.headers[0].value, "multipart/form-data; boundary="));
	CHECK(strstr(out.body, "name=\"key\"\r\n\r\nu/1\r\n") != NULL);
	CHECK(strstr(out.body, "name=\"policy\"\r\n\r\np\"q\r\n") != NULL);
	CHECK(strstr(out.body,
		  "name=\"file\"; filename=\"image.png\"\r\n"
		  "Content-Type: image/png\r\n\r\n") != NULL);
	CHECK_INT(out.body_len, >, len);
	fetch_spec_fini(&out);

	/* Their storage says no: another form next time. */
	v = verdict_of(&provider_runway, &job, PREPARE, 403, "error.html");
	CHECK_INT(v.state, ==, PROVIDER_BUSY);
	CHECK(!json_has(v.refs, "upload"));
	provider_verdict_fini(&v);
	v = verdict_of(&provider_runway, &job, PREPARE, 204, "empty.json");
	CHECK_INT(v.next, ==, PROVIDER_STEP_SUBMIT);
	CHECK_STR(json_text_at(v.refs, "start_uri"), "runway://u/1");
	CHECK(!json_has(v.refs, "upload"));
	json_free(&refs);
	job.refs = v.refs;
	CHECK(!provider_wants_prepare(&provider_runway, &job));
	text = request_text(&provider_runway, SUBMIT, &job);
	CHECK(strstr(text, "\"promptImage\":\"runway://u/1\"") != NULL);
	free(text);
	/* A second large image is uploaded after the first. */
	job.end = job.start;
	CHECK(provider_wants_prepare(&provider_runway, &job));
	provider_verdict_fini(&v);
	free(image);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_reply),
	    cmocka_unit_test(what_is_kept),
	    cmocka_unit_test(requests),
	    cmocka_unit_test(prompt_is_counted_as_they_do),
	    cmocka_unit_test(upload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
