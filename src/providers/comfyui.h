/* comfyui.h - between comfyui.c (requests) and comfyui_state.c (replies about
 * a prompt). */
#ifndef REELD_PROVIDERS_COMFYUI_H
#define REELD_PROVIDERS_COMFYUI_H

#include "providers/internal.h"

/* A request to <base><path><id>; the key, if any, for a proxy in front. */
void comfyui_start(const struct provider_job *job, struct fetch_spec *out,
    const char *method, const char *path, const char *id);
/* A member by its exact name, which may hold dots. */
struct json_object *
comfyui_member(const struct json_object *obj, const char *name);

bool comfyui_poll(
    const struct provider_job *job, struct fetch_spec *out, struct err *err);
void comfyui_polled(const struct provider_job *job,
    const struct fetch_reply *reply, struct provider_verdict *out);
bool comfyui_queue(
    const struct provider_job *job, struct fetch_spec *out, struct err *err);
void comfyui_queued(const struct provider_job *job,
    const struct fetch_reply *reply, struct provider_verdict *out);
bool comfyui_find(
    const struct provider_job *job, struct fetch_spec *out, struct err *err);
void comfyui_found(const struct provider_job *job,
    const struct fetch_reply *reply, struct provider_verdict *out);

#endif
