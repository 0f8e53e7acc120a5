/*
 * helper.h - inside reel-media: one job, the sandbox it runs in, and the
 * operations on hostile media.
 *
 * The operations run in the helper process only (and in unit tests).  They
 * never log what the file says; errors go back as short texts for people.
 */
#ifndef MEDIA_HELPER_H
#define MEDIA_HELPER_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "media/proto.h"
#include "reeld/err.h"

/* Threads of a decoder inside the sandbox. */
enum { SANDBOX_THREADS = 4 };

/*
 * Locks this process in, for good: limits, no privileges, no dumps, empty
 * namespaces and file system view where the kernel lets us, and the system
 * call filter, without which it fails.  *flags gets the SANDBOX_ bits.
 */
bool sandbox_enter(int *flags, struct err *err) REELD_MUST;
/* Soft limits of one job, within those of the sandbox. */
void sandbox_job_limits(int cpu_s, int64_t file_bytes);

typedef void job_progress_fn(int percent, void *arg);

struct job {
	struct proto_request request;
	int in_fd, out_fd;
	int64_t deadline_ms; /* monotonic: give up or be content then */
	job_progress_fn *progress;
	void *progress_arg;
	struct media_result result;
};

/* Runs request.op; fills result or err. */
bool job_run(struct job *job, struct err *err) REELD_MUST;
bool job_late(const struct job *job);

bool poster_make(struct job *job, struct err *err) REELD_MUST;
bool rendition_make(struct job *job, struct err *err) REELD_MUST;
bool image_make(struct job *job, struct err *err) REELD_MUST;
bool fit_make(struct job *job, struct err *err) REELD_MUST;

/* image.c: a still image, checked and decoded, upright, as RGBA; fills
 * result.info.  NULL: err says why. */
AVFrame *image_open(struct job *job, struct err *err);

/* A video, opened and accepted; job->result.info is filled. */
struct source {
	struct job *job;
	int64_t pos;
	AVIOContext *io;
	AVFormatContext *format;
	AVStream *video, *audio; /* audio may be NULL */
	AVRational sar;
};
bool
source_open(struct source *source, struct job *job, struct err *err) REELD_MUST;
void source_close(struct source *source); /* safe twice */
/* A decoder of one of its streams, with that many threads if it may, or
 * NULL. */
AVCodecContext *source_decoder(
    struct source *source, AVStream *stream, int threads, struct err *err);
/* peek.c: fills in what the index of an MP4 does not tell of its video; false
 * when that is too much to ask.  The file is at its beginning then. */
bool source_peek(struct source *source);
bool invalid(struct err *err, const char *what);

/* What the first bytes of a still image say. */
enum image_kind { IMAGE_PNG, IMAGE_JPEG, IMAGE_WEBP };
struct image_head {
	enum image_kind kind;
	int width, height;
};
/* Reads the header of a whole file in memory, and refuses what is also
 * something else. */
bool image_head_read(const uint8_t *data, size_t len, struct image_head *out,
    struct err *err) REELD_MUST;

/* Scales the frame to w x h as full-range JPEG colours. */
AVFrame *picture_scale(const AVFrame *src, int w, int h,
    enum AVPixelFormat format, struct err *err);
/* Turns planar 8-bit or packed RGB(A) by an EXIF orientation 1..8. */
AVFrame *picture_orient(const AVFrame *src, int orientation, struct err *err);
/* One picture as a whole file; NULL: err says why. */
AVPacket *
picture_encode(AVFrame *frame, enum AVCodecID id, int quality, struct err *err);
/* Writes such a file to out_fd; sets the result's output. */
bool picture_store(struct job *job, const AVFrame *frame,
    const AVPacket *packet, enum AVCodecID codec, struct err *err) REELD_MUST;
/* Both. */
bool picture_write(struct job *job, AVFrame *frame, enum AVCodecID codec,
    int quality, struct err *err) REELD_MUST;

#endif
