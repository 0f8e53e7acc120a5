/* worker.h - what the worker endpoints share. */
#ifndef REELD_API_WORKER_H
#define REELD_API_WORKER_H

#include "api/act.h"

/* A worker's key, or an operator; else replied 403. */
bool worker_may(struct http_call *call) REELD_MUST;

/* Whose job it is and by what right; false: replied. */
struct worker_call {
	struct id attempt;
	char token[67]; /* SHA-256 as bytea, "": a worker's key instead */
};
bool
worker_call_read(struct http_call *call, struct worker_call *out) REELD_MUST;
/* The hash of X-Job-Token, for statements; "" when absent; false: replied. */
bool worker_token_read(struct http_call *call, char out[67]) REELD_MUST;

/* For the gate, before any body is taken: a job token that is there must be
 * the one of the attempt in the path; where none is in the path, have a
 * token's form. */
bool worker_token_ok(const struct http_call *call);
/* A job token that is there is that attempt's; costs no statement. */
bool worker_token_is(const struct http_call *call, const struct id *attempt);

/* Outcomes that are refusals: gone, ended, bad_token, ...; ends the act. */
void worker_refuse(struct act *act, const char *outcome);
/* The owner's engine should look at it, and operators see it. */
void worker_news(struct act *act, const struct pg_rows *rows, const char *type,
    const char *worker);

#endif
