/*
 * edenai.c - Eden AI: v3 jobs, and the older v2 for routes that name it.
 *
 *	base		https://api.edenai.run; Bearer key
 *	endpoint	"amazon/amazon.nova-reel-v1:1": a v3 job;
 *			"v2/amazon/amazon.nova-reel-v1:0": v2.  The OpenAI
 *			shape of v3 is the adapter openai with the base
 *			https://api.edenai.run/v3
 *	v3		POST v3/universal-ai/async {model, input}, 202;
 *			GET v3/universal-ai/async/{public_id}:
 *			processing, success, fail; output, error, cost "0.48"
 *	v2		POST v2/video/generation_async/, GET .../{public_id}/:
 *			processing, finished, failed; a finished job may hold
 *			a failed entry in results
 *	images		v3: input.file; v2: file_url, or multipart "file"
 *	result		signed link, about a week; "video" may be base64
 *	refusals	only words
 *	webhook		v3; its signature needs canonical JSON, so it only
 *			hurries a poll.  No cancel, no progress.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "providers/internal.h"
#include "reeld/mem.h"
#include "reeld/spec.h"

#define V3_PATH "/v3/universal-ai/async"
#define V2_PATH "/v2/video/generation_async/"
#define V2_QUERY                                           \
	"/?response_as_dict=true&show_base_64=false&show_" \
	"original_response=false"

/* --- submit -----------------------------------------------------------------
 */

static bool
is_v2(const struct provider_job *job)
{
	return job->endpoint != NULL && str_starts(job->endpoint, "v2/");
}

/* v2 calls nobody back. */
static enum provider_recovery
recovery_of(const char *endpoint)
{
	return str_starts(endpoint, "v2/") ? PROVIDER_RECOVER_NEVER
					   : PROVIDER_RECOVER_CALLBACK;
}

/* "amazon/model" */
static const char *
model_of(const struct provider_job *job)
{
	const char *model = job->endpoint;

	if (is_v2(job))
		model += strlen("v2/");
	return endpoint_ok(model, "/:") && strchr(model, '/') != NULL ? model
								      : NULL;
}

static void
start(const struct provider_job *job, struct fetch_spec *out,
    const char *method, const char *path, const char *id, const char *tail)
{
	char *url = job_url(&provider_edenai, job, path, id, tail);

	spec_start(&provider_edenai, job, out, method, url);
	fetch_spec_bearer(out, job->key);
	free(url);
}

static void
v3_submit(const struct provider_job *job, const char *model,
    struct json_object **mapped, struct fetch_spec *out)
{
	struct json_object *body = json_new();
	char *full = xasprintf("video/generation_async/%s", model);
	const struct json_object *params =
	    json_obj_at(job->params, "options.provider_params");

	json_set_text(body, "model", full);
	free(full);
	json_set_obj(body, "input", mapped);
	if (params != NULL)
		json_set_copy(body, "provider_params", params);
	if (job->callback_url != NULL)
		json_set_text(body, "webhook_receiver", job->callback_url);
	json_set_bool(body, "show_original_response", false);
	start(job, out, "POST", V3_PATH, NULL, "");
	fetch_spec_json(out, &body);
}

/* Bytes of an image go as a part; values that are no text as JSON. */
static void
send_form(const struct provider_job *job, const struct json_object *body,
    struct fetch_spec *out)
{
	struct json_iter it = json_iter(body);
	struct multipart form;

	multipart_init(&form, job);
	while (json_next(&it)) {
		char *text = json_text(it.value) != NULL
		    ? xstrdup(json_text(it.value))
		    : json_dump_text(it.value);

		multipart_field(&form, it.name, text);
		free(text);
	}
	multipart_file(&form, "file", image_file_name(&job->start),
	    image_mime(&job->start), job->start.data, job->start.len);
	multipart_finish(&form, out);
}

static void
v2_submit(const struct provider_job *job, const char *model,
    struct json_object **mapped, struct fetch_spec *out)
{
	struct json_object *body = json_new(), *settings = json_new();
	struct json_iter it = json_iter(*mapped);
	const char *slash = strchr(model, '/');
	char *provider = xstrndup(model, (size_t)(slash - model));

