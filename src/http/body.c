/*
 * body.c - request bodies: which are allowed, how much of them, and what
 * becomes of the bytes.  Called by call.c.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/internal.h"
#include "reeld/json.h"

static int64_t
default_max(enum http_body_kind kind)
{
	switch (kind) {
	case HTTP_BODY_NONE:
		return 0;
	case HTTP_BODY_JSON:
	case HTTP_BODY_RAW:
		return 64 * 1024;
	case HTTP_BODY_MULTIPART:
	case HTTP_BODY_FILE:
		return 32 * 1024 * 1024;
	}
	return 0;
}

/* application/json, alone or with charset=utf-8: a cross-site form can't
 * send it, so this is part of the CSRF defence. */
static bool
is_json(const char *type)
{
	size_t len = strcspn(type, "; \t");

	if (!(len == 16 && strncasecmp(type, "application/json", 16) == 0) &&
	    !(len == 28 &&
		strncasecmp(type, "application/merge-patch+json", 28) == 0))
		return false;
	type += len;
	type += strspn(type, "; \t");
	return *type == '\0' || strcasecmp(type, "charset=utf-8") == 0 ||
	    strcasecmp(type, "charset=\"utf-8\"") == 0;
}

static bool
too_large(const struct http_call *call, struct err *err)
{
	return err_set(err, ERR_TOO_LARGE,
	    "The body may have %lld bytes at most.", (long long)call->max_body);
}

bool
body_begin(struct http_call *call, struct err *err)
{
	enum http_body_kind kind = call->route->body;

	call->received = 0;
	call->max_body = call->route->max_body > 0
	    ? (int64_t)call->route->max_body
	    : default_max(kind);
	if (!call->head.has_body)
		return true;
	if (kind == HTTP_BODY_NONE)
		return err_set_name(err, ERR_BAD_INPUT, "unexpected_body",
		    "No body is expected here.");
	if (call->head.length > call->max_body)
		return too_large(call, err);
	if (kind == HTTP_BODY_JSON && !is_json(http_content_type(call)))
		return err_set(
		    err, ERR_MEDIA_TYPE, "The body must be application/json.");
	if (kind == HTTP_BODY_JSON || kind == HTTP_BODY_RAW) {
		buf_init(&call->body, call->max_body);
		return true;
	}
	return uploads_open(call, kind == HTTP_BODY_MULTIPART, err);
}

void
body_add(struct http_call *call, const char *data, size_t len)
{
	struct err *err = &call->body_err;

	call->received += len;
	call->server->stats.bytes_in += len;
	if (call->broken) { /* the answer waits for the body's end */
		if (call->received > call->max_body + MAX_DISCARD)
			call_enter(call, CALL_DEAD);
		return;
	}
	if (call->received > call->max_body)
		call->broken = !too_large(call, err);
	else if (call->uploads != NULL)
		call->broken = !uploads_add(call->uploads, data, len, err);
	else
		buf_add(&call->body, data, len);
	if (call->broken) {
		/* What follows is only counted, up to MAX_DISCARD more. */
		call->max_body = call->received;
		uploads_free(&call->uploads);
		buf_fini(&call->body);
		call->close = true;
	}
}

bool
body_finish(struct http_call *call, struct err *err)
{
	enum http_body_kind kind = call->route->body;
	bool optional = call->route->flags & HTTP_BODY_OPTIONAL;

	if (call->broken) {
		*err = call->body_err;
		return false;
	}
	if (kind == HTTP_BODY_JSON && call->body.len == 0) {
		if (!optional)
			return err_set_name(err, ERR_BAD_INPUT, "body_missing",
			    "A JSON body is expected here.");
		call->json = json_new();
		return true;
	}
	if (kind == HTTP_BODY_JSON)
		return json_parse_flags(call->body.data, call->body.len,
		    call->max_body,
		    call->route->flags & HTTP_JSON_ANY_ROOT ? JSON_ANY_ROOT : 0,
		    &call->json, err);
	if (call->uploads != NULL)
		return uploads_finish(call->uploads, err);
	if (kind == HTTP_BODY_MULTIPART && !optional)
		return err_set_name(err, ERR_BAD_INPUT, "body_missing",
		    "A multipart body is expected here.");
	return true;
}

void
body_fini(struct http_call *call)
{
	buf_fini(&call->body);
	uploads_free(&call->uploads);
	json_free(&call->json);
	call->broken = false;
}

struct json_object *
http_json(const struct http_call *call)
{
	return call->json;
}

const char *
http_body(const struct http_call *call, size_t *len)
{
	if (len != NULL)
		*len = call->body.len;
	return buf_str(&call->body);
}
