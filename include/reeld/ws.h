/*
 * ws.h - WebSocket sessions (RFC 6455), server side, on the loop.
 *
 * The upgrade request is an ordinary route, so guard, gate and limits have
 * run when its handler calls ws_accept().  That checks the handshake, takes
 * the socket from HTTP and gives it to libwebsockets, which frames.  Each
 * session has an outbox: frames wait in it, newest state only per key, and
 * what is pending when the socket takes more goes out together.  A socket
 * that does not read costs at most WS_OUTBOX_FRAMES frames; past that its
 * state is dropped and made anew when it reads again (on_behind), and one
 * that stays behind is told "bye" and closed with 1013.
 *
 * A session pointer is valid from on_open until on_closed returns.
 */
#ifndef REELD_WS_H
#define REELD_WS_H

#include <stddef.h>
#include <stdint.h>

#include "reeld/err.h"
#include "reeld/id.h"
#include "reeld/loop.h"

struct ws;
struct ws_session;
struct http_call;

#define WS_PROTOCOL "reeld.v1"

/* Close codes that this server uses. */
enum {
	WS_CLOSE_NORMAL = 1000,
	WS_CLOSE_AWAY = 1001,
	WS_CLOSE_POLICY = 1008,
	WS_CLOSE_TOO_BIG = 1009,
	WS_CLOSE_INTERNAL = 1011,
	WS_CLOSE_RESTART = 1012,
	WS_CLOSE_LATER = 1013
};

/* What one client may do, and what one session may hold. */
enum {
	WS_MAX_MESSAGE_BYTES = 4096,
	WS_MAX_FRAGMENTS = 16,
	WS_MAX_MESSAGES = 20, /* per WS_MESSAGES_MS */
	WS_MESSAGES_MS = 10000,
	WS_OUTBOX_FRAMES = 64,
	WS_OUTBOX_BYTES = 256 * 1024
};

/* ---- frames: immutable bytes shared by many sessions ---- */

enum ws_frame_kind {
	WS_FRAME_WHOLE, /* one message by itself */
	WS_FRAME_EVENT	/* a JSON object; travels in a batch message */
};

struct ws_frame;

/*
 * Copies text (UTF-8 JSON; raw line breaks become spaces, so that it also
 * fits one line of an event stream).  key 0: every such frame is delivered;
 * else a newer frame of the same key replaces one that still waits.  The
 * caller owns one reference.
 */
struct ws_frame *ws_frame_new(enum ws_frame_kind kind, const char *text,
    size_t len, uint64_t key, int64_t version);
struct ws_frame *ws_frame_ref(struct ws_frame *frame);
void ws_frame_unref(struct ws_frame **slot);
/* The text without any wrapping. */
const char *ws_frame_text(const struct ws_frame *frame, size_t *len);
uint64_t ws_frame_key(const struct ws_frame *frame);
int64_t ws_frame_version(const struct ws_frame *frame);

/*
 * ---- the outbox: what waits for one reader; also used by event streams ----
 *
 * Zeroed memory is an empty outbox, and one with a single frame, as most
 * have, owns no memory of its own.  It must not be moved.
 */
struct ws_outbox {
	struct ws_frame **frames; /* &one, or allocated */
	struct ws_frame *one;
	uint32_t bytes;
	uint16_t count, cap;
};

/* Takes a reference of its own.  False: it is full, nothing was changed. */
bool ws_outbox_put(struct ws_outbox *box, struct ws_frame *frame) REELD_MUST;
/* Forgets the frames with a key (state, which can be made anew). */
void ws_outbox_drop_state(struct ws_outbox *box);
/* Number of frames at the head that go out as one message of at most
 * max_bytes; 0 when empty. */
size_t ws_outbox_head(const struct ws_outbox *box, size_t max_bytes);
/* Forgets the first n frames. */
void ws_outbox_pop(struct ws_outbox *box, size_t n);
void ws_outbox_fini(struct ws_outbox *box); /* empty again; safe twice */

/* ---- sessions ---- */

struct ws_opts {
	int max_sessions; /* 0: 10000 */
	int ping_ms;	  /* 0: 25000; after so much silence a ping */
	int hang_up_ms;	  /* 0: 60000; after so much silence the end */
	int slow_ms;	  /* 0: 15000; how long a session may be behind */
	int reconnect_ms; /* 0: 5000; spread of reconnects after a drain */
	/* True when pages of that origin may connect.  NULL: only the
	 * request's own Host. */
	bool (*origin_ok)(
	    const char *origin, const struct http_call *call, void *arg);
	void *origin_arg;
};

struct ws_hooks {
	void (*on_open)(struct ws_session *session, void *user);
	/* A whole text message, valid UTF-8, NUL-terminated, borrowed. */
	void (*on_message)(struct ws_session *session, const char *text,
	    size_t len, void *user);
	/* It fell behind, lost its waiting state, and has caught up: send
	 * snapshots.  May be NULL. */
	void (*on_behind)(struct ws_session *session, void *user);
	/* The session is over, also when on_open never ran.  Last call. */
	void (*on_closed)(struct ws_session *session, int code, void *user);
};

/* Who connects: decided by the caller. */
struct ws_client {
	bool no_origin_ok; /* an API key was given: not a browser */
};

struct ws *ws_new(struct loop *loop, const struct ws_opts *opts);
/* Cuts every session: on_closed runs, here and now. */
void ws_cut_all(struct ws *ws);
void ws_free(struct ws *ws); /* cuts what is left first */

/*
 * Takes over the call's socket.  False: the call was refused and has been
 * replied to, and no hook runs.  True: the call is gone, and on_closed will
 * run once; no hook runs from inside this call.
 */
bool ws_accept(struct ws *ws, struct http_call *call,
    const struct ws_client *client, const struct ws_hooks *hooks, void *user);

/* Refuses a frame silently when the session is closing. */
void ws_send(struct ws_session *session, struct ws_frame *frame);
/* One message of its own, copied. */
void ws_send_text(struct ws_session *session, const char *text, size_t len);
/* Newest of its key only, as an event; copied. */
void ws_send_state(
    struct ws_session *session, uint64_t key, const char *text, size_t len);
/* Sends what waits, then the code; on_closed comes later.  reason is at most
 * 123 bytes.  The first call counts. */
void ws_close(struct ws_session *session, int code, const char *reason);
/* The same with a last {"type":"bye"} message; 0: no reconnect hint. */
void ws_bye(struct ws_session *session, int code, const char *reason,
    int reconnect_after_ms);
/* "ws-" and a number, for logs and the welcome message. */
const char *ws_session_name(const struct ws_session *session);
int ws_ping_ms(const struct ws *ws);

/* Refuses newcomers and says bye (1012, spread reconnect hints) to all.
 * done runs once, later, when the last session is over or was cut after
 * grace_ms. */
void ws_drain(struct ws *ws, int grace_ms, loop_fn *done, void *arg);

struct ws_stats {
	int sessions, behind;
	uint64_t opened, refused, messages_in, frames_out, bytes_out, conflated;
	uint64_t closed_slow, closed_silent, closed_policy;
};
void ws_stats(const struct ws *ws, struct ws_stats *out);

#endif
