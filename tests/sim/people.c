/*
 * people.c - orders and their repeats, cancels, top-ups and their repeats,
 * decisions about reviews; and the callbacks of providers as hook.c takes
 * them.
 */
#include "sim/sim.h"

enum { HOOK_TRIES = 10, KEY_TOPUP = 100 };

/* One of people's plans, before the quiet begins. */
static struct sim_event *
plan(struct sim_world *w, enum sim_kind kind)
{
	struct sim_event *e = sim_post(
	    w, kind, sim_between(w, 0, (w->quiet_ms - w->db.now) * 3 / 4));

	w->plans++;
	return e;
}

void
people_begin(struct sim_world *w)
{
	int users = (int)sim_between(w, 1, MAX_USERS);
	int orders = (int)sim_between(w, 1, MAX_KEYS);

	for (int i = 0; i < users; i++)
		db_user_add(
		    &w->db, sim_between(w, 20, 200), (int)sim_between(w, 1, 3));
	for (int key = 1; key <= orders; key++) {
		int times = 1 + (int)sim_random(w, 3);
		int user = 1 + (int)sim_random(w, (uint32_t)users);
		int64_t price = sim_between(w, 0, 30);

		for (int i = 0; i < times; i++) {
			struct sim_event *e = plan(w, EV_ORDER);

			e->call = (struct db_call){.fn = FN_SUBMIT,
			    .user = user,
			    .key = key,
			    .hash = key + 10 * (sim_random(w, 10) == 0),
			    .amount = price,
			    .delay_ms = sim_between(w, 60, 900) * 1000};
		}
		if (sim_random(w, 4) == 0)
			plan(w, EV_CANCEL)->key = key;
		if (sim_random(w, 4) == 0)
			plan(w, EV_RESOLVE)->key = key;
	}
	for (int i = (int)sim_random(w, 4); i > 0; i--)
		plan(w, EV_TOPUP)->call = (struct db_call){.fn = FN_ADJUST,
		    .user = 1,
		    .key = KEY_TOPUP + (int)sim_random(w, 2),
		    .amount = 50};
}

static void
order(struct sim_world *w, const struct sim_event *e)
{
	enum db_outcome outcome = sim_sql(w, &e->call);
	int key = e->call.key, gen;

	if (outcome != DB_CREATED && outcome != DB_REPLAYED)
		return;
	gen = w->db.rows[0].gen;
	if (sim_fault(w, w->odds.sql_unsaid))
		return; /* they never heard of it, and may ask again */
	if (w->key_gen[key] != 0 && w->key_gen[key] != gen)
		sim_found(
		    w, "order %d is g%d and g%d", key, w->key_gen[key], gen);
	w->key_gen[key] = gen;
}

static void
to_owner(struct sim_world *w, enum sim_kind kind, int gen, int attempt,
    int provider_id)
{
	int place = engine_place(w, w->db.gens[gen].owner);
	struct sim_event *e;

	if (place < 0 || sim_fault(w, w->odds.hint_lost))
		return;
	e = sim_post(w, kind, sim_between(w, 1, 50));
	e->place = place;
	e->life = w->places[place].life;
	e->gen = gen;
	e->attempt = attempt;
	e->provider_id = provider_id;
}

static void
cancel(struct sim_world *w, int gen)
{
	struct db_call call = {.fn = FN_CANCEL, .gen = gen};

	if (gen != 0 && sim_sql(w, &call) == DB_CANCELLING)
		to_owner(w, EV_HINT_CANCEL, gen, 0, 0);
}

static void
resolve(struct sim_world *w, int gen)
{
	struct db_call call = {.fn = FN_RESOLVE,
	    .gen = gen,
	    .action = (enum db_action)sim_random(w, 3)};

	if (gen != 0 && sim_sql(w, &call) == DB_CHARGED)
		w->known.charged[gen] = true;
}

/* As on_attempt() of hook.c decides. */
static void
hook(struct sim_world *w, const struct sim_event *e)
{
	const struct sim_task *task = &w->tasks[e->task];
	const struct db_attempt *a = &w->db.attempts[task->attempt];
	const struct db_gen *g = &w->db.gens[task->gen];
	bool up = false;

	for (int i = 0; i < w->n_places; i++)
		up |= w->places[i].up && !w->places[i].draining;
	if (!up || sim_fault(w, w->odds.hook_lost)) {
		if (e->key < HOOK_TRIES) {
			struct sim_event *again = sim_post(
			    w, EV_HOOK, 1000LL << (e->key < 9 ? e->key : 9));

			again->task = e->task;
			again->key = e->key + 1;
		}
		return;
	}
	if (job_ended(g->job) || g->attempt != task->attempt) {
		struct db_call call = {.fn = FN_LATE, .attempt = task->attempt};

		if (!task->fails && a->status != A_SUCCEEDED)
			sim_sql(w, &call);
	} else if (a->provider_id == 0) {
		to_owner(w, EV_HINT_ID, task->gen, task->attempt, e->task);
	} else {
		to_owner(w, EV_HINT_HURRY, task->gen, 0, 0);
	}
}

void
people_event(struct sim_world *w, struct sim_event *e)
{
	w->plans -= e->kind != EV_HOOK;
	switch (e->kind) {
	case EV_ORDER:
		order(w, e);
		break;
	case EV_CANCEL:
		cancel(w, w->key_gen[e->key]);
		break;
	case EV_RESOLVE:
		resolve(w, w->key_gen[e->key]);
		break;
	case EV_TOPUP:
		sim_sql(w, &e->call);
		break;
	default:
		hook(w, e);
		break;
	}
}
