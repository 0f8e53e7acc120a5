/*
 * Webhook signatures: lines of secret, id, timestamp and signature, then the
 * body.  A signature that we made is right, any other is not.
 */
#include "fuzz.h"
#include "reeld/json.h"
#include "reeld/webhook.h"

static void
standard(const char *secret, const char *id, const char *stamp,
    const char *signature, const void *body, size_t len)
{
	char own[64];
	struct err err = {0};
	const int64_t now_ms = 1700000000000;

	if (!webhook_verify(
		secret, id, stamp, signature, body, len, now_ms, &err))
		FUZZ_CHECK(err.code == ERR_UNAUTHORIZED);
	if (!webhook_sign(
		secret, id, now_ms / 1000, body, len, own, sizeof own))
		return;
	FUZZ_CHECK(webhook_verify(
	    secret, id, "1700000000", own, body, len, now_ms, &err));
	own[4] = own[4] == 'A' ? 'B' : 'A';
	FUZZ_CHECK(!webhook_verify(
	    secret, id, "1700000000", own, body, len, now_ms, &err));
	FUZZ_CHECK(err.code == ERR_UNAUTHORIZED);
}

void
fuzz_one(struct fuzz_in *in)
{
	char *secret = fuzz_line(in), *id = fuzz_line(in);
	char *stamp = fuzz_line(in), *signature = fuzz_line(in);
	size_t len;
	void *body = fuzz_rest(in, &len);
	struct json_object *keys = NULL;
	uint8_t bytes[64] = {0};

	standard(secret, id, stamp, signature, body, len);
	/* and the body as the key document of the other kind */
	if (json_parse_flags(body, len, 1 << 16, JSON_FOREIGN, &keys, NULL))
		FUZZ_CHECK(!webhook_verify_ed25519(
		    keys, bytes, sizeof bytes, "x", 1, NULL));
	json_free(&keys);
	free(secret);
	free(id);
	free(stamp);
	free(signature);
	free(body);
}
