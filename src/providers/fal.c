/*
 * fal.c - fal.ai's queue API.  fal_hook.c reads its webhooks.
 *
 *	base	    https://queue.fal.run
 *	headers	    Authorization: Key id:secret (not Bearer)
 *	submit	    POST /{endpoint}, the model's fields at top level;
 *		    ?fal_webhook= where we have a public address
 *	addresses   only owner/app of the endpoint; those that the reply
 *		    names are preferred, after their host was checked
 *	images	    URL or data URI
 *	poll	    GET status_url: IN_QUEUE with a position, IN_PROGRESS,
 *		    COMPLETED, which is finished and not yet success
 *	result	    GET response_url: video.url, public; errors show here
 *	cancel	    PUT cancel_url: a promise at most
 *	cost	    x-fal-billable-units of the result
 *	uncertain   the callback brings the id: class C
 */
#include <stdlib.h>
#include <string.h>

#include "providers/internal.h"
#include "reeld/mem.h"
#include "reeld/spec.h"

/* --- addresses --------------------------------------------------------------
 */

static bool
app_ok(const char *endpoint)
{
	return endpoint_ok(endpoint, "/") && strchr(endpoint, '/') != NULL;
}

/* owner/app, or workflows/owner/app and comfy/owner/app. */
static size_t
app_len(const char *endpoint)
{
	int parts =
	    str_starts(endpoint, "workflows/") || str_starts(endpoint, "comfy/")
	    ? 3
	    : 2;
	const char *p = endpoint;

	for (; *p != '\0'; p++) {
		if (*p == '/' && --parts == 0)
			break;
	}
	return (size_t)(p - endpoint);
}

/* which: "status_url", "response_url", "cancel_url".  The caller frees it. */
static char *
request_url(const struct provider_job *job, const char *which)
{
	const char *known = json_text_at(job->refs, which);
	const char *tail = strcmp(which, "status_url") == 0 ? "/status"
	    : strcmp(which, "cancel_url") == 0		    ? "/cancel"
							    : "";
	char *id, *url;

	if (url_is_own(&provider_fal, job, known))
		return xstrdup(known);
	if (job->provider_id == NULL || !app_ok(job->endpoint))
		return NULL;
	id = url_encode(job->provider_id);
	url = xasprintf("%s/%.*s/requests/%s%s", job_base(&provider_fal, job),
	    (int)app_len(job->endpoint), job->endpoint, id, tail);
	free(id);
	return url;
}

static void
authorize(const struct provider_job *job, struct fetch_spec *out)
{
	char *value = xasprintf("Key %s", job->key);

	fetch_spec_secret(out, "Authorization", value);
	free(value);
}

/* --- errors ------------------------------------------------------------------
 */

