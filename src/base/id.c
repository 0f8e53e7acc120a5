/* id.c - UUIDv7 and random tokens. */
#include "reeld/id.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "reeld/clock.h"
#include "reeld/mem.h"

void
random_bytes(void *out, size_t len)
{
	char *p = out;

	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			abort(); /* no randomness, no secrets: stop */
		p += n;
		len -= (size_t)n;
	}
}

uint32_t
random_below(uint32_t limit)
{
	uint64_t value;

	random_bytes(&value, sizeof value);
	return limit == 0 ? 0 : (uint32_t)(value % limit);
}

void
random_token(char *out, size_t size, size_t n_bytes)
{
	unsigned char raw[64];

	if (n_bytes > sizeof raw || size < (n_bytes + 2) / 3 * 4 + 1)
		abort();
	random_bytes(raw, n_bytes);
	b64url_encode(out, raw, n_bytes);
	explicit_bzero(raw, sizeof raw);
}

static void
format(const uint8_t raw[16], struct id *out)
{
	char hex[33];

	hex_encode(hex, raw, 16);
	memcpy(out->text, hex, 8);
	out->text[8] = '-';
	memcpy(out->text + 9, hex + 8, 4);
	out->text[13] = '-';
	memcpy(out->text + 14, hex + 12, 4);
	out->text[18] = '-';
	memcpy(out->text + 19, hex + 16, 4);
	out->text[23] = '-';
	memcpy(out->text + 24, hex + 20, 12);
	out->text[ID_LEN] = '\0';
}

struct id
id_new(void)
{
	uint64_t ms = (uint64_t)clock_wall_ms();
	uint8_t raw[16];
	struct id id;

	random_bytes(raw, sizeof raw);
	for (int i = 0; i < 6; i++)
		raw[i] = (uint8_t)(ms >> (40 - 8 * i));
	raw[6] = (uint8_t)(0x70 | (raw[6] & 0x0f));
	raw[8] = (uint8_t)(0x80 | (raw[8] & 0x3f));
	format(raw, &id);
	return id;
}

bool
id_parse(const char *text, struct id *out)
{
	if (text == NULL || strlen(text) != ID_LEN)
		return false;
	for (int i = 0; i < ID_LEN; i++) {
		char c = text[i];

		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (c != '-')
				return false;
		} else if (c >= 'A' && c <= 'F') {
			c |= 0x20;
		} else if (!((c >= '0' && c <= '9') ||
			       (c >= 'a' && c <= 'f'))) {
			return false;
		}
		out->text[i] = c;
	}
	out->text[ID_LEN] = '\0';
	return true;
}

bool
id_eq(const struct id *a, const struct id *b)
{
	return strcmp(a->text, b->text) == 0;
}

bool
id_is_set(const struct id *id)
{
	return id->text[0] != '\0';
}
