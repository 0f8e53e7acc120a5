/*
 * check.c - does a key work?  Asked without spending: a list or the balance
 * where a vendor has one, else the state of a job that can't exist, whose
 * "not found" proves that the key was looked at and taken.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "providers/internal.h"
#include "reeld/mem.h"
#include "reeld/spec.h"

static void
check_job(const struct provider_check *check, const struct gen_spec *spec,
    struct provider_job *job)
{
	job->generation_id = job->attempt_id = job->user_id = job->nonce =
	    "00000000-0000-7000-8000-000000000000";
	job->spec = spec;
	job->endpoint = check->endpoint;
	job->provider_id = check->id != NULL ? check->id : job->nonce;
}

bool
provider_check_build(const struct provider *provider, struct provider_job *job,
    struct fetch_spec *out, struct err *err)
{
	const struct provider_check *check = provider->check;
	struct gen_spec spec;
	char *url;
	bool ok;

	if (check == NULL)
		return err_set_name(err, ERR_CONFLICT, "unsupported",
		    "There is nothing to ask %s without a job.",
		    provider->title);
	spec_init(&spec);
	spec.mode = GEN_T2V;
	check_job(check, &spec, job);
	ok = provider_build(provider, PROVIDER_STEP_POLL, job, out, err);
	spec_fini(&spec);
	job->spec = NULL;
	if (!ok || check->path == NULL)
		return ok;
	/* The same way in, another question. */
	url = job_url(provider, job, check->path, NULL, "");
	verdict_set_text(&out->url, url);
	free(url);
	return true;
}

static void
say(struct provider_health *out, const char *text)
{
	str_copy(out->message, sizeof out->message, text);
}

static void
read_balance(const struct provider_check *check,
    const struct fetch_reply *reply, struct provider_health *out)
{
	struct json_object *body = reply_json(reply);
	char text[sizeof out->message];

	if (check->balance != NULL &&
	    json_num_at(body, check->balance, &out->balance)) {
		out->has_balance = true;
		out->unit = check->unit;
		snprintf(text, sizeof text, "The key works; %g %s are left.",
		    out->balance, check->unit);
		say(out, text);
	}
	json_free(&body);
}

/* What their error says about the key, in the adapter's own reading. */
static void
read_error(const struct provider *provider, const struct provider_job *job,
    const struct fetch_reply *reply, struct provider_health *out)
{
	struct json_object *body = reply_json(reply);
	bool empty = provider->check->absent_is_empty && reply->status == 200 &&
	    body != NULL;
	struct provider_verdict verdict;
	bool missing;

	json_free(&body);
	provider_read(provider, PROVIDER_STEP_POLL, job, reply, NULL, &verdict);
	missing = verdict.class == PROVIDER_CLASS_NOT_FOUND ||
	    verdict.class == PROVIDER_CLASS_BAD_INPUT || reply->status == 404 ||
	    reply->status == 410 || reply->status == 422;
	if (verdict.class == PROVIDER_CLASS_ACCOUNT || reply->status == 401 ||
	    reply->status == 403) {
		out->key = PROVIDER_KEY_INVALID;
		say(out, "It does not accept the key.");
	} else if (verdict.class == PROVIDER_CLASS_FUNDS) {
		out->key = PROVIDER_KEY_VALID;
		out->no_funds = true;
		say(out, "The key works, but there is no credit.");
	} else if (verdict.class == PROVIDER_CLASS_RATE_LIMIT) {
		say(out, "It answers, and says that we ask too often.");
	} else if (reply->status >= 500 ||
	    (provider->check->path != NULL && reply->status == 404)) {
		say(out, "Something answers, but not as it should.");
	} else if (missing || empty) {
		out->key = PROVIDER_KEY_VALID;
		say(out, "The key works.");
	} else {
		say(out, "It answers, but not whether the key works.");
	}
	provider_verdict_fini(&verdict);
}

void
provider_check_read(const struct provider *provider,
    const struct provider_job *job, const struct fetch_reply *reply,
    const struct err *err, struct provider_health *out)
{
	char text[sizeof out->message];

	memset(out, 0, sizeof *out);
	out->key = PROVIDER_KEY_UNKNOWN;
	if (err != NULL) {
		snprintf(
		    text, sizeof text, "It can't be reached: %.180s", err->msg);
		say(out, text);
		return;
	}
	out->reachable = true;
	if (provider->check->path != NULL && reply->status == 200) {
		out->key = PROVIDER_KEY_VALID;
		say(out,
		    provider->needs_key ? "The key works." : "It answers.");
		read_balance(provider->check, reply, out);
	} else {
		read_error(provider, job, reply, out);
	}
	out->ok = out->key == PROVIDER_KEY_VALID && !out->no_funds;
}

const char *
provider_key_name(enum provider_key key)
{
	static const char *const names[] = {"unknown", "valid", "invalid"};

	return names[key];
}
