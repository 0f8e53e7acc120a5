/* MiniMax v1 and v2: whole requests, and the verdict of every stored reply. */
#include "provider_unit.h"

#define BASE "https://api.minimax.io"
#define HEADERS "Accept: application/json\nAuthorization: !Bearer mm-1\n"
#define JSON "Content-Type: application/json\n\n"

static struct provider_job
job_of(struct gen_spec *spec)
{
	return (struct provider_job){.spec = spec,
	    .endpoint = "MiniMax-Hailuo-2.3",
	    .key = "mm-1",
	    .nonce = "n1",
	    .now_ms = 1700000000000,
	    .provider_id = "1768&x=1"};
}

static const struct want wants[] = {
    {SUBMIT, 200, "submitted.json", S(QUEUED), C(NONE), "", 0, 0},
    {SUBMIT, 200, "submitted_number.json", S(QUEUED), C(NONE), "", 0, 0},
    {SUBMIT, 200, "submitted_v2.json", S(QUEUED), C(NONE), "", 0, 0},
    {SUBMIT, 200, "submitted_odd.json", S(QUEUED), C(NONE), "", 0, 0},
    {SUBMIT, 200, "submitted_no_id.json", S(UNKNOWN), C(UNREADABLE), "http_200",
	0, 0},
    {SUBMIT, 200, "truncated.json", S(UNKNOWN), C(UNREADABLE), "http_200", 0,
	0},
    {SUBMIT, 200, "error.html", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {SUBMIT, 200, "internal.json", S(UNKNOWN), C(PROVIDER), "provider_error", 1,
	0},
    {SUBMIT, 200, "refused_input.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {SUBMIT, 200, "bad_params.json", S(FAILED), C(BAD_INPUT), "bad_input", 0,
	0},
    {SUBMIT, 200, "bad_key.json", S(FAILED), C(ACCOUNT), "provider_key", 0, 0},
    {SUBMIT, 200, "bad_key_2049.json", S(FAILED), C(ACCOUNT), "provider_key", 0,
	0},
    {SUBMIT, 200, "no_credit.json", S(FAILED), C(FUNDS), "provider_funds", 0,
	0},
    {SUBMIT, 200, "rate_limited.json", S(BUSY), C(RATE_LIMIT), "rate_limit", 1,
	0},
    {SUBMIT, 429, "rate_limited.json", S(BUSY), C(RATE_LIMIT), "http_429", 1,
	0},
    {SUBMIT, 401, "bad_key.json", S(FAILED), C(ACCOUNT), "provider_key", 0, 0},
    {SUBMIT, 400, "refused_input.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {SUBMIT, 500, "refused_input.json", S(UNKNOWN), C(PROVIDER), "http_500", 1,
	0},
    {SUBMIT, 502, "error.html", S(UNKNOWN), C(PROVIDER), "http_502", 1, 0},
    {SUBMIT, 400, "v2_error.json", S(FAILED), C(BAD_INPUT), "http_400", 0, 0},
    {SUBMIT, 400, "v2_moderated.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {SUBMIT, 400, "v2_sensitive.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {SUBMIT, 401, "v2_sensitive.json", S(FAILED), C(ACCOUNT), "http_401", 0, 0},
    {SUBMIT, 200, "v2_error.json", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},

    {POLL, 200, "queued.json", S(QUEUED), C(NONE), "", 0, 0},
    {POLL, 200, "preparing.json", S(QUEUED), C(NONE), "", 0, 0},
    {POLL, 200, "running.json", S(RUNNING), C(NONE), "", 0, 0},
    {POLL, 200, "success.json", S(RUNNING), C(NONE), "", 0, RESULT},
    {POLL, 200, "success_number.json", S(RUNNING), C(NONE), "", 0, RESULT},
    {POLL, 200, "no_file.json", S(FAILED), C(PROVIDER), "no_media_generated", 1,
	0},
    {POLL, 200, "filtered.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {POLL, 200, "failed.json", S(FAILED), C(PROVIDER), "provider_error", 1, 0},
    {POLL, 200, "failed_params.json", S(FAILED), C(BAD_INPUT), "bad_input", 0,
	0},
    {POLL, 200, "new_status.json", S(UNKNOWN), C(NONE), "", 0, 0},
    /* Trouble of ours, or of the question: no end of a paid job. */
    {POLL, 200, "bad_key.json", S(UNKNOWN), C(ACCOUNT), "provider_key", 0, 0},
    {POLL, 200, "no_credit.json", S(UNKNOWN), C(FUNDS), "provider_funds", 0, 0},
    {POLL, 200, "bad_params.json", S(UNKNOWN), C(BAD_INPUT), "bad_input", 0, 0},
    {POLL, 200, "internal.json", S(UNKNOWN), C(PROVIDER), "provider_error", 1,
	0},
    {POLL, 200, "rate_limited.json", S(BUSY), C(RATE_LIMIT), "rate_limit", 1,
	0},
    {POLL, 200, "truncated.json", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {POLL, 200, "error.html", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {POLL, 500, "error.html", S(UNKNOWN), C(PROVIDER), "http_500", 1, 0},
    {POLL, 404, "expired.json", S(FAILED), C(NOT_FOUND), "http_404", 0, 0},

    {RESULT, 200, "file.json", S(DONE), C(NONE), "", 0, 0},
    {RESULT, 200, "file_empty.json", S(FAILED), C(PROVIDER),
	"no_media_generated", 1, 0},
    {RESULT, 200, "bad_key.json", S(UNKNOWN), C(ACCOUNT), "provider_key", 0, 0},
    {RESULT, 200, "error.html", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {RESULT, 502, "error.html", S(UNKNOWN), C(PROVIDER), "http_502", 1, 0},
    {RESULT, 404, "expired.json", S(FAILED), C(NOT_FOUND), "http_404", 0, 0},
};

static const struct want wants_v2[] = {
    {POLL, 200, "v2_queued.json", S(QUEUED), C(NONE), "", 0, 0},
    {POLL, 200, "v2_running.json", S(RUNNING), C(NONE), "", 0, 0},
    {POLL, 200, "v2_success.json", S(DONE), C(NONE), "", 0, 0},
    {POLL, 200, "v2_no_video.json", S(FAILED), C(PROVIDER),
	"no_media_generated", 1, 0},
    {POLL, 200, "v2_filtered.json", S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {POLL, 200, "v2_failed.json", S(FAILED), C(PROVIDER), "provider_error", 1,
	0},
    {POLL, 200, "v2_cancelled.json", S(CANCELLED), C(CANCELLED),
	"provider_cancelled", 0, 0},
    {POLL, 200, "running.json", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {POLL, 200, "error.html", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {POLL, 400, "v2_error.json", S(UNKNOWN), C(BAD_INPUT), "http_400", 0, 0},
    {POLL, 404, "expired.json", S(FAILED), C(NOT_FOUND), "http_404", 0, 0},
};

TEST(every_reply)
{
	struct gen_spec spec;
	struct provider_job job;

	spec_init(&spec);
	job = job_of(&spec);
	check_wants(&provider_minimax, &job, wants, nitems(wants));
	check_cut_off(&provider_minimax, &job, SUBMIT, "submitted.json");
	check_cut_off(&provider_minimax, &job, POLL, "success.json");
	check_cut_off(&provider_minimax, &job, POLL, "filtered.json");
	check_cut_off(&provider_minimax, &job, RESULT, "file.json");
	job.endpoint = "MiniMax-H3";
	check_wants(&provider_minimax, &job, wants_v2, nitems(wants_v2));
	check_cut_off(&provider_minimax, &job, POLL, "v2_success.json");
}

/* Ids come as text and as numbers; the file's lead to its document. */
TEST(what_is_kept)
{
	static const char *const files[] = {
	    "success.json", "success_number.json"};
	struct gen_spec spec;
	struct provider_job job;
	struct provider_verdict v;

	spec_init(&spec);
	job = job_of(&spec);
	v = verdict_of(
	    &provider_minimax, &job, SUBMIT, 200, "submitted_number.json");
	CHECK_STR(v.provider_id, "176843862716480");
	provider_verdict_fini(&v);
	v = verdict_of(
	    &provider_minimax, &job, SUBMIT, 200, "refused_input.json");
	CHECK(v.provider_id == NULL);
	CHECK_STR(v.provider_message, "1026: input new_sensitive");
	provider_verdict_fini(&v);
	for (size_t i = 0; i < nitems(files); i++) {
		v = verdict_of(&provider_minimax, &job, POLL, 200, files[i]);
		job.refs = v.refs;
		check_request(&provider_minimax, RESULT, &job,
		    "GET " BASE
		    "/v1/files/retrieve?file_id=205258526306433\n" HEADERS);
		job.refs = NULL;
		provider_verdict_fini(&v);
	}
	v = verdict_of(&provider_minimax, &job, RESULT, 200, "file.json");
	CHECK_STR(v.result_url, "https://cdn.minimax.example/v.mp4?Expires=1");
	CHECK(!v.result_needs_key);
	provider_verdict_fini(&v);
	job.endpoint = "MiniMax-H3";
	v = verdict_of(&provider_minimax, &job, POLL, 200, "v2_success.json");
	CHECK_STR(v.result_url, "https://cdn.minimax.example/h3.mp4");
	CHECK(v.billable_units == 6);
	provider_verdict_fini(&v);
}

TEST(requests)
{
	struct json_object *params = parse(
	    "{\"input\":{\"prompt\":\"prompt\",\"duration\":\"duration\","
	    "\"resolution\":{\"field\":\"resolution\",\"values\":{\"768p\":"
	    "\"768P\"}},\"start_image\":\"first_frame_image\",\"end_image\":"
	    "\"last_frame_image\"},\"fixed\":{\"prompt_optimizer\":true},"
	    "\"options\":{\"group_id\":\"g&1\"}}");
	struct json_object *v2 =
	    parse("{\"input\":{\"duration\":\"duration\",\"aspect_ratio\":"
		  "\"ratio\",\"resolution\":{\"field\":\"resolution\","
		  "\"values\":{\"768p\":\"768P\"}}}}");
	struct json_object *refs = parse("{\"file_id\":\"7\"}");
	struct gen_spec spec;
	struct provider_job job;

	spec_init(&spec);
	spec.prompt = xstrdup("a cat");
	spec.duration_ms = 6000;
	str_copy(spec.resolution, sizeof spec.resolution, "768p");
	job = job_of(&spec);
	job.params = params;
	job.callback_url = "https://reeld.example/hooks/minimax/a/t";
	job.start = (struct provider_image){
	    .data = "abc", .len = 3, .mime = "image/jpeg"};
	job.end.url = "https://x.example/b.png";
	check_request(&provider_minimax, SUBMIT, &job,
	    "POST " BASE "/v1/video_generation\n" HEADERS JSON
	    "{\"model\":\"MiniMax-Hailuo-2.3\",\"prompt\":\"a cat\","
	    "\"duration\":6,\"resolution\":\"768P\",\"first_frame_image\":"
	    "\"data:image/jpeg;base64,YWJj\",\"last_frame_image\":"
	    "\"https://x.example/b.png\",\"prompt_optimizer\":true}");
	check_request(&provider_minimax, POLL, &job,
	    "GET " BASE
	    "/v1/query/video_generation?task_id=1768%26x%3D1\n" HEADERS);
	check_request(&provider_minimax, RESULT, &job, "error no_reference");
	job.refs = refs;
	check_request(&provider_minimax, RESULT, &job,
	    "GET " BASE "/v1/files/retrieve?file_id=7&GroupId=g%261\n" HEADERS);

	job.endpoint = "MiniMax-H3";
	job.params = v2;
	check_request(&provider_minimax, SUBMIT, &job,
	    "POST " BASE "/v2/video_generation\n" HEADERS JSON
	    "{\"model\":\"MiniMax-H3\",\"content\":[{\"type\":\"text\","
	    "\"text\":\"a cat\"},{\"type\":\"image_url\",\"image_url\":"
	    "{\"url\":\"data:image/jpeg;base64,YWJj\"},\"role\":"
	    "\"first_frame\"},{\"type\":\"image_url\",\"image_url\":"
	    "{\"url\":\"https://x.example/b.png\"},\"role\":\"last_frame\"}],"
	    "\"duration\":6,\"resolution\":\"768P\"}");
	job.start = job.end = (struct provider_image){0};
	check_request(
	    &provider_minimax, SUBMIT, &job, "error aspect_ratio_required");
	str_copy(spec.aspect_ratio, sizeof spec.aspect_ratio, "16:9");
	check_request(&provider_minimax, SUBMIT, &job,
	    "POST " BASE "/v2/video_generation\n" HEADERS JSON
	    "{\"model\":\"MiniMax-H3\",\"content\":[{\"type\":\"text\","
	    "\"text\":\"a cat\"}],\"duration\":6,\"ratio\":\"16:9\","
	    "\"resolution\":\"768P\"}");
	check_request(&provider_minimax, POLL, &job,
	    "GET " BASE "/v2/query/video_generation/1768%26x%3D1\n" HEADERS);
	check_request(&provider_minimax, CANCEL, &job, "error unsupported");
	job.base_url = "https://api.minimaxi.com";
	check_request(&provider_minimax, POLL, &job,
	    "GET https://api.minimaxi.com/v2/query/video_generation/"
	    "1768%26x%3D1\n" HEADERS);
	job.endpoint = "a/b";
	check_request(&provider_minimax, SUBMIT, &job, "error no_endpoint");
	job.provider_id = NULL;
	check_request(&provider_minimax, POLL, &job, "error no_reference");
	spec_fini(&spec);
	json_free(&params);
	json_free(&v2);
	json_free(&refs);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_reply),
	    cmocka_unit_test(what_is_kept),
	    cmocka_unit_test(requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
