/* request.c - what the request says: the getters of http.h. */
#include "http/internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

void *
http_app(const struct http_call *call)
{
	return call->server->opts.app;
}

struct http_server *
http_call_server(const struct http_call *call)
{
	return call->server;
}

const struct http_route *
http_route(const struct http_call *call)
{
	return call->route;
}

enum http_method
http_method(const struct http_call *call)
{
	return call->head.method;
}

const char *
http_path(const struct http_call *call)
{
	return call->url.path;
}

const char *
http_target(const struct http_call *call)
{
	return call->target;
}

const char *
http_arg(const struct http_call *call, const char *name)
{
	size_t len = strlen(name);

	for (int i = 0; i < call->n_args; i++) {
		const char *known = call->args[i].name; /* "id}/cancel" */

		if (strncmp(known, name, len) == 0 &&
		    (known[len] == '}' || known[len] == '*'))
			return call->args[i].value;
	}
	return NULL;
}

const char *
http_query(const struct http_call *call, const char *name)
{
	for (int i = 0; i < call->url.n_query; i++) {
		if (strcmp(call->url.query[i].name, name) == 0)
			return call->url.query[i].value;
	}
	return NULL;
}

bool
http_query_at(const struct http_call *call, size_t i, const char **name,
    const char **value)
{
	if (i >= (size_t)call->url.n_query)
		return false;
	*name = call->url.query[i].name;
	*value = call->url.query[i].value;
	return true;
}

bool
http_query_int(const struct http_call *call, const char *name, int64_t min,
    int64_t max, int64_t fallback, int64_t *out, struct err *err)
{
	const char *text = http_query(call, name);
	char pointer[80];

	*out = fallback;
	if (text == NULL || str_to_i64(text, min, max, out))
		return true;
	snprintf(pointer, sizeof pointer, "?%.70s", name);
	return err_set_field(err, ERR_BAD_INPUT, "bad_query", pointer,
	    "%s must be a whole number from %lld to %lld.", name,
	    (long long)min, (long long)max);
}

const char *
http_header(const struct http_call *call, const char *name)
{
	return MHD_lookup_connection_value(call->mhd, MHD_HEADER_KIND, name);
}

const char *
http_content_type(const struct http_call *call)
{
	const char *type = http_header(call, "Content-Type");

	return type != NULL ? type : "";
}

const char *
http_cookie(const struct http_call *call, const char *name)
{
	struct http_call *self = (struct http_call *)call; /* its buffer */
	const char *header = http_header(call, "Cookie");

	return cookie_find(header, name, self->cookie, sizeof self->cookie)
	    ? self->cookie
	    : NULL;
}

struct forwarded {
	const char *list[8];
	size_t n;
};

static enum MHD_Result
on_header(
    void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct forwarded *out = cls;

	if (value == NULL || strcasecmp(name, "X-Forwarded-For") != 0)
		return MHD_YES;
	if (out->n == 8) { /* the last ones count */
		memmove(out->list, out->list + 1, 7 * sizeof *out->list);
		out->n--;
	}
	out->list[out->n++] = value;
	return MHD_YES;
}

static void
peer_text(const struct http_call *call, char *out, size_t size)
{
	const struct sockaddr *at = MHD_get_connection_info(
	    call->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)
					->client_addr;
	const void *addr = NULL;
	const struct in6_addr *v6;

	out[0] = '\0';
	if (at->sa_family == AF_INET)
		addr = &((const struct sockaddr_in *)at)->sin_addr;
	if (addr != NULL) {
		inet_ntop(AF_INET, addr, out, size);
		return;
	}
	v6 = &((const struct sockaddr_in6 *)at)->sin6_addr;
	if (IN6_IS_ADDR_V4MAPPED(v6))
		inet_ntop(AF_INET, v6->s6_addr + 12, out, size);
	else
		inet_ntop(AF_INET6, v6, out, size);
}

const char *
http_client_ip(const struct http_call *call)
{
	struct http_call *self = (struct http_call *)call; /* its buffer */
	const struct http_server *server = call->server;
	struct forwarded forwarded = {.n = 0};
	char peer[48];

	if (self->ip[0] != '\0')
		return self->ip;
	peer_text(call, peer, sizeof peer);
	if (server->n_trusted > 0)
		MHD_get_connection_values(
		    call->mhd, MHD_HEADER_KIND, on_header, &forwarded);
	client_ip(peer, forwarded.list, forwarded.n, server->trusted,
	    server->n_trusted, self->ip, sizeof self->ip);
	return self->ip;
}

bool
http_is_https(const struct http_call *call)
{
	const struct http_server *server = call->server;
	const char *proto = http_header(call, "X-Forwarded-Proto");
	char peer[48];

	if (server->opts.tls_in_front)
		return true;
	if (proto == NULL || strcasecmp(proto, "https") != 0)
		return false;
	peer_text(call, peer, sizeof peer);
	return cidr_match(server->trusted, server->n_trusted, peer);
}

static void
request_id_make(struct http_server *server, char *at)
{
	at = stpcpy(at, server->id_prefix);
	*at++ = '-';
	str_put_u64(at, ++server->id_next, 16);
}

const char *
http_request_id(const struct http_call *call)
{
	struct http_call *self = (struct http_call *)call; /* its buffer */
	const char *given;

	if (self->request_id[0] != '\0')
		return self->request_id;
	given = http_header(call, "X-Request-Id");
	if (given != NULL && request_id_valid(given))
		str_copy(self->request_id, sizeof self->request_id, given);
	else
		request_id_make(call->server, self->request_id);
	return self->request_id;
}

const char *
http_traceparent(const struct http_call *call)
{
	const char *text = http_header(call, "traceparent");

	return text != NULL && traceparent_valid(text) ? text : NULL;
}

void
http_identity_set(struct http_call *call, void *identity)
{
	void (*identity_free)(void *) = call->server->opts.on_identity_free;

	if (call->identity != NULL && identity_free != NULL)
		identity_free(call->identity);
	call->identity = identity;
}

void *
http_identity(const struct http_call *call)
{
	return call->identity;
}