	json_set_text(body, "providers", provider);
	json_set_text(settings, provider, slash + 1);
	json_set_obj(body, "settings", &settings);
	while (json_next(&it))
		json_set_copy(body, it.name, it.value);
	/* Else the reply holds the whole video as text. */
	json_set_bool(body, "show_base_64", false);
	json_set_bool(body, "show_original_response", false);
	start(job, out, "POST", V2_PATH, NULL, "");
	if (job->start.url == NULL && job->start.len > 0) {
		json_unset(body, "file_url");
		send_form(job, body, out);
		json_free(&body);
	} else
		fetch_spec_json(out, &body);
	free(provider);
	json_free(mapped);
}

static bool
edenai_submit(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	const char *model = model_of(job);
	struct json_object *mapped;

	if (model == NULL)
		return err_set_name(err, ERR_INTERNAL, "no_endpoint",
		    "The route to Eden AI has no provider/model");
	mapped = json_new();
	if (!provider_map(job, mapped, err)) {
		json_free(&mapped);
		return false;
	}
	if (is_v2(job))
		v2_submit(job, model, &mapped, out);
	else
		v3_submit(job, model, &mapped, out);
	if (job->start.len > 0)
		out->timeout_ms = 120000;
	return true;
}

/* --- what they say ----------------------------------------------------------
 */

/* The caller frees it. */
static char *
message_of(const struct json_object *body)
{
	static const char *const paths[] = {
	    "error.message", "error", "detail", "message"};

	for (size_t i = 0; i < nitems(paths); i++) {
		const struct json_object *value = json_at(body, paths[i]);

		if (json_text(value) != NULL)
			return xstrdup(json_text(value));
		if (json_is_obj(value) || json_is_arr(value))
			return json_dump_text(value);
	}
	return NULL;
}

static void
read_http(enum provider_step step, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	struct json_object *body = reply_json(reply);
	char *text = message_of(body);

	verdict_error(
	    out, step, reply, json_text_at(body, "error.type"), text, 0);
	if (step == PROVIDER_STEP_SUBMIT && reply->status == 451)
		verdict_fail(out, PROVIDER_FAILED, PROVIDER_CLASS_ACCOUNT,
		    "http_451", NULL);
	free(text);
	json_free(&body);
}

/* A failed job, or a failed entry of one: {error: {message, type}}. */
static void
read_failure(const struct json_object *entry, struct provider_verdict *out)
{
	const char *type = json_text_at(entry, "error.type");
	char *text = message_of(entry);

	if (text_names_refusal(text) || text_names_refusal(type))
		verdict_fail(out, PROVIDER_REFUSED, PROVIDER_CLASS_REFUSED,
		    "content_policy_violation", NULL);
	else {
		verdict_fail(out, PROVIDER_FAILED, PROVIDER_CLASS_PROVIDER,
		    "provider_failed", NULL);
		out->may_retry = true;
	}
	verdict_their_code(out, type, text);
	free(text);
}

/* "0.48" or 0.48, in dollars. */
static void
read_cost(const struct json_object *entry, struct provider_verdict *out)
{
	const char *text = json_text_at(entry, "cost");
	double cost = -1;
	char *end;

	if (text != NULL) {
		cost = strtod(text, &end);
		if (end == text || *end != '\0')
			return;
	} else if (!json_num_at(entry, "cost", &cost))
		return;
	if (cost >= 0 && cost < 1e6)
		out->cost_micro_usd = (int64_t)llround(cost * 1e6);
}

static void
edenai_submitted(const struct provider_job *job,
    const struct fetch_reply *reply, struct provider_verdict *out)
{
	struct json_object *body;
	const char *id;
	enum provider_state state;

	(void)job;
	if (reply->status < 200 || reply->status > 299) {
		read_http(PROVIDER_STEP_SUBMIT, reply, out);
		return;
	}
	body = reply_json(reply);
	id = json_text_at(body, "public_id");
	state = verdict_status(out, json_text_at(body, "status"),
	    provider_words, provider_words_n);
	if (id != NULL && id[0] != '\0') {
		/* Whatever became of it, the poll tells. */
		verdict_set_text(&out->provider_id, id);
		out->state = PROVIDER_QUEUED;
	} else if (state == PROVIDER_FAILED)
		read_failure(body, out);
	else
		verdict_http(out, PROVIDER_STEP_SUBMIT, reply);
	json_free(&body);
}

static bool
edenai_poll(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	if (job->provider_id == NULL)
		return err_set_name(err, ERR_INTERNAL, "no_reference",
		    "There is no job at Eden AI to ask for");
	if (is_v2(job))
		start(job, out, "GET", V2_PATH, job->provider_id, V2_QUERY);
	else
		start(job, out, "GET", V3_PATH "/", job->provider_id, "");
	return true;
}

