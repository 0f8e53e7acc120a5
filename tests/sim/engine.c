/*
 * engine.c - instances: start, heartbeat, sweeps, claims, adoption, strays,
 * drain, death and standstill, as src/jobs/claim.c, sweep.c and engine.c do.
 */
#include "sim/sim.h"

#include <string.h>

#include "reeld/mem.h"

enum { SQL_TIMEOUT_MS = 5000, OUTBOX_AGE_MS = 5000, DRAIN_MS = 30000 };

int
engine_place(const struct sim_world *w, int owner)
{
	for (int i = 0; i < w->n_places; i++)
		if (w->places[i].up && w->places[i].id == owner)
			return i;
	return -1;
}

static struct sim_event *
post(struct sim_world *w, enum sim_kind kind, int place, int64_t delay_ms)
{
	struct sim_event *e = sim_post(w, kind, delay_ms);

	e->place = place;
	e->life = w->places[place].life;
	return e;
}

void
engine_boot(struct sim_world *w, int place)
{
	struct sim_instance *self = &w->places[place];
	struct db_call call = {
	    .fn = FN_INSTANCE_START, .owner = w->db.n_instances + 1};

	memset(self, 0, sizeof *self);
	self->up = true;
	self->id = call.owner;
	self->life = ++w->lives;
	sim_sql(w, &call);
	sim_say(w, "i%d starts", self->id);
	post(w, EV_TICK, place, sim_between(w, 1, w->tick_ms));
	post(w, EV_BEAT, place, w->dead_ms / 4);
	if (!sim_quiet(w) && sim_random(w, 4) == 0)
		post(w, EV_DRAIN, place, sim_between(w, 1, 900) * 1000);
}

static void
die(struct sim_world *w, int place, const char *how)
{
	struct sim_instance *self = &w->places[place];

	sim_say(w, "i%d %s", self->id, how);
	self->up = false;
	self->life = ++w->lives;
	post(w, EV_START, place, sim_between(w, 1, 60) * 1000);
}

/* --- Statements ----------------------------------------------------------- */

/* gen 0: the instance's own. */
static void
issue(struct sim_world *w, int place, int gen, uint32_t serial,
    const struct db_call *call, enum sim_query query)
{
	const struct sim_instance *self = &w->places[place];
	bool lost = sim_fault(w, w->odds.sql_lost);
	bool late = sim_fault(w, w->odds.sql_late);
	bool unsaid = sim_fault(w, w->odds.sql_unsaid);
	int64_t arrives_ms = sim_between(w, 1, 40);
	unsigned known = 0;
	/* Of these nobody waits for the answer. */
	bool unheard = call->fn == FN_OUTBOX_SENT || call->fn == FN_CLEAN;
	struct sim_event *e;

	for (int i = 1; i <= MAX_GENS; i++)
		known |= (unsigned)self->jobs[i].used << i;
	if (late)
		arrives_ms = SQL_TIMEOUT_MS + sim_between(w, 0, 20000);
	for (int i = 0; i < 2; i++) {
		bool timeout = i == 1;

		if (timeout ? unheard || !(lost || late || unsaid) : lost)
			continue;
		e = post(w,
		    !timeout	   ? EV_APPLY
			: gen != 0 ? EV_ANSWER
				   : EV_REPLY,
		    place, timeout ? SQL_TIMEOUT_MS : arrives_ms);
		e->gen = gen;
		e->serial = serial;
		e->call = *call;
		e->query = query;
		e->known = known;
		e->sql = true;
		e->on.on = ON_DB_AWAY;
		e->answer_ms =
		    unheard || late || unsaid ? -1 : sim_between(w, 1, 40);
	}
}

void
engine_sql(struct sim_world *w, int place, int gen, uint32_t serial,
    const struct db_call *call)
{
	issue(w, place, gen, serial, call, QUERY_NONE);
}

static void
own(struct sim_world *w, int place, const struct db_call *call)
{
	issue(w, place, 0, 0, call, QUERY_NONE);
}

static void
ask(struct sim_world *w, int place, enum sim_query query)
{
	struct db_call call = {.owner = w->places[place].id};

	issue(w, place, 0, 0, &call, query);
}

