/*
 * Prices: every number of the specification, the sum of the lines, and what
 * is refused.
 */
#include <stdlib.h>

#include "reeld/json.h"
#include "reeld/mem.h"
#include "reeld/price.h"
#include "unit.h"

/* Inputs here name only what matters; the rest is zero. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

static struct json_object *
rule_of(const char *text)
{
	struct json_object *rule;
	struct err err = {0};

	if (!json_parse(text, strlen(text), 1 << 16, &rule, &err))
		fail_msg("%s: %s", text, err.msg);
	if (!price_rule_check(rule, &err))
		fail_msg("%s: %s", text, err.msg);
	return rule;
}

static int64_t
lines_sum(const struct price_quote *quote)
{
	int64_t sum = 0;

	for (int i = 0; i < quote->n_lines; i++)
		sum += quote->lines[i].credits;
	return sum;
}

static struct price_quote
quote_of(const char *text, struct price_input in)
{
	struct json_object *rule = rule_of(text);
	struct price_quote quote;
	struct err err = {0};

	if (!price_quote(rule, &in, &quote, &err))
		fail_msg("%s: %s", text, err.msg);
	CHECK_INT(lines_sum(&quote), ==, quote.credits);
	json_free(&rule);
	return quote;
}

#define RULE_001(base, seconds)                                                \
	"{\"core\":{\"type\":\"base\",\"credits\":" #base                      \
	",\"seconds\":" #seconds "},\"add_percent\":["                         \
	"{\"code\":\"resolution\",\"percent\":30,"                             \
	"\"when\":{\"resolution\":\"1080p\"}},"                                \
	"{\"code\":\"resolution\",\"percent\":100,"                            \
	"\"when\":{\"resolution\":\"4k\"}},"                                   \
	"{\"code\":\"duration\",\"percent\":50,\"beyond_seconds\":" #seconds   \
	",\"per_seconds\":5},"                                                 \
	"{\"code\":\"images\",\"percent\":20,\"when\":{\"images\":\"start\"}}" \
	","                                                                    \
	"{\"code\":\"images\",\"percent\":30,\"when\":{\"images\":\"end\"}},"  \
	"{\"code\":\"images\",\"percent\":40,\"when\":{\"images\":\"both\"}}]" \
	","                                                                    \
	"\"flat\":[{\"code\":\"audio\",\"credits\":10,"                        \
	"\"when\":{\"audio\":true}},"                                          \
	"{\"code\":\"enhance\",\"credits\":5,\"when\":{\"enhance\":true}}]}"

TEST(numbers_001)
{
	static const struct {
		const char *rule;
		struct price_input in;
		int64_t credits;
	} rows[] = {
	    {RULE_001(2500, 8), {8000, "720p"}, 2500},
	    {RULE_001(2500, 8), {16000, "1080p"}, 5250},
	    {RULE_001(500, 5), {10000, "1080p", "16:9", "i2v", true, false},
		1000},
	    {RULE_001(2500, 8), {8000, "1080p"}, 3250},
	    {RULE_001(2500, 8), {8000, "4k"}, 5000},
	    {RULE_001(2500, 8), {8000, "4K"}, 5000},
	    {RULE_001(400, 5),
		{5000, "720p", "16:9", "i2v", true, true, true, true}, 575},
	    /* The images alone, and that modifiers do not compound. */
	    {RULE_001(500, 5), {5000, "720p", NULL, "i2v", true, false}, 600},
	    {RULE_001(500, 5), {5000, "720p", NULL, "i2v", false, true}, 650},
	    {RULE_001(500, 5), {5000, "720p", NULL, "i2v", true, true}, 700},
	    {RULE_001(1000, 5), {10000, "1080p"}, 1800},
	    /* Shorter than what is included costs the same. */
	    {RULE_001(2500, 8), {4000, "720p"}, 2500},
	};

	for (size_t i = 0; i < nitems(rows); i++)
		CHECK_INT(quote_of(rows[i].rule, rows[i].in).credits, ==,
		    rows[i].credits);
}

