/*
 * pace.c - the transactions of a group take turns with those of other
 * instances.
 *
 * Two instances that each send the next group at once send groups half as
 * large, which cost nearly as much as whole ones, and wait for each other's
 * locks.  So where others were heard of lately, who is done says so and lets
 * them go first: until one of them is done, for four times as long as it took,
 * or until enough is waiting for a large one, whichever comes first.
 */
#include "pg/internal.h"
#include "reeld/clock.h"
#include "reeld/mem.h"

enum {
	ENOUGH = 32,	    /* items, for a transaction at once */
	MOST_US = 20000,    /* nobody waits longer */
	LATELY_US = 100000, /* others were heard of */
	PATIENCE = 4,	    /* times what ours took */
};

void
pace_init(struct pace *self, struct pg_pool *pool, enum pg_stmt stmt,
    void (*go)(void *arg), void *arg)
{
	self->pool = pool;
	self->stmt = stmt;
	self->heard_us = -LATELY_US;
	timer_init(&self->timer, pool->loop, "pg pace", go, arg);
	LIST_INSERT_HEAD(&pool->paces, self, link);
}

void
pace_fini(struct pace *self)
{
	LIST_REMOVE(self, link);
	timer_fini(&self->timer);
}

void
pace_began(struct pace *self)
{
	timer_clear(&self->timer);
	self->began_us = clock_mono_ns() / 1000;
}

void
pace_ended(struct pace *self)
{
	struct pg_pool *pool = self->pool;
	int64_t now = clock_mono_ns() / 1000;
	int64_t gap = PATIENCE * (now - self->began_us);

	self->next_us = now;
	if (now - self->heard_us < LATELY_US)
		self->next_us += gap < MOST_US ? gap : MOST_US;
	if (pool->say_done != NULL)
		pool->say_done(pg_stmt_name(self->stmt), pool->say_arg);
}

bool
pace_holds(struct pace *self, int waiting)
{
	int64_t left = self->next_us - clock_mono_ns() / 1000;

	if (left <= 0 || waiting >= ENOUGH)
		return false;
	if (!timer_is_set(&self->timer))
		timer_set_ms(&self->timer, (left + 999) / 1000);
	return true;
}

void
pg_pool_set_others(struct pg_pool *pool,
    void (*say_done)(const char *stmt, void *arg), void *arg)
{
	pool->say_done = say_done;
	pool->say_arg = arg;
}

void
pg_pool_others_done(struct pg_pool *pool, const char *stmt)
{
	struct pace *pace;

	LIST_FOREACH (pace, &pool->paces, link) {
		if (!str_eq(pg_stmt_name(pace->stmt), stmt))
			continue;
		pace->heard_us = clock_mono_ns() / 1000;
		pace->next_us = 0;
		if (timer_is_set(&pace->timer))
			timer_set_ms(&pace->timer, 0);
	}
}
