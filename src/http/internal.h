/*
 * internal.h - what the files of src/http share.
 *
 * One struct http_call per connection: HTTP/1.1 has one request at a time on
 * it, so the call is the connection, reset between requests.
 */
#ifndef HTTP_INTERNAL_H
#define HTTP_INTERNAL_H

#include <microhttpd.h>
#include <sys/queue.h>

#include "reeld/http.h"

enum {
	MAX_TARGET = 8192,
	MAX_HEADERS = 100,
	MAX_SEGMENTS = 16,
	MAX_ARGS = 8,
	MAX_QUERY = 32,
	MAX_EXTRA = 24,
	MAX_EXTRA_TEXT = 64 * 1024,
	KEEP_EXTRA_TEXT = 1024, /* of an idle connection */
	MAX_REPLY_HEADERS = MAX_EXTRA + 16,
	MAX_PARTS = 32,
	MAX_FIELD = 64 * 1024,
	MAX_DISCARD = 256 * 1024,
};

struct http_pair {
	const char *name, *value;
};

/* ---- url.c: pure text rules ---- */

/* Strict: bad escapes, control characters and invalid UTF-8 are refused.
 * dst has room for len + 1 bytes. */
bool url_decode(const char *src, size_t len, bool plus_is_space, char *dst);
struct url {
	const char *path;		/* decoded, one string */
	char *segment[MAX_SEGMENTS];	/* decoded, one each */
	const char *rest[MAX_SEGMENTS]; /* path from that segment on */
	int n_segments;
	struct http_pair query[MAX_QUERY];
	int n_query;
};
/* Splits and decodes a raw target; memory holds 3 * len + 8 bytes. */
bool url_parse(const char *target, size_t len, char *memory, struct url *out,
    struct err *err) REELD_MUST;
/* Finds a cookie; writes its value (NUL-terminated) or returns false. */
bool cookie_find(const char *header, const char *name, char *out, size_t size);
bool request_id_valid(const char *text);
bool traceparent_valid(const char *text);

/* ---- guard.c: what libmicrohttpd lets through and we don't ---- */

struct guard_field {
	const char *name, *value;
	size_t name_len, value_len;
};
struct guard_head {
	const char *method, *target, *version; /* texts */
	size_t target_len;
	const struct guard_field *fields;
	size_t n_fields;
};
struct guard_result {
	bool has_body, chunked;
	int64_t length; /* of the body; -1: chunked */
	enum http_method method;
};
bool guard_check(const struct guard_head *head, struct guard_result *out,
    struct err *err) REELD_MUST;
/*
 * The library cuts the received head into strings in place.  When the
 * strings don't tile the memory exactly as "METHOD SP target SP version CRLF
 * (name ":" OWS value CRLF)* CRLF" does, there was a bare LF, a NUL, a fold
 * or another trick in it.
 */
bool guard_tiled(const char *method, const char *url, size_t target_len,
    const char *version, const struct guard_field *fields, size_t n_fields,
    size_t head_len);
bool http_method_parse(const char *text, enum http_method *out);
extern const char *const http_method_name[HTTP_METHODS];

/* ---- router.c ---- */

struct router;
struct route_match {
	int index;	/* -1: none */
	unsigned allow; /* methods that would do, as bits */
	int n_args;
	struct http_pair args[MAX_ARGS];
};
struct router *router_new(const struct http_route *routes, size_t count);
void router_free(struct router *router);
void router_find(const struct router *router, enum http_method method,
    const struct url *url, struct route_match *out);

/* ---- cidr.c: trusted proxies ---- */

struct cidr {
	int family, bits;
	uint8_t addr[16];
};
/* "10.0.0.0/8, ::1": *list is malloc()ed. */
bool cidr_parse_list(const char *text, struct cidr **list, size_t *count,
    struct err *err) REELD_MUST;
/* The client behind the trusted proxies; forwarded may be NULL. */
void client_ip(const char *peer, const char *const *forwarded, size_t n,
    const struct cidr *list, size_t count, char *out, size_t size);
bool cidr_match(const struct cidr *list, size_t count, const char *ip);

