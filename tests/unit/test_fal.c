/*
 * fal.ai: requests built, and the verdict of every stored reply in
 * tests/data/fal at every step.
 */
#include <openssl/evp.h>
#include <stdlib.h>

#include "providers/internal.h"
#include "reeld/clock.h"
#include "reeld/mem.h"
#include "reeld/spec.h"
#include "unit.h"

static void
read_fixture(const char *name, struct buf *out)
{
	const char *srcdir = getenv("srcdir");
	char *path = xasprintf(
	    "%s/tests/data/fal/%s", srcdir != NULL ? srcdir : "..", name);
	FILE *file = fopen(path, "r");
	char chunk[4096];
	size_t n;

	if (file == NULL)
		fail_msg("no %s", path);
	while ((n = fread(chunk, 1, sizeof chunk, file)) > 0)
		buf_add(out, chunk, n);
	fclose(file);
	free(path);
}

static struct provider_job
job_of(struct gen_spec *spec)
{
	return (struct provider_job){.spec = spec,
	    .endpoint = "fal-ai/veo3.1/fast/image-to-video",
	    .key = "id:secret",
	    .provider_id = "r1"};
}

struct want {
	enum provider_step step;
	int status;
	const char *fixture, *header, *value;
	enum provider_state state;
	enum provider_class class;
	const char *code;
	bool may_retry;
	enum provider_step next;
};

#define SUBMIT PROVIDER_STEP_SUBMIT
#define POLL PROVIDER_STEP_POLL
#define RESULT PROVIDER_STEP_RESULT
#define CANCEL PROVIDER_STEP_CANCEL
#define C(x) PROVIDER_CLASS_##x
#define S(x) PROVIDER_##x

