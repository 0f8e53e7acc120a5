/*
 * api.h - the URLs of reeld, and all that their handlers work with.
 *
 * The program fills a struct app, gives it to http_server_new() as
 * http_opts.app together with api_routes(), api_gate() and
 * auth_identity_free(), and frees things in the opposite order.
 */
#ifndef REELD_API_H
#define REELD_API_H

#include <stddef.h>
#include <stdint.h>

#include "reeld/auth.h"
#include "reeld/catalogue.h"
#include "reeld/chat.h"
#include "reeld/http.h"
#include "reeld/id.h"
#include "reeld/loop.h"

struct api_state;
struct conf;
struct engine;
struct fetch;
struct live;
struct media_pool;
struct pg_pool;
struct redis;
struct seal_ring;
struct storage;
struct ws;

struct app {
	struct loop *loop;
	const struct conf *conf; /* swapped at a reload: use it, don't keep */
	const char *version;
	struct id instance; /* engine_instance() */
	const void *secret; /* auth.secret, or the one made at start */
	size_t secret_len;
	struct pg_pool *pg;	   /* app: PG_AS(user), row security */
	struct pg_pool *pg_engine; /* sees all rows */
	struct redis *redis;	   /* NULL: none */
	struct fetch *fetch;
	struct media_pool *media;
	struct storage *storage;
	struct ws *ws;
	struct live *live;
	struct catalogue *catalogue;
	struct auth *auth;
	struct engine *engine;
	struct http_server *http;
	const struct seal_ring *ring; /* seals stored keys; NULL: none */
	struct api_state *api;	      /* api_open() */
};

/* Every URL (src/api/routes.c). */
const struct http_route *api_routes(size_t *n);
/* For http_opts.gate; http_opts.app is the struct app. */
enum http_gate api_gate(struct http_call *call);

/* For catalogue_opts, with the struct app as arg: is there an adapter, and a
 * key if it needs one; which adapters there are; what is configured. */
bool api_provider_ready(
    void *app, const char *provider, bool has_key, struct err *why);
const char *api_provider_known(void *app, size_t i, const char **title);
bool api_provider_settings(
    void *app, const char *provider, struct catalogue_settings *out);

/* Who enhances prompts, by the settings; borrows from conf. */
struct chat_settings api_chat_settings(const struct conf *conf);

/* When all but app->http is there: sets app->api and the live hooks. */
void api_open(struct app *app);
/* After the http server is freed and before the pools are. */
void api_close(struct app *app); /* safe twice */

#endif
