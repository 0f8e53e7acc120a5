/* group.c - items gathered into transactions; see pg_group.h. */
#define LOG_MODULE "pg"
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "pg/internal.h"
#include "reeld/clock.h"
#include "reeld/json.h"
#include "reeld/log.h"
#include "reeld/loop.h"
#include "reeld/mem.h"
#include "reeld/pg_group.h"

enum {
	MOST = 64,		 /* items in one transaction */
	MOST_BYTES = 512 * 1024, /* of their text, beyond the first one's */
	WAIT_MS = 5000,		 /* for a lock, from when it was added */
};

TAILQ_HEAD(items, pg_item);

struct pg_item {
	TAILQ_ENTRY(pg_item) entry;
	struct pg_group *group;
	struct items *list;    /* one of the group's; or those being told */
	struct pg_item **slot; /* NULL: nobody waits for it */
	pg_item_fn *fn;
	void *arg;
	int left_out; /* times it had no row in company */
	int row;      /* its row in company; -1: none */
	bool passes;  /* does not wait for locks, not even shortly */
	int64_t added_ms;
	char *whose;		/* lock it may meet, or NULL */
	char *text;		/* as JSON, from its second byte */
	struct pg_query *query; /* sent alone */
};

/* Done in company, to be told when that is on disk. */
struct batch {
	TAILQ_ENTRY(batch) entry;
	struct pg_group *group;
	struct items items;
	struct pg_rows rows;
};

struct pg_group {
	struct pg_group_opts opts;
	struct items waiting, sent;
	struct items passing; /* met a lock in company: next */
	struct items alone;
	struct items held; /* behind one that is alone, for the same lock */
	struct pg_query *query; /* of what was sent together */
	bool async;		/* and does not wait for the disk */
	struct flush *flush;
	TAILQ_HEAD(, batch) batches;
	struct loop_defer *defer;
	struct pace pace;
};

static void
move(struct pg_item *item, struct items *to)
{
	TAILQ_REMOVE(item->list, item, entry);
	TAILQ_INSERT_TAIL(to, item, entry);
	item->list = to;
}

static void
item_free(struct pg_item *item)
{
	TAILQ_REMOVE(item->list, item, entry);
	if (item->slot != NULL)
		*item->slot = NULL;
	pg_query_cancel(&item->query);
	free(item->whose);
	free(item->text);
	free(item);
}

static void
tell(struct pg_item *item, const struct pg_rows *rows, int row,
    const struct err *err)
{
	pg_item_fn *fn = item->slot != NULL ? item->fn : NULL;
	void *arg = item->arg;

	item_free(item);
	if (fn != NULL)
		fn(rows, row, err, arg);
}

static void
add_text(struct buf *out, int n, bool async, const struct pg_item *item)
{
	buf_printf(out, "%s{\"n\":%d%s%s%s", n > 1 ? "," : "[", n,
	    item->passes ? ",\"pass\":true" : "",
	    async ? ",\"async\":true" : "", item->text[0] == '}' ? "" : ",");
	buf_puts(out, item->text);
}

static void
add_text_alone(struct buf *out, const struct pg_item *item)
{
	int64_t left = item->added_ms + WAIT_MS - clock_mono_ms();

	buf_printf(out, "[{\"n\":1,\"alone\":true,\"wait_ms\":%lld%s",
	    (long long)(left > 1 ? left : 1), item->text[0] == '}' ? "" : ",");
	buf_puts(out, item->text);
}

static void
start(struct pg_group *self, struct buf *text, struct pg_query **slot,
    pg_done_fn *done, void *arg)
{
	buf_putc(text, ']');
	if (self->opts.first != NULL)
		pg_query_start(self->opts.pool, self->opts.stmt,
		    PG_ARGS(self->opts.first, buf_str(text)), slot, done, arg);
	else
		pg_query_start(self->opts.pool, self->opts.stmt,
		    PG_ARGS(buf_str(text)), slot, done, arg);
}

/* --- One alone ------------------------------------------------------------ */

static void send_later(struct pg_group *self);

/* Several that wait for one lock would take as many connections. */
static bool
must_hold(const struct pg_item *item)
{
	const struct pg_item *other;

	if (item->whose != NULL)
		TAILQ_FOREACH (other, &item->group->alone, entry)
			if (other->whose != NULL &&
			    strcmp(other->whose, item->whose) == 0)
				return true;
	return false;
}

static void
send_passing(struct pg_item *item)
{
	item->passes = true;
	move(item, &item->group->passing);
}

/* Those that were held behind it: the lock may be free now. */
static void
release(struct pg_group *self, const char *whose)
{
	struct pg_item *item, *next;

	for (item = TAILQ_FIRST(&self->held); item != NULL; item = next) {
		next = TAILQ_NEXT(item, entry);
		if (strcmp(item->whose, whose) == 0)
			send_passing(item);
	}
	send_later(self);
}