static const struct want wants[] = {
    {SUBMIT, 200, "submitted.json", NULL, NULL, S(QUEUED), C(NONE), "", 0, 0},
    {SUBMIT, 202, "submitted.json", NULL, NULL, S(QUEUED), C(NONE), "", 0, 0},
    /* It may have been accepted: never FAILED, never BUSY. */
    {SUBMIT, 200, "submitted_no_id.json", NULL, NULL, S(UNKNOWN), C(UNREADABLE),
	"http_200", 0, 0},
    {SUBMIT, 200, "error.html", NULL, NULL, S(UNKNOWN), C(UNREADABLE),
	"http_200", 0, 0},
    {SUBMIT, 200, "truncated.json", NULL, NULL, S(UNKNOWN), C(UNREADABLE),
	"http_200", 0, 0},
    {SUBMIT, 500, "detail_text.json", NULL, NULL, S(UNKNOWN), C(PROVIDER),
	"http_500", 1, 0},
    {SUBMIT, 502, "error.html", NULL, NULL, S(UNKNOWN), C(PROVIDER), "http_502",
	1, 0},
    {SUBMIT, 503, "runner.json", NULL, NULL, S(UNKNOWN), C(PROVIDER),
	"http_503", 1, 0},
    {SUBMIT, 504, "timeout.json", NULL, NULL, S(UNKNOWN), C(TIMEOUT),
	"http_504", 1, 0},
    {SUBMIT, 408, "detail_text.json", NULL, NULL, S(UNKNOWN), C(TIMEOUT),
	"http_408", 1, 0},
    {SUBMIT, 409, "detail_text.json", NULL, NULL, S(UNKNOWN), C(BAD_INPUT),
	"http_409", 0, 0},
    /* Surely not. */
    {SUBMIT, 429, "rate_limited.json", NULL, NULL, S(BUSY), C(RATE_LIMIT),
	"http_429", 1, 0},
    {SUBMIT, 422, "filtered.json", NULL, NULL, S(REFUSED), C(REFUSED),
	"content_policy_violation", 0, 0},
    {SUBMIT, 422, "missing.json", NULL, NULL, S(FAILED), C(BAD_INPUT),
	"missing", 0, 0},
    {SUBMIT, 422, "detail_text.json", NULL, NULL, S(FAILED), C(BAD_INPUT),
	"http_422", 0, 0},
    {SUBMIT, 401, "detail_text.json", NULL, NULL, S(FAILED), C(ACCOUNT),
	"http_401", 0, 0},
    {SUBMIT, 403, "filtered.json", NULL, NULL, S(FAILED), C(ACCOUNT),
	"http_403", 0, 0},
    {SUBMIT, 403, "locked.json", NULL, NULL, S(FAILED), C(FUNDS),
	"provider_funds", 0, 0},
    {SUBMIT, 402, "detail_text.json", NULL, NULL, S(FAILED), C(FUNDS),
	"http_402", 0, 0},
    {SUBMIT, 404, "detail_text.json", NULL, NULL, S(FAILED), C(NOT_FOUND),
	"http_404", 0, 0},

    {POLL, 202, "queued.json", NULL, NULL, S(QUEUED), C(NONE), "", 0, 0},
    {POLL, 202, "running.json", NULL, NULL, S(RUNNING), C(NONE), "", 0, 0},
    {POLL, 200, "completed.json", NULL, NULL, S(RUNNING), C(NONE), "", 0,
	RESULT},
    {POLL, 200, "completed_error.json", NULL, NULL, S(RUNNING), C(NONE), "", 0,
	RESULT},
    {POLL, 200, "new_status.json", NULL, NULL, S(UNKNOWN), C(NONE), "", 0, 0},
    /* No trouble of a poll may end a paid job. */
    {POLL, 200, "error.html", NULL, NULL, S(UNKNOWN), C(UNREADABLE), "http_200",
	0, 0},
    {POLL, 200, "truncated.json", NULL, NULL, S(UNKNOWN), C(UNREADABLE),
	"http_200", 0, 0},
    {POLL, 500, "runner.json", NULL, NULL, S(UNKNOWN), C(PROVIDER), "http_500",
	1, 0},
    {POLL, 401, "detail_text.json", NULL, NULL, S(UNKNOWN), C(ACCOUNT),
	"http_401", 0, 0},
    {POLL, 429, "rate_limited.json", NULL, NULL, S(BUSY), C(RATE_LIMIT),
	"http_429", 1, 0},
    {POLL, 404, "expired.json", NULL, NULL, S(FAILED), C(NOT_FOUND), "http_404",
	0, 0},
    {RESULT, 404, "expired.json", NULL, NULL, S(FAILED), C(NOT_FOUND),
	"http_404", 0, 0},
    {POLL, 404, "detail_text.json", NULL, NULL, S(FAILED), C(NOT_FOUND),
	"http_404", 0, 0},

    {RESULT, 200, "success.json", NULL, NULL, S(DONE), C(NONE), "", 0, 0},
    {RESULT, 200, "success_list.json", NULL, NULL, S(DONE), C(NONE), "", 0, 0},
    {RESULT, 200, "no_video.json", NULL, NULL, S(FAILED), C(PROVIDER),
	"no_media_generated", 0, 0},
    {RESULT, 200, "truncated.json", NULL, NULL, S(UNKNOWN), C(UNREADABLE),
	"http_200", 0, 0},
    {RESULT, 422, "filtered.json", "X-Fal-Retryable", "false", S(REFUSED),
	C(REFUSED), "content_policy_violation", 0, 0},
    {RESULT, 422, "no_media.json", NULL, NULL, S(FAILED), C(PROVIDER),
	"no_media_generated", 0, 0},
    {RESULT, 422, "image_too_small.json", NULL, NULL, S(FAILED), C(BAD_INPUT),
	"image_too_small", 0, 0},
    {RESULT, 422, "value_error.json", NULL, NULL, S(FAILED), C(BAD_INPUT),
	"value_error.const", 0, 0},
    {RESULT, 422, "new_type.json", NULL, NULL, S(FAILED), C(PROVIDER),
	"brand_new_type", 0, 0},
    {RESULT, 422, "new_type.json", "X-Fal-Retryable", "true", S(FAILED),
	C(PROVIDER), "brand_new_type", 1, 0},
    {RESULT, 422, "detail_text.json", NULL, NULL, S(FAILED), C(BAD_INPUT),
	"http_422", 0, 0},
    {RESULT, 503, "runner.json", NULL, NULL, S(FAILED), C(PROVIDER),
	"runner_disconnected", 1, 0},
    {RESULT, 503, "runner.json", "X-Fal-Retryable", "false", S(FAILED),
	C(PROVIDER), "runner_disconnected", 0, 0},
    {RESULT, 503, "runner.json", "X-Fal-Needs-Retry", "0", S(FAILED),
	C(PROVIDER), "runner_disconnected", 0, 0},
    {RESULT, 504, "timeout.json", "x-fal-request-timeout-type", "user",
	S(FAILED), C(TIMEOUT), "request_timeout", 0, 0},
    {RESULT, 500, "detail_text.json", "X-Fal-Error-Type",
	"internal_server_error", S(FAILED), C(PROVIDER),
	"internal_server_error", 1, 0},
    {RESULT, 499, "cancelled.json", NULL, NULL, S(CANCELLED), C(CANCELLED),
	"client_cancelled", 0, 0},
    {RESULT, 502, "error.html", NULL, NULL, S(UNKNOWN), C(PROVIDER), "http_502",
	1, 0},
    {RESULT, 500, "detail_text.json", NULL, NULL, S(UNKNOWN), C(PROVIDER),
	"http_500", 1, 0},
    {RESULT, 404, "detail_text.json", NULL, NULL, S(FAILED), C(NOT_FOUND),
	"http_404", 0, 0},
    {RESULT, 403, "detail_text.json", NULL, NULL, S(UNKNOWN), C(ACCOUNT),
	"http_403", 0, 0},

    /* A cancel only promises: the poll that follows knows. */
    {CANCEL, 202, "cancel_requested.json", NULL, NULL, S(UNKNOWN), C(NONE), "",
	0, POLL},
    {CANCEL, 400, "cancel_late.json", NULL, NULL, S(UNKNOWN), C(NONE), "", 0,
	POLL},
    {CANCEL, 404, "detail_text.json", NULL, NULL, S(UNKNOWN), C(NOT_FOUND),
	"http_404", 0, POLL},
    {CANCEL, 500, "error.html", NULL, NULL, S(UNKNOWN), C(PROVIDER), "http_500",
	1, POLL},
};

