/*
 * watch.c - the watchdog: how long each turn took and which callback was the
 * longest in it.  Callbacks may nest (a library calls back from inside ours);
 * only the outermost is measured.
 *
 * A turn may be slow because it worked too long (cpu_ms is near turn_ms),
 * because it waited for something, which nothing in the loop may do (waits),
 * or because the machine ran somebody else (neither).
 */
#define LOG_MODULE "loop"
#include "loop/internal.h"

#include <string.h>

#include "reeld/clock.h"
#include "reeld/log.h"

static void
usage(struct rusage *out)
{
	if (getrusage(RUSAGE_THREAD, out) != 0)
		memset(out, 0, sizeof *out); /* never on Linux */
}

static int64_t
cpu_ms(const struct rusage *u)
{
	return (u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1000 +
	    (u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1000;
}

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
		usage(&loop->turn_usage);
	}
}

void
loop_leave(struct loop *loop)
{
	int64_t took;

	if (--loop->depth > 0)
		return;
	loop->call_end_ns = clock_mono_ns();
	took = loop->call_end_ns - loop->call_start_ns;
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
	struct rusage now;
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
	usage(&now);
	log_warn("turn_ms=%lld cpu_ms=%lld waits=%ld longest=%s "
		 "longest_ms=%lld msg=\"slow turn\"",
	    (long long)(took / 1000000),
	    (long long)(cpu_ms(&now) - cpu_ms(&loop->turn_usage)),
	    now.ru_nvcsw - loop->turn_usage.ru_nvcsw, loop->call_worst_what,
	    (long long)(loop->call_worst_ns / 1000000));
}

const struct loop_stats *
loop_stats(const struct loop *loop)
{
	return &loop->stats;
}
