/*
 * server.c - the library's daemon inside the loop: listening, connections,
 * deadlines, draining.  Made by main; owns every call.
 */
#define LOG_MODULE "http"
#include "http/internal.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "reeld/clock.h"
#include "reeld/id.h"
#include "reeld/log.h"

enum {
	SWEEP_MS = 1000,
	LOOK_MS = 200, /* and up to a sweep more */
	FD_RESERVE = 256,
	BYTES_PER_S = 16 * 1024,
	/* The library serves all in one go, 20 us each and more: how many may
	 * be given to it in one turn of the loop. */
	SLICE = 256
};

static void
run(struct http_server *server)
{
	MHD_UNSIGNED_LONG_LONG ms;

	server->now_ms = clock_mono_ms();
	MHD_run(server->daemon);
	/* Zero: it holds bytes it has not looked at.  Its other timeouts are
	 * coarse, the sweep is often enough for them. */
	if (MHD_get_timeout(server->daemon, &ms) == MHD_YES && ms == 0)
		server_kick(server);
}

static void
on_ready(int fd, int events, void *arg)
{
	run(arg);
}

/* Thousands at once, when all their streams hear of something. */
static void
wake(struct http_server *server, size_t max)
{
	struct http_call *call;

	for (size_t i = 0;
	     i < max && (call = TAILQ_FIRST(&server->woken)) != NULL; i++) {
		TAILQ_REMOVE(&server->woken, call, woken);
		MHD_resume_connection(call->mhd);
	}
}

static void
on_wake(void *arg)
{
	struct http_server *server = arg;

	wake(server, SLICE);
	if (!TAILQ_EMPTY(&server->woken))
		timer_set_ms(&server->wake_timer, 0);
	run(server);
}

static void
on_kick(void *arg)
{
	struct http_server *server = arg;

	if (timer_is_set(&server->wake_timer))
		run(server); /* the others have their turn first */
	else
		on_wake(server);
}

void
server_kick(struct http_server *server)
{
	if (server->kick == NULL && !server->freeing)
		loop_defer(
		    server->loop, "http", on_kick, server, &server->kick);
}

void
server_wake(struct http_call *call)
{
	TAILQ_INSERT_TAIL(&call->server->woken, call, woken);
	server_kick(call->server);
}

static int64_t
deadline_ms(const struct http_call *call)
{
	const struct http_opts *opts = &call->server->opts;

	switch (call->phase) {
	case CALL_FIRST:
	case CALL_HEAD:
		return call->since_ms + opts->head_timeout_ms;
	case CALL_IDLE:
		return call->server->draining
		    ? INT64_MIN
		    : call->since_ms + opts->idle_timeout_ms;
	case CALL_LOOK:
		return call->since_ms + LOOK_MS;
	case CALL_BODY:
		return call->since_ms + opts->body_grace_ms +
		    call->received * 1000 / BYTES_PER_S;
	default:
		return INT64_MAX;
	}
}

/* Ends a connection from outside the library: it sees the end of input. */
static void
cut(struct http_call *call)
{
	shutdown(call->fd, SHUT_RDWR);
}

static void
on_sweep(void *arg)
{
	struct http_server *server = arg;
	struct http_call *call;
	size_t n = 0;

	server->now_ms = clock_mono_ms();
	TAILQ_FOREACH (call, &server->list, link) {
		if (deadline_ms(call) > server->now_ms)
			continue;
		if (++n > SLICE)
			break;
		if (call->phase == CALL_LOOK) {
			call_resume(call); /* it sends nothing */
			continue;
		}
		if (call->phase != CALL_IDLE)
			server->stats.late_cut++;
		call_enter(call, call->phase); /* not again next second */
		cut(call);
	}
	run(server);
	timer_set_ms(&server->sweep, n > SLICE ? 0 : SWEEP_MS);
}

static void
on_connection(void *cls, struct MHD_Connection *mhd, void **context,
    enum MHD_ConnectionNotificationCode why)
{
	struct http_server *server = cls;
	struct http_call *call = *context;

	if (why == MHD_CONNECTION_NOTIFY_STARTED) {
		call = xcalloc(1, sizeof *call);
		call->server = server;
		call->mhd = mhd;
		buf_init(&call->extra_text, MAX_EXTRA_TEXT);
		call->fd = MHD_get_connection_info(
		    mhd, MHD_CONNECTION_INFO_CONNECTION_FD)
			       ->connect_fd;
		call_enter(call, CALL_FIRST);
		TAILQ_INSERT_TAIL(&server->list, call, link);
		server->stats.connections++;
		server->stats.accepted++;
		*context = call;
		return;
	}
	if (call == NULL)
		return;
	assert(call->gone == NULL && !call->counted);
	TAILQ_REMOVE(&server->list, call, link);
	server->stats.connections--;
	loop_io_free(&call->hangup);
	call_fini(call);
	free(call);
	*context = NULL;
}

