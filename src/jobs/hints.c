/*
 * hints.c - who is told that there is something to do: this instance by its
 * wake timer, the others over Redis.  A lost hint costs a second, the sweep
 * finds what it was about.
 */
#define LOG_MODULE "jobs"
#include <stdio.h>
#include <string.h>

#include "jobs/internal.h"
#include "reeld/clock.h"
#include "reeld/redis.h"

#define WAKE_CHANNEL "reeld:wake"

/* Until who told of work has taken it. */
enum { OTHERS_MS = 100 };
/* An instance that was not heard of for so many beats has no turn. */
enum { SILENT_BEATS = 3 };

void
hint_send(struct engine *self, const char *text)
{
	if (self->d.redis != NULL)
		redis_publish(self->d.redis, WAKE_CHANNEL, text, strlen(text));
}

void
hint_here(struct engine *self)
{
	char text[64];

	if (self->draining)
		return;
	snprintf(text, sizeof text, "here %s", self->instance.text);
	hint_send(self, text);
}

void
hint_gone(struct engine *self)
{
	char text[64];

	snprintf(text, sizeof text, "gone %s", self->instance.text);
	hint_send(self, text);
}

/* A new one shall know of us, too. */
static void
heard(struct engine *self, const struct id *peer)
{
	if (!id_eq(peer, &self->instance) &&
	    turns_heard(&self->turns, peer, clock_mono_ms()))
		hint_here(self);
}

static const struct id *
whose_turn(struct engine *self)
{
	return turns_whose(&self->turns, &self->instance, clock_wall_ms(),
	    clock_mono_ms(), SILENT_BEATS * self->d.beat_ms);
}

static void
on_wake(void *arg)
{
	struct engine *self = arg;

	claim_start(self);
}

static void
look_later(struct engine *self)
{
	if (!timer_is_set(&self->others))
		timer_set_ms(&self->others, OTHERS_MS);
}

static bool
may_take(const struct engine *self)
{
	return self->up && !self->draining &&
	    self->stats.active < self->d.max_active;
}

/* Who is named takes it, and the others look later; our own words come back to
 * us, too.  true: it is we who take it. */
static bool
hint_claim(struct engine *self)
{
	char text[128];
	const struct id *taker;
	bool ours;

	turns_told(&self->turns, clock_wall_ms());
	taker = whose_turn(self);
	ours = taker == &self->instance;
	if (ours && !may_take(self)) {
		hint_send(self, "claim");
		return false;
	}
	snprintf(
	    text, sizeof text, "claim %s %s", taker->text, self->instance.text);
	hint_send(self, text);
	if (!ours)
		look_later(self); /* whether or not our word arrives */
	return ours;
}

static void
wake_local(struct engine *self)
{
	if (self->up && !self->draining && !timer_is_set(&self->wake))
		timer_set_ms(&self->wake, 0); /* once per turn of the loop */
}

/* In another's turn what is ordered meanwhile has that one look; we do a
 * moment later, should nothing be. */
static bool
is_ours_to_fill(struct engine *self)
{
	if (!self->up || self->draining || timer_is_set(&self->wake))
		return false;
	if (whose_turn(self) == &self->instance)
		return true;
	look_later(self);
	return false;
}

/* A job has ended, or left its provider: whoever is queued for its slot does
 * not wait for the sweep.  Those that end soon after are in the same claim. */
void
engine_room(struct engine *self)
{
	if (is_ours_to_fill(self))
		timer_set_ms(&self->wake, 5);
}

/* A burst of them is looked at once, a tenth of a second after the last look.
 */
void
engine_elsewhere(struct engine *self)
{
	self->move_soon = true;
	if (!self->up || self->draining)
		return;
	wake_local(self);
	look_later(self);
}

void
engine_room_now(struct engine *self)
{
	if (is_ours_to_fill(self))
		claim_start(self);
}

void
engine_wake(struct engine *self)
{
	/* One hint per burst is enough. */
	if (!timer_is_set(&self->wake) && hint_claim(self))
		wake_local(self);
}

void
engine_claim(struct engine *self)
{
	if (timer_is_set(&self->wake) || hint_claim(self))
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

/* words: who takes it, and who says so. */
static void
on_claim_hint(struct engine *self, const char *words)
{
	const char *space = strchr(words, ' ');
	char first[ID_LEN + 1] = "";
	struct id taker, by;
	bool named;

	if (strlen(words) != 2 * ID_LEN + 1 || space != words + ID_LEN)
		return;
	memcpy(first, words, ID_LEN);
	if (!id_parse(first, &taker) || !id_parse(space + 1, &by))
		return;
	named = id_eq(&taker, &self->instance);
	if (id_eq(&by, &self->instance))
		return; /* done when it was said */
	turns_told(&self->turns, clock_wall_ms());
	heard(self, &by);
	if (!named)
		look_later(self);
	else if (may_take(self))
		wake_local(self);
	else
		hint_send(self, "claim");
}

/* words: who, and which statement. */
static void
on_done_hint(struct engine *self, const char *words)
{
	size_t len = strlen(self->instance.text);

	if (strncmp(words, self->instance.text, len) != 0 &&
	    strlen(words) > len + 1 && words[len] == ' ')
		pg_pool_others_done(self->d.pg, words + len + 1);
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
		on_claim_hint(self, text + 6);
	else if (str_starts(text, "done "))
		on_done_hint(self, text + 5);
	else if (str_starts(text, "here ") && id_parse(text + 5, &id))
		heard(self, &id);
	else if (str_starts(text, "gone ") && id_parse(text + 5, &id))
		turns_gone(&self->turns, &id);
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

static void
say_done(const char *stmt, void *arg)
{
	struct engine *self = arg;
	char text[128];

	if (self->turns.n > 0 &&
	    snprintf(text, sizeof text, "done %s %s", self->instance.text,
		stmt) < (int)sizeof text)
		hint_send(self, text);
}

void
hints_open(struct engine *self, struct loop *loop)
{
	timer_init(&self->wake, loop, "engine wake", on_wake, self);
	timer_init(&self->others, loop, "engine others", on_wake, self);
	pg_pool_set_others(self->d.pg, say_done, self);
	if (self->d.redis != NULL)
		redis_subscribe(self->d.redis, WAKE_CHANNEL, on_hint, self);
}

void
hints_close(struct engine *self)
{
	pg_pool_set_others(self->d.pg, NULL, NULL);
	if (self->d.redis != NULL)
		redis_subscribe(self->d.redis, WAKE_CHANNEL, NULL, NULL);
	timer_fini(&self->wake);
	timer_fini(&self->others);
}
