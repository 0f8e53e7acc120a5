/*
 * media.c - the media jobs' way in: duplicates the descriptors, fills the
 * request, queues it on the media lane.
 */
#include "reeld/media.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "media/internal.h"
#include "reeld/mem.h"

void
media_job_free(struct media_job *job)
{
	if (job == NULL)
		return;
	if (job->in_fd >= 0)
		close(job->in_fd);
	if (job->out_fd >= 0)
		close(job->out_fd);
	free(job);
}

static struct work *
job_new(struct media_pool *pool, enum proto_op op, int in_fd, int out_fd,
    struct work **slot, media_done_fn *done, void *done_arg)
{
	struct media_job *job = xcalloc(1, sizeof *job);
	struct work *w = work_new(pool, LANE_MEDIA, slot);

	w->job = job;
	job->done = done;
	job->done_arg = done_arg;
	job->silence_ms = pool->job_ms;
	job->total_ms = op == OP_RENDITION ? pool->rendition_ms : pool->job_ms;
	job->request.magic = PROTO_MAGIC;
	job->request.op = op;
	job->request.deadline_ms = job->silence_ms;
	job->in_fd = fcntl(in_fd, F_DUPFD_CLOEXEC, 0);
	job->out_fd = out_fd < 0 ? -1 : fcntl(out_fd, F_DUPFD_CLOEXEC, 0);
	if (job->in_fd < 0 || (out_fd >= 0 && job->out_fd < 0))
		err_set(&w->err, ERR_UNAVAILABLE, "descriptor: %s",
		    strerror(errno));
	return w;
}

static void
job_start(struct work *w)
{
	if (w->err.code == ERR_OK)
		work_submit(w);
	else
		work_refuse(w);
}

void
media_probe_start(struct media_pool *pool, int in_fd, struct work **slot,
    media_done_fn *done, void *done_arg)
{
	job_start(job_new(pool, OP_PROBE, in_fd, -1, slot, done, done_arg));
}

void
media_poster_start(struct media_pool *pool, int in_fd, int out_fd,
    struct work **slot, media_done_fn *done, void *done_arg)
{
	job_start(
	    job_new(pool, OP_POSTER, in_fd, out_fd, slot, done, done_arg));
}

void
media_rendition_start(struct media_pool *pool, int in_fd, int out_fd,
    struct work **slot, media_done_fn *done, void *done_arg)
{
	job_start(
	    job_new(pool, OP_RENDITION, in_fd, out_fd, slot, done, done_arg));
}

void
media_image_start(struct media_pool *pool, int in_fd, int out_fd,
    const struct media_image_opts *opts, struct work **slot,
    media_done_fn *done, void *done_arg)
{
	struct work *w =
	    job_new(pool, OP_IMAGE, in_fd, out_fd, slot, done, done_arg);

	w->job->request.max_side = opts->max_side;
	w->job->request.format = opts->format;
	job_start(w);
}

void
media_fit_start(struct media_pool *pool, int in_fd, int out_fd,
    const struct fit *fit, struct work **slot, media_done_fn *done,
    void *done_arg)
{
	struct work *w =
	    job_new(pool, OP_FIT, in_fd, out_fd, slot, done, done_arg);

	w->job->request.fit = *fit;
	job_start(w);
}
