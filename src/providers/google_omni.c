/*
 * google_omni.c - Gemini Omni, Veo's successor, by the Interactions API.
 *
 *	submit	POST interactions {model, input, background, store,
 *		response_format {type "video", delivery "uri", ...}}
 *	poll	GET interactions/{id}; status queued, in_progress, completed,
 *		failed, cancelled, incomplete, budget_exceeded, ...
 *	result	the last content of type "video" in the model's last steps
 *	images	content items of type "image" beside the text
 *	cancel	POST interactions/{id}/cancel (background only)
 *
 * The route maps the prompt to "input" and the rest into "response_format".
 */
#include <stdlib.h>
#include <string.h>

#include "providers/google.h"
#include "reeld/mem.h"
#include "reeld/spec.h"

static const struct provider_word words[] = {
    {"queued", PROVIDER_QUEUED},
    {"in_progress", PROVIDER_RUNNING},
    {"completed", PROVIDER_DONE},
    {"failed", PROVIDER_FAILED},
    {"cancelled", PROVIDER_CANCELLED},
    {"incomplete", PROVIDER_FAILED},
    {"budget_exceeded", PROVIDER_FAILED},
    /* They wait for an answer that nobody will give. */
    {"requires_action", PROVIDER_FAILED},
    {"requires_continuation", PROVIDER_FAILED},
};

/* --- submit -----------------------------------------------------------------
 */

static bool
add_image(struct json_object *list, const struct provider_image *image,
    struct err *err)
{
	struct json_object *item;
	char *base64;

	if (!image_given(image))
		return true;
	base64 = image_base64(image);
	if (base64 == NULL)
		return err_set_name(err, ERR_INTERNAL, "image_unavailable",
		    "The image's bytes are needed for Google");
	item = json_new();
	json_set_text(item, "type", "image");
	json_set_text(item, "data", base64);
	json_set_text(item, "mime_type", image_mime(image));
	json_add_obj(list, &item);
	free(base64);
	return true;
}

/* "input" as a text alone, or as a list with the images. */
static bool
put_input(const struct provider_job *job, const struct json_object *mapped,
    struct json_object *body, struct err *err)
{
	const char *prompt = json_text_at(mapped, "input");
	struct json_object *list, *item, *config, *video;

	if (!image_given(&job->start) && !image_given(&job->end)) {
		json_set_text(body, "input", prompt);
		return true;
	}
	list = json_new_arr();
	item = json_new();
	json_set_text(item, "type", "text");
	json_set_text(item, "text", prompt);
	json_add_obj(list, &item);
	if (!add_image(list, &job->start, err) ||
	    !add_image(list, &job->end, err)) {
		json_free(&list);
		return false;
	}
	json_set_arr(body, "input", &list);
	video = json_new();
	json_set_text(video, "task", "image_to_video");
	config = json_new();
	json_set_obj(config, "video_config", &video);
	json_set_obj(body, "generation_config", &config);
	return true;
}

bool
omni_submit(const struct provider_job *job, struct json_object *mapped,
    struct fetch_spec *out, struct err *err)
{
	struct json_object *body = json_new(), *format = json_new();
	struct json_iter it = json_iter(json_obj_at(mapped, "response_format"));

	json_set_text(body, "model", job->endpoint);
	if (!put_input(job, mapped, body, err)) {
		json_free(&body);
		json_free(&format);
		return false;
	}
	json_set_bool(body, "background", true);
	json_set_bool(body, "store", true);
	json_set_text(format, "type", "video");
	while (json_next(&it))
		json_set_copy(format, it.name, it.value);
	/* Bytes in the reply would be megabytes of base64. */
	json_set_text(format, "delivery", "uri");
	json_set_obj(body, "response_format", &format);
	google_start(job, out, "POST", "interactions");
	fetch_spec_json(out, &body);
	return true;
}

/* --- what they say ----------------------------------------------------------
 */

