/* servers.c - see servers.h.  Blocking: it runs beside the tests' loop. */
#include "servers.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define BIN "/usr/lib/postgresql/15/bin/"

static void
die(const char *what)
{
	fprintf(stderr, "servers: %s: %s\n", what, strerror(errno));
	abort();
}

/* Starts a program as nobody (when we are root), output to <dir>/log. */
static pid_t
spawn(struct servers *servers, char *const argv[])
{
	struct passwd *pw = getpwnam("nobody");
	char log[96];
	pid_t pid;
	int fd;

	snprintf(log, sizeof log, "%s/log", servers->dir);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid > 0)
		return pid;
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0666);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	setpgid(0, 0);
	if (geteuid() == 0 && pw != NULL &&
	    (setgroups(0, NULL) != 0 || setgid(pw->pw_gid) != 0 ||
		setuid(pw->pw_uid) != 0))
		_exit(126);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (chdir(servers->dir) != 0)
		_exit(126);
	execv(argv[0], argv);
	_exit(127);
}

static void
run(struct servers *servers, char *const argv[])
{
	pid_t pid = spawn(servers, argv);
	int status;

	if (waitpid(pid, &status, 0) != pid || status != 0)
		die(argv[0]);
}

void
servers_start_postgres(struct servers *servers)
{
	char data[96], sockets[96];
	char *argv[] = {(char *)BIN "postgres", (char *)"-D", data,
	    (char *)"-c", (char *)"listen_addresses=", (char *)"-c", sockets,
	    (char *)"-c", (char *)"fsync=off", NULL};

	snprintf(data, sizeof data, "%s/db", servers->dir);
	snprintf(sockets, sizeof sockets, "unix_socket_directories=%s",
	    servers->dir);
	servers->postgres = spawn(servers, argv);
	for (int i = 0; i < 3000; i++) {
		PGconn *conn = PQconnectdb(servers->pg_url);
		ConnStatusType status = PQstatus(conn);

		PQfinish(conn);
		if (status == CONNECTION_OK)
			return;
		/* After a kill, old backends still hold the shared memory for
		 * a moment: it refuses, and we try again. */
		if (waitpid(servers->postgres, NULL, WNOHANG) > 0)
			servers->postgres = spawn(servers, argv);
		poll(NULL, 0, 10);
	}
	die("postgres takes no connections");
}

void
servers_start_redis(struct servers *servers)
{
	char path[96];
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	char *argv[] = {(char *)"/usr/bin/redis-server", (char *)"--port",
	    (char *)"0", (char *)"--unixsocket", path, (char *)"--save",
	    (char *)"", NULL};
	int fd, up = 0;

	snprintf(path, sizeof path, "%s/redis.sock", servers->dir);
	memcpy(un.sun_path, path, strlen(path) + 1);
	unlink(path);
	servers->redis = spawn(servers, argv);
	for (int i = 0; i < 1000 && !up; i++) {
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		up = connect(fd, (struct sockaddr *)&un, sizeof un) == 0;
		close(fd);
		if (!up)
			poll(NULL, 0, 10);
	}
	if (!up)
		die("redis takes no connections");
}

void
servers_start(struct servers *servers, int want_postgres, int want_redis)
{
	struct passwd *pw = getpwnam("nobody");
	char data[96];
	char *initdb[] = {(char *)BIN "initdb", (char *)"-D", data,
	    (char *)"-U", (char *)"postgres", (char *)"-A", (char *)"trust",
	    (char *)"--no-sync", (char *)"--locale=C.UTF-8", NULL};

	memset(servers, 0, sizeof *servers);
	strcpy(servers->dir, "/tmp/reeld-unit-XXXXXX");
	if (mkdtemp(servers->dir) == NULL)
		die("mkdtemp");
	if (geteuid() == 0 && pw != NULL &&
	    chown(servers->dir, pw->pw_uid, pw->pw_gid) != 0)
		die("chown");
	snprintf(servers->pg_url, sizeof servers->pg_url,
	    "host=%s user=postgres dbname=postgres", servers->dir);
	snprintf(servers->redis_url, sizeof servers->redis_url,
	    "unix://%s/redis.sock", servers->dir);
	if (want_postgres) {
		snprintf(data, sizeof data, "%s/db", servers->dir);
		run(servers, initdb);
		servers_start_postgres(servers);
	}
	if (want_redis)
		servers_start_redis(servers);
}

static void
kill_group(pid_t *pid, int signo)
{
	if (*pid == 0)
		return;
	kill(-*pid, signo);
	waitpid(*pid, NULL, 0);
	*pid = 0;
}

void
servers_kill_postgres(struct servers *servers)
{
	kill_group(&servers->postgres, SIGKILL);
}

void
servers_kill_redis(struct servers *servers)
{
	kill_group(&servers->redis, SIGKILL);
}

void
servers_stop(struct servers *servers)
{
	char *rm[] = {(char *)"/bin/rm", (char *)"-rf", servers->dir, NULL};
	pid_t pid;

	kill_group(&servers->redis, SIGKILL);
	kill_group(&servers->postgres, SIGKILL);
	pid = fork();
	if (pid == 0) {
		execv(rm[0], rm);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}
