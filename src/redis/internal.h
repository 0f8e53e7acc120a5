/*
 * internal.h - what redis.c (calls, subscriptions), link.c (one connection
 * that keeps itself up) and url.c share.
 */
#ifndef REDIS_INTERNAL_H
#define REDIS_INTERNAL_H

#include <hiredis/async.h>

#include "reeld/loop.h"
#include "reeld/redis.h"
#include "reeld/resolve.h"

struct redis_url {
	char *path; /* unix socket, or NULL */
	char *host, *user, *password;
	int port, db;
};
bool redis_url_parse(
    const char *text, struct redis_url *out, struct err *err) REELD_MUST;
void redis_url_fini(struct redis_url *url);

struct link {
	struct redis *redis;
	struct loop *loop;
	const struct redis_url *url;
	int timeout_ms, ping_ms;
	bool subscriber;
	redisAsyncContext *ac; /* NULL: pausing or resolving */
	struct loop_io *io;
	struct resolve *resolve;
	struct loop_timer timer; /* connect deadline or pause */
	struct loop_timer ping;
	bool ready;
	int missed, failures, greetings;
	char beat[32]; /* the subscriber's heartbeat channel */
};

void link_start(struct link *link);
void link_stop(struct link *link);
/* Ends the connection; every pending callback gets a NULL reply. */
void link_drop(struct link *link, const char *why);

/* redis.c */
void redis_link_changed(struct redis *redis, struct link *link);

#endif
