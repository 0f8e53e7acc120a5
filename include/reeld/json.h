/*
 * json.h - reading and writing JSON.  json-c does the work; this module is
 * the only one that calls it, so that every document is parsed with the same
 * limits and read without coercion.
 *
 * Objects are json-c's `struct json_object`.  Reference counts are not used:
 * an object has one owner, who ends it with json_free().  A function that
 * takes ownership takes struct json_object ** and sets it to NULL.  What the
 * getters return is borrowed from the object it was found in.
 */
#ifndef REELD_JSON_H
#define REELD_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "reeld/err.h"
#include "reeld/id.h"

struct buf;
struct json_object;

#define JSON_MAX_DEPTH 32

enum json_parse_flags {
	/* The root may be any value; without it, it must be an object. */
	JSON_ANY_ROOT = 1,
	/*
	 * Replies of other people's servers: a repeated key keeps its last
	 * value, a number past int64 is clamped, a lone surrogate becomes
	 * U+FFFD.  The grammar, the depth and UTF-8 stay strict, because a
	 * paid result must not be lost to an odd but readable reply.  Such a
	 * document must not be stored whole; copy single values out of it.
	 */
	JSON_FOREIGN = 2
};

/*
 * Parses one document of at most max_bytes.  Strict: depth 32, UTF-8, no
 * comments, no trailing bytes, no repeated keys, no numbers that a double or
 * an int64 can't hold, no NaN, no U+0000 and no lone surrogates in strings.
 * *out is the caller's on success, NULL otherwise.  Errors: ERR_BAD_INPUT
 * (name "bad_json", pointer of the value at fault where known),
 * ERR_TOO_LARGE.
 */
bool json_parse(const void *data, size_t len, size_t max_bytes,
    struct json_object **out, struct err *err) REELD_MUST;
bool json_parse_flags(const void *data, size_t len, size_t max_bytes, int flags,
    struct json_object **out, struct err *err) REELD_MUST;
void json_free(struct json_object **slot);

/* --- Reading a message by a field table --------------------------------- */

struct json_int {
	bool set;
	int64_t v;
};
struct json_num {
	bool set;
	double v;
};
struct json_bool {
	bool set;
	bool v;
};
struct json_texts {
	char **v; /* owned by the struct that was read into */
	size_t n;
};

enum json_kind {
	JSON_TEXT,  /* char *, NULL when absent */
	JSON_INT,   /* struct json_int */
	JSON_NUM,   /* struct json_num; takes whole numbers too */
	JSON_BOOL,  /* struct json_bool */
	JSON_ENUM,  /* int: index in names, -1 when absent */
	JSON_ID,    /* struct id, not set when absent */
	JSON_OBJ,   /* struct json_object *, borrowed from the document */
	JSON_ARR,   /* struct json_object *, borrowed from the document */
	JSON_TEXTS, /* struct json_texts */
};

struct json_field {
	const char *member; /* its name in C */
	const char *as;	    /* its name in the document, NULL: the same */
	size_t offset;
	enum json_kind kind;
	bool required;
	double min, max;	  /* number: value; text: code points */
	int64_t min_int, max_int; /* JSON_INT */
	size_t max_items;	  /* JSON_TEXTS, JSON_ARR: 0 = no limit */
	const char *const *names; /* JSON_ENUM: NULL-terminated */
};

/*
 * One row of a table; after the fixed arguments come JREQ (required) and
 * JAS("name in the document, when it is not the member's"):
 *	static const struct json_field fields[] = {
 *		JTEXT(struct create, prompt, 1, 4000, JREQ),
 *		JID(struct create, start_asset, JAS("start_image")),
 *	};
 */
#define JREQ .required = true
#define JAS(as_name) .as = (as_name)
#define JTEXT(s, m, min_cp, max_cp, ...)                                   \
	{                                                                  \
		.member = #m, .offset = offsetof(s, m), .kind = JSON_TEXT, \
		.min = (min_cp), .max = (max_cp), ##__VA_ARGS__            \
	}
#define JINT(s, m, lo, hi, ...)                                           \
	{                                                                 \
		.member = #m, .offset = offsetof(s, m), .kind = JSON_INT, \
		.min_int = (lo), .max_int = (hi), ##__VA_ARGS__           \
	}
#define JNUM(s, m, lo, hi, ...)                                           \
	{                                                                 \
		.member = #m, .offset = offsetof(s, m), .kind = JSON_NUM, \
		.min = (lo), .max = (hi), ##__VA_ARGS__                   \
	}
#define JBOOL(s, m, ...)                                                   \
	{                                                                  \
		.member = #m, .offset = offsetof(s, m), .kind = JSON_BOOL, \
		##__VA_ARGS__                                              \
	}
#define JENUM(s, m, list, ...)                                             \
	{                                                                  \
		.member = #m, .offset = offsetof(s, m), .kind = JSON_ENUM, \
		.names = (list), ##__VA_ARGS__                             \
	}
#define JID(s, m, ...)                                                   \
	{                                                                \
		.member = #m, .offset = offsetof(s, m), .kind = JSON_ID, \
		##__VA_ARGS__                                            \
	}
