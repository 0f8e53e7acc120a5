/*
 * reply.c - answers: bytes, JSON, problems, redirects, and the headers that
 * every one of them has.
 */
#include "http/internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reeld/json.h"

static void
put(struct reply_headers *headers, const char *name, const char *value)
{
	assert(headers->n < MAX_REPLY_HEADERS);
	headers->list[headers->n++] = (struct reply_header){name, value};
}

/* Whole-word search in a list separated by commas and blanks. */
static bool
list_has(const char *list, const char *word)
{
	size_t len = strlen(word);

	while (list != NULL && *list != '\0') {
		size_t n;

		list += strspn(list, ", \t");
		n = strcspn(list, ", \t");
		if (n == len && n > 0 && memcmp(list, word, n) == 0)
			return true;
		list += n;
	}
	return false;
}

static bool
put_cors(struct http_call *call, struct reply_headers *headers)
{
	const char *allowed = call->server->opts.cors_origins;
	const char *origin;

	if (allowed == NULL || allowed[0] == '\0')
		return false;
	put(headers, "Vary", "Origin");
	origin = http_header(call, "Origin");
	if (origin == NULL || !list_has(allowed, origin))
		return false;
	put(headers, "Access-Control-Allow-Origin", origin);
	put(headers, "Access-Control-Expose-Headers",
	    "ETag, Location, Retry-After, X-Request-Id, Idempotent-Replayed");
	return true;
}

static void
put_security(
    struct http_call *call, struct reply_headers *headers, enum reply_look look)
{
	put(headers, "X-Content-Type-Options", "nosniff");
	put(headers, "Referrer-Policy", "strict-origin-when-cross-origin");
	put(headers, "Cross-Origin-Resource-Policy", "same-origin");
	switch (look) {
	case LOOK_PAGE:
		put(headers, "Content-Security-Policy", call->server->csp_page);
		put(headers, "Cross-Origin-Opener-Policy", "same-origin");
		put(headers, "Permissions-Policy",
		    "camera=(), microphone=(), geolocation=(), payment=(), "
		    "usb=()");
		put(headers, "X-Frame-Options", "DENY");
		break;
	case LOOK_SANDBOX:
		put(headers, "Content-Security-Policy",
		    "sandbox; default-src 'none'; media-src 'self'; "
		    "style-src 'unsafe-inline'");
		break;
	case LOOK_API:
	case LOOK_FILE:
		put(headers, "Content-Security-Policy",
		    "default-src 'none'; frame-ancestors 'none'");
		break;
	}
	if (call->server->opts.tls_in_front)
		put(headers, "Strict-Transport-Security",
		    "max-age=31536000; includeSubDomains");
}

/* Every header of the reply; the values last until the call is reset. */
static void
collect(struct http_call *call, const char *type, enum reply_look look,
    struct reply_headers *headers)
{
	headers->n = 0;
	if (type != NULL)
		put(headers, "Content-Type", type);
	put(headers, "Cache-Control",
	    call->cache[0] != '\0' ? call->cache : "private, no-store");
	put(headers, "X-Request-Id", http_request_id(call));
	if (call->etag[0] != '\0') {
		char *at = call->quoted;

		*at++ = '"';
		at = stpcpy(at, call->etag);
		*at++ = '"';
		*at = '\0';
		put(headers, "ETag", call->quoted);
	}
	put_security(call, headers, look);
	put_cors(call, headers);
	for (int i = 0; i < call->n_extra; i++)
		put(headers, call->extra[i].name,
		    call->extra_text.data + call->extra[i].value);
	if (call->close || call->server->draining)
		put(headers, "Connection", "close");
}

static void
take(struct http_call *call, int status, struct MHD_Response *response)
{
	assert(call->response == NULL && call->status == 0); /* once */
	assert(response != NULL);
	call->gone = NULL;
	call->response = response;
	call->status = status;
	call_answered(call);
}

void
reply_take(struct http_call *call, int status, struct MHD_Response *response,
    const char *type, enum reply_look look)
{
	struct reply_headers headers;

	collect(call, type, look, &headers);
	for (size_t i = 0; i < headers.n; i++) {
		/* It refuses only what is not a header: our mistake. */
		if (MHD_add_response_header(response, headers.list[i].name,
			headers.list[i].value) != MHD_YES)
			assert(!"bad reply header");
	}
	take(call, status, response);
}

