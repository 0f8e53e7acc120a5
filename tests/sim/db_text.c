/*
 * db_text.c - the model in words: names as in sql/, all rows in one line, a
 * call as one line of JSON.
 */
#include "sim/db.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static const char *const outcomes[DB_OUTCOMES] = {
    [DB_GONE] = "gone",
    [DB_RAISED] = "raised",
    [DB_ROWS] = "rows",
    [DB_NUMBER] = "number",
    [DB_CREATED] = "created",
    [DB_REPLAYED] = "replayed",
    [DB_MISMATCH] = "mismatch",
    [DB_INSUFFICIENT] = "insufficient",
    [DB_LIMIT] = "limit",
    [DB_CANCELLED] = "cancelled",
    [DB_CANCELLING] = "cancelling",
    [DB_ALREADY] = "already",
    [DB_TOO_LATE] = "too_late",
    [DB_NOT_FOUND] = "not_found",
    [DB_REQUEUED] = "requeued",
    [DB_EXHAUSTED] = "exhausted",
    [DB_STARTED] = "started",
    [DB_SUBMITTED] = "submitted",
    [DB_UNCERTAIN] = "uncertain",
    [DB_REVIEW] = "review",
    [DB_FINALIZING] = "finalizing",
    [DB_OK] = "ok",
    [DB_COMPLETED] = "completed",
    [DB_FAILED] = "failed",
    [DB_NOT_ASKED] = "not_asked",
    [DB_STORED] = "stored",
    [DB_NOT_LATE] = "not_late",
    [DB_REFUNDED] = "refunded",
    [DB_CHARGED] = "charged",
    [DB_DELIVERING] = "delivering",
    [DB_NO_RESULT] = "no_result",
    [DB_NOT_REVIEW] = "not_review",
    [DB_ADJUSTED] = "adjusted",
    [DB_ADOPTED] = "adopted",
    [DB_POISONED] = "poisoned",
    [DB_SET_APART] = "set_apart",
};

static const char *const functions[DB_FNS] = {
    [FN_SUBMIT] = "generation_submit",
    [FN_CANCEL] = "generation_cancel",
    [FN_ADJUST] = "credit_adjust",
    [FN_RESOLVE] = "review_resolve",
    [FN_INSTANCE_START] = "instance_start",
    [FN_BEAT] = "instance_beat",
    [FN_INSTANCE_STOP] = "instance_stop",
    [FN_CLAIM] = "job_claim",
    [FN_ADOPT] = "job_adopt",
    [FN_CLEAN] = "job_clean",
    [FN_RELEASE] = "job_release",
    [FN_REQUEUE] = "job_requeue",
    [FN_START] = "attempt_start",
    [FN_SUBMITTED] = "attempt_submitted",
    [FN_UNCERTAIN] = "attempt_uncertain",
    [FN_LATE] = "attempt_late",
    [FN_FINALIZING] = "generation_finalizing",
    [FN_RESULT_URL] = "generation_result_url",
    [FN_FINISH] = "generation_finish",
    [FN_FAIL] = "generation_fail",
    [FN_CANCELLED] = "generation_cancelled",
    [FN_REVIEW] = "generation_review",
    [FN_OVERDUE] = "generations_overdue",
    [FN_PROMOTE] = "generations_promote",
    [FN_OUTBOX_SENT] = "outbox_sent",
};

static const char *const statuses[] = {"pending", "queued", "processing",
    "finalizing", "cancelling", "review", "completed", "failed", "cancelled"};
static const char *const jobs[] = {"scheduled", "queued", "running", "waiting",
    "uncertain", "succeeded", "failed", "cancelled"};
static const char *const steps[] = {"submit", "poll", "download"};
static const char *const attempts[] = {
    "submitting", "submitted", "succeeded", "failed", "cancelled", "ambiguous"};
static const char *const charges[] = {
    "charged", "settled", "refunded", "partially_refunded", "in_review"};

