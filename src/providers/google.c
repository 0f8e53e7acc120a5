/*
 * google.c - the Gemini API: Veo's long-running operations, and for the
 * models named gemini-* the Interactions API in google_omni.c.
 *
 *	base		https://generativelanguage.googleapis.com/v1beta
 *	key		x-goog-api-key, also for the result file
 *	submit		POST models/{model}:predictLongRunning
 *	poll		GET {operation name}, every 10 s
 *	done		generatedSamples[0].video.uri; "done" without one is a
 *			filtered prompt or a failure
 *	result		on the same host with the key, which then redirects;
 *			kept for 2 days
 *	images		base64 with their type, in the request
 *	refused fields	seed, fps, generateAudio (there is always sound)
 *	cancel		none; idempotency none (a lost submit is lost)
 *	429		RetryInfo.retryDelay "32s"; a daily quota won't clear
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "providers/google.h"
#include "reeld/mem.h"
#include "reeld/spec.h"

enum {
	FILE_LIFETIME_S = 2 * 24 * 3600,
	NAME_MAX_LEN = 300,
	PATH_LEN = NAME_MAX_LEN + 64
};

/* --- addresses --------------------------------------------------------------
 */

/* Model ids and operation names go into paths: "models/m/operations/x". */
static bool
name_ok(const char *name)
{
	if (name == NULL || !isalnum((unsigned char)name[0]) ||
	    strlen(name) > NAME_MAX_LEN || strstr(name, "..") != NULL)
		return false;
	for (const char *p = name; *p != '\0'; p++) {
		if (!isalnum((unsigned char)*p) && strchr("._-/", *p) == NULL)
			return false;
	}
	return true;
}

static bool
is_omni(const struct provider_job *job)
{
	return job->endpoint != NULL && str_starts(job->endpoint, "gemini-");
}

void
google_start(const struct provider_job *job, struct fetch_spec *out,
    const char *method, const char *path)
{
	char *url = xasprintf("%s/%s", job_base(&provider_google, job), path);

	spec_start(&provider_google, job, out, method, url);
	fetch_spec_secret(out, "x-goog-api-key", job->key);
	free(url);
}

/* --- errors -----------------------------------------------------------------
 */

/* google.rpc.Code */
static const struct {
	const char *name;
	enum provider_class class;
	bool may_retry;
} codes[] = {
    [1] = {"cancelled", PROVIDER_CLASS_CANCELLED, true},
    [2] = {"unknown", PROVIDER_CLASS_PROVIDER, true},
    [3] = {"invalid_argument", PROVIDER_CLASS_BAD_INPUT, false},
    [4] = {"deadline_exceeded", PROVIDER_CLASS_TIMEOUT, true},
    [5] = {"not_found", PROVIDER_CLASS_NOT_FOUND, false},
    [6] = {"already_exists", PROVIDER_CLASS_PROVIDER, false},
    [7] = {"permission_denied", PROVIDER_CLASS_ACCOUNT, false},
    [8] = {"resource_exhausted", PROVIDER_CLASS_RATE_LIMIT, true},
    /* The region, or no billing account. */
    [9] = {"failed_precondition", PROVIDER_CLASS_ACCOUNT, false},
    [10] = {"aborted", PROVIDER_CLASS_PROVIDER, true},
    [11] = {"out_of_range", PROVIDER_CLASS_BAD_INPUT, false},
    [12] = {"unimplemented", PROVIDER_CLASS_BAD_INPUT, false},
    [13] = {"internal", PROVIDER_CLASS_PROVIDER, true},
    [14] = {"unavailable", PROVIDER_CLASS_PROVIDER, true},
    [15] = {"data_loss", PROVIDER_CLASS_PROVIDER, false},
    [16] = {"unauthenticated", PROVIDER_CLASS_ACCOUNT, false},
};

static bool
names_refusal(const char *message)
{
	return text_names_refusal(message) ||
	    (message != NULL &&
		strcasestr(message, "usage guidelines") != NULL);
}

