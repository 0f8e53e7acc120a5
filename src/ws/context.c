/*
 * context.c - all sessions of this process: limits, adoption, the timer
 * wheel that finds silent and slow ones, draining, numbers.
 */
#define LOG_MODULE "ws"
#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "reeld/clock.h"
#include "reeld/log.h"
#include "reeld/mem.h"
#include "ws/internal.h"

bool
slice_over(int64_t start_ns, unsigned *n)
{
	return ++*n % 8 == 0 && clock_mono_ns() - start_ns > WS_SLICE_NS;
}

/* Thousands may be due at once, when their network went away: in slices. */
static void
on_due(void *arg)
{
	struct ws *ws = arg;
	struct ws_list *due = &ws->wheel[WS_WHEEL];
	int64_t start_ns = clock_mono_ns();
	struct ws_session *self;
	unsigned n = 0;

	while ((self = TAILQ_FIRST(due)) != NULL) {
		TAILQ_REMOVE(due, self, wheel);
		self->slot = UINT8_MAX;
		session_check(self, start_ns / 1000000);
		if (slice_over(start_ns, &n))
			break;
	}
	if (!TAILQ_EMPTY(due))
		timer_set_ms(&ws->due_timer, 0);
}

static void
on_tick(void *arg)
{
	struct ws *ws = arg;
	struct ws_list *slot;
	struct ws_session *self;

	timer_set_ms(&ws->tick, ws->tick_ms);
	ws->slot = (ws->slot + 1) % WS_WHEEL;
	slot = &ws->wheel[ws->slot];
	while ((self = TAILQ_FIRST(slot)) != NULL) {
		TAILQ_REMOVE(slot, self, wheel);
		self->slot = WS_WHEEL;
		TAILQ_INSERT_TAIL(&ws->wheel[WS_WHEEL], self, wheel);
	}
	on_due(ws);
	ws_lws_tick(ws);
}

static void
on_drained(void *arg)
{
	struct ws *self = arg;

	self->drained(self->drained_arg);
}

static void
drain_check(struct ws *ws)
{
	if (!ws->draining || ws->drained == NULL || !TAILQ_EMPTY(&ws->all) ||
	    ws->drain_defer != NULL)
		return;
	timer_clear(&ws->drain_timer);
	loop_defer(ws->loop, "ws drained", on_drained, ws, &ws->drain_defer);
}

void
ws_cut_all(struct ws *ws)
{
	struct ws_session *self;

	while ((self = TAILQ_FIRST(&ws->all)) != NULL)
		ws_lws_cut(self);
}

static void
on_grace_over(void *arg)
{
	struct ws *ws = arg;
	int64_t start_ns = clock_mono_ns();
	struct ws_session *self;
	unsigned n = 0;

	while ((self = TAILQ_FIRST(&ws->all)) != NULL) {
		ws_lws_cut(self);
		if (slice_over(start_ns, &n))
			break;
	}
	if (!TAILQ_EMPTY(&ws->all))
		timer_set_ms(&ws->drain_timer, 0);
}

/* Nobody comes any more; who was told goes to the end of the list. */
static void
on_tell(void *arg)
{
	struct ws *ws = arg;
	int64_t start_ns = clock_mono_ns();
	struct ws_session *self;
	unsigned n = 0;

	while (ws->untold > 0 && (self = TAILQ_FIRST(&ws->all)) != NULL) {
		uint32_t spread = (uint32_t)ws->opts.reconnect_ms;

		ws->untold--;
		TAILQ_REMOVE(&ws->all, self, all);
		TAILQ_INSERT_TAIL(&ws->all, self, all);
		ws_bye(self, WS_CLOSE_RESTART, "restart",
		    500 + (int)random_below(spread));
		if (slice_over(start_ns, &n))
			break;
	}
	if (ws->untold > 0 && !TAILQ_EMPTY(&ws->all))
		timer_set_ms(&ws->tell_timer, 0);
}

struct ws *
ws_new(struct loop *loop, const struct ws_opts *opts)
{
	struct ws *self = xcalloc(1, sizeof *self);
	struct ws_opts *o = &self->opts;

	self->loop = loop;
	if (opts != NULL)
		*o = *opts;
	o->max_sessions = o->max_sessions > 0 ? o->max_sessions : 10000;
	o->ping_ms = o->ping_ms > 0 ? o->ping_ms : 25000;
	o->hang_up_ms = o->hang_up_ms > 0 ? o->hang_up_ms : 60000;
	o->slow_ms = o->slow_ms > 0 ? o->slow_ms : 15000;
	o->reconnect_ms = o->reconnect_ms > 0 ? o->reconnect_ms : 5000;
	self->tick_ms = o->ping_ms / 16;
	if (self->tick_ms > 1000)
		self->tick_ms = 1000;
	if (self->tick_ms < 10)
		self->tick_ms = 10;
	TAILQ_INIT(&self->all);
	TAILQ_INIT(&self->dirty);
	for (size_t i = 0; i <= WS_WHEEL; i++)
		TAILQ_INIT(&self->wheel[i]);
	self->scratch = xmalloc(WS_ROOM + WS_BATCH_BYTES + 256);
	timer_init(&self->flush_timer, loop, "ws flush", on_flush, self);
	timer_init(&self->due_timer, loop, "ws due", on_due, self);
	timer_init(&self->tick, loop, "ws tick", on_tick, self);
	timer_init(&self->tell_timer, loop, "ws tell", on_tell, self);
	timer_init(&self->drain_timer, loop, "ws drain", on_grace_over, self);
	if (!ws_lws_open(self)) {
		log_error("msg=\"libwebsockets does not start\"");
		abort();
	}
	timer_set_ms(&self->tick, self->tick_ms);
	return self;
}

