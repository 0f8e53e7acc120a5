/* test_loop.c - timers, deferred calls, descriptors, signals, watchdog. */
#include "unit.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "reeld/clock.h"
#include "reeld/loop.h"

struct fixture {
	struct loop *loop;
	struct loop_timer timer;
	struct loop_io *io;
	struct loop_defer *defer;
	char trace[64];
	int count;
};

static void
mark(struct fixture *fx, char c)
{
	size_t n = strlen(fx->trace);

	if (n + 1 < sizeof fx->trace)
		fx->trace[n] = c;
}

static void
on_stop(void *arg)
{
	struct fixture *fx = arg;

	mark(fx, 't');
	loop_stop(fx->loop);
}

static void
on_second(void *arg)
{
	mark(arg, '2');
}

static void
on_first(void *arg)
{
	struct fixture *fx = arg;

	mark(fx, '1');
	CHECK(fx->defer == NULL); /* cleared just before the call */
	loop_defer(fx->loop, "second", on_second, fx, NULL);
}

TEST(defer_runs_later_once_and_can_be_cancelled)
{
	struct fixture fx = {.loop = loop_new()};

	loop_defer(fx.loop, "first", on_first, &fx, &fx.defer);
	CHECK(fx.defer != NULL);
	CHECK_STR(fx.trace, "");
	timer_init(&fx.timer, fx.loop, "stop", on_stop, &fx);
	timer_set_ms(&fx.timer, 1);
	loop_run(fx.loop);
	CHECK_STR(fx.trace, "12t");

	loop_defer(fx.loop, "first", on_first, &fx, &fx.defer);
	loop_defer_free(fx.loop, malloc(10));
	loop_defer_cancel(&fx.defer);
	loop_defer_cancel(&fx.defer);
	CHECK(fx.defer == NULL);
	loop_run_for(fx.loop, 5);
	CHECK_STR(fx.trace, "12t");
	loop_defer_free(fx.loop, malloc(10)); /* loop_free() frees it */
	timer_fini(&fx.timer);
	timer_fini(&fx.timer);
	loop_free(fx.loop);
}

struct chain {
	struct loop *loop;
	struct loop_io *io;
	struct loop_timer timer;
	int fds[2];
	bool read, timed;
	int64_t give_up_ms;
};

/* Each call asks for the next, until the others have had their turn. */
static void
on_link(void *arg)
{
	struct chain *self = arg;

	if ((self->read && self->timed) || clock_mono_ms() > self->give_up_ms)
		loop_stop(self->loop);
	else
		loop_defer(self->loop, "link", on_link, self, NULL);
}

static void
on_chain_read(int fd, int events, void *arg)
{
	struct chain *self = arg;

	self->read = true;
	loop_io_set(self->io, 0);
}

static void
on_chain_timer(void *arg)
{
	struct chain *self = arg;

	self->timed = true;
	/* Comes after the chain has begun, so only a new look finds it. */
	CHECK_INT(write(self->fds[1], "x", 1), ==, 1);
}

TEST(a_chain_of_deferred_calls_starves_nobody)
{
	struct chain self = {
	    .loop = loop_new(), .give_up_ms = clock_mono_ms() + 20000};

	CHECK_INT(pipe(self.fds), ==, 0);
	self.io =
	    loop_io_new(self.loop, self.fds[0], "pipe", on_chain_read, &self);
	loop_io_set(self.io, LOOP_READ);
	timer_init(&self.timer, self.loop, "timer", on_chain_timer, &self);
	timer_set_ms(&self.timer, 1);
	loop_defer(self.loop, "link", on_link, &self, NULL);
	loop_run(self.loop);
	CHECK(self.timed);
	CHECK(self.read);
	timer_fini(&self.timer);
	loop_io_free(&self.io);
	close(self.fds[0]);
	close(self.fds[1]);
	loop_free(self.loop);
}

enum { MANY = 100 };

static void
on_one_of_many(void *arg)
{
	struct fixture *fx = arg;
	int64_t until = clock_mono_ms() + 1;

	while (clock_mono_ms() < until)
		;
	if (++fx->count == MANY)
		loop_stop(fx->loop);
}

static void
on_between(void *arg)
{
	struct fixture *fx = arg;

	CHECK_INT(fx->count, <, MANY);
	mark(fx, 't');
}

