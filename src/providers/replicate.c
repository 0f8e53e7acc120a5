/*
 * replicate.c - Replicate's predictions.
 *
 *	base	    https://api.replicate.com/v1
 *	headers	    Authorization: Bearer; no Prefer: nothing waits
 *	submit	    POST /models/{owner}/{name}/predictions for official
 *		    models, POST /predictions with "version" for
 *		    owner/name:version; {"input": {}, "webhook", ...}
 *	images	    URL or data URI; over 256 kB of data by POST /files
 *	poll	    GET /predictions/{id}; percents only in the logs' text
 *	result	    output: a URI or a list of them; public, no key; the
 *		    data is removed an hour after the end
 *	cancel	    POST /predictions/{id}/cancel -> the prediction
 *	cost	    not told
 *	webhook	    the prediction, by Standard Webhooks; "start" brings the
 *		    id of a submit whose answer was lost: class C
 *	limits	    600 predictions a minute
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "providers/internal.h"
#include "reeld/clock.h"
#include "reeld/mem.h"
#include "reeld/spec.h"
#include "reeld/webhook.h"

enum { DATA_MAX = 256 * 1024, LIFETIME_S = 3600, LIFETIME_MS = 3600000 };

static void
start(const struct provider_job *job, struct fetch_spec *out,
    const char *method, const char *path, const char *id, const char *tail)
{
	char *url = job_url(&provider_replicate, job, path, id, tail);

	spec_start(&provider_replicate, job, out, method, url);
	fetch_spec_bearer(out, job->key);
	/* A prediction repeats its input, data URIs too, and holds all logs. */
	out->max_bytes = 8 << 20;
	free(url);
}

/* {"title", "detail", "status"}; some carry retry_after. */
static void
read_error(enum provider_step step, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	struct json_object *body = reply_json(reply);
	const char *text = json_text_at(body, "detail");
	int64_t wait = 0;

	if (text == NULL)
		text = json_text_at(body, "title");
	if (!json_int_at(body, "retry_after", &wait) || wait < 0 || wait > 600)
		wait = 0;
	verdict_error(out, step, reply, NULL, text, (int)wait);
	json_free(&body);
}

/* --- images -----------------------------------------------------------------
 */

static bool
needs_upload(const struct provider_image *image)
{
	return image->url == NULL && image->len > DATA_MAX;
}

/* The image to upload next and its name in refs; NULL: none is left. */
static const struct provider_image *
pending(const struct provider_job *job, const char **name)
{
	if (needs_upload(&job->start) &&
	    json_text_at(job->refs, "start_url") == NULL) {
		*name = "start_url";
		return &job->start;
	}
	if (needs_upload(&job->end) &&
	    json_text_at(job->refs, "end_url") == NULL) {
		*name = "end_url";
		return &job->end;
	}
	return NULL;
}

static bool
replicate_wants_prepare(const struct provider_job *job)
{
	const char *name;

	return pending(job, &name) != NULL;
}

static bool
replicate_prepare(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	const char *name;
	const struct provider_image *image = pending(job, &name);
	struct multipart form;

	if (image == NULL)
		return err_set_name(err, ERR_CONFLICT, "unsupported",
		    "There is no image to upload");
	multipart_init(&form, job);
	multipart_file(&form, "content", image_file_name(image),
	    image_mime(image), image->data, image->len);
	multipart_file(&form, "metadata", "blob", "application/json", "{}", 2);
	start(job, out, "POST", "/files", NULL, "");
	out->timeout_ms = 120000;
	multipart_finish(&form, out);
	return true;
}

static void
replicate_prepared(const struct provider_job *job,
    const struct fetch_reply *reply, struct provider_verdict *out)
{
	struct json_object *body = reply_json(reply);
	const char *url = json_text_at(body, "urls.get"), *name = NULL;

	if (reply->status < 200 || reply->status > 299)
		read_error(PROVIDER_STEP_PREPARE, reply, out);
	else if (url == NULL || !str_starts(url, "http") ||
	    pending(job, &name) == NULL)
		verdict_http(out, PROVIDER_STEP_PREPARE, reply);
	else {
		struct provider_job next = *job;

		out->refs =
		    job->refs != NULL ? json_copy(job->refs) : json_new();
		json_set_text(out->refs, name, url);
		next.refs = out->refs;
		out->state = PROVIDER_QUEUED;
		out->next = replicate_wants_prepare(&next)
		    ? PROVIDER_STEP_PREPARE
		    : PROVIDER_STEP_SUBMIT;
	}
	json_free(&body);
}

