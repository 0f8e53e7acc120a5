/*
 * limits.c - what vendors demand of input images.  A route's
 * params.options.image adds to it or replaces it, field by field:
 *
 *	{"max_bytes": 10000000, "max_data_uri": 5000000, "max_pixels": 4000000,
 *	 "max_side": 2048, "min_side": 300, "min_ratio": 0.4, "max_ratio": 2.5,
 *	 "formats": ["jpeg", "png"], "width": 1280, "height": 720,
 *	 "video_size": true}
 *
 * max_data_uri is the length of the image as text, where it travels so;
 * video_size: exactly as large as the video, when that was chosen.
 */
#include "providers/internal.h"
#include "reeld/fit.h"
#include "reeld/mem.h"
#include "reeld/spec.h"

struct limits {
	struct json_int max_bytes, max_data_uri, max_pixels;
	struct json_int max_side, min_side, width, height;
	struct json_num min_ratio, max_ratio;
	struct json_bool video_size;
	struct json_texts formats;
};
static const struct json_field fields[] = {
    JINT(struct limits, max_bytes, 1000, 1 << 30),
    JINT(struct limits, max_data_uri, 2000, 1 << 30),
    JINT(struct limits, max_pixels, 256, 1 << 28),
    JINT(struct limits, max_side, 16, 8192),
    JINT(struct limits, min_side, 1, 8192),
    JINT(struct limits, width, 16, 8192),
    JINT(struct limits, height, 16, 8192),
    JNUM(struct limits, min_ratio, 0.01, 100),
    JNUM(struct limits, max_ratio, 0.01, 100),
    JBOOL(struct limits, video_size),
    JTEXTS(struct limits, formats, 4, 10),
};

#define MB 1000000
#define INT(n) .set = true, .v = (n)
/* Facts of the vendors; what they do not say is not here. */
static const struct {
	const char *name;
	struct limits is;
} vendors[] = {
    /* Data URIs are for small inputs; links have no such limit. */
    {"fal", {.max_data_uri = {INT(10 * MB)}}},
    /* Over 5 MB the adapter uploads it first. */
    {"runway", {.max_bytes = {INT(16 * MB)}}},
    /* A whole request has at most 20 MB. */
    {"google", {.max_data_uri = {INT(18 * MB)}}},
    {"openai", {.video_size = {INT(true)}}},
    {"kling",
	{.max_bytes = {INT(10 * MB)},
	    .min_side = {INT(300)},
	    .min_ratio = {INT(0.4)},
	    .max_ratio = {INT(2.5)}}},
    {"minimax",
	{.max_bytes = {INT(20 * MB)},
	    .min_side = {INT(301)},
	    .min_ratio = {INT(0.4)},
	    .max_ratio = {INT(2.5)}}},
};

static bool
read_formats(const struct json_texts *texts, uint32_t *out, struct err *err)
{
	*out = 0;
	for (size_t i = 0; i < texts->n; i++) {
		if (str_eq(texts->v[i], "jpeg"))
			*out |= FIT_JPEG;
		else if (str_eq(texts->v[i], "png"))
			*out |= FIT_PNG;
		else if (!str_eq(texts->v[i], "webp")) /* never made */
			return err_set_field(err, ERR_INTERNAL, "bad_params",
			    "#/options/image/formats",
			    "The route's params are wrong at "
			    "#/options/image/formats: jpeg, png or webp");
	}
	return true;
}

static void
take_int(const struct json_int *from, int32_t *to)
{
	if (from->set)
		*to = (int32_t)from->v;
}

static void
take_ratio(const struct json_num *from, int32_t *to)
{
	if (from->set)
		*to = (int32_t)(from->v * 1000 + 0.5);
}

/* Lays the fields that are set over *out. */
static void
lay(const struct limits *in, const struct gen_spec *spec, bool as_data,
    struct fit *out)
{
	if (in->max_bytes.set)
		out->max_bytes = in->max_bytes.v;
	if (in->max_data_uri.set && as_data) {
		/* Four letters for three bytes, and "data:...;base64,". */
		int64_t bytes = (in->max_data_uri.v - 100) / 4 * 3;

		if (out->max_bytes == 0 || bytes < out->max_bytes)
			out->max_bytes = bytes;
	}
	if (in->max_pixels.set)
		out->max_pixels = in->max_pixels.v;
	take_int(&in->max_side, &out->max_side);
	take_int(&in->min_side, &out->min_side);
	take_ratio(&in->min_ratio, &out->min_ratio);
	take_ratio(&in->max_ratio, &out->max_ratio);
	if (in->width.set && in->height.set) {
		out->width = (int32_t)in->width.v;
		out->height = (int32_t)in->height.v;
	}
	if (in->video_size.set) {
		bool known = in->video_size.v && spec != NULL &&
		    spec->width > 0 && spec->height > 0;

		out->width = known ? spec->width : 0;
		out->height = known ? spec->height : 0;
	}
}

/* The route's own. */
static bool
lay_route(const struct provider_job *job, bool as_data, struct fit *out,
    struct err *err)
{
	struct json_object *doc = json_obj_at(job->params, "options.image");
	struct err inner = {0};
	struct limits in;
	bool ok;

	if (doc == NULL)
		return true;
	if (!json_read(doc, fields, nitems(fields), &in, &inner))
		return err_set_field(err, ERR_INTERNAL, "bad_params",
		    "#/options/image",
		    "The route's params are wrong at #/options/image: %s",
		    inner.msg);
	lay(&in, job->spec, as_data, out);
	ok = in.formats.n == 0 || read_formats(&in.formats, &out->formats, err);
	json_read_free(fields, nitems(fields), &in);
	return ok;
}

bool
provider_image_check(const struct json_object *params, struct err *err)
{
	struct provider_job job = {.params = params};
	struct fit fit = {0};

	return lay_route(&job, true, &fit, err);
}

bool
provider_image_fit(const struct provider *provider,
    const struct provider_job *job, bool as_data, struct fit *out,
    struct err *err)
{
	*out = (struct fit){0};
	for (size_t i = 0; i < nitems(vendors); i++)
		if (str_eq(vendors[i].name, provider->name))
			lay(&vendors[i].is, job->spec, as_data, out);
	return lay_route(job, as_data, out, err);
}
