/*
 * slots.c - downloads and media work take a slot each, so that a crowd of
 * results does not fill disk and memory; who finds none waits in line.
 */
#include "jobs/internal.h"

static bool
is_heavy(enum step_do effect)
{
	return effect == DO_DOWNLOAD || effect == DO_PROBE ||
	    effect == DO_STORE || effect == DO_RENDER || effect == DO_POST;
}

/* Whose result expires first comes first.  Most that come now expire last,
 * so the place is sought from the end. */
static void
queue_up(struct engine *self, struct job *job)
{
	struct job *at = TAILQ_LAST(&self->slot_queue, job_list);

	while (at != NULL && expiry_before(job, at))
		at = TAILQ_PREV(at, job_list, slot_entry);
	if (at == NULL)
		TAILQ_INSERT_HEAD(&self->slot_queue, job, slot_entry);
	else
		TAILQ_INSERT_AFTER(&self->slot_queue, at, job, slot_entry);
}

bool
engine_slot(struct job *job, enum step_do effect)
{
	struct engine *self = job->engine;

	if (!is_heavy(effect)) {
		if (effect != DO_FINISH)
			engine_slot_free(job);
		return true;
	}
	if (job->has_slot)
		return true;
	if (self->stats.slots_used < self->d.slots) {
		job->has_slot = true;
		self->stats.slots_used++;
		return true;
	}
	if (!job->wants_slot) {
		job->wants_slot = true;
		queue_up(self, job);
		self->stats.waiting_slot++;
	}
	job->slot_effect = effect;
	return false;
}

void
engine_slot_free(struct job *job)
{
	struct engine *self = job->engine;
	struct job *next;

	if (job->wants_slot) {
		job->wants_slot = false;
		TAILQ_REMOVE(&self->slot_queue, job, slot_entry);
		self->stats.waiting_slot--;
	}
	if (!job->has_slot)
		return;
	job->has_slot = false;
	self->stats.slots_used--;
	next = TAILQ_FIRST(&self->slot_queue);
	if (next == NULL || self->draining)
		return;
	next->wants_slot = false;
	TAILQ_REMOVE(&self->slot_queue, next, slot_entry);
	self->stats.waiting_slot--;
	next->has_slot = true;
	self->stats.slots_used++;
	job_perform(next, next->slot_effect, 0);
}
