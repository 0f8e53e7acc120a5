/*
 * fetch.h - HTTP requests to others: providers, S3, webhooks, result files.
 *
 * fetch_start() stores the new call in *slot.  The call is valid exactly
 * while *slot is non-NULL: it is cleared just before done() and inside
 * fetch_cancel().  done() runs once, from the loop, never from inside
 * fetch_start(); after a cancel it never runs.  Nothing here blocks: names
 * are resolved on libcurl's own threads.
 *
 * An answer with any HTTP status is a success of fetch: err is NULL and
 * reply->status says what they think.  err is set when there is no whole
 * answer; reply is never NULL, and reply->sent tells whether the request can
 * have reached them, which decides whether a paid submit may be repeated.
 */
#ifndef REELD_FETCH_H
#define REELD_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reeld/err.h"
#include "reeld/mem.h"

struct fetch;
struct fetch_call;
struct json_object;
struct loop;

/* Whose address is it? */
enum fetch_trust {
	/* Somebody else's: https on port 443 only, public addresses only, a
	 * connection of its own. */
	FETCH_UNTRUSTED,
	/* The operator's configuration names the base URL: only that origin,
	 * http when the base says http, kept-alive connections. */
	FETCH_PROVIDER
};

/* How far the request got, at least and at most. */
enum fetch_sent {
	FETCH_NOT_SENT,	  /* no byte of it left: repeat freely */
	FETCH_MAYBE_SENT, /* it may have been acted upon */
	FETCH_ANSWERED	  /* a status line came back */
};

/*
 * Where a download goes, and what is already there.  It outlives the calls:
 * start another call with the same sink to resume (Range with If-Range when
 * the server gave a strong ETag, from zero otherwise).  The hash covers all
 * of the file.  fd is the caller's, opened for reading and writing; the file
 * is written at its own offsets, by a thread, and truncated when it starts
 * from zero.  After a cancel the caller may close it and end the sink at once.
 * One call at a time.
 */
struct fetch_sink {
	int fd;
	int64_t bytes;	/* received so far; when a call is done, written */
	char etag[128]; /* strong ETag of those bytes, or "" */
	void *file;	/* ours: running SHA-256, what waits for the disk */
};
void fetch_sink_init(struct fetch_sink *sink, int fd);
void fetch_sink_fini(struct fetch_sink *sink); /* leaves fd open; safe twice */

/*
 * A request.  Build it with the functions below or set the plain fields.
 * fetch_start() takes what it holds (and leaves it empty); a spec that is
 * not started is released with fetch_spec_fini().
 */
struct fetch_spec {
	char method[8]; /* upper case */
	char *url;
	struct fetch_header {
		char *name, *value;
		bool secret; /* only to the URL's own origin; not logged */
	} * headers;
	int n_headers;
	char *body; /* bytes to send, or NULL */
	size_t body_len;
	/* Or bytes of a file (PUT): borrowed until done or cancel. */
	int body_fd; /* -1: none */
	int64_t body_offset, body_bytes;

	enum fetch_trust trust;
	char *base;	    /* FETCH_PROVIDER: its origin is the only one */
	bool allow_private; /* private addresses and any port are fine */
	/* FETCH_UNTRUSTED: allow_private and allow_http are the URL's own
	 * origin's; where it redirects to must be public. */
	bool own_private;
	bool allow_http; /* FETCH_UNTRUSTED: http and port 80 too */

	int max_redirects; /* 0: a 3xx is the answer */
	/* Limits; 0 takes the default in brackets. */
	int64_t connect_ms;	/* [5 s] */
	int64_t timeout_ms;	/* all of it [30 s; 15 min with a sink] */
	int64_t low_speed_ms;	/* under 10 KiB/s for so long [30 s; sinks] */
	int64_t max_bytes;	/* body [1 MiB; 1 GiB with a sink] */
	int64_t max_head_bytes; /* header [64 KiB] */

	struct fetch_sink *sink; /* body of a 200/206 goes here; borrowed */
	const char *tag;	 /* static name for logs and metrics: "fal" */
};

/* method: GET, HEAD, POST, PUT, PATCH or DELETE. */
void
fetch_spec_init(struct fetch_spec *spec, const char *method, const char *url);
void fetch_spec_fini(struct fetch_spec *spec); /* safe twice */
/* Both copied.  Names and values are checked when the call starts. */
void
fetch_spec_header(struct fetch_spec *spec, const char *name, const char *value);
/* The same, and kept from other origins and from logs. */
void
fetch_spec_secret(struct fetch_spec *spec, const char *name, const char *value);
void fetch_spec_bearer(struct fetch_spec *spec, const char *token);
/* Takes the object; sets Content-Type: application/json. */
void fetch_spec_json(struct fetch_spec *spec, struct json_object **body);
/* Copies; type may be NULL (no Content-Type). */
void fetch_spec_body(
    struct fetch_spec *spec, const char *type, const void *data, size_t len);
