/*
 * openai.c - the videos API that OpenAI had and gateways serve.
 *
 *	base	    the operator's; OpenAI itself switched it off.  With or
 *		    without the version: https://gw.example[/v1]
 *	headers	    Authorization: Bearer
 *	submit	    POST /v1/videos, multipart/form-data as the SDK sends
 *		    it; JSON when the image has a URL or the route's
 *		    options say {"format": "json"}.  seconds is text.
 *	images	    input_reference: a file part, or {"image_url"}
 *	poll	    GET /v1/videos/{id}; progress 0..100
 *	result	    GET /v1/videos/{id}/content with the key, about an hour;
 *		    may redirect.  Gateways without it name url, video_url
 *		    or metadata.url instead: no key there.
 *	cancel	    none
 *	cost	    not told
 *	uncertain   nothing to ask by: class D
 *	webhooks    only per account, so they cannot name an attempt: unused
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "providers/internal.h"
#include "reeld/mem.h"

/* "/v1", unless the base URL ends in a version. */
static const char *
version_of(const char *base)
{
	size_t len = strlen(base);
	const char *p;

	while (len > 0 && base[len - 1] == '/')
		len--;
	p = base + len;
	while (p > base && isdigit((unsigned char)p[-1]))
		p--;
	return p < base + len && p - base >= 2 && p[-1] == 'v' && p[-2] == '/'
	    ? ""
	    : "/v1";
}

static bool
has_base(const struct provider_job *job, struct err *err)
{
	if (job_base(&provider_openai, job) != NULL)
		return true;
	return err_set_name(err, ERR_UNAVAILABLE, "no_base_url",
	    "There is no address for OpenAI-shaped videos");
}

/* id NULL: the collection. */
static char *
videos_url(const struct provider_job *job, const char *id, const char *tail)
{
	char *path = xasprintf("%s/videos%s",
	    version_of(job_base(&provider_openai, job)), id != NULL ? "/" : "");
	char *url = job_url(&provider_openai, job, path, id, tail);

	free(path);
	return url;
}

/* --- errors -----------------------------------------------------------------
 */

/* {"code", "message", "type"}, or only a text. */
static void
error_words(
    const struct json_object *body, const char **code, const char **text)
{
	static const char *const texts[] = {"error.message", "error", "message",
	    "fail_reason", "failure_reason", "detail"};

	*code = json_text_at(body, "error.code");
	if (*code == NULL)
		*code = json_text_at(body, "error.type");
	*text = NULL;
	for (size_t i = 0; *text == NULL && i < nitems(texts); i++)
		*text = json_text_at(body, texts[i]);
}

static void
read_error(enum provider_step step, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	struct json_object *body = reply_json(reply);
	const char *code, *text;

	error_words(body, &code, &text);
	verdict_error(out, step, reply, code, text, 0);
	json_free(&body);
}

/* By what the code begins with; "" is an error without one. */
static const struct {
	const char *prefix;
	enum provider_class class;
	const char *code;
	bool may_retry;
} failures[] = {
    {"server_error", PROVIDER_CLASS_PROVIDER, "provider_error", true},
    {"internal", PROVIDER_CLASS_PROVIDER, "provider_error", true},
    {"rate_limit", PROVIDER_CLASS_PROVIDER, "provider_overloaded", true},
    {"overloaded", PROVIDER_CLASS_PROVIDER, "provider_overloaded", true},
    {"timeout", PROVIDER_CLASS_TIMEOUT, "provider_timeout", true},
    {"invalid", PROVIDER_CLASS_BAD_INPUT, "bad_input", false},
};

static void
read_failure(const struct json_object *body, struct provider_verdict *out)
{
	const char *code, *text;

	error_words(body, &code, &text);
	verdict_their_code(out, code, text);
	if (text_names_refusal(code) || text_names_refusal(text)) {
		verdict_fail(out, PROVIDER_REFUSED, PROVIDER_CLASS_REFUSED,
		    "content_policy_violation", NULL);
		return;
	}
	verdict_fail(out, PROVIDER_FAILED, PROVIDER_CLASS_PROVIDER,
	    "provider_error", NULL);
	out->may_retry = code == NULL;
	for (size_t i = 0; code != NULL && i < nitems(failures); i++) {
		if (!str_starts(code, failures[i].prefix))
			continue;
		verdict_fail(out, PROVIDER_FAILED, failures[i].class,
		    failures[i].code, NULL);
		out->may_retry = failures[i].may_retry;
		return;
	}
}

/* --- submit -----------------------------------------------------------------
 */

