/*
 * poster.c - the frame shown at 10 % of a video's duration, as a JPEG.
 *
 * Packets are read, undecoded, from the key frame before the moment up to it;
 * their times tell which one holds the frame.  Then only what that frame
 * needs is decoded: frames nothing refers to are skipped, and nothing after
 * it is touched.  The picture is scaled once and turned when small.
 */
#include <libavutil/cpu.h>
#include <libavutil/pixdesc.h>
#include <string.h>

#include "media/helper/helper.h"
#include "reeld/mem.h"

enum {
	POSTER_WIDTH = 480,
	POSTER_MAX_HEIGHT = 4096,
	POSTER_QUALITY = 3, /* of 1 (best) .. 31 */
	MAX_PACKETS = 4096,
	MAX_PACKET_BYTES = 192 << 20
};

struct run {
	struct source *source;
	int64_t moment; /* in the stream's time base */
	AVPacket **packets;
	int count;
	int64_t bytes;
	int target; /* index of the packet that holds the frame */
	AVFrame *best;
};

static int64_t
packet_time(const AVPacket *packet)
{
	return packet->pts != AV_NOPTS_VALUE ? packet->pts : packet->dts;
}

static void
drop_packets(struct run *run)
{
	for (int i = 0; i < run->count; i++)
		av_packet_free(&run->packets[i]);
	run->count = 0;
	run->bytes = 0;
}

/* 10 % in, and a millisecond for containers that round to one. */
static int64_t
moment_of(const AVStream *st, const AVFormatContext *format)
{
	int64_t start = st->start_time != AV_NOPTS_VALUE ? st->start_time : 0;
	int64_t length = st->duration != AV_NOPTS_VALUE && st->duration > 0
	    ? st->duration
	    : av_rescale_q(format->duration, AV_TIME_BASE_Q, st->time_base);

	return start + length / 10 +
	    av_rescale_q(1, (AVRational){1, 1000}, st->time_base);
}

/* Everything up to the moment, in decoding order. */
static bool
read_packets(struct run *run)
{
	AVFormatContext *format = run->source->format;
	AVPacket *packet = av_packet_alloc();

	while (packet != NULL && av_read_frame(format, packet) == 0) {
		bool ours = packet->stream_index == run->source->video->index;
		int64_t dts = packet->dts;

		if (!ours ||
		    (run->count == 0 && !(packet->flags & AV_PKT_FLAG_KEY))) {
			av_packet_unref(packet);
			continue;
		}
		if (dts == AV_NOPTS_VALUE)
			dts = packet_time(packet);
		if (run->count > 0 && dts > run->moment)
			break;
		if (run->count == MAX_PACKETS || run->bytes > MAX_PACKET_BYTES)
			break;
		run->bytes += packet->size;
		run->packets[run->count++] = packet;
		packet = av_packet_alloc();
	}
	av_packet_free(&packet);
	return run->count > 0;
}

/* The latest time that is not after the moment, else the earliest. */
static void
find_target(struct run *run)
{
	run->target = 0;
	for (int i = 1; i < run->count; i++) {
		int64_t time = packet_time(run->packets[i]);
		int64_t best = packet_time(run->packets[run->target]);

		if (run->packets[i]->flags & AV_PKT_FLAG_DISCARD)
			continue;
		if (best > run->moment ? time < best
				       : time <= run->moment && time > best)
			run->target = i;
	}
}

/*
 * Seeks back until the frame comes at or after the key frame in both orders:
 * a frame shown before its key frame may need the group before.
 */
static bool
collect(struct run *run, struct err *err)
{
	AVStream *st = run->source->video;
	int64_t from = run->moment;

	for (int attempt = 0; attempt < 3; attempt++) {
		const AVPacket *key;

		if (av_seek_frame(run->source->format, st->index,
			attempt < 2 ? from : INT64_MIN / 2,
			AVSEEK_FLAG_BACKWARD) < 0 &&
		    attempt > 0)
			break;
		drop_packets(run);
		if (!read_packets(run))
			continue;
		find_target(run);
		key = run->packets[0];
		if (packet_time(key) <=
			packet_time(run->packets[run->target]) &&
		    packet_time(key) <= run->moment)
			return true;
		from = (key->dts != AV_NOPTS_VALUE ? key->dts : from) - 1;
	}
	if (run->count == 0)
		return invalid(err, "The video has no frames.");
	return true;
}

