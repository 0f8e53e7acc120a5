/*
 * forgery.c - was this write made by a page of ours?  Browsers say where a
 * request comes from (Sec-Fetch-Site, Origin) and pages can't lie about it.
 */
#include <string.h>
#include <strings.h>

#include "auth/internal.h"
#include "reeld/mem.h"

/* "https://host:port/..." begins with the origin, and nothing more of it. */
static bool
is_origin_of(const char *origin, const char *url)
{
	size_t len = strlen(origin);

	return len > 0 && strncasecmp(url, origin, len) == 0 &&
	    (url[len] == '\0' || url[len] == '/');
}

static bool
is_host_of(const char *origin, const char *host)
{
	const char *rest = NULL;

	if (str_starts(origin, "http://"))
		rest = origin + strlen("http://");
	else if (str_starts(origin, "https://"))
		rest = origin + strlen("https://");
	return rest != NULL && *rest != '\0' && strcasecmp(rest, host) == 0;
}

bool
forgery_ok(const struct forgery_in *in)
{
	if (in->fetch_site != NULL &&
	    strcmp(in->fetch_site, "same-origin") != 0 &&
	    strcmp(in->fetch_site, "none") != 0)
		return false;
	if (in->origin != NULL)
		return is_origin_of(in->origin, in->public_url) ||
		    (in->host != NULL && is_host_of(in->origin, in->host));
	return in->fetch_site != NULL || !in->cookie;
}
