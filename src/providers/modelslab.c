/*
 * modelslab.c - ModelsLab: hosted partner models (v7) and its own (v6).
 *
 *	base		https://modelslab.com/api
 *	endpoint	"veo3": model_id of v7/video-fusion/text-to-video, or
 *			image-to-video when there is a start image;
 *			"v6/text2video_ultra/wan2.2": path and model_id of v6
 *	key		"key" in every JSON body, also when polling, and as a
 *			Bearer token
 *	status		processing, success, failed, error; mostly with HTTP
 *			200, so the word decides before the code
 *	poll		POST fetch_result {key}; no progress, no cancel
 *	result		output[0], public; future_links are 404 until then
 *	webhook		unsigned, {status, id, output, track_id}
 *	limits		5 queued requests (pay as you go); 429 with retry_after
 *	quirks		"messege"; message and output may be text or object
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "providers/internal.h"
#include "reeld/mem.h"
#include "reeld/spec.h"

static const struct provider_word words[] = {
    {"processing", PROVIDER_RUNNING},
    {"queued", PROVIDER_QUEUED},
    {"success", PROVIDER_DONE},
    {"failed", PROVIDER_FAILED},
    {"error", PROVIDER_FAILED},
};

/* --- requests ---------------------------------------------------------------
 */

static bool
word_ok(const char *text, size_t len)
{
	if (len == 0 || len > 100 || !isalnum((unsigned char)text[0]))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)text[i]) &&
		    strchr("._-", text[i]) == NULL)
			return false;
	}
	return true;
}

struct target {
	const char *path; /* of v6; NULL: v7 */
	int path_len;
	const char *model;
};

static bool
read_endpoint(const char *endpoint, struct target *out)
{
	const char *slash;

	memset(out, 0, sizeof *out);
	if (endpoint == NULL)
		return false;
	out->model = endpoint;
	if (str_starts(endpoint, "v6/")) {
		out->path = endpoint + 3;
		slash = strchr(out->path, '/');
		if (slash == NULL ||
		    !word_ok(out->path, (size_t)(slash - out->path)))
			return false;
		out->path_len = (int)(slash - out->path);
		out->model = slash + 1;
	}
	return word_ok(out->model, strlen(out->model));
}

/* text2video and img2video, not their ultra kin. */
static bool
is_plain_v6(const struct target *target)
{
	static const char tail[] = "2video";
	int len = (int)sizeof tail - 1;

	return target->path_len >= len &&
	    strncmp(target->path + target->path_len - len, tail, (size_t)len) ==
	    0;
}

static void
start(const struct provider_job *job, struct fetch_spec *out, const char *url,
    struct json_object **body)
{
	spec_start(&provider_modelslab, job, out, "POST", url);
	fetch_spec_bearer(out, job->key);
	fetch_spec_json(out, body);
}

static struct json_object *
keyed_body(const struct provider_job *job)
{
	struct json_object *body = json_new();

	json_set_text(body, "key", job->key);
	return body;
}

static bool
modelslab_submit(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	const char *base = job_base(&provider_modelslab, job);
	struct json_object *body;
	struct target target;
	char *url;

	if (!read_endpoint(job->endpoint, &target))
		return err_set_name(err, ERR_INTERNAL, "no_endpoint",
		    "The route to ModelsLab has no valid endpoint");
	body = keyed_body(job);
	json_set_text(body, "model_id", target.model);
	if (!provider_map(job, body, err)) {
		json_free(&body);
		return false;
	}
	/* Its own default is an animated picture. */
	if (target.path != NULL && is_plain_v6(&target) &&
	    !json_has(body, "output_type"))
		json_set_text(body, "output_type", "mp4");
	if (job->callback_url != NULL)
		json_set_text(body, "webhook", job->callback_url);
	if (job->nonce != NULL)
		json_set_text(body, "track_id", job->nonce);
	if (target.path != NULL)
		url = xasprintf(
		    "%s/v6/video/%.*s", base, target.path_len, target.path);
	else
		url = xasprintf("%s/v7/video-fusion/%s", base,
		    image_given(&job->start) ? "image-to-video"
					     : "text-to-video");
	start(job, out, url, &body);
	free(url);
	return true;
}

