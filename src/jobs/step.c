/*
 * step.c - the state machine of a job, up to the result (step_result.c).  Pure;
 * job.c carries out its effects and feeds their results back.
 */
#include "jobs/step_make.h"

#include <assert.h>
#include <string.h>

void
step_init(struct step *state, enum step_from from, enum step_class class,
    int poll_ms, bool can_revoke, bool cancel, int64_t deadline_ms)
{
	memset(state, 0, sizeof *state);
	state->from = from;
	state->class = class;
	state->poll_ms = poll_ms > 0 ? poll_ms : 5000;
	state->can_revoke = can_revoke;
	state->cancel = cancel;
	state->deadline_ms = deadline_ms;
	state->have_id = from >= FROM_POLL;
	if (from == FROM_SENDING || from == FROM_PARKED)
		state->sends = 1;
}

/* Often while it is young, then slower. */
static int64_t
poll_interval(const struct step *s)
{
	int64_t ms = s->poll_ms;

	if (s->polls >= 36)
		ms *= 6;
	else if (s->polls >= 6)
		ms *= 2;
	return ms < STEP_POLL_CAP_MS ? ms : STEP_POLL_CAP_MS;
}

static struct step_out
requeue(const struct step *s, int64_t delay_ms)
{
	struct step_out o;

	if (s->cancel)
		return sql(s, DO_CANCELLED);
	o = sql(s, DO_REQUEUE);
	o.delay_ms = delay_ms;
	o.state.requeue_ms = delay_ms;
	return o;
}

static struct step_out
download(const struct step *s, int64_t now_ms)
{
	struct step copy = *s;

	if (copy.give_up_ms == 0)
		copy.give_up_ms = now_ms + STEP_RESULT_MS;
	return out(&copy, STEP_DOWNLOADING, DO_DOWNLOAD);
}

static struct step_out
park(const struct step *s)
{
	struct step_out o = sql(s, DO_PARK);

	o.delay_ms = s->class == STEP_CLASS_C ? STEP_PARK_MS : 0;
	return o;
}

/* They have it and it is not done: when do we ask again? */
static struct step_out
keep_asking(const struct step *s, const struct step_event *e)
{
	struct step copy = *s;

	if (copy.draining)
		return sql(&copy, DO_RELEASE);
	if (copy.cancel && copy.can_revoke && !copy.revoked) {
		copy.revoked = true;
		return out(&copy, STEP_REVOKING, DO_REVOKE);
	}
	if (e->now_ms >= copy.deadline_ms && !copy.reviewed)
		return sql(&copy, DO_REVIEW);
	if (copy.hurry) {
		copy.hurry = false;
		return wait_in(&copy, STEP_WAITING, 0);
	}
	return wait_in(&copy, STEP_WAITING,
	    jitter(copy.reviewed ? STEP_BACKOFF_CAP_MS : poll_interval(&copy),
		e->random));
}

/* The submit may or may not have been accepted. */
static struct step_out
uncertain(const struct step *s, const struct step_event *e)
{
	if (s->class == STEP_CLASS_B && s->sends <= STEP_SENDS_MAX)
		return wait_in(s, STEP_WAITING,
		    backoff(s->poll_ms, s->sends, STEP_POLL_CAP_MS, e->random));
	if (s->class == STEP_CLASS_A && s->sends < STEP_SENDS_MAX)
		return wait_in(s, STEP_RESEND,
		    backoff(2000, s->sends, STEP_BACKOFF_CAP_MS, e->random));
	/* Nothing will ever tell: give the money back, keep a note. */
	if (s->class == STEP_CLASS_D && s->sends <= 1)
		return fail(s, "provider_unknown");
	return park(s);
}

static struct step_out
claimed(const struct step *s, const struct step_event *e)
{
	struct step copy = *s;

	switch (s->from) {
	case FROM_SUBMIT:
		/* Nothing starts behind the back of who looks at it. */
		if (s->reviewed)
			return out(s, STEP_PARKED, DO_NOTHING);
		return sql(s,
		    s->cancel	     ? DO_CANCELLED
			: s->enhance ? DO_ENHANCE
				     : DO_START);
	case FROM_SENDING:
		copy.sent_ms = e->now_ms;
		return uncertain(&copy, e);
	case FROM_PARKED:
		return out(s, STEP_PARKED, DO_NOTHING);
	case FROM_POLL:
		/* A little spread: a dead neighbour's jobs come together. */
		if (!copy.cancel)
			return wait_in(
			    s, STEP_WAITING, jitter(s->poll_ms, e->random) / 4);
		return keep_asking(s, e);
	case FROM_DOWNLOAD:
		return download(s, e->now_ms);
	case FROM_STORED:
		return out(s, STEP_DOWNLOADING, DO_DOWNLOAD);
	}
	assert(!"claimed from nowhere");
	return stay(s);
}

