/*
 * child.h - the processes that standalone keeps beside itself: the database,
 * the cache, the worker.  Each dies with us (PR_SET_PDEATHSIG), writes to its
 * own log file, and is started again when it ends by itself.
 */
#ifndef MAIN_CHILD_H
#define MAIN_CHILD_H

#include <sys/types.h>

#include "reeld/loop.h"

/* Who a child runs as, when we are root. */
enum child_as {
	CHILD_SAME,   /* like us */
	CHILD_USER,   /* the unprivileged user */
	CHILD_REACHER /* the same, with the capability to pass through folders
			 that only root may enter (a clone under /root) */
};

struct child {
	const char *name;
	char **argv; /* owned */
	char *log_path;
	enum child_as as;
	uid_t uid;
	gid_t gid;
	int stop_signal;
	pid_t pid; /* 0: not running */
	int restarts;
	struct loop_timer restart;
	bool stopping;
};

/* Copies argv (NULL-terminated). */
void child_init(struct child *child, const char *name, const char *const argv[],
    const char *log_path, int stop_signal);
void child_fini(struct child *child);
bool child_start(struct child *child, struct err *err) REELD_MUST;
/* Runs it to its end, blocking; false with the tail of its log on failure. */
bool child_run(struct child *child, struct err *err) REELD_MUST;
/* After the loop runs: reaps and restarts with growing pauses. */
void child_watch(struct child *child, struct loop *loop);
/* Call on SIGCHLD. */
void child_reap(struct child *child);
/* Asks it to stop and waits up to timeout_ms, then kills it.  Blocking: for
 * the end of the process, when the loop no longer runs. */
void child_stop(struct child *child, int timeout_ms);

/* Would access(path, mode) hold for this user?  Blocking. */
bool child_user_can(uid_t uid, gid_t gid, const char *path, int mode);

#endif
