/*
 * kling.c - Kling's own API: v1 (kling-v1 ... kling-v2-6) and 3.x.
 *
 *	base		https://api-singapore.klingai.com
 *	endpoint	the model: "kling-v2-6" is v1, "kling-3.0",
 *			"kling-3.0-turbo" and "kling-3.0-omni" are 3.x
 *	key		"accessKey:secretKey" makes a JSON Web Token of half
 *			an hour; any other key is sent as it is
 *	v1		POST /v1/videos/{text2video|image2video};
 *			GET  /v1/videos/{the same}/{task_id}
 *	3.x		POST /{text-to-video|image-to-video|omni-video}/{model};
 *			GET  /tasks?task_ids=ID
 *	status		submitted, processing, succeed(ed), failed
 *	images		a URL, or base64 without "data:"; no aspect ratio then
 *	errors		{code, message}; code != 0 is one even with HTTP 200
 *	lost submit	v1 can be asked by our external_task_id
 *	callback	Standard Webhooks; ours only hurry a poll
 *	result		30 days; no cancel, no progress
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "providers/internal.h"
#include "reeld/mem.h"
#include "reeld/spec.h"
#include "reeld/webhook.h"

enum { TOKEN_S = 1800, TOKEN_SKEW_S = 5 };

/* --- requests ---------------------------------------------------------------
 */

static bool
is_v1(const struct provider_job *job)
{
	return job->endpoint != NULL && str_starts(job->endpoint, "kling-v");
}

static bool
has_endpoint(const struct provider_job *job, struct err *err)
{
	if (endpoint_ok(job->endpoint, "") &&
	    str_starts(job->endpoint, "kling-"))
		return true;
	return err_set_name(err, ERR_INTERNAL, "no_endpoint",
	    "The route to Kling names no model");
}

static bool
from_image(const struct provider_job *job)
{
	return image_given(&job->start) || id_is_set(&job->spec->start_asset);
}

static char *
token_of(const struct provider_job *job)
{
	const char *colon = strchr(job->key, ':');
	char *access, *token;
	int64_t now_s = job->now_ms / 1000;

	if (colon == NULL)
		return xstrdup(job->key);
	access = xstrndup(job->key, (size_t)(colon - job->key));
	token =
	    jwt_hs256(access, colon + 1, now_s + TOKEN_S, now_s - TOKEN_SKEW_S);
	free(access);
	return token;
}

static void
start(const struct provider_job *job, struct fetch_spec *out,
    const char *method, const char *path, const char *id)
{
	char *url = job_url(&provider_kling, job, path, id, "");
	char *token = token_of(job);

	spec_start(&provider_kling, job, out, method, url);
	fetch_spec_bearer(out, token);
	explicit_bzero(token, strlen(token));
	free(token);
	free(url);
}

/* A URL, or bare base64; NULL when there is none. */
static char *
image_text(const struct provider_image *image)
{
	return image->url != NULL ? xstrdup(image->url) : image_base64(image);
}

static void
put_image(struct json_object *body, const char *name,
    const struct provider_image *image)
{
	char *text = image_text(image);

	if (text != NULL)
		json_set_text(body, name, text);
	free(text);
}

static void
put_names(const struct provider_job *job, struct json_object *into)
{
	if (job->callback_url != NULL)
		json_set_text(into, "callback_url", job->callback_url);
	if (job->nonce != NULL)
		json_set_text(into, "external_task_id", job->nonce);
}

static void
v1_body(const struct provider_job *job, const struct json_object *mapped,
    struct json_object *body)
{
	struct json_iter it = json_iter(mapped);

	json_set_text(body, "model_name", job->endpoint);
	while (json_next(&it))
		json_set_copy(body, it.name, it.value);
	put_image(body, "image", &job->start);
	put_image(body, "image_tail", &job->end);
	if (from_image(job))
		json_unset(body, "aspect_ratio");
	put_names(job, body);
}

static void
add_content(struct json_object *list, const char *type, const char *name,
    const char *value)
{
	struct json_object *item;

	if (value == NULL)
		return;
	item = json_new();
	json_set_text(item, "type", type);
	json_set_text(item, name, value);
	json_add_obj(list, &item);
}

/* The route maps "prompt" and into "settings". */
static void
v3_body(const struct provider_job *job, const struct json_object *mapped,
    struct json_object *body)
{
	struct json_object *list = json_new_arr(), *options;
	struct json_iter it = json_iter(mapped);
	char *first = image_text(&job->start), *last = image_text(&job->end);

