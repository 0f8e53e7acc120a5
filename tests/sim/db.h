/*
 * db.h - the database as the simulator sees it: the rows and business
 * functions of sql/functions, by their documented outcomes, in memory.
 *
 * db.c holds the rows, the money and how a generation ends; db_job.c what the
 * engine calls, db_user.c what people call, db_sweep.c the sweeps.  Each call
 * is one transaction: what breaks a rule of the schema is undone whole and
 * answers DB_RAISED.  tests/it/sql_model.test.mjs plays the same calls against
 * sql/ and compares every outcome and row, so neither can drift.
 *
 * Left out: grants, assets and their checks, fees, priorities, our own
 * workers' tables.  Ids are 1, 2, 3...; 0 is null.
 */
#ifndef SIM_DB_H
#define SIM_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	MAX_USERS = 3,
	MAX_GENS = 9,
	MAX_ATTEMPTS = 96,
	MAX_ENTRIES = 48,
	MAX_EVENTS = 400,
	MAX_INSTANCES = 64,
	MAX_KEYS = 8,
	/* sql: job_tries_max('submit'), job_is_suspect(), and when a lone
	 * suspect in company is the poison */
	SUBMIT_TRIES = 3,
	SUSPECT_CRASHES = 2,
	POISON_LONE = 3
};

enum gen_status {
	G_PENDING,
	G_QUEUED,
	G_PROCESSING,
	G_FINALIZING,
	G_CANCELLING,
	G_REVIEW,
	G_COMPLETED,
	G_FAILED,
	G_CANCELLED
};

enum job_status {
	J_SCHEDULED,
	J_QUEUED,
	J_RUNNING,
	J_WAITING,
	J_UNCERTAIN,
	J_SUCCEEDED,
	J_FAILED,
	J_CANCELLED
};

enum job_step { S_SUBMIT, S_POLL, S_DOWNLOAD };

enum attempt_status {
	A_SUBMITTING,
	A_SUBMITTED,
	A_SUCCEEDED,
	A_FAILED,
	A_CANCELLED,
	A_AMBIGUOUS
};

enum charge_state { C_CHARGED, C_SETTLED, C_REFUNDED, C_PARTIAL, C_REVIEW };

enum entry_type { E_ADJUSTMENT, E_DEBIT, E_REFUND, E_SETTLE };

enum db_outcome {
	DB_GONE,
	DB_RAISED, /* the schema refused: undone */
	DB_ROWS,   /* claim, adopt, overdue: the rows say it */
	DB_NUMBER, /* db->number says it */
	DB_CREATED,
	DB_REPLAYED,
	DB_MISMATCH,
	DB_INSUFFICIENT,
	DB_LIMIT,
	DB_CANCELLED,
	DB_CANCELLING,
	DB_ALREADY,
	DB_TOO_LATE,
	DB_NOT_FOUND,
	DB_REQUEUED,
	DB_EXHAUSTED,
	DB_STARTED,
	DB_SUBMITTED,
	DB_UNCERTAIN,
	DB_REVIEW,
	DB_FINALIZING,
	DB_OK,
	DB_COMPLETED,
	DB_FAILED,
	DB_NOT_ASKED,
	DB_STORED,
	DB_NOT_LATE,
	DB_REFUNDED,
	DB_CHARGED,
	DB_DELIVERING,
	DB_NO_RESULT,
	DB_NOT_REVIEW,
	DB_ADJUSTED,
	DB_ADOPTED,
	DB_POISONED,
	DB_SET_APART,
	DB_OUTCOMES
};

struct db_user {
	int64_t balance;
	int active, waiting, limit;
};

/* generations, its charge and its job in one: there is one of each. */
struct db_gen {
	int user, key, hash;
	enum gen_status status;
	int version;
	int64_t credits, refunded, settled;
	enum charge_state charge;
	int64_t deadline_ms, deadline_at, review_at, cancel_at;
	/* the job */
	enum job_status job;
	enum job_step step;
	int owner, attempt, crashes, lone, tries;
	int64_t eligible_at, started_at, finished_at;
};

struct db_attempt {
	int gen, number;
	enum attempt_status status;
	int provider_id; /* theirs */
	bool has_url, late;
};

struct db_entry {
	int user, gen, key;
	enum entry_type type;
	int64_t amount;
};

struct db_event {
	int gen, version;
	enum gen_status status;
	int64_t at;
	bool terminal, published;
};

struct db_instance {
	int64_t beat_at;
	bool stopped;
};

struct db_rules {
	int64_t queue_ms, review_ms; /* review_ms 0: for ever */
	int waiting_limit;
};

/* A switch per planted fault; sim.h names those of the engine too. */
struct db_faults {
	bool no_fence;	      /* owner is not compared */
	bool refund_twice;    /* fail without compare-and-set, nor its index */
	bool keep_money;      /* cancelled without a refund */
	bool cancel_anything; /* cancel does not look at the status */
	bool no_promotion;
	bool no_deadline;
	bool key_ignored;
	bool topup_twice;
	bool outbox_forgets;
	bool lost_update;   /* balance written without its entry */
	bool late_requeue;  /* of an earlier attempt: done all the same */
	bool late_start;    /* overtaken by its requeue: done all the same */
	bool blame_all;	    /* every suspect of a crash is judged */
	bool blame_page;    /* only the suspects of a page are set apart */
	bool blame_parked;  /* what performed nothing counts its crashes too */
	bool blame_company; /* a suspect among others is judged like a lone one
			     */
	bool take_all;	    /* of those set apart, instead of half */
	bool no_doubt;	    /* what changes hands is requeued all the same */
};

