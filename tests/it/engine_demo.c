/*
 * engine_demo.c - the engine alone on a given database, for tests of src/jobs.
 * Lines on stdin: "cancel <generation>", "wake", "dump",
 * "hook {"n", "provider", "attempt", "token", "headers", "body"}", answered
 * by "hook <n> <status>".  SIGTERM drains and exits 0.  Settings come from
 * the environment: DEMO_*.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "reeld/catalogue.h"
#include "reeld/chat.h"
#include "reeld/fetch.h"
#include "reeld/jobs.h"
#include "reeld/json.h"
#include "reeld/log.h"
#include "reeld/media.h"
#include "reeld/mem.h"
#include "reeld/pg.h"
#include "reeld/redis.h"
#include "reeld/storage.h"

struct hook {
	LIST_ENTRY(hook) entry;
	struct engine_hook *hook;
	int64_t n;
};

static struct demo {
	struct loop *loop;
	struct engine *engine;
	struct catalogue_account fal, other;
	struct chat_settings chat;
	LIST_HEAD(, hook) hooks;
	struct loop_timer up;
	char line[4 << 20];
	size_t len;
} demo;

/* The kit made rows with these ids; every other provider is the fake, too. */
static const struct catalogue_account *
accounts(void *arg, const char *provider, size_t *n)
{
	struct demo *self = arg;

	*n = 1;
	return str_eq(provider, "worker") ? &self->other : &self->fal;
}

static const struct chat_settings *
enhancer(void *arg)
{
	struct demo *self = arg;

	return &self->chat;
}

static void
on_drained(void *arg)
{
	loop_stop(arg);
}

static void
on_term(int signo, void *arg)
{
	(void)signo;
	(void)arg;
	engine_drain(demo.engine, 15000, on_drained, demo.loop);
}

static void
on_hook(int status, void *arg)
{
	struct hook *self = arg;

	printf("hook %d %d\n", (int)self->n, status);
	fflush(stdout);
	LIST_REMOVE(self, entry);
	free(self);
}

static const char *
header(const char *name, void *arg)
{
	return json_text_at(arg, name);
}

static void
hook(const char *text)
{
	struct hook *self = xcalloc(1, sizeof *self);
	struct engine_hook_in in = {.header = header};
	struct json_object *doc;
	struct err err;

	if (!json_parse(text, strlen(text), sizeof demo.line, &doc, &err)) {
		fprintf(stderr, "%s\n", err.msg);
		exit(1);
	}
	if (!json_int_at(doc, "n", &self->n))
		self->n = -1;
	in.provider = json_text_at(doc, "provider");
	in.attempt = json_text_at(doc, "attempt");
	in.token = json_text_at(doc, "token");
	in.body = json_text_at(doc, "body");
	in.len = strlen(in.body);
	in.header_arg = json_obj_at(doc, "headers");
	LIST_INSERT_HEAD(&demo.hooks, self, entry);
	engine_hook_start(demo.engine, &in, &self->hook, on_hook, self);
	json_free(&doc);
}

static void
run(char *line)
{
	char *rest = line;
	const char *verb = strsep(&rest, " ");

	if (str_eq(verb, "cancel")) {
		engine_cancel_hint(demo.engine, rest);
	} else if (str_eq(verb, "wake")) {
		engine_wake(demo.engine);
	} else if (str_eq(verb, "dump")) {
		engine_dump(demo.engine);
		printf("active %d\n", engine_stats(demo.engine)->active);
		fflush(stdout);
	} else if (str_eq(verb, "hook")) {
		hook(rest);
	}
}

static void
on_stdin(int fd, int events, void *arg)
{
	struct loop_io **io = arg;
	ssize_t n =
	    read(fd, demo.line + demo.len, sizeof demo.line - 1 - demo.len);
	char *end;

	(void)events;
	if (n <= 0) {
		loop_io_set(*io, 0); /* the test is gone */
		loop_stop(demo.loop);
		return;
	}
	demo.len += (size_t)n;
	demo.line[demo.len] = '\0';
	while ((end = strchr(demo.line, '\n')) != NULL) {
		*end = '\0';
		run(demo.line);
		demo.len -= (size_t)(end + 1 - demo.line);
		memmove(demo.line, end + 1, demo.len + 1);
	}
}

static void
on_up(void *arg)
{
	struct demo *self = arg;

	if (!engine_is_up(self->engine)) {
		timer_set_ms(&self->up, 10);
		return;
	}
	printf("up %s\n", engine_instance(self->engine)->text);
	fflush(stdout);
}

