/*
 * ComfyUI: graphs filled from templates, whole requests, every stored reply,
 * and the ways in which a prompt can be nowhere.
 */
#include "provider_unit.h"

#define BASE "http://127.0.0.1:8188"
#define HEAD "Accept: application/json\n"
#define JSON_HEAD HEAD "Content-Type: application/json\n\n"

static struct provider_job
job_of(struct gen_spec *spec)
{
	spec_init(spec);
	return (struct provider_job){
	    .spec = spec, .nonce = "n1", .provider_id = "p-1"};
}

static const struct want wants[] = {
    {PREPARE, 200, "uploaded.json", S(QUEUED), C(NONE), "", 0, SUBMIT},
    {PREPARE, 200, "error.html", S(BUSY), C(UNREADABLE), "http_200", 0, 0},
    {PREPARE, 400, "error.html", S(FAILED), C(BAD_INPUT), "http_400", 0, 0},
    {PREPARE, 502, "error.html", S(BUSY), C(PROVIDER), "http_502", 1, 0},
    {SUBMIT, 200, "submitted.json", S(QUEUED), C(NONE), "", 0, 0},
    /* It may have been accepted: looked for by our nonce. */
    {SUBMIT, 200, "submitted_no_id.json", S(UNKNOWN), C(UNREADABLE), "http_200",
	0, 0},
    {SUBMIT, 200, "error.html", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {SUBMIT, 502, "error.html", S(UNKNOWN), C(PROVIDER), "http_502", 1, 0},
    {SUBMIT, 400, "invalid.json", S(FAILED), C(BAD_INPUT), "http_400", 0, 0},
    {SUBMIT, 400, "no_prompt.json", S(FAILED), C(BAD_INPUT), "http_400", 0, 0},
    {SUBMIT, 401, "error.html", S(FAILED), C(ACCOUNT), "http_401", 0, 0},
    {SUBMIT, 429, "error.html", S(BUSY), C(RATE_LIMIT), "http_429", 1, 0},

    {POLL, 200, "empty.json", S(RUNNING), C(NONE), "", 0, RESULT},
    {POLL, 200, "history_others.json", S(RUNNING), C(NONE), "", 0, RESULT},
    {POLL, 200, "history_success.json", S(DONE), C(NONE), "", 0, 0},
    {POLL, 200, "history_images.json", S(DONE), C(NONE), "", 0, 0},
    {POLL, 200, "history_no_video.json", S(FAILED), C(PROVIDER),
	"no_media_generated", 1, 0},
    {POLL, 200, "history_error.json", S(FAILED), C(PROVIDER), "execution_error",
	0, 0},
    {POLL, 200, "history_memory.json", S(FAILED), C(PROVIDER),
	"execution_error", 1, 0},
    {POLL, 200, "truncated.json", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {POLL, 200, "error.html", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {POLL, 404, "error.html", S(UNKNOWN), C(NOT_FOUND), "http_404", 0, 0},
    {POLL, 502, "error.html", S(UNKNOWN), C(PROVIDER), "http_502", 1, 0},

    {RESULT, 200, "queue_pending.json", S(QUEUED), C(NONE), "", 0, 0},
    {RESULT, 200, "queue_running.json", S(RUNNING), C(NONE), "", 0, 0},
    /* It may have ended since the poll. */
    {RESULT, 200, "queue_empty.json", S(RUNNING), C(NONE), "", 0, 0},
    {RESULT, 200, "empty.json", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {RESULT, 404, "error.html", S(UNKNOWN), C(NOT_FOUND), "http_404", 0, 0},

    {FIND, 200, "queue_pending.json", S(QUEUED), C(NONE), "", 0, 0},
    {FIND, 200, "queue_running.json", S(RUNNING), C(NONE), "", 0, 0},
    {FIND, 200, "queue_empty.json", S(UNKNOWN), C(NONE), "", 0, 0},
    {FIND, 200, "empty.json", S(UNKNOWN), C(UNREADABLE), "http_200", 0, 0},
    {FIND, 502, "error.html", S(UNKNOWN), C(PROVIDER), "http_502", 1, 0},

    {CANCEL, 200, "empty.json", S(UNKNOWN), C(NONE), "", 0, POLL},
    {CANCEL, 502, "error.html", S(UNKNOWN), C(PROVIDER), "http_502", 1, POLL},
};

TEST(every_reply)
{
	struct gen_spec spec;
	struct provider_job job = job_of(&spec);
	struct provider_verdict v;

	job.start = (struct provider_image){.data = "foo", .len = 3};
	check_wants(&provider_comfyui, &job, wants, nitems(wants));
	check_cut_off(&provider_comfyui, &job, POLL, "history_success.json");
	check_cut_off(&provider_comfyui, &job, RESULT, "queue_pending.json");
	v = verdict_of(
	    &provider_comfyui, &job, POLL, 200, "history_interrupted.json");
	CHECK_INT(v.state, ==, PROVIDER_CANCELLED);
	provider_verdict_fini(&v);
}

TEST(what_is_kept)
{
	struct gen_spec spec;
	struct provider_job job = job_of(&spec);
	struct provider_verdict v =
	    verdict_of(&provider_comfyui, &job, SUBMIT, 200, "submitted.json");

	CHECK_STR(v.provider_id, "p-1");
	provider_verdict_fini(&v);
	/* Not the still, not the preview. */
	v = verdict_of(
	    &provider_comfyui, &job, POLL, 200, "history_success.json");
	CHECK_STR(v.result_url,
	    BASE "/view?filename=reel%2001.mp4&subfolder=a%26b&type=output");
	CHECK(v.result_needs_key);
	provider_verdict_fini(&v);
	v = verdict_of(
	    &provider_comfyui, &job, RESULT, 200, "queue_pending.json");
	CHECK_INT(v.queue_position, ==, 1);
	provider_verdict_fini(&v);
	v = verdict_of(
	    &provider_comfyui, &job, POLL, 200, "history_error.json");
	CHECK_STR(v.provider_message,
	    "KSampler: mat1 and mat2 shapes cannot be multiplied");
	provider_verdict_fini(&v);
	v = verdict_of(&provider_comfyui, &job, SUBMIT, 400, "invalid.json");
	CHECK(strstr(v.provider_message, "input text is missing") != NULL);
	provider_verdict_fini(&v);
}

/* Twice in neither place is lost; a deleted one is cancelled. */
TEST(nowhere)
{
	static const struct {
		const char *refs;
		enum provider_state state;
		const char *code;
	} rows[] = {
	    {"{}", S(RUNNING), ""},
	    {"{\"running\":true}", S(RUNNING), ""},
	    {"{\"missed\":true}", S(FAILED), "prompt_lost"},
	    {"{\"deleted\":true}", S(RUNNING), ""},
	    {"{\"missed\":true,\"deleted\":true}", S(CANCELLED), NULL},
	};
	struct gen_spec spec;
	struct provider_job job = job_of(&spec);
	bool flag;

	for (size_t i = 0; i < nitems(rows); i++) {
		struct json_object *refs = parse(rows[i].refs);
		struct provider_verdict v;

		job.refs = refs;
		v = verdict_of(
		    &provider_comfyui, &job, RESULT, 200, "queue_empty.json");
		CHECK_INT(v.state, ==, rows[i].state);
		if (rows[i].code != NULL)
			CHECK_STR(v.code, rows[i].code);
		if (v.state == PROVIDER_RUNNING) {
			CHECK(json_bool_at(v.refs, "missed", &flag) && flag);
			CHECK_INT(json_has(v.refs, "deleted"), ==,
			    json_has(refs, "deleted"));
		}
		provider_verdict_fini(&v);
		/* Seen again, it is not missed any more. */
		v = verdict_of(
		    &provider_comfyui, &job, RESULT, 200, "queue_running.json");
		CHECK_INT(v.state, ==, PROVIDER_RUNNING);
		CHECK(!json_has(v.refs, "missed"));
		provider_verdict_fini(&v);
		json_free(&refs);
	}
}

/* The queue first, then what has ended; absent only when in neither. */
TEST(find)
{
	struct json_object *refs = parse("{\"not_queued\":true}");
	struct gen_spec spec;
	struct provider_job job = job_of(&spec);
	struct provider_verdict v;
	bool flag;

	job.provider_id = NULL;
	check_request(
	    &provider_comfyui, FIND, &job, "GET " BASE "/queue\n" HEAD);
	v = verdict_of(
	    &provider_comfyui, &job, FIND, 200, "queue_pending.json");
	CHECK_STR(v.provider_id, "p-1");
	provider_verdict_fini(&v);
	v = verdict_of(&provider_comfyui, &job, FIND, 200, "queue_empty.json");
	CHECK(v.provider_id == NULL);
	CHECK(json_bool_at(v.refs, "not_queued", &flag) && flag);
	provider_verdict_fini(&v);
	job.refs = refs;
	check_request(&provider_comfyui, FIND, &job,
	    "GET " BASE "/history?max_items=200\n" HEAD);
	v = verdict_of(
	    &provider_comfyui, &job, FIND, 200, "history_success.json");
	CHECK_INT(v.state, ==, PROVIDER_RUNNING);
	CHECK_STR(v.provider_id, "p-1");
	CHECK_STR(v.code, "");
	provider_verdict_fini(&v);
	v = verdict_of(
	    &provider_comfyui, &job, FIND, 200, "history_others.json");
	CHECK_INT(v.state, ==, PROVIDER_FAILED);
	CHECK_INT(v.class, ==, PROVIDER_CLASS_NOT_FOUND);
	CHECK(v.provider_id == NULL);
	/* The next look starts with the queue again. */
	CHECK(!json_has(v.refs, "not_queued"));
	provider_verdict_fini(&v);
	v = verdict_of(&provider_comfyui, &job, FIND, 200, "error.html");
	CHECK_INT(v.state, ==, PROVIDER_UNKNOWN);
	provider_verdict_fini(&v);
	json_free(&refs);
}

static const char graph_params[] =
    "{\"input\":{\"prompt\":\"6.text\",\"seed\":\"Sampler.seed\","
    "\"start_image\":\"10.image\"},\"options\":{\"graph\":{"
    "\"6\":{\"class_type\":\"CLIPTextEncode\",\"inputs\":{\"text\":\"x\","
    "\"clip\":[\"4\",1]}},"
    "\"3\":{\"class_type\":\"KSampler\",\"inputs\":{\"seed\":1},"
    "\"_meta\":{\"title\":\"Sampler\"}},"
    "\"10\":{\"class_type\":\"LoadImage\",\"inputs\":{\"image\":\"a\"}}}}}";

TEST(graphs)
{
	struct json_object *params = parse(graph_params);
	struct json_object *refs = parse("{\"start_image\":\"clips/a.png\"}");
	struct gen_spec spec;
	struct provider_job job = job_of(&spec);
	char *text;

	spec.prompt = xstrdup("a \"cat\"");
	spec.has_seed = true;
	spec.seed = 5;
	job.params = params;
	check_request(&provider_comfyui, SUBMIT, &job,
	    "POST " BASE "/prompt\n" JSON_HEAD
	    "{\"prompt\":{\"6\":{\"class_type\":\"CLIPTextEncode\","
	    "\"inputs\":{\"text\":\"a \\\"cat\\\"\",\"clip\":[\"4\",1]}},"
	    "\"3\":{\"class_type\":\"KSampler\",\"inputs\":{\"seed\":5},"
	    "\"_meta\":{\"title\":\"Sampler\"}},"
	    "\"10\":{\"class_type\":\"LoadImage\",\"inputs\":{"
	    "\"image\":\"a\"}}},\"client_id\":\"n1\"}");
	/* Not without the image that was asked for. */
	job.start = (struct provider_image){.data = "foo", .len = 3};
	check_request(
	    &provider_comfyui, SUBMIT, &job, "error image_unavailable");
	job.refs = refs;
	text = request_text(&provider_comfyui, SUBMIT, &job);
	CHECK(strstr(text, "\"image\":\"clips/a.png\"") != NULL);
	free(text);
	/* Without a seed each job gets its own, and always the same. */
	spec.has_seed = false;
	text = request_text(&provider_comfyui, SUBMIT, &job);
	CHECK(strstr(text, "\"seed\":1}") == NULL);
	CHECK(strstr(text, "\"seed\":") != NULL);
	check_request(&provider_comfyui, SUBMIT, &job, text);
	job.nonce = "n2";
	char *other = request_text(&provider_comfyui, SUBMIT, &job);
	CHECK(strcmp(text, other) != 0);
	free(other);
	free(text);
	json_unset(json_obj_at(params, "options.graph"), "6");
	check_request(&provider_comfyui, SUBMIT, &job, "error bad_params");
	job.params = NULL;
	check_request(&provider_comfyui, SUBMIT, &job, "error bad_params");
	spec_fini(&spec);
	json_free(&params);
	json_free(&refs);
}

TEST(uploads)
{
	struct json_object *first = parse("{\"start_image\":\"a.png\"}");
	struct gen_spec spec;
	struct provider_job job = job_of(&spec);
	struct provider_verdict v;

	CHECK(!provider_wants_prepare(&provider_comfyui, &job));
	job.start = (struct provider_image){.data = "foo", .len = 3};
	job.end = (struct provider_image){
	    .data = "bar", .len = 3, .mime = "image/jpeg"};
	CHECK(provider_wants_prepare(&provider_comfyui, &job));
#define PART "--reeld-n1\r\nContent-Disposition: form-data; name="
#define FORM HEAD "Content-Type: multipart/form-data; boundary=reeld-n1\n\n"
#define REST                                  \
	PART "\"type\"\r\n\r\ninput\r\n" PART \
	     "\"overwrite\"\r\n\r\ntrue\r\n--reeld-n1--\r\n"
	check_request(&provider_comfyui, PREPARE, &job,
	    "POST " BASE "/upload/image\n" FORM PART
	    "\"image\"; filename=\"reeld-n1-start_image-image.png\"\r\n"
	    "Content-Type: image/png\r\n\r\nfoo\r\n" REST);
	v = verdict_of(
	    &provider_comfyui, &job, PREPARE, 200, "uploaded_folder.json");
	CHECK_STR(json_text_at(v.refs, "start_image"), "clips/a.png");
	CHECK_INT(v.next, ==, PROVIDER_STEP_PREPARE);
	provider_verdict_fini(&v);
	job.refs = first;
	check_request(&provider_comfyui, PREPARE, &job,
	    "POST " BASE "/upload/image\n" FORM PART
	    "\"image\"; filename=\"reeld-n1-end_image-image.jpg\"\r\n"
	    "Content-Type: image/jpeg\r\n\r\nbar\r\n" REST);
	v = verdict_of(&provider_comfyui, &job, PREPARE, 200, "uploaded.json");
	CHECK_STR(json_text_at(v.refs, "start_image"), "a.png");
	CHECK(json_text_at(v.refs, "end_image") != NULL);
	CHECK_INT(v.next, ==, PROVIDER_STEP_SUBMIT);
	provider_verdict_fini(&v);
	job.end = (struct provider_image){.url = "https://e.org/a.png"};
	check_request(
	    &provider_comfyui, PREPARE, &job, "error image_unavailable");
	json_free(&first);
}

TEST(requests)
{
	struct json_object *running = parse("{\"running\":true}");
	struct json_object *allowed =
	    parse("{\"options\":{\"interrupt\":true}}");
	struct gen_spec spec;
	struct provider_job job = job_of(&spec);
	struct fetch_spec out;
	struct err err = {0};

	check_request(
	    &provider_comfyui, POLL, &job, "GET " BASE "/history/p-1\n" HEAD);
	check_request(
	    &provider_comfyui, RESULT, &job, "GET " BASE "/queue\n" HEAD);
	check_request(&provider_comfyui, CANCEL, &job,
	    "POST " BASE "/queue\n" JSON_HEAD "{\"delete\":[\"p-1\"]}");
	/* Somebody else's prompt may be what runs. */
	job.refs = running;
	check_request(&provider_comfyui, CANCEL, &job,
	    "POST " BASE "/queue\n" JSON_HEAD "{\"delete\":[\"p-1\"]}");
	job.params = allowed;
	check_request(&provider_comfyui, CANCEL, &job,
	    "POST " BASE "/interrupt\n" JSON_HEAD "{\"prompt_id\":\"p-1\"}");
	job.base_url = "https://comfy.example/api";
	job.key = "t";
	job.provider_id = "../p";
	check_request(&provider_comfyui, POLL, &job,
	    "GET https://comfy.example/api/history/..%2Fp\n" HEAD
	    "Authorization: !Bearer t\n");
	CHECK(provider_download(&provider_comfyui, &job,
	    "https://comfy.example/api/view?filename=a.mp4", true, &out, &err));
	CHECK(out.trust == FETCH_PROVIDER);
	CHECK(out.headers[0].secret);
	fetch_spec_fini(&out);
	CHECK(!provider_download(&provider_comfyui, &job,
	    "https://evil.example/view?filename=a.mp4", true, &out, &err));
	job.provider_id = NULL;
	check_request(&provider_comfyui, POLL, &job, "error no_reference");
	check_request(&provider_comfyui, CANCEL, &job, "error no_reference");
	json_free(&running);
	json_free(&allowed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_reply),
	    cmocka_unit_test(what_is_kept),
	    cmocka_unit_test(nowhere),
	    cmocka_unit_test(find),
	    cmocka_unit_test(graphs),
	    cmocka_unit_test(uploads),
	    cmocka_unit_test(requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
