/* buf.c - bytes that grow up to a hard maximum. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reeld/mem.h"

void
buf_init(struct buf *buf, size_t max_bytes)
{
	memset(buf, 0, sizeof *buf);
	buf->max = max_bytes;
}

void
buf_fini(struct buf *buf)
{
	free(buf->data);
	buf->data = NULL;
	buf->len = buf->cap = 0;
	buf->full = false;
}

/* Room for n more bytes and a NUL, or false and `full`. */
static bool
reserve(struct buf *buf, size_t n)
{
	size_t cap = buf->cap > 0 ? buf->cap : 128;

	if (buf->full || n > buf->max - buf->len) {
		buf->full = true;
		return false;
	}
	if (buf->data != NULL && buf->len + n + 1 <= buf->cap)
		return true;
	while (cap < buf->len + n + 1)
		cap *= 2;
	if (cap > buf->max + 1)
		cap = buf->max + 1;
	buf->data = xrealloc(buf->data, cap);
	buf->cap = cap;
	return true;
}

void
buf_add(struct buf *buf, const void *data, size_t len)
{
	if (!reserve(buf, len))
		return;
	if (len > 0)
		memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
}

void
buf_puts(struct buf *buf, const char *text)
{
	buf_add(buf, text, strlen(text));
}

void
buf_putc(struct buf *buf, char c)
{
	buf_add(buf, &c, 1);
}

void
buf_printf(struct buf *buf, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || !reserve(buf, n))
		return;
	va_start(ap, fmt);
	vsnprintf(buf->data + buf->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	buf->len += n;
}

void
buf_reset(struct buf *buf)
{
	buf->len = 0;
	buf->full = false;
	if (buf->data != NULL)
		buf->data[0] = '\0';
}

void
buf_drop(struct buf *buf, size_t n)
{
	if (n >= buf->len) {
		buf_reset(buf);
		return;
	}
	memmove(buf->data, buf->data + n, buf->len - n + 1);
	buf->len -= n;
}

char *
buf_take(struct buf *buf, size_t *len)
{
	char *data = buf->data != NULL ? buf->data : xstrdup("");

	if (len != NULL)
		*len = buf->len;
	buf->data = NULL;
	buf->len = buf->cap = 0;
	buf->full = false;
	return data;
}

const char *
buf_str(const struct buf *buf)
{
	return buf->data != NULL ? buf->data : "";
}

bool
buf_ok(const struct buf *buf)
{
	return !buf->full;
}