	add_content(list, "prompt", "text", json_text_at(mapped, "prompt"));
	add_content(list, "first_frame", "url", first);
	add_content(list, "last_frame", "url", last);
	free(first);
	free(last);
	json_set_arr(body, "contents", &list);
	while (json_next(&it)) {
		if (strcmp(it.name, "prompt") != 0 &&
		    strcmp(it.name, "contents") != 0)
			json_set_copy(body, it.name, it.value);
	}
	if (from_image(job) && json_obj_at(body, "settings") != NULL)
		json_unset(json_obj_at(body, "settings"), "aspect_ratio");
	if (json_obj_at(body, "options") == NULL) {
		options = json_new();
		json_set_obj(body, "options", &options);
	}
	put_names(job, json_obj_at(body, "options"));
}

static const char *
v1_path(const struct provider_job *job)
{
	return from_image(job) ? "/v1/videos/image2video"
			       : "/v1/videos/text2video";
}

static bool
kling_submit(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	struct json_object *mapped, *body;
	const char *path;

	if (!has_endpoint(job, err))
		return false;
	mapped = json_new();
	if (!provider_map(job, mapped, err)) {
		json_free(&mapped);
		return false;
	}
	body = json_new();
	if (is_v1(job)) {
		v1_body(job, mapped, body);
		start(job, out, "POST", v1_path(job), NULL);
	} else {
		v3_body(job, mapped, body);
		path = str_ends(job->endpoint, "-omni") ? "/omni-video/"
		    : from_image(job)			? "/image-to-video/"
							: "/text-to-video/";
		start(job, out, "POST", path, job->endpoint);
	}
	json_free(&mapped);
	fetch_spec_json(out, &body);
	if (job->start.len > 0 || job->end.len > 0)
		out->timeout_ms = 120000;
	return true;
}

static bool
ask_task(const struct provider_job *job, const char *id, struct fetch_spec *out,
    struct err *err)
{
	char path[64];

	if (!has_endpoint(job, err))
		return false;
	if (id == NULL)
		return err_set_name(err, ERR_INTERNAL, "no_reference",
		    "There is no task at Kling to ask for");
	if (is_v1(job)) {
		snprintf(path, sizeof path, "%s/", v1_path(job));
		start(job, out, "GET", path, id);
	} else
		start(job, out, "GET", "/tasks?task_ids=", id);
	return true;
}

static bool
kling_poll(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	return ask_task(job, job->provider_id, out, err);
}

static bool
kling_find(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	/* Nothing says that 3.x can be asked so: its callback has the id. */
	if (!is_v1(job))
		return err_set_name(err, ERR_CONFLICT, "unsupported",
		    "Kling 3 can't be asked by our id");
	return ask_task(job, job->nonce, out, err);
}

/* --- errors -----------------------------------------------------------------
 */

static const struct {
	int from, to;
	enum provider_state state; /* of a submit */
	enum provider_class class;
	const char *code;
	bool may_retry;
} codes[] = {
    {1000, 1004, PROVIDER_FAILED, PROVIDER_CLASS_ACCOUNT, "bad_key", false},
    {1101, 1102, PROVIDER_FAILED, PROVIDER_CLASS_FUNDS, "provider_funds",
	false},
    {1100, 1103, PROVIDER_FAILED, PROVIDER_CLASS_ACCOUNT, "no_permission",
	false},
    {1200, 1203, PROVIDER_FAILED, PROVIDER_CLASS_BAD_INPUT, "bad_input", false},
    {1301, 1301, PROVIDER_REFUSED, PROVIDER_CLASS_REFUSED,
	"content_policy_violation", false},
    {1302, 1303, PROVIDER_BUSY, PROVIDER_CLASS_RATE_LIMIT, "rate_limit", true},
    {1304, 1304, PROVIDER_FAILED, PROVIDER_CLASS_ACCOUNT, "ip_not_allowed",
	false},
    {5000, 5002, PROVIDER_UNKNOWN, PROVIDER_CLASS_PROVIDER, "provider_error",
	true},
};
enum { CODE_NOT_FOUND = 1203 };

