/* child.c - starting, watching and stopping standalone's processes. */
#define LOG_MODULE "standalone"
#include "main/cmd/child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reeld/clock.h"
#include "reeld/log.h"
#include "reeld/mem.h"

void
child_init(struct child *child, const char *name, const char *const argv[],
    const char *log_path, int stop_signal)
{
	size_t n = 0;

	memset(child, 0, sizeof *child);
	child->name = name;
	while (argv[n] != NULL)
		n++;
	child->argv = xcalloc(n + 1, sizeof *child->argv);
	for (size_t i = 0; i < n; i++)
		child->argv[i] = xstrdup(argv[i]);
	child->log_path = xstrdup(log_path);
	child->stop_signal = stop_signal;
}

void
child_fini(struct child *child)
{
	timer_fini(&child->restart);
	for (size_t i = 0; child->argv != NULL && child->argv[i] != NULL; i++)
		free(child->argv[i]);
	free(child->argv);
	child->argv = NULL;
	free(child->log_path);
	child->log_path = NULL;
}

/* Keeps one capability over the change of user and over exec.  Containers
 * often lack the narrow one and have the wide one. */
static bool
keep_capability(int cap)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {{0}};

	data[0].permitted = data[0].effective = data[0].inheritable = 1u << cap;
	return syscall(SYS_capset, &head, data) == 0 &&
	    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) == 0;
}

static bool
become_user(const struct child *child)
{
	return setgroups(0, NULL) == 0 &&
	    setresgid(child->gid, child->gid, child->gid) == 0 &&
	    setresuid(child->uid, child->uid, child->uid) == 0;
}

static bool
become(const struct child *child)
{
	switch (child->as) {
	case CHILD_SAME:
		return true;
	case CHILD_USER:
		return become_user(child);
	case CHILD_REACHER:
		return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 &&
		    become_user(child) &&
		    (keep_capability(CAP_DAC_READ_SEARCH) ||
			keep_capability(CAP_DAC_OVERRIDE));
	}
	return false;
}

/* In the child: nothing here may return. */
static void
exec_child(const struct child *child, int log_fd, pid_t parent)
{
	sigset_t none;
	int null_fd = open("/dev/null", O_RDONLY);

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* A group of its own: Ctrl-C at the terminal reaches only us, and we
	 * stop the others in order. */
	setpgid(0, 0);
	dup2(null_fd, STDIN_FILENO);
	dup2(log_fd, STDOUT_FILENO);
	dup2(log_fd, STDERR_FILENO);
	if (!become(child)) {
		fprintf(stderr, "cannot change user: %s\n", strerror(errno));
		_exit(126);
	}
	prctl(PR_SET_PDEATHSIG, child->stop_signal);
	if (getppid() != parent)
		_exit(125); /* died while we were getting ready */
	execvp(child->argv[0], child->argv);
	fprintf(stderr, "%s: %s\n", child->argv[0], strerror(errno));
	_exit(127);
}

bool
child_start(struct child *child, struct err *err)
{
	int log_fd = open(
	    child->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	pid_t parent = getpid();

	if (log_fd < 0)
		return err_set(err, ERR_INTERNAL, "%s: %s", child->log_path,
		    strerror(errno));
	child->pid = fork();
	if (child->pid == 0)
		exec_child(child, log_fd, parent);
	close(log_fd);
	if (child->pid < 0) {
		child->pid = 0;
		return err_set(err, ERR_INTERNAL, "%s: fork: %s", child->name,
		    strerror(errno));
	}
	return true;
}

/* The last lines of its log, for the error message. */
static void
log_tail(const struct child *child, char *out, size_t size)
{
	int fd = open(child->log_path, O_RDONLY | O_CLOEXEC);
	off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	ssize_t n = 0;

	if (fd >= 0) {
		n = pread(fd, out, size - 1,
		    end > (off_t)size - 1 ? end - (off_t)size + 1 : 0);
		close(fd);
	}
	out[n > 0 ? n : 0] = '\0';
}

bool
child_run(struct child *child, struct err *err)
{
	char tail[160];
	int status;

	if (!child_start(child, err))
		return false;
	while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
		;
	child->pid = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	log_tail(child, tail, sizeof tail);
	return err_set(err, ERR_INTERNAL, "%s failed (see %s): %s",
	    child->argv[0], child->log_path, tail);
}

static void
on_restart(void *arg)
{
	struct child *child = arg;
	struct err err;

	if (child->stopping || child->pid != 0)
		return;
	log_info("child=%s restarts=%d msg=\"starting again\"", child->name,
	    child->restarts);
	if (!child_start(child, &err)) {
		log_error("child=%s msg=%s", child->name, log_text(err.msg));
		timer_set_ms(&child->restart, 5000);
	}
}

void
child_watch(struct child *child, struct loop *loop)
{
	timer_init(&child->restart, loop, "child restart", on_restart, child);
}

void
child_reap(struct child *child)
{
	int status;

	if (child->pid == 0 || waitpid(child->pid, &status, WNOHANG) <= 0)
		return;
	child->pid = 0;
	if (child->stopping)
		return;
	log_warn("child=%s status=%d signal=%d log=%s msg=\"ended by itself\"",
	    child->name, WIFEXITED(status) ? WEXITSTATUS(status) : -1,
	    WIFSIGNALED(status) ? WTERMSIG(status) : 0, child->log_path);
	timer_set_ms(&child->restart,
	    child->restarts < 5 ? 200LL << child->restarts : 10000);
	child->restarts++;
}

static bool
wait_end(struct child *child, int timeout_ms)
{
	int64_t until = clock_mono_ms() + timeout_ms;

	for (;;) {
		pid_t pid = waitpid(child->pid, NULL, WNOHANG);

		if (pid == child->pid || (pid < 0 && errno == ECHILD))
			break;
		if (clock_mono_ms() >= until)
			return false;
		poll(NULL, 0, 10);
	}
	child->pid = 0;
	return true;
}

void
child_stop(struct child *child, int timeout_ms)
{
	child->stopping = true;
	if (child->pid == 0)
		return;
	kill(child->pid, child->stop_signal);
	if (wait_end(child, timeout_ms))
		return;
	log_warn("child=%s msg=\"did not stop in time, killed\"", child->name);
	kill(child->pid, SIGKILL);
	wait_end(child, 5000);
}

bool
child_user_can(uid_t uid, gid_t gid, const char *path, int mode)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 ||
		    setresuid(uid, uid, uid) != 0)
			_exit(1);
		_exit(access(path, mode) == 0 ? 0 : 1);
	}
	if (pid < 0)
		return false;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