TEST(every_reply)
{
	struct gen_spec spec;
	struct provider_job job;

	spec_init(&spec);
	job = job_of(&spec);
	for (size_t i = 0; i < nitems(wants); i++) {
		const struct want *want = &wants[i];
		struct fetch_header header = {
		    (char *)want->header, (char *)want->value, false};
		struct fetch_reply reply = {.status = want->status,
		    .sent = FETCH_ANSWERED,
		    .headers = &header,
		    .n_headers = want->header != NULL};
		struct provider_verdict verdict;

		buf_init(&reply.body, 1 << 20);
		read_fixture(want->fixture, &reply.body);
		provider_read(
		    &provider_fal, want->step, &job, &reply, NULL, &verdict);
		if (verdict.state != want->state ||
		    verdict.class != want->class ||
		    strcmp(verdict.code, want->code) != 0 ||
		    verdict.may_retry != want->may_retry ||
		    verdict.next != want->next)
			fail_msg("%s %d %s: %s %s %s retry %d next %d",
			    provider_step_name(want->step), want->status,
			    want->fixture, provider_state_name(verdict.state),
			    provider_class_name(verdict.class), verdict.code,
			    verdict.may_retry, (int)verdict.next);
		if (verdict.class != PROVIDER_CLASS_NONE)
			CHECK(verdict.user_message[0] != '\0');
		provider_verdict_fini(&verdict);
		provider_verdict_fini(&verdict);
		buf_fini(&reply.body);
	}
}

