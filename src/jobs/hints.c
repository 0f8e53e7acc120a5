/*
 * hints.c - who is told that there is something to do: this instance by its
 * wake timer, the others over Redis.  A lost hint costs a second, the sweep
 * finds what it was about.
 */
#define LOG_MODULE "jobs"
#include <stdio.h>
#include <string.h>

#include "jobs/internal.h"
#include "reeld/redis.h"

#define WAKE_CHANNEL "reeld:wake"

/* Until who told of work has taken it. */
enum { OTHERS_MS = 100 };

void
hint_send(struct engine *self, const char *text)
{
	if (self->d.redis != NULL)
		redis_publish(self->d.redis, WAKE_CHANNEL, text, strlen(text));
}

/* With our name we take it, and the others look later; our own words come back
 * to us, too. */
static void
hint_claim(struct engine *self)
{
	char text[64];
	bool ours = self->up && !self->draining &&
	    self->stats.active < self->d.max_active;

	snprintf(text, sizeof text, "claim%s%s", ours ? " " : "",
	    ours ? self->instance.text : "");
	hint_send(self, text);
}

static void
on_wake(void *arg)
{
	struct engine *self = arg;

	claim_start(self);
}

static void
wake_local(struct engine *self)
{
	if (self->up && !self->draining && !timer_is_set(&self->wake))
		timer_set_ms(&self->wake, 0); /* once per turn of the loop */
}

/* A job has ended, or left its provider: whoever is queued for its slot does
 * not wait for the sweep.  Those that end together are one claim. */
void
engine_room(struct engine *self)
{
	if (self->up && !self->draining && !timer_is_set(&self->wake))
		timer_set_ms(&self->wake, 5);
}

void
engine_wake(struct engine *self)
{
	/* One hint per burst is enough. */
	if (!timer_is_set(&self->wake))
		hint_claim(self);
	wake_local(self);
}

void
engine_claim(struct engine *self)
{
	if (!timer_is_set(&self->wake))
		hint_claim(self);
	claim_start(self);
}

static void
cancel_local(struct engine *self, const char *generation)
{
	struct job *job = job_find(self, generation);

	if (job != NULL && !job->state.cancel)
		job_on_simple(job, ON_CANCEL);
}

static void
hurry_local(struct engine *self, const char *generation)
{
	struct job *job = job_find(self, generation);

	if (job != NULL)
		job_on_simple(job, ON_HURRY);
}

void
engine_cancel_hint(struct engine *self, const char *generation)
{
	char text[64];

	if (job_find(self, generation) != NULL) {
		cancel_local(self, generation);
		return;
	}
	snprintf(text, sizeof text, "cancel %.36s", generation);
	hint_send(self, text);
}

void
engine_hurry(struct engine *self, const char *generation)
{
	char text[64];

	if (job_find(self, generation) != NULL) {
		hurry_local(self, generation);
		return;
	}
	snprintf(text, sizeof text, "hurry %.36s", generation);
	hint_send(self, text);
}

static void
told_by(struct engine *self, const char *instance)
{
	if (!str_eq(instance, self->instance.text) &&
	    !timer_is_set(&self->others))
		timer_set_ms(&self->others, OTHERS_MS);
}

static void
on_hint(const char *channel, const char *data, size_t len, void *arg)
{
	struct engine *self = arg;
	char text[512];
	struct id id;

	(void)channel;
	if (len >= sizeof text || !self->up)
		return;
	memcpy(text, data, len);
	text[len] = '\0';
	if (str_eq(text, "claim"))
		wake_local(self);
	else if (str_starts(text, "claim "))
		told_by(self, text + 6);
	else if (str_eq(text, "adopt") && !self->draining)
		timer_set_ms(&self->tidy, (int64_t)random_below(50));
	else if (str_starts(text, "cancel ") && id_parse(text + 7, &id))
		cancel_local(self, id.text);
	else if (str_starts(text, "hurry ") && id_parse(text + 6, &id))
		hurry_local(self, id.text);
	else if (str_starts(text, "found "))
		hook_found(self, text + 6);
}

void
engine_hint_found(struct engine *self, const char *text)
{
	char line[512];

	if (hook_found(self, text))
		return;
	if (snprintf(line, sizeof line, "found %s", text) < (int)sizeof line)
		hint_send(self, line);
}

void
hints_open(struct engine *self, struct loop *loop)
{
	timer_init(&self->wake, loop, "engine wake", on_wake, self);
	timer_init(&self->others, loop, "engine others", on_wake, self);
	if (self->d.redis != NULL)
		redis_subscribe(self->d.redis, WAKE_CHANNEL, on_hint, self);
}

void
hints_close(struct engine *self)
{
	if (self->d.redis != NULL)
		redis_subscribe(self->d.redis, WAKE_CHANNEL, NULL, NULL);
	timer_fini(&self->wake);
	timer_fini(&self->others);
}