void
google_status(struct provider_verdict *out, int64_t code, const char *message)
{
	verdict_their_message(out, message);
	if (names_refusal(message)) {
		verdict_fail(out, PROVIDER_REFUSED, PROVIDER_CLASS_REFUSED,
		    "content_policy_violation", NULL);
		return;
	}
	if (code < 1 || code >= (int64_t)nitems(codes))
		code = 2;
	verdict_fail(out, code == 1 ? PROVIDER_CANCELLED : PROVIDER_FAILED,
	    codes[code].class, codes[code].name, NULL);
	out->may_retry = codes[code].may_retry;
}

/* What the details of an error say. */
struct details {
	int retry_after_s;
	bool bad_key, daily_quota;
};

static struct details
read_details(const struct json_object *error)
{
	struct json_object *list = json_arr_at(error, "details");
	struct details out = {0};

	for (size_t i = 0; i < json_count(list) && i < 20; i++) {
		struct json_object *item = json_item(list, i), *violations;
		int seconds = duration_text_s(json_text_at(item, "retryDelay"));
		const char *reason = json_text_at(item, "reason");

		if (seconds > 0)
			out.retry_after_s = seconds;
		if (reason != NULL && str_starts(reason, "API_KEY_"))
			out.bad_key = true;
		violations = json_arr_at(item, "violations");
		for (size_t k = 0; k < json_count(violations) && k < 20; k++) {
			const char *id =
			    json_text_at(json_item(violations, k), "quotaId");

			if (id != NULL && strstr(id, "PerDay") != NULL)
				out.daily_quota = true;
		}
	}
	return out;
}

void
google_error(enum provider_step step, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	struct json_object *body = reply_json(reply);
	const char *word = json_text_at(body, "error.status");
	const char *message = json_text_at(body, "error.message");
	struct details details = read_details(json_obj_at(body, "error"));
	struct fetch_reply waiting = *reply;

	if (details.retry_after_s > 0)
		waiting.retry_after_s = details.retry_after_s;
	verdict_their_message(out, message);
	verdict_http(out, step, &waiting);
	if (step != PROVIDER_STEP_SUBMIT || word == NULL) {
		json_free(&body);
		return;
	}
	if (reply->status == 429 && details.daily_quota)
		verdict_fail(out, PROVIDER_FAILED, PROVIDER_CLASS_FUNDS,
		    "daily_quota", NULL);
	else if (reply->status == 400 && names_refusal(message))
		verdict_fail(out, PROVIDER_REFUSED, PROVIDER_CLASS_REFUSED,
		    "content_policy_violation", NULL);
	else if (reply->status == 400 &&
	    (details.bad_key || strcmp(word, "FAILED_PRECONDITION") == 0))
		verdict_fail(out, PROVIDER_FAILED, PROVIDER_CLASS_ACCOUNT,
		    details.bad_key ? "bad_key" : "failed_precondition", NULL);
	json_free(&body);
}

/* --- submit -----------------------------------------------------------------
 */

static bool
put_image(struct json_object *into, const char *name,
    const struct provider_image *image, struct err *err)
{
	char *base64;
	struct json_object *doc;

	if (!image_given(image))
		return true;
	base64 = image_base64(image);
	if (base64 == NULL)
		return err_set_name(err, ERR_INTERNAL, "image_unavailable",
		    "The image's bytes are needed for Google");
	doc = json_new();
	json_set_text(doc, "bytesBase64Encoded", base64);
	json_set_text(doc, "mimeType", image_mime(image));
	json_set_obj(into, name, &doc);
	free(base64);
	return true;
}

/* The route writes into the objects "instances" and "parameters"; Google
 * wants a list with one instance.  options.parameters are added. */
static bool
veo_body(const struct provider_job *job, struct json_object *mapped,
    struct json_object **out, struct err *err)
{
	struct json_object *body = json_new(), *list = json_new_arr();
	struct json_object *instance =
	    json_copy(json_obj_at(mapped, "instances"));
	struct json_object *parameters =
	    json_copy(json_obj_at(mapped, "parameters"));
	struct json_iter it =
	    json_iter(json_obj_at(job->params, "options.parameters"));
	bool ok;

