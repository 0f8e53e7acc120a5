/*
 * engine_job.c - a job in an instance's memory, as src/jobs/job.c carries it:
 * step() says what to do, this does it to the simulated world.
 */
#include "sim/sim.h"

#include <string.h>

#include "reeld/mem.h"

enum { REQUEST_TIMEOUT_MS = 30 * 1000 };

/* Where the row is, as from_of() of job.c. */
static enum step_from
from_of(const struct db *db, const struct db_gen *g)
{
	const struct db_attempt *a = &db->attempts[g->attempt];

	if (g->step == S_DOWNLOAD)
		return FROM_DOWNLOAD;
	if (g->step == S_POLL)
		return FROM_POLL;
	if (g->job == J_UNCERTAIN)
		return FROM_PARKED;
	return g->attempt != 0 &&
		(a->status == A_SUBMITTING || a->status == A_AMBIGUOUS)
	    ? FROM_SENDING
	    : FROM_SUBMIT;
}

void
engine_row(const struct sim_world *w, int gen, struct sim_row *row)
{
	const struct db_gen *g = &w->db.gens[gen];

	*row = (struct sim_row){
	    .gen = gen,
	    .attempt = g->attempt,
	    .provider_id = w->db.attempts[g->attempt].provider_id,
	    .from = from_of(&w->db, g),
	    .cancel = g->status == G_CANCELLING,
	    .reviewed = g->status == G_REVIEW,
	    .blamed = g->crashes > 0,
	    .deadline_at = g->attempt != 0 && g->deadline_at != 0
		? g->deadline_at
		: w->db.now + g->deadline_ms,
	};
}

void
job_take(struct sim_world *w, int place, const struct sim_row *row)
{
	struct sim_job *job = &w->places[place].jobs[row->gen];

	if (job->used)
		return;
	*job = (struct sim_job){.used = true,
	    .attempt = row->attempt,
	    .provider_id = row->provider_id,
	    .blamed = row->blamed};
	step_init(&job->state, row->from, w->class_of[row->gen],
	    (int)w->poll_ms, row->gen % 3 != 0, row->cancel, row->deadline_at);
	job->state.reviewed = row->reviewed;
	/* Of some; what came of it is forgotten each time, which is worse
	 * than what the row keeps. */
	job->state.enhance = row->gen % 3 == 1;
	job_on(w, place, row->gen, (struct step_event){.on = ON_CLAIM});
}

/* --- What it asks of others ----------------------------------------------- */

static struct sim_event *
answer_in(struct sim_world *w, int place, int gen, int64_t delay_ms,
    struct step_event on)
{
	struct sim_event *e = sim_post(w, EV_ANSWER, delay_ms);

	e->place = place;
	e->life = w->places[place].life;
	e->gen = gen;
	e->serial = w->places[place].jobs[gen].serial;
	e->on = on;
	return e;
}

static void
request(struct sim_world *w, int place, int gen, enum sim_ask ask)
{
	struct sim_job *job = &w->places[place].jobs[gen];
	bool paid = ask == ASK_SUBMIT;
	enum step_on nothing = paid ? ON_UNCERTAIN
	    : ask == ASK_CANCEL	    ? ON_REVOKED
				    : ON_POLL_FAILED;
	bool lost, unsaid;
	struct sim_event *e;

	if (paid && sim_fault(w, w->odds.not_sent)) {
		answer_in(
		    w, place, gen, 10, (struct step_event){.on = ON_NOT_SENT});
		return;
	}
	lost = sim_fault(w, paid ? w->odds.send_lost : w->odds.poll_fails);
	unsaid = sim_fault(w, paid ? w->odds.send_unsaid : w->odds.poll_fails);
	if (lost || unsaid)
		answer_in(w, place, gen,
		    sim_between(w, 100, REQUEST_TIMEOUT_MS),
		    (struct step_event){.on = nothing, .why = "x"});
	if (lost)
		return;
	e = sim_post(w, EV_REQUEST, sim_between(w, 1, 99));
	e->place = place;
	e->life = w->places[place].life;
	e->gen = gen;
	e->serial = job->serial;
	e->attempt = job->attempt;
	e->provider_id = job->provider_id;
	e->ask = ask;
	e->answer_ms = unsaid ? -1 : sim_between(w, 1, 400);
}

