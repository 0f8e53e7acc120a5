/*
 * common.c - what replies mean before, and when, no adapter knows better.
 * The rules about paid submits are here: only a definite answer is an answer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "providers/internal.h"
#include "reeld/mem.h"

void
provider_verdict_init(struct provider_verdict *verdict)
{
	memset(verdict, 0, sizeof *verdict);
	verdict->progress = -1;
	verdict->queue_position = -1;
	verdict->cost_micro_usd = -1;
	verdict->billable_units = -1;
}

void
provider_verdict_fini(struct provider_verdict *verdict)
{
	free(verdict->provider_id);
	free(verdict->result_url);
	json_free(&verdict->refs);
	json_free(&verdict->result);
	provider_verdict_init(verdict);
}

const char *
provider_state_name(enum provider_state state)
{
	static const char *const names[PROVIDER_STATES] = {"unknown", "busy",
	    "queued", "running", "done", "failed", "refused", "cancelled"};

	return names[state];
}

static const struct {
	const char *name, *message;
} classes[PROVIDER_CLASSES] = {
    [PROVIDER_CLASS_NONE] = {"", ""},
    [PROVIDER_CLASS_REFUSED] = {"refused",
	"The provider's content filter refused this request"},
    [PROVIDER_CLASS_BAD_INPUT] = {"bad_input",
	"The provider did not accept this request"},
    [PROVIDER_CLASS_PROVIDER] = {"provider",
	"The provider could not make this video"},
    [PROVIDER_CLASS_TIMEOUT] = {"timeout", "The provider took too long"},
    [PROVIDER_CLASS_ACCOUNT] = {"account",
	"This model is not available at the moment"},
    [PROVIDER_CLASS_FUNDS] = {"funds",
	"This model is not available at the moment"},
    [PROVIDER_CLASS_RATE_LIMIT] = {"rate_limit", "The provider is busy"},
    [PROVIDER_CLASS_NOT_FOUND] = {"not_found",
	"The provider no longer knows this video"},
    [PROVIDER_CLASS_CANCELLED] = {"cancelled",
	"The provider cancelled this video"},
    [PROVIDER_CLASS_NETWORK] = {"network", "The provider did not answer"},
    [PROVIDER_CLASS_UNREADABLE] = {"unreadable",
	"The provider gave an answer that can't be read"},
    [PROVIDER_CLASS_UNSUPPORTED] = {"unsupported",
	"The provider can't do this"},
};

const char *provider_class_name(enum provider_class class)
{
	return classes[class].name;
}

const char *class_message(enum provider_class class)
{
	return classes[class].message;
}

const struct provider_word provider_words[] = {
    {"queued", PROVIDER_QUEUED},
    {"in_queue", PROVIDER_QUEUED},
    {"pending", PROVIDER_QUEUED},
    {"throttled", PROVIDER_QUEUED},
    {"submitted", PROVIDER_QUEUED},
    {"starting", PROVIDER_QUEUED},
    {"preparing", PROVIDER_QUEUED},
    {"queueing", PROVIDER_QUEUED},
    {"processing", PROVIDER_RUNNING},
    {"running", PROVIDER_RUNNING},
    {"in_progress", PROVIDER_RUNNING},
    {"dreaming", PROVIDER_RUNNING},
    {"completed", PROVIDER_DONE},
    {"complete", PROVIDER_DONE},
    {"succeeded", PROVIDER_DONE},
    {"succeed", PROVIDER_DONE},
    {"success", PROVIDER_DONE},
    {"finished", PROVIDER_DONE},
    {"failed", PROVIDER_FAILED},
    {"fail", PROVIDER_FAILED},
    {"error", PROVIDER_FAILED},
    {"canceled", PROVIDER_CANCELLED},
    {"cancelled", PROVIDER_CANCELLED},
    {"aborted", PROVIDER_CANCELLED},
};
const size_t provider_words_n = nitems(provider_words);

/* Cut where a character ends. */
static void
copy_text(char *dst, size_t size, const char *src)
{
	size_t len;

	if (str_copy(dst, size, src))
		return;
	for (len = strlen(dst); len > 0 && !utf8_valid(dst, len);)
		dst[--len] = '\0';
}

