/*
 * pace.c - room between the transactions of a group for those of others.
 *
 * Two instances that each send the next group at once send groups half as
 * large, which cost nearly as much as whole ones, and wait for each other's
 * locks.  So each leaves the database to the others for as long as it was there
 * itself, unless enough is waiting for a large one.
 */
#include "pg/internal.h"
#include "reeld/clock.h"

enum {
	ENOUGH = 32,	 /* items, for a transaction at once */
	MOST_US = 20000, /* nobody waits longer */
};

void
pace_init(
    struct pace *self, struct pg_pool *pool, void (*go)(void *arg), void *arg)
{
	self->pool = pool;
	timer_init(&self->timer, pool->loop, "pg pace", go, arg);
}

void
pace_fini(struct pace *self)
{
	timer_fini(&self->timer);
}

void
pace_began(struct pace *self)
{
	timer_clear(&self->timer);
	self->began_us = clock_mono_ns() / 1000;
}

void
pace_ended(struct pace *self, int items)
{
	struct pg_pool *pool = self->pool;
	int64_t now = clock_mono_ns() / 1000, gap;

	self->next_us = now;
	/* One by itself had no company to wait for. */
	if (pool->others == NULL)
		return;
	gap = (now - self->began_us) * pool->others(pool->others_arg);
	self->next_us += gap < MOST_US ? gap : MOST_US;
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