/* A name with a star stands for all that begin so. */
static const struct {
	const char *type;
	enum provider_state state;
	enum provider_class class;
	bool may_retry;
} types[] = {
    {"content_policy_violation", PROVIDER_REFUSED, PROVIDER_CLASS_REFUSED,
	false},
    /* Models often say this when their own filter stepped in. */
    {"no_media_generated", PROVIDER_FAILED, PROVIDER_CLASS_PROVIDER, false},
    {"client_cancelled", PROVIDER_CANCELLED, PROVIDER_CLASS_CANCELLED, false},
    {"client_disconnected", PROVIDER_FAILED, PROVIDER_CLASS_PROVIDER, false},
    {"internal_server_error", PROVIDER_FAILED, PROVIDER_CLASS_PROVIDER, true},
    {"generation_timeout", PROVIDER_FAILED, PROVIDER_CLASS_TIMEOUT, true},
    {"downstream_service_*", PROVIDER_FAILED, PROVIDER_CLASS_PROVIDER, true},
    {"request_timeout", PROVIDER_FAILED, PROVIDER_CLASS_TIMEOUT, true},
    {"startup_timeout", PROVIDER_FAILED, PROVIDER_CLASS_TIMEOUT, true},
    {"runner_*", PROVIDER_FAILED, PROVIDER_CLASS_PROVIDER, true},
    {"internal_error", PROVIDER_FAILED, PROVIDER_CLASS_PROVIDER, false},
    {"bad_request", PROVIDER_FAILED, PROVIDER_CLASS_BAD_INPUT, false},
    {"missing", PROVIDER_FAILED, PROVIDER_CLASS_BAD_INPUT, false},
    {"value_error*", PROVIDER_FAILED, PROVIDER_CLASS_BAD_INPUT, false},
    {"image_*", PROVIDER_FAILED, PROVIDER_CLASS_BAD_INPUT, false},
    {"file_*", PROVIDER_FAILED, PROVIDER_CLASS_BAD_INPUT, false},
    {"face_detection_error", PROVIDER_FAILED, PROVIDER_CLASS_BAD_INPUT, false},
    {"one_of", PROVIDER_FAILED, PROVIDER_CLASS_BAD_INPUT, false},
    {"greater_than*", PROVIDER_FAILED, PROVIDER_CLASS_BAD_INPUT, false},
    {"less_than*", PROVIDER_FAILED, PROVIDER_CLASS_BAD_INPUT, false},
    {"multiple_of", PROVIDER_FAILED, PROVIDER_CLASS_BAD_INPUT, false},
    {"sequence_too_*", PROVIDER_FAILED, PROVIDER_CLASS_BAD_INPUT, false},
    {"feature_not_supported", PROVIDER_FAILED, PROVIDER_CLASS_BAD_INPUT, false},
    {"unsupported_*", PROVIDER_FAILED, PROVIDER_CLASS_BAD_INPUT, false},
    {"video_duration_too_*", PROVIDER_FAILED, PROVIDER_CLASS_BAD_INPUT, false},
    {"audio_duration_too_*", PROVIDER_FAILED, PROVIDER_CLASS_BAD_INPUT, false},
};

static bool
type_matches(const char *pattern, const char *type)
{
	size_t len = strlen(pattern);

	return pattern[len - 1] == '*' ? strncmp(pattern, type, len - 1) == 0
				       : strcmp(pattern, type) == 0;
}

static void
apply_type(struct provider_verdict *out, const char *type)
{
	for (size_t i = 0; i < nitems(types); i++) {
		if (!type_matches(types[i].type, type))
			continue;
		verdict_fail(out, types[i].state, types[i].class, type, NULL);
		out->may_retry = types[i].may_retry;
		return;
	}
	/* A type we don't know, but a definite answer of theirs. */
	verdict_fail(out, PROVIDER_FAILED, PROVIDER_CLASS_PROVIDER, type, NULL);
}

static void
apply_header(struct provider_verdict *out, const struct fetch_reply *reply)
{
	const char *word = fetch_reply_header(reply, "X-Fal-Retryable");

	if (word == NULL)
		word = fetch_reply_header(reply, "X-Fal-Needs-Retry");
	if (word != NULL && out->state == PROVIDER_FAILED)
		out->may_retry =
		    strcasecmp(word, "true") == 0 || strcmp(word, "1") == 0;
	word = fetch_reply_header(reply, "x-fal-request-timeout-type");
	if (word != NULL && strcasecmp(word, "user") == 0)
		out->may_retry = false;
}

/* The type fal gives its error, or NULL: a gateway's page, a plain text. */
static const char *
error_type(const struct fetch_reply *reply, const struct json_object *body)
{
	const char *type = json_text_at(body, "detail.0.type");

	if (type == NULL)
		type = json_text_at(body, "error_type");
	if (type == NULL)
		type = fetch_reply_header(reply, "X-Fal-Error-Type");
	return type;
}

