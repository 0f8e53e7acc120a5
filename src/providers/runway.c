/*
 * runway.c - Runway's tasks API.
 *
 *	base	    https://api.dev.runwayml.com (that is production)
 *	headers	    Authorization: Bearer, X-Runway-Version: 2024-11-06
 *	submit	    POST /v1/image_to_video with an image, else
 *		    POST /v1/text_to_video; the route's endpoint is the model
 *	images	    https URL, data URI up to 5 MB, or a runway:// upload:
 *		    POST /v1/uploads, then a form to the address it names
 *	poll	    GET /v1/tasks/{id}, at most every 5 s
 *	result	    output[0], a signed link of 24 to 48 h; asked again, fresh
 *	cancel	    DELETE /v1/tasks/{id}; the task is unknown afterwards
 *	cost	    cost.credits at the end, 0.01 $ each, refusals too
 *	uncertain   nothing to ask by, no webhooks: class D
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "providers/internal.h"
#include "reeld/mem.h"
#include "reeld/spec.h"

#define VERSION "2024-11-06"
enum {
	DATA_URI_MAX = 5000000,
	PROMPT_MAX = 1000, /* of gen4* and veo3*, in UTF-16 units */
	LINK_LIFETIME_MS = 24 * 3600 * 1000,
	MICRO_USD_PER_CREDIT = 10000
};

static void
start(const struct provider_job *job, struct fetch_spec *out,
    const char *method, const char *path, const char *id)
{
	char *url = job_url(&provider_runway, job, path, id, "");

	spec_start(&provider_runway, job, out, method, url);
	fetch_spec_bearer(out, job->key);
	fetch_spec_header(out, "X-Runway-Version", VERSION);
	free(url);
}

/* {"error": "text"} */
static void
read_error(enum provider_step step, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	struct json_object *body = reply_json(reply);

	verdict_error(out, step, reply, NULL, json_text_at(body, "error"), 0);
	json_free(&body);
}

/* --- images -----------------------------------------------------------------
 */

static bool
needs_upload(const struct provider_image *image)
{
	return image->url == NULL && image->len / 3 * 4 + 64 > DATA_URI_MAX;
}

static const struct {
	const char *uri; /* in refs, when it is there */
	size_t image;	 /* in struct provider_job */
} slots[] = {
    {"start_uri", offsetof(struct provider_job, start)},
    {"end_uri", offsetof(struct provider_job, end)},
};

/* The image that is still to be uploaded; NULL when there is none. */
static const struct provider_image *
pending(const struct provider_job *job, const char **uri)
{
	for (size_t i = 0; i < nitems(slots); i++) {
		const struct provider_image *image =
		    (const void *)((const char *)job + slots[i].image);

		if (!needs_upload(image) ||
		    json_text_at(job->refs, slots[i].uri) != NULL)
			continue;
		*uri = slots[i].uri;
		return image;
	}
	return NULL;
}

static bool
runway_wants_prepare(const struct provider_job *job)
{
	const char *uri;

	return pending(job, &uri) != NULL;
}

/* Their storage gets the form as they gave it, and no key of ours. */
static bool
send_file(const struct provider_job *job, const struct provider_image *image,
    struct fetch_spec *out, struct err *err)
{
	const char *url = json_text_at(job->refs, "upload.url");
	struct json_iter it =
	    json_iter(json_obj_at(job->refs, "upload.fields"));
	struct multipart form;

	if (url == NULL)
		return err_set_name(err, ERR_INTERNAL, "no_reference",
		    "There is no address to upload to");
	multipart_init(&form, job);
	while (json_next(&it))
		multipart_field(&form, it.name, json_text(it.value));
	multipart_file(&form, "file", image_file_name(image), image_mime(image),
	    image->data, image->len);
	fetch_spec_init(out, "POST", url);
	out->tag = provider_runway.name;
	out->timeout_ms = 120000;
	multipart_finish(&form, out);
	return true;
}

static bool
runway_prepare(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	const char *uri = NULL;
	const struct provider_image *image = pending(job, &uri);
	struct json_object *body;

	if (image == NULL)
		return err_set_name(err, ERR_CONFLICT, "unsupported",
		    "There is no image to upload");
	if (json_obj_at(job->refs, "upload") != NULL)
		return send_file(job, image, out, err);
	body = json_new();
	json_set_text(body, "filename", image_file_name(image));
	json_set_text(body, "type", "ephemeral");
	start(job, out, "POST", "/v1/uploads", NULL);
	fetch_spec_json(out, &body);
	return true;
}

/* Only what send_file() can repeat: texts by name. */
static bool
keep_upload(struct json_object *refs, const struct json_object *body)
{
	const char *url = json_text_at(body, "uploadUrl");
	const char *uri = json_text_at(body, "runwayUri");
	struct json_object *upload = json_new(), *fields = json_new();
	struct json_iter it = json_iter(json_obj_at(body, "fields"));
	bool ok = url != NULL && uri != NULL && str_starts(uri, "runway://") &&
	    json_count(json_obj_at(body, "fields")) <= 40;

	while (ok && json_next(&it)) {
		ok = json_text(it.value) != NULL;
		if (ok)
			json_set_text(fields, it.name, json_text(it.value));
	}
	json_set_text(upload, "url", url);
	json_set_text(upload, "uri", uri);
	json_set_obj(upload, "fields", &fields);
	json_set_obj(refs, "upload", &upload);
	return ok;
}

