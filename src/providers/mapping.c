/*
 * mapping.c - a generation's spec in the words of one endpoint, by the
 * route's params document:
 *
 *	{"input": {"prompt": "prompt",
 *		"duration": {"field": "duration", "as": "text", "suffix": "s"},
 *		"start_image": "image_url", "images": "image_urls[]"},
 *	 "fixed": {"enable_safety_checker": true}}
 *
 * so that a new endpoint of a known vendor is data, not code.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "providers/internal.h"
#include "reeld/mem.h"
#include "reeld/spec.h"

/* What a spec can say. */
static const char *const canonical[] = {"prompt", "negative_prompt", "duration",
    "resolution", "aspect_ratio", "fps", "seed", "audio", "enhance",
    "start_image", "end_image", "images", "width", "height", "size", "frames",
    NULL};
static const char *const as_names[] = {
    "native", "text", "number", "data_uri", "base64", NULL};
enum { AS_NATIVE, AS_TEXT, AS_NUMBER, AS_DATA_URI, AS_BASE64 };

struct entry {
	char *field, *suffix;
	int as;
	struct json_object *values; /* {"16:9": "1280:720"} */
	struct json_bool optional;  /* a value not in values is left out */
};
static const struct json_field entry_table[] = {
    JTEXT(struct entry, field, 1, 100, JREQ),
    JTEXT(struct entry, suffix, 1, 15),
    JENUM(struct entry, as, as_names),
    JOBJ(struct entry, values),
    JBOOL(struct entry, optional),
};

static bool
bad(struct err *err, const char *name, const char *what)
{
	char at[80];

	snprintf(at, sizeof at, "#/input/%.40s", name);
	return err_set_field(err, ERR_INTERNAL, "bad_params", at,
	    "The route's params are wrong at %s: %.120s", at, what);
}

/* A plain name is short for {"field": name}. */
static bool
read_entry(const char *name, struct json_object *value, struct entry *out,
    struct err *err)
{
	struct err inner = {0};

	if (json_text(value) != NULL) {
		memset(out, 0, sizeof *out);
		out->field = xstrdup(json_text(value));
		return true;
	}
	if (!json_read(value, entry_table, nitems(entry_table), out, &inner))
		return bad(err, name, inner.msg);
	if (out->as < 0)
		out->as = AS_NATIVE;
	return true;
}

/* "a.b" and "list[]"; makes the objects and lists on the way.  Takes the
 * holder's only member "v". */
static bool
put(struct json_object *body, const char *field, struct json_object *value)
{
	struct json_object *at = body, *next;
	char name[101];
	const char *dot;
	size_t len;

	while ((dot = strchr(field, '.')) != NULL) {
		len = (size_t)(dot - field);
		if (len == 0 || len >= sizeof name)
			return false;
		memcpy(name, field, len);
		name[len] = '\0';
		if (!json_has(at, name)) {
			next = json_new();
			json_set_obj(at, name, &next);
		}
		at = json_obj_at(at, name);
		if (at == NULL)
			return false;
		field = dot + 1;
	}
	len = strlen(field);
	if (len == 0 || len >= sizeof name)
		return false;
	if (!str_ends(field, "[]")) {
		json_set_copy(at, field, value);
		return true;
	}
	memcpy(name, field, len - 2);
	name[len - 2] = '\0';
	if (!json_has(at, name)) {
		next = json_new_arr();
		json_set_arr(at, name, &next);
	}
	if (json_arr_at(at, name) == NULL)
		return false;
	json_add_copy(json_arr_at(at, name), value);
	return true;
}

/* An image as a URL, or as a data URI when only its bytes are known. */
static char *
image_text(const struct provider_image *image, int as)
{
	if (as == AS_BASE64)
		return image_base64(image);
	if (as == AS_DATA_URI || image->url == NULL)
		return image_data_uri(image);
	return xstrdup(image->url);
}

/* The spec's value as text and, where it is one, as a number; NULL when the
 * spec does not say. */
static char *
value_text(const struct provider_job *job, const char *name, int as,
    double *number, bool *is_number)
{
	const struct gen_spec *spec = job->spec;
	const char *text = NULL;
	bool set = false;

	*is_number = true;
	if (strcmp(name, "duration") == 0) {
		*number = (double)spec->duration_ms / 1000;
		set = spec->duration_ms > 0;
	} else if (strcmp(name, "fps") == 0) {
		*number = spec->fps;
		set = spec->fps > 0;
	} else if (strcmp(name, "width") == 0) {
		*number = spec->width;
		set = spec->width > 0;
	} else if (strcmp(name, "height") == 0) {
		*number = spec->height;
		set = spec->height > 0;
	} else if (strcmp(name, "frames") == 0) {
		*number = round((double)spec->duration_ms * spec->fps / 1000);
		set = spec->fps > 0 && spec->duration_ms > 0;
	}
	if (set)
		return xasprintf("%.10g", *number);
	*is_number = false;
	if (strcmp(name, "prompt") == 0)
		text = spec->prompt;
	else if (strcmp(name, "negative_prompt") == 0)
		text = spec->negative_prompt;
	else if (strcmp(name, "resolution") == 0)
		text = spec->resolution;
	else if (strcmp(name, "aspect_ratio") == 0)
		text = spec->aspect_ratio;
	else if (strcmp(name, "start_image") == 0)
		return image_text(&job->start, as);
	else if (strcmp(name, "end_image") == 0)
		return image_text(&job->end, as);
	else if (strcmp(name, "size") == 0 && spec->width > 0)
		return xasprintf("%dx%d", spec->width, spec->height);
	return text != NULL && text[0] != '\0' ? xstrdup(text) : NULL;
}

