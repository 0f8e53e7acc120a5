/*
 * download_bench.c - for tests/bench/download.mjs: downloads a URL many times
 * at once into staging files and stores each, as the engine does with results.
 *
 *	download_bench URL COUNT DIR
 *
 * Prints one line of JSON: when all were there with their hash, when all were
 * durable, and what it took.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "reeld/clock.h"
#include "reeld/fetch.h"
#include "reeld/loop.h"
#include "reeld/media.h"
#include "reeld/mem.h"
#include "reeld/storage.h"

struct bench;

struct one {
	struct bench *bench;
	int n;
	char temp[32], key[32], sha256[65];
	struct fetch_sink sink;
	struct fetch_call *call;
	struct storage_work *work;
};

struct bench {
	struct loop *loop;
	struct fetch *fetch;
	struct storage *storage;
	const char *url;
	struct one *ones;
	int count, downloading, storing, code;
	int64_t start_ns, down_ns, stored_ns;
};

static void
fail(struct bench *self, const char *what, const struct err *err)
{
	fprintf(stderr, "%s: %s\n", what, err->msg);
	self->code = 1;
	loop_stop(self->loop);
}

static void
on_stored(const struct storage_object *object, const struct err *err, void *arg)
{
	struct one *self = arg;
	struct bench *bench = self->bench;

	if (err != NULL) {
		fail(bench, "store", err);
		return;
	}
	if (--bench->storing > 0)
		return;
	bench->stored_ns = clock_mono_ns();
	loop_stop(bench->loop);
}

static void
on_fetched(const struct fetch_reply *reply, const struct err *err, void *arg)
{
	struct one *self = arg;
	struct bench *bench = self->bench;
	struct storage_put put = {.key = self->key,
	    .fd = self->sink.fd,
	    .size = reply->bytes,
	    .temp = self->temp,
	    .sha256 = reply->sha256,
	    .type = "video/mp4"};

	if (err != NULL) {
		fail(bench, "fetch", err);
		return;
	}
	hex_encode(self->sha256, reply->sha256, 32);
	if (--bench->downloading == 0)
		bench->down_ns = clock_mono_ns();
	storage_put_start(bench->storage, &put, &self->work, on_stored, self);
}

static bool
one_start(struct one *self, struct err *err)
{
	struct fetch_spec spec;
	int fd;

	snprintf(self->temp, sizeof self->temp, "%d.part", self->n);
	snprintf(self->key, sizeof self->key, "videos/%d.mp4", self->n);
	if (!storage_temp_open(self->bench->storage, self->temp, &fd, err))
		return false;
	fetch_sink_init(&self->sink, fd);
	fetch_spec_init(&spec, "GET", self->bench->url);
	spec.allow_private = spec.allow_http = true;
	spec.sink = &self->sink;
	fetch_start(self->bench->fetch, &spec, &self->call, on_fetched, self);
	return true;
}

static void
on_begin(void *arg)
{
	struct bench *self = arg;
	struct err err;

	self->start_ns = clock_mono_ns();
	for (int i = 0; i < self->count; i++) {
		self->ones[i].bench = self;
		self->ones[i].n = i;
		if (!one_start(&self->ones[i], &err)) {
			fail(self, "open", &err);
			return;
		}
	}
}

/* The most that it ever had; getrusage() would count our parent's as well. */
static double
peak_rss_mib(void)
{
	char line[200];
	double kib = 0;
	FILE *file = fopen("/proc/self/status", "r");

	while (file != NULL && fgets(line, sizeof line, file) != NULL) {
		if (sscanf(line, "VmHWM: %lf kB", &kib) == 1)
			break;
	}
	if (file != NULL)
		fclose(file);
	return kib / 1024;
}

static void
print(const struct bench *self)
{
	const struct loop_stats *stats = loop_stats(self->loop);
	struct rusage use;

	getrusage(RUSAGE_SELF, &use);
	printf("{\"down_ms\":%.3f,\"stored_ms\":%.3f,\"rss_mib\":%.3f,"
	       "\"cpu_ms\":%.3f,\"slow_turns\":%llu,\"worst_ms\":%.3f,"
	       "\"sha256\":[",
	    (self->down_ns - self->start_ns) / 1e6,
	    (self->stored_ns - self->start_ns) / 1e6, peak_rss_mib(),
	    (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e3 +
		(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e3,
	    (unsigned long long)stats->slow_turns, stats->worst_ns / 1e6);
	for (int i = 0; i < self->count; i++)
		printf("%s\"%s\"", i > 0 ? "," : "", self->ones[i].sha256);
	puts("]}");
}

int
main(int argc, char **argv)
{
	struct bench self = {.loop = loop_new()};
	struct media_opts media = {.threads = 1};
	struct fetch_opts opts = {.max_host_connections = 64};
	struct storage_opts disk = {0};
	struct media_pool *pool;
	struct err err;

	if (argc != 4) {
		fprintf(stderr, "usage: download_bench URL COUNT DIR\n");
		return 2;
	}
	self.url = argv[1];
	self.count = self.downloading = self.storing = atoi(argv[2]);
	disk.dir = argv[3];
	self.ones = xcalloc((size_t)self.count, sizeof *self.ones);
	pool = media_pool_new(self.loop, &media);
	self.fetch = fetch_new(self.loop, &opts);
	if (storage_new(
		self.loop, pool, self.fetch, &disk, &self.storage, &err)) {
		loop_defer(self.loop, "download bench", on_begin, &self, NULL);
		loop_run(self.loop);
	} else
		fail(&self, "storage", &err);
	if (self.code == 0)
		print(&self);
	storage_free(self.storage);
	fetch_free(self.fetch);
	media_pool_free(pool);
	for (int i = 0; i < self.count; i++) {
		if (self.ones[i].sink.file != NULL)
			close(self.ones[i].sink.fd);
		fetch_sink_fini(&self.ones[i].sink);
	}
	free(self.ones);
	loop_free(self.loop);
	return self.code;
}
