/*
 * encode.c - the tracks of a rendition: copied as they are, or decoded,
 * converted and encoded, one thread all the way (the sandbox allows no more).
 */
#include <libavutil/opt.h>
#include <string.h>

#include "media/helper/encode.h"
#include "reeld/mem.h"

enum { MAX_RENDITION_SIDE = 4096 };

static bool
cannot(struct err *err)
{
	return invalid(err, "The video cannot be converted.");
}

bool
track_copy(
    struct track *self, struct output *output, AVStream *in, struct err *err)
{
	self->output = output;
	self->in = in;
	self->out = avformat_new_stream(output->format, NULL);
	if (self->out == NULL ||
	    avcodec_parameters_copy(self->out->codecpar, in->codecpar) < 0)
		return cannot(err);
	self->out->codecpar->codec_tag = 0;
	self->out->time_base = in->time_base;
	self->out->sample_aspect_ratio = in->sample_aspect_ratio;
	self->out->avg_frame_rate = in->avg_frame_rate;
	return true;
}

static bool
open_encoder(struct track *self, const AVCodec *codec, const char *preset,
    struct err *err)
{
	AVCodecContext *ctx = self->encoder;
	AVDictionary *options = NULL;
	int rc;

	if (preset != NULL) {
		av_dict_set(&options, "preset", preset, 0);
		av_dict_set(&options, "crf", "20", 0);
		av_dict_set(&options, "profile", "high", 0);
		/* No threads, and a short memory at 4K. */
		av_dict_set(&options, "x264-params",
		    "sync-lookahead=0:rc-lookahead=10", 0);
	}
	ctx->thread_count = 1;
	ctx->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
	rc = avcodec_open2(ctx, codec, &options);
	av_dict_free(&options);
	if (rc < 0 ||
	    avcodec_parameters_from_context(self->out->codecpar, ctx) < 0)
		return cannot(err);
	self->out->time_base = ctx->time_base;
	return true;
}

bool
track_video(struct track *self, struct output *output, struct source *source,
    struct err *err)
{
	const AVCodec *codec = avcodec_find_encoder_by_name("libx264");
	const AVCodecParameters *par = source->video->codecpar;
	int w = par->width, h = par->height, side = w > h ? w : h;
	AVCodecContext *ctx;

	self->output = output;
	self->in = source->video;
	self->out = avformat_new_stream(output->format, NULL);
	self->decoder = source_decoder(source, source->video, 1, err);
	if (self->decoder == NULL)
		return false;
	self->encoder = ctx = avcodec_alloc_context3(codec);
	if (codec == NULL || ctx == NULL || self->out == NULL)
		return cannot(err);
	if (side > MAX_RENDITION_SIDE) {
		w = (int)av_rescale(w, MAX_RENDITION_SIDE, side);
		h = (int)av_rescale(h, MAX_RENDITION_SIDE, side);
	}
	ctx->width = w < 16 ? 16 : w & ~1;
	ctx->height = h < 16 ? 16 : h & ~1;
	ctx->pix_fmt = AV_PIX_FMT_YUV420P;
	ctx->sample_aspect_ratio = source->sar;
	ctx->time_base = source->video->time_base;
	ctx->framerate = source->video->avg_frame_rate;
	ctx->color_range = AVCOL_RANGE_MPEG;
	ctx->colorspace = par->color_space;
	ctx->color_primaries = par->color_primaries;
	ctx->color_trc = par->color_trc;
	ctx->max_b_frames = 2;
	ctx->refs = 2;
	self->last = AV_NOPTS_VALUE;
	return open_encoder(self, codec, "veryfast", err);
}

static bool
drain_encoder(struct track *self, struct err *err)
{
	AVPacket *packet = av_packet_alloc();
	bool ok = packet != NULL;

	while (ok && avcodec_receive_packet(self->encoder, packet) == 0)
		ok = output_packet(self->output, self->out, packet,
		    self->encoder->time_base, err);
	av_packet_free(&packet);
	return ok;
}

