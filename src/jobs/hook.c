/*
 * hook.c - webhooks of providers.  The URL holds the attempt and its token,
 * and the provider's signature over the raw body is checked before anything
 * else is read: by its published keys (keys.c), or by the configured secret.
 *
 * A webhook never decides anything: it hurries the next question, and for a
 * submit whose answer was lost it brings the id.  Duplicates, late ones and
 * forgeries change nothing, so while a provider's keys can't be fetched the
 * token alone may hurry, and what would be believed is asked for again later.
 * A success of what has ended is kept with its attempt, for the books.
 */
#define LOG_MODULE "jobs"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/internal.h"
#include "reeld/clock.h"
#include "reeld/json.h"
#include "reeld/log.h"
#include "reeld/redis.h"
#include "reeld/token.h"

enum {
	HOOK_MAX = 1024 * 1024,
	LATE_MAX = 16 * 1024, /* of a late result that is kept */
	HEADERS_MAX = 8	      /* that a signature may be made of */
};

struct engine_hook {
	struct engine *engine;
	struct engine_hook **slot;
	engine_hook_fn *done;
	void *arg;
	const struct provider *provider;
	struct pg_query *query;
	struct loop_defer *defer;
	struct json_object *body;
	char token_hash[65];
	struct id attempt;
	int status;
	bool signed_ok;
	/* While it waits for keys: what the signature covers. */
	struct keys_wait wait;
	char *raw;
	size_t len;
	int64_t now_ms;
	struct {
		char *name, *value;
	} headers[HEADERS_MAX];
	int n_headers;
};

static void
hook_free(struct engine_hook *self)
{
	pg_query_cancel(&self->query);
	loop_defer_cancel(&self->defer);
	keys_wait_cancel(&self->wait);
	json_free(&self->body);
	for (int i = 0; i < self->n_headers; i++) {
		free(self->headers[i].name);
		free(self->headers[i].value);
	}
	free(self->raw);
	free(self);
}

void
engine_hook_cancel(struct engine_hook **slot)
{
	struct engine_hook *self = *slot;

	*slot = NULL;
	if (self != NULL)
		hook_free(self);
}

static void
finish(struct engine_hook *self, int status)
{
	engine_hook_fn *done = self->done;
	void *arg = self->arg;

	if (status != 200)
		self->engine->stats.hooks_bad++;
	*self->slot = NULL;
	hook_free(self);
	done(status, arg);
}

static void
on_refused(void *arg)
{
	struct engine_hook *self = arg;

	finish(self, self->status);
}

/* "generation attempt provider_id": the callback of an uncertain submit.
 * true when the job is carried here. */
bool
hook_found(struct engine *engine, const char *text)
{
	char generation[ID_LEN + 1], attempt[ID_LEN + 1];
	struct job *job;

	if (strlen(text) < 2 * (ID_LEN + 1) + 1)
		return false;
	memcpy(generation, text, ID_LEN);
	memcpy(attempt, text + ID_LEN + 1, ID_LEN);
	generation[ID_LEN] = attempt[ID_LEN] = '\0';
	job = job_find(engine, generation);
	if (job == NULL)
		return false;
	if (step_wants_id(&job->state) && str_eq(job->attempt.text, attempt)) {
		free(job->provider_id);
		job->provider_id = xstrdup(text + 2 * (ID_LEN + 1));
		log_info("job=%s attempt=%s provider_id=%s msg=\"the callback "
			 "brought the id\"",
		    job->id.text, attempt, log_text(job->provider_id));
		job_on_simple(job, ON_ACCEPTED);
	} else {
		job_on_simple(job, ON_HURRY);
	}
	return true;
}

static bool
may_forward(const struct engine_hook *self, const struct pg_rows *rows)
{
	const struct engine *engine = self->engine;

	return str_eq(pg_text(rows, 0, "owner"), engine->instance.text) ||
	    (engine->d.redis != NULL && redis_up(engine->d.redis));
}

static void
found(struct engine_hook *self, const char *generation, const char *id)
{
	char *text = xasprintf("%s %s %s", generation, self->attempt.text, id);

	engine_hint_found(self->engine, text);
	free(text);
}

/* Only what is a definite success comes with a result. */
static bool
is_late(const struct pg_rows *rows, const struct provider_verdict *verdict)
{
	return verdict->result != NULL &&
	    !str_eq(pg_text(rows, 0, "called_status"), "succeeded");
}

