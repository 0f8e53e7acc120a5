/*
 * serve.c - the server: every module made in the order of their dependencies,
 * from left to right, and ended in the opposite one.
 */
#define LOG_MODULE "serve"
#include "main/serve.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "main/options.h"
#include "main/process.h"
#include "reeld/api.h"
#include "reeld/chat.h"
#include "reeld/fetch.h"
#include "reeld/jobs.h"
#include "reeld/live.h"
#include "reeld/log.h"
#include "reeld/media.h"
#include "reeld/pg.h"
#include "reeld/redis.h"
#include "reeld/seal.h"
#include "reeld/storage.h"
#include "reeld/ws.h"

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

static void server_free(struct server *server);

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

static void
on_schema(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct server *self = arg;
	int64_t version;

	if (err != NULL) {
		log_error("msg=\"the database has no schema of ours, or it "
			  "cannot be read: run reeld migrate\"");
		return;
	}
	version = pg_i64(rows, 0, "version");
	if (version < PG_SCHEMA_VERSION)
		log_error("schema=%" PRId64 " wanted=%d msg=\"the database is "
			  "older than this program: run reeld migrate\"",
		    version, PG_SCHEMA_VERSION);
	else
		log_info(
		    "schema=%" PRId64 " wanted=%d", version, PG_SCHEMA_VERSION);
	if (pg_bool(rows, 0, "escapes_rls"))
		log_warn("msg=\"the database role is a superuser or bypasses "
			 "row security: use an ordinary role\"");
	engine_wake(self->app.engine);
}

static void
on_database(void *arg)
{
	struct server *self = arg;

	if (pg_pool_up(self->app.pg_engine) && self->schema_query == NULL)
		pg_query_start(self->app.pg_engine, STMT_SCHEMA_VERSION, NULL,
		    &self->schema_query, on_schema, self);
}

static void
on_ready_timer(void *arg)
{
	struct server *self = arg;

	if (!pg_pool_up(self->app.pg) ||
	    !catalogue_ready(self->app.catalogue) ||
	    !engine_is_up(self->app.engine)) {
		timer_set_ms(&self->ready_timer, 5);
		return;
	}
	self->is_ready = true;
	log_info("url=%s msg=\"ready\"", self->url);
	if (self->ready != NULL)
		self->ready(self, self->ready_arg);
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
	app->pg = pg_pool_new(self->loop, &pg);
	pg.name = "engine";
	pg.session_sql = "select set_config('app.engine', 'on', false)";
	app->pg_engine = pg_pool_new(self->loop, &pg);
	pg_pool_on_change(app->pg_engine, on_database, self);
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

static struct auth_opts
auth_opts_of(const struct server *self)
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
	    .dead_ms = conf->jobs.adopt_after_ms,
	};

	app->ws = ws_new(self->loop, &ws);
	app->live =
	    live_new(self->loop, app->redis, app->ws, self->process.text);
	live_limits_set(
	    app->live, conf->live.max_per_user, conf->live.max_per_ip);
	app->catalogue = catalogue_new(self->loop, &catalogue);
	auth = auth_opts_of(self);
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

static bool
server_start(struct loop *loop, struct conf *conf, const char *conf_path,
    const char *port_file, server_ready_fn *ready, void *arg,
    struct server **out, struct err *err)
{
	struct server *self = xcalloc(1, sizeof *self);

	self->loop = loop;
	self->conf = conf_ref(conf);
	self->conf_path = conf_path;
	self->process = id_new();
	self->ready = ready;
	self->ready_arg = arg;
	self->helper = process_helper_path(conf->media.helper, "reel-media");
	self->www_dir = process_www_dir(conf->www.dir);
	self->upload_dir = xasprintf("%s/tmp", conf->storage.dir);
	self->app.loop = loop;
	self->app.conf = conf;
	self->app.version = PACKAGE_VERSION;
	self->app.secret = self->secret;
	self->app.secret_len = sizeof self->secret;
	if (!start_stores(self, err) ||
	    !process_secret(conf, self->secret, err) ||
	    (conf->secrets.master_key_file[0] != '\0' &&
		!seal_ring_load(
		    conf->secrets.master_key_file, &self->ring, err)) ||
	    !start_http(self, port_file, err)) {
		server_free(self);
		return false;
	}
	self->app.ring = self->ring;
	start_rest(self);
	timer_init(&self->ready_timer, loop, "ready", on_ready_timer, self);
	timer_set_ms(&self->ready_timer, 0);
	*out = self;
	return true;
}

