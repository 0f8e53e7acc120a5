/*
 * serve.h - the running server, as `serve` and `standalone` both start it.
 * Private to src/main.
 */
#ifndef MAIN_SERVE_H
#define MAIN_SERVE_H

#include "reeld/conf.h"
#include "reeld/loop.h"

struct server;

/* Runs once the server is ready: listening, database reached. */
typedef void server_ready_fn(struct server *server, void *arg);

/*
 * Wires every module together on the loop and starts to listen.  Borrows
 * conf (takes its own reference).  ready may be NULL.
 */
bool server_start(struct loop *loop, struct conf *conf, const char *conf_path,
    const char *port_file, server_ready_fn *ready, void *arg,
    struct server **out, struct err *err) REELD_MUST;
/* Begins the drain; the loop stops when it is over.  Twice: at once. */
void server_stop(struct server *server);
/* After the loop ended. */
void server_free(struct server *server);
/* "http://localhost:8080" or the configured public address. */
const char *server_url(const struct server *server);

#endif
