/*
 * sim.h - a small world with a seed and a virtual clock: instances of the
 * engine (engine.c, driven by the real step()), the database (db.h), a
 * provider of every recovery class (provider.c), people (people.c).
 *
 * Everything happens as events in one queue (world.c), ordered by time and
 * then by chance.  A statement or a request is two events, its arrival and
 * its answer, and either may be lost or late; between any two events an
 * instance may die, or stand still and go on later believing that nothing
 * happened.  After every event checks.c looks at the whole world.
 *
 * Until quiet_ms faults happen as the seed says; after it none, and what was
 * accepted must come to an end.
 */
#ifndef SIM_H
#define SIM_H

#include <stdio.h>

#include "jobs/step.h"
#include "sim/db.h"

enum {
	MAX_PLACES = 3, /* instances at a time */
	MAX_TASKS = 40, /* what a provider was asked to make */
	MAX_PENDING = 512
};

/* Planted faults, each of which the checks must find. */
enum sim_fault {
	FAULT_NONE,
	/* of the database's functions: struct db_faults */
	FAULT_NO_FENCE,
	FAULT_REFUND_TWICE,
	FAULT_KEEP_MONEY,
	FAULT_CANCEL_ANYTHING,
	FAULT_NO_PROMOTION,
	FAULT_NO_DEADLINE,
	FAULT_KEY_IGNORED,
	FAULT_TOPUP_TWICE,
	FAULT_OUTBOX_FORGETS,
	FAULT_LOST_UPDATE,
	FAULT_LATE_REQUEUE,
	FAULT_LATE_START,
	FAULT_BLAME_ALL,
	FAULT_BLAME_PAGE,
	FAULT_BLAME_PARKED,
	FAULT_BLAME_COMPANY,
	FAULT_TAKE_ALL,
	FAULT_NO_DOUBT,
	/* of step() */
	FAULT_SEND_AGAIN,	  /* a lost answer, class C or D: once more */
	FAULT_REQUEUE_UNKNOWN,	  /* the same, by way of the queue */
	FAULT_SEND_BEFORE_COMMIT, /* the attempt is not waited for */
	FAULT_TRUST_REFUSAL,	  /* of a repeat: queued again */
	FAULT_NO_GRACE,		  /* class B: absent once is absent */
	SIM_FAULTS
};

enum sim_kind {
	EV_TICK,	/* instance: sweeps */
	EV_BEAT,	/* instance: heartbeat */
	EV_APPLY,	/* a statement arrives */
	EV_ANSWER,	/* of a statement or request, at a job */
	EV_REPLY,	/* of an instance's own statement */
	EV_REQUEST,	/* arrives at the provider */
	EV_TIMER,	/* of a job */
	EV_HINT_CANCEL, /* at an instance, of a generation */
	EV_HINT_ID,	/* at an instance: a callback brought it */
	EV_HINT_HURRY,
	EV_HOOK, /* the provider calls back */
	EV_DIE,
	EV_STALL,
	EV_DRAIN,
	EV_START, /* an instance at a place */
	EV_ORDER, /* a person's submit, and its repeats */
	EV_CANCEL,
	EV_TOPUP,
	EV_RESOLVE,
};

/* The engine's view of a row at the moment it was read. */
struct sim_row {
	int gen, attempt, provider_id;
	enum step_from from;
	bool cancel, reviewed, poisoned, apart, blamed, lost;
	int64_t deadline_at;
};

/* What an instance asks besides the functions. */
enum sim_query { QUERY_NONE, QUERY_STRAYS, QUERY_CHANGED, QUERY_OUTBOX };

enum sim_ask { ASK_SUBMIT, ASK_POLL, ASK_FIND, ASK_CANCEL };

struct sim_event {
	enum sim_kind kind;
	int64_t at;
	uint32_t tie;	 /* by chance, then by number */
	uint32_t number; /* in order of creation */
	int place, life; /* of an instance; life 0: whichever */
	int gen;
	uint32_t serial; /* of the job's effect */
	int attempt, provider_id, task, key;
	enum sim_ask ask;
	struct step_event on;
	struct db_call call; /* APPLY, REPLY */
	int64_t answer_ms;   /* APPLY, REQUEST: -1, the answer is lost */
	bool sql;	     /* ANSWER: of a statement */
	enum sim_query query;
	unsigned known; /* CHANGED, STRAYS: a bit per job that it carries */
	struct sim_row rows[2 * MAX_GENS];
	int n_rows;
	enum db_outcome outcome;
};

/* A job in an instance's memory. */
struct sim_job {
	bool used;
	struct step state;
	uint32_t serial;
	int attempt, provider_id;
	bool blamed; /* crash_count is not 0 yet */
};

struct sim_instance {
	bool up, draining;
	int id, life;
	int64_t stalled_until;
	struct sim_job jobs[MAX_GENS + 1];
	bool leaving, claiming, adopting, checking, comparing, check_soon;
	int adopt_after, tick;
};

