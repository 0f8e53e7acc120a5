/*
 * wire.c - every module made in the order of their dependencies, from left to
 * right, and ended in the opposite one.
 */
#define LOG_MODULE "serve"
#include "main/wire.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "main/process.h"
#include "reeld/fetch.h"
#include "reeld/jobs.h"
#include "reeld/live.h"
#include "reeld/media.h"
#include "reeld/redis.h"
#include "reeld/storage.h"
#include "reeld/ws.h"

/* The engine asks at each use, so a change takes effect. */
static const struct catalogue_account *
accounts_of(void *arg, const char *provider, size_t *n)
{
	struct server *self = arg;

	return catalogue_accounts(self->app.catalogue, provider, n);
}

static void
on_accounts_changed(void *arg)
{
	struct server *self = arg;

	catalogue_reload(self->app.catalogue);
}

static const struct chat_settings *
enhancer_of(void *arg)
{
	struct server *self = arg;

	self->chat = api_chat_settings(self->conf);
	return &self->chat;
}

static bool
start_stores(struct server *self, struct err *err)
{
	const struct conf *conf = self->conf;
	struct app *app = &self->app;
	struct pg_opts pg = {.name = "app",
	    .conninfo = conf->db.url,
	    .size = (int)conf->db.pool_size,
	    .max_waiting = (int)conf->db.max_waiting,
	    .timeout_ms = conf->db.timeout_ms};
	struct redis_opts redis = {.url = conf->redis.url};
	struct fetch_opts fetch = {0};
	struct media_opts media = {
	    .threads = (int)conf->media.threads, .helper = self->helper};
	struct storage_opts storage = {
	    .s3 = strcmp(conf->storage.backend, "s3") == 0,
	    .dir = conf->storage.dir,
	    .endpoint = conf->s3.endpoint,
	    .bucket = conf->s3.bucket,
	    .region = conf->s3.region,
	    .access_key = conf->s3.access_key,
	    .secret_key = conf->s3.secret_key,
	    .account_id = conf->s3.account_id,
	    .public_url = conf->s3.public_url,
	    .path_style = conf->s3.path_style,
	    .allow_private = conf->s3.allow_private,
	};

	if (!pg_conninfo_ok(conf->db.url, err))
		return false;
	/* A role that may only read, and only its user's rows: 0017. */
	pg.session_sql =
	    "select set_config('role', left(current_user, 56) || '_reader', "
	    "false)";
	app->pg = pg_pool_new(self->loop, &pg);
	pg.name = "engine";
	pg.session_sql = NULL;
	app->pg_engine = pg_pool_new(self->loop, &pg);
	if (conf->redis.url[0] != '\0') {
		app->redis = redis_new(self->loop, &redis, err);
		if (app->redis == NULL)
			return err_wrap(err, "redis.url");
	}
	app->fetch = fetch_new(self->loop, &fetch);
	app->media = media_pool_new(self->loop, &media);
	return storage_new(
	    self->loop, app->media, app->fetch, &storage, &app->storage, err);
}

static bool
start_http(struct server *self, const char *port_file, struct err *err)
{
	const struct conf *conf = self->conf;
	struct app *app = &self->app;
	size_t n_routes;
	const struct http_route *routes = api_routes(&n_routes);
	struct http_opts opts = {
	    .listen = conf->http.listen,
	    .routes = routes,
	    .n_routes = n_routes,
	    .gate = api_gate,
	    .app = app,
	    .on_identity_free = auth_identity_free,
	    .static_dir = self->www_dir,
	    .upload_dir = self->upload_dir,
	    .trusted_proxies = conf->http.trusted_proxies[0] != '\0'
		? conf->http.trusted_proxies
		: NULL,
	    .cors_origins = conf->http.cors_origins[0] != '\0'
		? conf->http.cors_origins
		: NULL,
	    .tls_in_front = conf->http.tls_in_front,
	    .max_connections = (int)conf->http.max_connections,
	    .max_per_ip = (int)conf->http.max_per_ip,
	};

	app->http = http_server_new(self->loop, &opts, err);
	if (app->http == NULL)
		return err_wrap(err, "http.listen %s", conf->http.listen);
	self->url = conf->http.public_url[0] != '\0'
	    ? xstrdup(conf->http.public_url)
	    : xasprintf("http://localhost:%d", http_server_port(app->http));
	return port_file == NULL ||
	    process_write_port(port_file, http_server_port(app->http), err);
}

