/*
 * calls.c - sequences of calls of the database's functions that no engine
 * would make: any function, any instance, any attempt, at any time.  For
 * tests/it/sql_model.test.mjs, which compares the model with sql/.
 */
#include "sim/sim.h"

static int64_t
pick_time(struct sim_world *w)
{
	static const int64_t ms[] = {
	    1, 500, 5000, 61000, 400000, 1300000, 4000000};

	return ms[sim_random(w, 7)];
}

/* What an engine or a person may well do next with it. */
static enum db_fn
likely(struct sim_world *w, const struct db_gen *g)
{
	static const enum db_fn of[][6] = {
	    [G_PENDING] = {FN_PROMOTE, FN_CANCEL, FN_SUBMIT, FN_CLAIM,
		FN_OVERDUE, FN_SUBMIT},
	    [G_QUEUED] = {FN_CLAIM, FN_START, FN_START, FN_SUBMIT, FN_REQUEUE,
		FN_ADOPT},
	    [G_PROCESSING] = {FN_SUBMITTED, FN_FINALIZING, FN_UNCERTAIN,
		FN_CANCEL, FN_REQUEUE, FN_ADOPT},
	    [G_FINALIZING] = {FN_FINISH, FN_RESULT_URL, FN_FAIL, FN_REVIEW,
		FN_FINISH, FN_ADOPT},
	    [G_CANCELLING] = {FN_CANCELLED, FN_SUBMITTED, FN_REQUEUE,
		FN_FINALIZING, FN_OVERDUE, FN_UNCERTAIN},
	    [G_REVIEW] = {FN_RESOLVE, FN_SUBMITTED, FN_FINALIZING, FN_FINISH,
		FN_RESOLVE, FN_OVERDUE},
	    [G_COMPLETED] = {FN_SUBMIT, FN_CANCEL, FN_LATE, FN_SUBMIT, FN_FAIL,
		FN_SUBMIT},
	    [G_FAILED] = {FN_SUBMIT, FN_LATE, FN_SUBMIT, FN_FINISH, FN_SUBMIT,
		FN_SUBMIT},
	    [G_CANCELLED] = {FN_SUBMIT, FN_LATE, FN_SUBMIT, FN_SUBMITTED,
		FN_SUBMIT, FN_SUBMIT},
	};

	return of[g->status][sim_random(w, 6)];
}

static struct db_call
any_call(struct sim_world *w)
{
	const struct db *db = &w->db;
	struct db_call call = {
	    .fn = (enum db_fn)sim_random(w, DB_FNS),
	    .user = 1 + (int)sim_random(w, (uint32_t)db->n_users),
	    .gen = 1 + (int)sim_random(w, (uint32_t)db->n_gens + 1),
	    .owner = 1 + (int)sim_random(w, (uint32_t)db->n_instances),
	    .key = 1 + (int)sim_random(w, 12),
	    .hash = 1 + (sim_random(w, 8) == 0),
	    .provider_id = 1 + (int)sim_random(w, 9),
	    .amount = sim_between(w, -1, 30),
	    .delay_ms = sim_random(w, 3) == 0 ? 0 : pick_time(w) / 1000 * 1000,
	    .limit = (int)sim_between(w, 1, 4),
	    .after = (int)sim_random(w, 3),
	    .counts = sim_random(w, 2) == 0,
	    .action = (enum db_action)sim_random(w, 3),
	};
	const struct db_gen *g = &db->gens[call.gen];

	if (sim_random(w, 4) != 0)
		call.fn = call.gen <= db->n_gens ? likely(w, g) : FN_SUBMIT;
	/* A day on which everything crashes: nobody takes a step for long. */
	if (w->seed % 4 == 0 && w->db.n_events > 12 && sim_random(w, 5) != 0)
		call.fn = FN_ADOPT;
	/* Mostly what may succeed: the owner, its attempt. */
	if (g->owner != 0 && sim_random(w, 8) != 0)
		call.owner = g->owner;
	call.attempt = g->attempt;
	if (db->n_attempts > 0 && sim_random(w, 10) == 0)
		call.attempt = 1 + (int)sim_random(w, (uint32_t)db->n_attempts);
	return call;
}

