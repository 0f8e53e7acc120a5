/*
 * kling_reply.c - what Kling's replies mean: {code, message, data}, with an
 * error in the code even where HTTP says 200.  Both versions of the API.
 */
#include <stdio.h>
#include <string.h>

#include "providers/kling.h"

/* --- errors -----------------------------------------------------------------
 */

static const struct {
	int from, to;
	enum provider_state state; /* of a submit */
	enum provider_class class;
	const char *code;
	bool may_retry;
} codes[] = {
    {1000, 1004, PROVIDER_FAILED, PROVIDER_CLASS_ACCOUNT, "bad_key", false},
    {1101, 1102, PROVIDER_FAILED, PROVIDER_CLASS_FUNDS, "provider_funds",
	false},
    {1100, 1103, PROVIDER_FAILED, PROVIDER_CLASS_ACCOUNT, "no_permission",
	false},
    {1200, 1203, PROVIDER_FAILED, PROVIDER_CLASS_BAD_INPUT, "bad_input", false},
    {1301, 1301, PROVIDER_REFUSED, PROVIDER_CLASS_REFUSED,
	"content_policy_violation", false},
    {1302, 1303, PROVIDER_BUSY, PROVIDER_CLASS_RATE_LIMIT, "rate_limit", true},
    {1304, 1304, PROVIDER_FAILED, PROVIDER_CLASS_ACCOUNT, "ip_not_allowed",
	false},
    {5000, 5002, PROVIDER_UNKNOWN, PROVIDER_CLASS_PROVIDER, "provider_error",
	true},
};
enum { CODE_NOT_FOUND = 1203 };

/* {code, message} with code != 0; HTTP may say 200. */
static void
read_error(enum provider_step step, const struct fetch_reply *reply,
    const struct json_object *body, int64_t code, struct provider_verdict *out)
{
	const char *text = json_text_at(body, "message");
	enum provider_class class = PROVIDER_CLASS_PROVIDER;
	enum provider_state state = PROVIDER_FAILED;
	const char *name = "provider_error";
	bool may_retry = false;
	char number[24];

	snprintf(number, sizeof number, "%lld", (long long)code);
	verdict_error(out, step, reply, code != 0 ? number : NULL, text, 0);
	if (step == PROVIDER_STEP_FIND &&
	    (code == CODE_NOT_FOUND || reply->status == 404)) {
		verdict_fail(
		    out, PROVIDER_FAILED, PROVIDER_CLASS_NOT_FOUND, NULL, NULL);
		return;
	}
	/* After a 5xx it may have been accepted all the same. */
	if (code == 0 || reply->status >= 500 || reply->status == 404 ||
	    out->state == PROVIDER_REFUSED)
		return;
	for (size_t i = 0; i < nitems(codes); i++) {
		if (code < codes[i].from || code > codes[i].to)
			continue;
		state = codes[i].state;
		class = codes[i].class;
		name = codes[i].code;
		may_retry = codes[i].may_retry;
		break;
	}
	if (step != PROVIDER_STEP_SUBMIT) {
		/* It is about our question; gone is what HTTP says is. */
		if (out->state == PROVIDER_FAILED)
			return;
		state = class == PROVIDER_CLASS_RATE_LIMIT ? PROVIDER_BUSY
							   : PROVIDER_UNKNOWN;
	}
	verdict_fail(out, state, class, name, NULL);
	out->may_retry = may_retry;
}

/* true: there is a task to look at in *data. */
static bool
read_envelope(const struct provider_job *job, enum provider_step step,
    const struct fetch_reply *reply, const struct json_object *body,
    const struct json_object **data, struct provider_verdict *out)
{
	int64_t code = 0;

	*data = json_obj_at(body, "data");
	if (!json_int_at(body, "code", &code))
		code = 0;
	if (reply->status < 200 || reply->status > 299 || code != 0) {
		read_error(step, reply, body, code, out);
		return false;
	}
	for (size_t i = 0; i < json_count(json_arr_at(body, "data")); i++) {
		struct json_object *item =
		    json_item(json_arr_at(body, "data"), i);

		if (job->provider_id == NULL || *data == NULL ||
		    str_eq(json_text_at(item, "id"), job->provider_id))
			*data = item;
		if (str_eq(json_text_at(item, "id"), job->provider_id))
			break;
	}
	if (*data == NULL)
		verdict_http(out, step, reply);
	return *data != NULL;
}

