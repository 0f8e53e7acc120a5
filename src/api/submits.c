/*
 * submits.c - orders gathered into transactions; see submits.h.
 *
 * One transaction at a time: what is spread over two costs nearly twice as
 * much, and they would meet at accounts.  It does not wait for the disk, the
 * next one goes meanwhile.
 */
#define LOG_MODULE "api"
#include <stdlib.h>
#include <sys/queue.h>

#include "api/submits.h"
#include "reeld/jobs.h"
#include "reeld/pg_group.h"

/* A key is held for a commit, by the order that came before. */
enum { LOCKED_TRIES = 4 };

struct submit {
	TAILQ_ENTRY(submit) entry;
	struct submits *owner;
	struct submit **slot; /* NULL: nobody waits for it, it is done still */
	submit_fn *fn;
	void *arg;
	struct pg_item *item;
};

struct submits {
	struct app *app;
	struct pg_group *group;
	TAILQ_HEAD(, submit) all;
};

static void
submit_free(struct submit *item)
{
	TAILQ_REMOVE(&item->owner->all, item, entry);
	if (item->slot != NULL)
		*item->slot = NULL;
	free(item);
}

/* The first one of its transaction that may be claimed, and does not wait for
 * another of its user to end: a claim for it finds them all. */
static bool
is_first_queued(const struct pg_rows *rows, int row)
{
	for (int i = 0; i <= row; i++)
		if (str_eq(pg_text(rows, i, "outcome"), "created") &&
		    str_eq(pg_text(rows, i, "status"), "queued"))
			return i == row;
	return false;
}

static void
on_each(const struct pg_rows *rows, int row, void *arg)
{
	struct submits *self = arg;

	/* PostgreSQL looks for it while its news and reply are made. */
	if (is_first_queued(rows, row))
		engine_claim(self->app->engine);
	engine_publish(self->app->engine, rows, row);
}

static void
on_order(const struct pg_rows *rows, int row, const struct err *err, void *arg)
{
	struct submit *item = arg;
	submit_fn *fn = item->slot != NULL ? item->fn : NULL;
	void *fn_arg = item->arg;

	submit_free(item);
	if (fn != NULL)
		fn(rows, row, err, fn_arg);
}

void
submits_add(struct submits *self, const struct json_object *order,
    struct submit **slot, submit_fn *fn, void *arg)
{
	struct submit *item = xcalloc(1, sizeof *item);

	item->owner = self;
	item->slot = slot;
	item->fn = fn;
	item->arg = arg;
	TAILQ_INSERT_TAIL(&self->all, item, entry);
	*slot = item;
	pg_group_add(self->group, order, &item->item, on_order, item);
}

void
submits_cancel(struct submit **slot)
{
	if (*slot == NULL)
		return;
	(*slot)->slot = NULL;
	*slot = NULL;
}

struct submits *
submits_open(struct app *app)
{
	struct submits *self = xcalloc(1, sizeof *self);
	struct pg_group_opts opts = {.loop = app->loop,
	    .pool = app->pg_engine,
	    .stmt = STMT_GENERATION_SUBMIT,
	    .again = LOCKED_TRIES,
	    .whose = "user_id",
	    .async = true,
	    .each = on_each,
	    .arg = self};

	self->app = app;
	TAILQ_INIT(&self->all);
	self->group = pg_group_new(&opts);
	return self;
}

void
submits_close(struct submits *self)
{
	struct submit *item;

	if (self == NULL)
		return;
	pg_group_free(self->group);
	while ((item = TAILQ_FIRST(&self->all)) != NULL)
		submit_free(item);
	free(self);
}
