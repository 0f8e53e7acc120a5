/*
 * keys.c - the public keys with which a provider signs its webhooks: fetched
 * from the adapter's keys_url when a webhook needs them, kept for a day, and
 * asked for once more when none of them fits, because providers change keys.
 * One cache per lane; webhooks that came meanwhile wait in it.
 */
#define LOG_MODULE "jobs"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/internal.h"
#include "reeld/clock.h"
#include "reeld/json.h"
#include "reeld/log.h"

enum {
	KEYS_KEEP_MS = 24 * 3600 * 1000,
	KEYS_RETRY_MS = 30 * 1000, /* after a failed fetch */
	KEYS_TIMEOUT_MS = 5000,	   /* they wait some 15 s for our answer */
	KEYS_MAX_BYTES = 64 * 1024
};

void
keys_init(struct hook_keys *self)
{
	memset(self, 0, sizeof *self);
	TAILQ_INIT(&self->waiting);
}

void
keys_fini(struct hook_keys *self)
{
	fetch_cancel(&self->call);
	json_free(&self->doc);
}

const struct json_object *
keys_current(const struct hook_keys *self)
{
	return self->doc != NULL &&
		clock_mono_ms() - self->fetched_ms < KEYS_KEEP_MS
	    ? self->doc
	    : NULL;
}

/* The adapter's address; on the configured base when that is another host
 * than the adapter's own: a test server or a relay. */
static char *
keys_address(const struct provider *p, const struct catalogue_account *account)
{
	char own[300], base[300];
	const char *path = strstr(p->keys_url, "://") + 3;

	path = strchr(path, '/');
	if (account == NULL || account->base_url == NULL || path == NULL ||
	    !fetch_url_origin(account->base_url, base, sizeof base) ||
	    !fetch_url_origin(p->base_url, own, sizeof own) ||
	    str_eq(base, own))
		return xstrdup(p->keys_url);
	return xasprintf("%s%s", base, path);
}

static bool
take_keys(struct hook_keys *self, const struct fetch_reply *reply)
{
	struct json_object *doc = NULL;

	if (reply->status != 200 ||
	    !json_parse_flags(reply->body.data, reply->body.len, KEYS_MAX_BYTES,
		JSON_FOREIGN, &doc, NULL))
		return false;
	if (json_count(json_arr_at(doc, "keys")) == 0) {
		json_free(&doc);
		return false;
	}
	json_free(&self->doc);
	self->doc = doc;
	self->fetched_ms = clock_mono_ms();
	return true;
}

static void
on_keys(const struct fetch_reply *reply, const struct err *err, void *arg)
{
	struct hook_keys *self = arg;
	struct keys_wait *wait;

	self->failed = err != NULL || !take_keys(self, reply);
	if (self->failed)
		log_warn("status=%d msg=\"webhook keys: %s\"", reply->status,
		    err != NULL ? err->name : "not a list of keys");
	while ((wait = TAILQ_FIRST(&self->waiting)) != NULL) {
		keys_wait_cancel(wait);
		wait->fn(wait->arg);
	}
}

bool
keys_fetch(struct engine *engine, struct lane *lane, struct keys_wait *wait)
{
	struct hook_keys *self = &lane->keys;
	const struct catalogue_account *account = lane_account(engine, lane);
	int64_t pause = self->failed ? KEYS_RETRY_MS : engine->d.keys_again_ms;
	struct fetch_spec spec;
	char *url;

	if (self->call == NULL) {
		if (self->tried && clock_mono_ms() - self->tried_ms < pause)
			return false;
		self->tried = true;
		self->tried_ms = clock_mono_ms();
		url = keys_address(lane->provider, account);
		fetch_spec_init(&spec, "GET", url);
		fetch_spec_provider(
		    &spec, url, account != NULL && account->allow_private);
		fetch_spec_header(&spec, "Accept", "application/json");
		spec.timeout_ms = KEYS_TIMEOUT_MS;
		spec.max_bytes = KEYS_MAX_BYTES;
		spec.tag = lane->provider->name;
		free(url);
		fetch_start(engine->d.fetch, &spec, &self->call, on_keys, self);
	}
	wait->keys = self;
	TAILQ_INSERT_TAIL(&self->waiting, wait, entry);
	return true;
}

void
keys_wait_cancel(struct keys_wait *wait)
{
	if (wait->keys != NULL)
		TAILQ_REMOVE(&wait->keys->waiting, wait, entry);
	wait->keys = NULL;
}