static void
on_late(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct engine_hook *self = arg;

	if (err == NULL)
		log_info("attempt=%s outcome=%s msg=\"late result\"",
		    self->attempt.text, pg_text(rows, 0, "outcome"));
	finish(self, err == NULL ? 200 : 503);
}

static void
keep_late(struct engine_hook *self, const struct provider_verdict *verdict)
{
	struct json_object *doc = json_new();
	char *text;

	json_set_text(doc, "source", "webhook");
	if (verdict->provider_id != NULL)
		json_set_text(doc, "provider_id", verdict->provider_id);
	json_set_copy(doc, "result", verdict->result);
	text = json_dump_text(doc);
	if (strlen(text) > LATE_MAX) {
		json_set_null(doc, "result");
		free(text);
		text = json_dump_text(doc);
	}
	json_free(&doc);
	pg_query_start(self->engine->d.pg, STMT_ATTEMPT_LATE,
	    PG_ARGS(self->attempt.text, text, NULL), &self->query, on_late,
	    self);
	free(text);
}

static bool
has_ended(const struct pg_rows *rows)
{
	const char *status = pg_text(rows, 0, "job_status");

	return str_eq(status, "succeeded") || str_eq(status, "failed") ||
	    str_eq(status, "cancelled");
}

static void
on_attempt(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct engine_hook *self = arg;
	struct provider_verdict verdict;
	struct provider_job pj = {0};
	struct err why = {0};
	const char *generation, *hash;
	int status = 200;
	bool ended;

	if (err != NULL) {
		finish(self, 503); /* they will try again */
		return;
	}
	if (pg_count(rows) < 1 ||
	    !str_eq(pg_text(rows, 0, "provider"), self->provider->name)) {
		finish(self, 404);
		return;
	}
	hash = pg_text(rows, 0, "token_hash");
	if (hash == NULL ||
	    !secret_eq(hash, strlen(hash), self->token_hash, 64)) {
		finish(self, 401);
		return;
	}
	ended = has_ended(rows) || !pg_bool(rows, 0, "attempt_current");
	generation = pg_text(rows, 0, "generation_id");
	pj.generation_id = generation;
	pj.attempt_id = self->attempt.text;
	pj.nonce = pg_text(rows, 0, "called_nonce");
	if (pg_bool(rows, 0, "attempt_current"))
		pj.provider_id = pg_text(rows, 0, "provider_job_id");
	pj.now_ms = clock_wall_ms();
	provider_verdict_init(&verdict);
	if (self->provider->hook != NULL &&
	    !self->provider->hook(&pj, self->body, &verdict, &why)) {
		status = why.code == ERR_CONFLICT ? 404 : 400;
	} else if (ended) {
		if (self->signed_ok && is_late(rows, &verdict)) {
			keep_late(self, &verdict);
			provider_verdict_fini(&verdict);
			return;
		}
	} else if (!may_forward(self, rows)) {
		status = 503;
	} else if (pg_null(rows, 0, "provider_job_id") &&
	    verdict.provider_id != NULL && self->signed_ok) {
		found(self, generation, verdict.provider_id);
	} else if (str_eq(pg_text(rows, 0, "job_status"), "uncertain") &&
	    verdict.provider_id != NULL && !self->signed_ok) {
		/* An id is believed only when it is signed: once more. */
		status = 503;
	} else {
		engine_hurry(self->engine, generation);
	}
	provider_verdict_fini(&verdict);
	finish(self, status);
}

/* --- The signature ---------------------------------------------------------
 */

/* Reads the body, then the attempt. */
static int
go_on(struct engine_hook *self, const void *body, size_t len)
{
	struct err err;

	if (!json_parse_flags(
		body, len, HOOK_MAX, JSON_FOREIGN, &self->body, &err))
		return 400;
	pg_query_start(self->engine->d.pg, STMT_JOB_BY_ATTEMPT,
	    PG_ARGS(self->attempt.text), &self->query, on_attempt, self);
	return 200;
}

static int
refuse(const struct engine_hook *self, const struct err *err)
{
	log_warn("provider=%s attempt=%s msg=%s", self->provider->name,
	    self->attempt.text, log_text(err->msg));
	return 401;
}

/* What the adapter reads is kept, for the case that it must wait. */
struct listen {
	const struct engine_hook_in *in;
	struct engine_hook *self;
};

