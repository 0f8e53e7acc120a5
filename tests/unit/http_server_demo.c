/*
 * http_server_demo.c - a small server with one route of every kind, driven
 * by tests/it/http_raw.test.mjs over raw sockets.
 *
 *	http_server_demo PORT_FILE [WWW_DIR]
 *
 * It stops on SIGTERM after draining; exit status 0 means that nothing was
 * left behind.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reeld/http.h"
#include "reeld/json.h"
#include "reeld/log.h"

struct demo {
	struct loop *loop;
	struct http_server *server;
	int live; /* async things in flight */
	int gone; /* hang-ups told */
};
static struct demo demo;

static void
api_hello(struct http_call *call)
{
	http_reply_static(call, 200, "application/json", "{\"ok\":true}", 11);
}

static void
api_echo(struct http_call *call)
{
	struct json_object *out = json_copy(http_json(call));

	http_reply_json(call, 200, &out);
}

static void
api_raw(struct http_call *call)
{
	size_t len;
	const char *body = http_body(call, &len);

	http_reply_bytes(call, 200, "application/octet-stream", body, len);
}

static void
api_what(struct http_call *call)
{
	struct json_object *out = json_new();
	const char *name, *value;
	struct err err;
	int64_t n;

	if (!http_query_int(call, "n", 1, 200, 20, &n, &err)) {
		json_free(&out);
		http_reply_err(call, &err);
		return;
	}
	json_set_text(out, "id", http_arg(call, "id"));
	json_set_text(out, "rest", http_arg(call, "rest"));
	json_set_text(out, "path", http_path(call));
	json_set_text(out, "ip", http_client_ip(call));
	json_set_text(out, "cookie", http_cookie(call, "sid"));
	json_set_text(out, "trace", http_traceparent(call));
	json_set_bool(out, "https", http_is_https(call));
	json_set_int(out, "n", n);
	for (size_t i = 0; http_query_at(call, i, &name, &value); i++)
		json_set_text(out, name, value);
	http_etag(call, "v1");
	http_reply_json(call, 200, &out);
}

static void
api_fixed(struct http_call *call)
{
	http_reply_text(call, 200, "fixed");
}

struct later {
	struct http_call *call;
	struct loop_timer timer;
};

static void
later_free(struct later *self)
{
	demo.live--;
	timer_fini(&self->timer);
	loop_defer_free(demo.loop, self);
}

static void
on_later_gone(void *arg)
{
	demo.gone++;
	later_free(arg);
}

static void
on_later(void *arg)
{
	struct later *self = arg;
	struct http_call *call = self->call;

	later_free(self);
	http_reply_text(call, 200, "later");
}

static struct later *
later_new(struct http_call *call, loop_fn *fn, int ms)
{
	struct later *self = xcalloc(1, sizeof *self);

	demo.live++;
	self->call = call;
	timer_init(&self->timer, demo.loop, "later", fn, self);
	timer_set_ms(&self->timer, ms);
	http_on_gone(call, on_later_gone, self);
	return self;
}

static void
api_later(struct http_call *call)
{
	struct err err;
	int64_t ms;

	if (http_query_int(call, "ms", 0, 600000, 10, &ms, &err))
		later_new(call, on_later, ms);
	else
		http_reply_err(call, &err);
}

static void
api_counts(struct http_call *call)
{
	struct json_object *out = json_new();
	struct http_stats stats;

	http_server_stats(demo.server, &stats);
	json_set_int(out, "live", demo.live);
	json_set_int(out, "gone", demo.gone);
	json_set_int(out, "calls", stats.calls);
	json_set_int(out, "streams", stats.streams);
	json_set_int(out, "hijacked", stats.hijacked);
	json_set_int(out, "connections", stats.connections);
	json_set_int(out, "late_cut", stats.late_cut);
	http_reply_json(call, 200, &out);
}