enum provider_state
verdict_status(struct provider_verdict *out, const char *word,
    const struct provider_word *words, size_t n)
{
	if (word == NULL)
		return PROVIDER_UNKNOWN;
	copy_text(out->status, sizeof out->status, word);
	for (size_t i = 0; i < n; i++) {
		if (strcasecmp(words[i].word, word) == 0)
			return words[i].state;
	}
	return PROVIDER_UNKNOWN;
}

void
verdict_their_message(struct provider_verdict *out, const char *text)
{
	if (text != NULL)
		copy_text(
		    out->provider_message, sizeof out->provider_message, text);
}

void
verdict_set_text(char **slot, const char *text)
{
	if (text == NULL)
		return;
	free(*slot);
	*slot = xstrdup(text);
}

void
verdict_fail(struct provider_verdict *out, enum provider_state state,
    enum provider_class class, const char *code, const char *user_message)
{
	out->state = state;
	out->class = class;
	out->next = PROVIDER_STEP_NONE;
	copy_text(out->code, sizeof out->code,
	    code != NULL && code[0] != '\0' ? code : classes[class].name);
	copy_text(out->user_message, sizeof out->user_message,
	    user_message != NULL ? user_message : classes[class].message);
}

bool
text_names_refusal(const char *text)
{
	static const char *const signs[] = {"flagged as sensitive", "(E005)",
	    "NSFW", "content policy", "content_policy", "moderation",
	    "moderated", "safety filter", "safety system", "violates our",
	    "violate our", "sentinel_block", "prohibited content",
	    "Responsible AI"};

	for (size_t i = 0; text != NULL && i < nitems(signs); i++) {
		if (strcasestr(text, signs[i]) != NULL)
			return true;
	}
	return false;
}

bool
text_names_funds(const char *text)
{
	static const char *const signs[] = {"insufficient_quota",
	    "insufficient credit", "insufficient_credit", "enough credit",
	    "insufficient balance", "insufficient_balance", "insufficient fund",
	    "billing hard limit", "exhausted balance"};

	for (size_t i = 0; text != NULL && i < nitems(signs); i++) {
		if (strcasestr(text, signs[i]) != NULL)
			return true;
	}
	return false;
}

static enum provider_class
class_of_status(int status)
{
	switch (status) {
	case 401:
	case 403:
		return PROVIDER_CLASS_ACCOUNT;
	case 402:
		return PROVIDER_CLASS_FUNDS;
	case 404:
	case 410:
		return PROVIDER_CLASS_NOT_FOUND;
	case 408:
	case 504:
		return PROVIDER_CLASS_TIMEOUT;
	case 429:
		return PROVIDER_CLASS_RATE_LIMIT;
	}
	if (status >= 500)
		return PROVIDER_CLASS_PROVIDER;
	if (status >= 400)
		return PROVIDER_CLASS_BAD_INPUT;
	return PROVIDER_CLASS_UNREADABLE;
}

/* Nothing was accepted, or it may have been? */
static enum provider_state
submit_state(int status, int retry_after_s)
{
	if (status == 429 || (status == 503 && retry_after_s > 0))
		return PROVIDER_BUSY;
	if (status == 408 || status == 409 || status == 425)
		return PROVIDER_UNKNOWN;
	if (status >= 400 && status < 500)
		return PROVIDER_FAILED;
	return PROVIDER_UNKNOWN;
}

/* A request whose repetition costs nothing: no status of ours or theirs ends
 * a paid job, except that they don't know it. */
static enum provider_state
query_state(int status, enum provider_step step)
{
	if (status == 404 || status == 410)
		return step == PROVIDER_STEP_POLL ||
			step == PROVIDER_STEP_RESULT
		    ? PROVIDER_FAILED
		    : PROVIDER_UNKNOWN;
	if (status == 429 || status == 503)
		return PROVIDER_BUSY;
	return PROVIDER_UNKNOWN;
}

