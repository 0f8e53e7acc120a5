/*
 * db_job.c - the engine's side of a job: claim, adopt, attempt, end.  owner
 * is the fence: without it the answer is `gone` and nothing is written.
 */
#include "sim/db.h"

/* Queued jobs in the order of the queue: (eligible_at, id). */
static int
next_queued(const struct db *db)
{
	int best = 0;

	for (int i = 1; i <= db->n_gens; i++) {
		const struct db_gen *g = &db->gens[i];

		if (g->job == J_QUEUED && g->eligible_at <= db->now &&
		    (best == 0 || g->eligible_at < db->gens[best].eligible_at))
			best = i;
	}
	return best;
}

/* sql: job_claim() */
enum db_outcome
db_claim(struct db *db, const struct db_call *call)
{
	for (int n = 0, i; n < call->limit && (i = next_queued(db)) != 0; n++) {
		struct db_gen *g = &db->gens[i];

		g->job = J_RUNNING;
		g->owner = call->owner;
		g->crashes++;
		if (g->started_at == 0)
			g->started_at = db->now;
		db_row(db, DB_ADOPTED, i);
	}
	return DB_ROWS;
}

bool
job_performs(const struct db_gen *g)
{
	return g->job == J_RUNNING || g->job == J_WAITING;
}

bool
job_is_suspect(const struct db_gen *g)
{
	return job_performs(g) && g->crashes >= SUSPECT_CRASHES;
}

/* What the page of an adoption may hold; those set apart come last. */
static bool
adoptable(const struct db *db, const struct db_gen *g, int64_t dead_ms)
{
	if (!job_performs(g) && g->job != J_UNCERTAIN)
		return false;
	return g->owner == 0 ? !job_is_suspect(g)
			     : instance_dead(db, g->owner, dead_ms);
}

/* Which of its jobs crashed instance x?  The guilty one, or 0: none is known,
 * the suspects are set apart. */
static int
judge(struct db *db, int x, const struct db_call *call)
{
	int n = 0, others = 0, last = 0, left = call->limit, alone;

	for (int i = 1; i <= db->n_gens; i++) {
		const struct db_gen *g = &db->gens[i];

		if (g->owner != x || !job_performs(g))
			continue;
		if (job_is_suspect(g)) {
			n++;
			last = i;
		} else {
			others++;
		}
	}
	alone = db->gens[last].lone + 1;
	if (n == 1 &&
	    (alone >= POISON_LONE || db->faults.blame_company ||
		(others == 0 && alone >= db->gens[last].crashes)))
		return last;
	if (n > 1 && db->faults.blame_all)
		return last;
	for (int i = 1; i <= db->n_gens; i++) {
		struct db_gen *g = &db->gens[i];

		if (g->owner != x || !job_is_suspect(g) ||
		    (db->faults.blame_page && left-- <= 0))
			continue;
		g->owner = 0;
		g->crashes++;
		g->lone += n == 1;
		db_row(db, DB_SET_APART, i);
	}
	return 0;
}

static void
fail_poison(struct db *db, int gen)
{
	for (int k = 1; k <= db->n_attempts; k++) {
		struct db_attempt *a = &db->attempts[k];

		if (a->gen == gen && a->status != A_SUCCEEDED &&
		    a->status != A_CANCELLED)
			a->status = A_FAILED;
	}
	db_end(db, gen, G_FAILED);
	db_row(db, DB_POISONED, gen);
}

/* sql: attempt_doubt() */
static void
doubt(struct db *db, const struct db_gen *g)
{
	struct db_attempt *a = &db->attempts[g->attempt];

	if (!db->faults.no_doubt && g->step == S_SUBMIT && g->attempt != 0 &&
	    a->status == A_SUBMITTING)
		a->status = A_AMBIGUOUS;
}

/* Half of those that have the least crashes, beside no other suspects. */
static void
take_apart(struct db *db, const struct db_call *call)
{
	int least = 0, n = 0, own = 0, same = 0, take;

	for (int i = 1; i <= db->n_gens; i++) {
		const struct db_gen *g = &db->gens[i];

		if (!job_is_suspect(g))
			continue;
		own += g->owner == call->owner;
		if (g->owner != 0)
			continue;
		if (n == 0 || g->crashes < least) {
			least = g->crashes;
			n = 0;
		}
		n += g->crashes == least;
	}
	for (int i = 1; i <= db->n_gens; i++)
		same += db->gens[i].owner == call->owner &&
		    job_is_suspect(&db->gens[i]) &&
		    db->gens[i].crashes == least;
	take = db->faults.take_all ? n
	    : own == same	   ? (own + n + 1) / 2 - own
				   : 0;
	if (take > call->limit)
		take = call->limit;
	for (int i = 1; i <= db->n_gens && take > 0; i++) {
		struct db_gen *g = &db->gens[i];

		if (g->owner != 0 || !job_is_suspect(g) || g->crashes != least)
			continue;
		g->owner = call->owner;
		doubt(db, g);
		db_row(db, DB_ADOPTED, i);
		take--;
	}
}

