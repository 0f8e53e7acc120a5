/*
 * flow.c - states, their names and the moves between them.  The table of
 * generation moves is the one in the database; nothing else in the program
 * decides what may follow what.
 */
#include <assert.h>
#include <string.h>

#include "reeld/flow.h"
#include "reeld/mem.h"

#define BIT(state) (1u << (state))

static const char *const gen_names[GEN_STATUSES] = {
    [GEN_DRAFT] = "draft",
    [GEN_PENDING] = "pending",
    [GEN_QUEUED] = "queued",
    [GEN_PROCESSING] = "processing",
    [GEN_AWAITING_APPROVAL] = "awaiting_approval",
    [GEN_FINALIZING] = "finalizing",
    [GEN_COMPLETED] = "completed",
    [GEN_FAILED] = "failed",
    [GEN_CANCELLING] = "cancelling",
    [GEN_CANCELLED] = "cancelled",
    [GEN_REVIEW] = "review",
};

static const unsigned gen_moves[GEN_STATUSES] = {
    [GEN_DRAFT] = BIT(GEN_PENDING) | BIT(GEN_QUEUED) | BIT(GEN_CANCELLED),
    [GEN_PENDING] = BIT(GEN_QUEUED) | BIT(GEN_FAILED) | BIT(GEN_CANCELLED),
    [GEN_QUEUED] = BIT(GEN_PROCESSING) | BIT(GEN_FAILED) | BIT(GEN_CANCELLED) |
	BIT(GEN_REVIEW),
    /* Back to queued: the provider was busy and took nothing. */
    [GEN_PROCESSING] = BIT(GEN_QUEUED) | BIT(GEN_AWAITING_APPROVAL) |
	BIT(GEN_FINALIZING) | BIT(GEN_COMPLETED) | BIT(GEN_FAILED) |
	BIT(GEN_CANCELLING) | BIT(GEN_CANCELLED) | BIT(GEN_REVIEW),
    [GEN_AWAITING_APPROVAL] = BIT(GEN_QUEUED) | BIT(GEN_PROCESSING) |
	BIT(GEN_FAILED) | BIT(GEN_CANCELLING) | BIT(GEN_CANCELLED),
    [GEN_FINALIZING] = BIT(GEN_COMPLETED) | BIT(GEN_FAILED) | BIT(GEN_REVIEW),
    /* It may have finished before the provider heard of the cancel. */
    [GEN_CANCELLING] = BIT(GEN_FINALIZING) | BIT(GEN_COMPLETED) |
	BIT(GEN_FAILED) | BIT(GEN_CANCELLED) | BIT(GEN_REVIEW),
    [GEN_REVIEW] = BIT(GEN_PROCESSING) | BIT(GEN_FINALIZING) |
	BIT(GEN_COMPLETED) | BIT(GEN_FAILED) | BIT(GEN_CANCELLED),
};

static const char *const job_names[JOB_STATUSES] = {
    [JOB_SCHEDULED] = "scheduled",
    [JOB_QUEUED] = "queued",
    [JOB_RUNNING] = "running",
    [JOB_WAITING] = "waiting",
    [JOB_RETRY_WAIT] = "retry_wait",
    [JOB_SUCCEEDED] = "succeeded",
    [JOB_FAILED] = "failed",
    [JOB_CANCELLED] = "cancelled",
    [JOB_UNCERTAIN] = "uncertain",
};

#define JOB_ENDS (BIT(JOB_SUCCEEDED) | BIT(JOB_FAILED) | BIT(JOB_CANCELLED))

static const unsigned job_moves[JOB_STATUSES] = {
    [JOB_SCHEDULED] = BIT(JOB_QUEUED) | BIT(JOB_FAILED) | BIT(JOB_CANCELLED),
    [JOB_QUEUED] = BIT(JOB_SCHEDULED) | BIT(JOB_RUNNING) | BIT(JOB_FAILED) |
	BIT(JOB_CANCELLED) | BIT(JOB_UNCERTAIN),
    [JOB_RUNNING] = BIT(JOB_QUEUED) | BIT(JOB_WAITING) | BIT(JOB_RETRY_WAIT) |
	BIT(JOB_UNCERTAIN) | JOB_ENDS,
    [JOB_WAITING] = BIT(JOB_QUEUED) | BIT(JOB_RUNNING) | BIT(JOB_RETRY_WAIT) |
	BIT(JOB_UNCERTAIN) | JOB_ENDS,
    [JOB_RETRY_WAIT] = BIT(JOB_QUEUED) | BIT(JOB_RUNNING) | BIT(JOB_WAITING) |
	BIT(JOB_UNCERTAIN) | JOB_ENDS,
    [JOB_UNCERTAIN] = BIT(JOB_QUEUED) | BIT(JOB_RUNNING) | BIT(JOB_WAITING) |
	BIT(JOB_RETRY_WAIT) | JOB_ENDS,
};

