/*
 * loop.h - the one event loop: descriptors, timers, deferred calls, signals,
 * and the watchdog that names whoever held it for more than 50 ms.
 *
 * Everything in reeld that waits goes through these wrappers, not through
 * libevent, so that each callback is measured.  All callbacks run on the
 * loop's thread, never from inside the function that armed them.  `what` is a
 * static string that names the callback in the watchdog's log line.
 *
 * A turn is: look once at descriptors and timers, run whoever is ready in the
 * order of their readiness, then the deferred calls.  Nothing new is looked
 * for until all of these have run, so who is ready waits for all who were
 * before it, and a callback that serves a crowd must keep work back: serve
 * some for about 8 ms, then set a timer of 0 ms, which comes behind the
 * descriptors of the next turn (ws/session.c).  The loop does that for
 * deferred calls: after 10 ms what is left of them runs in the next turn.
 */
#ifndef REELD_LOOP_H
#define REELD_LOOP_H

#include <stdint.h>

#include "reeld/err.h"

struct loop;
struct loop_io;
struct event_base;

enum { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_CLOSED = 4 };

typedef void loop_fn(void *arg);
/* events: the LOOP_ bits that are ready. */
typedef void loop_io_fn(int fd, int events, void *arg);
typedef void loop_signal_fn(int signo, void *arg);

struct loop *loop_new(void);
void loop_free(struct loop *loop);
/* Runs until loop_stop(). */
void loop_run(struct loop *loop);
/* Runs for about ms, or until loop_stop(); for tests. */
void loop_run_for(struct loop *loop, int ms);
void loop_stop(struct loop *loop);
struct event_base *loop_base(struct loop *loop);

/*
 * A watched descriptor.  loop_io_set() changes the events it waits for (0:
 * none); it persists until changed.  loop_io_free() takes the slot, may be
 * called inside its own callback and with NULL in the slot.  The descriptor
 * is the caller's and must be open while watched.
 */
struct loop_io *loop_io_new(
    struct loop *loop, int fd, const char *what, loop_io_fn *fn, void *arg);
void loop_io_set(struct loop_io *io, int events);
int loop_io_events(const struct loop_io *io);
void loop_io_free(struct loop_io **slot);

/* One-shot timers, embedded in their owner.  Setting again moves it. */
struct loop_timer {
	struct loop *loop;
	void *event;
	const char *what;
	loop_fn *fn;
	void *arg;
	bool armed;
};

void timer_init(struct loop_timer *timer, struct loop *loop, const char *what,
    loop_fn *fn, void *arg);
void timer_set_ms(struct loop_timer *timer, int64_t ms);
/* ms with +-percent of random jitter. */
void timer_set_jitter_ms(struct loop_timer *timer, int64_t ms, int percent);
void timer_clear(struct loop_timer *timer);
bool timer_is_set(const struct loop_timer *timer);
void timer_fini(struct loop_timer *timer); /* safe twice, and before init
					      when zeroed */

/*
 * Runs fn(arg) in this loop before it sleeps again, never from inside this
 * call, and after those that were deferred before it.  *slot (may be NULL)
 * holds the call while it is pending and is NULL just before fn runs;
 * loop_defer_cancel() clears it.
 */
struct loop_defer;
void loop_defer(struct loop *loop, const char *what, loop_fn *fn, void *arg,
    struct loop_defer **slot);
void loop_defer_cancel(struct loop_defer **slot);
/* free(ptr) at the end of the turn: for objects whose own event may be on
 * the stack. */
void loop_defer_free(struct loop *loop, void *ptr);

void
loop_on_signal(struct loop *loop, int signo, loop_signal_fn *fn, void *arg);

/* Brackets a callback that libevent or a library made without our wrappers. */
void loop_enter(struct loop *loop, const char *what);
void loop_leave(struct loop *loop);

/* Measures the lag from now on, until loop_free(). */
void loop_watch_lag(struct loop *loop);

/* What the watchdog saw. */
enum { LOOP_BOUNDS = 8 };
extern const int loop_bounds_ms[LOOP_BOUNDS]; /* 1, 2, 5, 10, 20, 50, ... */
struct loop_stats {
	uint64_t turns, slow_turns; /* slow: over 50 ms */
	int64_t worst_ns;	    /* longest turn */
	const char *worst_what;	    /* longest callback in it */
	/* Turns by length: < 1, 2, 5, 10, 20, 50, 100, 500 ms, more. */
	uint64_t histogram[LOOP_BOUNDS + 1];
	/* The same of how late a timer of 100 ms came: what a request that
	 * arrives at any moment waits for the loop. */
	uint64_t lags, lag_histogram[LOOP_BOUNDS + 1];
	int64_t lag_sum_ns;
};
const struct loop_stats *loop_stats(const struct loop *loop);

#endif