/* The example of the estimate: base 500, +100, +150, +250. */
TEST(breakdown_001)
{
	struct price_quote quote = quote_of(RULE_001(500, 5),
	    (struct price_input){10000, "1080p", "16:9", "i2v", true, false});
	struct json_object *list = price_breakdown(&quote);
	int64_t credits;

	CHECK_INT(quote.n_lines, ==, 4);
	CHECK_INT(quote.lines[0].credits, ==, 500);
	CHECK_STR(quote.lines[0].code, "core");
	CHECK_INT(quote.lines[1].credits, ==, 150);
	CHECK_STR(quote.lines[1].code, "resolution");
	CHECK_INT(quote.lines[2].credits, ==, 250);
	CHECK_STR(quote.lines[2].code, "duration");
	CHECK_INT(quote.lines[3].credits, ==, 100);
	CHECK_STR(quote.lines[3].code, "images");
	CHECK_INT(json_count(list), ==, 4);
	CHECK(json_int_at(list, "2.credits", &credits));
	CHECK_INT(credits, ==, 250);
	CHECK_STR(json_text_at(list, "2.code"), "duration");
	json_free(&list);
}

/* Rupiah: 50 for each credit. */
TEST(numbers_001_rupiah)
{
	static const struct {
		const char *rule;
		int64_t ms, rupiah;
	} rows[] = {
	    {RULE_001(2500, 8), 8000, 125000},
	    {RULE_001(2200, 8), 8000, 110000},
	    {RULE_001(1300, 8), 8000, 65000},
	    {RULE_001(1200, 10), 10000, 60000},
	    {RULE_001(400, 5), 5000, 20000},
	    {RULE_001(750, 10), 10000, 37500},
	    {RULE_001(500, 5), 5000, 25000},
	};

	for (size_t i = 0; i < nitems(rows); i++)
		CHECK_INT(quote_of(rows[i].rule,
			      (struct price_input){rows[i].ms, "720p"})
			      .credits *
			50,
		    ==, rows[i].rupiah);
}

static const char rule_004[] =
    "{\"core\":{\"type\":\"per_second\",\"credits\":10},\"multiply\":["
    "{\"code\":\"resolution\",\"factor\":1.5,"
    "\"when\":{\"resolution\":\"1080p\"}}]}";
static const char cost_004[] =
    "{\"core\":{\"type\":\"usd_per_second\",\"usd\":0.75,"
    "\"credits_per_usd\":1}}";

TEST(numbers_004)
{
	static const struct {
		int64_t ms;
		const char *resolution;
		int64_t credits, cost_micro;
	} rows[] = {
	    {4000, "720p", 40, 3000000},
	    {4000, "1080p", 60, 3000000},
	    {6000, "720p", 60, 4500000},
	    {6000, "1080p", 90, 4500000},
	    {8000, "720p", 80, 6000000},
	    {8000, "1080p", 120, 6000000},
	};
	int64_t margins = 0;

	for (size_t i = 0; i < nitems(rows); i++) {
		struct price_input in = {rows[i].ms, rows[i].resolution};
		int64_t value;

		CHECK_INT(quote_of(rule_004, in).credits, ==, rows[i].credits);
		CHECK_INT(quote_of(cost_004, in).micro_credits, ==,
		    rows[i].cost_micro);
		/* A credit is worth 0.10: the margin is 25 or 50 percent. */
		value = rows[i].credits * 100000;
		margins += (value - rows[i].cost_micro) * 1000 / value;
	}
	CHECK_INT(margins / 6, ==, 375);
}

/* 002: dollars for each second; the cost in micro-dollars comes out exact. */
TEST(numbers_002)
{
	static const struct {
		const char *usd;
		int64_t ms, micro;
	} rows[] = {
	    {"0.75", 8000, 6000000},
	    {"0.18", 5000, 900000},
	    {"0.18", 9000, 1620000},
	    {"0.12", 5000, 600000},
	    {"0.12", 9000, 1080000},
	};

	for (size_t i = 0; i < nitems(rows); i++) {
		char rule[200];

		snprintf(rule, sizeof rule,
		    "{\"core\":{\"type\":\"usd_per_second\",\"usd\":%s,"
		    "\"credits_per_usd\":1}}",
		    rows[i].usd);
		CHECK_INT(
		    quote_of(rule, (struct price_input){rows[i].ms, "720p"})
			.micro_credits,
		    ==, rows[i].micro);
	}
}

static const char rule_003[] =
    "{\"core\":{\"type\":\"tier\",\"tiers\":["
    "{\"seconds\":5,\"credits\":1},{\"seconds\":15,\"credits\":2},"
    "{\"seconds\":30,\"credits\":3},{\"seconds\":60,\"credits\":5},"
    "{\"seconds\":300,\"credits\":20},{\"seconds\":1800,\"credits\":100}]}}";
static const char clips_003[] =
    "{\"core\":{\"type\":\"per_clip\",\"credits\":1,\"seconds\":5}}";