static void
api_file(struct http_call *call)
{
	FILE *tmp = tmpfile();
	struct http_file file = {.type = "text/plain",
	    .etag = "file-1",
	    .filename = "clip \"1\" \xc3\xa9.txt",
	    .attachment = true};

	for (int i = 0; tmp != NULL && i < 100; i++)
		fprintf(tmp, "%09d\n", i);
	fflush(tmp);
	http_reply_file(call, dup(fileno(tmp)), 1000, &file);
	fclose(tmp);
}

static void
api_upload(struct http_call *call)
{
	const struct http_upload *file = http_upload(call, "file");
	struct json_object *out = json_new();
	char hex[65];

	json_set_text(out, "title", http_form(call, "title"));
	if (file != NULL) {
		hex_encode(hex, file->sha256, 32);
		json_set_text(out, "name", file->display);
		json_set_text(out, "type", file->type);
		json_set_text(out, "sha256", hex);
		json_set_int(out, "size", file->size_bytes);
	}
	http_reply_json(call, 201, &out);
}

static void
api_put(struct http_call *call)
{
	const struct http_upload *file = http_upload(call, NULL);
	struct json_object *out = json_new();

	json_set_int(out, "size", file != NULL ? file->size_bytes : -1);
	http_reply_json(call, 201, &out);
}

/* Writes until the buffer is full, then goes on when there is room. */
struct flood {
	struct http_call *call;
	int64_t left;
};

static void
flood(void *arg)
{
	struct flood *self = arg;
	static const char block[4096];

	while (self->left > 0 &&
	    http_stream_write(self->call, block, sizeof block))
		self->left -= sizeof block;
	if (self->left > 0)
		return;
	demo.live--;
	http_stream_close(self->call);
	loop_defer_free(demo.loop, self);
}

static void
on_flood_gone(void *arg)
{
	demo.live--;
	demo.gone++;
	free(arg);
}

static void
api_flood(struct http_call *call)
{
	struct flood *self = xcalloc(1, sizeof *self);
	struct http_stream opts = {.type = "application/octet-stream",
	    .size_bytes = -1,
	    .max_buffer = 64 * 1024,
	    .on_room = flood,
	    .arg = self};

	demo.live++;
	self->call = call;
	self->left = 4096 * 4096;
	http_on_gone(call, on_flood_gone, self);
	http_stream_open(call, 200, &opts);
	flood(self);
}

static void
on_events(void *arg)
{
	struct later *self = arg;

	if (!http_stream_write(self->call, "data: tick\n\n", 12))
		abort();
	timer_set_ms(&self->timer, 5);
}

static void
api_events(struct http_call *call)
{
	struct http_stream opts = {
	    .type = "text/event-stream", .size_bytes = -1};

	later_new(call, on_events, 5);
	http_stream_open(call, 200, &opts);
}

/* The hand-over: echoes lines until "bye". */
struct taken {
	struct http_call *call;
	struct loop_io *io;
};

static void
on_taken(int fd, int events, void *arg)
{
	struct taken *self = arg;
	char data[256];
	ssize_t n = read(fd, data, sizeof data);

	if (n > 0 && memcmp(data, "bye", 3) != 0) {
		if (write(fd, data, n) != n)
			abort();
		return;
	}
	loop_io_free(&self->io);
	close(fd);
	http_hijack_done(self->call);
	demo.live--;
	free(self);
}

static void
api_hijack(struct http_call *call)
{
	struct taken *self;
	struct buf head;
	struct err err;
	int fd;

	buf_init(&head, 32768);
	if (!http_hijack(call, &fd, &head, &err)) {
		buf_fini(&head);
		http_reply_err(call, &err);
		return;
	}
	demo.live++;
	self = xcalloc(1, sizeof *self);
	self->call = call;
	self->io = loop_io_new(demo.loop, fd, "taken", on_taken, self);
	loop_io_set(self->io, LOOP_READ);
	if (write(fd, head.data, head.len) != (ssize_t)head.len)
		abort();
	buf_fini(&head);
}

static void
on_gate(void *arg)
{
	struct later *self = arg;
	struct http_call *call = self->call;

	later_free(self);
	http_gate_pass(call);
}

