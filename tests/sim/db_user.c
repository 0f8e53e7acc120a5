/*
 * db_user.c - what people do: order, cancel, top up, decide a review; and the
 * instances' rows.
 */
#include "sim/db.h"

int
db_user_add(struct db *db, int64_t credits, int limit)
{
	int user = ++db->n_users;

	db->users[user].limit = limit;
	if (credits > 0)
		db_entry(db, user, E_ADJUSTMENT, credits, 0, 0);
	return user;
}

/* sql: generation_submit() */
enum db_outcome
db_submit(struct db *db, const struct db_call *call)
{
	struct db_user *u = &db->users[call->user];
	struct db_gen *g;
	bool waits;

	for (int i = 1; i <= db->n_gens && call->key != 0; i++) {
		g = &db->gens[i];
		if (g->user != call->user || g->key != call->key ||
		    db->faults.key_ignored)
			continue;
		if (g->hash != call->hash)
			return DB_MISMATCH;
		db_row(db, DB_REPLAYED, i);
		return DB_REPLAYED;
	}
	waits = u->waiting > 0 || u->active >= u->limit;
	if (waits && u->waiting >= db->rules.waiting_limit)
		return DB_LIMIT;
	if (u->balance < call->amount)
		return DB_INSUFFICIENT;
	if (db->n_gens == MAX_GENS) {
		db_raise(db, "model: generations");
		return DB_GONE;
	}
	g = &db->gens[++db->n_gens];
	*g = (struct db_gen){
	    .user = call->user,
	    .key = call->key,
	    .hash = call->hash,
	    .status = waits ? G_PENDING : G_QUEUED,
	    .version = 1,
	    .credits = call->amount,
	    .charge = C_CHARGED,
	    .deadline_ms = call->delay_ms,
	    .deadline_at = waits ? 0 : db->now + db->rules.queue_ms,
	    .job = waits ? J_SCHEDULED : J_QUEUED,
	    .eligible_at = db->now,
	};
	u->waiting += waits;
	u->active += !waits;
	if (db->faults.lost_update)
		u->balance -= call->amount;
	else if (call->amount > 0)
		db_entry(db, call->user, E_DEBIT, -call->amount, db->n_gens, 0);
	db_event(db, db->n_gens);
	db_row(db, DB_CREATED, db->n_gens);
	return DB_CREATED;
}

/* sql: generation_cancel() */
enum db_outcome
db_cancel(struct db *db, const struct db_call *call)
{
	struct db_gen *g = &db->gens[call->gen];

	if (call->gen < 1 || call->gen > db->n_gens ||
	    (call->user != 0 && g->user != call->user))
		return DB_NOT_FOUND;
	if (db->faults.cancel_anything && g->status == G_COMPLETED) {
		g->cancel_at = db->now;
		db_end(db, call->gen, G_CANCELLED);
		return DB_CANCELLED;
	}
	switch (g->status) {
	case G_PENDING:
	case G_QUEUED:
		g->cancel_at = db->now;
		db_end(db, call->gen, G_CANCELLED);
		return DB_CANCELLED;
	case G_PROCESSING:
		g->cancel_at = db->now;
		db_move(db, call->gen, G_CANCELLING);
		db_event(db, call->gen);
		return DB_CANCELLING;
	case G_CANCELLING:
	case G_CANCELLED:
		return DB_ALREADY;
	default:
		return DB_TOO_LATE;
	}
}

/* sql: credit_adjust() as an adjustment with a key */
enum db_outcome
db_adjust(struct db *db, const struct db_call *call)
{
	for (int i = 1; i <= db->n_entries; i++) {
		const struct db_entry *e = &db->entries[i];

		if (e->key != call->key || db->faults.topup_twice)
			continue;
		return e->user == call->user && e->amount == call->amount
		    ? DB_REPLAYED
		    : DB_MISMATCH;
	}
	if (db->users[call->user].balance + call->amount < 0)
		return DB_INSUFFICIENT;
	db_entry(db, call->user, E_ADJUSTMENT, call->amount, 0, call->key);
	return DB_ADJUSTED;
}

/* sql: review_resolve() */
enum db_outcome
db_resolve(struct db *db, const struct db_call *call)
{
	struct db_gen *g = &db->gens[call->gen];
	struct db_attempt *a = &db->attempts[g->attempt];

	if (call->gen < 1 || call->gen > db->n_gens)
		return DB_NOT_FOUND;
	if (g->status != G_REVIEW)
		return DB_NOT_REVIEW;
	if (call->action == ACT_DELIVER &&
	    (g->attempt == 0 || (!a->has_url && a->provider_id == 0)))
		return DB_NO_RESULT;
	if (call->action == ACT_REFUND) {
		db_end(db, call->gen, G_FAILED);
		return DB_REFUNDED;
	}
	db_leave_review(db, call->gen);
	if (call->action == ACT_CHARGE) {
		g->job = J_SUCCEEDED;
		g->owner = 0;
		g->finished_at = db->now;
		g->deadline_at = 0;
		g->charge = C_SETTLED;
		g->settled = g->credits;
		db_move(db, call->gen, G_COMPLETED);
		db_promote(db, g->user);
		db_event(db, call->gen);
		return DB_CHARGED;
	}
	g->owner = g->tries = g->crashes = 0;
	g->step = a->has_url ? S_DOWNLOAD : S_POLL;
	g->job = a->has_url ? J_RUNNING : J_WAITING;
	a->status = a->has_url ? A_SUCCEEDED : A_SUBMITTED;
	g->deadline_at = db->now + g->deadline_ms;
	db_move(db, call->gen, a->has_url ? G_FINALIZING : G_PROCESSING);
	db_event(db, call->gen);
	return DB_DELIVERING;
}

enum db_outcome
db_instance_start(struct db *db, const struct db_call *call)
{
	if (call->owner != db->n_instances + 1 ||
	    db->n_instances == MAX_INSTANCES) {
		db_raise(db, "model: instances");
		return DB_GONE;
	}
	db->instances[++db->n_instances] =
	    (struct db_instance){.beat_at = db->now};
	db->number = 1;
	return DB_NUMBER;
}

enum db_outcome
db_beat(struct db *db, const struct db_call *call)
{
	struct db_instance *i = &db->instances[call->owner];

	db->number = !i->stopped;
	if (!i->stopped)
		i->beat_at = db->now;
	return DB_NUMBER;
}

enum db_outcome
db_instance_stop(struct db *db, const struct db_call *call)
{
	db->instances[call->owner].stopped = true;
	db->number = 1;
	return DB_NUMBER;
}

bool
instance_dead(const struct db *db, int id, int64_t dead_ms)
{
	return db->instances[id].stopped || instance_crashed(db, id, dead_ms);
}

bool
instance_crashed(const struct db *db, int id, int64_t dead_ms)
{
	const struct db_instance *i = &db->instances[id];

	return !i->stopped && i->beat_at < db->now - dead_ms;
}
