/*
 * cidr.c - trusted proxies and the client's address behind them.  Pure;
 * called by request.c and server.c.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "http/internal.h"

/* An IPv4 address inside IPv6 is treated as the IPv4 one. */
static bool
parse_ip(const char *text, struct cidr *out)
{
	static const uint8_t mapped[12] = {
	    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	memset(out, 0, sizeof *out);
	out->family = AF_INET;
	out->bits = 32;
	if (inet_pton(AF_INET, text, out->addr) == 1)
		return true;
	if (inet_pton(AF_INET6, text, out->addr) != 1)
		return false;
	if (memcmp(out->addr, mapped, sizeof mapped) == 0) {
		memmove(out->addr, out->addr + 12, 4);
		return true;
	}
	out->family = AF_INET6;
	out->bits = 128;
	return true;
}

static bool
parse_cidr(char *text, struct cidr *out)
{
	char *slash = strchr(text, '/');
	int64_t bits;

	if (slash != NULL)
		*slash++ = '\0';
	if (!parse_ip(text, out))
		return false;
	if (slash == NULL)
		return true;
	if (!str_to_i64(slash, 0, out->bits, &bits))
		return false;
	out->bits = bits;
	return true;
}

bool
cidr_parse_list(
    const char *text, struct cidr **list, size_t *count, struct err *err)
{
	*list = NULL;
	*count = 0;
	while (text != NULL && *text != '\0') {
		char item[64];
		size_t len;

		text += strspn(text, ", \t");
		len = strcspn(text, ", \t");
		if (len == 0)
			break;
		*list = xrealloc(*list, (*count + 1) * sizeof **list);
		memcpy(item, text, len < sizeof item ? len : sizeof item - 1);
		item[len < sizeof item ? len : sizeof item - 1] = '\0';
		if (len >= sizeof item ||
		    !parse_cidr(item, &(*list)[(*count)++])) {
			free(*list);
			*list = NULL;
			*count = 0;
			return err_set(err, ERR_BAD_INPUT,
			    "trusted proxies: %.*s is not an address or range",
			    (int)(len < 60 ? len : 60), text);
		}
		text += len;
	}
	return true;
}

static bool
matches(const struct cidr *range, const struct cidr *ip)
{
	int whole = range->bits / 8, rest = range->bits % 8;

	if (range->family != ip->family ||
	    memcmp(range->addr, ip->addr, whole) != 0)
		return false;
	return rest == 0 ||
	    (range->addr[whole] ^ ip->addr[whole]) >> (8 - rest) == 0;
}

bool
cidr_match(const struct cidr *list, size_t count, const char *text)
{
	struct cidr ip;

	if (count == 0 || !parse_ip(text, &ip))
		return false;
	for (size_t i = 0; i < count; i++) {
		if (matches(&list[i], &ip))
			return true;
	}
	return false;
}

/* Walks one header from its right end.  True: out is the client. */
static bool
walk_back(const char *header, const struct cidr *list, size_t count, char *out,
    size_t size)
{
	const char *end = header + strlen(header);

	while (end > header) {
		const char *start = end;
		char item[64], plain[48];
		size_t len;
		struct cidr ip;

		while (start > header && start[-1] != ',')
			start--;
		len = end - start;
		while (len > 0 && (*start == ' ' || *start == '\t'))
			start++, len--;
		while (len > 0 &&
		    (start[len - 1] == ' ' || start[len - 1] == '\t'))
			len--;
		if (len == 0 || len >= sizeof item)
			return true; /* unreadable: what we had is the best */
		memcpy(item, start, len);
		item[len] = '\0';
		if (!parse_ip(item, &ip))
			return true;
		inet_ntop(ip.family, ip.addr, plain, sizeof plain);
		str_copy(out, size, plain);
		if (!cidr_match(list, count, plain))
			return true;
		while (end > header && end[-1] != ',')
			end--;
		if (end > header)
			end--;
	}
	return false;
}

void
client_ip(const char *peer, const char *const *forwarded, size_t n,
    const struct cidr *list, size_t count, char *out, size_t size)
{
	str_copy(out, size, peer);
	if (!cidr_match(list, count, peer))
		return;
	while (n-- > 0) {
		if (walk_back(forwarded[n], list, count, out, size))
			return;
	}
}