/* Keeps the newest frame that is not after the target. */
static void
take_frames(struct run *run, AVCodecContext *ctx, int64_t wanted)
{
	AVFrame *frame = av_frame_alloc();

	while (frame != NULL && avcodec_receive_frame(ctx, frame) == 0) {
		int64_t time = frame->best_effort_timestamp;

		if (run->best != NULL && time > wanted) {
			av_frame_unref(frame);
			continue;
		}
		av_frame_free(&run->best);
		run->best = frame;
		frame = av_frame_alloc();
	}
	av_frame_free(&frame);
}

/* Small pictures are not worth it, and many large ones need the memory. */
static int
threads_for(const AVCodecParameters *par)
{
	int64_t pixels = (int64_t)par->width * par->height;
	int most = pixels < 1280 * 720 ? 1
	    : pixels > 4096 * 2304     ? 2
				       : SANDBOX_THREADS,
	    cpus = av_cpu_count();

	return cpus < most ? cpus : most;
}

static bool
decode(struct run *run, struct err *err)
{
	AVStream *st = run->source->video;
	AVCodecContext *ctx =
	    source_decoder(run->source, st, threads_for(st->codecpar), err);
	int64_t wanted = packet_time(run->packets[run->target]);

	if (ctx == NULL)
		return false;
	for (int i = 0; i <= run->target; i++) {
		if (job_late(run->source->job) && run->best != NULL)
			break; /* a poster near the moment beats none */
		ctx->skip_frame =
		    i == run->target ? AVDISCARD_DEFAULT : AVDISCARD_NONREF;
		if (avcodec_send_packet(ctx, run->packets[i]) < 0)
			continue; /* broken: the frame before will do */
		take_frames(run, ctx, wanted);
	}
	if (avcodec_send_packet(ctx, NULL) == 0)
		take_frames(run, ctx, wanted);
	avcodec_free_context(&ctx);
	if (run->best == NULL)
		return invalid(err, "No frame of the video can be decoded.");
	return true;
}

static bool
find_frame(struct run *run, struct err *err)
{
	bool ok;

	run->moment = moment_of(run->source->video, run->source->format);
	run->packets = xcalloc(MAX_PACKETS, sizeof(*run->packets));
	/* Sound is of no interest here. */
	if (run->source->audio != NULL)
		run->source->audio->discard = AVDISCARD_ALL;
	ok = collect(run, err) && decode(run, err);
	drop_packets(run);
	free(run->packets);
	return ok;
}

static bool
write_poster(struct job *job, AVFrame *frame, struct err *err)
{
	const struct media_info *info = &job->result.info;
	int h =
	    (int)av_rescale(POSTER_WIDTH, info->height, 2LL * info->width) * 2;
	bool across = info->rotation % 180 != 0, ok;
	AVFrame *small, *turned;

	h = h < 2 ? 2 : h > POSTER_MAX_HEIGHT ? POSTER_MAX_HEIGHT : h;
	small = picture_scale(frame, across ? h : POSTER_WIDTH,
	    across ? POSTER_WIDTH : h, AV_PIX_FMT_YUVJ420P, err);
	if (small != NULL && info->rotation != 0) {
		turned = picture_orient(small,
		    info->rotation == 90	? 6
			: info->rotation == 180 ? 3
						: 8,
		    err);
		av_frame_free(&small);
		small = turned;
	}
	ok = small != NULL &&
	    picture_write(job, small, AV_CODEC_ID_MJPEG, POSTER_QUALITY, err);
	av_frame_free(&small);
	return ok;
}

bool
poster_make(struct job *job, struct err *err)
{
	struct source source;
	struct run run = {.source = &source};
	bool ok = source_open(&source, job, err) && find_frame(&run, err) &&
	    write_poster(job, run.best, err);

	av_frame_free(&run.best);
	source_close(&source);
	return ok;
}
