/*
 * fit.h - what somebody demands of an input image, whether one fits, and
 * making it fit.
 *
 * The arithmetic is pure and is used on both sides of the sandbox: the engine
 * asks whether work is needed at all, the helper does it.
 */
#ifndef REELD_FIT_H
#define REELD_FIT_H

#include <stdbool.h>
#include <stdint.h>

#include "reeld/media.h"

enum { FIT_JPEG = 1, FIT_PNG = 2 }; /* what we write */

/* 0 is no demand, everywhere. */
struct fit {
	int64_t max_bytes, max_pixels;
	int32_t max_side, min_side;
	int32_t min_ratio, max_ratio; /* width / height, in thousandths */
	int32_t width, height;	      /* both: exactly so */
	uint32_t formats;	      /* FIT_ bits */
};

/* 0 where it is not known: then it does not fit a demand about it. */
struct fit_image {
	int64_t bytes;
	int width, height;
	const char *mime;
};

bool fit_accepts(const struct fit *fit, const struct fit_image *image);

/* Of an upright image: the middle part that is kept, and its new size. */
struct fit_plan {
	int x, y, w, h;
	int width, height;
};
enum { FIT_MAX_GROWTH = 8 }; /* times; more is mud */
/* False: it can't be done (too small, or the demands contradict). */
bool
fit_plan(const struct fit *fit, int width, int height, struct fit_plan *out);

/* A still image as media_image_start() takes it, made to fit: the middle of
 * it where the shape is wrong, JPEG unless only PNG is taken.  Errors as
 * there; ERR_INVALID "media_invalid" also when it can't be made to fit. */
void media_fit_start(struct media_pool *pool, int in_fd, int out_fd,
    const struct fit *fit, struct work **slot, media_done_fn *done,
    void *done_arg);

#endif