/* 0: the default. */
static int
setting(const char *name)
{
	const char *text = getenv(name);

	return text != NULL ? atoi(text) : 0;
}

int
main(int argc, char **argv)
{
	struct pg_opts pg = {.name = "engine",
	    .size = 4,
	    .max_waiting = 1000,
	    .timeout_ms = 10000};
	struct redis_opts redis = {0};
	struct storage_opts storage = {0};
	struct fetch_opts fetch = {0};
	struct media_opts media = {.threads = 1};
	struct engine_deps deps = {.name = "demo",
	    .accounts = accounts,
	    .accounts_arg = &demo,
	    .secret = "secret",
	    .secret_len = 6,
	    .dead_ms = 2000,
	    .sweep_ms = 200};
	struct loop_io *io;
	struct err err = {0};

	deps.slots = setting("DEMO_SLOTS");
	deps.keys_again_ms = setting("DEMO_KEYS_MS");
	deps.stall_ms = setting("DEMO_STALL_MS");
	if (setting("DEMO_SWEEP_MS") > 0)
		deps.sweep_ms = setting("DEMO_SWEEP_MS");
	if (argc != 7) {
		fprintf(stderr,
		    "usage: engine_demo DB REDIS|- DIR FAL HELPER "
		    "PUBLIC\n");
		return 2;
	}
	log_set_level(getenv("DEMO_QUIET") != NULL ? LOG_INFO : LOG_DEBUG);
	demo.loop = deps.loop = loop_new();
	pg.conninfo = argv[1];
	deps.pg = pg_pool_new(demo.loop, &pg);
	redis.url = argv[2];
	if (strcmp(argv[2], "-") != 0)
		deps.redis = redis_new(demo.loop, &redis, &err);
	media.helper = argv[5];
	deps.media = media_pool_new(demo.loop, &media);
	deps.fetch = fetch_new(demo.loop, &fetch);
	storage.dir = argv[3];
	if (getenv("DEMO_S3") != NULL) {
		deps.s3 = storage.s3 = storage.path_style = true;
		storage.endpoint = getenv("DEMO_S3");
		deps.bucket = storage.bucket = "reeld";
		storage.access_key = storage.secret_key = "S3RVER";
		storage.allow_private = true;
		deps.store_private = getenv("DEMO_S3_PRIVATE") != NULL;
	}
	if (!storage_new(demo.loop, deps.media, deps.fetch, &storage,
		&deps.storage, &err)) {
		fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	deps.public_url = argv[6];
	demo.other = (struct catalogue_account){
	    .id = {"00000000-0000-7000-8000-000000000002"}, .weight = 1};
	demo.fal = (struct catalogue_account){
	    .id = {"00000000-0000-7000-8000-000000000001"},
	    .weight = 1,
	    .base_url = argv[4],
	    .key = "k:s",
	    .allow_private = true,
	    .poll_ms = setting("DEMO_POLL_MS"),
	    .concurrency = setting("DEMO_CONCURRENCY"),
	    .rpm = setting("DEMO_RPM")};
	if (demo.fal.poll_ms == 0)
		demo.fal.poll_ms = 100;
	demo.chat = (struct chat_settings){.base_url = getenv("DEMO_CHAT"),
	    .key = "chat-key",
	    .model = "small",
	    .allow_private = true,
	    .timeout_ms = setting("DEMO_CHAT_MS"),
	    .max_tokens = 300};
	deps.enhancer = enhancer;
	demo.engine = engine_new(&deps);
	loop_on_signal(demo.loop, SIGTERM, on_term, NULL);
	io = loop_io_new(demo.loop, 0, "stdin", on_stdin, &io);
	loop_io_set(io, LOOP_READ);
	engine_start(demo.engine);
	timer_init(&demo.up, demo.loop, "up", on_up, &demo);
	timer_set_ms(&demo.up, 1);
	loop_run(demo.loop);

	loop_io_free(&io);
	timer_fini(&demo.up);
	while (!LIST_EMPTY(&demo.hooks)) {
		struct hook *h = LIST_FIRST(&demo.hooks);

		engine_hook_cancel(&h->hook);
		LIST_REMOVE(h, entry);
		free(h);
	}
	engine_free(demo.engine);
	storage_free(deps.storage);
	media_pool_free(deps.media);
	fetch_free(deps.fetch);
	redis_free(deps.redis);
	pg_pool_free(deps.pg);
	loop_free(demo.loop);
	return 0;
}
