/*
 * media_bench.c - for tests/bench/thumbnail.mjs: probes a file and makes its
 * poster again and again, with the pool and helper that the server uses.
 *
 *	media_bench HELPER FILE POSTER COUNT THREADS
 *
 * Each thread has one video in hand at a time, and its poster in POSTER.N.
 * Prints the milliseconds of each; the first of each thread, in which the
 * helper starts, does not count.  The last line is the time of them all.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "reeld/clock.h"
#include "reeld/loop.h"
#include "reeld/media.h"
#include "reeld/mem.h"

enum { MAX_THREADS = 16 };

struct lane {
	struct bench *bench;
	struct work *slot;
	char out[400];
	int64_t start_ns;
};

struct bench {
	struct loop *loop;
	struct media_pool *pool;
	const char *in;
	struct lane lanes[MAX_THREADS];
	int threads, warm, begun, done, count;
	int64_t start_ns;
	int code;
};

static void turn(struct lane *lane);

static void
stop(struct bench *self, int code)
{
	self->code = code;
	loop_stop(self->loop);
}

/* The clock starts when every helper is up. */
static void
warmed(struct bench *self)
{
	if (++self->warm < self->threads)
		return;
	self->start_ns = clock_mono_ns();
	for (int i = 0; i < self->threads && i < self->count; i++) {
		self->begun++;
		turn(&self->lanes[i]);
	}
}

static void
on_poster(const struct media_result *result, const struct err *err, void *arg)
{
	struct lane *self = arg;
	struct bench *bench = self->bench;
	int64_t now = clock_mono_ns();

	if (err != NULL) {
		fprintf(stderr, "poster: %s\n", err->msg);
		stop(bench, 1);
		return;
	}
	if (bench->warm < bench->threads) {
		warmed(bench);
		return;
	}
	printf("%.3f\n", (now - self->start_ns) / 1e6);
	if (bench->begun < bench->count) {
		bench->begun++;
		turn(self);
	}
	if (++bench->done == bench->count) {
		printf("%.3f\n", (now - bench->start_ns) / 1e6);
		stop(bench, 0);
	}
}

static void
on_probe(const struct media_result *result, const struct err *err, void *arg)
{
	struct lane *self = arg;
	struct bench *bench = self->bench;
	int in, out;

	if (err != NULL) {
		fprintf(stderr, "probe: %s\n", err->msg);
		stop(bench, 1);
		return;
	}
	in = open(bench->in, O_RDONLY | O_CLOEXEC);
	out = open(self->out, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	media_poster_start(bench->pool, in, out, &self->slot, on_poster, self);
	close(in);
	close(out);
}

static void
turn(struct lane *self)
{
	int in = open(self->bench->in, O_RDONLY | O_CLOEXEC);

	self->start_ns = clock_mono_ns();
	media_probe_start(self->bench->pool, in, &self->slot, on_probe, self);
	close(in);
}

static void
on_begin(void *arg)
{
	struct bench *self = arg;

	for (int i = 0; i < self->threads; i++)
		turn(&self->lanes[i]);
}

int
main(int argc, char **argv)
{
	struct bench self = {.code = 2};
	struct media_opts opts = {0};

	if (argc != 6) {
		fprintf(stderr,
		    "usage: media_bench HELPER FILE POSTER COUNT THREADS\n");
		return 2;
	}
	opts.helper = argv[1];
	self.in = argv[2];
	self.count = atoi(argv[4]);
	self.threads = atoi(argv[5]);
	if (self.threads < 1 || self.threads > MAX_THREADS)
		return 2;
	opts.threads = self.threads;
	for (int i = 0; i < self.threads; i++) {
		self.lanes[i].bench = &self;
		snprintf(self.lanes[i].out, sizeof self.lanes[i].out, "%s.%d",
		    argv[3], i);
	}
	self.loop = loop_new();
	self.pool = media_pool_new(self.loop, &opts);
	loop_defer(self.loop, "media bench", on_begin, &self, NULL);
	loop_run(self.loop);
	media_pool_free(self.pool);
	loop_free(self.loop);
	return self.code;
}