/* sql: job_adopt(); rows by user, then job, as the function orders them */
enum db_outcome
db_adopt(struct db *db, const struct db_call *call)
{
	int page[MAX_GENS], n = 0, performed[MAX_INSTANCES + 1] = {0};
	bool guilty[MAX_GENS + 1] = {false};

	if (instance_crashed(db, call->owner, call->delay_ms))
		return DB_ROWS; /* it missed its own beats */
	for (int i = 1; i <= db->n_gens; i++)
		performed[db->gens[i].owner] += job_performs(&db->gens[i]);
	for (int x = 1; x <= db->n_instances; x++) {
		bool open = false;

		for (int i = 1; i <= db->n_gens; i++)
			open |= db->gens[i].owner == x &&
			    job_is_suspect(&db->gens[i]);
		if (open && instance_crashed(db, x, call->delay_ms))
			guilty[judge(db, x, call)] = true;
	}
	for (int i = call->after + 1; i <= db->n_gens && n < call->limit; i++)
		if (adoptable(db, &db->gens[i], call->delay_ms))
			page[n++] = i;
	for (int user = 1; user <= db->n_users; user++)
		for (int i = 0; i < n; i++) {
			struct db_gen *g = &db->gens[page[i]];

			if (g->user != user)
				continue;
			if (guilty[page[i]]) {
				fail_poison(db, page[i]);
				continue;
			}
			if (g->owner != 0 &&
			    (job_performs(g) || db->faults.blame_parked) &&
			    instance_crashed(db, g->owner, call->delay_ms)) {
				g->crashes++;
				g->lone += performed[g->owner] == 1;
			}
			g->owner = call->owner;
			doubt(db, g);
			db_row(db, DB_ADOPTED, page[i]);
		}
	if (n == 0)
		take_apart(db, call);
	return DB_ROWS;
}

/* sql: job_clean() of one job */
enum db_outcome
db_clean(struct db *db, const struct db_call *call)
{
	struct db_gen *g = &db->gens[call->gen];

	if (call->gen >= 1 && call->gen <= db->n_gens &&
	    g->owner == call->owner && g->crashes > 0) {
		g->crashes = 0;
		db->number = 1;
	}
	return DB_NUMBER;
}

/* sql: job_release(); gen 0 = all */
enum db_outcome
db_release(struct db *db, const struct db_call *call)
{
	for (int i = 1; i <= db->n_gens; i++) {
		struct db_gen *g = &db->gens[i];

		if (g->owner != call->owner ||
		    (call->gen != 0 && call->gen != i))
			continue;
		g->owner = g->crashes = 0;
		if (g->step == S_SUBMIT && g->job == J_RUNNING &&
		    g->status == G_QUEUED)
			g->job = J_QUEUED;
		db->number++;
	}
	return DB_NUMBER;
}

static void
add_attempt(struct db *db, const struct db_call *call)
{
	int number = 1;

	for (int i = 1; i <= db->n_attempts; i++)
		number += db->attempts[i].gen == call->gen;
	db->attempts[call->attempt] =
	    (struct db_attempt){.gen = call->gen, .number = number};
	if (call->attempt > db->n_attempts)
		db->n_attempts = call->attempt;
}