static void
read_error(enum provider_step step, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	struct json_object *body = reply_json(reply);
	const char *type = error_type(reply, body);
	const char *text = json_text_at(body, "detail.0.msg");

	if (text == NULL)
		text = json_text_at(body, "detail");
	verdict_their_message(out, text);
	/*
	 * 429 and 401 mean themselves.  A 5xx with a type is the end of a
	 * generation when its result is asked for, but after a submit it
	 * leaves open whether the request stands in the queue.
	 */
	if (type != NULL && reply->status >= 400 && reply->status != 429 &&
	    reply->status != 401 && reply->status != 403 &&
	    (step == PROVIDER_STEP_RESULT ||
		(step == PROVIDER_STEP_SUBMIT && reply->status < 500 &&
		    reply->status != 408 && reply->status != 409 &&
		    reply->status != 425)))
		apply_type(out, type);
	else if (step == PROVIDER_STEP_RESULT && reply->status == 422)
		verdict_fail(out, PROVIDER_FAILED, PROVIDER_CLASS_BAD_INPUT,
		    "http_422", NULL);
	else
		verdict_error(out, step, reply, NULL, text, 0);
	apply_header(out, reply);
	json_free(&body);
}

/* --- submit
 * ------------------------------------------------------------------- */

static bool
fal_submit(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	struct json_object *body = json_new();
	char *url, *hook;

	if (!app_ok(job->endpoint)) {
		json_free(&body);
		return err_set_name(err, ERR_INTERNAL, "no_endpoint",
		    "The route to fal.ai has no valid endpoint");
	}
	if (!provider_map(job, body, err)) {
		json_free(&body);
		return false;
	}
	hook = job->callback_url != NULL ? url_encode(job->callback_url) : NULL;
	url =
	    xasprintf("%s/%s%s%s", job_base(&provider_fal, job), job->endpoint,
		hook != NULL ? "?fal_webhook=" : "", hook != NULL ? hook : "");
	spec_start(&provider_fal, job, out, "POST", url);
	authorize(job, out);
	fetch_spec_json(out, &body);
	free(hook);
	free(url);
	return true;
}

static void
keep_url(const struct provider_job *job, struct json_object *refs,
    const struct json_object *body, const char *name)
{
	const char *url = json_text_at(body, name);

	/* Our key is sent there: another host gets nothing. */
	if (url_is_own(&provider_fal, job, url))
		json_set_text(refs, name, url);
}

static void
fal_submitted(const struct provider_job *job, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	struct json_object *body;
	const char *id;
	int64_t position;

	if (reply->status < 200 || reply->status > 299) {
		read_error(PROVIDER_STEP_SUBMIT, reply, out);
		return;
	}
	body = reply_json(reply);
	id = json_text_at(body, "request_id");
	if (id == NULL || id[0] == '\0') {
		verdict_http(out, PROVIDER_STEP_SUBMIT, reply);
		json_free(&body);
		return;
	}
	verdict_set_text(&out->provider_id, id);
	verdict_status(out, json_text_at(body, "status"), provider_words,
	    provider_words_n);
	out->state = PROVIDER_QUEUED;
	if (json_int_at(body, "queue_position", &position) && position >= 0 &&
	    position < INT32_MAX)
		out->queue_position = (int)position;
	out->refs = json_new();
	keep_url(job, out->refs, body, "status_url");
	keep_url(job, out->refs, body, "response_url");
	keep_url(job, out->refs, body, "cancel_url");
	json_free(&body);
}

/* --- poll and result
 * ---------------------------------------------------------- */

static bool
start_get(const struct provider_job *job, const char *which, const char *method,
    struct fetch_spec *out, struct err *err)
{
	char *url = request_url(job, which);

	if (url == NULL)
		return err_set_name(err, ERR_INTERNAL, "no_reference",
		    "There is no address for this request at fal.ai");
	spec_start(&provider_fal, job, out, method, url);
	authorize(job, out);
	free(url);
	return true;
}

static bool
fal_poll(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	return start_get(job, "status_url", "GET", out, err);
}

