/*
 * capability.c - does a request fit a model, and what is meant by what it
 * left open.  caps_doc.c checks the documents themselves.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "domain/internal.h"
#include "reeld/capability.h"
#include "reeld/json.h"
#include "reeld/mem.h"
#include "reeld/spec.h"

static int
by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

int64_t
caps_ms(const struct json_object *seconds)
{
	double value;

	if (!json_num(seconds, &value) || value < 0 || value > 7200)
		return -1;
	return llround(value * 1000);
}

size_t
capability_durations(const struct json_object *caps, int64_t *ms, size_t max)
{
	struct json_object *fixed = json_at(caps, "durations.fixed");
	struct json_object *list = json_arr_at(caps, "durations.list");
	int64_t min = caps_ms(json_at(caps, "durations.min"));
	int64_t last = caps_ms(json_at(caps, "durations.max"));
	int64_t step = caps_ms(json_at(caps, "durations.step"));
	size_t n = 0;

	if (fixed != NULL && max > 0)
		ms[n++] = caps_ms(fixed);
	for (size_t i = 0; i < json_count(list) && n < max; i++)
		ms[n++] = caps_ms(json_item(list, i));
	if (n == 0 && min > 0 && step > 0) {
		for (int64_t at = min; at <= last && n < max; at += step)
			ms[n++] = at;
	}
	if (n > 1)
		qsort(ms, n, sizeof *ms, by_size);
	return n;
}

enum need
caps_need(const struct json_object *caps, const char *name)
{
	const char *word = json_text_at(caps, name);

	if (word != NULL)
		return strcmp(word, "required") == 0 ? NEED_REQUIRED
		    : strcmp(word, "optional") == 0  ? NEED_OPTIONAL
						     : NEED_NONE;
	if (strcmp(name, "start_image") != 0 || !caps_mode(caps, "i2v"))
		return NEED_NONE;
	return caps_mode(caps, "t2v") ? NEED_OPTIONAL : NEED_REQUIRED;
}

bool
caps_mode(const struct json_object *caps, const char *mode)
{
	struct json_object *modes = json_arr_at(caps, "modes");

	for (size_t i = 0; i < json_count(modes); i++) {
		if (str_eq(json_text(json_item(modes, i)), mode))
			return true;
	}
	return false;
}

int64_t
caps_int(const struct json_object *caps, const char *name, int64_t otherwise)
{
	int64_t value;

	return json_int_at(caps, name, &value) ? value : otherwise;
}

static bool
caps_flag(const struct json_object *caps, const char *name)
{
	bool value;

	return json_bool_at(caps, name, &value) && value;
}

static bool
check_prompt(const struct json_object *caps, const struct gen_spec *spec,
    struct err *err)
{
	int64_t max = caps_int(caps, "max_prompt", CAPABILITY_MAX_PROMPT);
	int64_t max_negative = caps_int(caps, "max_negative_prompt", max);
	const char *prompt = spec->prompt != NULL ? spec->prompt : "";
	const char *negative = spec->negative_prompt;
	size_t count = utf8_count(prompt, strlen(prompt));

	if (prompt[strspn(prompt, " \t\r\n")] == '\0')
		return err_set_field(err, ERR_INVALID, "prompt_missing",
		    "#/prompt", "The prompt is empty");
	if (count > (size_t)max)
		return err_set_field(err, ERR_INVALID, "prompt_too_long",
		    "#/prompt",
		    "The prompt has %zu characters; this model takes %lld",
		    count, (long long)max);
	if (negative == NULL || negative[0] == '\0')
		return true;
	if (!caps_flag(caps, "negative_prompt"))
		return err_set_field(err, ERR_INVALID,
		    "unsupported_negative_prompt", "#/negative_prompt",
		    "This model takes no negative prompt");
	count = utf8_count(negative, strlen(negative));
	if (count > (size_t)max_negative)
		return err_set_field(err, ERR_INVALID, "prompt_too_long",
		    "#/negative_prompt",
		    "The negative prompt has %zu characters; this model takes "
		    "%lld",
		    count, (long long)max_negative);
	return true;
}

static bool
check_image(const struct json_object *caps, const char *name,
    const struct id *asset, struct err *err)
{
	enum need need = caps_need(caps, name);
	const char *word = strcmp(name, "start_image") == 0 ? "start" : "end";
	char pointer[32], code[40];

	str_copy(pointer, sizeof pointer, "#/start_image");
	if (word[0] == 'e')
		str_copy(pointer, sizeof pointer, "#/end_image");
	if (id_is_set(asset) && need == NEED_NONE) {
		snprintf(code, sizeof code, "unsupported_%s", name);
		return err_set_field(err, ERR_INVALID, code, pointer,
		    "This model takes no %s image", word);
	}
	if (!id_is_set(asset) && need == NEED_REQUIRED) {
		snprintf(code, sizeof code, "%s_required", name);
		return err_set_field(err, ERR_INVALID, code, pointer,
		    "This model needs a %s image", word);
	}
	return true;
}

static bool
check_images(
    const struct json_object *caps, struct gen_spec *spec, struct err *err)
{
	if (!check_image(caps, "start_image", &spec->start_asset, err) ||
	    !check_image(caps, "end_image", &spec->end_asset, err))
		return false;
	/* Only an end image is still a video from an image. */
	spec->mode =
	    id_is_set(&spec->start_asset) || id_is_set(&spec->end_asset)
	    ? GEN_I2V
	    : GEN_T2V;
	if (!caps_mode(caps, gen_mode_name(spec->mode)))
		return err_set_field(err, ERR_INVALID, "start_image_required",
		    "#/start_image", "This model needs a start image");
	return true;
}

