/*
 * guard.c - which addresses an untrusted URL may lead to.
 *
 * The check runs on the numeric address of each connection just before it is
 * made, so spelling (127.1, 0x7f.1), names that resolve to private addresses,
 * names that change their mind and redirects all end here.
 */
#include "fetch/guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "reeld/fetch.h"
#include "reeld/mem.h"

/* Never reachable from outside, or not a host: RFC 6890 and friends. */
static const struct guard_net v4_special[] = {
    {{0}, 8, false},		 /* this network */
    {{10}, 8, false},		 /* private */
    {{100, 64}, 10, false},	 /* carrier NAT */
    {{127}, 8, false},		 /* loopback */
    {{169, 254}, 16, false},	 /* link-local, cloud metadata */
    {{172, 16}, 12, false},	 /* private */
    {{192, 0, 0}, 24, false},	 /* IETF protocols */
    {{192, 0, 2}, 24, false},	 /* documentation */
    {{192, 88, 99}, 24, false},	 /* 6to4 relays */
    {{192, 168}, 16, false},	 /* private */
    {{198, 18}, 15, false},	 /* benchmarks */
    {{198, 51, 100}, 24, false}, /* documentation */
    {{203, 0, 113}, 24, false},	 /* documentation */
    {{224}, 4, false},		 /* multicast */
    {{240}, 4, false},		 /* reserved, broadcast */
};

/* Inside 2000::/3; what is outside is refused as a whole (::1, fc00::/7,
 * fe80::/10, ff00::/8, 64:ff9b::/96, ::/96, ...). */
static const struct guard_net v6_special[] = {
    {{0x20, 0x01, 0x00}, 23, false},	   /* Teredo, ORCHID, ... */
    {{0x20, 0x01, 0x0d, 0xb8}, 32, false}, /* documentation */
    {{0x20, 0x02}, 16, false},		   /* 6to4 wraps any IPv4 */
    {{0x3f, 0xff, 0x00}, 20, false},	   /* documentation */
};
static const struct guard_net v6_global = {{0x20}, 3, false};
static const uint8_t v6_mapped[12] = {[10] = 0xff, [11] = 0xff};

static bool
net_has(const struct guard_net *net, const uint8_t *addr)
{
	int whole = net->bits / 8, rest = net->bits % 8;
	uint8_t mask = (uint8_t)(0xff00 >> rest);

	if (memcmp(net->addr, addr, (size_t)whole) != 0)
		return false;
	return rest == 0 || ((net->addr[whole] ^ addr[whole]) & mask) == 0;
}

static bool
any_has(const struct guard_net *nets, size_t n, const uint8_t *addr)
{
	for (size_t i = 0; i < n; i++)
		if (net_has(&nets[i], addr))
			return true;
	return false;
}

static bool
denied(const struct guard *guard, bool v6, const uint8_t *addr)
{
	for (int i = 0; guard != NULL && i < guard->n; i++)
		if (guard->nets[i].v6 == v6 && net_has(&guard->nets[i], addr))
			return true;
	return false;
}

static bool
bytes_public(const struct guard *guard, bool v6, const uint8_t *addr)
{
	if (v6 && memcmp(addr, v6_mapped, sizeof v6_mapped) == 0)
		return bytes_public(guard, false, addr + 12);
	if (denied(guard, v6, addr))
		return false;
	if (!v6)
		return !any_has(v4_special, nitems(v4_special), addr);
	return net_has(&v6_global, addr) &&
	    !any_has(v6_special, nitems(v6_special), addr);
}

bool
guard_sockaddr_ok(const struct guard *guard, const struct sockaddr *addr)
{
	const struct sockaddr_in *in = (const void *)addr;
	const struct sockaddr_in6 *in6 = (const void *)addr;

	if (addr->sa_family == AF_INET)
		return bytes_public(
		    guard, false, (const uint8_t *)&in->sin_addr);
	if (addr->sa_family == AF_INET6)
		return bytes_public(guard, true, in6->sin6_addr.s6_addr);
	return false;
}

bool
guard_text_ok(const struct guard *guard, const char *ip)
{
	uint8_t addr[16];
	char plain[INET6_ADDRSTRLEN];

	/* A zone (fe80::1%eth0) says link-local, but be literal about it. */
	if (!str_copy(plain, sizeof plain, ip))
		return false;
	plain[strcspn(plain, "%")] = '\0';
	if (inet_pton(AF_INET, plain, addr) == 1)
		return bytes_public(guard, false, addr);
	if (inet_pton(AF_INET6, plain, addr) == 1)
		return bytes_public(guard, true, addr);
	return false;
}

static bool
parse_net(const char *text, size_t len, struct guard_net *net, struct err *err)
{
	char one[64], *slash;
	int64_t bits = -1;

	if (len >= sizeof one)
		return err_set(err, ERR_INVALID, "address list: too long");
	memcpy(one, text, len);
	one[len] = '\0';
	slash = strchr(one, '/');
	if (slash != NULL)
		*slash++ = '\0';
	memset(net, 0, sizeof *net);
	net->v6 = strchr(one, ':') != NULL;
	if (inet_pton(net->v6 ? AF_INET6 : AF_INET, one, net->addr) != 1)
		return err_set(
		    err, ERR_INVALID, "\"%s\" is not an address", one);
	net->bits = net->v6 ? 128 : 32;
	if (slash != NULL && !str_to_i64(slash, 0, net->bits, &bits))
		return err_set(
		    err, ERR_INVALID, "\"/%s\" is not a prefix length", slash);
	if (slash != NULL)
		net->bits = (int)bits;
	return true;
}

bool
guard_init(struct guard *guard, const char *deny, struct err *err)
{
	memset(guard, 0, sizeof *guard);
	for (const char *p = deny != NULL ? deny : ""; *p != '\0';) {
		size_t skip = strspn(p, ", \t"), len;

		p += skip;
		len = strcspn(p, ", \t");
		if (len == 0)
			break;
		guard->nets = xrealloc(
		    guard->nets, (size_t)(guard->n + 1) * sizeof *guard->nets);
		if (!parse_net(p, len, &guard->nets[guard->n], err)) {
			guard_fini(guard);
			return false;
		}
		guard->n++;
		p += len;
	}
	return true;
}

void
guard_fini(struct guard *guard)
{
	free(guard->nets);
	memset(guard, 0, sizeof *guard);
}

bool
fetch_address_is_public(const char *ip)
{
	return guard_text_ok(NULL, ip);
}

bool
fetch_deny_ok(const char *deny, struct err *err)
{
	struct guard guard;

	if (!guard_init(&guard, deny, err))
		return false;
	guard_fini(&guard);
	return true;
}
