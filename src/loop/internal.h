/* internal.h - what the loop's files share. */
#ifndef LOOP_INTERNAL_H
#define LOOP_INTERNAL_H

#include <sys/resource.h>

#include "reeld/loop.h"

#define SLOW_TURN_NS (50 * 1000000LL)
/* How old a turn may grow while deferred calls run in it. */
#define DEFER_SLICE_NS (10 * 1000000LL)
#define MAX_SIGNALS 8
#define LAG_MS 100

struct loop_defer {
	struct loop *loop;
	const char *what;
	loop_fn *fn;
	void *arg;
	struct loop_defer **slot;
	struct loop_defer *next, **prev;
};

struct loop {
	struct event_base *base;
	bool stop;
	/* Watchdog: the turn begins with its first callback. */
	bool in_turn;
	int depth;
	int64_t turn_start_ns, call_start_ns, call_end_ns, call_worst_ns;
	const char *call_what, *call_worst_what;
	struct rusage turn_usage; /* of the thread when the turn began */
	struct loop_stats stats;
	struct loop_timer lag_timer;
	int64_t lag_due_ns;
	/* Deferred calls, oldest first, and an event that wakes the loop. */
	struct loop_defer *defers, **defers_tail;
	struct loop_defer defer_mark; /* where the running pass ends */
	struct event *defer_event;
	struct {
		struct event *event;
		loop_signal_fn *fn;
		void *arg;
	} signals[MAX_SIGNALS];
	int n_signals;
	struct event *run_for;
};

bool defer_init(struct loop *loop);
void defer_fini(struct loop *loop);
/* Ends the turn: counts it, and logs it when it was slow. */
void watch_turn_end(struct loop *loop);

#endif
