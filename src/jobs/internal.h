/* internal.h - what the files of src/jobs share. */
#ifndef REELD_JOBS_INTERNAL_H
#define REELD_JOBS_INTERNAL_H

#include <sys/queue.h>

#include <uthash.h>

#include "jobs/breaker.h"
#include "jobs/step.h"
#include "jobs/turns.h"
#include "pg/stmt_table.h"
#include "reeld/catalogue.h"
#include "reeld/crash.h"
#include "reeld/fetch.h"
#include "reeld/fit.h"
#include "reeld/jobs.h"
#include "reeld/media.h"
#include "reeld/mem.h"
#include "reeld/pg.h"
#include "reeld/pg_group.h"
#include "reeld/provider.h"
#include "reeld/spec.h"
#include "reeld/storage.h"

/* Public keys of a provider's webhooks. */
struct keys_wait {
	TAILQ_ENTRY(keys_wait) entry;
	struct hook_keys *keys; /* NULL: does not wait */
	void (*fn)(void *arg);	/* once, whatever came of it */
	void *arg;
};
struct hook_keys {
	struct json_object *doc;      /* what they served, or NULL */
	int64_t fetched_ms, tried_ms; /* monotonic */
	bool tried, failed;
	struct fetch_call *call;
	TAILQ_HEAD(, keys_wait) waiting;
};

/* Everything of one provider in this process. */
struct lane {
	const struct provider *provider;
	int running;	 /* jobs here */
	bool odd_status; /* an unknown status word was logged */
	struct hook_keys keys;
};

enum { MAX_LANES = 32, MAX_STRAYS = 64 };

/* A file of a job on its way to the store. */
struct job_file {
	int fd;	       /* -1: none */
	char temp[96]; /* its staging name, "" = anonymous or moved */
	char key[200]; /* where it is stored, "" = not yet */
	char type[32];
	int64_t size_bytes;
	char sha256[65]; /* hex, or "" */
	int width, height;
	struct media_info info;
	bool probed;
};

/* An input image: what the asset's row says, and how it goes out. */
struct job_image {
	char key[256], mime[64]; /* "": there is none */
	int64_t bytes;		 /* 0: not known; sides too */
	int width, height;
	bool unfit; /* it has to be made to fit */
	char type[64];
	char *url, *data;
	size_t len;
};

/* One job that this process owns. */
struct job {
	TAILQ_ENTRY(job) entry, dirty_entry, blamed_entry, slot_entry;
	UT_hash_handle hh; /* by generation id */
	struct engine *engine;
	struct lane *lane;
	struct step state;

	struct id id, generation, user, attempt, nonce, account;
	bool probe; /* the one that a half open circuit lets through */
	char *endpoint;
	struct doc *params;
	struct json_object *refs;
	struct gen_spec spec;
	bool has_spec;
	char *provider_id, *result_url;
	int64_t max_prompt; /* of the model, in characters */
	bool wants_enhance; /* ordered */
	char *enhanced;	    /* NULL: not asked yet; "": of no use */
	bool result_needs_key;
	int64_t result_expires_ms; /* wall clock; 0: unknown; expiry_set() */
	int64_t result_seen_ms;	   /* when the link was learnt */
	int64_t result_lifetime_s; /* of the model; 0: the provider's */
	bool alarmed;		   /* that it is about to expire */
	int64_t cost_micro_usd;	   /* -1: unknown */
	struct doc *cost_rule;
	int64_t settle; /* credits; -1: as quoted */
	int64_t deadline_s;
	int polls, position;

	/* Why it failed, for generation_fail. */
	char why_class[24], why_code[64], why_user[240], why_provider[512];
	bool why_retry;
	/* What a requeue says about the route and the account. */
	bool leave;	       /* the route can't do it */
	const char *verdict;   /* "held", "paused", "broken", or NULL */
	int64_t verdict_ms;    /* for how long; 0: until somebody resumes it */
	char verdict_why[200]; /* for operators */

	/* Work in flight: at most one effect, so mostly one of these. */
	struct pg_query *query;
	struct pg_item *item; /* a change that shares a transaction */
	struct fetch_call *call;
	struct work *work;
	struct storage_work *storage;
	struct loop_timer timer;
	int64_t due_ms;		  /* of the timer, monotonic */
	struct loop_defer *defer; /* `later` is on its way */
	struct step_event later;
	char later_why[40];
	enum provider_step asking; /* what `call` is */
	char *last_said; /* poll.c: the last answer, if all it said was that
			    the job goes on */
	size_t last_len;
	int last_status;
	struct read_image *image;   /* images.c: an input being read */
	int fit_fd;		    /* one that is made to fit, or -1 */
	struct job_image images[2]; /* start, end */
	int images_done;

	struct fetch_sink sink;
	bool has_sink;
	int download_n; /* for staging names */
	struct job_file video, poster, playable;

