/*
 * ws_server_demo.c - the live module behind the real HTTP server, for
 * tests/it/live.test.mjs.  Prints "port N"; SIGTERM drains, SIGINT stops.
 *
 *	GET /ws, /events?topics=, /wait?id=&version=, /stats
 *	POST /publish {type, topics[], object?, version?, data}
 *	POST /revoke?user=
 *
 * The user is what the header X-User says; a snapshot of generation:<id> is
 * answered 100 ms later with the version that was published last at the time
 * of asking, so that events overtake it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reeld/http.h"
#include "reeld/json.h"
#include "reeld/live.h"
#include "reeld/mem.h"
#include "reeld/ws.h"

struct live_snapshot {
	struct loop_timer timer;
	struct live_snapshot **slot;
	live_snapshot_fn *done;
	void *arg;
	char id[64];
	int64_t version;
};

static struct loop *loop;
static struct live *live;
static struct ws *ws;
static int64_t last_version;

static bool
authorize(void *app, const struct live_client *client,
    const struct live_topic *topic, struct err *err)
{
	if (topic->kind == LIVE_ARENA || topic->kind == LIVE_COMPARISON)
		return true;
	if (client->user[0] == '\0')
		return err_set(err, ERR_UNAUTHORIZED, "Sign in.");
	if (topic->kind == LIVE_ADMIN ||
	    (topic->kind == LIVE_USER && !str_eq(topic->key, client->user)))
		return err_set(err, ERR_FORBIDDEN, "Not for you.");
	return true;
}

static void
snapshot_end(struct live_snapshot *self)
{
	timer_fini(&self->timer);
	*self->slot = NULL;
	free(self);
}

static void
on_snapshot(void *arg)
{
	struct live_snapshot *self = arg;
	struct json_object *list = json_new_arr(), *item = json_new();
	live_snapshot_fn *done = self->done;
	void *done_arg = self->arg;

	json_set_text(item, "id", self->id);
	json_set_int(item, "version", self->version);
	json_add_obj(list, &item);
	snapshot_end(self);
	done(list, NULL, done_arg);
	json_free(&list);
}

static void
snapshot_start(void *app, const struct live_client *client,
    const struct live_topic *topic, struct live_snapshot **slot,
    live_snapshot_fn *done, void *arg)
{
	struct live_snapshot *self = xcalloc(1, sizeof *self);

	self->slot = slot;
	self->done = done;
	self->arg = arg;
	self->version = last_version;
	str_copy(self->id, sizeof self->id, topic->key);
	*slot = self;
	timer_init(&self->timer, loop, "snapshot", on_snapshot, self);
	timer_set_ms(&self->timer, topic->kind == LIVE_GENERATION ? 100 : 1);
}

static void
snapshot_cancel(struct live_snapshot **slot)
{
	if (*slot != NULL)
		snapshot_end(*slot);
}

static struct live_client
client_of(struct http_call *call)
{
	struct live_client client = {0};
	const char *user = http_header(call, "X-User");

	if (user != NULL)
		str_copy(client.user, sizeof client.user, user);
	client.no_origin_ok = user != NULL;
	return client;
}

static void
on_ws(struct http_call *call)
{
	struct live_client client = client_of(call);

	live_ws_accept(live, call, &client);
}

static void
on_events(struct http_call *call)
{
	struct live_client client = client_of(call);

	live_sse_open(live, call, &client, http_query(call, "topics"));
}

struct waiting {
	struct http_call *call;
	struct live_wait *wait;
};

static void
on_wait_gone(void *arg)
{
	struct waiting *self = arg;

	live_wait_cancel(&self->wait);
	free(self);
}

static void
on_waited(enum live_wait_result result, void *arg)
{
	static const char *const names[] = {"newer", "timeout", "drain"};
	struct waiting *self = arg;

	http_reply_text(self->call, 200, names[result]);
	free(self);
}

static void
on_wait(struct http_call *call)
{
	struct waiting *self = xcalloc(1, sizeof *self);
	int64_t version = 0, ms = 0;

	if (!http_query_int(call, "version", 0, 1000, 0, &version, NULL) ||
	    !http_query_int(call, "ms", 1, 60000, 10000, &ms, NULL)) {
		http_reply_text(call, 400, "bad");
		free(self);
		return;
	}
	self->call = call;
	http_on_gone(call, on_wait_gone, self);
	live_wait_start(live, http_query(call, "id"), version, ms, &self->wait,
	    on_waited, self);
}

static void
on_publish(struct http_call *call)
{
	struct json_object *in = http_json(call), *topics;
	struct live_event event = {.type = json_text_at(in, "type"),
	    .object = json_text_at(in, "object")};
	int64_t repeat = 1;
	bool ok = true;
	char *data;

	topics = json_arr_at(in, "topics");
	for (size_t i = 0; i < json_count(topics); i++)
		event.topics[event.n_topics++] =
		    json_text(json_item(topics, i));
	if (json_int_at(in, "version", &event.version))
		last_version = event.version;
	if (!json_int_at(in, "repeat", &repeat))
		repeat = 1;
	data = json_dump_text(json_obj_at(in, "data"));
	event.data = data;
	event.data_len = strlen(data);
	for (int64_t i = 0; i < repeat; i++)
		ok = live_publish(live, &event);
	free(data);
	http_reply_text(call, 200, ok ? "passed" : "not newer");
}

static void
on_revoke(struct http_call *call)
{
	live_revoke_user(live, http_query(call, "user"));
	http_reply_no_content(call);
}

static void
on_stats(struct http_call *call)
{
	struct json_object *out = json_new();
	struct ws_stats sockets;
	struct live_stats stats;
	struct http_stats http;

	ws_stats(ws, &sockets);
	live_stats(live, &stats);
	http_server_stats(http_call_server(call), &http);
	json_set_int(out, "sessions", sockets.sessions);
	json_set_int(out, "behind", sockets.behind);
	json_set_int(out, "closed_slow", (int64_t)sockets.closed_slow);
	json_set_int(out, "closed_silent", (int64_t)sockets.closed_silent);
	json_set_int(out, "subscriptions", stats.subscriptions);
	json_set_int(out, "topics", stats.topics);
	json_set_int(out, "sse", stats.sse);
	json_set_int(out, "waits", stats.waits);
	json_set_int(out, "connections", http.connections);
	http_reply_json(call, 200, &out);
}

static void
on_drained(void *arg)
{
	loop_stop(loop);
}

static void
on_term(int signo, void *arg)
{
	live_drain(live, 3000, on_drained, NULL);
}

static void
on_int(int signo, void *arg)
{
	loop_stop(loop);
}

int
main(int argc, char **argv)
{
	static const struct http_route routes[] = {
	    {.method = HTTP_GET, .pattern = "/ws", .handler = on_ws},
	    {.method = HTTP_GET, .pattern = "/events", .handler = on_events},
	    {.method = HTTP_GET, .pattern = "/wait", .handler = on_wait},
	    {.method = HTTP_GET, .pattern = "/stats", .handler = on_stats},
	    {.method = HTTP_POST, .pattern = "/revoke", .handler = on_revoke},
	    {.method = HTTP_POST,
		.pattern = "/publish",
		.handler = on_publish,
		.body = HTTP_BODY_JSON}};
	static const struct live_hooks hooks = {.authorize = authorize,
	    .snapshot_start = snapshot_start,
	    .snapshot_cancel = snapshot_cancel};
	struct ws_opts opts = {.max_sessions = 20000};
	struct http_opts http = {.listen = "127.0.0.1:0",
	    .routes = routes,
	    .n_routes = nitems(routes),
	    .max_connections = 12000};
	struct http_server *server;
	struct err err = {0};
	int64_t ms;

	if (argc > 1 && str_to_i64(argv[1], 100, 60000, &ms)) {
		opts.ping_ms = (int)ms; /* and the rest in proportion */
		opts.hang_up_ms = (int)ms * 3;
		opts.slow_ms = (int)ms * 2;
	}
	/* A reader that is only slow must not be taken for a silent one. */
	if (argc > 2 && str_to_i64(argv[2], 100, 600000, &ms))
		opts.hang_up_ms = (int)ms;
	signal(SIGPIPE, SIG_IGN);
	loop = loop_new();
	ws = ws_new(loop, &opts);
	live = live_new(loop, NULL, ws, "demo");
	live_hooks_set(live, &hooks);
	server = http_server_new(loop, &http, &err);
	if (server == NULL) {
		fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	loop_on_signal(loop, SIGTERM, on_term, NULL);
	loop_on_signal(loop, SIGINT, on_int, NULL);
	printf("port %d\n", http_server_port(server));
	fflush(stdout);
	loop_run(loop);
	live_free(live);
	ws_free(ws);
	http_server_free(server);
	loop_free(loop);
	return 0;
}
