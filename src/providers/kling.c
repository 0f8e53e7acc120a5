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

#include "providers/kling.h"
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

/* Nothing says that 3.x can be asked by our id: its callback has theirs. */
static enum provider_recovery
recovery_of(const char *endpoint)
{
	return str_starts(endpoint, "kling-v") ? PROVIDER_RECOVER_FIND
					       : PROVIDER_RECOVER_CALLBACK;
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
	if (!is_v1(job))
		return err_set_name(err, ERR_CONFLICT, "unsupported",
		    "Kling 3 can't be asked by our id");
	return ask_task(job, job->nonce, out, err);
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
	id = kling_task_id(data);
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
    .recovery_of = recovery_of,
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
    .check = &(const struct provider_check){.endpoint = "kling-v2-1-master",
	.absent_is_empty = true},
};
