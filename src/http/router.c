/*
 * router.c - the route table compiled into a tree of path segments.
 * Called by call.c; owned by the server.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "http/internal.h"

struct node {
	char *text; /* fixed segment */
	struct node *children, *next;
	struct node *param;			     /* "{name}" */
	int route[HTTP_METHODS], tail[HTTP_METHODS]; /* index + 1 */
};

struct router {
	const struct http_route *routes;
	struct node root;
};

static struct node *
child(struct node *node, const char *text, size_t len)
{
	struct node **at = &node->children;

	if (text[0] == '{') {
		if (node->param == NULL)
			node->param = xcalloc(1, sizeof *node);
		return node->param;
	}
	for (; *at != NULL; at = &(*at)->next) {
		if (strlen((*at)->text) == len &&
		    memcmp((*at)->text, text, len) == 0)
			return *at;
	}
	*at = xcalloc(1, sizeof *node);
	(*at)->text = xstrndup(text, len);
	return *at;
}

static void
add(struct router *router, int index)
{
	const struct http_route *route = &router->routes[index];
	struct node *node = &router->root;
	const char *at = route->pattern;
	int *slot, n_args = 0;
	bool tail = false;

	assert(at[0] == '/' && route->handler != NULL);
	assert(route->method != HTTP_HEAD && route->method != HTTP_OPTIONS);
	while (*at == '/') {
		size_t len = strcspn(++at, "/");

		n_args += at[0] == '{';
		tail = len > 3 && at[0] == '{' && at[len - 2] == '*';
		if (!tail)
			node = child(node, at, len);
		at += len;
	}
	assert(*at == '\0' && n_args <= MAX_ARGS);
	slot = tail ? &node->tail[route->method] : &node->route[route->method];
	assert(*slot == 0); /* two routes of the same pattern */
	*slot = index + 1;
}

struct router *
router_new(const struct http_route *routes, size_t count)
{
	struct router *router = xcalloc(1, sizeof *router);

	router->routes = routes;
	for (size_t i = 0; i < count; i++)
		add(router, i);
	return router;
}

static void
node_fini(struct node *node)
{
	struct node *next;

	for (struct node *c = node->children; c != NULL; c = next) {
		next = c->next;
		node_fini(c);
		free(c->text);
		free(c);
	}
	if (node->param != NULL)
		node_fini(node->param);
	free(node->param);
}

void
router_free(struct router *router)
{
	if (router == NULL)
		return;
	node_fini(&router->root);
	free(router);
}

static int
pick(const int *table, enum http_method method, unsigned *allow)
{
	for (int i = 0; i < HTTP_METHODS; i++) {
		if (table[i] != 0)
			*allow |= 1u << i;
	}
	if (table[method] == 0 && method == HTTP_HEAD)
		method = HTTP_GET;
	return table[method];
}

static int
find(const struct node *node, const struct url *url, int i,
    enum http_method method, unsigned *allow)
{
	int found;

	if (i == url->n_segments)
		return pick(node->route, method, allow);
	for (const struct node *c = node->children; c != NULL; c = c->next) {
		if (c->text[0] != url->segment[i][0] ||
		    strcmp(c->text, url->segment[i]) != 0)
			continue;
		if ((found = find(c, url, i + 1, method, allow)) != 0)
			return found;
		break;
	}
	if (node->param != NULL && url->segment[i][0] != '\0' &&
	    (found = find(node->param, url, i + 1, method, allow)) != 0)
		return found;
	return pick(node->tail, method, allow);
}

/* Names the parameters of the route that was found. */
static void
bind_args(const struct http_route *route, const struct url *url,
    struct route_match *out)
{
	const char *at = route->pattern;

	for (int i = 0; *at == '/'; i++) {
		size_t len = strcspn(++at, "/");

		if (at[0] == '{') {
			struct http_pair *arg = &out->args[out->n_args++];

			arg->name = at + 1;
			arg->value =
			    at[len - 2] == '*' ? url->rest[i] : url->segment[i];
		}
		at += len;
	}
}

void
router_find(const struct router *router, enum http_method method,
    const struct url *url, struct route_match *out)
{
	int found;

	memset(out, 0, sizeof *out);
	found = find(&router->root, url, 0, method, &out->allow);
	out->index = found - 1;
	if (found != 0)
		bind_args(&router->routes[out->index], url, out);
}
