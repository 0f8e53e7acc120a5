/*
 * end.c - the statements that end this process's part in a job: failed,
 * cancelled, in review, back to the queue, parked, released.
 */
#define LOG_MODULE "jobs"
#include <stdio.h>

#include "jobs/internal.h"
#include "reeld/json.h"
#include "reeld/log.h"
#include "reeld/price.h"

/* The codes that step() itself decides on. */
static const struct {
	const char *code, *class, *user;
	bool retry;
} reasons[] = {
    {"provider_unknown", "uncertain",
	"The provider gave no clear answer; your credits were returned.", true},
    {"provider_unreachable", "provider", "The provider could not be reached.",
	true},
    {"provider_cancelled", "provider", "The provider cancelled this video.",
	true},
    {"result_unavailable", "provider",
	"The finished video could not be fetched from the provider.", true},
    {"storage_unavailable", "internal",
	"The finished video could not be stored.", true},
};

static const char *
cost(const struct job *job)
{
	return job->cost_micro_usd >= 0 ? pg_num(job->cost_micro_usd) : NULL;
}

/* All but the fee goes back. */
static void
fail(struct job *job, int64_t fee)
{
	struct json_object *item = json_new();

	json_set_text(item, "job", job->id.text);
	json_set_text(item, "class", job->why_class);
	json_set_text(item, "code", job->why_code);
	json_set_text(item, "message", job->why_user);
	json_set_text(item, "provider_message", job->why_provider);
	json_set_bool(item, "retryable", job->why_retry);
	json_set_int(item, "fee", fee);
	if (job->cost_micro_usd >= 0)
		json_set_int(item, "cost_micro_usd", job->cost_micro_usd);
	crash_point("fail.before_commit");
	pg_group_add(job->engine->fails, item, &job->item, job_on_item, job);
	json_free(&item);
}

static void
on_rule(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct job *job = arg;
	struct json_object *rule;
	int64_t fee = 0;

	if (err != NULL) {
		job_on_sql(NULL, err, job); /* the whole effect again */
		return;
	}
	if (pg_count(rows) > 0) {
		rule = pg_json(rows, 0, "rule");
		fee = price_blocked_fee(rule);
		json_free(&rule);
	}
	fail(job, fee);
}

void
end_fail(struct job *job)
{
	for (size_t i = 0; i < nitems(reasons); i++)
		if (str_eq(job->state.why, reasons[i].code) &&
		    !str_eq(job->why_code, reasons[i].code))
			job_why(job, reasons[i].class, reasons[i].code,
			    reasons[i].user, job->why_provider,
			    reasons[i].retry);
	if (job->why_code[0] == '\0')
		job_why(job, "internal", job->state.why,
		    "This video could not be made.", NULL, true);
	if (str_eq(job->why_code, "result_unavailable") ||
	    str_eq(job->why_code, "storage_unavailable"))
		expiry_lost(job);
	log_info("job=%s gen=%s class=%s code=%s provider_says=%s "
		 "msg=\"failed\"",
	    job->id.text, job->generation.text, job->why_class,
	    log_text(job->why_code), log_text(job->why_provider));
	/* Refused for its content: some providers bill that, and the plan that
	 * it was sold under may keep a fee. */
	if (str_eq(job->why_class, "refused"))
		pg_query_start(job->engine->d.pg, STMT_ENGINE_PRICE_RULE,
		    PG_ARGS(job->generation.text), &job->query, on_rule, job);
	else
		fail(job, 0);
}

void
end_cancelled(struct job *job)
{
	crash_point("cancel.before_commit");
	pg_query_start(job->engine->d.pg, STMT_GENERATION_CANCELLED,
	    PG_ARGS(
		job->id.text, job->engine->instance.text, pg_num(0), cost(job)),
	    &job->query, job_on_sql, job);
}

void
end_review(struct job *job)
{
	bool refused = job->state.refused;

	pg_query_start(job->engine->d.pg, STMT_GENERATION_REVIEW,
	    PG_ARGS(job->id.text, job->engine->instance.text,
		refused ? job->why_code : "deadline",
		refused ? job->why_user
			: "Past its deadline without a clear answer from "
			  "the provider."),
	    &job->query, job_on_sql, job);
}

void
end_requeue(struct job *job, int64_t delay_ms)
{
	/* Only what could not be reached uses up a try. */
	bool counts = job->state.requeue_counts;
	bool held = str_eq(job->verdict, "held");
	int64_t rest_ms = held ? delay_ms : job->verdict_ms;

	crash_point("requeue.before_commit");
	pg_query_start(job->engine->d.pg, STMT_JOB_REQUEUE,
	    PG_ARGS(job->id.text, job->engine->instance.text, job->attempt.text,
		pg_num(delay_ms), pg_yes(counts),
		counts			    ? "not_sent"
		    : job->leave	    ? job->why_code
		    : held || !job->verdict ? "busy"
					    : "account",
		job->leave		   ? job->why_provider
		    : job->verdict != NULL ? job->verdict_why
					   : NULL,
		pg_yes(job->leave), job->verdict,
		job->verdict != NULL && rest_ms > 0 ? pg_num(rest_ms) : NULL,
		job->verdict_why),
	    &job->query, job_on_sql, job);
}

void
end_park(struct job *job, int64_t wait_ms)
{
	crash_point("uncertain.before_commit");
	pg_query_start(job->engine->d.pg, STMT_ATTEMPT_UNCERTAIN,
	    PG_ARGS(job->attempt.text, job->engine->instance.text,
		pg_num(wait_ms / 1000), "the answer to the submit was lost"),
	    &job->query, job_on_sql, job);
}

void
end_release(struct job *job)
{
	char ids[ID_LEN + 3];

	snprintf(ids, sizeof ids, "{%s}", job->id.text);
	crash_point("release.before_commit");
	pg_query_start(job->engine->d.pg, STMT_JOB_RELEASE,
	    PG_ARGS(job->engine->instance.text, ids), &job->query, job_on_sql,
	    job);
}
