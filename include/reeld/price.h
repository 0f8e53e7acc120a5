/*
 * price.h - what a generation costs, by its price plan's rule.
 *
 *	total = round(core x (1 + sum(add_percent)) x prod(multiply)
 *	    + sum(flat))
 *
 * A rule is a JSON object:
 *
 *	core		one of
 *	    {"type": "base", "credits": 2500, "seconds": 8}
 *		credits for a clip; seconds are those it includes (a term
 *		charges for more)
 *	    {"type": "per_second", "credits": 10}
 *	    {"type": "usd_per_second", "usd": 0.75, "credits_per_usd": 10,
 *	     "markup": 1.5}		markup is 1 when absent
 *	    {"type": "tier", "tiers": [{"seconds": 5, "credits": 1}, ...]}
 *		the first tier that is long enough; longer is refused
 *	    {"type": "per_call", "credits": 5}
 *	    {"type": "per_clip", "credits": 1, "seconds": 5}
 *		times the clips needed, rounded up
 *	add_percent	[{"code", "label"?, "percent", "when"?,
 *	     "beyond_seconds"?, "per_seconds"?, "stepped"?}]
 *		percent of the core; with per_seconds, for each so many
 *		seconds beyond beyond_seconds, linear or in whole steps
 *	multiply	[{"code", "label"?, "factor", "when"?}]
 *	flat		[{"code", "label"?, "credits", "when"?}]
 *	round		"ceil" (default), "nearest" or "floor"
 *	minimum		credits, 0 when absent
 *	blocked_fee	credits kept when the provider refuses the content,
 *			0 when absent; never more than the price
 *	per_unit	of a cost rule: for each unit that they bill
 *
 * when: {"resolution": "1080p" | [..], "aspect_ratio": .., "mode": ..,
 * "images": "none" | "start" | "end" | "both", "audio": true, "enhance":
 * true, "min_seconds": n, "max_seconds": n}; every condition must hold.
 *
 * Arithmetic is in integers (10^-12 credits, then micro-credits); numbers in
 * a rule have at most six decimals.  Nothing here does I/O.
 */
#ifndef REELD_PRICE_H
#define REELD_PRICE_H

#include <stdbool.h>
#include <stdint.h>

#include "reeld/err.h"

struct gen_spec;
struct json_object;

#define PRICE_MAX_TERMS 24 /* of each kind */
#define PRICE_MAX_CREDITS INT64_C(1000000000)

struct price_input {
	int64_t duration_ms;
	const char *resolution, *aspect_ratio; /* "" or NULL: none */
	const char *mode;		       /* "t2v", "i2v" */
	bool start_image, end_image;
	bool audio, enhance;
};
/* Borrows from the spec. */
struct price_input price_input_of(const struct gen_spec *spec);

struct price_line {
	char code[32];	/* "core", or the term's */
	char label[80]; /* for people */
	int64_t credits;
};
struct price_quote {
	int64_t credits;       /* the total, whole credits */
	int64_t micro_credits; /* before rounding to whole credits */
	int n_lines;	       /* their credits add up to the total exactly */
	struct price_line lines[3 * PRICE_MAX_TERMS + 2];
};

/*
 * Refuses without a rule (ERR_UNAVAILABLE "no_price"), with a rule that
 * price_rule_check() refuses (ERR_INTERNAL "bad_price"), a length that no
 * tier covers (ERR_INVALID "unsupported_duration", "#/duration") and totals
 * over PRICE_MAX_CREDITS (ERR_INVALID "price_too_high").
 */
bool price_quote(const struct json_object *rule, const struct price_input *in,
    struct price_quote *out, struct err *err) REELD_MUST;
/* [{"code","label","credits"}]; the caller owns it. */
struct json_object *price_breakdown(const struct price_quote *quote);

/* Credits kept of a refused generation; 0 without a (valid) rule. */
int64_t price_blocked_fee(const struct json_object *rule);

/*
 * A route's cost_rule is such a rule in dollars: one credit is 1 USD, so its
 * micro-credits are micro-USD.  What a generation costs us by it, and what so
 * many units that the provider says it billed do (per_unit).  False: there is
 * no rule, or it does not say.
 */
bool price_cost(const struct json_object *cost_rule,
    const struct price_input *in, int64_t *micro_usd) REELD_MUST;
bool price_cost_of_units(const struct json_object *cost_rule, double units,
    int64_t *micro_usd) REELD_MUST;

/* Is this a rule?  ERR_INVALID "bad_price" with the pointer inside the rule
 * ("#/add_percent/0/percent"). */
bool
price_rule_check(const struct json_object *rule, struct err *err) REELD_MUST;

/* The least a generation within these capabilities costs ("from 40"). */
bool price_from(const struct json_object *rule,
    const struct json_object *capabilities, int64_t *credits) REELD_MUST;

#endif
