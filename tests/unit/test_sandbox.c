/*
 * test_sandbox.c - what a helper can no longer do: each row forks, enters the
 * same sandbox_enter() as reel-media, and tries.
 */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "media/helper/helper.h"
#include "reeld/mem.h"

static int file_fd; /* open before the door closes */
/* Threads are counted by a user namespace of our own; without one all of the
 * same user share the limit. */
static bool own_users;

static int
try_compute(void)
{
	char *p = malloc(1 << 20);

	memset(p, 1, 1 << 20);
	free(p);
	sandbox_job_limits(10, 1 << 20);
	return 0;
}

static int
try_write_what_was_open(void)
{
	char c = 0;

	return pwrite(file_fd, "x", 1, 0) != 1 ||
	    pread(file_fd, &c, 1, 0) != 1 || c != 'x';
}

static int
try_file_too_large(void)
{
	sandbox_job_limits(10, 4096);
	return pwrite(file_fd, "x", 1, 8192) >= 0; /* fails, no signal */
}

static int
try_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) >= 0;
}

static int
try_exec(void)
{
	execl("/bin/true", "true", NULL);
	return 0;
}

static int
try_fork(void)
{
	return fork() < 0;
}

/* Without CLONE_THREAD: a process of its own that shares our memory. */
static int
try_shared_process(void)
{
	return (int)syscall(
	    SYS_clone, CLONE_VM | CLONE_FILES | CLONE_FS | SIGCHLD, 0, 0, 0, 0);
}

/* A thread in a user namespace of its own would have powers again. */
static int
try_thread_elsewhere(void)
{
	return (int)syscall(SYS_clone,
	    CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
		CLONE_NEWUSER,
	    0, 0, 0, 0);
}

static void *
on_thread(void *arg)
{
	pthread_barrier_wait(arg);
	return NULL;
}

/* Those of a decoder start, and soon there is an end. */
static int
try_threads(void)
{
	pthread_t threads[64];
	pthread_barrier_t *barrier = malloc(sizeof *barrier);
	int n = 0;

	pthread_barrier_init(barrier, NULL, 64);
	while (n < 63 &&
	    pthread_create(&threads[n], NULL, on_thread, barrier) == 0)
		n++;
	return (own_users && n < SANDBOX_THREADS) || n > 2 + SANDBOX_THREADS;
}

static int
try_ptrace(void)
{
	return (int)syscall(SYS_ptrace, 0, 0, 0, 0);
}

static int
try_kill(void)
{
	return kill(getppid(), 0);
}

static int
try_executable_memory(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED;
}

static int
try_make_executable(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static int
try_unlink(void)
{
	return unlink("/tmp/reeld-no-such-file");
}

static int
try_message_elsewhere(void)
{
	struct msghdr msg = {0};

	return sendmsg(PROTO_FD + 1, &msg, 0) < 0;
}

static int
try_limits_of_others(void)
{
	return (int)syscall(SYS_prlimit64, 1, RLIMIT_CPU, NULL, NULL);
}

static int
try_open(void)
{
	return open("/etc/passwd", O_RDONLY) >= 0;
}

static int
try_undo(void)
{
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

/* Wait status of a child that enters and tries. */
static int
status_of(int (*attempt)(void))
{
	int status = 0, flags;
	pid_t pid = fork();

	if (pid == 0) {
		if (!sandbox_enter(&flags, NULL))
			_exit(99);
		_exit(attempt());
	}
	CHECK(pid > 0);
	CHECK_INT(waitpid(pid, &status, 0), ==, pid);
	return status;
}

TEST(work_goes_on_inside)
{
	static int (*const fine[])(void) = {try_compute,
	    try_write_what_was_open, try_file_too_large, try_open, try_threads};

	for (size_t i = 0; i < nitems(fine); i++) {
		int status = status_of(fine[i]);

		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			fail_msg("attempt %zu: status %#x", i, status);
	}
}

TEST(the_forbidden_kills)
{
	static const struct {
		const char *name;
		int (*attempt)(void);
	} rows[] = {
	    {"socket", try_socket},
	    {"exec", try_exec},
	    {"fork", try_fork},
	    {"shared process", try_shared_process},
	    {"thread elsewhere", try_thread_elsewhere},
	    {"ptrace", try_ptrace},
	    {"kill", try_kill},
	    {"mmap exec", try_executable_memory},
	    {"mprotect exec", try_make_executable},
	    {"unlink", try_unlink},
	    {"sendmsg elsewhere", try_message_elsewhere},
	    {"prlimit of init", try_limits_of_others},
	    {"prctl", try_undo},
	};

	for (size_t i = 0; i < nitems(rows); i++) {
		int status = status_of(rows[i].attempt);

		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("%s: status %#x", rows[i].name, status);
	}
}

#ifndef __SANITIZE_ADDRESS__
static int
try_memory(void)
{
	return malloc((size_t)2 << 30) != NULL;
}

TEST(memory_has_an_end)
{
	CHECK_INT(status_of(try_memory), ==, 0);
}
#endif

static bool
can_have_users(void)
{
	int status = 1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(unshare(CLONE_NEWUSER) != 0);
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(work_goes_on_inside),
	    cmocka_unit_test(the_forbidden_kills),
#ifndef __SANITIZE_ADDRESS__
	    cmocka_unit_test(memory_has_an_end),
#endif
	};

	own_users = can_have_users();
	file_fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	if (file_fd < 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
