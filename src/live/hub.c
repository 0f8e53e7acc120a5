/*
 * hub.c - from an event to everyone here who asked for it: the version rule,
 * one shared frame, each listener once.
 */
#define LOG_MODULE "live"
#include <assert.h>
#include <string.h>

#include "live/internal.h"
#include "reeld/clock.h"
#include "reeld/log.h"

/* Keyed, so that nobody can choose names that collide; never 0. */
uint64_t
live_key(const struct live *live, const char *object)
{
	uint8_t sum[32];
	uint64_t key;

	hmac_sha256(
	    live->hash_key, sizeof live->hash_key, object, strlen(object), sum);
	memcpy(&key, sum, sizeof key);
	return key != 0 ? key : 1;
}

/* What goes over the wire between instances has no spaces or commas. */
static bool
word_ok(const char *text, size_t max)
{
	size_t len = strlen(text);

	return len > 0 && len < max &&
	    strspn(text,
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		"0123456789_.:-") == len;
}

bool
event_ok(const struct live_event *event)
{
	if (event->n_topics == 0 || event->n_topics > LIVE_EVENT_TOPICS ||
	    !word_ok(event->type, 64) || event->data == NULL ||
	    event->data_len < 2 || event->version < 0)
		return false;
	for (size_t i = 0; i < event->n_topics; i++)
		if (!word_ok(
			event->topics[i], sizeof((struct live_topic *)0)->name))
			return false;
	return event->object == NULL || word_ok(event->object, LIVE_OBJECT_MAX);
}

static void
event_render(const struct live_event *event, struct buf *out)
{
	char ts[32];

	time_rfc3339(event->ts_ms, ts, sizeof ts);
	buf_printf(out, "{\"type\":\"%s\",\"topic\":\"%s\",", event->type,
	    event->topics[0]);
	if (event->version > 0)
		buf_printf(out, "\"version\":%lld,", (long long)event->version);
	buf_printf(out, "\"ts\":\"%s\",\"data\":", ts);
	buf_add(out, event->data, event->data_len);
	buf_putc(out, '}');
}

static bool
is_wanted(const struct live *live, const struct live_event *event)
{
	for (size_t i = 0; i < event->n_topics; i++) {
		struct topic *topic;

		HASH_FIND_STR(live->topics, event->topics[i], topic);
		if (topic != NULL)
			return true;
	}
	return false;
}

static void
fan_out(struct live *live, const struct live_event *event)
{
	uint64_t number = ++live->last_event;
	struct ws_frame *frame;
	struct buf text;

	buf_init(&text, LIVE_MAX_EVENT + 1024);
	event_render(event, &text);
	assert(buf_ok(&text));
	frame = ws_frame_new(WS_FRAME_EVENT, text.data, text.len,
	    event->object != NULL ? objects_key(live, event->object) : 0,
	    event->version);
	buf_fini(&text);
	for (size_t i = 0; i < event->n_topics; i++) {
		struct topic *topic;
		struct sub *sub;

		HASH_FIND_STR(live->topics, event->topics[i], topic);
		if (topic == NULL)
			continue;
		/* Sending never ends a subscription from inside. */
		LIST_FOREACH (sub, &topic->subs, of_topic)
			sub_event(sub, frame, number);
	}
	ws_frame_unref(&frame);
}

/* False: not newer. */
bool
hub_publish(struct live *live, const struct live_event *event)
{
	const char *object = event->object;

	if (object != NULL && event->version > 0 &&
	    !objects_pass(&live->objects, object, event->version)) {
		live->stats.not_newer++;
		return false;
	}
	if (is_wanted(live, event))
		fan_out(live, event);
	if (object != NULL) {
		objects_event(live, event);
		waits_event(live, object, event->version);
	}
	live->stats.delivered++;
	return true;
}

static bool
publish(struct live *live, const struct live_event *given, bool remote)
{
	struct live_event event = *given;

	assert(event_ok(&event));
	if (event.data_len > LIVE_MAX_EVENT) {
		log_warn(
		    "type=%s size=%zu msg=\"event too long, not published\"",
		    event.type, event.data_len);
		return false;
	}
	if (event.ts_ms <= 0)
		event.ts_ms = clock_wall_ms();
	if (!hub_publish(live, &event))
		return false;
	if (remote)
		bus_send(live, &event);
	return true;
}

bool
live_publish(struct live *live, const struct live_event *event)
{
	live->stats.published++;
	return publish(live, event, true);
}

bool
live_deliver(struct live *live, const struct live_event *event)
{
	return publish(live, event, false);
}
