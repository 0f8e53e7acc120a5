/*
 * purge.c - removes the files of what was deleted an hour ago.  The row says
 * so first (deleted_at) and last (state purged), so a crash in between only
 * repeats a deletion, and deleting what is not there succeeds.
 */
#define LOG_MODULE "jobs"
#include <stdlib.h>

#include "jobs/internal.h"
#include "reeld/log.h"
#include "reeld/storage.h"

enum { PURGE_PAGE = 50 };

struct asset {
	struct id id;
	char *key;
};

struct purge {
	struct engine *engine;
	struct pg_query *query;
	struct storage_work *work;
	struct asset assets[PURGE_PAGE];
	int n, at;
	struct buf gone; /* "{id,id" */
};

void
purge_end(struct engine *engine)
{
	struct purge *self = engine->purge;

	engine->purge = NULL;
	if (self == NULL)
		return;
	pg_query_cancel(&self->query);
	storage_cancel(&self->work);
	for (int i = 0; i < self->n; i++)
		free(self->assets[i].key);
	buf_fini(&self->gone);
	free(self);
}

static void
on_marked(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct purge *self = arg;

	if (err != NULL) /* next time: they are deleted again */
		log_warn("msg=%s", log_text(err->msg));
	else
		log_info("files=%lld msg=\"purged\"",
		    (long long)pg_i64(rows, 0, "n"));
	purge_end(self->engine);
}

static void next(struct purge *self);

static void
on_deleted(
    const struct storage_object *object, const struct err *err, void *arg)
{
	struct purge *self = arg;
	const struct asset *asset = &self->assets[self->at++];

	if (err != NULL)
		log_warn("asset=%s msg=%s", asset->id.text, log_text(err->msg));
	else
		buf_printf(&self->gone, "%c%s", self->gone.len == 0 ? '{' : ',',
		    asset->id.text);
	next(self);
}

static void
next(struct purge *self)
{
	struct engine *engine = self->engine;

	if (self->at < self->n) {
		storage_delete_start(engine->d.storage,
		    self->assets[self->at].key, &self->work, on_deleted, self);
	} else if (self->gone.len > 0) {
		buf_putc(&self->gone, '}');
		pg_query_start(engine->d.pg, STMT_ASSETS_PURGED,
		    PG_ARGS(buf_str(&self->gone)), &self->query, on_marked,
		    self);
	} else {
		purge_end(engine);
	}
}

static void
on_assets(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct purge *self = arg;

	for (int i = 0; err == NULL && i < pg_count(rows); i++) {
		struct asset *asset = &self->assets[self->n++];

		str_copy(asset->id.text, sizeof asset->id.text,
		    pg_text(rows, i, "id"));
		asset->key = xstrdup(pg_text(rows, i, "key"));
	}
	next(self);
}

void
purge_start(struct engine *engine)
{
	struct purge *self;

	if (engine->purge != NULL)
		return;
	self = xcalloc(1, sizeof *self);
	self->engine = engine;
	buf_init(&self->gone, 64 * PURGE_PAGE);
	engine->purge = self;
	/* Files in the other kind of store wait until that is in use. */
	pg_query_start(engine->d.pg, STMT_ASSETS_PURGEABLE,
	    PG_ARGS(engine->d.s3 ? "s3" : "local", pg_num(PURGE_PAGE)),
	    &self->query, on_assets, self);
}