void
ws_free(struct ws *ws)
{
	if (ws == NULL)
		return;
	ws->drained = NULL;
	ws_cut_all(ws);
	loop_defer_cancel(&ws->drain_defer);
	loop_defer_cancel(&ws->flush);
	timer_fini(&ws->flush_timer);
	timer_fini(&ws->due_timer);
	timer_fini(&ws->tick);
	timer_fini(&ws->tell_timer);
	timer_fini(&ws->drain_timer);
	ws_lws_end(ws);
	free(ws->scratch);
	free(ws);
}

bool
ws_has_room(struct ws *ws, struct err *err)
{
	if (ws->draining || ws->stats.sessions >= ws->opts.max_sessions) {
		err_set_name(err, ERR_UNAVAILABLE, "too_many_sockets",
		    "No room for another live connection.");
		err->retry_after_s = 5;
		return false;
	}
	return true;
}

/* The session is over: lws has closed the descriptor, or never had it. */
void
session_gone(struct ws_session *self)
{
	struct ws *ws = self->ws;

	if (self->dead)
		return;
	self->dead = true;
	loop_io_free(&self->io);
	TAILQ_REMOVE(&ws->all, self, all);
	if (self->is_dirty)
		TAILQ_REMOVE(&ws->dirty, self, dirty);
	if (self->slot != UINT8_MAX)
		TAILQ_REMOVE(&ws->wheel[self->slot], self, wheel);
	ws_outbox_fini(&self->outbox);
	ws->stats.sessions--;
	if (self->behind)
		ws->stats.behind--;
	/* The owner hears of it in any case, once. */
	self->hooks->on_closed(
	    self, self->close_code != 0 ? self->close_code : 1006, self->user);
	free(self->in);
	free(self->close_reason);
	loop_defer_free(ws->loop, self);
	drain_check(ws);
}

/* Nothing runs inside ws_accept(), so lws gets the socket a moment later. */
void
session_adopt(struct ws_session *self)
{
	char *head = self->in;

	self->in = NULL;
	if (!ws_lws_take(self, head, strlen(head)) && !self->dead) {
		log_warn("session=%llu msg=\"socket not adopted\"",
		    (unsigned long long)self->number);
		session_gone(self);
	}
	free(head);
}

/* What a slow reader makes the kernel hold is bounded too. */
static void
tune_socket(int fd)
{
	int one = 1, room = 64 * 1024;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
}

bool
ws_adopt(struct ws *ws, int fd, const char *key, bool with_protocol,
    const struct ws_hooks *hooks, void *user, struct err *err)
{
	struct ws_session *self;

	if (!ws_has_room(ws, err))
		return false;
	self = xcalloc(1, sizeof *self);
	self->ws = ws;
	self->fd = fd;
	self->hooks = hooks;
	self->user = user;
	self->number = ++ws->last_number;
	self->slot = UINT8_MAX;
	self->heard_ms = clock_mono_ms();
	self->in = xasprintf("GET / HTTP/1.1\r\n"
			     "Host: reeld\r\n"
			     "Upgrade: websocket\r\n"
			     "Connection: Upgrade\r\n"
			     "Sec-WebSocket-Version: 13\r\n"
			     "Sec-WebSocket-Key: %s\r\n%s\r\n",
	    key,
	    with_protocol ? "Sec-WebSocket-Protocol: " WS_PROTOCOL "\r\n" : "");
	tune_socket(fd);
	TAILQ_INSERT_TAIL(&ws->all, self, all);
	ws->stats.sessions++;
	ws->stats.opened++;
	/* Spread over the wheel, so that pings do not come in waves. */
	session_wheel(self,
	    ws->opts.ping_ms -
		(int)random_below((uint32_t)ws->opts.ping_ms / 5 + 1));
	session_dirty(self);
	return true;
}

void
ws_drain(struct ws *ws, int grace_ms, loop_fn *done, void *arg)
{
	ws->draining = true;
	ws->drained = done;
	ws->drained_arg = arg;
	ws->untold = ws->stats.sessions;
	on_tell(ws);
	timer_set_ms(&ws->drain_timer, grace_ms);
	drain_check(ws);
}

int
ws_ping_ms(const struct ws *ws)
{
	return ws->opts.ping_ms;
}

const char *
ws_session_name(const struct ws_session *session)
{
	struct ws *ws = session->ws;

	snprintf(ws->name, sizeof ws->name, "ws-%llu",
	    (unsigned long long)session->number);
	return ws->name;
}

void
ws_stats(const struct ws *ws, struct ws_stats *out)
{
	*out = ws->stats;
}