static struct step_out
committed(const struct step *s, const struct step_event *e)
{
	struct step copy = *s;

	copy.db_fails = 0;
	switch (s->phase) {
	case STEP_STARTING:
		if (copy.cancel)
			return sql(&copy, DO_CANCELLED);
		if (copy.draining) { /* nothing was sent: say so */
			copy.requeue_counts = false;
			return requeue(&copy, 0);
		}
		copy.sends++;
		copy.sent_ms = e->now_ms;
		return out(&copy, STEP_SENDING, DO_SEND);
	case STEP_RECORDING:
		copy.have_id = true;
		return keep_asking(&copy, e);
	case STEP_FINALIZING:
		return copy.draining ? sql(&copy, DO_RELEASE)
				     : download(&copy, e->now_ms);
	case STEP_ENDING:
		if (s->redo == DO_PARK)
			return copy.draining
			    ? sql(&copy, DO_RELEASE)
			    : out(&copy, STEP_PARKED, DO_NOTHING);
		if (s->redo == DO_REVIEW) {
			copy.reviewed = true;
			if (!copy.refused)
				return keep_asking(&copy, e);
			copy.refused = false;
			return copy.draining
			    ? sql(&copy, DO_RELEASE)
			    : out(&copy, STEP_PARKED, DO_NOTHING);
		}
		return out(&copy, STEP_OVER, DO_DROP);
	default:
		return stay(s);
	}
}

static struct step_out
db_away(const struct step *s, const struct step_event *e)
{
	struct step_out o;

	if (!(s->phase == STEP_ENHANCING || s->phase == STEP_STARTING ||
		s->phase == STEP_RECORDING || s->phase == STEP_FINALIZING ||
		s->phase == STEP_ENDING))
		return stay(s);
	o = wait_in(s, STEP_DB_WAIT,
	    backoff(1000, s->db_fails, STEP_POLL_CAP_MS, e->random));
	o.state.db_fails++;
	/* The attempt may have been written, and nothing was sent: a requeue
	 * is right in both cases. */
	if (s->redo == DO_START) {
		o.state.redo = DO_REQUEUE;
		o.state.requeue_ms = 0;
		o.state.requeue_counts = false;
	}
	return o;
}

/* Not an outage: trying again is no use, and a person must know. */
static struct step_out
db_refused(const struct step *s, const struct step_event *e)
{
	struct step copy = *s;

	if (s->redo == DO_REVIEW || s->redo == DO_RELEASE)
		return db_away(s, e); /* there is no other way to say it */
	copy.refused = true;
	return sql(&copy, DO_REVIEW);
}

/* Nothing was sent yet: a stop or a cancel takes effect here. */
static struct step_out
enhanced(const struct step *s)
{
	struct step copy = *s;

	copy.enhance = false;
	copy.db_fails = 0;
	return sql(&copy,
	    copy.cancel		? DO_CANCELLED
		: copy.draining ? DO_RELEASE
				: DO_START);
}

static struct step_out
sent(const struct step *s, const struct step_event *e)
{
	struct step copy = *s;
	int64_t delay;

	switch (e->on) {
	case ON_ACCEPTED:
		return sql(s, DO_RECORD);
	case ON_REFUSED:
		/* A refusal of a repeat says nothing about the first. */
		if (s->sends > 1)
			return park(s);
		return fail(s, e->why);
	case ON_UNCERTAIN:
		return uncertain(s, e);
	case ON_NOT_SENT:
	case ON_BUSY:
		if (s->sends > 1) /* the first one may have been accepted */
			return uncertain(s, e);
		delay = backoff(2000, 0, STEP_BACKOFF_CAP_MS, e->random);
		if (e->retry_after_ms > delay)
			delay = e->retry_after_ms;
		copy.requeue_counts = e->on == ON_NOT_SENT;
		return requeue(&copy, delay);
	default:
		return stay(s);
	}
}

static struct step_out
polled(const struct step *s, const struct step_event *e)
{
	struct step copy = *s;
	int64_t delay;

	copy.polls++;
	if (e->on != ON_POLL_FAILED)
		copy.poll_fails = 0;
	if (!s->have_id) { /* class B: asked by the id we chose */
		if (e->on == ON_ABSENT) {
			if (e->now_ms - s->sent_ms < STEP_GRACE_MS)
				return wait_in(&copy, STEP_WAITING,
				    jitter(poll_interval(&copy), e->random));
			if (s->sends >= STEP_SENDS_MAX || s->cancel)
				return park(&copy);
			return wait_in(&copy, STEP_RESEND, 0);
		}
		if (e->on != ON_POLL_FAILED)
			return sql(&copy, DO_RECORD); /* they do have it */
	}
	switch (e->on) {
	case ON_ALIVE:
		return keep_asking(&copy, e);
	case ON_ABSENT: /* they forgot what they had: ask until the deadline */
	case ON_POLL_FAILED:
		if (copy.draining)
			return sql(&copy, DO_RELEASE);
		if (e->now_ms >= copy.deadline_ms && !copy.have_id)
			return park(&copy);
		if (e->now_ms >= copy.deadline_ms && !copy.reviewed)
			return sql(&copy, DO_REVIEW);
		delay = backoff(copy.poll_ms, copy.poll_fails,
		    STEP_BACKOFF_CAP_MS, e->random);
		copy.poll_fails++;
		if (e->retry_after_ms > delay)
			delay = e->retry_after_ms;
		return wait_in(&copy, STEP_WAITING, delay);
	case ON_DONE:
		if (copy.give_up_ms == 0)
			copy.give_up_ms = e->expires_ms > e->now_ms
			    ? e->expires_ms
			    : e->now_ms + STEP_RESULT_MS;
		copy.fresh_link = copy.relinks > 0;
		return sql(&copy, DO_FINALIZE);
	case ON_FAILED:
		if (copy.cancel)
			return sql(&copy, DO_CANCELLED);
		return fail(&copy, e->why);
	case ON_GONE:
		if (copy.cancel)
			return sql(&copy, DO_CANCELLED);
		return fail(&copy, "provider_cancelled");
	default:
		return stay(s);
	}
}

