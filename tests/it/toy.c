/*
 * toy.c - a provider as small as one can be, for tests/it/engine_toy: what
 * src/providers/README.md asks for, in one file.  Its own registry stands in
 * for src/providers/table.c, so nothing of it is in what ships.
 *
 *	submit	POST /films {"text", "length"} -> {"id"}
 *	poll	GET /films/{id} -> {"state": "drawing" | "shown" | "torn",
 *		"percent", "film", "why"}
 */
#include <stdlib.h>

#include "providers/internal.h"
#include "reeld/mem.h"

static const struct provider provider_toy;

static const struct provider_word words[] = {
    {"drawing", PROVIDER_RUNNING},
    {"shown", PROVIDER_DONE},
    {"torn", PROVIDER_FAILED},
};

static void
start(const struct provider_job *job, struct fetch_spec *out,
    const char *method, const char *path, const char *id)
{
	char *url = job_url(&provider_toy, job, path, id, "");

	spec_start(&provider_toy, job, out, method, url);
	fetch_spec_bearer(out, job->key);
	free(url);
}

static bool
toy_submit(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	struct json_object *body = json_new();

	if (!provider_map(job, body, err)) {
		json_free(&body);
		return false;
	}
	start(job, out, "POST", "/films", NULL);
	fetch_spec_json(out, &body);
	return true;
}

static void
toy_submitted(const struct provider_job *job, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	struct json_object *body = reply_json(reply);

	(void)job;
	if (reply->status == 200 && json_text_at(body, "id") != NULL) {
		verdict_set_text(&out->provider_id, json_text_at(body, "id"));
		out->state = PROVIDER_QUEUED;
	} else
		verdict_error(out, PROVIDER_STEP_SUBMIT, reply, NULL,
		    json_text_at(body, "why"), 0);
	json_free(&body);
}

static bool
toy_poll(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	(void)err;
	start(job, out, "GET", "/films/", job->provider_id);
	return true;
}

static void
toy_polled(const struct provider_job *job, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	struct json_object *body = reply_json(reply);
	int64_t percent;

	(void)job;
	if (reply->status != 200 || json_text_at(body, "state") == NULL) {
		verdict_http(out, PROVIDER_STEP_POLL, reply);
		json_free(&body);
		return;
	}
	out->state = verdict_status(
	    out, json_text_at(body, "state"), words, nitems(words));
	if (json_int_at(body, "percent", &percent))
		out->progress = (int)percent;
	if (out->state == PROVIDER_DONE)
		verdict_set_text(&out->result_url, json_text_at(body, "film"));
	if (out->state == PROVIDER_DONE && out->result_url == NULL)
		verdict_no_media(out, NULL);
	if (out->state == PROVIDER_FAILED)
		verdict_fail(out, PROVIDER_FAILED, PROVIDER_CLASS_PROVIDER,
		    "torn", NULL);
	verdict_their_message(out, json_text_at(body, "why"));
	json_free(&body);
}

static const struct provider provider_toy = {
    .name = "toy",
    .title = "Toy films",
    .base_url = "https://toy.invalid",
    .transport = PROVIDER_HTTP,
    .recovery = PROVIDER_RECOVER_NEVER,
    .poll_ms = 1000,
    .needs_key = true,
    .submit = toy_submit,
    .submitted = toy_submitted,
    .poll = toy_poll,
    .polled = toy_polled,
};

const struct provider *const provider_registry[] = {
    &provider_fal, &provider_toy, NULL};