/* sql: job_requeue() */
enum db_outcome
db_requeue(struct db *db, const struct db_call *call)
{
	struct db_gen *g = db_mine(db, call->gen, call->owner);
	struct db_attempt *a = &db->attempts[call->attempt];

	if (g == NULL || g->step != S_SUBMIT)
		return DB_GONE;
	if (!db->faults.late_requeue && call->attempt != 0 &&
	    ((g->attempt != 0 && g->attempt != call->attempt) ||
		(a->gen != 0 && a->status != A_SUBMITTING)))
		return DB_GONE; /* it arrives late, or somebody else sent it */
	if (g->status != G_QUEUED && g->status != G_PROCESSING &&
	    g->status != G_CANCELLING)
		return DB_GONE;
	if (g->status != G_CANCELLING && call->counts &&
	    g->tries + 1 >= SUBMIT_TRIES)
		return DB_EXHAUSTED;
	if (call->attempt != 0 && a->gen == call->gen &&
	    a->status == A_SUBMITTING)
		a->status = A_FAILED;
	else if (call->attempt != 0 && a->gen == 0 && !db->faults.late_start) {
		/* It may still be on its way. */
		add_attempt(db, call);
		a->status = A_FAILED;
	}
	if (g->status == G_CANCELLING) {
		db_end(db, call->gen, G_CANCELLED);
		return DB_CANCELLED;
	}
	g->job = J_QUEUED;
	g->owner = g->crashes = g->attempt = 0;
	g->tries += call->counts;
	g->eligible_at = db->now + call->delay_ms;
	if (g->status == G_QUEUED)
		return DB_REQUEUED;
	g->deadline_at =
	    (g->started_at != 0 ? g->started_at : db->now) + db->rules.queue_ms;
	db_move(db, call->gen, G_QUEUED);
	db_event(db, call->gen);
	return DB_REQUEUED;
}

/* sql: attempt_start(); the new attempt's id is the next one */
enum db_outcome
db_start(struct db *db, const struct db_call *call)
{
	struct db_gen *g = db_mine(db, call->gen, call->owner);

	if (g == NULL || g->job != J_RUNNING || g->step != S_SUBMIT ||
	    g->status != G_QUEUED || db->attempts[call->attempt].gen != 0)
		return DB_GONE;
	add_attempt(db, call);
	g->attempt = call->attempt;
	g->deadline_at = db->now + g->deadline_ms;
	db_move(db, call->gen, G_PROCESSING);
	db_event(db, call->gen);
	return DB_STARTED;
}

/* sql: attempts_submitted() */
enum db_outcome
db_submitted(struct db *db, const struct db_call *call)
{
	struct db_gen *g = db_mine_by_attempt(db, call->attempt, call->owner);
	struct db_attempt *a = &db->attempts[call->attempt];
	bool review;

	if (g == NULL || g->step != S_SUBMIT)
		return DB_GONE;
	if (g->status != G_PROCESSING && g->status != G_CANCELLING &&
	    g->status != G_REVIEW)
		return DB_GONE;
	review = g->status == G_REVIEW;
	if (review)
		db_leave_review(db, a->gen);
	a->status = A_SUBMITTED;
	a->provider_id = call->provider_id;
	g->job = J_WAITING;
	g->step = S_POLL;
	g->tries = g->crashes = 0;
	if (review)
		g->deadline_at = db->now + g->deadline_ms;
	db_move(db, a->gen, review ? G_PROCESSING : g->status);
	db_event(db, a->gen);
	return g->status == G_CANCELLING ? DB_CANCELLING : DB_SUBMITTED;
}

/* sql: attempt_uncertain() */
enum db_outcome
db_uncertain(struct db *db, const struct db_call *call)
{
	struct db_gen *g = db_mine_by_attempt(db, call->attempt, call->owner);
	struct db_attempt *a = &db->attempts[call->attempt];
	struct db_call review = {
	    .fn = FN_REVIEW, .gen = a->gen, .owner = call->owner};

	if (g == NULL || g->step != S_SUBMIT ||
	    (a->status != A_SUBMITTING && a->status != A_AMBIGUOUS))
		return DB_GONE;
	a->status = A_AMBIGUOUS;
	g->job = J_UNCERTAIN;
	g->crashes = 0;
	g->eligible_at = db->now + call->delay_ms;
	return call->delay_ms > 0 ? DB_UNCERTAIN : db_review(db, &review);
}

/* sql: attempt_late() */
enum db_outcome
db_late(struct db *db, const struct db_call *call)
{
	struct db_attempt *a = &db->attempts[call->attempt];

	if (call->attempt < 1 || call->attempt > db->n_attempts || a->gen == 0)
		return DB_NOT_FOUND;
	if (!gen_ended(db->gens[a->gen].status))
		return DB_NOT_LATE;
	a->late = true;
	return DB_STORED;
}

