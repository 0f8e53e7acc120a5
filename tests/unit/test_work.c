/* test_work.c - file work on pool threads: delivery, cancelling, bounds. */
#include "unit.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "reeld/loop.h"
#include "reeld/media.h"
#include "reeld/mem.h"

struct fixture {
	struct loop *loop;
	struct media_pool *pool;
	pthread_t loop_thread;
	int done, failed, released, wanted;
	struct err err;
};

/* One piece of work, which waits at a gate when it has one. */
struct task {
	struct fixture *fx;
	int gate;  /* reads a byte here first, or -1 */
	int begun; /* writes a byte here first, or -1 */
	bool fail;
	bool ran;
};

static bool
run(void *arg, struct err *err)
{
	struct task *task = arg;
	char byte = 'x';

	CHECK(!pthread_equal(pthread_self(), task->fx->loop_thread));
	if (task->begun >= 0 && write(task->begun, &byte, 1) != 1)
		abort();
	if (task->gate >= 0 && read(task->gate, &byte, 1) != 1)
		abort();
	task->ran = true;
	if (task->fail)
		return err_set(err, ERR_STORAGE, "no room");
	return true;
}

static void
release(void *arg)
{
	struct task *task = arg;

	CHECK(pthread_equal(pthread_self(), task->fx->loop_thread));
	task->fx->released++;
	if (task->fx->released == task->fx->wanted)
		loop_stop(task->fx->loop);
	free(task);
}

static void
on_done(const struct err *err, void *arg)
{
	struct fixture *fx = arg;

	fx->done++;
	if (err != NULL) {
		fx->failed++;
		fx->err = *err;
	}
}

static struct task *
task_new(struct fixture *fx)
{
	struct task *task = xcalloc(1, sizeof *task);

	task->fx = fx;
	task->gate = task->begun = -1;
	return task;
}

static void
open_pool(struct fixture *fx, int threads, int max_waiting)
{
	struct media_opts opts = {
	    .threads = 1, .file_threads = threads, .max_waiting = max_waiting};

	*fx = (struct fixture){.loop = loop_new()};
	fx->loop_thread = pthread_self();
	fx->pool = media_pool_new(fx->loop, &opts);
}

static void
close_pool(struct fixture *fx)
{
	media_pool_free(fx->pool);
	loop_free(fx->loop);
}

TEST(work_is_done_on_a_thread_and_reported_on_the_loop)
{
	struct fixture fx;
	struct work *slots[100] = {0};
	struct media_stats stats;

	open_pool(&fx, 2, 0);
	fx.wanted = 100;
	for (int i = 0; i < 100; i++) {
		struct task *task = task_new(&fx);

		task->fail = i == 50;
		work_start(
		    fx.pool, run, release, task, &slots[i], on_done, &fx);
		CHECK(slots[i] != NULL);
	}
	CHECK_INT(fx.done, ==, 0);
	loop_run(fx.loop);
	CHECK_INT(fx.done, ==, 100);
	CHECK_INT(fx.failed, ==, 1);
	CHECK_INT(fx.err.code, ==, ERR_STORAGE);
	CHECK_STR(fx.err.msg, "no room");
	for (int i = 0; i < 100; i++)
		CHECK(slots[i] == NULL);
	media_pool_stats(fx.pool, &stats);
	CHECK_INT(stats.file_waiting, ==, 0);
	CHECK_INT(stats.file_running, ==, 0);
	close_pool(&fx);
}

TEST(cancel_is_silent_for_waiting_and_running_work)
{
	struct fixture fx;
	struct work *running = NULL, *waiting = NULL, *last = NULL;
	struct task *task;
	int gate[2], begun[2];
	char byte = 'g';

	open_pool(&fx, 1, 0);
	CHECK_INT(pipe(gate), ==, 0);
	CHECK_INT(pipe(begun), ==, 0);
	task = task_new(&fx);
	task->gate = gate[0];
	task->begun = begun[1];
	work_start(fx.pool, run, release, task, &running, on_done, &fx);
	work_start(
	    fx.pool, run, release, task_new(&fx), &waiting, on_done, &fx);
	work_start(fx.pool, run, release, task_new(&fx), &last, on_done, &fx);
	CHECK_INT(read(begun[0], &byte, 1), ==, 1); /* it runs */

	work_cancel(&waiting);
	CHECK(waiting == NULL);
	CHECK_INT(fx.released, ==, 1); /* dropped at once */
	work_cancel(&running);
	work_cancel(&running);
	CHECK(running == NULL);
	CHECK_INT(fx.released, ==, 1); /* still in use by its thread */

	fx.wanted = 3;
	CHECK_INT(write(gate[1], &byte, 1), ==, 1);
	loop_run(fx.loop);
	CHECK_INT(fx.done, ==, 1); /* only the last */
	CHECK_INT(fx.released, ==, 3);
	close_pool(&fx);
	for (int i = 0; i < 2; i++) {
		close(gate[i]);
		close(begun[i]);
	}
}