static bool
modelslab_poll(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	const char *base = job_base(&provider_modelslab, job);
	const char *known = json_text_at(job->refs, "fetch_result");
	struct json_object *body;
	struct target target;
	char *url, *id;

	if (job->provider_id == NULL || !read_endpoint(job->endpoint, &target))
		return err_set_name(err, ERR_INTERNAL, "no_reference",
		    "There is no id of this video at ModelsLab");
	id = url_encode(job->provider_id);
	/* The body holds our key. */
	if (url_is_own(&provider_modelslab, job, known))
		url = xstrdup(known);
	else
		url = xasprintf("%s/%s/fetch/%s", base,
		    target.path != NULL ? "v6/video" : "v7/video-fusion", id);
	body = keyed_body(job);
	start(job, out, url, &body);
	free(url);
	free(id);
	return true;
}

/* --- what they say ----------------------------------------------------------
 */

/* Text, or the dump of an object; the caller frees it. */
static char *
message_of(const struct json_object *body)
{
	static const char *const names[] = {
	    "message", "messege", "error", "detail", "tip"};

	for (size_t i = 0; i < nitems(names); i++) {
		const struct json_object *value = json_at(body, names[i]);

		if (json_text(value) != NULL && json_text(value)[0] != '\0')
			return xstrdup(json_text(value));
		if (json_is_obj(value) || json_is_arr(value))
			return json_dump_text(value);
	}
	return NULL;
}

/* There are no codes, only sentences. */
static const struct {
	const char *sign;
	enum provider_class class;
} sentences[] = {
    {"rate limit", PROVIDER_CLASS_RATE_LIMIT},
    {"queued requests", PROVIDER_CLASS_RATE_LIMIT},
    {"too many requests", PROVIDER_CLASS_RATE_LIMIT},
    {"api key", PROVIDER_CLASS_ACCOUNT},
    {"unauthorized", PROVIDER_CLASS_ACCOUNT},
    {"subscription", PROVIDER_CLASS_FUNDS},
    {"out of credit", PROVIDER_CLASS_FUNDS},
    {"credits", PROVIDER_CLASS_FUNDS},
    {"wallet", PROVIDER_CLASS_FUNDS},
    {"sensitive", PROVIDER_CLASS_REFUSED},
    {"inappropriate", PROVIDER_CLASS_REFUSED},
    {"server error", PROVIDER_CLASS_PROVIDER},
    {"went wrong", PROVIDER_CLASS_PROVIDER},
    {"try again", PROVIDER_CLASS_PROVIDER},
};

static enum provider_class
class_of_text(const char *text, enum provider_class otherwise)
{
	if (text == NULL)
		return PROVIDER_CLASS_PROVIDER;
	if (text_names_refusal(text))
		return PROVIDER_CLASS_REFUSED;
	if (text_names_funds(text))
		return PROVIDER_CLASS_FUNDS;
	for (size_t i = 0; i < nitems(sentences); i++) {
		if (strcasestr(text, sentences[i].sign) != NULL)
			return sentences[i].class;
	}
	return otherwise;
}

static int
retry_after(const struct json_object *body)
{
	int64_t seconds;

	return json_int_at(body, "retry_after", &seconds) && seconds > 0
	    ? (int)(seconds < 600 ? seconds : 600)
	    : 0;
}

/* "error" or "failed" with HTTP 200. */
static void
read_failure(enum provider_step step, const struct json_object *body,
    struct provider_verdict *out)
{
	bool submit = step == PROVIDER_STEP_SUBMIT;
	char *text = message_of(body);
	enum provider_class class = class_of_text(
	    text, submit ? PROVIDER_CLASS_BAD_INPUT : PROVIDER_CLASS_PROVIDER);
	enum provider_state state = PROVIDER_FAILED;

	if (class == PROVIDER_CLASS_REFUSED)
		state = PROVIDER_REFUSED;
	else if (class == PROVIDER_CLASS_RATE_LIMIT && out->provider_id == NULL)
		/* What has an id was taken: it is not sent again. */
		state = PROVIDER_BUSY;
	else if (!submit &&
	    (class == PROVIDER_CLASS_ACCOUNT || class == PROVIDER_CLASS_FUNDS))
		/* About our question, not about the video. */
		state = PROVIDER_UNKNOWN;
	verdict_fail(out, state, class,
	    state == PROVIDER_REFUSED ? "content_policy_violation" : NULL,
	    NULL);
	verdict_their_message(out, text);
	out->may_retry = class == PROVIDER_CLASS_PROVIDER ||
	    class == PROVIDER_CLASS_RATE_LIMIT;
	out->retry_after_s = retry_after(body);
	free(text);
}

static void
read_http(enum provider_step step, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	struct json_object *body = reply_json(reply);
	char *text = message_of(body);

	verdict_error(out, step, reply, NULL, text, retry_after(body));
	free(text);
	json_free(&body);
}

