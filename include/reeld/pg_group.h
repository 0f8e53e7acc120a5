/*
 * pg_group.h - changes of one kind gathered into transactions.
 *
 * For statements that take an array of items and make each of them wholly or
 * not at all, in one transaction: most of a small change's cost is its
 * statement and its commit.  Nobody waits for company: what comes while nothing
 * is under way goes at the end of the turn, the rest when that is answered,
 * before its items hear of it.  Only where another instance was heard to
 * do the same (pg_pool_set_others) the next ones wait until it has been at the
 * database, 20 ms at most, while less than 32 of them do.
 *
 * The statement returns rows with a column n, the number of an item (from 1).
 * An item without a row, and every item when a transaction of several was
 * refused or took too long, is sent again by itself, its member "alone" true
 * (the first kind after `again` more tries in company).  The statement then has
 * to decide, and may wait for locks, "wait_ms" at most; it keeps to half of the
 * pool's connections, and no other query goes behind it while there is room
 * elsewhere.
 *
 * When a transaction met a locked row, all its items go again at once, their
 * member "pass" true: the statement does not wait then, and has no row for
 * those whose lock is taken; these are sent alone.  Of those that may meet the
 * same lock one is alone at a time.  So one item's trouble is not another's.
 */
#ifndef REELD_PG_GROUP_H
#define REELD_PG_GROUP_H

#include "reeld/pg.h"

struct pg_group;
struct pg_item; /* valid exactly while its slot is not NULL */

struct pg_group_opts {
	struct loop *loop;
	struct pg_pool *pool;
	enum pg_stmt stmt;
	/* Its parameter before the items, or NULL; borrowed, and read whenever
	 * something is sent. */
	const char *first;
	/* How often an item without a row goes along with the next ones before
	 * it is sent alone: for statements that leave out what is locked for a
	 * moment. */
	int again;
	/* The member of an item that names the lock which it may meet (a user's
	 * account, say), or NULL; borrowed. */
	const char *whose;
	/* Several together do not wait for the disk while they hold their
	 * locks: their member "async" is true, the statement says so to
	 * PostgreSQL, and they hear of it when it is on disk.  Others may see
	 * it before that; a crash of PostgreSQL may undo it (db_unknown). */
	bool async;
	/* Does not take turns with other instances: for what must not be lost
	 * by who is killed meanwhile. */
	bool at_once;
	/* For every row, before the items hear of it, and also for those that
	 * were cancelled meanwhile. */
	void (*each)(const struct pg_rows *rows, int row, void *arg);
	void *arg;
};

struct pg_group *pg_group_new(const struct pg_group_opts *opts);
/* Slots become NULL, no callback runs.  Not from inside one of its callbacks.
 * group may be NULL. */
void pg_group_free(struct pg_group *group);

/* rows and row: the item's own row; or err, as in pg.h.  rows may be empty for
 * an item that was alone: then row is 0 and pg_count() says so. */
typedef void pg_item_fn(
    const struct pg_rows *rows, int row, const struct err *err, void *arg);

/* item: an object without n, borrowed.  Stores the work in *slot; fn runs
 * once, from the loop, never from inside. */
void pg_group_add(struct pg_group *group, const struct json_object *item,
    struct pg_item **slot, pg_item_fn *fn, void *arg);
/* fn never runs.  What was not sent never will be; what was may be done.
 * *slot may be NULL. */
void pg_item_cancel(struct pg_item **slot);

#endif
