/*
 * media_bench.c - for tests/bench/thumbnail.mjs: probes a file and makes its
 * poster again and again, with the pool and helper that the server uses.
 *
 *	media_bench HELPER FILE POSTER COUNT
 *
 * Prints the milliseconds of each turn; the first one, in which the helper
 * starts, is not counted.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "reeld/clock.h"
#include "reeld/loop.h"
#include "reeld/media.h"
#include "reeld/mem.h"

struct bench {
	struct loop *loop;
	struct media_pool *pool;
	struct work *slot;
	const char *in, *out;
	int64_t start_ns;
	int left;
	bool warm;
	int code;
};

static void turn(struct bench *self);

static void
stop(struct bench *self, int code)
{
	self->code = code;
	loop_stop(self->loop);
}

static void
on_poster(const struct media_result *result, const struct err *err, void *arg)
{
	struct bench *self = arg;

	if (err != NULL) {
		fprintf(stderr, "poster: %s\n", err->msg);
		stop(self, 1);
		return;
	}
	if (self->warm)
		printf("%.3f\n", (clock_mono_ns() - self->start_ns) / 1e6);
	self->warm = true;
	if (self->left-- > 0)
		turn(self);
	else
		stop(self, 0);
}

static void
on_probe(const struct media_result *result, const struct err *err, void *arg)
{
	struct bench *self = arg;
	int in, out;

	if (err != NULL) {
		fprintf(stderr, "probe: %s\n", err->msg);
		stop(self, 1);
		return;
	}
	in = open(self->in, O_RDONLY | O_CLOEXEC);
	out = open(self->out, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	media_poster_start(self->pool, in, out, &self->slot, on_poster, self);
	close(in);
	close(out);
}

static void
turn(struct bench *self)
{
	int in = open(self->in, O_RDONLY | O_CLOEXEC);

	self->start_ns = clock_mono_ns();
	media_probe_start(self->pool, in, &self->slot, on_probe, self);
	close(in);
}

static void
on_begin(void *arg)
{
	turn(arg);
}

int
main(int argc, char **argv)
{
	struct bench self = {.code = 2};
	struct media_opts opts = {.threads = 1};

	if (argc != 5) {
		fprintf(
		    stderr, "usage: media_bench HELPER FILE POSTER COUNT\n");
		return 2;
	}
	opts.helper = argv[1];
	self.in = argv[2];
	self.out = argv[3];
	self.left = atoi(argv[4]);
	self.loop = loop_new();
	self.pool = media_pool_new(self.loop, &opts);
	loop_defer(self.loop, "media bench", on_begin, &self, NULL);
	loop_run(self.loop);
	media_pool_free(self.pool);
	loop_free(self.loop);
	return self.code;
}
