/*
 * lws.c - the only file that calls libwebsockets: it frames, we do the rest.
 *
 * Debian's build has no libevent back end and no external-poll callbacks, so
 * readiness lives in loop_io and each ready descriptor is handed to
 * lws_service_fd().  lws asks for POLLOUT inside (pong, close, rest of a
 * partial write) without telling us: so every read is followed by a write
 * turn, and lws_partial_buffered() says whether the socket is full.  In
 * LWS_CALLBACK_WSI_DESTROY the descriptor is closed already: its event goes
 * in CLOSED or CLOSED_HTTP, the session in WSI_DESTROY.
 */
#define LOG_MODULE "ws"
#include <libwebsockets.h>
#include <string.h>

#include "reeld/clock.h"
#include "reeld/log.h"
#include "reeld/mem.h"
#include "ws/internal.h"

/* How long a session that was cut may go on writing what it has begun. */
#define ORPHAN_S 5

_Static_assert(WS_ROOM >= LWS_PRE, "lws writes its header there");

static void
write_frames(struct ws_session *self, struct lws *wsi)
{
	struct ws *ws = self->ws;
	size_t n = ws_outbox_head(&self->outbox, WS_BATCH_BYTES), len;
	unsigned char *at;

	if (n == 1) {
		at = frame_message(self->outbox.frames[0], &len);
	} else {
		at = ws->scratch + WS_ROOM;
		len = frame_join(
		    at, WS_BATCH_BYTES + 256, self->outbox.frames, n);
	}
	/* A failure shows as a hang-up in the next turn. */
	if (lws_write(wsi, at, len, LWS_WRITE_TEXT) < 0)
		log_debug("session=%llu msg=\"write failed\"",
		    (unsigned long long)self->number);
	ws->stats.frames_out++;
	ws->stats.bytes_out += len;
	ws_outbox_pop(&self->outbox, n);
}

/* One message per call.  Not 0: close it now. */
static int
on_writeable(struct ws_session *self, struct lws *wsi)
{
	unsigned char ping[LWS_PRE + 4];

	if (lws_partial_buffered(wsi))
		return 0;
	if (self->want_ping) {
		self->want_ping = false;
		memcpy(ping + LWS_PRE, "reel", 4);
		if (lws_write(wsi, ping + LWS_PRE, 4, LWS_WRITE_PING) < 0)
			return -1;
		return 0;
	}
	if (self->outbox.count > 0) {
		write_frames(self, wsi);
		return 0;
	}
	if (!self->closing || self->close_sent)
		return 0;
	self->close_sent = true;
	lws_close_reason(wsi, (enum lws_close_status)self->close_code,
	    (unsigned char *)self->close_reason, strlen(self->close_reason));
	return -1;
}

static int
on_lws(struct lws *wsi, enum lws_callback_reasons why, void *user, void *in,
    size_t len)
{
	struct ws *ws = lws_context_user(lws_get_context(wsi));
	struct ws_session *self;

	switch (why) {
	case LWS_CALLBACK_FILTER_NETWORK_CONNECTION:
	case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
		lws_set_opaque_user_data(wsi, ws->adopting);
		if (ws->adopting != NULL)
			ws->adopting->wsi = wsi;
		return 0;
	case LWS_CALLBACK_ESTABLISHED:
	case LWS_CALLBACK_CLOSED:
	case LWS_CALLBACK_CLOSED_HTTP:
	case LWS_CALLBACK_WSI_DESTROY:
	case LWS_CALLBACK_RECEIVE:
	case LWS_CALLBACK_RECEIVE_PONG:
	case LWS_CALLBACK_SERVER_WRITEABLE:
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
		break;
	case LWS_CALLBACK_HTTP:
		return -1; /* never: only handshakes are given to lws */
	default:
		return 0;
	}
	if ((self = lws_get_opaque_user_data(wsi)) == NULL)
		return 0;
	if ((void *)self == ws) { /* an orphan */
		ws->orphans -= why == LWS_CALLBACK_WSI_DESTROY;
		return 0;
	}
	switch (why) {
	case LWS_CALLBACK_ESTABLISHED:
		self->is_open = true;
		self->hooks->on_open(self, self->user);
		session_dirty(self);
		break;
	case LWS_CALLBACK_RECEIVE: {
		bool end = lws_remaining_packet_payload(wsi) == 0;

		session_received(self, in, len, end,
		    end && lws_is_final_fragment(wsi),
		    lws_frame_is_binary(wsi));
		break;
	}
	case LWS_CALLBACK_RECEIVE_PONG:
		self->heard_ms = clock_mono_ms();
		break;
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return on_writeable(self, wsi);
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
		if (self->close_code == 0 && len >= 2)
			self->close_code = (uint16_t)(((uint8_t *)in)[0] << 8 |
			    ((uint8_t *)in)[1]);
		break;
	case LWS_CALLBACK_CLOSED:
	case LWS_CALLBACK_CLOSED_HTTP:
		loop_io_free(&self->io);
		self->is_open = false;
		break;
	default: /* WSI_DESTROY */
		lws_set_opaque_user_data(wsi, NULL);
		self->wsi = NULL;
		session_gone(self);
		break;
	}
	return 0;
}