static bool
wants_json(const struct provider_job *job)
{
	return job->start.url != NULL ||
	    str_eq(json_text_at(job->params, "options.format"), "json");
}

static void
send_json(const struct provider_job *job, struct json_object *body,
    struct fetch_spec *out)
{
	struct json_object *image, *copy = json_copy(body);
	char *ref = image_ref(&job->start);

	if (ref != NULL) {
		image = json_new();
		json_set_text(image, "image_url", ref);
		json_set_obj(copy, "input_reference", &image);
	}
	free(ref);
	fetch_spec_json(out, &copy);
}

/* Nested values get the SDK's names: "a[b]", and "a[]" in lists. */
static void
add_value(struct multipart *form, const char *name,
    const struct json_object *value, int depth)
{
	struct json_iter it = json_iter(value);
	char *text;

	if (value == NULL || depth > 4)
		return;
	if (json_is_arr(value)) {
		char *item = xasprintf("%s[]", name);

		for (size_t i = 0; i < json_count(value); i++)
			add_value(form, item, json_item(value, i), depth + 1);
		free(item);
	} else if (json_is_obj(value)) {
		while (json_next(&it)) {
			char *member = xasprintf("%s[%s]", name, it.name);

			add_value(form, member, it.value, depth + 1);
			free(member);
		}
	} else if (json_text(value) != NULL)
		multipart_field(form, name, json_text(value));
	else {
		text = json_dump_text(value);
		multipart_field(form, name, text);
		free(text);
	}
}

static void
send_form(const struct provider_job *job, const struct json_object *body,
    struct fetch_spec *out)
{
	struct json_iter it = json_iter(body);
	struct multipart form;

	multipart_init(&form, job);
	while (json_next(&it))
		add_value(&form, it.name, it.value, 0);
	if (image_given(&job->start))
		multipart_file(&form, "input_reference",
		    image_file_name(&job->start), image_mime(&job->start),
		    job->start.data, job->start.len);
	multipart_finish(&form, out);
}

static bool
openai_submit(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	struct json_object *body;
	char *url;

	if (!has_base(job, err))
		return false;
	if (!endpoint_ok(job->endpoint, "/:@"))
		return err_set_name(err, ERR_INTERNAL, "no_endpoint",
		    "The route names no model");
	body = json_new();
	json_set_text(body, "model", job->endpoint);
	if (!provider_map(job, body, err)) {
		json_free(&body);
		return false;
	}
	url = videos_url(job, NULL, "");
	spec_start(&provider_openai, job, out, "POST", url);
	fetch_spec_bearer(out, job->key);
	free(url);
	if (wants_json(job))
		send_json(job, body, out);
	else
		send_form(job, body, out);
	if (image_given(&job->start))
		out->timeout_ms = 120000;
	json_free(&body);
	return true;
}

static const char *
video_id(const struct json_object *body)
{
	const char *id = json_text_at(body, "id");

	if (id == NULL || id[0] == '\0')
		id = json_text_at(body, "task_id");
	return id != NULL && id[0] != '\0' ? id : NULL;
}

static void
openai_submitted(const struct provider_job *job,
    const struct fetch_reply *reply, struct provider_verdict *out)
{
	struct json_object *body;

	(void)job;
	if (reply->status < 200 || reply->status > 299) {
		read_error(PROVIDER_STEP_SUBMIT, reply, out);
		return;
	}
	body = reply_json(reply);
	if (video_id(body) == NULL)
		verdict_http(out, PROVIDER_STEP_SUBMIT, reply);
	else {
		verdict_set_text(&out->provider_id, video_id(body));
		verdict_status(out, json_text_at(body, "status"), NULL, 0);
		out->state = PROVIDER_QUEUED;
	}
	json_free(&body);
}

/* --- poll -------------------------------------------------------------------
 */

/* What gateways say besides. */
static const struct provider_word more_words[] = {
    {"not_start", PROVIDER_QUEUED},
    {"not_started", PROVIDER_QUEUED},
    {"generating", PROVIDER_RUNNING},
    {"failure", PROVIDER_FAILED},
    {"expired", PROVIDER_FAILED},
    {"rejected", PROVIDER_FAILED},
};

static bool
openai_poll(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	char *url;

	if (!has_base(job, err))
		return false;
	if (job->provider_id == NULL)
		return err_set_name(err, ERR_INTERNAL, "no_reference",
		    "There is no video to ask for");
	url = videos_url(job, job->provider_id, "");
	spec_start(&provider_openai, job, out, "GET", url);
	fetch_spec_bearer(out, job->key);
	free(url);
	return true;
}

