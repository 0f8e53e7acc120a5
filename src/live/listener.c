/*
 * listener.c - who hears events: a WebSocket session or an event stream.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "live/internal.h"
#include "reeld/json.h"

struct listener *
listener_new(struct live *live, const struct live_client *client)
{
	struct listener *self = xcalloc(1, sizeof *self);

	self->live = live;
	self->client = *client;
	LIST_INIT(&self->subs);
	TAILQ_INSERT_TAIL(&live->listeners, self, all);
	crowd_join(self);
	return self;
}

void
listener_free(struct listener *self)
{
	if (self == NULL)
		return;
	subs_fini(self);
	crowd_leave(self);
	TAILQ_REMOVE(&self->live->listeners, self, all);
	ws_outbox_fini(&self->outbox);
	free(self);
}

void
listener_send(struct listener *self, struct ws_frame *frame)
{
	if (self->session != NULL)
		ws_send(self->session, frame);
	else if (self->call != NULL)
		sse_send(self, frame);
}

void
listener_send_text(struct listener *self, const char *text, size_t len)
{
	struct ws_frame *frame = ws_frame_new(WS_FRAME_WHOLE, text, len, 0, 0);

	listener_send(self, frame);
	ws_frame_unref(&frame);
}

/* id: JSON of the client's own id, or NULL. */
void
listener_error(struct listener *self, const struct err *err, const char *topic,
    const char *id)
{
	struct json_object *out = json_new(), *copy = NULL;
	char *text;

	json_set_text(out, "type", "error");
	json_set_text(out, "code", err_code_name(err));
	json_set_text(out, "message", err->msg);
	if (topic != NULL)
		json_set_text(out, "topic", topic);
	if (id != NULL &&
	    json_parse_flags(id, strlen(id), 256, JSON_ANY_ROOT, &copy, NULL))
		json_set_copy(out, "id", copy);
	text = json_dump_text(out);
	listener_send_text(self, text, strlen(text));
	free(text);
	json_free(&copy);
	json_free(&out);
}

/* Ends it soon, never from inside: the caller goes on with it.  A session is
 * freed by its owner module, a stream cut by its next beat. */
void
listener_end(struct listener *self, int code, const char *reason)
{
	if (self->session != NULL)
		ws_bye(self->session, code, reason, 0);
	else if (self->call != NULL)
		self->revoked = true;
}
