/*
 * test_step.c - the job state machine: every phase with every event.  Whole
 * lives in a world where anything may fail are test_sim.c's.
 */
#include "unit.h"

#include "jobs/step.h"
#include "reeld/mem.h"

/* What an effect's phase may hear, besides what comes from outside. */
static const struct {
	enum step_phase phase;
	enum step_on on[8];
	int n;
} answers[] = {
    {STEP_NEW, {ON_CLAIM}, 1},
    {STEP_ENHANCING, {ON_ENHANCED, ON_DB_AWAY, ON_DB_REFUSED, ON_LOST}, 4},
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
	case DO_ENHANCE:
		return after == STEP_ENHANCING;
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
	/* The prompt is made before anything is sent, or not at all. */
	if (o->effect == DO_ENHANCE)
		CHECK(s->phase == STEP_NEW || s->phase == STEP_DB_WAIT);
	if (s->phase == STEP_ENHANCING)
		CHECK(o->effect != DO_SEND && o->effect != DO_FAIL &&
		    o->effect != DO_REQUEUE);
	if (o->effect == DO_START || o->effect == DO_SEND)
		CHECK(!o->state.enhance || s->phase != STEP_NEW);
}

/* Every phase x answer x class x from x flags: no assert, rules hold. */
TEST(test_all_pairs)
{
	static const enum step_on outside[] = {ON_HURRY, ON_CANCEL, ON_DRAIN};
	int pairs = 0;

	for (size_t i = 0; i < nitems(answers); i++)
		for (int bits = 0; bits < 1 << 11; bits++)
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
				s.enhance = bits & 1024;
				if (s.sends == 0 && s.phase > STEP_STARTING)
					s.sends = 1;
				s.redo = s.phase == STEP_RECORDING ? DO_RECORD
				    : s.phase == STEP_STARTING	   ? DO_START
				    : s.phase == STEP_ENHANCING	   ? DO_ENHANCE
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
	} steps[] = {{STEP_ENHANCING, DO_ENHANCE}, {STEP_STARTING, DO_START},
	    {STEP_RECORDING, DO_RECORD}, {STEP_FINALIZING, DO_FINALIZE},
	    {STEP_ENDING, DO_FINISH}, {STEP_ENDING, DO_FAIL},
	    {STEP_ENDING, DO_PARK}};

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

TEST(test_near_the_end)
{
	const int64_t minute = 60 * 1000, hour = 60 * minute;

	/* A day: from 4 h 48 min before the end. */
	CHECK(!step_result_is_near(19 * hour, 0, 24 * hour));
	CHECK(step_result_is_near(20 * hour, 0, 24 * hour));
	/* An hour: from a quarter of an hour before. */
	CHECK(!step_result_is_near(44 * minute, 0, hour));
	CHECK(step_result_is_near(46 * minute, 0, hour));
	/* Ten minutes: not at once, but at the last two. */
	CHECK(!step_result_is_near(7 * minute, 0, 10 * minute));
	CHECK(step_result_is_near(9 * minute, 0, 10 * minute));
	CHECK(step_result_is_near(2 * hour, 0, hour));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_all_pairs),
	    cmocka_unit_test(test_intervals),
	    cmocka_unit_test(test_retry_after),
	    cmocka_unit_test(test_database_refuses),
	    cmocka_unit_test(test_near_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
