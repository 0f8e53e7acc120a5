/*
 * range.c - Range, entity tags and file names as text.  Pure; called by
 * file.c, reply.c and upload.c.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "http/internal.h"

static bool
digits(const char **at, int64_t *out)
{
	const char *start = *at;

	*out = 0;
	while (**at >= '0' && **at <= '9' && *at - start < 18)
		*out = *out * 10 + (*(*at)++ - '0');
	return *at > start && !(**at >= '0' && **at <= '9');
}

/* One range only: a list of them is answered with the whole (RFC 9110 lets
 * a server ignore Range), so nobody can ask for a thousand pieces. */
enum range
range_parse(const char *text, int64_t size, int64_t *from, int64_t *length)
{
	int64_t first, last;

	if (text == NULL || strncasecmp(text, "bytes=", 6) != 0)
		return RANGE_NONE;
	text += 6;
	if (*text == '-') {
		text++;
		if (!digits(&text, &last) || *text != '\0')
			return RANGE_NONE;
		if (last == 0 || size == 0)
			return RANGE_BAD;
		*from = last >= size ? 0 : size - last;
		*length = size - *from;
		return RANGE_OK;
	}
	if (!digits(&text, &first) || *text++ != '-')
		return RANGE_NONE;
	last = size - 1;
	if (*text != '\0' &&
	    (!digits(&text, &last) || *text != '\0' || last < first))
		return RANGE_NONE;
	if (first >= size)
		return RANGE_BAD;
	if (last >= size)
		last = size - 1;
	*from = first;
	*length = last - first + 1;
	return RANGE_OK;
}

bool
etag_matches(const char *header, const char *tag)
{
	size_t tag_len = strlen(tag);

	if (header == NULL || tag_len == 0)
		return false;
	while (*header != '\0') {
		size_t len;

		header += strspn(header, " \t,");
		if (header[0] == '*')
			return true;
		if (strncmp(header, "W/", 2) == 0)
			header += 2;
		if (header[0] != '"')
			return false;
		len = strcspn(++header, "\"");
		if (len == tag_len && memcmp(header, tag, len) == 0)
			return true;
		header += len;
		if (*header == '"')
			header++;
	}
	return false;
}

bool
etag_is(const char *header, const char *tag)
{
	size_t len = strlen(tag);

	return strlen(header) == len + 2 && header[0] == '"' &&
	    header[len + 1] == '"' && memcmp(header + 1, tag, len) == 0;
}

void
display_name(const char *name, char *out, size_t size)
{
	const char *base = name;
	size_t n = 0;

	for (const char *p = name; *p != '\0'; p++) {
		if (*p == '/' || *p == '\\')
			base = p + 1;
	}
	while (*base == '.' || *base == ' ')
		base++;
	for (; *base != '\0' && n + 1 < size; base++) {
		const unsigned char *p = (const unsigned char *)base;
		unsigned char c = *p;

		if (c < 0x20 || c == 0x7f || strchr("\"<>|:*?", c) != NULL)
			c = '_';
		/* U+200E, U+200F, U+202A-E, U+2066-9: they turn text around,
		 * so that a name ends otherwise than it seems to. */
		if (c == 0xe2 &&
		    ((p[1] == 0x80 &&
			 (p[2] == 0x8e || p[2] == 0x8f ||
			     (p[2] >= 0xaa && p[2] <= 0xae))) ||
			(p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9))) {
			c = '_';
			base += 2;
		}
		out[n++] = c;
	}
	out[n] = '\0';
	/* A cut in the middle of a character is undone. */
	while (n > 0 && !utf8_valid(out, n))
		out[--n] = '\0';
}

void
shown_path(const char *path, char *out, size_t size)
{
	const char *end = path;

	/* /hooks/provider/attempt/token */
	if (str_starts(path, "/hooks/"))
		for (int slashes = 0; *end != '\0' && slashes < 4; end++)
			slashes += *end == '/';
	if (!str_copy(out, size, path))
		for (size_t n = strlen(out); n > 0 && !utf8_valid(out, n);)
			out[--n] = '\0';
	if (end != path && *end != '\0' && (size_t)(end - path) + 2 <= size)
		str_copy(out + (end - path), size - (size_t)(end - path), "*");
}

void
disposition(bool attachment, const char *name, char *out, size_t out_size)
{
	char clean[160];
	struct buf buf;

	display_name(name, clean, sizeof clean);
	buf_init(&buf, out_size - 1);
	buf_puts(&buf, attachment ? "attachment" : "inline");
	if (clean[0] != '\0') {
		bool ascii = true;

		buf_puts(&buf, "; filename=\"");
		for (const char *p = clean; *p != '\0'; p++) {
			bool plain = (unsigned char)*p < 0x80 && *p != '%';

			ascii = ascii && plain;
			/* one mark per character, not per byte */
			if (((unsigned char)*p & 0xc0) != 0x80)
				buf_putc(&buf, plain ? *p : '_');
		}
		buf_puts(&buf, "\"");
		if (!ascii)
			buf_puts(&buf, "; filename*=UTF-8''");
		for (const char *p = clean; !ascii && *p != '\0'; p++) {
			unsigned char c = *p;

			if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			    (c >= '0' && c <= '9') || strchr("-._", c) != NULL)
				buf_putc(&buf, c);
			else
				buf_printf(&buf, "%%%02X", c);
		}
	}
	str_copy(out, out_size,
	    buf_ok(&buf)     ? buf_str(&buf)
		: attachment ? "attachment"
			     : "inline");
	buf_fini(&buf);
}
