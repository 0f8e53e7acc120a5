/*
 * scan.c - the second look at a document's text.
 *
 * json-c has accepted it, so brackets match and the depth is bounded; but it
 * keeps the last of two equal keys, clamps long integers, turns 1e999 into
 * infinity, takes NaN, and lets U+0000 and lone surrogates into strings.
 * Those are refused here, where the text still shows them.
 */
#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reeld/json.h"
#include "reeld/mem.h"
#include "json/internal.h"

struct level {
	bool object;
	struct json_object *seen; /* names met so far in this object */
	const char *key;	  /* borrowed from `seen` */
	size_t index;
};

struct scan {
	const char *p, *end;
	bool foreign;
	struct err *err;
	struct level levels[JSON_MAX_DEPTH + 1];
	int depth; /* levels in use */
};

static bool
refuse(struct scan *self, const char *what)
{
	char pointer[80] = "#";
	size_t len = 1;

	for (int i = 0; i < self->depth && len < sizeof pointer - 1; i++) {
		struct level *level = &self->levels[i];
		int n;

		if (level->object && level->key == NULL)
			break;
		n = level->object
		    ? snprintf(pointer + len, sizeof pointer - len, "/%s",
			  level->key)
		    : snprintf(pointer + len, sizeof pointer - len, "/%zu",
			  level->index);
		len += n > 0 ? (size_t)n : 0;
	}
	/* A cut in the middle of a character would not be UTF-8. */
	for (len = strlen(pointer); len > 0 && !utf8_valid(pointer, len);)
		pointer[--len] = '\0';
	return err_set_field(self->err, ERR_BAD_INPUT, "bad_json", pointer,
	    "The JSON document is refused: %s", what);
}

static int
hex4(const char *p, const char *end)
{
	int value = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = p[i];
		int digit = c >= '0' && c <= '9' ? c - '0'
		    : c >= 'a' && c <= 'f'	 ? c - 'a' + 10
		    : c >= 'A' && c <= 'F'	 ? c - 'A' + 10
						 : -1;

		if (digit < 0)
			return -1;
		value = value * 16 + digit;
	}
	return value;
}

/* p is behind the backslash and at the u. */
static bool
scan_unicode(struct scan *self)
{
	int code = hex4(self->p + 1, self->end), low;

	if (code < 0)
		return refuse(self, "an escape is malformed");
	self->p += 5;
	if (self->foreign)
		return true;
	if (code == 0)
		return refuse(self, "text can't hold the character U+0000");
	if (code >= 0xdc00 && code <= 0xdfff)
		return refuse(self, "text holds half a surrogate pair");
	if (code < 0xd800 || code > 0xdbff)
		return true;
	low =
	    self->end - self->p >= 6 && self->p[0] == '\\' && self->p[1] == 'u'
	    ? hex4(self->p + 2, self->end)
	    : -1;
	if (low < 0xdc00 || low > 0xdfff)
		return refuse(self, "text holds half a surrogate pair");
	self->p += 6;
	return true;
}

/* p is at the opening quote; leaves it behind the closing one. */
static bool
scan_string(struct scan *self, bool *escaped)
{
	*escaped = false;
	for (self->p++; self->p < self->end;) {
		unsigned char c = (unsigned char)*self->p;

		if (c == '"') {
			self->p++;
			return true;
		}
		if (c < 0x20)
			return refuse(
			    self, "text holds a raw control character");
		if (c != '\\') {
			self->p++;
			continue;
		}
		*escaped = true;
		if (++self->p >= self->end)
			break;
		if (*self->p == 'u') {
			if (!scan_unicode(self))
				return false;
		} else if (strchr("\"\\/bfnrt", *self->p) != NULL)
			self->p++;
		else
			return refuse(self, "an escape is malformed");
	}
	return refuse(self, "text does not end");
}

/* The name at [from, p) with its quotes, decoded by json-c when needed. */
static bool
scan_key(struct scan *self, const char *from, bool escaped)
{
	struct level *level = &self->levels[self->depth - 1];
	struct json_object *text = NULL;
	char *plain = NULL;
	const char *key;
	bool twice;

	if (escaped) {
		char *quoted = xstrndup(from, (size_t)(self->p - from));

		text = json_tokener_parse(quoted);
		free(quoted);
		key = text != NULL ? json_object_get_string(text) : NULL;
		if (key == NULL) {
			json_object_put(text);
			return refuse(self, "a name is malformed");
		}
	} else
		key = plain = xstrndup(from + 1, (size_t)(self->p - from) - 2);
	twice = json_object_object_get_ex(level->seen, key, NULL);
	if (!twice)
		json_object_object_add(level->seen, key, NULL);
	level->key =
	    lh_table_lookup_entry(json_object_get_object(level->seen), key)->k;
	json_object_put(text);
	free(plain);
	if (twice && !self->foreign)
		return refuse(self, "a name appears twice in one object");
	return true;
}