TEST(numbers_003)
{
	static const struct {
		int64_t ms, credits, clips;
	} rows[] = {
	    {5000, 1, 1},
	    {15000, 2, 3},
	    {30000, 3, 6},
	    {60000, 5, 12},
	    {300000, 20, 60},
	    {1800000, 100, 360},
	    /* Between the rows of the table. */
	    {1000, 1, 1},
	    {5001, 2, 2},
	    {61000, 20, 13},
	};

	for (size_t i = 0; i < nitems(rows); i++) {
		struct price_input in = {rows[i].ms, "720p"};

		CHECK_INT(quote_of(rule_003, in).credits, ==, rows[i].credits);
		CHECK_INT(quote_of(clips_003, in).credits, ==, rows[i].clips);
	}
}

TEST(too_long_for_the_tiers)
{
	struct json_object *rule = rule_of(rule_003);
	struct price_input in = {1800001, "720p"};
	struct price_quote quote;
	struct err err = {0};

	CHECK(!price_quote(rule, &in, &quote, &err));
	CHECK_INT(err.code, ==, ERR_INVALID);
	CHECK_STR(err.pointer, "#/duration");
	json_free(&rule);
}

TEST(no_rule_no_run)
{
	struct price_input in = {5000, "720p"};
	struct price_quote quote;
	struct err err = {0};
	struct json_object *empty = json_new();

	CHECK(!price_quote(NULL, &in, &quote, &err));
	CHECK_INT(err.code, ==, ERR_UNAVAILABLE);
	CHECK_STR(err.name, "no_price");
	CHECK(!price_quote(empty, &in, &quote, &err));
	CHECK_STR(err.name, "bad_price");
	in.duration_ms = 0;
	json_free(&empty);
	empty = rule_of(clips_003);
	CHECK(!price_quote(empty, &in, &quote, &err));
	in.duration_ms = -5000;
	CHECK(!price_quote(empty, &in, &quote, &err));
	in.duration_ms = INT64_MAX;
	CHECK(!price_quote(empty, &in, &quote, &err));
	json_free(&empty);
}

TEST(rounding)
{
	static const struct {
		const char *rule;
		int64_t ms, credits, lines;
	} rows[] = {
	    /* 10.8 credits. */
	    {"{\"core\":{\"type\":\"usd_per_second\",\"usd\":0.12,"
	     "\"credits_per_usd\":10}}",
		9000, 11, 1},
	    {"{\"core\":{\"type\":\"usd_per_second\",\"usd\":0.12,"
	     "\"credits_per_usd\":10},\"round\":\"floor\"}",
		9000, 10, 1},
	    {"{\"core\":{\"type\":\"per_call\",\"credits\":2.5},"
	     "\"round\":\"nearest\"}",
		9000, 3, 1},
	    {"{\"core\":{\"type\":\"per_call\",\"credits\":2.4},"
	     "\"round\":\"nearest\"}",
		9000, 2, 1},
	    /* 0.1 + 0.2 is 0.3, and three times 100/3 percent is once. */
	    {"{\"core\":{\"type\":\"per_call\",\"credits\":0.1},\"flat\":["
	     "{\"code\":\"a\",\"credits\":0.2},"
	     "{\"code\":\"b\",\"credits\":0.7}]}",
		1000, 1, 1},
	    /* 3 x 1/3 of 100, linear: exactly 200, not 201. */
	    {"{\"core\":{\"type\":\"per_call\",\"credits\":100},"
	     "\"add_percent\":[{\"code\":\"a\",\"percent\":100,"
	     "\"beyond_seconds\":1,\"per_seconds\":3},"
	     "{\"code\":\"b\",\"percent\":100,\"beyond_seconds\":0,"
	     "\"per_seconds\":3}]}",
		2000, 200, 3},
	    {"{\"core\":{\"type\":\"per_call\",\"credits\":100},"
	     "\"add_percent\":[{\"code\":\"a\",\"percent\":10,"
	     "\"beyond_seconds\":1,\"per_seconds\":5,\"stepped\":true}]}",
		7000, 120, 2},
	    {"{\"core\":{\"type\":\"per_call\",\"credits\":100},"
	     "\"add_percent\":[{\"code\":\"off\",\"percent\":-100}]}",
		1000, 0, 2},
	    {"{\"core\":{\"type\":\"per_call\",\"credits\":0}}", 1000, 0, 1},
	    {"{\"core\":{\"type\":\"per_call\",\"credits\":1},"
	     "\"minimum\":5}",
		1000, 5, 2},
	};

	for (size_t i = 0; i < nitems(rows); i++) {
		struct price_quote quote = quote_of(
		    rows[i].rule, (struct price_input){rows[i].ms, "720p"});

		CHECK_INT(quote.credits, ==, rows[i].credits);
		CHECK_INT(quote.n_lines, ==, rows[i].lines);
	}
}