/* Runs it; the rows are as they are now. */
static void
run(struct sim_world *w, const struct sim_event *e, struct sim_event *answer)
{
	const struct db *db = &w->db;

	answer->n_rows = 0;
	answer->call = e->call;
	switch (e->query) {
	case QUERY_NONE:
		answer->outcome = sim_sql(w, &e->call);
		for (int i = 0; i < db->n_rows; i++) {
			struct sim_row *row = &answer->rows[answer->n_rows++];

			engine_row(w, db->rows[i].gen, row);
			row->poisoned = db->rows[i].outcome == DB_POISONED;
			row->apart = db->rows[i].outcome == DB_SET_APART;
		}
		answer->call.n_seqs = db->n_seqs;
		memcpy(answer->call.seqs, db->seqs, sizeof db->seqs);
		break;
	case QUERY_STRAYS:
		for (int i = 1; i <= db->n_gens; i++)
			if (db->gens[i].owner == e->call.owner &&
			    !(e->known >> i & 1))
				engine_row(
				    w, i, &answer->rows[answer->n_rows++]);
		break;
	case QUERY_CHANGED:
		for (int i = 1; i <= db->n_gens; i++) {
			bool lost = db->gens[i].owner != e->call.owner;
			bool cancel = db->gens[i].status == G_CANCELLING;

			if (!(e->known >> i & 1) || !(lost || cancel))
				continue;
			answer->rows[answer->n_rows++] = (struct sim_row){
			    .gen = i, .lost = lost, .cancel = cancel};
		}
		break;
	case QUERY_OUTBOX:
		for (int i = 1; i <= db->n_events &&
		     answer->call.n_seqs < (int)nitems(answer->call.seqs);
		     i++)
			if (!db->events[i].published &&
			    db->events[i].at < db->now - OUTBOX_AGE_MS)
				answer->call.seqs[answer->call.n_seqs++] = i;
		break;
	}
}

static void
apply(struct sim_world *w, struct sim_event *e)
{
	static struct sim_event ran; /* one thread */
	struct sim_event *answer;

	/* Sent just before its death: it may not have left the house. */
	if (w->places[e->place].life != e->life && sim_random(w, 2) == 0)
		return;
	memset(&ran, 0, offsetof(struct sim_event, rows));
	if (e->gen != 0 && sim_fault(w, w->odds.sql_refused))
		ran.on.on = ON_DB_REFUSED; /* undone, and would be again */
	else
		run(w, e, &ran);
	if (e->answer_ms < 0)
		return;
	answer = sim_post(w, e->gen != 0 ? EV_ANSWER : EV_REPLY, e->answer_ms);
	answer->place = e->place;
	answer->life = e->life;
	answer->gen = e->gen;
	answer->serial = e->serial;
	answer->sql = true;
	answer->on = ran.on;
	answer->query = e->query;
	answer->call = ran.call;
	answer->outcome = ran.outcome;
	answer->n_rows = ran.n_rows;
	memcpy(answer->rows, ran.rows, sizeof ran.rows);
}

/* engine_publish(): everybody hears of it, then it is marked. */
static void
publish(struct sim_world *w, int place, const struct db_call *call)
{
	struct db_call sent = {.fn = FN_OUTBOX_SENT, .n_seqs = call->n_seqs};

	if (call->n_seqs == 0)
		return;
	memcpy(sent.seqs, call->seqs, sizeof sent.seqs);
	for (int i = 0; i < call->n_seqs; i++)
		check_published(w, call->seqs[i]);
	own(w, place, &sent);
}

static void
compare(struct sim_world *w, int place, const struct sim_row *row)
{
	struct sim_job *job = &w->places[place].jobs[row->gen];

	if (!job->used || step_is_critical(job->state.phase))
		return;
	if (row->lost) {
		sim_say(w, "  i%d g%d: not ours any more", w->places[place].id,
		    row->gen);
		job->used = false;
	} else if (row->cancel && !job->state.cancel) {
		job_on(
		    w, place, row->gen, (struct step_event){.on = ON_CANCEL});
	}
}

