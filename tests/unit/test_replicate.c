/* Replicate: whole requests, the verdict of every stored reply, webhooks. */
#include "provider_unit.h"
#include "reeld/webhook.h"

#define BASE "https://api.replicate.com/v1"
#define HEADERS "Accept: application/json\nAuthorization: !Bearer r8_k\n"
#define JSON "Content-Type: application/json\n\n"

static struct provider_job
job_of(struct gen_spec *spec)
{
	return (struct provider_job){.spec = spec,
	    .endpoint = "google/veo-3",
	    .key = "r8_k",
	    .nonce = "n1",
	    .now_ms = 1700000000000,
	    .provider_id = "ufawq/x"};
}

static const struct want wants[] = {
    {SUBMIT, 201, "submitted.json", S(QUEUED), C(NONE), "", 0, 0},
    {SUBMIT, 202, "running.json", S(QUEUED), C(NONE), "", 0, 0},
    {SUBMIT, 201, "submitted_no_id.json", S(UNKNOWN), C(UNREADABLE), "http_201",
	0, 0},
    {SUBMIT, 201, "truncated.json", S(UNKNOWN), C(UNREADABLE), "http_201", 0,
	0},
    {SUBMIT, 200, "error.html", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {SUBMIT, 500, "error.html", S(UNKNOWN), C(PROVIDER), "http_500", 1, 0},
    {SUBMIT, 502, "moderated.json", S(UNKNOWN), C(PROVIDER), "http_502", 1, 0},
    {SUBMIT, 409, "invalid.json", S(UNKNOWN), C(BAD_INPUT), "http_409", 0, 0},
    {SUBMIT, 429, "rate_limited.json", S(BUSY), C(RATE_LIMIT), "http_429", 1,
	0},
    {SUBMIT, 402, "no_credit.json", S(FAILED), C(FUNDS), "provider_funds", 0,
	0},
    {SUBMIT, 401, "bad_key.json", S(FAILED), C(ACCOUNT), "http_401", 0, 0},
    {SUBMIT, 404, "missing.json", S(FAILED), C(NOT_FOUND), "http_404", 0, 0},
    {SUBMIT, 422, "invalid.json", S(FAILED), C(BAD_INPUT), "http_422", 0, 0},
    {SUBMIT, 422, "moderated.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},

    {POLL, 200, "queued.json", S(QUEUED), C(NONE), "", 0, 0},
    {POLL, 200, "running.json", S(RUNNING), C(NONE), "", 0, 0},
    {POLL, 200, "success.json", S(DONE), C(NONE), "", 0, 0},
    {POLL, 200, "success_list.json", S(DONE), C(NONE), "", 0, 0},
    {POLL, 200, "no_video.json", S(FAILED), C(PROVIDER), "no_media_generated",
	1, 0},
    {POLL, 200, "expired.json", S(FAILED), C(PROVIDER), "result_expired", 1, 0},
    {POLL, 200, "filtered.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {POLL, 200, "filtered_text.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {POLL, 200, "failed.json", S(FAILED), C(PROVIDER), "provider_error", 1, 0},
    {POLL, 200, "failed_null.json", S(FAILED), C(PROVIDER), "provider_error", 1,
	0},
    {POLL, 200, "overloaded.json", S(FAILED), C(PROVIDER),
	"provider_overloaded", 1, 0},
    {POLL, 200, "bad_input.json", S(FAILED), C(BAD_INPUT), "bad_input", 0, 0},
    {POLL, 200, "interrupted.json", S(FAILED), C(PROVIDER), "provider_error", 1,
	0},
    {POLL, 200, "cancelled.json", S(CANCELLED), C(CANCELLED),
	"provider_cancelled", 0, 0},
    {POLL, 200, "aborted.json", S(CANCELLED), C(CANCELLED),
	"provider_cancelled", 0, 0},
    {POLL, 200, "new_status.json", S(UNKNOWN), C(NONE), "", 0, 0},
    {POLL, 200, "truncated.json", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {POLL, 200, "error.html", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {POLL, 500, "error.html", S(UNKNOWN), C(PROVIDER), "http_500", 1, 0},
    {POLL, 401, "bad_key.json", S(UNKNOWN), C(ACCOUNT), "http_401", 0, 0},
    {POLL, 429, "rate_limited.json", S(BUSY), C(RATE_LIMIT), "http_429", 1, 0},
    {POLL, 404, "missing.json", S(FAILED), C(NOT_FOUND), "http_404", 0, 0},

    {CANCEL, 200, "cancelled.json", S(CANCELLED), C(CANCELLED),
	"provider_cancelled", 0, 0},
    {CANCEL, 200, "running.json", S(UNKNOWN), C(NONE), "", 0, POLL},
    {CANCEL, 200, "success.json", S(UNKNOWN), C(NONE), "", 0, POLL},
    {CANCEL, 404, "missing.json", S(UNKNOWN), C(NOT_FOUND), "http_404", 0,
	POLL},
    {CANCEL, 500, "error.html", S(UNKNOWN), C(PROVIDER), "http_500", 1, POLL},

    {PREPARE, 500, "error.html", S(BUSY), C(PROVIDER), "http_500", 1, 0},
    {PREPARE, 201, "uploaded_bad.json", S(BUSY), C(UNREADABLE), "http_201", 0,
	0},
    {PREPARE, 401, "bad_key.json", S(FAILED), C(ACCOUNT), "http_401", 0, 0},
};

TEST(every_reply)
{
	struct gen_spec spec;
	struct provider_job job;

	spec_init(&spec);
	job = job_of(&spec);
	check_wants(&provider_replicate, &job, wants, nitems(wants));
	check_cut_off(&provider_replicate, &job, SUBMIT, "submitted.json");
	check_cut_off(&provider_replicate, &job, POLL, "success.json");
	check_cut_off(&provider_replicate, &job, POLL, "filtered.json");
}

TEST(what_is_kept)
{
	static const struct {
		const char *logs;
		int progress;
	} rows[] = {
	    {"48%", 48},
	    {"%", -1},
	    {"", -1},
	    {"at 100% of it", 100},
	    {"101%", -1},
	    {"0.5%", -1},
	    {"99999999999999999999%", -1},
	    {"12% then 7% rest", 7},
	};
	struct gen_spec spec;
	struct provider_job job;
	struct provider_verdict v;

	spec_init(&spec);
	job = job_of(&spec);
	v = verdict_of(
	    &provider_replicate, &job, SUBMIT, 201, "submitted.json");
	CHECK_STR(v.provider_id, "ufawqhfynnddngldkgtslldrkq");
	provider_verdict_fini(&v);
	v = verdict_of(&provider_replicate, &job, POLL, 200, "running.json");
	CHECK_INT(v.progress, ==, 48);
	provider_verdict_fini(&v);
	v = verdict_of(&provider_replicate, &job, POLL, 200, "success.json");
	CHECK_STR(v.result_url, "https://replicate.delivery/xezq/abc/tmp.mp4");
	CHECK(!v.result_needs_key);
	/* An hour after its end, not after we saw it. */
	CHECK(v.result_expires_ms == INT64_C(1700003400000));
	provider_verdict_fini(&v);
	job.now_ms += 86400000;
	v = verdict_of(&provider_replicate, &job, POLL, 200, "success.json");
	CHECK(v.result_expires_ms == 0);
	provider_verdict_fini(&v);
	v = verdict_of(
	    &provider_replicate, &job, SUBMIT, 429, "rate_limited.json");
	CHECK_INT(v.retry_after_s, ==, 7);
	provider_verdict_fini(&v);
	for (size_t i = 0; i < nitems(rows); i++) {
		char text[128];

		snprintf(text, sizeof text,
		    "{\"status\":\"processing\",\"logs\":\"%s\"}",
		    rows[i].logs);
		v = verdict_of_text(&provider_replicate, &job, POLL, 200, text);
		if (v.progress != rows[i].progress)
			fail_msg("%s: %d", rows[i].logs, v.progress);
		provider_verdict_fini(&v);
	}
}

TEST(requests)
{
	struct json_object *params =
	    parse("{\"input\":{\"prompt\":\"prompt\",\"duration\":"
		  "\"duration\",\"audio\":\"generate_audio\",\"start_image\":"
		  "\"image\"}}");
	struct gen_spec spec;
	struct provider_job job;
	struct fetch_spec out;
	struct err err = {0};

	spec_init(&spec);
	spec.prompt = xstrdup("a cat");
	spec.duration_ms = 8000;
	spec.audio = GEN_AUDIO_OFF;
	job = job_of(&spec);
	job.params = params;
	check_request(&provider_replicate, SUBMIT, &job,
	    "POST " BASE "/models/google/veo-3/predictions\n" HEADERS JSON
	    "{\"input\":{\"prompt\":\"a cat\",\"duration\":8,"
	    "\"generate_audio\":false}}");
	job.callback_url = "https://reeld.example/hooks/replicate/a/t";
	job.endpoint = "me/model:5c7d5dc6";
	job.start = (struct provider_image){
	    .data = "abc", .len = 3, .mime = "image/webp"};
	check_request(&provider_replicate, SUBMIT, &job,
	    "POST " BASE "/predictions\n" HEADERS JSON
	    "{\"input\":{\"prompt\":\"a cat\",\"duration\":8,"
	    "\"generate_audio\":false,\"image\":"
	    "\"data:image/webp;base64,YWJj\"},"
	    "\"webhook\":\"https://reeld.example/hooks/replicate/a/t\","
	    "\"webhook_events_filter\":[\"start\",\"completed\"],"
	    "\"version\":\"5c7d5dc6\"}");
	check_request(&provider_replicate, POLL, &job,
	    "GET " BASE "/predictions/ufawq%2Fx\n" HEADERS);
	check_request(&provider_replicate, CANCEL, &job,
	    "POST " BASE "/predictions/ufawq%2Fx/cancel\n" HEADERS);
	/* The reply holds the images again: its id must not be lost. */
	CHECK(provider_build(&provider_replicate, SUBMIT, &job, &out, &err));
	CHECK_INT(out.max_bytes, >=, 4 << 20);
	fetch_spec_fini(&out);
	job.provider_id = NULL;
	check_request(&provider_replicate, CANCEL, &job, "error no_reference");
	spec_fini(&spec);
	json_free(&params);
}

TEST(endpoints)
{
	static const char *const bad[] = {"", "veo-3", "a/b/c", "../x/y",
	    "a/b?c=d", "a/b#c", "a/", "/b", "a/b:", "a b/c", "a/..b"};
	struct gen_spec spec;
	struct provider_job job;
	struct json_object *body;
	char *text;

	spec_init(&spec);
	job = job_of(&spec);
	for (size_t i = 0; i < nitems(bad); i++) {
		job.endpoint = bad[i];
		check_request(
		    &provider_replicate, SUBMIT, &job, "error no_endpoint");
	}
	job.endpoint = "0123456789abcdef0123456789abcdef"
		       "0123456789abcdef0123456789abcdef";
	text = request_text(&provider_replicate, SUBMIT, &job);
	CHECK(str_starts(text, "POST " BASE "/predictions\n"));
	body = parse(strstr(text, "\n\n") + 2);
	CHECK_STR(json_text_at(body, "version"), job.endpoint);
	json_free(&body);
	free(text);
}

TEST(upload)
{
	struct json_object *params = parse(
	    "{\"input\":{\"start_image\":\"image\",\"end_image\":\"last\"}}");
	struct gen_spec spec;
	struct provider_job job;
	struct provider_verdict v;
	size_t len = 300 * 1024;
	char *image = xmalloc(len), *text;

	spec_init(&spec);
	memset(image, 'x', len);
	job = job_of(&spec);
	job.params = params;
	job.start = (struct provider_image){
	    .data = image, .len = 1000, .mime = "image/png"};
	CHECK(!provider_wants_prepare(&provider_replicate, &job));
	job.start.len = len;
	CHECK(provider_wants_prepare(&provider_replicate, &job));
	text = request_text(&provider_replicate, PREPARE, &job);
	CHECK(str_starts(text,
	    "POST " BASE "/files\n" HEADERS
	    "Content-Type: multipart/form-data; boundary="));
	CHECK(strstr(text,
		  "Content-Disposition: form-data; name=\"content\"; "
		  "filename=\"image.png\"\r\nContent-Type: "
		  "image/png\r\n\r\nxxx") != NULL);
	CHECK(strstr(text,
		  "name=\"metadata\"; filename=\"blob\"\r\nContent-Type: "
		  "application/json\r\n\r\n{}\r\n--") != NULL);
	free(text);
	job.end.url = "https://example.org/b.png";
	v = verdict_of(
	    &provider_replicate, &job, PREPARE, 201, "uploaded.json");
	CHECK_INT(v.next, ==, PROVIDER_STEP_SUBMIT);
	job.refs = v.refs;
	check_request(&provider_replicate, SUBMIT, &job,
	    "POST " BASE "/models/google/veo-3/predictions\n" HEADERS JSON
	    "{\"input\":{\"image\":\"https://api.replicate.com/v1/files/f1\","
	    "\"last\":\"https://example.org/b.png\"}}");
	provider_verdict_fini(&v);
	job.refs = NULL;
	job.end = job.start;
	v = verdict_of(
	    &provider_replicate, &job, PREPARE, 201, "uploaded.json");
	CHECK_INT(v.next, ==, PROVIDER_STEP_PREPARE);
	provider_verdict_fini(&v);
	free(image);
	json_free(&params);
}

/* --- webhook ---------------------------------------------------------------
 */

struct headers {
	const char *id, *time, *signature;
};

static const char *
header_of(const char *name, void *arg)
{
	struct headers *self = arg;

	return strcasecmp(name, "webhook-id") == 0	 ? self->id
	    : strcasecmp(name, "webhook-timestamp") == 0 ? self->time
	    : strcasecmp(name, "webhook-signature") == 0 ? self->signature
							 : NULL;
}

TEST(webhook)
{
	static const char secret[] = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
	struct headers headers = {"msg_1", "1700000000", NULL};
	struct provider_hook hook = {
	    .header = header_of, .arg = &headers, .now_ms = 1700000000000};
	struct json_object *keys = json_new(), *doc;
	struct gen_spec spec;
	struct provider_job job;
	struct provider_verdict v;
	struct err err = {0};
	struct buf body;
	char signature[64];

	spec_init(&spec);
	json_set_text(keys, "secret", secret);
	fixture_read("replicate", "success.json", &body);
	hook.body = body.data;
	hook.len = body.len;
	CHECK(!provider_replicate.verify(&hook, keys, &err));
	CHECK(webhook_sign(secret, "msg_1", 1700000000, body.data, body.len,
	    signature, sizeof signature));
	headers.signature = signature;
	CHECK(provider_replicate.verify(&hook, keys, &err));
	CHECK(!provider_replicate.verify(&hook, NULL, &err));
	hook.now_ms += 301000;
	CHECK(!provider_replicate.verify(&hook, keys, &err));
	hook.now_ms -= 301000;
	body.data[3] ^= 1;
	CHECK(!provider_replicate.verify(&hook, keys, &err));
	body.data[3] ^= 1;

	job = job_of(&spec);
	doc = parse(body.data);
	provider_verdict_init(&v);
	CHECK(!provider_replicate.hook(&job, doc, &v, &err));
	CHECK_STR(err.name, "other_request");
	job.provider_id = NULL;
	CHECK(provider_replicate.hook(&job, doc, &v, &err));
	CHECK_INT(v.state, ==, PROVIDER_UNKNOWN);
	CHECK_INT(v.next, ==, PROVIDER_STEP_POLL);
	CHECK_STR(v.provider_id, "ufawqhfynnddngldkgtslldrkq");
	provider_verdict_fini(&v);
	json_free(&doc);
	doc = parse("{\"id\":7,\"status\":\"succeeded\"}");
	CHECK(!provider_replicate.hook(&job, doc, &v, &err));
	json_free(&doc);
	json_free(&keys);
	buf_fini(&body);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_reply),
	    cmocka_unit_test(what_is_kept),
	    cmocka_unit_test(requests),
	    cmocka_unit_test(endpoints),
	    cmocka_unit_test(upload),
	    cmocka_unit_test(webhook),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