static struct provider_verdict
read_one(enum provider_step step, int status, const char *fixture)
{
	struct gen_spec spec;
	struct provider_job job;
	struct fetch_reply reply = {.status = status, .sent = FETCH_ANSWERED};
	struct provider_verdict verdict;

	spec_init(&spec);
	job = job_of(&spec);
	buf_init(&reply.body, 1 << 20);
	read_fixture(fixture, &reply.body);
	provider_read(&provider_fal, step, &job, &reply, NULL, &verdict);
	buf_fini(&reply.body);
	return verdict;
}

TEST(what_is_kept)
{
	struct provider_verdict v = read_one(SUBMIT, 200, "submitted.json");

	CHECK_STR(v.provider_id, "764cabcf-b745-4b3e-ae38-1200304cf45b");
	CHECK_INT(v.queue_position, ==, 3);
	CHECK_STR(json_text_at(v.refs, "cancel_url"),
	    "https://queue.fal.run/fal-ai/veo3.1/requests/"
	    "764cabcf-b745-4b3e-ae38-1200304cf45b/cancel");
	provider_verdict_fini(&v);
	/* Addresses elsewhere would get our key. */
	v = read_one(SUBMIT, 200, "submitted_elsewhere.json");
	CHECK_INT(v.state, ==, PROVIDER_QUEUED);
	CHECK_INT(json_count(v.refs), ==, 0);
	provider_verdict_fini(&v);
	v = read_one(RESULT, 200, "success.json");
	CHECK_STR(
	    v.result_url, "https://v3b.fal.media/files/b/monkey/output.mp4");
	CHECK(!v.result_needs_key);
	CHECK(json_text_at(v.result, "actual_prompt") != NULL);
	provider_verdict_fini(&v);
	v = read_one(POLL, 202, "queued.json");
	CHECK_INT(v.queue_position, ==, 2);
	CHECK_STR(v.status, "IN_QUEUE");
	provider_verdict_fini(&v);
}

TEST(lost_answers)
{
	static const struct {
		enum provider_step step;
		enum fetch_sent sent;
		const char *name;
		enum provider_state state;
	} rows[] = {
	    {SUBMIT, FETCH_NOT_SENT, "dns_failed", S(BUSY)},
	    {SUBMIT, FETCH_NOT_SENT, "connect_timeout", S(BUSY)},
	    {SUBMIT, FETCH_NOT_SENT, "url_forbidden", S(FAILED)},
	    {SUBMIT, FETCH_MAYBE_SENT, "timeout", S(UNKNOWN)},
	    {SUBMIT, FETCH_MAYBE_SENT, "connection_lost", S(UNKNOWN)},
	    {SUBMIT, FETCH_ANSWERED, "short_body", S(UNKNOWN)},
	    {POLL, FETCH_NOT_SENT, "dns_failed", S(BUSY)},
	    {POLL, FETCH_MAYBE_SENT, "timeout", S(UNKNOWN)},
	    {POLL, FETCH_NOT_SENT, "url_forbidden", S(UNKNOWN)},
	};
	struct gen_spec spec;
	struct provider_job job;

	spec_init(&spec);
	job = job_of(&spec);
	for (size_t i = 0; i < nitems(rows); i++) {
		struct fetch_reply reply = {.sent = rows[i].sent};
		struct provider_verdict verdict;
		struct err err = {0};

		(void)err_set_name(
		    &err, ERR_UPSTREAM, rows[i].name, "It did not work");
		provider_read(
		    &provider_fal, rows[i].step, &job, &reply, &err, &verdict);
		if (verdict.state != rows[i].state)
			fail_msg("%s: %s", rows[i].name,
			    provider_state_name(verdict.state));
		CHECK_STR(verdict.code, rows[i].name);
		provider_verdict_fini(&verdict);
	}
}

static struct json_object *
parse(const char *text)
{
	struct json_object *obj;

	CHECK(json_parse(text, strlen(text), 1 << 16, &obj, NULL));
	return obj;
}

