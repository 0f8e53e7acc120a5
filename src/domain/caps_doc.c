/* caps_doc.c - capability documents: are they right, and how the API shows
 * them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "domain/internal.h"
#include "reeld/capability.h"
#include "reeld/json.h"
#include "reeld/mem.h"

static const char *const audio_names[] = {"none", "optional", "always", NULL};
static const char *const need_names[] = {"none", "optional", "required", NULL};

struct doc {
	struct json_texts modes, resolutions, aspect_ratios;
	struct json_object *durations, *fps, *sizes, *defaults;
	int audio, start_image, end_image;
	struct json_bool seed, negative_prompt, cancel, webhook,
	    bills_on_failure, bills_on_cancel;
	struct json_int max_prompt, max_negative_prompt, result_lifetime_s;
};
static const struct json_field doc_table[] = {
    JTEXTS(struct doc, modes, 2, 8, JREQ),
    JTEXTS(struct doc, resolutions, 24, 15),
    JTEXTS(struct doc, aspect_ratios, 24, 15),
    JOBJ(struct doc, durations, JREQ),
    JARR(struct doc, fps, 24),
    JOBJ(struct doc, sizes),
    JOBJ(struct doc, defaults),
    JENUM(struct doc, audio, audio_names),
    JENUM(struct doc, start_image, need_names),
    JENUM(struct doc, end_image, need_names),
    JBOOL(struct doc, seed),
    JBOOL(struct doc, negative_prompt),
    JBOOL(struct doc, cancel),
    JBOOL(struct doc, webhook),
    JBOOL(struct doc, bills_on_failure),
    JBOOL(struct doc, bills_on_cancel),
    JINT(struct doc, max_prompt, 1, 20000),
    JINT(struct doc, max_negative_prompt, 1, 20000),
    JINT(struct doc, result_lifetime_s, 1, 315360000),
};

struct defaults {
	struct json_num duration;
	char *resolution, *aspect_ratio;
	struct json_int fps;
	struct json_bool audio;
};
static const struct json_field defaults_table[] = {
    JNUM(struct defaults, duration, 0.001, 7200),
    JTEXT(struct defaults, resolution, 1, 15),
    JTEXT(struct defaults, aspect_ratio, 1, 15),
    JINT(struct defaults, fps, 1, 240),
    JBOOL(struct defaults, audio),
};

struct durations {
	struct json_object *list;
	struct json_num min, max, step, fixed;
};
static const struct json_field durations_table[] = {
    JARR(struct durations, list, CAPABILITY_MAX_DURATIONS),
    JNUM(struct durations, min, 0.1, 7200),
    JNUM(struct durations, max, 0.1, 7200),
    JNUM(struct durations, step, 0.1, 7200),
    JNUM(struct durations, fixed, 0.1, 7200),
};

static bool
bad(struct err *err, const char *at, const char *what)
{
	return err_set_field(err, ERR_INVALID, "bad_capabilities", at,
	    "The capabilities are wrong at %s: %s", at, what);
}

static bool
read_at(struct json_object *obj, const char *at, const struct json_field *table,
    size_t n, void *out, struct err *err)
{
	struct err inner = {0};
	char pointer[80];

	if (json_read(obj, table, n, out, &inner))
		return true;
	snprintf(pointer, sizeof pointer, "%.39s%.39s", at,
	    inner.pointer[0] == '#' ? inner.pointer + 1 : "");
	return bad(err, pointer, inner.msg);
}

static bool
check_durations(
    const struct json_object *caps, struct json_object *obj, struct err *err)
{
	struct durations in;
	int64_t ms[CAPABILITY_MAX_DURATIONS];
	size_t n;
	bool range;

	if (!read_at(obj, "#/durations", durations_table,
		nitems(durations_table), &in, err))
		return false;
	range = in.min.set && in.max.set && in.step.set;
	if ((in.list != NULL) + range + in.fixed.set != 1 ||
	    (!range && (in.min.set || in.max.set || in.step.set)))
		return bad(err, "#/durations",
		    "one of list, fixed, or min with max and step is needed");
	if (range && in.max.v < in.min.v)
		return bad(err, "#/durations/max", "it is less than min");
	if (range &&
	    (in.max.v - in.min.v) / in.step.v >= CAPABILITY_MAX_DURATIONS)
		return bad(err, "#/durations/step", "too many values");
	n = capability_durations(caps, ms, nitems(ms));
	if (n == 0)
		return bad(err, "#/durations", "no value at all");
	for (size_t i = 0; i < n; i++) {
		if (ms[i] <= 0 || (i > 0 && ms[i] == ms[i - 1]))
			return bad(err, "#/durations",
			    "values must be over zero and differ");
	}
	return true;
}

static bool
among(const struct json_texts *list, const char *word)
{
	for (size_t i = 0; i < list->n; i++) {
		if (strcmp(list->v[i], word) == 0)
			return true;
	}
	return false;
}

static bool
check_defaults_of(const struct json_object *caps, const struct doc *doc,
    const struct defaults *in, struct err *err)
{
	int64_t ms[CAPABILITY_MAX_DURATIONS];
	size_t n = capability_durations(caps, ms, nitems(ms));
	bool found = !in->duration.set;

	for (size_t i = 0; i < n && !found; i++)
		found = ms[i] == llround(in->duration.v * 1000);
	if (!found)
		return bad(
		    err, "#/defaults/duration", "it is not one of durations");
	if (in->resolution != NULL && !among(&doc->resolutions, in->resolution))
		return bad(err, "#/defaults/resolution",
		    "it is not one of resolutions");
	if (in->aspect_ratio != NULL &&
	    !among(&doc->aspect_ratios, in->aspect_ratio))
		return bad(err, "#/defaults/aspect_ratio",
		    "it is not one of aspect_ratios");
	found = !in->fps.set;
	for (size_t i = 0; i < json_count(doc->fps) && !found; i++) {
		int64_t fps;

		found =
		    json_int(json_item(doc->fps, i), &fps) && fps == in->fps.v;
	}
	if (!found)
		return bad(err, "#/defaults/fps", "it is not one of fps");
	return true;
}

static bool
check_defaults(
    const struct json_object *caps, const struct doc *doc, struct err *err)
{
	struct defaults in;
	bool ok;

	if (doc->defaults == NULL)
		return true;
	if (!read_at(doc->defaults, "#/defaults", defaults_table,
		nitems(defaults_table), &in, err))
		return false;
	ok = check_defaults_of(caps, doc, &in, err);
	json_read_free(defaults_table, nitems(defaults_table), &in);
	return ok;
}

static bool
check_fps_list(const struct json_object *list, struct err *err)
{
	int64_t fps;

	for (size_t i = 0; i < json_count(list); i++) {
		if (!json_int(json_item(list, i), &fps) || fps < 1 || fps > 240)
			return bad(err, "#/fps", "whole numbers to 240");
	}
	return true;
}

static bool
check_sizes(
    const struct doc *doc, const struct json_object *sizes, struct err *err)
{
	struct json_iter outer = json_iter(sizes);

	while (json_next(&outer)) {
		struct json_iter inner = json_iter(outer.value);

		if (!among(&doc->resolutions, outer.name))
			return bad(err, "#/sizes", "no such resolution");
		while (json_next(&inner)) {
			int64_t width, height;

			if (!among(&doc->aspect_ratios, inner.name))
				return bad(
				    err, "#/sizes", "no such aspect ratio");
			if (json_count(inner.value) != 2 ||
			    !json_int_at(inner.value, "0", &width) ||
			    !json_int_at(inner.value, "1", &height) ||
			    width < 16 || height < 16 || width > 8192 ||
			    height > 8192 || width % 2 != 0 || height % 2 != 0)
				return bad(err, "#/sizes",
				    "two even numbers from 16 to 8192");
		}
	}
	return true;
}

static bool
check_doc(
    const struct json_object *caps, const struct doc *doc, struct err *err)
{
	if (doc->modes.n == 0)
		return bad(err, "#/modes", "a mode is needed");
	for (size_t i = 0; i < doc->modes.n; i++) {
		if (strcmp(doc->modes.v[i], "t2v") != 0 &&
		    strcmp(doc->modes.v[i], "i2v") != 0)
			return bad(err, "#/modes", "t2v or i2v");
	}
	for (size_t i = 0; i < doc->resolutions.n; i++) {
		/* Bytes, and no dot: they are parts of paths. */
		if (strlen(doc->resolutions.v[i]) > 15 ||
		    strchr(doc->resolutions.v[i], '.') != NULL)
			return bad(err, "#/resolutions", "not a resolution");
	}
	for (size_t i = 0; i < doc->aspect_ratios.n; i++) {
		if (strlen(doc->aspect_ratios.v[i]) > 15 ||
		    strchr(doc->aspect_ratios.v[i], '.') != NULL)
			return bad(
			    err, "#/aspect_ratios", "not an aspect ratio");
	}
	if (!caps_mode(caps, "i2v") &&
	    (caps_need(caps, "start_image") != NEED_NONE ||
		caps_need(caps, "end_image") != NEED_NONE))
		return bad(
		    err, "#/modes", "images are taken, but i2v is missing");
	if (!caps_mode(caps, "t2v") &&
	    caps_need(caps, "start_image") == NEED_NONE)
		return bad(err, "#/start_image",
		    "only i2v is offered, but no start image is taken");
	return check_durations(caps, doc->durations, err) &&
	    check_fps_list(doc->fps, err) &&
	    check_sizes(doc, doc->sizes, err) && check_defaults(caps, doc, err);
}