/* "127.0.0.1:80", "[::1]:0" */
static bool
parse_listen(const char *text, struct sockaddr_storage *out, socklen_t *len,
    struct err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
	struct addrinfo *found;
	char host[128];
	const char *colon = strrchr(text, ':');
	size_t n;

	if (colon == NULL)
		return err_set(err, ERR_BAD_INPUT,
		    "http.listen: %s is not ADDRESS:PORT", text);
	n = colon - text;
	if (n >= 2 && text[0] == '[' && text[n - 1] == ']')
		text++, n -= 2;
	if (n >= sizeof host)
		return err_set(err, ERR_BAD_INPUT, "http.listen: too long");
	memcpy(host, text, n);
	host[n] = '\0';
	/* Numeric only: nothing is looked up. */
	if (getaddrinfo(n > 0 ? host : NULL, colon + 1, &hints, &found) != 0)
		return err_set(err, ERR_BAD_INPUT,
		    "http.listen: %s is not a numeric ADDRESS:PORT", text);
	memcpy(out, found->ai_addr, found->ai_addrlen);
	*len = found->ai_addrlen;
	freeaddrinfo(found);
	return true;
}

static bool
open_listener(struct http_server *server, struct err *err)
{
	struct sockaddr_storage at;
	socklen_t len;
	int one = 1, zero = 0;

	if (!parse_listen(server->opts.listen, &at, &len, err))
		return false;
	server->listen_fd =
	    socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (server->listen_fd < 0)
		return err_set(
		    err, ERR_INTERNAL, "socket: %s", strerror(errno));
	setsockopt(
	    server->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (at.ss_family == AF_INET6)
		setsockopt(server->listen_fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero,
		    sizeof zero);
	if (bind(server->listen_fd, (struct sockaddr *)&at, len) != 0 ||
	    listen(server->listen_fd, 1024) != 0 ||
	    getsockname(server->listen_fd, (struct sockaddr *)&at, &len) != 0) {
		err_set(err, ERR_INTERNAL, "http.listen %s: %s",
		    server->opts.listen, strerror(errno));
		close(server->listen_fd);
		server->listen_fd = -1;
		return false;
	}
	server->port = ntohs(at.ss_family == AF_INET6
		? ((struct sockaddr_in6 *)&at)->sin6_port
		: ((struct sockaddr_in *)&at)->sin_port);
	return true;
}

/* Connections never take the descriptors that storage, PostgreSQL and the
 * providers need. */
static unsigned
connection_limit(const struct http_server *server)
{
	struct rlimit limit;
	rlim_t most = server->opts.max_connections;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
	    limit.rlim_cur != RLIM_INFINITY) {
		rlim_t reserve = limit.rlim_cur / 4 < FD_RESERVE
		    ? limit.rlim_cur / 4
		    : FD_RESERVE;

		/* a watched or handed-over connection has two */
		if (most > (limit.rlim_cur - reserve) / 2)
			most = (limit.rlim_cur - reserve) / 2;
	}
	return most;
}

__attribute__((format(printf, 2, 0))) static void
on_library_log(void *cls, const char *fmt, va_list ap)
{
	char line[300];

	vsnprintf(line, sizeof line, fmt, ap);
	log_debug("msg=%s", log_text(line));
}

static bool
start_daemon(struct http_server *server, struct err *err)
{
	const union MHD_DaemonInfo *info;

	server->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_TURBO |
		MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG,
	    0, NULL, NULL, on_access, server,
	    /* first, so that it catches what the others say */
	    MHD_OPTION_EXTERNAL_LOGGER, on_library_log, NULL,
	    MHD_OPTION_LISTEN_SOCKET, server->listen_fd,
	    MHD_OPTION_URI_LOG_CALLBACK, on_target, server,
	    MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
	    MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
	    MHD_OPTION_CONNECTION_LIMIT, connection_limit(server),
	    MHD_OPTION_PER_IP_CONNECTION_LIMIT,
	    (unsigned)server->opts.max_per_ip, MHD_OPTION_CONNECTION_TIMEOUT,
	    (unsigned)server->opts.write_timeout_s,
	    /* a head and what is read ahead; the library zeroes most
	     * of it after each request */
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)16 * 1024,
	    MHD_OPTION_END);
	if (server->daemon == NULL)
		return err_set(err, ERR_INTERNAL, "http: can't start");
	info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	server->io =
	    loop_io_new(server->loop, info->epoll_fd, "http", on_ready, server);
	loop_io_set(server->io, LOOP_READ);
	return true;
}

