/* submitted.h - the replies to generation_submit() and generation_retry(). */
#ifndef REELD_API_SUBMITTED_H
#define REELD_API_SUBMITTED_H

#include "api/act.h"

/* Every outcome; credits: what it costs, for the message. */
void submitted(
    struct act *act, const struct pg_rows *rows, int row, int64_t credits);
/* 201 and Location, or 200 and Idempotent-Replayed. */
void submitted_reply(
    struct act *act, const struct pg_rows *rows, int row, bool replayed);

#endif
