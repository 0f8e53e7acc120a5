/* kling.h - between kling.c (requests, callbacks) and kling_reply.c. */
#ifndef REELD_PROVIDERS_KLING_H
#define REELD_PROVIDERS_KLING_H

#include "providers/internal.h"

/* The task's id in a reply's data or a callback, or NULL. */
const char *kling_task_id(const struct json_object *data);

void kling_submitted(const struct provider_job *job,
    const struct fetch_reply *reply, struct provider_verdict *out);
void kling_polled(const struct provider_job *job,
    const struct fetch_reply *reply, struct provider_verdict *out);
void kling_found(const struct provider_job *job,
    const struct fetch_reply *reply, struct provider_verdict *out);

#endif
