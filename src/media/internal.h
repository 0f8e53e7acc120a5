/*
 * internal.h - the rooms of media: work.c (pool, lanes, delivery), client.c
 * (one helper process), jobs.c (what a media thread does with one job).
 */
#ifndef MEDIA_INTERNAL_H
#define MEDIA_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "media/proto.h"
#include "reeld/err.h"
#include "reeld/loop.h"
#include "reeld/media.h"

enum { LANE_FILE, LANE_MEDIA, LANES };

struct media_job {
	int in_fd, out_fd; /* out_fd -1: probe */
	struct proto_request request;
	struct media_result result;
	int silence_ms, total_ms; /* without a report, and altogether */
	media_done_fn *done;
	void *done_arg;
};

struct work {
	struct media_pool *pool;
	struct work_queue *in; /* a lane's queue, the finished, or NULL */
	struct work *next, **prev;
	int lane;
	struct work **slot;
	atomic_bool cancelled;
	work_fn *run;
	work_free_fn *release;
	void *arg;
	work_done_fn *done;
	void *done_arg;
	bool failed;
	struct err err;
	struct media_job *job; /* media lane only */
};

struct work_queue {
	struct work *head, **tail;
	int waiting, running;
};

struct media_pool {
	struct loop *loop;
	char *helper;
	int job_ms, rendition_ms, max_waiting;

	int n_threads;
	struct media_thread *threads;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t wake[LANES];
	struct work_queue queue[LANES];
	struct work_queue finished;
	int renditions, max_renditions;
	struct media_stats stats;
	atomic_bool stopping;

	/* The loop's own: */
	int event_fd;
	struct loop_io *io;
	struct work *refused; /* queue was full: done() comes deferred */
	struct loop_defer *refusing;
};

struct helper;

struct media_thread {
	struct media_pool *pool;
	pthread_t thread;
	int lane;
	struct helper *helper; /* media lane: this thread's process, or NULL */
	int failures;	       /* helpers lost in a row: how long to back off */
};

/* work.c: takes w, whose run and callbacks are set. */
struct work *work_new(struct media_pool *pool, int lane, struct work **slot);
void work_submit(struct work *w);
/* The same when it failed before it began, with w->err set. */
void work_refuse(struct work *w);

/* jobs.c: runs on a media thread; fills work->failed, err and job. */
void media_job_run(struct media_thread *thread, struct work *w);
void media_job_free(struct media_job *job);

/*
 * client.c: one helper process, used by one thread.
 * helper_call() sends the request and waits; `stop` says that nobody wants
 * the answer any more.  After CALL_DONE err->code tells whether the job
 * failed in the helper; after anything else close the helper.
 */
enum helper_end {
	CALL_DONE,
	CALL_UNSENT,  /* it was gone before it got the request */
	CALL_LOST,    /* it died or answered rubbish */
	CALL_KILLED,  /* somebody else killed it: the file may be innocent */
	CALL_TIMEOUT, /* it hung and was killed */
	CALL_STOPPED
};
typedef bool helper_stop_fn(void *arg);
struct helper *helper_open(struct media_pool *pool, struct err *err);
void helper_close(struct helper **slot); /* kills and reaps it */
/* False once it has done its share or went away while idle. */
bool helper_usable(const struct helper *helper);
enum helper_end helper_call(struct helper *helper, struct media_job *job,
    helper_stop_fn *stop, void *stop_arg, struct err *err);

#endif
