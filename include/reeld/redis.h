/*
 * redis.h - Redis: a command link and a subscriber link that find their way
 * back by themselves.  Redis is a hint carrier: losing it never loses data.
 */
#ifndef REELD_REDIS_H
#define REELD_REDIS_H

#include <stddef.h>
#include <stdint.h>

#include "reeld/err.h"

struct loop;
struct redis;
struct redis_call;
struct redisReply;

struct redis_opts {
	/* redis://[user:pass@]host[:port][/db], unix:///path,
	 * redis+unix:///path[?db=n] */
	const char *url;
	int timeout_ms; /* connect and command; 0: 2000 */
	int ping_ms;	/* 0: 5000; two missed replies end a link */
};

/* Starts without a server too.  NULL and err only for a malformed url. */
struct redis *
redis_new(struct loop *loop, const struct redis_opts *opts, struct err *err);
/* Every call is cancelled silently.  May be called in a callback. */
void redis_free(struct redis *redis);
/* Both links are ready. */
bool redis_up(const struct redis *redis);
/* Called from the loop each time redis_up() changes.  After up, all
 * subscriptions stand again; what was published meanwhile is lost, so take a
 * fresh snapshot.  One listener. */
typedef void redis_change_fn(bool up, void *arg);
void redis_on_change(struct redis *redis, redis_change_fn *fn, void *arg);

/* reply is NULL exactly when err is not; borrowed.  Error replies come as
 * ERR_UPSTREAM; link lost, timeout or more than 1000 in flight as
 * ERR_UNAVAILABLE. */
typedef void
redis_done_fn(const struct redisReply *reply, const struct err *err, void *arg);
/* Slot rule as in pg.h; copies argv.  argvlen NULL: strings.  Blocking
 * commands (BLPOP) don't belong here. */
void redis_command_start(struct redis *redis, struct redis_call **slot,
    redis_done_fn *done, void *arg, int argc, const char *const *argv,
    const size_t *argvlen);
void redis_call_cancel(struct redis_call **slot);

/* Fire and forget; false when it was dropped (down or too busy). */
bool redis_publish(
    struct redis *redis, const char *channel, const void *data, size_t len);

typedef void
redis_message_fn(const char *channel, const char *data, size_t len, void *arg);
/* One listener per channel, kept across reconnects.  fn NULL unsubscribes. */
void redis_subscribe(
    struct redis *redis, const char *channel, redis_message_fn *fn, void *arg);

struct redis_stats {
	int in_flight;
	uint64_t commands, timeouts, dropped, connects, messages;
};
void redis_stats(const struct redis *redis, struct redis_stats *out);

#endif
