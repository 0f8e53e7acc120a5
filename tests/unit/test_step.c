/*
 * test_step.c - the job state machine: every phase with every event, and
 * whole lives in a small world of a database and a provider, with a seed,
 * where anything may fail or crash between any two effects.
 */
#include "unit.h"

#include <stdlib.h>

#include "jobs/step.h"
#include "reeld/mem.h"

/* What an effect's phase may hear, besides what comes from outside. */
static const struct {
	enum step_phase phase;
	enum step_on on[8];
	int n;
} answers[] = {
    {STEP_NEW, {ON_CLAIM}, 1},
    {STEP_STARTING, {ON_COMMITTED, ON_DB_AWAY, ON_DB_REFUSED, ON_LOST}, 4},
    {STEP_SENDING,
	{ON_NOT_SENT, ON_BUSY, ON_REFUSED, ON_UNCERTAIN, ON_ACCEPTED}, 5},
    {STEP_RECORDING, {ON_COMMITTED, ON_DB_AWAY, ON_DB_REFUSED, ON_LOST}, 4},
    {STEP_PARKED, {ON_ACCEPTED, ON_LOST}, 2},
    {STEP_RESEND, {ON_TIMER, ON_LOST, ON_ACCEPTED}, 3},
    {STEP_WAITING, {ON_TIMER, ON_LOST, ON_ACCEPTED}, 3},
    {STEP_POLLING,
	{ON_ALIVE, ON_POLL_FAILED, ON_ABSENT, ON_DONE, ON_FAILED, ON_GONE,
	    ON_ACCEPTED},
	7},
    {STEP_REVOKING, {ON_REVOKED}, 1},
    {STEP_FINALIZING, {ON_COMMITTED, ON_DB_AWAY, ON_DB_REFUSED, ON_LOST}, 4},
    {STEP_DOWNLOADING,
	{ON_DOWNLOADED, ON_LINK_DEAD, ON_DOWNLOAD_AWAY, ON_DOWNLOAD_BAD}, 4},
    {STEP_DOWNLOAD_WAIT, {ON_TIMER, ON_LOST}, 2},
    {STEP_PROBING, {ON_PROBED, ON_MEDIA_AWAY, ON_MEDIA_BAD}, 3},
    {STEP_PROBE_WAIT, {ON_TIMER}, 1},
    {STEP_STORING, {ON_STORED, ON_STORE_AWAY}, 2},
    {STEP_STORE_WAIT, {ON_TIMER}, 1},
    {STEP_RENDERING, {ON_SIDE_DONE}, 1},
    {STEP_POSTING, {ON_SIDE_DONE}, 1},
    {STEP_ENDING,
	{ON_COMMITTED, ON_DB_AWAY, ON_DB_REFUSED, ON_LOST, ON_EXHAUSTED}, 5},
    {STEP_DB_WAIT, {ON_TIMER, ON_LOST}, 2},
};

/* Which phase each effect leads to. */
static bool
phase_fits(enum step_do effect, enum step_phase before, enum step_phase after)
{
	switch (effect) {
	case DO_NOTHING:
		return after == before || after == STEP_PARKED;
	case DO_START:
		return after == STEP_STARTING;
	case DO_SEND:
		return after == STEP_SENDING;
	case DO_RECORD:
		return after == STEP_RECORDING;
	case DO_WAIT:
		return step_is_timed(after);
	case DO_POLL:
		return after == STEP_POLLING;
	case DO_REVOKE:
		return after == STEP_REVOKING;
	case DO_FINALIZE:
		return after == STEP_FINALIZING;
	case DO_DOWNLOAD:
		return after == STEP_DOWNLOADING;
	case DO_PROBE:
		return after == STEP_PROBING;
	case DO_STORE:
		return after == STEP_STORING;
	case DO_RENDER:
		return after == STEP_RENDERING;
	case DO_POST:
		return after == STEP_POSTING;
	case DO_DROP:
		return after == STEP_OVER;
	default:
		return after == STEP_ENDING;
	}
}