/* FETCH_PROVIDER: the URL must be on base's origin (copied). */
void fetch_spec_provider(
    struct fetch_spec *spec, const char *base, bool allow_private);

/* Everything here dies when done() returns. */
struct fetch_reply {
	int status; /* 0: no answer */
	enum fetch_sent sent;
	struct buf body;    /* empty with a sink that took the body; when the
			       status was not 200/206, what they said */
	int64_t bytes;	    /* of the body; with a sink: of the whole file */
	bool has_sha256;    /* with a sink, complete */
	uint8_t sha256[32]; /* of the whole file */
	int retry_after_s;  /* from Retry-After, at most 600; 0: none */
	int redirects;
	char url[2048];	    /* the one that answered; holds signatures */
	char remote_ip[48]; /* of the last connection, or "" */
	int64_t connect_ms, first_byte_ms, total_ms;
	/* Header block of the final answer: use fetch_reply_header(). */
	const struct fetch_header *headers;
	int n_headers;
};
/* First header of that name (any case), or NULL. */
const char *
fetch_reply_header(const struct fetch_reply *reply, const char *name);
/* true for 408, 425, 429, 500, 502, 503 and 504. */
bool fetch_reply_may_retry(const struct fetch_reply *reply);

/*
 * err->name is one of:
 *	url_forbidden (ERR_FORBIDDEN)	the guard refused an address
 *	bad_request (ERR_BAD_INPUT)	CR/LF in a header, no such method, ...
 *	dns_failed connect_failed tls_failed connection_lost short_body
 *	bad_reply headers_too_large too_many_redirects (ERR_UPSTREAM)
 *	connect_timeout timeout stalled (ERR_TIMEOUT)
 *	reply_too_large (ERR_TOO_LARGE)
 *	disk_full (ERR_STORAGE)  disk_failed (ERR_INTERNAL)
 *	fetch_busy (ERR_UNAVAILABLE)	too many calls wait already
 */
typedef void fetch_done_fn(
    const struct fetch_reply *reply, const struct err *err, void *arg);
/* total is -1 while unknown.  At most ten times a second per call. */
typedef void fetch_progress_fn(int64_t bytes, int64_t total, void *arg);

struct fetch_opts {
	int max_connections; /* [256] per kind of trust */
	/* [32]; as many calls, over HTTP/2 four times as many, are under way
	 * at once, the others wait. */
	int max_host_connections;
	int max_calls;		/* [20000] running and waiting */
	const char *deny;	/* CIDR list refused to untrusted URLs as well:
				   our own public addresses; or NULL */
	const char *ca_file;	/* NULL: the system's */
	const char *user_agent; /* NULL: reeld/<version> */
};

/* Dies when libcurl cannot start; deny is checked with fetch_deny_ok(). */
struct fetch *fetch_new(struct loop *loop, const struct fetch_opts *opts);
void fetch_free(struct fetch *fetch); /* cancels all calls; NULL is fine */

void fetch_start(struct fetch *fetch, struct fetch_spec *spec,
    struct fetch_call **slot, fetch_done_fn *done, void *arg);
/* Progress of a download into a sink; the callback may cancel it. */
void
fetch_on_progress(struct fetch_call *call, fetch_progress_fn *fn, void *arg);
/* *slot may be NULL. */
void fetch_cancel(struct fetch_call **slot);

/* May an untrusted URL lead to this numeric address?  false for text that
 * is not an address. */
bool fetch_address_is_public(const char *ip);
bool fetch_deny_ok(const char *deny, struct err *err) REELD_MUST;
/* "https://host:port" of a URL, lower case; false when it has none. */
bool fetch_url_origin(const char *url, char *out, size_t size) REELD_MUST;

/* For /metrics. */
struct fetch_stats {
	uint64_t started, answered, failed, cancelled, refused;
	uint64_t bytes_in, bytes_out, redirects, resumed, connections;
	uint64_t status[6];	       /* by hundreds; 0: no answer */
	int running, waiting, sockets; /* running: the waiting ones too */
};
const struct fetch_stats *fetch_stats(const struct fetch *fetch);

#endif