TEST(conditions)
{
	static const char rule[] =
	    "{\"core\":{\"type\":\"per_call\",\"credits\":1},\"flat\":["
	    "{\"code\":\"a\",\"credits\":10,\"when\":{\"mode\":\"i2v\"}},"
	    "{\"code\":\"b\",\"credits\":100,\"when\":{\"aspect_ratio\":"
	    "[\"9:16\",\"1:1\"],\"audio\":false}},"
	    "{\"code\":\"c\",\"credits\":1000,\"when\":{\"min_seconds\":5,"
	    "\"max_seconds\":6.5}}]}";

	CHECK_INT(quote_of(rule, (struct price_input){4999}).credits, ==, 1);
	CHECK_INT(
	    quote_of(rule, (struct price_input){5000, .mode = "i2v"}).credits,
	    ==, 1011);
	CHECK_INT(
	    quote_of(rule, (struct price_input){6500, .aspect_ratio = "1:1"})
		.credits,
	    ==, 1101);
	CHECK_INT(quote_of(rule,
		      (struct price_input){
			  6501, .aspect_ratio = "1:1", .audio = true})
		      .credits,
	    ==, 1);
}

static const struct {
	const char *rule, *pointer;
} bad[] = {
    {"{}", "#/core"},
    {"{\"core\":{}}", "#/core/type"},
    {"{\"core\":[]}", "#/core"},
    {"{\"core\":{\"type\":\"free\"}}", "#/core/type"},
    {"{\"core\":{\"type\":\"gpu_second\",\"credits\":1}}", "#/core/type"},
    {"{\"core\":{\"type\":\"provider_reported\",\"credits\":1}}",
	"#/core/type"},
    {"{\"core\":{\"type\":\"base\",\"credits\":1}}", "#/core/seconds"},
    {"{\"core\":{\"type\":\"per_call\"}}", "#/core/credits"},
    {"{\"core\":{\"type\":\"per_call\",\"credits\":-1}}", "#/core/credits"},
    {"{\"core\":{\"type\":\"per_call\",\"credits\":\"5\"}}", "#/core/credits"},
    {"{\"core\":{\"type\":\"per_call\",\"credits\":2000000000}}",
	"#/core/credits"},
    {"{\"core\":{\"type\":\"per_call\",\"credits\":0.0000001}}",
	"#/core/credits"},
    {"{\"core\":{\"type\":\"per_call\",\"credits\":1,\"seconds\":5}}",
	"#/core/seconds"},
    {"{\"core\":{\"type\":\"per_call\",\"credits\":1,\"markup\":2}}",
	"#/core/markup"},
    {"{\"core\":{\"type\":\"usd_per_second\",\"usd\":1}}", "#/core/usd"},
    {"{\"core\":{\"type\":\"tier\"}}", "#/core/tiers"},
    {"{\"core\":{\"type\":\"tier\",\"tiers\":[]}}", "#/core/tiers"},
    {"{\"core\":{\"type\":\"tier\",\"tiers\":[{\"seconds\":5}]}}",
	"#/core/tiers/0/credits"},
    {"{\"core\":{\"type\":\"tier\",\"tiers\":[{\"seconds\":5,"
     "\"credits\":1},{\"seconds\":5,\"credits\":1}]}}",
	"#/core/tiers/1"},
    {"{\"core\":{\"type\":\"per_call\",\"credits\":1},\"rond\":1}", "#/rond"},
    {"{\"core\":{\"type\":\"per_call\",\"credits\":1},\"round\":\"up\"}",
	"#/round"},
    {"{\"core\":{\"type\":\"per_call\",\"credits\":1},\"flat\":[{}]}",
	"#/flat/0/code"},
    {"{\"core\":{\"type\":\"per_call\",\"credits\":1},"
     "\"flat\":[{\"code\":\"a\",\"credits\":1,\"percent\":1}]}",
	"#/flat/0/percent"},
    {"{\"core\":{\"type\":\"per_call\",\"credits\":1},\"add_percent\":"
     "[{\"code\":\"a\",\"percent\":1},{\"code\":\"a\"}]}",
	"#/add_percent/1/percent"},
    {"{\"core\":{\"type\":\"per_call\",\"credits\":1},\"add_percent\":"
     "[{\"code\":\"a\",\"percent\":1,\"beyond_seconds\":5}]}",
	"#/add_percent/0"},
    {"{\"core\":{\"type\":\"per_call\",\"credits\":1},\"multiply\":"
     "[{\"code\":\"a\",\"factor\":-1}]}",
	"#/multiply/0/factor"},
    {"{\"core\":{\"type\":\"per_call\",\"credits\":1},\"flat\":[{\"code\":"
     "\"a\",\"credits\":1,\"when\":{\"weekday\":\"monday\"}}]}",
	"#/flat/0/when/weekday"},
    {"{\"core\":{\"type\":\"per_call\",\"credits\":1},\"flat\":[{\"code\":"
     "\"a\",\"credits\":1,\"when\":{\"audio\":\"yes\"}}]}",
	"#/flat/0/when/audio"},
    {"{\"core\":{\"type\":\"per_call\",\"credits\":1},\"flat\":[{\"code\":"
     "\"a\",\"credits\":1,\"when\":{\"resolution\":[]}}]}",
	"#/flat/0/when/resolution"},
};