/* --- submit -----------------------------------------------------------------
 */

/* Where it goes; *version is what the body names, or NULL. */
static char *
submit_path(const char *endpoint, const char **version)
{
	const char *colon, *slash;

	*version = NULL;
	if (!endpoint_ok(endpoint, "/:"))
		return NULL;
	colon = strchr(endpoint, ':');
	slash = strchr(endpoint, '/');
	if (colon != NULL || (slash == NULL && strlen(endpoint) == 64)) {
		*version = colon != NULL ? colon + 1 : endpoint;
		return (*version)[0] != '\0' ? xstrdup("/predictions") : NULL;
	}
	/* owner/name, nothing less and nothing more. */
	if (slash == NULL || slash[1] == '\0' || strchr(slash + 1, '/') != NULL)
		return NULL;
	return xasprintf("/models/%s/predictions", endpoint);
}

static struct json_object *
submit_body(const struct provider_job *job, struct err *err)
{
	struct json_object *body = json_new(), *input = json_new(), *events;
	struct provider_job copy = *job;

	if (json_text_at(job->refs, "start_url") != NULL)
		copy.start.url = json_text_at(job->refs, "start_url");
	if (json_text_at(job->refs, "end_url") != NULL)
		copy.end.url = json_text_at(job->refs, "end_url");
	if (!provider_map(&copy, input, err)) {
		json_free(&input);
		json_free(&body);
		return NULL;
	}
	json_set_obj(body, "input", &input);
	if (job->callback_url != NULL) {
		json_set_text(body, "webhook", job->callback_url);
		events = json_new_arr();
		json_add_text(events, "start");
		json_add_text(events, "completed");
		json_set_arr(body, "webhook_events_filter", &events);
	}
	return body;
}

static bool
replicate_submit(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	const char *version;
	char *path = submit_path(job->endpoint, &version);
	struct json_object *body;

	if (path == NULL)
		return err_set_name(err, ERR_INTERNAL, "no_endpoint",
		    "The route to Replicate has no valid model");
	body = submit_body(job, err);
	if (body == NULL) {
		free(path);
		return false;
	}
	if (version != NULL)
		json_set_text(body, "version", version);
	start(job, out, "POST", path, NULL, "");
	fetch_spec_json(out, &body);
	free(path);
	return true;
}

/* --- a prediction -----------------------------------------------------------
 */

/* The last "NN%" of what the model printed, or -1. */
static int
log_percent(const char *logs)
{
	const char *p = logs != NULL ? strrchr(logs, '%') : NULL;
	int value = 0, scale = 1;

	if (p == NULL)
		return -1;
	while (p > logs && isdigit((unsigned char)p[-1]) && scale <= 1000) {
		value += (*--p - '0') * scale;
		scale *= 10;
	}
	/* No digit, too many of them, or the end of a fraction. */
	if (scale == 1 || value > 100 || (p > logs && p[-1] == '.'))
		return -1;
	return value;
}

