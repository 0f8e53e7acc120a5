/*
 * What every adapter owes the engine, whatever comes back: no crash, no paid
 * job ended or repeated by an answer that is none, no success without a file,
 * text that can be stored.
 */
#include "provider_unit.h"

/* Documents that are JSON, and not what was asked for. */
static const char *const odd[] = {
    "",
    " ",
    "null",
    "[]",
    "{}",
    "\"completed\"",
    "{\"status\":null,\"state\":null,\"id\":null}",
    "{\"status\":7,\"state\":[],\"id\":{},\"task_id\":-1,\"name\":true}",
    "{\"status\":\"\",\"state\":\"\",\"id\":\"\",\"task_id\":\"\"}",
    "{\"task\":null,\"error\":null,\"output\":null,\"detail\":null}",
    "{\"task\":[1],\"error\":[1],\"output\":[[1]],\"detail\":[[]]}",
    "{\"error\":\"x\",\"message\":5,\"detail\":{\"a\":1}}",
    "{\"error\":{\"code\":1e308,\"message\":[]}}",
    "{\"base_resp\":{\"status_code\":9223372036854775807}}",
    "{\"base_resp\":{\"status_code\":-1,\"status_msg\":7}}",
    "{\"base_resp\":{\"status_code\":0},\"task_id\":1e400}",
    "<html>busy</html>",
    "\xff\xfe\x00{",
    "{\"id\":\"a\",\"id\":",
};

/* A word that means success somewhere, and nothing to show for it. */
static const char *const empty_success[] = {
    "{\"status\":\"SUCCEEDED\",\"output\":[]}",
    "{\"status\":\"SUCCEEDED\",\"output\":[null]}",
    "{\"status\":\"succeeded\",\"output\":null}",
    "{\"status\":\"succeeded\",\"output\":{\"video\":\"\"}}",
    "{\"status\":\"Success\",\"file_id\":0,\"base_resp\":{\"status_code\":0}}",
    "{\"state\":\"completed\",\"assets\":null,\"output\":[]}",
    "{\"state\":\"completed\",\"assets\":{},\"output\":[{\"url\":\"\"}]}",
    "{\"task\":{\"status\":\"succeeded\",\"content\":{\"url\":\"\"}}}",
    "{\"done\":true}",
    "{\"done\":true,\"response\":{}}",
    "{\"status\":\"COMPLETED\"}",
};

static struct provider_verdict
read_text(const struct provider *provider, const struct provider_job *job,
    enum provider_step step, int status, const char *text, size_t len)
{
	struct fetch_reply reply = {.status = status, .sent = FETCH_ANSWERED};
	struct provider_verdict v;

	buf_init(&reply.body, 1 << 20);
	buf_add(&reply.body, text, len);
	provider_read(provider, step, job, &reply, NULL, &v);
	buf_fini(&reply.body);
	return v;
}

static void
check_sane(const struct provider *provider, enum provider_step step, int status,
    const char *text, const struct provider_verdict *v)
{
	const char *what = NULL;

	if (v->state == PROVIDER_DONE && v->result_url == NULL)
		what = "done without a file";
	else if (v->state == PROVIDER_DONE && v->result_url[0] == '\0')
		what = "done with an empty address";
	else if (v->progress < -1 || v->progress > 100)
		what = "progress out of range";
	else if (v->queue_position < -1)
		what = "queue position out of range";
	else if (v->retry_after_s < 0 || v->retry_after_s > 600)
		what = "waiting time out of range";
	else if (v->cost_micro_usd < -1)
		what = "a negative cost";
	else if (!utf8_valid(
		     v->provider_message, strlen(v->provider_message)) ||
	    !utf8_valid(v->status, strlen(v->status)) ||
	    !utf8_valid(v->code, strlen(v->code)))
		what = "text that can't be stored";
	else if ((v->state == PROVIDER_FAILED ||
		     v->state == PROVIDER_REFUSED) &&
	    (v->class == PROVIDER_CLASS_NONE || v->code[0] == '\0' ||
		v->user_message[0] == '\0'))
		what = "an end without a reason";
	else if (v->state == PROVIDER_REFUSED && v->may_retry)
		what = "a refusal that invites to retry";
	if (what != NULL)
		fail_msg("%s %s %d %.60s: %s", provider->name,
		    provider_step_name(step), status, text, what);
}

