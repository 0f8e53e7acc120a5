/*
 * wire.h - the server's modules, made and ended.  Private to src/main: serve.c
 * owns the struct and its life, wire.c fills it.
 */
#ifndef MAIN_WIRE_H
#define MAIN_WIRE_H

#include <stdint.h>

#include "main/serve.h"
#include "reeld/api.h"
#include "reeld/chat.h"
#include "reeld/pg.h"
#include "reeld/seal.h"

struct server {
	struct loop *loop;
	struct conf *conf;
	const char *conf_path;
	char *url, *helper, *www_dir, *upload_dir;
	uint8_t secret[32];
	struct id process;	/* names this process on the event bus */
	struct seal_ring *ring; /* NULL: no master key file */
	struct chat_settings chat;
	struct app app;
	struct pg_query *schema_query;
	struct loop_timer ready_timer, stop_timer;
	server_ready_fn *ready;
	void *ready_arg;
	bool is_ready, stopping;
	int draining; /* parts that are not done yet */
};

/*
 * Makes every module, in the order of their dependencies, for .loop, .conf and
 * .process; listens, and writes the port to port_file unless that is NULL.
 * False: one could not start, and wire_down() ends the others.  Blocking,
 * before the loop runs.
 */
bool wire_up(
    struct server *server, const char *port_file, struct err *err) REELD_MUST;
/* Ends what there is, in the opposite order, and drops .conf. */
void wire_down(struct server *server);
/* As the settings say now. */
struct auth_opts wire_auth_opts(const struct server *server);

#endif
