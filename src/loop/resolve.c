/*
 * resolve.c - one look-up: a numeric address answers at once (later in the
 * turn), anything else goes to libevent's resolver.
 */
#define LOG_MODULE "loop"
#include "reeld/resolve.h"

#include <arpa/inet.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <stdlib.h>
#include <string.h>

#include "loop/internal.h"
#include "reeld/mem.h"

struct resolve {
	struct loop *loop;
	struct evdns_base *dns;
	struct evdns_getaddrinfo_request *request;
	struct loop_defer *finish;
	struct resolve **slot;
	resolve_fn *fn;
	void *arg;
	char ip[INET6_ADDRSTRLEN];
	struct err err;
};

static void
on_finish(void *arg)
{
	struct resolve *self = arg;
	struct resolve copy = *self;

	if (self->dns != NULL)
		evdns_base_free(self->dns, 0);
	free(self);
	if (copy.slot == NULL)
		return;
	*copy.slot = NULL;
	copy.fn(copy.err.code == ERR_OK ? copy.ip : NULL,
	    copy.err.code == ERR_OK ? NULL : &copy.err, copy.arg);
}

static void
on_addresses(int result, struct evutil_addrinfo *list, void *arg)
{
	struct resolve *self = arg;
	const void *at = NULL;

	self->request = NULL;
	if (result == 0 && list != NULL) {
		at = list->ai_family == AF_INET6
		    ? (const void *)&(
			  (struct sockaddr_in6 *)(void *)list->ai_addr)
			  ->sin6_addr
		    : (const void *)&(
			  (struct sockaddr_in *)(void *)list->ai_addr)
			  ->sin_addr;
		if (inet_ntop(list->ai_family, at, self->ip, sizeof self->ip) ==
		    NULL)
			at = NULL;
	}
	if (at == NULL)
		err_set_name(&self->err, ERR_UNAVAILABLE, "dns_failed",
		    "no address: %s", evutil_gai_strerror(result));
	if (list != NULL)
		evutil_freeaddrinfo(list);
	/* The base cannot be freed from inside its own callback. */
	loop_defer(self->loop, "resolved", on_finish, self, &self->finish);
}

void
resolve_start(struct loop *loop, const char *host, struct resolve **slot,
    resolve_fn *fn, void *arg)
{
	struct evutil_addrinfo hints = {
	    .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct resolve *self = xcalloc(1, sizeof *self);
	unsigned char raw[16];

	self->loop = loop;
	self->slot = slot;
	self->fn = fn;
	self->arg = arg;
	*slot = self;
	if (inet_pton(AF_INET, host, raw) == 1 ||
	    inet_pton(AF_INET6, host, raw) == 1) {
		str_copy(self->ip, sizeof self->ip, host);
		loop_defer(loop, "resolved", on_finish, self, &self->finish);
		return;
	}
	self->dns = evdns_base_new(loop->base,
	    EVDNS_BASE_INITIALIZE_NAMESERVERS |
		EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (self->dns == NULL) {
		err_set_name(
		    &self->err, ERR_UNAVAILABLE, "dns_failed", "no resolver");
		loop_defer(loop, "resolved", on_finish, self, &self->finish);
		return;
	}
	self->request = evdns_getaddrinfo(
	    self->dns, host, NULL, &hints, on_addresses, self);
}

void
resolve_cancel(struct resolve **slot)
{
	struct resolve *self = *slot;

	if (self == NULL)
		return;
	*slot = NULL;
	self->slot = NULL;
	if (self->request != NULL) /* its callback comes, and finishes */
		evdns_getaddrinfo_cancel(self->request);
}
