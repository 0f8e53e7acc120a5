/*
 * checks.c - what must hold after every event, and at the end.  It knows what
 * it saw before and adds the books up itself: it believes no function of the
 * model.
 */
#include "sim/sim.h"

#include <inttypes.h>
#include <string.h>

#define FOUND_IF(what, ...)                        \
	do {                                       \
		if (what)                          \
			sim_found(w, __VA_ARGS__); \
	} while (0)

enum { LATE_MS = 10 * 60 * 1000 };

/* What the entries of a generation say. */
struct book {
	int debits, refunds;
	int64_t debit, refund, settle;
};

static void
add_up(const struct db *db, int gen, struct book *book)
{
	*book = (struct book){0};
	for (int i = 1; i <= db->n_entries; i++) {
		const struct db_entry *e = &db->entries[i];

		if (e->gen != gen)
			continue;
		book->debits += e->type == E_DEBIT;
		book->refunds += e->type == E_REFUND;
		book->debit += e->type == E_DEBIT ? -e->amount : 0;
		book->refund += e->type == E_REFUND ? e->amount : 0;
		book->settle += e->type == E_SETTLE ? e->amount : 0;
	}
}

/* I1, I2, I5, I6, I7 */
static void
check_ledger(struct sim_world *w)
{
	const struct db *db = &w->db;
	int64_t sum[MAX_USERS + 1] = {0};

	for (int i = 1; i <= db->n_entries; i++) {
		const struct db_entry *e = &db->entries[i];
		int64_t mark = e->amount * 64 + e->type * 8 + e->user;

		FOUND_IF(e->amount == 0, "I1: entry %d moves nothing", i);
		if (i <= w->known.n_entries)
			FOUND_IF(w->known.entry[i] != mark,
			    "I5: entry %d changed", i);
		w->known.entry[i] = mark;
		sum[e->user] += e->amount;
		for (int k = 1; k < i && e->key != 0; k++)
			FOUND_IF(db->entries[k].key == e->key,
			    "I7: two entries of reference %d", e->key);
	}
	w->known.n_entries = db->n_entries;
	for (int i = 1; i <= db->n_users; i++) {
		FOUND_IF(db->users[i].balance < 0,
		    "I2: balance of u%d is %" PRId64, i, db->users[i].balance);
		FOUND_IF(db->users[i].balance != sum[i],
		    "I6: balance of u%d is %" PRId64 ", its entries %" PRId64,
		    i, db->users[i].balance, sum[i]);
	}
}

/* I3, I4, I8 */
static void
check_money(struct sim_world *w, int gen)
{
	const struct db_gen *g = &w->db.gens[gen];
	struct book b;

	add_up(&w->db, gen, &b);
	FOUND_IF(b.debits > 1 || b.refunds > 1,
	    "I3: g%d: %d debits, %d refunds", gen, b.debits, b.refunds);
	FOUND_IF(b.refund + b.settle > b.debit,
	    "I3: g%d gives back more than it took", gen);
	FOUND_IF(b.debit != g->credits,
	    "I4: g%d costs %" PRId64 ", debited %" PRId64, gen, g->credits,
	    b.debit);
	if (g->status == G_FAILED || g->status == G_CANCELLED)
		FOUND_IF(b.refund != b.debit, "I4: g%d %s and not refunded",
		    gen, gen_status_name(g->status));
	else
		FOUND_IF(b.refund != 0, "I4: g%d %s and refunded", gen,
		    gen_status_name(g->status));
	if (g->status == G_COMPLETED)
		FOUND_IF(b.debit - b.settle != g->settled,
		    "I4: g%d settled otherwise than charged", gen);
	else
		FOUND_IF(b.settle != 0, "I4: g%d settled while %s", gen,
		    gen_status_name(g->status));
	if (w->known.version[gen] == 0)
		w->known.credits[gen] = g->credits;
	FOUND_IF(w->known.credits[gen] != g->credits, "I8: price of g%d", gen);
}

