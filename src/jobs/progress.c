/*
 * progress.c - once a second, what the polls brought is written by one
 * statement and published; unchanged jobs cost nothing.  Another one clears
 * jobs of the crashes that they were blamed for.
 */
#define LOG_MODULE "jobs"
#include <stdlib.h>

#include "jobs/internal.h"
#include "reeld/json.h"
#include "reeld/log.h"

/* Rows per statement: the rest waits for the next second. */
enum { FLUSH_MAX = 1000 };

void
progress_note(struct job *job, int progress, int position)
{
	bool changed = false;

	if (progress > job->progress && progress <= 100) {
		job->progress = progress;
		changed = true;
	}
	if (position != job->position) {
		job->position = position;
		changed = true;
	}
	if (changed && !job->dirty) {
		job->dirty = true;
		TAILQ_INSERT_TAIL(&job->engine->dirty, job, dirty_entry);
	}
}

static void
on_written(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct engine *self = arg;

	if (err != NULL) { /* the next change writes it */
		log_debug("msg=%s", log_text(err->msg));
		return;
	}
	for (int i = 0; i < pg_count(rows); i++) {
		struct json_object *event = pg_json(rows, i, "event");
		struct job *job =
		    job_find(self, pg_text(rows, i, "generation_id"));

		events_publish_json(self, event);
		json_free(&event);
		if (job != NULL && pg_bool(rows, i, "cancel_requested") &&
		    !job->state.cancel)
			job_on_simple(job, ON_CANCEL);
	}
}

void
progress_clean(struct job *job)
{
	if (!job->blamed || job->clean_due || job->cleaning)
		return;
	job->clean_due = true;
	TAILQ_INSERT_TAIL(&job->engine->blamed, job, blamed_entry);
}

void
progress_cleaned(struct job *job)
{
	if (job->clean_due)
		TAILQ_REMOVE(&job->engine->blamed, job, blamed_entry);
	job->blamed = job->clean_due = job->cleaning = false;
}

/* A count that stays would make the next crash one too many, and keep others
 * that are set apart waiting: said again until it was heard. */
static void
on_clean(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct engine *self = arg;
	struct job *job;

	(void)rows;
	if (err != NULL)
		log_debug("msg=%s", log_text(err->msg));
	TAILQ_FOREACH (job, &self->jobs, entry) {
		if (!job->cleaning)
			continue;
		if (err == NULL) {
			progress_cleaned(job);
			continue;
		}
		job->cleaning = false;
		progress_clean(job);
	}
}

static void
write_clean(struct engine *self)
{
	struct buf ids;
	struct job *job;

	buf_init(&ids, 1 << 20);
	for (int n = 0;
	     n < FLUSH_MAX && (job = TAILQ_FIRST(&self->blamed)) != NULL; n++) {
		TAILQ_REMOVE(&self->blamed, job, blamed_entry);
		job->clean_due = false;
		job->cleaning = true;
		buf_printf(&ids, "%c%s", n > 0 ? ',' : '{', job->id.text);
	}
	buf_putc(&ids, '}');
	pg_query_start(self->d.pg, STMT_JOB_CLEAN,
	    PG_ARGS(self->instance.text, buf_str(&ids)), &self->clean_query,
	    on_clean, self);
	buf_fini(&ids);
}

static void
write_dirty(struct engine *self)
{
	struct buf ids, progress, basis, position;
	struct job *job;
	int n = 0;

	buf_init(&ids, 1 << 20);
	buf_init(&progress, 1 << 20);
	buf_init(&basis, 1 << 20);
	buf_init(&position, 1 << 20);
	while (n < FLUSH_MAX && (job = TAILQ_FIRST(&self->dirty)) != NULL) {
		const char *sep = n++ > 0 ? "," : "{";

		TAILQ_REMOVE(&self->dirty, job, dirty_entry);
		job->dirty = false;
		buf_printf(&ids, "%s%s", sep, job->generation.text);
		if (job->progress >= 0) {
			buf_printf(&progress, "%s%d", sep, job->progress);
			buf_printf(&basis, "%sreal", sep);
		} else {
			buf_printf(&progress, "%sNULL", sep);
			buf_printf(&basis, "%sNULL", sep);
		}
		if (job->position >= 0)
			buf_printf(&position, "%s%d", sep, job->position);
		else
			buf_printf(&position, "%sNULL", sep);
	}
	if (n > 0) {
		char *nulls;
		struct buf none;

		buf_init(&none, 1 << 20);
		for (int i = 0; i < n; i++)
			buf_printf(&none, "%sNULL", i > 0 ? "," : "{");
		buf_putc(&none, '}');
		nulls = buf_take(&none, NULL);
		buf_putc(&ids, '}');
		buf_putc(&progress, '}');
		buf_putc(&basis, '}');
		buf_putc(&position, '}');
		pg_query_start(self->d.pg, STMT_GENERATIONS_PROGRESS,
		    PG_ARGS(self->instance.text, buf_str(&ids),
			buf_str(&progress), buf_str(&basis), buf_str(&position),
			nulls, nulls),
		    &self->flush_query, on_written, self);
		free(nulls);
	}
	buf_fini(&ids);
	buf_fini(&progress);
	buf_fini(&basis);
	buf_fini(&position);
}

void
progress_flush(void *arg)
{
	struct engine *self = arg;

	timer_set_jitter_ms(&self->flush, 1000, 10);
	events_flush(self);
	if (self->flush_query == NULL && !TAILQ_EMPTY(&self->dirty))
		write_dirty(self);
	if (self->clean_query == NULL && !TAILQ_EMPTY(&self->blamed))
		write_clean(self);
}