TEST(submit_request)
{
	static const char params[] =
	    "{\"input\":{\"prompt\":\"prompt\",\"start_image\":\"image_url\","
	    "\"duration\":{\"field\":\"duration\",\"suffix\":\"s\"},"
	    "\"audio\":\"generate_audio\",\"seed\":\"seed\","
	    "\"images\":\"image_urls[]\",\"fps\":\"video.fps\","
	    "\"resolution\":{\"field\":\"quality\",\"values\":{\"720p\":"
	    "\"std\"}},\"negative_prompt\":\"negative_prompt\"},"
	    "\"fixed\":{\"auto_fix\":true}}";
	struct json_object *map = parse(params), *body;
	struct gen_spec spec;
	struct provider_job job;
	struct fetch_spec out;
	struct err err = {0};

	spec_init(&spec);
	spec.prompt = xstrdup("a \"cat\"");
	spec.duration_ms = 8000;
	spec.audio = GEN_AUDIO_ON;
	spec.has_seed = true;
	spec.seed = INT64_MAX;
	spec.fps = 24;
	str_copy(spec.resolution, sizeof spec.resolution, "720p");
	job = job_of(&spec);
	job.params = map;
	job.start.url = "https://example.org/a.png?x=1&y=2";
	job.callback_url = "https://reeld.example/hooks/fal/a/t?x=1";
	CHECK(provider_build(&provider_fal, SUBMIT, &job, &out, &err));
	CHECK_STR(out.method, "POST");
	CHECK_STR(out.url,
	    "https://queue.fal.run/fal-ai/veo3.1/fast/image-to-video"
	    "?fal_webhook=https%3A%2F%2Freeld.example%2Fhooks%2Ffal%2Fa%2Ft"
	    "%3Fx%3D1");
	body = parse(out.body);
	CHECK_STR(json_text_at(body, "prompt"), "a \"cat\"");
	CHECK_STR(json_text_at(body, "duration"), "8s");
	CHECK_STR(json_text_at(body, "quality"), "std");
	CHECK_STR(json_text_at(body, "image_url"), job.start.url);
	CHECK_STR(json_text_at(body, "image_urls.0"), job.start.url);
	CHECK(strstr(out.body, "9223372036854775807") != NULL);
	CHECK(strstr(out.body, "\"generate_audio\":true") != NULL);
	CHECK(strstr(out.body, "\"auto_fix\":true") != NULL);
	CHECK(strstr(out.body, "\"fps\":24") != NULL);
	CHECK(!json_has(body, "negative_prompt"));
	json_free(&body);
	for (int i = 0; i < out.n_headers; i++) {
		if (strcmp(out.headers[i].name, "Authorization") == 0) {
			CHECK_STR(out.headers[i].value, "Key id:secret");
			CHECK(out.headers[i].secret);
		}
	}
	fetch_spec_fini(&out);
	/* A value without a word is refused, not dropped. */
	str_copy(spec.resolution, sizeof spec.resolution, "4k");
	CHECK(!provider_build(&provider_fal, SUBMIT, &job, &out, &err));
	CHECK_STR(err.name, "bad_params");
	job.key = "";
	CHECK(!provider_build(&provider_fal, SUBMIT, &job, &out, &err));
	CHECK_STR(err.name, "no_key");
	job.key = "k";
	job.params = NULL;
	job.endpoint = "../admin";
	CHECK(!provider_build(&provider_fal, SUBMIT, &job, &out, &err));
	CHECK_STR(err.name, "no_endpoint");
	spec_fini(&spec);
	json_free(&map);
}

