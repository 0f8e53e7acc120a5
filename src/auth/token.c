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

/* CRC-32 (IEEE), six base62 digits. */
static void
checksum(const char *text, size_t len, char out[7])
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < len; i++) {
		crc ^= (unsigned char)text[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
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
		if (i != start + API_KEY_ID_LEN &&
		    strchr(base62, text[i]) == NULL)
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
