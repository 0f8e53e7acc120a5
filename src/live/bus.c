/*
 * bus.c - events between instances, through one Redis channel.
 *
 * A message is one line of words and, for an event, its data:
 *	E <instance> <version> <object|-> <topic,...> <type> <ms>\n{data}
 *	L <instance> <version> <object> <topics>\n	(too long: read it)
 *	R <instance> user|session <id>\n		(rights went away)
 * Those of one turn of the loop go together, each behind its length:
 *	<bytes>\n<message><bytes>\n<message>...
 * Redis is inside the trust boundary, but what comes from it is held to the
 * same limits as anything else.
 */
#define LOG_MODULE "live"
#include <stdlib.h>
#include <string.h>

#include "live/internal.h"
#include "reeld/log.h"

/* The last moment of the year 9999. */
#define MAX_TS_MS INT64_C(253402300799999)

bool
bus_up(const struct live *live)
{
	return live->redis == NULL || !live->down;
}

void
bus_flush(struct live *live)
{
	struct buf *all = &live->batch;
	size_t skip = 0;

	if (all->len == 0)
		return;
	if (live->batched == 1)
		skip = (size_t)(strchr(all->data, '\n') + 1 - all->data);
	/* When it is away the outbox sweep publishes again. */
	if (!link_publish(live, all->data + skip, all->len - skip))
		log_debug("messages=%d msg=\"not published: no Redis\"",
		    live->batched);
	buf_reset(all);
	live->batched = 0;
}

static void
on_flush(void *arg)
{
	bus_flush(arg);
}

static void
send_payload(struct live *live, const struct buf *payload)
{
	if (live->batch.len + payload->len > LIVE_MAX_BATCH)
		bus_flush(live);
	buf_printf(&live->batch, "%zu\n", payload->len);
	buf_add(&live->batch, payload->data, payload->len);
	live->batched++;
	if (live->flush == NULL)
		loop_defer(
		    live->loop, "live bus", on_flush, live, &live->flush);
}

void
bus_send(struct live *live, const struct live_event *event)
{
	struct buf out;

	if (live->redis == NULL)
		return;
	for (int whole = 1; whole >= 0; whole--) {
		buf_init(&out, LIVE_MAX_PAYLOAD);
		buf_printf(&out, "%c %s %lld %s ", whole ? 'E' : 'L',
		    live->instance, (long long)event->version,
		    event->object != NULL ? event->object : "-");
		for (size_t i = 0; i < event->n_topics; i++)
			buf_printf(
			    &out, "%s%s", i > 0 ? "," : "", event->topics[i]);
		if (whole)
			buf_printf(&out, " %s %lld", event->type,
			    (long long)event->ts_ms);
		buf_putc(&out, '\n');
		if (whole)
			buf_add(&out, event->data, event->data_len);
		if (buf_ok(&out)) {
			send_payload(live, &out);
			whole = 0;
		}
		buf_fini(&out);
	}
}

void
bus_revoke(struct live *live, const char *what, const char *id)
{
	struct buf out;

	if (live->redis == NULL)
		return;
	buf_init(&out, 256);
	buf_printf(&out, "R %s %s %s\n", live->instance, what, id);
	if (buf_ok(&out))
		send_payload(live, &out);
	buf_fini(&out);
}

/* The next word of the line; NULL at its end. */
static char *
word(char **at)
{
	char *text = strsep(at, " ");

	return text != NULL && text[0] != '\0' ? text : NULL;
}

static size_t
topics_split(char *list, const char **topics)
{
	struct live_topic parsed;
	char *name;
	size_t n = 0;

	while ((name = strsep(&list, ",")) != NULL) {
		if (n == LIVE_EVENT_TOPICS ||
		    !live_topic_parse(name, NULL, &parsed, NULL))
			return 0;
		topics[n++] = name;
	}
	return n;
}

/* An event of another instance.  That its data is text, and an object to look
 * at, is looked at here; whoever reads it parses it. */
static bool
receive_event(struct live *live, struct live_event *event, char *words,
    const char *text, size_t len)
{
	char *ts;

	event->type = word(&words);
	ts = word(&words);
	if (event->type == NULL || ts == NULL ||
	    !str_to_i64(ts, 1, MAX_TS_MS, &event->ts_ms) || len < 2 ||
	    text[0] != '{' || text[len - 1] != '}' || !utf8_valid(text, len))
		return false;
	event->data = text;
	event->data_len = len;
	if (event_ok(event)) {
		live->stats.remote++;
		hub_publish(live, event);
	} else {
		live->stats.bad_remote++;
	}
	return true;
}

/* Only that it is newer is known: read it. */
static bool
receive_long(struct live *live, const struct live_event *event)
{
	const char *id = event->object;
	struct live_watch watch = {.generations = &id, .n_generations = 1};

	if (id == NULL)
		return false;
	objects_flush(live);
	if (live->hooks.refresh != NULL)
		live->hooks.refresh(live->hooks.app, &watch);
	return true;
}

static bool
receive_line(struct live *live, char *line, const char *text, size_t len)
{
	struct live_event event = {0};
	char *kind = word(&line), *instance = word(&line);
	char *third = word(&line), *fourth = word(&line), *topics;

	if (kind == NULL || instance == NULL || third == NULL || fourth == NULL)
		return false;
	if (str_eq(instance, live->instance))
		return true; /* our own, told already */
	if (str_eq(kind, "R")) {
		struct id id;

		if (!id_parse(fourth, &id))
			return false;
		revoke_local(live, third, id.text);
		return true;
	}
	if ((topics = word(&line)) == NULL ||
	    !str_to_i64(third, 0, INT64_MAX, &event.version))
		return false;
	event.object = str_eq(fourth, "-") ? NULL : fourth;
	event.n_topics = topics_split(topics, event.topics);
	if (event.n_topics == 0)
		return false;
	if (str_eq(kind, "L"))
		return receive_long(live, &event);
	return str_eq(kind, "E") &&
	    receive_event(live, &event, line, text, len);
}

static void
receive(struct live *live, const char *data, size_t len)
{
	const char *end =
	    len <= LIVE_MAX_PAYLOAD ? memchr(data, '\n', len) : NULL;
	size_t line_len = end != NULL ? (size_t)(end - data) : 0;
	char *line;

	if (end == NULL || memchr(data, '\0', line_len) != NULL) {
		live->stats.bad_remote++;
		return;
	}
	line = xstrndup(data, line_len);
	if (!receive_line(live, line, end + 1, len - line_len - 1)) {
		live->stats.bad_remote++;
		log_warn("msg=\"bad message on the bus\" size=%zu", len);
	}
	free(line);
}

static void
receive_batch(struct live *live, const char *data, size_t len)
{
	while (len > 0) {
		const char *end = memchr(data, '\n', len < 8 ? len : 8);
		char digits[8] = "";
		int64_t n;

		if (end != NULL)
			memcpy(digits, data, (size_t)(end - data));
		if (end == NULL ||
		    !str_to_i64(digits, 1, LIVE_MAX_PAYLOAD, &n) ||
		    (size_t)n > len - (size_t)(end + 1 - data)) {
			live->stats.bad_remote++;
			log_warn("msg=\"bad batch on the bus\" size=%zu", len);
			return;
		}
		receive(live, end + 1, (size_t)n);
		len -= (size_t)(end + 1 + n - data);
		data = end + 1 + n;
	}
}

void
bus_receive(struct live *live, const char *data, size_t len)
{
	if (len > 0 && data[0] >= '0' && data[0] <= '9')
		receive_batch(live, data, len);
	else
		receive(live, data, len);
}