/* What clients ask for again and again, small and with a tag, is cast.  No
 * other reply: a mould remembers what it held. */
static bool
reply_cast(struct http_call *call, int status, const char *type,
    const void *data, size_t len)
{
	struct reply_headers headers;

	if (call->etag[0] == '\0' || call->close || call->server->draining)
		return false;
	collect(call, type, LOOK_API, &headers);
	call->mould = mould_take(call->server->moulds, &headers, data, len);
	if (call->mould == NULL)
		return false;
	take(call, status, mould_response(call->mould));
	return true;
}

void
http_reply_header(struct http_call *call, const char *name, const char *value)
{
	assert(call->n_extra < MAX_EXTRA);
	assert(call->status == 0);
	call->extra[call->n_extra].name = name;
	call->extra[call->n_extra++].value = call->extra_text.len;
	buf_add(&call->extra_text, value, strlen(value) + 1);
	assert(buf_ok(&call->extra_text));
}

void
http_etag(struct http_call *call, const char *tag)
{
	if (!str_copy(call->etag, sizeof call->etag, tag))
		assert(!"tag too long");
}

void
http_cache(struct http_call *call, const char *cache_control)
{
	if (!str_copy(call->cache, sizeof call->cache, cache_control))
		assert(!"Cache-Control too long");
}

static struct MHD_Response *
empty(void)
{
	return MHD_create_response_from_buffer(
	    0, (void *)"", MHD_RESPMEM_PERSISTENT);
}

/* The client's copy is still right. */
static bool
not_modified(struct http_call *call, int status)
{
	if (status != 200 || call->etag[0] == '\0' ||
	    (call->head.method != HTTP_GET && call->head.method != HTTP_HEAD) ||
	    !etag_matches(http_header(call, "If-None-Match"), call->etag))
		return false;
	if (!reply_cast(call, 304, NULL, "", 0))
		reply_take(call, 304, empty(), NULL, LOOK_API);
	return true;
}

static void
reply_buffer(struct http_call *call, int status, const char *type,
    const void *data, size_t len, enum MHD_ResponseMemoryMode mode)
{
	reply_take(call, status,
	    MHD_create_response_from_buffer(len, (void *)data, mode), type,
	    LOOK_API);
}

static void
reply_object(struct http_call *call, int status, const char *type,
    const struct json_object *obj)
{
	struct buf buf;
	size_t len;
	char *data;

	buf_init(&buf, 64 * 1024 * 1024);
	json_dump(obj, &buf);
	assert(buf_ok(&buf));
	data = buf_take(&buf, &len);
	reply_buffer(call, status, type, data, len, MHD_RESPMEM_MUST_FREE);
}

void
http_reply_json(struct http_call *call, int status, struct json_object **obj)
{
	struct json_object *mine = *obj;

	*obj = NULL;
	if (!not_modified(call, status))
		reply_object(call, status, "application/json", mine);
	json_free(&mine);
}

void
http_reply_bytes(struct http_call *call, int status, const char *type,
    const void *data, size_t len)
{
	if (!not_modified(call, status) &&
	    !reply_cast(call, status, type, data, len))
		reply_buffer(
		    call, status, type, data, len, MHD_RESPMEM_MUST_COPY);
}

void
http_reply_static(struct http_call *call, int status, const char *type,
    const void *data, size_t len)
{
	if (!not_modified(call, status))
		reply_buffer(
		    call, status, type, data, len, MHD_RESPMEM_PERSISTENT);
}

void
http_reply_text(struct http_call *call, int status, const char *text)
{
	http_reply_bytes(
	    call, status, "text/plain; charset=utf-8", text, strlen(text));
}

void
http_reply_no_content(struct http_call *call)
{
	reply_take(call, 204, empty(), NULL, LOOK_API);
}

void
http_reply_redirect(struct http_call *call, int status, const char *location)
{
	assert(
	    status == 302 || status == 303 || status == 307 || status == 308);
	http_reply_header(call, "Location", location);
	reply_take(call, status, empty(), NULL, LOOK_API);
}

