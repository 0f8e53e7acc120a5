/*
 * luma_dream.c - Luma's Dream Machine API (ray-2, ray-flash-2), the older of
 * the two; keys of one are not good for the other.
 *
 *	base	    https://api.lumalabs.ai/dream-machine/v1
 *	headers	    Authorization: Bearer
 *	submit	    POST /generations/video {"model", "prompt", "keyframes",
 *		    "callback_url", ...}
 *	images	    keyframes.frame0 and frame1, by public URL only
 *	poll	    GET /generations/{id}: queued, dreaming, completed, failed
 *	result	    assets.video, no key; its lifetime is not told
 *	cancel	    DELETE /generations/{id}; it is unknown afterwards
 *	cost	    not told
 *	callback    the generation on dreaming, completed and failed, not
 *		    signed; it brings the id of a submit whose answer was
 *		    lost: class C
 */
#include <stdlib.h>
#include <string.h>

#include "providers/internal.h"
#include "reeld/mem.h"

static void
start(const struct provider_job *job, struct fetch_spec *out,
    const char *method, const char *path, const char *id)
{
	char *url = job_url(&provider_luma_dream, job, path, id, "");

	spec_start(&provider_luma_dream, job, out, method, url);
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
	verdict_error(out, step, reply, NULL, text, 0);
	json_free(&body);
}

/* --- submit -----------------------------------------------------------------
 */

static bool
set_keyframes(
    const struct provider_job *job, struct json_object *body, struct err *err)
{
	const struct provider_image *images[] = {&job->start, &job->end};
	static const char *const names[] = {"frame0", "frame1"};
	struct json_object *frames = json_new();
	bool ok = true;

	for (size_t i = 0; i < nitems(images); i++) {
		struct json_object *frame;

		if (!image_given(images[i]))
			continue;
		if (images[i]->url == NULL) {
			ok = err_set_name(err, ERR_INVALID, "image_needs_url",
			    "Luma takes images by a public address only");
			break;
		}
		frame = json_new();
		json_set_text(frame, "type", "image");
		json_set_text(frame, "url", images[i]->url);
		json_set_obj(frames, names[i], &frame);
	}
	if (ok && json_count(frames) > 0)
		json_set_obj(body, "keyframes", &frames);
	json_free(&frames);
	return ok;
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
	json_set_text(body, "model", job->endpoint);
	if (!provider_map(job, body, err) || !set_keyframes(job, body, err)) {
		json_free(&body);
		return false;
	}
	if (job->callback_url != NULL)
		json_set_text(body, "callback_url", job->callback_url);
	start(job, out, "POST", "/generations/video", NULL);
	fetch_spec_json(out, &body);
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

/* --- poll and cancel --------------------------------------------------------
 */

static void
read_failure(const char *reason, struct provider_verdict *out)
{
	bool refused = text_names_refusal(reason) ||
	    (reason != NULL && strcasestr(reason, "moderat") != NULL);

	verdict_fail(out, refused ? PROVIDER_REFUSED : PROVIDER_FAILED,
	    refused ? PROVIDER_CLASS_REFUSED : PROVIDER_CLASS_PROVIDER,
	    refused ? "content_policy_violation" : "provider_error", NULL);
	out->may_retry = !refused;
	verdict_their_message(out, reason);
}

static void
read_generation(const struct json_object *body, struct provider_verdict *out)
{
	const char *url = json_text_at(body, "assets.video");
	const char *reason = json_text_at(body, "failure_reason");

	out->state = verdict_status(
	    out, json_text_at(body, "state"), provider_words, provider_words_n);
	switch (out->state) {
	case PROVIDER_DONE:
		if (url != NULL && url[0] != '\0') {
			out->progress = 100;
			verdict_set_text(&out->result_url, url);
		} else if (reason != NULL)
			read_failure(reason, out);
		else
			verdict_no_media(out, NULL);
		break;
	case PROVIDER_FAILED:
		read_failure(reason, out);
		break;
	case PROVIDER_CANCELLED:
		verdict_cancelled(out);
		break;
	default:
		break;
	}
}

static bool
generation_request(const struct provider_job *job, const char *method,
    struct fetch_spec *out, struct err *err)
{
	if (job->provider_id == NULL)
		return err_set_name(err, ERR_INTERNAL, "no_reference",
		    "There is no generation at Luma to ask for");
	start(job, out, method, "/generations/", job->provider_id);
	return true;
}

static bool
luma_poll(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	return generation_request(job, "GET", out, err);
}

static void
luma_polled(const struct provider_job *job, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	struct json_object *body;

	(void)job;
	if (reply->status != 200) {
		read_error(PROVIDER_STEP_POLL, reply, out);
		return;
	}
	body = reply_json(reply);
	if (json_text_at(body, "state") == NULL)
		verdict_http(out, PROVIDER_STEP_POLL, reply);
	else
		read_generation(body, out);
	json_free(&body);
}

static bool
luma_cancel(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	return generation_request(job, "DELETE", out, err);
}

static void
luma_cancelled(const struct provider_job *job, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	(void)job;
	if (reply->status >= 200 && reply->status <= 299) {
		verdict_cancelled(out);
		return;
	}
	read_error(PROVIDER_STEP_CANCEL, reply, out);
	out->next = PROVIDER_STEP_POLL;
}

/* Not signed: the token in its address, and the poll, are the proof. */
static bool
luma_hook(const struct provider_job *job, struct json_object *body,
    struct provider_verdict *out, struct err *err)
{
	const char *id = json_text_at(body, "id");

	if (id == NULL || id[0] == '\0' || json_text_at(body, "state") == NULL)
		return err_set_name(err, ERR_BAD_INPUT, "bad_webhook",
		    "This is not a message of Luma");
	if (job->provider_id != NULL && strcmp(job->provider_id, id) != 0)
		return err_set_name(err, ERR_CONFLICT, "other_request",
		    "The message is about another generation");
	verdict_status(out, json_text_at(body, "state"), NULL, 0);
	verdict_set_text(&out->provider_id, id);
	out->state = PROVIDER_UNKNOWN;
	out->next = PROVIDER_STEP_POLL;
	return true;
}

const struct provider provider_luma_dream = {
    .name = "luma_dream",
    .title = "Luma Dream Machine",
    .base_url = "https://api.lumalabs.ai/dream-machine/v1",
    .transport = PROVIDER_HTTP,
    .recovery = PROVIDER_RECOVER_CALLBACK,
    .poll_ms = 5000,
    .needs_key = true,
    .submit = luma_submit,
    .submitted = luma_submitted,
    .poll = luma_poll,
    .polled = luma_polled,
    .cancel = luma_cancel,
    .cancelled = luma_cancelled,
    .hook = luma_hook,
    .check = &(const struct provider_check){.path = "/credits",
	.balance = "credit_balance",
	.unit = "US cents"},
};