/* What a provider holds. */
struct sim_task {
	int gen, attempt;
	int64_t seen_at, done_at, link_until;
	bool fails, endless, cancelled, told;
};

struct sim_world {
	uint64_t rng;
	uint64_t seed;
	FILE *trace;
	FILE *calls; /* every statement as JSON, or NULL */
	enum sim_fault fault;
	struct db db;
	struct sim_instance places[MAX_PLACES];
	int n_places;
	struct sim_task tasks[MAX_TASKS + 1];
	int n_tasks;
	int64_t quiet_ms, end_ms;
	/* faults of this seed, in 1/1000 */
	struct sim_odds {
		int sql_lost, sql_unsaid, sql_late, sql_refused;
		int send_lost, send_unsaid, busy, refused, not_sent;
		int poll_fails, forgets, hook_lost, hint_lost;
		int dies, link_dead, download_away, download_bad, media_away,
		    media_bad, store_away, cancel_ignored;
	} odds;
	enum step_class class_of[MAX_GENS + 1];
	int64_t dead_ms, tick_ms, poll_ms;
	int next_attempt, lives, plans; /* plans: of people, not yet done */
	/* the queue */
	struct sim_event pool[MAX_PENDING];
	int heap[MAX_PENDING], spare[MAX_PENDING];
	int n_heap, n_spare;
	uint32_t numbers, serials;
	/* what people know */
	int key_gen[MAX_KEYS + 1]; /* the generation they were told */
	/* checks.c */
	struct {
		unsigned seen_changes;
		int seen_tasks, seen_steps;
		enum gen_status status[MAX_GENS + 1];
		int version[MAX_GENS + 1], told_version[MAX_GENS + 1];
		int64_t credits[MAX_GENS + 1];
		int64_t entry[MAX_ENTRIES + 1];
		int n_entries;
		bool has_video[MAX_GENS + 1]; /* downloaded and stored */
		bool charged[MAX_GENS + 1];   /* by a person, in review */
		/* before the last change, and of each crash: which jobs it
		 * may be blamed on, and which else were performing */
		struct db_gen was[MAX_GENS + 1];
		struct {
			bool crashed;
			unsigned suspects, others; /* a bit per job */
		} crash[MAX_INSTANCES + 1];
	} known;
	char finding[400];
	int steps;
};

/* --- world.c -------------------------------------------------------------- */

uint32_t sim_random(struct sim_world *w, uint32_t below);
/* from low to high, both included */
int64_t sim_between(struct sim_world *w, int64_t low, int64_t high);
/* true with the odds of so many in 1000; never after quiet_ms */
bool sim_fault(struct sim_world *w, int odds);
bool sim_quiet(const struct sim_world *w);
/* A new event, to be filled in; it happens in delay_ms. */
struct sim_event *
sim_post(struct sim_world *w, enum sim_kind kind, int64_t delay_ms);
void sim_say(const struct sim_world *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The first finding of a seed is kept. */
void sim_found(struct sim_world *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* One transaction of the model, written down. */
enum db_outcome sim_sql(struct sim_world *w, const struct db_call *call);
/* One seed; the finding is in w->finding, empty when there is none. */
void sim_run(struct sim_world *w, uint64_t seed, enum sim_fault fault,
    FILE *trace, FILE *calls);
const char *sim_fault_name(enum sim_fault fault);

/* --- the others ----------------------------------------------------------- */

void engine_event(struct sim_world *w, struct sim_event *e);
void engine_boot(struct sim_world *w, int place);
/* The place of a database id, -1 when it is not up. */
int engine_place(const struct sim_world *w, int owner);
/* A job's event, at once: engine_job.c. */
void job_on(struct sim_world *w, int place, int gen, struct step_event event);
void job_on_answer(struct sim_world *w, struct sim_event *e);
void job_take(struct sim_world *w, int place, const struct sim_row *row);
void engine_row(const struct sim_world *w, int gen, struct sim_row *row);
/* Sends a statement; the fates of sim_odds are its. */
void engine_sql(struct sim_world *w, int place, int gen, uint32_t serial,
    const struct db_call *call);
/* step(), and what FAULT_ changes of it. */
struct step_out sim_step(const struct sim_world *w, const struct step *state,
    const struct step_event *event);
void provider_event(struct sim_world *w, struct sim_event *e);
/* The download's fate. */
enum step_on provider_link(struct sim_world *w, int gen);
void people_begin(struct sim_world *w);
void people_event(struct sim_world *w, struct sim_event *e);
void check_world(struct sim_world *w);
void check_end(struct sim_world *w);
bool check_over(const struct sim_world *w);
void check_published(struct sim_world *w, int seq);

/* Calls without a world: any function with any arguments (calls.c). */
void sim_calls(uint64_t seed, int n, FILE *out);

#endif