static void
local(struct sim_world *w, int place, int gen, enum step_on on)
{
	struct step_event event = {.on = on, .why = "local"};

	event.unplayable = on == ON_PROBED && sim_random(w, 4) == 0;
	event.lost = on == ON_STORE_AWAY && sim_random(w, 3) == 0;
	answer_in(w, place, gen, sim_between(w, 1, 8000), event);
}

static enum step_on
probe(struct sim_world *w)
{
	return sim_fault(w, w->odds.media_away) ? ON_MEDIA_AWAY
	    : sim_fault(w, w->odds.media_bad)	? ON_MEDIA_BAD
						: ON_PROBED;
}

static void
sql(struct sim_world *w, int place, int gen, enum step_do what,
    int64_t delay_ms)
{
	struct sim_job *job = &w->places[place].jobs[gen];
	struct db_call call = {.gen = gen,
	    .owner = w->places[place].id,
	    .attempt = job->attempt,
	    .provider_id = job->provider_id,
	    .delay_ms = delay_ms,
	    .amount = -1};

	switch (what) {
	case DO_START:
		job->attempt = call.attempt = ++w->next_attempt;
		call.fn = FN_START;
		break;
	case DO_RECORD:
		call.fn = FN_SUBMITTED;
		break;
	case DO_PARK:
		call.fn = FN_UNCERTAIN;
		break;
	case DO_FINALIZE:
		call.fn =
		    job->state.relinks > 0 || job->state.from == FROM_DOWNLOAD
		    ? FN_RESULT_URL
		    : FN_FINALIZING;
		break;
	case DO_FINISH:
		call.fn = FN_FINISH;
		if (gen % 2 == 0) /* a video shorter than ordered */
			call.amount = w->db.gens[gen].credits / 2;
		break;
	case DO_FAIL:
		call.fn = FN_FAIL;
		break;
	case DO_CANCELLED:
		call.fn = FN_CANCELLED;
		break;
	case DO_REVIEW:
		call.fn = FN_REVIEW;
		break;
	case DO_REQUEUE:
		call.fn = FN_REQUEUE;
		call.counts = job->state.requeue_counts;
		break;
	default:
		call.fn = FN_RELEASE;
		break;
	}
	engine_sql(w, place, gen, job->serial, &call);
}

static void
perform(struct sim_world *w, int place, int gen, const struct step_out *o)
{
	struct sim_job *job = &w->places[place].jobs[gen];
	struct sim_event *e;

	switch (o->effect) {
	case DO_WAIT:
		e = sim_post(w, EV_TIMER, o->delay_ms);
		e->place = place;
		e->life = w->places[place].life;
		e->gen = gen;
		e->serial = job->serial;
		break;
	case DO_ENHANCE:
		local(w, place, gen,
		    sim_fault(w, w->odds.sql_lost) ? ON_DB_AWAY : ON_ENHANCED);
		break;
	case DO_SEND:
		request(w, place, gen, ASK_SUBMIT);
		break;
	case DO_POLL:
		request(
		    w, place, gen, job->state.have_id ? ASK_POLL : ASK_FIND);
		break;
	case DO_REVOKE:
		request(w, place, gen, ASK_CANCEL);
		break;
	case DO_DOWNLOAD:
		local(w, place, gen, provider_link(w, gen));
		break;
	case DO_PROBE:
		local(w, place, gen, probe(w));
		break;
	case DO_STORE:
		local(w, place, gen,
		    sim_fault(w, w->odds.store_away) ? ON_STORE_AWAY
						     : ON_STORED);
		break;
	case DO_RENDER:
	case DO_POST:
		local(w, place, gen, ON_SIDE_DONE);
		break;
	case DO_DROP:
		job->used = false;
		break;
	case DO_NOTHING:
	case STEP_DOS:
		break;
	default:
		sql(w, place, gen, o->effect, o->delay_ms);
		break;
	}
}

/* --- step(), and planted faults of it ------------------------------------- */

