/* read.c - a message into a struct, by its table of fields. */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reeld/json.h"
#include "reeld/mem.h"

static const char *
field_name(const struct json_field *field)
{
	return field->as != NULL ? field->as : field->member;
}

static void *
field_at(const struct json_field *field, void *out)
{
	return (char *)out + field->offset;
}

static bool
fail(struct err *err, enum err_code code, const char *name, const char *field,
    const char *what)
{
	char pointer[80];
	char *full = xasprintf("#/%s", field);

	if (!str_copy(pointer, sizeof pointer, full)) {
		for (size_t n = strlen(pointer);
		     n > 0 && !utf8_valid(pointer, n);)
			pointer[--n] = '\0';
	}
	free(full);
	return err_set_field(
	    err, code, name, pointer, "'%.60s' %s", field, what);
}

static bool
wrong_type(struct err *err, const struct json_field *field,
    const struct json_object *value, const char *wanted)
{
	char what[80];

	snprintf(what, sizeof what, "must be %s, not %s", wanted,
	    json_type_name(value));
	return fail(err, ERR_BAD_INPUT, "wrong_type", field_name(field), what);
}

static bool
text_fits(struct json_object *value, const struct json_field *field,
    const char *name, struct err *err)
{
	const char *text = json_object_get_string(value);
	size_t len = (size_t)json_object_get_string_len(value);
	size_t count = utf8_count(text, len);
	char what[80];

	/* json_parse() refuses U+0000, a document made in C might not. */
	if (strlen(text) != len)
		return fail(err, ERR_INVALID, "out_of_range", name,
		    "can't hold the character U+0000");
	if ((double)count >= field->min && (double)count <= field->max)
		return true;
	if ((double)count < field->min)
		snprintf(what, sizeof what,
		    field->min == 1 ? "must not be empty"
				    : "needs at least %.0f characters",
		    field->min);
	else
		snprintf(what, sizeof what,
		    "has %zu characters, at most %.0f are allowed", count,
		    field->max);
	return fail(err, ERR_INVALID, "out_of_range", name, what);
}

static bool
read_int(const struct json_field *field, struct json_object *value,
    struct json_int *out, struct err *err)
{
	char what[96];

	if (!json_int(value, &out->v))
		return wrong_type(err, field, value, "a whole number");
	if (out->v < field->min_int || out->v > field->max_int) {
		snprintf(what, sizeof what, "must be from %lld to %lld",
		    (long long)field->min_int, (long long)field->max_int);
		return fail(
		    err, ERR_INVALID, "out_of_range", field_name(field), what);
	}
	out->set = true;
	return true;
}

static bool
read_num(const struct json_field *field, struct json_object *value,
    struct json_num *out, struct err *err)
{
	char what[96];

	if (!json_num(value, &out->v))
		return wrong_type(err, field, value, "a number");
	if (out->v < field->min || out->v > field->max) {
		snprintf(what, sizeof what, "must be from %.12g to %.12g",
		    field->min, field->max);
		return fail(
		    err, ERR_INVALID, "out_of_range", field_name(field), what);
	}
	out->set = true;
	return true;
}

static bool
read_enum(const struct json_field *field, struct json_object *value, int *out,
    struct err *err)
{
	const char *text = json_text(value);
	struct buf what;
	bool ok;

	if (text == NULL)
		return wrong_type(err, field, value, "text");
	for (int i = 0; field->names[i] != NULL; i++) {
		if (strcmp(field->names[i], text) == 0) {
			*out = i;
			return true;
		}
	}
	buf_init(&what, 160);
	buf_puts(&what, "must be one of");
	for (int i = 0; field->names[i] != NULL; i++)
		buf_printf(&what, "%s %s", i > 0 ? "," : "", field->names[i]);
	ok = fail(err, ERR_INVALID, "out_of_range", field_name(field),
	    buf_str(&what));
	buf_fini(&what);
	return ok;
}

static bool
read_texts(const struct json_field *field, struct json_object *value,
    struct json_texts *out, struct err *err)
{
	size_t n = json_count(value);

	out->v = xcalloc(n > 0 ? n : 1, sizeof *out->v);
	for (size_t i = 0; i < n; i++) {
		struct json_object *item = json_item(value, i);
		char name[96];

		snprintf(name, sizeof name, "%s/%zu", field_name(field), i);
		if (!json_object_is_type(item, json_type_string))
			return fail(err, ERR_BAD_INPUT, "wrong_type", name,
			    "must be text");
		if (!text_fits(item, field, name, err))
			return false;
		out->v[out->n++] = xstrdup(json_object_get_string(item));
	}
	return true;
}

static bool
read_list(const struct json_field *field, struct json_object *value, void *at,
    struct err *err)
{
	char what[80];

