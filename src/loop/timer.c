/* timer.c - one-shot timers embedded in their owners. */
#include <event2/event.h>
#include <stdlib.h>

#include "loop/internal.h"
#include "reeld/id.h"

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct loop_timer *timer = arg;
	struct loop *loop = timer->loop;

	timer->armed = false;
	loop_enter(loop, timer->what);
	timer->fn(timer->arg); /* may free the owner */
	loop_leave(loop);
}

void
timer_init(struct loop_timer *timer, struct loop *loop, const char *what,
    loop_fn *fn, void *arg)
{
	timer->loop = loop;
	timer->what = what;
	timer->fn = fn;
	timer->arg = arg;
	timer->armed = false;
	timer->event = evtimer_new(loop->base, on_timer, timer);
	if (timer->event == NULL)
		abort();
}

void
timer_set_ms(struct loop_timer *timer, int64_t ms)
{
	struct timeval tv;

	if (ms < 0)
		ms = 0;
	tv.tv_sec = ms / 1000;
	tv.tv_usec = ms % 1000 * 1000;
	if (evtimer_add(timer->event, &tv) != 0)
		abort();
	timer->armed = true;
}

void
timer_set_jitter_ms(struct loop_timer *timer, int64_t ms, int percent)
{
	int64_t spread = ms * percent / 100;

	if (spread > 0)
		ms +=
		    (int64_t)random_below((uint32_t)(2 * spread + 1)) - spread;
	timer_set_ms(timer, ms);
}

void
timer_clear(struct loop_timer *timer)
{
	if (timer->event != NULL)
		evtimer_del(timer->event);
	timer->armed = false;
}

bool
timer_is_set(const struct loop_timer *timer)
{
	return timer->armed;
}

void
timer_fini(struct loop_timer *timer)
{
	if (timer->event == NULL)
		return;
	event_free(timer->event);
	timer->event = NULL;
	timer->armed = false;
}
