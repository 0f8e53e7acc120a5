/*
 * standalone.c - `reeld standalone`: a private database and cache under one
 * directory, the server on top, and with --demo a worker that draws videos.
 * Everything before server_start() may block; nothing after it may.
 */
#define LOG_MODULE "standalone"
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "main/cmd/admin.h"
#include "main/cmd/cluster.h"
#include "main/options.h"
#include "main/process.h"
#include "main/serve.h"
#include "reeld/clock.h"
#include "reeld/log.h"

struct standalone {
	struct options *options;
	struct conf *conf;
	struct loop *loop;
	struct cluster cluster;
	struct child worker;
	struct server *server;
	int64_t started_ms;
	char *master_key; /* path of its file, unless one is configured */
	char link[96]; /* the sign-in link's path, made before the loop runs */
	bool demo;
};

static void
on_child_signal(int signo, void *arg)
{
	struct standalone *self = arg;

	child_reap(&self->cluster.postgres);
	child_reap(&self->cluster.redis);
	if (self->demo)
		child_reap(&self->worker);
}

static bool
start_worker(struct standalone *self, struct err *err)
{
	char *folder = process_folder();
	char *program = xasprintf("%s/reel-worker", folder);
	char *log = xasprintf("%s/log/worker.log", self->cluster.dir);
	char *key_file = xasprintf("%s/run/worker.key", self->cluster.dir);
	char *work_dir = xasprintf("%s/worker", self->cluster.dir);
	const char *argv[] = {program, "--demo", "--url",
	    server_url(self->server), "--key-file", key_file, "--redis",
	    self->cluster.redis_url, "--work-dir", work_dir, "--name", "demo",
	    NULL};
	bool ok;

	child_init(&self->worker, "worker", argv, log, SIGTERM);
	child_watch(&self->worker, self->loop);
	ok = child_start(&self->worker, err);
	free(work_dir);
	free(key_file);
	free(log);
	free(program);
	free(folder);
	return ok;
}

static void
on_ready(struct server *server, void *arg)
{
	struct standalone *self = arg;
	struct err err;

	self->server = server;
	if (self->demo && !start_worker(self, &err))
		log_error("msg=%s", log_text(err.msg));
	printf("ready: %s\n", server_url(server));
	printf("sign in: %s%s\n", server_url(server), self->link);
	fflush(stdout);
	log_info("ms=%lld msg=\"ready\"",
	    (long long)(clock_mono_ms() - self->started_ms));
}

/* What must be in that user's reach to go on without root. */
static bool
may_drop(const struct standalone *self)
{
	const struct cluster *cluster = &self->cluster;
	const struct conf *conf = self->conf;
	const char *port_file = self->options->port_file;
	char *folder = process_folder(), *slash;
	bool ok = child_user_can(cluster->uid, cluster->gid, folder, X_OK) &&
	    (conf->sql.dir[0] == '\0' ||
		child_user_can(
		    cluster->uid, cluster->gid, conf->sql.dir, R_OK)) &&
	    (conf->www.dir[0] == '\0' || access(conf->www.dir, F_OK) != 0 ||
		child_user_can(
		    cluster->uid, cluster->gid, conf->www.dir, R_OK));

	free(folder);
	if (ok && port_file != NULL) {
		folder = xstrdup(port_file);
		slash = strrchr(folder, '/');
		if (slash != NULL)
			*slash = '\0';
		ok = child_user_can(cluster->uid, cluster->gid,
		    slash != NULL ? folder : ".", W_OK);
		free(folder);
	}
	return ok;
}

/* Root is only needed to hand the database its user. */
static bool
drop_root(struct standalone *self, struct err *err)
{
	struct cluster *cluster = &self->cluster;

	if (cluster->as != CHILD_USER)
		return true;
	if (!may_drop(self)) {
		log_warn("msg=\"staying root: the program or the port file is "
			 "out of the unprivileged user's reach\"");
		return true;
	}
	if (setgroups(0, NULL) != 0 ||
	    setresgid(cluster->gid, cluster->gid, cluster->gid) != 0 ||
	    setresuid(cluster->uid, cluster->uid, cluster->uid) != 0)
		return err_set(
		    err, ERR_INTERNAL, "cannot drop root: %s", strerror(errno));
	/* From here on children are like us. */
	cluster->as = CHILD_SAME;
	cluster->postgres.as = cluster->redis.as = CHILD_SAME;
	return true;
}

/* The settings again, now with where our own servers are. */
static bool
final_conf(struct standalone *self, struct err *err)
{
	struct options *options = self->options;

	options_set(options, "db.url", self->cluster.db_url);
	options_set(options, "redis.url", self->cluster.redis_url);
	options_set(options, "storage.dir", self->cluster.files_dir);
	if (self->conf->secrets.master_key_file[0] == '\0') {
		self->master_key =
		    xasprintf("%s/master.key", self->cluster.dir);
		options_set(
		    options, "secrets.master_key_file", self->master_key);
	}
	conf_unref(self->conf);
	self->conf = NULL;
	return conf_load(options->conf_path, options->flags, options->n_flags,
	    &self->conf, err);
}

static bool
prepare(struct standalone *self, struct err *err)
{
	if (!cluster_start(&self->cluster, self->conf->standalone.dir,
		self->conf->standalone.user, err) ||
	    !final_conf(self, err) || !drop_root(self, err) ||
	    (self->master_key != NULL &&
		!process_make_secret(self->master_key, err)))
		return false;
	if (!admin_migrate(self->conf, err) ||
	    !admin_models_init(self->conf, self->demo, err))
		return false;
	if (!admin_link_make(self->conf, "", "admin@localhost", self->link,
		sizeof self->link, err))
		return false;
	if (!self->demo)
		return true;
	return admin_worker_key(self->conf, self->cluster.dir, err);
}

static void
stop_all(struct standalone *self)
{
	if (self->demo && self->worker.argv != NULL) {
		child_stop(&self->worker, 5000);
		child_fini(&self->worker);
	}
	cluster_stop(&self->cluster);
	loop_free(self->loop);
	conf_unref(self->conf);
	free(self->master_key);
}

int
cmd_standalone(struct options *options)
{
	struct standalone self = {
	    .options = options, .started_ms = clock_mono_ms()};
	struct err err;
	int code = options_conf(options, &self.conf);

	if (code != EXIT_OK)
		return code;
	self.demo = options->demo || self.conf->standalone.demo;
	if (!prepare(&self, &err)) {
		fprintf(stderr, "reeld: %s\n", err.msg);
		stop_all(&self);
		return EXIT_FAILED;
	}
	self.loop = loop_new();
	child_watch(&self.cluster.postgres, self.loop);
	child_watch(&self.cluster.redis, self.loop);
	loop_on_signal(self.loop, SIGCHLD, on_child_signal, &self);
	if (!server_run(self.loop, self.conf, options, on_ready, &self, &err)) {
		fprintf(stderr, "reeld: %s\n", err.msg);
		code = EXIT_FAILED;
	}
	stop_all(&self);
	return code;
}
