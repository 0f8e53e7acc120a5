/*
 * http.h - the HTTP/1.1 server: libmicrohttpd inside the loop.
 *
 * The path of a request: guard (framing rules, no second opinion possible
 * behind a proxy) -> router (static table of struct http_route) -> gate
 * (authentication and limits, before the body is read; may take its time) ->
 * body (collected, parsed as JSON, or streamed to an unlinked file) ->
 * handler -> exactly one reply.
 *
 * A handler may reply at once or return and reply later, from a callback of
 * the loop; before it returns without a reply it must arm http_on_gone().
 * When the client hangs up first, the gone callback runs (once, never from
 * inside a call into this module) and the call must not be touched after it.
 * Every http_reply_*() disarms it.  After a reply the call must not be
 * touched either.  All strings and objects got from a call are borrowed and
 * die with the reply.
 */
#ifndef REELD_HTTP_H
#define REELD_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "reeld/err.h"
#include "reeld/loop.h"
#include "reeld/mem.h"

struct http_server;
struct http_call;
struct json_object;

enum http_method {
	HTTP_GET, /* a GET route answers HEAD too */
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_PATCH,
	HTTP_DELETE,
	HTTP_OPTIONS, /* answered by this module: Allow, CORS preflight */
	HTTP_METHODS
};

enum http_body_kind {
	HTTP_BODY_NONE,	     /* a body is refused (an empty one is none) */
	HTTP_BODY_JSON,	     /* application/json object; absent = {} only with
				HTTP_BODY_OPTIONAL */
	HTTP_BODY_MULTIPART, /* files to unlinked temp files, see http_upload */
	HTTP_BODY_RAW,	     /* any type, in memory: http_body */
	HTTP_BODY_FILE,	     /* any type, to an unlinked temp file:
				http_upload(call, NULL) */
};

typedef void http_handler_fn(struct http_call *call);

enum {
	HTTP_BODY_OPTIONAL = 1 << 0, /* JSON route: no body is {} */
	HTTP_JSON_ANY_ROOT = 1 << 1, /* JSON route: root may be an array */
	HTTP_NO_LOG = 1 << 2,	     /* no access-log line (probes) */
	HTTP_FLAG_USER = 1 << 8,     /* this and above: the gate's own */
};

/*
 * pattern: "/api/v1/generations/{id}"; a parameter is one whole segment.  A
 * last segment "{name*}" takes the rest of the path, slashes included.  Fixed
 * segments win over parameters.  role, scope and the flags above
 * HTTP_FLAG_USER mean nothing to this module: they are for the gate.
 */
struct http_route {
	enum http_method method;
	const char *pattern;
	http_handler_fn *handler;
	int role;
	const char *scope; /* "" or NULL: none */
	enum http_body_kind body;
	size_t max_body; /* bytes; 0: 64 KiB for JSON and RAW, 32 MiB for
			    MULTIPART and FILE */
	unsigned flags;
};

enum http_gate {
	GATE_PASS, /* go on */
	GATE_DONE, /* it replied */
	GATE_WAIT  /* it armed http_on_gone() and calls http_gate_pass() or
		      replies, later */
};
/* Runs after the route was found and before the body is read. */
typedef enum http_gate http_gate_fn(struct http_call *call);

struct http_opts {
	const char *listen; /* "127.0.0.1:8080", "[::1]:0", "0.0.0.0:80" */
	const struct http_route *routes; /* borrowed for good */
	size_t n_routes;
	http_gate_fn *gate;			  /* NULL: everything passes */
	void *app;				  /* http_app() */
	void (*on_identity_free)(void *identity); /* may be NULL */
	const char *static_dir; /* built web pages; NULL: none */
	const char
	    *page_prefixes;	     /* reserved paths that never give the
					index page, comma separated; NULL:
					"/api/,/hooks/,/functions/,/ws,/worker/" */
	const char *upload_dir;	     /* temp files; NULL: $TMPDIR or /tmp */
	const char *trusted_proxies; /* "10.0.0.0/8, ::1"; NULL: none */
	const char *cors_origins;    /* exact origins, comma separated */
	const char *csp_media;	     /* extra origins for img-src, media-src */
	bool tls_in_front;	     /* send HSTS, public scheme is https */
	int max_connections;	     /* 0: 10000; cut to what fds allow */
	int max_per_ip;		     /* 0: no limit */
	int head_timeout_ms;	     /* 0: 10000 */
	int body_grace_ms;	     /* 0: 10000, then 16 KiB/s on average */
	int idle_timeout_ms;	     /* 0: 30000 */
	int write_timeout_s;	     /* 0: 60 without a byte taken */
};

