/*
 * metrics.c - GET /metrics: what the modules count, as Prometheus text.
 * Labels are few and bounded: never a user, a job, a prompt or a raw path.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "api/metrics.h"
#include "reeld/clock.h"
#include "reeld/fetch.h"
#include "reeld/jobs.h"
#include "reeld/live.h"
#include "reeld/redis.h"
#include "reeld/storage.h"
#include "reeld/ws.h"

enum { MAX_BYTES = 4 * 1024 * 1024 };

void
metric_head(
    struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void
metric_int(struct buf *out, const char *name, const char *labels, int64_t value)
{
	buf_printf(out,
	    labels[0] != '\0' ? "%s{%s} %" PRId64 "\n" : "%s%s %" PRId64 "\n",
	    name, labels, value);
}

void
metric_num(struct buf *out, const char *name, const char *labels, double value)
{
	buf_printf(out, labels[0] != '\0' ? "%s{%s} %.9g\n" : "%s%s %.9g\n",
	    name, labels, value);
}

void
metric_one(struct buf *out, const char *name, const char *type,
    const char *help, double value)
{
	metric_head(out, name, type, help);
	metric_num(out, name, "", value);
}

static void
counter(struct buf *out, const char *name, const char *help, uint64_t value)
{
	metric_one(out, name, "counter", help, (double)value);
}

static void
gauge(struct buf *out, const char *name, const char *help, double value)
{
	metric_one(out, name, "gauge", help, value);
}

static void
metrics_live(struct buf *out, const struct app *app)
{
	struct live_stats live;
	struct ws_stats ws;

	live_stats(app->live, &live);
	ws_stats(app->ws, &ws);
	gauge(out, "reeld_ws_connections", "Open WebSockets.", ws.sessions);
	counter(out, "reeld_ws_messages_sent_total", "Messages to WebSockets.",
	    ws.frames_out);
	counter(out, "reeld_ws_sent_bytes_total", "Bytes to WebSockets.",
	    ws.bytes_out);
	metric_head(out, "reeld_ws_dropped_total", "counter",
	    "What slow or silent readers lost.");
	metric_int(out, "reeld_ws_dropped_total", "reason=\"conflated\"",
	    (int64_t)ws.conflated);
	metric_int(out, "reeld_ws_dropped_total", "reason=\"slow\"",
	    (int64_t)ws.closed_slow);
	metric_int(out, "reeld_ws_dropped_total", "reason=\"silent\"",
	    (int64_t)ws.closed_silent);
	gauge(out, "reeld_sse_connections", "Open event streams.", live.sse);
	metric_head(out, "reeld_live_refused_total", "counter",
	    "WebSockets and event streams over the limit.");
	metric_int(out, "reeld_live_refused_total", "by=\"user\"",
	    (int64_t)live.refused_user);
	metric_int(out, "reeld_live_refused_total", "by=\"address\"",
	    (int64_t)live.refused_address);
	gauge(
	    out, "reeld_long_polls", "Status requests that wait.", live.waits);
	counter(out, "reeld_events_published_total", "Events of this instance.",
	    live.published);
	counter(out, "reeld_events_received_total",
	    "Events of other instances.", live.remote);
	metric_head(out, "reeld_status_cache_total", "counter",
	    "Status requests by where the answer was.");
	metric_int(out, "reeld_status_cache_total", "result=\"hit\"",
	    (int64_t)live.status_hits);
	metric_int(out, "reeld_status_cache_total", "result=\"miss\"",
	    (int64_t)live.status_misses);
}

static void
metrics_engine(struct buf *out, const struct app *app)
{
	const struct engine_stats *s = engine_stats(app->engine);
	const struct {
		const char *labels;
		uint64_t value;
	} finished[] = {{"outcome=\"completed\"", s->completed},
	    {"outcome=\"failed\"", s->failed},
	    {"outcome=\"cancelled\"", s->cancelled},
	    {"outcome=\"review\"", s->reviewed}},
	  asked[] = {{"op=\"submit\"", s->submits}, {"op=\"poll\"", s->polls},
	      {"op=\"download\"", s->downloads}},
	  tries[] = {{"result=\"refused\"", s->submit_refused},
	      {"result=\"busy\"", s->submit_busy},
	      {"result=\"not_sent\"", s->submit_not_sent},
	      {"result=\"uncertain\"", s->submit_uncertain}},
	  prompts[] = {{"result=\"enhanced\"", s->enhanced},
	      {"result=\"as_written\"", s->enhance_failures}};

	gauge(out, "reeld_jobs_carried", "Jobs this instance works on.",
	    s->active);
	gauge(out, "reeld_job_slots_in_use", "Downloads and media work.",
	    s->slots_used);
	gauge(out, "reeld_jobs_left",
	    "Jobs of dead instances that cannot be taken over here.", s->left);
	counter(out, "reeld_jobs_claimed_total", "Jobs taken.", s->claimed);
	counter(out, "reeld_jobs_adopted_total", "Jobs of dead instances.",
	    s->adopted);
	counter(out, "reeld_jobs_set_apart_total",
	    "Times that a job's instance crashed and it may have been its "
	    "fault.",
	    s->set_apart);
	counter(out, "reeld_jobs_poisoned_total",
	    "Jobs that crashed their instances, failed and refunded.",
	    s->poisoned);
	counter(
	    out, "reeld_jobs_requeued_total", "Jobs put back.", s->requeued);
	counter(out, "reeld_jobs_refused_total",
	    "Steps that the database refused: in review.", s->db_refused);
	counter(out, "reeld_job_timers_total", "Pauses of jobs that ended.",
	    s->timers);
	counter(out, "reeld_job_timers_late_total",
	    "Those that ended more than 100 ms late.", s->timers_late);
	counter(out, "reeld_leases_lost_total", "Jobs that others took over.",
	    s->lease_lost);
	metric_head(out, "reeld_jobs_finished_total", "counter",
	    "Ends of generations.");
	for (size_t i = 0; i < nitems(finished); i++)
		metric_int(out, "reeld_jobs_finished_total", finished[i].labels,
		    (int64_t)finished[i].value);
	metric_head(out, "reeld_provider_requests_total", "counter",
	    "Requests to providers and for results.");
	for (size_t i = 0; i < nitems(asked); i++)
		metric_int(out, "reeld_provider_requests_total",
		    asked[i].labels, (int64_t)asked[i].value);
	metric_head(out, "reeld_job_attempts_total", "counter",
	    "Submits that were not taken.");
	for (size_t i = 0; i < nitems(tries); i++)
		metric_int(out, "reeld_job_attempts_total", tries[i].labels,
		    (int64_t)tries[i].value);
	counter(out, "reeld_images_fitted_total",
	    "Input images made to fit a provider's limits.", s->images_fitted);
	metric_head(out, "reeld_prompts_total", "counter",
	    "Prompts of generations that were to be enhanced.");
	for (size_t i = 0; i < nitems(prompts); i++)
		metric_int(out, "reeld_prompts_total", prompts[i].labels,
		    (int64_t)prompts[i].value);
	gauge(out, "reeld_results_expiring",
	    "Results that are not stored yet and that their provider will "
	    "soon have no more.",
	    s->results_expiring);
	counter(out, "reeld_results_expiring_total",
	    "Alarms about such results.", s->expiry_alarms);
	counter(out, "reeld_results_lost_total",
	    "Results that were made and could never be stored.",
	    s->results_lost);
	counter(out, "reeld_downloaded_bytes_total", "Results fetched.",
	    s->download_bytes);
	counter(out, "reeld_provider_hooks_total", "Webhooks of providers.",
	    s->hooks);
	counter(out, "reeld_provider_hooks_refused_total",
	    "Webhooks that were forged or broken.", s->hooks_bad);
	counter(out, "reeld_outbox_resent_total", "Events published late.",
	    s->outbox_resent);
}

struct account_lines {
	struct buf *out;
	const struct app *app;
};

/* label="..." of an account; labels are people's words. */
static void
account_labels(const struct catalogue_account *account, char *out, size_t size)
{
	char label[128];
	size_t n = 0;

	for (const char *c = account->label; *c != '\0' && n + 1 < sizeof label;
	     c++)
		label[n++] = *c == '"' || *c == '\\' || *c == '\n' ? '_' : *c;
	label[n] = '\0';
	snprintf(out, size, "provider=\"%s\",account=\"%s\"", account->provider,
	    label);
}

