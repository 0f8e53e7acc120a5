/*
 * worker.h - reel-worker's parts.  The worker is a plain blocking program:
 * it does one job at a time and has nobody else to keep waiting.
 *
 *   reel-worker.c  flags, signals, the main cycle
 *   server.c       the HTTP calls to reeld
 *   queue.c        where jobs come from: the Redis list, or POST claim
 *   run.c          one job: inputs, the command, progress, the upload
 */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include <json-c/json.h>
#include <signal.h>

#include "reeld/mem.h"

enum { MAX_COMMANDS = 16 };

struct worker {
	const char *url, *key, *name, *work_dir, *redis_url;
	struct {
		const char *type, *command;
	} on[MAX_COMMANDS];
	int n_on;
	char id[64]; /* given by the server at registration */
	int64_t heartbeat_ms, next_beat_ms;
	bool drain;		    /* the server asks us to leave */
	struct redisContext *redis; /* NULL: not connected */
	int64_t redis_retry_ms;
};

/* Set by SIGTERM and SIGINT. */
extern volatile sig_atomic_t worker_stopping;

/* One HTTP call to the server. */
struct server_reply {
	int status; /* 0: no answer at all */
	struct json_object *json;
};
void server_reply_fini(struct server_reply *reply);
/* body: taken and NULLed, may be NULL.  token: of the job, or NULL. */
void server_post(struct worker *worker, const char *path, const char *token,
    struct json_object **body, int timeout_s, struct server_reply *reply);
/* Sends a file as the job's video/mp4; beats meanwhile. */
void server_upload(struct worker *worker, const char *job, const char *token,
    const char *file, struct server_reply *reply);
/* Fetches a job's input into a file, 64 MiB at most; beats meanwhile. */
bool server_download(struct worker *worker, const char *job, const char *url,
    const char *token, const char *file, struct err *err) REELD_MUST;
bool server_register(struct worker *worker, struct err *err) REELD_MUST;
/* Sends a heartbeat when one is due; true when the job is to be stopped. */
bool server_beat(struct worker *worker, const char *job);

/* Waits some seconds for a job; NULL when there is none. */
struct json_object *queue_take(struct worker *worker);
void queue_close(struct worker *worker);

/* Does one job from start to its report; takes the payload. */
void run_job(struct worker *worker, struct json_object **payload);
const char *worker_command(const struct worker *worker, const char *type);

#endif
