/*
 * internal.h - what the files of fetch share.
 *
 * call.c owns a call from start to done; queue.c says whose turn it is;
 * easy.c turns it into a libcurl handle and is called back by it, intake.c
 * takes what is answered; multi.c
 * drives the handles on the loop; outcome.c says what a finished handle
 * means; sink.c and writer.c (sink.h) write files.
 */
#ifndef FETCH_INTERNAL_H
#define FETCH_INTERNAL_H

#include <curl/curl.h>
#include <sys/queue.h>

#include "fetch/guard.h"
#include "reeld/fetch.h"
#include "reeld/loop.h"

enum {
	URL_MAX = 2048,
	ORIGIN_MAX = 300,
	HEADERS_MAX = 200,
	HEADERS_STEP = 20, /* grown by */
	/* What we keep of an error page when a file was expected. */
	ERROR_BODY_MAX = 64 * 1024,
	LOW_SPEED_BYTES = 10240,
	SPARE_MAX = 32,
	/* Per connection that a host may have, over HTTP/2. */
	SHARED_CALLS = 4,
	RETRY_AFTER_MAX_S = 600
};

/* One curl multi handle.  Trusted and untrusted traffic never share one, so
 * that a connection made for one is never reused by the other. */
struct multi {
	struct fetch *fetch;
	CURLM *curl;
	struct loop_timer timer;
	const char *what;
	struct socket_watch *watches; /* uthash by socket, multi.c */
	/* queue.c */
	struct host *hosts; /* uthash, those with calls */
	int max_host_calls;
	int waiting;
	struct loop_timer patience; /* set while calls wait */
};

struct fetch {
	struct loop *loop;
	struct multi provider, untrusted;
	struct guard guard;
	char *ca_file, *user_agent;
	int max_calls;
	bool in_curl; /* libcurl is on the stack: do not call it */
	bool closing; /* nobody's turn comes any more */
	bool progress_due;
	struct writer *writer; /* NULL before the first download */
	int sinks;	       /* calls with a sink */
	struct fetch_call *calls;
	CURL *spare[SPARE_MAX]; /* easy.c: handles without a call */
	int n_spare;
	struct fetch_call *unused; /* call.c: by next, to be used again */
	int n_unused;
	struct fetch_stats stats;
};

struct fetch_call {
	struct fetch *fetch;
	struct fetch_call *next, **prev;
	struct fetch_call **slot;
	fetch_done_fn *done;
	void *arg;
	struct fetch_spec spec;
	int64_t start_ms, deadline_ms;
	int64_t max_bytes, max_head_bytes;

	/* This hop. */
	struct host *host; /* NULL: neither waiting nor at libcurl */
	bool waiting;
	TAILQ_ENTRY(fetch_call) turn;
	CURL *easy;
	struct curl_slist *list;
	struct multi *multi; /* NULL: not added */
	char url[URL_MAX];
	char hop[ORIGIN_MAX]; /* origin of url */
	char method[8];
	bool untrusted;	 /* the guard applies */
	bool own_origin; /* secrets may be sent */
	bool no_body;	 /* a redirect turned it into a GET */
	bool resuming;
	int port;
	int64_t resume_from;
	int64_t body_sent; /* of body_fd */
	char errbuf[CURL_ERROR_SIZE];

	/* All hops. */
	char origin[ORIGIN_MAX]; /* of the first URL */
	bool sent_before;	 /* an earlier hop was answered */
	bool restarted;		 /* a 416 was answered with a fresh start */

	/* What the callbacks saw of this hop. */
	struct fetch_reply reply;
	struct fetch_header *headers;
	int n_headers, headers_room;
	int64_t head_bytes;
	bool refused, too_large, head_full, bad_range, encoded;
	bool sink_open; /* the body goes to the file */
	bool body_seen; /* where the body goes is decided */
	bool cut;	/* enough of an error page */
	int disk_errno;
	bool paused;   /* until its file has room again */
	bool draining; /* done but for what its file waits for */
	CURLcode drain_code;

	fetch_progress_fn *progress;
	void *progress_arg;
	int64_t progress_ms;
	bool progress_due;

	struct loop_defer *early;
	struct err early_err;
};

/* call.c */
void call_finish(struct fetch_call *call, CURLcode code);
/* It ends with call->early_err, later in this turn of the loop. */
void call_fail_later(struct fetch_call *call);

/* queue.c */
void queue_init(struct multi *multi, int max_host_calls);
void queue_fini(struct multi *multi); /* when no call is left */
/* To libcurl when there is room for its host, else to wait; false: the
 * request cannot be made. */
bool queue_enter(
    struct multi *multi, struct fetch_call *call, struct err *err) REELD_MUST;
/* Leaves libcurl or the queue; the next one's turn.  Safe twice. */
void queue_leave(struct fetch_call *call);

/* easy.c: makes call->easy for call->url; false with a reason. */
bool easy_open(struct fetch_call *call, struct err *err) REELD_MUST;
void easy_close(struct fetch_call *call);
void easy_spare_free(struct fetch *fetch);

/* intake.c */
/* Decides where the body goes; false when it must not go anywhere. */
bool intake_begin(struct fetch_call *call);
/* libcurl's CURLOPT_WRITEFUNCTION; the last argument is the call. */
size_t intake_take(char *data, size_t size, size_t count, void *userdata);

/* multi.c */
/* A chunk of the call's file came back.  Off libcurl's stack; may call back.
 */
void multi_written(struct fetch_call *call);
void multi_init(struct multi *multi, struct fetch *fetch, const char *what,
    const struct fetch_opts *opts);
void multi_fini(struct multi *multi);
void multi_add(struct multi *multi, struct fetch_call *call);
void multi_remove(struct fetch_call *call);
/* A connection of ours: it is watched until multi_close_socket(), which
 * libcurl calls with the multi that it was opened for. */
void multi_socket_opened(struct multi *multi, int fd);
int multi_close_socket(void *clientp, curl_socket_t fd);

/* outcome.c: fills reply->sent and times; true for a whole answer. */
bool outcome_read(struct fetch_call *call, CURLcode code, struct err *err);
void headers_reset(struct fetch_call *call);
/* One line of the header; false when it is over a limit. */
bool headers_add(struct fetch_call *call, const char *line, size_t len);

/* spec.c: everything about it that can be known before it leaves. */
bool spec_check(const struct fetch_spec *spec, struct err *err) REELD_MUST;
/* May this call go to this URL?  Sets untrusted and own_origin. */
bool spec_check_hop(
    struct fetch_call *call, const char *url, struct err *err) REELD_MUST;
/* Is it, by now, on somebody's address without any privilege? */
bool spec_strict(const struct fetch_call *call);
void spec_move(struct fetch_spec *dst, struct fetch_spec *src);

#endif