static void
submits_line(
    const char *id, const uint64_t outcomes[SUBMIT_OUTCOMES], void *arg)
{
	static const char *const words[] = {
	    "accepted", "refused", "busy", "not_sent", "uncertain"};
	struct account_lines *self = arg;
	const struct catalogue_account *account =
	    catalogue_account(self->app->catalogue, id);
	char labels[256], line[300];

	if (account == NULL)
		return;
	account_labels(account, labels, sizeof labels);
	for (int i = 0; i < SUBMIT_OUTCOMES; i++) {
		snprintf(
		    line, sizeof line, "%s,outcome=\"%s\"", labels, words[i]);
		metric_int(self->out, "reeld_account_submits_total", line,
		    (int64_t)outcomes[i]);
	}
}

static void
metrics_accounts(struct buf *out, const struct app *app)
{
	struct account_lines lines = {out, app};
	const struct catalogue_account *all;
	char labels[256];
	size_t n;

	all = catalogue_accounts(app->catalogue, NULL, &n);
	metric_head(out, "reeld_account_submits_total", "counter",
	    "Paid requests of this instance by outcome.");
	engine_account_stats(app->engine, submits_line, &lines);
	metric_head(out, "reeld_account_circuit", "gauge",
	    "0 closed, 1 half open, 2 open.");
	for (size_t i = 0; i < n; i++) {
		account_labels(&all[i], labels, sizeof labels);
		metric_int(out, "reeld_account_circuit", labels,
		    all[i].circuit == CIRCUIT_OPEN	      ? 2
			: all[i].circuit == CIRCUIT_HALF_OPEN ? 1
							      : 0);
	}
	metric_head(out, "reeld_account_paused", "gauge",
	    "1 while it takes nothing new.");
	for (size_t i = 0; i < n; i++) {
		account_labels(&all[i], labels, sizeof labels);
		metric_int(out, "reeld_account_paused", labels,
		    !account_is_on(&all[i]));
	}
	metric_head(out, "reeld_account_in_flight", "gauge",
	    "Jobs of this instance that were submitted over it.");
	for (size_t i = 0; i < n; i++) {
		account_labels(&all[i], labels, sizeof labels);
		metric_int(out, "reeld_account_in_flight", labels,
		    engine_account_jobs(app->engine, all[i].id.text));
	}
}

