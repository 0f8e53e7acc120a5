/*
 * err.h - what went wrong, for callers, users and logs.
 *
 * A function that can fail for an outside reason returns bool (marked
 * REELD_MUST) and takes a struct err * as its last parameter, which may be
 * NULL when the caller does not care why.  Callbacks get const struct err *,
 * NULL on success.  Programming mistakes are asserts; running out of memory
 * ends the process.
 */
#ifndef REELD_ERR_H
#define REELD_ERR_H

#include <stdarg.h>
#include <stdbool.h>

#define REELD_MUST __attribute__((warn_unused_result))
#define REELD_PRINTF(f, a) __attribute__((format(printf, f, a)))

enum err_code {
	ERR_OK,
	ERR_BAD_INPUT,	  /* malformed: 400 */
	ERR_INVALID,	  /* well formed, refused by a rule: 422 */
	ERR_UNAUTHORIZED, /* who are you: 401 */
	ERR_NO_CREDIT,	  /* 402 */
	ERR_FORBIDDEN,	  /* 403 */
	ERR_NOT_FOUND,	  /* 404 */
	ERR_METHOD,	  /* 405 */
	ERR_CONFLICT,	  /* the state does not allow it, or running: 409 */
	ERR_GONE,	  /* it was there once: 410 */
	ERR_TOO_LARGE,	  /* 413 */
	ERR_MEDIA_TYPE,	  /* 415 */
	ERR_LIMIT,	  /* too many, too fast: 429 */
	ERR_INTERNAL,	  /* 500 */
	ERR_UPSTREAM,	  /* somebody we asked failed: 502 */
	ERR_UNAVAILABLE,  /* we can't now, later yes: 503 */
	ERR_TIMEOUT,	  /* 504 */
	ERR_STORAGE,	  /* no room: 507 */
	ERR_CODES
};

struct err {
	enum err_code code;
	int retry_after_s; /* 0: unknown */
	char name[40];	   /* "no_credit": specific code, "" = err_name(code) */
	char pointer[80];  /* JSON pointer of the field at fault, or "" */
	char msg[240];	   /* for the user: no secrets, no SQL */
};

/* Fills *err (when not NULL) and returns false, for `return err_set(...)`. */
bool err_set(struct err *err, enum err_code code, const char *fmt, ...)
    REELD_PRINTF(3, 4);
/* The same with a specific code name, such as "unknown_model". */
bool err_set_name(struct err *err, enum err_code code, const char *name,
    const char *fmt, ...) REELD_PRINTF(4, 5);
/* The same with the JSON pointer of the field at fault ("#/duration"). */
bool err_set_field(struct err *err, enum err_code code, const char *name,
    const char *pointer, const char *fmt, ...) REELD_PRINTF(5, 6);
/* Puts "context: " before the message; returns false. */
bool err_wrap(struct err *err, const char *fmt, ...) REELD_PRINTF(2, 3);
void err_clear(struct err *err);

/* The one table: code -> name, HTTP status, WebSocket close code, retryable. */
const char *err_name(enum err_code code);  /* "bad_input" */
const char *err_title(enum err_code code); /* "Bad input" */
int err_http_status(enum err_code code);
int err_ws_code(enum err_code code);
bool err_may_retry(enum err_code code);
/* The specific name if there is one, else the code's. */
const char *err_code_name(const struct err *err);

#endif