/* NULL with err set when the address can't be bound or an option is wrong.
 * Broken routes (two of the same, bad pattern) are programming mistakes. */
struct http_server *http_server_new(
    struct loop *loop, const struct http_opts *opts, struct err *err);
/* Cuts what is left; gone callbacks run.  Not from inside a callback of this
 * module, and after the owners of handed-over sockets gave them back. */
void http_server_free(struct http_server *server);
int http_server_port(const struct http_server *server);
/*
 * Stops accepting, ends idle connections, answers the rest with
 * "Connection: close".  done(arg) runs once, later, when no call is in
 * flight (handed-over sockets and streams count until they are closed).
 */
void http_server_drain(struct http_server *server, loop_fn *done, void *arg);
bool http_server_draining(const struct http_server *server);

/* ---- what the request says ---- */

void *http_app(const struct http_call *call);
struct http_server *http_call_server(const struct http_call *call);
const struct http_route *http_route(const struct http_call *call);
enum http_method http_method(const struct http_call *call);
/* Decoded path without the query; raw target as sent. */
const char *http_path(const struct http_call *call);
const char *http_target(const struct http_call *call);
/* Path parameter, percent-decoded, valid UTF-8, no control characters, never
 * NULL for a name of the pattern; NULL for any other name. */
const char *http_arg(const struct http_call *call, const char *name);
/* Query parameter, decoded the same way; NULL when absent.  One that is
 * given twice was refused with 400. */
const char *http_query(const struct http_call *call, const char *name);
/* Walks the query: false at the end. */
bool http_query_at(const struct http_call *call, size_t i, const char **name,
    const char **value);
/* Integer query parameter in [min, max]; fallback when absent.  Otherwise
 * fills err (pointer "?name") and returns false. */
bool http_query_int(const struct http_call *call, const char *name, int64_t min,
    int64_t max, int64_t fallback, int64_t *out, struct err *err) REELD_MUST;
/* Case-insensitive; NULL when absent; the first of several. */
const char *http_header(const struct http_call *call, const char *name);
/* One cookie's value; NULL when absent or over 511 bytes.  Valid until the
 * next http_cookie() of this call. */
const char *http_cookie(const struct http_call *call, const char *name);
/* The client's address as text: the right-most X-Forwarded-For address that
 * is not a trusted proxy, when the peer is one. */
const char *http_client_ip(const struct http_call *call);
/* True when TLS is in front (option, or a trusted proxy's
 * X-Forwarded-Proto: https). */
bool http_is_https(const struct http_call *call);
const char *http_request_id(const struct http_call *call);
/* The valid traceparent header, or NULL. */
const char *http_traceparent(const struct http_call *call);

/* JSON routes: the parsed body, borrowed.  NULL on other routes. */
struct json_object *http_json(const struct http_call *call);
/* JSON and RAW routes: the bytes, NUL-terminated.  Never NULL. */
const char *http_body(const struct http_call *call, size_t *len);
/* "" when absent. */
const char *http_content_type(const struct http_call *call);

/* A streamed part.  fd is open for read and write, at offset 0, unlinked,
 * mode 0600, and closed with the call unless taken. */
struct http_upload {
	const char *name; /* the field's name */
	int fd;
	int64_t size_bytes;
	const char *type;    /* as declared by the client, or "" */
	const char *display; /* cleaned file name, for people only, or "" */
	uint8_t sha256[32];
};
/* The file of that field name; name NULL: the body of a FILE route. */
const struct http_upload *
http_upload(const struct http_call *call, const char *name);
/* Hands the descriptor over: the caller closes it.  -1 when absent. */
int http_upload_take(struct http_call *call, const char *name);
/* Text field of a multipart body (UTF-8, at most 64 KiB); NULL: absent. */
const char *http_form(const struct http_call *call, const char *name);

/* The gate's result: freed with on_identity_free when the call ends. */
void http_identity_set(struct http_call *call, void *identity);
void *http_identity(const struct http_call *call);
void http_gate_pass(struct http_call *call);

/* The client hung up (or the server is going down) before the reply, or
 * while a stream is open.  Replaces what was armed; fn NULL disarms. */
void http_on_gone(struct http_call *call, loop_fn *fn, void *arg);

/* ---- the reply: exactly one of these ---- */