static void
metrics_pool(struct buf *out, const struct pg_pool *pool, const char *name)
{
	static const char *const states[] = {"ready", "connecting", "orphaned"};
	struct pg_stats stats;
	char labels[64];
	int n[nitems(states)];

	pg_pool_stats(pool, &stats);
	n[0] = stats.ready;
	n[1] = stats.connecting;
	n[2] = stats.orphans;
	for (size_t i = 0; i < nitems(states); i++) {
		snprintf(labels, sizeof labels, "pool=\"%s\",state=\"%s\"",
		    name, states[i]);
		metric_int(out, "reeld_db_pool_connections", labels, n[i]);
	}
}

static void
metrics_queries(struct buf *out, const struct app *app)
{
	struct pg_stats stats[2];
	char labels[96];

	pg_pool_stats(app->pg, &stats[0]);
	pg_pool_stats(app->pg_engine, &stats[1]);
	metric_head(out, "reeld_db_waiting_queries", "gauge",
	    "Statements without a connection.");
	metric_int(
	    out, "reeld_db_waiting_queries", "pool=\"app\"", stats[0].waiting);
	metric_int(out, "reeld_db_waiting_queries", "pool=\"engine\"",
	    stats[1].waiting);
	counter(out, "reeld_db_errors_total", "Statements that failed.",
	    stats[0].errors + stats[1].errors);
	counter(out, "reeld_db_timeouts_total", "Statements given up.",
	    stats[0].timeouts + stats[1].timeouts);
	metric_head(out, "reeld_db_query_duration_seconds", "summary",
	    "Statements by name.");
	for (int i = 0; i < PG_STMT_COUNT; i++) {
		uint64_t n =
		    stats[0].by_stmt[i].count + stats[1].by_stmt[i].count;

		if (n == 0)
			continue;
		snprintf(labels, sizeof labels, "query=\"%s\"",
		    pg_stmt_name((enum pg_stmt)i));
		metric_num(out, "reeld_db_query_duration_seconds_sum", labels,
		    (double)(stats[0].by_stmt[i].total_us +
			stats[1].by_stmt[i].total_us) /
			1e6);
		metric_int(out, "reeld_db_query_duration_seconds_count", labels,
		    (int64_t)n);
	}
}