static enum http_gate
gate(struct http_call *call)
{
	const char *how = http_header(call, "X-Gate");
	struct err err;

	if (http_route(call)->role == 0 || how == NULL)
		return GATE_PASS;
	if (strcmp(how, "no") == 0) {
		err_set(&err, ERR_UNAUTHORIZED, "Who are you?");
		http_reply_err(call, &err);
		return GATE_DONE;
	}
	later_new(call, on_gate, strcmp(how, "long") == 0 ? 600000 : 10);
	return GATE_WAIT;
}

static const struct http_route routes[] = {
    {.method = HTTP_GET, .pattern = "/api/hello", .handler = api_hello},
    {.method = HTTP_POST,
	.pattern = "/api/echo",
	.handler = api_echo,
	.role = 1,
	.body = HTTP_BODY_JSON,
	.max_body = 1024},
    {.method = HTTP_POST,
	.pattern = "/api/maybe",
	.handler = api_echo,
	.body = HTTP_BODY_JSON,
	.flags = HTTP_BODY_OPTIONAL},
    {.method = HTTP_POST,
	.pattern = "/api/raw",
	.handler = api_raw,
	.body = HTTP_BODY_RAW},
    {.method = HTTP_POST, .pattern = "/api/plain", .handler = api_fixed},
    {.method = HTTP_GET, .pattern = "/api/things/{id}", .handler = api_what},
    {.method = HTTP_GET, .pattern = "/api/things/fixed", .handler = api_fixed},
    {.method = HTTP_GET, .pattern = "/api/tail/{rest*}", .handler = api_what},
    {.method = HTTP_DELETE, .pattern = "/api/things/{id}", .handler = api_what},
    {.method = HTTP_GET, .pattern = "/api/later", .handler = api_later},
    {.method = HTTP_GET, .pattern = "/api/counts", .handler = api_counts},
    {.method = HTTP_GET, .pattern = "/api/file", .handler = api_file},
    {.method = HTTP_GET, .pattern = "/api/flood", .handler = api_flood},
    {.method = HTTP_GET, .pattern = "/api/events", .handler = api_events},
    {.method = HTTP_GET, .pattern = "/ws", .handler = api_hijack},
    {.method = HTTP_POST,
	.pattern = "/api/upload",
	.handler = api_upload,
	.role = 1,
	.body = HTTP_BODY_MULTIPART,
	.max_body = 1 << 20},
    {.method = HTTP_PUT,
	.pattern = "/api/put",
	.handler = api_put,
	.body = HTTP_BODY_FILE,
	.max_body = 1 << 20},
};

static void
on_drained(void *arg)
{
	loop_stop(demo.loop);
}

static void
on_term(int signo, void *arg)
{
	http_server_drain(demo.server, on_drained, NULL);
}

int
main(int argc, char **argv)
{
	struct http_opts opts = {.listen = "127.0.0.1:0",
	    .routes = routes,
	    .n_routes = nitems(routes),
	    .gate = gate,
	    .static_dir = argc > 2 ? argv[2] : NULL,
	    .trusted_proxies = "127.0.0.1, 10.0.0.0/8",
	    .cors_origins = "https://app.example",
	    .head_timeout_ms = 1500,
	    .body_grace_ms = 1500,
	    .idle_timeout_ms = 2500};
	struct err err;
	FILE *port;

	if (argc < 2)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	if (getenv("DEMO_LISTEN") != NULL)
		opts.listen = getenv("DEMO_LISTEN");
	log_set_level(getenv("DEMO_DEBUG") != NULL ? LOG_DEBUG : LOG_INFO);
	demo.loop = loop_new();
	demo.server = http_server_new(demo.loop, &opts, &err);
	if (demo.server == NULL) {
		fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	loop_on_signal(demo.loop, SIGTERM, on_term, NULL);
	port = fopen(argv[1], "w");
	if (port == NULL)
		return 1;
	fprintf(port, "%d\n", http_server_port(demo.server));
	fclose(port);
	loop_run(demo.loop);
	http_server_free(demo.server);
	loop_free(demo.loop);
	return demo.live == 0 ? 0 : 3;
}
