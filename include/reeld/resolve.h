/*
 * resolve.h - host names to addresses without blocking (libevent's resolver:
 * /etc/hosts, then the servers of /etc/resolv.conf).  For the libraries that
 * would call getaddrinfo() on the loop.
 */
#ifndef REELD_RESOLVE_H
#define REELD_RESOLVE_H

#include "reeld/loop.h"

struct resolve;

/* ip: the first address as text, NULL when err is set.  Both die with the
 * callback. */
typedef void resolve_fn(const char *ip, const struct err *err, void *arg);

/* Slot rule: *slot is NULL just before fn and after resolve_cancel(). */
void resolve_start(struct loop *loop, const char *host, struct resolve **slot,
    resolve_fn *fn, void *arg);
void resolve_cancel(struct resolve **slot);

#endif
