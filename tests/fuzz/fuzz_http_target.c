/* A request's target: decoded path and query, then the router. */
#include "fuzz.h"
#include "http/internal.h"

static void
handler(struct http_call *call)
{
}

static const struct http_route routes[] = {
    {HTTP_GET, "/", handler, 0, NULL, HTTP_BODY_NONE, 0, 0},
    {HTTP_GET, "/api/v1/generations", handler, 0, NULL, HTTP_BODY_NONE, 0, 0},
    {HTTP_POST, "/api/v1/generations", handler, 0, NULL, HTTP_BODY_JSON, 0, 0},
    {HTTP_GET, "/api/v1/generations/{id}", handler, 0, NULL, HTTP_BODY_NONE, 0,
	0},
    {HTTP_GET, "/api/v1/generations/{id}/status", handler, 0, NULL,
	HTTP_BODY_NONE, 0, 0},
    {HTTP_POST, "/hooks/{provider}/{attempt}/{token}", handler, 0, NULL,
	HTTP_BODY_RAW, 0, 0},
    {HTTP_GET, "/files/{key*}", handler, 0, NULL, HTTP_BODY_NONE, 0, 0},
};

static void
check_text(const char *text)
{
	FUZZ_CHECK(utf8_valid(text, strlen(text)));
	for (; *text != '\0'; text++)
		FUZZ_CHECK((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static void
check_url(const struct url *url)
{
	FUZZ_CHECK(
	    url->n_segments <= MAX_SEGMENTS && url->n_query <= MAX_QUERY);
	check_text(url->path);
	for (int i = 0; i < url->n_segments; i++) {
		check_text(url->segment[i]);
		check_text(url->rest[i]);
		/* nothing that a file system could take for a way out */
		FUZZ_CHECK(strchr(url->segment[i], '/') == NULL);
		FUZZ_CHECK(strcmp(url->segment[i], "..") != 0);
		FUZZ_CHECK(strcmp(url->segment[i], ".") != 0);
	}
	for (int i = 0; i < url->n_query; i++) {
		check_text(url->query[i].name);
		check_text(url->query[i].value);
	}
}

void
fuzz_one(struct fuzz_in *in)
{
	static struct router *router;
	char *target = fuzz_text(in), *memory;
	size_t len = strlen(target);
	struct err err = {0};
	struct url url;

	if (router == NULL)
		router = router_new(routes, nitems(routes));
	memory = xmalloc(3 * len + 8);
	/* the guard has seen to the first byte */
	if (len > 0 && target[0] == '/') {
		if (url_parse(target, len, memory, &url, &err)) {
			check_url(&url);
			for (int m = 0; m < HTTP_METHODS; m++) {
				struct route_match match;

				router_find(router, m, &url, &match);
				FUZZ_CHECK(match.index < (int)nitems(routes));
				FUZZ_CHECK(match.n_args <= MAX_ARGS);
				for (int i = 0; i < match.n_args; i++)
					check_text(match.args[i].value);
			}
		} else {
			FUZZ_CHECK(err.code != ERR_OK);
		}
	}
	free(memory);
	free(target);
}
