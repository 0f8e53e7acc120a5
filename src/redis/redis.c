/*
 * redis.c - commands with deadlines, and subscriptions that outlive their
 * connection.  Outcomes are handed over from a deferred call, never inside
 * hiredis, so that a callback may free anything, also the redis.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "redis/internal.h"
#include "reeld/clock.h"
#include "reeld/mem.h"

enum { MAX_IN_FLIGHT = 1000 };

struct redis_call {
	TAILQ_ENTRY(redis_call) next; /* flying or over; none: orphan */
	struct redis *redis;
	struct redis_call **slot;
	redis_done_fn *done;
	void *arg;
	int64_t deadline_ms;
	bool on_wire; /* hiredis holds it */
	bool listed, over;
	struct err err;
};
TAILQ_HEAD(call_list, redis_call);

struct sub {
	TAILQ_ENTRY(sub) next;
	char *channel;
	redis_message_fn *fn;
	void *arg;
};

struct redis {
	struct loop *loop;
	struct redis_url url;
	struct link command, subscriber;
	struct call_list flying, over; /* oldest first: one timeout */
	TAILQ_HEAD(, sub) subs;
	int timeout_ms;
	struct loop_timer tick;
	struct loop_defer *deliver, *tell;
	redis_change_fn *on_change;
	void *change_arg;
	bool told_up;
	struct redis_stats stats;
};

static void
unlist(struct redis_call *call)
{
	if (call->listed)
		TAILQ_REMOVE(
		    call->over ? &call->redis->over : &call->redis->flying,
		    call, next);
	call->listed = call->over = false;
}

/* Takes the call from its owner; it is freed here unless on the wire. */
static void
detach(struct redis_call *call)
{
	unlist(call);
	if (call->slot != NULL)
		*call->slot = NULL;
	call->slot = NULL;
	call->done = NULL;
	if (!call->on_wire)
		free(call);
}

static void
on_deliver(void *arg)
{
	struct redis *redis = arg;
	struct redis_call *call = TAILQ_FIRST(&redis->over);
	redis_done_fn *done;
	struct err err;
	void *done_arg;

	if (call == NULL)
		return;
	/* One each time: the callback may free the redis. */
	if (TAILQ_NEXT(call, next) != NULL)
		loop_defer(redis->loop, "redis_deliver", on_deliver, redis,
		    &redis->deliver);
	done = call->done;
	done_arg = call->arg;
	err = call->err;
	detach(call);
	if (done != NULL)
		done(NULL, &err, done_arg);
}

static void
fail_call(struct redis_call *call, const char *why)
{
	struct redis *redis = call->redis;

	unlist(call);
	err_set(&call->err, ERR_UNAVAILABLE, "Redis: %s", why);
	call->over = call->listed = true;
	TAILQ_INSERT_TAIL(&redis->over, call, next);
	if (redis->deliver == NULL)
		loop_defer(redis->loop, "redis_deliver", on_deliver, redis,
		    &redis->deliver);
}

static void
on_tick(void *arg)
{
	struct redis *redis = arg;
	struct redis_call *call;
	int64_t now = clock_mono_ms();

	while ((call = TAILQ_FIRST(&redis->flying)) != NULL) {
		if (call->deadline_ms > now) {
			timer_set_ms(&redis->tick, call->deadline_ms - now);
			return;
		}
		redis->stats.timeouts++;
		fail_call(call, "no answer in time");
	}
}

static void
on_reply(redisAsyncContext *ac, void *data, void *arg)
{
	struct redis_call *call = arg;
	const redisReply *reply = data;
	redis_done_fn *done = call->done;
	void *done_arg = call->arg;
	struct err err = {0};

	call->redis->stats.in_flight--;
	call->on_wire = false;
	if (call->over) /* timed out; its error is on the way */
		return;
	if (!call->listed) { /* orphan */
		free(call);
		return;
	}
	if (reply == NULL) {
		fail_call(call, "connection lost");
		return;
	}
	detach(call);
	if (done == NULL)
		return;
	if (reply->type == REDIS_REPLY_ERROR) {
		err_set(&err, ERR_UPSTREAM, "Redis: %s", reply->str);
		done(NULL, &err, done_arg);
	} else
		done(reply, NULL, done_arg);
}

void
redis_command_start(struct redis *redis, struct redis_call **slot,
    redis_done_fn *done, void *arg, int argc, const char *const *argv,
    const size_t *argvlen)
{
	struct redis_call *call = xcalloc(1, sizeof(*call));

	assert(slot == NULL || *slot == NULL);
	call->redis = redis;
	call->slot = slot;
	call->done = done;
	call->arg = arg;
	if (slot != NULL)
		*slot = call;
	if (!redis->command.ready || redis->stats.in_flight >= MAX_IN_FLIGHT) {
		redis->stats.dropped++;
		fail_call(call, redis->command.ready ? "too busy" : "away");
		return;
	}
	if (redisAsyncCommandArgv(redis->command.ac, on_reply, call, argc,
		(const char **)(uintptr_t)argv, argvlen) != REDIS_OK) {
		fail_call(call, "going away");
		return;
	}
	call->on_wire = call->listed = true;
	call->deadline_ms = clock_mono_ms() + redis->timeout_ms;
	TAILQ_INSERT_TAIL(&redis->flying, call, next);
	redis->stats.in_flight++;
	redis->stats.commands++;
	if (!timer_is_set(&redis->tick))
		timer_set_ms(&redis->tick, redis->timeout_ms);
}

void
redis_call_cancel(struct redis_call **slot)
{
	struct redis_call *call = *slot;

	if (call == NULL)
		return;
	detach(call);
}