static void
check_status(struct sim_world *w, int gen)
{
	const struct db_gen *g = &w->db.gens[gen];
	enum gen_status was = w->known.status[gen];

	if (w->known.version[gen] != 0 && was != g->status) {
		FOUND_IF(gen_ended(was), "g%d was %s and is %s", gen,
		    gen_status_name(was), gen_status_name(g->status));
		FOUND_IF(g->version <= w->known.version[gen],
		    "g%d: version must grow", gen);
	}
	FOUND_IF(g->status == G_COMPLETED && !w->known.has_video[gen] &&
		!w->known.charged[gen],
	    "g%d completed without a video", gen);
	FOUND_IF(gen_ended(g->status) != job_ended(g->job),
	    "g%d %s, its job disagrees", gen, gen_status_name(g->status));
	FOUND_IF(g->owner != 0 && (job_ended(g->job) || g->job == J_QUEUED),
	    "g%d: owned and not under way", gen);
	w->known.status[gen] = g->status;
	w->known.version[gen] = g->version;
}

static void
check_counters(struct sim_world *w)
{
	const struct db *db = &w->db;
	int active[MAX_USERS + 1] = {0}, waiting[MAX_USERS + 1] = {0};

	for (int i = 1; i <= db->n_gens; i++) {
		const struct db_gen *g = &db->gens[i];

		waiting[g->user] += g->status == G_PENDING;
		active[g->user] += g->status != G_PENDING &&
		    g->status != G_REVIEW && !gen_ended(g->status);
		for (int k = 1; k < i; k++)
			FOUND_IF(g->user == db->gens[k].user &&
				g->key == db->gens[k].key,
			    "g%d and g%d are one order", k, i);
	}
	for (int i = 1; i <= db->n_users; i++)
		FOUND_IF(db->users[i].active != active[i] ||
			db->users[i].waiting != waiting[i],
		    "counters of u%d", i);
}

static void
check_events(struct sim_world *w)
{
	int ends[MAX_GENS + 1] = {0};

	for (int i = 1; i <= w->db.n_events; i++)
		if (w->db.events[i].terminal)
			FOUND_IF(++ends[w->db.events[i].gen] > 1,
			    "g%d ended twice", w->db.events[i].gen);
}

/* Asked for, and paid, once. */
static void
check_tasks(struct sim_world *w)
{
	int of[MAX_GENS + 1] = {0};

	for (int i = 1; i <= w->n_tasks; i++)
		FOUND_IF(++of[w->tasks[i].gen] > 1,
		    "g%d: two paid submits (class %c)", w->tasks[i].gen,
		    "ABCD"[w->class_of[w->tasks[i].gen]]);
}

static void
check_deadlines(struct sim_world *w)
{
	const struct db *db = &w->db;

	for (int i = 1; i <= db->n_gens; i++) {
		const struct db_gen *g = &db->gens[i];

		FOUND_IF(db->now > w->quiet_ms + LATE_MS &&
			g->deadline_at != 0 &&
			g->deadline_at + LATE_MS < db->now &&
			!gen_ended(g->status) && g->status != G_REVIEW,
		    "g%d is past its deadline", i);
	}
}

/* Who was on board when each instance crashed: as it was before anybody took
 * from there, less what its own late statements did, and what ended or was
 * cleared since. */
static void
see_crashes(struct sim_world *w)
{
	for (int x = 1; x <= w->db.n_instances; x++) {
		bool crashed = instance_crashed(&w->db, x, w->dead_ms);
		unsigned *suspects = &w->known.crash[x].suspects;
		unsigned *others = &w->known.crash[x].others;

		if (!w->known.crash[x].crashed)
			*suspects = *others = 0;
		for (int i = 1; i <= w->db.n_gens; i++) {
			const struct db_gen *was = &w->known.was[i];
			const struct db_gen *g = &w->db.gens[i];
			unsigned bit = 1u << i;

			if (crashed && !w->known.crash[x].crashed &&
			    was->owner == x && job_performs(was))
				*(job_is_suspect(was) ? suspects : others) |=
				    bit;
			if (g->owner == x || !job_performs(g) ||
			    g->crashes == 0) {
				*suspects &= ~bit;
				*others &= ~bit;
			}
			if (g->owner == x && job_performs(g))
				*(job_is_suspect(g) ? suspects : others) |= bit;
		}
		w->known.crash[x].crashed = crashed;
	}
}

