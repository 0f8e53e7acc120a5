/*
 * session.c - one WebSocket: sending, receiving, falling behind, closing.
 *
 * Frames wait in the outbox.  The sessions that have something to do, be it
 * to read, to write or to begin, are on the dirty list, which one deferred
 * call works off at the end of the turn: so the events of a turn travel
 * together, and what thousands do at once (they come, they hear a broadcast,
 * they hang up) is cut in slices that leave the loop free in between.
 */
#define LOG_MODULE "ws"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "reeld/clock.h"
#include "reeld/log.h"
#include "reeld/mem.h"
#include "ws/internal.h"

#define CLOSE_MS 5000

static void
flush_soon(struct ws *ws)
{
	if (ws->flush == NULL && !timer_is_set(&ws->flush_timer))
		loop_defer(ws->loop, "ws flush", on_flush, ws, &ws->flush);
}

void
session_dirty(struct ws_session *self)
{
	if (self->is_dirty || self->dead)
		return;
	self->is_dirty = true;
	TAILQ_INSERT_TAIL(&self->ws->dirty, self, dirty);
	flush_soon(self->ws);
}

/* Has something to write that the socket may take. */
static bool
has_work(const struct ws_session *self)
{
	return self->is_open && !self->close_sent &&
	    (self->outbox.count > 0 || self->want_ping || self->closing);
}

static void
session_flush(struct ws_session *self)
{
	int rounds = 0;

	do
		ws_lws_turn(self, LOOP_WRITE);
	while (!self->dead && has_work(self) && !ws_lws_stuck(self) &&
	    ++rounds < 8);
	/* lws writes the close frame itself, in a turn of its own. */
	if (!self->dead && self->close_sent)
		ws_lws_turn(self, LOOP_WRITE);
	if (self->dead)
		return;
	if (ws_lws_stuck(self)) {
		loop_io_set(self->io, LOOP_READ | LOOP_WRITE);
		return;
	}
	loop_io_set(self->io, LOOP_READ);
	if (has_work(self)) {
		session_dirty(self);
		return;
	}
	if (!self->behind || self->closing)
		return;
	self->behind = false;
	self->ws->stats.behind--;
	if (self->hooks->on_behind != NULL)
		self->hooks->on_behind(self, self->user);
}

/* Reads while it is on the list: its answers need no second turn. */
static void
session_turn(struct ws_session *self)
{
	if (self->wsi == NULL)
		session_adopt(self);
	if (self->readable && !self->dead) {
		self->readable = false;
		ws_lws_turn(self, LOOP_READ);
	}
	if (self->dead)
		return; /* and off the list */
	TAILQ_REMOVE(&self->ws->dirty, self, dirty);
	self->is_dirty = false;
	if (self->io != NULL)
		session_flush(self);
}

void
on_flush(void *arg)
{
	struct ws *self = arg;
	int64_t start_ns = clock_mono_ns();
	struct ws_session *session;
	unsigned n = 0;

	while ((session = TAILQ_FIRST(&self->dirty)) != NULL) {
		session_turn(session);
		if (slice_over(start_ns, &n))
			break;
	}
	loop_defer_cancel(&self->flush);
	timer_clear(&self->flush_timer);
	/* A timer, not another deferred call: descriptors get their turn. */
	if (!TAILQ_EMPTY(&self->dirty))
		timer_set_ms(&self->flush_timer, 0);
}

void
session_wheel(struct ws_session *self, int64_t delay_ms)
{
	struct ws *ws = self->ws;
	int64_t ticks = (delay_ms + ws->tick_ms - 1) / ws->tick_ms;

	if (ticks < 1)
		ticks = 1;
	if (ticks > WS_WHEEL - 1)
		ticks = WS_WHEEL - 1;
	if (self->slot != UINT8_MAX)
		TAILQ_REMOVE(&ws->wheel[self->slot], self, wheel);
	self->slot = (uint8_t)((ws->slot + (unsigned)ticks) % WS_WHEEL);
	TAILQ_INSERT_TAIL(&ws->wheel[self->slot], self, wheel);
}

/* Called by the wheel: what is late?  May end the session. */
void
session_check(struct ws_session *self, int64_t now_ms)
{
	struct ws *ws = self->ws;
	const struct ws_opts *o = &ws->opts;
	int64_t silent_ms = now_ms - self->heard_ms;

	if (silent_ms >= o->hang_up_ms) {
		ws->stats.closed_silent++;
		ws_lws_cut(self);
		return;
	}
	if (self->closing) {
		if (now_ms >= self->close_at_ms)
			ws_lws_cut(self);
		else
			session_wheel(self, self->close_at_ms - now_ms);
		return;
	}
	if (self->behind && now_ms - self->behind_ms >= o->slow_ms) {
		ws->stats.closed_slow++;
		ws_bye(self, WS_CLOSE_LATER, "slow", o->reconnect_ms);
		return;
	}
	if (silent_ms >= o->ping_ms && self->is_open) {
		self->want_ping = true;
		session_dirty(self);
		silent_ms = 0;
	}
	if (self->behind)
		session_wheel(self, self->behind_ms + o->slow_ms - now_ms);
	else
		session_wheel(self, o->ping_ms - silent_ms);
}

/* Checked by then; sooner, where it is due sooner: who falls behind now and
 * then must still be pinged in time. */
static void
wheel_at_latest(struct ws_session *self, int64_t delay_ms)
{
	struct ws *ws = self->ws;
	unsigned left = (self->slot + WS_WHEEL - ws->slot) % WS_WHEEL;

	if (self->slot == UINT8_MAX ||
	    (self->slot < WS_WHEEL && left * ws->tick_ms > delay_ms))
		session_wheel(self, delay_ms);
}

