/*
 * serve.h - the running server, as `serve` and `standalone` both start it.
 * Private to src/main.
 */
#ifndef MAIN_SERVE_H
#define MAIN_SERVE_H

#include "main/options.h"
#include "reeld/loop.h"

struct server;

/* Runs once, when the server takes work: listening, database reached. */
typedef void server_ready_fn(struct server *server, void *arg);

/*
 * Wires every module together on the loop, listens, and runs until SIGTERM or
 * SIGINT drained it (a second one ends it at once).  SIGHUP reloads the
 * settings, SIGUSR1 logs every live job.  ready may be NULL.  False: it could
 * not start.
 */
bool server_run(struct loop *loop, struct conf *conf, struct options *options,
    server_ready_fn *ready, void *arg, struct err *err) REELD_MUST;
/* "http://localhost:8080" or the configured public address. */
const char *server_url(const struct server *server);

#endif