/* B: nobody pays for what a neighbour may have done. */
static void
check_blame(struct sim_world *w)
{
	const struct db *db = &w->db;
	int taker = 0, taken = 0, own = 0, all = 0;

	see_crashes(w);
	for (int i = 0; i < db->n_rows; i++) {
		int gen = db->rows[i].gen;
		const struct db_gen *was = &w->known.was[gen];

		if (db->rows[i].outcome != DB_POISONED)
			continue;
		FOUND_IF(w->known.crash[was->owner].suspects != 0,
		    "B1: g%d pays for a crash that may be another's", gen);
		FOUND_IF(was->lone + 1 < 3 &&
			(w->known.crash[was->owner].others != 0 ||
			    was->lone + 1 < was->crashes),
		    "B2: g%d had company and is judged too early", gen);
	}
	for (int i = 1; i <= db->n_gens; i++) {
		const struct db_gen *was = &w->known.was[i];
		const struct db_gen *g = &db->gens[i];
		bool apart = job_is_suspect(was) &&
		    (was->owner == 0 || w->known.crash[was->owner].crashed);

		FOUND_IF(was->job == J_UNCERTAIN && g->job == J_UNCERTAIN &&
			g->crashes > was->crashes,
		    "B3: g%d was parked and is blamed", i);
		all += apart;
		if (!apart || g->owner == 0 || g->owner == was->owner)
			continue;
		taker = g->owner;
		taken++;
	}
	for (int i = 1; i <= db->n_gens; i++)
		own += w->known.was[i].owner == taker &&
		    job_is_suspect(&w->known.was[i]);
	FOUND_IF(taken > 0 && 2 * (own + taken) > own + all + 1,
	    "B4: i%d takes more than half of the suspects", taker);
	memcpy(w->known.was, db->gens, sizeof w->known.was);
}

/* Only what an event changed is looked at again; deadlines now and then. */
void
check_world(struct sim_world *w)
{
	if (w->known.seen_tasks != w->n_tasks)
		check_tasks(w);
	w->known.seen_tasks = w->n_tasks;
	if (++w->known.seen_steps % 32 == 0)
		check_deadlines(w);
	if (w->known.seen_changes == w->db.changes)
		return;
	w->known.seen_changes = w->db.changes;
	check_ledger(w);
	for (int i = 1; i <= w->db.n_gens; i++) {
		check_money(w, i);
		check_status(w, i);
	}
	check_counters(w);
	check_events(w);
	check_blame(w);
}

void
check_published(struct sim_world *w, int seq)
{
	const struct db_event *e = &w->db.events[seq];

	if (e->version > w->known.told_version[e->gen])
		w->known.told_version[e->gen] = e->version;
}

static bool
settled(const struct sim_world *w, int gen)
{
	const struct db_gen *g = &w->db.gens[gen];

	return gen_ended(g->status) ||
	    (g->status == G_REVIEW && w->db.rules.review_ms == 0);
}

/* Nothing is left that could happen. */
bool
check_over(const struct sim_world *w)
{
	if (w->plans > 0)
		return false;
	for (int i = 1; i <= w->db.n_gens; i++)
		if (!settled(w, i))
			return false;
	for (int i = w->db.n_events; i > 0; i--)
		if (!w->db.events[i].published)
			return false;
	return true;
}

void
check_end(struct sim_world *w)
{
	for (int i = 1; i <= w->db.n_gens; i++) {
		FOUND_IF(!settled(w, i), "g%d never came to an end: %s", i,
		    gen_status_name(w->db.gens[i].status));
		FOUND_IF(w->known.told_version[i] < w->known.version[i],
		    "nobody was told how g%d ended", i);
	}
	for (int i = 1; i <= w->db.n_events; i++)
		FOUND_IF(!w->db.events[i].published, "event %d is stuck", i);
}
