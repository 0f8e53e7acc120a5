/* write.c - making documents.  json-c returns NULL only without memory. */
#include <assert.h>
#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reeld/clock.h"
#include "reeld/json.h"
#include "reeld/mem.h"

static struct json_object *
must(struct json_object *value)
{
	if (value == NULL)
		abort();
	return value;
}

static void
set(struct json_object *obj, const char *name, struct json_object *value)
{
	if (json_object_object_add(obj, name, value) != 0)
		abort();
}

static void
add(struct json_object *arr, struct json_object *value)
{
	if (json_object_array_add(arr, value) != 0)
		abort();
}

static struct json_object *
take(struct json_object **slot)
{
	struct json_object *value = *slot;

	*slot = NULL;
	return value;
}

static struct json_object *
number(double v)
{
	char text[32];

	assert(isfinite(v));
	/* The shortest of 15 or 17 digits that reads back the same. */
	snprintf(text, sizeof text, "%.15g", v);
	if (strtod(text, NULL) != v)
		snprintf(text, sizeof text, "%.17g", v);
	return must(json_object_new_double_s(v, text));
}

struct json_object *
json_new(void)
{
	return must(json_object_new_object());
}

struct json_object *
json_new_arr(void)
{
	return must(json_object_new_array());
}

struct json_object *
json_copy(const struct json_object *obj)
{
	struct json_object *copy = NULL;

	if (obj == NULL)
		return NULL;
	if (json_object_deep_copy(
		(struct json_object *)(uintptr_t)obj, &copy, NULL) != 0)
		abort();
	return copy;
}

void
json_set_text(struct json_object *obj, const char *name, const char *v)
{
	set(obj, name, v != NULL ? must(json_object_new_string(v)) : NULL);
}

void
json_set_int(struct json_object *obj, const char *name, int64_t v)
{
	set(obj, name, must(json_object_new_int64(v)));
}

void
json_set_num(struct json_object *obj, const char *name, double v)
{
	set(obj, name, number(v));
}

void
json_set_bool(struct json_object *obj, const char *name, bool v)
{
	set(obj, name, must(json_object_new_boolean(v)));
}

void
json_set_null(struct json_object *obj, const char *name)
{
	set(obj, name, NULL);
}

void
json_set_time_ms(struct json_object *obj, const char *name, int64_t ms)
{
	char text[32];

	if (ms == 0) {
		json_set_null(obj, name);
		return;
	}
	time_rfc3339(ms, text, sizeof text);
	json_set_text(obj, name, text);
}

void
json_set_obj(
    struct json_object *obj, const char *name, struct json_object **value)
{
	set(obj, name, take(value));
}

void
json_set_arr(
    struct json_object *obj, const char *name, struct json_object **value)
{
	set(obj, name, take(value));
}

void
json_set_copy(
    struct json_object *obj, const char *name, const struct json_object *value)
{
	set(obj, name, json_copy(value));
}

void
json_unset(struct json_object *obj, const char *name)
{
	json_object_object_del(obj, name);
}

void
json_add_text(struct json_object *arr, const char *v)
{
	add(arr, v != NULL ? must(json_object_new_string(v)) : NULL);
}

void
json_add_int(struct json_object *arr, int64_t v)
{
	add(arr, must(json_object_new_int64(v)));
}

void
json_add_num(struct json_object *arr, double v)
{
	add(arr, number(v));
}

void
json_add_obj(struct json_object *arr, struct json_object **value)
{
	add(arr, take(value));
}

void
json_add_copy(struct json_object *arr, const struct json_object *value)
{
	add(arr, json_copy(value));
}

static const char *
dump(const struct json_object *obj, size_t *len)
{
	const char *text = json_object_to_json_string_length(
	    (struct json_object *)(uintptr_t)obj,
	    JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, len);

	if (text == NULL)
		abort();
	return text;
}

void
json_dump(const struct json_object *obj, struct buf *out)
{
	size_t len = 0;
	const char *text = dump(obj, &len);

	buf_add(out, text, len);
}

char *
json_dump_text(const struct json_object *obj)
{
	size_t len = 0;
	const char *text = dump(obj, &len);

	return xstrndup(text, len);
}
