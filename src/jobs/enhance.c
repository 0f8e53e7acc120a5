/*
 * enhance.c - the prompt before the submit: the stage is shown, a language
 * model is asked, and what came of it is committed, so that every attempt
 * sends the same words.  Nothing was paid for yet: a crash in between asks
 * again.  An answer that is late, refused or of no use is no failure: the
 * prompt is used as it was written, and not charged for (settle.c).
 */
#define LOG_MODULE "jobs"
#include <stdlib.h>
#include <string.h>

#include "jobs/internal.h"
#include "reeld/chat.h"
#include "reeld/json.h"
#include "reeld/log.h"

static bool
is_enhanced(const struct job *job)
{
	return job->enhanced != NULL && job->enhanced[0] != '\0';
}

void
enhance_apply(struct job *job)
{
	if (!job->has_spec || !is_enhanced(job))
		return;
	free(job->spec.prompt);
	job->spec.prompt = xstrdup(job->enhanced);
	/* The vendor's own enhancer must not do it twice. */
	job->spec.enhance = false;
}

bool
enhance_failed(const struct job *job)
{
	return job->wants_enhance && !is_enhanced(job) &&
	    !json_has(json_obj_at(doc_json(job->params), "input"), "enhance");
}

static void
on_kept(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct job *job = arg;

	if (err != NULL || pg_count(rows) < 1) {
		job_on_sql(rows, err, job); /* all of it again */
		return;
	}
	crash_point("enhance.after_commit");
	if (!str_eq(pg_text(rows, 0, "outcome"), "enhanced")) {
		job_on_simple(job, ON_LOST);
		return;
	}
	enhance_apply(job);
	job_on_simple(job, ON_ENHANCED);
}

static void
keep(struct job *job)
{
	crash_point("enhance.before_commit");
	pg_query_start(job->engine->d.pg, STMT_GENERATION_ENHANCED,
	    PG_ARGS(job->id.text, job->engine->instance.text, job->enhanced),
	    &job->query, on_kept, job);
}

static void
not_enhanced(struct job *job, const struct err *err)
{
	job->engine->stats.enhance_failures++;
	log_warn("job=%s error=%s msg=%s", job->id.text,
	    log_text(err_code_name(err)), log_text(err->msg));
	job->enhanced = xstrdup("");
	keep(job);
}

static void
on_reply(const struct fetch_reply *reply, const struct err *err, void *arg)
{
	struct job *job = arg;
	struct err why = {0};

	crash_point("enhance.answered");
	job->enhanced = chat_read(reply, err, job->max_prompt, &why);
	if (job->enhanced == NULL) {
		not_enhanced(job, &why);
		return;
	}
	job->engine->stats.enhanced++;
	keep(job);
}

static void
on_shown(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct job *job = arg;
	const struct engine_deps *d = &job->engine->d;
	struct chat_ask ask = {.prompt = job->spec.prompt,
	    .negative_prompt = job->spec.negative_prompt};
	struct fetch_spec spec;
	struct err why = {0};

	if (err != NULL || pg_count(rows) < 1) {
		job_on_sql(rows, err, job); /* all of it again */
		return;
	}
	engine_publish(job->engine, rows, 0);
	if (!str_eq(pg_text(rows, 0, "outcome"), "enhancing")) {
		job_on_simple(job, ON_LOST);
		return;
	}
	if (!chat_build(
		d->enhancer != NULL ? d->enhancer(d->accounts_arg) : NULL, &ask,
		&spec, &why)) {
		not_enhanced(job, &why);
		return;
	}
	fetch_start(d->fetch, &spec, &job->call, on_reply, job);
	crash_point("enhance.sent");
}

void
enhance_start(struct job *job)
{
	/* The answer to keep() was lost: it need not be asked again. */
	if (job->enhanced != NULL) {
		keep(job);
		return;
	}
	pg_query_start(job->engine->d.pg, STMT_GENERATION_ENHANCING,
	    PG_ARGS(job->id.text, job->engine->instance.text), &job->query,
	    on_shown, job);
}
