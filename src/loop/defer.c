/*
 * defer.c - calls that run later in this turn, from the loop itself.
 *
 * A deferred call may defer another: it runs in the next pass.  libevent looks
 * for nothing new while anything is active, so after DEFER_SLICE_NS of a turn
 * what is left of them waits for the next one: neither a chain of them nor
 * thousands at once starve descriptors and timers.
 */
#include <event2/event.h>
#include <stdlib.h>

#include "loop/internal.h"
#include "reeld/mem.h"

static void
unlink_defer(struct loop_defer *call)
{
	*call->prev = call->next;
	if (call->next != NULL)
		call->next->prev = call->prev;
	else
		call->loop->defers_tail = call->prev;
	if (call->slot != NULL)
		*call->slot = NULL;
}

/* As of the last callback; each is timed anyway. */
static bool
turn_is_spent(const struct loop *loop)
{
	return loop->call_end_ns - loop->turn_start_ns > DEFER_SLICE_NS;
}

static void
on_defers(evutil_socket_t fd, short what, void *arg)
{
	struct loop *loop = arg;
	struct loop_defer *last = &loop->defer_mark, *call;

	/* A mark behind today's calls: what they add waits for the next pass.
	 */
	last->loop = loop;
	last->next = NULL;
	last->prev = loop->defers_tail;
	*loop->defers_tail = last;
	loop->defers_tail = &last->next;
	while ((call = loop->defers) != last) {
		loop_fn *fn = call->fn;
		void *call_arg = call->arg;
		const char *name = call->what;

		unlink_defer(call);
		free(call);
		loop_enter(loop, name);
		fn(call_arg);
		loop_leave(loop);
		if (turn_is_spent(loop))
			break;
	}
	unlink_defer(last);
	if (loop->defers == NULL)
		return;
	event_active(loop->defer_event, EV_TIMEOUT, 0);
	if (turn_is_spent(loop))
		event_base_loopbreak(loop->base);
}

bool
defer_init(struct loop *loop)
{
	loop->defers_tail = &loop->defers;
	loop->defer_event = event_new(loop->base, -1, 0, on_defers, loop);
	return loop->defer_event != NULL;
}

static void
on_free(void *ptr)
{
	free(ptr);
}

void
defer_fini(struct loop *loop)
{
	struct loop_defer *call;

	while ((call = loop->defers) != NULL) {
		unlink_defer(call);
		if (call->fn == on_free)
			free(call->arg);
		free(call);
	}
	event_free(loop->defer_event);
}

void
loop_defer(struct loop *loop, const char *what, loop_fn *fn, void *arg,
    struct loop_defer **slot)
{
	struct loop_defer *call = xcalloc(1, sizeof *call);

	if (loop->defers == NULL)
		event_active(loop->defer_event, EV_TIMEOUT, 0);
	call->loop = loop;
	call->what = what;
	call->fn = fn;
	call->arg = arg;
	call->slot = slot;
	if (slot != NULL)
		*slot = call;
	call->prev = loop->defers_tail;
	*loop->defers_tail = call;
	loop->defers_tail = &call->next;
}

void
loop_defer_cancel(struct loop_defer **slot)
{
	struct loop_defer *call = *slot;

	if (call == NULL)
		return;
	unlink_defer(call);
	free(call);
}

void
loop_defer_free(struct loop *loop, void *ptr)
{
	if (ptr != NULL)
		loop_defer(loop, "free", on_free, ptr, NULL);
}
