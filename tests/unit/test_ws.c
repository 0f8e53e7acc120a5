/* test_ws.c - the outbox, frames, the handshake's fine print, and crowds. */
#include "unit.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "reeld/clock.h"
#include "reeld/mem.h"
#include "ws/internal.h"

static bool
put(struct ws_outbox *box, enum ws_frame_kind kind, const char *text,
    uint64_t key, int64_t version)
{
	struct ws_frame *frame =
	    ws_frame_new(kind, text, strlen(text), key, version);
	bool ok = ws_outbox_put(box, frame);

	ws_frame_unref(&frame);
	return ok;
}

/* The texts that wait, joined. */
static const char *
waiting(const struct ws_outbox *box)
{
	static char text[256];

	text[0] = '\0';
	for (size_t i = 0; i < box->count; i++) {
		size_t len, at = strlen(text);
		const char *one = ws_frame_text(box->frames[i], &len);

		snprintf(text + at, sizeof text - at, "%.*s ", (int)len, one);
	}
	return text;
}

TEST(newest_state_of_a_key_only)
{
	struct ws_outbox box = {0};

	CHECK(put(&box, WS_FRAME_EVENT, "a1", 1, 1));
	CHECK(put(&box, WS_FRAME_EVENT, "b1", 2, 1));
	CHECK(put(&box, WS_FRAME_EVENT, "n", 0, 0));
	CHECK(put(&box, WS_FRAME_EVENT, "a3", 1, 3));
	CHECK(put(&box, WS_FRAME_EVENT, "a2", 1, 2)); /* older: ignored */
	CHECK_STR(waiting(&box), "b1 n a3 ");
	ws_outbox_drop_state(&box);
	CHECK_STR(waiting(&box), "n ");
	ws_outbox_fini(&box);
	ws_outbox_fini(&box);
	CHECK(box.frames == NULL && box.bytes == 0);
}

TEST(frames_and_bytes_are_bounded)
{
	struct ws_outbox box = {0};
	char *big = xmalloc(200 * 1024 + 1);

	for (int i = 0; i < WS_OUTBOX_FRAMES; i++)
		CHECK(put(&box, WS_FRAME_EVENT, "x", (uint64_t)i + 1, 1));
	CHECK(!put(&box, WS_FRAME_EVENT, "x", 1000, 1));
	CHECK(put(&box, WS_FRAME_EVENT, "y", 5, 2)); /* takes a place */
	CHECK_INT(box.count, ==, WS_OUTBOX_FRAMES);
	ws_outbox_fini(&box);
	memset(big, 'x', 200 * 1024);
	big[200 * 1024] = '\0';
	CHECK(put(&box, WS_FRAME_WHOLE, big, 0, 0));
	CHECK(!put(&box, WS_FRAME_WHOLE, big, 0, 0));
	ws_outbox_fini(&box);
	free(big);
}

TEST(events_leave_together_and_messages_alone)
{
	struct ws_outbox box = {0};
	unsigned char out[256];
	size_t n, len;

	CHECK_INT(ws_outbox_head(&box, 1000), ==, 0);
	CHECK(put(&box, WS_FRAME_EVENT, "{\"a\":\n1}", 0, 0));
	CHECK(put(&box, WS_FRAME_EVENT, "{}", 0, 0));
	CHECK(put(&box, WS_FRAME_WHOLE, "w", 0, 0));
	CHECK(put(&box, WS_FRAME_EVENT, "{}", 0, 0));
	n = ws_outbox_head(&box, 1000);
	CHECK_INT(n, ==, 2);
	CHECK_INT(ws_outbox_head(&box, 1), ==, 1);
	len = frame_join(out, sizeof out, box.frames, n);
	out[len] = '\0';
	CHECK_STR(
	    (char *)out, "{\"type\":\"batch\",\"events\":[{\"a\": 1},{}]}");
	ws_outbox_pop(&box, n);
	CHECK_INT(ws_outbox_head(&box, 1000), ==, 1);
	frame_message(box.frames[0], &len);
	CHECK_INT(len, ==, 1);
	ws_outbox_pop(&box, 1);
	memcpy(out, frame_message(box.frames[0], &len), sizeof "{}");
	CHECK_INT(len, ==, strlen("{\"type\":\"batch\",\"events\":[{}]}"));
	ws_outbox_fini(&box);
}

