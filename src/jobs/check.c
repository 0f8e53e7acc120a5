/*
 * check.c - asks a provider whether an account's key works, for an operator
 * who wants to know now.  Changes nothing and is paid for by nobody.
 */
#define LOG_MODULE "jobs"
#include <stdlib.h>
#include <string.h>

#include "reeld/catalogue.h"
#include "reeld/clock.h"
#include "reeld/fetch.h"
#include "reeld/jobs.h"
#include "reeld/mem.h"
#include "reeld/provider.h"
#include "reeld/seal.h"

enum { TIMEOUT_MS = 15000 };

struct account_check {
	struct account_check **slot;
	account_check_fn *done;
	void *arg;
	const struct provider *provider;
	struct provider_job job;
	char *base_url, *key;
	struct provider_health health;
	int64_t started_ms, latency_ms;
	struct fetch_call *call;
	struct loop_defer *defer;
};

static void
check_free(struct account_check *self)
{
	fetch_cancel(&self->call);
	loop_defer_cancel(&self->defer);
	free(self->base_url);
	secret_free(self->key);
	free(self);
}

static void
tell(void *arg)
{
	struct account_check *self = arg;
	struct provider_health health = self->health;
	int64_t latency_ms = self->latency_ms;
	account_check_fn *done = self->done;
	void *done_arg = self->arg;

	*self->slot = NULL;
	check_free(self);
	done(&health, latency_ms, done_arg);
}

static void
on_reply(const struct fetch_reply *reply, const struct err *err, void *arg)
{
	struct account_check *self = arg;

	self->latency_ms = clock_mono_ms() - self->started_ms;
	provider_check_read(
	    self->provider, &self->job, reply, err, &self->health);
	tell(self);
}

void
account_check_start(struct loop *loop, struct fetch *fetch,
    const char *provider, const struct catalogue_account *account,
    struct account_check **slot, account_check_fn *done, void *arg)
{
	struct account_check *self = xcalloc(1, sizeof *self);
	struct fetch_spec spec;
	struct err err;

	*slot = self;
	self->slot = slot;
	self->done = done;
	self->arg = arg;
	self->provider = provider_by_name(provider);
	self->base_url = xstrdup(account->base_url);
	self->key = xstrdup(account->key);
	self->job.base_url = self->base_url;
	self->job.key = self->key;
	self->job.allow_private = account->allow_private;
	self->job.now_ms = clock_wall_ms();
	self->started_ms = clock_mono_ms();
	if (self->provider == NULL)
		err_set(&err, ERR_NOT_FOUND, "There is no adapter for %s.",
		    provider);
	else if (provider_check_build(
		     self->provider, &self->job, &spec, &err)) {
		spec.timeout_ms = TIMEOUT_MS;
		fetch_start(fetch, &spec, &self->call, on_reply, self);
		return;
	}
	str_copy(self->health.message, sizeof self->health.message, err.msg);
	loop_defer(loop, "account check", tell, self, &self->defer);
}

void
account_check_cancel(struct account_check **slot)
{
	struct account_check *self = *slot;

	*slot = NULL;
	if (self != NULL)
		check_free(self);
}
