/*
 * stats.c - counters per route and the access log.  Called by call.c when a
 * request is over.
 */
#define LOG_MODULE "http"
#include "http/internal.h"
#include "reeld/clock.h"
#include "reeld/log.h"

const int http_bucket_ms[HTTP_BUCKETS - 1] = {
    1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000};

void
stats_count(struct http_call *call)
{
	struct http_route_stats *row =
	    &call->server->route_stats[call->route_index];
	int64_t us = (clock_mono_ns() - call->start_ns) / 1000;
	int class = call->status / 100, i = 0;
	enum log_level level;
	char path[300];

	row->by_class[class >= 1 && class <= 5 ? class : 0]++;
	row->total_us += us;
	while (i < HTTP_BUCKETS - 1 && us > (int64_t)http_bucket_ms[i] * 1000)
		i++;
	row->latency[i]++;
	level = class == 5 ? LOG_INFO : LOG_DEBUG;
	if (log_level_get() < level ||
	    (call->route != NULL && call->route->flags & HTTP_NO_LOG &&
		class < 5))
		return;
	shown_path(call->url.path, path, sizeof path);
	log_write(level, LOG_MODULE,
	    "request=%s method=%s path=%s status=%d us=%lld client=%s "
	    "msg=\"request\"",
	    http_request_id(call), http_method_name[call->head.method],
	    log_text(path), call->status, (long long)us, http_client_ip(call));
}

void
http_server_stats(const struct http_server *server, struct http_stats *out)
{
	*out = server->stats;
	out->n_routes = server->opts.n_routes;
	out->routes = server->route_stats;
}