static void
fill_defaults(struct http_server *server)
{
	struct http_opts *opts = &server->opts;
	const char *tmp = getenv("TMPDIR");

	if (opts->max_connections == 0)
		opts->max_connections = 10000;
	if (opts->head_timeout_ms == 0)
		opts->head_timeout_ms = 10000;
	if (opts->body_grace_ms == 0)
		opts->body_grace_ms = 10000;
	if (opts->idle_timeout_ms == 0)
		opts->idle_timeout_ms = 30000;
	if (opts->write_timeout_s == 0)
		opts->write_timeout_s = 60;
	if (opts->page_prefixes == NULL)
		opts->page_prefixes = "/api/,/hooks/,/functions/,/ws,/worker/";
	str_copy(server->upload_dir, sizeof server->upload_dir,
	    opts->upload_dir != NULL ? opts->upload_dir
		: tmp != NULL	     ? tmp
				     : "/tmp");
	snprintf(server->csp_page, sizeof server->csp_page,
	    "default-src 'none'; script-src 'self'; style-src 'self'; "
	    "img-src 'self' data: blob:%s%.200s; media-src 'self' "
	    "blob:%s%.200s; "
	    "connect-src 'self'; font-src 'self'; frame-ancestors 'none'; "
	    "base-uri 'none'; form-action 'self'; "
	    "require-trusted-types-for 'script'",
	    opts->csp_media != NULL ? " " : "",
	    opts->csp_media != NULL ? opts->csp_media : "",
	    opts->csp_media != NULL ? " " : "",
	    opts->csp_media != NULL ? opts->csp_media : "");
	random_token(server->id_prefix, sizeof server->id_prefix, 12);
}

struct http_server *
http_server_new(
    struct loop *loop, const struct http_opts *opts, struct err *err)
{
	struct http_server *server = xcalloc(1, sizeof *server);

	server->loop = loop;
	server->opts = *opts;
	server->listen_fd = -1;
	TAILQ_INIT(&server->list);
	TAILQ_INIT(&server->woken);
	fill_defaults(server);
	server->router = router_new(opts->routes, opts->n_routes);
	server->route_stats =
	    xcalloc(opts->n_routes + 1, sizeof *server->route_stats);
	for (size_t i = 0; i < opts->n_routes; i++)
		server->route_stats[i].route = &opts->routes[i];
	timer_init(&server->sweep, loop, "http sweep", on_sweep, server);
	timer_init(&server->wake_timer, loop, "http wake", on_wake, server);
	if (!cidr_parse_list(opts->trusted_proxies, &server->trusted,
		&server->n_trusted, err) ||
	    (opts->static_dir != NULL &&
		!site_open(opts->static_dir, &server->site, err)) ||
	    !open_listener(server, err) || !start_daemon(server, err)) {
		http_server_free(server);
		return NULL;
	}
	timer_set_ms(&server->sweep, SWEEP_MS);
	return server;
}

void
http_server_free(struct http_server *server)
{
	struct http_call *call;

	if (server == NULL)
		return;
	server->freeing = true;
	loop_defer_cancel(&server->kick);
	loop_defer_cancel(&server->drained);
	timer_fini(&server->sweep);
	timer_fini(&server->wake_timer);
	loop_io_free(&server->io);
	/* The library wants nobody suspended when it stops. */
	TAILQ_FOREACH (call, &server->list, link) {
		call_fire_gone(call);
		call_enter(call, CALL_DEAD);
		call_resume(call);
	}
	wake(server, SIZE_MAX);
	if (server->daemon != NULL)
		MHD_stop_daemon(server->daemon); /* closes the listener */
	else if (server->listen_fd >= 0)
		close(server->listen_fd);
	assert(TAILQ_EMPTY(&server->list));
	moulds_free(server->moulds);
	router_free(server->router);
	site_free(server->site);
	free(server->trusted);
	free(server->route_stats);
	free(server);
}

int
http_server_port(const struct http_server *server)
{
	return server->port;
}

static void
on_drained(void *arg)
{
	struct http_server *server = arg;
	loop_fn *done = server->on_drained;

	if (server->stats.calls > 0 || done == NULL)
		return;
	server->on_drained = NULL;
	done(server->drained_arg); /* may free the server */
}

void
server_check_drained(struct http_server *server)
{
	if (server->draining && !server->freeing &&
	    server->on_drained != NULL && server->stats.calls == 0 &&
	    server->drained == NULL)
		loop_defer(server->loop, "http drained", on_drained, server,
		    &server->drained);
}

void
http_server_drain(struct http_server *server, loop_fn *done, void *arg)
{
	server->on_drained = done;
	server->drained_arg = arg;
	if (!server->draining) {
		int fd = MHD_quiesce_daemon(server->daemon);

		if (fd >= 0)
			close(fd);
		server->draining = true;
		timer_set_ms(&server->sweep, 0); /* cuts who is idle */
	}
	server_check_drained(server);
}

bool
http_server_draining(const struct http_server *server)
{
	return server->draining;
}