	/* Progress waiting for the next flush. */
	bool dirty;
	int progress;
	bool taken; /* a worker has it */

	/* Its row's crash_count is not 0; a step was taken, which the row is to
	 * hear of (in engine.blamed); that is on its way. */
	bool blamed, clean_due, cleaning;

	bool has_slot, wants_slot;
	enum step_do slot_effect;
};

TAILQ_HEAD(job_list, job);

/* What this process saw of an account; by its id, never forgotten. */
struct health {
	UT_hash_handle hh;
	struct engine *engine;
	struct id account;
	struct breaker breaker;
	int running;		/* jobs here */
	struct pg_query *query; /* tells the database of a change */
	uint64_t outcomes[SUBMIT_OUTCOMES];
};

struct engine {
	struct engine_deps d;
	char *name, *public_url, *worker_url, *bucket;
	void *secret;
	struct id instance;
	struct engine_stats stats;
	struct job_list jobs, dirty, blamed, slot_queue;
	struct job *by_generation; /* uthash */
	struct health *health;	   /* uthash */
	struct doc *docs;	   /* uthash, those that jobs use */
	struct lane lanes[MAX_LANES];
	int n_lanes;

	struct turns turns;
	bool up, started, draining, releasing, wake_again;
	bool move_soon; /* somebody waits for another route */
	int claim_room; /* for how many the claim under way asks */
	struct loop_timer beat, sweep, wake, others, flush, tidy, drain_timer;
	struct pg_query *beat_query, *claim_query, *flush_query, *clean_query,
	    *check_query, *lost_query, *sent_query, *tidy_query, *cancel_query,
	    *release_query, *stop_query, *push_query, *owner_query;
	struct pg_group *starts, *submits, *fails; /* of jobs */
	struct purge *purge;			   /* running, or NULL */
	struct redis_call *length_call;
	bool check_soon, checking; /* checking: there is a next page */
	int64_t last_check_ms, last_expiry_ms, last_move_ms;
	int dying;		/* jobs whose link dies some day */
	struct id owned_after;	/* page of our rows */
	struct job *check_next; /* page of our list */
	struct id strays[MAX_STRAYS];
	int n_strays;
	int tidy_step;
	struct id adopt_after; /* page */
	bool adopting;
	int skipped;	 /* of this pass, for stats.left */
	struct buf sent; /* event numbers to mark, "1,2,3" */
	int n_sent;

	loop_fn *drained;
	void *drained_arg;
	struct loop_defer *drain_defer;
};

/* row.c */
/* In the engine's lists; NULL: of a provider that is not known here. */
struct job *job_new(struct engine *engine, const struct pg_rows *rows, int row);

/* job.c */
void job_on_timer(void *arg);
void job_begin(struct job *job); /* ON_CLAIM */
void job_free(struct job *job);
struct job *job_find(struct engine *engine, const char *generation);
/* The result of an effect; may free the job: nothing after it. */
void job_on(struct job *job, struct step_event *event);
void job_on_simple(struct job *job, enum step_on on);
void job_on_why(struct job *job, enum step_on on, const char *why);
/* The same, but later in this turn: for failures inside a start. */
void job_later(struct job *job, enum step_on on, const char *why);
/* Remembers why; takes the verdict's words. */
void job_why(struct job *job, const char *class, const char *code,
    const char *user, const char *provider, bool retry);
void job_why_verdict(struct job *job, const struct provider_verdict *verdict);
void job_learn(struct job *job, struct provider_verdict *verdict);
void job_provider(struct job *job, struct provider_job *out);
char *job_token(const struct job *job);
void job_file_drop(struct job *job, struct job_file *file);
/* Where it was, or is to be, submitted; NULL: not known here (any more). */
const struct catalogue_account *job_account(const struct job *job);
/* The first account of a provider, for what all of them share. */
const struct catalogue_account *
lane_account(const struct engine *engine, const struct lane *lane);
void job_dump(const struct job *job);

/* answer.c */
/* The answer of an SQL effect (pg_done_fn); of one that shares a transaction
 * (pg_item_fn): its event is published already. */
void job_on_sql(const struct pg_rows *rows, const struct err *err, void *arg);
void job_on_item(
    const struct pg_rows *rows, int row, const struct err *err, void *arg);

/* docs.c */
/* The document of that column, or NULL; the job's until doc_drop(). */
struct doc *doc_take(struct engine *engine, const struct pg_rows *rows, int row,
    const char *col);
const struct json_object *doc_json(const struct doc *doc); /* NULL of NULL */
void doc_drop(struct engine *engine, struct doc **slot);   /* safe twice */