/* An id is a number, or a text. */
static char *
id_of(const struct json_object *body)
{
	const char *text = json_text_at(body, "id");
	int64_t number;

	if (text != NULL && text[0] != '\0' && strlen(text) <= 100)
		return xstrdup(text);
	if (json_int_at(body, "id", &number) && number > 0)
		return xasprintf("%" PRId64, number);
	return NULL;
}

static bool
is_ok(const struct fetch_reply *reply)
{
	return reply->status >= 200 && reply->status <= 299;
}

static void
modelslab_submitted(const struct provider_job *job,
    const struct fetch_reply *reply, struct provider_verdict *out)
{
	struct json_object *body;
	enum provider_state state;
	const char *url;

	if (!is_ok(reply)) {
		read_http(PROVIDER_STEP_SUBMIT, reply, out);
		return;
	}
	body = reply_json(reply);
	state = verdict_status(
	    out, json_text_at(body, "status"), words, nitems(words));
	out->provider_id = id_of(body);
	if (state == PROVIDER_FAILED)
		read_failure(PROVIDER_STEP_SUBMIT, body, out);
	else if (out->provider_id == NULL)
		verdict_http(out, PROVIDER_STEP_SUBMIT, reply);
	else {
		/* Should it be finished already, the poll says so again. */
		out->state = PROVIDER_QUEUED;
		out->refs = json_new();
		url = json_text_at(body, "fetch_result");
		if (url_is_own(&provider_modelslab, job, url))
			json_set_text(out->refs, "fetch_result", url);
	}
	json_free(&body);
}

static const char *
link_of(const struct json_object *body)
{
	static const char *const paths[] = {
	    "output.0", "output", "proxy_links.0", "output.url"};

	for (size_t i = 0; i < nitems(paths); i++) {
		const char *url = json_text_at(body, paths[i]);

		if (url != NULL && str_starts(url, "http"))
			return url;
	}
	return NULL;
}

static void
modelslab_polled(const struct provider_job *job,
    const struct fetch_reply *reply, struct provider_verdict *out)
{
	struct json_object *body;
	char *text;

	(void)job;
	if (!is_ok(reply)) {
		read_http(PROVIDER_STEP_POLL, reply, out);
		return;
	}
	body = reply_json(reply);
	if (json_text_at(body, "status") == NULL) {
		verdict_http(out, PROVIDER_STEP_POLL, reply);
		json_free(&body);
		return;
	}
	out->state = verdict_status(
	    out, json_text_at(body, "status"), words, nitems(words));
	if (out->state == PROVIDER_FAILED)
		read_failure(PROVIDER_STEP_POLL, body, out);
	else if (out->state == PROVIDER_DONE && link_of(body) != NULL) {
		out->progress = 100;
		verdict_set_text(&out->result_url, link_of(body));
	} else if (out->state == PROVIDER_DONE) {
		text = message_of(body);
		verdict_no_media(out, text);
		free(text);
	}
	json_free(&body);
}

/* --- webhook ----------------------------------------------------------------
 */

static bool
modelslab_hook(const struct provider_job *job, struct json_object *body,
    struct provider_verdict *out, struct err *err)
{
	char *id = id_of(body);

	if (id == NULL || json_text_at(body, "status") == NULL) {
		free(id);
		return err_set_name(err, ERR_BAD_INPUT, "bad_webhook",
		    "This is not a message of ModelsLab");
	}
	if (job->provider_id != NULL && strcmp(job->provider_id, id) != 0) {
		free(id);
		return err_set_name(err, ERR_CONFLICT, "other_request",
		    "The message is about another request");
	}
	verdict_status(out, json_text_at(body, "status"), NULL, 0);
	out->provider_id = id;
	out->state = PROVIDER_UNKNOWN;
	out->next = PROVIDER_STEP_POLL;
	return true;
}

const struct provider provider_modelslab = {
    .name = "modelslab",
    .title = "ModelsLab",
    .base_url = "https://modelslab.com/api",
    .transport = PROVIDER_HTTP,
    .recovery = PROVIDER_RECOVER_CALLBACK,
    .poll_ms = 7000,
    .concurrency = 5,
    .needs_key = true,
    .submit = modelslab_submit,
    .submitted = modelslab_submitted,
    .poll = modelslab_poll,
    .polled = modelslab_polled,
    .hook = modelslab_hook,
    .check =
	&(const struct provider_check){.endpoint = "seedance-t2v", .id = "1"},
};
