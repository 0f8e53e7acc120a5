/* crash.c - the named crash points of test builds. */
#include "reeld/crash.h"

#ifdef REELD_CRASH_POINTS
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reeld/log.h"
#include "reeld/mem.h"

struct trap {
	const char *env;
	int signo;
	bool read;
	char name[64];
	int left;
};

static void
trap_pass(struct trap *trap, const char *name)
{
	const char *value, *colon;
	int64_t n;

	if (!trap->read) {
		trap->read = true;
		value = getenv(trap->env);
		if (value == NULL)
			return;
		colon = strchr(value, ':');
		if (colon == NULL || !str_to_i64(colon + 1, 1, 1000000, &n))
			n = 1;
		trap->left = (int)n;
		snprintf(trap->name, sizeof trap->name, "%.*s",
		    colon != NULL ? (int)(colon - value) : (int)strlen(value),
		    value);
	}
	if (trap->left <= 0 || strcmp(trap->name, name) != 0)
		return;
	if (--trap->left > 0)
		return;
	log_warn("point=%s signal=%d msg=\"crash point reached\"", name,
	    trap->signo);
	kill(getpid(), trap->signo);
}

void
crash_point(const char *name)
{
	static struct trap die = {.env = "REELD_CRASH_AT", .signo = SIGKILL};
	static struct trap stop = {.env = "REELD_STOP_AT", .signo = SIGSTOP};

	trap_pass(&die, name);
	trap_pass(&stop, name);
}
#endif

/* ISO C wants something in every translation unit. */
extern int crash_points_known;
int crash_points_known = 1;
