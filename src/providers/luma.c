/*
 * luma.c - Luma's Agents API (ray-3.2).  luma_dream.c is the older one.
 *
 *	base	    https://agents.lumalabs.ai/v1
 *	headers	    Authorization: Bearer luma-api-...
 *	submit	    POST /generations {"model", "type": "video", "prompt",
 *		    "aspect_ratio", "video": {"resolution", "duration", ...}}
 *	images	    video.start_frame, video.end_frame: {"url"} or {"data",
 *		    "media_type"}; not with 10 s, nor with hdr
 *	poll	    GET /generations/{id}; no progress
 *	result	    output[0].url, signed for an hour, no key; asked again
 *		    it is fresh
 *	cancel	    none
 *	cost	    not told
 *	uncertain   nothing to ask by, no webhook: class D
 *	limits	    30 requests a minute, 10 at once
 */
#include <stdlib.h>
#include <string.h>

#include "providers/internal.h"
#include "reeld/mem.h"

enum { LINK_LIFETIME_S = 3600 };

static void
start(const struct provider_job *job, struct fetch_spec *out,
    const char *method, const char *path, const char *id)
{
	char *url = job_url(&provider_luma, job, path, id, "");

	spec_start(&provider_luma, job, out, method, url);
	fetch_spec_bearer(out, job->key);
	free(url);
}

/* {"detail": "text"}, or a list of what is wrong. */
static void
read_error(enum provider_step step, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	struct json_object *body = reply_json(reply);
	const char *text = json_text_at(body, "detail");

	if (text == NULL)
		text = json_text_at(body, "detail.0.msg");
	verdict_error(
	    out, step, reply, json_text_at(body, "failure_code"), text, 0);
	json_free(&body);
}

/* --- submit -----------------------------------------------------------------
 */

static void
set_frame(struct json_object *video, const char *name,
    const struct provider_image *image)
{
	struct json_object *frame;
	char *data;

	if (!image_given(image))
		return;
	frame = json_new();
	if (image->url != NULL)
		json_set_text(frame, "url", image->url);
	else {
		data = image_base64(image);
		json_set_text(frame, "data", data);
		json_set_text(frame, "media_type", image_mime(image));
		free(data);
	}
	json_set_obj(video, name, &frame);
}

static bool
fill(const struct provider_job *job, struct json_object *body, struct err *err)
{
	struct json_object *video;
	bool images = image_given(&job->start) || image_given(&job->end);
	bool hdr = false;

	json_set_text(body, "model", job->endpoint);
	json_set_text(body, "type", "video");
	if (!provider_map(job, body, err))
		return false;
	if (json_obj_at(body, "video") == NULL) {
		video = json_new();
		json_set_obj(body, "video", &video);
	}
	video = json_obj_at(body, "video");
	if (images &&
	    (str_eq(json_text_at(video, "duration"), "10s") ||
		(json_bool_at(video, "hdr", &hdr) && hdr)))
		return err_set_name(err, ERR_INVALID, "unsupported_with_image",
		    "With an image, this model makes neither 10 seconds nor "
		    "HDR");
	set_frame(video, "start_frame", &job->start);
	set_frame(video, "end_frame", &job->end);
	return true;
}

static bool
luma_submit(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	struct json_object *body;

	if (!endpoint_ok(job->endpoint, ""))
		return err_set_name(err, ERR_INTERNAL, "no_endpoint",
		    "The route to Luma names no model");
	body = json_new();
	if (!fill(job, body, err)) {
		json_free(&body);
		return false;
	}
	start(job, out, "POST", "/generations", NULL);
	fetch_spec_json(out, &body);
	if (image_given(&job->start) || image_given(&job->end))
		out->timeout_ms = 120000;
	return true;
}

static void
luma_submitted(const struct provider_job *job, const struct fetch_reply *reply,
    struct provider_verdict *out)
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
		verdict_set_text(&out->provider_id, id);
		verdict_status(out, json_text_at(body, "state"), NULL, 0);
		out->state = PROVIDER_QUEUED;
	}
	json_free(&body);
}