static const char *const attempt_names[ATTEMPT_STATUSES] = {
    [ATTEMPT_CREATED] = "created",
    [ATTEMPT_SUBMITTING] = "submitting",
    [ATTEMPT_SUBMITTED] = "submitted",
    [ATTEMPT_RUNNING] = "running",
    [ATTEMPT_SUCCEEDED] = "succeeded",
    [ATTEMPT_FAILED] = "failed",
    [ATTEMPT_CANCELLED] = "cancelled",
    [ATTEMPT_AMBIGUOUS] = "ambiguous",
};

#define ATTEMPT_ENDS \
	(BIT(ATTEMPT_SUCCEEDED) | BIT(ATTEMPT_FAILED) | BIT(ATTEMPT_CANCELLED))

static const unsigned attempt_moves[ATTEMPT_STATUSES] = {
    [ATTEMPT_CREATED] =
	BIT(ATTEMPT_SUBMITTING) | BIT(ATTEMPT_FAILED) | BIT(ATTEMPT_CANCELLED),
    [ATTEMPT_SUBMITTING] = BIT(ATTEMPT_SUBMITTED) | BIT(ATTEMPT_RUNNING) |
	BIT(ATTEMPT_AMBIGUOUS) | ATTEMPT_ENDS,
    [ATTEMPT_SUBMITTED] =
	BIT(ATTEMPT_RUNNING) | BIT(ATTEMPT_AMBIGUOUS) | ATTEMPT_ENDS,
    /* Back to submitted: a worker died, the list has it again. */
    [ATTEMPT_RUNNING] =
	BIT(ATTEMPT_SUBMITTED) | BIT(ATTEMPT_AMBIGUOUS) | ATTEMPT_ENDS,
    [ATTEMPT_AMBIGUOUS] =
	BIT(ATTEMPT_SUBMITTED) | BIT(ATTEMPT_RUNNING) | ATTEMPT_ENDS,
};

static const char *const step_names[JOB_STEPS] = {
    "submit", "poll", "download", "store"};
static const char *const stage_names[JOB_STEPS] = {
    "submit", "generate", "download", "store"};

static bool
find_word(const char *text, const char *const *names, int n, int *out)
{
	for (int i = 0; i < n; i++) {
		if (strcmp(names[i], text) == 0) {
			*out = i;
			return true;
		}
	}
	return false;
}

const char *
gen_status_name(enum gen_status status)
{
	assert((int)status >= 0 && status < GEN_STATUSES);
	return gen_names[status];
}

bool
gen_status_parse(const char *text, enum gen_status *out)
{
	int i;

	if (!find_word(text, gen_names, GEN_STATUSES, &i))
		return false;
	*out = (enum gen_status)i;
	return true;
}

const char *
job_status_name(enum job_status status)
{
	assert((int)status >= 0 && status < JOB_STATUSES);
	return job_names[status];
}

bool
job_status_parse(const char *text, enum job_status *out)
{
	int i;

	if (!find_word(text, job_names, JOB_STATUSES, &i))
		return false;
	*out = (enum job_status)i;
	return true;
}

const char *
attempt_status_name(enum attempt_status status)
{
	assert((int)status >= 0 && status < ATTEMPT_STATUSES);
	return attempt_names[status];
}

bool
attempt_status_parse(const char *text, enum attempt_status *out)
{
	int i;

	if (!find_word(text, attempt_names, ATTEMPT_STATUSES, &i))
		return false;
	*out = (enum attempt_status)i;
	return true;
}

