/* asset.h - what uploads and assets share. */
#ifndef REELD_API_ASSET_H
#define REELD_API_ASSET_H

#include <stdlib.h>

#include "api/internal.h"

/* Sets "url" to where the asset's content is. */
void asset_url_set(struct json_object *obj, const char *id);
/* Bytes that one user may keep: system_config storage_quota_bytes. */
int64_t asset_quota(const struct catalogue *cat);

#endif
