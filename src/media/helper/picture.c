/*
 * picture.c - one decoded picture: scale it to JPEG's colours, turn it,
 * encode it, write it.
 */
#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
#include <string.h>
#include <unistd.h>

#include "media/helper/helper.h"
#include "reeld/mem.h"

static AVFrame *
frame_new(int w, int h, enum AVPixelFormat format, struct err *err)
{
	AVFrame *frame = av_frame_alloc();

	if (frame != NULL) {
		frame->width = w;
		frame->height = h;
		frame->format = format;
		frame->color_range = AVCOL_RANGE_JPEG;
		if (av_frame_get_buffer(frame, 0) == 0)
			return frame;
	}
	av_frame_free(&frame);
	invalid(err, "The picture needs too much memory.");
	return NULL;
}

static const int *
colours_of(const AVFrame *frame)
{
	switch (frame->colorspace) {
	case AVCOL_SPC_BT709:
		return sws_getCoefficients(SWS_CS_ITU709);
	case AVCOL_SPC_BT2020_NCL:
	case AVCOL_SPC_BT2020_CL:
		return sws_getCoefficients(SWS_CS_BT2020);
	default:
		return sws_getCoefficients(SWS_CS_ITU601);
	}
}

AVFrame *
picture_scale(const AVFrame *src, int w, int h, enum AVPixelFormat format,
    struct err *err)
{
	const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(src->format);
	struct SwsContext *sws = NULL;
	AVFrame *dst = NULL;
	int full, rc;

	if (desc != NULL && !(desc->flags & AV_PIX_FMT_FLAG_HWACCEL))
		sws = sws_getContext(src->width, src->height, src->format, w, h,
		    format, src->width >= 2 * w ? SWS_AREA : SWS_BICUBIC, NULL,
		    NULL, NULL);
	if (sws == NULL) {
		invalid(err, "The picture's format is not accepted.");
		return NULL;
	}
	full = src->color_range == AVCOL_RANGE_JPEG ||
	    desc->flags & AV_PIX_FMT_FLAG_RGB ||
	    str_starts(desc->name, "yuvj") || str_starts(desc->name, "gray");
	sws_setColorspaceDetails(sws, colours_of(src), full,
	    sws_getCoefficients(SWS_CS_ITU601), 1, 0, 1 << 16, 1 << 16);
	dst = frame_new(w, h, format, err);
	if (dst != NULL) {
		rc = sws_scale(sws, (const uint8_t *const *)src->data,
		    src->linesize, 0, src->height, dst->data, dst->linesize);
		if (rc < 0) {
			av_frame_free(&dst);
			invalid(err, "The picture cannot be scaled.");
		}
	}
	sws_freeContext(sws);
	return dst;
}

struct plane {
	uint8_t *data;
	int stride, w, h;
};

static void
orient_plane(const struct plane *src, const struct plane *dst, int bytes,
    int orientation)
{
	for (int y = 0; y < dst->h; y++) {
		uint8_t *out = dst->data + (ptrdiff_t)y * dst->stride;

		for (int x = 0; x < dst->w; x++, out += bytes) {
			bool across = orientation >= 5;
			int sx = across ? y : x, sy = across ? x : y;
			const uint8_t *in;

			if (orientation == 2 || orientation == 3 ||
			    orientation == 7 || orientation == 8)
				sx = src->w - 1 - sx;
			if (orientation == 3 || orientation == 4 ||
			    orientation == 6 || orientation == 7)
				sy = src->h - 1 - sy;
			in = src->data + (ptrdiff_t)sy * src->stride +
			    (ptrdiff_t)sx * bytes;
			memcpy(out, in, bytes);
		}
	}
}

AVFrame *
picture_orient(const AVFrame *src, int orientation, struct err *err)
{
	const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(src->format);
	bool planar = desc->flags & AV_PIX_FMT_FLAG_PLANAR;
	bool across = orientation >= 5;
	int planes = av_pix_fmt_count_planes(src->format);
	int bytes = planar ? 1 : desc->comp[0].step;
	AVFrame *dst = frame_new(across ? src->height : src->width,
	    across ? src->width : src->height, src->format, err);

	for (int i = 0; dst != NULL && i < planes; i++) {
		bool chroma = planar && (i == 1 || i == 2);
		int sw = chroma ? desc->log2_chroma_w : 0;
		int sh = chroma ? desc->log2_chroma_h : 0;
		struct plane from = {src->data[i], src->linesize[i],
		    AV_CEIL_RSHIFT(src->width, sw),
		    AV_CEIL_RSHIFT(src->height, sh)};
		struct plane to = {dst->data[i], dst->linesize[i],
		    AV_CEIL_RSHIFT(dst->width, sw),
		    AV_CEIL_RSHIFT(dst->height, sh)};

		orient_plane(&from, &to, bytes, orientation);
	}
	return dst;
}

AVPacket *
picture_encode(AVFrame *frame, enum AVCodecID id, int quality, struct err *err)
{
	const AVCodec *codec = avcodec_find_encoder(id);
	AVCodecContext *ctx = avcodec_alloc_context3(codec);
	AVPacket *packet = av_packet_alloc();
	int rc = AVERROR(ENOMEM);

	if (codec != NULL && ctx != NULL && packet != NULL) {
		ctx->width = frame->width;
		ctx->height = frame->height;
		ctx->pix_fmt = frame->format;
		ctx->color_range = AVCOL_RANGE_JPEG;
		ctx->time_base = (AVRational){1, 1};
		ctx->thread_count = 1;
		ctx->flags |= AV_CODEC_FLAG_QSCALE;
		ctx->global_quality = quality * FF_QP2LAMBDA;
		frame->quality = ctx->global_quality;
		frame->pts = 0;
		frame->pict_type = AV_PICTURE_TYPE_NONE;
		rc = avcodec_open2(ctx, codec, NULL);
		if (rc == 0)
			rc = avcodec_send_frame(ctx, frame);
		if (rc == 0)
			rc = avcodec_send_frame(ctx, NULL);
		if (rc == 0)
			rc = avcodec_receive_packet(ctx, packet);
	}
	avcodec_free_context(&ctx);
	if (rc == 0)
		return packet;
	av_packet_free(&packet);
	invalid(err, "The picture cannot be encoded.");
	return NULL;
}

static bool
write_all(int fd, const uint8_t *data, int64_t size, struct err *err)
{
	for (int64_t at = 0; at < size;) {
		ssize_t n = pwrite(fd, data + at, size - at, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(err, ERR_STORAGE,
			    "The picture cannot be written: %s.",
			    strerror(errno));
		at += n;
	}
	return true;
}

bool
picture_write(struct job *job, AVFrame *frame, enum AVCodecID codec,
    int quality, struct err *err)
{
	AVPacket *packet = picture_encode(frame, codec, quality, err);
	bool ok =
	    packet != NULL && picture_store(job, frame, packet, codec, err);

	av_packet_free(&packet);
	return ok;
}

bool
picture_store(struct job *job, const AVFrame *frame, const AVPacket *packet,
    enum AVCodecID codec, struct err *err)
{
	bool ok = write_all(job->out_fd, packet->data, packet->size, err);
	job->result.width = frame->width;
	job->result.height = frame->height;
	job->result.size_bytes = packet->size;
	str_copy(job->result.type, sizeof job->result.type,
	    codec == AV_CODEC_ID_PNG ? "image/png" : "image/jpeg");
	return ok;
}