/*
 * The content address first.  Asked again for a fresh link, it was no good:
 * then the one that the reply names, if any.
 */
static void
read_result(const struct provider_job *job, const struct json_object *body,
    struct provider_verdict *out)
{
	static const char *const places[] = {"url", "video_url", "metadata.url",
	    "output.url", "output.0.url", "data.0.url"};
	const char *other = NULL;
	int64_t at;
	bool tried = false;

	/* The setting went away by a reload while the poll was under way. */
	if (job_base(&provider_openai, job) == NULL) {
		out->state = PROVIDER_UNKNOWN;
		return;
	}
	for (size_t i = 0; other == NULL && i < nitems(places); i++)
		other = json_text_at(body, places[i]);
	if (!json_bool_at(job->refs, "content_tried", &tried))
		tried = false;
	out->progress = 100;
	if ((tried && other != NULL) || job->provider_id == NULL) {
		verdict_set_text(&out->result_url, other);
		if (out->result_url == NULL)
			verdict_no_media(out, NULL);
		return;
	}
	out->result_url = videos_url(job, job->provider_id, "/content");
	out->result_needs_key = true;
	out->refs = json_new();
	json_set_bool(out->refs, "content_tried", true);
	if (json_int_at(body, "expires_at", &at) && at > 0) {
		if (at < INT64_C(100000000000))
			at *= 1000; /* some say milliseconds */
		if (at > job->now_ms)
			out->result_expires_ms = at;
	}
}

static void
read_hint(const struct fetch_reply *reply, struct provider_verdict *out)
{
	const char *text = fetch_reply_header(reply, "openai-poll-after-ms");
	int64_t ms;

	if (text != NULL && str_to_i64(text, 1, 60000, &ms))
		out->retry_after_s = (int)((ms + 999) / 1000);
}

static void
read_video(const struct provider_job *job, const struct fetch_reply *reply,
    const struct json_object *body, struct provider_verdict *out)
{
	const char *word = json_text_at(body, "status");
	double progress;

	out->state =
	    verdict_status(out, word, provider_words, provider_words_n);
	if (out->state == PROVIDER_UNKNOWN)
		out->state =
		    verdict_status(out, word, more_words, nitems(more_words));
	if (json_num_at(body, "progress", &progress) && progress >= 0 &&
	    progress <= 100)
		out->progress = (int)progress;
	switch (out->state) {
	case PROVIDER_DONE:
		/* Done, and yet with a reason why not. */
		if (json_text_at(body, "error.message") != NULL)
			read_failure(body, out);
		else
			read_result(job, body, out);
		break;
	case PROVIDER_FAILED:
		read_failure(body, out);
		if (strcasecmp(word, "expired") == 0 &&
		    out->state == PROVIDER_FAILED) {
			verdict_fail(out, PROVIDER_FAILED,
			    PROVIDER_CLASS_TIMEOUT, "provider_timeout", NULL);
			out->may_retry = true;
		}
		break;
	case PROVIDER_CANCELLED:
		verdict_cancelled(out);
		break;
	default:
		read_hint(reply, out);
		break;
	}
}

static void
openai_polled(const struct provider_job *job, const struct fetch_reply *reply,
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
		read_video(job, reply, body, out);
	json_free(&body);
}

/* Only the content of a video gets the key, on our own origin. */
static bool
openai_download(const struct provider_job *job, const char *url,
    struct fetch_spec *out, struct err *err)
{
	char *prefix;
	bool content;

	if (!has_base(job, err))
		return false;
	prefix = videos_url(job, "", "");
	content = str_starts(url, prefix) && str_ends(url, "/content");
	free(prefix);
	fetch_spec_init(out, "GET", url);
	out->max_redirects = 5;
	out->tag = provider_openai.name;
	if (content) {
		fetch_spec_provider(
		    out, job_base(&provider_openai, job), job->allow_private);
		fetch_spec_header(out, "Accept", "application/binary");
		fetch_spec_bearer(out, job->key);
	}
	return true;
}

const struct provider provider_openai = {
    .name = "openai",
    .title = "OpenAI-shaped videos",
    .transport = PROVIDER_HTTP,
    .recovery = PROVIDER_RECOVER_NEVER,
    .poll_ms = 10000,
    .result_lifetime_s = 3600,
    .needs_key = true,
    .image_data = true,
    .submit = openai_submit,
    .submitted = openai_submitted,
    .poll = openai_poll,
    .polled = openai_polled,
    .download = openai_download,
    .check = &(const struct provider_check){.path = "/models"},
};