/* What the replay could not say the same way. */
static bool
sensible(struct sim_world *w, struct db_call *call)
{
	const struct db *db = &w->db;

	switch (call->fn) {
	case FN_SUBMIT:
		call->amount = call->amount < 0 ? 0 : call->amount;
		call->delay_ms += 60000;
		return db->n_gens < MAX_GENS;
	case FN_ADJUST:
		call->key += 100;
		return call->amount != 0 && db->n_entries < MAX_ENTRIES / 2;
	case FN_INSTANCE_START:
		call->owner = db->n_instances + 1;
		return db->n_instances < 8;
	case FN_INSTANCE_STOP:
		return db->n_instances > 2 && sim_random(w, 4) == 0;
	case FN_START:
		if (call->attempt == 0 || sim_random(w, 8) != 0)
			call->attempt = db->n_attempts + 1;
		return db->n_attempts < MAX_ATTEMPTS;
	case FN_REQUEUE:
		/* of a start that never arrived */
		if (call->attempt == 0 && sim_random(w, 3) != 0)
			call->attempt = db->n_attempts + 1;
		if (sim_random(w, 4) != 0) {
			call->delay_ms = 0;
			call->counts = true;
		}
		return db->n_attempts < MAX_ATTEMPTS;
	case FN_SUBMITTED:
	case FN_UNCERTAIN:
	case FN_LATE:
		return call->attempt != 0;
	case FN_ADOPT:
		/* by one that beats; the others may be dead */
		call->delay_ms = 20000;
		call->owner = 1 + (int)sim_random(w, (uint32_t)db->n_instances);
		if (w->seed % 4 == 0) {
			call->after = sim_random(w, 4) == 0 ? 1 : 0;
			w->db.now += sim_random(w, 2) == 0 ? 25000 : 0;
		}
		if (sim_random(w, 4) != 0)
			sim_sql(w,
			    &(struct db_call){
				.fn = FN_BEAT, .owner = call->owner});
		return true;
	case FN_OUTBOX_SENT:
		call->n_seqs = db->n_events < 3 ? db->n_events : 3;
		for (int i = 0; i < call->n_seqs; i++)
			call->seqs[i] =
			    1 + (int)sim_random(w, (uint32_t)db->n_events);
		return true;
	case FN_CANCEL:
		if (sim_random(w, 4) == 0)
			call->user = 0;
		return sim_random(w, 3) != 0;
	case FN_FAIL:
	case FN_REVIEW:
		return sim_random(w, 3) == 0;
	default:
		return true;
	}
}

/* Where it stands: for a model that starts with it. */
static void
write_start(const struct sim_world *w, FILE *out)
{
	const struct db *db = &w->db;

	fprintf(out,
	    "{\"fn\":\"begin\",\"seed\":%llu,\"queue_ms\":%lld,"
	    "\"review_ms\":%lld,\"waiting\":%d,\"users\":[",
	    (unsigned long long)w->seed, (long long)db->rules.queue_ms,
	    (long long)db->rules.review_ms, db->rules.waiting_limit);
	for (int i = 1; i <= db->n_users; i++)
		fprintf(out, "%s[%lld,%d]", i > 1 ? "," : "",
		    (long long)db->users[i].balance, db->users[i].limit);
	fprintf(out, "]}\n");
}

void
sim_calls(uint64_t seed, int n, FILE *out)
{
	static struct sim_world world;
	struct sim_world *w = &world;
	struct db_rules rules;
	struct db_call call;

	w->rng = seed * 0x2545f4914f6cdd1du;
	w->seed = seed;
	rules = (struct db_rules){
	    .queue_ms = sim_between(w, 600, 7200) * 1000,
	    .review_ms = sim_random(w, 3) == 0 ? 0 : 1800000,
	    .waiting_limit = (int)sim_between(w, 1, 4),
	};
	db_init(&w->db, &rules);
	for (int i = 0; i < 2; i++)
		db_user_add(
		    &w->db, sim_between(w, 20, 120), (int)sim_between(w, 1, 3));
	write_start(w, out);
	w->calls = out;
	for (int i = 0; i < 2; i++) {
		call =
		    (struct db_call){.fn = FN_INSTANCE_START, .owner = i + 1};
		sim_sql(w, &call);
	}
	while (n > 0 && w->db.n_events < MAX_EVENTS - 20) {
		call = any_call(w);
		if (!sensible(w, &call))
			continue;
		w->db.now += sim_random(w, 4) == 0 ? pick_time(w) : 0;
		for (int k = 1; k <= w->db.n_instances; k++)
			if (sim_random(w, 12) == 0) {
				struct db_call beat = {
				    .fn = FN_BEAT, .owner = k};

				sim_sql(w, &beat);
			}
		sim_sql(w, &call);
		n--;
	}
	w->calls = NULL;
}