/* Adds a header to the coming reply (copies the value; the name is a
 * literal).  At most 24.  Values with control characters are programming
 * mistakes. */
void
http_reply_header(struct http_call *call, const char *name, const char *value);
/* Sets the entity tag (unquoted text) of the coming reply: a matching
 * If-None-Match then makes a 304 of a GET's 200. */
void http_etag(struct http_call *call, const char *tag);
/* Replaces the default Cache-Control "private, no-store". */
void http_cache(struct http_call *call, const char *cache_control);

/* Takes *obj (NULLs it). */
void
http_reply_json(struct http_call *call, int status, struct json_object **obj);
/* Copies data. */
void http_reply_bytes(struct http_call *call, int status, const char *type,
    const void *data, size_t len);
/* Borrows data for good: static or longer-lived than the server. */
void http_reply_static(struct http_call *call, int status, const char *type,
    const void *data, size_t len);
void http_reply_text(struct http_call *call, int status, const char *text);
void http_reply_no_content(struct http_call *call);
/* 302, 303, 307 or 308; location is a local path or an absolute URL made by
 * the server, never text from a client. */
void
http_reply_redirect(struct http_call *call, int status, const char *location);
/* application/problem+json from err; Retry-After when it says so; 401 has
 * WWW-Authenticate.  500s hide nothing but err->msg: keep it clean. */
void http_reply_err(struct http_call *call, const struct err *err);
/* The same with several fields at fault. */
void
http_reply_errs(struct http_call *call, const struct err *errs, size_t count);

struct http_file {
	const char *type;
	const char *etag;     /* unquoted; NULL: none, and no If-Range */
	const char *filename; /* for Content-Disposition; NULL: none */
	bool attachment;      /* else inline */
	const char *cache;    /* NULL: "private, no-store" */
	bool sandbox;	      /* CSP sandbox: content made by users */
};
/* Takes fd (closes it when sent).  Range, If-Range, 304, 206, 416, HEAD;
 * sent with sendfile. */
void http_reply_file(struct http_call *call, int fd, int64_t size_bytes,
    const struct http_file *file);

/*
 * Streams: SSE and proxied bodies.  After http_stream_open() the call stays
 * valid until http_stream_close(), http_stream_abort() or the gone callback
 * (arm it before).  http_stream_write() copies all of the data or nothing:
 * false means there is no room for it now (at most max_buffer bytes wait);
 * on_room then runs when the buffer is half empty again.  size_bytes -1:
 * unknown, sent chunked.
 */
struct http_stream {
	const char *type;
	int64_t size_bytes;
	size_t max_buffer; /* 0: 256 KiB */
	loop_fn *on_room;  /* may be NULL */
	void *arg;
};
void http_stream_open(
    struct http_call *call, int status, const struct http_stream *opts);
bool http_stream_write(struct http_call *call, const void *data, size_t len);
size_t http_stream_room(const struct http_call *call);
void http_stream_close(struct http_call *call); /* after what is buffered */
void http_stream_abort(struct http_call *call); /* cuts the connection */

/*
 * Hands the socket over (WebSocket).  *fd is a dup() the caller owns, head
 * (initialised by the caller) gets the request's head to replay.  The call
 * stays valid, and the server's own descriptor open, until
 * http_hijack_done(); the gone callback is disarmed: the new owner sees the
 * hang-up itself.  False (still to be replied to) when there is no fd left.
 */
bool http_hijack(struct http_call *call, int *fd, struct buf *head,
    struct err *err) REELD_MUST;
void http_hijack_done(struct http_call *call);

/* ---- numbers ---- */

/* Latency buckets, upper bounds in ms: 1 2 5 10 25 50 100 250 500 1000 2500
 * 5000 10000, more. */
enum { HTTP_BUCKETS = 14 };
extern const int http_bucket_ms[HTTP_BUCKETS - 1];
struct http_route_stats {
	const struct http_route *route; /* NULL: no route (404, static, bad) */
	uint64_t by_class[6];		/* [2] = 2xx ... */
	uint64_t latency[HTTP_BUCKETS]; /* counts per bucket */
	int64_t total_us;
};
struct http_stats {
	uint64_t accepted, requests, guard_refused, late_cut, gone;
	uint64_t bytes_in; /* bodies */
	int connections, calls, streams, hijacked;
	size_t n_routes;
	const struct http_route_stats *routes; /* n_routes + 1 rows */
};
void
http_server_stats(const struct http_server *server, struct http_stats *out);

#endif
