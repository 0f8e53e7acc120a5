/*
 * live_snapshot.c - what a new listener of a topic sees first, read from the
 * rows.  A topic may need several statements; each adds its objects.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/live_hooks.h"
#include "api/state.h"
#include "api/view.h"
#include "reeld/clock.h"
#include "reeld/live.h"

struct live_snapshot {
	struct app *app;
	struct live_client client;
	struct live_topic topic;
	struct live_snapshot **slot;
	live_snapshot_fn *done;
	void *arg;
	struct pg_query *query;
	struct loop_defer *defer;
	struct json_object *objects;
};

static void
snapshot_free(struct live_snapshot *self)
{
	pg_query_cancel(&self->query);
	loop_defer_cancel(&self->defer);
	json_free(&self->objects);
	free(self);
}

void
snapshot_cancel(struct live_snapshot **slot)
{
	struct live_snapshot *self = *slot;

	*slot = NULL;
	if (self != NULL)
		snapshot_free(self);
}

/* The end of it. */
static void
finish(struct live_snapshot *self, const struct err *err)
{
	struct json_object *objects = err == NULL ? self->objects : NULL;
	live_snapshot_fn *done = self->done;
	void *arg = self->arg;

	*self->slot = NULL;
	if (objects != NULL)
		self->objects = NULL;
	snapshot_free(self);
	done(objects, err, arg);
	json_free(&objects);
}

static void
add_rows(struct live_snapshot *self, const struct pg_rows *rows)
{
	for (int i = 0; i < pg_count(rows); i++) {
		struct json_object *obj = view_generation(rows, i);

		if (pg_has(rows, "email")) {
			api_set_text(obj, "user_id", rows, i, "user_id");
			api_set_text(obj, "email", rows, i, "email");
		}
		json_add_obj(self->objects, &obj);
	}
}

static void
on_active(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct live_snapshot *self = arg;

	if (err == NULL)
		add_rows(self, rows);
	finish(self, err);
}

static void
on_balance(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct live_snapshot *self = arg;
	struct json_object *obj;
	const char *user = self->topic.key;
	char id[96];

	if (err != NULL || pg_count(rows) == 0) {
		struct err missing;

		err_set(&missing, ERR_NOT_FOUND, "There is no such user.");
		finish(self, err != NULL ? err : &missing);
		return;
	}
	obj = json_new();
	snprintf(id, sizeof id, "credits:%s", user);
	json_set_text(obj, "id", id);
	json_set_text(obj, "type", "credits.balance");
	api_set_int(obj, "version", rows, 0, "version");
	api_set_int(obj, "balance", rows, 0, "balance");
	json_add_obj(self->objects, &obj);
	pg_query_start(self->app->pg, STMT_GENERATION_ACTIVE, PG_AS(user, user),
	    &self->query, on_active, self);
}

static void
on_generation(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct live_snapshot *self = arg;
	struct err missing;

	if (err == NULL && pg_count(rows) == 0) {
		err_set(
		    &missing, ERR_NOT_FOUND, "There is no such generation.");
		finish(self, &missing);
		return;
	}
	if (err == NULL)
		add_rows(self, rows);
	finish(self, err);
}

struct json_object *
queue_stats_view(const struct pg_rows *rows)
{
	static const char *const names[] = {
	    "queued", "pending", "running", "waiting", "uncertain"};
	struct json_object *obj = json_new(), *list = json_new_arr();
	int64_t sums[nitems(names)] = {0}, oldest = 0, now = clock_wall_ms();

	for (int r = 0; r < pg_count(rows); r++) {
		struct json_object *p = json_new();
		int64_t ms = pg_i64(rows, r, "oldest_ms");

		api_set_text(p, "provider", rows, r, "provider");
		for (size_t i = 0; i < nitems(names); i++) {
			api_set_int(p, names[i], rows, r, names[i]);
			sums[i] += pg_i64(rows, r, names[i]);
		}
		json_set_time_ms(p, "oldest_at", ms);
		if (ms > 0 && (oldest == 0 || ms < oldest))
			oldest = ms;
		json_add_obj(list, &p);
	}
	for (size_t i = 0; i < nitems(names); i++)
		json_set_int(obj, names[i], sums[i]);
	if (oldest > 0)
		json_set_int(obj, "oldest_queued_s",
		    now > oldest ? (now - oldest) / 1000 : 0);
	else
		json_set_null(obj, "oldest_queued_s");
	json_set_arr(obj, "providers", &list);
	return obj;
}

