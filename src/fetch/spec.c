/*
 * spec.c - building a request, and refusing one that must not leave: header
 * injection, odd methods, credentials in URLs, origins that are not the
 * provider's.
 */
#include <ctype.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fetch/internal.h"

void
fetch_spec_init(struct fetch_spec *spec, const char *method, const char *url)
{
	memset(spec, 0, sizeof *spec);
	/* A method too long to fit is refused at start. */
	(void)str_copy(spec->method, sizeof spec->method, method);
	spec->url = xstrdup(url);
	spec->body_fd = -1;
}

void
fetch_spec_fini(struct fetch_spec *spec)
{
	for (int i = 0; i < spec->n_headers; i++) {
		struct fetch_header *header = &spec->headers[i];

		if (header->secret && header->value != NULL)
			explicit_bzero(header->value, strlen(header->value));
		free(header->name);
		free(header->value);
	}
	free(spec->headers);
	free(spec->url);
	free(spec->body);
	free(spec->base);
	memset(spec, 0, sizeof *spec);
	spec->body_fd = -1;
}

void
spec_move(struct fetch_spec *dst, struct fetch_spec *src)
{
	*dst = *src;
	memset(src, 0, sizeof *src);
	src->body_fd = -1;
}

static void
add_header(
    struct fetch_spec *spec, const char *name, const char *value, bool secret)
{
	struct fetch_header *header;

	spec->headers = xrealloc(spec->headers,
	    (size_t)(spec->n_headers + 1) * sizeof *spec->headers);
	header = &spec->headers[spec->n_headers++];
	header->name = xstrdup(name);
	header->value = xstrdup(value);
	header->secret = secret;
}

void
fetch_spec_header(struct fetch_spec *spec, const char *name, const char *value)
{
	add_header(spec, name, value,
	    strcasecmp(name, "Authorization") == 0 ||
		strcasecmp(name, "Cookie") == 0);
}

void
fetch_spec_secret(struct fetch_spec *spec, const char *name, const char *value)
{
	add_header(spec, name, value, true);
}

void
fetch_spec_bearer(struct fetch_spec *spec, const char *token)
{
	char *value = xasprintf("Bearer %s", token);

	add_header(spec, "Authorization", value, true);
	explicit_bzero(value, strlen(value));
	free(value);
}

void
fetch_spec_json(struct fetch_spec *spec, struct json_object **body)
{
	size_t len;
	const char *text = json_object_to_json_string_length(*body,
	    JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);

	fetch_spec_body(spec, "application/json", text, len);
	json_object_put(*body);
	*body = NULL;
}

void
fetch_spec_body(
    struct fetch_spec *spec, const char *type, const void *data, size_t len)
{
	free(spec->body);
	spec->body = xmalloc(len + 1);
	if (len > 0)
		memcpy(spec->body, data, len);
	spec->body[len] = '\0';
	spec->body_len = len;
	if (type != NULL)
		add_header(spec, "Content-Type", type, false);
}

void
fetch_spec_provider(
    struct fetch_spec *spec, const char *base, bool allow_private)
{
	free(spec->base);
	spec->base = xstrdup(base);
	spec->trust = FETCH_PROVIDER;
	spec->allow_private = allow_private;
}

static bool
bad(struct err *err, const char *why)
{
	return err_set_name(err, ERR_BAD_INPUT, "bad_request", "%s", why);
}

static bool
forbidden(struct err *err, const char *why)
{
	return err_set_name(err, ERR_FORBIDDEN, "url_forbidden", "%s", why);
}

static bool
is_token(const char *text)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++)
		if (!isalnum((unsigned char)*text) &&
		    strchr(others, *text) == NULL)
			return false;
	return true;
}

static bool
check_header(const struct fetch_header *header, struct err *err)
{
	/* These belong to the message's frame, which is libcurl's and ours. */
	static const char *const ours[] = {"Host", "Content-Length",
	    "Transfer-Encoding", "Connection", "Expect", "Range", "If-Range",
	    "Accept-Encoding", "TE", "Upgrade"};

	if (header->name == NULL || header->value == NULL ||
	    !is_token(header->name))
		return bad(err, "a header's name is not a token");
	for (size_t i = 0; i < nitems(ours); i++)
		if (strcasecmp(header->name, ours[i]) == 0)
			return bad(err, "that header cannot be set");
	if (header->value[0] == '\0')
		return bad(err, "a header's value is empty");
	for (const char *p = header->value; *p != '\0'; p++)
		if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
			return bad(
			    err, "a header's value has control characters");
	return true;
}

