/*
 * The replies of one provider (FUZZ_PROVIDER, its name), at every step and
 * status: a body is a body of them all.  The rules of money hold whatever
 * they send: a submit that was or may have been accepted is never BUSY, and
 * trouble of theirs at a poll ends nothing.
 */
#include "fuzz.h"
#include "reeld/fetch.h"
#include "reeld/json.h"
#include "reeld/provider.h"
#include "reeld/spec.h"

static const int statuses[] = {200, 202, 400, 404, 422, 429, 500, 503};

static void
check_texts(const struct provider_verdict *v)
{
	FUZZ_CHECK(v->state < PROVIDER_STATES && v->class < PROVIDER_CLASSES);
	FUZZ_CHECK(v->next < PROVIDER_STEPS);
	FUZZ_CHECK(v->progress >= -1 && v->progress <= 100);
	FUZZ_CHECK(v->retry_after_s >= 0);
	FUZZ_CHECK(utf8_valid(v->code, strlen(v->code)));
	FUZZ_CHECK(utf8_valid(v->status, strlen(v->status)));
	FUZZ_CHECK(utf8_valid(v->user_message, strlen(v->user_message)));
	FUZZ_CHECK(
	    utf8_valid(v->provider_message, strlen(v->provider_message)));
}

static void
check(enum provider_step step, int status, const struct provider_verdict *v)
{
	check_texts(v);
	FUZZ_CHECK(v->state != PROVIDER_DONE || v->result_url != NULL ||
	    v->next == PROVIDER_STEP_RESULT);
	if (step == PROVIDER_STEP_SUBMIT && v->state == PROVIDER_BUSY)
		FUZZ_CHECK(v->provider_id == NULL && status != 500);
	if (step == PROVIDER_STEP_POLL && (status >= 500 || status == 429))
		FUZZ_CHECK(
		    v->state == PROVIDER_UNKNOWN || v->state == PROVIDER_BUSY);
}

static void
hook(const struct provider *self, const struct provider_job *job,
    const void *data, size_t len)
{
	struct json_object *doc = NULL;
	struct provider_verdict verdict;
	struct err err = {0};

	if (self->hook == NULL ||
	    !json_parse_flags(data, len, 1 << 20, JSON_FOREIGN, &doc, &err))
		return;
	provider_verdict_init(&verdict);
	if (self->hook(job, doc, &verdict, &err))
		check_texts(&verdict);
	provider_verdict_fini(&verdict);
	json_free(&doc);
}

static void
read_all(const struct provider *self, const struct provider_job *job,
    const void *data, size_t len)
{
	struct fetch_reply reply = {.sent = FETCH_ANSWERED};

	buf_init(&reply.body, 1 << 20);
	buf_add(&reply.body, data, len);
	for (int step = PROVIDER_STEP_PREPARE; step < PROVIDER_STEPS; step++) {
		if (!provider_has_step(self, step))
			continue;
		for (size_t i = 0; i < nitems(statuses); i++) {
			struct provider_verdict verdict;

			reply.status = statuses[i];
			provider_read(self, step, job, &reply, NULL, &verdict);
			check(step, statuses[i], &verdict);
			provider_verdict_fini(&verdict);
		}
	}
	buf_fini(&reply.body);
}

void
fuzz_one(struct fuzz_in *in)
{
	const struct provider *self = provider_by_name(FUZZ_PROVIDER);
	struct gen_spec spec;
	struct provider_job job = {.spec = &spec,
	    .generation_id = "0190d3a0-0000-7000-8000-00000000000a",
	    .endpoint = "some/model",
	    .key = "id:secret",
	    .provider_id = "r1"};
	size_t len;
	void *data = fuzz_rest(in, &len);

	FUZZ_CHECK(self != NULL);
	spec_init(&spec);
	spec.prompt = xstrdup("a fox");
	read_all(self, &job, data, len);
	hook(self, &job, data, len);
	/* and with an address of one's own */
	job.base_url = "https://gateway.example.org/v1";
	read_all(self, &job, data, len);
	spec_fini(&spec);
	free(data);
}
