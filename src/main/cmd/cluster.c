/*
 * cluster.c - a database and a cache of our own, for the standalone mode.
 *
 * The directory:  db/ PostgreSQL's data, run/ sockets (0700), log/ one file
 * per process, redis/ nothing durable, files/ videos and images.
 */
#define LOG_MODULE "standalone"
#include "main/cmd/cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libpq-fe.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "reeld/clock.h"
#include "reeld/log.h"
#include "reeld/mem.h"

/* Debian keeps the server programs out of PATH. */
static const char *const bin_dirs[] = {"/usr/lib/postgresql/15/bin",
    "/usr/lib/postgresql/17/bin", "/usr/lib/postgresql/16/bin",
    "/usr/local/bin", "/usr/bin"};

static char *
find_program(const char *name)
{
	for (size_t i = 0; i < nitems(bin_dirs); i++) {
		char *path = xasprintf("%s/%s", bin_dirs[i], name);

		if (access(path, X_OK) == 0)
			return path;
		free(path);
	}
	return NULL;
}

static bool
make_dir(const struct cluster *cluster, const char *name, char **out,
    struct err *err)
{
	char *path = name[0] != '\0' ? xasprintf("%s/%s", cluster->dir, name)
				     : xstrdup(cluster->dir);
	bool made = mkdir(path, 0700) == 0;

	if (!made && errno != EEXIST) {
		err_set(err, ERR_STORAGE, "%s: %s", path, strerror(errno));
		free(path);
		return false;
	}
	if (cluster->as != CHILD_SAME &&
	    chown(path, cluster->uid, cluster->gid) != 0) {
		err_set(err, ERR_STORAGE, "%s: %s", path, strerror(errno));
		free(path);
		return false;
	}
	if (out != NULL)
		*out = path;
	else
		free(path);
	return true;
}

static bool
write_file(const char *path, const char *text, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	size_t len = strlen(text);
	bool ok = fd >= 0 && write(fd, text, len) == (ssize_t)len;

	if (fd >= 0)
		close(fd);
	if (!ok)
		return err_set(
		    err, ERR_STORAGE, "%s: %s", path, strerror(errno));
	return true;
}

/* Who may run PostgreSQL for us: it refuses root. */
static bool
choose_user(struct cluster *cluster, const char *user, struct err *err)
{
	struct passwd *pw;

	cluster->as = CHILD_SAME;
	if (geteuid() != 0)
		return true;
	pw = getpwnam(user);
	if (pw == NULL || pw->pw_uid == 0)
		return err_set(err, ERR_BAD_INPUT,
		    "standalone.user: no unprivileged user \"%s\"", user);
	cluster->uid = pw->pw_uid;
	cluster->gid = pw->pw_gid;
	if (chown(cluster->dir, pw->pw_uid, pw->pw_gid) != 0)
		return err_set(
		    err, ERR_STORAGE, "%s: %s", cluster->dir, strerror(errno));
	cluster->as = child_user_can(pw->pw_uid, pw->pw_gid, cluster->dir, R_OK)
	    ? CHILD_USER
	    : CHILD_REACHER;
	return true;
}

static bool
init_database(struct cluster *cluster, const char *data, struct err *err)
{
	char *version = xasprintf("%s/PG_VERSION", data);
	char *log = xasprintf("%s/log/initdb.log", cluster->dir);
	char *program = find_program("initdb"), *hba, *conf;
	bool ok = access(version, F_OK) == 0;
	struct child child;

	if (!ok && program == NULL) {
		err_set(err, ERR_UNAVAILABLE,
		    "PostgreSQL is not installed (Debian: postgresql)");
	} else if (!ok) {
		const char *argv[] = {program, "-D", data, "-U", "postgres",
		    "-E", "UTF8", "--locale=C.UTF-8", "--auth=trust",
		    "--no-sync", NULL};

		child_init(&child, "initdb", argv, log, SIGINT);
		child.as = cluster->as;
		child.uid = cluster->uid;
		child.gid = cluster->gid;
		ok = child_run(&child, err);
		child_fini(&child);
	}
	/* Only the socket, in a directory that is ours alone. */
	hba = xasprintf("%s/pg_hba.conf", data);
	conf = xasprintf("%s/reeld.conf", data);
	ok = ok && write_file(hba, "local all all trust\n", err) &&
	    write_file(conf,
		"listen_addresses = ''\n"
		"unix_socket_permissions = 0700\n"
		"max_connections = 60\n"
		"shared_buffers = 64MB\n"
		"wal_compression = on\n"
		"log_min_messages = warning\n"
		"log_line_prefix = '%m [%p] '\n",
		err);
	free(hba);
	free(conf);
	free(program);
	free(log);
	free(version);
	return ok;
}

