/* Header values: cookies, entity tags, file names, ids, forwarded-for. */
#include "fuzz.h"
#include "http/internal.h"

static void
cookies(const char *text)
{
	char exact[64], small[4];

	if (cookie_find(text, "__Host-reeld", exact, sizeof exact))
		FUZZ_CHECK(strlen(exact) < sizeof exact);
	if (cookie_find(text, "a", small, sizeof small))
		FUZZ_CHECK(strlen(small) < sizeof small);
}

static void
names(const char *text)
{
	char shown[128], header[512];

	display_name(text, shown, sizeof shown);
	FUZZ_CHECK(strlen(shown) < sizeof shown);
	FUZZ_CHECK(utf8_valid(shown, strlen(shown)));
	FUZZ_CHECK(strpbrk(shown, "/\\\r\n") == NULL);
	disposition(true, shown, header, sizeof header);
	FUZZ_CHECK(strlen(header) < sizeof header);
	for (const char *at = header; *at != '\0'; at++)
		FUZZ_CHECK((unsigned char)*at >= 0x20 && *at > 0);
}

static void
tags(const char *text)
{
	bool any = etag_matches(text, "v7");

	/* strong equality is the narrower of the two */
	FUZZ_CHECK(!etag_is(text, "v7") || any);
}

static void
proxies(const char *list, const char *forwarded)
{
	struct cidr *nets = NULL;
	size_t count = 0;
	struct err err = {0};
	char ip[48] = "?";

	if (!cidr_parse_list(list, &nets, &count, &err)) {
		FUZZ_CHECK(err.code != ERR_OK);
		return;
	}
	client_ip("10.0.0.1", &forwarded, 1, nets, count, ip, sizeof ip);
	FUZZ_CHECK(ip[0] != '\0' && strlen(ip) < sizeof ip);
	free(nets);
}

void
fuzz_one(struct fuzz_in *in)
{
	char *first = fuzz_line(in), *rest = fuzz_text(in);

	cookies(first);
	names(first);
	tags(first);
	(void)request_id_valid(first);
	(void)traceparent_valid(first);
	proxies("10.0.0.0/8, ::1", first);
	proxies(first, rest);
	free(first);
	free(rest);
}
