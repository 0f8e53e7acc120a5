/*
 * sandbox.c - what is left of a helper's powers: compute, read and write the
 * descriptors it was handed, talk to its socket, die.
 *
 * Layers that a machine may lack (namespaces in a container, Landlock in an
 * old kernel) are reported; the system call filter is not optional.  Under
 * AddressSanitizer the address space has no limit (its shadow takes 16 TB).
 */
#include <errno.h>
#include <grp.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "media/helper/helper.h"
#include "reeld/mem.h"

/* libseccomp's own SCMP_A0() and friends name no field, which clang dislikes.
 */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

enum { NOBODY = 65534 };

static const int64_t MAX_FILE = 2LL << 30;

static void
limit(int what, int64_t value)
{
	struct rlimit rl = {value, value};

	setrlimit(what, &rl); /* lowering cannot fail */
}

static void
set_limits(void)
{
#ifndef __SANITIZE_ADDRESS__
	limit(RLIMIT_AS, 1536LL << 20);
#endif
	limit(RLIMIT_FSIZE, MAX_FILE);
	limit(RLIMIT_NOFILE, 16);
	limit(RLIMIT_NPROC, 2 + SANDBOX_THREADS);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_MEMLOCK, 0);
	limit(RLIMIT_MSGQUEUE, 0);
	signal(SIGXFSZ, SIG_IGN); /* a full output is an error, not a death */
}

void
sandbox_job_limits(int cpu_s, int64_t file_bytes)
{
	struct rusage used;
	struct rlimit cpu = {0, RLIM_INFINITY};
	struct rlimit file = {file_bytes, MAX_FILE};

	getrusage(RUSAGE_SELF, &used);
	cpu.rlim_cur = used.ru_utime.tv_sec + used.ru_stime.tv_sec + cpu_s + 1;
	setrlimit(RLIMIT_CPU, &cpu);
	setrlimit(RLIMIT_FSIZE, &file);
}

/* As root: an empty network and another user.  Else: through a user
 * namespace of our own. */
static int
leave_privileges(void)
{
	const int spaces = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
	int flags = 0;

	if (geteuid() == 0) {
		if (unshare(spaces) == 0)
			flags |= SANDBOX_NAMESPACES;
		if (setgroups(0, NULL) == 0 &&
		    setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
		    setresuid(NOBODY, NOBODY, NOBODY) == 0)
			flags |= SANDBOX_USER;
	}
	if (unshare(CLONE_NEWUSER | spaces) == 0)
		flags |= SANDBOX_NAMESPACES;
	return flags;
}

/* No rule is added to the ruleset: nothing can be opened by name any more. */
static bool
close_file_system(void)
{
	struct landlock_ruleset_attr attr = {
	    .handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE |
		LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |
		LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR |
		LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
		LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
		LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
		LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM};
	int fd = syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
	bool ok;

	if (fd < 0)
		return false;
	ok = syscall(SYS_landlock_restrict_self, fd, 0) == 0;
	close(fd);
	return ok;
}

/* Everything that is not named here kills the process. */
static bool
add_rules(scmp_filter_ctx filter)
{
	static const int allowed[] = {SCMP_SYS(read), SCMP_SYS(pread64),
	    SCMP_SYS(write), SCMP_SYS(pwrite64), SCMP_SYS(lseek),
	    SCMP_SYS(close), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(brk),
	    SCMP_SYS(madvise), SCMP_SYS(futex), SCMP_SYS(clock_gettime),
	    SCMP_SYS(gettimeofday), SCMP_SYS(getrandom), SCMP_SYS(getrusage),
	    SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(sched_yield),
	    SCMP_SYS(sched_getaffinity), SCMP_SYS(rt_sigreturn),
	    SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction),
	    SCMP_SYS(sigaltstack), SCMP_SYS(restart_syscall),
	    SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(exit),
	    SCMP_SYS(exit_group)};
	/* Libraries ask for these in passing and live well with a no. */
	static const int denied[] = {SCMP_SYS(open), SCMP_SYS(openat),
	    SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(stat),
	    SCMP_SYS(lstat), SCMP_SYS(fstat), SCMP_SYS(newfstatat),
	    SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(ioctl),
	    SCMP_SYS(fcntl), SCMP_SYS(sysinfo), SCMP_SYS(uname)};
	/* A new thread, and nothing that could be more than one. */
	static const scmp_datum_t thread = CLONE_VM | CLONE_FS | CLONE_FILES |
	    CLONE_SIGHAND | CLONE_THREAD,
				  harmless = CLONE_SYSVSEM | CLONE_SETTLS |
	    CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
	static const int no_exec[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};
	static const int own_socket[] = {SCMP_SYS(recvmsg), SCMP_SYS(sendmsg)};
	int rc = 0;

	for (size_t i = 0; i < nitems(allowed); i++)
		rc |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	for (size_t i = 0; i < nitems(denied); i++)
		rc |= seccomp_rule_add(
		    filter, SCMP_ACT_ERRNO(EACCES), denied[i], 0);
	for (size_t i = 0; i < nitems(no_exec); i++)
		rc |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, no_exec[i], 1,
		    SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	for (size_t i = 0; i < nitems(own_socket); i++)
		rc |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, own_socket[i], 1,
		    SCMP_A0(SCMP_CMP_EQ, PROTO_FD));
	rc |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
	    SCMP_A0(SCMP_CMP_MASKED_EQ, ~harmless, thread));
	/* What clone3 is asked for cannot be seen; clone is taken instead. */
	rc |= seccomp_rule_add(
	    filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	/* Limits of oneself, and the way abort() takes. */
	rc |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1,
	    SCMP_A0(SCMP_CMP_EQ, 0));
	rc |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
	    SCMP_A0(SCMP_CMP_EQ, getpid()));
	return rc == 0;
}

static bool
filter_calls(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	bool ok;

	if (filter == NULL)
		return false;
	ok = add_rules(filter) && seccomp_load(filter) == 0;
	seccomp_release(filter);
	return ok;
}

bool
sandbox_enter(int *flags, struct err *err)
{
	*flags = leave_privileges();
	set_limits();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return err_set(
		    err, ERR_INTERNAL, "no_new_privs: %s", strerror(errno));
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	/* Last of the process settings: a change of user clears it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (close_file_system())
		*flags |= SANDBOX_LANDLOCK;
	if (!filter_calls())
		return err_set(err, ERR_INTERNAL, "no system call filter: %s",
		    strerror(errno));
	return true;
}
