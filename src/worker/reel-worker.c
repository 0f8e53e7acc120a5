/*
 * reel-worker - runs jobs of a reeld server on this machine.
 *
 *   reel-worker --url URL --key-file F [--redis URL] --on video='command'
 *
 * One job at a time.  SIGTERM hands a running job back and leaves.
 */
#define LOG_MODULE "worker"
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "reeld/log.h"
#include "worker/worker.h"

volatile sig_atomic_t worker_stopping;

static const char usage[] =
    "usage: reel-worker --url URL (--key-file F | --key K) [--redis URL]\n"
    "                   (--demo | --on TYPE='COMMAND' ...)\n"
    "                   [--work-dir D] [--name N] [-v]\n";

static void
on_stop_signal(int signo)
{
	worker_stopping = 1;
}

static char *
read_key(const char *path)
{
	char text[256];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

	if (fd >= 0)
		close(fd);
	if (n <= 0) {
		fprintf(stderr, "reel-worker: %s: %s\n", path,
		    n < 0 ? strerror(errno) : "empty");
		return NULL;
	}
	text[n] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	return xstrdup(text);
}

/* The demo renderer, installed or beside the sources of this build. */
static char *
demo_command(void)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	const char *given = getenv("REEL_DEMO_RENDERER");
	char *path, *slash;

	if (given != NULL)
		return xasprintf("exec '%s'", given);
	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	if (slash != NULL)
		*slash = '\0';
	path = xasprintf("%s/reel-demo", self);
	if (access(path, X_OK) != 0) {
		free(path);
		path = xstrdup(PKGLIBEXECDIR "/reel-demo");
	}
	slash = xasprintf("exec '%s'", path);
	free(path);
	return slash;
}

static bool
add_command(struct worker *worker, char *text)
{
	char *equals = strchr(text, '=');

	if (equals == NULL || worker->n_on == MAX_COMMANDS)
		return false;
	*equals = '\0';
	worker->on[worker->n_on].type = text;
	worker->on[worker->n_on++].command = equals + 1;
	return true;
}

static bool
parse(int argc, char **argv, struct worker *worker, char **key, char **demo)
{
	for (int i = 1; i < argc; i++) {
		const char *flag = argv[i];

		if (strcmp(flag, "--demo") == 0) {
			*demo = demo_command();
			worker->on[worker->n_on].type = "video";
			worker->on[worker->n_on++].command = *demo;
			continue;
		}
		if (strcmp(flag, "-v") == 0) {
			log_set_level(LOG_DEBUG);
			continue;
		}
		if (++i == argc)
			return false;
		if (strcmp(flag, "--url") == 0)
			worker->url = argv[i];
		else if (strcmp(flag, "--key-file") == 0)
			*key = read_key(argv[i]);
		else if (strcmp(flag, "--key") == 0)
			*key = xstrdup(argv[i]);
		else if (strcmp(flag, "--redis") == 0)
			worker->redis_url = argv[i];
		else if (strcmp(flag, "--work-dir") == 0)
			worker->work_dir = argv[i];
		else if (strcmp(flag, "--name") == 0)
			worker->name = argv[i];
		else if (strcmp(flag, "--on") != 0 ||
		    !add_command(worker, argv[i]))
			return false;
	}
	worker->key = *key;
	return worker->url != NULL && *key != NULL && worker->n_on > 0;
}

/* Until the server knows us, or we are told to stop, or our key is refused. */
static bool
introduce(struct worker *worker)
{
	struct err err;

	for (int i = 0; !worker_stopping; i++) {
		if (server_register(worker, &err)) {
			log_info("worker=%s name=%s msg=\"registered\"",
			    worker->id, log_text(worker->name));
			return true;
		}
		if (err.code == ERR_FORBIDDEN) {
			log_error("msg=\"the server refuses our key\"");
			return false;
		}
		log_warn("msg=%s", log_text(err.msg));
		poll(NULL, 0, i < 5 ? 500 << i : 15000);
	}
	return false;
}

int
main(int argc, char **argv)
{
	struct worker worker = {.name = "worker", .work_dir = "/tmp/reel-work"};
	struct sigaction action = {.sa_handler = on_stop_signal};
	char *key = NULL, *demo = NULL;
	bool refused = false;

	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("reel-worker %s\n", PACKAGE_VERSION);
		return 0;
	}
	if (!parse(argc, argv, &worker, &key, &demo)) {
		fputs(usage, stderr);
		return 2;
	}
	if (mkdir(worker.work_dir, 0700) != 0 && errno != EEXIST) {
		fprintf(stderr, "reel-worker: %s: %s\n", worker.work_dir,
		    strerror(errno));
		return 1;
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	while (!worker_stopping && !refused) {
		struct json_object *payload;

		if (worker.id[0] == '\0' && !introduce(&worker)) {
			refused = !worker_stopping;
			break;
		}
		server_beat(&worker, NULL);
		if (worker.drain) {
			poll(NULL, 0, 1000);
			continue;
		}
		payload = queue_take(&worker);
		if (payload != NULL)
			run_job(&worker, &payload);
	}
	queue_close(&worker);
	curl_global_cleanup();
	free(key);
	free(demo);
	return refused ? 1 : 0;
}
