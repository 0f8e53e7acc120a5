/* err.c - filling errors, and the one table of what each code means. */
#include "reeld/err.h"

#include <stdio.h>
#include <string.h>

#include "reeld/mem.h"

static const struct {
	const char *name, *title;
	int http, ws;
	bool retry;
} table[ERR_CODES] = {
    [ERR_OK] = {"ok", "OK", 200, 1000, false},
    [ERR_BAD_INPUT] = {"bad_input", "Malformed request", 400, 1007, false},
    [ERR_INVALID] = {"invalid", "Request refused", 422, 1008, false},
    [ERR_UNAUTHORIZED] = {"unauthorized", "Sign-in needed", 401, 1008, false},
    [ERR_NO_CREDIT] = {"no_credit", "Not enough credits", 402, 1008, false},
    [ERR_FORBIDDEN] = {"forbidden", "Not allowed", 403, 1008, false},
    [ERR_NOT_FOUND] = {"not_found", "Not found", 404, 1008, false},
    [ERR_METHOD] = {"method_not_allowed", "Method not allowed", 405, 1008,
	false},
    [ERR_CONFLICT] = {"conflict", "Conflict", 409, 1008, false},
    [ERR_GONE] = {"gone", "No longer here", 410, 1008, false},
    [ERR_TOO_LARGE] = {"too_large", "Too large", 413, 1009, false},
    [ERR_MEDIA_TYPE] = {"media_type", "Unsupported media", 415, 1003, false},
    [ERR_LIMIT] = {"limit", "Too many requests", 429, 1013, true},
    [ERR_INTERNAL] = {"internal", "Internal error", 500, 1011, true},
    [ERR_UPSTREAM] = {"upstream", "Upstream failed", 502, 1011, true},
    [ERR_UNAVAILABLE] = {"unavailable", "Temporarily unavailable", 503, 1013,
	true},
    [ERR_TIMEOUT] = {"timeout", "Timed out", 504, 1011, true},
    [ERR_STORAGE] = {"storage_full", "No room left", 507, 1013, true},
};

__attribute__((format(printf, 5, 0))) static void
fill(struct err *err, enum err_code code, const char *name, const char *pointer,
    const char *fmt, va_list ap)
{
	if (err == NULL)
		return;
	memset(err, 0, sizeof *err);
	err->code = code;
	str_copy(err->name, sizeof err->name, name);
	str_copy(err->pointer, sizeof err->pointer, pointer);
	vsnprintf(err->msg, sizeof err->msg, fmt, ap);
}

bool
err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(err, code, "", "", fmt, ap);
	va_end(ap);
	return false;
}

bool
err_set_name(
    struct err *err, enum err_code code, const char *name, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(err, code, name, "", fmt, ap);
	va_end(ap);
	return false;
}

bool
err_set_field(struct err *err, enum err_code code, const char *name,
    const char *pointer, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(err, code, name, pointer, fmt, ap);
	va_end(ap);
	return false;
}

bool
err_wrap(struct err *err, const char *fmt, ...)
{
	char context[120], old[sizeof err->msg];
	va_list ap;

	if (err == NULL)
		return false;
	va_start(ap, fmt);
	vsnprintf(context, sizeof context, fmt, ap);
	va_end(ap);
	memcpy(old, err->msg, sizeof old);
	snprintf(err->msg, sizeof err->msg, "%s: %.*s", context,
	    (int)(sizeof err->msg - sizeof context - 3), old);
	return false;
}

void
err_clear(struct err *err)
{
	if (err != NULL)
		memset(err, 0, sizeof *err);
}

const char *
err_name(enum err_code code)
{
	return table[code].name;
}

const char *
err_title(enum err_code code)
{
	return table[code].title;
}

int
err_http_status(enum err_code code)
{
	return table[code].http;
}

int
err_ws_code(enum err_code code)
{
	return table[code].ws;
}

bool
err_may_retry(enum err_code code)
{
	return table[code].retry;
}

const char *
err_code_name(const struct err *err)
{
	return err->name[0] != '\0' ? err->name : err_name(err->code);
}