TEST(request_urls)
{
	static const struct {
		const char *endpoint, *url;
	} rows[] = {
	    {"fal-ai/veo3.1/fast/image-to-video",
		"https://queue.fal.run/fal-ai/veo3.1/requests/r1/status"},
	    {"fal-ai/veo3.1",
		"https://queue.fal.run/fal-ai/veo3.1/requests/r1/status"},
	    {"workflows/me/flow/x",
		"https://queue.fal.run/workflows/me/flow/requests/r1/"
		"status"},
	};
	struct json_object *refs =
	    parse("{\"status_url\":\"https://queue.fal.run/a/b/requests/r1/"
		  "status\"}");
	struct json_object *evil =
	    parse("{\"status_url\":\"https://evil.example/status\"}");
	struct gen_spec spec;
	struct provider_job job;
	struct fetch_spec out;
	struct err err = {0};

	spec_init(&spec);
	job = job_of(&spec);
	for (size_t i = 0; i < nitems(rows); i++) {
		job.endpoint = rows[i].endpoint;
		CHECK(provider_build(&provider_fal, POLL, &job, &out, &err));
		CHECK_STR(out.url, rows[i].url);
		fetch_spec_fini(&out);
	}
	job.refs = refs;
	CHECK(provider_build(&provider_fal, POLL, &job, &out, &err));
	CHECK_STR(out.url, "https://queue.fal.run/a/b/requests/r1/status");
	fetch_spec_fini(&out);
	job.refs = evil;
	CHECK(provider_build(&provider_fal, CANCEL, &job, &out, &err));
	CHECK_STR(out.method, "PUT");
	CHECK(strstr(out.url, "evil") == NULL);
	fetch_spec_fini(&out);
	job.provider_id = NULL;
	job.refs = NULL;
	CHECK(!provider_build(&provider_fal, POLL, &job, &out, &err));
	json_free(&refs);
	json_free(&evil);
}

/* --- webhook ----------------------------------------------------------------
 */

struct headers {
	const char *id, *user, *time, *signature;
};

static const char *
header_of(const char *name, void *arg)
{
	struct headers *self = arg;

	return strcasecmp(name, "x-fal-webhook-request-id") == 0 ? self->id
	    : strcasecmp(name, "x-fal-webhook-user-id") == 0	 ? self->user
	    : strcasecmp(name, "x-fal-webhook-timestamp") == 0	 ? self->time
	    : strcasecmp(name, "x-fal-webhook-signature") == 0 ? self->signature
							       : NULL;
}

TEST(webhook)
{
	static const uint8_t seed[32] = {1, 2, 3};
	EVP_PKEY *key =
	    EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t public_key[32], signature[64];
	size_t public_len = sizeof public_key, len = sizeof signature;
	char x[48], hex[129], digest[65], message[512], jwks[256];
	struct headers headers = {"r1", "user-1", "1700000000", hex};
	struct provider_hook hook = {
	    .header = header_of, .arg = &headers, .now_ms = 1700000000000};
	struct json_object *keys;
	struct err err = {0};
	struct buf body;

	buf_init(&body, 1 << 16);
	read_fixture("webhook_ok.json", &body);
	hook.body = body.data;
	hook.len = body.len;
	CHECK(EVP_PKEY_get_raw_public_key(key, public_key, &public_len) == 1);
	b64url_encode(x, public_key, 32);
	snprintf(jwks, sizeof jwks,
	    "{\"keys\":[{\"x\":\"AAAA\"},{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
	    "\"x\":\"%s\"}]}",
	    x);
	keys = parse(jwks);
	sha256_hex(body.data, body.len, digest);
	snprintf(message, sizeof message, "r1\nuser-1\n1700000000\n%s", digest);
	CHECK(EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1);
	CHECK(EVP_DigestSign(ctx, signature, &len, (uint8_t *)message,
		  strlen(message)) == 1);
	hex_encode(hex, signature, 64);

	CHECK(provider_fal.verify(&hook, keys, &err));
	hook.now_ms += 299 * 1000;
	CHECK(provider_fal.verify(&hook, keys, &err));
	hook.now_ms += 2000;
	CHECK(!provider_fal.verify(&hook, keys, &err));
	CHECK_STR(err.name, "stale_signature");
	hook.now_ms -= 602 * 1000;
	CHECK(!provider_fal.verify(&hook, keys, &err));
	hook.now_ms = 1700000000000;
	headers.user = "user-2";
	CHECK(!provider_fal.verify(&hook, keys, &err));
	CHECK_STR(err.name, "bad_signature");
	headers.user = "user-1";
	body.data[5] ^= 1;
	CHECK(!provider_fal.verify(&hook, keys, &err));
	body.data[5] ^= 1;
	CHECK(!provider_fal.verify(&hook, NULL, &err));
	headers.signature = "00";
	CHECK(!provider_fal.verify(&hook, keys, &err));
	headers.signature = NULL;
	CHECK(!provider_fal.verify(&hook, keys, &err));
	CHECK_STR(err.name, "unsigned");
	json_free(&keys);
	buf_fini(&body);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
}