/* The last video since the last input, as the SDK takes it. */
static struct json_object *
last_video(const struct json_object *body)
{
	struct json_object *steps = json_arr_at(body, "steps");

	for (size_t i = json_count(steps); i-- > 0;) {
		struct json_object *step = json_item(steps, i), *list;

		if (str_eq(json_text_at(step, "type"), "user_input"))
			break;
		list = json_arr_at(step, "content");
		for (size_t k = json_count(list); k-- > 0;) {
			struct json_object *item = json_item(list, k);

			if (str_eq(json_text_at(item, "type"), "video"))
				return item;
		}
	}
	return json_obj_at(body, "output_video");
}

/* errors[] of the interaction, or the error of its last step. */
static void
read_failure(const struct json_object *body, struct provider_verdict *out)
{
	const char *message = json_text_at(body, "errors.0.message");
	struct json_object *steps = json_arr_at(body, "steps");
	struct json_object *last = json_count(steps) > 0
	    ? json_item(steps, json_count(steps) - 1)
	    : NULL;
	int64_t code = 13;

	if (message == NULL)
		message = json_text_at(last, "error.message");
	if (!json_int_at(body, "errors.0.code", &code) &&
	    !json_int_at(last, "error.code", &code))
		code = 13;
	google_status(out, code, message);
}

static void
read_state(const struct provider_job *job, const struct json_object *body,
    struct provider_verdict *out)
{
	struct json_object *video;
	const char *word = json_text_at(body, "status");

	out->state = verdict_status(out, word, words, nitems(words));
	if (out->state == PROVIDER_CANCELLED)
		verdict_fail(out, PROVIDER_CANCELLED, PROVIDER_CLASS_CANCELLED,
		    NULL, NULL);
	else if (str_eq(word, "budget_exceeded"))
		verdict_fail(
		    out, PROVIDER_FAILED, PROVIDER_CLASS_FUNDS, word, NULL);
	else if (out->state == PROVIDER_FAILED && strcmp(word, "failed") != 0)
		verdict_fail(
		    out, PROVIDER_FAILED, PROVIDER_CLASS_PROVIDER, word, NULL);
	else if (out->state == PROVIDER_FAILED)
		read_failure(body, out);
	else if (out->state == PROVIDER_DONE) {
		video = last_video(body);
		if (google_video(job, json_text_at(video, "uri"), out))
			return;
		/* An answer in words instead: mostly a polite refusal, but
		 * nothing says so. */
		if (json_arr_at(body, "errors") != NULL)
			read_failure(body, out);
		else
			verdict_fail(out, PROVIDER_FAILED,
			    PROVIDER_CLASS_PROVIDER,
			    video != NULL ? "no_link" : "no_video", NULL);
	}
}

void
omni_submitted(const struct provider_job *job, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	struct json_object *body = reply_json(reply);
	const char *id = json_text_at(body, "id");

	(void)job;
	if (id == NULL || id[0] == '\0' || strchr(id, '/') != NULL) {
		verdict_http(out, PROVIDER_STEP_SUBMIT, reply);
		json_free(&body);
		return;
	}
	/* Whatever became of it already, the first poll tells. */
	verdict_set_text(&out->provider_id, id);
	verdict_status(out, json_text_at(body, "status"), NULL, 0);
	out->state = PROVIDER_QUEUED;
	json_free(&body);
}

void
omni_polled(const struct provider_job *job, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	struct json_object *body = reply_json(reply);

	if (json_text_at(body, "status") == NULL)
		verdict_http(out, PROVIDER_STEP_POLL, reply);
	else
		read_state(job, body, out);
	json_free(&body);
}

bool
omni_cancel(const struct provider_job *job, struct fetch_spec *out)
{
	char *path = xasprintf("interactions/%s/cancel", job->provider_id);

	google_start(job, out, "POST", path);
	free(path);
	return true;
}