const char *
db_outcome_name(enum db_outcome outcome)
{
	return outcomes[outcome];
}

const char *
db_fn_name(enum db_fn fn)
{
	return functions[fn];
}

const char *
gen_status_name(enum gen_status status)
{
	return statuses[status];
}

struct text {
	char *at;
	int left;
};

static void __attribute__((format(printf, 2, 3)))
add(struct text *out, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(out->at, (size_t)out->left, format, args);
	va_end(args);
	if (n >= out->left)
		n = out->left - 1;
	out->at += n;
	out->left -= n;
}

static void
add_time(struct text *out, const struct db *db, int64_t at)
{
	if (at == 0)
		add(out, " -");
	else
		add(out, " %" PRId64, at - db->now);
}

void
db_text(const struct db *db, char *out, int size)
{
	struct text text = {out, size};
	int published = 0;

	for (int i = 1; i <= db->n_users; i++)
		add(&text, "u%d %" PRId64 " %d %d;", i, db->users[i].balance,
		    db->users[i].active, db->users[i].waiting);
	for (int i = 1; i <= db->n_gens; i++) {
		const struct db_gen *g = &db->gens[i];

		add(&text, "g%d %s v%d %s %" PRId64 " %" PRId64, i,
		    statuses[g->status], g->version, charges[g->charge],
		    g->refunded, g->settled);
		add_time(&text, db, g->deadline_at);
		add(&text, " %s %s o%d a%d c%d l%d t%d", jobs[g->job],
		    steps[g->step], g->owner, g->attempt, g->crashes, g->lone,
		    g->tries);
		add_time(&text, db, g->eligible_at);
		add(&text, ";");
	}
	for (int i = 1; i <= db->n_attempts; i++) {
		const struct db_attempt *a = &db->attempts[i];

		if (a->gen != 0)
			add(&text, "a%d g%d n%d %s p%d%s%s;", i, a->gen,
			    a->number, attempts[a->status], a->provider_id,
			    a->has_url ? " url" : "", a->late ? " late" : "");
	}
	for (int i = 1; i <= db->n_events; i++)
		published += db->events[i].published;
	add(&text, "l%d e%d %d", db->n_entries, db->n_events, published);
}

void
db_json(const struct db *db, const struct db_call *call,
    enum db_outcome outcome, char *out, int size)
{
	static const char *const actions[] = {"refund", "charge", "deliver"};
	struct text text = {out, size};

	add(&text,
	    "{\"t\":%" PRId64 ",\"fn\":\"%s\",\"user\":%d,\"gen\":%d,"
	    "\"owner\":%d,\"attempt\":%d,\"key\":%d,\"hash\":%d,"
	    "\"provider_id\":%d,\"amount\":%" PRId64 ",\"delay_ms\":%" PRId64
	    ",\"limit\":%d,\"after\":%d,\"counts\":%s,\"action\":\"%s\","
	    "\"seqs\":[",
	    db->now, functions[call->fn], call->user, call->gen, call->owner,
	    call->attempt, call->key, call->hash, call->provider_id,
	    call->amount, call->delay_ms, call->limit, call->after,
	    call->counts ? "true" : "false", actions[call->action]);
	for (int i = 0; i < call->n_seqs; i++)
		add(&text, "%s%d", i > 0 ? "," : "", call->seqs[i]);
	add(&text, "],\"outcome\":\"%s\",\"number\":%d,\"rows\":\"",
	    outcomes[outcome], db->number);
	for (int i = 0; i < db->n_rows; i++)
		add(&text, "%s%s %d", i > 0 ? ", " : "",
		    outcomes[db->rows[i].outcome], db->rows[i].gen);
	add(&text, "\",\"state\":\"");
	db_text(db, text.at, text.left);
	while (*text.at != '\0') {
		text.at++;
		text.left--;
	}
	add(&text, "\"}");
}
