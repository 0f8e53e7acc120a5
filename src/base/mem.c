/* mem.c - allocation that ends the process instead of failing. */
#include "reeld/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *
check(void *ptr)
{
	static const char text[] =
	    "level=error module=base msg=\"out of memory\"\n";

	if (ptr == NULL) {
		if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
			abort();
		abort();
	}
	return ptr;
}

void *
xmalloc(size_t size)
{
	return check(malloc(size > 0 ? size : 1));
}

void *
xcalloc(size_t count, size_t size)
{
	return check(calloc(count > 0 ? count : 1, size > 0 ? size : 1));
}

void *
xrealloc(void *ptr, size_t size)
{
	return check(realloc(ptr, size > 0 ? size : 1));
}

char *
xstrdup(const char *text)
{
	return text == NULL ? NULL : check(strdup(text));
}

char *
xstrndup(const char *text, size_t max)
{
	return check(strndup(text, max));
}

void *
xmemdup(const void *ptr, size_t size)
{
	void *copy = xmalloc(size);

	if (size > 0)
		memcpy(copy, ptr, size);
	return copy;
}

char *
xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *text;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	return check(n < 0 ? NULL : text);
}
