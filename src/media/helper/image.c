/*
 * image.c - an uploaded still image: checked, decoded, turned upright and
 * encoded again, so that nothing of the original bytes is ever served.
 */
#include <libavutil/pixdesc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "media/helper/helper.h"
#include "reeld/mem.h"

enum { MAX_BYTES = 20 << 20, JPEG_QUALITY = 2 };

static uint8_t *
read_file(struct job *job, struct err *err)
{
	int64_t size = job->request.in_size;
	uint8_t *data;

	if (size > MAX_BYTES) {
		err_set(err, ERR_TOO_LARGE, "The image is larger than 20 MB.");
		return NULL;
	}
	data = xcalloc(1, size + AV_INPUT_BUFFER_PADDING_SIZE);
	for (int64_t at = 0; at < size;) {
		ssize_t n = pread(job->in_fd, data + at, size - at, at);

		if (n <= 0) {
			free(data);
			invalid(err, "The image cannot be read.");
			return NULL;
		}
		at += n;
	}
	return data;
}

static AVFrame *
decode(uint8_t *data, int size, const struct image_head *head, struct err *err)
{
	static const enum AVCodecID ids[] = {[IMAGE_PNG] = AV_CODEC_ID_PNG,
	    [IMAGE_JPEG] = AV_CODEC_ID_MJPEG,
	    [IMAGE_WEBP] = AV_CODEC_ID_WEBP};
	const AVCodec *codec = avcodec_find_decoder(ids[head->kind]);
	AVCodecContext *ctx = avcodec_alloc_context3(codec);
	AVPacket *packet = av_packet_alloc();
	AVFrame *frame = av_frame_alloc();
	int rc = AVERROR(ENOMEM);

	if (codec != NULL && ctx != NULL && packet != NULL && frame != NULL) {
		ctx->thread_count = 1;
		/* Buffers are wider and higher than the picture. */
		ctx->max_pixels =
		    (head->width + 128LL) * (head->height + 128LL);
		ctx->err_recognition = AV_EF_EXPLODE | AV_EF_CRCCHECK;
		packet->data = data;
		packet->size = size;
		rc = avcodec_open2(ctx, codec, NULL);
		if (rc == 0)
			rc = avcodec_send_packet(ctx, packet);
		if (rc == 0)
			rc = avcodec_send_packet(ctx, NULL);
		if (rc == 0)
			rc = avcodec_receive_frame(ctx, frame);
	}
	av_packet_free(&packet);
	avcodec_free_context(&ctx);
	if (rc == 0 && frame->width == head->width &&
	    frame->height == head->height)
		return frame;
	av_frame_free(&frame);
	invalid(err, "The image cannot be decoded.");
	return NULL;
}

/* EXIF's 1..8; anything else counts as upright. */
static int
orientation_of(const AVFrame *frame)
{
	const AVDictionaryEntry *entry =
	    av_dict_get(frame->metadata, "Orientation", NULL, 0);
	long value = entry == NULL ? 1 : strtol(entry->value, NULL, 10);

	return value >= 1 && value <= 8 ? (int)value : 1;
}

static bool
translucent(const AVFrame *rgba)
{
	for (int y = 0; y < rgba->height; y++) {
		const uint8_t *p =
		    rgba->data[0] + (ptrdiff_t)y * rgba->linesize[0];

		for (int x = 0; x < rgba->width; x++) {
			if (p[4 * x + 3] != 255)
				return true;
		}
	}
	return false;
}

/* Scaled to fit and upright. */
static AVFrame *
normalise(const AVFrame *frame, int max_side, struct err *err)
{
	int w = frame->width, h = frame->height;
	int side = w > h ? w : h;
	int orientation = orientation_of(frame);
	AVFrame *rgba, *turned;

	if (max_side > 0 && side > max_side) {
		w = (int)av_rescale(w, max_side, side);
		h = (int)av_rescale(h, max_side, side);
	}
	rgba = picture_scale(
	    frame, w < 1 ? 1 : w, h < 1 ? 1 : h, AV_PIX_FMT_RGBA, err);
	if (rgba == NULL || orientation == 1)
		return rgba;
	turned = picture_orient(rgba, orientation, err);
	av_frame_free(&rgba);
	return turned;
}

static bool
write_image(struct job *job, AVFrame *rgba, bool alpha, struct err *err)
{
	enum media_image_format format = job->request.format;
	bool png = format == MEDIA_IMAGE_PNG ||
	    (format == MEDIA_IMAGE_AUTO && alpha && translucent(rgba));
	AVFrame *plain;
	bool ok;

	if (png && alpha)
		return picture_write(job, rgba, AV_CODEC_ID_PNG, 1, err);
	plain = picture_scale(rgba, rgba->width, rgba->height,
	    png ? AV_PIX_FMT_RGB24 : AV_PIX_FMT_YUVJ444P, err);
	ok = plain != NULL &&
	    picture_write(job, plain, png ? AV_CODEC_ID_PNG : AV_CODEC_ID_MJPEG,
		JPEG_QUALITY, err);
	av_frame_free(&plain);
	return ok;
}

/* Into *rgba, upright and at most max_side long; *alpha: it may be seen
 * through. */
static bool
open_data(struct job *job, uint8_t *data, int max_side, AVFrame **rgba,
    bool *alpha, struct err *err)
{
	static const char *const names[] = {
	    [IMAGE_PNG] = "png", [IMAGE_JPEG] = "jpeg", [IMAGE_WEBP] = "webp"};
	struct media_info *info = &job->result.info;
	struct image_head head;
	AVFrame *frame;
	const AVPixFmtDescriptor *desc;

	if (!image_head_read(data, job->request.in_size, &head, err))
		return false;
	info->coded_width = info->width = head.width;
	info->coded_height = info->height = head.height;
	str_copy(info->video_codec, MEDIA_CODEC_MAX, names[head.kind]);
	str_copy(info->format, MEDIA_CODEC_MAX, names[head.kind]);
	info->browser_playable = true;
	frame = decode(data, job->request.in_size, &head, err);
	if (frame == NULL)
		return false;
	if (orientation_of(frame) >= 5) {
		info->width = head.height;
		info->height = head.width;
	}
	desc = av_pix_fmt_desc_get(frame->format);
	*alpha = desc != NULL &&
	    desc->flags & (AV_PIX_FMT_FLAG_ALPHA | AV_PIX_FMT_FLAG_PAL);
	*rgba = normalise(frame, max_side, err);
	av_frame_free(&frame);
	return *rgba != NULL;
}

static bool
open_image(
    struct job *job, int max_side, AVFrame **rgba, bool *alpha, struct err *err)
{
	uint8_t *data = read_file(job, err);
	bool ok;

	job->result = (struct media_result){
	    .info = {.size_bytes = job->request.in_size, .fps_den = 1}};
	ok = data != NULL && open_data(job, data, max_side, rgba, alpha, err);
	free(data);
	return ok;
}

AVFrame *
image_open(struct job *job, struct err *err)
{
	AVFrame *rgba = NULL;
	bool alpha;

	return open_image(job, 0, &rgba, &alpha, err) ? rgba : NULL;
}

bool
image_make(struct job *job, struct err *err)
{
	AVFrame *rgba = NULL;
	bool alpha = false,
	     ok = open_image(job, job->request.max_side, &rgba, &alpha, err) &&
	    write_image(job, rgba, alpha, err);

	av_frame_free(&rgba);
	return ok;
}
