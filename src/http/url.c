/*
 * url.c - request targets, cookies and ids as text: decoding that has one
 * meaning only.  Pure; called by call.c and request.c.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "http/internal.h"

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The decoded length; -1: refused. */
static ssize_t
decode(const char *src, size_t len, bool plus_is_space, char *dst)
{
	unsigned char seen = 0;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = src[i];

		if (c == '%') {
			int high, low;

			if (i + 2 >= len ||
			    (high = hex_value(src[i + 1])) < 0 ||
			    (low = hex_value(src[i + 2])) < 0)
				return -1;
			c = high << 4 | low;
			i += 2;
		} else if (c == '+' && plus_is_space) {
			c = ' ';
		}
		if (c < 0x20 || c == 0x7f)
			return -1;
		dst[n++] = c;
		seen |= c;
	}
	dst[n] = '\0';
	return seen < 0x80 || utf8_valid(dst, n) ? (ssize_t)n : -1;
}

bool
url_decode(const char *src, size_t len, bool plus_is_space, char *dst)
{
	return decode(src, len, plus_is_space, dst) >= 0;
}

/* One segment: decoded into *memory, refused when it could mean a path. */
static bool
add_segment(
    struct url *out, const char *raw, size_t len, char **memory, bool last)
{
	char *text = *memory;
	ssize_t n;

	if (out->n_segments == MAX_SEGMENTS || (len == 0 && !last) ||
	    (n = decode(raw, len, false, text)) < 0 ||
	    memchr(text, '/', (size_t)n) != NULL ||
	    memchr(text, '\\', (size_t)n) != NULL)
		return false;
	if (text[0] == '.' && (n == 1 || (n == 2 && text[1] == '.')))
		return false;
	out->segment[out->n_segments++] = text;
	*memory += n + 1;
	return true;
}

static bool
parse_query(const char *raw, size_t len, char *memory, struct url *out)
{
	const char *end = raw + len;

	while (raw < end) {
		const char *stop = memchr(raw, '&', end - raw);
		const char *equals;
		size_t name_len;

		if (stop == NULL)
			stop = end;
		if (stop == raw) {
			raw++;
			continue;
		}
		equals = memchr(raw, '=', stop - raw);
		name_len = (equals != NULL ? equals : stop) - raw;
		if (out->n_query == MAX_QUERY || name_len == 0)
			return false;
		if (!url_decode(raw, name_len, true, memory))
			return false;
		for (int i = 0; i < out->n_query; i++) {
			if (strcmp(out->query[i].name, memory) == 0)
				return false;
		}
		out->query[out->n_query].name = memory;
		memory += strlen(memory) + 1;
		raw = equals != NULL ? equals + 1 : stop;
		if (!url_decode(raw, stop - raw, true, memory))
			return false;
		out->query[out->n_query++].value = memory;
		memory += strlen(memory) + 1;
		raw = stop < end ? stop + 1 : stop;
	}
	return true;
}

bool
url_parse(const char *target, size_t len, char *memory, struct url *out,
    struct err *err)
{
	const char *mark = memchr(target, '?', len);
	const char *end = mark != NULL ? mark : target + len;
	const char *at = target + 1;
	char *path = memory, *walk = memory;

	out->n_segments = 0;
	out->n_query = 0;
	out->path = ""; /* until it is whole: a refusal must not show rubbish */
	/* The joined path comes first; its parts are decoded behind it. */
	memory += (end - target) + 1;
	for (;;) {
		const char *slash = memchr(at, '/', end - at);
		const char *stop = slash != NULL ? slash : end;
		char *segment = memory;

		if (!add_segment(out, at, stop - at, &memory, slash == NULL))
			return err_set_name(err, ERR_BAD_INPUT, "bad_path",
			    "The path is not valid.");
		*walk++ = '/';
		out->rest[out->n_segments - 1] = walk;
		/* with its NUL, which the next one overwrites */
		memcpy(walk, segment, (size_t)(memory - segment));
		walk += memory - segment - 1;
		if (slash == NULL)
			break;
		at = slash + 1;
	}
	*walk = '\0';
	out->path = path;
	if (mark != NULL &&
	    !parse_query(mark + 1, target + len - mark - 1, memory, out))
		return err_set_name(err, ERR_BAD_INPUT, "bad_query",
		    "The query is not valid, too long, or says one thing "
		    "twice.");
	return true;
}

bool
cookie_find(const char *header, const char *name, char *out, size_t size)
{
	size_t name_len = strlen(name);

	while (header != NULL && *header != '\0') {
		size_t len;

		header += strspn(header, " \t;");
		len = strcspn(header, ";");
		if (len > name_len && header[name_len] == '=' &&
		    memcmp(header, name, name_len) == 0) {
			const char *value = header + name_len + 1;

			len -= name_len + 1;
			while (len > 0 && value[len - 1] == ' ')
				len--;
			if (len >= size)
				return false;
			memcpy(out, value, len);
			out[len] = '\0';
			return true;
		}
		header += len;
	}
	return false;
}

bool
request_id_valid(const char *text)
{
	size_t len = strlen(text);

	return len >= 8 && len <= 64 &&
	    strspn(text,
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789-_.:") == len;
}

bool
traceparent_valid(const char *text)
{
	static const char form[] =
	    "xx-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";

	if (strlen(text) != sizeof form - 1 || strncmp(text, "ff", 2) == 0)
		return false;
	for (size_t i = 0; i < sizeof form - 1; i++) {
		if (form[i] == '-' ? text[i] != '-'
				   : !isxdigit((unsigned char)text[i]) ||
			    isupper((unsigned char)text[i]))
			return false;
	}
	return strspn(text + 3, "0") < 32 && strspn(text + 36, "0") < 16;
}
