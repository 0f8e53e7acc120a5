/*
 * guard.c - the framing rules that libmicrohttpd is lenient about.  A request
 * that a proxy and we could read differently is refused with 400 and the
 * connection ends.  Pure; called first by call.c.
 */
#include <string.h>
#include <strings.h>

#include "http/internal.h"

const char *const http_method_name[HTTP_METHODS] = {
    [HTTP_GET] = "GET",
    [HTTP_HEAD] = "HEAD",
    [HTTP_POST] = "POST",
    [HTTP_PUT] = "PUT",
    [HTTP_PATCH] = "PATCH",
    [HTTP_DELETE] = "DELETE",
    [HTTP_OPTIONS] = "OPTIONS",
};

bool
http_method_parse(const char *text, enum http_method *out)
{
	for (int i = 0; i < HTTP_METHODS; i++) {
		if (strcmp(text, http_method_name[i]) == 0) {
			*out = i;
			return true;
		}
	}
	return false;
}

/* What each byte may be part of. */
enum {
	IN_TOKEN = 1 << 0,
	IN_VALUE = 1 << 1,
	IN_TARGET = 1 << 2,
	IN_HOST = 1 << 3,
	VISIBLE = IN_VALUE | IN_TARGET,
	MARK = VISIBLE | IN_TOKEN, /* !$%&'*+^`|~ */
	WORD = MARK | IN_HOST	   /* letters, digits, . - _ */
};

static const uint8_t classes[256] = {
    ['\t'] = IN_VALUE,
    [' '] = IN_VALUE,
    ['!'] = MARK,
    ['"'] = VISIBLE,
    ['#'] = IN_VALUE | IN_TOKEN,
    ['$' ... '\''] = MARK,
    ['(' ... ')'] = VISIBLE,
    ['*' ... '+'] = MARK,
    [','] = VISIBLE,
    ['-' ... '.'] = WORD,
    ['/'] = VISIBLE,
    ['0' ... '9'] = WORD,
    [':'] = VISIBLE | IN_HOST,
    [';' ... '@'] = VISIBLE,
    ['A' ... 'Z'] = WORD,
    ['['] = VISIBLE | IN_HOST,
    ['\\'] = IN_VALUE,
    [']'] = VISIBLE | IN_HOST,
    ['^'] = MARK,
    ['_'] = WORD,
    ['`'] = MARK,
    ['a' ... 'z'] = WORD,
    ['{'] = VISIBLE,
    ['|'] = MARK,
    ['}'] = VISIBLE,
    ['~'] = MARK,
    [0x80 ... 0xff] = IN_VALUE,
};

static bool
all_in(const char *text, size_t len, unsigned class)
{
	for (size_t i = 0; i < len; i++)
		class &= classes[(unsigned char)text[i]];
	return class != 0;
}

static bool
is_token(const char *text, size_t len)
{
	return len > 0 && all_in(text, len, IN_TOKEN);
}

static bool
value_ok(const char *text, size_t len)
{
	return all_in(text, len, IN_VALUE);
}

static bool
target_ok(const char *text, size_t len)
{
	return len > 0 && text[0] == '/' && all_in(text, len, IN_TARGET);
}

static bool
named(const struct guard_field *field, const char *name)
{
	return field->name_len == strlen(name) &&
	    strncasecmp(field->name, name, field->name_len) == 0;
}

/* A host and port as text: no user, no path, nothing to be confused by. */
static bool
host_ok(const char *text, size_t len)
{
	return len > 0 && len <= 255 && all_in(text, len, IN_HOST);
}

static bool
parse_length(const struct guard_field *field, int64_t *out)
{
	int64_t n = 0;

	if (field->value_len < 1 || field->value_len > 18)
		return false;
	for (size_t i = 0; i < field->value_len; i++) {
		if (field->value[i] < '0' || field->value[i] > '9')
			return false;
		n = n * 10 + (field->value[i] - '0');
	}
	*out = n;
	return true;
}

static bool
bad(struct err *err, const char *why)
{
	return err_set_name(err, ERR_BAD_INPUT, "bad_request", "%s", why);
}

bool
guard_check(
    const struct guard_head *head, struct guard_result *out, struct err *err)
{
	int hosts = 0, lengths = 0, encodings = 0;
	bool http_10 = strcmp(head->version, "HTTP/1.0") == 0;

	memset(out, 0, sizeof *out);
	if (!http_10 && strcmp(head->version, "HTTP/1.1") != 0)
		return bad(err, "Only HTTP/1.1 and HTTP/1.0 are spoken here.");
	if (!target_ok(head->target, head->target_len))
		return bad(err, "The request target is not valid.");
	if (head->n_fields > MAX_HEADERS)
		return bad(err, "Too many headers.");
	for (size_t i = 0; i < head->n_fields; i++) {
		const struct guard_field *field = &head->fields[i];

		if (!is_token(field->name, field->name_len))
			return bad(err, "A header has no valid name.");
		if (!value_ok(field->value, field->value_len))
			return bad(err, "A header has no valid value.");
		if (named(field, "Host")) {
			if (++hosts > 1 ||
			    !host_ok(field->value, field->value_len))
				return bad(
				    err, "There must be one valid Host.");
		} else if (named(field, "Content-Length")) {
			if (++lengths > 1 || !parse_length(field, &out->length))
				return bad(err, "Content-Length is not valid.");
		} else if (named(field, "Transfer-Encoding")) {
			if (++encodings > 1 || http_10 ||
			    field->value_len != 7 ||
			    strncasecmp(field->value, "chunked", 7) != 0)
				return bad(
				    err, "Transfer-Encoding is not valid.");
		}
	}
	if (hosts != 1 && !http_10)
		return bad(err, "There must be one valid Host.");
	if (lengths > 0 && encodings > 0)
		return bad(err,
		    "Content-Length and Transfer-Encoding exclude each other.");
	if (!is_token(head->method, strlen(head->method)))
		return bad(err, "The method is not valid.");
	if (!http_method_parse(head->method, &out->method))
		return err_set_name(err, ERR_METHOD, "unknown_method",
		    "This method is not known.");
	out->chunked = encodings > 0;
	out->has_body = out->chunked || out->length > 0;
	if (out->chunked)
		out->length = -1;
	if (out->has_body &&
	    (out->method == HTTP_GET || out->method == HTTP_HEAD ||
		out->method == HTTP_DELETE || out->method == HTTP_OPTIONS))
		return bad(err, "This method takes no body.");
	return true;
}

bool
guard_tiled(const char *method, const char *url, size_t target_len,
    const char *version, const struct guard_field *fields, size_t n_fields,
    size_t head_len)
{
	const char *at, *end = method + head_len;

	if (url != method + strlen(method) + 1 ||
	    version != url + target_len + 1)
		return false;
	at = version + strlen(version);
	for (size_t i = 0; i < n_fields; i++) {
		const struct guard_field *field = &fields[i];

		/* CRLF became two NULs; a bare LF only one. */
		if (at + 2 > end || at[0] != '\0' || at[1] != '\0' ||
		    field->name != at + 2)
			return false;
		at = field->name + field->name_len;
		if (at >= end || field->value <= at || field->value > end)
			return false;
		for (at++; at < field->value; at++) {
			if (*at != ' ' && *at != '\t')
				return false;
		}
		at += field->value_len;
	}
	return at + 4 == end && memcmp(at, "\0\0\0\0", 4) == 0;
}