static void
check_out(
    const struct step *s, const struct step_event *e, const struct step_out *o)
{
	if (!phase_fits(o->effect, s->phase, o->state.phase))
		fail_msg("%s + %s: %s in %s", step_phase_name(s->phase),
		    step_on_name(e->on), step_do_name(o->effect),
		    step_phase_name(o->state.phase));
	CHECK(o->delay_ms >= 0);
	/* The promise about money: a request goes out once, unless they
	 * honour our token. */
	if (o->effect == DO_SEND && o->state.class >= STEP_CLASS_C)
		CHECK(s->phase == STEP_STARTING && e->on == ON_COMMITTED);
	if (o->effect == DO_SEND)
		CHECK(o->state.sends <= STEP_SENDS_MAX);
	/* Only what surely was not sent goes back to the queue. */
	if (o->effect == DO_REQUEUE && s->phase == STEP_SENDING)
		CHECK(s->sends == 1 &&
		    (e->on == ON_NOT_SENT || e->on == ON_BUSY));
	/* Nothing in flight is forgotten by what comes from outside. */
	if ((e->on == ON_CANCEL || e->on == ON_DRAIN || e->on == ON_HURRY) &&
	    step_is_critical(s->phase)) {
		CHECK(o->effect == DO_NOTHING);
		CHECK(o->state.phase == s->phase);
	}
	if (o->effect == DO_FAIL)
		CHECK(o->state.why[0] != '\0');
}

/* Every phase x answer x class x from x flags: no assert, rules hold. */
TEST(test_all_pairs)
{
	static const enum step_on outside[] = {ON_HURRY, ON_CANCEL, ON_DRAIN};
	int pairs = 0;

	for (size_t i = 0; i < nitems(answers); i++)
		for (int bits = 0; bits < 1 << 10; bits++)
			for (int from = FROM_SUBMIT; from <= FROM_STORED;
			     from++) {
				struct step s;
				struct step_event e = {.now_ms = 1000,
				    .random = 0x80000000,
				    .why = "x"};
				int n = answers[i].n;

				step_init(&s, (enum step_from)from,
				    (enum step_class)(bits & 3), 5000, bits & 4,
				    bits & 8, bits & 16 ? 500 : 100000);
				s.phase = answers[i].phase;
				s.draining = bits & 32;
				s.have_id = bits & 64 && s.phase != STEP_PARKED;
				s.reviewed = bits & 128;
				s.relinks = bits & 256 ? STEP_RELINKS_MAX : 0;
				s.give_up_ms = bits & 512 ? 10 : 0;
				if (s.sends == 0 && s.phase > STEP_STARTING)
					s.sends = 1;
				s.redo = s.phase == STEP_RECORDING ? DO_RECORD
				    : s.phase == STEP_STARTING	   ? DO_START
				    : s.phase == STEP_FINALIZING   ? DO_FINALIZE
								   : DO_FAIL;
				str_copy(s.why, sizeof s.why, "x");
				for (int k = 0; k < n + 3; k++) {
					struct step_out o;

					e.on = k < n ? answers[i].on[k]
						     : outside[k - n];
					if (s.phase == STEP_RESEND &&
					    s.class >= STEP_CLASS_C)
						continue;
					if (e.on == ON_EXHAUSTED)
						s.redo = DO_REQUEUE;
					o = step(&s, &e);
					check_out(&s, &e, &o);
					pairs++;
				}
			}
	CHECK_INT(pairs, >, 100000);
}

/* --- A small world ------------------------------------------------------- */

struct world {
	uint32_t seed;
	int64_t now_ms;
	/* the database */
	enum step_from row;
	bool row_cancel, ended, owned, in_review;
	int terminals, refunds, charges_kept;
	/* the provider: one paid request per token, or per send */
	bool honours_token, queryable, calls_back;
	int accepted, sends, asked_cancel;
	bool has_it, done, broken, gone;
	bool attempt_open;
};

