/*
 * outbox.c - what waits for one reader, bounded; newest state only per key.
 *
 * At most 64 frames, so a scan is cheaper than any index, and a session with
 * nothing to send owns nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "reeld/mem.h"
#include "ws/internal.h"

static void
remove_at(struct ws_outbox *box, size_t i)
{
	box->bytes -= (uint32_t)frame_cost(box->frames[i]);
	ws_frame_unref(&box->frames[i]);
	box->count--;
	memmove(&box->frames[i], &box->frames[i + 1],
	    (box->count - i) * sizeof *box->frames);
}

static void
grow(struct ws_outbox *box)
{
	bool inside = box->frames == &box->one;

	if (box->cap == 0) {
		box->frames = &box->one;
		box->cap = 1;
		return;
	}
	box->cap = (uint16_t)(box->cap * 2);
	box->frames = xrealloc(
	    inside ? NULL : box->frames, box->cap * sizeof *box->frames);
	if (inside)
		box->frames[0] = box->one;
}

bool
ws_outbox_put(struct ws_outbox *box, struct ws_frame *frame)
{
	uint64_t key = ws_frame_key(frame);
	size_t cost = frame_cost(frame);

	for (size_t i = 0; key != 0 && i < box->count; i++) {
		struct ws_frame *old = box->frames[i];

		if (ws_frame_key(old) != key)
			continue;
		if (ws_frame_version(old) > ws_frame_version(frame))
			return true; /* the waiting one is newer */
		remove_at(box, i);
		break;
	}
	/* One frame always fits, or a large snapshot could never go out. */
	if (box->count >= WS_OUTBOX_FRAMES ||
	    (box->count > 0 && box->bytes + cost > WS_OUTBOX_BYTES))
		return false;
	if (box->count == box->cap)
		grow(box);
	box->frames[box->count++] = ws_frame_ref(frame);
	box->bytes += (uint32_t)cost;
	return true;
}

void
ws_outbox_drop_state(struct ws_outbox *box)
{
	size_t kept = 0;

	for (size_t i = 0; i < box->count; i++) {
		struct ws_frame *frame = box->frames[i];

		if (ws_frame_key(frame) == 0) {
			box->frames[kept++] = frame;
			continue;
		}
		box->bytes -= (uint32_t)frame_cost(frame);
		ws_frame_unref(&frame);
	}
	box->count = (uint16_t)kept;
	if (kept == 0)
		ws_outbox_fini(box);
}

size_t
ws_outbox_head(const struct ws_outbox *box, size_t max_bytes)
{
	size_t n = 0, bytes = 0;

	while (n < box->count && frame_is_event(box->frames[n])) {
		bytes += frame_cost(box->frames[n]);
		if (n > 0 && bytes > max_bytes)
			break;
		n++;
	}
	return n > 0 ? n : box->count > 0;
}

void
ws_outbox_pop(struct ws_outbox *box, size_t n)
{
	if (n >= box->count) {
		ws_outbox_fini(box);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		box->bytes -= (uint32_t)frame_cost(box->frames[i]);
		ws_frame_unref(&box->frames[i]);
	}
	box->count = (uint16_t)(box->count - n);
	memmove(box->frames, box->frames + n, box->count * sizeof *box->frames);
}

void
ws_outbox_fini(struct ws_outbox *box)
{
	for (size_t i = 0; i < box->count; i++)
		ws_frame_unref(&box->frames[i]);
	if (box->frames != &box->one)
		free(box->frames);
	memset(box, 0, sizeof *box);
}