bool
capability_document_check(const struct json_object *caps, struct err *err)
{
	struct doc doc;
	bool ok;

	if (!read_at((struct json_object *)(uintptr_t)caps, "#", doc_table,
		nitems(doc_table), &doc, err))
		return false;
	ok = check_doc(caps, &doc, err);
	json_read_free(doc_table, nitems(doc_table), &doc);
	return ok;
}

/* --- for the API ---------------------------------------------------------- */

static void
set_list(
    struct json_object *out, const struct json_object *caps, const char *name)
{
	struct json_object *none;

	if (json_arr_at(caps, name) != NULL) {
		json_set_copy(out, name, json_arr_at(caps, name));
		return;
	}
	none = json_new_arr();
	json_set_arr(out, name, &none);
}

static void
set_flag(
    struct json_object *out, const struct json_object *caps, const char *name)
{
	bool value = false;

	json_set_bool(out, name, json_bool_at(caps, name, &value) && value);
}

static struct json_object *
public_defaults(const struct json_object *caps, int64_t first_ms)
{
	struct json_object *out = json_new();
	int64_t ms = caps_ms(json_at(caps, "defaults.duration"));
	const char *word;

	if (ms <= 0)
		ms = first_ms;
	if (ms % 1000 == 0)
		json_set_int(out, "duration", ms / 1000);
	else
		json_set_num(out, "duration", (double)ms / 1000);
	word = json_text_at(caps, "defaults.resolution");
	json_set_text(out, "resolution",
	    word != NULL ? word : json_text_at(caps, "resolutions.0"));
	word = json_text_at(caps, "defaults.aspect_ratio");
	json_set_text(out, "aspect_ratio",
	    word != NULL ? word : json_text_at(caps, "aspect_ratios.0"));
	json_set_copy(out, "fps",
	    json_at(caps, "defaults.fps") != NULL
		? json_at(caps, "defaults.fps")
		: json_at(caps, "fps.0"));
	json_set_copy(out, "audio", json_at(caps, "defaults.audio"));
	return out;
}

