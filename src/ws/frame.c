/*
 * frame.c - immutable messages, counted, shared by every session they go to.
 *
 * An event is stored already wrapped as a batch of one, because that is how
 * most of them leave: then thousands of sockets write the same bytes.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "reeld/mem.h"
#include "ws/internal.h"

static const char batch_head[] = "{\"type\":\"batch\",\"events\":[";
static const char batch_tail[] = "]}";
#define HEAD_LEN (sizeof batch_head - 1)
#define TAIL_LEN (sizeof batch_tail - 1)

struct ws_frame {
	uint64_t key;
	int64_t version;
	uint32_t refs, len;
	enum ws_frame_kind kind;
	unsigned char data[]; /* WS_ROOM, then the message */
};

struct ws_frame *
ws_frame_new(enum ws_frame_kind kind, const char *text, size_t len,
    uint64_t key, int64_t version)
{
	size_t wrap = kind == WS_FRAME_EVENT ? HEAD_LEN + TAIL_LEN : 0;
	struct ws_frame *frame = xmalloc(sizeof *frame + WS_ROOM + wrap + len);
	unsigned char *at = frame->data + WS_ROOM;

	assert(len < UINT32_MAX / 2);
	frame->key = key;
	frame->version = version;
	frame->refs = 1;
	frame->len = (uint32_t)len;
	frame->kind = kind;
	memset(frame->data, 0, WS_ROOM);
	if (kind == WS_FRAME_EVENT) {
		memcpy(at, batch_head, HEAD_LEN);
		at += HEAD_LEN;
		memcpy(at + len, batch_tail, TAIL_LEN);
	}
	memcpy(at, text, len);
	for (size_t i = 0; i < len; i++)
		if (at[i] == '\n' || at[i] == '\r')
			at[i] = ' ';
	return frame;
}

struct ws_frame *
ws_frame_ref(struct ws_frame *frame)
{
	frame->refs++;
	return frame;
}

void
ws_frame_unref(struct ws_frame **slot)
{
	struct ws_frame *frame = *slot;

	*slot = NULL;
	if (frame != NULL && --frame->refs == 0)
		free(frame);
}

const char *
ws_frame_text(const struct ws_frame *frame, size_t *len)
{
	*len = frame->len;
	return (const char *)frame->data + WS_ROOM +
	    (frame->kind == WS_FRAME_EVENT ? HEAD_LEN : 0);
}

uint64_t
ws_frame_key(const struct ws_frame *frame)
{
	return frame->key;
}

int64_t
ws_frame_version(const struct ws_frame *frame)
{
	return frame->version;
}

bool
frame_is_event(const struct ws_frame *frame)
{
	return frame->kind == WS_FRAME_EVENT;
}

size_t
frame_cost(const struct ws_frame *frame)
{
	return frame->len + HEAD_LEN + TAIL_LEN;
}

unsigned char *
frame_message(struct ws_frame *frame, size_t *len)
{
	*len = frame->len +
	    (frame->kind == WS_FRAME_EVENT ? HEAD_LEN + TAIL_LEN : 0);
	return frame->data + WS_ROOM;
}

size_t
frame_join(
    unsigned char *dst, size_t size, struct ws_frame *const *frames, size_t n)
{
	size_t at = HEAD_LEN;

	memcpy(dst, batch_head, HEAD_LEN);
	for (size_t i = 0; i < n; i++) {
		size_t len;
		const char *text = ws_frame_text(frames[i], &len);

		assert(at + 1 + len + TAIL_LEN <= size);
		if (i > 0)
			dst[at++] = ',';
		memcpy(dst + at, text, len);
		at += len;
	}
	memcpy(dst + at, batch_tail, TAIL_LEN);
	return at + TAIL_LEN;
}