static const char *
listen_header(const char *name, void *arg)
{
	struct listen *listen = arg;
	struct engine_hook *self = listen->self;
	const char *value = listen->in->header(name, listen->in->header_arg);

	if (value != NULL && self->n_headers < HEADERS_MAX) {
		self->headers[self->n_headers].name = xstrdup(name);
		self->headers[self->n_headers++].value = xstrdup(value);
	}
	return value;
}

static const char *
kept_header(const char *name, void *arg)
{
	const struct engine_hook *self = arg;

	for (int i = 0; i < self->n_headers; i++)
		if (str_eq(self->headers[i].name, name))
			return self->headers[i].value;
	return NULL;
}

static void
on_keys(void *arg)
{
	struct engine_hook *self = arg;
	struct lane *lane = lane_find(self->engine, self->provider->name);
	struct provider_hook hook = {
	    self->raw, self->len, kept_header, self, self->now_ms};
	const struct json_object *keys = keys_current(&lane->keys);
	struct err err = {0};
	int status;

	self->signed_ok = self->provider->verify(&hook, keys, &err);
	status = self->signed_ok || keys == NULL
	    ? go_on(self, self->raw, self->len)
	    : refuse(self, &err);
	if (status != 200)
		finish(self, status);
}

/* By the keys that the provider publishes; 0: it waits for them. */
static int
check_keys(struct engine_hook *self, const struct engine_hook_in *in)
{
	struct lane *lane = lane_find(self->engine, self->provider->name);
	struct listen listen = {in, self};
	struct provider_hook hook = {
	    in->body, in->len, listen_header, &listen, self->now_ms};
	const struct json_object *keys;
	struct err err = {0};

	if (lane == NULL)
		return 503;
	keys = keys_current(&lane->keys);
	self->signed_ok = self->provider->verify(&hook, keys, &err);
	if (self->signed_ok)
		return 200;
	/* Not signed at all, or too old: no key would help. */
	if (!str_eq(err.name, "bad_signature"))
		return refuse(self, &err);
	self->wait.fn = on_keys;
	self->wait.arg = self;
	if (keys_fetch(self->engine, lane, &self->wait)) {
		self->raw = xmemdup(in->body, in->len);
		self->len = in->len;
		return 0;
	}
	return keys != NULL ? refuse(self, &err) : 200;
}

static int
check_secret(struct engine_hook *self, const struct engine_hook_in *in)
{
	const struct lane *lane = lane_find(self->engine, self->provider->name);
	const struct catalogue_account *account =
	    lane != NULL ? lane_account(self->engine, lane) : NULL;
	struct provider_hook hook = {
	    in->body, in->len, in->header, in->header_arg, self->now_ms};
	struct json_object *keys;
	struct err err = {0};

	self->signed_ok = true; /* where nothing is signed, the token is it */
	if (self->provider->verify == NULL || account == NULL ||
	    account->hook_secret == NULL)
		return 200;
	keys = json_new();
	json_set_text(keys, "secret", account->hook_secret);
	self->signed_ok = self->provider->verify(&hook, keys, &err);
	json_free(&keys);
	return self->signed_ok ? 200 : refuse(self, &err);
}

/* 200: the answer comes from the attempt; 0: later. */
static int
examine(struct engine_hook *self, const struct engine_hook_in *in)
{
	uint8_t hash[32];
	int status;

	if (in->len > HOOK_MAX)
		return 413;
	self->provider = provider_by_name(in->provider);
	if (self->provider == NULL || !id_parse(in->attempt, &self->attempt))
		return 404;
	/* Noise costs no statement and no look at a provider's keys. */
	if (!token_hash(in->token, hash))
		return 401;
	hex_encode(self->token_hash, hash, sizeof hash);
	self->now_ms = clock_wall_ms();
	status =
	    self->provider->verify != NULL && self->provider->keys_url != NULL
	    ? check_keys(self, in)
	    : check_secret(self, in);
	return status == 200 ? go_on(self, in->body, in->len) : status;
}

void
engine_hook_start(struct engine *engine, const struct engine_hook_in *in,
    struct engine_hook **slot, engine_hook_fn *done, void *arg)
{
	struct engine_hook *self = xcalloc(1, sizeof *self);

	self->engine = engine;
	self->slot = slot;
	self->done = done;
	self->arg = arg;
	*slot = self;
	engine->stats.hooks++;
	self->status = examine(self, in);
	if (self->status != 200 && self->status != 0)
		loop_defer(
		    engine->d.loop, "hook", on_refused, self, &self->defer);
}