bool
redis_publish(
    struct redis *redis, const char *channel, const void *data, size_t len)
{
	const char *argv[] = {"PUBLISH", channel, data};
	size_t lens[] = {7, strlen(channel), len};

	if (!redis->command.ready || redis->stats.in_flight >= MAX_IN_FLIGHT) {
		redis->stats.dropped++;
		return false;
	}
	redis_command_start(redis, NULL, NULL, NULL, 3, argv, lens);
	return true;
}

/* --- Subscriptions ------------------------------------------------------- */

static void
on_message(redisAsyncContext *ac, void *data, void *arg)
{
	struct link *link = ac->data;
	const redisReply *reply = data;
	struct sub *sub;

	if (link == NULL || reply == NULL || reply->type != REDIS_REPLY_ARRAY ||
	    reply->elements != 3 || !str_eq(reply->element[0]->str, "message"))
		return;
	link->redis->stats.messages++;
	TAILQ_FOREACH (sub, &link->redis->subs, next) {
		if (!str_eq(sub->channel, reply->element[1]->str))
			continue;
		sub->fn(sub->channel, reply->element[2]->str,
		    (size_t)reply->element[2]->len, sub->arg);
		return; /* the callback may have changed the list */
	}
}

static void
tell_server(struct redis *redis, const char *verb, const char *channel)
{
	const char *argv[] = {verb, channel};

	if (redis->subscriber.ready)
		redisAsyncCommandArgv(
		    redis->subscriber.ac, on_message, NULL, 2, argv, NULL);
}

void
redis_subscribe(
    struct redis *redis, const char *channel, redis_message_fn *fn, void *arg)
{
	struct sub *sub;

	TAILQ_FOREACH (sub, &redis->subs, next)
		if (str_eq(sub->channel, channel))
			break;
	if (fn == NULL) {
		if (sub == NULL)
			return;
		tell_server(redis, "UNSUBSCRIBE", channel);
		TAILQ_REMOVE(&redis->subs, sub, next);
		/* A callback may be using the name. */
		loop_defer_free(redis->loop, sub->channel);
		loop_defer_free(redis->loop, sub);
		return;
	}
	if (sub == NULL) {
		sub = xcalloc(1, sizeof(*sub));
		sub->channel = xstrdup(channel);
		TAILQ_INSERT_TAIL(&redis->subs, sub, next);
		tell_server(redis, "SUBSCRIBE", channel);
	}
	sub->fn = fn;
	sub->arg = arg;
}

/* --- Life ---------------------------------------------------------------- */

static void
on_tell(void *arg)
{
	struct redis *redis = arg;

	if (redis->told_up == redis_up(redis))
		return;
	redis->told_up = !redis->told_up;
	if (redis->on_change != NULL)
		redis->on_change(redis->told_up, redis->change_arg);
}

void
redis_link_changed(struct redis *redis, struct link *link)
{
	struct sub *sub;

	if (link->ready) {
		redis->stats.connects++;
		if (link->subscriber)
			TAILQ_FOREACH (sub, &redis->subs, next)
				tell_server(redis, "SUBSCRIBE", sub->channel);
	}
	if (redis->tell == NULL)
		loop_defer(
		    redis->loop, "redis_tell", on_tell, redis, &redis->tell);
}

struct redis *
redis_new(struct loop *loop, const struct redis_opts *opts, struct err *err)
{
	struct redis *redis = xcalloc(1, sizeof(*redis));

	if (!redis_url_parse(opts->url, &redis->url, err)) {
		free(redis);
		return NULL;
	}
	redis->loop = loop;
	redis->timeout_ms = opts->timeout_ms > 0 ? opts->timeout_ms : 2000;
	TAILQ_INIT(&redis->flying);
	TAILQ_INIT(&redis->over);
	TAILQ_INIT(&redis->subs);
	timer_init(&redis->tick, loop, "redis_tick", on_tick, redis);
	redis->command = (struct link){.redis = redis,
	    .loop = loop,
	    .url = &redis->url,
	    .timeout_ms = redis->timeout_ms,
	    .ping_ms = opts->ping_ms > 0 ? opts->ping_ms : 5000};
	redis->subscriber = redis->command;
	redis->subscriber.subscriber = true;
	link_start(&redis->command);
	link_start(&redis->subscriber);
	return redis;
}

void
redis_free(struct redis *redis)
{
	struct redis_call *call;
	struct sub *sub;

	if (redis == NULL)
		return;
	while ((call = TAILQ_FIRST(&redis->flying)) != NULL)
		detach(call);
	while ((call = TAILQ_FIRST(&redis->over)) != NULL)
		detach(call);
	link_stop(&redis->command);
	link_stop(&redis->subscriber);
	timer_fini(&redis->tick);
	loop_defer_cancel(&redis->deliver);
	loop_defer_cancel(&redis->tell);
	while ((sub = TAILQ_FIRST(&redis->subs)) != NULL) {
		TAILQ_REMOVE(&redis->subs, sub, next);
		loop_defer_free(redis->loop, sub->channel);
		loop_defer_free(redis->loop, sub);
	}
	redis_url_fini(&redis->url);
	/* Its own io callback may be on the stack. */
	loop_defer_free(redis->loop, redis);
}

bool
redis_up(const struct redis *redis)
{
	return redis->command.ready && redis->subscriber.ready;
}

void
redis_on_change(struct redis *redis, redis_change_fn *fn, void *arg)
{
	redis->on_change = fn;
	redis->change_arg = arg;
}

void
redis_stats(const struct redis *redis, struct redis_stats *out)
{
	*out = redis->stats;
}
