/*
 * watch.c - the watchdog: how long each turn took and which callback was the
 * longest in it.  Callbacks may nest (a library calls back from inside ours);
 * only the outermost is measured.
 */
#define LOG_MODULE "loop"
#include "loop/internal.h"
#include "reeld/clock.h"
#include "reeld/log.h"

void
loop_enter(struct loop *loop, const char *what)
{
	if (loop->depth++ > 0)
		return;
	loop->call_start_ns = clock_mono_ns();
	loop->call_what = what;
	if (!loop->in_turn) {
		loop->in_turn = true;
		loop->turn_start_ns = loop->call_start_ns;
		loop->call_worst_ns = 0;
	}
}

void
loop_leave(struct loop *loop)
{
	int64_t took;

	if (--loop->depth > 0)
		return;
	took = clock_mono_ns() - loop->call_start_ns;
	if (took >= loop->call_worst_ns) {
		loop->call_worst_ns = took;
		loop->call_worst_what = loop->call_what;
	}
}

const int loop_bounds_ms[LOOP_BOUNDS] = {1, 2, 5, 10, 20, 50, 100, 500};

static int
bucket(int64_t ns)
{
	int i = 0;

	while (i < LOOP_BOUNDS && ns >= loop_bounds_ms[i] * INT64_C(1000000))
		i++;
	return i;
}

static void
lag_arm(struct loop *loop)
{
	loop->lag_due_ns = clock_mono_ns() + LAG_MS * INT64_C(1000000);
	timer_set_ms(&loop->lag_timer, LAG_MS);
}

static void
on_lag(void *arg)
{
	struct loop *loop = arg;
	int64_t late = clock_mono_ns() - loop->lag_due_ns;

	if (late < 0)
		late = 0;
	loop->stats.lags++;
	loop->stats.lag_sum_ns += late;
	loop->stats.lag_histogram[bucket(late)]++;
	lag_arm(loop);
}

void
loop_watch_lag(struct loop *loop)
{
	timer_init(&loop->lag_timer, loop, "lag", on_lag, loop);
	lag_arm(loop);
}

void
watch_turn_end(struct loop *loop)
{
	int64_t took;

	if (!loop->in_turn)
		return;
	loop->in_turn = false;
	took = clock_mono_ns() - loop->turn_start_ns;
	loop->stats.turns++;
	loop->stats.histogram[bucket(took)]++;
	if (took > loop->stats.worst_ns) {
		loop->stats.worst_ns = took;
		loop->stats.worst_what = loop->call_worst_what;
	}
	if (took < SLOW_TURN_NS)
		return;
	loop->stats.slow_turns++;
	log_warn("turn_ms=%lld longest=%s longest_ms=%lld msg=\"slow turn\"",
	    (long long)(took / 1000000), loop->call_worst_what,
	    (long long)(loop->call_worst_ns / 1000000));
}

const struct loop_stats *
loop_stats(const struct loop *loop)
{
	return &loop->stats;
}