static PGconn *
connect_as(const struct cluster *cluster, const char *db, const char *role)
{
	char *info = xasprintf("host=%s/run dbname=%s user=%s "
			       "connect_timeout=2",
	    cluster->dir, db, role);
	PGconn *conn = PQconnectdb(info);

	free(info);
	return conn;
}

static bool
wait_for_database(struct cluster *cluster, struct err *err)
{
	int64_t until = clock_mono_ms() + 60000;

	for (;;) {
		PGconn *conn = connect_as(cluster, "postgres", "postgres");
		bool up = PQstatus(conn) == CONNECTION_OK;

		PQfinish(conn);
		if (up)
			return true;
		child_reap(&cluster->postgres);
		if (cluster->postgres.pid == 0)
			return err_set(err, ERR_UNAVAILABLE,
			    "PostgreSQL did not start, see %s",
			    cluster->postgres.log_path);
		if (clock_mono_ms() > until)
			return err_set(err, ERR_TIMEOUT,
			    "PostgreSQL takes no connections, see %s",
			    cluster->postgres.log_path);
		poll(NULL, 0, 20);
	}
}

static bool
run_sql(PGconn *conn, const char *sql, const char *fine_state, struct err *err)
{
	PGresult *result = PQexec(conn, sql);
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	bool ok = PQresultStatus(result) == PGRES_COMMAND_OK ||
	    str_eq(state, fine_state);

	if (!ok)
		err_set(err, ERR_INTERNAL, "%s: %s", sql, PQerrorMessage(conn));
	PQclear(result);
	return ok;
}

/* An ordinary role owns the database, another reads for users (0017). */
static bool
make_role(struct cluster *cluster, struct err *err)
{
	PGconn *conn = connect_as(cluster, "postgres", "postgres");
	bool ok = PQstatus(conn) == CONNECTION_OK ||
	    err_set(err, ERR_UNAVAILABLE, "%s", PQerrorMessage(conn));

	ok = ok && run_sql(conn, "create role reeld login", "42710", err) &&
	    run_sql(conn, "create role reeld_reader nologin", "42710", err) &&
	    run_sql(conn, "grant reeld_reader to reeld", "00000", err) &&
	    run_sql(conn, "create database reeld owner reeld", "42P04", err);
	PQfinish(conn);
	return ok;
}

static bool
start_postgres(struct cluster *cluster, const char *data, struct err *err)
{
	char *program = find_program("postgres");
	char *log = xasprintf("%s/log/postgres.log", cluster->dir);
	char *run = xasprintf("unix_socket_directories=%s/run", cluster->dir);
	char *include = xasprintf("%s/reeld.conf", data);
	char *hba = xasprintf("hba_file=%s/pg_hba.conf", data);
	char *config = xasprintf("config_file=%s", include);
	bool ok = program != NULL;
	const char *argv[] = {
	    program, "-D", data, "-c", run, "-c", config, "-c", hba, NULL};

	if (ok) {
		child_init(&cluster->postgres, "postgres", argv, log, SIGINT);
		cluster->postgres.as = cluster->as;
		cluster->postgres.uid = cluster->uid;
		cluster->postgres.gid = cluster->gid;
		ok = child_start(&cluster->postgres, err);
	} else {
		err_set(err, ERR_UNAVAILABLE,
		    "PostgreSQL is not installed (Debian: postgresql)");
	}
	free(config);
	free(hba);
	free(include);
	free(run);
	free(log);
	free(program);
	return ok;
}

static bool
start_redis(struct cluster *cluster, struct err *err)
{
	char *program = find_program("redis-server");
	char *log = xasprintf("%s/log/redis.log", cluster->dir);
	char *sock = xasprintf("%s/run/redis.sock", cluster->dir);
	char *dir = xasprintf("%s/redis", cluster->dir);
	const char *argv[] = {program, "--port", "0", "--unixsocket", sock,
	    "--unixsocketperm", "700", "--dir", dir, "--save", "",
	    "--appendonly", "no", "--maxmemory", "128mb", "--maxmemory-policy",
	    "noeviction", "--daemonize", "no", NULL};
	bool ok = program != NULL;

	if (ok) {
		child_init(&cluster->redis, "redis", argv, log, SIGTERM);
		cluster->redis.as = cluster->as;
		cluster->redis.uid = cluster->uid;
		cluster->redis.gid = cluster->gid;
		ok = child_start(&cluster->redis, err);
	} else {
		err_set(err, ERR_UNAVAILABLE,
		    "Redis is not installed (Debian: redis-server)");
	}
	free(dir);
	free(sock);
	free(log);
	free(program);
	return ok;
}

