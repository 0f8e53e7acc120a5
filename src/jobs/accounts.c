/*
 * accounts.c - what paid requests teach us about the account they went to:
 * its circuit, and whether it has to rest.  The rows in PostgreSQL decide
 * (job_claim), so that all instances see the same.
 */
#define LOG_MODULE "jobs"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/internal.h"
#include "reeld/clock.h"
#include "reeld/log.h"

/* Without credit it is tried again now and then: somebody may have paid. */
enum { NO_FUNDS_MS = 15 * 60 * 1000 };

const struct catalogue_account *
lane_account(const struct engine *engine, const struct lane *lane)
{
	size_t n = 0;
	const struct catalogue_account *all = engine->d.accounts == NULL
	    ? NULL
	    : engine->d.accounts(
		  engine->d.accounts_arg, lane->provider->name, &n);

	return n > 0 ? all : NULL;
}

const struct catalogue_account *
job_account(const struct job *job)
{
	const struct engine_deps *d = &job->engine->d;
	size_t n = 0;
	const struct catalogue_account *all = d->accounts == NULL
	    ? NULL
	    : d->accounts(d->accounts_arg, job->lane->provider->name, &n);

	/* Submitted before there were several: it was the first. */
	if (n > 0 && !id_is_set(&job->account))
		return all;
	for (size_t i = 0; i < n; i++)
		if (str_eq(all[i].id.text, job->account.text))
			return &all[i];
	return NULL;
}

void
accounts_changed(struct engine *engine)
{
	if (engine->d.accounts_changed != NULL)
		engine->d.accounts_changed(engine->d.accounts_arg);
}

static struct health *
health_of(struct engine *engine, const struct id *account)
{
	struct health *self;

	HASH_FIND(hh, engine->health, account->text, ID_LEN, self);
	if (self == NULL) {
		self = xcalloc(1, sizeof *self);
		self->engine = engine;
		self->account = *account;
		HASH_ADD_KEYPTR(
		    hh, engine->health, self->account.text, ID_LEN, self);
	}
	return self;
}

static void
on_told(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct health *self = arg;

	(void)rows;
	/* What is not told now is told by the next failure or answer. */
	if (err != NULL) {
		log_warn("account=%s msg=%s", self->account.text,
		    log_text(err->msg));
		self->breaker.open_until_ms = 0;
		return;
	}
	accounts_changed(self->engine);
}

void
account_note(struct job *job, enum submit_outcome outcome)
{
	struct engine *engine = job->engine;
	bool failed = outcome == SUBMIT_NOT_SENT || outcome == SUBMIT_UNCERTAIN;
	struct health *self;

	if (!id_is_set(&job->account))
		return;
	self = health_of(engine, &job->account);
	self->outcomes[outcome]++;
	if (outcome == SUBMIT_BUSY && !job->probe)
		return; /* neither: they are there, and full */
	switch (
	    breaker_on(&self->breaker, failed, job->probe, clock_mono_ms())) {
	case BREAKER_OPEN:
		log_warn("provider=%s account=%s failures=%d msg=\"circuit "
			 "opened\"",
		    job->lane->provider->name, self->account.text,
		    self->breaker.failures);
		pg_query_cancel(&self->query);
		pg_query_start(engine->d.pg, STMT_ACCOUNT_OPEN,
		    PG_ARGS(self->account.text, pg_num(self->breaker.failures),
			pg_num(BREAKER_OPEN_MS)),
		    &self->query, on_told, self);
		break;
	case BREAKER_CLOSE:
		log_info("provider=%s account=%s msg=\"circuit closed\"",
		    job->lane->provider->name, self->account.text);
		pg_query_cancel(&self->query);
		pg_query_start(engine->d.pg, STMT_ACCOUNT_CLOSE,
		    PG_ARGS(self->account.text), &self->query, on_told, self);
		break;
	case BREAKER_NOTHING:
		break;
	}
	job->probe = false;
}

bool
account_refused(
    struct job *job, const struct provider_verdict *verdict, int status)
{
	const char *what;

	job->leave = false;
	job->verdict = NULL;
	switch (verdict->class) {
	case PROVIDER_CLASS_FUNDS:
		job->verdict = "paused";
		job->verdict_ms = NO_FUNDS_MS;
		what = "no credit";
		break;
	case PROVIDER_CLASS_ACCOUNT:
		/* Forbidden is about this model; another route may do. */
		if (status == 403) {
			job->leave = true;
			return true;
		}
		job->verdict = "broken";
		job->verdict_ms = 0;
		what = "its key is not accepted";
		break;
	case PROVIDER_CLASS_NOT_FOUND:
	case PROVIDER_CLASS_UNSUPPORTED:
		job->leave = true;
		return true;
	default:
		return false;
	}
	if (!id_is_set(&job->account)) {
		job->verdict = NULL;
		return false;
	}
	snprintf(job->verdict_why, sizeof job->verdict_why, "%s%s%.120s", what,
	    verdict->provider_message[0] != '\0' ? ": " : "",
	    verdict->provider_message);
	log_error("provider=%s account=%s state=%s msg=%s",
	    job->lane->provider->name, job->account.text, job->verdict,
	    log_text(job->verdict_why));
	return true;
}

void
account_hold(struct job *job)
{
	job->leave = false;
	job->verdict = id_is_set(&job->account) ? "held" : NULL;
	job->verdict_ms = 0; /* as long as the job waits */
	job->verdict_why[0] = '\0';
}

void
account_verdict_clear(struct job *job)
{
	job->leave = false;
	job->verdict = NULL;
}

void
account_free_all(struct engine *engine)
{
	struct health *self, *next;

	HASH_ITER (hh, engine->health, self, next) {
		pg_query_cancel(&self->query);
		HASH_DELETE(hh, engine->health, self);
		free(self);
	}
}

void
account_count(const struct job *job, int n)
{
	if (id_is_set(&job->account))
		health_of(job->engine, &job->account)->running += n;
}

int
engine_account_jobs(const struct engine *engine, const char *account)
{
	struct health *self;

	HASH_FIND(hh, engine->health, account, ID_LEN, self);
	return self != NULL ? self->running : 0;
}

void
engine_account_stats(
    const struct engine *engine, engine_account_fn *fn, void *arg)
{
	struct health *self, *next;

	HASH_ITER (hh, engine->health, self, next)
		fn(self->account.text, self->outcomes, arg);
}
