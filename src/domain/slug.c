/* slug.c - names for URLs. */
#include <string.h>

#include "reeld/mem.h"
#include "reeld/slug.h"

static bool
alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool
slug_valid(const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len > SLUG_MAX || !alnum(text[0]))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!alnum(text[i]) && strchr("._-", text[i]) == NULL)
			return false;
	}
	return true;
}

void
slug_make(const char *text, const char *fallback, char *out, size_t size)
{
	size_t len = 0, max = size - 1 < SLUG_MAX ? size - 1 : SLUG_MAX;

	for (const char *p = text; *p != '\0' && len < max; p++) {
		char c = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;

		if (alnum(c) || ((c == '.' || c == '_') && len > 0))
			out[len++] = c;
		else if (len > 0 && out[len - 1] != '-')
			out[len++] = '-';
	}
	while (len > 0 && !alnum(out[len - 1]))
		len--;
	out[len] = '\0';
	if (len == 0)
		str_copy(out, size, fallback);
}
