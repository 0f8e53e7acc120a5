/*
 * minimax.c - MiniMax (Hailuo) direct: v1 with its file step, and v2.
 *
 *	base	    https://api.minimax.io (China https://api.minimaxi.com);
 *		    a key is good for one of them
 *	headers	    Authorization: Bearer
 *	v1	    POST /v1/video_generation {"model", "prompt", ...}
 *		    GET /v1/query/video_generation?task_id= -> a file_id
 *		    GET /v1/files/retrieve?file_id= -> file.download_url
 *	v1 errors   HTTP 200 with base_resp.status_code
 *	v2	    MiniMax-H3, or options {"api": "v2"}:
 *		    POST /v2/video_generation {"model", "content": [], ...}
 *		    GET /v2/query/video_generation/{task_id}
 *	v2 errors   {"error": {"message", "http_code"}}
 *	images	    URL or data URI: first_frame_image and last_frame_image
 *		    by the route's map (v1), image_url items with a role (v2)
 *	result	    signed for some hours, no key; asked again it is fresh
 *	cancel	    none; no progress either
 *	cost	    not told; v2 tells the seconds made
 *	uncertain   class D; callbacks begin with a challenge to be echoed,
 *		    so none are asked for
 *	ids	    text in one reply and a number in another
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "providers/internal.h"
#include "reeld/mem.h"
#include "reeld/spec.h"

static void
start(const struct provider_job *job, struct fetch_spec *out,
    const char *method, const char *path, const char *id, const char *tail)
{
	char *url = job_url(&provider_minimax, job, path, id, tail);

	spec_start(&provider_minimax, job, out, method, url);
	fetch_spec_bearer(out, job->key);
	free(url);
}

static bool
is_v2(const struct provider_job *job)
{
	const char *api = json_text_at(job->params, "options.api");

	if (api != NULL)
		return strcmp(api, "v2") == 0;
	return job->endpoint != NULL && str_starts(job->endpoint, "MiniMax-H3");
}

/* An id as text, whatever it came as; NULL when there is none. */
static char *
id_at(const struct json_object *body, const char *path)
{
	const char *text = json_text_at(body, path);
	int64_t number;

	if (text != NULL)
		return text[0] != '\0' && strcmp(text, "0") != 0 ? xstrdup(text)
								 : NULL;
	if (json_int_at(body, path, &number) && number > 0)
		return xasprintf("%" PRId64, number);
	return NULL;
}

/* --- errors -----------------------------------------------------------------
 */

/* What a code of v1 means for a submit. */
static const struct {
	int code;
	enum provider_state state;
	enum provider_class class;
	const char *name;
} codes[] = {
    {1026, PROVIDER_REFUSED, PROVIDER_CLASS_REFUSED,
	"content_policy_violation"},
    {1027, PROVIDER_REFUSED, PROVIDER_CLASS_REFUSED,
	"content_policy_violation"},
    {2013, PROVIDER_FAILED, PROVIDER_CLASS_BAD_INPUT, "bad_input"},
    {1004, PROVIDER_FAILED, PROVIDER_CLASS_ACCOUNT, "provider_key"},
    {2049, PROVIDER_FAILED, PROVIDER_CLASS_ACCOUNT, "provider_key"},
    {1008, PROVIDER_FAILED, PROVIDER_CLASS_FUNDS, "provider_funds"},
    {1002, PROVIDER_BUSY, PROVIDER_CLASS_RATE_LIMIT, "rate_limit"},
    /* 1000, 1001, 1013, 1024 and new ones: who knows what was accepted. */
    {0, PROVIDER_UNKNOWN, PROVIDER_CLASS_PROVIDER, "provider_error"},
};

/* false: the reply is no error of v1. */
static bool
read_base_resp(enum provider_step step, const struct json_object *body,
    struct provider_verdict *out)
{
	const char *text = json_text_at(body, "base_resp.status_msg");
	int64_t code;
	char name[24];
	size_t i = 0;

