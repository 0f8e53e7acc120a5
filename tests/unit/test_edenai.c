/* Eden AI: whole requests and every stored reply, v3 jobs and v2. */
#include "provider_unit.h"

#define BASE "https://api.edenai.run"
#define HEAD "Accept: application/json\nAuthorization: !Bearer k\n"
#define JSON_HEAD HEAD "Content-Type: application/json\n\n"

static struct provider_job
v3(struct gen_spec *spec)
{
	spec_init(spec);
	return (struct provider_job){.spec = spec,
	    .endpoint = "amazon/amazon.nova-reel-v1:1",
	    .key = "k",
	    .nonce = "n1",
	    .provider_id = "p1"};
}

static const struct want v3_wants[] = {
    {SUBMIT, 202, "submitted.json", S(QUEUED), C(NONE), "", 0, 0},
    {SUBMIT, 200, "submitted.json", S(QUEUED), C(NONE), "", 0, 0},
    /* It may have been accepted. */
    {SUBMIT, 202, "submitted_no_id.json", S(UNKNOWN), C(UNREADABLE), "http_202",
	0, 0},
    {SUBMIT, 200, "truncated.json", S(UNKNOWN), C(UNREADABLE), "http_200", 0,
	0},
    {SUBMIT, 200, "error.html", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {SUBMIT, 502, "error.html", S(UNKNOWN), C(PROVIDER), "http_502", 1, 0},
    {SUBMIT, 500, "error_401.json", S(UNKNOWN), C(PROVIDER), "http_500", 1, 0},
    /* Surely not. */
    {SUBMIT, 200, "submitted_fail.json", S(FAILED), C(PROVIDER),
	"provider_failed", 1, 0},
    {SUBMIT, 429, "error_429.json", S(BUSY), C(RATE_LIMIT), "http_429", 1, 0},
    {SUBMIT, 400, "error_400.json", S(FAILED), C(BAD_INPUT), "http_400", 0, 0},
    {SUBMIT, 422, "error_422.json", S(FAILED), C(BAD_INPUT), "http_422", 0, 0},
    {SUBMIT, 400, "error_policy.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {SUBMIT, 401, "error_401.json", S(FAILED), C(ACCOUNT), "http_401", 0, 0},
    {SUBMIT, 403, "error_401.json", S(FAILED), C(ACCOUNT), "http_403", 0, 0},
    {SUBMIT, 402, "error_402.json", S(FAILED), C(FUNDS), "provider_funds", 0,
	0},
    {SUBMIT, 451, "error_451.json", S(FAILED), C(ACCOUNT), "http_451", 0, 0},

    {POLL, 200, "processing.json", S(RUNNING), C(NONE), "", 0, 0},
    {POLL, 200, "new_status.json", S(UNKNOWN), C(NONE), "", 0, 0},
    {POLL, 200, "success.json", S(DONE), C(NONE), "", 0, 0},
    {POLL, 200, "success_video_url.json", S(DONE), C(NONE), "", 0, 0},
    {POLL, 200, "success_empty.json", S(FAILED), C(PROVIDER),
	"no_media_generated", 1, 0},
    {POLL, 200, "fail.json", S(FAILED), C(PROVIDER), "provider_failed", 1, 0},
    {POLL, 200, "filtered.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    /* No trouble of a poll may end a paid job. */
    {POLL, 200, "error_401.json", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {POLL, 200, "truncated.json", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {POLL, 200, "error.html", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {POLL, 502, "error.html", S(UNKNOWN), C(PROVIDER), "http_502", 1, 0},
    {POLL, 401, "error_401.json", S(UNKNOWN), C(ACCOUNT), "http_401", 0, 0},
    {POLL, 429, "error_429.json", S(BUSY), C(RATE_LIMIT), "http_429", 1, 0},
    {POLL, 404, "expired.json", S(FAILED), C(NOT_FOUND), "http_404", 0, 0},
    {POLL, 404, "error_401.json", S(FAILED), C(NOT_FOUND), "http_404", 0, 0},
};

static const struct want v2_wants[] = {
    {SUBMIT, 200, "submitted.json", S(QUEUED), C(NONE), "", 0, 0},
    {POLL, 200, "v2_processing.json", S(RUNNING), C(NONE), "", 0, 0},
    {POLL, 200, "v2_finished.json", S(DONE), C(NONE), "", 0, 0},
    {POLL, 200, "v2_finished_provider.json", S(DONE), C(NONE), "", 0, 0},
    /* Finished is not success. */
    {POLL, 200, "v2_finished_failed.json", S(FAILED), C(PROVIDER),
	"provider_failed", 1, 0},
    {POLL, 200, "v2_finished_nothing.json", S(FAILED), C(PROVIDER),
	"no_media_generated", 1, 0},
    {POLL, 200, "v2_failed.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
};

TEST(every_reply)
{
	struct gen_spec spec;
	struct provider_job job = v3(&spec);

	check_wants(&provider_edenai, &job, v3_wants, nitems(v3_wants));
	check_cut_off(&provider_edenai, &job, SUBMIT, "submitted.json");
	check_cut_off(&provider_edenai, &job, POLL, "success.json");
	job.endpoint = "v2/amazon/amazon.nova-reel-v1:0";
	check_wants(&provider_edenai, &job, v2_wants, nitems(v2_wants));
	check_cut_off(&provider_edenai, &job, POLL, "v2_finished.json");
}

TEST(what_is_kept)
{
	struct gen_spec spec;
	struct provider_job job = v3(&spec);
	struct provider_verdict v =
	    verdict_of(&provider_edenai, &job, POLL, 200, "success.json");

	CHECK_STR(v.result_url,
	    "https://d14uq1pz7dzsdq.cloudfront.net/a.mp4?Expires=1&"
	    "Signature=x");
	CHECK_INT(v.cost_micro_usd, ==, 480000);
	CHECK(!v.result_needs_key);
	provider_verdict_fini(&v);
	v = verdict_of(
	    &provider_edenai, &job, POLL, 200, "success_video_url.json");
	CHECK_INT(v.cost_micro_usd, ==, 80000);
	provider_verdict_fini(&v);
	v = verdict_of(&provider_edenai, &job, POLL, 200, "fail.json");
	CHECK_INT(v.cost_micro_usd, ==, 0);
	CHECK_STR(v.provider_message, "Provider timed out");
	provider_verdict_fini(&v);
	v = verdict_of(&provider_edenai, &job, POLL, 200, "processing.json");
	CHECK_INT(v.cost_micro_usd, ==, -1);
	provider_verdict_fini(&v);
	v = verdict_of(&provider_edenai, &job, SUBMIT, 202, "submitted.json");
	CHECK_STR(v.provider_id, "0b1c5f4e-1d2a-4f4b-9a52-2d6f5a7c0001");
	provider_verdict_fini(&v);
	job.endpoint = "v2/amazon/amazon.nova-reel-v1:0";
	v = verdict_of(
	    &provider_edenai, &job, POLL, 200, "v2_finished_provider.json");
	CHECK_STR(v.result_url, "https://cdn.example/a.mp4");
	provider_verdict_fini(&v);
}

TEST(requests)
{
	struct json_object *params =
	    parse("{\"input\":{\"prompt\":\"text\",\"start_image\":\"file\","
		  "\"duration\":\"duration\",\"seed\":\"seed\","
		  "\"size\":\"dimension\"}}");
	struct json_object *old = parse(
	    "{\"input\":{\"prompt\":\"text\",\"start_image\":\"file_url\","
	    "\"duration\":\"duration\",\"size\":\"dimension\"}}");
	struct gen_spec spec;
	struct provider_job job = v3(&spec);

	spec.prompt = xstrdup("a cat");
	spec.duration_ms = 6000;
	spec.has_seed = true;
	spec.seed = 7;
	spec.width = 1280;
	spec.height = 720;
	job.params = params;
	check_request(&provider_edenai, SUBMIT, &job,
	    "POST " BASE "/v3/universal-ai/async\n" JSON_HEAD
	    "{\"model\":\"video/generation_async/amazon/"
	    "amazon.nova-reel-v1:1\",\"input\":{\"text\":\"a cat\","
	    "\"duration\":6,\"seed\":7,\"dimension\":\"1280x720\"},"
	    "\"show_original_response\":false}");
	job.start.url = "https://e.org/a.png";
	job.callback_url = "https://r.org/h";
	check_request(&provider_edenai, SUBMIT, &job,
	    "POST " BASE "/v3/universal-ai/async\n" JSON_HEAD
	    "{\"model\":\"video/generation_async/amazon/"
	    "amazon.nova-reel-v1:1\",\"input\":{\"text\":\"a cat\","
	    "\"file\":\"https://e.org/a.png\",\"duration\":6,\"seed\":7,"
	    "\"dimension\":\"1280x720\"},"
	    "\"webhook_receiver\":\"https://r.org/h\","
	    "\"show_original_response\":false}");
	check_request(&provider_edenai, POLL, &job,
	    "GET " BASE "/v3/universal-ai/async/p1\n" HEAD);
	job.endpoint = "v2/amazon/amazon.nova-reel-v1:0";
	job.params = old;
	check_request(&provider_edenai, SUBMIT, &job,
	    "POST " BASE "/v2/video/generation_async/\n" JSON_HEAD
	    "{\"providers\":\"amazon\",\"settings\":{\"amazon\":"
	    "\"amazon.nova-reel-v1:0\"},\"text\":\"a cat\","
	    "\"file_url\":\"https://e.org/a.png\",\"duration\":6,"
	    "\"dimension\":\"1280x720\",\"show_base_64\":false,"
	    "\"show_original_response\":false}");
	job.start = (struct provider_image){
	    .data = "foo", .len = 3, .mime = "image/jpeg"};
#define PART "--reeld-n1\r\nContent-Disposition: form-data; name="
	check_request(&provider_edenai, SUBMIT, &job,
	    "POST " BASE "/v2/video/generation_async/\n" HEAD
	    "Content-Type: multipart/form-data; boundary=reeld-n1\n\n" PART
	    "\"providers\"\r\n\r\namazon\r\n" PART
	    "\"settings\"\r\n\r\n{\"amazon\":\"amazon.nova-reel-v1:0\"}"
	    "\r\n" PART "\"text\"\r\n\r\na cat\r\n" PART
	    "\"duration\"\r\n\r\n6\r\n" PART
	    "\"dimension\"\r\n\r\n1280x720\r\n" PART
	    "\"show_base_64\"\r\n\r\nfalse\r\n" PART
	    "\"show_original_response\"\r\n\r\nfalse\r\n" PART
	    "\"file\"; filename=\"image.jpg\"\r\n"
	    "Content-Type: image/jpeg\r\n\r\nfoo\r\n--reeld-n1--\r\n");
	check_request(&provider_edenai, POLL, &job,
	    "GET " BASE "/v2/video/generation_async/p1/"
	    "?response_as_dict=true&show_base_64=false&"
	    "show_original_response=false\n" HEAD);
	job.provider_id = "../x";
	check_request(&provider_edenai, POLL, &job,
	    "GET " BASE "/v2/video/generation_async/..%2Fx/"
	    "?response_as_dict=true&show_base_64=false&"
	    "show_original_response=false\n" HEAD);
	job.provider_id = NULL;
	check_request(&provider_edenai, POLL, &job, "error no_reference");
	job.endpoint = "amazon";
	check_request(&provider_edenai, SUBMIT, &job, "error no_endpoint");
	job.endpoint = "v2/amazon";
	check_request(&provider_edenai, SUBMIT, &job, "error no_endpoint");
	job.endpoint = NULL;
	check_request(&provider_edenai, SUBMIT, &job, "error no_endpoint");
	spec_fini(&spec);
	json_free(&params);
	json_free(&old);
}

TEST(webhook)
{
	struct gen_spec spec;
	struct provider_job job = v3(&spec);
	struct provider_verdict v;
	struct json_object *body;
	struct err err = {0};
	struct buf text;

	fixture_read("edenai", "webhook.json", &text);
	body = parse(text.data);
	buf_fini(&text);
	job.provider_id = NULL;
	provider_verdict_init(&v);
	CHECK(provider_edenai.hook(&job, body, &v, &err));
	CHECK_INT(v.state, ==, PROVIDER_UNKNOWN);
	CHECK_INT(v.next, ==, PROVIDER_STEP_POLL);
	CHECK_STR(v.provider_id, "p1");
	CHECK(v.result_url == NULL);
	provider_verdict_fini(&v);
	job.provider_id = "p2";
	CHECK(!provider_edenai.hook(&job, body, &v, &err));
	CHECK_STR(err.name, "other_request");
	json_free(&body);
}

/* A lost answer of v2 stays lost: it has no webhooks. */
static void
recovery(void **state)
{
	(void)state;
	CHECK_INT(provider_edenai.recovery_of("amazon/x"), ==,
	    PROVIDER_RECOVER_CALLBACK);
	CHECK_INT(provider_edenai.recovery_of("v2/amazon/x"), ==,
	    PROVIDER_RECOVER_NEVER);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_reply),
	    cmocka_unit_test(what_is_kept),
	    cmocka_unit_test(requests),
	    cmocka_unit_test(webhook),
	    cmocka_unit_test(recovery),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