static void
metrics_lag(struct buf *out, const struct loop_stats *stats)
{
	static const char name[] = "reeld_loop_lag_seconds";
	uint64_t sum = 0;

	metric_head(out, name, "histogram",
	    "How late a timer of 100 ms came: what a request waits.");
	for (int i = 0; i < LOOP_BOUNDS; i++) {
		sum += stats->lag_histogram[i];
		buf_printf(out, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name,
		    loop_bounds_ms[i] / 1000.0, sum);
	}
	buf_printf(
	    out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, stats->lags);
	buf_printf(out, "%s_sum %.9g\n%s_count %" PRIu64 "\n", name,
	    (double)stats->lag_sum_ns / 1e9, name, stats->lags);
}

static void
metrics_loop(struct buf *out, const struct app *app)
{
	static const char *const bounds[] = {"0.001", "0.002", "0.005", "0.01",
	    "0.02", "0.05", "0.1", "0.5", "+Inf"};
	const struct loop_stats *stats = loop_stats(app->loop);
	uint64_t sum = 0;
	char labels[32];

	/* Without a sum it is not a histogram by the rules: a counter. */
	metric_head(out, "reeld_loop_turns_total", "counter",
	    "Turns of the event loop that took at most le seconds.");
	for (size_t i = 0; i < nitems(bounds); i++) {
		sum += stats->histogram[i];
		snprintf(labels, sizeof labels, "within=\"%s\"", bounds[i]);
		metric_int(out, "reeld_loop_turns_total", labels, (int64_t)sum);
	}
	metrics_lag(out, stats);
	counter(out, "reeld_loop_slow_turns_total", "Turns over 50 ms.",
	    stats->slow_turns);
	gauge(out, "reeld_loop_worst_turn_seconds", "The longest turn.",
	    (double)stats->worst_ns / 1e9);
}

static void
metrics_stores(struct buf *out, const struct app *app)
{
	const struct storage_stats *s = storage_stats(app->storage);

	counter(out, "reeld_storage_puts_total", "Objects stored.", s->puts);
	counter(out, "reeld_storage_put_bytes_total", "Bytes stored.",
	    s->put_bytes);
	counter(out, "reeld_storage_failures_total", "Failed operations.",
	    s->failed);
	gauge(out, "reeld_redis_up", "1 when both links are ready.",
	    app->redis != NULL && redis_up(app->redis));
	metric_head(out, "reeld_db_pool_connections", "gauge",
	    "Connections to PostgreSQL.");
	metrics_pool(out, app->pg, "app");
	metrics_pool(out, app->pg_engine, "engine");
}

