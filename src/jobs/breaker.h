/*
 * breaker.h - when an account's circuit opens and closes: a pure function of
 * what happened to its paid requests.
 *
 *	closed -> open        BREAKER_FAILURES in a row within BREAKER_WINDOW_MS
 *	open -> half open     after a while (PostgreSQL keeps the time, so that
 *	                      all instances and restarts see the same)
 *	half open -> closed   the one probe was answered
 *	half open -> open     the probe failed: for twice as long
 *
 * Only their side counts: 5xx and the network.  A refusal is an answer.
 */
#ifndef REELD_JOBS_BREAKER_H
#define REELD_JOBS_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

enum {
	BREAKER_FAILURES = 5,
	BREAKER_WINDOW_MS = 60 * 1000,
	BREAKER_OPEN_MS = 30 * 1000 /* the first time */
};

struct breaker {
	int failures;	       /* in a row */
	int64_t since_ms;      /* of the first of them */
	int64_t open_until_ms; /* as this process knows; 0: closed */
};

enum breaker_do { BREAKER_NOTHING, BREAKER_OPEN, BREAKER_CLOSE };

/* failed: else it was answered.  probe: the request that a half open circuit
 * let through.  now_ms: monotonic. */
enum breaker_do
breaker_on(struct breaker *self, bool failed, bool probe, int64_t now_ms);

#endif
