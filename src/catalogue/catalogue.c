/*
 * catalogue.c - keeps the snapshot fresh: on a change here or in another
 * instance, and every 30 s.  A load that fails leaves the old one in place.
 */
#define LOG_MODULE "catalogue"
#include "reeld/catalogue.h"

#include <stdlib.h>
#include <string.h>

#include "catalogue/internal.h"
#include "reeld/clock.h"
#include "reeld/log.h"
#include "reeld/redis.h"

#define CHANNEL "reeld:catalogue"

enum {
	EVERY_MS = 30000,
	RETRY_MS = 1000,
	STATS_EVERY_MS = 300000,
};

static void load(struct catalogue *self);

static void
list_drop(struct catalogue *self)
{
	free(self->list);
	self->list = NULL;
}

static void
set_num(struct json_object *item, const char *name, const struct pg_rows *rows,
    int row)
{
	if (pg_null(rows, row, name))
		json_set_null(item, name);
	else
		json_set_num(item, name, pg_num_f(rows, row, name));
}

static void
on_stats(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct catalogue *self = arg;

	if (err != NULL) {
		log_warn("msg=\"model statistics not loaded\" error=%s",
		    err_code_name(err));
		return;
	}
	json_free(&self->stats);
	self->stats = json_new();
	self->stats_ms = clock_mono_ms();
	for (int i = 0; i < pg_count(rows); i++) {
		struct json_object *item = json_new();
		int64_t done = pg_i64(rows, i, "completed");
		int64_t all = done + pg_i64(rows, i, "failed");

		json_set_int(item, "generations", all);
		json_set_num(item, "success_rate",
		    all > 0 ? (double)done / (double)all : 0);
		set_num(item, "average_s", rows, i);
		set_num(item, "median_s", rows, i);
		json_set_obj(self->stats, pg_text(rows, i, "model"), &item);
	}
	list_drop(self);
}

static void
load_failed(struct catalogue *self, const struct err *err)
{
	log_warn("msg=\"not loaded\" error=%s", err_code_name(err));
	catalogue_unref(&self->next);
	timer_set_jitter_ms(&self->timer, RETRY_MS, 20);
}

static void
on_config(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct catalogue *self = arg;
	struct catalogue_snapshot *old = self->now;

	if (err != NULL) {
		load_failed(self, err);
		return;
	}
	snapshot_config(self->next, rows);
	if (old == NULL)
		log_info("models=%zu msg=\"loaded\"", self->next->n);
	self->now = self->next;
	self->next = NULL;
	catalogue_unref(&old);
	list_drop(self);
	if (self->stats_query == NULL &&
	    (self->stats == NULL ||
		clock_mono_ms() - self->stats_ms >= STATS_EVERY_MS))
		pg_query_start(self->pg, STMT_MODEL_STATS, PG_ARGS("7 days"),
		    &self->stats_query, on_stats, self);
	if (self->again)
		load(self);
	else
		timer_set_jitter_ms(&self->timer, EVERY_MS, 10);
}

static void
on_models(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct catalogue *self = arg;

	if (err != NULL) {
		load_failed(self, err);
		return;
	}
	self->next = snapshot_new(self, rows);
	pg_query_start(self->pg, STMT_SYSTEM_CONFIG_LOAD, NULL, &self->query,
	    on_config, self);
}

static void
on_accounts(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct catalogue *self = arg;

	if (err != NULL) {
		load_failed(self, err);
		return;
	}
	account_set_free(self->accounts);
	self->accounts = account_set_new(self, rows);
	/* Which models are available depends on them. */
	pg_query_start(
	    self->pg, STMT_CATALOGUE_LOAD, NULL, &self->query, on_models, self);
}

/* What the configuration has is written down first: attempts refer to it. */
static void
on_synced(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct catalogue *self = arg;

	if (err != NULL) {
		load_failed(self, err);
		return;
	}
	self->synced = true;
	pg_query_start(
	    self->pg, STMT_ACCOUNT_LIST, NULL, &self->query, on_accounts, self);
}

static void
sync(struct catalogue *self)
{
	struct json_object *list = json_new_arr(), *item;
	char *text;

	for (size_t i = 0; self->known != NULL; i++) {
		const char *title, *name = self->known(self->arg, i, &title);
		struct catalogue_settings settings = {0};
		char hint[8];

		if (name == NULL)
			break;
		item = json_new();
		json_set_text(item, "provider", name);
		json_set_text(item, "title", title);
		if (self->settings(self->arg, name, &settings) &&
		    settings.key != NULL) {
			account_hint(settings.key, hint);
			json_set_text(item, "hint", hint);
		}
		json_add_obj(list, &item);
	}
	text = json_dump_text(list);
	json_free(&list);
	pg_query_start(self->pg, STMT_ACCOUNTS_SYNC, PG_ARGS(text),
	    &self->query, on_synced, self);
	free(text);
}

static void
load(struct catalogue *self)
{
	self->again = false;
	timer_clear(&self->timer);
	if (!self->synced)
		sync(self);
	else
		pg_query_start(self->pg, STMT_ACCOUNT_LIST, NULL, &self->query,
		    on_accounts, self);
}

void
catalogue_settings_changed(struct catalogue *self)
{
	self->synced = false;
	catalogue_refresh(self);
}

void
catalogue_refresh(struct catalogue *self)
{
	if (self->query != NULL)
		self->again = true;
	else
		load(self);
}

static void
on_timer(void *arg)
{
	catalogue_refresh(arg);
}

static void
on_changed(const char *channel, const char *data, size_t len, void *arg)
{
	struct catalogue *self = arg;

	/* The message is the sender: a reload of our own is under way. */
	if (strlen(self->instance) != len ||
	    memcmp(self->instance, data, len) != 0)
		catalogue_refresh(self);
}

void
catalogue_reload(struct catalogue *self)
{
	catalogue_refresh(self);
	if (self->redis != NULL &&
	    !redis_publish(
		self->redis, CHANNEL, self->instance, strlen(self->instance)))
		log_info("msg=\"other instances will see the change later\"");
}

struct catalogue *
catalogue_new(struct loop *loop, const struct catalogue_opts *opts)
{
	struct catalogue *self = xcalloc(1, sizeof *self);

	self->loop = loop;
	self->pg = opts->pg;
	self->redis = opts->redis;
	self->instance = xstrdup(opts->instance != NULL ? opts->instance : "");
	self->provider_ready = opts->provider_ready;
	self->settings = opts->settings;
	self->known = opts->known;
	self->arg = opts->arg;
	self->ring = opts->ring;
	if (opts->key_dir != NULL && opts->key_dir[0] != '\0')
		self->key_dir = xstrdup(opts->key_dir);
	timer_init(&self->timer, loop, "catalogue", on_timer, self);
	if (self->redis != NULL)
		redis_subscribe(self->redis, CHANNEL, on_changed, self);
	load(self);
	return self;
}

void
catalogue_free(struct catalogue *self)
{
	if (self == NULL)
		return;
	if (self->redis != NULL)
		redis_subscribe(self->redis, CHANNEL, NULL, NULL);
	pg_query_cancel(&self->query);
	pg_query_cancel(&self->stats_query);
	timer_fini(&self->timer);
	catalogue_unref(&self->now);
	catalogue_unref(&self->next);
	json_free(&self->stats);
	list_drop(self);
	account_set_free(self->accounts);
	free(self->key_dir);
	free(self->instance);
	free(self);
}

bool
catalogue_ready(const struct catalogue *cat)
{
	return cat->now != NULL;
}
