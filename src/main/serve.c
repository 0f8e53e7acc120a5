/*
 * serve.c - the life of the server: started, ready, reloaded, drained, ended.
 * What it is made of is in wire.c.
 */
#define LOG_MODULE "serve"
#include "main/serve.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "main/options.h"
#include "main/process.h"
#include "main/wire.h"
#include "reeld/jobs.h"
#include "reeld/live.h"
#include "reeld/log.h"

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
	if (pg_bool(rows, 0, "is_super"))
		log_warn("msg=\"the database role is a superuser: use an "
			 "ordinary role\"");
	if (!pg_bool(rows, 0, "owns_tables"))
		log_error("msg=\"the database role does not own the tables: "
			  "use the one that ran reeld migrate\"");
	if (pg_bool(rows, 0, "reader_sees_all"))
		log_error("msg=\"the role that reads for users must not be a "
			  "superuser or bypass row security\"");
	if (!pg_bool(rows, 0, "may_flush"))
		log_error("msg=\"the database role may not call "
			  "pg_logical_emit_message(): no order can be "
			  "confirmed; grant execute on it\"");
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

static void
server_free(struct server *self)
{
	timer_fini(&self->ready_timer);
	timer_fini(&self->stop_timer);
	wire_down(self);
	explicit_bzero(self->secret, sizeof self->secret);
	free(self);
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
	if (!wire_up(self, port_file, err)) {
		server_free(self);
		return false;
	}
	pg_pool_on_change(self->app.pg_engine, on_database, self);
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
	auth = wire_auth_opts(self);
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