/* --- poll -------------------------------------------------------------------
 */

static const struct {
	const char *name;
	enum provider_state state;
	enum provider_class class;
	const char *code;
	bool may_retry;
} failures[] = {
    {"content_moderated", PROVIDER_REFUSED, PROVIDER_CLASS_REFUSED,
	"content_policy_violation", false},
    {"generation_failed", PROVIDER_FAILED, PROVIDER_CLASS_PROVIDER,
	"provider_error", true},
    {"output_not_found", PROVIDER_FAILED, PROVIDER_CLASS_PROVIDER,
	"no_media_generated", true},
    {"budget_exhausted", PROVIDER_FAILED, PROVIDER_CLASS_FUNDS,
	"provider_funds", false},
};

static void
read_failure(const struct json_object *body, struct provider_verdict *out)
{
	const char *code = json_text_at(body, "failure_code");
	const char *text = json_text_at(body, "failure_reason");

	verdict_their_code(out, code, text);
	for (size_t i = 0; i < nitems(failures); i++) {
		if (!str_eq(failures[i].name, code))
			continue;
		verdict_fail(out, failures[i].state, failures[i].class,
		    failures[i].code, NULL);
		out->may_retry = failures[i].may_retry;
		return;
	}
	if (text_names_refusal(code) || text_names_refusal(text)) {
		verdict_fail(out, PROVIDER_REFUSED, PROVIDER_CLASS_REFUSED,
		    "content_policy_violation", NULL);
		return;
	}
	verdict_fail(out, PROVIDER_FAILED, PROVIDER_CLASS_PROVIDER,
	    "provider_error", NULL);
	/* A new code may be anything. */
	out->may_retry = code == NULL;
}

static void
read_generation(const struct provider_job *job, const struct json_object *body,
    struct provider_verdict *out)
{
	const char *url = json_text_at(body, "output.0.url");

	out->state = verdict_status(
	    out, json_text_at(body, "state"), provider_words, provider_words_n);
	switch (out->state) {
	case PROVIDER_DONE:
		if (json_text_at(body, "failure_code") != NULL)
			read_failure(body, out);
		else if (url == NULL || url[0] == '\0')
			verdict_no_media(
			    out, json_text_at(body, "failure_reason"));
		else {
			out->progress = 100;
			verdict_set_text(&out->result_url, url);
			if (job->now_ms > 0)
				out->result_expires_ms =
				    job->now_ms + LINK_LIFETIME_S * 1000LL;
		}
		break;
	case PROVIDER_FAILED:
		read_failure(body, out);
		break;
	case PROVIDER_CANCELLED:
		verdict_cancelled(out);
		break;
	default:
		break;
	}
}

static bool
luma_poll(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	if (job->provider_id == NULL)
		return err_set_name(err, ERR_INTERNAL, "no_reference",
		    "There is no generation at Luma to ask for");
	start(job, out, "GET", "/generations/", job->provider_id);
	return true;
}

static void
luma_polled(const struct provider_job *job, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	struct json_object *body;

	if (reply->status != 200) {
		read_error(PROVIDER_STEP_POLL, reply, out);
		return;
	}
	body = reply_json(reply);
	if (json_text_at(body, "state") == NULL)
		verdict_http(out, PROVIDER_STEP_POLL, reply);
	else
		read_generation(job, body, out);
	json_free(&body);
}

const struct provider provider_luma = {
    .name = "luma",
    .title = "Luma Agents",
    .base_url = "https://agents.lumalabs.ai/v1",
    .transport = PROVIDER_HTTP,
    .recovery = PROVIDER_RECOVER_NEVER,
    .poll_ms = 5000,
    .concurrency = 10,
    .requests_per_min = 30,
    .result_lifetime_s = LINK_LIFETIME_S,
    .needs_key = true,
    .image_data = true,
    .submit = luma_submit,
    .submitted = luma_submitted,
    .poll = luma_poll,
    .polled = luma_polled,
    .check = &(const struct provider_check){0},
};