bool
spec_check(const struct fetch_spec *spec, struct err *err)
{
	static const char *const methods[] = {
	    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
	size_t i = 0;

	while (i < nitems(methods) && !str_eq(methods[i], spec->method))
		i++;
	if (i == nitems(methods))
		return bad(err, "no such method");
	if (spec->url == NULL || strlen(spec->url) >= URL_MAX)
		return bad(err, "no URL, or one over 2047 bytes");
	if (i < 2 && (spec->body_len > 0 || spec->body_fd >= 0))
		return bad(err, "GET and HEAD have no body");
	if (spec->body_fd >= 0 && (spec->body != NULL || spec->body_bytes < 0))
		return bad(err, "one body, please");
	if (spec->n_headers > HEADERS_MAX)
		return bad(err, "too many headers");
	for (int h = 0; h < spec->n_headers; h++)
		if (!check_header(&spec->headers[h], err))
			return false;
	return true;
}

/* Strict: what libcurl would parse, without user info. */
static CURLU *
parse_url(const char *url)
{
	CURLU *u = curl_url();

	if (u == NULL)
		abort();
	if (curl_url_set(u, CURLUPART_URL, url,
		CURLU_DISALLOW_USER | CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK)
		return u;
	curl_url_cleanup(u);
	return NULL;
}

/*
 * A poll asks four times whose URL this is, and the answer is nearly always
 * one of a few: scheme and authority as they were written, for those that
 * libcurl took before.
 */
enum { KNOWN_MAX = 16, AUTHORITY_MAX = 120 };
static _Thread_local struct {
	char text[AUTHORITY_MAX], origin[ORIGIN_MAX];
} known[KNOWN_MAX];
static _Thread_local unsigned known_next;

/* Length of "scheme://host:port", 0 when there is anything unusual in it or
 * in what follows: then only the parser knows. */
static size_t
plain_authority(const char *url)
{
	static const char host[] = "abcdefghijklmnopqrstuvwxyz"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:";
	size_t scheme = str_starts(url, "https://") ? 8
	    : str_starts(url, "http://")	    ? 7
						    : 0;
	size_t len = scheme > 0 ? scheme + strspn(url + scheme, host) : 0;

	if (len == scheme || len >= AUTHORITY_MAX || url[len] != '/')
		return 0;
	for (const char *p = url + len; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~' || *p == '\\')
			return 0;
	return len;
}

static const char *
known_origin(const char *url, size_t len)
{
	for (int i = 0; len > 0 && i < KNOWN_MAX; i++)
		if (memcmp(known[i].text, url, len) == 0 &&
		    known[i].text[len] == '\0')
			return known[i].origin;
	return NULL;
}

static void
remember(const char *url, size_t len, const char *origin)
{
	unsigned i = known_next++ % KNOWN_MAX;

	memcpy(known[i].text, url, len);
	known[i].text[len] = '\0';
	(void)str_copy(known[i].origin, sizeof known[i].origin, origin);
}

static bool
parse_origin(const char *url, char *out, size_t size)
{
	CURLU *u = parse_url(url);
	char *scheme = NULL, *host = NULL, *port = NULL;
	bool ok = false;
	int n;

	if (u == NULL)
		return false;
	if (curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) ==
		CURLUE_OK) {
		n = snprintf(out, size, "%s://%s:%s", scheme, host, port);
		ok = n > 0 && (size_t)n < size;
		for (char *p = out; ok && *p != '\0'; p++)
			*p = (char)tolower((unsigned char)*p);
	}
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(u);
	return ok;
}

bool
fetch_url_origin(const char *url, char *out, size_t size)
{
	size_t len = plain_authority(url);
	const char *origin = known_origin(url, len);

	if (origin != NULL)
		return str_copy(out, size, origin);
	if (!parse_origin(url, out, size))
		return false;
	if (len > 0)
		remember(url, len, out);
	return true;
}

bool
spec_strict(const struct fetch_call *call)
{
	return call->untrusted &&
	    (call->spec.trust == FETCH_PROVIDER ||
		(call->spec.own_private && !call->own_origin));
}

static bool
check_untrusted(
    const struct fetch_call *call, const char *origin, struct err *err)
{
	const struct fetch_spec *spec = &call->spec;
	bool strict = spec_strict(call);
	bool http_ok = spec->allow_http && !strict;
	bool any_port = spec->allow_private && !strict;
	const char *port = strrchr(origin, ':') + 1;

	if (!str_starts(origin, "https://") &&
	    !(http_ok && str_starts(origin, "http://")))
		return forbidden(err, "only https URLs are fetched");
	if (any_port || str_eq(port, "443") || (http_ok && str_eq(port, "80")))
		return true;
	return forbidden(err, "only the usual port is fetched");
}

static int
origin_port(const char *origin)
{
	int64_t port;

	if (!str_to_i64(strrchr(origin, ':') + 1, 1, 65535, &port))
		return 0;
	return (int)port;
}

bool
spec_check_hop(struct fetch_call *call, const char *url, struct err *err)
{
	const struct fetch_spec *spec = &call->spec;
	char *const origin = call->hop, base[ORIGIN_MAX];

	if (!fetch_url_origin(url, origin, sizeof call->hop))
		return forbidden(err, "that is not a URL to fetch");
	call->port = origin_port(origin);
	if (call->origin[0] == '\0') {
		(void)str_copy(call->origin, sizeof call->origin, origin);
		call->own_origin = true;
	}
	/* Once elsewhere, a way back does not bring the secrets back. */
	call->own_origin = call->own_origin && str_eq(call->origin, origin);
	call->untrusted = spec->trust == FETCH_UNTRUSTED || !call->own_origin;
	if (call->untrusted)
		return check_untrusted(call, origin, err);
	if (spec->base == NULL ||
	    !fetch_url_origin(spec->base, base, sizeof base) ||
	    !str_eq(base, origin))
		return forbidden(err, "that URL is not the provider's");
	if (!str_starts(origin, "https://") && !str_starts(origin, "http://"))
		return forbidden(err, "only http and https are fetched");
	return true;
}
