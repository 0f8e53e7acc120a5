/*
 * call.c - the life of one request: guard, route, gate, body, handler, reply.
 * Called by libmicrohttpd (on_*) and by the functions that answer.
 *
 * libmicrohttpd calls on_access again and again; the phase says where we are.
 * While somebody else has to act first the connection is suspended: hold.c.
 */
#define LOG_MODULE "http"
#include "http/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "reeld/clock.h"
#include "reeld/log.h"

void
call_enter(struct http_call *call, enum call_phase phase)
{
	call->phase = phase;
	call->since_ms = call->server->now_ms;
}

void
call_reset(struct http_call *call)
{
	void (*identity_free)(void *) = call->server->opts.on_identity_free;

	if (call->identity != NULL && identity_free != NULL)
		identity_free(call->identity);
	call->identity = NULL;
	body_fini(call);
	stream_end(call);
	if (call->response != NULL && call->mould == NULL)
		MHD_destroy_response(call->response);
	call->response = NULL;
	mould_give(&call->mould);
	call->n_extra = 0;
	if (call->extra_text.cap > KEEP_EXTRA_TEXT)
		buf_fini(&call->extra_text);
	buf_reset(&call->extra_text);
	call->n_args = 0;
	call->route = NULL;
	call->gone = NULL;
	call->gate_passed = false;
	call->full = false;
	call->close = false;
	call->discarding = false;
	call->writes_on = false;
	call->ip[0] = '\0';
	call->etag[0] = '\0';
	call->cache[0] = '\0';
	call->status = 0;
	if (call->counted) {
		call->counted = false;
		call->server->stats.calls--;
		server_check_drained(call->server);
	}
}

void
call_fini(struct http_call *call)
{
	call_reset(call);
	buf_fini(&call->extra_text);
	free(call->target);
	free(call->url_memory);
}

/* The request line is in: this is the only sight of the raw target. */
void *
on_target(void *cls, const char *target, struct MHD_Connection *mhd)
{
	struct http_server *server = cls;
	struct http_call *call =
	    MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
		->socket_context;
	size_t len = target != NULL ? strlen(target) : 0;

	call_reset(call);
	call_enter(call, CALL_HEAD);
	call->counted = true;
	call->server->stats.calls++;
	server->stats.requests++;
	call->start_ns = clock_mono_ns();
	call->route_index = server->opts.n_routes;
	call->request_id[0] = '\0';
	if (len + 1 > call->target_cap) {
		call->target_cap = len + 64;
		call->target = xrealloc(call->target, call->target_cap);
	}
	if (len > 0)
		memcpy(call->target, target, len);
	call->target[len] = '\0';
	call->target_len = len;
	call->url.path = call->target;
	call->url.n_query = 0;
	memset(&call->head, 0, sizeof call->head);
	return call;
}

static enum MHD_Result
on_field(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len,
    const char *value, size_t value_len)
{
	struct call_fields *fields = cls;

	fields->list[fields->n++] =
	    (struct guard_field){name, value, name_len, value_len};
	return fields->n <= MAX_HEADERS ? MHD_YES : MHD_NO;
}

void
call_fields(struct http_call *call, struct call_fields *out)
{
	out->n = 0;
	MHD_get_connection_values_n(call->mhd, MHD_HEADER_KIND, on_field, out);
}

