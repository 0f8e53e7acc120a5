/*
 * db.c - the model's rows and the rules that the schema keeps: which status
 * may follow which, the ledger, how a generation ends, promotion.
 */
#include "sim/db.h"

#include <stddef.h>
#include <string.h>

#include "reeld/mem.h"

void
db_init(struct db *db, const struct db_rules *rules)
{
	memset(db, 0, sizeof *db);
	db->rules = *rules;
	db->now = 1000;
}

/* sql: generation_may_move(), its rows as bits. */
bool
gen_may_move(enum gen_status from, enum gen_status to)
{
#define TO(x) (1u << G_##x)
	static const unsigned moves[] = {
	    [G_PENDING] = TO(QUEUED) | TO(FAILED) | TO(CANCELLED),
	    [G_QUEUED] =
		TO(PROCESSING) | TO(FAILED) | TO(CANCELLED) | TO(REVIEW),
	    [G_PROCESSING] = TO(QUEUED) | TO(FINALIZING) | TO(COMPLETED) |
		TO(FAILED) | TO(CANCELLING) | TO(CANCELLED) | TO(REVIEW),
	    [G_FINALIZING] = TO(COMPLETED) | TO(FAILED) | TO(REVIEW),
	    [G_CANCELLING] = TO(FINALIZING) | TO(COMPLETED) | TO(FAILED) |
		TO(CANCELLED) | TO(REVIEW),
	    [G_REVIEW] = TO(PROCESSING) | TO(FINALIZING) | TO(COMPLETED) |
		TO(FAILED) | TO(CANCELLED),
	    [G_COMPLETED] = 0,
	    [G_FAILED] = 0,
	    [G_CANCELLED] = 0,
	};
#undef TO

	return moves[from] >> to & 1;
}

bool
gen_ended(enum gen_status status)
{
	return status >= G_COMPLETED;
}

bool
job_ended(enum job_status status)
{
	return status >= J_SUCCEEDED;
}

static bool
counts_active(enum gen_status s)
{
	return s == G_QUEUED || s == G_PROCESSING || s == G_FINALIZING ||
	    s == G_CANCELLING;
}

void
db_raise(struct db *db, const char *code)
{
	if (db->raised == NULL)
		db->raised = code;
}

void
db_move(struct db *db, int gen, enum gen_status to)
{
	struct db_gen *g = &db->gens[gen];
	struct db_user *u = &db->users[g->user];

	g->version++;
	if (g->status == to)
		return;
	if (!gen_may_move(g->status, to) && !db->faults.cancel_anything)
		db_raise(db, "P0002");
	u->active += counts_active(to) - counts_active(g->status);
	u->waiting += (to == G_PENDING) - (g->status == G_PENDING);
	if (u->active < 0 || u->waiting < 0)
		db_raise(db, "23514");
	g->status = to;
}

/* The event of what was just done to it. */
void
db_event(struct db *db, int gen)
{
	const struct db_gen *g = &db->gens[gen];
	struct db_event *e;

	if (db->n_events == MAX_EVENTS) {
		db_raise(db, "model: events");
		return;
	}
	e = &db->events[++db->n_events];
	*e = (struct db_event){.gen = gen,
	    .version = g->version,
	    .status = g->status,
	    .at = db->now,
	    .terminal = gen_ended(g->status)};
	if (db->n_seqs < (int)nitems(db->seqs))
		db->seqs[db->n_seqs++] = db->n_events;
}

void
db_entry(struct db *db, int user, enum entry_type type, int64_t amount, int gen,
    int key)
{
	struct db_entry *e;

	for (int i = 1; i <= db->n_entries; i++)
		if (gen != 0 && db->entries[i].gen == gen &&
		    db->entries[i].type == type && !db->faults.refund_twice)
			db_raise(db, "23505");
	if (db->n_entries == MAX_ENTRIES) {
		db_raise(db, "model: entries");
		return;
	}
	e = &db->entries[++db->n_entries];
	*e = (struct db_entry){user, gen, key, type, amount};
	db->users[user].balance += amount;
	if (db->users[user].balance < 0)
		db_raise(db, "23514");
}

void
db_give_back(struct db *db, int gen, int64_t amount, enum entry_type type)
{
	if (amount > 0)
		db_entry(db, db->gens[gen].user, type, amount, gen, 0);
}

/* sql: user_promote() */
void
db_promote(struct db *db, int user)
{
	struct db_user *u = &db->users[user];
	int room = u->limit - u->active;

	if (db->faults.no_promotion)
		return;
	for (int i = 1; i <= db->n_gens && room > 0 && u->waiting > 0; i++) {
		struct db_gen *g = &db->gens[i];

		if (g->user != user || g->status != G_PENDING)
			continue;
		g->job = J_QUEUED;
		g->eligible_at = db->now;
		g->deadline_at = db->now + db->rules.queue_ms;
		db_move(db, i, G_QUEUED);
		db_event(db, i);
		room--;
	}
}