static void
on_alone(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct pg_item *item = arg;
	struct pg_group *self = item->group;
	char *whose = item->whose;

	if (err == NULL && pg_count(rows) > 0)
		self->opts.each(rows, 0, self->opts.arg);
	item->whose = NULL;
	tell(item, rows, 0, err);
	if (whose != NULL)
		release(self, whose);
	free(whose);
}

static void
send_alone(struct pg_item *item)
{
	struct buf text;

	if (must_hold(item)) {
		move(item, &item->group->held);
		return;
	}
	buf_init(&text, strlen(item->text) + 64);
	add_text_alone(&text, item);
	move(item, &item->group->alone);
	start(item->group, &text, &item->query, on_alone, item);
	if (item->query != NULL)
		item->query->may_wait = true;
	buf_fini(&text);
}

/* --- Several together ----------------------------------------------------- */

static void send_group(void *arg);

/* It was rolled back: one of the items may be why, the others are not. */
static bool
may_be_anothers(const struct err *err)
{
	return strcmp(err->name, "db_unknown") != 0 &&
	    strcmp(err->name, "db_unavailable") != 0 &&
	    strcmp(err->name, "db_busy") != 0;
}

/* Left out, it goes along with the next ones; a refused transaction's items are
 * told apart. */
static void
again(struct pg_item *item, bool refused)
{
	if (refused || item->passes ||
	    item->left_out >= item->group->opts.again) {
		send_alone(item);
		return;
	}
	item->left_out++;
	move(item, &item->group->waiting);
}

/* One of them met a lock, nobody knows which: all but that one go at once. */
static void
all_pass(struct pg_group *self)
{
	struct pg_item *item;

	while ((item = TAILQ_FIRST(&self->sent)) != NULL) {
		if (item->slot != NULL)
			send_passing(item);
		else
			item_free(item);
	}
	send_group(self);
}

static void
warn_again(const struct pg_group *self, const struct err *err)
{
	log_warn("statement=%s error=%s msg=\"each is sent again\"",
	    pg_stmt_name(self->opts.stmt), err->name);
}

static void
tell_all(struct pg_group *self, struct items *items, const struct pg_rows *rows,
    const struct err *err)
{
	struct pg_item *item;

	for (int i = 0; err == NULL && i < pg_count(rows); i++)
		self->opts.each(rows, i, self->opts.arg);
	while ((item = TAILQ_FIRST(items)) != NULL)
		tell(item, rows, err == NULL ? item->row : 0, err);
}

static void
on_disk(const struct err *err, void *arg)
{
	struct batch *batch = arg;

	TAILQ_REMOVE(&batch->group->batches, batch, entry);
	tell_all(batch->group, &batch->items, &batch->rows, err);
	PQclear(batch->rows.result);
	free(batch);
}

/* They are told when it is on disk; nobody's lock is held until then. */
static void
tell_later(
    struct pg_group *self, struct items *items, const struct pg_rows *rows)
{
	struct batch *batch = xcalloc(1, sizeof *batch);
	struct pg_item *item;

	batch->group = self;
	batch->rows = rows_take(rows);
	TAILQ_INIT(&batch->items);
	while ((item = TAILQ_FIRST(items)) != NULL)
		move(item, &batch->items);
	TAILQ_INSERT_TAIL(&self->batches, batch, entry);
	flush_wait(self->flush, rows->query->sent_us, on_disk, batch);
}

/* Those that were sent together, each with its row. */
static int
take_sent(struct pg_group *self, struct items *to, const struct pg_rows *rows)
{
	struct pg_item *item;
	int n = 0, row_of[MOST + 1], count = rows != NULL ? pg_count(rows) : 0;

	memset(row_of, -1, sizeof row_of);
	for (int i = 0; i < count; i++) {
		int64_t k = pg_i64(rows, i, "n");

		if (k >= 1 && k <= MOST)
			row_of[k] = i;
	}
	while ((item = TAILQ_FIRST(&self->sent)) != NULL) {
		item->row = row_of[++n];
		move(item, to);
	}
	return n;
}

static void
on_group(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct pg_group *self = arg;
	struct items told = TAILQ_HEAD_INITIALIZER(told);
	struct pg_item *item, *next;
	bool async = self->async,
	     locked = err != NULL && strcmp(err->name, "db_locked") == 0;
	int n;

	if (locked && !TAILQ_FIRST(&self->sent)->passes) {
		warn_again(self, err);
		all_pass(self);
		return;
	}
	n = take_sent(self, &told, err == NULL ? rows : NULL);
	pace_ended(&self->pace);
	/* PostgreSQL works at the next ones while these are told. */
	send_group(self);
	if (err == NULL || locked || (n > 1 && may_be_anothers(err))) {
		if (err != NULL)
			warn_again(self, err);
		for (item = TAILQ_FIRST(&told); item != NULL; item = next) {
			next = TAILQ_NEXT(item, entry);
			if (item->row < 0 && item->slot != NULL)
				again(item, err != NULL);
			else if (item->row < 0)
				item_free(item);
		}
	}
	if (err == NULL && async)
		tell_later(self, &told, rows);
	pg_pool_send(self->opts.pool);
	if (err != NULL || !async)
		tell_all(self, &told, rows, err);
	send_later(self); /* those that go again */
}