static uint32_t
rnd(struct world *w, uint32_t below)
{
	w->seed = w->seed * 1664525u + 1013904223u;
	return (w->seed >> 8) % below;
}

static void
end(struct world *w, bool refund)
{
	CHECK(!w->ended);
	w->ended = true;
	w->terminals++;
	w->refunds += refund;
	w->charges_kept += !refund;
}

/* The database's side of an SQL effect; the answer may get lost. */
static enum step_on
commit(struct world *w, struct step *s, enum step_do what)
{
	bool applies = rnd(w, 12) != 0, told = applies && rnd(w, 12) != 0;

	if (w->ended)
		return ON_LOST;
	if (rnd(w, 60) == 0)
		return ON_DB_REFUSED;
	if (applies)
		switch (what) {
		case DO_START:
			if (w->row != FROM_SUBMIT || w->attempt_open ||
			    w->in_review)
				return ON_LOST;
			w->attempt_open = true;
			w->row = FROM_SENDING;
			break;
		case DO_RECORD:
			if (w->row >= FROM_POLL)
				return ON_LOST;
			CHECK(w->has_it);
			w->row = FROM_POLL;
			w->in_review = false;
			break;
		case DO_PARK:
			if (w->row >= FROM_POLL)
				return ON_LOST;
			w->row = FROM_PARKED;
			w->in_review = true;
			break;
		case DO_FINALIZE:
			if (s->relinks == 0 && w->row >= FROM_DOWNLOAD)
				return ON_LOST;
			w->row = FROM_DOWNLOAD;
			w->in_review = false;
			break;
		case DO_REQUEUE:
			if (w->row >= FROM_POLL)
				return ON_LOST;
			CHECK_INT(w->accepted, ==, 0);
			if (w->row_cancel)
				end(w, true);
			else if (rnd(w, 20) == 0)
				return ON_EXHAUSTED;
			w->row = FROM_SUBMIT;
			w->attempt_open = false;
			break;
		case DO_FINISH:
			CHECK(w->done);
			end(w, false);
			break;
		case DO_FAIL:
		case DO_CANCELLED:
			end(w, true);
			break;
		case DO_REVIEW:
			w->in_review = true;
			break;
		default: /* RELEASE */
			break;
		}
	return told ? ON_COMMITTED : ON_DB_AWAY;
}

static enum step_on
send_paid(struct world *w)
{
	bool arrives;

	w->sends++;
	switch (rnd(w, 8)) {
	case 0:
		return ON_NOT_SENT;
	case 1:
		return ON_BUSY;
	case 2:
		if (!w->has_it)
			return ON_REFUSED;
		break;
	default:
		break;
	}
	arrives = rnd(w, 6) != 0;
	if (arrives) {
		if (!(w->has_it && w->honours_token))
			w->accepted++;
		w->has_it = true;
		if (rnd(w, 4) != 0)
			return ON_ACCEPTED;
	}
	return ON_UNCERTAIN;
}

static enum step_on
ask(struct world *w)
{
	if (rnd(w, 6) == 0)
		return ON_POLL_FAILED;
	if (!w->has_it)
		return ON_ABSENT;
	if (!w->done && !w->broken && !w->gone) {
		uint32_t r = rnd(w, 8);

		w->done = r == 0;
		w->broken = r == 1;
		w->gone = w->asked_cancel > 0 && r < 5 && r > 1;
	}
	return w->gone	? ON_GONE
	    : w->done	? ON_DONE
	    : w->broken ? ON_FAILED
			: ON_ALIVE;
}

static enum step_on
one_of(struct world *w, enum step_on good, enum step_on away, enum step_on bad)
{
	uint32_t r = rnd(w, 10);

	return r == 0 ? bad : r < 3 ? away : good;
}