/* sql: generation_end() with no fee */
void
db_end(struct db *db, int gen, enum gen_status to)
{
	struct db_gen *g = &db->gens[gen];

	if (gen_ended(g->status) && !db->faults.refund_twice &&
	    !db->faults.cancel_anything) {
		db_raise(db, "P0002");
		return;
	}
	db_move(db, gen, to);
	g->deadline_at = 0;
	if (!job_ended(g->job)) {
		g->job = to == G_FAILED ? J_FAILED : J_CANCELLED;
		g->owner = 0;
		g->finished_at = db->now;
	}
	g->charge = C_REFUNDED;
	g->refunded = g->credits;
	if (!(db->faults.keep_money && to == G_CANCELLED))
		db_give_back(db, gen, g->credits, E_REFUND);
	/* The event is written after the promotion's. */
	db_promote(db, g->user);
	db_event(db, gen);
}

void
db_leave_review(struct db *db, int gen)
{
	db->gens[gen].review_at = 0;
	if (db->gens[gen].charge == C_REVIEW)
		db->gens[gen].charge = C_CHARGED;
}

void
db_row(struct db *db, enum db_outcome outcome, int gen)
{
	if (db->n_rows < (int)nitems(db->rows))
		db->rows[db->n_rows++] = (struct db_row){outcome, gen};
}

struct db_gen *
db_mine(struct db *db, int gen, int owner)
{
	struct db_gen *g = &db->gens[gen];

	if (gen < 1 || gen > db->n_gens)
		return NULL;
	if (job_ended(g->job) && !db->faults.refund_twice)
		return NULL;
	return g->owner == owner || db->faults.no_fence ? g : NULL;
}

struct db_gen *
db_mine_by_attempt(struct db *db, int attempt, int owner)
{
	struct db_gen *g;

	if (attempt < 1 || attempt > db->n_attempts)
		return NULL;
	g = db_mine(db, db->attempts[attempt].gen, owner);
	return g != NULL && g->attempt == attempt ? g : NULL;
}

static db_call_fn *const functions[DB_FNS] = {
    [FN_SUBMIT] = db_submit,
    [FN_CANCEL] = db_cancel,
    [FN_ADJUST] = db_adjust,
    [FN_RESOLVE] = db_resolve,
    [FN_INSTANCE_START] = db_instance_start,
    [FN_BEAT] = db_beat,
    [FN_INSTANCE_STOP] = db_instance_stop,
    [FN_CLAIM] = db_claim,
    [FN_ADOPT] = db_adopt,
    [FN_CLEAN] = db_clean,
    [FN_RELEASE] = db_release,
    [FN_REQUEUE] = db_requeue,
    [FN_START] = db_start,
    [FN_SUBMITTED] = db_submitted,
    [FN_UNCERTAIN] = db_uncertain,
    [FN_LATE] = db_late,
    [FN_FINALIZING] = db_finalizing,
    [FN_RESULT_URL] = db_result_url,
    [FN_FINISH] = db_finish,
    [FN_FAIL] = db_fail,
    [FN_CANCELLED] = db_cancelled,
    [FN_REVIEW] = db_review,
    [FN_OVERDUE] = db_overdue,
    [FN_PROMOTE] = db_promote_all,
    [FN_OUTBOX_SENT] = db_outbox_sent,
};

enum db_outcome
db_run(struct db *db, const struct db_call *call)
{
	static struct db before; /* one thread */
	bool safe = call->fn == FN_BEAT || call->fn == FN_OUTBOX_SENT ||
	    call->fn == FN_CLEAN;
	enum { ROWS_AT = offsetof(struct db, users) };
	enum { ROWS_END = offsetof(struct db, instances) };
	enum db_outcome outcome;

	if (!safe)
		memcpy((char *)&before + ROWS_AT, (char *)db + ROWS_AT,
		    ROWS_END - ROWS_AT);
	db->raised = NULL;
	db->number = db->n_seqs = db->n_rows = 0;
	db->changes += !safe || call->fn == FN_CLEAN;
	outcome = functions[call->fn](db, call);
	for (int i = 1; i <= db->n_gens; i++) /* sql: job_cleared() */
		if (db->gens[i].crashes == 0)
			db->gens[i].lone = 0;
	if (db->raised == NULL)
		return outcome;
	memcpy((char *)db + ROWS_AT, (char *)&before + ROWS_AT,
	    ROWS_END - ROWS_AT);
	db->n_rows = db->n_seqs = 0;
	return DB_RAISED;
}
