/* rule.c - a price rule: from JSON, with every mistake named. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "domain/rule.h"
#include "reeld/json.h"
#include "reeld/mem.h"

#define MAX_MS 7200000 /* two hours */

static const char *const core_names[] = {"base", "per_second", "usd_per_second",
    "tier", "per_call", "per_clip", NULL};
static const char *const round_names[] = {"ceil", "nearest", "floor", NULL};

static bool
bad(struct err *err, const char *at, const char *what)
{
	return err_set_field(err, ERR_INVALID, "bad_price", at,
	    "The price rule is wrong at %s: %s", at, what);
}

/* json_read() knows fields of one object: puts the way there before them. */
static bool
read_at(const struct json_object *obj, const char *at,
    const struct json_field *fields, size_t n, void *out, struct err *err)
{
	struct err inner = {0};
	char pointer[80];

	if (json_read(
		(struct json_object *)(uintptr_t)obj, fields, n, out, &inner))
		return true;
	snprintf(pointer, sizeof pointer, "%.39s%.39s", at,
	    inner.pointer[0] == '#' ? inner.pointer + 1 : "");
	return bad(err, pointer, inner.msg);
}

static bool
to_micro(struct json_num num, const char *at, int64_t *out, struct err *err)
{
	double scaled = num.v * 1e6, whole = nearbyint(scaled);

	if (fabs(scaled - whole) > 1e-4 + fabs(scaled) * 1e-14)
		return bad(err, at, "at most six decimals are allowed");
	*out = (int64_t)whole;
	return true;
}

static bool
to_ms(struct json_num num, const char *at, int64_t *out, struct err *err)
{
	double scaled = num.v * 1000, whole = nearbyint(scaled);

	if (fabs(scaled - whole) > 1e-6)
		return bad(err, at, "at most three decimals are allowed");
	*out = (int64_t)whole;
	return true;
}

/* --- core ----------------------------------------------------------------- */

struct core_fields {
	char *type;
	struct json_num credits, seconds, usd, credits_per_usd, markup;
	struct json_object *tiers;
};
static const struct json_field core_table[] = {
    JTEXT(struct core_fields, type, 1, 40, JREQ),
    JNUM(struct core_fields, credits, 0, 1e9),
    JNUM(struct core_fields, seconds, 0.1, 7200),
    JNUM(struct core_fields, usd, 0, 1e4),
    JNUM(struct core_fields, credits_per_usd, 0.000001, 1e6),
    JNUM(struct core_fields, markup, 0.01, 100),
    JARR(struct core_fields, tiers, PRICE_MAX_TERMS),
};

struct tier_fields {
	struct json_num seconds, credits;
};
static const struct json_field tier_table[] = {
    JNUM(struct tier_fields, seconds, 0.1, 7200, JREQ),
    JNUM(struct tier_fields, credits, 0, 1e9, JREQ),
};

static bool
parse_tiers(const struct json_object *list, struct rule *rule, struct err *err)
{
	int64_t last = 0;

	if (json_count(list) == 0)
		return bad(err, "#/core/tiers", "a tier is needed");
	for (size_t i = 0; i < json_count(list); i++) {
		struct tier_fields in;
		char at[40];

		snprintf(at, sizeof at, "#/core/tiers/%zu", i);
		if (!read_at(json_item(list, i), at, tier_table,
			nitems(tier_table), &in, err) ||
		    !to_ms(in.seconds, at, &rule->tiers[i].up_to_ms, err) ||
		    !to_micro(
			in.credits, at, &rule->tiers[i].credits_micro, err))
			return false;
		if (rule->tiers[i].up_to_ms <= last)
			return bad(err, at, "tiers must grow");
		last = rule->tiers[i].up_to_ms;
		rule->n_tiers++;
	}
	return true;
}

/* Which members a type needs (and only those it may have). */
static bool
core_members(const struct core_fields *in, enum core_type type, struct err *err)
{
	bool credits = type != CORE_USD_PER_SECOND && type != CORE_TIER;
	bool seconds = type == CORE_BASE || type == CORE_PER_CLIP;
	bool usd = type == CORE_USD_PER_SECOND;

	if (in->credits.set != credits)
		return bad(err, "#/core/credits",
		    credits ? "it is needed here" : "it has no meaning here");
	if (in->seconds.set != seconds)
		return bad(err, "#/core/seconds",
		    seconds ? "it is needed here" : "it has no meaning here");
	if (in->usd.set != usd || in->credits_per_usd.set != usd)
		return bad(err, "#/core/usd",
		    usd ? "usd and credits_per_usd are needed here"
			: "dollars have no meaning here");
	if (in->markup.set && !usd)
		return bad(err, "#/core/markup", "it has no meaning here");
	if ((in->tiers != NULL) != (type == CORE_TIER))
		return bad(err, "#/core/tiers",
		    in->tiers == NULL ? "it is needed here"
				      : "it has no meaning here");
	return true;
}