static size_t
digits(struct scan *self)
{
	const char *from = self->p;

	while (self->p < self->end && *self->p >= '0' && *self->p <= '9')
		self->p++;
	return (size_t)(self->p - from);
}

/* json-c takes "1." and "-01"; moves p over a number of RFC 8259. */
static bool
number_grammar(struct scan *self, bool *whole)
{
	*whole = true;
	if (*self->p == '-')
		self->p++;
	if (self->p < self->end && *self->p == '0')
		self->p++;
	else if (digits(self) == 0)
		return false;
	if (self->p < self->end && *self->p == '.') {
		*whole = false;
		self->p++;
		if (digits(self) == 0)
			return false;
	}
	if (self->p < self->end && (*self->p == 'e' || *self->p == 'E')) {
		*whole = false;
		self->p++;
		if (self->p < self->end && (*self->p == '+' || *self->p == '-'))
			self->p++;
		if (digits(self) == 0)
			return false;
	}
	return self->p == self->end || strchr(",]} \t\r\n", *self->p) != NULL;
}

static bool
scan_number(struct scan *self)
{
	char text[64];
	const char *from = self->p;
	bool whole;
	size_t len;
	int64_t value;

	if (!number_grammar(self, &whole))
		return refuse(self, "a number is malformed");
	if (self->foreign)
		return true;
	len = (size_t)(self->p - from);
	if (len >= sizeof text)
		return refuse(self, "a number is too long");
	memcpy(text, from, len);
	text[len] = '\0';
	if (whole && !str_to_i64(text, INT64_MIN, INT64_MAX, &value))
		return refuse(self, "a number is out of range");
	if (!whole && !isfinite(strtod(text, NULL)))
		return refuse(self, "a number is out of range");
	return true;
}

static bool
scan_word(struct scan *self)
{
	static const char *const words[] = {"true", "false", "null"};

	for (size_t i = 0; i < nitems(words); i++) {
		size_t n = strlen(words[i]);

		if ((size_t)(self->end - self->p) >= n &&
		    memcmp(self->p, words[i], n) == 0) {
			self->p += n;
			return true;
		}
	}
	return refuse(self, "a value is malformed");
}

static bool
push(struct scan *self, bool object)
{
	struct level *level;

	if (self->depth > JSON_MAX_DEPTH)
		return refuse(self, "it is nested too deeply");
	level = &self->levels[self->depth++];
	memset(level, 0, sizeof *level);
	level->object = object;
	if (object)
		level->seen = json_object_new_object();
	self->p++;
	return true;
}

static void
pop(struct scan *self)
{
	json_object_put(self->levels[--self->depth].seen);
	self->p++;
}

/* One token: the grammar between tokens is json-c's business. */
static bool
scan_token(struct scan *self)
{
	struct level *level =
	    self->depth > 0 ? &self->levels[self->depth - 1] : NULL;
	const char *from = self->p;
	bool escaped;

	switch (*self->p) {
	case ' ':
	case '\t':
	case '\r':
	case '\n':
	case ':':
		self->p++;
		return true;
	case ',':
		if (level == NULL)
			return refuse(self, "a comma is out of place");
		if (level->object)
			level->key = NULL;
		level->index++;
		self->p++;
		return true;
	case '{':
	case '[':
		return push(self, *self->p == '{');
	case '}':
	case ']':
		if (level == NULL)
			return refuse(self, "a bracket is out of place");
		pop(self);
		return true;
	case '"':
		if (!scan_string(self, &escaped))
			return false;
		if (level != NULL && level->object && level->key == NULL)
			return scan_key(self, from, escaped);
		return true;
	default:
		if (*self->p == '-' || (*self->p >= '0' && *self->p <= '9'))
			return scan_number(self);
		return scan_word(self);
	}
}

bool
json_scan(const char *text, size_t len, bool foreign, struct err *err)
{
	struct scan self = {
	    .p = text, .end = text + len, .foreign = foreign, .err = err};
	bool ok = true;

	while (ok && self.p < self.end)
		ok = scan_token(&self);
	while (self.depth > 0)
		pop(&self);
	return ok;
}
