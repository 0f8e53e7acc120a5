/*
 * parse.c - one document in: json-c with every limit set, then scan.c for
 * what json-c lets through.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "reeld/json.h"
#include "reeld/mem.h"
#include "json/internal.h"

static void __attribute__((constructor)) seed_hash(void)
{
	/* The default hash has a fixed seed on some builds: hash flooding. */
	json_global_set_string_hash(JSON_C_STR_HASH_PERLLIKE);
}

static const char *
parse_problem(enum json_tokener_error code)
{
	switch (code) {
	case json_tokener_error_depth:
		return "it is nested too deeply";
	case json_tokener_continue:
	case json_tokener_error_parse_eof:
		return "it ends too early";
	case json_tokener_error_parse_utf8_string:
		return "it is not valid UTF-8";
	case json_tokener_error_parse_unexpected:
		return "there is something after its end or out of place";
	case json_tokener_error_parse_number:
		return "a number is malformed";
	default:
		return "a value is malformed";
	}
}

bool
json_parse_flags(const void *data, size_t len, size_t max_bytes, int flags,
    struct json_object **out, struct err *err)
{
	struct json_tokener *tok;
	struct json_object *obj;
	enum json_tokener_error code;
	size_t end;

	*out = NULL;
	if (len > max_bytes || len > INT32_MAX - 1)
		return err_set(err, ERR_TOO_LARGE,
		    "The JSON document is larger than %zu bytes", max_bytes);
	if (len == 0)
		return err_set_name(err, ERR_BAD_INPUT, "bad_json",
		    "A JSON document is missing");
	if (!utf8_valid(data, len))
		return err_set_name(err, ERR_BAD_INPUT, "bad_json",
		    "The JSON document is not valid UTF-8");
	tok = json_tokener_new_ex(JSON_MAX_DEPTH);
	if (tok == NULL)
		abort();
	json_tokener_set_flags(
	    tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	obj = json_tokener_parse_ex(tok, data, (int)len);
	code = json_tokener_get_error(tok);
	if (code == json_tokener_continue) {
		/* A bare number ends only at the next byte: offer a NUL. */
		obj = json_tokener_parse_ex(tok, "", 1);
		code = json_tokener_get_error(tok);
		end = len;
	} else
		end = json_tokener_get_parse_end(tok);
	while (end < len && memchr(" \t\r\n", ((const char *)data)[end], 4))
		end++;
	json_tokener_free(tok);
	if (code != json_tokener_success || end != len) {
		json_object_put(obj);
		return err_set_name(err, ERR_BAD_INPUT, "bad_json",
		    "This is not a JSON document: %s",
		    parse_problem(code == json_tokener_success
			    ? json_tokener_error_parse_unexpected
			    : code));
	}
	if ((flags & JSON_ANY_ROOT) == 0 &&
	    !json_object_is_type(obj, json_type_object)) {
		json_object_put(obj);
		return err_set_name(err, ERR_BAD_INPUT, "bad_json",
		    "The JSON document must be an object");
	}
	if (!json_scan(data, len, (flags & JSON_FOREIGN) != 0, err)) {
		json_object_put(obj);
		return false;
	}
	*out = obj;
	return true;
}

bool
json_parse(const void *data, size_t len, size_t max_bytes,
    struct json_object **out, struct err *err)
{
	return json_parse_flags(data, len, max_bytes, 0, out, err);
}

void
json_free(struct json_object **slot)
{
	if (*slot != NULL)
		json_object_put(*slot);
	*slot = NULL;
}
