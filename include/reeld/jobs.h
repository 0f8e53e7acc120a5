/*
 * jobs.h - the engine: carries every generation from the queue to a stored,
 * playable video, or to an end with the credits given back.
 *
 * One engine per process.  PostgreSQL holds the truth: jobs.owner is the
 * lease and the fence, and this process's instance row has the heartbeat.
 * The engine keeps one small object per job it owns (src/jobs/job.c) and asks
 * the pure function step() what to do next.  kill -9 at any moment loses
 * nothing: another engine adopts the jobs from their rows.
 *
 * All functions are called on the loop's thread.
 */
#ifndef REELD_JOBS_H
#define REELD_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reeld/err.h"
#include "reeld/id.h"
#include "reeld/loop.h"

struct catalogue_account;
struct chat_settings;
struct engine;
struct fetch;
struct json_object;
struct live;
struct loop;
struct media_pool;
struct pg_pool;
struct pg_rows;
struct redis;
struct storage;

struct engine_deps {
	struct loop *loop;
	struct pg_pool *pg;  /* the engine pool: sees all rows */
	struct redis *redis; /* NULL: hints do not leave this process */
	struct fetch *fetch;
	struct storage *storage;
	struct media_pool *media;
	struct live *live; /* NULL: events wait in the outbox */
	/* The accounts at a provider, `default` first (catalogue.h).  Borrowed
	 * for this turn and asked for again at each use, so that a change
	 * takes effect. */
	const struct catalogue_account *(*accounts)(
	    void *arg, const char *provider, size_t *n);
	void *accounts_arg;
	/* An account was paused or its circuit moved; NULL: nobody asks. */
	loop_fn *accounts_changed;
	/* Who enhances prompts; NULL, or one that is not set: nobody.  Asked
	 * at each use with accounts_arg. */
	const struct chat_settings *(*enhancer)(void *arg);

	const char *name;	/* of this machine, for people; copied */
	const char *public_url; /* where providers reach us; NULL or "": not */
	const char
	    *worker_url; /* where our workers reach us; NULL: public_url */
	/* Job tokens are an HMAC with it; the same in all instances. */
	const void *secret;
	size_t secret_len;
	bool s3;	    /* how asset rows name the store */
	const char *bucket; /* or NULL */
	bool store_private; /* providers can't reach the store's links */

	int max_active;	  /* jobs carried at once [20000] */
	int slots;	  /* downloads and media work at once [5] */
	int64_t dead_ms;  /* silence that makes an instance dead [20 s] */
	int64_t beat_ms;  /* [5 s] */
	int64_t sweep_ms; /* claims without a hint [1 s] */
	int64_t download_max_bytes; /* [1 GiB] */
	int64_t stall_ms; /* a download under 10 KiB/s for so long [30 s] */
	int64_t keys_again_ms; /* between fetches of hook keys [5 min] */
};

/* For /metrics. */
struct engine_stats {
	int active, waiting_slot, slots_used;
	int left; /* jobs of dead instances that can't be taken over here */
	uint64_t claimed, adopted, set_apart, released, lease_lost;
	uint64_t enhanced, enhance_failures, images_fitted;
	uint64_t submits, submit_refused, submit_busy, submit_not_sent;
	uint64_t submit_uncertain, orphan_submits;
	uint64_t polls, poll_failures, hooks, hooks_bad;
	/* Made by a provider, not stored yet and about to expire there; said so
	 * once each; made and never stored. */
	int results_expiring;
	uint64_t expiry_alarms, results_lost;
	uint64_t downloads, download_failures, download_bytes;
	uint64_t posters, poster_failures, renditions;
	uint64_t completed, failed, cancelled, reviewed, requeued, poisoned;
	uint64_t db_retries, db_refused, events_published, outbox_resent;
	uint64_t timers, timers_late; /* of jobs; later than 100 ms */
};

/* What became of a paid request. */
enum submit_outcome {
	SUBMIT_ACCEPTED,
	SUBMIT_REFUSED,
	SUBMIT_BUSY,
	SUBMIT_NOT_SENT,
	SUBMIT_UNCERTAIN,
	SUBMIT_OUTCOMES
};