struct db {
	int64_t now;
	struct db_rules rules;
	struct db_faults faults;
	/* undone when the schema refuses; entries and events beyond their
	 * numbers do not exist */
	struct {
		struct db_user users[MAX_USERS + 1];
		struct db_gen gens[MAX_GENS + 2]; /* the last: nobody's */
		struct db_attempt attempts[MAX_ATTEMPTS + 2];
		int n_users, n_gens, n_attempts, n_entries, n_events;
	};
	struct db_instance instances[MAX_INSTANCES + 1];
	int n_instances;
	struct db_entry entries[MAX_ENTRIES + 1];
	struct db_event events[MAX_EVENTS + 1];
	/* of the call that just ran */
	const char *raised;
	int number, seqs[16], n_seqs;
	struct db_row {
		enum db_outcome outcome;
		int gen;
	} rows[2 * MAX_GENS]; /* set apart, and taken at once */
	int n_rows;
	unsigned changes; /* calls that ran */
};

/* Calls: one struct, so that they can be written down and played again. */
enum db_fn {
	FN_SUBMIT,
	FN_CANCEL,
	FN_ADJUST,
	FN_RESOLVE,
	FN_INSTANCE_START,
	FN_BEAT,
	FN_INSTANCE_STOP,
	FN_CLAIM,
	FN_ADOPT,
	FN_CLEAN,
	FN_RELEASE,
	FN_REQUEUE,
	FN_START,
	FN_SUBMITTED,
	FN_UNCERTAIN,
	FN_LATE,
	FN_FINALIZING,
	FN_RESULT_URL,
	FN_FINISH,
	FN_FAIL,
	FN_CANCELLED,
	FN_REVIEW,
	FN_OVERDUE,
	FN_PROMOTE,
	FN_OUTBOX_SENT,
	DB_FNS
};

enum db_action { ACT_REFUND, ACT_CHARGE, ACT_DELIVER };

struct db_call {
	enum db_fn fn;
	int user, gen, owner, attempt, key, hash, provider_id;
	int64_t amount;	  /* credits; FINISH: settle, -1 = the quote */
	int64_t delay_ms; /* REQUEUE delay, UNCERTAIN wait, dead, deadline */
	int limit;	  /* CLAIM slots, ADOPT page, OVERDUE page */
	int after;	  /* ADOPT */
	bool counts;
	enum db_action action;
	int seqs[16], n_seqs; /* OUTBOX_SENT */
};

void db_init(struct db *db, const struct db_rules *rules);
int db_user_add(struct db *db, int64_t credits, int limit);
/* The transaction; its results are in db until the next one. */
enum db_outcome db_run(struct db *db, const struct db_call *call);

bool gen_ended(enum gen_status status);
bool job_ended(enum job_status status);
bool gen_may_move(enum gen_status from, enum gen_status to);
/* Instances that db_run(ADOPT) takes from. */
bool instance_dead(const struct db *db, int id, int64_t dead_ms);
bool instance_crashed(const struct db *db, int id, int64_t dead_ms);
/* sql: job_performs(), job_is_suspect() */
bool job_performs(const struct db_gen *g);
bool job_is_suspect(const struct db_gen *g);

/* --- Between the files of the model -------------------------------------- */

void db_raise(struct db *db, const char *code);
void db_move(struct db *db, int gen, enum gen_status to);
void db_event(struct db *db, int gen);
void db_entry(struct db *db, int user, enum entry_type type, int64_t amount,
    int gen, int key);
void db_end(struct db *db, int gen, enum gen_status to);
void db_give_back(struct db *db, int gen, int64_t amount, enum entry_type type);
void db_promote(struct db *db, int user);
void db_leave_review(struct db *db, int gen);
void db_row(struct db *db, enum db_outcome outcome, int gen);
/* The job as its owner's fence lets it be found: null is `gone`. */
struct db_gen *db_mine(struct db *db, int gen, int owner);
struct db_gen *db_mine_by_attempt(struct db *db, int attempt, int owner);

typedef enum db_outcome db_call_fn(struct db *, const struct db_call *);
db_call_fn db_submit, db_cancel, db_adjust, db_resolve, db_instance_start,
    db_beat, db_instance_stop, db_claim, db_adopt, db_clean, db_release,
    db_requeue, db_start, db_submitted, db_uncertain, db_late, db_finalizing,
    db_result_url, db_finish, db_fail, db_cancelled, db_review, db_overdue,
    db_promote_all, db_outbox_sent;

/* --- Texts (db_text.c) ---------------------------------------------------- */

const char *db_outcome_name(enum db_outcome outcome);
const char *db_fn_name(enum db_fn fn);
const char *gen_status_name(enum gen_status status);
/* All rows in one line, as sql_model.test.mjs reads them from PostgreSQL. */
void db_text(const struct db *db, char *out, int size);
/* {"t":..,"fn":..,args,"outcome":..,"state":".."} */
void db_json(const struct db *db, const struct db_call *call,
    enum db_outcome outcome, char *out, int size);

#endif
