/* rule.h - a price rule, parsed.  rule.c reads it, price.c evaluates it. */
#ifndef REELD_DOMAIN_RULE_H
#define REELD_DOMAIN_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "reeld/err.h"
#include "reeld/price.h"

struct json_object;

enum core_type {
	CORE_BASE,
	CORE_PER_SECOND,
	CORE_USD_PER_SECOND,
	CORE_TIER,
	CORE_PER_CALL,
	CORE_PER_CLIP,
	CORE_TYPES
};

enum rule_round { ROUND_CEIL, ROUND_NEAREST, ROUND_FLOOR };

/* Conditions are looked up in the document when the rule is applied. */
struct rule_term {
	char code[32], label[80];
	int64_t micro;	   /* percent, factor or credits, times 10^6 */
	int64_t beyond_ms; /* add_percent with per_ms */
	int64_t per_ms;	   /* 0: once */
	bool stepped;
	const struct json_object *when; /* borrowed, or NULL */
};

struct rule {
	enum core_type core;
	int64_t credits_micro; /* also usd_per_second's credits_per_usd */
	int64_t usd_micro, markup_micro;
	int64_t seconds_ms; /* base, per_clip */
	struct {
		int64_t up_to_ms, credits_micro;
	} tiers[PRICE_MAX_TERMS];
	int n_tiers;
	struct rule_term add[PRICE_MAX_TERMS], multiply[PRICE_MAX_TERMS],
	    flat[PRICE_MAX_TERMS];
	int n_add, n_multiply, n_flat;
	enum rule_round round;
	int64_t minimum, blocked_fee; /* credits */
	int64_t unit_micro;	      /* per_unit; -1: absent */
};

/* The rule borrows from the document. */
bool rule_parse(const struct json_object *doc, struct rule *rule,
    struct err *err) REELD_MUST;
/* Do the term's conditions hold? */
bool rule_applies(const struct json_object *when, const struct price_input *in);

#endif
