/*
 * media_fix.h - for the media tests: files drawn by the ffmpeg command line
 * in a directory of their own, and jobs run to their end.
 */
#ifndef TESTS_MEDIA_FIX_H
#define TESTS_MEDIA_FIX_H

#include "unit.h"

#include "reeld/loop.h"
#include "reeld/media.h"

extern struct fix {
	char dir[64];
	struct loop *loop;
	struct media_pool *pool;
	struct work *slot;
	int pending;
} fix;

struct outcome {
	bool ok;
	struct err err;
	struct media_result result;
};

/* Directory and pool; job_ms 0: the default. */
int fix_open(int job_ms);
void fix_close(void);
const char *fix_path(const char *name); /* ring of 4 */
/* Runs "ffmpeg ARGS dir/name"; fails the test when it fails. */
void draw(const char *name, const char *fmt, ...) REELD_PRINTF(2, 3);
void write_file(const char *name, const void *data, size_t len);
size_t read_whole(const char *name, uint8_t *data, size_t size);

enum fix_op { FIX_PROBE, FIX_POSTER, FIX_RENDITION, FIX_IMAGE };
/* From file `in` to file `out`. */
void job_begin(enum fix_op op, const char *in, const char *out,
    const struct media_image_opts *opts, struct outcome *outcome);
struct outcome job(enum fix_op op, const char *in, const char *out);
/* One line of what ffprobe says of a file. */
const char *ffprobe(const char *name, const char *entries);
/* Mean grey (0..255) of a rectangle in hundredths of a picture's sides. */
int grey(const char *name, int x, int y, int w, int h);
/* Pid of the child reel-media, 0 when there is none. */
int helper_pid(void);

#endif
