/* token.c - making and checking the secrets that reeld hands out. */
#include "reeld/token.h"

#include <stdio.h>
#include <string.h>

#include "reeld/id.h"
#include "reeld/mem.h"

#define START "rld_live_"

static const char base62[] =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* Uniform: bytes past the last multiple of 62 are thrown away. */
static void
random_base62(char *out, size_t n)
{
	uint8_t raw[64];
	size_t have = 0;

	while (n > 0) {
		if (have == 0) {
			random_bytes(raw, sizeof raw);
			have = sizeof raw;
		}
		if (raw[--have] < 248) {
			*out++ = base62[raw[have] % 62];
			n--;
		}
	}
	explicit_bzero(raw, sizeof raw);
}

static bool
is_base62(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	    (c >= 'a' && c <= 'z');
}

/* CRC-32 (IEEE), six base62 digits.  Half a byte at a time: each request
 * with a key does this. */
static void
checksum(const char *text, size_t len, char out[7])
{
	static const uint32_t nibble[16] = {0x00000000, 0x1db71064, 0x3b6e20c8,
	    0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
	    0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0,
	    0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < len; i++) {
		crc ^= (unsigned char)text[i];
		crc = crc >> 4 ^ nibble[crc & 15];
		crc = crc >> 4 ^ nibble[crc & 15];
	}
	crc = ~crc;
	for (int i = 5; i >= 0; i--, crc /= 62)
		out[i] = base62[crc % 62];
	out[6] = '\0';
}

static void
derive(struct api_key *key)
{
	memcpy(key->prefix, key->text, sizeof key->prefix - 1);
	key->prefix[sizeof key->prefix - 1] = '\0';
	sha256(key->text, API_KEY_LEN, key->hash);
}

void
api_key_new(struct api_key *out)
{
	char *p = out->text;
	char sum[7];

	memcpy(p, START, sizeof START);
	p += sizeof START - 1;
	random_base62(p, API_KEY_ID_LEN);
	p += API_KEY_ID_LEN;
	*p++ = '_';
	random_base62(p, 43);
	p += 43;
	checksum(out->text, (size_t)(p - out->text), sum);
	memcpy(p, sum, sizeof sum);
	derive(out);
}

bool
api_key_parse(const char *text, struct api_key *out)
{
	const size_t start = sizeof START - 1;
	char sum[7];

	if (strlen(text) != API_KEY_LEN || !str_starts(text, START) ||
	    text[start + API_KEY_ID_LEN] != '_')
		return false;
	for (size_t i = start; i < API_KEY_LEN; i++) {
		if (i != start + API_KEY_ID_LEN && !is_base62(text[i]))
			return false;
	}
	checksum(text, API_KEY_LEN - 6, sum);
	if (strcmp(text + API_KEY_LEN - 6, sum) != 0)
		return false;
	memcpy(out->text, text, API_KEY_LEN + 1);
	derive(out);
	return true;
}

void
token_new(char text[TOKEN_LEN + 1], uint8_t hash[32])
{
	char raw[TOKEN_LEN + 2]; /* random_token() asks for whole groups */

	random_token(raw, sizeof raw, 32);
	memcpy(text, raw, TOKEN_LEN + 1);
	sha256(text, TOKEN_LEN, hash);
}

bool
token_hash(const char *text, uint8_t hash[32])
{
	uint8_t raw[32];

	if (strlen(text) != TOKEN_LEN ||
	    b64url_decode(raw, sizeof raw, text) != sizeof raw)
		return false;
	sha256(text, TOKEN_LEN, hash);
	return true;
}

void
hash_to_bytea(const uint8_t hash[32], char out[67])
{
	out[0] = '\\';
	out[1] = 'x';
	hex_encode(out + 2, hash, 32);
}