struct json_object *
capability_public(const struct json_object *caps)
{
	struct json_object *out = json_new(), *list = json_new_arr();
	struct json_object *defaults;
	int64_t ms[CAPABILITY_MAX_DURATIONS];
	size_t n = capability_durations(caps, ms, nitems(ms));
	const char *audio = json_text_at(caps, "audio");

	for (size_t i = 0; i < n; i++) {
		if (ms[i] % 1000 == 0)
			json_add_int(list, ms[i] / 1000);
		else
			json_add_num(list, (double)ms[i] / 1000);
	}
	json_set_arr(out, "durations", &list);
	set_list(out, caps, "modes");
	set_list(out, caps, "resolutions");
	set_list(out, caps, "aspect_ratios");
	set_list(out, caps, "fps");
	json_set_text(out, "audio", audio != NULL ? audio : "none");
	set_flag(out, caps, "seed");
	set_flag(out, caps, "negative_prompt");
	json_set_int(out, "max_prompt",
	    caps_int(caps, "max_prompt", CAPABILITY_MAX_PROMPT));
	json_set_text(
	    out, "start_image", need_names[caps_need(caps, "start_image")]);
	json_set_text(
	    out, "end_image", need_names[caps_need(caps, "end_image")]);
	defaults = public_defaults(caps, n > 0 ? ms[0] : 0);
	json_set_obj(out, "defaults", &defaults);
	return out;
}
