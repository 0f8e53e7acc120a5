/*
 * loop.c - the event base, watched descriptors and signals.
 *
 * The loop is driven one turn at a time (EVLOOP_ONCE), so that the watchdog
 * can tell where a turn ends; it began with the first callback.
 */
#define LOG_MODULE "loop"
#include "reeld/loop.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "loop/internal.h"
#include "reeld/log.h"
#include "reeld/mem.h"

struct loop_io {
	struct loop *loop;
	struct event *event;
	int fd, events;
	const char *what;
	loop_io_fn *fn;
	void *arg;
};

struct loop *
loop_new(void)
{
	struct event_config *config = event_config_new();
	struct loop *loop = xcalloc(1, sizeof *loop);

	if (config == NULL)
		abort();
	/* EV_CLOSED tells of a client's hang-up without reading. */
	event_config_require_features(config, EV_FEATURE_EARLY_CLOSE);
	loop->base = event_base_new_with_config(config);
	event_config_free(config);
	if (loop->base == NULL || !defer_init(loop)) {
		log_error("msg=\"no event base\"");
		abort();
	}
	return loop;
}

void
loop_free(struct loop *loop)
{
	if (loop == NULL)
		return;
	for (int i = 0; i < loop->n_signals; i++)
		event_free(loop->signals[i].event);
	if (loop->run_for != NULL)
		event_free(loop->run_for);
	timer_fini(&loop->lag_timer);
	defer_fini(loop);
	event_base_free(loop->base);
	free(loop);
}

void
loop_run(struct loop *loop)
{
	loop->stop = false;
	while (!loop->stop) {
		if (event_base_loop(loop->base, EVLOOP_ONCE) == 1)
			break; /* nothing left to wait for */
		watch_turn_end(loop);
	}
}

static void
on_run_for(evutil_socket_t fd, short what, void *arg)
{
	loop_stop(arg);
}

void
loop_run_for(struct loop *loop, int ms)
{
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};

	if (loop->run_for == NULL)
		loop->run_for = evtimer_new(loop->base, on_run_for, loop);
	if (loop->run_for == NULL)
		abort();
	evtimer_add(loop->run_for, &tv);
	loop_run(loop);
	evtimer_del(loop->run_for);
}

void
loop_stop(struct loop *loop)
{
	loop->stop = true;
	event_base_loopbreak(loop->base);
}

struct event_base *
loop_base(struct loop *loop)
{
	return loop->base;
}

static void
on_io(evutil_socket_t fd, short what, void *arg)
{
	struct loop_io *io = arg;
	struct loop *loop = io->loop;
	int ready = (what & EV_READ ? LOOP_READ : 0) |
	    (what & EV_WRITE ? LOOP_WRITE : 0) |
	    (what & EV_CLOSED ? LOOP_CLOSED : 0);

	loop_enter(loop, io->what);
	io->fn(fd, ready, io->arg); /* may free io */
	loop_leave(loop);
}

struct loop_io *
loop_io_new(
    struct loop *loop, int fd, const char *what, loop_io_fn *fn, void *arg)
{
	struct loop_io *io = xcalloc(1, sizeof *io);

	io->loop = loop;
	io->fd = fd;
	io->what = what;
	io->fn = fn;
	io->arg = arg;
	io->event = event_new(loop->base, fd, 0, on_io, io);
	if (io->event == NULL)
		abort();
	return io;
}

void
loop_io_set(struct loop_io *io, int events)
{
	short mask = EV_PERSIST;

	if (events == io->events)
		return;
	event_del(io->event);
	io->events = events;
	if (events == 0)
		return;
	mask |= events & LOOP_READ ? EV_READ : 0;
	mask |= events & LOOP_WRITE ? EV_WRITE : 0;
	mask |= events & LOOP_CLOSED ? EV_CLOSED : 0;
	event_assign(io->event, io->loop->base, io->fd, mask, on_io, io);
	if (event_add(io->event, NULL) != 0)
		log_error(
		    "fd=%d what=%s msg=\"cannot watch\"", io->fd, io->what);
}

int
loop_io_events(const struct loop_io *io)
{
	return io->events;
}

void
loop_io_free(struct loop_io **slot)
{
	struct loop_io *io = *slot;

	if (io == NULL)
		return;
	*slot = NULL;
	event_free(io->event); /* also drops it when it is already active */
	free(io);
}

static void
on_signal(evutil_socket_t signo, short what, void *arg)
{
	struct loop *loop = arg;

	for (int i = 0; i < loop->n_signals; i++) {
		if (event_get_signal(loop->signals[i].event) != signo)
			continue;
		loop_enter(loop, "signal");
		loop->signals[i].fn(signo, loop->signals[i].arg);
		loop_leave(loop);
	}
}

void
loop_on_signal(struct loop *loop, int signo, loop_signal_fn *fn, void *arg)
{
	int i = loop->n_signals++;

	if (i == MAX_SIGNALS)
		abort();
	loop->signals[i].fn = fn;
	loop->signals[i].arg = arg;
	loop->signals[i].event =
	    evsignal_new(loop->base, signo, on_signal, loop);
	if (loop->signals[i].event == NULL ||
	    event_add(loop->signals[i].event, NULL) != 0)
		abort();
}