/* enhance.c, submit.c, poll.c, download.c, finish.c, end.c: one effect each. */
void enhance_start(struct job *job);
/* The stored prompt takes the written one's place; safe when there is none. */
void enhance_apply(struct job *job);
/* Was it ordered, and did nobody do it?  Then it is not paid for. */
bool enhance_failed(const struct job *job);
void submit_attempt(struct job *job);
void submit_send(struct job *job);
void submit_record(struct job *job);
void submit_loaded(struct job *job); /* the inputs are there */
/* images.c */
void images_load(struct job *job); /* ends in submit_loaded() */
void images_free(struct job *job); /* safe twice */
void poll_start(struct job *job);
void poll_revoke(struct job *job);
void download_finalize(struct job *job);
void download_start(struct job *job);
/* What was downloaded is of no use: the next download begins anew. */
void download_forget(struct job *job);
void finish_probe(struct job *job);
void finish_store(struct job *job);
void finish_render(struct job *job);
void finish_poster(struct job *job);
void finish_commit(struct job *job);
void finish_commit_settled(struct job *job);
/* expiry.c */
/* When its link dies, as its row says; 0: nobody knows, or there is none. */
void expiry_set(struct job *job, int64_t expires_ms);
/* There is a (new) link, good until expires_ms; 0: they don't say. */
void expiry_learn(struct job *job, int64_t expires_ms);
/* Must a be fetched before b? */
bool expiry_before(const struct job *a, const struct job *b);
void expiry_check(struct engine *engine);
void expiry_lost(struct job *job);
/* settle.c */
bool settle_is_due(const struct job *job);
void settle_start(struct job *job); /* ends in finish_commit_settled() */
void end_fail(struct job *job);
void end_cancelled(struct job *job);
void end_review(struct job *job);
void end_requeue(struct job *job, int64_t delay_ms);
void end_park(struct job *job, int64_t wait_ms);
void end_release(struct job *job);

/* claim.c */
void claim_start(struct engine *engine);
void claim_adopt(struct engine *engine);
struct lane *lane_find(struct engine *engine, const char *provider);
void claim_check(struct engine *engine);

/* accounts.c */
/* What became of a paid request: feeds the account's circuit. */
void account_note(struct job *job, enum submit_outcome outcome);
/* A refusal that is about our account or this route, not about the video:
 * remembers what a requeue has to say.  false: it is final. */
bool account_refused(
    struct job *job, const struct provider_verdict *verdict, int status);
void account_hold(struct job *job);
void account_verdict_clear(struct job *job);
/* One more, or one less, job of it here. */
void account_count(const struct job *job, int n);
void account_free_all(struct engine *engine);
/* Rows of accounts were changed: whoever shows them looks again. */
void accounts_changed(struct engine *engine);

/* hints.c */
void hints_open(struct engine *engine, struct loop *loop);
void hints_close(struct engine *engine);
/* To all instances: "claim" (now; hints.c names who takes it first), "adopt".
 */
void hint_send(struct engine *engine, const char *text);
/* That this instance is there, or is leaving. */
void hint_here(struct engine *engine);
void hint_gone(struct engine *engine);
/* A job has ended, or left its provider: somebody queued may take its place. */
void engine_room(struct engine *engine);
/* One was given back that another account or route may take. */
void engine_elsewhere(struct engine *engine);
/* All that ended in a transaction have, but were not told yet. */
void engine_room_now(struct engine *engine);

/* slots.c */
/* true: go on now.  false: it is performed when a slot is free. */
bool engine_slot(struct job *job, enum step_do effect);
void engine_slot_free(struct job *job);
void job_perform(struct job *job, enum step_do effect, int64_t delay_ms);

/* engine.c */
void engine_job_gone(struct engine *engine);

/* progress.c */
void progress_note(struct job *job, int progress, int position);
/* It took a step and the process still lives: no crash was its fault. */
void progress_clean(struct job *job);
void progress_cleaned(struct job *job); /* the row has heard of it */
void progress_flush(void *arg);

/* events.c */
void events_mark(struct engine *engine, const char *seqs);
void events_flush(struct engine *engine);
bool events_publish_json(struct engine *engine, struct json_object *event);

/* keys.c */
void keys_init(struct hook_keys *keys);
void keys_fini(struct hook_keys *keys); /* nobody may wait any more */
/* NULL: none, or too old. */
const struct json_object *keys_current(const struct hook_keys *keys);
/* Fetches them and calls wait->fn then; false: that was done just now. */
bool
keys_fetch(struct engine *engine, struct lane *lane, struct keys_wait *wait);
void keys_wait_cancel(struct keys_wait *wait); /* safe twice */

/* hook.c, worker.c */
bool hook_found(struct engine *engine, const char *text);
void engine_hint_found(struct engine *engine, const char *text);
void worker_offered(struct job *job);
void worker_offer(struct engine *engine, int step);
void worker_push_cancel(struct engine *engine);

/* purge.c */
void purge_start(struct engine *engine);
void purge_end(struct engine *engine); /* cancels; safe when none runs */

/* sweep.c */
void sweep_tidy(void *arg);

#endif
