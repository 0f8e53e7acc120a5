/*
 * protocol.c - the messages of reeld.v1: what a client may say, and answers.
 */
#define LOG_MODULE "live"
#include <stdlib.h>
#include <string.h>

#include "live/internal.h"
#include "reeld/http.h"
#include "reeld/json.h"
#include "reeld/log.h"

#define MAX_ID_CP 64

static void
send_json(struct listener *self, struct json_object **out)
{
	char *text = json_dump_text(*out);

	listener_send_text(self, text, strlen(text));
	free(text);
	json_free(out);
}

static void
on_open(struct ws_session *session, void *user)
{
	struct listener *self = user;
	struct json_object *out = json_new();

	self->session = session;
	json_set_text(out, "type", "welcome");
	json_set_text(out, "session", ws_session_name(session));
	json_set_text(out, "user",
	    self->client.user[0] != '\0' ? self->client.user : NULL);
	json_set_int(out, "heartbeat_ms", ws_ping_ms(self->live->ws));
	send_json(self, &out);
	if (self->revoked)
		listener_end(self, WS_CLOSE_POLICY, "revoked");
}

/* The client's id as JSON; false when it is neither a number nor text. */
static bool
id_read(struct json_object *in, char **id, struct err *err)
{
	const char *text = json_text_at(in, "id");
	int64_t number;

	*id = NULL;
	if (!json_has(in, "id"))
		return true;
	if (json_int_at(in, "id", &number)) {
		*id = xasprintf("%lld", (long long)number);
		return true;
	}
	if (text != NULL && utf8_count(text, strlen(text)) <= MAX_ID_CP) {
		*id = json_dump_text(json_at(in, "id"));
		return true;
	}
	return err_set_field(err, ERR_BAD_INPUT, "bad_message", "#/id",
	    "id must be a number or a short text.");
}

static void
reply(
    struct listener *self, const char *type, const char *topic, const char *id)
{
	struct json_object *out = json_new(), *copy = NULL;

	json_set_text(out, "type", type);
	if (topic != NULL)
		json_set_text(out, "topic", topic);
	if (id != NULL &&
	    json_parse_flags(id, strlen(id), 512, JSON_ANY_ROOT, &copy, NULL))
		json_set_copy(out, "id", copy);
	json_free(&copy);
	send_json(self, &out);
}

static bool
subscribe(struct listener *self, const char *asked, const char *id, bool on,
    struct err *err)
{
	struct live_topic topic;

	if (asked == NULL)
		return err_set_field(err, ERR_BAD_INPUT, "bad_topic", "#/topic",
		    "A topic is needed.");
	if (!live_topic_parse(asked, self->client.user, &topic, err))
		return false;
	if (on)
		return sub_start(self, &topic, asked, id, err);
	if (!sub_end(self, topic.name))
		return err_set_name(err, ERR_NOT_FOUND, "not_subscribed",
		    "This topic was not subscribed.");
	reply(self, "unsubscribed", asked, id);
	return true;
}

static bool
message(struct listener *self, struct json_object *in, const char *id,
    struct err *err)
{
	const char *type = json_text_at(in, "type");
	const char *asked = json_text_at(in, "topic");

	if (str_eq(type, "subscribe"))
		return subscribe(self, asked, id, true, err);
	if (str_eq(type, "unsubscribe"))
		return subscribe(self, asked, id, false, err);
	if (str_eq(type, "ping")) {
		reply(self, "pong", NULL, id);
		return true;
	}
	if (str_eq(type, "hello"))
		return true; /* the welcome has been sent */
	return err_set_field(err, ERR_BAD_INPUT, "bad_message", "#/type",
	    "type must be subscribe, unsubscribe or ping.");
}

static void
on_message(struct ws_session *session, const char *text, size_t len, void *user)
{
	struct listener *self = user;
	struct json_object *in = NULL;
	struct err err = {0};
	char *id = NULL;
	bool ok;

	ok = json_parse(text, len, WS_MAX_MESSAGE_BYTES, &in, &err) &&
	    id_read(in, &id, &err) && message(self, in, id, &err);
	if (!ok)
		listener_error(self, &err,
		    in != NULL ? json_text_at(in, "topic") : NULL, id);
	free(id);
	json_free(&in);
}

static void
on_behind(struct ws_session *session, void *user)
{
	subs_again(user);
}

static void
on_closed(struct ws_session *session, int code, void *user)
{
	struct listener *self = user;

	log_debug("session=%s code=%d msg=\"closed\"", ws_session_name(session),
	    code);
	self->live->stats.ws--;
	listener_free(self);
}

const struct ws_hooks live_ws_hooks = {.on_open = on_open,
    .on_message = on_message,
    .on_behind = on_behind,
    .on_closed = on_closed};

void
live_ws_accept(
    struct live *live, struct http_call *call, const struct live_client *client)
{
	struct ws_client who = {.no_origin_ok = client->no_origin_ok};
	struct listener *self;
	struct err err;

	if (!crowd_has_room(live, client, &err)) {
		http_reply_err(call, &err);
		return;
	}
	self = listener_new(live, client);
	if (ws_accept(live->ws, call, &who, &live_ws_hooks, self))
		live->stats.ws++;
	else
		listener_free(self);
}