static void
fal_polled(const struct provider_job *job, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	struct json_object *body;
	int64_t position;

	if (reply->status != 200 && reply->status != 202) {
		read_error(PROVIDER_STEP_POLL, reply, out);
		return;
	}
	body = reply_json(reply);
	if (json_text_at(body, "status") == NULL) {
		verdict_http(out, PROVIDER_STEP_POLL, reply);
		json_free(&body);
		return;
	}
	out->state = verdict_status(out, json_text_at(body, "status"),
	    provider_words, provider_words_n);
	if (out->state == PROVIDER_DONE) {
		/* Finished, not succeeded: only the result tells. */
		out->state = PROVIDER_RUNNING;
		out->next = PROVIDER_STEP_RESULT;
		verdict_their_message(out, json_text_at(body, "error"));
	} else if (out->state == PROVIDER_QUEUED &&
	    json_int_at(body, "queue_position", &position) && position >= 0 &&
	    position < INT32_MAX)
		out->queue_position = (int)position;
	json_free(&body);
}

static bool
fal_result(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	return start_get(job, "response_url", "GET", out, err);
}

static struct json_object *
extras(const struct json_object *body)
{
	static const char *const names[] = {
	    "seed", "actual_prompt", "video_id"};
	struct json_object *out = json_new();

	for (size_t i = 0; i < nitems(names); i++) {
		if (json_text_at(body, names[i]) != NULL)
			json_set_text(
			    out, names[i], json_text_at(body, names[i]));
		else if (json_at(body, names[i]) != NULL)
			json_set_copy(out, names[i], json_at(body, names[i]));
	}
	return out;
}

static void
fal_resulted(const struct provider_job *job, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	const char *units = fetch_reply_header(reply, "x-fal-billable-units");
	struct json_object *body;
	const char *url;
	char *end;

	if (units != NULL) {
		double value = strtod(units, &end);

		if (end != units && *end == '\0' && value >= 0 && value < 1e9)
			out->billable_units = value;
	}
	if (reply->status != 200) {
		read_error(PROVIDER_STEP_RESULT, reply, out);
		return;
	}
	body = reply_json(reply);
	if (body == NULL) {
		/* Cut off or not theirs: the video may well be there. */
		verdict_http(out, PROVIDER_STEP_RESULT, reply);
		return;
	}
	url = json_text_at(body, "video.url");
	if (url == NULL)
		url = json_text_at(body, "videos.0.url");
	if (url == NULL)
		url = json_text_at(body, "video");
	if (url == NULL || url[0] == '\0')
		apply_type(out,
		    error_type(reply, body) != NULL ? error_type(reply, body)
						    : "no_media_generated");
	else {
		out->state = PROVIDER_DONE;
		out->progress = 100;
		verdict_set_text(&out->result_url, url);
		out->result = extras(body);
	}
	json_free(&body);
}

/* --- cancel
 * ------------------------------------------------------------------- */

static bool
fal_cancel(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	return start_get(job, "cancel_url", "PUT", out, err);
}

static void
fal_cancelled(const struct provider_job *job, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	struct json_object *body = reply_json(reply);
	const char *word = json_text_at(body, "status");

	if (word == NULL) {
		verdict_http(out, PROVIDER_STEP_CANCEL, reply);
	} else {
		/* OK and CANCELLATION_REQUESTED are only promises, and it may
		 * have finished before: the next poll knows the end. */
		verdict_status(out, word, NULL, 0);
		out->state = PROVIDER_UNKNOWN;
	}
	out->next = PROVIDER_STEP_POLL;
	json_free(&body);
}

const struct provider provider_fal = {
    .name = "fal",
    .title = "fal.ai",
    .base_url = "https://queue.fal.run",
    .transport = PROVIDER_HTTP,
    .recovery = PROVIDER_RECOVER_CALLBACK,
    .poll_ms = 5000,
    .first_poll_ms = 3000,
    .needs_key = true,
    .submit = fal_submit,
    .submitted = fal_submitted,
    .poll = fal_poll,
    .polled = fal_polled,
    .result = fal_result,
    .resulted = fal_resulted,
    .cancel = fal_cancel,
    .cancelled = fal_cancelled,
    .keys_url = "https://rest.fal.ai/.well-known/jwks.json",
    .verify = fal_hook_verify,
    .hook = fal_hook_read,
    .check = &(const struct provider_check){.endpoint = "fal-ai/any"},
};
