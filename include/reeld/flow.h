/*
 * flow.h - the states of a generation, of its job and of its attempts, the
 * moves between them, and the words other APIs use for them.
 *
 * The names and the moves of generations are the same as in the database
 * (generation_may_move); a test compares the words with the enum types.
 */
#ifndef REELD_FLOW_H
#define REELD_FLOW_H

#include <stdbool.h>

#include "reeld/err.h"

enum gen_status {
	GEN_DRAFT,	       /* saved, not submitted */
	GEN_PENDING,	       /* charged; waits for a limit or a schedule */
	GEN_QUEUED,	       /* may be claimed */
	GEN_PROCESSING,	       /* a provider or a worker has it */
	GEN_AWAITING_APPROVAL, /* a preview waits for its user */
	GEN_FINALIZING,	       /* downloading, storing, probing */
	GEN_COMPLETED,
	GEN_FAILED,
	GEN_CANCELLING, /* asked; the provider has not confirmed */
	GEN_CANCELLED,
	GEN_REVIEW, /* outcome or money uncertain: a person decides */
	GEN_STATUSES
};

enum job_status {
	JOB_SCHEDULED,
	JOB_QUEUED,
	JOB_RUNNING, /* an instance works on it this moment */
	JOB_WAITING, /* upstream has it; the next poll is due later */
	JOB_RETRY_WAIT,
	JOB_SUCCEEDED,
	JOB_FAILED,
	JOB_CANCELLED,
	JOB_UNCERTAIN, /* it may have been submitted */
	JOB_STATUSES
};

enum attempt_status {
	ATTEMPT_CREATED,
	ATTEMPT_SUBMITTING, /* written before the request leaves */
	ATTEMPT_SUBMITTED,
	ATTEMPT_RUNNING,
	ATTEMPT_SUCCEEDED,
	ATTEMPT_FAILED,
	ATTEMPT_CANCELLED,
	ATTEMPT_AMBIGUOUS, /* no answer: it may exist upstream */
	ATTEMPT_STATUSES
};

/* What a job does next; also the API's `stage`. */
enum job_step { STEP_SUBMIT, STEP_POLL, STEP_DOWNLOAD, STEP_STORE, JOB_STEPS };

const char *gen_status_name(enum gen_status status);
bool gen_status_parse(const char *text, enum gen_status *out) REELD_MUST;
const char *job_status_name(enum job_status status);
bool job_status_parse(const char *text, enum job_status *out) REELD_MUST;
const char *attempt_status_name(enum attempt_status status);
bool
attempt_status_parse(const char *text, enum attempt_status *out) REELD_MUST;
const char *job_step_name(enum job_step step); /* "submit" */
bool job_step_parse(const char *text, enum job_step *out) REELD_MUST;
/* The API's stage word of a step: submit, generate, download, store. */
const char *job_step_stage(enum job_step step);

/* May `from` become `to`?  false for from == to. */
bool gen_may_move(enum gen_status from, enum gen_status to);
bool job_may_move(enum job_status from, enum job_status to);
bool attempt_may_move(enum attempt_status from, enum attempt_status to);

bool gen_is_terminal(enum gen_status status);
bool job_is_terminal(enum job_status status);
bool attempt_is_terminal(enum attempt_status status);
/* Counts towards the user's limit of simultaneous generations. */
bool gen_is_active(enum gen_status status);
/* A user may ask to cancel it. */
bool gen_may_cancel(enum gen_status status);
/* A user may ask for a new one like it. */
bool gen_may_retry(enum gen_status status);

/* Other vocabularies for the same states (compatibility routes). */
enum flow_words {
	FLOW_000,    /* PENDING QUEUED PROCESSING COMPLETED FAILED CANCELLED */
	FLOW_001,    /* pending processing completed failed */
	FLOW_003,    /* draft queued processing preview_ready completed ... */
	FLOW_004,    /* processing downloading completed failed */
	FLOW_OPENAI, /* queued in_progress completed failed */
	FLOW_WORDS
};
/* NULL where that vocabulary has no such thing (004 and OpenAI: drafts). */
const char *gen_status_alias(enum gen_status status, enum flow_words words);
/* Which statuses a word of that vocabulary means, as bits 1 << status; 0 for
 * an unknown word.  For list filters. */
unsigned gen_status_by_alias(const char *text, enum flow_words words);

#endif