/* v2: the entry of our model, of its provider, or the only one. */
static const struct json_object *
entry_of(const struct provider_job *job, const struct json_object *results)
{
	const char *model = model_of(job);
	struct json_iter it = json_iter(results);
	const struct json_object *first = NULL;

	while (json_next(&it)) {
		size_t len = strlen(it.name);

		if (!json_is_obj(it.value))
			continue;
		if (first == NULL)
			first = it.value;
		if (model != NULL && strncmp(model, it.name, len) == 0 &&
		    (model[len] == '/' || model[len] == '\0'))
			return it.value;
	}
	return first;
}

static void
read_result(const struct json_object *entry, const struct json_object *output,
    struct provider_verdict *out)
{
	const char *url = json_text_at(output, "video_resource_url");
	char *text;

	if (url == NULL || !str_starts(url, "http"))
		url = json_text_at(output, "video");
	out->state = PROVIDER_DONE;
	if (url != NULL && str_starts(url, "http")) {
		out->progress = 100;
		verdict_set_text(&out->result_url, url);
		return;
	}
	/* Finished, and yet with a reason why not. */
	text = message_of(entry);
	if (text != NULL)
		read_failure(entry, out);
	else
		verdict_no_media(out, NULL);
	free(text);
}

static void
read_entry(const struct provider_job *job, const struct json_object *body,
    struct provider_verdict *out)
{
	const struct json_object *entry = body;

	if (is_v2(job))
		entry = entry_of(job, json_obj_at(body, "results"));
	read_cost(entry, out);
	/* v2: the whole is finished, this entry may have failed. */
	if (is_v2(job) && json_text_at(entry, "status") != NULL)
		out->state = verdict_status(out, json_text_at(entry, "status"),
		    provider_words, provider_words_n);
	if (out->state == PROVIDER_FAILED)
		read_failure(entry != NULL ? entry : body, out);
	else if (out->state == PROVIDER_CANCELLED)
		verdict_cancelled(out);
	else
		read_result(entry,
		    is_v2(job) ? entry : json_obj_at(body, "output"), out);
}

static void
edenai_polled(const struct provider_job *job, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	struct json_object *body;

	if (reply->status < 200 || reply->status > 299) {
		read_http(PROVIDER_STEP_POLL, reply, out);
		return;
	}
	body = reply_json(reply);
	if (json_text_at(body, "status") == NULL)
		verdict_http(out, PROVIDER_STEP_POLL, reply);
	else {
		out->state = verdict_status(out, json_text_at(body, "status"),
		    provider_words, provider_words_n);
		if (out->state == PROVIDER_DONE ||
		    out->state == PROVIDER_FAILED ||
		    out->state == PROVIDER_CANCELLED)
			read_entry(job, body, out);
	}
	json_free(&body);
}

/* --- webhook ----------------------------------------------------------------
 */

static bool
edenai_hook(const struct provider_job *job, struct json_object *body,
    struct provider_verdict *out, struct err *err)
{
	const char *id = json_text_at(body, "job_id");

	if (id == NULL || id[0] == '\0' || json_text_at(body, "status") == NULL)
		return err_set_name(err, ERR_BAD_INPUT, "bad_webhook",
		    "This is not a message of Eden AI");
	if (job->provider_id != NULL && strcmp(job->provider_id, id) != 0)
		return err_set_name(err, ERR_CONFLICT, "other_request",
		    "The message is about another request");
	verdict_status(out, json_text_at(body, "status"), NULL, 0);
	verdict_set_text(&out->provider_id, id);
	out->state = PROVIDER_UNKNOWN;
	out->next = PROVIDER_STEP_POLL;
	return true;
}

const struct provider provider_edenai = {
    .name = "edenai",
    .title = "Eden AI",
    .base_url = "https://api.edenai.run",
    .transport = PROVIDER_HTTP,
    .recovery = PROVIDER_RECOVER_CALLBACK,
    .recovery_of = recovery_of,
    .poll_ms = 10000,
    .requests_per_min = 600,
    .result_lifetime_s = 7 * 24 * 3600,
    .needs_key = true,
    .submit = edenai_submit,
    .submitted = edenai_submitted,
    .poll = edenai_poll,
    .polled = edenai_polled,
    .hook = edenai_hook,
    .check = &(const struct provider_check){0},
};
