/*
 * step_make.h - what the answers of step() are made of.  Private to its files.
 */
#ifndef JOBS_STEP_MAKE_H
#define JOBS_STEP_MAKE_H

#include "jobs/step.h"
#include "reeld/mem.h"

/* ms with +-20 %. */
static inline int64_t
jitter(int64_t ms, uint32_t random)
{
	return ms * 8 / 10 + ms * 4 / 10 * (random >> 8) / (1 << 24);
}

/* min(cap, base * 2^n), of which a random half to all. */
static inline int64_t
backoff(int64_t base, int n, int64_t cap, uint32_t random)
{
	int64_t ms = n > 20 ? cap : base << n;

	if (ms > cap)
		ms = cap;
	return ms / 2 + ms / 2 * (random >> 8) / (1 << 24);
}

/* Into a phase, with what is to be done there. */
static inline struct step_out
out(const struct step *s, enum step_phase phase, enum step_do effect)
{
	struct step_out o = {*s, effect, 0};

	o.state.phase = phase;
	return o;
}

static inline struct step_out
wait_in(const struct step *s, enum step_phase phase, int64_t delay_ms)
{
	struct step_out o = out(s, phase, DO_WAIT);

	o.delay_ms = delay_ms > 0 ? delay_ms : 0;
	return o;
}

/* Nothing to do: what was remembered is in the state. */
static inline struct step_out
stay(const struct step *s)
{
	return out(s, s->phase, DO_NOTHING);
}

/* The phase an effect of SQL puts us in; it is also what DB_WAIT repeats. */
static inline struct step_out
sql(const struct step *s, enum step_do effect)
{
	struct step_out o;

	o = out(s,
	    effect == DO_START		? STEP_STARTING
		: effect == DO_ENHANCE	? STEP_ENHANCING
		: effect == DO_RECORD	? STEP_RECORDING
		: effect == DO_FINALIZE ? STEP_FINALIZING
					: STEP_ENDING,
	    effect);
	o.state.redo = effect;
	return o;
}

/* Before the provider has it, a cancel that was asked for comes first. */
static inline struct step_out
fail(const struct step *s, const char *why)
{
	struct step copy = *s;

	if (s->cancel && !s->have_id)
		return sql(s, DO_CANCELLED);
	str_copy(copy.why, sizeof copy.why, why);
	return sql(&copy, DO_FAIL);
}

/* step_result.c: what becomes of a result that exists. */
struct step_out
step_downloaded(const struct step *s, const struct step_event *e);
struct step_out step_probed(const struct step *s, const struct step_event *e);
struct step_out step_stored(const struct step *s, const struct step_event *e);

#endif