	if (!json_int_at(body, "base_resp.status_code", &code) || code == 0)
		return false;
	while (codes[i].code != 0 && codes[i].code != code)
		i++;
	verdict_fail(out, codes[i].state, codes[i].class, codes[i].name, NULL);
	/* A question ends a paid job only by a refusal. */
	if (step != PROVIDER_STEP_SUBMIT && out->state == PROVIDER_FAILED)
		out->state = PROVIDER_UNKNOWN;
	out->may_retry = out->state == PROVIDER_BUSY ||
	    out->class == PROVIDER_CLASS_PROVIDER;
	snprintf(name, sizeof name, "%" PRId64, code);
	verdict_their_code(out, name, text);
	return true;
}

/* v2 has no number for it, only "input sensitive" and "output sensitive". */
static bool
is_sensitive(const char *text)
{
	return text != NULL && strcasestr(text, "sensitive") != NULL;
}

/* Any reply that is not what was asked for. */
static void
read_error(enum provider_step step, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	struct json_object *body = reply_json(reply);
	const char *text = json_text_at(body, "error.message");
	struct provider_verdict inner;

	provider_verdict_init(&inner);
	verdict_error(
	    out, step, reply, json_text_at(body, "error.code"), text, 0);
	/* Their number says more, where the status does not leave it open. */
	if (reply->status < 500 && reply->status != 408 &&
	    reply->status != 409 && reply->status != 425 &&
	    reply->status != 429 && reply->status != 404 &&
	    read_base_resp(step, body, &inner)) {
		inner.retry_after_s = out->retry_after_s;
		provider_verdict_fini(out);
		*out = inner;
	} else if (step == PROVIDER_STEP_SUBMIT &&
	    out->class == PROVIDER_CLASS_BAD_INPUT && is_sensitive(text)) {
		verdict_fail(out, PROVIDER_REFUSED, PROVIDER_CLASS_REFUSED,
		    "content_policy_violation", NULL);
	}
	json_free(&body);
}

/* --- submit -----------------------------------------------------------------
 */

static void
add_image(struct json_object *content, const struct provider_image *image,
    const char *role)
{
	char *ref = image_ref(image);
	struct json_object *item, *url;

	if (ref == NULL)
		return;
	item = json_new();
	url = json_new();
	json_set_text(item, "type", "image_url");
	json_set_text(url, "url", ref);
	json_set_obj(item, "image_url", &url);
	json_set_text(item, "role", role);
	json_add_obj(content, &item);
	free(ref);
}

static void
set_content(const struct provider_job *job, struct json_object *body)
{
	struct json_object *content = json_new_arr(), *item = json_new();

	json_set_text(item, "type", "text");
	json_set_text(
	    item, "text", job->spec->prompt != NULL ? job->spec->prompt : "");
	json_add_obj(content, &item);
	add_image(content, &job->start, "first_frame");
	add_image(content, &job->end, "last_frame");
	json_set_arr(body, "content", &content);
}

static bool
check_v2(const struct provider_job *job, const struct json_object *body,
    struct err *err)
{
	const char *ratio = json_text_at(body, "ratio");

	if (image_given(&job->start) || image_given(&job->end) ||
	    (ratio != NULL && strcmp(ratio, "adaptive") != 0))
		return true;
	return err_set_name(err, ERR_INVALID, "aspect_ratio_required",
	    "Without an image, this model needs an aspect ratio");
}

static bool
minimax_submit(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	struct json_object *body;
	bool ok;

	if (!endpoint_ok(job->endpoint, ""))
		return err_set_name(err, ERR_INTERNAL, "no_endpoint",
		    "The route to MiniMax names no model");
	body = json_new();
	json_set_text(body, "model", job->endpoint);
	if (is_v2(job))
		set_content(job, body);
	ok = provider_map(job, body, err) &&
	    (!is_v2(job) || check_v2(job, body, err));
	if (!ok) {
		json_free(&body);
		return false;
	}
	start(job, out, "POST",
	    is_v2(job) ? "/v2/video_generation" : "/v1/video_generation", NULL,
	    "");
	fetch_spec_json(out, &body);
	if (image_given(&job->start) || image_given(&job->end))
		out->timeout_ms = 120000;
	return true;
}

