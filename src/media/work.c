/*
 * work.c - the pool: two lanes of threads, their queues, and the way back to
 * the loop (a list and an eventfd).
 *
 * The loop's side owns every struct work except while it is queued or runs;
 * `slot`, `done` and `release` are touched by the loop's thread only.
 */
#define LOG_MODULE "media"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "media/internal.h"
#include "reeld/log.h"
#include "reeld/mem.h"

static void
queue_init(struct work_queue *queue)
{
	queue->tail = &queue->head;
}

static void
queue_add(struct work_queue *queue, struct work *w)
{
	w->next = NULL;
	w->prev = queue->tail;
	w->in = queue;
	*queue->tail = w;
	queue->tail = &w->next;
	queue->waiting++;
}

static void
queue_remove(struct work_queue *queue, struct work *w)
{
	w->in = NULL;
	*w->prev = w->next;
	if (w->next != NULL)
		w->next->prev = w->prev;
	else
		queue->tail = w->prev;
	w->next = NULL;
	w->prev = NULL;
	queue->waiting--;
}

static void
work_free(struct work *w)
{
	if (w->slot != NULL)
		*w->slot = NULL;
	if (w->release != NULL)
		w->release(w->arg);
	media_job_free(w->job);
	free(w);
}

/* Tells the owner, then frees w. */
static void
finish(struct work *w)
{
	work_done_fn *done = w->done;
	const struct err *err = w->failed ? &w->err : NULL;

	if (w->slot != NULL)
		*w->slot = NULL;
	w->slot = NULL;
	if (!w->cancelled) {
		if (done != NULL)
			done(err, w->done_arg);
		else if (w->job != NULL && w->job->done != NULL)
			w->job->done(err == NULL ? &w->job->result : NULL, err,
			    w->job->done_arg);
	}
	work_free(w);
}

/* A long encode must leave a thread for short jobs, if there are two. */
static bool
may_run(const struct media_pool *pool, const struct work *w)
{
	return w->job == NULL || w->job->request.op != OP_RENDITION ||
	    pool->renditions < pool->max_renditions;
}

static struct work *
next_work(struct media_pool *pool, int lane)
{
	struct work *w;

	for (w = pool->queue[lane].head; w != NULL; w = w->next) {
		if (may_run(pool, w))
			return w;
	}
	return NULL;
}

/* Only a full counter refuses, and then it is readable anyway. */
static void
wake_loop(struct media_pool *pool)
{
	uint64_t one = 1;

	if (write(pool->event_fd, &one, sizeof one) < 0)
		log_error("msg=\"eventfd: %s\"", strerror(errno));
}

static void
run_one(struct media_thread *self, struct work *w)
{
	if (self->lane == LANE_MEDIA)
		media_job_run(self, w);
	else
		w->failed = !w->run(w->arg, &w->err);
}

static void *
thread_main(void *arg)
{
	struct media_thread *self = arg;
	struct media_pool *pool = self->pool;
	struct work_queue *queue = &pool->queue[self->lane];
	struct work *w;

	pthread_mutex_lock(&pool->lock);
	while (!pool->stopping) {
		int rendition;

		if ((w = next_work(pool, self->lane)) == NULL) {
			pthread_cond_wait(&pool->wake[self->lane], &pool->lock);
			continue;
		}
		rendition =
		    w->job != NULL && w->job->request.op == OP_RENDITION;
		queue_remove(queue, w);
		queue->running++;
		pool->renditions += rendition;
		pthread_mutex_unlock(&pool->lock);

		run_one(self, w);

		pthread_mutex_lock(&pool->lock);
		queue->running--;
		pool->renditions -= rendition;
		if (rendition)
			pthread_cond_signal(&pool->wake[self->lane]);
		if (self->lane == LANE_MEDIA && w->failed)
			pool->stats.jobs_failed++;
		else if (self->lane == LANE_MEDIA)
			pool->stats.jobs_done++;
		queue_add(&pool->finished, w);
		wake_loop(pool);
	}
	pthread_mutex_unlock(&pool->lock);
	helper_close(&self->helper);
	return NULL;
}

static void
on_finished(int fd, int events, void *arg)
{
	struct media_pool *pool = arg;
	struct work *w;
	uint64_t count;
	bool more;

	if (read(fd, &count, sizeof count) < 0)
		return;
	pthread_mutex_lock(&pool->lock);
	w = pool->finished.head;
	if (w != NULL)
		queue_remove(&pool->finished, w);
	more = pool->finished.head != NULL;
	pthread_mutex_unlock(&pool->lock);
	/* One per call, and again while there are more: a callback may free
	 * the pool, and a turn stays short. */
	if (more)
		wake_loop(pool);
	if (w != NULL)
		finish(w);
}

