/*
 * run.c - one job: tell the server we have it, fetch the inputs, run the
 * command, pass its progress on, upload the file and report.
 *
 * The command gets the whole payload as JSON on its standard input, the
 * fields as REEL_* variables, and writes its file to $REEL_OUTPUT.  Lines
 * `progress 42` on its standard output are passed on; `refused TEXT` and
 * `bad_input TEXT` say why it fails.
 */
#define LOG_MODULE "worker"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reeld/clock.h"
#include "reeld/id.h"
#include "reeld/log.h"
#include "worker/worker.h"

#define MAX_LINE 1024

struct run {
	struct worker *worker;
	struct json_object *payload;
	struct id job;
	const char *token;
	char *folder, *input_file, *output;
	pid_t pid;
	int progress_fd;
	struct buf line;
	int percent;
	int64_t last_report_ms;
	bool cancelled;
	char failure[24], message[200]; /* why the command says it fails */
};

static const char *
text_of(struct json_object *payload, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(payload, key, &value) || value == NULL)
		return NULL;
	return json_object_get_string(value);
}

const char *
worker_command(const struct worker *worker, const char *type)
{
	for (int i = 0; i < worker->n_on; i++) {
		if (strcmp(worker->on[i].type, type) == 0)
			return worker->on[i].command;
	}
	return NULL;
}

static void
post(struct run *run, const char *action, struct json_object *body,
    struct server_reply *reply)
{
	char *path = xasprintf("/jobs/%s/%s", run->job.text, action);

	json_object_object_add(
	    body, "worker_id", json_object_new_string(run->worker->id));
	server_post(run->worker, path, run->token, &body, 10, reply);
	free(path);
}

/* Reports that must not be lost are tried for a while: the server may be
 * restarting.  409, 404 and 410 mean that it knows better. */
static void
post_surely(struct run *run, const char *action, struct json_object *body)
{
	struct server_reply reply;

	for (int i = 0; i < 30; i++) {
		post(run, action, json_object_get(body), &reply);
		server_reply_fini(&reply);
		if (reply.status >= 200 && reply.status < 500 &&
		    reply.status != 429)
			break;
		poll(NULL, 0, 200 * (i + 1));
	}
	log_info(
	    "job=%s action=%s status=%d", run->job.text, action, reply.status);
	json_object_put(body);
}

static void
report_failure(
    struct run *run, const char *class, const char *message, bool retry)
{
	struct json_object *body = json_object_new_object();

	json_object_object_add(body, "class", json_object_new_string(class));
	json_object_object_add(
	    body, "message", json_object_new_string(message));
	json_object_object_add(body, "retry", json_object_new_boolean(retry));
	post_surely(run, "fail", body);
}

static void
report_progress(struct run *run)
{
	struct json_object *body, *value;
	struct server_reply reply;

	if (clock_mono_ms() - run->last_report_ms < 500)
		return;
	run->last_report_ms = clock_mono_ms();
	body = json_object_new_object();
	json_object_object_add(
	    body, "percent", json_object_new_int(run->percent));
	post(run, "progress", body, &reply);
	if (reply.status == 410 || reply.status == 404 ||
	    (json_object_object_get_ex(reply.json, "cancel", &value) &&
		json_object_get_boolean(value)))
		run->cancelled = true;
	server_reply_fini(&reply);
}

static void
on_line(struct run *run, const char *line)
{
	int64_t percent;

	if (str_starts(line, "progress ") &&
	    str_to_i64(line + 9, 0, 100, &percent)) {
		if (percent > run->percent)
			run->percent = (int)percent;
		report_progress(run);
	} else if (str_starts(line, "refused ") ||
	    str_starts(line, "bad_input ")) {
		size_t n = strcspn(line, " ");

		snprintf(
		    run->failure, sizeof run->failure, "%.*s", (int)n, line);
		str_copy(run->message, sizeof run->message, line + n + 1);
	}
}

static bool
read_lines(struct run *run)
{
	char data[4096];
	ssize_t n = read(run->progress_fd, data, sizeof data);

	if (n <= 0)
		return n < 0 && errno == EINTR;
	for (ssize_t i = 0; i < n; i++) {
		if (data[i] != '\n') {
			buf_putc(&run->line, data[i]);
			continue;
		}
		on_line(run, buf_str(&run->line));
		buf_reset(&run->line);
	}
	return true;
}

/* REEL_NEGATIVE_PROMPT for negativePrompt. */
static void
set_variable(const char *key, const char *value)
{
	char name[80] = "REEL_";
	size_t n = 5;

	for (; *key != '\0' && n + 2 < sizeof name; key++) {
		if (isupper((unsigned char)*key))
			name[n++] = '_';
		name[n++] = (char)toupper((unsigned char)*key);
	}
	name[n] = '\0';
	setenv(name, value, 1);
}

