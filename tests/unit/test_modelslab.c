/*
 * ModelsLab: whole requests, the verdict of every stored reply, and hooks.
 */
#include "provider_unit.h"

#define BASE "https://modelslab.com/api"
#define HEAD                                                   \
	"Accept: application/json\nAuthorization: !Bearer k\n" \
	"Content-Type: application/json\n\n"

static struct provider_job
job_of(struct gen_spec *spec)
{
	spec_init(spec);
	return (struct provider_job){.spec = spec,
	    .endpoint = "veo3",
	    .key = "k",
	    .nonce = "n1",
	    .provider_id = "155262350"};
}

static const struct want wants[] = {
    {SUBMIT, 200, "submitted.json", S(QUEUED), C(NONE), "", 0, 0},
    {SUBMIT, 200, "submitted_text_id.json", S(QUEUED), C(NONE), "", 0, 0},
    {SUBMIT, 200, "submitted_success.json", S(QUEUED), C(NONE), "", 0, 0},
    /* It may have been accepted. */
    {SUBMIT, 200, "submitted_no_id.json", S(UNKNOWN), C(UNREADABLE), "http_200",
	0, 0},
    {SUBMIT, 200, "truncated.json", S(UNKNOWN), C(UNREADABLE), "http_200", 0,
	0},
    {SUBMIT, 200, "error.html", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {SUBMIT, 504, "error.html", S(UNKNOWN), C(TIMEOUT), "http_504", 1, 0},
    {SUBMIT, 500, "server.json", S(UNKNOWN), C(PROVIDER), "http_500", 1, 0},
    /* HTTP 200 and no. */
    {SUBMIT, 200, "filtered.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {SUBMIT, 200, "filtered_messege.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {SUBMIT, 200, "invalid.json", S(FAILED), C(BAD_INPUT), "bad_input", 0, 0},
    {SUBMIT, 200, "server.json", S(FAILED), C(PROVIDER), "provider", 1, 0},
    {SUBMIT, 200, "bad_key.json", S(FAILED), C(ACCOUNT), "account", 0, 0},
    {SUBMIT, 200, "no_credit.json", S(FAILED), C(FUNDS), "funds", 0, 0},
    {SUBMIT, 200, "busy.json", S(BUSY), C(RATE_LIMIT), "rate_limit", 1, 0},
    {SUBMIT, 200, "busy_with_id.json", S(FAILED), C(RATE_LIMIT), "rate_limit",
	1, 0},
    {SUBMIT, 429, "busy.json", S(BUSY), C(RATE_LIMIT), "http_429", 1, 0},
    {SUBMIT, 400, "invalid.json", S(FAILED), C(BAD_INPUT), "http_400", 0, 0},
    {SUBMIT, 401, "bad_key.json", S(FAILED), C(ACCOUNT), "http_401", 0, 0},
    {SUBMIT, 402, "no_credit.json", S(FAILED), C(FUNDS), "http_402", 0, 0},
    {SUBMIT, 403, "bad_key.json", S(FAILED), C(ACCOUNT), "http_403", 0, 0},

    {POLL, 200, "processing.json", S(RUNNING), C(NONE), "", 0, 0},
    {POLL, 200, "new_status.json", S(UNKNOWN), C(NONE), "", 0, 0},
    {POLL, 200, "success.json", S(DONE), C(NONE), "", 0, 0},
    {POLL, 200, "success_text.json", S(DONE), C(NONE), "", 0, 0},
    {POLL, 200, "success_proxy.json", S(DONE), C(NONE), "", 0, 0},
    /* future_links are only a promise. */
    {POLL, 200, "success_empty.json", S(FAILED), C(PROVIDER),
	"no_media_generated", 1, 0},
    {POLL, 200, "failed.json", S(FAILED), C(PROVIDER), "provider", 1, 0},
    {POLL, 200, "failed_silent.json", S(FAILED), C(PROVIDER), "provider", 1, 0},
    {POLL, 200, "filtered.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    /* About our question, not about the video. */
    {POLL, 200, "busy.json", S(BUSY), C(RATE_LIMIT), "rate_limit", 1, 0},
    {POLL, 200, "bad_key.json", S(UNKNOWN), C(ACCOUNT), "account", 0, 0},
    {POLL, 200, "no_credit.json", S(UNKNOWN), C(FUNDS), "funds", 0, 0},
    {POLL, 401, "bad_key.json", S(UNKNOWN), C(ACCOUNT), "http_401", 0, 0},
    {POLL, 200, "busy_with_id.json", S(BUSY), C(RATE_LIMIT), "rate_limit", 1,
	0},
    {POLL, 429, "busy.json", S(BUSY), C(RATE_LIMIT), "http_429", 1, 0},
    {POLL, 504, "error.html", S(UNKNOWN), C(TIMEOUT), "http_504", 1, 0},
    {POLL, 200, "error.html", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {POLL, 200, "truncated.json", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {POLL, 404, "expired.json", S(FAILED), C(NOT_FOUND), "http_404", 0, 0},
    {POLL, 200, "expired.json", S(FAILED), C(PROVIDER), "provider", 1, 0},
    {POLL, 404, "failed.json", S(FAILED), C(NOT_FOUND), "http_404", 0, 0},
};

TEST(every_reply)
{
	struct gen_spec spec;
	struct provider_job job = job_of(&spec);

	check_wants(&provider_modelslab, &job, wants, nitems(wants));
	check_cut_off(&provider_modelslab, &job, SUBMIT, "submitted.json");
	check_cut_off(&provider_modelslab, &job, POLL, "success.json");
}

TEST(what_is_kept)
{
	struct gen_spec spec;
	struct provider_job job = job_of(&spec);
	struct provider_verdict v = verdict_of(
	    &provider_modelslab, &job, SUBMIT, 200, "submitted.json");

	CHECK_STR(v.provider_id, "155262350");
	CHECK_STR(json_text_at(v.refs, "fetch_result"),
	    BASE "/v7/video-fusion/fetch/155262350");
	provider_verdict_fini(&v);
	v = verdict_of(
	    &provider_modelslab, &job, SUBMIT, 200, "submitted_text_id.json");
	CHECK_STR(v.provider_id, "abc-1");
	CHECK_INT(json_count(v.refs), ==, 0);
	provider_verdict_fini(&v);
	v = verdict_of(&provider_modelslab, &job, POLL, 200, "success.json");
	CHECK_STR(v.result_url, "https://pub.r2.dev/generations/a.mp4");
	CHECK(!v.result_needs_key);
	provider_verdict_fini(&v);
	v = verdict_of(
	    &provider_modelslab, &job, POLL, 200, "success_text.json");
	CHECK_STR(v.result_url, "https://pub.r2.dev/generations/b.mp4");
	provider_verdict_fini(&v);
	for (int status = 200; status <= 429; status += 229) {
		v = verdict_of(
		    &provider_modelslab, &job, SUBMIT, status, "busy.json");
		CHECK_INT(v.retry_after_s, ==, 30);
		provider_verdict_fini(&v);
	}
	v = verdict_of(&provider_modelslab, &job, SUBMIT, 200, "invalid.json");
	CHECK(strstr(v.provider_message, "field is required") != NULL);
	provider_verdict_fini(&v);
}

TEST(requests)
{
	struct json_object *params =
	    parse("{\"input\":{\"prompt\":\"prompt\","
		  "\"duration\":{\"field\":\"duration\",\"as\":\"text\"},"
		  "\"aspect_ratio\":\"aspect_ratio\","
		  "\"start_image\":\"init_image[]\","
		  "\"audio\":\"generate_audio\"}}");
	struct json_object *own = parse("{\"input\":{\"prompt\":\"prompt\","
					"\"frames\":\"num_frames\","
					"\"fps\":\"fps\"},"
					"\"fixed\":{\"resolution\":480}}");
	struct json_object *refs =
	    parse("{\"fetch_result\":\"" BASE "/v7/video-fusion/fetch/9\"}");
	struct json_object *evil =
	    parse("{\"fetch_result\":\"https://evil.example/api/v7/fetch/9\"}");
	struct gen_spec spec;
	struct provider_job job = job_of(&spec);

	spec.prompt = xstrdup("a cat");
	spec.duration_ms = 8000;
	spec.audio = GEN_AUDIO_OFF;
	str_copy(spec.aspect_ratio, sizeof spec.aspect_ratio, "16:9");
	job.params = params;
	check_request(&provider_modelslab, SUBMIT, &job,
	    "POST " BASE "/v7/video-fusion/text-to-video\n" HEAD
	    "{\"key\":\"k\",\"model_id\":\"veo3\",\"prompt\":\"a cat\","
	    "\"duration\":\"8\",\"aspect_ratio\":\"16:9\","
	    "\"generate_audio\":false,\"track_id\":\"n1\"}");
	job.start.url = "https://e.org/a.png";
	job.callback_url = "https://r.org/hooks/modelslab/a/t";
	check_request(&provider_modelslab, SUBMIT, &job,
	    "POST " BASE "/v7/video-fusion/image-to-video\n" HEAD
	    "{\"key\":\"k\",\"model_id\":\"veo3\",\"prompt\":\"a cat\","
	    "\"duration\":\"8\",\"aspect_ratio\":\"16:9\","
	    "\"init_image\":[\"https://e.org/a.png\"],"
	    "\"generate_audio\":false,"
	    "\"webhook\":\"https://r.org/hooks/modelslab/a/t\","
	    "\"track_id\":\"n1\"}");
	check_request(&provider_modelslab, POLL, &job,
	    "POST " BASE "/v7/video-fusion/fetch/155262350\n" HEAD
	    "{\"key\":\"k\"}");
	job.refs = refs;
	check_request(&provider_modelslab, POLL, &job,
	    "POST " BASE "/v7/video-fusion/fetch/9\n" HEAD "{\"key\":\"k\"}");
	/* Our key is in the body: another host gets nothing. */
	job.refs = evil;
	check_request(&provider_modelslab, POLL, &job,
	    "POST " BASE "/v7/video-fusion/fetch/155262350\n" HEAD
	    "{\"key\":\"k\"}");
	job.endpoint = "v6/text2video_ultra/wan2.2";
	job.refs = NULL;
	job.params = own;
	job.callback_url = NULL;
	job.start.url = NULL;
	spec.fps = 16;
	check_request(&provider_modelslab, SUBMIT, &job,
	    "POST " BASE "/v6/video/text2video_ultra\n" HEAD
	    "{\"key\":\"k\",\"model_id\":\"wan2.2\",\"prompt\":\"a cat\","
	    "\"num_frames\":128,\"fps\":16,\"resolution\":480,"
	    "\"track_id\":\"n1\"}");
	job.endpoint = "v6/text2video/wan2.2";
	job.params = NULL;
	check_request(&provider_modelslab, SUBMIT, &job,
	    "POST " BASE "/v6/video/text2video\n" HEAD
	    "{\"key\":\"k\",\"model_id\":\"wan2.2\",\"output_type\":\"mp4\","
	    "\"track_id\":\"n1\"}");
	check_request(&provider_modelslab, POLL, &job,
	    "POST " BASE "/v6/video/fetch/155262350\n" HEAD "{\"key\":\"k\"}");
	job.provider_id = "a/../b";
	check_request(&provider_modelslab, POLL, &job,
	    "POST " BASE "/v6/video/fetch/a%2F..%2Fb\n" HEAD "{\"key\":\"k\"}");
	job.provider_id = NULL;
	check_request(&provider_modelslab, POLL, &job, "error no_reference");
	check_request(&provider_modelslab, CANCEL, &job, "error unsupported");
	spec_fini(&spec);
	json_free(&params);
	json_free(&own);
	json_free(&refs);
	json_free(&evil);
}

TEST(endpoints)
{
	static const char *const bad[] = {"", "../x", "v6/", "v6/a", "v6//b",
	    "v6/a/b/c", "a/b", "a?b", "v6/../x"};
	struct gen_spec spec;
	struct provider_job job = job_of(&spec);

	for (size_t i = 0; i < nitems(bad); i++) {
		job.endpoint = bad[i];
		check_request(
		    &provider_modelslab, SUBMIT, &job, "error no_endpoint");
	}
	job.endpoint = NULL;
	check_request(&provider_modelslab, SUBMIT, &job, "error no_endpoint");
	job.key = "";
	check_request(&provider_modelslab, SUBMIT, &job, "error no_key");
}

TEST(webhook)
{
	struct gen_spec spec;
	struct provider_job job = job_of(&spec);
	struct provider_verdict v;
	struct json_object *body;
	struct err err = {0};
	struct buf text;

	fixture_read("modelslab", "webhook.json", &text);
	body = parse(text.data);
	buf_fini(&text);
	job.provider_id = NULL;
	provider_verdict_init(&v);
	CHECK(provider_modelslab.hook(&job, body, &v, &err));
	/* It is not signed: only a reason to ask. */
	CHECK_INT(v.state, ==, PROVIDER_UNKNOWN);
	CHECK_INT(v.next, ==, PROVIDER_STEP_POLL);
	CHECK_STR(v.provider_id, "155262350");
	CHECK(v.result_url == NULL);
	provider_verdict_fini(&v);
	job.provider_id = "7";
	CHECK(!provider_modelslab.hook(&job, body, &v, &err));
	CHECK_STR(err.name, "other_request");
	json_free(&body);
	body = parse("{\"status\":\"success\"}");
	CHECK(!provider_modelslab.hook(&job, body, &v, &err));
	CHECK_STR(err.name, "bad_webhook");
	json_free(&body);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_reply),
	    cmocka_unit_test(what_is_kept),
	    cmocka_unit_test(requests),
	    cmocka_unit_test(endpoints),
	    cmocka_unit_test(webhook),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