static void
runway_prepared(const struct provider_job *job, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	struct json_object *refs =
	    job->refs != NULL ? json_copy(job->refs) : json_new();
	struct json_object *body = reply_json(reply);
	const char *uri = NULL;
	bool ok = reply->status >= 200 && reply->status <= 299;

	(void)pending(job, &uri);
	if (!ok) {
		read_error(PROVIDER_STEP_PREPARE, reply, out);
	} else if (json_obj_at(refs, "upload") == NULL) {
		ok = keep_upload(refs, body);
		if (!ok)
			verdict_http(out, PROVIDER_STEP_PREPARE, reply);
	} else if (uri != NULL) {
		json_set_text(refs, uri, json_text_at(refs, "upload.uri"));
		json_unset(refs, "upload");
	}
	if (ok) {
		struct provider_job next = *job;

		next.refs = refs;
		out->state = PROVIDER_QUEUED;
		out->next = runway_wants_prepare(&next) ? PROVIDER_STEP_PREPARE
							: PROVIDER_STEP_SUBMIT;
		out->refs = refs;
		refs = NULL;
	} else if (json_has(refs, "upload")) {
		/* The form has a short life: the next try asks for another. */
		json_unset(refs, "upload");
		verdict_fail(out, PROVIDER_BUSY, PROVIDER_CLASS_PROVIDER,
		    "upload_failed", NULL);
		out->refs = refs;
		refs = NULL;
	}
	json_free(&refs);
	json_free(&body);
}

static char *
image_uri(const struct provider_job *job, size_t slot)
{
	const char *known = json_text_at(job->refs, slots[slot].uri);

	return known != NULL
	    ? xstrdup(known)
	    : image_ref((const void *)((const char *)job + slots[slot].image));
}

/* One image is a string; a last frame needs the list. */
static void
set_images(const struct provider_job *job, struct json_object *body)
{
	static const char *const positions[] = {"first", "last"};
	char *uris[] = {image_uri(job, 0), image_uri(job, 1)};
	struct json_object *list = json_new_arr();

	for (size_t i = 0; i < nitems(uris); i++) {
		struct json_object *item = json_new();

		json_set_text(item, "uri", uris[i]);
		json_set_text(item, "position", positions[i]);
		if (uris[i] != NULL)
			json_add_obj(list, &item);
		json_free(&item);
	}
	if (uris[1] != NULL)
		json_set_arr(body, "promptImage", &list);
	else if (uris[0] != NULL)
		json_set_text(body, "promptImage", uris[0]);
	json_free(&list);
	free(uris[0]);
	free(uris[1]);
}

/* --- submit -----------------------------------------------------------------
 */

static size_t
utf16_units(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		n += (c & 0xC0) != 0x80;
		n += c >= 0xF0;
	}
	return n;
}

static bool
runway_submit(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	bool image = image_given(&job->start) || image_given(&job->end);
	struct json_object *body;

	if (!endpoint_ok(job->endpoint, ""))
		return err_set_name(err, ERR_INTERNAL, "no_endpoint",
		    "The route to Runway names no model");
	if (!image && str_eq(job->endpoint, "gen4_turbo"))
		return err_set_name(err, ERR_INVALID, "image_required",
		    "This model needs a start image");
	if ((str_starts(job->endpoint, "gen4") ||
		str_starts(job->endpoint, "veo3")) &&
	    job->spec->prompt != NULL &&
	    utf16_units(job->spec->prompt) > PROMPT_MAX)
		return err_set_name(err, ERR_INVALID, "prompt_too_long",
		    "The prompt is too long for this model");
	body = json_new();
	json_set_text(body, "model", job->endpoint);
	if (!provider_map(job, body, err)) {
		json_free(&body);
		return false;
	}
	set_images(job, body);
	start(job, out, "POST",
	    image ? "/v1/image_to_video" : "/v1/text_to_video", NULL);
	fetch_spec_json(out, &body);
	return true;
}

static void
runway_submitted(const struct provider_job *job,
    const struct fetch_reply *reply, struct provider_verdict *out)
{
	struct json_object *body;
	const char *id;

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
		out->state = PROVIDER_QUEUED;
		out->refs = json_new();
	}
	json_free(&body);
}

/* --- poll -------------------------------------------------------------------
 */