	if (!json_is_arr(value))
		return wrong_type(err, field, value, "an array");
	if (field->max_items > 0 && json_count(value) > field->max_items) {
		snprintf(what, sizeof what,
		    "has %zu items, at most %zu are allowed", json_count(value),
		    field->max_items);
		return fail(
		    err, ERR_INVALID, "out_of_range", field_name(field), what);
	}
	if (field->kind == JSON_TEXTS)
		return read_texts(field, value, at, err);
	*(struct json_object **)at = value;
	return true;
}

static bool
read_value(const struct json_field *field, struct json_object *value, void *at,
    struct err *err)
{
	struct json_bool *flag = at;

	switch (field->kind) {
	case JSON_TEXT:
		if (!json_object_is_type(value, json_type_string))
			return wrong_type(err, field, value, "text");
		if (!text_fits(value, field, field_name(field), err))
			return false;
		*(char **)at = xstrdup(json_object_get_string(value));
		return true;
	case JSON_INT:
		return read_int(field, value, at, err);
	case JSON_NUM:
		return read_num(field, value, at, err);
	case JSON_BOOL:
		if (!json_object_is_type(value, json_type_boolean))
			return wrong_type(err, field, value, "true or false");
		flag->set = true;
		flag->v = json_object_get_boolean(value);
		return true;
	case JSON_ENUM:
		return read_enum(field, value, at, err);
	case JSON_ID:
		if (json_text(value) == NULL)
			return wrong_type(err, field, value, "an id");
		if (!id_parse(json_text(value), at))
			return fail(err, ERR_INVALID, "bad_id",
			    field_name(field), "is not an id");
		return true;
	case JSON_OBJ:
		if (!json_is_obj(value))
			return wrong_type(err, field, value, "an object");
		*(struct json_object **)at = value;
		return true;
	case JSON_ARR:
	case JSON_TEXTS:
		return read_list(field, value, at, err);
	}
	abort();
}

static void
set_absent(const struct json_field *field, void *at)
{
	switch (field->kind) {
	case JSON_TEXT:
		*(char **)at = NULL;
		break;
	case JSON_INT:
		*(struct json_int *)at = (struct json_int){0};
		break;
	case JSON_NUM:
		*(struct json_num *)at = (struct json_num){0};
		break;
	case JSON_BOOL:
		*(struct json_bool *)at = (struct json_bool){0};
		break;
	case JSON_ENUM:
		*(int *)at = -1;
		break;
	case JSON_ID:
		memset(at, 0, sizeof(struct id));
		break;
	case JSON_OBJ:
	case JSON_ARR:
		*(struct json_object **)at = NULL;
		break;
	case JSON_TEXTS:
		*(struct json_texts *)at = (struct json_texts){0};
		break;
	}
}

static const struct json_field *
field_by_name(const struct json_field *fields, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(field_name(&fields[i]), name) == 0)
			return &fields[i];
	}
	return NULL;
}

static bool
read_fields(struct json_object *obj, const struct json_field *fields, size_t n,
    void *out, struct err *err)
{
	struct json_iter it = json_iter(obj);

	while (json_next(&it)) {
		const struct json_field *field =
		    field_by_name(fields, n, it.name);

		if (field == NULL)
			return fail(err, ERR_BAD_INPUT, "unknown_field",
			    it.name, "is not a known field");
		if (it.value != NULL &&
		    !read_value(field, it.value, field_at(field, out), err))
			return false;
	}
	for (size_t i = 0; i < n; i++) {
		if (fields[i].required &&
		    json_at(obj, field_name(&fields[i])) == NULL)
			return fail(err, ERR_BAD_INPUT, "missing_field",
			    field_name(&fields[i]), "is required");
	}
	return true;
}

bool
json_read(struct json_object *obj, const struct json_field *fields, size_t n,
    void *out, struct err *err)
{
	for (size_t i = 0; i < n; i++)
		set_absent(&fields[i], field_at(&fields[i], out));
	if (!json_is_obj(obj))
		return err_set_field(err, ERR_BAD_INPUT, "wrong_type", "#",
		    "An object is expected, not %s", json_type_name(obj));
	if (read_fields(obj, fields, n, out, err))
		return true;
	json_read_free(fields, n, out);
	return false;
}

void
json_read_free(const struct json_field *fields, size_t n, void *out)
{
	for (size_t i = 0; i < n; i++) {
		void *at = field_at(&fields[i], out);
		struct json_texts *texts = at;

		if (fields[i].kind == JSON_TEXT)
			free(*(char **)at);
		else if (fields[i].kind == JSON_TEXTS) {
			for (size_t k = 0; k < texts->n; k++)
				free(texts->v[k]);
			free(texts->v);
		} else
			continue;
		set_absent(&fields[i], at);
	}
}
