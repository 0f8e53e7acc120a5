/*
 * submits.c - orders gathered into transactions; see submits.h.
 *
 * A lane has one transaction under way.  While a user has orders here they all
 * take one lane, so that two transactions do not meet at one account; the first
 * of them takes the lane with the least to do.
 */
#define LOG_MODULE "api"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "api/submits.h"
#include "reeld/jobs.h"
#include "reeld/log.h"
#include "reeld/loop.h"

enum {
	LANES = 2,
	MOST = 32,		 /* orders in one transaction */
	MOST_BYTES = 512 * 1024, /* of their text, beyond the first one's */
};

struct user {
	UT_hash_handle hh; /* by id */
	struct lane *lane;
	int orders;
	char id[ID_LEN + 1];
};

struct submit {
	struct submit *next;
	struct submits *owner;
	struct user *user;
	struct submit **slot; /* NULL: nobody waits for it */
	submit_fn *fn;
	void *arg;
	char *text;		/* the order as JSON, from its second byte */
	struct pg_query *query; /* sent alone */
	struct submit *next_alone, **prev_alone;
};

struct lane {
	struct submits *owner;
	int orders;		      /* of all its users */
	struct submit *first, **last; /* not sent yet */
	struct submit *sent[MOST];
	int n_sent;
	struct pg_query *query;
	struct loop_defer *defer;
};

struct submits {
	struct app *app;
	struct lane lanes[LANES];
	struct user *users; /* uthash, those with orders here */
	struct submit *alone;
};

static void lane_soon(struct lane *lane);

/* --- Users and their lanes ------------------------------------------------ */

static struct lane *
least_busy(struct submits *self)
{
	struct lane *best = &self->lanes[0];

	for (int i = 1; i < LANES; i++)
		if (self->lanes[i].orders < best->orders)
			best = &self->lanes[i];
	return best;
}

/* Counts one order more of that user. */
static struct user *
user_hold(struct submits *self, const char *id)
{
	struct user *user;

	HASH_FIND_STR(self->users, id, user);
	if (user == NULL) {
		user = xcalloc(1, sizeof *user);
		(void)str_copy(user->id, sizeof user->id, id);
		user->lane = least_busy(self);
		HASH_ADD_STR(self->users, id, user);
	}
	user->orders++;
	user->lane->orders++;
	return user;
}

static void
user_release(struct submits *self, struct user *user)
{
	user->lane->orders--;
	if (--user->orders > 0)
		return;
	HASH_DEL(self->users, user);
	free(user);
}

static void
submit_free(struct submit *item)
{
	user_release(item->owner, item->user);
	if (item->slot != NULL)
		*item->slot = NULL;
	free(item->text);
	free(item);
}

static void
tell(struct submit *item, const struct pg_rows *rows, int row,
    const struct err *err)
{
	submit_fn *fn = item->slot != NULL ? item->fn : NULL;
	void *arg = item->arg;

	submit_free(item);
	if (fn != NULL)
		fn(rows, row, err, arg);
}

static void
add_item(struct buf *out, int n, const struct submit *item)
{
	buf_printf(out, "%s{\"n\":%d,", n > 1 ? "," : "[", n);
	buf_puts(out, item->text);
}

/* --- One order alone ------------------------------------------------------ */

static void
alone_unlink(struct submit *item)
{
	*item->prev_alone = item->next_alone;
	if (item->next_alone != NULL)
		item->next_alone->prev_alone = item->prev_alone;
}

static void
on_alone(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct submit *item = arg;

	alone_unlink(item);
	if (err == NULL)
		engine_publish(item->owner->app->engine, rows, 0);
	tell(item, rows, 0, err);
}

static void
send_alone(struct submit *item)
{
	struct submits *self = item->owner;
	struct buf text;

	item->prev_alone = &self->alone;
	item->next_alone = self->alone;
	if (item->next_alone != NULL)
		item->next_alone->prev_alone = &item->next_alone;
	self->alone = item;
	buf_init(&text, strlen(item->text) + 64);
	add_item(&text, 1, item);
	buf_putc(&text, ']');
	pg_query_start(self->app->pg_engine, STMT_GENERATION_SUBMIT,
	    PG_ARGS(buf_str(&text)), &item->query, on_alone, item);
	buf_fini(&text);
}