/* By prefix, the first that matches. */
static const struct {
	const char *prefix;
	enum provider_state state;
	enum provider_class class;
	const char *code;
	bool may_retry;
} failures[] = {
    {"SAFETY.", PROVIDER_REFUSED, PROVIDER_CLASS_REFUSED,
	"content_policy_violation", false},
    {"INPUT_PREPROCESSING.SAFETY", PROVIDER_REFUSED, PROVIDER_CLASS_REFUSED,
	"content_policy_violation", false},
    {"INPUT_PREPROCESSING.INTERNAL", PROVIDER_FAILED, PROVIDER_CLASS_PROVIDER,
	"provider_error", true},
    {"ASSET.INVALID", PROVIDER_FAILED, PROVIDER_CLASS_BAD_INPUT, "bad_image",
	false},
    {"INTERNAL.BAD_OUTPUT", PROVIDER_FAILED, PROVIDER_CLASS_PROVIDER,
	"bad_output", true},
    {"INTERNAL", PROVIDER_FAILED, PROVIDER_CLASS_PROVIDER, "provider_error",
	true},
    {"THIRD_PARTY.UNAVAILABLE", PROVIDER_FAILED, PROVIDER_CLASS_PROVIDER,
	"provider_error", true},
    {"INPUT_PREPROCESSING", PROVIDER_FAILED, PROVIDER_CLASS_BAD_INPUT,
	"bad_input", false},
    {"", PROVIDER_FAILED, PROVIDER_CLASS_PROVIDER, "provider_error", true},
};

static void
read_failure(const struct json_object *body, struct provider_verdict *out)
{
	const char *code = json_text_at(body, "failureCode");
	size_t i = 0;

	if (code == NULL)
		code = "";
	while (!str_starts(code, failures[i].prefix))
		i++;
	verdict_fail(
	    out, failures[i].state, failures[i].class, failures[i].code, NULL);
	/* A code that nobody knows is no invitation to pay again. */
	out->may_retry = failures[i].may_retry &&
	    (failures[i].prefix[0] != '\0' || code[0] == '\0');
	verdict_their_code(out, code, json_text_at(body, "failure"));
}

static void
read_cost(const struct json_object *body, struct provider_verdict *out)
{
	double credits;

	if (json_num_at(body, "cost.credits", &credits) && credits >= 0 &&
	    credits < 1e9)
		out->cost_micro_usd =
		    (int64_t)llround(credits * MICRO_USD_PER_CREDIT);
}

/* 0..1; one of their pages shows 0..100. */
static int
percent(const struct json_object *body)
{
	double value;

	if (!json_num_at(body, "progress", &value) || value < 0 || value > 100)
		return -1;
	return (int)(value > 1 ? value : value * 100);
}

static void
read_task(const struct provider_job *job, const struct json_object *body,
    struct provider_verdict *out)
{
	const char *url = json_text_at(body, "output.0");

	out->state = verdict_status(out, json_text_at(body, "status"),
	    provider_words, provider_words_n);
	switch (out->state) {
	case PROVIDER_RUNNING:
		out->progress = percent(body);
		break;
	case PROVIDER_DONE:
		if (url == NULL || url[0] == '\0') {
			verdict_no_media(out, NULL);
			break;
		}
		out->progress = 100;
		verdict_set_text(&out->result_url, url);
		if (job->now_ms > 0)
			out->result_expires_ms = job->now_ms + LINK_LIFETIME_MS;
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
	read_cost(body, out);
}

static bool
task_request(const struct provider_job *job, const char *method,
    struct fetch_spec *out, struct err *err)
{
	if (job->provider_id == NULL)
		return err_set_name(err, ERR_INTERNAL, "no_reference",
		    "There is no task at Runway to ask for");
	start(job, out, method, "/v1/tasks/", job->provider_id);
	return true;
}

static bool
runway_poll(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	return task_request(job, "GET", out, err);
}

static void
runway_polled(const struct provider_job *job, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	struct json_object *body;

	if (reply->status != 200) {
		read_error(PROVIDER_STEP_POLL, reply, out);
		return;
	}
	body = reply_json(reply);
	if (json_text_at(body, "status") == NULL)
		verdict_http(out, PROVIDER_STEP_POLL, reply);
	else
		read_task(job, body, out);
	json_free(&body);
}

/* --- cancel --- */

static bool
runway_cancel(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	return task_request(job, "DELETE", out, err);
}

static void
runway_cancelled(const struct provider_job *job,
    const struct fetch_reply *reply, struct provider_verdict *out)
{
	if (reply->status >= 200 && reply->status <= 299) {
		verdict_cancelled(out);
		return;
	}
	read_error(PROVIDER_STEP_CANCEL, reply, out);
	out->next = PROVIDER_STEP_POLL;
}

const struct provider provider_runway = {
    .name = "runway",
    .title = "Runway",
    .base_url = "https://api.dev.runwayml.com",
    .transport = PROVIDER_HTTP,
    .recovery = PROVIDER_RECOVER_NEVER,
    .poll_ms = 6000,
    .concurrency = 2,
    .result_lifetime_s = 24 * 3600,
    .needs_key = true,
    .image_data = true,
    .wants_prepare = runway_wants_prepare,
    .prepare = runway_prepare,
    .prepared = runway_prepared,
    .submit = runway_submit,
    .submitted = runway_submitted,
    .poll = runway_poll,
    .polled = runway_polled,
    .cancel = runway_cancel,
    .cancelled = runway_cancelled,
    .check = &(const struct provider_check){.path = "/v1/organization",
	.balance = "creditBalance",
	.unit = "credits"},
};