bool
track_encode(struct track *self, AVFrame *frame, struct err *err)
{
	if (avcodec_send_frame(self->encoder, frame) < 0)
		return cannot(err);
	return drain_encoder(self, err);
}

/* A converter for this frame's shape, which a hostile stream may change. */
static bool
need_sws(struct track *self, const AVFrame *frame)
{
	int full = frame->color_range == AVCOL_RANGE_JPEG;
	const int *table = sws_getCoefficients(SWS_CS_DEFAULT);

	if (self->sws != NULL && self->sws_w == frame->width &&
	    self->sws_h == frame->height && self->sws_format == frame->format)
		return true;
	sws_freeContext(self->sws);
	self->sws = sws_getContext(frame->width, frame->height, frame->format,
	    self->encoder->width, self->encoder->height, AV_PIX_FMT_YUV420P,
	    SWS_BICUBIC, NULL, NULL, NULL);
	self->sws_w = frame->width;
	self->sws_h = frame->height;
	self->sws_format = frame->format;
	if (self->sws != NULL) /* the same matrix: only the range changes */
		sws_setColorspaceDetails(
		    self->sws, table, full, table, 0, 0, 1 << 16, 1 << 16);
	return self->sws != NULL;
}

static bool
video_frame(struct track *self, AVFrame *frame, struct err *err)
{
	int64_t pts = frame->best_effort_timestamp;
	AVFrame *plain;
	bool ok;

	/* The encoder wants growing times. */
	if (pts == AV_NOPTS_VALUE)
		pts = self->last == AV_NOPTS_VALUE ? 0 : self->last + 1;
	if (self->last != AV_NOPTS_VALUE && pts <= self->last)
		return true;
	plain = av_frame_alloc();
	if (plain == NULL || !need_sws(self, frame)) {
		av_frame_free(&plain);
		return cannot(err);
	}
	plain->width = self->encoder->width;
	plain->height = self->encoder->height;
	plain->format = AV_PIX_FMT_YUV420P;
	ok = av_frame_get_buffer(plain, 0) == 0 &&
	    sws_scale(self->sws, (const uint8_t *const *)frame->data,
		frame->linesize, 0, frame->height, plain->data,
		plain->linesize) >= 0;
	plain->pts = self->last = pts;
	if (ok)
		ok = track_encode(self, plain, err);
	else
		cannot(err);
	av_frame_free(&plain);
	return ok;
}

/* Everything the decoder has, into the encoder. */
static bool
drain_decoder(struct track *self, struct err *err)
{
	AVFrame *frame = av_frame_alloc();
	bool ok = frame != NULL;

	while (ok && avcodec_receive_frame(self->decoder, frame) == 0) {
		ok = self->swr != NULL ? audio_frame(self, frame, err)
				       : video_frame(self, frame, err);
		av_frame_unref(frame);
	}
	av_frame_free(&frame);
	return ok;
}

static bool
finish(struct track *self, struct err *err)
{
	if (self->swr != NULL && !audio_frame(self, NULL, err))
		return false;
	return track_encode(self, NULL, err);
}

bool
track_feed(struct track *self, AVPacket *packet, struct err *err)
{
	if (self->decoder == NULL)
		return packet == NULL ||
		    output_packet(self->output, self->out, packet,
			self->in->time_base, err);
	/* A broken packet costs its frames, not the whole rendition. */
	if (avcodec_send_packet(self->decoder, packet) < 0 && packet != NULL)
		return true;
	if (!drain_decoder(self, err))
		return false;
	return packet != NULL || finish(self, err);
}

void
track_close(struct track *self)
{
	avcodec_free_context(&self->decoder);
	avcodec_free_context(&self->encoder);
	sws_freeContext(self->sws);
	self->sws = NULL;
	swr_free(&self->swr);
	if (self->fifo != NULL)
		av_audio_fifo_free(self->fifo);
	self->fifo = NULL;
}