/* {code, message} with code != 0; HTTP may say 200. */
static void
read_error(enum provider_step step, const struct fetch_reply *reply,
    const struct json_object *body, int64_t code, struct provider_verdict *out)
{
	const char *text = json_text_at(body, "message");
	enum provider_class class = PROVIDER_CLASS_PROVIDER;
	enum provider_state state = PROVIDER_FAILED;
	const char *name = "provider_error";
	bool may_retry = false;
	char number[24];

	snprintf(number, sizeof number, "%lld", (long long)code);
	verdict_error(out, step, reply, code != 0 ? number : NULL, text, 0);
	if (step == PROVIDER_STEP_FIND &&
	    (code == CODE_NOT_FOUND || reply->status == 404)) {
		verdict_fail(
		    out, PROVIDER_FAILED, PROVIDER_CLASS_NOT_FOUND, NULL, NULL);
		return;
	}
	/* After a 5xx it may have been accepted all the same. */
	if (code == 0 || reply->status >= 500 || out->state == PROVIDER_REFUSED)
		return;
	for (size_t i = 0; i < nitems(codes); i++) {
		if (code < codes[i].from || code > codes[i].to)
			continue;
		state = codes[i].state;
		class = codes[i].class;
		name = codes[i].code;
		may_retry = codes[i].may_retry;
		break;
	}
	if (step != PROVIDER_STEP_SUBMIT) {
		/* It is about our question; gone is what HTTP says is. */
		if (out->state == PROVIDER_FAILED)
			return;
		state = class == PROVIDER_CLASS_RATE_LIMIT ? PROVIDER_BUSY
							   : PROVIDER_UNKNOWN;
	}
	verdict_fail(out, state, class, name, NULL);
	out->may_retry = may_retry;
}

/* true: there is a task to look at in *data. */
static bool
read_envelope(const struct provider_job *job, enum provider_step step,
    const struct fetch_reply *reply, const struct json_object *body,
    const struct json_object **data, struct provider_verdict *out)
{
	int64_t code = 0;

	*data = json_obj_at(body, "data");
	if (!json_int_at(body, "code", &code))
		code = 0;
	if (reply->status < 200 || reply->status > 299 || code != 0) {
		read_error(step, reply, body, code, out);
		return false;
	}
	for (size_t i = 0; i < json_count(json_arr_at(body, "data")); i++) {
		struct json_object *item =
		    json_item(json_arr_at(body, "data"), i);

		if (job->provider_id == NULL || *data == NULL ||
		    str_eq(json_text_at(item, "id"), job->provider_id))
			*data = item;
		if (str_eq(json_text_at(item, "id"), job->provider_id))
			break;
	}
	if (*data == NULL)
		verdict_http(out, step, reply);
	return *data != NULL;
}

static const char *
task_id(const struct json_object *data)
{
	const char *id = json_text_at(data, "task_id");

	if (id == NULL)
		id = json_text_at(data, "id");
	return id != NULL && id[0] != '\0' ? id : NULL;
}

/* --- replies ----------------------------------------------------------------
 */

static void
kling_submitted(const struct provider_job *job, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	struct json_object *body = reply_json(reply);
	const struct json_object *data;

	if (read_envelope(job, PROVIDER_STEP_SUBMIT, reply, body, &data, out)) {
		if (task_id(data) == NULL)
			verdict_http(out, PROVIDER_STEP_SUBMIT, reply);
		else {
			verdict_set_text(&out->provider_id, task_id(data));
			out->state = PROVIDER_QUEUED;
		}
	}
	json_free(&body);
}

static void
read_failure(const struct json_object *data, struct provider_verdict *out)
{
	static const char *const names[] = {
	    "task_status_msg", "status_msg", "message", "error.message"};
	const char *text = NULL;

	for (size_t i = 0; text == NULL && i < nitems(names); i++)
		text = json_text_at(data, names[i]);
	verdict_their_message(out, text);
	if (text_names_refusal(text) ||
	    (text != NULL && strcasestr(text, "risk control") != NULL))
		verdict_fail(out, PROVIDER_REFUSED, PROVIDER_CLASS_REFUSED,
		    "content_policy_violation", NULL);
	else {
		verdict_fail(out, PROVIDER_FAILED, PROVIDER_CLASS_PROVIDER,
		    "provider_failed", NULL);
		out->may_retry = true;
	}
}

