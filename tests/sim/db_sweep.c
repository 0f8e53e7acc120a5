/*
 * db_sweep.c - the sweeps: overdue, promotion, outbox.
 */
#include "sim/db.h"

static bool
late_review(const struct db *db, const struct db_gen *g)
{
	return g->status == G_REVIEW && db->rules.review_ms > 0 &&
	    g->review_at < db->now - db->rules.review_ms;
}

static bool
late_wait(const struct db *db, const struct db_gen *g)
{
	return g->job == J_UNCERTAIN && g->eligible_at < db->now &&
	    (g->status == G_PROCESSING || g->status == G_CANCELLING);
}

static bool
late_deadline(const struct db *db, const struct db_gen *g)
{
	return !gen_ended(g->status) && g->status != G_REVIEW &&
	    g->deadline_at != 0 && g->deadline_at < db->now;
}

static void
end_overdue(struct db *db, int gen)
{
	struct db_gen *g = &db->gens[gen];
	struct db_attempt *a = &db->attempts[g->attempt];

	switch (g->status) {
	case G_REVIEW:
		db_end(db, gen, G_FAILED);
		db_row(db, DB_FAILED, gen);
		return;
	case G_CANCELLING:
		if (g->attempt != 0 && a->status != A_SUCCEEDED &&
		    a->status != A_FAILED && a->status != A_AMBIGUOUS)
			a->status = A_CANCELLED;
		db_end(db, gen, G_CANCELLED);
		db_row(db, DB_CANCELLED, gen);
		return;
	case G_QUEUED:
	case G_PENDING:
		db_end(db, gen, G_FAILED);
		db_row(db, DB_FAILED, gen);
		return;
	default:
		db_move(db, gen, G_REVIEW);
		g->review_at = db->now;
		if (g->charge == C_CHARGED)
			g->charge = C_REVIEW;
		db_promote(db, g->user);
		db_event(db, gen);
		db_row(db, DB_REVIEW, gen);
	}
}

/* sql: generations_overdue(), a page larger than all there is */
enum db_outcome
db_overdue(struct db *db, const struct db_call *call)
{
	bool due[MAX_GENS + 1] = {false};

	(void)call;
	if (db->faults.no_deadline)
		return DB_ROWS;
	for (int i = 1; i <= db->n_gens; i++) {
		const struct db_gen *g = &db->gens[i];

		due[i] = !job_ended(g->job) &&
		    (late_review(db, g) || late_wait(db, g) ||
			late_deadline(db, g));
	}
	for (int user = 1; user <= db->n_users; user++)
		for (int i = 1; i <= db->n_gens; i++) {
			const struct db_gen *g = &db->gens[i];

			/* Again: an end before it may have changed it. */
			if (due[i] && g->user == user && !job_ended(g->job) &&
			    (late_review(db, g) || late_wait(db, g) ||
				late_deadline(db, g)))
				end_overdue(db, i);
		}
	return DB_ROWS;
}

/* sql: generations_promote() */
enum db_outcome
db_promote_all(struct db *db, const struct db_call *call)
{
	(void)call;
	for (int user = 1; user <= db->n_users; user++) {
		int before = db->n_events;

		if (db->users[user].waiting == 0 ||
		    db->users[user].active >= db->users[user].limit)
			continue;
		db_promote(db, user);
		db->number += db->n_events > before;
	}
	return DB_NUMBER;
}

/* sql: outbox_sent() */
enum db_outcome
db_outbox_sent(struct db *db, const struct db_call *call)
{
	for (int i = 0; i < call->n_seqs; i++) {
		struct db_event *e = &db->events[call->seqs[i]];

		if (call->seqs[i] < 1 || call->seqs[i] > db->n_events ||
		    e->published || db->faults.outbox_forgets)
			continue;
		e->published = true;
		db->number++;
	}
	return DB_NUMBER;
}