#define JOBJ(s, m, ...)                                                   \
	{                                                                 \
		.member = #m, .offset = offsetof(s, m), .kind = JSON_OBJ, \
		##__VA_ARGS__                                             \
	}
#define JARR(s, m, most, ...)                                             \
	{                                                                 \
		.member = #m, .offset = offsetof(s, m), .kind = JSON_ARR, \
		.max_items = (most), ##__VA_ARGS__                        \
	}
#define JTEXTS(s, m, most, max_cp, ...)                                       \
	{                                                                     \
		.member = #m, .offset = offsetof(s, m), .kind = JSON_TEXTS,   \
		.min = 1, .max = (max_cp), .max_items = (most), ##__VA_ARGS__ \
	}

/*
 * Reads the object's members into *out (any struct whose members the table
 * names).  Every member the table names is first set to its absent value; an
 * explicit null counts as absent, so it is refused where a field is required.
 * Wrong types, ranges, missing and unknown names are refused: ERR_BAD_INPUT
 * for types and unknown or missing names, ERR_INVALID for ranges and words,
 * with the pointer "#/field".  On failure nothing is left to free.
 */
bool json_read(struct json_object *obj, const struct json_field *fields,
    size_t n, void *out, struct err *err) REELD_MUST;
/* Frees the text members; safe twice. */
void json_read_free(const struct json_field *fields, size_t n, void *out);

/* --- Looking into a document ---------------------------------------------
 * A path is names and array indexes joined by dots: "video.url",
 * "images.0.url".  NULL or false when the path is absent, null, or of another
 * type: nothing is converted.  obj may be NULL. */
struct json_object *json_at(const struct json_object *obj, const char *path);
const char *json_text_at(const struct json_object *obj, const char *path);
bool json_int_at(
    const struct json_object *obj, const char *path, int64_t *out) REELD_MUST;
/* Takes whole numbers too; false for NaN and infinities. */
bool json_num_at(
    const struct json_object *obj, const char *path, double *out) REELD_MUST;
bool json_bool_at(
    const struct json_object *obj, const char *path, bool *out) REELD_MUST;
struct json_object *
json_obj_at(const struct json_object *obj, const char *path);
struct json_object *
json_arr_at(const struct json_object *obj, const char *path);
/* The member is there, whatever it holds (also null). */
bool json_has(const struct json_object *obj, const char *name);

/* The value itself, under the same rules. */
const char *json_text(const struct json_object *value);
bool json_int(const struct json_object *value, int64_t *out) REELD_MUST;
bool json_num(const struct json_object *value, double *out) REELD_MUST;
bool json_is_obj(const struct json_object *value);
bool json_is_arr(const struct json_object *value);
/* "object", "array", "text", "integer", "number", "boolean", "null". */
const char *json_type_name(const struct json_object *value);
bool json_eq(const struct json_object *a, const struct json_object *b);

/* Members of an object or items of an array; 0 for anything else. */
size_t json_count(const struct json_object *obj);
struct json_object *json_item(const struct json_object *arr, size_t i);
/* Over an object's members in document order; the object must not change:
 *   struct json_iter it = json_iter(obj);
 *   while (json_next(&it)) use(it.name, it.value); */
struct json_iter {
	const char *name;
	struct json_object *value; /* NULL: null */
	const void *next;
};
struct json_iter json_iter(const struct json_object *obj);
bool json_next(struct json_iter *it);

/* --- Writing --------------------------------------------------------------
 * Text is copied; NULL text writes null.  Setting a name again replaces it. */
struct json_object *json_new(void);
struct json_object *json_new_arr(void);
struct json_object *json_copy(const struct json_object *obj);
void json_set_text(struct json_object *obj, const char *name, const char *v);
void json_set_int(struct json_object *obj, const char *name, int64_t v);
/* Must be finite. */
void json_set_num(struct json_object *obj, const char *name, double v);
void json_set_bool(struct json_object *obj, const char *name, bool v);
void json_set_null(struct json_object *obj, const char *name);
/* RFC 3339 text of wall-clock milliseconds; 0 writes null. */
void json_set_time_ms(struct json_object *obj, const char *name, int64_t ms);
/* Take *value (object or array); a NULL in the slot writes null. */
void json_set_obj(
    struct json_object *obj, const char *name, struct json_object **value);
void json_set_arr(
    struct json_object *obj, const char *name, struct json_object **value);
/* A deep copy of value, of any type. */
void json_set_copy(
    struct json_object *obj, const char *name, const struct json_object *value);
void json_unset(struct json_object *obj, const char *name);
void json_add_text(struct json_object *arr, const char *v);
void json_add_int(struct json_object *arr, int64_t v);
void json_add_num(struct json_object *arr, double v);
void json_add_obj(struct json_object *arr, struct json_object **value);
void json_add_copy(struct json_object *arr, const struct json_object *value);

/* Appends the compact text; check buf_ok(). */
void json_dump(const struct json_object *obj, struct buf *out);
/* The text as a string of its own; the caller frees it. */
char *json_dump_text(const struct json_object *obj);

#endif