static void
on_queue(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct live_snapshot *self = arg;
	struct json_object *obj;

	if (err != NULL) {
		finish(self, err);
		return;
	}
	obj = queue_stats_view(rows);
	json_set_text(obj, "id", "queue.stats");
	json_set_text(obj, "type", "queue.stats");
	json_add_obj(self->objects, &obj);
	pg_query_start(self->app->pg_engine, STMT_ADMIN_JOBS,
	    PG_ARGS(NULL, NULL, NULL, NULL, "50"), &self->query, on_active,
	    self);
}

struct json_object *
worker_view(const struct pg_rows *rows, int row, void *arg)
{
	struct json_object *obj = json_new();

	api_set_text(obj, "id", rows, row, "id");
	api_set_text(obj, "name", rows, row, "name");
	api_set_text(obj, "version", rows, row, "version");
	api_set_json(obj, "capabilities", rows, row, "capabilities");
	api_set_text(obj, "gpu_name", rows, row, "gpu");
	api_set_int(obj, "vram_mb", rows, row, "vram_mb");
	api_set_text(obj, "loaded_model", rows, row, "loaded_model");
	api_set_text(obj, "state", rows, row, "state");
	api_set_text(obj, "attempt_id", rows, row, "current_attempt");
	api_set_text(obj, "generation_id", rows, row, "generation_id");
	api_set_int(obj, "completed", rows, row, "completed");
	api_set_int(obj, "failed", rows, row, "failed");
	api_set_time(obj, "beat_at", rows, row, "beat_ms");
	api_set_time(obj, "created_at", rows, row, "created_ms");
	return obj;
}

static void
on_workers(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct live_snapshot *self = arg;

	for (int i = 0; err == NULL && i < pg_count(rows); i++) {
		struct json_object *obj = worker_view(rows, i, NULL);

		json_add_obj(self->objects, &obj);
	}
	finish(self, err);
}

static void
on_nothing(void *arg)
{
	finish(arg, NULL);
}

static void
admin_start(struct live_snapshot *self)
{
	struct app *app = self->app;

	if (strcmp(self->topic.key, "queue") == 0) {
		live_state_watch_queue(app->api->live);
		pg_query_start(app->pg_engine, STMT_LIVE_QUEUE_STATS, NULL,
		    &self->query, on_queue, self);
	} else if (strcmp(self->topic.key, "workers") == 0) {
		pg_query_start(app->pg_engine, STMT_WORKER_LIST, NULL,
		    &self->query, on_workers, self);
	} else {
		loop_defer(
		    app->loop, "snapshot", on_nothing, self, &self->defer);
	}
}

void
snapshot_start(void *app_arg, const struct live_client *client,
    const struct live_topic *topic, struct live_snapshot **slot,
    live_snapshot_fn *done, void *arg)
{
	struct live_snapshot *self = xcalloc(1, sizeof *self);
	struct app *app = app_arg;
	const char *key;

	self->app = app;
	self->client = *client;
	self->topic = *topic;
	self->slot = slot;
	self->done = done;
	self->arg = arg;
	self->objects = json_new_arr();
	*slot = self;
	key = self->topic.key;
	if (topic->kind == LIVE_USER)
		pg_query_start(app->pg, STMT_CREDIT_GET, PG_AS(key, key),
		    &self->query, on_balance, self);
	else if (topic->kind == LIVE_GENERATION &&
	    client->role >= ROLE_OPERATOR)
		pg_query_start(app->pg_engine, STMT_GENERATION_GET,
		    PG_ARGS(key, NULL), &self->query, on_generation, self);
	else if (topic->kind == LIVE_GENERATION)
		pg_query_start(app->pg, STMT_GENERATION_GET,
		    PG_AS(client->user, key, client->user), &self->query,
		    on_generation, self);
	else if (topic->kind == LIVE_ADMIN)
		admin_start(self);
	else
		loop_defer(
		    app->loop, "snapshot", on_nothing, self, &self->defer);
}