/* A server that outlived a killed reeld is on its way out (it got our death
 * signal): wait until it has let go of the data directory. */
static bool
wait_for_old_server(const char *data, struct err *err)
{
	char *path = xasprintf("%s/postmaster.pid", data);
	int64_t until = clock_mono_ms() + 30000;
	char line[32];
	bool ok = true;

	for (;;) {
		FILE *file = fopen(path, "re");
		int64_t pid = 0;

		if (file == NULL)
			break;
		if (fgets(line, sizeof line, file) == NULL)
			line[0] = '\0';
		fclose(file);
		line[strcspn(line, "\n")] = '\0';
		if (!str_to_i64(line, 2, INT32_MAX, &pid) ||
		    (kill((pid_t)pid, 0) != 0 && errno == ESRCH))
			break; /* stale: PostgreSQL itself clears it away */
		if (clock_mono_ms() > until) {
			ok = err_set(err, ERR_CONFLICT,
			    "another PostgreSQL (pid %lld) uses %s",
			    (long long)pid, data);
			break;
		}
		poll(NULL, 0, 20);
	}
	free(path);
	return ok;
}

/* mkdir -p; the last one is ours alone. */
static bool
make_path(const char *dir, struct err *err)
{
	char *path = xstrdup(dir);
	bool ok = true;

	for (char *slash = strchr(path + 1, '/'); ok && slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		ok = mkdir(path, 0755) == 0 || errno == EEXIST;
		*slash = '/';
	}
	ok = ok && (mkdir(path, 0700) == 0 || errno == EEXIST);
	if (!ok)
		err_set(err, ERR_STORAGE, "%s: %s", dir, strerror(errno));
	free(path);
	return ok;
}

static bool
make_layout(struct cluster *cluster, const char *dir, const char *user,
    char **data, struct err *err)
{
	char absolute[PATH_MAX];

	if (!make_path(dir, err))
		return false;
	if (realpath(dir, absolute) == NULL)
		return err_set(
		    err, ERR_STORAGE, "%s: %s", dir, strerror(errno));
	cluster->dir = xstrdup(absolute);
	if (strlen(absolute) + strlen("/run/.s.PGSQL.5432") >=
	    sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return err_set(err, ERR_BAD_INPUT,
		    "%s: too long a path for unix sockets (about 85 bytes)",
		    absolute);
	return choose_user(cluster, user, err) &&
	    make_dir(cluster, "", NULL, err) &&
	    make_dir(cluster, "log", NULL, err) &&
	    make_dir(cluster, "run", NULL, err) &&
	    make_dir(cluster, "redis", NULL, err) &&
	    make_dir(cluster, "files", &cluster->files_dir, err) &&
	    make_dir(cluster, "db", data, err);
}

bool
cluster_start(
    struct cluster *cluster, const char *dir, const char *user, struct err *err)
{
	char *data = NULL;
	bool ok;

	memset(cluster, 0, sizeof *cluster);
	ok = make_layout(cluster, dir, user, &data, err) &&
	    wait_for_old_server(data, err) &&
	    init_database(cluster, data, err) &&
	    start_postgres(cluster, data, err) && start_redis(cluster, err) &&
	    wait_for_database(cluster, err) && make_role(cluster, err);
	free(data);
	if (!ok) {
		cluster_stop(cluster);
		return false;
	}
	cluster->db_url =
	    xasprintf("host=%s/run dbname=reeld user=reeld", cluster->dir);
	cluster->redis_url =
	    xasprintf("unix://%s/run/redis.sock", cluster->dir);
	return true;
}

void
cluster_stop(struct cluster *cluster)
{
	if (cluster->redis.argv != NULL) {
		child_stop(&cluster->redis, 5000);
		child_fini(&cluster->redis);
	}
	if (cluster->postgres.argv != NULL) {
		child_stop(&cluster->postgres, 20000);
		child_fini(&cluster->postgres);
	}
	free(cluster->db_url);
	free(cluster->redis_url);
	free(cluster->files_dir);
	free(cluster->dir);
	memset(cluster, 0, sizeof *cluster);
}
