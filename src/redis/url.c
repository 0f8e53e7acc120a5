/*
 * url.c - where Redis is: redis://[user:pass@]host[:port][/db],
 * unix:///path, redis+unix:///path[?db=n].
 */
#include <stdlib.h>
#include <string.h>

#include "redis/internal.h"
#include "reeld/mem.h"

/* %XX in user and password; false for a broken or NUL escape. */
static bool
unescape(char *text)
{
	char *out = text;

	for (; *text != '\0'; text++) {
		char hex[3], byte;

		if (*text != '%') {
			*out++ = *text;
			continue;
		}
		if (text[1] == '\0' || text[2] == '\0')
			return false;
		memcpy(hex, text + 1, 2);
		hex[2] = '\0';
		if (!hex_decode(&byte, 1, hex) || byte == '\0')
			return false;
		*out++ = byte;
		text += 2;
	}
	*out = '\0';
	return true;
}

static bool
parse_int(const char *text, int64_t max, int *out)
{
	int64_t value;

	if (!str_to_i64(text, 0, max, &value))
		return false;
	*out = (int)value;
	return true;
}

static bool
parse_login(struct redis_url *out, char *login)
{
	char *colon = strchr(login, ':');

	if (colon == NULL)
		return false;
	*colon = '\0';
	out->user = login[0] == '\0' ? NULL : xstrdup(login);
	out->password = xstrdup(colon + 1);
	return (out->user == NULL || unescape(out->user)) &&
	    unescape(out->password);
}

static bool
parse_tcp(struct redis_url *out, char *rest)
{
	char *at = strrchr(rest, '@'), *slash, *host, *port, *end;

	if (at != NULL) {
		*at = '\0';
		if (!parse_login(out, rest))
			return false;
		rest = at + 1;
	}
	slash = strchr(rest, '/');
	if (slash != NULL) {
		*slash = '\0';
		if (slash[1] != '\0' && !parse_int(slash + 1, 65535, &out->db))
			return false;
	}
	host = rest;
	port = strrchr(rest, ':');
	if (rest[0] == '[') { /* IPv6 */
		host++;
		end = strchr(host, ']');
		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return false;
		*end = '\0';
		port = end[1] == ':' ? end + 1 : NULL;
	}
	if (port != NULL) {
		*port = '\0';
		if (!parse_int(port + 1, 65535, &out->port) || out->port == 0)
			return false;
	}
	out->host = xstrdup(host);
	return host[0] != '\0';
}

static bool
parse_unix(struct redis_url *out, char *rest)
{
	char *query = strchr(rest, '?');

	if (query != NULL) {
		*query++ = '\0';
		if (!str_starts(query, "db=") ||
		    !parse_int(query + 3, 65535, &out->db))
			return false;
	}
	out->path = xstrdup(rest);
	return rest[0] == '/' && strlen(rest) < 108;
}

bool
redis_url_parse(const char *text, struct redis_url *out, struct err *err)
{
	char *copy, *rest;
	bool ok = false;

	*out = (struct redis_url){.port = 6379};
	copy = xstrdup(text == NULL ? "" : text);
	rest = strstr(copy, "://");
	if (rest != NULL) {
		*rest = '\0';
		rest += 3;
		if (str_eq(copy, "redis"))
			ok = parse_tcp(out, rest);
		else if (str_eq(copy, "unix") || str_eq(copy, "redis+unix"))
			ok = parse_unix(out, rest);
	}
	free(copy);
	if (ok)
		return true;
	redis_url_fini(out);
	/* Not the url itself: it may hold the password. */
	return err_set(err, ERR_BAD_INPUT,
	    "redis.url must be redis://[user:pass@]host[:port][/db] or "
	    "unix:///path");
}

void
redis_url_fini(struct redis_url *url)
{
	free(url->path);
	free(url->host);
	free(url->user);
	free(url->password);
	*url = (struct redis_url){0};
}