TEST(bad_rules)
{
	for (size_t i = 0; i < nitems(bad); i++) {
		struct json_object *rule;
		struct err err = {0};
		struct price_input in = {5000, "720p"};
		struct price_quote quote;

		CHECK(json_parse(
		    bad[i].rule, strlen(bad[i].rule), 1 << 16, &rule, &err));
		if (price_rule_check(rule, &err))
			fail_msg("taken: %s", bad[i].rule);
		CHECK_INT(err.code, ==, ERR_INVALID);
		CHECK_STR(err.pointer, bad[i].pointer);
		CHECK(!price_quote(rule, &in, &quote, NULL));
		json_free(&rule);
	}
	CHECK(!price_rule_check(NULL, NULL));
}

/* The largest factors a rule may hold are refused, not wrapped around. */
TEST(no_overflow)
{
	static const char *const rules[] = {
	    "{\"core\":{\"type\":\"usd_per_second\",\"usd\":10000,"
	    "\"credits_per_usd\":1000000,\"markup\":100}}",
	    "{\"core\":{\"type\":\"per_second\",\"credits\":1000000000}}",
	    "{\"core\":{\"type\":\"per_clip\",\"credits\":1000000000,"
	    "\"seconds\":0.1}}",
	    "{\"core\":{\"type\":\"per_call\",\"credits\":1000000000},"
	    "\"add_percent\":[{\"code\":\"a\",\"percent\":10000,"
	    "\"beyond_seconds\":0,\"per_seconds\":0.1}]}",
	    "{\"core\":{\"type\":\"per_call\",\"credits\":1000000000},"
	    "\"multiply\":[{\"code\":\"a\",\"factor\":1000},"
	    "{\"code\":\"a\",\"factor\":1000}]}",
	    "{\"core\":{\"type\":\"per_call\",\"credits\":1000000000},"
	    "\"flat\":[{\"code\":\"a\",\"credits\":1000000000}]}",
	};

	for (size_t i = 0; i < nitems(rules); i++) {
		struct json_object *rule = rule_of(rules[i]);
		struct price_input in = {7200000, "720p"};
		struct price_quote quote;
		struct err err = {0};

		CHECK(!price_quote(rule, &in, &quote, &err));
		CHECK_STR(err.name, "price_too_high");
		json_free(&rule);
	}
	CHECK_INT(
	    quote_of(
		"{\"core\":{\"type\":\"per_call\",\"credits\":1000000000}}",
		(struct price_input){5000})
		.credits,
	    ==, PRICE_MAX_CREDITS);
}

/* Whatever the numbers: lines add up, and ceil is never below the amount. */
TEST(lines_always_add_up)
{
	uint32_t seed = 12345;

	for (int round = 0; round < 2000; round++) {
		char rule[1024];
		int n[8];
		struct price_quote quote;

		for (int i = 0; i < 8; i++) {
			seed = seed * 1664525 + 1013904223;
			n[i] = (int)(seed >> 8) % 100000;
		}
		snprintf(rule, sizeof rule,
		    "{\"core\":{\"type\":\"per_second\",\"credits\":%d.%05d},"
		    "\"add_percent\":[{\"code\":\"a\",\"percent\":%d.%03d},"
		    "{\"code\":\"b\",\"percent\":%d,\"beyond_seconds\":1,"
		    "\"per_seconds\":7}],\"multiply\":[{\"code\":\"m\","
		    "\"factor\":%d.%03d}],\"flat\":[{\"code\":\"f\","
		    "\"credits\":%d.%05d}]}",
		    n[0] % 50, n[1], n[2] % 90 - 40, n[3] % 1000, n[4] % 70,
		    n[5] % 3, n[5] % 1000, n[6] % 9, n[7]);
		quote = quote_of(
		    rule, (struct price_input){1000 + n[6] % 9000, "720p"});
		CHECK_INT(quote.credits * 1000000, >=, quote.micro_credits);
		CHECK_INT(
		    (quote.credits - 1) * 1000000, <, quote.micro_credits);
	}
}