static bool
core_type_of(const char *word, enum core_type *out, struct err *err)
{
	for (int i = 0; core_names[i] != NULL; i++) {
		if (strcmp(core_names[i], word) == 0) {
			*out = (enum core_type)i;
			return true;
		}
	}
	if (strcmp(word, "gpu_second") == 0 ||
	    strcmp(word, "provider_reported") == 0)
		return bad(err, "#/core/type",
		    "prices that are known only afterwards are not offered");
	return bad(err, "#/core/type", "no such core");
}

static bool
fill_core(const struct core_fields *in, struct rule *rule, struct err *err)
{
	struct json_num one = {true, 1};

	if (!core_type_of(in->type, &rule->core, err) ||
	    !core_members(in, rule->core, err))
		return false;
	if (rule->core == CORE_TIER)
		return parse_tiers(in->tiers, rule, err);
	return to_micro(in->credits.set ? in->credits : in->credits_per_usd,
		   "#/core/credits", &rule->credits_micro, err) &&
	    to_micro(in->usd, "#/core/usd", &rule->usd_micro, err) &&
	    to_micro(in->markup.set ? in->markup : one, "#/core/markup",
		&rule->markup_micro, err) &&
	    to_ms(in->seconds, "#/core/seconds", &rule->seconds_ms, err);
}

static bool
parse_core(const struct json_object *obj, struct rule *rule, struct err *err)
{
	struct core_fields in;
	bool ok;

	if (!read_at(obj, "#/core", core_table, nitems(core_table), &in, err))
		return false;
	ok = fill_core(&in, rule, err);
	json_read_free(core_table, nitems(core_table), &in);
	return ok;
}

/* --- terms ---------------------------------------------------------------- */

static bool
is_word(const char *name)
{
	return strcmp(name, "resolution") == 0 ||
	    strcmp(name, "aspect_ratio") == 0 || strcmp(name, "mode") == 0 ||
	    strcmp(name, "images") == 0;
}

static bool
check_words(const struct json_object *value, const char *at, struct err *err)
{
	if (json_text(value) != NULL)
		return true;
	if (json_count(value) == 0 || !json_is_arr(value))
		return bad(err, at, "a word or a list of words is needed");
	for (size_t i = 0; i < json_count(value); i++) {
		if (json_text(json_item(value, i)) == NULL)
			return bad(err, at, "every item must be a word");
	}
	return true;
}

static bool
check_when(const struct json_object *when, const char *at, struct err *err)
{
	struct json_iter it = json_iter(when);
	char pointer[80];
	double seconds;
	bool flag;

	while (json_next(&it)) {
		snprintf(pointer, sizeof pointer, "%s/when/%.30s", at, it.name);
		if (is_word(it.name)) {
			if (!check_words(it.value, pointer, err))
				return false;
		} else if (strcmp(it.name, "audio") == 0 ||
		    strcmp(it.name, "enhance") == 0) {
			if (!json_bool_at(when, it.name, &flag))
				return bad(err, pointer, "true or false");
		} else if (strcmp(it.name, "min_seconds") == 0 ||
		    strcmp(it.name, "max_seconds") == 0) {
			if (!json_num(it.value, &seconds) || seconds < 0 ||
			    seconds > 7200)
				return bad(err, pointer, "seconds are needed");
		} else
			return bad(err, pointer, "no such condition");
	}
	return true;
}

struct term_fields {
	char *code, *label;
	struct json_num percent, factor, credits, beyond_seconds, per_seconds;
	struct json_bool stepped;
	struct json_object *when;
};
#define TERM_COMMON                                   \
	JTEXT(struct term_fields, code, 1, 31, JREQ), \
	    JTEXT(struct term_fields, label, 1, 60),  \
	    JOBJ(struct term_fields, when)
/* The members a table does not name are never set: one struct serves all. */
static const struct json_field add_table[] = {
    TERM_COMMON,
    JNUM(struct term_fields, percent, -100, 10000, JREQ),
    JNUM(struct term_fields, beyond_seconds, 0, 7200),
    JNUM(struct term_fields, per_seconds, 0.1, 7200),
    JBOOL(struct term_fields, stepped),
};
static const struct json_field multiply_table[] = {
    TERM_COMMON,
    JNUM(struct term_fields, factor, 0, 1000, JREQ),
};
static const struct json_field flat_table[] = {
    TERM_COMMON,
    JNUM(struct term_fields, credits, 0, 1e9, JREQ),
};

static bool
fill_term(const struct term_fields *in, const char *at, struct rule_term *term,
    struct err *err)
{
	struct json_num value = in->percent.set ? in->percent
	    : in->factor.set			? in->factor
						: in->credits;

