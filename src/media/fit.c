/* fit.c - the arithmetic of fitting an image into somebody's limits. */
#include <math.h>
#include <string.h>

#include "reeld/fit.h"

static bool
ratio_ok(const struct fit *fit, int w, int h)
{
	int64_t ratio = w * INT64_C(1000);

	return (fit->min_ratio == 0 || ratio >= (int64_t)fit->min_ratio * h) &&
	    (fit->max_ratio == 0 || ratio <= (int64_t)fit->max_ratio * h);
}

static bool
sides_ok(const struct fit *fit, int w, int h)
{
	int longer = w > h ? w : h, shorter = w > h ? h : w;

	return (fit->max_side == 0 || longer <= fit->max_side) &&
	    shorter >= fit->min_side &&
	    (fit->max_pixels == 0 || (int64_t)w * h <= fit->max_pixels) &&
	    (fit->width == 0 || (w == fit->width && h == fit->height));
}

static bool
format_ok(const struct fit *fit, const char *mime)
{
	if (fit->formats == 0)
		return true;
	if (mime == NULL)
		return false;
	return (strcmp(mime, "image/jpeg") == 0 && fit->formats & FIT_JPEG) ||
	    (strcmp(mime, "image/png") == 0 && fit->formats & FIT_PNG);
}

bool
fit_accepts(const struct fit *fit, const struct fit_image *image)
{
	bool shape = fit->max_side != 0 || fit->min_side != 0 ||
	    fit->max_pixels != 0 || fit->width != 0 || fit->min_ratio != 0 ||
	    fit->max_ratio != 0;

	if (!format_ok(fit, image->mime))
		return false;
	if (fit->max_bytes != 0 &&
	    (image->bytes <= 0 || image->bytes > fit->max_bytes))
		return false;
	if (!shape)
		return true;
	return image->width > 0 && image->height > 0 &&
	    ratio_ok(fit, image->width, image->height) &&
	    sides_ok(fit, image->width, image->height);
}

/* The largest middle part with a shape that is taken. */
static void
crop(const struct fit *fit, int w, int h, struct fit_plan *out)
{
	int64_t min = fit->min_ratio, max = fit->max_ratio;

	out->w = w;
	out->h = h;
	if (fit->width != 0) { /* exactly this shape */
		if ((int64_t)w * fit->height > (int64_t)h * fit->width)
			out->w = (int)((int64_t)h * fit->width / fit->height);
		else
			out->h = (int)((int64_t)w * fit->height / fit->width);
	} else if (max != 0 && w * INT64_C(1000) > max * h) {
		out->w = (int)(max * h / 1000);
	} else if (min != 0 && w * INT64_C(1000) < min * h) {
		out->h = (int)(w * INT64_C(1000) / min);
	}
	if (out->w < 1)
		out->w = 1;
	if (out->h < 1)
		out->h = 1;
	out->x = (w - out->w) / 2;
	out->y = (h - out->h) / 2;
}

static double
smaller(double a, double b)
{
	return a < b ? a : b;
}

bool
fit_plan(const struct fit *fit, int width, int height, struct fit_plan *out)
{
	double scale = 1;
	int longer, shorter;

	if (width < 1 || height < 1)
		return false;
	crop(fit, width, height, out);
	if (fit->width != 0) {
		out->width = fit->width;
		out->height = fit->height;
		return out->width <= out->w * FIT_MAX_GROWTH &&
		    out->height <= out->h * FIT_MAX_GROWTH &&
		    sides_ok(fit, out->width, out->height);
	}
	longer = out->w > out->h ? out->w : out->h;
	shorter = out->w > out->h ? out->h : out->w;
	if (shorter < fit->min_side)
		scale = (double)fit->min_side / shorter;
	if (fit->max_side != 0)
		scale = smaller(scale, (double)fit->max_side / longer);
	if (fit->max_pixels != 0)
		scale = smaller(scale,
		    sqrt((double)fit->max_pixels / ((double)out->w * out->h)));
	if (scale > FIT_MAX_GROWTH)
		return false;
	/* Growing rounds up and shrinking down: both stay within. */
	out->width = (int)(scale > 1 ? ceil(out->w * scale - 1e-9)
				     : floor(out->w * scale + 1e-9));
	out->height = (int)(scale > 1 ? ceil(out->h * scale - 1e-9)
				      : floor(out->h * scale + 1e-9));
	if (out->width < 1)
		out->width = 1;
	if (out->height < 1)
		out->height = 1;
	return sides_ok(fit, out->width, out->height);
}