static void
fall_behind(struct ws_session *self)
{
	struct ws *ws = self->ws;

	ws_outbox_drop_state(&self->outbox);
	ws->stats.conflated++;
	if (self->behind)
		return;
	self->behind = true;
	self->behind_ms = clock_mono_ms();
	ws->stats.behind++;
	wheel_at_latest(self, ws->opts.slow_ms);
}

void
ws_send(struct ws_session *self, struct ws_frame *frame)
{
	if (self->dead || self->closing)
		return;
	/* What it misses now is in the snapshots it gets when it reads. */
	if (self->behind && ws_frame_key(frame) != 0)
		return;
	if (ws_outbox_put(&self->outbox, frame)) {
		/* most often */
	} else if (ws_lws_write(self) && ws_outbox_put(&self->outbox, frame)) {
		/* It reads: there were just many events in one turn. */
	} else {
		fall_behind(self);
		if (ws_frame_key(frame) == 0 &&
		    !ws_outbox_put(&self->outbox, frame)) {
			self->ws->stats.closed_slow++;
			ws_bye(self, WS_CLOSE_LATER, "slow",
			    self->ws->opts.reconnect_ms);
			return;
		}
	}
	/* A socket that is full tells when it takes more. */
	if (self->is_open && (loop_io_events(self->io) & LOOP_WRITE) == 0)
		session_dirty(self);
}

void
ws_send_text(struct ws_session *self, const char *text, size_t len)
{
	struct ws_frame *frame = ws_frame_new(WS_FRAME_WHOLE, text, len, 0, 0);

	ws_send(self, frame);
	ws_frame_unref(&frame);
}

void
ws_send_state(
    struct ws_session *self, uint64_t key, const char *text, size_t len)
{
	struct ws_frame *frame =
	    ws_frame_new(WS_FRAME_EVENT, text, len, key, 0);

	ws_send(self, frame);
	ws_frame_unref(&frame);
}

void
ws_close(struct ws_session *self, int code, const char *reason)
{
	if (self->dead || self->closing)
		return;
	self->closing = true;
	self->close_code = (uint16_t)code;
	self->close_reason = xstrndup(reason, 123);
	self->close_at_ms = clock_mono_ms() + CLOSE_MS;
	session_wheel(self, CLOSE_MS);
	if (code == WS_CLOSE_POLICY || code == WS_CLOSE_TOO_BIG)
		self->ws->stats.closed_policy++;
	if (self->is_open)
		session_dirty(self);
}

void
ws_bye(struct ws_session *self, int code, const char *reason,
    int reconnect_after_ms)
{
	struct buf text;

	if (self->dead || self->closing)
		return;
	/* A slow reader gets the farewell instead of what it did not read. */
	if (code == WS_CLOSE_LATER)
		ws_outbox_fini(&self->outbox);
	buf_init(&text, 512);
	buf_printf(&text, "{\"type\":\"bye\",\"reason\":\"%s\"", reason);
	if (reconnect_after_ms > 0)
		buf_printf(
		    &text, ",\"reconnect_after_ms\":%d", reconnect_after_ms);
	buf_putc(&text, '}');
	if (buf_ok(&text)) {
		struct ws_frame *frame =
		    ws_frame_new(WS_FRAME_WHOLE, text.data, text.len, 0, 0);

		if (!ws_outbox_put(&self->outbox, frame))
			log_debug("session=%llu msg=\"no room for bye\"",
			    (unsigned long long)self->number);
		ws_frame_unref(&frame);
	}
	buf_fini(&text);
	ws_close(self, code, reason);
}

static bool
too_many(struct ws_session *self)
{
	int64_t now_ms = clock_mono_ms();

	if (self->messages == 0 || now_ms - self->window_ms >= WS_MESSAGES_MS) {
		self->window_ms = now_ms;
		self->messages = 0;
	}
	return ++self->messages > WS_MAX_MESSAGES;
}

/* One piece of a message, in order.  Called by lws: never ends the session
 * at once. */
void
session_received(struct ws_session *self, const char *data, size_t len,
    bool frame_end, bool message_end, bool binary)
{
	char *text;
	size_t text_len;

	self->heard_ms = clock_mono_ms();
	if (self->closing)
		return;
	if (binary) {
		ws_close(self, WS_CLOSE_POLICY, "text only");
		return;
	}
	if (self->in_len + len > WS_MAX_MESSAGE_BYTES) {
		ws_close(self, WS_CLOSE_TOO_BIG, "message too big");
		return;
	}
	if (frame_end && ++self->fragments > WS_MAX_FRAGMENTS) {
		ws_close(self, WS_CLOSE_POLICY, "too many fragments");
		return;
	}
	self->in = xrealloc(self->in, self->in_len + len + 1);
	memcpy(self->in + self->in_len, data, len);
	self->in_len = (uint16_t)(self->in_len + len);
	if (!message_end)
		return;
	text = self->in;
	text_len = self->in_len;
	text[text_len] = '\0';
	self->in = NULL;
	self->in_len = 0;
	self->fragments = 0;
	self->ws->stats.messages_in++;
	if (too_many(self))
		ws_close(self, WS_CLOSE_POLICY, "too many messages");
	else if (!utf8_valid(text, text_len))
		ws_close(self, 1007, "not UTF-8");
	else
		self->hooks->on_message(self, text, text_len, self->user);
	free(text);
}
