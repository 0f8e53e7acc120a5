/*
 * webhook.h - signatures of webhooks, ours and others'.  Standard Webhooks
 * (HMAC-SHA256: Replicate, Kling 3, OpenAI-shaped) and fal's Ed25519.
 */
#ifndef REELD_WEBHOOK_H
#define REELD_WEBHOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reeld/err.h"

struct json_object;

#define WEBHOOK_TOLERANCE_S 300

/*
 * secret: "whsec_" + base64, or raw text.  signature: the whole header, any
 * "v1,<base64>" in it may match.  Refuses old and future timestamps
 * (ERR_UNAUTHORIZED "stale_signature") and wrong signatures (ERR_UNAUTHORIZED
 * "bad_signature").
 */
bool webhook_verify(const char *secret, const char *id, const char *timestamp,
    const char *signature, const void *body, size_t len, int64_t now_ms,
    struct err *err) REELD_MUST;
/* "v1,<base64>" for a message of ours; size >= 48. */
bool webhook_sign(const char *secret, const char *id, int64_t timestamp_s,
    const void *body, size_t len, char *out, size_t size) REELD_MUST;

/* An Ed25519 signature (64 bytes) by any key of a JWKS document. */
bool webhook_verify_ed25519(const struct json_object *jwks,
    const uint8_t *signature, size_t signature_len, const void *message,
    size_t len, struct err *err) REELD_MUST;

#endif