static bool
check_head(struct http_call *call, const char *url, const char *method,
    const char *version, struct err *err)
{
	struct call_fields fields;
	struct guard_head head = {.method = method,
	    .target = call->target,
	    .version = version,
	    .target_len = call->target_len,
	    .fields = fields.list};
	const union MHD_ConnectionInfo *info;

	call_fields(call, &fields);
	head.n_fields = fields.n;
	info = MHD_get_connection_info(
	    call->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	call->http_10 = strcmp(version, "HTTP/1.0") == 0;
	if (!guard_check(&head, &call->head, err))
		return false;
	if (info == NULL ||
	    !guard_tiled(method, url, call->target_len, version, fields.list,
		fields.n, info->header_size))
		return err_set_name(err, ERR_BAD_INPUT, "bad_request",
		    "The request's head is not well formed.");
	if (call->target_len > MAX_TARGET)
		return err_set_name(err, ERR_BAD_INPUT, "target_too_long",
		    "The request target is too long.");
	return true;
}

static bool
parse_target(struct http_call *call, struct err *err)
{
	size_t need = 3 * call->target_len + 8;

	if (need > call->url_cap) {
		call->url_cap = need + 256;
		call->url_memory = xrealloc(call->url_memory, call->url_cap);
	}
	return url_parse(
	    call->target, call->target_len, call->url_memory, &call->url, err);
}

static void
run_handler(struct http_call *call)
{
	call_enter(call, CALL_HANDLER);
	call->route->handler(call);
	/* It replied, or it can be told that nobody waits any more. */
	assert(call->response != NULL || call->gone != NULL ||
	    call->phase == CALL_HIJACKED || call->phase == CALL_DEAD);
}

static void
after_gate(struct http_call *call)
{
	struct err err;

	call->close = false;
	if (!body_begin(call, &err)) {
		call->close = call->head.has_body;
		http_reply_err(call, &err);
	} else if (call->head.has_body) {
		call_enter(call, CALL_BODY);
	} else if (!body_finish(call, &err)) {
		http_reply_err(call, &err);
	} else {
		run_handler(call);
	}
}

static void
run_gate(struct http_call *call)
{
	http_gate_fn *gate = call->server->opts.gate;

	call_enter(call, CALL_GATE);
	call->close = call->head.has_body; /* if it refuses */
	switch (gate != NULL ? gate(call) : GATE_PASS) {
	case GATE_PASS:
		after_gate(call);
		break;
	case GATE_DONE:
		assert(call->response != NULL);
		break;
	case GATE_WAIT:
		assert(call->gone != NULL || call->gate_passed ||
		    call->response != NULL);
		break;
	}
}

static void
find_route(struct http_call *call)
{
	struct http_server *server = call->server;
	struct route_match match;
	struct err err;

	router_find(server->router, call->head.method, &call->url, &match);
	if (match.index >= 0) {
		call->route = &server->opts.routes[match.index];
		call->route_index = match.index;
		call->n_args = match.n_args;
		memcpy(call->args, match.args, sizeof match.args);
		run_gate(call);
	} else if (match.allow != 0) {
		call->close = call->head.has_body;
		if (call->head.method == HTTP_OPTIONS)
			reply_options(call, match.allow);
		else
			reply_method(call, match.allow);
	} else if (!site_serve(call)) {
		call->close = call->head.has_body;
		err_set(&err, ERR_NOT_FOUND, "There is nothing here.");
		http_reply_err(call, &err);
	}
}

static void
begin(struct http_call *call, const char *url, const char *method,
    const char *version)
{
	struct err err;

	if (!check_head(call, url, method, version, &err)) {
		call->server->stats.guard_refused++;
		call->close = true;
		http_reply_err(call, &err);
	} else if (!parse_target(call, &err)) {
		call->close = call->head.has_body;
		http_reply_err(call, &err);
	} else {
		find_route(call);
	}
}

static void
end_body(struct http_call *call)
{
	struct err err;

	if (body_finish(call, &err))
		run_handler(call);
	else
		http_reply_err(call, &err);
}

static enum MHD_Result
queue(struct http_call *call)
{
	struct MHD_Response *response = call->response;
	enum MHD_Result ok;

	call->response = NULL;
	if (call->phase != CALL_STREAM)
		call_enter(call, CALL_REPLY);
	ok = MHD_queue_response(call->mhd, call->status, response);
	if (call->mould == NULL)
		MHD_destroy_response(response);
	return ok;
}

/*
 * A refusal before the body was read: closing with unread bytes resets the
 * connection, and the client may lose the reply.  A small body is read and
 * forgotten first, and one of some size if the client is seen to send it
 * (CALL_LOOK, for a second); who waits for an answer gets it.
 */
enum { DISCARD_BYTES = 256 * 1024, DISCARD_SEEN_BYTES = 16 * 1024 * 1024 };

static bool
discards(const struct http_call *call, int64_t most)
{
	return call->route != NULL && call->head.has_body &&
	    call->phase < CALL_BODY &&
	    (call->head.chunked || call->head.length <= most) &&
	    http_header(call, "Expect") == NULL;
}

static enum MHD_Result
discard(struct http_call *call, size_t *size)
{
	call->received += (int64_t)*size;
	if (*size == 0 ||
	    (call->head.chunked && call->received > DISCARD_BYTES))
		return queue(call);
	*size = 0;
	return MHD_YES;
}

enum MHD_Result
on_access(void *cls, struct MHD_Connection *mhd, const char *url,
    const char *method, const char *version, const char *data, size_t *size,
    void **context)
{
	struct http_call *call = *context;

	if (call == NULL)
		return MHD_NO;
	if (call->discarding)
		return discard(call, size);
	call->inside = true;
	switch (call->response == NULL ? call->phase : CALL_REPLY) {
	case CALL_HEAD:
		begin(call, url, method, version);
		break;
	case CALL_GATE:
		if (call->gate_passed)
			after_gate(call);
		break;
	case CALL_BODY:
		if (*size > 0) {
			body_add(call, data, *size);
			*size = 0;
		} else {
			end_body(call);
		}
		break;
	default:
		break;
	}
	call->inside = false;
	if (call->phase == CALL_DEAD)
		return MHD_NO;
	if (call->response != NULL &&
	    discards(
		call, call->writes_on ? DISCARD_SEEN_BYTES : DISCARD_BYTES)) {
		call->discarding = true;
		call->received = 0;
		call_enter(call, CALL_BODY); /* its time limits */
		/* Without bytes this is the call for the head, perhaps the
		 * second one after a wait, and not the end of the body. */
		return *size == 0 ? MHD_YES : discard(call, size);
	}
	if (call->response != NULL && call->phase != CALL_LOOK &&
	    discards(call, DISCARD_SEEN_BYTES)) {
		call_enter(call, CALL_LOOK);
		call_suspend(call);
		return MHD_YES;
	}
	if (call->response != NULL) {
		/* A reply that is queued in the library's first call ends the
		 * connection, so a kept-alive one waits for the second. */
		if (call->full || call->head.has_body || call->close)
			return queue(call);
		call->full = true;
		return MHD_YES;
	}
	if (call->phase == CALL_GATE && call->gate_passed) {
		/* The gate passed it before it said "wait". */
		return on_access(
		    cls, mhd, url, method, version, data, size, context);
	}
	if (call->phase != CALL_BODY)
		call_suspend(call);
	return MHD_YES;
}

void
on_completed(void *cls, struct MHD_Connection *mhd, void **context,
    enum MHD_RequestTerminationCode why)
{
	struct http_call *call = *context;

	if (call == NULL)
		return;
	*context = NULL;
	stats_count(call);
	if (call->phase != CALL_DEAD)
		call_enter(call, CALL_DEAD);
	call_fire_gone(call);
	call_reset(call);
	call_enter(call, CALL_IDLE);
	if (call->server->draining && !call->server->freeing)
		shutdown(call->fd, SHUT_RD);
}

void
http_gate_pass(struct http_call *call)
{
	assert(call->phase == CALL_GATE && call->response == NULL);
	call->gone = NULL;
	call->gate_passed = true;
	call_answered(call);
}
