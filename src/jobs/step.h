/*
 * step.h - what a job does next, as a pure function.
 *
 *	state + event -> state + one effect
 *
 * No I/O, no clock, no randomness: the event brings the time and a random
 * number.  So the whole life of a generation can be read here, tested
 * exhaustively, and driven by a simulator with a seed.
 *
 * A job has at most one effect in flight.  The effect's result comes back as
 * the next event; cancel, hurry and drain may come at any time and are either
 * acted on at once (when the job only waits) or remembered.
 */
#ifndef REELD_JOBS_STEP_H
#define REELD_JOBS_STEP_H

#include <stdbool.h>
#include <stdint.h>

/* Where the job is: what it waits for. */
enum step_phase {
	STEP_NEW,	 /* claimed, nothing asked yet */
	STEP_ENHANCING,	 /* a language model rewrites the prompt */
	STEP_STARTING,	 /* SQL: the attempt row, before the request leaves */
	STEP_SENDING,	 /* the paid request is on the wire */
	STEP_RECORDING,	 /* SQL: the id they gave us */
	STEP_PARKED,	 /* unknown: until a callback, or a person, tells */
	STEP_RESEND,	 /* timer: the same request with the same token again */
	STEP_WAITING,	 /* timer: the next question to the provider */
	STEP_POLLING,	 /* the question is on the wire */
	STEP_REVOKING,	 /* the provider is asked to cancel */
	STEP_FINALIZING, /* SQL: the result exists, where it is */
	STEP_DOWNLOADING,
	STEP_DOWNLOAD_WAIT, /* timer: the next try */
	STEP_PROBING,
	STEP_PROBE_WAIT, /* timer: the media helper was away */
	STEP_STORING,
	STEP_STORE_WAIT, /* timer: the store was away or full */
	STEP_RENDERING,	 /* a copy that browsers can play */
	STEP_POSTING,	 /* the poster picture */
	STEP_ENDING,	 /* SQL: the one statement that ends our part */
	STEP_DB_WAIT,	 /* timer: the database was away; repeat */
	STEP_OVER,	 /* the object can go */
	STEP_PHASES
};

/* What is to be done now. */
enum step_do {
	DO_NOTHING,
	DO_ENHANCE, /* mark the stage, ask, keep what came of it */
	DO_START,   /* SQL attempts_start */
	DO_SEND,    /* the paid request; exactly the recorded attempt */
	DO_RECORD,  /* SQL attempts_submitted */
	DO_PARK,    /* SQL attempt_uncertain, for delay_ms; 0: review now */
	DO_WAIT,    /* arm the timer with delay_ms */
	DO_POLL,
	DO_REVOKE,   /* ask the provider to cancel */
	DO_FINALIZE, /* SQL generation_finalizing */
	DO_DOWNLOAD,
	DO_PROBE,
	DO_STORE,     /* the original */
	DO_RENDER,    /* make and store a playable copy */
	DO_POST,      /* make and store the poster */
	DO_FINISH,    /* SQL generation_finish */
	DO_FAIL,      /* SQL generation_fail: state.why says why */
	DO_CANCELLED, /* SQL generation_cancelled */
	DO_REVIEW,    /* SQL generation_review */
	DO_REQUEUE,   /* SQL job_requeue, again in delay_ms */
	DO_RELEASE,   /* SQL job_release: another instance may go on */
	DO_DROP,      /* free the object; the row is somebody else's or ended */
	STEP_DOS
};

enum step_on {
	ON_CLAIM, /* first event of every job */
	/* SQL answered */
	ON_COMMITTED,
	ON_DB_AWAY,    /* not done, or not known to be done */
	ON_DB_REFUSED, /* the database said no, and would say it again */
	ON_LOST,       /* the row is not ours any more, or has ended */
	ON_EXHAUSTED,  /* REQUEUE: it was tried often enough */
	/* the prompt */
	ON_ENHANCED, /* it is as good as it gets, and committed */
	/* the paid request */
	ON_NOT_SENT,  /* no byte left the house */
	ON_BUSY,      /* 429, 503: not accepted; retry_after_ms */
	ON_REFUSED,   /* a definite no; why */
	ON_UNCERTAIN, /* it may have been accepted */
	ON_ACCEPTED,  /* they gave us an id */
	/* questions */
	ON_ALIVE,	/* queued or running */
	ON_POLL_FAILED, /* no answer, 5xx, 429; retry_after_ms */
	ON_ABSENT,	/* they do not know the id we made up (class B) */
	ON_DONE,	/* there is a result */
	ON_FAILED,	/* they say it failed; why */
	ON_GONE,	/* they say it was cancelled */
	ON_REVOKED,	/* answer to our cancel, whatever it says */
	/* the result */
	ON_DOWNLOADED,
	ON_LINK_DEAD,	  /* 403, 404, 410 */
	ON_DOWNLOAD_AWAY, /* worth another try */
	ON_DOWNLOAD_BAD,  /* never: not a video, too large, forbidden; why */
	ON_PROBED,	  /* playable says whether browsers can play it */
	ON_MEDIA_AWAY,	  /* no helper; worth another try */
	ON_MEDIA_BAD,	  /* the file is no video; why */
	ON_STORED,
	ON_STORE_AWAY, /* full or unreachable */
	ON_SIDE_DONE,  /* copy or poster finished, or failed: both are fine */
	/* from outside */
	ON_TIMER,
	ON_HURRY,  /* the provider's webhook: ask now */
	ON_CANCEL, /* the user wants it stopped */
	ON_DRAIN,  /* this process is leaving */
	STEP_ONS
};