/* The world's answer to an effect; false: none comes by itself. */
static bool
answer(struct world *w, struct step *s, const struct step_out *o,
    struct step_event *e)
{
	switch (o->effect) {
	case DO_NOTHING:
		if (s->phase == STEP_PARKED && w->calls_back && w->has_it &&
		    w->row < FROM_POLL) {
			e->on = ON_ACCEPTED;
			return true;
		}
		return false;
	case DO_SEND:
		e->on = send_paid(w);
		return true;
	case DO_WAIT:
		w->now_ms += o->delay_ms + 1;
		e->on = ON_TIMER;
		return true;
	case DO_POLL:
		e->on = ask(w);
		return true;
	case DO_REVOKE:
		w->asked_cancel++;
		e->on = ON_REVOKED;
		return true;
	case DO_DOWNLOAD:
		e->on = rnd(w, 8) == 0 ? ON_LINK_DEAD
				       : one_of(w, ON_DOWNLOADED,
					     ON_DOWNLOAD_AWAY, ON_DOWNLOAD_BAD);
		return true;
	case DO_PROBE:
		e->on = one_of(w, ON_PROBED, ON_MEDIA_AWAY, ON_MEDIA_BAD);
		e->unplayable = rnd(w, 3) == 0;
		return true;
	case DO_STORE:
		e->on = one_of(w, ON_STORED, ON_STORE_AWAY, ON_STORE_AWAY);
		e->lost = e->on == ON_STORE_AWAY && rnd(w, 2) == 0;
		return true;
	case DO_RENDER:
	case DO_POST:
		e->on = ON_SIDE_DONE;
		return true;
	case DO_DROP:
		return false;
	default:
		e->on = commit(w, s, o->effect);
		return true;
	}
}

/* One life; true when it ended, false when it waits in review. */
static bool
live(struct world *w, enum step_class class)
{
	struct step s;
	struct step_event e;
	struct step_out o;
	int crashes = 0;

	for (int turns = 0; turns < 5000; turns++) {
		enum step_from from = w->row;

		/* Claimed by somebody, maybe again. */
		step_init(&s, from, class, 100, w->seed & 1, w->row_cancel,
		    w->now_ms + 600 * 1000);
		s.reviewed = w->in_review;
		memset(&e, 0, sizeof e);
		e.on = ON_CLAIM;
		for (; turns < 5000; turns++) {
			e.now_ms = w->now_ms;
			e.random = w->seed;
			e.why = "provider_failed";
			o = step(&s, &e);
			check_out(&s, &e, &o);
			s = o.state;
			if (crashes < 5 && rnd(w, 25) == 0) {
				crashes++; /* kill -9 before the effect */
				break;
			}
			if (rnd(w, 40) == 0 && !w->ended) {
				struct step_event c = {
				    .on = ON_CANCEL, .now_ms = w->now_ms};
				struct step_out was = o;

				w->row_cancel = true;
				o = step(&s, &c);
				check_out(&s, &c, &o);
				s = o.state;
				if (o.effect == DO_NOTHING)
					o.effect = was.effect,
					o.delay_ms = was.delay_ms;
			}
			memset(&e, 0, sizeof e);
			if (!answer(w, &s, &o, &e))
				break;
			if (crashes < 5 && rnd(w, 25) == 0) {
				crashes++; /* and after it */
				break;
			}
		}
		if (w->ended)
			return true;
		if (s.phase == STEP_PARKED && !(w->calls_back && w->has_it) &&
		    crashes >= 5)
			return false;
		if (s.phase == STEP_PARKED)
			crashes++;
	}
	fail_msg("seed leads nowhere: phase %s", step_phase_name(s.phase));
	return false;
}

