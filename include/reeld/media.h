/*
 * media.h - everything that may block or crash, kept off the loop: file work
 * on a few threads, and libav in sandboxed helper processes.
 *
 * A pool has two lanes, so that an fsync never waits behind a decode: file
 * threads run work_start()'s functions; media threads each own one long-lived
 * `reel-media` process and feed it one job at a time.  Media are hostile: a
 * file that crashes or hangs a helper fails its own job and costs a new
 * helper, nothing else.
 *
 * Slots: *slot (slot may be NULL) is set at start and NULL just before done()
 * and in work_cancel().  done() (may be NULL) runs once, on the loop, never
 * from inside start, with err NULL on success.  Cancelling is silent: waiting
 * work is dropped, running work finishes as an orphan (a rendition is killed).
 * When a lane has max_waiting entries, done() gets ERR_UNAVAILABLE.
 */
#ifndef REELD_MEDIA_H
#define REELD_MEDIA_H

#include <stdint.h>

#include "reeld/err.h"

struct loop;
struct media_pool;
struct work;

struct media_opts {
	int threads;	    /* media threads and helpers; 0: 2 */
	int file_threads;   /* 0: 2 */
	int max_waiting;    /* per lane; 0: 4096 */
	const char *helper; /* copied; NULL: PKGLIBEXECDIR/reel-media */
	int job_ms;	    /* wall time of one job, for a rendition of one
			       silence between progress reports; 0: 25 s */
	int rendition_ms;   /* wall time of a whole rendition; 0: 10 min */
};

/* Starts the threads; helpers start with the first media job. */
struct media_pool *media_pool_new(struct loop *, const struct media_opts *);
/*
 * Kills the helpers, waits for running file work, drops the rest: slots become
 * NULL, done() is not called.  pool may be NULL.
 */
void media_pool_free(struct media_pool *pool);

struct media_stats {
	int waiting, running; /* media jobs */
	int file_waiting, file_running;
	uint64_t jobs_done, jobs_failed;
	uint64_t helpers_started, helpers_lost; /* lost: died or were killed */
};
void media_pool_stats(struct media_pool *pool, struct media_stats *out);

/*
 * Blocking file work (open, rename, link, fsync): run(arg) is called on a
 * file thread and fills err when it returns false.  release(arg) (may be
 * NULL) is called on the loop when run can no longer touch arg: after done(),
 * or after a cancel once run is over.  So arg must not point into an owner
 * that may be freed before: copy in what run needs.
 */
typedef bool work_fn(void *arg, struct err *err);
typedef void work_free_fn(void *arg);
typedef void work_done_fn(const struct err *err, void *done_arg);
void work_start(struct media_pool *pool, work_fn *run, work_free_fn *release,
    void *arg, struct work **slot, work_done_fn *done, void *done_arg);
/* Any work of this header; *slot may be NULL. */
void work_cancel(struct work **slot);

enum { MEDIA_CODEC_MAX = 16 };

struct media_info {
	int width, height; /* as shown: rotation and pixel shape applied */
	int coded_width, coded_height;
	int rotation; /* clockwise: 0, 90, 180, 270 */
	int64_t duration_ms;
	int fps_num, fps_den; /* 0/1 when unknown */
	int64_t size_bytes;
	bool has_audio;
	char video_codec[MEDIA_CODEC_MAX]; /* "h264"; an image: "png" */
	char audio_codec[MEDIA_CODEC_MAX]; /* "" when silent */
	char format[MEDIA_CODEC_MAX]; /* mp4 mov webm matroska png jpeg webp */
	bool browser_playable;	      /* today's browsers play it as it is */
};

struct media_result {
	struct media_info info; /* of the input */
	/* Of what was written to out_fd; zero for a probe. */
	int width, height;
	int64_t size_bytes;
	char type[32]; /* "image/jpeg", "image/png", "video/mp4" */
};

/* result dies when the callback returns and is NULL when err is not. */
typedef void media_done_fn(
    const struct media_result *result, const struct err *err, void *done_arg);

/*
 * Media jobs.  Descriptors are duplicated: the caller keeps his and may close
 * them when start returns.  Input is read from offset 0 whatever the file
 * position; out_fd (regular file, O_RDWR) is emptied first and holds rubbish
 * after an error.
 *
 * Errors: ERR_INVALID "media_invalid" (not a video or image we accept, or
 * broken; also when it crashed the helper), ERR_MEDIA_TYPE (an image that is
 * none of PNG, JPEG, WebP), ERR_TOO_LARGE, ERR_TIMEOUT "media_timeout",
 * ERR_STORAGE (out_fd could not be written), ERR_UNAVAILABLE (no helper could
 * be started, or the queue is full).
 *
 * A video is accepted when it is MP4, MOV, WebM or Matroska with at least one
 * video track, sides of 16..8192, at most 4096 * 4096 pixels, 0 < duration <=
 * 600 s, at most 240 frames/s, and a rotation in steps of 90 degrees.
 */
void media_probe_start(struct media_pool *pool, int in_fd, struct work **slot,
    media_done_fn *done, void *done_arg);

/* Probe, and as JPEG the frame shown at 10 % of the duration: 480 px wide,
 * height even, rotation and pixel shape respected. */
void media_poster_start(struct media_pool *pool, int in_fd, int out_fd,
    struct work **slot, media_done_fn *done, void *done_arg);

/* H.264 8 bit 4:2:0 and AAC in MP4, index first, no metadata.  What already
 * is in that shape is copied, not encoded again. */
void media_rendition_start(struct media_pool *pool, int in_fd, int out_fd,
    struct work **slot, media_done_fn *done, void *done_arg);

enum media_image_format {
	MEDIA_IMAGE_AUTO, /* PNG when a pixel is translucent, else JPEG */
	MEDIA_IMAGE_JPEG,
	MEDIA_IMAGE_PNG
};

struct media_image_opts {
	int max_side; /* scaled down to fit; 0: as it is */
	enum media_image_format format;
};

/* A still image, decoded, checked, turned as its EXIF says and encoded again
 * without metadata: <= 20 MB, sides <= 8192, <= 40 megapixels. */
void media_image_start(struct media_pool *pool, int in_fd, int out_fd,
    const struct media_image_opts *opts, struct work **slot,
    media_done_fn *done, void *done_arg);

#endif
