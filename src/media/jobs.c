/*
 * jobs.c - one media job on a media thread: get a helper, ask it, check what
 * it says and what it wrote, and replace it when it failed.
 */
#define LOG_MODULE "media"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "media/internal.h"
#include "reeld/log.h"
#include "reeld/mem.h"

enum { BACKOFF_MS = 100, BACKOFF_MAX_MS = 5000 };

/* Nobody waits for it: pool going down, or a cancelled rendition.  Short jobs
 * finish as orphans, which is cheaper than a new helper. */
static bool
unwanted(void *arg)
{
	struct work *w = arg;

	return w->pool->stopping ||
	    (w->cancelled && w->job->request.op == OP_RENDITION);
}

/* The n-th helper lost in a row waits longer and longer for its successor. */
static void
back_off(struct media_thread *thread, struct work *w)
{
	int ms = 0;

	if (thread->failures > 1)
		ms = BACKOFF_MS
		    << (thread->failures - 2 < 6 ? thread->failures - 2 : 6);
	if (ms > BACKOFF_MAX_MS)
		ms = BACKOFF_MAX_MS;
	while (ms > 0 && !unwanted(w)) {
		poll(NULL, 0, ms < BACKOFF_MS ? ms : BACKOFF_MS);
		ms -= BACKOFF_MS;
	}
}

static bool
get_helper(struct media_thread *thread, struct work *w)
{
	if (thread->helper != NULL && !helper_usable(thread->helper))
		helper_close(&thread->helper);
	if (thread->helper != NULL)
		return true;
	back_off(thread, w);
	thread->helper = helper_open(thread->pool, &w->err);
	if (thread->helper == NULL) {
		thread->failures++;
		return false;
	}
	pthread_mutex_lock(&thread->pool->lock);
	thread->pool->stats.helpers_started++;
	pthread_mutex_unlock(&thread->pool->lock);
	return true;
}

/* A helper must not be able to change its input: reopen it read-only. */
static bool
prepare(struct media_job *job, struct err *err)
{
	char path[64];
	struct stat st;
	int fd;

	if (fstat(job->in_fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(err, ERR_INTERNAL, "Input is not a file.");
	job->request.in_size = st.st_size;
	snprintf(path, sizeof path, "/proc/self/fd/%d", job->in_fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		close(job->in_fd);
		job->in_fd = fd;
	}
	if (job->out_fd >= 0 && ftruncate(job->out_fd, 0) < 0)
		return err_set(
		    err, ERR_STORAGE, "Output: %s.", strerror(errno));
	return true;
}

/* A codec or format name: a word of ours, terminated. */
static bool
is_word(const char text[MEDIA_CODEC_MAX], bool may_be_empty)
{
	size_t n = strnlen(text, MEDIA_CODEC_MAX);

	if (n == MEDIA_CODEC_MAX || (n == 0 && !may_be_empty))
		return false;
	return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") == n;
}

static bool
in_range(int64_t value, int64_t min, int64_t max)
{
	return value >= min && value <= max;
}

static bool
info_valid(const struct media_info *info, const struct media_job *job)
{
	bool image = job->request.op == OP_IMAGE || job->request.op == OP_FIT;
	int min = image ? 1 : 16;

	return in_range(info->coded_width, min, 8192) &&
	    in_range(info->coded_height, min, 8192) &&
	    in_range(info->width, 1, 65536) &&
	    in_range(info->height, 1, 65536) &&
	    (info->rotation == 0 || info->rotation == 90 ||
		info->rotation == 180 || info->rotation == 270) &&
	    in_range(info->duration_ms, image ? 0 : 1, 600 * 1000) &&
	    in_range(info->fps_num, 0, 1 << 30) &&
	    in_range(info->fps_den, 1, 1 << 30) &&
	    info->size_bytes == job->request.in_size &&
	    is_word(info->video_codec, false) &&
	    is_word(info->audio_codec, true) && is_word(info->format, false);
}

/* The written file begins as its type does. */
static bool
output_valid(const struct media_job *job)
{
	static const struct {
		int op, at;
		const char *type, *magic;
		size_t len;
	} kinds[] = {
	    {OP_POSTER, 0, "image/jpeg", "\xff\xd8\xff", 3},
	    {OP_RENDITION, 4, "video/mp4", "ftyp", 4},
	    {OP_IMAGE, 0, "image/jpeg", "\xff\xd8\xff", 3},
	    {OP_IMAGE, 0, "image/png", "\x89PNG\r\n\x1a\n", 8},
	    {OP_FIT, 0, "image/jpeg", "\xff\xd8\xff", 3},
	    {OP_FIT, 0, "image/png", "\x89PNG\r\n\x1a\n", 8},
	};
	const struct media_result *result = &job->result;
	struct stat st;
	char head[16];

	if (result->type[sizeof result->type - 1] != '\0' ||
	    !in_range(result->width, 1, 8192) ||
	    !in_range(result->height, 1, 8192) || fstat(job->out_fd, &st) < 0 ||
	    st.st_size != result->size_bytes ||
	    pread(job->out_fd, head, sizeof head, 0) != sizeof head)
		return false;
	for (size_t i = 0; i < nitems(kinds); i++) {
		if (kinds[i].op == job->request.op &&
		    str_eq(kinds[i].type, result->type))
			return memcmp(head + kinds[i].at, kinds[i].magic,
				   kinds[i].len) == 0;
	}
	return false;
}

static bool
lose(struct media_thread *thread)
{
	helper_close(&thread->helper);
	thread->failures++;
	pthread_mutex_lock(&thread->pool->lock);
	thread->pool->stats.helpers_lost++;
	pthread_mutex_unlock(&thread->pool->lock);
	return false;
}

static bool
check(struct media_thread *thread, struct work *w)
{
	struct media_job *job = w->job;

	thread->failures = 0;
	if (w->err.code != ERR_OK)
		return false;
	if (info_valid(&job->result.info, job) &&
	    (job->out_fd < 0 || output_valid(job)))
		return true;
	log_warn("op=%d msg=\"helper answered rubbish\"", job->request.op);
	lose(thread);
	return err_set_name(&w->err, ERR_INVALID, "media_invalid",
	    "The file cannot be processed.");
}

static bool
ask(struct media_thread *thread, struct work *w, bool again)
{
	switch (helper_call(thread->helper, w->job, unwanted, w, &w->err)) {
	case CALL_DONE:
		return check(thread, w);
	case CALL_TIMEOUT:
		log_warn("op=%d msg=\"helper hung and was killed\"",
		    w->job->request.op);
		lose(thread);
		return err_set_name(&w->err, ERR_TIMEOUT, "media_timeout",
		    "The file takes too long to process.");
	case CALL_LOST:
		lose(thread);
		return err_set_name(&w->err, ERR_INVALID, "media_invalid",
		    "The file cannot be processed.");
	case CALL_UNSENT: /* died while idle: not this job's fault */
		lose(thread);
		if (!again)
			return get_helper(thread, w) && ask(thread, w, true);
		return err_set_name(&w->err, ERR_UNAVAILABLE, "media_killed",
		    "The media helper was killed.");
	case CALL_KILLED:
		lose(thread);
		return err_set_name(&w->err, ERR_UNAVAILABLE, "media_killed",
		    "The media helper was killed.");
	case CALL_STOPPED:
		break;
	}
	helper_close(&thread->helper);
	return err_set(&w->err, ERR_GONE, "Nobody wants it any more.");
}

void
media_job_run(struct media_thread *thread, struct work *w)
{
	w->failed = w->cancelled || !prepare(w->job, &w->err) ||
	    !get_helper(thread, w) || !ask(thread, w, false);
}