TEST(test_lives)
{
	const char *text = getenv("STEP_SEEDS");
	int seeds = text != NULL ? atoi(text) : 40000, done = 0, refunded = 0;

	for (int seed = 1; seed <= seeds; seed++) {
		enum step_class class = (enum step_class)(seed & 3);
		struct world w = {.seed = (uint32_t)seed * 2654435761u,
		    .now_ms = 1,
		    .honours_token = class <= STEP_CLASS_B,
		    .queryable = class == STEP_CLASS_B,
		    .calls_back = class == STEP_CLASS_C};
		bool ended = live(&w, class);

		if (w.accepted > 1)
			fail_msg("seed %d: %d paid submits", seed, w.accepted);
		CHECK_INT(w.terminals, ==, ended);
		CHECK_INT(w.refunds + w.charges_kept, ==, w.terminals);
		if (!ended)
			CHECK(w.in_review);
		done += w.charges_kept;
		refunded += w.refunds;
	}
	/* The world is not so bad that the test proves nothing. */
	CHECK_INT(done, >, seeds / 20);
	CHECK_INT(refunded, >, seeds / 20);
}

TEST(test_intervals)
{
	struct step s;
	struct step_event e = {.on = ON_CLAIM, .random = 0};
	int64_t last = 0;

	step_init(&s, FROM_POLL, STEP_CLASS_D, 5000, false, false, 1 << 30);
	s.phase = STEP_POLLING;
	for (int i = 0; i < 60; i++) {
		struct step_out o;

		e.on = ON_ALIVE;
		e.random = 0x80000000;
		o = step(&s, &e);
		CHECK_INT(o.effect, ==, DO_WAIT);
		CHECK_INT(o.delay_ms, >=, last * 99 / 100);
		CHECK_INT(o.delay_ms, <=, STEP_POLL_CAP_MS * 12 / 10);
		last = o.delay_ms;
		e.random = 0;
		CHECK_INT(step(&s, &e).delay_ms, ==, last * 8 / 10);
		s = o.state;
		s.phase = STEP_POLLING;
	}
	CHECK_INT(last, ==, STEP_POLL_CAP_MS);
}

TEST(test_retry_after)
{
	struct step s;
	struct step_event e = {.on = ON_BUSY, .retry_after_ms = 90000};
	struct step_out o;

	step_init(&s, FROM_SUBMIT, STEP_CLASS_D, 5000, false, false, 1 << 30);
	s.phase = STEP_SENDING;
	s.sends = 1;
	o = step(&s, &e);
	CHECK_INT(o.effect, ==, DO_REQUEUE);
	CHECK_INT(o.delay_ms, ==, 90000);
}

/* A refusal is no outage: a person is told at once, nothing is sent again. */
TEST(test_database_refuses)
{
	static const struct {
		enum step_phase phase;
		enum step_do redo;
	} steps[] = {{STEP_STARTING, DO_START}, {STEP_RECORDING, DO_RECORD},
	    {STEP_FINALIZING, DO_FINALIZE}, {STEP_ENDING, DO_FINISH},
	    {STEP_ENDING, DO_FAIL}, {STEP_ENDING, DO_PARK}};

	for (size_t i = 0; i < nitems(steps); i++) {
		struct step s;
		struct step_event e = {.on = ON_DB_REFUSED};
		struct step_out o;

		step_init(
		    &s, FROM_SUBMIT, STEP_CLASS_D, 5000, false, false, 1 << 30);
		s.phase = steps[i].phase;
		s.redo = steps[i].redo;
		o = step(&s, &e);
		CHECK_INT(o.effect, ==, DO_REVIEW);
		/* Refused as well: only time can help. */
		s = step(&o.state, &e).state;
		CHECK_INT(s.phase, ==, STEP_DB_WAIT);
		e.on = ON_TIMER;
		o = step(&s, &e);
		CHECK_INT(o.effect, ==, DO_REVIEW);
		e.on = ON_COMMITTED;
		o = step(&o.state, &e);
		CHECK_INT(o.effect, ==, DO_NOTHING);
		CHECK_INT(o.state.phase, ==, STEP_PARKED);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_all_pairs),
	    cmocka_unit_test(test_lives),
	    cmocka_unit_test(test_intervals),
	    cmocka_unit_test(test_retry_after),
	    cmocka_unit_test(test_database_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
