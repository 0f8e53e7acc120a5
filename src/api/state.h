/* state.h - the api layer's own memory; see api_open(). */
#ifndef REELD_API_STATE_H
#define REELD_API_STATE_H

#include "api/internal.h"

struct api_state {
	struct api_work *work;	 /* in flight, with or without a client */
	struct live_state *live; /* live_hooks.c */
	struct submits *submits;
};

#endif