const char *
job_step_name(enum job_step step)
{
	assert((int)step >= 0 && step < JOB_STEPS);
	return step_names[step];
}

bool
job_step_parse(const char *text, enum job_step *out)
{
	int i;

	if (!find_word(text, step_names, JOB_STEPS, &i))
		return false;
	*out = (enum job_step)i;
	return true;
}

const char *
job_step_stage(enum job_step step)
{
	assert((int)step >= 0 && step < JOB_STEPS);
	return stage_names[step];
}

bool
gen_may_move(enum gen_status from, enum gen_status to)
{
	assert(from < GEN_STATUSES && to < GEN_STATUSES);
	return (gen_moves[from] & BIT(to)) != 0;
}

bool
job_may_move(enum job_status from, enum job_status to)
{
	assert(from < JOB_STATUSES && to < JOB_STATUSES);
	return (job_moves[from] & BIT(to)) != 0;
}

bool
attempt_may_move(enum attempt_status from, enum attempt_status to)
{
	assert(from < ATTEMPT_STATUSES && to < ATTEMPT_STATUSES);
	return (attempt_moves[from] & BIT(to)) != 0;
}

bool
gen_is_terminal(enum gen_status status)
{
	assert(status < GEN_STATUSES);
	return gen_moves[status] == 0;
}

bool
job_is_terminal(enum job_status status)
{
	assert(status < JOB_STATUSES);
	return job_moves[status] == 0;
}

bool
attempt_is_terminal(enum attempt_status status)
{
	assert(status < ATTEMPT_STATUSES);
	return attempt_moves[status] == 0;
}

bool
gen_is_active(enum gen_status status)
{
	return (BIT(status) &
		   (BIT(GEN_QUEUED) | BIT(GEN_PROCESSING) |
		       BIT(GEN_AWAITING_APPROVAL) | BIT(GEN_FINALIZING) |
		       BIT(GEN_CANCELLING))) != 0;
}

bool
gen_may_cancel(enum gen_status status)
{
	return (BIT(status) &
		   (BIT(GEN_DRAFT) | BIT(GEN_PENDING) | BIT(GEN_QUEUED) |
		       BIT(GEN_PROCESSING) | BIT(GEN_AWAITING_APPROVAL))) != 0;
}

bool
gen_may_retry(enum gen_status status)
{
	return status == GEN_FAILED || status == GEN_CANCELLED;
}

static const char *const aliases[GEN_STATUSES][FLOW_WORDS] = {
    /*			   000, 001, 003, 004, OpenAI */
    [GEN_DRAFT] = {"PENDING", "pending", "draft", NULL, NULL},
    [GEN_PENDING] = {"PENDING", "pending", "queued", "processing", "queued"},
    [GEN_QUEUED] = {"QUEUED", "pending", "queued", "processing", "queued"},
    [GEN_PROCESSING] = {"PROCESSING", "processing", "processing", "processing",
	"in_progress"},
    [GEN_AWAITING_APPROVAL] = {"PROCESSING", "processing", "preview_ready",
	"processing", "in_progress"},
    [GEN_FINALIZING] = {"PROCESSING", "processing", "processing", "downloading",
	"in_progress"},
    [GEN_COMPLETED] = {"COMPLETED", "completed", "completed", "completed",
	"completed"},
    [GEN_FAILED] = {"FAILED", "failed", "failed", "failed", "failed"},
    [GEN_CANCELLING] = {"PROCESSING", "processing", "processing", "processing",
	"in_progress"},
    [GEN_CANCELLED] = {"CANCELLED", "failed", "failed", "failed", "failed"},
    [GEN_REVIEW] = {"PROCESSING", "processing", "processing", "processing",
	"in_progress"},
};

const char *
gen_status_alias(enum gen_status status, enum flow_words words)
{
	assert(status < GEN_STATUSES && words < FLOW_WORDS);
	return aliases[status][words];
}

unsigned
gen_status_by_alias(const char *text, enum flow_words words)
{
	unsigned found = 0;

	assert(words < FLOW_WORDS);
	for (int i = 0; i < GEN_STATUSES; i++) {
		if (aliases[i][words] != NULL &&
		    strcmp(aliases[i][words], text) == 0)
			found |= BIT(i);
	}
	return found;
}
