/*
 * client.c - one helper process, from its media thread's side: start it, ask
 * it, distrust what it answers, kill it.
 *
 * The child gets the socket, stderr and a bare environment (no secrets);
 * everything else here is close-on-exec.
 */
#define LOG_MODULE "media"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "media/internal.h"
#include "reeld/clock.h"
#include "reeld/log.h"
#include "reeld/mem.h"

enum {
	HELLO_MS = 20 * 1000, /* libav has many libraries to load */
	SLICE_MS = 100,	      /* how soon a stop is noticed */
	MAX_JOBS = 256	      /* then a new process: leaks stay small */
};

struct helper {
	pid_t pid;
	int fd;
	int jobs;
	bool spoiled; /* saw a broken file: not trusted with the next */
	uint32_t seq;
};

/* Once per program: what the sandbox could not get here. */
static atomic_bool told;

static void
tell_sandbox(int flags)
{
	int missing = (SANDBOX_NAMESPACES | SANDBOX_LANDLOCK) & ~flags;

	if (missing == 0 || atomic_exchange(&told, true))
		return;
	log_warn("namespaces=%s landlock=%s msg=\"helper runs without a layer "
		 "of its sandbox; seccomp is on\"",
	    flags & SANDBOX_NAMESPACES ? "yes" : "no",
	    flags & SANDBOX_LANDLOCK ? "yes" : "no");
}

/*
 * The loader's and the sanitizers' settings, nothing of ours.  Frames of 12 MB
 * come in large pages, which saves thousands of page faults each; the threads
 * of a decoder share one arena, since address space is limited.
 */
static void
bare_environment(char **out, size_t n)
{
	static const char *const names[] = {
	    "LD_LIBRARY_PATH=", "ASAN_OPTIONS=", "UBSAN_OPTIONS="};
	size_t count = 0;

	for (char **e = environ; *e != NULL; e++) {
		for (size_t i = 0; i < nitems(names); i++) {
			if (str_starts(*e, names[i]) && count + 2 < n)
				out[count++] = *e;
		}
	}
	out[count++] =
	    "GLIBC_TUNABLES=glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1";
	out[count] = NULL;
}

static int
spawn(const char *path, int socket, pid_t *pid)
{
	char *argv[] = {"reel-media", NULL}, *env[8];
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int rc;

	bare_environment(env, nitems(env));
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
	posix_spawn_file_actions_adddup2(&actions, 0, 1);
	posix_spawn_file_actions_adddup2(&actions, socket, PROTO_FD);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	/* Its own group: a terminal's ^C is for the server to handle. */
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setflags(&attr,
	    POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
		POSIX_SPAWN_SETPGROUP);
	rc = posix_spawn(pid, path, &actions, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return rc;
}

/*
 * Waits up to ms for one reply: 1 got it, 0 nothing yet, -1 gone or rubbish.
 * Descriptors that a helper might send are dropped by the kernel.
 */
static int
receive(struct helper *helper, int ms, struct proto_reply *reply)
{
	struct pollfd pfd = {.fd = helper->fd, .events = POLLIN};
	ssize_t n;

	if (poll(&pfd, 1, ms) <= 0)
		return 0;
	n = recv(helper->fd, reply, sizeof *reply, MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n != sizeof *reply || reply->magic != PROTO_MAGIC ||
	    reply->kind < 0 || reply->kind >= KIND_COUNT)
		return -1;
	reply->msg[sizeof reply->msg - 1] = '\0';
	return 1;
}

static bool
hello(struct helper *helper, struct media_pool *pool, struct err *err)
{
	int64_t until = clock_mono_ms() + HELLO_MS;
	struct proto_reply reply;
	int got = 0;

	while (got == 0 && clock_mono_ms() < until && !pool->stopping)
		got = receive(helper, SLICE_MS, &reply);
	if (got != 1 || reply.kind != KIND_HELLO)
		return err_set(
		    err, ERR_UNAVAILABLE, "The media helper did not start.");
	tell_sandbox(reply.flags);
	return true;
}

struct helper *
helper_open(struct media_pool *pool, struct err *err)
{
	struct helper *helper;
	int fds[2], rc;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0) {
		err_set(
		    err, ERR_UNAVAILABLE, "socketpair: %s", strerror(errno));
		return NULL;
	}
	rc = spawn(pool->helper, fds[1], &pid);
	close(fds[1]);
	if (rc != 0) {
		log_error("helper=%s msg=\"cannot start: %s\"",
		    log_text(pool->helper), strerror(rc));
		err_set(
		    err, ERR_UNAVAILABLE, "The media helper did not start.");
		close(fds[0]);
		return NULL;
	}
	helper = xcalloc(1, sizeof *helper);
	helper->pid = pid;
	helper->fd = fds[0];
	if (!hello(helper, pool, err)) {
		log_error("pid=%d msg=\"helper did not say hello\"", (int)pid);
		helper_close(&helper);
		return NULL;
	}
	log_debug("pid=%d msg=\"helper started\"", (int)pid);
	return helper;
}

