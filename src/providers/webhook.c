/* webhook.c - signatures of webhooks, with libcrypto. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reeld/id.h"
#include "reeld/json.h"
#include "reeld/mem.h"
#include "reeld/webhook.h"

#define SECRET_MAX 256

/* "whsec_" + base64, or the text itself; returns the length, -1 for neither. */
static int
secret_bytes(const char *secret, unsigned char out[SECRET_MAX])
{
	unsigned char decoded[SECRET_MAX];
	const char *text = secret;
	size_t len;
	int n;

	if (!str_starts(secret, "whsec_")) {
		len = strlen(secret);
		if (len == 0 || len > SECRET_MAX)
			return -1;
		memcpy(out, secret, len);
		return (int)len;
	}
	text += strlen("whsec_");
	len = strlen(text);
	if (len == 0 || len % 4 != 0 || len / 4 * 3 > sizeof decoded)
		return -1;
	n = EVP_DecodeBlock(decoded, (const unsigned char *)text, (int)len);
	if (n <= 0)
		return -1;
	n -= text[len - 1] == '=';
	n -= text[len - 2] == '=';
	memcpy(out, decoded, (size_t)n);
	return n;
}

/* The signature as base64: 44 characters and a NUL. */
static bool
compute(const char *secret, const char *id, const char *timestamp,
    const void *body, size_t len, char out[48])
{
	unsigned char key[SECRET_MAX];
	uint8_t mac[32];
	struct buf message;
	int key_len = secret_bytes(secret, key);

	if (key_len < 0)
		return false;
	buf_init(&message, len + strlen(id) + strlen(timestamp) + 2);
	buf_printf(&message, "%s.%s.", id, timestamp);
	buf_add(&message, body, len);
	hmac_sha256(key, (size_t)key_len, message.data, message.len, mac);
	EVP_EncodeBlock((unsigned char *)out, mac, sizeof mac);
	buf_fini(&message);
	return true;
}

static bool
any_matches(const char *header, const char *expected)
{
	bool found = false;

	while (*header != '\0') {
		size_t len = strcspn(header, " ");

		/* No early end: the time says nothing about the place. */
		if (len > 3 && strncmp(header, "v1,", 3) == 0 &&
		    secret_eq(header + 3, len - 3, expected, strlen(expected)))
			found = true;
		header += len;
		header += strspn(header, " ");
	}
	return found;
}

bool
webhook_verify(const char *secret, const char *id, const char *timestamp,
    const char *signature, const void *body, size_t len, int64_t now_ms,
    struct err *err)
{
	char expected[48];
	int64_t at;

	if (secret == NULL || id == NULL || timestamp == NULL ||
	    signature == NULL)
		return err_set_name(err, ERR_UNAUTHORIZED, "bad_signature",
		    "The message is not signed");
	if (!str_to_i64(timestamp, 0, INT64_C(1) << 40, &at) ||
	    llabs(now_ms / 1000 - at) > WEBHOOK_TOLERANCE_S)
		return err_set_name(err, ERR_UNAUTHORIZED, "stale_signature",
		    "The message's time is too far from now");
	if (!compute(secret, id, timestamp, body, len, expected) ||
	    !any_matches(signature, expected))
		return err_set_name(err, ERR_UNAUTHORIZED, "bad_signature",
		    "The message's signature is wrong");
	return true;
}

bool
webhook_sign(const char *secret, const char *id, int64_t timestamp_s,
    const void *body, size_t len, char *out, size_t size)
{
	char timestamp[24], mac[48];

	snprintf(timestamp, sizeof timestamp, "%lld", (long long)timestamp_s);
	if (!compute(secret, id, timestamp, body, len, mac))
		return false;
	return snprintf(out, size, "v1,%s", mac) < (int)size;
}

static bool
verify_one(const uint8_t *key, const uint8_t *signature, const void *message,
    size_t len)
{
	EVP_PKEY *pkey =
	    EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, 32);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = pkey != NULL && ctx != NULL &&
	    EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
	    EVP_DigestVerify(ctx, signature, 64, message, len) == 1;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	return ok;
}

bool
webhook_verify_ed25519(const struct json_object *jwks, const uint8_t *signature,
    size_t signature_len, const void *message, size_t len, struct err *err)
{
	struct json_object *keys = json_arr_at(jwks, "keys");
	size_t n = json_count(keys);

	for (size_t i = 0; i < n && i < 16 && signature_len == 64; i++) {
		const char *x = json_text_at(json_item(keys, i), "x");
		uint8_t key[64];

		if (x != NULL && strlen(x) == 43 &&
		    b64url_decode(key, sizeof key, x) == 32 &&
		    verify_one(key, signature, message, len))
			return true;
	}
	return err_set_name(err, ERR_UNAUTHORIZED, "bad_signature",
	    "The message's signature is wrong");
}