	if (instance == NULL)
		instance = json_new();
	if (parameters == NULL)
		parameters = json_new();
	while (json_next(&it))
		json_set_copy(parameters, it.name, it.value);
	ok = put_image(instance, "image", &job->start, err) &&
	    put_image(instance, "lastFrame", &job->end, err);
	json_add_obj(list, &instance);
	json_set_arr(body, "instances", &list);
	json_set_obj(body, "parameters", &parameters);
	if (!ok)
		json_free(&body);
	*out = body;
	return ok;
}

static bool
veo_submit(const struct provider_job *job, struct json_object *mapped,
    struct fetch_spec *out, struct err *err)
{
	struct json_object *body;
	char path[PATH_LEN];

	if (!veo_body(job, mapped, &body, err))
		return false;
	snprintf(
	    path, sizeof path, "models/%s:predictLongRunning", job->endpoint);
	google_start(job, out, "POST", path);
	fetch_spec_json(out, &body);
	return true;
}

static bool
google_submit(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	struct json_object *mapped;
	bool ok;

	if (!name_ok(job->endpoint) || strchr(job->endpoint, '/') != NULL)
		return err_set_name(err, ERR_INTERNAL, "no_endpoint",
		    "The route to Google has no valid model");
	mapped = json_new();
	ok = provider_map(job, mapped, err) &&
	    (is_omni(job) ? omni_submit(job, mapped, out, err)
			  : veo_submit(job, mapped, out, err));
	json_free(&mapped);
	if (ok && (job->start.len > 0 || job->end.len > 0))
		out->timeout_ms = 120000; /* megabytes go up */
	return ok;
}

static void
google_submitted(const struct provider_job *job,
    const struct fetch_reply *reply, struct provider_verdict *out)
{
	struct json_object *body;
	const char *name;

	if (reply->status < 200 || reply->status > 299) {
		google_error(PROVIDER_STEP_SUBMIT, reply, out);
		return;
	}
	if (is_omni(job)) {
		omni_submitted(job, reply, out);
		return;
	}
	body = reply_json(reply);
	name = json_text_at(body, "name");
	if (name_ok(name)) {
		verdict_set_text(&out->provider_id, name);
		out->state = PROVIDER_QUEUED;
	} else
		verdict_http(out, PROVIDER_STEP_SUBMIT, reply);
	json_free(&body);
}

/* --- poll -------------------------------------------------------------------
 */

static bool
google_poll(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	char path[PATH_LEN];

	if (!name_ok(job->provider_id))
		return err_set_name(err, ERR_INTERNAL, "no_reference",
		    "There is no operation's name");
	snprintf(path, sizeof path, "%s%s", is_omni(job) ? "interactions/" : "",
	    job->provider_id);
	google_start(job, out, "GET", path);
	return true;
}

bool
google_video(const struct provider_job *job, const char *uri,
    struct provider_verdict *out)
{
	bool ours = uri != NULL && url_is_own(&provider_google, job, uri);

	if (uri == NULL || (!ours && !str_starts(uri, "https://")))
		return false;
	out->state = PROVIDER_DONE;
	out->progress = 100;
	verdict_set_text(&out->result_url, uri);
	out->result_needs_key = ours;
	if (job->now_ms > 0)
		out->result_expires_ms = job->now_ms + FILE_LIFETIME_S * 1000LL;
	return true;
}

/* generateVideoResponse, or what stands in its place. */
static struct json_object *
response_of(const struct json_object *body)
{
	struct json_object *inner =
	    json_obj_at(body, "response.generateVideoResponse");

	return inner != NULL ? inner : json_obj_at(body, "response");
}

static struct json_object *
first_video(const struct json_object *response)
{
	struct json_object *sample =
	    json_obj_at(response, "generatedSamples.0");

	if (sample == NULL)
		sample = json_obj_at(response, "generatedVideos.0");
	return json_obj_at(sample, "video");
}

