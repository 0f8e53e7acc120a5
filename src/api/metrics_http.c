/* metrics_http.c - requests by route, and how long they took. */
#include <inttypes.h>
#include <stdio.h>

#include "api/metrics.h"

static const char *const methods[HTTP_METHODS] = {
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

static uint64_t
requests_of(const struct http_route_stats *stats)
{
	uint64_t n = 0;

	for (size_t i = 0; i < nitems(stats->by_class); i++)
		n += stats->by_class[i];
	return n;
}

/* method="GET",route="/api/v1/generations/{id}" */
static void
route_labels(const struct http_route_stats *stats, char *out, size_t size)
{
	if (stats->route == NULL)
		snprintf(out, size, "method=\"any\",route=\"other\"");
	else
		snprintf(out, size, "method=\"%s\",route=\"%s\"",
		    methods[stats->route->method], stats->route->pattern);
}

static void
add_duration(
    struct buf *out, const struct http_route_stats *stats, const char *labels)
{
	char more[256];
	uint64_t sum = 0;

	for (int b = 0; b < HTTP_BUCKETS; b++) {
		sum += stats->latency[b];
		if (b < HTTP_BUCKETS - 1)
			snprintf(more, sizeof more, "%s,le=\"%g\"", labels,
			    http_bucket_ms[b] / 1000.0);
		else
			snprintf(more, sizeof more, "%s,le=\"+Inf\"", labels);
		metric_int(out, "reeld_http_request_duration_seconds_bucket",
		    more, (int64_t)sum);
	}
	metric_num(out, "reeld_http_request_duration_seconds_sum", labels,
	    (double)stats->total_us / 1e6);
	metric_int(out, "reeld_http_request_duration_seconds_count", labels,
	    (int64_t)sum);
}

void
metrics_http(struct buf *out, const struct app *app)
{
	struct http_stats stats;
	struct auth_stats auth;
	char labels[200], more[256];

	http_server_stats(app->http, &stats);
	metric_head(out, "reeld_http_requests_total", "counter",
	    "Requests by route and class of status.");
	for (size_t i = 0; i <= stats.n_routes; i++) {
		route_labels(&stats.routes[i], labels, sizeof labels);
		for (size_t c = 1; c < 6; c++) {
			if (stats.routes[i].by_class[c] == 0)
				continue;
			snprintf(
			    more, sizeof more, "%s,code=\"%zuxx\"", labels, c);
			metric_int(out, "reeld_http_requests_total", more,
			    (int64_t)stats.routes[i].by_class[c]);
		}
	}
	metric_head(out, "reeld_http_request_duration_seconds", "histogram",
	    "From the request's head to its reply.");
	for (size_t i = 0; i <= stats.n_routes; i++) {
		if (requests_of(&stats.routes[i]) == 0)
			continue;
		route_labels(&stats.routes[i], labels, sizeof labels);
		add_duration(out, &stats.routes[i], labels);
	}
	metric_one(out, "reeld_http_requests_in_flight", "gauge",
	    "Requests without a reply yet.", stats.calls);
	metric_one(out, "reeld_http_connections", "gauge", "Open connections.",
	    stats.connections);
	metric_one(out, "reeld_http_accepted_total", "counter",
	    "Connections accepted.", (double)stats.accepted);
	metric_one(out, "reeld_http_guard_refused_total", "counter",
	    "Requests with bad framing.", (double)stats.guard_refused);
	auth_stats(app->auth, &auth);
	metric_one(out, "reeld_http_limited_total", "counter",
	    "Requests that came too often.", (double)auth.limited);
	metric_one(out, "reeld_http_clients_gone_total", "counter",
	    "Clients that left before their reply.", (double)stats.gone);
	metric_one(out, "reeld_http_body_received_bytes_total", "counter",
	    "Bodies received.", (double)stats.bytes_in);
}