const char *
server_url(const struct server *server)
{
	return server->url;
}

static void
server_reload(struct server *self, const struct conf_flag *flags, int n_flags)
{
	struct auth_opts auth;
	struct conf *fresh;
	enum log_level level;
	struct err err;

	if (!conf_load(self->conf_path, flags, n_flags, &fresh, &err)) {
		log_error("msg=%s kept=old", log_text(err.msg));
		return;
	}
	conf_unref(self->conf);
	self->conf = fresh;
	self->app.conf = fresh;
	if (log_level_parse(fresh->log.level, &level))
		log_set_level(level);
	auth = auth_opts_of(self);
	auth_settings(self->app.auth, &auth);
	live_limits_set(
	    self->app.live, fresh->live.max_per_user, fresh->live.max_per_ip);
	catalogue_settings_changed(self->app.catalogue);
	log_info("msg=\"settings reloaded; addresses, pools and storage keep "
		 "theirs until a restart\"");
}

static void
on_part_done(void *arg)
{
	struct server *self = arg;

	if (--self->draining == 0)
		loop_stop(self->loop);
}

static void
on_stop_timer(void *arg)
{
	struct server *self = arg;

	log_warn("msg=\"the drain took too long, leaving\"");
	loop_stop(self->loop);
}

static void
server_stop(struct server *self)
{
	int64_t limit = self->conf->jobs.drain_timeout_ms;

	if (self->stopping) {
		log_warn("msg=\"told twice: leaving at once\"");
		loop_stop(self->loop);
		return;
	}
	self->stopping = true;
	log_info("msg=\"draining\"");
	timer_clear(&self->ready_timer);
	timer_init(
	    &self->stop_timer, self->loop, "drain limit", on_stop_timer, self);
	timer_set_ms(&self->stop_timer, limit);
	self->draining = 3;
	engine_drain(self->app.engine, limit * 2 / 3, on_part_done, self);
	live_drain(self->app.live, (int)(limit / 3), on_part_done, self);
	http_server_drain(self->app.http, on_part_done, self);
}

static void
server_free(struct server *self)
{
	struct app *app;

	if (self == NULL)
		return;
	app = &self->app;
	timer_fini(&self->ready_timer);
	timer_fini(&self->stop_timer);
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
	explicit_bzero(self->secret, sizeof self->secret);
	seal_ring_free(self->ring);
	free(self->upload_dir);
	free(self->www_dir);
	free(self->helper);
	free(self->url);
	free(self);
}

struct run {
	struct loop *loop;
	struct options *options;
	struct server *server;
};

static void
on_stop_signal(int signo, void *arg)
{
	struct run *run = arg;

	server_stop(run->server);
}

static void
on_reload_signal(int signo, void *arg)
{
	struct run *run = arg;

	server_reload(run->server, run->options->flags, run->options->n_flags);
}

static void
on_dump_signal(int signo, void *arg)
{
	struct run *run = arg;

	engine_dump(run->server->app.engine);
}

static void
watch_signals(struct run *run)
{
	loop_on_signal(run->loop, SIGTERM, on_stop_signal, run);
	loop_on_signal(run->loop, SIGINT, on_stop_signal, run);
	loop_on_signal(run->loop, SIGHUP, on_reload_signal, run);
	loop_on_signal(run->loop, SIGUSR1, on_dump_signal, run);
}

bool
server_run(struct loop *loop, struct conf *conf, struct options *options,
    server_ready_fn *ready, void *arg, struct err *err)
{
	struct run run = {.loop = loop, .options = options};

	process_prepare();
	loop_watch_lag(loop);
	if (!server_start(loop, conf, options->conf_path, options->port_file,
		ready, arg, &run.server, err))
		return false;
	watch_signals(&run);
	loop_run(loop);
	server_free(run.server);
	return true;
}

int
cmd_serve(struct options *options)
{
	struct conf *conf;
	struct loop *loop;
	struct err err;
	int code = options_conf(options, &conf);

	if (code != EXIT_OK)
		return code;
	if (conf->db.url[0] == '\0') {
		fprintf(stderr,
		    "reeld: db.url (or DATABASE_URL) is not set; "
		    "`reeld standalone` brings its own database\n");
		conf_unref(conf);
		return EXIT_CONFIG;
	}
	loop = loop_new();
	if (!server_run(loop, conf, options, NULL, NULL, &err)) {
		fprintf(stderr, "reeld: %s\n", err.msg);
		code = EXIT_FAILED;
	}
	loop_free(loop);
	conf_unref(conf);
	return code;
}
