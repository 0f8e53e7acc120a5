/*
 * main.c - reel-media: waits on its socket for one job after another.
 *
 * Started by a media thread of reeld (media/client.c) with the socket as
 * descriptor 3.  Everything libav needs is loaded and warmed up first; then
 * the sandbox closes, and only then the first byte of a file is read.
 */
#define LOG_MODULE "reel-media"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "media/helper/helper.h"
#include "reeld/clock.h"
#include "reeld/log.h"
#include "reeld/mem.h"

static const int64_t SMALL_FILE = 64LL << 20;
static const int64_t LARGE_FILE = 2LL << 30;

static void
quiet(void *avcl, int level, const char *fmt, va_list ap)
{
	/* What libav says quotes the file. */
}

/* Tables built at first use, and the CPU's features. */
static void
warm_up(void)
{
	static const enum AVCodecID ids[] = {AV_CODEC_ID_H264, AV_CODEC_ID_HEVC,
	    AV_CODEC_ID_VP9, AV_CODEC_ID_AAC, AV_CODEC_ID_MJPEG,
	    AV_CODEC_ID_PNG, AV_CODEC_ID_WEBP};

	av_log_set_callback(quiet);
	av_max_alloc(256 << 20);
	for (size_t i = 0; i < nitems(ids); i++) {
		AVCodecContext *ctx =
		    avcodec_alloc_context3(avcodec_find_decoder(ids[i]));

		if (ctx != NULL) {
			ctx->thread_count = 1;
			if (avcodec_open2(ctx, NULL, NULL) < 0)
				log_debug(
				    "codec=%d msg=\"no decoder\"", (int)ids[i]);
		}
		avcodec_free_context(&ctx);
	}
	time_rfc3339(0, (char[32]){0}, 32); /* loads the time zone */
}

static bool
reply_send(struct proto_reply *reply)
{
	struct iovec iov = {reply, sizeof *reply};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	reply->magic = PROTO_MAGIC;
	return sendmsg(PROTO_FD, &msg, MSG_NOSIGNAL) == (ssize_t)sizeof *reply;
}

static void
on_progress(int percent, void *arg)
{
	const struct job *job = arg;
	struct proto_reply reply = {
	    .kind = KIND_PROGRESS, .seq = job->request.seq, .flags = percent};

	if (!reply_send(&reply))
		_exit(1); /* nobody is there */
}

static void
close_fds(int *fds, int n)
{
	for (int i = 0; i < n; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

/* False at the end: the server closed the socket or makes no sense. */
static bool
receive(struct job *job)
{
	union {
		char bytes[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {&job->request, sizeof job->request};
	struct msghdr msg = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof control.bytes};
	struct cmsghdr *header;
	int fds[2] = {-1, -1}, n = 0, wanted;
	ssize_t len;

	while ((len = recvmsg(PROTO_FD, &msg, MSG_CMSG_CLOEXEC)) < 0 &&
	    errno == EINTR)
		;
	header = CMSG_FIRSTHDR(&msg);
	if (header != NULL && header->cmsg_level == SOL_SOCKET &&
	    header->cmsg_type == SCM_RIGHTS) {
		n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(header), n * sizeof(int));
	}
	wanted = job->request.op == OP_PROBE ? 1 : 2;
	if (len != sizeof job->request || job->request.magic != PROTO_MAGIC ||
	    msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || n != wanted ||
	    job->request.op < 0 || job->request.op >= OP_COUNT ||
	    job->request.in_size < 0 || job->request.deadline_ms <= 0) {
		close_fds(fds, 2);
		return false;
	}
	job->in_fd = fds[0];
	job->out_fd = fds[1];
	return true;
}

static bool
serve(void)
{
	struct job job = {.in_fd = -1};
	struct proto_reply reply = {.kind = KIND_DONE};
	struct err err = {0};
	bool long_job;

	if (!receive(&job))
		return false;
	long_job = job.request.op == OP_RENDITION;
	sandbox_job_limits(long_job ? 3600 : job.request.deadline_ms / 1000,
	    long_job ? LARGE_FILE : SMALL_FILE);
	/* Give up well before the server loses its patience. */
	job.deadline_ms = clock_mono_ms() + job.request.deadline_ms * 2 / 5;
	job.progress = on_progress;
	job.progress_arg = &job;
	reply.seq = job.request.seq;
	if (job_run(&job, &err))
		reply.result = job.result;
	else
		reply.code = err.code != ERR_OK ? err.code : ERR_INVALID;
	str_copy(reply.msg, sizeof reply.msg, err.msg);
	close_fds(&job.in_fd, 1);
	close_fds(&job.out_fd, 1);
	return reply_send(&reply);
}

int
main(void)
{
	struct proto_reply hello = {.kind = KIND_HELLO};
	struct err err;
	int flags;

	close_range(PROTO_FD + 1, ~0U, 0);
	warm_up();
	if (!sandbox_enter(&flags, &err)) {
		log_error("msg=%s", log_text(err.msg));
		return 1;
	}
	hello.flags = flags;
	if (!reply_send(&hello))
		_exit(1);
	while (serve())
		;
	/* Not exit(): libraries' farewells are not on the filter's list. */
	_exit(0);
}
