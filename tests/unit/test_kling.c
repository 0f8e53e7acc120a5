/* Kling: whole requests, every stored reply, and callbacks; v1 and 3.x. */
#include "provider_unit.h"
#include "reeld/webhook.h"

/* Made with another implementation: iss ak, key sk, at 1700000000. */
#define TOKEN                                                          \
	"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJhayIsImV4cCI" \
	"6MTcwMDAwMTgwMCwibmJmIjoxNjk5OTk5OTk1fQ.mgn0T3D3XT4hbNxAtEsJ" \
	"sDH8-Kpgvs6l8t89iZ9EkEg"
#define BASE "https://api-singapore.klingai.com"
#define HEAD "Accept: application/json\nAuthorization: !Bearer k\n"
#define JSON_HEAD HEAD "Content-Type: application/json\n\n"

static struct provider_job
v1(struct gen_spec *spec)
{
	spec_init(spec);
	return (struct provider_job){.spec = spec,
	    .endpoint = "kling-v2-6",
	    .key = "k",
	    .nonce = "n1",
	    .now_ms = 1700000000999,
	    .provider_id = "t1"};
}

static const struct want v1_wants[] = {
    {SUBMIT, 200, "submitted.json", S(QUEUED), C(NONE), "", 0, 0},
    /* It may have been accepted. */
    {SUBMIT, 200, "submitted_no_id.json", S(UNKNOWN), C(UNREADABLE), "http_200",
	0, 0},
    {SUBMIT, 200, "submitted_empty.json", S(UNKNOWN), C(UNREADABLE), "http_200",
	0, 0},
    {SUBMIT, 200, "truncated.json", S(UNKNOWN), C(UNREADABLE), "http_200", 0,
	0},
    {SUBMIT, 502, "error.html", S(UNKNOWN), C(PROVIDER), "http_502", 1, 0},
    {SUBMIT, 500, "e5000.json", S(UNKNOWN), C(PROVIDER), "http_500", 1, 0},
    {SUBMIT, 200, "e5000.json", S(UNKNOWN), C(PROVIDER), "provider_error", 1,
	0},
    /* Surely not, with HTTP 200 too. */
    {SUBMIT, 401, "e1003.json", S(FAILED), C(ACCOUNT), "bad_key", 0, 0},
    {SUBMIT, 200, "e1003.json", S(FAILED), C(ACCOUNT), "bad_key", 0, 0},
    {SUBMIT, 429, "e1102.json", S(FAILED), C(FUNDS), "provider_funds", 0, 0},
    {SUBMIT, 403, "e1103.json", S(FAILED), C(ACCOUNT), "no_permission", 0, 0},
    {SUBMIT, 400, "e1201.json", S(FAILED), C(BAD_INPUT), "bad_input", 0, 0},
    {SUBMIT, 400, "e1301.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {SUBMIT, 200, "e1301.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {SUBMIT, 429, "e1303.json", S(BUSY), C(RATE_LIMIT), "rate_limit", 1, 0},
    {SUBMIT, 200, "e1303.json", S(BUSY), C(RATE_LIMIT), "rate_limit", 1, 0},
    {SUBMIT, 400, "e1304.json", S(FAILED), C(ACCOUNT), "ip_not_allowed", 0, 0},
    {SUBMIT, 200, "e7777.json", S(FAILED), C(PROVIDER), "provider_error", 0, 0},

    {POLL, 200, "queued.json", S(QUEUED), C(NONE), "", 0, 0},
    {POLL, 200, "processing.json", S(RUNNING), C(NONE), "", 0, 0},
    {POLL, 200, "success.json", S(DONE), C(NONE), "", 0, 0},
    {POLL, 200, "success_empty.json", S(FAILED), C(PROVIDER),
	"no_media_generated", 1, 0},
    {POLL, 200, "failed.json", S(FAILED), C(PROVIDER), "provider_failed", 1, 0},
    {POLL, 200, "filtered.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {POLL, 200, "new_status.json", S(UNKNOWN), C(NONE), "", 0, 0},
    /* No trouble of a poll may end a paid job. */
    {POLL, 200, "no_status.json", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {POLL, 200, "truncated.json", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {POLL, 200, "error.html", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {POLL, 502, "error.html", S(UNKNOWN), C(PROVIDER), "http_502", 1, 0},
    {POLL, 401, "e1003.json", S(UNKNOWN), C(ACCOUNT), "bad_key", 0, 0},
    {POLL, 200, "e1203.json", S(UNKNOWN), C(BAD_INPUT), "bad_input", 0, 0},
    {POLL, 200, "e1303.json", S(BUSY), C(RATE_LIMIT), "rate_limit", 1, 0},
    {POLL, 429, "e1303.json", S(BUSY), C(RATE_LIMIT), "rate_limit", 1, 0},
    {POLL, 200, "e7777.json", S(UNKNOWN), C(PROVIDER), "provider_error", 0, 0},
    {POLL, 404, "expired.json", S(FAILED), C(NOT_FOUND), "http_404", 0, 0},
    {POLL, 404, "e1203.json", S(FAILED), C(NOT_FOUND), "http_404", 0, 0},

    /* Did the lost submit arrive? */
    {FIND, 200, "queued.json", S(QUEUED), C(NONE), "", 0, 0},
    {FIND, 200, "success.json", S(DONE), C(NONE), "", 0, 0},
    {FIND, 200, "e1203.json", S(FAILED), C(NOT_FOUND), "not_found", 0, 0},
    {FIND, 404, "e1203.json", S(FAILED), C(NOT_FOUND), "not_found", 0, 0},
    {FIND, 200, "no_id.json", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {FIND, 200, "error.html", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {FIND, 500, "e5000.json", S(UNKNOWN), C(PROVIDER), "http_500", 1, 0},
};

static const struct want v3_wants[] = {
    {SUBMIT, 200, "v3_submitted.json", S(QUEUED), C(NONE), "", 0, 0},
    {SUBMIT, 429, "e1303.json", S(BUSY), C(RATE_LIMIT), "rate_limit", 1, 0},
    {POLL, 200, "v3_processing.json", S(RUNNING), C(NONE), "", 0, 0},
    {POLL, 200, "v3_success.json", S(DONE), C(NONE), "", 0, 0},
    {POLL, 200, "v3_failed.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {POLL, 200, "v3_none.json", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
};

TEST(every_reply)
{
	struct gen_spec spec;
	struct provider_job job = v1(&spec);

	check_wants(&provider_kling, &job, v1_wants, nitems(v1_wants));
	check_cut_off(&provider_kling, &job, SUBMIT, "submitted.json");
	check_cut_off(&provider_kling, &job, SUBMIT, "e1301.json");
	check_cut_off(&provider_kling, &job, POLL, "success.json");
	job.endpoint = "kling-3.0";
	job.provider_id = "t3";
	check_wants(&provider_kling, &job, v3_wants, nitems(v3_wants));
	check_cut_off(&provider_kling, &job, POLL, "v3_success.json");
}

TEST(what_is_kept)
{
	struct gen_spec spec;
	struct provider_job job = v1(&spec);
	struct provider_verdict v =
	    verdict_of(&provider_kling, &job, SUBMIT, 200, "submitted.json");

	CHECK_STR(v.provider_id, "t1");
	provider_verdict_fini(&v);
	v = verdict_of(&provider_kling, &job, POLL, 200, "success.json");
	CHECK_STR(v.result_url, "https://cdn.klingai.com/bs2/a.mp4");
	CHECK(!v.result_needs_key);
	provider_verdict_fini(&v);
	v = verdict_of(&provider_kling, &job, FIND, 200, "success.json");
	CHECK_STR(v.provider_id, "t1");
	provider_verdict_fini(&v);
	v = verdict_of(&provider_kling, &job, SUBMIT, 200, "e1201.json");
	CHECK_STR(v.provider_message, "1201: Invalid request parameters");
	provider_verdict_fini(&v);
	job.endpoint = "kling-3.0";
	job.provider_id = "t3";
	v = verdict_of(&provider_kling, &job, POLL, 200, "v3_success.json");
	CHECK_STR(v.result_url, "https://cdn.klingai.com/b.mp4");
	provider_verdict_fini(&v);
}

TEST(v1_requests)
{
	struct json_object *params =
	    parse("{\"input\":{\"prompt\":\"prompt\","
		  "\"duration\":{\"field\":\"duration\",\"as\":\"text\"},"
		  "\"aspect_ratio\":\"aspect_ratio\","
		  "\"resolution\":{\"field\":\"mode\",\"values\":"
		  "{\"720p\":\"std\",\"1080p\":\"pro\"}},"
		  "\"audio\":{\"field\":\"sound\",\"values\":"
		  "{\"true\":\"on\",\"false\":\"off\"}}}}");
	struct gen_spec spec;
	struct provider_job job = v1(&spec);

	spec.prompt = xstrdup("a cat");
	spec.duration_ms = 5000;
	spec.audio = GEN_AUDIO_ON;
	str_copy(spec.resolution, sizeof spec.resolution, "1080p");
	str_copy(spec.aspect_ratio, sizeof spec.aspect_ratio, "16:9");
	job.params = params;
	job.callback_url = "https://r.org/h";
	check_request(&provider_kling, SUBMIT, &job,
	    "POST " BASE "/v1/videos/text2video\n" JSON_HEAD
	    "{\"model_name\":\"kling-v2-6\",\"prompt\":\"a cat\","
	    "\"duration\":\"5\",\"aspect_ratio\":\"16:9\",\"mode\":\"pro\","
	    "\"sound\":\"on\",\"callback_url\":\"https://r.org/h\","
	    "\"external_task_id\":\"n1\"}");
	check_request(&provider_kling, POLL, &job,
	    "GET " BASE "/v1/videos/text2video/t1\n" HEAD);
	check_request(&provider_kling, FIND, &job,
	    "GET " BASE "/v1/videos/text2video/n1\n" HEAD);
	job.start.url = "https://e.org/a.png";
	job.end = (struct provider_image){.data = "foo", .len = 3};
	job.callback_url = NULL;
	spec.audio = GEN_AUDIO_UNSET;
	check_request(&provider_kling, SUBMIT, &job,
	    "POST " BASE "/v1/videos/image2video\n" JSON_HEAD
	    "{\"model_name\":\"kling-v2-6\",\"prompt\":\"a cat\","
	    "\"duration\":\"5\",\"mode\":\"pro\","
	    "\"image\":\"https://e.org/a.png\",\"image_tail\":\"Zm9v\","
	    "\"external_task_id\":\"n1\"}");
	/* A poll has no images at hand, but knows there was one. */
	job.start.url = NULL;
	job.end.len = 0;
	spec.start_asset = id_new();
	check_request(&provider_kling, POLL, &job,
	    "GET " BASE "/v1/videos/image2video/t1\n" HEAD);
	/* A pair of keys makes a token of half an hour. */
	job.key = "ak:sk";
	check_request(&provider_kling, POLL, &job,
	    "GET " BASE "/v1/videos/image2video/t1\n"
	    "Accept: application/json\nAuthorization: !Bearer " TOKEN "\n");
	job.provider_id = "a/../b";
	job.key = "k";
	check_request(&provider_kling, POLL, &job,
	    "GET " BASE "/v1/videos/image2video/a%2F..%2Fb\n" HEAD);
	job.provider_id = NULL;
	check_request(&provider_kling, POLL, &job, "error no_reference");
	check_request(&provider_kling, CANCEL, &job, "error unsupported");
	job.endpoint = "kling-v2/../x";
	check_request(&provider_kling, SUBMIT, &job, "error no_endpoint");
	job.endpoint = "v1";
	check_request(&provider_kling, SUBMIT, &job, "error no_endpoint");
	spec_fini(&spec);
	json_free(&params);
}

TEST(v3_requests)
{
	struct json_object *params =
	    parse("{\"input\":{\"prompt\":\"prompt\","
		  "\"resolution\":\"settings.resolution\","
		  "\"aspect_ratio\":\"settings.aspect_ratio\","
		  "\"duration\":\"settings.duration\","
		  "\"audio\":{\"field\":\"settings.audio\",\"values\":"
		  "{\"true\":\"native\",\"false\":\"off\"}}},"
		  "\"fixed\":{\"options\":{\"watermark_info\":"
		  "{\"enabled\":false}}}}");
	struct gen_spec spec;
	struct provider_job job = v1(&spec);

	spec.prompt = xstrdup("a cat");
	spec.duration_ms = 5000;
	spec.audio = GEN_AUDIO_OFF;
	str_copy(spec.resolution, sizeof spec.resolution, "720p");
	str_copy(spec.aspect_ratio, sizeof spec.aspect_ratio, "16:9");
	job.params = params;
	job.endpoint = "kling-3.0";
	job.callback_url = "https://r.org/h";
	check_request(&provider_kling, SUBMIT, &job,
	    "POST " BASE "/text-to-video/kling-3.0\n" JSON_HEAD
	    "{\"contents\":[{\"type\":\"prompt\",\"text\":\"a cat\"}],"
	    "\"settings\":{\"resolution\":\"720p\","
	    "\"aspect_ratio\":\"16:9\",\"duration\":5,\"audio\":\"off\"},"
	    "\"options\":{\"watermark_info\":{\"enabled\":false},"
	    "\"callback_url\":\"https://r.org/h\","
	    "\"external_task_id\":\"n1\"}}");
	job.start.url = "https://e.org/a.png";
	job.end.url = "https://e.org/b.png";
	job.callback_url = NULL;
	check_request(&provider_kling, SUBMIT, &job,
	    "POST " BASE "/image-to-video/kling-3.0\n" JSON_HEAD
	    "{\"contents\":[{\"type\":\"prompt\",\"text\":\"a cat\"},"
	    "{\"type\":\"first_frame\",\"url\":\"https://e.org/a.png\"},"
	    "{\"type\":\"last_frame\",\"url\":\"https://e.org/b.png\"}],"
	    "\"settings\":{\"resolution\":\"720p\",\"duration\":5,"
	    "\"audio\":\"off\"},\"options\":{\"watermark_info\":"
	    "{\"enabled\":false},\"external_task_id\":\"n1\"}}");
	job.provider_id = "t 3&x";
	check_request(&provider_kling, POLL, &job,
	    "GET " BASE "/tasks?task_ids=t%203%26x\n" HEAD);
	check_request(&provider_kling, FIND, &job, "error unsupported");
	/* Sound without a word for it is not dropped in silence. */
	json_unset(json_obj_at(params, "input.audio.values"), "false");
	check_request(&provider_kling, SUBMIT, &job, "error bad_params");
	spec_fini(&spec);
	json_free(&params);
}

/* --- callbacks --------------------------------------------------------------
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

TEST(callback)
{
	char signature[64];
	struct headers headers = {"m1", "1700000000", signature};
	struct provider_hook hook = {
	    .header = header_of, .arg = &headers, .now_ms = 1700000000000};
	struct json_object *keys = parse("{\"secret\":\"whsec_c2VjcmV0\"}");
	struct json_object *body;
	struct gen_spec spec;
	struct provider_job job = v1(&spec);
	struct provider_verdict v;
	struct err err = {0};
	struct buf text;

	fixture_read("kling", "webhook.json", &text);
	hook.body = text.data;
	hook.len = text.len;
	CHECK(webhook_sign("whsec_c2VjcmV0", "m1", 1700000000, text.data,
	    text.len, signature, sizeof signature));
	CHECK(provider_kling.verify(&hook, keys, &err));
	text.data[3] ^= 1;
	CHECK(!provider_kling.verify(&hook, keys, &err));
	text.data[3] ^= 1;
	hook.now_ms += 302000;
	CHECK(!provider_kling.verify(&hook, keys, &err));
	hook.now_ms -= 302000;
	headers.signature = NULL;
	CHECK(!provider_kling.verify(&hook, keys, &err));
	body = parse(text.data);
	job.provider_id = NULL;
	provider_verdict_init(&v);
	CHECK(provider_kling.hook(&job, body, &v, &err));
	CHECK_STR(v.provider_id, "t1");
	CHECK_INT(v.state, ==, PROVIDER_UNKNOWN);
	CHECK_INT(v.next, ==, PROVIDER_STEP_POLL);
	provider_verdict_fini(&v);
	job.nonce = "n2";
	CHECK(!provider_kling.hook(&job, body, &v, &err));
	CHECK_STR(err.name, "other_request");
	job.nonce = "n1";
	job.provider_id = "t9";
	CHECK(!provider_kling.hook(&job, body, &v, &err));
	json_free(&body);
	json_free(&keys);
	buf_fini(&text);
}

/* v1 is asked by our id; nobody says that 3.x could be. */
static void
recovery(void **state)
{
	(void)state;
	CHECK_INT(provider_kling.recovery_of("kling-v2-6"), ==,
	    PROVIDER_RECOVER_FIND);
	CHECK_INT(provider_kling.recovery_of("kling-3.0-omni"), ==,
	    PROVIDER_RECOVER_CALLBACK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_reply),
	    cmocka_unit_test(what_is_kept),
	    cmocka_unit_test(v1_requests),
	    cmocka_unit_test(v3_requests),
	    cmocka_unit_test(callback),
	    cmocka_unit_test(recovery),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