	if (!str_copy(term->code, sizeof term->code, in->code))
		return bad(err, at, "the code is too long");
	if (!str_copy(term->label, sizeof term->label,
		in->label != NULL ? in->label : in->code))
		return bad(err, at, "the label is too long");
	if (in->beyond_seconds.set && !in->per_seconds.set)
		return bad(err, at, "beyond_seconds needs per_seconds");
	if (in->stepped.set && !in->per_seconds.set)
		return bad(err, at, "stepped needs per_seconds");
	term->stepped = in->stepped.v;
	term->when = in->when;
	return to_micro(value, at, &term->micro, err) &&
	    to_ms(in->beyond_seconds, at, &term->beyond_ms, err) &&
	    to_ms(in->per_seconds, at, &term->per_ms, err) &&
	    check_when(in->when, at, err);
}

static bool
parse_terms(const struct json_object *list, const char *name,
    const struct json_field *table, size_t n_table, struct rule_term *terms,
    int *n, struct err *err)
{
	for (size_t i = 0; i < json_count(list); i++) {
		struct term_fields in = {0};
		char at[40];
		bool ok;

		snprintf(at, sizeof at, "#/%s/%zu", name, i);
		if (!read_at(json_item(list, i), at, table, n_table, &in, err))
			return false;
		ok = fill_term(&in, at, &terms[i], err);
		json_read_free(table, n_table, &in);
		if (!ok)
			return false;
		(*n)++;
	}
	return true;
}

/* --- the rule ------------------------------------------------------------- */

struct rule_fields {
	struct json_object *core, *add_percent, *multiply, *flat;
	int round;
	struct json_int minimum, blocked_fee;
	struct json_num per_unit;
};
static const struct json_field rule_table[] = {
    JOBJ(struct rule_fields, core, JREQ),
    JARR(struct rule_fields, add_percent, PRICE_MAX_TERMS),
    JARR(struct rule_fields, multiply, PRICE_MAX_TERMS),
    JARR(struct rule_fields, flat, PRICE_MAX_TERMS),
    JENUM(struct rule_fields, round, round_names),
    JINT(struct rule_fields, minimum, 0, PRICE_MAX_CREDITS),
    JINT(struct rule_fields, blocked_fee, 0, PRICE_MAX_CREDITS),
    JNUM(struct rule_fields, per_unit, 0, 1e4),
};

bool
rule_parse(const struct json_object *doc, struct rule *rule, struct err *err)
{
	struct rule_fields in;

	memset(rule, 0, sizeof *rule);
	if (!read_at(doc, "#", rule_table, nitems(rule_table), &in, err))
		return false;
	if (in.round >= 0)
		rule->round = (enum rule_round)in.round;
	rule->minimum = in.minimum.v;
	rule->blocked_fee = in.blocked_fee.v;
	rule->unit_micro = -1;
	if (in.per_unit.set &&
	    !to_micro(in.per_unit, "#/per_unit", &rule->unit_micro, err))
		return false;
	return parse_core(in.core, rule, err) &&
	    parse_terms(in.add_percent, "add_percent", add_table,
		nitems(add_table), rule->add, &rule->n_add, err) &&
	    parse_terms(in.multiply, "multiply", multiply_table,
		nitems(multiply_table), rule->multiply, &rule->n_multiply,
		err) &&
	    parse_terms(in.flat, "flat", flat_table, nitems(flat_table),
		rule->flat, &rule->n_flat, err);
}

static bool
word_is(const struct json_object *wanted, const char *have)
{
	if (json_text(wanted) != NULL)
		return strcasecmp(json_text(wanted), have) == 0;
	for (size_t i = 0; i < json_count(wanted); i++) {
		if (strcasecmp(json_text(json_item(wanted, i)), have) == 0)
			return true;
	}
	return false;
}

static const char *
word_of(const struct price_input *in, const char *name)
{
	const char *word = NULL;

	if (strcmp(name, "resolution") == 0)
		word = in->resolution;
	else if (strcmp(name, "aspect_ratio") == 0)
		word = in->aspect_ratio;
	else if (strcmp(name, "mode") == 0)
		word = in->mode;
	else
		word = in->start_image && in->end_image ? "both"
		    : in->start_image			? "start"
		    : in->end_image			? "end"
							: "none";
	return word != NULL ? word : "";
}

bool
rule_applies(const struct json_object *when, const struct price_input *in)
{
	struct json_iter it = json_iter(when);
	double seconds = 0;
	bool flag = false;

	while (json_next(&it)) {
		if (is_word(it.name)) {
			if (!word_is(it.value, word_of(in, it.name)))
				return false;
		} else if (json_bool_at(when, it.name, &flag)) {
			if (flag !=
			    (it.name[0] == 'a' ? in->audio : in->enhance))
				return false;
		} else if (json_num(it.value, &seconds)) {
			int64_t ms = llround(seconds * 1000);

			if (it.name[1] == 'i' ? in->duration_ms < ms
					      : in->duration_ms > ms)
				return false;
		}
	}
	return true;
}
