/*
 * fit.c - a still image made to fit a provider's limits: cut to a shape they
 * take, scaled, and encoded ever smaller until its bytes fit as well.
 */
#include "reeld/fit.h"
#include "media/helper/helper.h"
#include "reeld/mem.h"

/* JPEG quantisers, from hardly visible to plain. */
static const int qualities[] = {2, 4, 7, 12};

/* The middle part of the frame, without copying. */
static bool
cut(AVFrame *frame, const struct fit_plan *plan)
{
	frame->crop_left = (size_t)plan->x;
	frame->crop_top = (size_t)plan->y;
	frame->crop_right = (size_t)(frame->width - plan->x - plan->w);
	frame->crop_bottom = (size_t)(frame->height - plan->y - plan->h);
	return av_frame_apply_cropping(frame, AV_FRAME_CROP_UNALIGNED) == 0;
}

/* Writes the first encoding whose bytes fit; *fits is false when none does.
 * False: it could not be encoded or written at all. */
static bool
try_size(
    struct job *job, AVFrame *rgba, int w, int h, bool *fits, struct err *err)
{
	const struct fit *fit = &job->request.fit;
	bool png = fit->formats == FIT_PNG, ok = true;
	enum AVCodecID codec = png ? AV_CODEC_ID_PNG : AV_CODEC_ID_MJPEG;
	AVFrame *sized = picture_scale(
	    rgba, w, h, png ? AV_PIX_FMT_RGB24 : AV_PIX_FMT_YUVJ420P, err);
	size_t n = png ? 1 : nitems(qualities);

	*fits = false;
	if (sized == NULL)
		return false;
	for (size_t i = 0; ok && !*fits && i < n && !job_late(job); i++) {
		AVPacket *packet =
		    picture_encode(sized, codec, qualities[i], err);

		ok = packet != NULL;
		*fits = ok &&
		    (fit->max_bytes == 0 || packet->size <= fit->max_bytes);
		if (*fits)
			ok = picture_store(job, sized, packet, codec, err);
		av_packet_free(&packet);
	}
	av_frame_free(&sized);
	return ok;
}

/* May it be made smaller in steps to save bytes? */
static bool
shrink(const struct fit *fit, int *w, int *h)
{
	int next_w = *w * 3 / 4, next_h = *h * 3 / 4;
	int shorter = next_w < next_h ? next_w : next_h;

	if (fit->width != 0 || shorter < fit->min_side || shorter < 16)
		return false;
	*w = next_w;
	*h = next_h;
	return true;
}

static bool
make(struct job *job, AVFrame *rgba, struct err *err)
{
	const struct fit *fit = &job->request.fit;
	struct fit_plan plan;
	bool fits;

	if (!fit_plan(fit, rgba->width, rgba->height, &plan) ||
	    !cut(rgba, &plan))
		return invalid(err, "The image can't be made to fit.");
	do {
		if (!try_size(job, rgba, plan.width, plan.height, &fits, err))
			return false;
		if (fits)
			return true;
	} while (!job_late(job) && shrink(fit, &plan.width, &plan.height));
	return invalid(err, "The image can't be made small enough.");
}

bool
fit_make(struct job *job, struct err *err)
{
	AVFrame *rgba = image_open(job, err);
	bool ok = rgba != NULL && make(job, rgba, err);

	av_frame_free(&rgba);
	return ok;
}
