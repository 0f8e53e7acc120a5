/*
 * id.h - identifiers and randomness.  Rows that the outside can name have a
 * UUIDv7 (time-sorted, RFC 9562), written as 36 lower-case characters.
 */
#ifndef REELD_ID_H
#define REELD_ID_H

#include <stddef.h>
#include <stdint.h>

#include "reeld/err.h"

#define ID_LEN 36

struct id {
	char text[ID_LEN + 1];
};

struct id id_new(void);
/* Accepts any RFC 9562 text form with dashes, stores it in lower case. */
bool id_parse(const char *text, struct id *out) REELD_MUST;
bool id_eq(const struct id *a, const struct id *b);
bool id_is_set(const struct id *id);

/* Random bytes from the kernel; ends the process if there are none. */
void random_bytes(void *out, size_t len);
uint32_t random_below(uint32_t limit);
/* n random bytes as base64url text; size >= 4*(n+2)/3+1. */
void random_token(char *out, size_t size, size_t n_bytes);
/* Fills sum[32]. */
void sha256(const void *data, size_t len, uint8_t sum[32]);
/* 64 hex digits and a NUL. */
void sha256_hex(const void *data, size_t len, char out[65]);
/* key may be NULL when key_len is 0. */
void hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
    uint8_t out[32]);
/* Constant-time; lengths may differ (then false). */
bool secret_eq(const void *a, size_t a_len, const void *b, size_t b_len);

#endif