/* No code field: the text tells, or a number in front of it. */
static void
read_failure(const char *text, struct provider_verdict *out)
{
	static const char *const refusals[] = {
	    "sensitive", "safety", "violat", "inappropriate"};
	static const struct {
		const char *sign;
		enum provider_class class;
		const char *code;
		bool may_retry;
	} signs[] = {
	    {"(E003)", PROVIDER_CLASS_PROVIDER, "provider_overloaded", true},
	    {"high demand", PROVIDER_CLASS_PROVIDER, "provider_overloaded",
		true},
	    {"(E004)", PROVIDER_CLASS_PROVIDER, "provider_error", true},
	    {"(E006)", PROVIDER_CLASS_BAD_INPUT, "bad_input", false},
	    {"timed out", PROVIDER_CLASS_TIMEOUT, "provider_timeout", true},
	    {"interrupted", PROVIDER_CLASS_PROVIDER, "provider_error", true},
	    {"out of memory", PROVIDER_CLASS_PROVIDER, "provider_error", false},
	};
	bool refused = text_names_refusal(text);

	verdict_their_message(out, text);
	for (size_t i = 0; text != NULL && i < nitems(refusals); i++)
		refused = refused || strcasestr(text, refusals[i]) != NULL;
	if (refused) {
		verdict_fail(out, PROVIDER_REFUSED, PROVIDER_CLASS_REFUSED,
		    "content_policy_violation", NULL);
		return;
	}
	verdict_fail(out, PROVIDER_FAILED, PROVIDER_CLASS_PROVIDER,
	    "provider_error", NULL);
	out->may_retry = true;
	for (size_t i = 0; text != NULL && i < nitems(signs); i++) {
		if (strcasestr(text, signs[i].sign) == NULL)
			continue;
		verdict_fail(
		    out, PROVIDER_FAILED, signs[i].class, signs[i].code, NULL);
		out->may_retry = signs[i].may_retry;
		return;
	}
}

static void
read_output(const struct provider_job *job, const struct json_object *body,
    struct provider_verdict *out)
{
	static const char *const places[] = {
	    "output", "output.0", "output.video", "output.url"};
	const char *ended = json_text_at(body, "completed_at");
	bool removed = false;
	int64_t at;

	for (size_t i = 0; i < nitems(places); i++) {
		const char *url = json_text_at(body, places[i]);

		if (url == NULL || url[0] == '\0')
			continue;
		verdict_set_text(&out->result_url, url);
		out->progress = 100;
		/* A time that makes no sense is worse than none. */
		if (ended != NULL && time_parse_rfc3339(ended, &at) &&
		    at <= job->now_ms && at + LIFETIME_MS > job->now_ms)
			out->result_expires_ms = at + LIFETIME_MS;
		return;
	}
	verdict_no_media(out, json_text_at(body, "error"));
	if (json_bool_at(body, "data_removed", &removed) && removed)
		verdict_fail(out, PROVIDER_FAILED, PROVIDER_CLASS_PROVIDER,
		    "result_expired", NULL);
}

/* true when the body was a prediction. */
static bool
read_prediction(const struct provider_job *job, const struct json_object *body,
    struct provider_verdict *out)
{
	const char *word = json_text_at(body, "status");

	if (word == NULL)
		return false;
	out->state =
	    verdict_status(out, word, provider_words, provider_words_n);
	switch (out->state) {
	case PROVIDER_RUNNING:
		out->progress = log_percent(json_text_at(body, "logs"));
		break;
	case PROVIDER_DONE:
		read_output(job, body, out);
		break;
	case PROVIDER_FAILED:
		read_failure(json_text_at(body, "error"), out);
		break;
	case PROVIDER_CANCELLED:
		verdict_cancelled(out);
		break;
	default:
		break;
	}
	return true;
}

static void
replicate_submitted(const struct provider_job *job,
    const struct fetch_reply *reply, struct provider_verdict *out)
{
	struct json_object *body;
	const char *id;

	(void)job;
	if (reply->status < 200 || reply->status > 299) {
		read_error(PROVIDER_STEP_SUBMIT, reply, out);
		return;
	}
	body = reply_json(reply);
	id = json_text_at(body, "id");
	if (id == NULL || id[0] == '\0')
		verdict_http(out, PROVIDER_STEP_SUBMIT, reply);
	else {
		/* Whatever it says besides, the polls that follow will. */
		verdict_set_text(&out->provider_id, id);
		verdict_status(out, json_text_at(body, "status"), NULL, 0);
		out->state = PROVIDER_QUEUED;
		out->refs = json_new();
	}
	json_free(&body);
}

static bool
prediction_request(const struct provider_job *job, const char *method,
    const char *tail, struct fetch_spec *out, struct err *err)
{
	if (job->provider_id == NULL)
		return err_set_name(err, ERR_INTERNAL, "no_reference",
		    "There is no prediction at Replicate to ask for");
	start(job, out, method, "/predictions/", job->provider_id, tail);
	return true;
}