const char *
kling_task_id(const struct json_object *data)
{
	const char *id = json_text_at(data, "task_id");

	if (id == NULL)
		id = json_text_at(data, "id");
	return id != NULL && id[0] != '\0' ? id : NULL;
}

/* --- replies ----------------------------------------------------------------
 */

void
kling_submitted(const struct provider_job *job, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	struct json_object *body = reply_json(reply);
	const struct json_object *data;

	if (read_envelope(job, PROVIDER_STEP_SUBMIT, reply, body, &data, out)) {
		if (kling_task_id(data) == NULL)
			verdict_http(out, PROVIDER_STEP_SUBMIT, reply);
		else {
			verdict_set_text(
			    &out->provider_id, kling_task_id(data));
			out->state = PROVIDER_QUEUED;
		}
	}
	json_free(&body);
}

static void
read_failure(const struct json_object *data, struct provider_verdict *out)
{
	static const char *const names[] = {
	    "task_status_msg", "status_msg", "message", "error.message"};
	const char *text = NULL;

	for (size_t i = 0; text == NULL && i < nitems(names); i++)
		text = json_text_at(data, names[i]);
	verdict_their_message(out, text);
	if (text_names_refusal(text) ||
	    (text != NULL && strcasestr(text, "risk control") != NULL))
		verdict_fail(out, PROVIDER_REFUSED, PROVIDER_CLASS_REFUSED,
		    "content_policy_violation", NULL);
	else {
		verdict_fail(out, PROVIDER_FAILED, PROVIDER_CLASS_PROVIDER,
		    "provider_failed", NULL);
		out->may_retry = true;
	}
}

static const char *
link_of(const struct json_object *data)
{
	struct json_object *outputs = json_arr_at(data, "outputs");
	const char *url = json_text_at(data, "task_result.videos.0.url");

	for (size_t i = 0; url == NULL && i < json_count(outputs); i++) {
		struct json_object *item = json_item(outputs, i);

		if (str_eq(json_text_at(item, "type"), "video"))
			url = json_text_at(item, "url");
	}
	return url != NULL && url[0] != '\0' ? url : NULL;
}

static void
read_task(const struct json_object *data, struct provider_verdict *out)
{
	const char *word = json_text_at(data, "task_status");

	if (word == NULL)
		word = json_text_at(data, "status");
	out->state =
	    verdict_status(out, word, provider_words, provider_words_n);
	if (out->state == PROVIDER_FAILED)
		read_failure(data, out);
	else if (out->state == PROVIDER_CANCELLED)
		verdict_cancelled(out);
	else if (out->state == PROVIDER_DONE && link_of(data) == NULL)
		verdict_no_media(out, json_text_at(data, "task_status_msg"));
	else if (out->state == PROVIDER_DONE) {
		out->progress = 100;
		verdict_set_text(&out->result_url, link_of(data));
	}
}

static void
read_asked(const struct provider_job *job, enum provider_step step,
    const struct fetch_reply *reply, struct provider_verdict *out)
{
	struct json_object *body = reply_json(reply);
	const struct json_object *data;

	if (read_envelope(job, step, reply, body, &data, out)) {
		if ((json_text_at(data, "task_status") == NULL &&
			json_text_at(data, "status") == NULL) ||
		    (step == PROVIDER_STEP_FIND && kling_task_id(data) == NULL))
			verdict_http(out, step, reply);
		else {
			read_task(data, out);
			if (step == PROVIDER_STEP_FIND)
				verdict_set_text(
				    &out->provider_id, kling_task_id(data));
		}
	}
	json_free(&body);
}

void
kling_polled(const struct provider_job *job, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	read_asked(job, PROVIDER_STEP_POLL, reply, out);
}

void
kling_found(const struct provider_job *job, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	read_asked(job, PROVIDER_STEP_FIND, reply, out);
}