void
verdict_http(struct provider_verdict *out, enum provider_step step,
    const struct fetch_reply *reply)
{
	enum provider_class class = class_of_status(reply->status);
	enum provider_state state;
	char code[16];

	if (step == PROVIDER_STEP_SUBMIT)
		state = submit_state(reply->status, reply->retry_after_s);
	else if (step == PROVIDER_STEP_PREPARE)
		/* Nothing was bought yet: whatever broke may be repeated. */
		state = reply->status >= 400 && reply->status < 500 &&
			reply->status != 408 && reply->status != 429
		    ? PROVIDER_FAILED
		    : PROVIDER_BUSY;
	else
		state = query_state(reply->status, step);
	snprintf(code, sizeof code, "http_%d", reply->status);
	/* There is no video yet that they could have forgotten. */
	verdict_fail(out, state, class, code,
	    step == PROVIDER_STEP_SUBMIT && class == PROVIDER_CLASS_NOT_FOUND
		? MODEL_GONE_MESSAGE
		: NULL);
	out->retry_after_s = reply->retry_after_s;
	out->may_retry = class == PROVIDER_CLASS_PROVIDER ||
	    class == PROVIDER_CLASS_TIMEOUT ||
	    class == PROVIDER_CLASS_RATE_LIMIT;
	if (out->provider_message[0] == '\0' && reply->body.len > 0 &&
	    utf8_valid(reply->body.data, reply->body.len))
		verdict_their_message(out, buf_str(&reply->body));
}

void
verdict_their_code(
    struct provider_verdict *out, const char *code, const char *text)
{
	char *full;

	if (code == NULL || code[0] == '\0' || text == NULL) {
		verdict_their_message(out, text != NULL ? text : code);
		return;
	}
	full = xasprintf("%.80s: %s", code, text);
	verdict_their_message(out, full);
	free(full);
}

void
verdict_cancelled(struct provider_verdict *out)
{
	verdict_fail(out, PROVIDER_CANCELLED, PROVIDER_CLASS_CANCELLED,
	    "provider_cancelled", NULL);
}

void
verdict_no_media(struct provider_verdict *out, const char *text)
{
	verdict_fail(out, PROVIDER_FAILED, PROVIDER_CLASS_PROVIDER,
	    "no_media_generated", NULL);
	verdict_their_message(out, text);
	out->may_retry = true;
}

static int
retry_after(const struct fetch_reply *reply, int from_body_s)
{
	const char *ms = fetch_reply_header(reply, "retry-after-ms");
	double value;
	char *end;

	if (ms != NULL) {
		value = strtod(ms, &end);
		if (end != ms && *end == '\0' && value > 0 && value < 600e3)
			return (int)((value + 999) / 1000);
	}
	if (reply->retry_after_s > 0)
		return reply->retry_after_s;
	return from_body_s > 600 ? 600 : from_body_s > 0 ? from_body_s : 0;
}

void
verdict_error(struct provider_verdict *out, enum provider_step step,
    const struct fetch_reply *reply, const char *code, const char *text,
    int retry_after_s)
{
	verdict_their_code(out, code, text);
	verdict_http(out, step, reply);
	out->retry_after_s = retry_after(reply, retry_after_s);
	if (step != PROVIDER_STEP_SUBMIT && step != PROVIDER_STEP_PREPARE)
		return;
	/* Only where the status says that nothing was accepted. */
	if (reply->status == 429 && text_names_funds(code)) {
		verdict_fail(out, PROVIDER_FAILED, PROVIDER_CLASS_FUNDS,
		    "provider_funds", NULL);
		out->may_retry = false;
	} else if (out->state != PROVIDER_FAILED || reply->status == 401)
		return;
	else if (text_names_refusal(code) || text_names_refusal(text))
		verdict_fail(out, PROVIDER_REFUSED, PROVIDER_CLASS_REFUSED,
		    "content_policy_violation", NULL);
	else if (text_names_funds(code) || text_names_funds(text))
		verdict_fail(out, PROVIDER_FAILED, PROVIDER_CLASS_FUNDS,
		    "provider_funds", NULL);
}

struct json_object *
reply_json(const struct fetch_reply *reply)
{
	struct json_object *obj;

	return json_parse_flags(reply->body.data, reply->body.len,
		   reply->body.len, JSON_FOREIGN, &obj, NULL)
	    ? obj
	    : NULL;
}