struct auth_opts
wire_auth_opts(const struct server *self)
{
	const struct conf *conf = self->conf;

	return (struct auth_opts){
	    .pg = self->app.pg_engine,
	    .redis = self->app.redis,
	    .instance = self->process.text,
	    .public_url = self->url,
	    .admin_emails = conf->admin.emails,
	    .secret = self->secret,
	    .secret_len = sizeof self->secret,
	    .live = self->app.live,
	    .session_days = conf->auth.session_days,
	    .session_idle_days = conf->auth.session_idle_days,
	    .submit_per_minute = conf->limits.submit_per_minute,
	    .submit_burst = conf->limits.submit_burst,
	    .read_per_second = conf->limits.read_per_second,
	    .read_burst = conf->limits.read_burst,
	    .upload_per_hour = conf->limits.upload_per_hour,
	    .hooks_per_minute = conf->limits.hooks_per_minute,
	    .hooks_burst = conf->limits.hooks_burst,
	};
}

static void
start_rest(struct server *self)
{
	const struct conf *conf = self->conf;
	struct app *app = &self->app;
	struct ws_opts ws = {.max_sessions = (int)conf->http.max_connections};
	struct catalogue_opts catalogue = {.pg = app->pg_engine,
	    .redis = app->redis,
	    .instance = self->process.text,
	    .provider_ready = api_provider_ready,
	    .known = api_provider_known,
	    .settings = api_provider_settings,
	    .arg = app,
	    .ring = self->ring,
	    .key_dir = conf->secrets.key_dir};
	struct auth_opts auth;
	char host[64];
	struct engine_deps engine = {
	    .loop = self->loop,
	    .pg = app->pg_engine,
	    .redis = app->redis,
	    .fetch = app->fetch,
	    .storage = app->storage,
	    .media = app->media,
	    .accounts = accounts_of,
	    .accounts_arg = self,
	    .accounts_changed = on_accounts_changed,
	    .enhancer = enhancer_of,
	    .public_url = conf->http.public_url,
	    .worker_url = self->url,
	    .secret = self->secret,
	    .secret_len = sizeof self->secret,
	    .s3 = strcmp(conf->storage.backend, "s3") == 0,
	    .store_private = conf->s3.allow_private,
	    .bucket = conf->s3.bucket[0] != '\0' ? conf->s3.bucket : NULL,
	    .max_active = (int)conf->jobs.max_active,
	    .slots = (int)conf->jobs.slots,
	    .sweep_ms = conf->jobs.sweep_ms,
	    .dead_ms = conf->jobs.adopt_after_ms,
	};

	app->ws = ws_new(self->loop, &ws);
	app->live =
	    live_new(self->loop, app->redis, app->ws, self->process.text);
	live_limits_set(
	    app->live, conf->live.max_per_user, conf->live.max_per_ip);
	app->catalogue = catalogue_new(self->loop, &catalogue);
	auth = wire_auth_opts(self);
	app->auth = auth_new(self->loop, &auth);
	if (gethostname(host, sizeof host) != 0)
		host[0] = '\0';
	host[sizeof host - 1] = '\0';
	engine.name = host;
	engine.live = app->live;
	app->engine = engine_new(&engine);
	app->instance = *engine_instance(app->engine);
	api_open(app);
	engine_start(app->engine);
}

bool
wire_up(struct server *self, const char *port_file, struct err *err)
{
	const struct conf *conf = self->conf;

	self->helper = process_helper_path(conf->media.helper, "reel-media");
	self->www_dir = process_www_dir(conf->www.dir);
	self->upload_dir = xasprintf("%s/tmp", conf->storage.dir);
	self->app.loop = self->loop;
	self->app.conf = self->conf;
	self->app.version = PACKAGE_VERSION;
	self->app.secret = self->secret;
	self->app.secret_len = sizeof self->secret;
	if (!start_stores(self, err) ||
	    !process_secret(conf, self->secret, err) ||
	    (conf->secrets.master_key_file[0] != '\0' &&
		!seal_ring_load(
		    conf->secrets.master_key_file, &self->ring, err)) ||
	    !start_http(self, port_file, err))
		return false;
	self->app.ring = self->ring;
	start_rest(self);
	return true;
}

void
wire_down(struct server *self)
{
	struct app *app = &self->app;

	/* A session holds the connection it came by: sessions end first. */
	if (app->ws != NULL)
		ws_cut_all(app->ws);
	if (app->http != NULL)
		http_server_free(app->http);
	api_close(app);
	engine_free(app->engine);
	auth_free(app->auth);
	catalogue_free(app->catalogue);
	if (app->live != NULL)
		live_free(app->live);
	if (app->ws != NULL)
		ws_free(app->ws);
	storage_free(app->storage);
	media_pool_free(app->media);
	fetch_free(app->fetch);
	if (app->redis != NULL)
		redis_free(app->redis);
	pg_query_cancel(&self->schema_query);
	pg_pool_free(app->pg_engine);
	pg_pool_free(app->pg);
	conf_unref(self->conf);
	seal_ring_free(self->ring);
	free(self->upload_dir);
	free(self->www_dir);
	free(self->helper);
	free(self->url);
}