/* Copies deps (the modules in it are borrowed and outlive the engine). */
struct engine *engine_new(const struct engine_deps *deps);
/* Registers the instance as soon as the database is up, then works. */
void engine_start(struct engine *engine);
/*
 * Stops claiming, finishes what must not be cut (a paid request on the wire,
 * a statement), gives the other jobs back so that another instance goes on at
 * once, and calls done.  After timeout_ms it calls done anyway: what is left
 * is adopted like after a crash.
 */
void engine_drain(
    struct engine *engine, int64_t timeout_ms, loop_fn *done, void *arg);
void engine_free(struct engine *engine); /* NULL is fine */

const struct id *engine_instance(const struct engine *engine);
const struct engine_stats *engine_stats(const struct engine *engine);
/* Submits of this process by account and outcome, for /metrics. */
typedef void engine_account_fn(
    const char *account, const uint64_t outcomes[SUBMIT_OUTCOMES], void *arg);
void engine_account_stats(
    const struct engine *engine, engine_account_fn *fn, void *arg);
/* Jobs of this process on an account, submitted and not yet done there. */
int engine_account_jobs(const struct engine *engine, const char *account);
bool engine_is_up(const struct engine *engine); /* registered and beating */
/* One log line per job. */
void engine_dump(const struct engine *engine);

/* There may be something to claim; cheap, may be called often. */
void engine_wake(struct engine *engine);
/* There is something to claim, committed just now: the claim goes out at once,
 * before what this turn still has to do, or when the one under way is back. */
void engine_claim(struct engine *engine);
/* The user asked to cancel a running generation (outcome `cancelling`). */
void engine_cancel_hint(struct engine *engine, const char *generation_id);

/* There is news of it: a worker reported, a webhook came. */
void engine_hurry(struct engine *engine, const char *generation_id);

/*
 * Publishes what a business function returned (columns outcome, event,
 * balance_event or, of functions for several generations, their parts
 * event_type ... balance_version; promoted, seqs), marks it sent, and wakes the
 * claimers when it made work.  For every caller of such a function, also in
 * src/api.
 */
void engine_publish(struct engine *engine, const struct pg_rows *rows, int row);

/*
 * A provider's webhook, as it came.  Statuses for the HTTP reply: 200 (also
 * for duplicates and for what is over), 401 (token or signature), 404 (also
 * one about another request), 400, 413, 503 (send it again later).
 */
typedef void engine_hook_fn(int status, void *arg);
struct engine_hook;
struct engine_hook_in {
	const char *provider, *attempt, *token;
	const void *body;
	size_t len;
	/* NULL when absent; only used during the call. */
	const char *(*header)(const char *name, void *arg);
	void *header_arg;
};
/* Slot rule; copies what it needs. */
void engine_hook_start(struct engine *engine, const struct engine_hook_in *in,
    struct engine_hook **slot, engine_hook_fn *done, void *arg);
void engine_hook_cancel(struct engine_hook **slot);

/* --- Does an account work?  One question that costs nothing (provider.h) ---
 */

struct provider_health;
struct account_check;
/* latency_ms is of the whole answer. */
typedef void account_check_fn(
    const struct provider_health *health, int64_t latency_ms, void *arg);
/* Slot rule; copies what it needs.  key may be NULL. */
void account_check_start(struct loop *loop, struct fetch *fetch,
    const char *provider, const struct catalogue_account *account,
    struct account_check **slot, account_check_fn *done, void *arg);
void account_check_cancel(struct account_check **slot);

/* --- Our own workers: what src/api/worker.c needs besides the statements of
 * sql/stmt/worker.sql ------------------------------------------------------ */

/* The payload of a job that was handed out: work is column `work` of
 * worker_claim() and worker_job_start().  The caller owns *out. */
bool engine_worker_payload(struct engine *engine, struct json_object *work,
    struct json_object **out, struct err *err) REELD_MUST;

/* Puts an uploaded video in the store; its key goes into the result that
 * worker_job_complete() keeps ({"key": ...}), then engine_hurry(). */
struct engine_upload;
struct engine_upload_in {
	int fd;		  /* open until done */
	const char *temp; /* its staging name, or NULL */
	int64_t size_bytes;
	const uint8_t *sha256; /* 32 bytes of the content */
};
typedef void
engine_upload_fn(const char *key, const struct err *err, void *arg);
/* Slot rule. */
void engine_upload_start(struct engine *engine, const char *generation_id,
    const struct engine_upload_in *in, struct engine_upload **slot,
    engine_upload_fn *done, void *arg);
void engine_upload_cancel(struct engine_upload **slot);

#endif