static void
start_thread(struct media_pool *pool, int i, int lane)
{
	struct media_thread *thread = &pool->threads[i];
	sigset_t all, old;
	int rc;

	thread->pool = pool;
	thread->lane = lane;
	/* Signals belong to the loop. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&thread->thread, NULL, thread_main, thread);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0) {
		log_error("msg=\"no thread: %s\"", strerror(rc));
		abort();
	}
}

static int
or_default(int value, int fallback)
{
	return value > 0 ? value : fallback;
}

struct media_pool *
media_pool_new(struct loop *loop, const struct media_opts *opts)
{
	struct media_pool *pool = xcalloc(1, sizeof *pool);
	int media = or_default(opts->threads, 2);
	int file = or_default(opts->file_threads, 2);

	pool->loop = loop;
	pool->helper = xstrdup(opts->helper != NULL && opts->helper[0] != '\0'
		? opts->helper
		: PKGLIBEXECDIR "/reel-media");
	pool->job_ms = or_default(opts->job_ms, 25 * 1000);
	pool->rendition_ms = or_default(opts->rendition_ms, 600 * 1000);
	pool->max_waiting = or_default(opts->max_waiting, 4096);
	pool->max_renditions = media > 1 ? media - 1 : 1;
	pthread_mutex_init(&pool->lock, NULL);
	queue_init(&pool->finished);
	for (int i = 0; i < LANES; i++) {
		pthread_cond_init(&pool->wake[i], NULL);
		queue_init(&pool->queue[i]);
	}
	pool->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pool->event_fd < 0)
		abort();
	pool->io =
	    loop_io_new(loop, pool->event_fd, "media done", on_finished, pool);
	loop_io_set(pool->io, LOOP_READ);
	pool->n_threads = media + file;
	pool->threads = xcalloc(pool->n_threads, sizeof *pool->threads);
	for (int i = 0; i < pool->n_threads; i++)
		start_thread(pool, i, i < media ? LANE_MEDIA : LANE_FILE);
	return pool;
}

static void
drop_all(struct work_queue *queue)
{
	struct work *w;

	while ((w = queue->head) != NULL) {
		queue_remove(queue, w);
		work_free(w);
	}
}

void
media_pool_free(struct media_pool *pool)
{
	struct work *w;

	if (pool == NULL)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	for (int i = 0; i < LANES; i++)
		pthread_cond_broadcast(&pool->wake[i]);
	pthread_mutex_unlock(&pool->lock);
	for (int i = 0; i < pool->n_threads; i++)
		pthread_join(pool->threads[i].thread, NULL);
	loop_io_free(&pool->io);
	loop_defer_cancel(&pool->refusing);
	while ((w = pool->refused) != NULL) {
		pool->refused = w->next;
		work_free(w);
	}
	for (int i = 0; i < LANES; i++) {
		drop_all(&pool->queue[i]);
		pthread_cond_destroy(&pool->wake[i]);
	}
	drop_all(&pool->finished);
	close(pool->event_fd);
	pthread_mutex_destroy(&pool->lock);
	free(pool->threads);
	free(pool->helper);
	free(pool);
}

void
media_pool_stats(struct media_pool *pool, struct media_stats *out)
{
	pthread_mutex_lock(&pool->lock);
	*out = pool->stats;
	out->waiting = pool->queue[LANE_MEDIA].waiting;
	out->running = pool->queue[LANE_MEDIA].running;
	out->file_waiting = pool->queue[LANE_FILE].waiting;
	out->file_running = pool->queue[LANE_FILE].running;
	pthread_mutex_unlock(&pool->lock);
}

static void
on_refused(void *arg)
{
	struct media_pool *pool = arg;
	struct work *w = pool->refused;

	pool->refused = w->next;
	if (w->next != NULL) {
		w->next->prev = &pool->refused;
		loop_defer(pool->loop, "media refused", on_refused, pool,
		    &pool->refusing);
	}
	finish(w);
}

void
work_refuse(struct work *w)
{
	struct media_pool *pool = w->pool;

	w->failed = true;
	w->next = pool->refused;
	w->prev = &pool->refused;
	if (w->next != NULL)
		w->next->prev = &w->next;
	pool->refused = w;
	if (pool->refusing == NULL)
		loop_defer(pool->loop, "media refused", on_refused, pool,
		    &pool->refusing);
}

struct work *
work_new(struct media_pool *pool, int lane, struct work **slot)
{
	struct work *w = xcalloc(1, sizeof *w);

	w->pool = pool;
	w->lane = lane;
	w->slot = slot;
	if (slot != NULL)
		*slot = w;
	return w;
}

void
work_submit(struct work *w)
{
	struct media_pool *pool = w->pool;
	struct work_queue *queue = &pool->queue[w->lane];
	bool full;

	pthread_mutex_lock(&pool->lock);
	full = queue->waiting >= pool->max_waiting;
	if (!full) {
		queue_add(queue, w);
		pthread_cond_signal(&pool->wake[w->lane]);
	}
	pthread_mutex_unlock(&pool->lock);
	if (full) {
		err_set_name(&w->err, ERR_UNAVAILABLE, "media_busy",
		    "Too much file work is waiting.");
		w->err.retry_after_s = 1;
		work_refuse(w);
	}
}

void
work_start(struct media_pool *pool, work_fn *run, work_free_fn *release,
    void *arg, struct work **slot, work_done_fn *done, void *done_arg)
{
	struct work *w = work_new(pool, LANE_FILE, slot);

	w->run = run;
	w->release = release;
	w->arg = arg;
	w->done = done;
	w->done_arg = done_arg;
	work_submit(w);
}

void
work_cancel(struct work **slot)
{
	struct work *w = *slot;
	struct media_pool *pool;
	bool waiting;

	if (w == NULL)
		return;
	*slot = NULL;
	w->slot = NULL;
	w->cancelled = true;
	pool = w->pool;
	pthread_mutex_lock(&pool->lock);
	waiting = w->in == &pool->queue[w->lane];
	if (waiting)
		queue_remove(&pool->queue[w->lane], w);
	pthread_mutex_unlock(&pool->lock);
	/* Running, finished or refused work is freed on its way out. */
	if (waiting)
		work_free(w);
}
