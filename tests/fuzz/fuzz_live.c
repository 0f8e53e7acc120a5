/*
 * Live: lines that a WebSocket client sends, and messages of the bus.  A line
 * beginning with E, L or R is a bus message together with the line after it,
 * one beginning with a digit several of them together with all that follows;
 * any other is a client's message and, as it stands, a topic.
 */
#include "fuzz.h"
#include "live/internal.h"

#define ME "0190d3a0-0000-7000-8000-00000000000a"

enum { MAX_LINES = 16 };

static void
topic(const char *text)
{
	struct live_topic first, again;
	struct err err = {0};

	if (!live_topic_parse(text, ME, &first, &err)) {
		FUZZ_CHECK(err.code != ERR_OK);
		return;
	}
	/* a canonical name is its own canonical name */
	FUZZ_CHECK(live_topic_parse(first.name, NULL, &again, &err));
	FUZZ_CHECK(strcmp(first.name, again.name) == 0);
}

static bool
is_bus(const char *line)
{
	return (line[0] == 'E' || line[0] == 'L' || line[0] == 'R') &&
	    line[1] == ' ';
}

static void
batch(struct live *live, const char *line, struct fuzz_in *in)
{
	struct buf all;
	size_t len;
	void *rest = fuzz_rest(in, &len);

	buf_init(&all, 1 << 20);
	buf_printf(&all, "%s\n", line);
	buf_add(&all, rest, len);
	bus_receive(live, all.data, all.len);
	buf_fini(&all);
	free(rest);
}

void
fuzz_one(struct fuzz_in *in)
{
	static struct loop *loop;
	static struct ws *ws;
	struct live *live;
	struct live_client client = {.user = ME};
	struct listener *listener;

	if (loop == NULL) {
		loop = loop_new();
		ws = ws_new(loop, NULL);
	}
	live = live_new(loop, NULL, ws, "me");
	listener = listener_new(live, &client);
	for (int i = 0; i < MAX_LINES && in->left > 0; i++) {
		char *line = fuzz_line(in);

		if (is_bus(line)) {
			char *body = fuzz_line(in);
			char *both = xasprintf("%s\n%s", line, body);

			bus_receive(live, both, strlen(both));
			free(both);
			free(body);
		} else if (line[0] >= '0' && line[0] <= '9') {
			batch(live, line, in);
		} else {
			topic(line);
			if (utf8_valid(line, strlen(line)))
				live_ws_hooks.on_message(
				    NULL, line, strlen(line), listener);
		}
		free(line);
	}
	FUZZ_CHECK(listener->n_subs <= LIVE_MAX_TOPICS);
	listener_free(listener);
	live_free(live);
}