static int
reap(struct helper *helper)
{
	int status = 0;

	while (waitpid(helper->pid, &status, 0) < 0 && errno == EINTR)
		;
	helper->pid = -1;
	return status;
}

void
helper_close(struct helper **slot)
{
	struct helper *helper = *slot;

	if (helper == NULL)
		return;
	*slot = NULL;
	close(helper->fd);
	if (helper->pid > 0) {
		kill(helper->pid, SIGKILL);
		reap(helper);
	}
	free(helper);
}

bool
helper_usable(const struct helper *helper)
{
	struct pollfd pfd = {.fd = helper->fd, .events = POLLIN};

	/* An idle helper has nothing to say: anything readable is its end. */
	return helper->jobs < MAX_JOBS && !helper->spoiled &&
	    poll(&pfd, 1, 0) == 0;
}

static bool
send_request(struct helper *helper, struct media_job *job)
{
	int fds[2] = {job->in_fd, job->out_fd}, n = job->out_fd < 0 ? 1 : 2;
	union {
		char bytes[CMSG_SPACE(sizeof fds)];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {&job->request, sizeof job->request};
	struct msghdr msg = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = CMSG_SPACE(n * sizeof *fds)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&msg);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(n * sizeof *fds);
	memcpy(CMSG_DATA(header), fds, n * sizeof *fds);
	job->request.seq = ++helper->seq;
	return sendmsg(helper->fd, &msg, MSG_NOSIGNAL) ==
	    (ssize_t)sizeof job->request;
}

static enum helper_end
lost(struct helper *helper)
{
	int status;

	kill(helper->pid, SIGTERM); /* it may have answered rubbish */
	status = reap(helper);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return CALL_KILLED;
	log_warn("signal=%d exit=%d msg=\"helper died on a file\"",
	    WIFSIGNALED(status) ? WTERMSIG(status) : 0,
	    WIFEXITED(status) ? WEXITSTATUS(status) : 0);
	return CALL_LOST;
}

/* Text of a helper is for people: printable ASCII only. */
static void
take_error(
    const struct proto_reply *reply, struct helper *helper, struct err *err)
{
	char msg[PROTO_MSG_MAX];
	size_t n = 0;

	for (const char *p = reply->msg; *p != '\0'; p++)
		msg[n++] = *p >= ' ' && *p <= '~' ? *p : '?';
	msg[n] = '\0';
	helper->spoiled = true;
	switch (reply->code) {
	case ERR_MEDIA_TYPE:
		err_set(err, ERR_MEDIA_TYPE, "%s", msg);
		return;
	case ERR_TOO_LARGE:
		err_set(err, ERR_TOO_LARGE, "%s", msg);
		return;
	case ERR_STORAGE:
		err_set(err, ERR_STORAGE, "%s", msg);
		return;
	case ERR_TIMEOUT:
		err_set_name(err, ERR_TIMEOUT, "media_timeout", "%s", msg);
		return;
	default:
		err_set_name(err, ERR_INVALID, "media_invalid", "%s", msg);
	}
}

enum helper_end
helper_call(struct helper *helper, struct media_job *job, helper_stop_fn *stop,
    void *stop_arg, struct err *err)
{
	int64_t start = clock_mono_ms(), heard = start;
	struct proto_reply reply;

	helper->jobs++;
	if (!send_request(helper, job))
		return CALL_UNSENT;
	for (;;) {
		int64_t now = clock_mono_ms();
		int got;

		if (now - heard > job->silence_ms ||
		    now - start > job->total_ms)
			return CALL_TIMEOUT;
		if (stop(stop_arg))
			return CALL_STOPPED;
		got = receive(helper, SLICE_MS, &reply);
		if (got == 0)
			continue;
		if (got < 0 || reply.seq != job->request.seq)
			return lost(helper);
		if (reply.kind == KIND_PROGRESS) {
			heard = now;
			continue;
		}
		if (reply.kind != KIND_DONE)
			return lost(helper);
		if (reply.code == ERR_OK)
			job->result = reply.result;
		else
			take_error(&reply, helper, err);
		return CALL_DONE;
	}
}