TEST(a_timer_comes_between_many_deferred_calls)
{
	struct fixture fx = {.loop = loop_new()};

	for (int i = 0; i < MANY; i++)
		loop_defer(fx.loop, "many", on_one_of_many, &fx, NULL);
	timer_init(&fx.timer, fx.loop, "between", on_between, &fx);
	timer_set_ms(&fx.timer, 1);
	loop_run(fx.loop);
	CHECK_STR(fx.trace, "t");
	timer_fini(&fx.timer);
	loop_free(fx.loop);
}

static void
on_readable(int fd, int events, void *arg)
{
	struct fixture *fx = arg;
	char byte;

	CHECK_INT(events, ==, LOOP_READ);
	CHECK_INT(read(fd, &byte, 1), ==, 1);
	mark(fx, byte);
	if (byte == 'z') {
		loop_io_free(&fx->io);
		loop_stop(fx->loop);
	}
}

TEST(descriptors_report_and_may_be_freed_in_their_callback)
{
	struct fixture fx = {.loop = loop_new()};
	int fds[2];

	CHECK_INT(pipe(fds), ==, 0);
	fx.io = loop_io_new(fx.loop, fds[0], "pipe", on_readable, &fx);
	CHECK_INT(write(fds[1], "xyz", 3), ==, 3);
	loop_run_for(fx.loop, 5);
	CHECK_STR(fx.trace, ""); /* not watched yet */
	loop_io_set(fx.io, LOOP_READ);
	loop_run(fx.loop);
	CHECK_STR(fx.trace, "xyz");
	CHECK(fx.io == NULL);
	loop_io_free(&fx.io);
	close(fds[0]);
	close(fds[1]);
	loop_free(fx.loop);
}

static void
on_signo(int signo, void *arg)
{
	struct fixture *fx = arg;

	fx->count = signo;
	loop_stop(fx->loop);
}

TEST(signals_arrive_in_the_loop)
{
	struct fixture fx = {.loop = loop_new()};

	loop_on_signal(fx.loop, SIGUSR2, on_signo, &fx);
	raise(SIGUSR2);
	loop_run(fx.loop);
	CHECK_INT(fx.count, ==, SIGUSR2);
	loop_free(fx.loop);
}

static void
on_busy(void *arg)
{
	int64_t until = clock_mono_ms() + 60;

	while (clock_mono_ms() < until)
		;
	loop_stop(arg);
}

TEST(watchdog_names_the_slow_callback)
{
	struct loop *loop = loop_new();

	CHECK_INT(loop_stats(loop)->slow_turns, ==, 0);
	loop_defer(loop, "busy", on_busy, loop, NULL);
	loop_run(loop);
	CHECK_INT(loop_stats(loop)->slow_turns, ==, 1);
	CHECK_STR(loop_stats(loop)->worst_what, "busy");
	CHECK_INT(loop_stats(loop)->worst_ns, >=, 50 * 1000000LL);
	loop_free(loop);
}

static void
on_hold(void *arg)
{
	int64_t end = clock_mono_ms() + 150;

	(void)arg;
	while (clock_mono_ms() < end)
		;
}

TEST(lag_is_what_others_wait)
{
	struct loop *loop = loop_new();
	const struct loop_stats *stats = loop_stats(loop);
	struct loop_timer hold = {0};
	uint64_t sum = 0, late = 0;

	loop_watch_lag(loop);
	timer_init(&hold, loop, "hold", on_hold, NULL);
	timer_set_ms(&hold, 50);
	loop_run_for(loop, 400);
	for (int i = 0; i <= LOOP_BOUNDS; i++) {
		sum += stats->lag_histogram[i];
		if (i > 0 && loop_bounds_ms[i - 1] >= 20)
			late += stats->lag_histogram[i];
	}
	CHECK_INT(stats->lags, >=, 1);
	CHECK_INT(sum, ==, stats->lags);
	CHECK_INT(late, >=, 1);
	CHECK_INT(stats->lag_sum_ns, >=, 50 * 1000000LL);
	timer_fini(&hold);
	loop_free(loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(defer_runs_later_once_and_can_be_cancelled),
	    cmocka_unit_test(a_chain_of_deferred_calls_starves_nobody),
	    cmocka_unit_test(a_timer_comes_between_many_deferred_calls),
	    cmocka_unit_test(
		descriptors_report_and_may_be_freed_in_their_callback),
	    cmocka_unit_test(signals_arrive_in_the_loop),
	    cmocka_unit_test(watchdog_names_the_slow_callback),
	    cmocka_unit_test(lag_is_what_others_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
