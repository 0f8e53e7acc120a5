/*
 * fal.ai's replies, at every step and status: a body is a body of them all.
 * The rules of money hold whatever they send: a submit that may have been
 * accepted is never BUSY, a poll that can't be read ends nothing.
 */
#include "fuzz.h"
#include "reeld/fetch.h"
#include "reeld/json.h"
#include "reeld/provider.h"
#include "reeld/spec.h"

static const enum provider_step steps[] = {PROVIDER_STEP_SUBMIT,
    PROVIDER_STEP_POLL, PROVIDER_STEP_RESULT, PROVIDER_STEP_CANCEL};
static const int statuses[] = {200, 202, 400, 404, 422, 429, 500, 503};

static void
check(enum provider_step step, int status, const struct provider_verdict *v)
{
	FUZZ_CHECK(v->state < PROVIDER_STATES && v->class < PROVIDER_CLASSES);
	FUZZ_CHECK(v->progress >= -1 && v->progress <= 100);
	FUZZ_CHECK(utf8_valid(v->code, strlen(v->code)));
	FUZZ_CHECK(utf8_valid(v->user_message, strlen(v->user_message)));
	FUZZ_CHECK(
	    utf8_valid(v->provider_message, strlen(v->provider_message)));
	FUZZ_CHECK(v->state != PROVIDER_DONE || v->result_url != NULL);
	if (step == PROVIDER_STEP_SUBMIT && (status < 400 || status >= 500))
		FUZZ_CHECK(v->state == PROVIDER_UNKNOWN ||
		    v->state == PROVIDER_QUEUED ||
		    v->state == PROVIDER_RUNNING);
	if (step == PROVIDER_STEP_POLL && (status >= 500 || status == 429))
		FUZZ_CHECK(
		    v->state == PROVIDER_UNKNOWN || v->state == PROVIDER_BUSY);
}

static void
hook(const struct provider *fal, const struct provider_job *job,
    const void *data, size_t len)
{
	struct json_object *doc = NULL;
	struct provider_verdict verdict = {0};
	struct err err = {0};

	if (!json_parse_flags(data, len, 1 << 20, JSON_FOREIGN, &doc, &err))
		return;
	provider_verdict_init(&verdict);
	if (fal->hook(job, doc, &verdict, &err))
		FUZZ_CHECK(verdict.state < PROVIDER_STATES);
	provider_verdict_fini(&verdict);
	json_free(&doc);
}

void
fuzz_one(struct fuzz_in *in)
{
	const struct provider *fal = provider_by_name("fal");
	struct gen_spec spec;
	struct provider_job job = {.spec = &spec,
	    .endpoint = "fal-ai/veo3.1/fast",
	    .key = "id:secret",
	    .provider_id = "r1"};
	size_t len;
	void *data = fuzz_rest(in, &len);

	spec_init(&spec);
	for (size_t s = 0; s < nitems(steps); s++) {
		for (size_t i = 0; i < nitems(statuses); i++) {
			struct fetch_reply reply = {
			    .status = statuses[i], .sent = FETCH_ANSWERED};
			struct provider_verdict verdict;

			buf_init(&reply.body, 1 << 20);
			buf_add(&reply.body, data, len);
			provider_read(
			    fal, steps[s], &job, &reply, NULL, &verdict);
			check(steps[s], statuses[i], &verdict);
			provider_verdict_fini(&verdict);
			buf_fini(&reply.body);
		}
	}
	hook(fal, &job, data, len);
	spec_fini(&spec);
	free(data);
}
