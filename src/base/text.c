/* text.c - small string helpers: copies, numbers, UTF-8, hex, base64url. */
#include <string.h>

#include "reeld/mem.h"

bool
str_copy(char *dst, size_t size, const char *src)
{
	size_t len = strlen(src), n = len < size ? len : size - 1;

	memcpy(dst, src, n);
	dst[n] = '\0';
	return len < size;
}

bool
str_starts(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool
str_ends(const char *text, const char *suffix)
{
	size_t a = strlen(text), b = strlen(suffix);

	return a >= b && strcmp(text + a - b, suffix) == 0;
}

bool
str_eq(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return strcmp(a, b) == 0;
}

bool
str_to_i64(const char *text, int64_t min, int64_t max, int64_t *out)
{
	bool negative = text[0] == '-';
	const char *p = text + (negative ? 1 : 0);
	int64_t value = 0;

	if (*p == '\0')
		return false;
	for (; *p != '\0'; p++) {
		if (*p < '0' || *p > '9')
			return false;
		/* Counted downwards: the negative range is the larger one. */
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_sub_overflow(value, *p - '0', &value))
			return false;
	}
	if (!negative && __builtin_sub_overflow(0, value, &value))
		return false;
	if (value < min || value > max)
		return false;
	*out = value;
	return true;
}

char *
str_put_u64(char *at, uint64_t value, unsigned base)
{
	char digits[20];
	size_t n = 0;

	do
		digits[n++] = "0123456789abcdef"[value % base];
	while ((value /= base) > 0);
	while (n > 0)
		*at++ = digits[--n];
	*at = '\0';
	return at;
}

/* Length of the sequence at p, or 0 when it is not valid UTF-8. */
static size_t
sequence(const unsigned char *p, size_t len)
{
	size_t n = p[0] < 0x80 ? 1
	    : p[0] < 0xc2      ? 0
	    : p[0] < 0xe0      ? 2
	    : p[0] < 0xf0      ? 3
	    : p[0] < 0xf5      ? 4
			       : 0;

	if (n == 0 || n > len)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0; /* overlong, surrogate, past U+10FFFF */
	return n;
}

bool
utf8_valid(const char *text, size_t len)
{
	for (size_t i = 0, n; i < len; i += n) {
		uint64_t eight;

		/* Most of it is ASCII. */
		if (len - i >= sizeof eight) {
			memcpy(&eight, text + i, sizeof eight);
			n = sizeof eight;
			if ((eight & 0x8080808080808080u) == 0)
				continue;
		}
		n = sequence((const unsigned char *)text + i, len - i);
		if (n == 0)
			return false;
	}
	return true;
}

size_t
utf8_count(const char *text, size_t len)
{
	size_t count = 0;

	for (size_t i = 0; i < len; i++)
		count += ((unsigned char)text[i] & 0xc0) != 0x80;
	return count;
}

void
hex_encode(char *dst, const void *src, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = src;

	for (size_t i = 0; i < len; i++) {
		*dst++ = digits[p[i] >> 4];
		*dst++ = digits[p[i] & 15];
	}
	*dst = '\0';
}

static int
nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
hex_decode(void *dst, size_t size, const char *src)
{
	unsigned char *out = dst;

	if (strlen(src) != size * 2)
		return false;
	for (size_t i = 0; i < size; i++) {
		int hi = nibble(src[2 * i]), lo = nibble(src[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		out[i] = (unsigned char)(hi << 4 | lo);
	}
	return true;
}

static const char b64[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t
b64url_encode(char *dst, const void *src, size_t len)
{
	const unsigned char *p = src;
	char *out = dst;
	size_t i;

	for (i = 0; i + 2 < len; i += 3) {
		*out++ = b64[p[i] >> 2];
		*out++ = b64[(p[i] & 3) << 4 | p[i + 1] >> 4];
		*out++ = b64[(p[i + 1] & 15) << 2 | p[i + 2] >> 6];
		*out++ = b64[p[i + 2] & 63];
	}
	if (len - i == 1) {
		*out++ = b64[p[i] >> 2];
		*out++ = b64[(p[i] & 3) << 4];
	} else if (len - i == 2) {
		*out++ = b64[p[i] >> 2];
		*out++ = b64[(p[i] & 3) << 4 | p[i + 1] >> 4];
		*out++ = b64[(p[i + 1] & 15) << 2];
	}
	*out = '\0';
	return out - dst;
}

ssize_t
b64url_decode(void *dst, size_t size, const char *src)
{
	unsigned char *out = dst;
	uint32_t bits = 0;
	unsigned have = 0;
	size_t n = 0;

	for (; *src != '\0'; src++) {
		const char *at = strchr(b64, *src);

		if (at == NULL)
			return -1;
		bits = bits << 6 | (uint32_t)(at - b64);
		have += 6;
		if (have >= 8) {
			have -= 8;
			if (n == size)
				return -1;
			out[n++] = (unsigned char)(bits >> have);
		}
	}
	/* Left-over bits must be zero and never a whole character. */
	if (have >= 6 || (bits & ((1u << have) - 1)) != 0)
		return -1;
	return (ssize_t)n;
}
