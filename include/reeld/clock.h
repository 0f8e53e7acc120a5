/*
 * clock.h - time.  Local timers use the monotonic clock; wall time is only
 * for what people and protocols read; rows are stamped by the database.
 */
#ifndef REELD_CLOCK_H
#define REELD_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "reeld/err.h"

int64_t clock_mono_ns(void);
int64_t clock_mono_ms(void);
int64_t clock_wall_ms(void);
/* "2026-11-21T10:00:00.000Z"; size >= 25. */
void time_rfc3339(int64_t wall_ms, char *out, size_t size);
/* Accepts RFC 3339 with offset. */
bool time_parse_rfc3339(const char *text, int64_t *wall_ms) REELD_MUST;
/* "Sat, 21 Nov 2026 10:00:00 GMT"; size >= 30. */
void time_http(int64_t wall_ms, char *out, size_t size);
bool time_parse_http(const char *text, int64_t *wall_ms) REELD_MUST;
/* Retry-After: seconds or HTTP date, as seconds from now in [0, cap_s]. */
bool
time_parse_retry_after(const char *text, int cap_s, int *seconds) REELD_MUST;

#endif