TEST(cheapest)
{
	static const char caps_text[] =
	    "{\"modes\":[\"t2v\"],\"durations\":{\"list\":[8,4,6]},"
	    "\"resolutions\":[\"1080p\",\"720p\"]}";
	struct json_object *rule = rule_of(rule_004), *caps;
	int64_t credits = -1;

	CHECK(json_parse(caps_text, strlen(caps_text), 4096, &caps, NULL));
	CHECK(price_from(rule, caps, &credits));
	CHECK_INT(credits, ==, 40);
	CHECK(!price_from(NULL, caps, &credits));
	json_free(&rule);
	json_free(&caps);
}

static struct json_object *
json_of(const char *text)
{
	struct json_object *doc;
	struct err err = {0};

	if (!json_parse(text, strlen(text), 1 << 16, &doc, &err))
		fail_msg("%s: %s", text, err.msg);
	return doc;
}

TEST(fees_and_costs)
{
	struct json_object *rule =
	    json_of("{\"core\":{\"type\":\"per_second\",\"credits\":0.05},"
		    "\"flat\":[{\"code\":\"hd\",\"credits\":0.01,"
		    "\"when\":{\"resolution\":\"1080p\"}}],"
		    "\"blocked_fee\":3,\"per_unit\":0.035}");
	struct json_object *plain =
	    json_of("{\"core\":{\"type\":\"per_call\",\"credits\":5}}");
	struct json_object *wrong =
	    json_of("{\"core\":{\"type\":\"per_call\",\"credits\":5},"
		    "\"blocked_fee\":-1}");
	struct price_input in = {5000, "720p"};
	int64_t micro = 0;
	struct err err;

	CHECK(price_rule_check(rule, &err));
	CHECK(!price_rule_check(wrong, &err));
	CHECK_INT(price_blocked_fee(rule), ==, 3);
	CHECK_INT(price_blocked_fee(plain), ==, 0);
	CHECK_INT(price_blocked_fee(wrong), ==, 0);
	CHECK_INT(price_blocked_fee(NULL), ==, 0);

	/* A credit of a cost rule is a dollar. */
	CHECK(price_cost(rule, &in, &micro));
	CHECK_INT(micro, ==, 250000);
	in.resolution = "1080p";
	CHECK(price_cost(rule, &in, &micro));
	CHECK_INT(micro, ==, 260000);
	CHECK(!price_cost(NULL, &in, &micro));
	CHECK(!price_cost(wrong, &in, &micro));

	CHECK(price_cost_of_units(rule, 2.5, &micro));
	CHECK_INT(micro, ==, 87500);
	CHECK(price_cost_of_units(rule, 0, &micro));
	CHECK_INT(micro, ==, 0);
	CHECK(!price_cost_of_units(rule, -1, &micro));
	CHECK(!price_cost_of_units(rule, 1e300, &micro));
	CHECK(!price_cost_of_units(plain, 1, &micro));
	CHECK(!price_cost_of_units(NULL, 1, &micro));
	json_free(&rule);
	json_free(&plain);
	json_free(&wrong);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(numbers_001),
	    cmocka_unit_test(breakdown_001),
	    cmocka_unit_test(numbers_001_rupiah),
	    cmocka_unit_test(numbers_004),
	    cmocka_unit_test(numbers_002),
	    cmocka_unit_test(numbers_003),
	    cmocka_unit_test(too_long_for_the_tiers),
	    cmocka_unit_test(no_rule_no_run),
	    cmocka_unit_test(rounding),
	    cmocka_unit_test(conditions),
	    cmocka_unit_test(bad_rules),
	    cmocka_unit_test(no_overflow),
	    cmocka_unit_test(lines_always_add_up),
	    cmocka_unit_test(cheapest),
	    cmocka_unit_test(fees_and_costs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
