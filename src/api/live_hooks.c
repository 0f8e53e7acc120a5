/*
 * live_hooks.c - who may listen to what, what is read again while Redis is
 * away, the numbers of admin:queue, and the routes where listeners come in.
 */
#define LOG_MODULE "api"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "api/live_hooks.h"
#include "api/state.h"
#include "api/view.h"
#include "reeld/clock.h"
#include "reeld/live.h"
#include "reeld/log.h"

enum { TICK_MS = 1000 };

struct live_state {
	struct app *app;
	struct loop_timer tick;
	struct pg_query *tick_query, *generations_query, *users_query,
	    *balances_query;
};

static bool
authorize(void *app, const struct live_client *client,
    const struct live_topic *topic, struct err *err)
{
	bool ok;

	switch (topic->kind) {
	case LIVE_USER:
		ok = str_eq(client->user, topic->key) ||
		    client->role >= ROLE_OPERATOR;
		break;
	case LIVE_GENERATION: /* whose it is, the snapshot finds out */
		ok = client->user[0] != '\0';
		break;
	case LIVE_COMPARISON:
	case LIVE_ARENA:
		ok = true;
		break;
	case LIVE_ADMIN:
		ok = client->role >= ROLE_OPERATOR;
		break;
	default:
		ok = false;
	}
	return ok ||
	    err_set_name(err,
		client->user[0] == '\0' ? ERR_UNAUTHORIZED : ERR_FORBIDDEN,
		"forbidden_topic", "This topic is not for you.");
}

/* ---- while Redis is away ---- */

static void
deliver(struct app *app, const char *type, const char *object,
    const char *const *topics, size_t n_topics, int64_t version,
    struct json_object **data)
{
	char *text = json_dump_text(*data);
	struct live_event event = {.type = type,
	    .n_topics = n_topics,
	    .object = object,
	    .version = version,
	    .data = text,
	    .data_len = strlen(text)};

	for (size_t i = 0; i < n_topics; i++)
		event.topics[i] = topics[i];
	live_deliver(app->live, &event);
	free(text);
	json_free(data);
}

static void
on_generations(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct live_state *self = arg;

	for (int i = 0; err == NULL && i < pg_count(rows); i++) {
		const char *id = pg_text(rows, i, "id");
		struct json_object *data = view_generation(rows, i);
		char mine[64], user[64];

		snprintf(mine, sizeof mine, "generation:%s", id);
		snprintf(
		    user, sizeof user, "user:%s", pg_text(rows, i, "user_id"));
		deliver(self->app, "generation.updated", id,
		    (const char *const[]){mine, user, "admin:queue"}, 3,
		    pg_i64(rows, i, "version"), &data);
	}
}

static void
on_balances(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct live_state *self = arg;

	for (int i = 0; err == NULL && i < pg_count(rows); i++) {
		const char *id = pg_text(rows, i, "user_id");
		struct json_object *data = json_new();
		char object[64], user[64];

		snprintf(object, sizeof object, "credits:%s", id);
		snprintf(user, sizeof user, "user:%s", id);
		api_set_int(data, "balance", rows, i, "balance");
		deliver(self->app, "credits.balance", object,
		    (const char *const[]){user}, 1, pg_i64(rows, i, "version"),
		    &data);
	}
}

static void
ask(struct live_state *self, enum pg_stmt stmt, const char *const *ids,
    size_t n, struct pg_query **slot, pg_done_fn *done)
{
	struct buf list;

	if (n == 0 || *slot != NULL)
		return;
	buf_init(&list, 4 * 1024 * 1024);
	for (size_t i = 0; i < n; i++)
		buf_printf(&list, "%c%s", i == 0 ? '{' : ',', ids[i]);
	buf_putc(&list, '}');
	if (buf_ok(&list))
		pg_query_start(self->app->pg_engine, stmt,
		    PG_ARGS(buf_str(&list)), slot, done, self);
	buf_fini(&list);
}

static void
refresh(void *arg, const struct live_watch *watch)
{
	struct app *app = arg;
	struct live_state *self = app->api->live;

	ask(self, STMT_LIVE_GENERATIONS, watch->generations,
	    watch->n_generations, &self->generations_query, on_generations);
	ask(self, STMT_LIVE_USER_GENERATIONS, watch->users, watch->n_users,
	    &self->users_query, on_generations);
	ask(self, STMT_LIVE_BALANCES, watch->users, watch->n_users,
	    &self->balances_query, on_balances);
}

/* ---- admin:queue ---- */

static void
on_stats(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct live_state *self = arg;
	struct json_object *data;

	if (err != NULL) {
		log_debug("msg=%s", log_text(err->msg));
		return;
	}
	data = queue_stats_view(rows);
	deliver(self->app, "queue.stats", "queue.stats",
	    (const char *const[]){"admin:queue"}, 1, 0, &data);
}

static void
on_tick(void *arg)
{
	struct live_state *self = arg;

	if (!live_watched(self->app->live, "admin:queue"))
		return;
	if (self->tick_query == NULL)
		pg_query_start(self->app->pg_engine, STMT_LIVE_QUEUE_STATS,
		    NULL, &self->tick_query, on_stats, self);
	timer_set_ms(&self->tick, TICK_MS);
}

void
live_state_watch_queue(struct live_state *self)
{
	if (!timer_is_set(&self->tick))
		timer_set_ms(&self->tick, TICK_MS);
}

struct live_state *
live_state_open(struct app *app)
{
	struct live_state *self = xcalloc(1, sizeof *self);

	self->app = app;
	timer_init(&self->tick, app->loop, "queue stats", on_tick, self);
	live_hooks_set(app->live,
	    &(struct live_hooks){.app = app,
		.authorize = authorize,
		.snapshot_start = snapshot_start,
		.snapshot_cancel = snapshot_cancel,
		.refresh = refresh});
	return self;
}

void
live_state_close(struct live_state *self)
{
	if (self == NULL)
		return;
	pg_query_cancel(&self->tick_query);
	pg_query_cancel(&self->generations_query);
	pg_query_cancel(&self->users_query);
	pg_query_cancel(&self->balances_query);
	timer_fini(&self->tick);
	free(self);
}

/* ---- the routes ---- */

static struct live_client
client_of(const struct http_call *call)
{
	const struct identity *me = api_me(call);
	struct live_client client = {
	    .role = me->role, .no_origin_ok = me->kind == IDENTITY_KEY};

	str_copy(client.user, sizeof client.user, me->user);
	str_copy(client.session, sizeof client.session, me->session);
	auth_ip_key(call, client.address, sizeof client.address);
	return client;
}

/* GET /ws and /api/v1/ws */
void
api_live_ws(struct http_call *call)
{
	struct live_client client = client_of(call);

	live_ws_accept(api_app(call)->live, call, &client);
}

/* GET /api/v1/events?topics=user:me,generation:... */
void
api_live_events(struct http_call *call)
{
	struct live_client client = client_of(call);
	const char *topics = http_query(call, "topics");

	live_sse_open(api_app(call)->live, call, &client,
	    topics != NULL ? topics : "user:me");
}
