/*
 * cluster.h - standalone's private PostgreSQL cluster and redis-server, on
 * unix sockets under one directory.  Private to src/main.
 */
#ifndef MAIN_CLUSTER_H
#define MAIN_CLUSTER_H

#include "main/cmd/child.h"
#include "reeld/conf.h"

struct cluster {
	char *dir; /* absolute */
	char *db_url, *redis_url, *files_dir;
	struct child postgres, redis;
	enum child_as as;
	uid_t uid;
	gid_t gid;
};

/*
 * Makes what is missing under dir (initdb at the first start) and starts
 * both; returns when PostgreSQL takes connections.  When root, both run as
 * `user`.  Blocking: called before the loop runs.
 */
bool cluster_start(struct cluster *cluster, const char *dir, const char *user,
    struct err *err) REELD_MUST;
/* Blocking: stops the cache, then the database (fast shutdown). */
void cluster_stop(struct cluster *cluster);

#endif
