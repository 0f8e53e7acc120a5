/*
 * hook.c - webhooks of providers.  The URL holds the attempt and its token;
 * a vendor's own signature is checked where its secret is configured.  A
 * webhook never decides anything: it hurries the next question, and for a
 * submit whose answer was lost it brings the id.  Duplicates, late ones and
 * forgeries change nothing.
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

enum { HOOK_MAX = 1024 * 1024 };

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
};

static void
hook_free(struct engine_hook *self)
{
	pg_query_cancel(&self->query);
	loop_defer_cancel(&self->defer);
	json_free(&self->body);
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
	if (job->state.phase == STEP_PARKED &&
	    str_eq(job->attempt.text, attempt)) {
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
on_attempt(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct engine_hook *self = arg;
	struct provider_verdict verdict;
	struct provider_job pj = {0};
	const char *generation, *hash;
	int status = 200;

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
	if (!pg_bool(rows, 0, "attempt_current") ||
	    str_eq(pg_text(rows, 0, "job_status"), "succeeded") ||
	    str_eq(pg_text(rows, 0, "job_status"), "failed") ||
	    str_eq(pg_text(rows, 0, "job_status"), "cancelled")) {
		finish(self, 200);
		return;
	}
	generation = pg_text(rows, 0, "generation_id");
	pj.generation_id = generation;
	pj.attempt_id = self->attempt.text;
	pj.nonce = pg_text(rows, 0, "called_nonce");
	pj.now_ms = clock_wall_ms();
	provider_verdict_init(&verdict);
	if (self->provider->hook != NULL &&
	    !self->provider->hook(&pj, self->body, &verdict, NULL)) {
		status = 400;
	} else if (!may_forward(self, rows)) {
		status = 503;
	} else if (str_eq(pg_text(rows, 0, "job_status"), "uncertain") &&
	    verdict.provider_id != NULL) {
		char *text = xasprintf("%s %s %s", generation,
		    self->attempt.text, verdict.provider_id);

		engine_hint_found(self->engine, text);
		free(text);
	} else {
		engine_hurry(self->engine, generation);
	}
	provider_verdict_fini(&verdict);
	finish(self, status);
}

static int
examine(struct engine_hook *self, const struct engine_hook_in *in)
{
	const struct engine_deps *d = &self->engine->d;
	const struct provider_account *account;
	struct provider_hook hook = {
	    in->body, in->len, in->header, in->header_arg, clock_wall_ms()};
	struct json_object *keys = NULL;
	struct err err = {0};
	bool ok = true;

	if (in->len > HOOK_MAX)
		return 413;
	self->provider = provider_by_name(in->provider);
	if (self->provider == NULL || !id_parse(in->attempt, &self->attempt))
		return 404;
	if (strlen(in->token) > 128)
		return 401;
	sha256_hex(in->token, strlen(in->token), self->token_hash);
	account = d->account != NULL ? d->account(d->account_arg, in->provider)
				     : NULL;
	if (self->provider->verify != NULL && account != NULL &&
	    account->hook_secret != NULL) {
		keys = json_new();
		json_set_text(keys, "secret", account->hook_secret);
		ok = self->provider->verify(&hook, keys, &err);
		json_free(&keys);
	}
	if (!ok) {
		log_warn("provider=%s attempt=%s msg=%s", in->provider,
		    self->attempt.text, log_text(err.msg));
		return 401;
	}
	if (!json_parse_flags(
		in->body, in->len, HOOK_MAX, JSON_FOREIGN, &self->body, &err))
		return 400;
	return 200;
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
	if (self->status != 200) {
		loop_defer(
		    engine->d.loop, "hook", on_refused, self, &self->defer);
		return;
	}
	pg_query_start(engine->d.pg, STMT_JOB_BY_ATTEMPT,
	    PG_ARGS(self->attempt.text), &self->query, on_attempt, self);
}