static void
minimax_submitted(const struct provider_job *job,
    const struct fetch_reply *reply, struct provider_verdict *out)
{
	struct json_object *body;
	char *id;

	(void)job;
	if (reply->status < 200 || reply->status > 299) {
		read_error(PROVIDER_STEP_SUBMIT, reply, out);
		return;
	}
	body = reply_json(reply);
	id = id_at(body, "task_id");
	if (read_base_resp(PROVIDER_STEP_SUBMIT, body, out)) {
		/* An error that leaves it open, and yet a task: ask for it. */
		if (out->state == PROVIDER_UNKNOWN && id != NULL)
			provider_verdict_fini(out);
		else {
			free(id);
			id = NULL;
		}
	} else if (id == NULL)
		verdict_http(out, PROVIDER_STEP_SUBMIT, reply);
	if (id != NULL) {
		out->provider_id = id;
		out->state = PROVIDER_QUEUED;
	}
	json_free(&body);
}

/* --- poll -------------------------------------------------------------------
 */

static bool
minimax_poll(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	if (job->provider_id == NULL)
		return err_set_name(err, ERR_INTERNAL, "no_reference",
		    "There is no task at MiniMax to ask for");
	start(job, out, "GET",
	    is_v2(job) ? "/v2/query/video_generation/"
		       : "/v1/query/video_generation?task_id=",
	    job->provider_id, "");
	return true;
}

/* The task failed: why, by number or by text. */
static void
read_failure(const char *code, const char *text, struct provider_verdict *out)
{
	int64_t number = 0;
	bool refused = text_names_refusal(code) || text_names_refusal(text) ||
	    is_sensitive(text);

	if (code != NULL && !str_to_i64(code, 0, 99999, &number))
		number = 0;
	refused = refused || number == 1026 || number == 1027;
	if (refused)
		verdict_fail(out, PROVIDER_REFUSED, PROVIDER_CLASS_REFUSED,
		    "content_policy_violation", NULL);
	else if (number == 2013)
		verdict_fail(out, PROVIDER_FAILED, PROVIDER_CLASS_BAD_INPUT,
		    "bad_input", NULL);
	else
		verdict_fail(out, PROVIDER_FAILED, PROVIDER_CLASS_PROVIDER,
		    "provider_error", NULL);
	out->may_retry = out->class == PROVIDER_CLASS_PROVIDER;
	verdict_their_code(out, code, text);
}

static void
read_v1(const struct json_object *body, struct provider_verdict *out)
{
	char *code = id_at(body, "base_resp.status_code");
	char *file;

	out->state = verdict_status(out, json_text_at(body, "status"),
	    provider_words, provider_words_n);
	switch (out->state) {
	case PROVIDER_DONE:
		file = id_at(body, "file_id");
		if (file == NULL) {
			verdict_no_media(
			    out, json_text_at(body, "base_resp.status_msg"));
			break;
		}
		/* Only the file's own document has its address. */
		out->state = PROVIDER_RUNNING;
		out->next = PROVIDER_STEP_RESULT;
		out->refs = json_new();
		json_set_text(out->refs, "file_id", file);
		free(file);
		break;
	case PROVIDER_FAILED:
		read_failure(
		    code, json_text_at(body, "base_resp.status_msg"), out);
		break;
	case PROVIDER_CANCELLED:
		verdict_cancelled(out);
		break;
	default:
		break;
	}
	free(code);
}