static void
reply(struct sim_world *w, struct sim_event *e)
{
	struct sim_instance *self = &w->places[e->place];
	bool away = e->on.on == ON_DB_AWAY;

	if (e->query == QUERY_STRAYS) {
		self->checking = false;
		self->check_soon |= away;
	} else if (e->query == QUERY_CHANGED) {
		self->comparing = false;
	} else if (e->query == QUERY_NONE && e->call.fn == FN_CLAIM) {
		self->claiming = false;
		self->check_soon |= away;
	} else if (e->query == QUERY_NONE && e->call.fn == FN_ADOPT) {
		self->adopting = false;
		self->check_soon |= away;
		if (!away && e->n_rows == 0)
			self->adopt_after = 0;
	}
	if (e->call.fn == FN_INSTANCE_STOP && e->query == QUERY_NONE) {
		die(w, e->place, "stopped");
		return;
	}
	if (away)
		return;
	publish(w, e->place, &e->call);
	for (int i = 0; i < e->n_rows; i++) {
		const struct sim_row *row = &e->rows[i];

		if (e->query == QUERY_CHANGED) {
			compare(w, e->place, row);
			continue;
		}
		if (e->query == QUERY_NONE && row->apart)
			continue;
		if (e->query == QUERY_NONE && e->call.fn == FN_ADOPT &&
		    row->gen > self->adopt_after)
			self->adopt_after = row->gen;
		if (e->query == QUERY_STRAYS ||
		    ((e->call.fn == FN_CLAIM || e->call.fn == FN_ADOPT) &&
			!row->poisoned))
			job_take(w, e->place, row);
	}
}

/* --- Sweeps --------------------------------------------------------------- */

/* Statements that would find nothing now are not sent: they only cost time. */
static bool
any(const struct sim_world *w, int place, enum db_fn fn)
{
	const struct sim_instance *self = &w->places[place];
	const struct db *db = &w->db;
	bool found = false;

	for (int i = 1; i <= db->n_gens && !found; i++) {
		const struct db_gen *g = &db->gens[i];

		switch (fn) {
		case FN_CLAIM:
			found = g->job == J_QUEUED && g->eligible_at <= db->now;
			break;
		case FN_PROMOTE:
			found = g->job == J_SCHEDULED;
			break;
		case FN_ADOPT:
			found = !job_ended(g->job) &&
			    (g->owner == 0 ||
				instance_dead(db, g->owner, w->dead_ms));
			break;
		case FN_OVERDUE:
			found = !gen_ended(g->status) &&
			    (g->status == G_REVIEW || g->job == J_UNCERTAIN ||
				(g->deadline_at != 0 &&
				    g->deadline_at < db->now));
			break;
		default: /* what we carry changed, or we do not carry it */
			found = self->jobs[i].used
			    ? g->owner != self->id || g->status == G_CANCELLING
			    : g->owner == self->id;
			break;
		}
	}
	return found;
}

static bool
any_unpublished(const struct sim_world *w)
{
	for (int i = w->db.n_events; i > 0; i--)
		if (!w->db.events[i].published)
			return true;
	return false;
}

static void
sweeps(struct sim_world *w, int place)
{
	struct sim_instance *self = &w->places[place];
	struct db_call call = {.owner = self->id,
	    .limit = 100,
	    .delay_ms = w->dead_ms,
	    .after = self->adopt_after};

	if (!self->adopting && any(w, place, FN_ADOPT)) {
		self->adopting = true;
		call.fn = FN_ADOPT;
		call.limit = (int)sim_between(w, 1, 4);
		own(w, place, &call);
	}
	if (!self->comparing && any(w, place, DB_FNS)) {
		self->comparing = true;
		ask(w, place, QUERY_CHANGED);
	}
	if ((self->check_soon || self->tick % 8 == 0) && !self->checking &&
	    !self->claiming && !self->adopting && any(w, place, DB_FNS)) {
		self->check_soon = false;
		self->checking = true;
		ask(w, place, QUERY_STRAYS);
	}
	if (!self->claiming && !self->checking && any(w, place, FN_CLAIM)) {
		self->claiming = true;
		call.fn = FN_CLAIM;
		call.limit = (int)sim_between(w, 1, 4);
		own(w, place, &call);
	}
	if (self->tick % 2 == 0 && any(w, place, FN_OVERDUE)) {
		call.fn = FN_OVERDUE;
		own(w, place, &call);
	}
	if (self->tick % 4 == 1 && any(w, place, FN_PROMOTE)) {
		call.fn = FN_PROMOTE;
		own(w, place, &call);
	}
	if (self->tick % 4 == 3 && any_unpublished(w))
		ask(w, place, QUERY_OUTBOX);
}