/* sql: generation_finalizing() */
enum db_outcome
db_finalizing(struct db *db, const struct db_call *call)
{
	struct db_gen *g = db_mine(db, call->gen, call->owner);

	if (g == NULL || (g->step != S_SUBMIT && g->step != S_POLL))
		return DB_GONE;
	if (g->status != G_PROCESSING && g->status != G_CANCELLING &&
	    g->status != G_REVIEW)
		return DB_GONE;
	if (g->status == G_REVIEW)
		db_leave_review(db, call->gen);
	if (g->attempt != 0) {
		db->attempts[g->attempt].status = A_SUCCEEDED;
		db->attempts[g->attempt].has_url = true;
	}
	g->job = J_RUNNING;
	g->step = S_DOWNLOAD;
	g->tries = g->crashes = 0;
	g->deadline_at =
	    db->now + (g->deadline_ms > 3600000 ? g->deadline_ms : 3600000);
	db_move(db, call->gen, G_FINALIZING);
	db_event(db, call->gen);
	return DB_FINALIZING;
}

/* sql: generation_result_url() */
enum db_outcome
db_result_url(struct db *db, const struct db_call *call)
{
	struct db_gen *g = db_mine(db, call->gen, call->owner);

	if (g == NULL)
		return DB_GONE;
	if (g->attempt != 0)
		db->attempts[g->attempt].has_url = true;
	return DB_OK;
}

/* sql: generation_finish() with no files; amount is the settlement */
enum db_outcome
db_finish(struct db *db, const struct db_call *call)
{
	struct db_gen *g = db_mine(db, call->gen, call->owner);
	int64_t due;

	if (g == NULL)
		return DB_GONE;
	if (g->status != G_PROCESSING && g->status != G_FINALIZING &&
	    g->status != G_CANCELLING && g->status != G_REVIEW)
		return DB_GONE;
	if (g->status == G_REVIEW)
		db_leave_review(db, call->gen);
	g->job = J_SUCCEEDED;
	g->owner = g->crashes = 0;
	g->finished_at = db->now;
	if (g->attempt != 0)
		db->attempts[g->attempt].status = A_SUCCEEDED;
	g->deadline_at = 0;
	db_move(db, call->gen, G_COMPLETED);
	due = call->amount < 0 || call->amount > g->credits ? g->credits
							    : call->amount;
	g->charge = due < g->credits ? C_PARTIAL : C_SETTLED;
	g->settled = due;
	g->refunded = g->credits - due;
	db_give_back(db, call->gen, g->refunded, E_SETTLE);
	db_promote(db, g->user);
	db_event(db, call->gen);
	return DB_COMPLETED;
}

/* sql: generation_fail() with no fee */
enum db_outcome
db_fail(struct db *db, const struct db_call *call)
{
	struct db_gen *g = db_mine(db, call->gen, call->owner);

	if (g == NULL && db->faults.refund_twice && call->gen >= 1)
		g = &db->gens[call->gen];
	if (g == NULL)
		return DB_GONE;
	if (g->attempt != 0 && db->attempts[g->attempt].status != A_SUCCEEDED)
		db->attempts[g->attempt].status = A_FAILED;
	db_end(db, call->gen, G_FAILED);
	return DB_FAILED;
}

/* sql: generation_cancelled() with no fee */
enum db_outcome
db_cancelled(struct db *db, const struct db_call *call)
{
	struct db_gen *g = db_mine(db, call->gen, call->owner);
	struct db_attempt *a;

	if (g == NULL)
		return DB_GONE;
	if (g->cancel_at == 0)
		return DB_NOT_ASKED;
	if (g->status == G_FINALIZING)
		return DB_GONE;
	a = &db->attempts[g->attempt];
	if (g->attempt != 0 && a->status != A_SUCCEEDED &&
	    a->status != A_FAILED)
		a->status = A_CANCELLED;
	db_end(db, call->gen, G_CANCELLED);
	return DB_CANCELLED;
}

/* sql: generation_review() */
enum db_outcome
db_review(struct db *db, const struct db_call *call)
{
	struct db_gen *g = db_mine(db, call->gen, call->owner);

	if (g == NULL)
		return DB_GONE;
	if (g->status != G_QUEUED && g->status != G_PROCESSING &&
	    g->status != G_FINALIZING && g->status != G_CANCELLING)
		return DB_GONE;
	db_move(db, call->gen, G_REVIEW);
	g->review_at = db->now;
	if (g->charge == C_CHARGED)
		g->charge = C_REVIEW;
	db_promote(db, g->user);
	db_event(db, call->gen);
	return DB_REVIEW;
}