/* Seeds and flags keep their type: a double would round a long seed. */
static bool
native_value(const struct provider_job *job, const char *name,
    const struct entry *entry, struct json_object *holder)
{
	const struct gen_spec *spec = job->spec;

	if (strcmp(name, "seed") == 0) {
		if (!spec->has_seed)
			return true;
		if (entry->as == AS_TEXT) {
			char text[24];

			snprintf(
			    text, sizeof text, "%lld", (long long)spec->seed);
			json_set_text(holder, "v", text);
		} else
			json_set_int(holder, "v", spec->seed);
		return true;
	}
	if (strcmp(name, "audio") == 0) {
		if (spec->audio == GEN_AUDIO_UNSET)
			return true;
		/* Some have words for it: {"true": "on", "false": "off"}. */
		if (entry->values != NULL)
			json_set_copy(holder, "v",
			    json_at(entry->values,
				spec->audio == GEN_AUDIO_ON ? "true"
							    : "false"));
		else
			json_set_bool(holder, "v", spec->audio == GEN_AUDIO_ON);
		return true;
	}
	if (strcmp(name, "enhance") == 0) {
		json_set_bool(holder, "v", spec->enhance);
		return true;
	}
	return false;
}

static bool
text_value(const struct provider_job *job, const char *name,
    const struct entry *entry, struct json_object *holder, struct err *err)
{
	double number = 0;
	bool is_number, ok = true;
	char *text = value_text(job, name, entry->as, &number, &is_number);

	if (text == NULL)
		return true;
	if (entry->values != NULL) {
		if (json_has(entry->values, text))
			json_set_copy(
			    holder, "v", json_at(entry->values, text));
		else if (!entry->optional.v)
			ok = bad(err, name, "no word for the value asked for");
	} else if (entry->suffix != NULL) {
		char *full = xasprintf("%s%s", text, entry->suffix);

		json_set_text(holder, "v", full);
		free(full);
	} else if (entry->as == AS_TEXT || !is_number)
		json_set_text(holder, "v", text);
	else if (number == floor(number))
		json_set_int(holder, "v", (int64_t)number);
	else
		json_set_num(holder, "v", number);
	free(text);
	return ok;
}

static bool
map_one(const struct provider_job *job, const char *name,
    const struct entry *entry, struct json_object *body, struct err *err)
{
	struct json_object *holder = json_new();
	bool ok = true;

	if (!native_value(job, name, entry, holder))
		ok = text_value(job, name, entry, holder, err);
	if (ok && json_at(holder, "v") == NULL && str_eq(name, "audio") &&
	    job->spec->audio != GEN_AUDIO_UNSET && !entry->optional.v)
		ok = bad(err, name, "no word for the value asked for");
	/* An image that can't be given in the form they want is not left out:
	 * the video would be another one, and paid. */
	if (ok && json_at(holder, "v") == NULL &&
	    ((str_eq(name, "start_image") && image_given(&job->start)) ||
		(str_eq(name, "end_image") && image_given(&job->end))))
		ok = bad(err, name, "the image's bytes are not known");
	if (ok && json_at(holder, "v") != NULL &&
	    !put(body, entry->field, json_at(holder, "v")))
		ok = bad(err, name, "the field can't be written there");
	json_free(&holder);
	return ok;
}

static bool
map_entry(const struct provider_job *job, const char *name,
    const struct entry *entry, struct json_object *body, struct err *err)
{
	/* All images of the job into one list. */
	if (strcmp(name, "images") == 0)
		return map_one(job, "start_image", entry, body, err) &&
		    map_one(job, "end_image", entry, body, err);
	return map_one(job, name, entry, body, err);
}

static bool
is_canonical(const char *name)
{
	for (size_t i = 0; canonical[i] != NULL; i++) {
		if (strcmp(canonical[i], name) == 0)
			return true;
	}
	return false;
}

bool
provider_map(
    const struct provider_job *job, struct json_object *body, struct err *err)
{
	struct json_iter it = json_iter(json_obj_at(job->params, "input"));

	while (json_next(&it)) {
		struct entry entry;
		bool ok;

		if (!is_canonical(it.name))
			return bad(err, it.name, "no such value");
		if (!read_entry(it.name, it.value, &entry, err))
			return false;
		ok = map_entry(job, it.name, &entry, body, err);
		json_read_free(entry_table, nitems(entry_table), &entry);
		if (!ok)
			return false;
	}
	it = json_iter(json_obj_at(job->params, "fixed"));
	while (json_next(&it))
		json_set_copy(body, it.name, it.value);
	return true;
}

bool
provider_params_check(const struct json_object *params, struct err *err)
{
	struct json_iter it = json_iter(params);

	if (params != NULL && !json_is_obj(params))
		return bad(err, "", "an object is needed");
	while (json_next(&it)) {
		bool known = strcmp(it.name, "input") == 0 ||
		    strcmp(it.name, "fixed") == 0 ||
		    strcmp(it.name, "options") == 0;

		if (!known || !json_is_obj(it.value))
			return bad(err, it.name, "unknown, or not an object");
	}
	if (!provider_image_check(params, err))
		return false;
	it = json_iter(json_obj_at(params, "input"));
	while (json_next(&it)) {
		struct entry entry;

		if (!is_canonical(it.name))
			return bad(err, it.name, "no such value");
		if (!read_entry(it.name, it.value, &entry, err))
			return false;
		json_read_free(entry_table, nitems(entry_table), &entry);
	}
	return true;
}