/* Leaving: once nothing is carried, all rows go, then the instance's own. */
static void
leave(struct sim_world *w, int place)
{
	struct sim_instance *self = &w->places[place];
	struct db_call call = {.fn = FN_RELEASE, .owner = self->id};
	bool busy = false;

	for (int i = 1; i <= MAX_GENS; i++)
		busy |= self->jobs[i].used;
	if (busy || self->leaving)
		return;
	self->leaving = true;
	sim_sql(w, &call);
	call.fn = FN_INSTANCE_STOP;
	own(w, place, &call);
}

static void
tick(struct sim_world *w, int place)
{
	struct sim_instance *self = &w->places[place];
	int64_t ms = w->tick_ms;

	self->tick++;
	if (sim_quiet(w))
		ms *= 4;
	post(w, EV_TICK, place, ms * 3 / 4 + sim_between(w, 0, ms / 2));
	if (self->draining)
		leave(w, place);
	else
		sweeps(w, place);
}

static void
drain(struct sim_world *w, int place)
{
	struct sim_instance *self = &w->places[place];

	sim_say(w, "i%d drains", self->id);
	self->draining = true;
	post(w, EV_DIE, place, DRAIN_MS);
	for (int i = 1; i <= MAX_GENS; i++)
		if (self->jobs[i].used)
			job_on(
			    w, place, i, (struct step_event){.on = ON_DRAIN});
}

static void
hint(struct sim_world *w, const struct sim_event *e)
{
	struct sim_job *job = &w->places[e->place].jobs[e->gen];
	struct step_event event = {.on = ON_HURRY};

	if (!job->used)
		return;
	if (e->kind == EV_HINT_CANCEL) {
		if (job->state.cancel)
			return;
		event.on = ON_CANCEL;
	} else if (e->kind == EV_HINT_ID && job->attempt == e->attempt &&
	    step_wants_id(&job->state)) {
		job->provider_id = e->provider_id;
		event.on = ON_ACCEPTED;
	}
	job_on(w, e->place, e->gen, event);
}

/* --- An event at an instance ---------------------------------------------- */

static void
beat(struct sim_world *w, int place)
{
	struct db_call call = {.fn = FN_BEAT, .owner = w->places[place].id};

	post(w, EV_BEAT, place, w->dead_ms / (sim_quiet(w) ? 2 : 4));
	if (!sim_fault(w, w->odds.sql_lost))
		sim_sql(w, &call);
}

static void
happen(struct sim_world *w, struct sim_event *e)
{
	struct sim_job *job = &w->places[e->place].jobs[e->gen];

	switch (e->kind) {
	case EV_TICK:
		tick(w, e->place);
		break;
	case EV_BEAT:
		beat(w, e->place);
		break;
	case EV_REPLY:
		reply(w, e);
		break;
	case EV_DRAIN:
		drain(w, e->place);
		break;
	case EV_DIE:
		die(w, e->place, "left late");
		break;
	case EV_ANSWER:
		if (!job->used || job->serial != e->serial)
			break;
		if (e->sql)
			publish(w, e->place, &e->call);
		job_on_answer(w, e);
		break;
	case EV_TIMER:
		if (job->used && job->serial == e->serial)
			job_on(w, e->place, e->gen,
			    (struct step_event){.on = ON_TIMER});
		break;
	default:
		hint(w, e);
		break;
	}
}

/* It stands still: the event waits for it to go on. */
static void
put_off(struct sim_world *w, const struct sim_event *e, int64_t ms)
{
	struct sim_event *again = sim_post(w, e->kind, ms);
	struct sim_event keys = *again;

	*again = *e;
	again->at = keys.at;
	again->tie = keys.tie;
	again->number = keys.number;
}

void
engine_event(struct sim_world *w, struct sim_event *e)
{
	struct sim_instance *self = &w->places[e->place];

	if (e->kind == EV_APPLY) {
		apply(w, e);
		return;
	}
	if (e->kind == EV_START) {
		if (!self->up)
			engine_boot(w, e->place);
		return;
	}
	if (!self->up || self->life != e->life)
		return;
	if (self->stalled_until > w->db.now) {
		put_off(w, e, self->stalled_until - w->db.now);
		return;
	}
	happen(w, e);
	if (!self->up)
		return;
	if (sim_fault(w, w->odds.dies)) {
		if (w->fault != FAULT_NO_DOUBT && sim_random(w, 3) != 0) {
			die(w, e->place, "dies");
			return;
		}
		self->stalled_until = w->db.now + sim_between(w, 1, 120) * 1000;
		sim_say(w, "i%d stands still", self->id);
	}
}
