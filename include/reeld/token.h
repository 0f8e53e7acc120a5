/*
 * token.h - the secrets that reeld hands out: API keys, session ids, sign-in
 * links, job tokens.  The database keeps only their SHA-256; a key is found
 * by its public prefix and compared in constant time.
 *
 * An API key is rld_live_<12>_<43><6>: a public id, 256 bits of secret and a
 * checksum, all base62.  The fixed start and the checksum let secret scanners
 * (and us, before any query) tell a key from noise.
 */
#ifndef REELD_TOKEN_H
#define REELD_TOKEN_H

#include <stdint.h>

#include "reeld/err.h"

enum {
	API_KEY_ID_LEN = 12,
	API_KEY_LEN = 9 + API_KEY_ID_LEN + 1 + 43 + 6,
	TOKEN_LEN = 43 /* 32 random bytes as base64url */
};

struct api_key {
	char text[API_KEY_LEN + 1];	     /* shown once, then forgotten */
	char prefix[9 + API_KEY_ID_LEN + 1]; /* "rld_live_<12>", public */
	uint8_t hash[32];		     /* of the whole text */
};

void api_key_new(struct api_key *out);
/* Checks form and checksum, and fills all of out. */
bool api_key_parse(const char *text, struct api_key *out) REELD_MUST;

/* A token for links, sessions and tickets, and its hash. */
void token_new(char text[TOKEN_LEN + 1], uint8_t hash[32]);
/* The hash of a token somebody sent; false when it has not a token's form. */
bool token_hash(const char *text, uint8_t hash[32]) REELD_MUST;
/* "\\x<hex>", as PostgreSQL reads bytea. */
void hash_to_bytea(const uint8_t hash[32], char out[67]);

#endif
