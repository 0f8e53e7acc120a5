/*
 * provider.c - a provider of every recovery class: A honours a token, B can
 * be asked by the id we chose and refuses it a second time, C calls back with
 * our reference, D has nothing.  It loses answers, is busy, refuses, never
 * ends, ends after a cancel, calls back twice or never, and its links die.
 */
#include "sim/sim.h"

static int
task_of(const struct sim_world *w, int attempt)
{
	for (int i = 1; i <= w->n_tasks; i++)
		if (w->tasks[i].attempt == attempt)
			return i;
	return 0;
}

static void
call_back(struct sim_world *w, int task)
{
	int times = 1 + (int)sim_random(w, 3);

	for (int i = 0; i < times; i++) {
		struct sim_event *e = sim_post(w, EV_HOOK,
		    w->tasks[task].done_at - w->db.now +
			sim_between(w, 0, 30000));

		e->task = task;
	}
}

/* What is asked for once more here is made, and paid, once more. */
static int
accept(struct sim_world *w, const struct sim_event *e)
{
	enum step_class class = w->class_of[e->gen];
	struct sim_task *task;

	if (w->n_tasks == MAX_TASKS) {
		sim_found(w, "too many tasks");
		return 0;
	}
	task = &w->tasks[++w->n_tasks];
	*task = (struct sim_task){
	    .gen = e->gen,
	    .attempt = e->attempt,
	    .seen_at = w->db.now + sim_between(w, 0, 20000),
	    .done_at = w->db.now + sim_between(w, 1, 400) * 1000,
	    .fails = sim_random(w, 8) == 0,
	    .endless = sim_random(w, 12) == 0,
	};
	sim_say(w, "  provider: task %d of g%d a%d", w->n_tasks, e->gen,
	    e->attempt);
	if (class != STEP_CLASS_D && !task->endless)
		call_back(w, w->n_tasks);
	return w->n_tasks;
}

static enum step_on
submit(struct sim_world *w, const struct sim_event *e, int *id)
{
	int known = task_of(w, e->attempt);

	if (sim_fault(w, w->odds.busy))
		return ON_BUSY;
	if (known != 0 && w->class_of[e->gen] == STEP_CLASS_A) {
		*id = known;
		return ON_ACCEPTED;
	}
	if (known != 0 && w->class_of[e->gen] == STEP_CLASS_B)
		return ON_REFUSED;
	if (sim_fault(w, w->odds.refused))
		return ON_REFUSED;
	*id = accept(w, e);
	return ON_ACCEPTED;
}

static enum step_on
status(struct sim_world *w, int id, struct step_event *on)
{
	struct sim_task *task = &w->tasks[id];

	if (task->cancelled)
		return ON_GONE;
	if (task->endless || task->done_at > w->db.now)
		return ON_ALIVE;
	if (task->fails)
		return ON_FAILED;
	task->link_until = w->db.now + sim_between(w, 60, 7200) * 1000;
	on->expires_ms = task->link_until;
	return ON_DONE;
}

void
provider_event(struct sim_world *w, struct sim_event *e)
{
	struct step_event on = {.on = ON_REVOKED, .why = "theirs"};
	struct sim_event *answer;
	int id = 0;

	switch (e->ask) {
	case ASK_SUBMIT:
		on.on = submit(w, e, &id);
		if (on.on == ON_BUSY && sim_random(w, 2) == 0)
			on.retry_after_ms = sim_between(w, 1, 120) * 1000;
		break;
	case ASK_FIND:
		id = task_of(w, e->attempt);
		if (id != 0 && w->tasks[id].seen_at > w->db.now)
			id = 0;
		on.on = id == 0 ? ON_ABSENT : status(w, id, &on);
		break;
	case ASK_POLL:
		if (e->provider_id < 1 || e->provider_id > w->n_tasks)
			sim_found(
			    w, "g%d asks for task %d", e->gen, e->provider_id);
		else
			on.on = sim_fault(w, w->odds.forgets)
			    ? ON_ABSENT
			    : status(w, e->provider_id, &on);
		break;
	case ASK_CANCEL:
		if (e->provider_id >= 1 && e->provider_id <= w->n_tasks &&
		    w->tasks[e->provider_id].done_at > w->db.now &&
		    !sim_fault(w, w->odds.cancel_ignored))
			w->tasks[e->provider_id].cancelled = true;
		break;
	}
	if (e->answer_ms < 0)
		return;
	answer = sim_post(w, EV_ANSWER, e->answer_ms);
	answer->place = e->place;
	answer->life = e->life;
	answer->gen = e->gen;
	answer->serial = e->serial;
	answer->provider_id = id;
	answer->on = on;
}

enum step_on
provider_link(struct sim_world *w, int gen)
{
	int id = w->db.attempts[w->db.gens[gen].attempt].provider_id;

	if (sim_fault(w, w->odds.download_away))
		return ON_DOWNLOAD_AWAY;
	if (sim_fault(w, w->odds.download_bad))
		return ON_DOWNLOAD_BAD;
	if (id != 0 && w->tasks[id].link_until < w->db.now)
		return ON_LINK_DEAD;
	return sim_fault(w, w->odds.link_dead) ? ON_LINK_DEAD : ON_DOWNLOADED;
}