/* ---- range.c: Range, entity tags, file names; pure ---- */

enum range { RANGE_NONE, RANGE_OK, RANGE_BAD };
enum range
range_parse(const char *text, int64_t size, int64_t *from, int64_t *length);
/* If-None-Match against our (unquoted) tag. */
bool etag_matches(const char *header, const char *tag);
bool etag_is(const char *header, const char *tag); /* If-Range: strong */
/* Cleans a client's file name for people; never a path. */
void display_name(const char *name, char *out, size_t size);
/* A path as logs and problems may show it: the token of a webhook is "*". */
void shown_path(const char *path, char *out, size_t size);
/* Content-Disposition with an ASCII name and filename*. */
void disposition(bool attachment, const char *name, char *out, size_t out_size);

/* ---- multipart.c: strict streaming parser; pure ---- */

struct multipart_hooks {
	/* type is "" when absent; filename NULL when absent. */
	bool (*on_part)(void *arg, const char *name, const char *filename,
	    const char *type, struct err *err);
	bool (*on_data)(
	    void *arg, const char *data, size_t len, struct err *err);
	bool (*on_part_end)(void *arg, struct err *err);
};
struct multipart;
/* content_type: the request's header. */
struct multipart *multipart_new(const char *content_type,
    const struct multipart_hooks *hooks, void *arg, struct err *err);
void multipart_free(struct multipart *parser);
bool multipart_feed(struct multipart *parser, const char *data, size_t len,
    struct err *err) REELD_MUST;
bool multipart_end(struct multipart *parser, struct err *err) REELD_MUST;

/* ---- mould.c: responses used again ---- */

enum { MOULDS = 32, MOULD_BYTES = 512, MOULD_VALUE = 128 };
struct reply_header {
	const char *name, *value; /* name: a literal */
};
struct reply_headers {
	struct reply_header list[MAX_REPLY_HEADERS];
	size_t n;
};
struct mould;
/* A mould with these headers and a copy of data, until mould_give(); NULL:
 * make a response of your own. */
struct mould *mould_take(struct mould **table,
    const struct reply_headers *headers, const void *data, size_t len);
struct MHD_Response *mould_response(const struct mould *mould);
void mould_give(struct mould **slot); /* NULL is fine */
void moulds_free(struct mould **table);

/* ---- the server and its calls ---- */

enum call_phase {
	CALL_FIRST,    /* connected, no request yet */
	CALL_IDLE,     /* kept alive */
	CALL_HEAD,     /* request line seen */
	CALL_GATE,     /* the gate thinks */
	CALL_LOOK,     /* refused: does its client send the body? */
	CALL_BODY,     /* the body arrives */
	CALL_HANDLER,  /* the handler thinks */
	CALL_REPLY,    /* the reply is on its way */
	CALL_STREAM,   /* a streamed reply */
	CALL_HIJACKED, /* the socket is somebody else's */
	CALL_DEAD      /* the connection must end */
};

struct mould;
struct stream;
struct uploads;
struct site;

struct http_call {
	TAILQ_ENTRY(http_call) link, woken;
	struct http_server *server;
	struct MHD_Connection *mhd;
	int fd;
	enum call_phase phase;
	int64_t since_ms; /* when the phase began */
	int64_t start_ns; /* of the request */
	bool counted;	  /* in server->calls */
	bool inside;	  /* the library's callback is on the stack */
	bool suspended;
	bool gate_passed;
	bool full;	 /* the library has the whole request */
	bool close;	 /* "Connection: close" on the reply */
	bool broken;	 /* a body error waits for the body's end */
	bool discarding; /* a refusal waits for the body's end */
	bool writes_on;	 /* the body comes, though it is refused */
	bool http_10;
	struct loop_io *hangup;

	/* request */
	char *target;
	size_t target_len, target_cap;
	char *url_memory;
	size_t url_cap;
	struct url url;
	struct guard_result head;
	const struct http_route *route;
	int route_index;
	int n_args;
	struct http_pair args[MAX_ARGS];
	char request_id[72];
	char ip[48];
	char cookie[512];
	void *identity;

