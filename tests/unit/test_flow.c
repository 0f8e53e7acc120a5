/* States: every pair of every table, names both ways, other vocabularies. */
#include "reeld/flow.h"
#include "reeld/mem.h"
#include "unit.h"

/* Written out by hand, once more: a dot may not, an x may. */
static const char *const gen_pairs[GEN_STATUSES] = {
    /*		 dpqpafcfccr */
    /* draft */ ".xx......x.",
    /* pending */ "..x....x.x.",
    /* queued */ "...x...x.xx",
    /* processing */ "..x.xxxxxxx",
    /* awaiting */ "..xx...xxx.",
    /* finalizing */ "......xx..x",
    /* completed */ "...........",
    /* failed */ "...........",
    /* cancelling */ ".....xxx.xx",
    /* cancelled */ "...........",
    /* review */ "...x.xxx.x.",
};

TEST(generation_moves)
{
	for (int from = 0; from < GEN_STATUSES; from++) {
		CHECK_INT(strlen(gen_pairs[from]), ==, GEN_STATUSES);
		for (int to = 0; to < GEN_STATUSES; to++) {
			if (gen_may_move(from, to) !=
			    (gen_pairs[from][to] == 'x'))
				fail_msg("%s -> %s", gen_status_name(from),
				    gen_status_name(to));
		}
	}
}

TEST(nothing_leaves_an_end)
{
	for (int from = 0; from < GEN_STATUSES; from++) {
		bool end = from == GEN_COMPLETED || from == GEN_FAILED ||
		    from == GEN_CANCELLED;

		CHECK_INT(gen_is_terminal(from), ==, end);
		CHECK(!gen_may_move(from, from));
		CHECK(!end || !gen_is_active(from));
		CHECK(!end || !gen_may_cancel(from));
		CHECK(!gen_may_retry(from) || end);
	}
	for (int from = 0; from < JOB_STATUSES; from++) {
		bool end = from == JOB_SUCCEEDED || from == JOB_FAILED ||
		    from == JOB_CANCELLED;

		CHECK_INT(job_is_terminal(from), ==, end);
		/* Whatever lives can be ended. */
		CHECK_INT(job_may_move(from, JOB_FAILED), ==, !end);
		CHECK_INT(job_may_move(from, JOB_CANCELLED), ==, !end);
		for (int to = 0; to < JOB_STATUSES; to++)
			CHECK(!end || !job_may_move(from, to));
		CHECK(!job_may_move(from, from));
	}
	for (int from = 0; from < ATTEMPT_STATUSES; from++) {
		bool end = from == ATTEMPT_SUCCEEDED ||
		    from == ATTEMPT_FAILED || from == ATTEMPT_CANCELLED;

		CHECK_INT(attempt_is_terminal(from), ==, end);
		CHECK_INT(attempt_may_move(from, ATTEMPT_FAILED), ==, !end);
		for (int to = 0; to < ATTEMPT_STATUSES; to++)
			CHECK(!end || !attempt_may_move(from, to));
		/* Nothing is submitted twice. */
		CHECK(from == ATTEMPT_CREATED ||
		    !attempt_may_move(from, ATTEMPT_SUBMITTING));
		CHECK(!attempt_may_move(from, ATTEMPT_CREATED));
	}
	CHECK(!job_may_move(JOB_SCHEDULED, JOB_RUNNING));
	CHECK(!attempt_may_move(ATTEMPT_CREATED, ATTEMPT_SUBMITTED));
}

TEST(names)
{
	enum gen_status gen;
	enum job_status job;
	enum attempt_status attempt;
	enum job_step step;

	for (int i = 0; i < GEN_STATUSES; i++) {
		CHECK(gen_status_parse(gen_status_name(i), &gen));
		CHECK_INT(gen, ==, i);
	}
	for (int i = 0; i < JOB_STATUSES; i++) {
		CHECK(job_status_parse(job_status_name(i), &job));
		CHECK_INT(job, ==, i);
	}
	for (int i = 0; i < ATTEMPT_STATUSES; i++) {
		CHECK(attempt_status_parse(attempt_status_name(i), &attempt));
		CHECK_INT(attempt, ==, i);
	}
	for (int i = 0; i < JOB_STEPS; i++) {
		CHECK(job_step_parse(job_step_name(i), &step));
		CHECK_INT(step, ==, i);
	}
	CHECK_STR(job_step_stage(STEP_POLL), "generate");
	CHECK(!gen_status_parse("Completed", &gen));
	CHECK(!gen_status_parse("", &gen));
	CHECK(!job_status_parse("draft", &job));
}

TEST(aliases)
{
	CHECK_STR(gen_status_alias(GEN_PENDING, FLOW_000), "PENDING");
	CHECK_STR(gen_status_alias(GEN_QUEUED, FLOW_001), "pending");
	CHECK_STR(
	    gen_status_alias(GEN_AWAITING_APPROVAL, FLOW_003), "preview_ready");
	CHECK_STR(gen_status_alias(GEN_FINALIZING, FLOW_004), "downloading");
	CHECK_STR(gen_status_alias(GEN_FINALIZING, FLOW_OPENAI), "in_progress");
	CHECK_STR(gen_status_alias(GEN_CANCELLED, FLOW_OPENAI), "failed");
	CHECK_STR(gen_status_alias(GEN_REVIEW, FLOW_004), "processing");
	CHECK(gen_status_alias(GEN_DRAFT, FLOW_004) == NULL);
	CHECK(gen_status_alias(GEN_DRAFT, FLOW_OPENAI) == NULL);
	CHECK_INT(gen_status_by_alias("failed", FLOW_OPENAI), ==,
	    1 << GEN_FAILED | 1 << GEN_CANCELLED);
	CHECK_INT(gen_status_by_alias("nonsense", FLOW_000), ==, 0);
	for (int words = 0; words < FLOW_WORDS; words++) {
		for (int i = 0; i < GEN_STATUSES; i++) {
			const char *word = gen_status_alias(i, words);

			if (word != NULL)
				CHECK(
				    gen_status_by_alias(word, words) & 1u << i);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(generation_moves),
	    cmocka_unit_test(nothing_leaves_an_end),
	    cmocka_unit_test(names),
	    cmocka_unit_test(aliases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