static void
exec_command(struct run *run, const char *command, int in, int out)
{
	setpgid(0, 0);
	/* A killed worker's job goes to another one: stop rendering it here. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	json_object_object_foreach(run->payload, key, value)
	{
		if (strcmp(key, "token") != 0 && value != NULL &&
		    !json_object_is_type(value, json_type_object))
			set_variable(key, json_object_get_string(value));
	}
	setenv("REEL_OUTPUT", run->output, 1);
	if (run->input_file != NULL)
		setenv("REEL_START_IMAGE", run->input_file, 1);
	if (chdir(run->folder) != 0)
		_exit(126);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

static bool
start_command(struct run *run, const char *command)
{
	char *params = xasprintf("%s/params.json", run->folder);
	int out[2], in = -1;
	bool ok = json_object_to_file(params, run->payload) == 0 &&
	    (in = open(params, O_RDONLY | O_CLOEXEC)) >= 0 &&
	    pipe2(out, O_CLOEXEC) == 0;

	free(params);
	if (ok) {
		run->pid = fork();
		if (run->pid == 0)
			exec_command(run, command, in, out[1]);
		close(out[1]);
		run->progress_fd = out[0];
		ok = run->pid > 0;
	}
	if (in >= 0)
		close(in);
	return ok;
}

/* Until the command closes its output: progress, heartbeats, cancel. */
static int
watch_command(struct run *run)
{
	struct pollfd pfd = {run->progress_fd, POLLIN, 0};
	int status;

	for (;;) {
		if (poll(&pfd, 1, 1000) > 0 && !read_lines(run))
			break;
		if (server_beat(run->worker, run->job.text))
			run->cancelled = true;
		if (run->cancelled || worker_stopping)
			kill(-run->pid, SIGTERM);
	}
	while (waitpid(run->pid, &status, 0) < 0 && errno == EINTR)
		;
	close(run->progress_fd);
	return status;
}

static void
deliver(struct run *run)
{
	struct json_object *body = json_object_new_object(), *result;
	struct server_reply reply;

	for (int i = 0; i < 10; i++) {
		server_upload(run->worker, run->job.text, run->token,
		    run->output, &reply);
		server_reply_fini(&reply);
		if (reply.status >= 200 && reply.status < 500 &&
		    reply.status != 429)
			break;
		server_beat(run->worker, run->job.text);
		poll(NULL, 0, 500 * (i + 1));
	}
	if (reply.status < 200 || reply.status >= 300) {
		char message[80];

		json_object_put(body);
		snprintf(message, sizeof message, "upload refused: HTTP %d",
		    reply.status);
		report_failure(run, "internal", message, true);
		return;
	}
	result = json_object_new_object();
	json_object_object_add(result, "outputUrl", NULL);
	json_object_object_add(body, "result", result);
	post_surely(run, "complete", body);
}

static void
remove_folder(const char *folder)
{
	static const char *const names[] = {
	    "params.json", "input", "output.mp4", "prompt.txt", "ffmpeg.log"};

	for (size_t i = 0; i < nitems(names); i++) {
		char *path = xasprintf("%s/%s", folder, names[i]);

		unlink(path);
		free(path);
	}
	if (rmdir(folder) != 0)
		log_warn("folder=%s msg=\"left behind: %s\"", log_text(folder),
		    strerror(errno));
}

static bool
fetch_input(struct run *run, struct err *err)
{
	const char *url = text_of(run->payload, "startImageUrl");
	const char *base = text_of(run->payload, "baseUrl");
	char *ours = NULL;
	bool ok;

	if (url == NULL)
		return true;
	/* The server's name for itself need not be how we reach it. */
	if (base != NULL && str_starts(url, base) && url[strlen(base)] == '/')
		ours = xasprintf("%s%s", run->worker->url, url + strlen(base));
	run->input_file = xasprintf("%s/input", run->folder);
	ok = server_download(run->worker, run->job.text,
	    ours != NULL ? ours : url, run->token, run->input_file, err);
	free(ours);
	return ok;
}

static void
conclude(struct run *run, int status)
{
	struct stat st;

	if (run->cancelled) {
		report_failure(run, "cancelled", "cancelled", false);
	} else if (worker_stopping) {
		report_failure(run, "stopping", "the worker is stopping", true);
	} else if (run->failure[0] != '\0') {
		report_failure(run, run->failure, run->message, false);
	} else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		char message[80];

		snprintf(message, sizeof message,
		    "the command ended with %s %d",
		    WIFEXITED(status) ? "code" : "signal",
		    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
		report_failure(run, "internal", message, false);
	} else if (stat(run->output, &st) != 0 || st.st_size == 0) {
		report_failure(
		    run, "internal", "the command made no file", false);
	} else {
		deliver(run);
	}
}

static void
do_job(struct run *run, const char *command)
{
	struct server_reply reply;
	struct err err;
	int status;

	post(run, "start", json_object_new_object(), &reply);
	status = reply.status;
	server_reply_fini(&reply);
	if (status != 200) {
		log_info(
		    "job=%s status=%d msg=\"not ours\"", run->job.text, status);
		return;
	}
	if (mkdir(run->folder, 0700) != 0 && errno != EEXIST) {
		report_failure(run, "internal", "no room to work in", true);
		return;
	}
	if (!fetch_input(run, &err)) {
		report_failure(run, "internal", err.msg, true);
	} else if (!start_command(run, command)) {
		report_failure(
		    run, "internal", "cannot start the command", true);
	} else {
		conclude(run, watch_command(run));
	}
	remove_folder(run->folder);
}

void
run_job(struct worker *worker, struct json_object **payload)
{
	struct run run = {.worker = worker, .payload = *payload};
	const char *type = text_of(*payload, "jobType");
	const char *command =
	    type != NULL ? worker_command(worker, type) : NULL;

	run.token = text_of(*payload, "token");
	/* The id becomes a folder's name: it must be an id. */
	if (!id_parse(text_of(*payload, "jobId"), &run.job) ||
	    run.token == NULL || command == NULL) {
		log_warn("type=%s msg=\"a payload without id, token or a known "
			 "type\"",
		    log_text(type));
	} else {
		run.folder = xasprintf("%s/%s", worker->work_dir, run.job.text);
		run.output = xasprintf("%s/output.mp4", run.folder);
		buf_init(&run.line, MAX_LINE);
		do_job(&run, command);
		buf_fini(&run.line);
		free(run.output);
		free(run.input_file);
		free(run.folder);
	}
	json_object_put(*payload);
	*payload = NULL;
}