TEST(origins_are_compared_whole)
{
	CHECK(handshake_same_host("https://a.example", "a.example"));
	CHECK(handshake_same_host("http://A.example:81", "a.example:81"));
	CHECK(!handshake_same_host("https://a.example.evil", "a.example"));
	CHECK(!handshake_same_host("https://a.example:1", "a.example"));
	CHECK(!handshake_same_host("null", "null"));
	CHECK(!handshake_same_host("https://a.example", NULL));
}

/* Thousands do the same at once; here it takes a millisecond for each. */
enum { CROWD = 200 };

struct crowd {
	struct loop *loop;
	struct ws *ws;
	struct loop_timer timer;
	int ends[CROWD]; /* the clients' */
	int opened, heard, closed, seen;
	bool busy;
};

static void
one_more(struct crowd *crowd, int *count)
{
	int64_t until = clock_mono_ms() + 1;

	while (crowd->busy && clock_mono_ms() < until)
		;
	if (++*count == CROWD)
		loop_stop(crowd->loop);
}

static void
on_open(struct ws_session *session, void *user)
{
	struct crowd *crowd = user;

	one_more(crowd, &crowd->opened);
}

static void
on_message(struct ws_session *session, const char *text, size_t len, void *user)
{
	struct crowd *crowd = user;

	one_more(crowd, &crowd->heard);
}

static void
on_closed(struct ws_session *session, int code, void *user)
{
	struct crowd *crowd = user;

	one_more(crowd, &crowd->closed);
}

static void
on_between(void *arg)
{
	struct crowd *crowd = arg;

	crowd->seen = crowd->opened + crowd->heard + crowd->closed;
}

/* Until all have done it; how many had when a timer came in between. */
static int
served_before_a_timer(struct crowd *crowd)
{
	crowd->opened = crowd->heard = crowd->closed = 0;
	crowd->busy = true;
	crowd->seen = CROWD;
	timer_set_ms(&crowd->timer, 1);
	loop_run(crowd->loop);
	crowd->busy = false;
	return crowd->seen;
}

static void
all_say_something(struct crowd *crowd)
{
	static const char frame[] = "\x81\x82\0\0\0\0{}";

	crowd->heard = 0;
	for (size_t i = 0; i < CROWD; i++)
		CHECK_INT(write(crowd->ends[i], frame, sizeof frame - 1), ==,
		    sizeof frame - 1);
}