static void
add_details(struct json_object *problem, const struct err *errs, size_t count)
{
	struct json_object *list = json_new_arr();

	for (size_t i = 0; i < count; i++) {
		struct json_object *item;

		if (errs[i].pointer[0] == '\0')
			continue;
		item = json_new();
		json_set_text(item, "pointer", errs[i].pointer);
		json_set_text(item, "detail", errs[i].msg);
		json_add_obj(list, &item);
	}
	if (json_count(list) > 0)
		json_set_arr(problem, "errors", &list);
	json_free(&list);
}

static struct json_object *
problem_new(struct http_call *call, const struct err *errs, size_t count)
{
	const struct err *err = &errs[0];
	struct json_object *problem = json_new();
	const char *code = err_code_name(err);
	char type[80], path[300];
	bool clean = utf8_valid(err->msg, strlen(err->msg));

	snprintf(type, sizeof type, "/docs/errors/%s", code);
	json_set_text(problem, "type", type);
	json_set_text(problem, "title", err_title(err->code));
	json_set_int(problem, "status", err_http_status(err->code));
	json_set_text(problem, "detail",
	    clean && err->msg[0] != '\0' ? err->msg : err_title(err->code));
	/* a target that was refused may hold anything: not echoed */
	if (call->url.path != call->target && call->url.path[0] != '\0') {
		shown_path(call->url.path, path, sizeof path);
		json_set_text(problem, "instance", path);
	}
	json_set_text(problem, "code", code);
	json_set_text(problem, "request_id", http_request_id(call));
	json_set_bool(problem, "retryable", err_may_retry(err->code));
	add_details(problem, errs, count);
	return problem;
}

void
http_reply_errs(struct http_call *call, const struct err *errs, size_t count)
{
	const struct err *err = &errs[0];
	struct json_object *problem;
	char seconds[16];

	assert(count > 0 && err->code != ERR_OK);
	call->etag[0] = '\0';
	call->cache[0] = '\0';
	if (err->retry_after_s > 0 || err->code == ERR_UNAVAILABLE) {
		snprintf(seconds, sizeof seconds, "%d",
		    err->retry_after_s > 0 ? err->retry_after_s : 1);
		http_reply_header(call, "Retry-After", seconds);
	}
	if (err->code == ERR_UNAUTHORIZED)
		http_reply_header(call, "WWW-Authenticate",
		    http_header(call, "Authorization") != NULL
			? "Bearer error=\"invalid_token\""
			: "Bearer");
	problem = problem_new(call, errs, count);
	reply_object(call, err_http_status(err->code),
	    "application/problem+json", problem);
	json_free(&problem);
}

void
http_reply_err(struct http_call *call, const struct err *err)
{
	http_reply_errs(call, err, 1);
}

static void
put_allow(struct http_call *call, unsigned allow)
{
	struct buf buf;

	if (allow & 1u << HTTP_GET)
		allow |= 1u << HTTP_HEAD;
	allow |= 1u << HTTP_OPTIONS;
	buf_init(&buf, 200);
	for (int i = 0; i < HTTP_METHODS; i++) {
		if (allow & 1u << i)
			buf_printf(&buf, "%s%s", buf.len > 0 ? ", " : "",
			    http_method_name[i]);
	}
	http_reply_header(call, "Allow", buf_str(&buf));
	if (call->head.method == HTTP_OPTIONS &&
	    http_header(call, "Access-Control-Request-Method") != NULL &&
	    list_has(call->server->opts.cors_origins,
		http_header(call, "Origin") != NULL
		    ? http_header(call, "Origin")
		    : "")) {
		http_reply_header(
		    call, "Access-Control-Allow-Methods", buf_str(&buf));
		http_reply_header(call, "Access-Control-Allow-Headers",
		    "Authorization, Content-Type, Idempotency-Key, "
		    "If-None-Match, X-Request-Id, traceparent");
		http_reply_header(call, "Access-Control-Max-Age", "600");
	}
	buf_fini(&buf);
}

void
reply_options(struct http_call *call, unsigned allow)
{
	put_allow(call, allow);
	http_reply_no_content(call);
}

void
reply_method(struct http_call *call, unsigned allow)
{
	struct err err;

	put_allow(call, allow);
	err_set(&err, ERR_METHOD, "%s is not for this address.",
	    http_method_name[call->head.method]);
	http_reply_err(call, &err);
}