	/* body */
	int64_t received, max_body;
	struct buf body;
	struct json_object *json;
	struct uploads *uploads;
	struct err body_err;

	/* reply */
	struct MHD_Response *response; /* ours to destroy, or the mould's */
	struct mould *mould;
	int status;
	struct {
		const char *name;
		size_t value; /* where it is in extra_text */
	} extra[MAX_EXTRA];
	int n_extra;
	struct buf extra_text;
	char etag[80], quoted[80 + 2];
	char cache[80];
	struct stream *stream;
	loop_fn *gone;
	void *gone_arg;
};
TAILQ_HEAD(call_list, http_call);

struct http_server {
	struct loop *loop;
	struct http_opts opts;
	struct MHD_Daemon *daemon;
	struct loop_io *io;
	struct loop_defer *kick;
	struct loop_timer sweep, wake_timer;
	int64_t now_ms; /* of this turn, coarse */
	int listen_fd, port;
	struct router *router;
	struct site *site;
	struct cidr *trusted;
	size_t n_trusted;
	char csp_page[768];
	char upload_dir[256];
	char id_prefix[20];
	uint64_t id_next;
	struct call_list list, woken; /* woken: to be resumed */
	struct mould *moulds[MOULDS];
	struct http_stats stats;
	struct http_route_stats *route_stats;
	bool draining, freeing;
	loop_fn *on_drained;
	void *drained_arg;
	struct loop_defer *drained;
};

/* server.c */
void server_kick(struct http_server *server);
/* The call is suspended; the library hears of it soon. */
void server_wake(struct http_call *call);
void server_check_drained(struct http_server *server);

/* call.c */
enum MHD_Result on_access(void *cls, struct MHD_Connection *mhd,
    const char *url, const char *method, const char *version, const char *data,
    size_t *size, void **context);
void *on_target(void *cls, const char *target, struct MHD_Connection *mhd);
void on_completed(void *cls, struct MHD_Connection *mhd, void **context,
    enum MHD_RequestTerminationCode why);
void call_enter(struct http_call *call, enum call_phase phase);
void call_reset(struct http_call *call);
void call_fini(struct http_call *call);
struct call_fields {
	struct guard_field list[MAX_HEADERS + 1];
	size_t n; /* MAX_HEADERS + 1: there are more */
};
/* The request's headers, borrowed. */
void call_fields(struct http_call *call, struct call_fields *out);

/* hold.c */
void call_suspend(struct http_call *call);
void call_resume(struct http_call *call);
/* The call has a response: hand it to the library now or when resumed. */
void call_answered(struct http_call *call);
/* Runs the gone callback if it is armed. */
void call_fire_gone(struct http_call *call);

/* body.c */
bool body_begin(struct http_call *call, struct err *err) REELD_MUST;
void body_add(struct http_call *call, const char *data, size_t len);
bool body_finish(struct http_call *call, struct err *err) REELD_MUST;
void body_fini(struct http_call *call);
/* upload.c */
bool uploads_open(struct http_call *call, bool multipart, struct err *err);
bool uploads_add(
    struct uploads *self, const char *data, size_t len, struct err *err);
bool uploads_finish(struct uploads *self, struct err *err);
void uploads_free(struct uploads **slot);

/* reply.c */
enum reply_look { LOOK_API, LOOK_PAGE, LOOK_FILE, LOOK_SANDBOX };
/* Takes the response: adds the headers every reply has. */
void reply_take(struct http_call *call, int status,
    struct MHD_Response *response, const char *type, enum reply_look look);
void reply_options(struct http_call *call, unsigned allow);
void reply_method(struct http_call *call, unsigned allow);

/* stream.c */
void stream_end(struct http_call *call);

/* site.c: the web pages */
bool site_open(const char *dir, struct site **out, struct err *err) REELD_MUST;
void site_free(struct site *site);
/* Replies when the path is a file of the site, or a page of the app. */
bool site_serve(struct http_call *call);

/* stats.c */
void stats_count(struct http_call *call);

#endif
