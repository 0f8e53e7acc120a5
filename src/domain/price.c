/*
 * price.c - evaluates price rules.  Amounts are 128-bit integers of 10^-12
 * credits, so that thirds and percents neither drift nor overflow; the total
 * is rounded to micro-credits and then, as the rule says, to whole credits.
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "domain/rule.h"
#include "reeld/capability.h"
#include "reeld/json.h"
#include "reeld/mem.h"
#include "reeld/price.h"
#include "reeld/spec.h"

typedef __int128 pico_t;

#define PICO_PER_MICRO ((pico_t)1000000)
#define MICRO_PER_CREDIT INT64_C(1000000)
#define PICO_MAX ((pico_t)PRICE_MAX_CREDITS * MICRO_PER_CREDIT * PICO_PER_MICRO)

struct price_input
price_input_of(const struct gen_spec *spec)
{
	return (struct price_input){
	    .duration_ms = spec->duration_ms,
	    .resolution = spec->resolution,
	    .aspect_ratio = spec->aspect_ratio,
	    .mode = gen_mode_name(spec->mode),
	    .start_image = id_is_set(&spec->start_asset),
	    .end_image = id_is_set(&spec->end_asset),
	    .audio = spec->audio == GEN_AUDIO_ON,
	    .enhance = spec->enhance,
	};
}

/* a / b to the nearest, halves away from zero; b > 0. */
static pico_t
divide(pico_t a, pico_t b)
{
	return a >= 0 ? (a + b / 2) / b : -((-a + b / 2) / b);
}

static bool
core_amount(const struct rule *rule, int64_t ms, pico_t *out, struct err *err)
{
	pico_t micro = rule->credits_micro;

	switch (rule->core) {
	case CORE_BASE:
	case CORE_PER_CALL:
		*out = micro * PICO_PER_MICRO;
		return true;
	case CORE_PER_SECOND:
		*out = micro * ms * (PICO_PER_MICRO / 1000);
		return true;
	case CORE_USD_PER_SECOND:
		/* 10^-18 credits per millisecond-thousandths; the limits of
		 * the rule keep this under 10^37. */
		*out = divide(micro * rule->usd_micro * rule->markup_micro * ms,
		    (pico_t)1000000000);
		return true;
	case CORE_PER_CLIP:
		*out = micro * PICO_PER_MICRO *
		    ((ms + rule->seconds_ms - 1) / rule->seconds_ms);
		return true;
	case CORE_TIER:
		for (int i = 0; i < rule->n_tiers; i++) {
			if (ms <= rule->tiers[i].up_to_ms) {
				*out = rule->tiers[i].credits_micro *
				    PICO_PER_MICRO;
				return true;
			}
		}
		return err_set_field(err, ERR_INVALID, "unsupported_duration",
		    "#/duration",
		    "There is no price for more than %lld seconds",
		    (long long)(rule->tiers[rule->n_tiers - 1].up_to_ms /
			1000));
	case CORE_TYPES:
		break;
	}
	abort();
}

static pico_t
percent_of(pico_t core, const struct rule_term *term, int64_t ms)
{
	const pico_t hundred = (pico_t)100 * MICRO_PER_CREDIT;
	int64_t extra = ms - term->beyond_ms;

	if (term->per_ms == 0)
		return divide(core * term->micro, hundred);
	if (extra <= 0)
		return 0;
	if (term->stepped)
		return divide(core * term->micro *
			((extra + term->per_ms - 1) / term->per_ms),
		    hundred);
	return divide(core * term->micro * extra, hundred * term->per_ms);
}

static int64_t
round_credits(pico_t amount, enum rule_round how)
{
	int64_t micro = (int64_t)divide(amount, PICO_PER_MICRO);
	int64_t whole = micro / MICRO_PER_CREDIT;
	int64_t rest = micro % MICRO_PER_CREDIT;

	/* Amounts are never negative. */
	if ((how == ROUND_CEIL && rest > 0) ||
	    (how == ROUND_NEAREST && rest * 2 >= MICRO_PER_CREDIT))
		whole++;
	return whole;
}

struct sum {
	const struct rule *rule;
	struct price_quote *out;
	pico_t amount;
	int64_t credits; /* of the lines so far */
};

/*
 * Moves the sum to `amount`.  Each line is the difference of the rounded
 * sums before and after it, so the lines add up to the rounded total.
 */
static bool
sum_to(struct sum *self, pico_t amount, const char *code, const char *label,
    struct err *err)
{
	struct price_line *line = &self->out->lines[self->out->n_lines];
	int64_t credits;

	if (amount < 0)
		amount = 0;
	if (amount > PICO_MAX)
		return err_set_name(err, ERR_INVALID, "price_too_high",
		    "This would cost more than %lld credits",
		    (long long)PRICE_MAX_CREDITS);
	credits = round_credits(amount, self->rule->round);
	self->amount = amount;
	if (credits == self->credits && self->out->n_lines > 0)
		return true;
	assert((size_t)self->out->n_lines < nitems(self->out->lines));
	str_copy(line->code, sizeof line->code, code);
	str_copy(line->label, sizeof line->label, label);
	line->credits = credits - self->credits;
	self->credits = credits;
	self->out->n_lines++;
	return true;
}

