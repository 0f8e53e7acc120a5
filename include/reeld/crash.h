/*
 * crash.h - named crash points for test builds (--enable-crash-points).
 *
 * REELD_CRASH_AT=name or name:n kills the process with SIGKILL the n-th time
 * (1 by default) that point is passed; REELD_STOP_AT=name[:n] stops it there
 * with SIGSTOP instead, so that a test can act in between.  In other builds
 * a point is nothing at all.
 */
#ifndef REELD_CRASH_H
#define REELD_CRASH_H

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#ifdef REELD_CRASH_POINTS
void crash_point(const char *name);
#else
static inline void
crash_point(const char *name)
{
	(void)name;
}
#endif

#endif