/* --- Several together ----------------------------------------------------- */

/* The row of the n-th order, or -1: it must be sent alone. */
static int
row_of(const struct pg_rows *rows, int n)
{
	for (int i = 0; i < pg_count(rows); i++)
		if (pg_i64(rows, i, "n") == n)
			return i;
	return -1;
}

/* It was rolled back: one of the orders may be why, the others are not. */
static bool
may_be_anothers(const struct err *err)
{
	return strcmp(err->name, "db_unknown") != 0 &&
	    strcmp(err->name, "db_unavailable") != 0 &&
	    strcmp(err->name, "db_busy") != 0;
}

static void
on_group(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct lane *lane = arg;
	struct submits *self = lane->owner;
	struct submit *sent[MOST];
	int n = lane->n_sent;
	bool repeat = err != NULL && n > 1 && may_be_anothers(err);

	memcpy(sent, lane->sent, sizeof sent);
	lane->n_sent = 0;
	lane_soon(lane);
	if (repeat)
		log_warn("orders=%d error=%s msg=\"each is sent again\"", n,
		    err->name);
	for (int i = 0; err == NULL && i < pg_count(rows); i++)
		engine_publish(self->app->engine, rows, i);
	for (int i = 0; i < n; i++) {
		int row = err == NULL ? row_of(rows, i + 1) : -1;

		if (row < 0 && (repeat || err == NULL))
			send_alone(sent[i]);
		else
			tell(sent[i], rows, row, err);
	}
}

static void
lane_send(void *arg)
{
	struct lane *lane = arg;
	struct submit *item;
	struct buf text;

	if (lane->query != NULL || lane->first == NULL)
		return;
	buf_init(&text, 64u << 20);
	while ((item = lane->first) != NULL && lane->n_sent < MOST &&
	    (lane->n_sent == 0 || text.len + strlen(item->text) < MOST_BYTES)) {
		lane->first = item->next;
		if (lane->first == NULL)
			lane->last = &lane->first;
		lane->sent[lane->n_sent++] = item;
		add_item(&text, lane->n_sent, item);
	}
	buf_putc(&text, ']');
	pg_query_start(lane->owner->app->pg_engine, STMT_GENERATION_SUBMIT,
	    PG_ARGS(buf_str(&text)), &lane->query, on_group, lane);
	buf_fini(&text);
}

/* At the end of the turn: what else arrives in it comes along. */
static void
lane_soon(struct lane *lane)
{
	if (lane->query == NULL && lane->defer == NULL)
		loop_defer(lane->owner->app->loop, "api submits", lane_send,
		    lane, &lane->defer);
}

void
submits_add(struct submits *self, const char *user,
    const struct json_object *order, struct submit **slot, submit_fn *fn,
    void *arg)
{
	struct submit *item = xcalloc(1, sizeof *item);
	struct user *who = user_hold(self, user);
	struct lane *lane = who->lane;
	char *text = json_dump_text(order);

	item->owner = self;
	item->user = who;
	item->slot = slot;
	item->fn = fn;
	item->arg = arg;
	item->text = xstrdup(text + 1); /* n goes before it */
	free(text);
	*slot = item;
	*lane->last = item;
	lane->last = &item->next;
	lane_soon(lane);
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

	self->app = app;
	for (int i = 0; i < LANES; i++) {
		self->lanes[i].owner = self;
		self->lanes[i].last = &self->lanes[i].first;
	}
	return self;
}

void
submits_close(struct submits *self)
{
	struct submit *item;

	if (self == NULL)
		return;
	for (int i = 0; i < LANES; i++) {
		struct lane *lane = &self->lanes[i];

		loop_defer_cancel(&lane->defer);
		pg_query_cancel(&lane->query);
		for (int k = 0; k < lane->n_sent; k++)
			submit_free(lane->sent[k]);
		while ((item = lane->first) != NULL) {
			lane->first = item->next;
			submit_free(item);
		}
	}
	while ((item = self->alone) != NULL) {
		alone_unlink(item);
		pg_query_cancel(&item->query);
		submit_free(item);
	}
	free(self);
}
