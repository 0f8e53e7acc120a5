/*
 * servers.h - a private PostgreSQL and redis-server for a unit test, on unix
 * sockets under a temporary directory, gone when the test ends.
 */
#ifndef TESTS_UNIT_SERVERS_H
#define TESTS_UNIT_SERVERS_H

#include <sys/types.h>

struct servers {
	char dir[64];
	char pg_url[128], redis_url[96];
	pid_t postgres, redis;
};

/* What is wanted is started and takes connections when this returns. */
void servers_start(struct servers *servers, int want_postgres, int want_redis);
void servers_stop(struct servers *servers);
/* kill -9 of the server (and its children), and starting it again. */
void servers_kill_postgres(struct servers *servers);
void servers_start_postgres(struct servers *servers);
void servers_kill_redis(struct servers *servers);
void servers_start_redis(struct servers *servers);

#endif