static void
put_seconds(struct buf *out, int64_t ms)
{
	if (ms % 1000 == 0)
		buf_printf(out, "%lld", (long long)(ms / 1000));
	else
		buf_printf(out, "%.3g", (double)ms / 1000);
}

static bool
refuse_duration(int64_t asked, const int64_t *ms, size_t n, struct err *err)
{
	struct buf nearest, was;
	size_t above = 0;
	bool ok;

	while (above < n && ms[above] < asked)
		above++;
	buf_init(&nearest, 64);
	buf_init(&was, 32);
	put_seconds(&was, asked);
	if (above > 0)
		put_seconds(&nearest, ms[above - 1]);
	if (above > 0 && above < n)
		buf_puts(&nearest, " or ");
	if (above < n)
		put_seconds(&nearest, ms[above]);
	ok = err_set_field(err, ERR_INVALID, "unsupported_duration",
	    "#/duration",
	    "This model does not make %s seconds; the nearest it makes: %s",
	    buf_str(&was), buf_str(&nearest));
	buf_fini(&nearest);
	buf_fini(&was);
	return ok;
}

static bool
check_duration(
    const struct json_object *caps, struct gen_spec *spec, struct err *err)
{
	int64_t ms[CAPABILITY_MAX_DURATIONS];
	size_t n = capability_durations(caps, ms, nitems(ms));
	int64_t preset = caps_ms(json_at(caps, "defaults.duration"));

	if (n == 0)
		return err_set_field(err, ERR_INTERNAL, "bad_capabilities",
		    "#/duration", "This model has no durations");
	if (spec->duration_ms == 0)
		spec->duration_ms = preset > 0 ? preset : ms[0];
	for (size_t i = 0; i < n; i++) {
		if (ms[i] == spec->duration_ms)
			return true;
	}
	return refuse_duration(spec->duration_ms, ms, n, err);
}

/* How far apart two resolutions or aspect ratios are. */
static double
distance(const char *a, const char *b)
{
	int wa, ha, wb, hb;

	if (size_derive(a, "1:1", &wa, &ha) && size_derive(b, "1:1", &wb, &hb))
		return fabs(log((double)wa * ha) - log((double)wb * hb));
	if (size_derive("720p", a, &wa, &ha) &&
	    size_derive("720p", b, &wb, &hb))
		return fabs(log((double)wa / ha) - log((double)wb / hb));
	return 1e9;
}

static bool
refuse_word(const char *name, const char *asked, const struct json_object *list,
    struct err *err)
{
	char pointer[40], code[40];
	const char *nearest = NULL;
	double best = 1e8;
	struct buf all;
	bool ok;

	snprintf(pointer, sizeof pointer, "#/%s", name);
	snprintf(code, sizeof code, "unsupported_%s", name);
	if (json_count(list) == 0)
		return err_set_field(err, ERR_INVALID, code, pointer,
		    "'%s': this model offers no choice of %s", asked,
		    name[0] == 'r' ? "resolution" : "aspect ratio");
	buf_init(&all, 160);
	for (size_t i = 0; i < json_count(list); i++) {
		const char *word = json_text(json_item(list, i));
		double far = distance(asked, word);

		if (far < best) {
			best = far;
			nearest = word;
		}
		buf_printf(&all, "%s%s", i > 0 ? ", " : "", word);
	}
	ok = err_set_field(err, ERR_INVALID, code, pointer,
	    "'%s' is not offered by this model: %s%s%s%s", asked,
	    nearest != NULL ? "the nearest is " : "it offers ",
	    nearest != NULL ? nearest : buf_str(&all),
	    nearest != NULL ? " of " : "",
	    nearest != NULL ? buf_str(&all) : "");
	buf_fini(&all);
	return ok;
}