static int
count(const struct items *list)
{
	const struct pg_item *item;
	int n = 0;

	TAILQ_FOREACH (item, list, entry)
		n++;
	return n;
}

static void
send_group(void *arg)
{
	struct pg_group *self = arg;
	struct items *from =
	    TAILQ_EMPTY(&self->passing) ? &self->waiting : &self->passing;
	struct pg_item *item = TAILQ_FIRST(from);
	struct buf text;
	int n = 0;

	if (self->query != NULL || item == NULL)
		return;
	if (from == &self->waiting && !self->opts.at_once &&
	    pace_holds(&self->pace, count(from)))
		return;
	pace_began(&self->pace);
	if (from == &self->waiting && item->left_out > 0 &&
	    TAILQ_NEXT(item, entry) == NULL) {
		/* It may wait for its lock, and shall not be waited for. */
		send_alone(item);
		return;
	}
	/* One by itself waits for the disk: it would only wait twice. */
	self->async = self->flush != NULL && TAILQ_NEXT(item, entry) != NULL;
	buf_init(&text, 64u << 20);
	while ((item = TAILQ_FIRST(from)) != NULL && n < MOST &&
	    (n == 0 || text.len + strlen(item->text) < MOST_BYTES)) {
		move(item, &self->sent);
		add_text(&text, ++n, self->async, item);
	}
	start(self, &text, &self->query, on_group, self);
	buf_fini(&text);
}

/* At the end of the turn: what else comes in it goes along. */
static void
send_later(struct pg_group *self)
{
	if (self->query == NULL && self->defer == NULL)
		loop_defer(self->opts.loop, "pg group", send_group, self,
		    &self->defer);
}

void
pg_group_add(struct pg_group *self, const struct json_object *object,
    struct pg_item **slot, pg_item_fn *fn, void *arg)
{
	struct pg_item *item = xcalloc(1, sizeof *item);
	char *text = json_dump_text(object);

	item->group = self;
	item->slot = slot;
	item->fn = fn;
	item->arg = arg;
	item->added_ms = clock_mono_ms();
	item->text = xstrdup(text + 1); /* n goes before it */
	free(text);
	if (self->opts.whose != NULL)
		item->whose = xstrdup(json_text_at(object, self->opts.whose));
	item->list = must_hold(item) ? &self->held : &self->waiting;
	TAILQ_INSERT_TAIL(item->list, item, entry);
	*slot = item;
	send_later(self);
}

/* Or it was sent, and did not take place. */
static bool
is_unsent(const struct pg_item *item)
{
	const struct pg_group *self = item->group;

	return item->list == &self->waiting || item->list == &self->passing ||
	    item->list == &self->held;
}

void
pg_item_cancel(struct pg_item **slot)
{
	struct pg_item *item = *slot;

	if (item == NULL)
		return;
	if (is_unsent(item)) {
		item_free(item);
		return;
	}
	item->slot = NULL;
	*slot = NULL;
}

struct pg_group *
pg_group_new(const struct pg_group_opts *opts)
{
	struct pg_group *self = xcalloc(1, sizeof *self);

	self->opts = *opts;
	TAILQ_INIT(&self->waiting);
	TAILQ_INIT(&self->sent);
	TAILQ_INIT(&self->passing);
	TAILQ_INIT(&self->alone);
	TAILQ_INIT(&self->held);
	TAILQ_INIT(&self->batches);
	pace_init(&self->pace, opts->pool, opts->stmt, send_group, self);
	if (opts->async)
		self->flush = flush_new(opts->pool);
	return self;
}

static void
free_all(struct items *list)
{
	struct pg_item *item;

	while ((item = TAILQ_FIRST(list)) != NULL)
		item_free(item);
}

void
pg_group_free(struct pg_group *self)
{
	struct batch *batch;

	if (self == NULL)
		return;
	loop_defer_cancel(&self->defer);
	pace_fini(&self->pace);
	pg_query_cancel(&self->query);
	flush_free(self->flush);
	while ((batch = TAILQ_FIRST(&self->batches)) != NULL) {
		TAILQ_REMOVE(&self->batches, batch, entry);
		free_all(&batch->items);
		PQclear(batch->rows.result);
		free(batch);
	}
	free_all(&self->waiting);
	free_all(&self->sent);
	free_all(&self->passing);
	free_all(&self->alone);
	free_all(&self->held);
	free(self);
}
