/* google.h - between google.c and google_omni.c: one key and one host, two
 * APIs. */
#ifndef REELD_PROVIDERS_GOOGLE_H
#define REELD_PROVIDERS_GOOGLE_H

#include "providers/internal.h"

/* A request to <base>/<path> with the key. */
void google_start(const struct provider_job *job, struct fetch_spec *out,
    const char *method, const char *path);
/* {"error": {code, status, message, details}} with any HTTP status. */
void google_error(enum provider_step step, const struct fetch_reply *reply,
    struct provider_verdict *out);
/* A google.rpc.Status: the end of a generation. */
void
google_status(struct provider_verdict *out, int64_t code, const char *message);
/* The video at uri; false when it can't be fetched from there. */
bool google_video(const struct provider_job *job, const char *uri,
    struct provider_verdict *out);

/* Gemini Omni by the Interactions API. */
bool omni_submit(const struct provider_job *job, struct json_object *body,
    struct fetch_spec *out, struct err *err);
void omni_submitted(const struct provider_job *job,
    const struct fetch_reply *reply, struct provider_verdict *out);
void omni_polled(const struct provider_job *job,
    const struct fetch_reply *reply, struct provider_verdict *out);
bool omni_cancel(const struct provider_job *job, struct fetch_spec *out);

#endif