static void
on_log(int level, const char *line)
{
	log_debug("msg=%s", log_text(line));
}

bool
ws_lws_open(struct ws *ws)
{
	/* The receive buffer is per session: messages are small and put
	 * together by session.c anyway.  Unless told, lws sends no more than
	 * that much at once either, copies the rest and looks stuck until it
	 * is gone: a message is one send().  Pings are ours: no lws timers. */
	static const struct lws_protocols protocols[] = {
	    {.name = WS_PROTOCOL,
		.callback = on_lws,
		.rx_buffer_size = 256,
		.tx_packet_size = WS_OUTBOX_BYTES},
	    {0}};
	static const struct lws_retry_bo no_idle_check = {0};
	struct lws_context_creation_info info = {0};

	lws_set_log_level(LLL_ERR, on_log);
	info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
	info.protocols = protocols;
	info.options = LWS_SERVER_OPTION_VALIDATE_UTF8;
	info.retry_and_idle_policy = &no_idle_check;
	info.max_http_header_data = 1024; /* we write the head ourselves */
	info.max_http_header_pool = 16;
	info.pt_serv_buf_size = 4096;
	info.timeout_secs = 10;
	info.user = ws;
	ws->lws = lws_create_context(&info);
	return ws->lws != NULL;
}

void
ws_lws_end(struct ws *ws)
{
	if (ws->lws != NULL)
		lws_context_destroy(ws->lws);
	ws->lws = NULL;
}

static void
on_ready(int fd, int events, void *arg)
{
	struct ws_session *self = arg;

	/* It waits for its turn behind thousands: being told of it again and
	 * again would cost more than the turn.  session_flush() listens. */
	if (self->readable)
		loop_io_set(self->io, 0);
	else if (events & LOOP_READ)
		self->readable = true;
	session_dirty(self);
}

bool
ws_lws_take(struct ws_session *self, const char *head, size_t len)
{
	struct ws *ws = self->ws;
	struct lws *wsi;

	self->io = loop_io_new(ws->loop, self->fd, "ws", on_ready, self);
	loop_io_set(self->io, LOOP_READ);
	ws->adopting = self;
	wsi = lws_adopt_socket_readbuf(ws->lws, self->fd, head, len);
	ws->adopting = NULL;
	if (wsi == NULL)
		return false; /* lws has closed the descriptor */
	return true;
}

void
ws_lws_turn(struct ws_session *self, int events)
{
	short bits = (short)((events & LOOP_READ ? LWS_POLLIN : 0) |
	    (events & LOOP_WRITE ? LWS_POLLOUT : 0));
	struct lws_pollfd pfd = {self->fd, bits, bits};

	lws_service_fd(self->ws->lws, &pfd);
	/* Its list of timeouts is walked to put one in, which adds up when
	 * thousands are to answer a close: the wheel has our own. */
	if (self->close_sent && !self->dead && self->wsi != NULL)
		lws_set_timeout(self->wsi, NO_PENDING_TIMEOUT, 0);
}

void
ws_lws_cut(struct ws_session *self)
{
	struct ws *ws = self->ws;
	struct lws_pollfd pfd = {self->fd, 0, LWS_POLLHUP};

	if (self->wsi != NULL)
		lws_service_fd(ws->lws, &pfd);
	else
		close(self->fd); /* not adopted yet */
	if (self->dead)
		return;
	if (self->wsi != NULL) { /* lws is still busy with it: without us */
		lws_set_opaque_user_data(self->wsi, ws);
		lws_set_timeout(
		    self->wsi, PENDING_TIMEOUT_CLOSE_SEND, ORPHAN_S);
		ws->orphans++;
	}
	session_gone(self);
}

/* For timeouts of its own, and input it keeps back.  It polls and serves all
 * descriptors at that, thousands perhaps, so only when there is need: sessions
 * have their own deadlines. */
void
ws_lws_tick(struct ws *ws)
{
	if (ws->orphans > 0 || lws_service_adjust_timeout(ws->lws, 1, 0) == 0)
		lws_service(ws->lws, -1);
}

/* Writes what waits, outside its turn; never ends the session.  False: the
 * socket takes no more. */
bool
ws_lws_write(struct ws_session *self)
{
	if (!self->is_open || self->closing || ws_lws_stuck(self))
		return false;
	write_frames(self, self->wsi);
	return true;
}

bool
ws_lws_stuck(const struct ws_session *self)
{
	return self->wsi != NULL && lws_partial_buffered(self->wsi);
}