static bool
replicate_poll(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	return prediction_request(job, "GET", "", out, err);
}

static void
replicate_polled(const struct provider_job *job,
    const struct fetch_reply *reply, struct provider_verdict *out)
{
	struct json_object *body;

	(void)job;
	if (reply->status != 200) {
		read_error(PROVIDER_STEP_POLL, reply, out);
		return;
	}
	body = reply_json(reply);
	if (!read_prediction(job, body, out))
		verdict_http(out, PROVIDER_STEP_POLL, reply);
	json_free(&body);
}

static bool
replicate_cancel(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	return prediction_request(job, "POST", "/cancel", out, err);
}

static void
replicate_cancelled(const struct provider_job *job,
    const struct fetch_reply *reply, struct provider_verdict *out)
{
	struct json_object *body = reply_json(reply);

	(void)job;
	if (reply->status < 200 || reply->status > 299)
		read_error(PROVIDER_STEP_CANCEL, reply, out);
	else if (verdict_status(out, json_text_at(body, "status"),
		     provider_words, provider_words_n) == PROVIDER_CANCELLED)
		verdict_cancelled(out);
	/* Anything else, also a late success, is the next poll's to tell. */
	if (out->state != PROVIDER_CANCELLED)
		out->next = PROVIDER_STEP_POLL;
	json_free(&body);
}

/* --- webhook ----------------------------------------------------------------
 */

static bool
replicate_verify(const struct provider_hook *hook,
    const struct json_object *keys, struct err *err)
{
	const char *id = hook->header("webhook-id", hook->arg);
	const char *time = hook->header("webhook-timestamp", hook->arg);
	const char *signature = hook->header("webhook-signature", hook->arg);
	const char *secret = json_text_at(keys, "secret");

	if (secret == NULL || id == NULL || time == NULL || signature == NULL)
		return err_set_name(err, ERR_UNAUTHORIZED, "bad_signature",
		    "The message is not signed by Replicate");
	return webhook_verify(secret, id, time, signature, hook->body,
	    hook->len, hook->now_ms, err);
}

static bool
replicate_hook(const struct provider_job *job, struct json_object *body,
    struct provider_verdict *out, struct err *err)
{
	const char *id = json_text_at(body, "id");

	if (id == NULL || id[0] == '\0' || json_text_at(body, "status") == NULL)
		return err_set_name(err, ERR_BAD_INPUT, "bad_webhook",
		    "This is not a message of Replicate");
	if (job->provider_id != NULL && strcmp(job->provider_id, id) != 0)
		return err_set_name(err, ERR_CONFLICT, "other_request",
		    "The message is about another prediction");
	verdict_status(out, json_text_at(body, "status"), NULL, 0);
	if (str_eq(out->status, "succeeded")) {
		out->result = json_new();
		json_set_copy(out->result, "output", json_at(body, "output"));
	}
	verdict_set_text(&out->provider_id, id);
	out->state = PROVIDER_UNKNOWN;
	out->next = PROVIDER_STEP_POLL;
	return true;
}

const struct provider provider_replicate = {
    .name = "replicate",
    .title = "Replicate",
    .base_url = "https://api.replicate.com/v1",
    .transport = PROVIDER_HTTP,
    .recovery = PROVIDER_RECOVER_CALLBACK,
    .poll_ms = 5000,
    .requests_per_min = 600,
    .result_lifetime_s = LIFETIME_S,
    .needs_key = true,
    .image_data = true,
    .wants_prepare = replicate_wants_prepare,
    .prepare = replicate_prepare,
    .prepared = replicate_prepared,
    .submit = replicate_submit,
    .submitted = replicate_submitted,
    .poll = replicate_poll,
    .polled = replicate_polled,
    .cancel = replicate_cancel,
    .cancelled = replicate_cancelled,
    .verify = replicate_verify,
    .hook = replicate_hook,
    .check = &(const struct provider_check){.path = "/account"},
};