TEST(finished_but_undelivered_work_can_be_cancelled)
{
	struct fixture fx;
	struct work *first = NULL, *second = NULL;
	struct task *task;
	int begun[2];
	char byte;

	open_pool(&fx, 1, 0);
	CHECK_INT(pipe(begun), ==, 0);
	work_start(fx.pool, run, release, task_new(&fx), &first, on_done, &fx);
	task = task_new(&fx);
	task->begun = begun[1];
	work_start(fx.pool, run, release, task, &second, on_done, &fx);
	/* One thread: when the second began, the first is finished. */
	CHECK_INT(read(begun[0], &byte, 1), ==, 1);
	work_cancel(&first);
	fx.wanted = 2;
	loop_run(fx.loop);
	CHECK_INT(fx.done, ==, 1);
	close_pool(&fx);
	close(begun[0]);
	close(begun[1]);
}

TEST(a_full_queue_refuses_later_never_from_inside_start)
{
	struct fixture fx;
	struct work *slots[5] = {0};
	struct task *task;
	int gate[2], begun[2];
	char byte = 'g';

	open_pool(&fx, 1, 2);
	CHECK_INT(pipe(gate), ==, 0);
	CHECK_INT(pipe(begun), ==, 0);
	task = task_new(&fx);
	task->gate = gate[0];
	task->begun = begun[1];
	work_start(fx.pool, run, release, task, &slots[0], on_done, &fx);
	CHECK_INT(read(begun[0], &byte, 1), ==, 1);
	for (int i = 1; i < 5; i++)
		work_start(fx.pool, run, release, task_new(&fx), &slots[i],
		    on_done, &fx);
	CHECK_INT(fx.done, ==, 0);
	CHECK(slots[4] != NULL);
	work_cancel(&slots[4]); /* refused, not told: silent too */
	fx.wanted = 2;
	loop_run(fx.loop);
	CHECK_INT(fx.failed, ==, 1);
	CHECK(slots[3] == NULL);
	CHECK_INT(fx.err.code, ==, ERR_UNAVAILABLE);
	CHECK_STR(fx.err.name, "media_busy");
	CHECK_INT(fx.err.retry_after_s, ==, 1);

	fx.wanted = 5;
	CHECK_INT(write(gate[1], &byte, 1), ==, 1);
	loop_run(fx.loop);
	CHECK_INT(fx.done, ==, 4);
	CHECK_INT(fx.failed, ==, 1);
	close_pool(&fx);
	for (int i = 0; i < 2; i++) {
		close(gate[i]);
		close(begun[i]);
	}
}

TEST(freeing_the_pool_clears_slots_and_calls_nobody)
{
	struct fixture fx;
	struct work *slots[50] = {0};

	open_pool(&fx, 1, 0);
	for (int i = 0; i < 50; i++)
		work_start(fx.pool, run, release, task_new(&fx), &slots[i],
		    on_done, &fx);
	work_start(fx.pool, run, release, task_new(&fx), NULL, NULL, NULL);
	close_pool(&fx);
	CHECK_INT(fx.done, ==, 0);
	CHECK_INT(fx.released, ==, 51);
	for (int i = 0; i < 50; i++)
		CHECK(slots[i] == NULL);
	media_pool_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(work_is_done_on_a_thread_and_reported_on_the_loop),
	    cmocka_unit_test(cancel_is_silent_for_waiting_and_running_work),
	    cmocka_unit_test(finished_but_undelivered_work_can_be_cancelled),
	    cmocka_unit_test(
		a_full_queue_refuses_later_never_from_inside_start),
	    cmocka_unit_test(freeing_the_pool_clears_slots_and_calls_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