static struct step_out
timed(const struct step *s, const struct step_event *e)
{
	struct step copy = *s;
	struct step_out o;

	switch (s->phase) {
	case STEP_RESEND:
		copy.sends++;
		return out(&copy, STEP_SENDING, DO_SEND);
	case STEP_WAITING:
		copy.hurry = false;
		return out(&copy, STEP_POLLING, DO_POLL);
	case STEP_DOWNLOAD_WAIT:
		return download(s, e->now_ms);
	case STEP_PROBE_WAIT:
		return out(s, STEP_PROBING, DO_PROBE);
	case STEP_STORE_WAIT:
		return out(s, STEP_STORING, DO_STORE);
	case STEP_DB_WAIT:
		o = sql(s, s->redo);
		if (s->redo == DO_REQUEUE)
			o.delay_ms = s->requeue_ms;
		else if (s->redo == DO_PARK)
			o = park(s);
		return o;
	default:
		return stay(s);
	}
}

static struct step_out
cancelled(const struct step *s, const struct step_event *e)
{
	struct step copy = *s;

	copy.cancel = true;
	if (s->phase == STEP_WAITING && s->have_id)
		return keep_asking(&copy, e).effect == DO_REVOKE
		    ? keep_asking(&copy, e)
		    : stay(&copy);
	return stay(&copy);
}

static struct step_out
drained(const struct step *s)
{
	struct step copy = *s;

	copy.draining = true;
	switch (s->phase) {
	case STEP_NEW:
	case STEP_ENHANCING:
	case STEP_WAITING:
	case STEP_PARKED:
	case STEP_RESEND:
	case STEP_POLLING:
	case STEP_REVOKING:
	case STEP_DOWNLOADING:
	case STEP_DOWNLOAD_WAIT:
	case STEP_PROBE_WAIT:
	case STEP_STORE_WAIT:
		return sql(&copy, DO_RELEASE);
	default:
		return stay(&copy);
	}
}

struct step_out
step(const struct step *s, const struct step_event *e)
{
	struct step copy = *s;

	if (s->phase == STEP_OVER)
		return stay(s);
	assert(step_hears(s->phase, e->on));
	switch (e->on) {
	case ON_CLAIM:
		return claimed(s, e);
	case ON_COMMITTED:
		return committed(s, e);
	case ON_DB_AWAY:
		return db_away(s, e);
	case ON_DB_REFUSED:
		return db_refused(s, e);
	case ON_LOST:
		return out(s, STEP_OVER, DO_DROP);
	case ON_ENHANCED:
		return enhanced(s);
	case ON_EXHAUSTED:
		return fail(
		    s, e->why != NULL ? e->why : "provider_unreachable");
	case ON_TIMER:
		return timed(s, e);
	case ON_HURRY:
		if (s->phase == STEP_WAITING && s->have_id)
			return wait_in(s, STEP_WAITING, 0);
		copy.hurry = true;
		return stay(&copy);
	case ON_CANCEL:
		return cancelled(s, e);
	case ON_DRAIN:
		return drained(s);
	case ON_REVOKED:
		/* Whatever they said, the status tells: ask soon. */
		return s->draining ? sql(s, DO_RELEASE)
				   : wait_in(s, STEP_WAITING,
					 s->poll_ms < 2000 ? s->poll_ms : 2000);
	case ON_SIDE_DONE:
		if (s->phase == STEP_RENDERING)
			return out(s, STEP_POSTING, DO_POST);
		return sql(s, DO_FINISH);
	default:
		break;
	}
	/* Their callback was faster than our search for a lost submit. */
	if (e->on == ON_ACCEPTED && !s->have_id)
		return sql(s, DO_RECORD);
	switch (s->phase) {
	case STEP_SENDING:
		return sent(s, e);
	case STEP_POLLING:
		return polled(s, e);
	case STEP_DOWNLOADING:
		return step_downloaded(s, e);
	case STEP_PROBING:
		return step_probed(s, e);
	case STEP_STORING:
		return step_stored(s, e);
	default:
		return stay(s);
	}
}
