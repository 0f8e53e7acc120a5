/*
 * wait.c - long polls: until an object is newer than what the client has.
 */
#include <stdlib.h>
#include <string.h>

#include "live/internal.h"

static void
wait_free(struct live_wait *self)
{
	struct live *live = self->live;

	timer_fini(&self->timer);
	loop_defer_cancel(&self->defer);
	if (self->waited != NULL) {
		LIST_REMOVE(self, link);
		if (LIST_EMPTY(&self->waited->waits)) {
			HASH_DEL(live->waited, self->waited);
			free(self->waited);
		}
	}
	live->stats.waits--;
	*self->slot = NULL;
	free(self);
}

static void
on_wait_over(void *arg)
{
	struct live_wait *self = arg;
	live_wait_fn *done = self->done;
	void *done_arg = self->arg;
	enum live_wait_result result = self->result;

	wait_free(self);
	done(result, done_arg);
}

static void
wait_over(struct live_wait *self, enum live_wait_result result)
{
	if (self->defer != NULL)
		return;
	self->result = result;
	loop_defer(
	    self->live->loop, "live wait", on_wait_over, self, &self->defer);
}

static void
on_timeout(void *arg)
{
	struct live_wait *self = arg;

	if (self->defer != NULL)
		return; /* it has its answer */
	self->result = LIVE_WAIT_TIMEOUT;
	on_wait_over(self);
}

void
live_wait_start(struct live *live, const char *object, int64_t version,
    int64_t timeout_ms, struct live_wait **slot, live_wait_fn *done, void *arg)
{
	struct live_wait *self = xcalloc(1, sizeof *self);

	self->live = live;
	self->slot = slot;
	self->done = done;
	self->arg = arg;
	self->version = version;
	*slot = self;
	live->stats.waits++;
	timer_init(&self->timer, live->loop, "live wait", on_timeout, self);
	if (live->draining) {
		wait_over(self, LIVE_WAIT_DRAIN);
		return;
	}
	if (objects_version(&live->objects, object) > version) {
		wait_over(self, LIVE_WAIT_NEWER);
		return;
	}
	HASH_FIND_STR(live->waited, object, self->waited);
	if (self->waited == NULL) {
		self->waited = xcalloc(1, sizeof *self->waited);
		str_copy(
		    self->waited->object, sizeof self->waited->object, object);
		HASH_ADD_STR(live->waited, object, self->waited);
	}
	LIST_INSERT_HEAD(&self->waited->waits, self, link);
	timer_set_ms(&self->timer, timeout_ms);
}

void
live_wait_cancel(struct live_wait **slot)
{
	if (*slot != NULL)
		wait_free(*slot);
}

void
waits_event(struct live *live, const char *object, int64_t version)
{
	struct waited *waited;
	struct live_wait *wait;

	HASH_FIND_STR(live->waited, object, waited);
	if (waited == NULL)
		return;
	LIST_FOREACH (wait, &waited->waits, link)
		if (version == 0 || version > wait->version)
			wait_over(wait, LIVE_WAIT_NEWER);
}

void
waits_end(struct live *live, enum live_wait_result result)
{
	struct waited *waited, *next;
	struct live_wait *wait;

	HASH_ITER (hh, live->waited, waited, next)
		LIST_FOREACH (wait, &waited->waits, link)
			wait_over(wait, result);
}
