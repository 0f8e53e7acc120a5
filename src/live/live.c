/*
 * live.c - the module's owner: start, end, drain, revocation, and reading
 * again what is watched while Redis is away.
 */
#define LOG_MODULE "live"
#include <stdlib.h>
#include <string.h>

#include "live/internal.h"
#include "reeld/clock.h"
#include "reeld/log.h"

#define BEAT_MS 1000
/* Streams that a drain ends in one turn. */
#define END_SLICE 1000

/* Watched ids, borrowed from their topics and waits. */
static void
collect(struct live *live, const char **generations, size_t *n_generations,
    const char **users, size_t *n_users)
{
	struct topic *topic, *next;
	struct waited *waited, *next_waited;

	HASH_ITER (hh, live->topics, topic, next) {
		if (topic->info.kind == LIVE_GENERATION)
			generations[(*n_generations)++] = topic->info.key;
		else if (topic->info.kind == LIVE_USER)
			users[(*n_users)++] = topic->info.key;
	}
	HASH_ITER (hh, live->waited, waited, next_waited)
		generations[(*n_generations)++] = waited->object;
}

void
live_refresh(struct live *live)
{
	size_t max = HASH_COUNT(live->topics) + HASH_COUNT(live->waited);
	struct live_watch watch = {0};
	const char **ids;

	if (max == 0 || live->hooks.refresh == NULL)
		return;
	ids = xcalloc(max * 2, sizeof *ids);
	collect(live, ids, &watch.n_generations, ids + max, &watch.n_users);
	watch.generations = ids;
	watch.users = ids + max;
	if (watch.n_generations + watch.n_users > 0)
		live->hooks.refresh(live->hooks.app, &watch);
	free(ids);
}

static void
on_refresh(void *arg)
{
	struct live *self = arg;

	timer_set_ms(&self->refresh, LIVE_REFRESH_MS);
	live_refresh(self);
}

/* The bus went away or came back: either way events may be missing. */
void
live_bus_changed(struct live *live, bool up)
{
	if (live->down == !up)
		return;
	live->down = !up;
	objects_flush(live);
	if (live->draining)
		return;
	if (up) {
		log_info("msg=\"bus is %s\"", live->bus_was_up ? "back" : "up");
		live->bus_was_up = true;
		timer_clear(&live->refresh);
		live_refresh(live);
	} else {
		/* Before the first connection it is only not there yet. */
		if (live->bus_was_up)
			log_warn("msg=\"bus is away: reading what is "
				 "watched\"");
		timer_set_jitter_ms(&live->refresh, LIVE_REFRESH_MS, 20);
	}
}

static void
on_beat(void *arg)
{
	struct live *self = arg;
	int64_t now_ms = clock_mono_ms();
	struct listener *listener, *next;

	timer_set_ms(&self->beat, BEAT_MS);
	for (listener = TAILQ_FIRST(&self->listeners); listener != NULL;
	     listener = next) {
		next = TAILQ_NEXT(listener, all);
		if (listener->call != NULL)
			sse_beat(listener, now_ms);
	}
}

/* True: there were more than max. */
static bool
end_streams(struct live *live, size_t max)
{
	struct listener *listener, *next;
	size_t n = 0;

	for (listener = TAILQ_FIRST(&live->listeners); listener != NULL;
	     listener = next) {
		next = TAILQ_NEXT(listener, all);
		if (listener->call == NULL)
			continue;
		if (++n > max)
			return true;
		sse_end(listener, "restart");
	}
	return false;
}

static void
on_ending(void *arg)
{
	struct live *self = arg;

	if (end_streams(self, END_SLICE))
		timer_set_ms(&self->ending, 0);
}

struct live *
live_new(
    struct loop *loop, struct redis *redis, struct ws *ws, const char *instance)
{
	struct live *self = xcalloc(1, sizeof *self);

	self->loop = loop;
	self->redis = redis;
	self->ws = ws;
	str_copy(self->instance, sizeof self->instance, instance);
	random_bytes(self->hash_key, sizeof self->hash_key);
	TAILQ_INIT(&self->listeners);
	self->max_per_user = LIVE_MAX_PER_USER;
	self->max_per_ip = LIVE_MAX_PER_IP;
	objects_init(&self->objects, LIVE_MAX_OBJECTS);
	buf_init(&self->batch, 2 * LIVE_MAX_BATCH);
	timer_init(&self->refresh, loop, "live refresh", on_refresh, self);
	timer_init(&self->beat, loop, "live beat", on_beat, self);
	timer_init(&self->ending, loop, "live ending", on_ending, self);
	timer_set_ms(&self->beat, BEAT_MS);
	link_open(self);
	return self;
}

void
live_hooks_set(struct live *live, const struct live_hooks *hooks)
{
	live->hooks = *hooks;
}

void
live_limits_set(struct live *live, int64_t per_user, int64_t per_ip)
{
	live->max_per_user = (int)per_user;
	live->max_per_ip = (int)per_ip;
}

void
live_free(struct live *live)
{
	struct waited *waited, *next;

	if (live == NULL)
		return;
	bus_flush(live);
	loop_defer_cancel(&live->flush);
	link_close(live);
	end_streams(live, SIZE_MAX);
	ws_cut_all(live->ws); /* their hooks end here */
	HASH_ITER (hh, live->waited, waited, next) {
		struct live_wait *wait;
		bool last = false;

		while (!last && (wait = LIST_FIRST(&waited->waits)) != NULL) {
			struct live_wait **slot = wait->slot;

			last = LIST_NEXT(wait, link) == NULL;
			live_wait_cancel(slot);
		}
	}
	buf_fini(&live->batch);
	timer_fini(&live->refresh);
	timer_fini(&live->beat);
	timer_fini(&live->ending);
	objects_fini(&live->objects);
	free(live);
}

void
revoke_local(struct live *live, const char *what, const char *id)
{
	struct listener *listener, *next;
	bool user = str_eq(what, "user");

	for (listener = TAILQ_FIRST(&live->listeners); listener != NULL;
	     listener = next) {
		next = TAILQ_NEXT(listener, all);
		if (!str_eq(
			user ? listener->client.user : listener->client.session,
			id))
			continue;
		subs_fini(listener); /* from this moment on */
		listener->revoked = true;
		if (listener->call != NULL)
			sse_end(listener, "revoked");
		else
			listener_end(listener, WS_CLOSE_POLICY, "revoked");
	}
}

void
live_revoke_user(struct live *live, const char *user)
{
	revoke_local(live, "user", user);
	bus_revoke(live, "user", user);
}

void
live_revoke_session(struct live *live, const char *session)
{
	revoke_local(live, "session", session);
	bus_revoke(live, "session", session);
}

void
live_drain(struct live *live, int grace_ms, loop_fn *done, void *arg)
{
	live->draining = true;
	timer_clear(&live->refresh);
	waits_end(live, LIVE_WAIT_DRAIN);
	on_ending(live);
	ws_drain(live->ws, grace_ms, done, arg);
}

bool
live_watched(const struct live *live, const char *topic)
{
	struct topic *found;

	HASH_FIND_STR(live->topics, topic, found);
	return found != NULL;
}

void
live_stats(const struct live *live, struct live_stats *out)
{
	*out = live->stats;
	out->objects = live->objects.count;
	out->bodies = live->objects.bodies;
}