static void
read_v2(const struct json_object *task, struct provider_verdict *out)
{
	const char *url = json_text_at(task, "content.url");
	char *code = id_at(task, "error.code");
	double seconds;

	out->state = verdict_status(out, json_text_at(task, "status"),
	    provider_words, provider_words_n);
	if (json_num_at(task, "usage.output_seconds", &seconds) &&
	    seconds >= 0 && seconds < 1e6)
		out->billable_units = seconds;
	switch (out->state) {
	case PROVIDER_DONE:
		if (url != NULL && url[0] != '\0') {
			out->progress = 100;
			verdict_set_text(&out->result_url, url);
		} else if (json_obj_at(task, "error") != NULL)
			read_failure(
			    code, json_text_at(task, "error.message"), out);
		else
			verdict_no_media(out, NULL);
		break;
	case PROVIDER_FAILED:
		read_failure(
		    code != NULL ? code : json_text_at(task, "error.code"),
		    json_text_at(task, "error.message"), out);
		break;
	case PROVIDER_CANCELLED:
		verdict_cancelled(out);
		break;
	default:
		break;
	}
	free(code);
}

static void
minimax_polled(const struct provider_job *job, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	struct json_object *body;

	if (reply->status != 200) {
		read_error(PROVIDER_STEP_POLL, reply, out);
		return;
	}
	body = reply_json(reply);
	if (is_v2(job) && json_text_at(body, "task.status") != NULL)
		read_v2(json_obj_at(body, "task"), out);
	else if (!is_v2(job) && json_text_at(body, "status") != NULL &&
	    json_text_at(body, "status")[0] != '\0')
		read_v1(body, out);
	else if (!read_base_resp(PROVIDER_STEP_POLL, body, out))
		verdict_http(out, PROVIDER_STEP_POLL, reply);
	json_free(&body);
}

/* --- the file of v1 ---------------------------------------------------------
 */

static bool
minimax_result(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	const char *file = json_text_at(job->refs, "file_id");
	const char *group = json_text_at(job->params, "options.group_id");
	char *tail, *text;

	if (file == NULL)
		return err_set_name(err, ERR_INTERNAL, "no_reference",
		    "There is no file at MiniMax to ask for");
	text = group != NULL ? url_encode(group) : NULL;
	tail = xasprintf(
	    "%s%s", text != NULL ? "&GroupId=" : "", text != NULL ? text : "");
	start(job, out, "GET", "/v1/files/retrieve?file_id=", file, tail);
	free(tail);
	free(text);
	return true;
}

static void
minimax_resulted(const struct provider_job *job,
    const struct fetch_reply *reply, struct provider_verdict *out)
{
	struct json_object *body;
	const char *url;

	(void)job;
	if (reply->status != 200) {
		read_error(PROVIDER_STEP_RESULT, reply, out);
		return;
	}
	body = reply_json(reply);
	url = json_text_at(body, "file.download_url");
	if (url != NULL && url[0] != '\0') {
		out->state = PROVIDER_DONE;
		out->progress = 100;
		verdict_set_text(&out->result_url, url);
	} else if (!read_base_resp(PROVIDER_STEP_RESULT, body, out)) {
		if (json_obj_at(body, "file") != NULL)
			verdict_no_media(out, NULL);
		else
			verdict_http(out, PROVIDER_STEP_RESULT, reply);
	}
	json_free(&body);
}

const struct provider provider_minimax = {
    .name = "minimax",
    .title = "MiniMax",
    .base_url = "https://api.minimax.io",
    .transport = PROVIDER_HTTP,
    .recovery = PROVIDER_RECOVER_NEVER,
    .poll_ms = 10000,
    .result_lifetime_s = 9 * 3600,
    .needs_key = true,
    .image_data = true,
    .submit = minimax_submit,
    .submitted = minimax_submitted,
    .poll = minimax_poll,
    .polled = minimax_polled,
    .result = minimax_result,
    .resulted = minimax_resulted,
    .check = &(const struct provider_check){.endpoint = "MiniMax-Hailuo-02",
	.id = "1"},
};