struct step_out
sim_step(
    const struct sim_world *w, const struct step *s, const struct step_event *e)
{
	struct step_out o = step(s, e);
	bool unknown = s->phase == STEP_SENDING && e->on == ON_UNCERTAIN &&
	    s->class >= STEP_CLASS_C;

	if (w->fault == FAULT_SEND_AGAIN && unknown) {
		o = (struct step_out){*s, DO_WAIT, 2000};
		o.state.phase = STEP_RESEND;
	} else if ((w->fault == FAULT_REQUEUE_UNKNOWN && unknown) ||
	    (w->fault == FAULT_TRUST_REFUSAL && s->sends > 1 &&
		s->phase == STEP_SENDING && e->on == ON_REFUSED)) {
		o = (struct step_out){*s, DO_REQUEUE, 2000};
		o.state.phase = STEP_ENDING;
		o.state.redo = DO_REQUEUE;
		o.state.requeue_ms = 2000;
	} else if (w->fault == FAULT_SEND_BEFORE_COMMIT &&
	    s->phase == STEP_STARTING && e->on == ON_DB_AWAY) {
		o = (struct step_out){*s, DO_SEND, 0};
		o.state.phase = STEP_SENDING;
		o.state.sends++;
	} else if (w->fault == FAULT_NO_GRACE && e->on == ON_ABSENT &&
	    s->phase == STEP_POLLING && !s->have_id) {
		o = (struct step_out){*s, DO_REQUEUE, 0};
		o.state.phase = STEP_ENDING;
		o.state.redo = DO_REQUEUE;
	}
	return o;
}

/* As took_step() of job.c, and progress.c: said until the row has heard it. */
static void
clean(struct sim_world *w, int place, int gen, enum step_phase was,
    const struct step_event *event, const struct step_out *o)
{
	struct sim_job *job = &w->places[place].jobs[gen];
	struct db_call call = {
	    .fn = FN_CLEAN, .gen = gen, .owner = w->places[place].id};

	job->blamed &= w->db.gens[gen].crashes > 0;
	if (!job->blamed ||
	    !(o->state.phase == STEP_PARKED ||
		(o->effect == DO_WAIT && was != STEP_NEW &&
		    event->on != ON_HURRY && event->on != ON_DB_AWAY)))
		return;
	engine_sql(w, place, 0, 0, &call);
}

void
job_on(struct sim_world *w, int place, int gen, struct step_event event)
{
	struct sim_job *job = &w->places[place].jobs[gen];
	enum step_phase was = job->state.phase;
	struct step_out o;

	event.now_ms = w->db.now;
	event.random = sim_random(w, UINT32_MAX);
	o = sim_step(w, &job->state, &event);
	sim_say(w, "  i%d g%d %s + %s -> %s, %s %lld", w->places[place].id, gen,
	    step_phase_name(was), step_on_name(event.on),
	    step_phase_name(o.state.phase), step_do_name(o.effect),
	    (long long)o.delay_ms);
	job->state = o.state;
	clean(w, place, gen, was, &event, &o);
	if (o.effect == DO_NOTHING)
		return;
	/* What is in flight goes on, unheard. */
	job->serial = ++w->serials;
	if (event.on == ON_LOST)
		w->places[place].check_soon = true;
	perform(w, place, gen, &o);
}

/* As job_on_sql() of job.c. */
static enum step_on
meaning(struct sim_job *job, enum db_outcome outcome)
{
	enum step_do what = job->state.redo;

	if (what == DO_RELEASE)
		return ON_COMMITTED;
	if (outcome == DB_GONE && what != DO_REVIEW)
		return ON_LOST;
	if (outcome == DB_EXHAUSTED)
		return ON_EXHAUSTED;
	if (outcome == DB_CANCELLING)
		job->state.cancel = true;
	return ON_COMMITTED;
}

void
job_on_answer(struct sim_world *w, struct sim_event *e)
{
	struct sim_job *job = &w->places[e->place].jobs[e->gen];
	struct step_event on = e->on;

	if (e->sql && on.on != ON_DB_AWAY && on.on != ON_DB_REFUSED)
		on.on = meaning(job, e->outcome);
	if (e->provider_id != 0)
		job->provider_id = e->provider_id;
	if (on.on == ON_STORED)
		w->known.has_video[e->gen] = true;
	job_on(w, e->place, e->gen, on);
}
