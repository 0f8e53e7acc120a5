/* test_ws.c - the outbox, frames, and the handshake's fine print. */
#include "unit.h"

#include <stdlib.h>

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(newest_state_of_a_key_only),
	    cmocka_unit_test(frames_and_bytes_are_bounded),
	    cmocka_unit_test(events_leave_together_and_messages_alone),
	    cmocka_unit_test(origins_are_compared_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
