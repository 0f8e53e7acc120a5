/*
 * settle.c - what a finished video costs.  One that is more than a second
 * shorter than ordered is priced again by the plan it was sold under, with
 * its real length, and one whose prompt was to be enhanced and was not,
 * without that; generation_finish() never charges more than the quote.
 */
#define LOG_MODULE "jobs"
#include <inttypes.h>

#include "jobs/internal.h"
#include "reeld/json.h"
#include "reeld/log.h"
#include "reeld/price.h"

enum {
	SHORT_MS = 1000,
	SLACK_MS = 250 /* a "5 s" video has 5.04 s */
};

static bool
is_short(const struct job *job)
{
	return job->video.probed && job->has_spec &&
	    job->video.info.duration_ms > 0 &&
	    job->spec.duration_ms - job->video.info.duration_ms > SHORT_MS;
}

bool
settle_is_due(const struct job *job)
{
	return is_short(job) || (job->has_spec && enhance_failed(job));
}

static void
price_again(struct job *job, const struct json_object *rule)
{
	struct price_input in = price_input_of(&job->spec);
	int64_t ms = job->video.info.duration_ms - SLACK_MS;
	struct price_quote quote;
	struct err err;

	/* Whole seconds, as they are sold. */
	if (is_short(job))
		in.duration_ms = ms > 0 ? (ms + 999) / 1000 * 1000 : 1000;
	in.enhance = job->wants_enhance && !enhance_failed(job);
	if (!price_quote(rule, &in, &quote, &err)) {
		log_warn("job=%s msg=%s", job->id.text, log_text(err.msg));
		return;
	}
	job->settle = quote.credits;
	log_info("job=%s ordered_ms=%" PRId64 " made_ms=%" PRId64
		 " enhanced=%d credits=%" PRId64 " msg=\"less than ordered\"",
	    job->id.text, job->spec.duration_ms, job->video.info.duration_ms,
	    in.enhance, quote.credits);
}

static void
on_rule(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct job *job = arg;
	struct json_object *rule;

	if (err != NULL) {
		job_on_sql(NULL, err, job); /* the whole effect again */
		return;
	}
	if (pg_count(rows) > 0) {
		rule = pg_json(rows, 0, "rule");
		price_again(job, rule);
		json_free(&rule);
	}
	finish_commit_settled(job);
}

void
settle_start(struct job *job)
{
	pg_query_start(job->engine->d.pg, STMT_ENGINE_PRICE_RULE,
	    PG_ARGS(job->generation.text), &job->query, on_rule, job);
}