static void
read_done(const struct provider_job *job, const struct json_object *body,
    struct provider_verdict *out)
{
	struct json_object *response = response_of(body);
	struct json_object *video = first_video(response);
	const char *reason =
	    json_text_at(response, "raiMediaFilteredReasons.0");
	int64_t filtered = 0, code = 0;

	if (json_obj_at(body, "error") != NULL) {
		if (!json_int_at(body, "error.code", &code))
			code = 2;
		google_status(out, code, json_text_at(body, "error.message"));
		return;
	}
	if (google_video(job, json_text_at(video, "uri"), out))
		return;
	verdict_their_message(out, reason);
	if (reason != NULL ||
	    (json_int_at(response, "raiMediaFilteredCount", &filtered) &&
		filtered > 0))
		verdict_fail(out, PROVIDER_REFUSED, PROVIDER_CLASS_REFUSED,
		    "content_policy_violation", NULL);
	else
		/* Bytes inside the reply can't be fetched as a file. */
		verdict_fail(out, PROVIDER_FAILED, PROVIDER_CLASS_PROVIDER,
		    video != NULL ? "no_link" : "no_video", NULL);
}

static void
google_polled(const struct provider_job *job, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	struct json_object *body;
	bool done = false;
	int64_t percent;

	if (reply->status != 200) {
		google_error(PROVIDER_STEP_POLL, reply, out);
		return;
	}
	if (is_omni(job)) {
		omni_polled(job, reply, out);
		return;
	}
	body = reply_json(reply);
	if (json_bool_at(body, "done", &done) && done)
		read_done(job, body, out);
	else if (json_text_at(body, "name") == NULL)
		verdict_http(out, PROVIDER_STEP_POLL, reply);
	else {
		out->state = PROVIDER_RUNNING;
		if (json_int_at(body, "metadata.progressPercent", &percent) &&
		    percent >= 0 && percent <= 100)
			out->progress = (int)percent;
	}
	json_free(&body);
}

/* --- cancel and download ----------------------------------------------------
 */

static bool
google_cancel(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	if (!is_omni(job))
		return err_set_name(err, ERR_CONFLICT, "unsupported",
		    "Veo has no way to cancel");
	if (!name_ok(job->provider_id))
		return err_set_name(err, ERR_INTERNAL, "no_reference",
		    "There is no interaction's id");
	return omni_cancel(job, out);
}

static void
google_cancelled(const struct provider_job *job,
    const struct fetch_reply *reply, struct provider_verdict *out)
{
	/* Only the next poll knows whether it had finished before. */
	if (reply->status < 200 || reply->status > 299)
		google_error(PROVIDER_STEP_CANCEL, reply, out);
	out->state = PROVIDER_UNKNOWN;
	out->next = PROVIDER_STEP_POLL;
}

static bool
google_download(const struct provider_job *job, const char *url,
    struct fetch_spec *out, struct err *err)
{
	if (job->key == NULL || !url_is_own(&provider_google, job, url))
		return err_set_name(err, ERR_FORBIDDEN, "url_forbidden",
		    "The result is on another host");
	fetch_spec_init(out, "GET", url);
	fetch_spec_provider(
	    out, job_base(&provider_google, job), job->allow_private);
	/* It redirects; the key stays behind. */
	fetch_spec_secret(out, "x-goog-api-key", job->key);
	out->max_redirects = 5;
	out->tag = provider_google.name;
	return true;
}

const struct provider provider_google = {
    .name = "google",
    .title = "Google Gemini API",
    .base_url = "https://generativelanguage.googleapis.com/v1beta",
    .transport = PROVIDER_HTTP,
    .recovery = PROVIDER_RECOVER_NEVER,
    .poll_ms = 10000,
    .result_lifetime_s = FILE_LIFETIME_S,
    .needs_key = true,
    .image_data = true,
    .submit = google_submit,
    .submitted = google_submitted,
    .poll = google_poll,
    .polled = google_polled,
    .cancel = google_cancel,
    .cancelled = google_cancelled,
    .download = google_download,
    .check = &(const struct provider_check){.path = "/models?pageSize=1",
	.id = "models/any/operations/none"},
};
