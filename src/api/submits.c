/*
 * submits.c - orders gathered into transactions; see submits.h.
 *
 * A lane has one transaction under way.  While a user has orders here they take
 * one lane, so that two transactions do not meet at one account; the first of
 * them takes the lane with the least to do.  With few orders at once there is
 * one lane only: what is spread over two costs twice as much.  When a crowd
 * meets there, users move to the other one by one.
 */
#define LOG_MODULE "api"
#include <stdlib.h>
#include <sys/queue.h>
#include <uthash.h>

#include "api/submits.h"
#include "reeld/clock.h"
#include "reeld/jobs.h"
#include "reeld/pg_group.h"

enum {
	LANES = 2,
	CROWD = 24, /* orders at once that are worth a second lane */
	CROWD_MS = 500,
	MOVE_MS = 50, /* from one that moves to the next */
	/* A key is held for a commit, by the order that came before. */
	LOCKED_TRIES = 4,
};

struct user {
	UT_hash_handle hh; /* by id */
	struct lane *lane; /* of the next order */
	int orders;
	char id[ID_LEN + 1];
};

struct submit {
	TAILQ_ENTRY(submit) entry;
	struct submits *owner;
	struct user *user;
	struct lane *lane;
	struct submit **slot; /* NULL: nobody waits for it, it is done still */
	submit_fn *fn;
	void *arg;
	struct pg_item *item;
};

struct lane {
	struct pg_group *group;
	int orders, users;
};

struct submits {
	struct app *app;
	struct lane lanes[LANES];
	struct user *users; /* uthash, those with orders here */
	TAILQ_HEAD(, submit) all;
	/* Orders now; at most in this CROWD_MS, and in the one before. */
	int orders, most, most_before;
	int64_t since_ms, moved_ms;
};

/* --- Users and their lanes ------------------------------------------------ */

/* Not as many as there are now: those of a transaction are done together, and
 * come again together. */
static bool
is_crowd(const struct submits *self)
{
	return self->most >= CROWD || self->most_before >= CROWD;
}

static void
count(struct submits *self, int64_t now)
{
	self->orders++;
	if (now - self->since_ms > CROWD_MS) {
		self->most_before =
		    now - self->since_ms > 2 * CROWD_MS ? 0 : self->most;
		self->most = 0;
		self->since_ms = now;
	}
	if (self->orders > self->most)
		self->most = self->orders;
}

static struct lane *
least_busy(struct submits *self)
{
	struct lane *best = &self->lanes[0];

	for (int i = 1; i < LANES && is_crowd(self); i++)
		if (self->lanes[i].orders < best->orders)
			best = &self->lanes[i];
	return best;
}

static void
user_move(struct user *user, struct lane *to)
{
	if (user->lane != NULL)
		user->lane->users--;
	user->lane = to;
	if (to != NULL)
		to->users++;
}

/* Who always has orders here would stay in the lane of the first one.  His
 * others, there still, meet this one at his account: hence not all at once. */
static void
share(struct submits *self, struct user *user, int64_t now)
{
	struct lane *few = &self->lanes[0];

	if (!is_crowd(self) || now - self->moved_ms < MOVE_MS)
		return;
	for (int i = 1; i < LANES; i++)
		if (self->lanes[i].users < few->users)
			few = &self->lanes[i];
	if (few->users + 1 >= user->lane->users)
		return;
	user_move(user, few);
	self->moved_ms = now;
}

/* Counts one order more of that user, for his lane. */
static struct user *
user_hold(struct submits *self, const char *id)
{
	int64_t now = clock_mono_ms();
	struct user *user;

	count(self, now);
	HASH_FIND_STR(self->users, id, user);
	if (user == NULL) {
		user = xcalloc(1, sizeof *user);
		(void)str_copy(user->id, sizeof user->id, id);
		user_move(user, least_busy(self));
		HASH_ADD_STR(self->users, id, user);
	} else {
		share(self, user, now);
	}
	user->orders++;
	user->lane->orders++;
	return user;
}

static void
user_release(struct submits *self, struct user *user)
{
	self->orders--;
	if (--user->orders > 0)
		return;
	user_move(user, NULL);
	HASH_DEL(self->users, user);
	free(user);
}

/* --- Orders --------------------------------------------------------------- */

static void
submit_free(struct submit *item)
{
	TAILQ_REMOVE(&item->owner->all, item, entry);
	item->lane->orders--;
	user_release(item->owner, item->user);
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
submits_add(struct submits *self, const char *user,
    const struct json_object *order, struct submit **slot, submit_fn *fn,
    void *arg)
{
	struct submit *item = xcalloc(1, sizeof *item);

	item->owner = self;
	item->user = user_hold(self, user);
	item->lane = item->user->lane;
	item->slot = slot;
	item->fn = fn;
	item->arg = arg;
	TAILQ_INSERT_TAIL(&self->all, item, entry);
	*slot = item;
	pg_group_add(item->lane->group, order, &item->item, on_order, item);
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
	    .each = on_each,
	    .arg = self};

	self->app = app;
	TAILQ_INIT(&self->all);
	for (int i = 0; i < LANES; i++)
		self->lanes[i].group = pg_group_new(&opts);
	return self;
}

void
submits_close(struct submits *self)
{
	struct submit *item;

	if (self == NULL)
		return;
	for (int i = 0; i < LANES; i++)
		pg_group_free(self->lanes[i].group);
	while ((item = TAILQ_FIRST(&self->all)) != NULL)
		submit_free(item);
	free(self);
}
