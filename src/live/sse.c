/*
 * sse.c - the same events as text/event-stream.
 *
 * What the stream's buffer does not take waits in an outbox like a session's;
 * a reader that stays behind is cut.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "live/internal.h"
#include "reeld/clock.h"
#include "reeld/http.h"

#define SLOW_MS 15000

static bool
write_frame(struct listener *self, const struct ws_frame *frame)
{
	size_t len;
	const char *text = ws_frame_text(frame, &len);
	int64_t version = ws_frame_version(frame);
	struct buf out;
	bool ok;

	buf_init(&out, len + 64);
	if (version > 0)
		buf_printf(&out, "id: %lld\n", (long long)version);
	buf_puts(&out, "data: ");
	buf_add(&out, text, len);
	buf_puts(&out, "\n\n");
	ok = http_stream_write(self->call, out.data, out.len);
	buf_fini(&out);
	return ok;
}

static void
cut(struct listener *self)
{
	struct http_call *call = self->call;

	http_on_gone(call, NULL, NULL);
	self->live->stats.sse--;
	listener_free(self);
	http_stream_abort(call);
}

static void
fall_behind(struct listener *self)
{
	ws_outbox_drop_state(&self->outbox);
	if (self->behind)
		return;
	self->behind = true;
	self->behind_ms = clock_mono_ms();
}

/* Never frees the listener: a hopeless one is cut by the next beat. */
void
sse_send(struct listener *self, struct ws_frame *frame)
{
	if (self->behind && ws_frame_key(frame) != 0)
		return;
	if (self->outbox.count == 0 && write_frame(self, frame))
		return;
	if (ws_outbox_put(&self->outbox, frame))
		return;
	fall_behind(self);
	if (ws_frame_key(frame) == 0 && !ws_outbox_put(&self->outbox, frame))
		self->revoked = true;
}

static void
on_room(void *arg)
{
	struct listener *self = arg;

	while (self->outbox.count > 0) {
		if (!write_frame(self, self->outbox.frames[0]))
			return;
		ws_outbox_pop(&self->outbox, 1);
	}
	if (!self->behind)
		return;
	self->behind = false;
	subs_again(self);
}

static void
on_gone(void *arg)
{
	struct listener *self = arg;

	self->live->stats.sse--;
	listener_free(self);
}

/* Called about every second: heartbeat, and the end of the hopeless. */
void
sse_beat(struct listener *self, int64_t now_ms)
{
	if (self->revoked ||
	    (self->behind && now_ms - self->behind_ms >= SLOW_MS)) {
		cut(self);
		return;
	}
	if (now_ms < self->beat_ms)
		return;
	self->beat_ms = now_ms + ws_ping_ms(self->live->ws);
	/* No room means there is traffic enough. */
	(void)http_stream_write(self->call, ": beat\n\n", 8);
}

void
sse_end(struct listener *self, const char *reason)
{
	struct http_call *call = self->call;
	char text[160];
	int n = snprintf(text, sizeof text,
	    "data: {\"type\":\"bye\",\"reason\":\"%s\"}\n\n", reason);

	(void)http_stream_write(call, text, (size_t)n);
	http_on_gone(call, NULL, NULL);
	self->live->stats.sse--;
	listener_free(self);
	http_stream_close(call);
}

/* Parses the comma-separated topics; false with err set. */
static size_t
topics_read(const struct live_client *client, const char *list,
    struct live_topic *topics, struct err *err)
{
	size_t n = 0;

	while (list != NULL && *list != '\0') {
		size_t len = strcspn(list, ",");
		char name[96];

		if (n == LIVE_MAX_TOPICS || len >= sizeof name) {
			err_set_field(err, ERR_BAD_INPUT, "bad_topic",
			    "?topics", "At most %d topics.", LIVE_MAX_TOPICS);
			return 0;
		}
		memcpy(name, list, len);
		name[len] = '\0';
		if (!live_topic_parse(name, client->user, &topics[n], err))
			return 0;
		n++;
		list += len;
		list += *list == ',';
	}
	if (n == 0)
		err_set_field(err, ERR_BAD_INPUT, "bad_topic", "?topics",
		    "At least one topic is needed.");
	return n;
}

static bool
may_open(struct live *live, const struct live_client *client,
    const struct live_topic *topics, size_t n, struct err *err)
{
	const struct live_hooks *hooks = &live->hooks;

	if (live->draining)
		return err_set(err, ERR_UNAVAILABLE, "Restarting.");
	if (!crowd_has_room(live, client, err))
		return false;
	for (size_t i = 0; hooks->authorize != NULL && i < n; i++)
		if (!hooks->authorize(hooks->app, client, &topics[i], err))
			return false;
	return true;
}

void
live_sse_open(struct live *live, struct http_call *call,
    const struct live_client *client, const char *topics)
{
	struct live_topic *parsed = xcalloc(LIVE_MAX_TOPICS, sizeof *parsed);
	struct listener *self;
	struct err err = {0};
	size_t n = topics_read(client, topics, parsed, &err);

	if (n == 0 || !may_open(live, client, parsed, n, &err)) {
		free(parsed);
		http_reply_err(call, &err);
		return;
	}
	self = listener_new(live, client);
	self->call = call;
	self->beat_ms = clock_mono_ms() +
	    (int64_t)random_below((uint32_t)ws_ping_ms(live->ws) + 1);
	live->stats.sse++;
	http_on_gone(call, on_gone, self);
	http_reply_header(call, "X-Accel-Buffering", "no");
	http_stream_open(call, 200,
	    &(struct http_stream){.type = "text/event-stream",
		.size_bytes = -1,
		.on_room = on_room,
		.arg = self});
	for (size_t i = 0; i < n; i++)
		if (!sub_start(self, &parsed[i], parsed[i].name, NULL, &err))
			listener_error(self, &err, parsed[i].name, NULL);
	free(parsed);
}
