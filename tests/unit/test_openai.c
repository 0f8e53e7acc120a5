/* OpenAI-shaped videos: whole requests, every stored reply, keyed downloads. */
#include "provider_unit.h"

#define BASE "https://gw.example/api"
#define HEADERS "Accept: application/json\nAuthorization: !Bearer sk-1\n"
#define FORM "Content-Type: multipart/form-data; boundary=reeld-n1\n\n"
#define PART "--reeld-n1\r\nContent-Disposition: form-data; name="

static struct provider_job
job_of(struct gen_spec *spec)
{
	return (struct provider_job){.spec = spec,
	    .endpoint = "sora-2",
	    .key = "sk-1",
	    .nonce = "n1",
	    .base_url = BASE,
	    .now_ms = 1700000000000,
	    .provider_id = "video_1/../x"};
}

static const struct want wants[] = {
    {SUBMIT, 200, "submitted.json", S(QUEUED), C(NONE), "", 0, 0},
    {SUBMIT, 201, "submitted_task.json", S(QUEUED), C(NONE), "", 0, 0},
    {SUBMIT, 200, "submitted_no_id.json", S(UNKNOWN), C(UNREADABLE), "http_200",
	0, 0},
    {SUBMIT, 200, "truncated.json", S(UNKNOWN), C(UNREADABLE), "http_200", 0,
	0},
    {SUBMIT, 200, "error.html", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {SUBMIT, 500, "error.html", S(UNKNOWN), C(PROVIDER), "http_500", 1, 0},
    {SUBMIT, 408, "empty.json", S(UNKNOWN), C(TIMEOUT), "http_408", 1, 0},
    {SUBMIT, 409, "bad_request.json", S(UNKNOWN), C(BAD_INPUT), "http_409", 0,
	0},
    {SUBMIT, 429, "rate_limited.json", S(BUSY), C(RATE_LIMIT), "http_429", 1,
	0},
    {SUBMIT, 429, "error.html", S(BUSY), C(RATE_LIMIT), "http_429", 1, 0},
    {SUBMIT, 429, "no_quota.json", S(FAILED), C(FUNDS), "provider_funds", 0, 0},
    {SUBMIT, 400, "moderated.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {SUBMIT, 400, "bad_request.json", S(FAILED), C(BAD_INPUT), "http_400", 0,
	0},
    {SUBMIT, 401, "bad_key.json", S(FAILED), C(ACCOUNT), "http_401", 0, 0},
    {SUBMIT, 403, "bad_key.json", S(FAILED), C(ACCOUNT), "http_403", 0, 0},
    {SUBMIT, 404, "missing.json", S(FAILED), C(NOT_FOUND), "http_404", 0, 0},

    {POLL, 200, "queued.json", S(QUEUED), C(NONE), "", 0, 0},
    {POLL, 200, "running.json", S(RUNNING), C(NONE), "", 0, 0},
    {POLL, 200, "running_gateway.json", S(RUNNING), C(NONE), "", 0, 0},
    {POLL, 200, "success.json", S(DONE), C(NONE), "", 0, 0},
    {POLL, 200, "success_url.json", S(DONE), C(NONE), "", 0, 0},
    {POLL, 200, "done_error.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {POLL, 200, "filtered.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {POLL, 200, "filtered_sentinel.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {POLL, 200, "failed.json", S(FAILED), C(PROVIDER), "provider_error", 1, 0},
    {POLL, 200, "failed_null.json", S(FAILED), C(PROVIDER), "provider_error", 1,
	0},
    {POLL, 200, "failed_text.json", S(FAILED), C(PROVIDER), "provider_error", 1,
	0},
    {POLL, 200, "failed_new.json", S(FAILED), C(PROVIDER), "provider_error", 0,
	0},
    {POLL, 200, "failed_input.json", S(FAILED), C(BAD_INPUT), "bad_input", 0,
	0},
    {POLL, 200, "expired.json", S(FAILED), C(TIMEOUT), "provider_timeout", 1,
	0},
    {POLL, 200, "cancelled.json", S(CANCELLED), C(CANCELLED),
	"provider_cancelled", 0, 0},
    {POLL, 200, "new_status.json", S(UNKNOWN), C(NONE), "", 0, 0},
    {POLL, 200, "truncated.json", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {POLL, 200, "error.html", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {POLL, 500, "error.html", S(UNKNOWN), C(PROVIDER), "http_500", 1, 0},
    {POLL, 400, "moderated.json", S(UNKNOWN), C(BAD_INPUT), "http_400", 0, 0},
    {POLL, 401, "bad_key.json", S(UNKNOWN), C(ACCOUNT), "http_401", 0, 0},
    {POLL, 429, "no_quota.json", S(BUSY), C(RATE_LIMIT), "http_429", 1, 0},
    {POLL, 404, "missing.json", S(FAILED), C(NOT_FOUND), "http_404", 0, 0},
};

TEST(every_reply)
{
	struct gen_spec spec;
	struct provider_job job;

	spec_init(&spec);
	job = job_of(&spec);
	check_wants(&provider_openai, &job, wants, nitems(wants));
	check_cut_off(&provider_openai, &job, SUBMIT, "submitted.json");
	check_cut_off(&provider_openai, &job, POLL, "success_url.json");
	check_cut_off(&provider_openai, &job, POLL, "filtered.json");
}

TEST(what_is_kept)
{
	struct gen_spec spec;
	struct provider_job job;
	struct provider_verdict v;
	struct fetch_header hint = {"openai-poll-after-ms", "2500", false};
	struct fetch_header wait = {"retry-after-ms", "1500", false};
	struct fetch_reply reply = {.status = 200,
	    .sent = FETCH_ANSWERED,
	    .headers = &hint,
	    .n_headers = 1};
	struct json_object *refs;

	spec_init(&spec);
	job = job_of(&spec);
	v = verdict_of(&provider_openai, &job, SUBMIT, 200, "submitted.json");
	CHECK_STR(v.provider_id, "video_1");
	provider_verdict_fini(&v);
	v = verdict_of(
	    &provider_openai, &job, SUBMIT, 200, "submitted_task.json");
	CHECK_STR(v.provider_id, "task_9");
	provider_verdict_fini(&v);
	v = verdict_of(&provider_openai, &job, POLL, 200, "running.json");
	CHECK_INT(v.progress, ==, 33);
	provider_verdict_fini(&v);
	v = verdict_of(&provider_openai, &job, POLL, 200, "success.json");
	CHECK_STR(v.result_url, BASE "/v1/videos/video_1%2F..%2Fx/content");
	CHECK(v.result_needs_key);
	CHECK(v.result_expires_ms == INT64_C(1700003700000));
	provider_verdict_fini(&v);

	/* The content was no good: what the gateway names, without a key. */
	v = verdict_of(&provider_openai, &job, POLL, 200, "success_url.json");
	CHECK(v.result_needs_key);
	CHECK(v.result_expires_ms == INT64_C(1700003700000));
	refs = v.refs;
	v.refs = NULL;
	provider_verdict_fini(&v);
	job.refs = refs;
	v = verdict_of(&provider_openai, &job, POLL, 200, "success_url.json");
	CHECK_STR(v.result_url, "https://cdn.example.org/v.mp4");
	CHECK(!v.result_needs_key);
	provider_verdict_fini(&v);
	v = verdict_of(&provider_openai, &job, POLL, 200, "success.json");
	CHECK(v.result_needs_key);
	provider_verdict_fini(&v);
	json_free(&refs);
	job.refs = NULL;

	fixture_read("openai", "queued.json", &reply.body);
	provider_read(&provider_openai, POLL, &job, &reply, NULL, &v);
	CHECK_INT(v.retry_after_s, ==, 3);
	provider_verdict_fini(&v);
	reply.headers = &wait;
	reply.status = 429;
	provider_read(&provider_openai, SUBMIT, &job, &reply, NULL, &v);
	CHECK_INT(v.retry_after_s, ==, 2);
	provider_verdict_fini(&v);
	wait.value = "1e999";
	provider_read(&provider_openai, SUBMIT, &job, &reply, NULL, &v);
	CHECK_INT(v.retry_after_s, ==, 0);
	provider_verdict_fini(&v);
	buf_fini(&reply.body);
}

TEST(requests)
{
	struct json_object *params =
	    parse("{\"input\":{\"prompt\":\"prompt\",\"duration\":"
		  "{\"field\":\"seconds\",\"as\":\"text\"},\"size\":\"size\"},"
		  "\"fixed\":{\"n\":1,\"x\":{\"y\":[true,\"z\"]}}}");
	struct json_object *json_params =
	    parse("{\"input\":{\"prompt\":\"prompt\",\"duration\":"
		  "{\"field\":\"seconds\",\"as\":\"text\"}},"
		  "\"options\":{\"format\":\"json\"}}");
	struct gen_spec spec;
	struct provider_job job;

	spec_init(&spec);
	spec.prompt = xstrdup("a \"cat\"\r\nå");
	spec.duration_ms = 8000;
	spec.width = 1280;
	spec.height = 720;
	job = job_of(&spec);
	job.params = params;
	check_request(&provider_openai, SUBMIT, &job,
	    "POST " BASE "/v1/videos\n" HEADERS FORM PART
	    "\"model\"\r\n\r\nsora-2\r\n" PART
	    "\"prompt\"\r\n\r\na \"cat\"\r\nå\r\n" PART
	    "\"seconds\"\r\n\r\n8\r\n" PART "\"size\"\r\n\r\n1280x720\r\n" PART
	    "\"n\"\r\n\r\n1\r\n" PART "\"x[y][]\"\r\n\r\ntrue\r\n" PART
	    "\"x[y][]\"\r\n\r\nz\r\n--reeld-n1--\r\n");
	free(spec.prompt);
	spec.prompt = xstrdup("cat");
	job.params = json_params;
	check_request(&provider_openai, SUBMIT, &job,
	    "POST " BASE "/v1/videos\n" HEADERS
	    "Content-Type: application/json\n\n"
	    "{\"model\":\"sora-2\",\"prompt\":\"cat\",\"seconds\":\"8\"}");
	job.start = (struct provider_image){
	    .data = "abc", .len = 3, .mime = "image/jpeg"};
	check_request(&provider_openai, SUBMIT, &job,
	    "POST " BASE "/v1/videos\n" HEADERS
	    "Content-Type: application/json\n\n"
	    "{\"model\":\"sora-2\",\"prompt\":\"cat\",\"seconds\":\"8\","
	    "\"input_reference\":{\"image_url\":"
	    "\"data:image/jpeg;base64,YWJj\"}}");
	job.params = NULL;
	check_request(&provider_openai, SUBMIT, &job,
	    "POST " BASE "/v1/videos\n" HEADERS FORM PART
	    "\"model\"\r\n\r\nsora-2\r\n" PART
	    "\"input_reference\"; filename=\"image.jpg\"\r\n"
	    "Content-Type: image/jpeg\r\n\r\nabc\r\n--reeld-n1--\r\n");
	job.start = (struct provider_image){.url = "https://x.example/a.png"};
	check_request(&provider_openai, SUBMIT, &job,
	    "POST " BASE "/v1/videos\n" HEADERS
	    "Content-Type: application/json\n\n"
	    "{\"model\":\"sora-2\",\"input_reference\":{\"image_url\":"
	    "\"https://x.example/a.png\"}}");
	check_request(&provider_openai, POLL, &job,
	    "GET " BASE "/v1/videos/video_1%2F..%2Fx\n" HEADERS);
	check_request(&provider_openai, CANCEL, &job, "error unsupported");
	job.base_url = NULL;
	check_request(&provider_openai, SUBMIT, &job, "error no_base_url");
	check_request(&provider_openai, POLL, &job, "error no_base_url");
	spec_fini(&spec);
	json_free(&params);
	json_free(&json_params);
}

TEST(any_base)
{
	static const char *const rows[][2] = {
	    {"https://a.example", "https://a.example/v1"},
	    {"https://a.example/", "https://a.example/v1"},
	    {"https://a.example/v1", "https://a.example/v1"},
	    {"https://a.example/v1/", "https://a.example/v1"},
	    {"https://a.example/v3", "https://a.example/v3"},
	    {"https://a.example/xv1", "https://a.example/xv1/v1"},
	    {"https://a.example/v", "https://a.example/v/v1"},
	    {"http://10.0.0.1:80", "http://10.0.0.1:80/v1"},
	};
	struct gen_spec spec;
	struct provider_job job;

	spec_init(&spec);
	job = job_of(&spec);
	job.provider_id = "x";
	for (size_t i = 0; i < nitems(rows); i++) {
		char want[200];

		job.base_url = rows[i][0];
		snprintf(
		    want, sizeof want, "GET %s/videos/x\n" HEADERS, rows[i][1]);
		check_request(&provider_openai, POLL, &job, want);
	}
}

TEST(downloads)
{
	static const struct {
		const char *url;
		bool key;
	} rows[] = {
	    {BASE "/v1/videos/video_1/content", true},
	    {BASE "/v1/files/video_1", false},
	    {BASE "/v1/videos/video_1/content/other", false},
	    {"https://gw.example/v1/videos/video_1/content", false},
	    {"https://evil.example/api/v1/videos/video_1/content", false},
	    {"https://gw.example.evil/api/v1/videos/a/content", false},
	};
	struct gen_spec spec;
	struct provider_job job;

	spec_init(&spec);
	job = job_of(&spec);
	for (size_t i = 0; i < nitems(rows); i++) {
		/* Known from before, and after a restart. */
		for (int known = 0; known < 2; known++) {
			struct fetch_spec out;
			struct err err = {0};
			bool key = false;

			CHECK(provider_download(&provider_openai, &job,
			    rows[i].url, known, &out, &err));
			for (int h = 0; h < out.n_headers; h++)
				key = key || out.headers[h].secret;
			if (key != rows[i].key)
				fail_msg("%s: key %d", rows[i].url, key);
			CHECK_INT(out.trust, ==,
			    key ? FETCH_PROVIDER : FETCH_UNTRUSTED);
			fetch_spec_fini(&out);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_reply),
	    cmocka_unit_test(what_is_kept),
	    cmocka_unit_test(requests),
	    cmocka_unit_test(any_base),
	    cmocka_unit_test(downloads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
