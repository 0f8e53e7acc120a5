/*
 * seal.h - short secrets at rest: AES-256-GCM under a master key that is in a
 * file and nowhere else.
 *
 * A sealed text is base64url of: version (1 byte), key id (1 byte), nonce (12
 * random bytes), ciphertext, tag (16 bytes).  What it belongs to (`whose`) is
 * authenticated with it, so that it can't be moved to another row.  The file
 * holds one or more keys of 32 bytes: the first seals, all of them open; so a
 * new key is put before the old ones.
 */
#ifndef REELD_SEAL_H
#define REELD_SEAL_H

#include <stddef.h>
#include <stdint.h>

#include "reeld/err.h"

struct seal_ring;

enum { SEAL_KEY_LEN = 32, SEAL_MAX_KEYS = 8, SEAL_MAX_TEXT = 4096 };

/* Reads the file (blocking, at start).  The caller frees *out. */
bool seal_ring_load(
    const char *path, struct seal_ring **out, struct err *err) REELD_MUST;
/* From memory, copied. */
struct seal_ring *seal_ring_new(const uint8_t *keys, size_t n_keys);
void seal_ring_free(struct seal_ring *ring); /* wipes it; NULL is fine */

/* The caller frees it. */
char *seal(const struct seal_ring *ring, const char *text, const char *whose);
/* *out is the caller's: secret_free() it.  False: not sealed by one of our
 * keys for `whose`, or damaged. */
bool unseal(const struct seal_ring *ring, const char *sealed, const char *whose,
    char **out, struct err *err) REELD_MUST;

/* Wipes, then frees; NULL is fine. */
void secret_free(char *text);

#endif