static bool
apply(const struct rule *rule, const struct price_input *in,
    struct price_quote *out, struct err *err)
{
	struct sum self = {.rule = rule, .out = out};
	pico_t core = 0;
	int i;

	if (!core_amount(rule, in->duration_ms, &core, err) ||
	    !sum_to(&self, core, "core", "Base price", err))
		return false;
	for (i = 0; i < rule->n_add; i++) {
		const struct rule_term *term = &rule->add[i];

		if (rule_applies(term->when, in) &&
		    !sum_to(&self,
			self.amount + percent_of(core, term, in->duration_ms),
			term->code, term->label, err))
			return false;
	}
	for (i = 0; i < rule->n_multiply; i++) {
		const struct rule_term *term = &rule->multiply[i];

		if (rule_applies(term->when, in) &&
		    !sum_to(&self,
			divide(self.amount * term->micro, MICRO_PER_CREDIT),
			term->code, term->label, err))
			return false;
	}
	for (i = 0; i < rule->n_flat; i++) {
		const struct rule_term *term = &rule->flat[i];

		if (rule_applies(term->when, in) &&
		    !sum_to(&self, self.amount + term->micro * PICO_PER_MICRO,
			term->code, term->label, err))
			return false;
	}
	if (self.credits < rule->minimum &&
	    !sum_to(&self,
		(pico_t)rule->minimum * MICRO_PER_CREDIT * PICO_PER_MICRO,
		"minimum", "Minimum price", err))
		return false;
	out->credits = self.credits;
	out->micro_credits = (int64_t)divide(self.amount, PICO_PER_MICRO);
	return true;
}

bool
price_quote(const struct json_object *rule_doc, const struct price_input *in,
    struct price_quote *out, struct err *err)
{
	struct err inner = {0};
	struct rule rule;

	memset(out, 0, sizeof *out);
	if (rule_doc == NULL)
		return err_set_name(err, ERR_UNAVAILABLE, "no_price",
		    "This model has no price yet, so it can't be used");
	if (in->duration_ms <= 0 || in->duration_ms > 7200000)
		return err_set_field(err, ERR_INVALID, "unsupported_duration",
		    "#/duration", "The length must be up to two hours");
	if (!rule_parse(rule_doc, &rule, &inner))
		return err_set_name(
		    err, ERR_INTERNAL, "bad_price", "%s", inner.msg);
	return apply(&rule, in, out, err);
}

int64_t
price_blocked_fee(const struct json_object *rule_doc)
{
	struct rule rule;

	return rule_doc != NULL && rule_parse(rule_doc, &rule, NULL)
	    ? rule.blocked_fee
	    : 0;
}

bool
price_cost(const struct json_object *cost_rule, const struct price_input *in,
    int64_t *micro_usd)
{
	struct price_quote quote;

	if (!price_quote(cost_rule, in, &quote, NULL))
		return false;
	*micro_usd = quote.micro_credits;
	return true;
}

bool
price_cost_of_units(
    const struct json_object *cost_rule, double units, int64_t *micro_usd)
{
	struct rule rule;

	if (cost_rule == NULL || !(units >= 0 && units <= 1e6) ||
	    !rule_parse(cost_rule, &rule, NULL) || rule.unit_micro < 0)
		return false;
	*micro_usd = llround((double)rule.unit_micro * units);
	return true;
}

bool
price_rule_check(const struct json_object *rule_doc, struct err *err)
{
	struct rule rule;

	return rule_parse(rule_doc, &rule, err);
}

struct json_object *
price_breakdown(const struct price_quote *quote)
{
	struct json_object *list = json_new_arr();

	for (int i = 0; i < quote->n_lines; i++) {
		struct json_object *line = json_new();

		json_set_text(line, "code", quote->lines[i].code);
		json_set_text(line, "label", quote->lines[i].label);
		json_set_int(line, "credits", quote->lines[i].credits);
		json_add_obj(list, &line);
	}
	return list;
}

bool
price_from(const struct json_object *rule, const struct json_object *caps,
    int64_t *credits)
{
	int64_t ms[CAPABILITY_MAX_DURATIONS];
	size_t n = capability_durations(caps, ms, nitems(ms));
	struct json_object *public_caps, *resolutions;
	struct price_input in = {0};
	struct price_quote quote;
	bool found = false;

	public_caps = capability_public(caps);
	resolutions = json_arr_at(public_caps, "resolutions");
	in.start_image =
	    str_eq(json_text_at(public_caps, "start_image"), "required");
	in.end_image =
	    str_eq(json_text_at(public_caps, "end_image"), "required");
	in.audio = str_eq(json_text_at(public_caps, "audio"), "always");
	in.mode = in.start_image || in.end_image ? "i2v" : "t2v";
	in.aspect_ratio = json_text_at(public_caps, "defaults.aspect_ratio");
	for (size_t i = 0; i < n; i++) {
		size_t r = 0;

		in.duration_ms = ms[i];
		do {
			in.resolution = json_text(json_item(resolutions, r));
			if (price_quote(rule, &in, &quote, NULL) &&
			    (!found || quote.credits < *credits)) {
				*credits = quote.credits;
				found = true;
			}
		} while (++r < json_count(resolutions));
	}
	json_free(&public_caps);
	return found;
}