/* Neither ends nor repeats what may have been paid for. */
static void
check_open(const struct provider *provider, enum provider_step step, int status,
    const char *text, const struct provider_verdict *v)
{
	if (step == PREPARE || step == CANCEL)
		return;
	if (v->state == PROVIDER_FAILED || v->state == PROVIDER_REFUSED ||
	    v->state == PROVIDER_DONE ||
	    (step == SUBMIT && v->state == PROVIDER_BUSY))
		fail_msg("%s %s %d %.60s: %s", provider->name,
		    provider_step_name(step), status, text,
		    provider_state_name(v->state));
}

typedef void each_fn(const struct provider *provider,
    const struct provider_job *job, enum provider_step step);

static void
each_step(each_fn *fn)
{
	static const char *const endpoints[] = {"a/b", "MiniMax-H3"};
	struct gen_spec spec;
	struct provider_job job;
	size_t adapters = 0;

	spec_init(&spec);
	for (size_t i = 0; provider_at(i) != NULL; i++) {
		const struct provider *provider = provider_at(i);

		if (provider->transport != PROVIDER_HTTP)
			continue;
		adapters++;
		for (size_t e = 0; e < nitems(endpoints); e++) {
			job = (struct provider_job){.spec = &spec,
			    .endpoint = endpoints[e],
			    .key = "k",
			    .nonce = "n",
			    .base_url = "https://api.example",
			    .provider_id = "p1",
			    .now_ms = 1700000000000};
			for (int step = PREPARE; step < PROVIDER_STEPS;
			     step++) {
				if (provider_has_step(provider, step))
					fn(provider, &job, step);
			}
		}
	}
	CHECK_INT(adapters, >=, 8);
}

static void
try_odd(const struct provider *provider, const struct provider_job *job,
    enum provider_step step)
{
	static const int statuses[] = {200, 202, 204, 301, 400, 401, 402, 403,
	    404, 408, 409, 410, 413, 422, 425, 429, 499, 500, 502, 503, 504,
	    529, 599};

	for (size_t i = 0; i < nitems(odd); i++) {
		for (size_t s = 0; s < nitems(statuses); s++) {
			struct provider_verdict v = read_text(provider, job,
			    step, statuses[s], odd[i], strlen(odd[i]));

			check_sane(provider, step, statuses[s], odd[i], &v);
			provider_verdict_fini(&v);
		}
	}
}

TEST(odd_documents)
{
	each_step(try_odd);
}

static void
try_lost(const struct provider *provider, const struct provider_job *job,
    enum provider_step step)
{
	static const char html[] = "<html><body>Bad gateway</body></html>";
	/* What says nothing about the job, for certain. */
	static const int statuses[] = {
	    200, 408, 409, 425, 500, 502, 504, 520, 599};

	for (size_t s = 0; s < nitems(statuses); s++) {
		struct provider_verdict v = read_text(
		    provider, job, step, statuses[s], html, strlen(html));

		check_open(provider, step, statuses[s], html, &v);
		provider_verdict_fini(&v);
	}
}

TEST(a_gateways_page_decides_nothing)
{
	each_step(try_lost);
}

static void
try_statuses(const struct provider *provider, const struct provider_job *job,
    enum provider_step step)
{
	struct provider_verdict v;

	if (step == SUBMIT) {
		v = read_text(provider, job, step, 429, "{}", 2);
		CHECK_INT(v.state, ==, PROVIDER_BUSY);
		CHECK_INT(v.class, ==, PROVIDER_CLASS_RATE_LIMIT);
		provider_verdict_fini(&v);
		v = read_text(provider, job, step, 401, "{}", 2);
		CHECK_INT(v.state, ==, PROVIDER_FAILED);
		CHECK_INT(v.class, ==, PROVIDER_CLASS_ACCOUNT);
		provider_verdict_fini(&v);
	} else if (step == POLL) {
		/* A key that was changed must not end what runs. */
		v = read_text(provider, job, step, 401, "{}", 2);
		check_open(provider, step, 401, "{}", &v);
		provider_verdict_fini(&v);
		v = read_text(provider, job, step, 429, "{}", 2);
		CHECK_INT(v.state, ==, PROVIDER_BUSY);
		provider_verdict_fini(&v);
	}
}

