/* internal.h - what the files of ws share. */
#ifndef WS_INTERNAL_H
#define WS_INTERNAL_H

#include <sys/queue.h>
#include <uthash.h>

#include "reeld/ws.h"

/* Room in front of a message for libwebsockets to write its header. */
#define WS_ROOM 16
#define WS_BATCH_BYTES (64 * 1024)
#define WS_WHEEL 64
#define WS_KEY_LEN 24
/* How long work on many sessions may go on before others get a turn. */
#define WS_SLICE_NS (8 * 1000000LL)

struct lws;
struct lws_context;

struct ws_session {
	struct ws *ws;
	struct lws *wsi;
	struct loop_io *io;
	const struct ws_hooks *hooks;
	void *user;
	TAILQ_ENTRY(ws_session) all, dirty, wheel;
	struct ws_outbox outbox;
	char *in; /* the message being received; the head, before adoption */
	char *close_reason;
	uint64_t number;
	int64_t heard_ms, behind_ms, window_ms, close_at_ms;
	int fd;
	uint16_t in_len, close_code;
	uint8_t fragments, messages, slot;
	bool is_open, is_dirty, readable, behind, want_ping, closing;
	bool close_sent, dead;
};

TAILQ_HEAD(ws_list, ws_session);

struct ws {
	struct loop *loop;
	struct ws_opts opts;
	struct lws_context *lws;
	struct ws_session *adopting;
	struct ws_list all, dirty, wheel[WS_WHEEL + 1]; /* last: due now */
	struct loop_defer *flush;
	struct loop_timer flush_timer, due_timer, tick, tell_timer, drain_timer;
	int untold;  /* of the drain: sessions that heard no bye yet */
	int orphans; /* sessions that are gone before lws is done with them */
	int64_t tick_ms;
	unsigned slot;
	uint64_t last_number;
	unsigned char *scratch; /* WS_ROOM + a batch */
	char name[32];
	bool draining;
	loop_fn *drained;
	void *drained_arg;
	struct loop_defer *drain_defer;
	struct ws_stats stats;
};

/* frame.c: the message as it is written, WS_ROOM free bytes before it. */
unsigned char *frame_message(struct ws_frame *frame, size_t *len);
bool frame_is_event(const struct ws_frame *frame);
/* Writes n frames as one batch to dst; returns its length. */
size_t frame_join(
    unsigned char *dst, size_t size, struct ws_frame *const *frames, size_t n);
size_t frame_cost(const struct ws_frame *frame);

/* handshake.c */
struct ws_handshake {
	const char *upgrade, *connection, *version, *key, *protocol;
};
/* *with_protocol: the client offered WS_PROTOCOL. */
bool handshake_check(const struct ws_handshake *shake, bool *with_protocol,
    struct err *err) REELD_MUST;
/* "https://host" or "http://host" with the same host as the request. */
bool handshake_same_host(const char *origin, const char *host);

/* context.c: gives fd (taken) to lws.  False: refused by a limit, err set,
 * fd not taken. */
bool ws_adopt(struct ws *ws, int fd, const char *key, bool with_protocol,
    const struct ws_hooks *hooks, void *user, struct err *err) REELD_MUST;
/* The total limit, without taking anything. */
bool ws_has_room(struct ws *ws, struct err *err) REELD_MUST;
void session_adopt(struct ws_session *self); /* may kill self */
void session_gone(struct ws_session *self);
/* Counts the sessions of a slice that began then; true: enough for now. */
bool slice_over(int64_t start_ns, unsigned *n);

/* session.c */
void session_dirty(struct ws_session *self);
void session_wheel(struct ws_session *self, int64_t delay_ms);
void session_check(struct ws_session *self, int64_t now_ms);
void session_received(struct ws_session *self, const char *data, size_t len,
    bool frame_end, bool message_end, bool binary);
void on_flush(void *arg);

/* lws.c: the only calls into libwebsockets. */
bool ws_lws_open(struct ws *ws);
void ws_lws_end(struct ws *ws);
bool ws_lws_take(struct ws_session *self, const char *head, size_t len);
void ws_lws_turn(struct ws_session *self, int events); /* may kill self */
void ws_lws_cut(struct ws_session *self);	       /* kills self */
bool ws_lws_write(struct ws_session *self);
void ws_lws_tick(struct ws *ws);
bool ws_lws_stuck(const struct ws_session *self);

#endif
