/*
 * worker.c - our own GPU workers: what goes on the Redis list job-queue, and
 * what their callbacks say.  The payload keeps the seven keys that existing
 * workers read (jobId, videoId, userId, jobType, prompt, characterId,
 * timestamp); everything newer is an extra key.
 */
#include <string.h>

#include "providers/internal.h"
#include "reeld/mem.h"
#include "reeld/spec.h"

static void
set_when(struct json_object *out, const char *name, const char *text)
{
	if (text != NULL && text[0] != '\0')
		json_set_text(out, name, text);
}

/* params.options: what the route adds, such as steps and guidance. */
static void
set_options(struct json_object *out, const struct json_object *params)
{
	struct json_iter it = json_iter(json_obj_at(params, "options"));

	while (json_next(&it)) {
		if (!json_has(out, it.name))
			json_set_copy(out, it.name, it.value);
	}
}

static void
set_spec(struct json_object *out, const struct gen_spec *spec)
{
	set_when(out, "negativePrompt", spec->negative_prompt);
	json_set_num(out, "duration", (double)spec->duration_ms / 1000);
	set_when(out, "resolution", spec->resolution);
	set_when(out, "aspectRatio", spec->aspect_ratio);
	if (spec->width > 0) {
		json_set_int(out, "width", spec->width);
		json_set_int(out, "height", spec->height);
	}
	if (spec->fps > 0) {
		json_set_int(out, "fps", spec->fps);
		json_set_int(
		    out, "frames", spec->duration_ms * spec->fps / 1000);
	}
	if (spec->has_seed)
		json_set_int(out, "seed", spec->seed);
	if (spec->audio != GEN_AUDIO_UNSET)
		json_set_bool(out, "audio", spec->audio == GEN_AUDIO_ON);
	json_set_text(out, "mode", gen_mode_name(spec->mode));
}

static bool
worker_payload(
    const struct provider_job *job, struct json_object **out, struct err *err)
{
	struct json_object *doc;

	if (job->attempt_id == NULL || job->job_token == NULL ||
	    job->callback_url == NULL)
		return err_set_name(err, ERR_INTERNAL, "no_reference",
		    "A worker's job needs an id, a token and a callback");
	doc = json_new();
	json_set_text(doc, "jobId", job->attempt_id);
	json_set_text(doc, "videoId", job->generation_id);
	json_set_text(doc, "userId", job->user_id);
	json_set_text(doc, "jobType", "video");
	json_set_text(doc, "prompt", job->spec->prompt);
	json_set_null(doc, "characterId");
	json_set_time_ms(doc, "timestamp", job->now_ms);
	set_when(doc, "model", job->endpoint);
	set_spec(doc, job->spec);
	set_when(doc, "startImageUrl", job->start.url);
	set_when(doc, "endImageUrl", job->end.url);
	set_when(doc, "uploadUrl", job->upload_url);
	json_set_text(doc, "callbackUrl", job->callback_url);
	json_set_text(doc, "jobToken", job->job_token);
	set_options(doc, job->params);
	*out = doc;
	return true;
}

/* {jobId, status, outputUrl?, errorMessage?} and, newer, errorClass,
 * progress and result.  Other keys are let through: old workers send some. */
static bool
worker_hook(const struct provider_job *job, struct json_object *body,
    struct provider_verdict *out, struct err *err)
{
	const char *id = json_text_at(body, "jobId");
	const char *word = json_text_at(body, "status");
	const char *message = json_text_at(body, "errorMessage");
	const char *class = json_text_at(body, "errorClass");
	const char *url = json_text_at(body, "outputUrl");
	int64_t progress;

	if (id == NULL || id[0] == '\0')
		return err_set_field(err, ERR_BAD_INPUT, "missing_field",
		    "#/jobId", "'jobId' is required");
	if (word == NULL || word[0] == '\0')
		return err_set_field(err, ERR_BAD_INPUT, "missing_field",
		    "#/status", "'status' is required");
	if (job->attempt_id != NULL && strcmp(job->attempt_id, id) != 0)
		return err_set_field(err, ERR_CONFLICT, "other_request",
		    "#/jobId", "The message is about another job");
	out->state =
	    verdict_status(out, word, provider_words, provider_words_n);
	if (out->state == PROVIDER_UNKNOWN)
		return err_set_field(err, ERR_INVALID, "out_of_range",
		    "#/status",
		    "'status' must be processing, completed, failed or "
		    "cancelled");
	if (json_int_at(body, "progress", &progress) && progress >= 0 &&
	    progress <= 100)
		out->progress = (int)progress;
	out->result = json_copy(json_obj_at(body, "result"));
	if (out->state == PROVIDER_FAILED) {
		bool refused = str_eq(class, "refused");

		verdict_fail(out, refused ? PROVIDER_REFUSED : PROVIDER_FAILED,
		    refused			     ? PROVIDER_CLASS_REFUSED
			: str_eq(class, "bad_input") ? PROVIDER_CLASS_BAD_INPUT
						     : PROVIDER_CLASS_PROVIDER,
		    "worker_failed",
		    refused ? NULL : "The worker could not make this video");
		out->may_retry = !refused && !str_eq(class, "bad_input");
		verdict_their_message(out, message);
	} else if (out->state == PROVIDER_CANCELLED)
		verdict_fail(out, PROVIDER_CANCELLED, PROVIDER_CLASS_CANCELLED,
		    "worker_cancelled", "The worker stopped this video");
	else if (out->state == PROVIDER_DONE)
		/* NULL: the file came through our own upload endpoint. */
		verdict_set_text(&out->result_url, url);
	return true;
}

const struct provider provider_worker = {
    .name = "worker",
    .title = "Own GPU workers",
    .transport = PROVIDER_WORKER,
    /* The same attempt id twice is one job for our own endpoints. */
    .recovery = PROVIDER_RECOVER_RESUBMIT,
    .poll_ms = 15000,
    .payload = worker_payload,
    .hook = worker_hook,
};
