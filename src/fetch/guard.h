/* guard.h - the address check behind every connection to untrusted URLs. */
#ifndef FETCH_GUARD_H
#define FETCH_GUARD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "reeld/err.h"

struct guard_net {
	uint8_t addr[16];
	int bits;
	bool v6; /* only used in lists */
};

/* Networks refused on top of the fixed table. */
struct guard {
	struct guard_net *nets;
	int n;
};

bool
guard_init(struct guard *guard, const char *deny, struct err *err) REELD_MUST;
void guard_fini(struct guard *guard);
/* guard may be NULL: the fixed table only. */
bool guard_sockaddr_ok(const struct guard *guard, const struct sockaddr *addr);
bool guard_text_ok(const struct guard *guard, const char *ip);

#endif
