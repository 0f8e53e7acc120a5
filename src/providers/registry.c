/*
 * registry.c - the adapters by name, and the entrances of the engine, with
 * the checks that are the same for all of them.
 */
#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "providers/internal.h"
#include "reeld/mem.h"

enum { UNIT_MICRO_USD_MAX = 1000 * 1000 * 1000 };

const struct provider *
provider_by_name(const char *name)
{
	for (size_t i = 0; provider_registry[i] != NULL; i++) {
		if (strcmp(provider_registry[i]->name, name) == 0)
			return provider_registry[i];
	}
	return NULL;
}

const struct provider *
provider_at(size_t i)
{
	for (size_t k = 0; k < i; k++) {
		if (provider_registry[k] == NULL)
			return NULL;
	}
	return provider_registry[i];
}

static provider_build_fn *
builder(const struct provider *provider, enum provider_step step)
{
	switch (step) {
	case PROVIDER_STEP_PREPARE:
		return provider->prepare;
	case PROVIDER_STEP_SUBMIT:
		return provider->submit;
	case PROVIDER_STEP_POLL:
		return provider->poll;
	case PROVIDER_STEP_RESULT:
		return provider->result;
	case PROVIDER_STEP_CANCEL:
		return provider->cancel;
	case PROVIDER_STEP_FIND:
		return provider->find;
	case PROVIDER_STEP_NONE:
	case PROVIDER_STEPS:
		break;
	}
	return NULL;
}

static provider_read_fn *
reader(const struct provider *provider, enum provider_step step)
{
	switch (step) {
	case PROVIDER_STEP_PREPARE:
		return provider->prepared;
	case PROVIDER_STEP_SUBMIT:
		return provider->submitted;
	case PROVIDER_STEP_POLL:
		return provider->polled;
	case PROVIDER_STEP_RESULT:
		return provider->resulted;
	case PROVIDER_STEP_CANCEL:
		return provider->cancelled;
	case PROVIDER_STEP_FIND:
		return provider->found;
	case PROVIDER_STEP_NONE:
	case PROVIDER_STEPS:
		break;
	}
	return NULL;
}

bool
provider_has_step(const struct provider *provider, enum provider_step step)
{
	return builder(provider, step) != NULL;
}

bool
provider_wants_prepare(
    const struct provider *provider, const struct provider_job *job)
{
	return provider->prepare != NULL &&
	    (provider->wants_prepare == NULL || provider->wants_prepare(job));
}

const char *
provider_step_name(enum provider_step step)
{
	static const char *const names[PROVIDER_STEPS] = {
	    "none", "prepare", "submit", "poll", "result", "cancel", "find"};

	return names[step];
}

bool
provider_build(const struct provider *provider, enum provider_step step,
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	provider_build_fn *build = builder(provider, step);

	if (build == NULL)
		return err_set_name(err, ERR_CONFLICT, "unsupported",
		    "%s has no way to %s", provider->title,
		    provider_step_name(step));
	if (provider->needs_key && (job->key == NULL || job->key[0] == '\0'))
		return err_set_name(err, ERR_UNAVAILABLE, "no_key",
		    "There is no key for %s", provider->title);
	return build(job, out, err);
}

/* No whole answer: only what surely never left may be repeated. */
static void
read_failure(enum provider_step step, const struct fetch_reply *reply,
    const struct err *err, struct provider_verdict *out)
{
	bool not_sent = reply->sent == FETCH_NOT_SENT;
	enum provider_state state = not_sent ? PROVIDER_BUSY : PROVIDER_UNKNOWN;

	/* Our own mistake repeats itself for ever. */
	if (not_sent &&
	    (str_eq(err->name, "url_forbidden") ||
		str_eq(err->name, "bad_request")))
		state = step == PROVIDER_STEP_SUBMIT ||
			step == PROVIDER_STEP_PREPARE
		    ? PROVIDER_FAILED
		    : PROVIDER_UNKNOWN;
	if (step == PROVIDER_STEP_PREPARE && state == PROVIDER_UNKNOWN)
		state = PROVIDER_BUSY;
	verdict_fail(
	    out, state, PROVIDER_CLASS_NETWORK, err_code_name(err), NULL);
	verdict_their_message(out, err->msg);
	out->may_retry = not_sent;
}