static const char *
link_of(const struct json_object *data)
{
	struct json_object *outputs = json_arr_at(data, "outputs");
	const char *url = json_text_at(data, "task_result.videos.0.url");

	for (size_t i = 0; url == NULL && i < json_count(outputs); i++) {
		struct json_object *item = json_item(outputs, i);

		if (str_eq(json_text_at(item, "type"), "video"))
			url = json_text_at(item, "url");
	}
	return url != NULL && url[0] != '\0' ? url : NULL;
}

static void
read_task(const struct json_object *data, struct provider_verdict *out)
{
	const char *word = json_text_at(data, "task_status");

	if (word == NULL)
		word = json_text_at(data, "status");
	out->state =
	    verdict_status(out, word, provider_words, provider_words_n);
	if (out->state == PROVIDER_FAILED)
		read_failure(data, out);
	else if (out->state == PROVIDER_CANCELLED)
		verdict_cancelled(out);
	else if (out->state == PROVIDER_DONE && link_of(data) == NULL)
		verdict_no_media(out, json_text_at(data, "task_status_msg"));
	else if (out->state == PROVIDER_DONE) {
		out->progress = 100;
		verdict_set_text(&out->result_url, link_of(data));
	}
}

static void
read_asked(const struct provider_job *job, enum provider_step step,
    const struct fetch_reply *reply, struct provider_verdict *out)
{
	struct json_object *body = reply_json(reply);
	const struct json_object *data;

	if (read_envelope(job, step, reply, body, &data, out)) {
		if ((json_text_at(data, "task_status") == NULL &&
			json_text_at(data, "status") == NULL) ||
		    (step == PROVIDER_STEP_FIND && task_id(data) == NULL))
			verdict_http(out, step, reply);
		else {
			read_task(data, out);
			if (step == PROVIDER_STEP_FIND)
				verdict_set_text(
				    &out->provider_id, task_id(data));
		}
	}
	json_free(&body);
}

static void
kling_polled(const struct provider_job *job, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	read_asked(job, PROVIDER_STEP_POLL, reply, out);
}

static void
kling_found(const struct provider_job *job, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	read_asked(job, PROVIDER_STEP_FIND, reply, out);
}

/* --- callback ---------------------------------------------------------------
 */

static bool
kling_verify(const struct provider_hook *hook, const struct json_object *keys,
    struct err *err)
{
	const char *secret = json_text_at(keys, "secret");
	const char *id = hook->header("webhook-id", hook->arg);
	const char *time = hook->header("webhook-timestamp", hook->arg);
	const char *signature = hook->header("webhook-signature", hook->arg);

	if (secret == NULL || id == NULL || time == NULL || signature == NULL)
		return err_set_name(err, ERR_UNAUTHORIZED, "bad_signature",
		    "The message is not signed by Kling");
	return webhook_verify(secret, id, time, signature, hook->body,
	    hook->len, hook->now_ms, err);
}

static bool
kling_hook(const struct provider_job *job, struct json_object *body,
    struct provider_verdict *out, struct err *err)
{
	const struct json_object *data = json_obj_at(body, "data");
	const char *id, *ours;

	if (data == NULL)
		data = body;
	id = task_id(data);
	ours = json_text_at(data, "task_info.external_task_id");
	if (id == NULL)
		return err_set_name(err, ERR_BAD_INPUT, "bad_webhook",
		    "This is not a message of Kling");
	if ((job->provider_id != NULL && strcmp(job->provider_id, id) != 0) ||
	    (ours != NULL && job->nonce != NULL &&
		strcmp(job->nonce, ours) != 0))
		return err_set_name(err, ERR_CONFLICT, "other_request",
		    "The message is about another request");
	verdict_set_text(&out->provider_id, id);
	out->state = PROVIDER_UNKNOWN;
	out->next = PROVIDER_STEP_POLL;
	return true;
}

const struct provider provider_kling = {
    .name = "kling",
    .title = "Kling",
    .base_url = "https://api-singapore.klingai.com",
    .transport = PROVIDER_HTTP,
    .recovery = PROVIDER_RECOVER_FIND,
    .poll_ms = 10000,
    .result_lifetime_s = 30 * 24 * 3600,
    .needs_key = true,
    .submit = kling_submit,
    .submitted = kling_submitted,
    .poll = kling_poll,
    .polled = kling_polled,
    .find = kling_find,
    .found = kling_found,
    .verify = kling_verify,
    .hook = kling_hook,
};