static void
crowd_open(struct crowd *crowd)
{
	static const struct ws_hooks hooks = {.on_open = on_open,
	    .on_message = on_message,
	    .on_closed = on_closed};
	struct err err;
	int pair[2];

	crowd->loop = loop_new();
	crowd->ws = ws_new(crowd->loop, NULL);
	timer_init(&crowd->timer, crowd->loop, "between", on_between, crowd);
	for (size_t i = 0; i < CROWD; i++) {
		CHECK_INT(
		    socketpair(AF_UNIX,
			SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
		    ==, 0);
		crowd->ends[i] = pair[0];
		CHECK(ws_adopt(crowd->ws, pair[1],
		    "dGhlIHNhbXBsZSBub25jZQ==", false, &hooks, crowd, &err));
	}
}

static void
crowd_leave(struct crowd *crowd)
{
	for (size_t i = 0; i < CROWD; i++)
		close(crowd->ends[i]);
}

static void
crowd_free(struct crowd *crowd)
{
	timer_fini(&crowd->timer);
	ws_free(crowd->ws);
	loop_free(crowd->loop);
}

TEST(a_crowd_does_not_hold_up_the_loop)
{
	struct crowd crowd = {0};

	crowd_open(&crowd);
	CHECK_INT(served_before_a_timer(&crowd), <, CROWD);
	CHECK_INT(crowd.opened, ==, CROWD);
	/* libevent takes few events at a time until it has seen many. */
	for (int i = 0; i < 4; i++) {
		all_say_something(&crowd);
		loop_run(crowd.loop);
	}
	all_say_something(&crowd);
	CHECK_INT(served_before_a_timer(&crowd), <, CROWD);
	CHECK_INT(crowd.heard, ==, CROWD);
	crowd_leave(&crowd);
	CHECK_INT(served_before_a_timer(&crowd), <, CROWD);
	CHECK_INT(crowd.closed, ==, CROWD);
	crowd_free(&crowd);
}

static void
on_drained(void *arg)
{
	struct crowd *crowd = arg;

	loop_stop(crowd->loop);
}

/* Nobody answers the close: all are cut when the grace is over. */
TEST(a_drain_cuts_a_crowd_in_slices)
{
	struct crowd crowd = {0};

	crowd_open(&crowd);
	loop_run(crowd.loop);
	ws_drain(crowd.ws, 1, on_drained, &crowd);
	CHECK_INT(served_before_a_timer(&crowd), <, CROWD);
	loop_run(crowd.loop);
	CHECK_INT(crowd.closed, ==, CROWD);
	crowd_leave(&crowd);
	crowd_free(&crowd);
}

/* One session over a socket pair, open, its greeting read. */
struct one {
	struct loop *loop;
	struct ws *ws;
	struct ws_session *session;
	int end; /* the client's */
};

static void
on_one_open(struct ws_session *session, void *user)
{
	struct one *one = user;

	one->session = session;
	loop_stop(one->loop);
}

static void
on_one_message(
    struct ws_session *session, const char *text, size_t len, void *user)
{
}

static void
on_one_closed(struct ws_session *session, int code, void *user)
{
	struct one *one = user;

	one->session = NULL;
}

/* All that there is for the client, in bytes. */
static size_t
read_all(struct one *one)
{
	char bytes[8192];
	size_t all = 0;
	ssize_t n;

	while ((n = read(one->end, bytes, sizeof bytes)) > 0)
		all += (size_t)n;
	return all;
}

static void
one_open(struct one *one, const struct ws_opts *opts)
{
	static const struct ws_hooks hooks = {.on_open = on_one_open,
	    .on_message = on_one_message,
	    .on_closed = on_one_closed};
	struct err err;
	int pair[2];

	one->loop = loop_new();
	one->ws = ws_new(one->loop, opts);
	CHECK_INT(socketpair(AF_UNIX,
		      SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
	    ==, 0);
	one->end = pair[0];
	CHECK(ws_adopt(one->ws, pair[1], "dGhlIHNhbXBsZSBub25jZQ==", false,
	    &hooks, one, &err));
	loop_run(one->loop);
	on_flush(one->ws);
	CHECK(read_all(one) > 0);
}

static void
one_free(struct one *one)
{
	ws_free(one->ws);
	loop_free(one->loop);
	close(one->end);
}

/* A reader of long messages is not taken for one that does not read. */
TEST(a_message_that_the_socket_takes_leaves_whole)
{
	struct one one = {0};
	char *text = xmalloc(WS_BATCH_BYTES);

	one_open(&one, NULL);
	memset(text, 'x', WS_BATCH_BYTES);
	ws_send_text(one.session, text, 30000);
	on_flush(one.ws);
	CHECK_INT(read_all(&one), ==, 30000 + 4);
	for (uint64_t key = 1; key <= 3; key++)
		ws_send_state(one.session, key, text, 20000);
	on_flush(one.ws);
	CHECK_INT(read_all(&one), >, 60000);
	CHECK(!ws_lws_stuck(one.session));
	free(text);
	one_free(&one);
}

static int64_t
check_in_ms(const struct one *one)
{
	return (one->session->slot + WS_WHEEL - one->ws->slot) % WS_WHEEL *
	    one->ws->tick_ms;
}

static void
make_behind(struct one *one)
{
	char text[4000];

	memset(text, 'x', sizeof text);
	for (uint64_t key = 1; !one->session->behind && key < 10000; key++) {
		ws_send_state(one->session, key, text, sizeof text);
		if (key % 8 == 0)
			on_flush(one->ws);
	}
	CHECK(one->session->behind);
}

TEST(falling_behind_puts_no_check_off)
{
	struct ws_opts patient = {.ping_ms = 1000, .slow_ms = 50000},
		       strict = {.ping_ms = 50000, .slow_ms = 2000};
	struct one one = {0};
	int64_t before;

	one_open(&one, &patient);
	before = check_in_ms(&one);
	make_behind(&one);
	CHECK_INT(check_in_ms(&one), <=, before); /* the ping is due */
	one_free(&one);
	one_open(&one, &strict);
	make_behind(&one);
	CHECK_INT(check_in_ms(&one), <=, 2000 + one.ws->tick_ms);
	one_free(&one);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(newest_state_of_a_key_only),
	    cmocka_unit_test(frames_and_bytes_are_bounded),
	    cmocka_unit_test(events_leave_together_and_messages_alone),
	    cmocka_unit_test(origins_are_compared_whole),
	    cmocka_unit_test(a_crowd_does_not_hold_up_the_loop),
	    cmocka_unit_test(a_drain_cuts_a_crowd_in_slices),
	    cmocka_unit_test(a_message_that_the_socket_takes_leaves_whole),
	    cmocka_unit_test(falling_behind_puts_no_check_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
