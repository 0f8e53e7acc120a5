/*
 * peek.c - what an MP4's video looks like, without drawing a picture of it.
 *
 * libav's own probing decodes frames to learn the pixel format.  Here the
 * decoder gets the first key frame and is refused the memory to draw it in:
 * by then it has read the headers, and nothing has cost anything.  All else
 * that we want to know is in an MP4's index.
 */
#include "media/helper/helper.h"
#include "reeld/mem.h"

enum { MAX_PACKETS = 64 };

static int
refuse(AVCodecContext *ctx, AVFrame *frame, int flags)
{
	return AVERROR(ENOMEM);
}

static bool
index_tells_all(const struct source *self)
{
	const AVCodecParameters *par = self->video->codecpar;

	return str_starts(self->format->iformat->name, "mov") &&
	    self->format->duration > 0 &&
	    self->video->duration != AV_NOPTS_VALUE &&
	    self->video->duration > 0 && self->video->avg_frame_rate.num > 0 &&
	    self->video->avg_frame_rate.den > 0 && par->width > 0 &&
	    par->height > 0;
}

static AVPacket *
first_key(struct source *self)
{
	AVPacket *packet = av_packet_alloc();

	for (int i = 0; packet != NULL && i < MAX_PACKETS; i++) {
		if (av_read_frame(self->format, packet) < 0)
			break;
		if (packet->stream_index == self->video->index &&
		    packet->flags & AV_PKT_FLAG_KEY)
			return packet;
		av_packet_unref(packet);
	}
	av_packet_free(&packet);
	return NULL;
}

/* A decoder that does not ask for memory has drawn it: as good. */
static bool
read_headers(struct source *self, const AVPacket *packet)
{
	AVCodecParameters *par = self->video->codecpar;
	struct err ignored;
	AVCodecContext *ctx = source_decoder(self, self->video, 1, &ignored);
	AVFrame *frame = av_frame_alloc();
	bool ok = false;

	if (ctx != NULL && frame != NULL) {
		ctx->get_buffer2 = refuse;
		if (avcodec_send_packet(ctx, packet) == 0 &&
		    avcodec_send_packet(ctx, NULL) == 0)
			(void)avcodec_receive_frame(ctx, frame);
		ok = ctx->pix_fmt != AV_PIX_FMT_NONE && ctx->width > 0 &&
		    ctx->height > 0;
	}
	if (ok) {
		par->format = ctx->pix_fmt;
		par->width = ctx->width;
		par->height = ctx->height;
		par->sample_aspect_ratio = ctx->sample_aspect_ratio;
	}
	av_frame_free(&frame);
	avcodec_free_context(&ctx);
	return ok;
}

bool
source_peek(struct source *self)
{
	AVPacket *packet;
	bool ok;

	if (self->video == NULL || !index_tells_all(self))
		return false;
	if (self->audio != NULL)
		self->audio->discard = AVDISCARD_ALL;
	packet = first_key(self);
	ok = packet != NULL && read_headers(self, packet);
	av_packet_free(&packet);
	if (self->audio != NULL)
		self->audio->discard = AVDISCARD_DEFAULT;
	return av_seek_frame(self->format, self->video->index, INT64_MIN / 2,
		   AVSEEK_FLAG_BACKWARD) >= 0 &&
	    ok;
}