TEST(webhook_hurries_a_poll)
{
	struct gen_spec spec;
	struct provider_job job;
	struct provider_verdict verdict;
	struct json_object *doc;
	struct err err = {0};
	struct buf body;

	spec_init(&spec);
	job = job_of(&spec);
	job.provider_id = NULL;
	buf_init(&body, 1 << 16);
	read_fixture("webhook_ok.json", &body);
	doc = parse(body.data);
	provider_verdict_init(&verdict);
	CHECK(provider_fal.hook(&job, doc, &verdict, &err));
	CHECK_INT(verdict.next, ==, PROVIDER_STEP_POLL);
	CHECK_STR(verdict.provider_id, "764cabcf-b745-4b3e-ae38-1200304cf45b");
	CHECK(verdict.result != NULL);
	provider_verdict_fini(&verdict);
	json_set_text(doc, "status", "ERROR");
	CHECK(provider_fal.hook(&job, doc, &verdict, &err));
	CHECK(verdict.result == NULL);
	provider_verdict_fini(&verdict);
	job.provider_id = "another";
	CHECK(!provider_fal.hook(&job, doc, &verdict, &err));
	json_free(&doc);
	doc = json_new();
	CHECK(!provider_fal.hook(&job, doc, &verdict, &err));
	json_free(&doc);
	buf_fini(&body);
}

/* Units alone are no money: the route says what one costs. */
TEST(what_it_cost)
{
	static const struct {
		const char *units, *params;
		int64_t micro_usd;
	} rows[] = {
	    {"5", "{\"options\":{\"unit_micro_usd\":70000}}", 350000},
	    {"0.125", "{\"options\":{\"unit_micro_usd\":400000}}", 50000},
	    {"0", "{\"options\":{\"unit_micro_usd\":70000}}", 0},
	    {"5", "{}", -1},
	    {"5", "{\"options\":{\"unit_micro_usd\":-1}}", -1},
	    {"5", "{\"options\":{\"unit_micro_usd\":\"7\"}}", -1},
	    {"-5", "{\"options\":{\"unit_micro_usd\":70000}}", -1},
	    {"five", "{\"options\":{\"unit_micro_usd\":70000}}", -1},
	};
	struct gen_spec spec;
	struct provider_job job = job_of(&spec);

	for (size_t i = 0; i < nitems(rows); i++) {
		struct fetch_header header = {"X-Fal-Billable-Units",
		    (char *)(uintptr_t)rows[i].units, false};
		struct fetch_reply reply = {.status = 200,
		    .sent = FETCH_ANSWERED,
		    .headers = &header,
		    .n_headers = 1};
		struct json_object *params;
		struct provider_verdict v;

		CHECK(json_parse(rows[i].params, strlen(rows[i].params), 200,
		    &params, NULL));
		job.params = params;
		buf_init(&reply.body, 1 << 20);
		read_fixture("success.json", &reply.body);
		provider_read(&provider_fal, RESULT, &job, &reply, NULL, &v);
		CHECK_INT(v.cost_micro_usd, ==, rows[i].micro_usd);
		provider_verdict_fini(&v);
		buf_fini(&reply.body);
		json_free(&params);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_reply),
	    cmocka_unit_test(what_is_kept),
	    cmocka_unit_test(lost_answers),
	    cmocka_unit_test(what_it_cost),
	    cmocka_unit_test(submit_request),
	    cmocka_unit_test(request_urls),
	    cmocka_unit_test(webhook),
	    cmocka_unit_test(webhook_hurries_a_poll),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
