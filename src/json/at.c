/* at.c - looking into a document without converting anything. */
#include <json-c/json.h>
#include <math.h>
#include <string.h>

#include "reeld/json.h"
#include "reeld/mem.h"

/* json-c's getters take non-const objects but do not change them. */
static struct json_object *mutable(const struct json_object *obj)
{
	return (struct json_object *)(uintptr_t)obj;
}

static struct json_object *
member(struct json_object *obj, const char *name)
{
	struct json_object *value = NULL;
	int64_t index;

	if (json_object_is_type(obj, json_type_object))
		return json_object_object_get_ex(obj, name, &value) ? value
								    : NULL;
	if (json_object_is_type(obj, json_type_array) &&
	    str_to_i64(name, 0, INT32_MAX, &index))
		return json_item(obj, (size_t)index);
	return NULL;
}

struct json_object *
json_at(const struct json_object *obj, const char *path)
{
	struct json_object *value = mutable(obj);
	char name[128];

	while (value != NULL) {
		const char *dot = strchrnul(path, '.');
		size_t len = (size_t)(dot - path);

		if (len >= sizeof name)
			return NULL;
		memcpy(name, path, len);
		name[len] = '\0';
		value = member(value, name);
		if (*dot == '\0')
			break;
		path = dot + 1;
	}
	return value;
}

const char *
json_text(const struct json_object *value)
{
	return json_object_is_type(value, json_type_string)
	    ? json_object_get_string(mutable(value))
	    : NULL;
}

bool
json_int(const struct json_object *value, int64_t *out)
{
	if (!json_object_is_type(value, json_type_int))
		return false;
	/* Past INT64_MAX json-c keeps an unsigned number. */
	if (json_object_get_int64(value) == INT64_MAX &&
	    json_object_get_uint64(value) != INT64_MAX)
		return false;
	*out = json_object_get_int64(value);
	return true;
}

bool
json_num(const struct json_object *value, double *out)
{
	double number;

	if (!json_object_is_type(value, json_type_int) &&
	    !json_object_is_type(value, json_type_double))
		return false;
	number = json_object_get_double(value);
	if (!isfinite(number))
		return false;
	*out = number;
	return true;
}

const char *
json_text_at(const struct json_object *obj, const char *path)
{
	return json_text(json_at(obj, path));
}

bool
json_int_at(const struct json_object *obj, const char *path, int64_t *out)
{
	return json_int(json_at(obj, path), out);
}

bool
json_num_at(const struct json_object *obj, const char *path, double *out)
{
	return json_num(json_at(obj, path), out);
}

bool
json_bool_at(const struct json_object *obj, const char *path, bool *out)
{
	struct json_object *value = json_at(obj, path);

	if (!json_object_is_type(value, json_type_boolean))
		return false;
	*out = json_object_get_boolean(value);
	return true;
}

struct json_object *
json_obj_at(const struct json_object *obj, const char *path)
{
	struct json_object *value = json_at(obj, path);

	return json_is_obj(value) ? value : NULL;
}

struct json_object *
json_arr_at(const struct json_object *obj, const char *path)
{
	struct json_object *value = json_at(obj, path);

	return json_is_arr(value) ? value : NULL;
}

bool
json_has(const struct json_object *obj, const char *name)
{
	return json_object_is_type(obj, json_type_object) &&
	    json_object_object_get_ex(obj, name, NULL);
}

bool
json_is_obj(const struct json_object *value)
{
	return json_object_is_type(value, json_type_object);
}

bool
json_is_arr(const struct json_object *value)
{
	return json_object_is_type(value, json_type_array);
}

const char *
json_type_name(const struct json_object *value)
{
	switch (json_object_get_type(value)) {
	case json_type_null:
		return "null";
	case json_type_boolean:
		return "boolean";
	case json_type_double:
		return "number";
	case json_type_int:
		return "integer";
	case json_type_object:
		return "object";
	case json_type_array:
		return "array";
	case json_type_string:
		return "text";
	}
	return "unknown";
}

bool
json_eq(const struct json_object *a, const struct json_object *b)
{
	return json_object_equal(mutable(a), mutable(b)) != 0;
}

size_t
json_count(const struct json_object *obj)
{
	if (json_is_arr(obj))
		return json_object_array_length(obj);
	if (json_is_obj(obj))
		return (size_t)json_object_object_length(obj);
	return 0;
}

struct json_object *
json_item(const struct json_object *arr, size_t i)
{
	return json_is_arr(arr) ? json_object_array_get_idx(arr, i) : NULL;
}

struct json_iter
json_iter(const struct json_object *obj)
{
	struct json_iter it = {0};

	if (json_is_obj(obj))
		it.next = json_object_get_object(obj)->head;
	return it;
}

bool
json_next(struct json_iter *it)
{
	const struct lh_entry *entry = it->next;

	if (entry == NULL)
		return false;
	it->name = entry->k;
	it->value = mutable(entry->v);
	it->next = entry->next;
	return true;
}