TEST(statuses_without_a_word)
{
	each_step(try_statuses);
}

static void
try_empty(const struct provider *provider, const struct provider_job *job,
    enum provider_step step)
{
	if (step != POLL && step != RESULT)
		return;
	for (size_t i = 0; i < nitems(empty_success); i++) {
		struct provider_verdict v = read_text(provider, job, step, 200,
		    empty_success[i], strlen(empty_success[i]));

		check_sane(provider, step, 200, empty_success[i], &v);
		/* OpenAI's shape has the file at an address of its own. */
		if (v.state == PROVIDER_DONE && !v.result_needs_key)
			fail_msg(
			    "%s: %s is done", provider->name, empty_success[i]);
		provider_verdict_fini(&v);
	}
}

TEST(done_without_a_video)
{
	each_step(try_empty);
}

/* Every adapter's own replies, with bytes changed. */
static void
try_mutants(const struct provider *provider, const struct provider_job *job,
    enum provider_step step)
{
	static const char *const names[] = {
	    "success.json", "submitted.json", "failed.json", "filtered.json"};
	static const char bytes[] = "\"{}[]:,0-9.eE\\u\n\xc3\xff truefalsn";
	uint32_t seed = 1;

	for (size_t i = 0; i < nitems(names); i++) {
		const char *srcdir = getenv("srcdir");
		char *path = xasprintf("%s/tests/data/%s/%s",
		    srcdir != NULL ? srcdir : "..", provider->name, names[i]);
		FILE *file = fopen(path, "r");
		struct buf whole;

		free(path);
		if (file == NULL)
			continue;
		fclose(file);
		fixture_read(provider->name, names[i], &whole);
		for (int round = 0; round < 300 && whole.len > 0; round++) {
			char *text = xmemdup(whole.data, whole.len);
			struct provider_verdict v;

			for (int n = round % 4; n >= 0; n--) {
				seed = seed * 1664525 + 1013904223;
				text[(seed >> 8) % whole.len] =
				    bytes[(seed >> 3) % (sizeof bytes - 1)];
			}
			v = read_text(
			    provider, job, step, 200, text, whole.len);
			check_sane(provider, step, 200, names[i], &v);
			provider_verdict_fini(&v);
			free(text);
		}
		buf_fini(&whole);
	}
}

TEST(changed_bytes)
{
	each_step(try_mutants);
}

/* The beginning of 50 MB of JSON, as much of it as fetch lets in: with fetch's
 * word for it, and if it came without. */
static void
try_huge(const struct provider *provider, const struct provider_job *job,
    enum provider_step step)
{
	static const char head[] =
	    "{\"id\":\"p1\",\"status\":\"succeeded\",\"filler\":[";
	struct fetch_reply reply = {.status = 200, .sent = FETCH_ANSWERED};
	struct err err = {0};
	struct provider_verdict v;

	(void)err_set_name(
	    &err, ERR_TOO_LARGE, "reply_too_large", "larger than allowed");
	buf_init(&reply.body, 1 << 20);
	buf_puts(&reply.body, head);
	while (reply.body.len + 8 < 1 << 20)
		buf_puts(&reply.body, "\"xxxx\",");
	for (int i = 0; i < 2; i++) {
		provider_read(
		    provider, step, job, &reply, i == 0 ? &err : NULL, &v);
		check_sane(provider, step, 200, "huge", &v);
		check_open(provider, step, 200, "huge", &v);
		provider_verdict_fini(&v);
	}
	buf_fini(&reply.body);
}

TEST(fifty_megabytes)
{
	each_step(try_huge);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(odd_documents),
	    cmocka_unit_test(a_gateways_page_decides_nothing),
	    cmocka_unit_test(statuses_without_a_word),
	    cmocka_unit_test(done_without_a_video),
	    cmocka_unit_test(changed_bytes),
	    cmocka_unit_test(fifty_megabytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