/* Of all instances together: it comes from the rows. */
static void
metrics_queues(struct buf *out, const struct pg_rows *rows)
{
	static const char *const states[] = {
	    "queued", "pending", "running", "waiting", "uncertain"};
	int64_t now = clock_wall_ms(), ms;
	char labels[96];

	metric_head(out, "reeld_jobs", "gauge", "Unfinished jobs.");
	for (int r = 0; r < pg_count(rows); r++)
		for (size_t i = 0; i < nitems(states); i++) {
			snprintf(labels, sizeof labels,
			    "queue=\"%s\",state=\"%s\"",
			    pg_text(rows, r, "provider"), states[i]);
			metric_int(out, "reeld_jobs", labels,
			    pg_i64(rows, r, states[i]));
		}
	metric_head(out, "reeld_queue_oldest_age_seconds", "gauge",
	    "How long the oldest queued job waits.");
	for (int r = 0; r < pg_count(rows); r++) {
		ms = pg_i64(rows, r, "oldest_ms");
		snprintf(labels, sizeof labels, "queue=\"%s\"",
		    pg_text(rows, r, "provider"));
		metric_num(out, "reeld_queue_oldest_age_seconds", labels,
		    ms > 0 && now > ms ? (double)(now - ms) / 1000 : 0);
	}
}

struct scrape {
	struct http_call *call;
	struct pg_query *query;
};

static void
scrape_reply(struct scrape *self, const struct pg_rows *rows)
{
	struct http_call *call = self->call;
	const struct app *app = api_app(call);
	char labels[64];
	struct buf out;

	buf_init(&out, MAX_BYTES);
	metric_head(&out, "reeld_build_info", "gauge", "Constant 1.");
	snprintf(labels, sizeof labels, "version=\"%s\"", app->version);
	metric_int(&out, "reeld_build_info", labels, 1);
	metrics_http(&out, app);
	metrics_live(&out, app);
	metrics_engine(&out, app);
	metrics_accounts(&out, app);
	metrics_stores(&out, app);
	metrics_queries(&out, app);
	metrics_loop(&out, app);
	metrics_process(&out);
	if (rows != NULL)
		metrics_queues(&out, rows);
	free(self);
	http_cache(call, "no-store");
	http_reply_bytes(call, 200, "text/plain; version=0.0.4; charset=utf-8",
	    buf_str(&out), out.len);
	buf_fini(&out);
}

static void
on_queues(const struct pg_rows *rows, const struct err *err, void *arg)
{
	scrape_reply(arg, err == NULL ? rows : NULL);
}

static void
on_gone(void *arg)
{
	struct scrape *self = arg;

	pg_query_cancel(&self->query);
	free(self);
}

/* From this machine without a proxy in between, or an operator. */
static bool
may_scrape(const struct http_call *call)
{
	const char *ip = http_client_ip(call);
	bool local = str_starts(ip, "127.") || str_eq(ip, "::1");

	return api_me(call)->role >= ROLE_OPERATOR ||
	    (local && http_header(call, "X-Forwarded-For") == NULL &&
		http_header(call, "Forwarded") == NULL);
}

void
api_metrics(struct http_call *call)
{
	struct app *app = api_app(call);
	struct scrape *self;

	if (!may_scrape(call)) {
		api_refuse(call, ERR_FORBIDDEN, "",
		    "Metrics are for operators, and for this machine.");
		return;
	}
	self = xcalloc(1, sizeof *self);
	self->call = call;
	if (!pg_pool_up(app->pg_engine)) {
		scrape_reply(self, NULL);
		return;
	}
	http_on_gone(call, on_gone, self);
	pg_query_start(app->pg_engine, STMT_LIVE_QUEUE_STATS, NULL,
	    &self->query, on_queues, self);
}
