/* spec.c - the order of a generation, and its stored form. */
#include <stdlib.h>
#include <string.h>

#include "reeld/json.h"
#include "reeld/mem.h"
#include "reeld/spec.h"

static const char *const mode_names[] = {"t2v", "i2v", NULL};

const char *
gen_mode_name(enum gen_mode mode)
{
	return mode_names[mode];
}

bool
gen_mode_parse(const char *text, enum gen_mode *out)
{
	for (int i = 0; mode_names[i] != NULL; i++) {
		if (strcmp(mode_names[i], text) == 0) {
			*out = (enum gen_mode)i;
			return true;
		}
	}
	return false;
}

void
spec_init(struct gen_spec *spec)
{
	memset(spec, 0, sizeof *spec);
	spec->audio = GEN_AUDIO_UNSET;
}

void
spec_fini(struct gen_spec *spec)
{
	free(spec->prompt);
	free(spec->negative_prompt);
	json_free(&spec->extra);
	spec_init(spec);
}

void
spec_copy(struct gen_spec *dst, const struct gen_spec *src)
{
	*dst = *src;
	dst->prompt = xstrdup(src->prompt);
	dst->negative_prompt = xstrdup(src->negative_prompt);
	dst->extra = json_copy(src->extra);
}

struct stored {
	char *prompt, *negative_prompt, *resolution, *aspect_ratio;
	int mode;
	struct json_int duration_ms, fps, seed, width, height;
	struct json_bool audio, enhance;
	struct id start_asset, end_asset;
	struct json_object *extra;
};
static const struct json_field fields[] = {
    JTEXT(struct stored, prompt, 0, 20000),
    JTEXT(struct stored, negative_prompt, 0, 20000),
    JENUM(struct stored, mode, mode_names, JREQ),
    JINT(struct stored, duration_ms, 1, 7200000),
    JTEXT(struct stored, resolution, 1, 15),
    JTEXT(struct stored, aspect_ratio, 1, 15),
    JINT(struct stored, fps, 1, 240),
    JINT(struct stored, seed, INT64_MIN, INT64_MAX),
    JINT(struct stored, width, 2, 16384),
    JINT(struct stored, height, 2, 16384),
    JBOOL(struct stored, audio),
    JBOOL(struct stored, enhance),
    JID(struct stored, start_asset),
    JID(struct stored, end_asset),
    JOBJ(struct stored, extra),
};

struct json_object *
spec_to_json(const struct gen_spec *spec)
{
	struct json_object *doc = json_new();

	json_set_text(doc, "mode", gen_mode_name(spec->mode));
	if (spec->prompt != NULL)
		json_set_text(doc, "prompt", spec->prompt);
	if (spec->negative_prompt != NULL)
		json_set_text(doc, "negative_prompt", spec->negative_prompt);
	if (spec->duration_ms != 0)
		json_set_int(doc, "duration_ms", spec->duration_ms);
	if (spec->resolution[0] != '\0')
		json_set_text(doc, "resolution", spec->resolution);
	if (spec->aspect_ratio[0] != '\0')
		json_set_text(doc, "aspect_ratio", spec->aspect_ratio);
	if (spec->fps != 0)
		json_set_int(doc, "fps", spec->fps);
	if (spec->has_seed)
		json_set_int(doc, "seed", spec->seed);
	if (spec->audio != GEN_AUDIO_UNSET)
		json_set_bool(doc, "audio", spec->audio == GEN_AUDIO_ON);
	if (spec->enhance)
		json_set_bool(doc, "enhance", true);
	if (id_is_set(&spec->start_asset))
		json_set_text(doc, "start_asset", spec->start_asset.text);
	if (id_is_set(&spec->end_asset))
		json_set_text(doc, "end_asset", spec->end_asset.text);
	if (spec->width != 0)
		json_set_int(doc, "width", spec->width);
	if (spec->height != 0)
		json_set_int(doc, "height", spec->height);
	if (spec->extra != NULL)
		json_set_copy(doc, "extra", spec->extra);
	return doc;
}

static bool
fill(struct gen_spec *spec, const struct stored *in)
{
	spec->prompt = xstrdup(in->prompt);
	spec->negative_prompt = xstrdup(in->negative_prompt);
	spec->mode = (enum gen_mode)in->mode;
	spec->duration_ms = in->duration_ms.v;
	spec->fps = (int)in->fps.v;
	spec->has_seed = in->seed.set;
	spec->seed = in->seed.v;
	spec->width = (int)in->width.v;
	spec->height = (int)in->height.v;
	if (in->audio.set)
		spec->audio = in->audio.v ? GEN_AUDIO_ON : GEN_AUDIO_OFF;
	spec->enhance = in->enhance.v;
	spec->start_asset = in->start_asset;
	spec->end_asset = in->end_asset;
	spec->extra = json_copy(in->extra);
	/* At most 15 characters, but these may be longer in bytes. */
	return (in->resolution == NULL ||
		   str_copy(spec->resolution, sizeof spec->resolution,
		       in->resolution)) &&
	    (in->aspect_ratio == NULL ||
		str_copy(spec->aspect_ratio, sizeof spec->aspect_ratio,
		    in->aspect_ratio));
}

bool
spec_from_json(struct json_object *doc, struct gen_spec *spec, struct err *err)
{
	struct stored in;
	bool ok;

	spec_init(spec);
	if (!json_read(doc, fields, nitems(fields), &in, err))
		return false;
	ok = fill(spec, &in);
	json_read_free(fields, nitems(fields), &in);
	if (ok)
		return true;
	spec_fini(spec);
	return err_set_field(err, ERR_INVALID, "out_of_range", "#/resolution",
	    "The resolution or aspect ratio is too long");
}

static void
set_text(struct json_object *doc, const char *name, const char *text)
{
	json_set_text(doc, name, text[0] != '\0' ? text : NULL);
}

static void
set_int(struct json_object *doc, const char *name, bool known, int64_t value)
{
	if (known)
		json_set_int(doc, name, value);
	else
		json_set_null(doc, name);
}

struct json_object *
spec_public(const struct gen_spec *spec)
{
	struct json_object *doc = json_new();

	if (spec->duration_ms % 1000 == 0)
		set_int(doc, "duration", spec->duration_ms != 0,
		    spec->duration_ms / 1000);
	else
		json_set_num(doc, "duration", (double)spec->duration_ms / 1000);
	set_text(doc, "resolution", spec->resolution);
	set_text(doc, "aspect_ratio", spec->aspect_ratio);
	if (spec->audio == GEN_AUDIO_UNSET)
		json_set_null(doc, "audio");
	else
		json_set_bool(doc, "audio", spec->audio == GEN_AUDIO_ON);
	set_int(doc, "seed", spec->has_seed, spec->seed);
	set_int(doc, "fps", spec->fps != 0, spec->fps);
	set_int(doc, "width", spec->width != 0, spec->width);
	set_int(doc, "height", spec->height != 0, spec->height);
	return doc;
}
