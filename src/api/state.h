/* state.h - the api layer's own memory; see api_open(). */
#ifndef REELD_API_STATE_H
#define REELD_API_STATE_H

#include "api/internal.h"

struct api_state {
	struct api_once *once; /* idempotent work in flight */
};

void api_once_free(struct api_once *once);

#endif