/* Units of the vendor's, by what one of them costs on this route. */
static void
read_units(const struct provider_job *job, struct provider_verdict *out)
{
	int64_t each;

	if (out->cost_micro_usd < 0 && out->billable_units >= 0 &&
	    json_int_at(job->params, "options.unit_micro_usd", &each) &&
	    each >= 0 && each <= UNIT_MICRO_USD_MAX)
		out->cost_micro_usd =
		    (int64_t)(out->billable_units * (double)each + 0.5);
}

void
provider_read(const struct provider *provider, enum provider_step step,
    const struct provider_job *job, const struct fetch_reply *reply,
    const struct err *err, struct provider_verdict *out)
{
	provider_read_fn *read = reader(provider, step);

	assert(read != NULL);
	provider_verdict_init(out);
	if (err != NULL)
		read_failure(step, reply, err, out);
	else
		read(job, reply, out);
	read_units(job, out);
	/* The adapters' promises, which the engine relies on. */
	assert(out->state != PROVIDER_DONE || out->result_url != NULL ||
	    out->next == PROVIDER_STEP_RESULT);
}

bool
provider_download(const struct provider *provider,
    const struct provider_job *job, const char *url, bool needs_key,
    struct fetch_spec *out, struct err *err)
{
	if (needs_key && provider->download == NULL)
		return err_set_name(err, ERR_INTERNAL, "unsupported",
		    "%s has no keyed downloads", provider->title);
	/* needs_key is not stored: after a restart the origin tells. */
	if (provider->download != NULL &&
	    (needs_key || url_is_own(provider, job, url)))
		return provider->download(job, url, out, err);
	fetch_spec_init(out, "GET", url);
	out->max_redirects = 5;
	out->tag = provider->name;
	return true;
}

const char *
job_base(const struct provider *self, const struct provider_job *job)
{
	return job->base_url != NULL && job->base_url[0] != '\0'
	    ? job->base_url
	    : self->base_url;
}

bool
url_is_own(const struct provider *self, const struct provider_job *job,
    const char *url)
{
	const char *base = job_base(self, job);
	char a[300], b[300];

	return url != NULL && base != NULL &&
	    fetch_url_origin(url, a, sizeof a) &&
	    fetch_url_origin(base, b, sizeof b) && strcmp(a, b) == 0;
}

bool
endpoint_ok(const char *endpoint, const char *more)
{
	if (endpoint == NULL || !isalnum((unsigned char)endpoint[0]) ||
	    strstr(endpoint, "..") != NULL)
		return false;
	for (const char *p = endpoint; *p != '\0'; p++) {
		if (!isalnum((unsigned char)*p) && strchr("._-", *p) == NULL &&
		    strchr(more, *p) == NULL)
			return false;
	}
	return true;
}

char *
job_url(const struct provider *self, const struct provider_job *job,
    const char *path, const char *id, const char *tail)
{
	const char *base = job_base(self, job);
	size_t len = strlen(base);
	char *text = id != NULL ? url_encode(id) : xstrdup("");
	char *url;

	/* Operators write it with a slash at the end, too. */
	while (len > 0 && base[len - 1] == '/')
		len--;
	url = xasprintf("%.*s%s%s%s", (int)len, base, path, text, tail);
	free(text);
	return url;
}

void
spec_start(const struct provider *self, const struct provider_job *job,
    struct fetch_spec *out, const char *method, const char *url)
{
	fetch_spec_init(out, method, url);
	fetch_spec_provider(out, job_base(self, job), job->allow_private);
	fetch_spec_header(out, "Accept", "application/json");
	out->tag = self->name;
	out->timeout_ms = 30000;
	out->max_bytes = 1 << 20;
}

char *
url_encode(const char *text)
{
	struct buf buf;

	buf_init(&buf, 3 * strlen(text) + 1);
	for (const char *p = text; *p != '\0'; p++) {
		if (isalnum((unsigned char)*p) || strchr("-._~", *p) != NULL)
			buf_putc(&buf, *p);
		else
			buf_printf(&buf, "%%%02X", (unsigned char)*p);
	}
	return buf.len > 0 ? buf_take(&buf, NULL) : xstrdup("");
}
