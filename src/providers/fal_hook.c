/*
 * fal_hook.c - fal.ai's webhooks: an Ed25519 signature over the request's id,
 * the user, the time and the hash of the body, by keys that fal publishes; then
 * {request_id, status, payload}.  They only hurry a poll, or bring the id of a
 * submit whose answer was lost.
 */
#include <stdlib.h>
#include <string.h>

#include "providers/internal.h"
#include "reeld/id.h"
#include "reeld/mem.h"
#include "reeld/webhook.h"

bool
fal_hook_verify(const struct provider_hook *hook,
    const struct json_object *keys, struct err *err)
{
	const char *id = hook->header("X-Fal-Webhook-Request-Id", hook->arg);
	const char *user = hook->header("X-Fal-Webhook-User-Id", hook->arg);
	const char *time = hook->header("X-Fal-Webhook-Timestamp", hook->arg);
	const char *hex = hook->header("X-Fal-Webhook-Signature", hook->arg);
	uint8_t signature[64];
	char digest[65], *message;
	int64_t at;
	bool ok;

	if (id == NULL || user == NULL || time == NULL || hex == NULL ||
	    strlen(hex) != 128 || !hex_decode(signature, sizeof signature, hex))
		return err_set_name(err, ERR_UNAUTHORIZED, "unsigned",
		    "The message is not signed by fal.ai");
	if (!str_to_i64(time, 0, INT64_C(1) << 40, &at) ||
	    llabs(hook->now_ms / 1000 - at) > WEBHOOK_TOLERANCE_S)
		return err_set_name(err, ERR_UNAUTHORIZED, "stale_signature",
		    "The message's time is too far from now");
	sha256_hex(hook->body, hook->len, digest);
	message = xasprintf("%s\n%s\n%s\n%s", id, user, time, digest);
	ok = webhook_verify_ed25519(
	    keys, signature, sizeof signature, message, strlen(message), err);
	free(message);
	return ok;
}

bool
fal_hook_read(const struct provider_job *job, struct json_object *body,
    struct provider_verdict *out, struct err *err)
{
	const char *id = json_text_at(body, "request_id");

	if (id == NULL || id[0] == '\0' || json_text_at(body, "status") == NULL)
		return err_set_name(err, ERR_BAD_INPUT, "bad_webhook",
		    "This is not a message of fal.ai");
	if (job->provider_id != NULL && strcmp(job->provider_id, id) != 0)
		return err_set_name(err, ERR_CONFLICT, "other_request",
		    "The message is about another request");
	verdict_status(out, json_text_at(body, "status"), NULL, 0);
	if (str_eq(out->status, "OK")) {
		out->result = json_copy(json_obj_at(body, "payload"));
		if (out->result == NULL)
			out->result = json_new();
	}
	/* The id is news when the answer to the submit was lost; what came
	 * of it is asked for over our own connection. */
	verdict_set_text(&out->provider_id, id);
	out->state = PROVIDER_UNKNOWN;
	out->next = PROVIDER_STEP_POLL;
	return true;
}
