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

void
watch_turn_end(struct loop *loop)
{
	static const int64_t bounds_ms[] = {1, 2, 5, 10, 20, 50, 100, 500};
	int64_t took;
	int i = 0;

	if (!loop->in_turn)
		return;
	loop->in_turn = false;
	took = clock_mono_ns() - loop->turn_start_ns;
	loop->stats.turns++;
	while (i < 8 && took >= bounds_ms[i] * 1000000)
		i++;
	loop->stats.histogram[i]++;
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