static bool
check_word(const struct json_object *caps, const char *list_name,
    const char *name, char *value, size_t size, struct err *err)
{
	struct json_object *list = json_arr_at(caps, list_name);
	char path[40];
	const char *preset;

	snprintf(path, sizeof path, "defaults.%s", name);
	preset = json_text_at(caps, path);
	if (preset == NULL)
		preset = json_text(json_item(list, 0));
	if (value[0] == '\0') {
		if (preset != NULL)
			str_copy(value, size, preset);
		return true;
	}
	for (size_t i = 0; i < json_count(list); i++) {
		if (strcasecmp(json_text(json_item(list, i)), value) == 0) {
			/* As the provider writes it: 4K, 720p. */
			str_copy(value, size, json_text(json_item(list, i)));
			return true;
		}
	}
	return refuse_word(name, value, list, err);
}

static bool
check_fps(
    const struct json_object *caps, struct gen_spec *spec, struct err *err)
{
	struct json_object *list = json_arr_at(caps, "fps");
	int64_t first = 0, preset, nearest = 0, value;

	for (size_t i = 0; i < json_count(list); i++) {
		if (!json_int(json_item(list, i), &value))
			continue;
		if (first == 0)
			first = value;
		if (value == spec->fps)
			return true;
		if (nearest == 0 ||
		    llabs(value - spec->fps) < llabs(nearest - spec->fps))
			nearest = value;
	}
	if (spec->fps == 0) {
		preset = caps_int(caps, "defaults.fps", first);
		spec->fps = (int)preset;
		return true;
	}
	if (first == 0)
		return err_set_field(err, ERR_INVALID, "unsupported_fps",
		    "#/fps", "%d: this model offers no choice of frame rate",
		    spec->fps);
	return err_set_field(err, ERR_INVALID, "unsupported_fps", "#/fps",
	    "This model does not make %d frames per second; the nearest it "
	    "makes: %lld",
	    spec->fps, (long long)nearest);
}

static bool
check_audio(
    const struct json_object *caps, struct gen_spec *spec, struct err *err)
{
	const char *audio = json_text_at(caps, "audio");
	bool always = str_eq(audio, "always");

	if (str_eq(audio, "optional")) {
		if (spec->audio == GEN_AUDIO_UNSET)
			spec->audio = caps_flag(caps, "defaults.audio")
			    ? GEN_AUDIO_ON
			    : GEN_AUDIO_OFF;
		return true;
	}
	if (spec->audio == (always ? GEN_AUDIO_OFF : GEN_AUDIO_ON))
		return err_set_field(err, ERR_INVALID, "unsupported_audio",
		    "#/audio",
		    always ? "This model always makes sound; only true is valid"
			   : "This model makes no sound; only false is valid");
	spec->audio = always ? GEN_AUDIO_ON : GEN_AUDIO_OFF;
	return true;
}

static void
set_size(const struct json_object *caps, struct gen_spec *spec)
{
	struct json_object *pair =
	    json_at(json_at(json_obj_at(caps, "sizes"), spec->resolution),
		spec->aspect_ratio);
	int64_t width, height;

	spec->width = spec->height = 0;
	if (json_int_at(pair, "0", &width) && json_int_at(pair, "1", &height)) {
		spec->width = (int)width;
		spec->height = (int)height;
	} else if (!size_derive(spec->resolution, spec->aspect_ratio,
		       &spec->width, &spec->height))
		spec->width = spec->height = 0;
}

bool
capability_check(
    const struct json_object *caps, struct gen_spec *spec, struct err *err)
{
	if (!check_prompt(caps, spec, err) || !check_images(caps, spec, err) ||
	    !check_duration(caps, spec, err) ||
	    !check_word(caps, "resolutions", "resolution", spec->resolution,
		sizeof spec->resolution, err) ||
	    !check_word(caps, "aspect_ratios", "aspect_ratio",
		spec->aspect_ratio, sizeof spec->aspect_ratio, err) ||
	    !check_fps(caps, spec, err) || !check_audio(caps, spec, err))
		return false;
	if (spec->has_seed && !caps_flag(caps, "seed"))
		return err_set_field(err, ERR_INVALID, "unsupported_seed",
		    "#/seed", "This model takes no seed");
	set_size(caps, spec);
	return true;
}