/* How a lost answer to a paid submit is resolved. */
enum step_class {
	STEP_CLASS_A, /* the provider honours our token: send it again */
	STEP_CLASS_B, /* can be asked by an id we chose: ask, then send again */
	STEP_CLASS_C, /* its callback brings our nonce: park and wait */
	STEP_CLASS_D  /* nothing: park, then refund */
};

/* Where the row was when we got it. */
enum step_from {
	FROM_SUBMIT,   /* nothing sent yet */
	FROM_SENDING,  /* an attempt was open: unknown */
	FROM_PARKED,   /* unknown, and recorded as such */
	FROM_POLL,     /* the provider has it, its id is known */
	FROM_DOWNLOAD, /* the result's link is known */
	FROM_STORED    /* the file is in our store (a worker uploaded it) */
};

struct step {
	enum step_phase phase;
	enum step_from from;
	enum step_class class;
	enum step_do redo; /* DB_WAIT: what to repeat */
	bool cancel, draining, hurry;
	bool enhance; /* before anything is sent; set after step_init() */
	bool can_revoke, revoked;
	bool have_id;	 /* committed */
	bool reviewed;	 /* people know that it is late; we go on asking */
	bool refused;	 /* REVIEW is because the database refused a step */
	bool fresh_link; /* this link was asked for after a dead one */
	bool unplayable;
	int poll_ms; /* first interval of this provider */
	int sends, polls, poll_fails, db_fails;
	int download_tries, relinks, probe_tries, store_tries;
	int64_t deadline_ms; /* no answer by then: review */
	int64_t sent_ms;     /* of the first send, for class B's grace */
	int64_t give_up_ms;  /* of a result that can't be fetched or stored */
	bool requeue_counts; /* it uses up a try */
	int64_t requeue_ms;  /* DB_WAIT: the delay to repeat */
	char why[40];	     /* error code for DO_FAIL: static text of step.c
				or the event's */
};

struct step_event {
	enum step_on on;
	int64_t now_ms;	 /* monotonic */
	uint32_t random; /* all 32 bits */
	int64_t retry_after_ms;
	int64_t expires_ms; /* DONE: when the link dies, monotonic; 0 unknown */
	bool unplayable;    /* PROBED */
	bool lost;	    /* STORE_AWAY: the downloaded file is gone */
	const char *why;    /* REFUSED, FAILED, ...: error code */
};

struct step_out {
	struct step state;
	enum step_do effect;
	int64_t delay_ms; /* WAIT, REQUEUE */
};

enum {
	STEP_SENDS_MAX = 5,	   /* class A and B: of one attempt */
	STEP_GRACE_MS = 60 * 1000, /* class B: until absent means absent */
	STEP_POLL_CAP_MS = 30 * 1000,
	STEP_BACKOFF_CAP_MS = 5 * 60 * 1000,
	STEP_PARK_MS = 30 * 60 * 1000, /* class C: for the callback */
	STEP_DOWNLOAD_FIXED = 3,       /* tries 30 s apart, then exponential */
	STEP_DOWNLOAD_MS = 30 * 1000,
	STEP_RESULT_MS = 24 * 3600 * 1000, /* a result whose end is unknown */
	STEP_RELINKS_MAX = 3,
	STEP_PROBES_MAX = 3,
	STEP_LOCAL_MS = 5 * 1000
};

struct step_out step(const struct step *state, const struct step_event *event);
/* A fresh state of a row. */
void step_init(struct step *state, enum step_from from, enum step_class class,
    int poll_ms, bool can_revoke, bool cancel, int64_t deadline_ms);
/* true while SQL or a paid request is in flight: must not be aborted. */
bool step_is_critical(enum step_phase phase);
/* A submit whose answer was lost: its id may come from elsewhere. */
bool step_wants_id(const struct step *state);
bool step_is_timed(enum step_phase phase);
/* Which phase may hear which result; anything else is a bug of the caller. */
bool step_hears(enum step_phase phase, enum step_on on);
/* The provider has a result that is not in our store yet. */
bool step_has_result(const struct step *state);
/* Wall clock: seen at seen_ms, the provider's copy goes at expires_ms.  Less
 * than a fifth of its life is left; or a quarter of an hour, of a longer one.
 * An alarm, which result_is_expiring() in SQL repeats for operators. */
bool step_result_is_near(int64_t now_ms, int64_t seen_ms, int64_t expires_ms);

const char *step_phase_name(enum step_phase phase);
const char *step_do_name(enum step_do what);
const char *step_on_name(enum step_on on);

#endif
