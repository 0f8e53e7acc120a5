/*
 * link.c - one connection to Redis that keeps itself up: resolves, connects,
 * logs in, pings, and begins again after a pause.
 *
 * hiredis 0.14 has no timers of its own, so ours guard each stage.  hiredis
 * frees a failed context by itself and tells so in its callbacks: link->ac is
 * NULL from that moment.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "redis/internal.h"

#define LOG_MODULE "redis"
#include "reeld/id.h"
#include "reeld/log.h"
#include "reeld/mem.h"

enum { RETRY_MIN_MS = 100, RETRY_MAX_MS = 5000 };

static const char *
name_of(const struct link *link)
{
	return link->subscriber ? "subscriber" : "command";
}

/* The connection is gone: tell, and try again after a pause. */
static void
pause_link(struct link *link, const char *why)
{
	int64_t pause = RETRY_MIN_MS;
	bool was = link->ready;

	for (int i = 0; i < link->failures && pause < RETRY_MAX_MS; i++)
		pause *= 2;
	if (pause > RETRY_MAX_MS)
		pause = RETRY_MAX_MS;
	if (link->failures++ == 0 || was)
		log_warn("link=%s msg=%s", name_of(link), log_text(why));
	link->ac = NULL;
	link->ready = false;
	timer_clear(&link->ping);
	timer_set_jitter_ms(&link->timer, pause, 30);
	if (was)
		redis_link_changed(link->redis, link);
}

void
link_drop(struct link *link, const char *why)
{
	redisAsyncContext *ac = link->ac;

	if (ac == NULL)
		return;
	ac->data = NULL; /* its callbacks find no link any more */
	link->ac = NULL;
	redisAsyncFree(ac);
	pause_link(link, why);
}

/* --- hiredis' adapter ---------------------------------------------------- */

static void
on_io(int fd, int events, void *arg)
{
	struct link *link = arg;
	redisAsyncContext *ac = link->ac;

	if (ac != NULL && (events & LOOP_READ))
		redisAsyncHandleRead(ac);
	/* The read may have ended this context. */
	if (ac != NULL && link->ac == ac && (events & LOOP_WRITE))
		redisAsyncHandleWrite(ac);
}

static void
change_io(struct link *link, int add, int drop)
{
	if (link->io != NULL)
		loop_io_set(link->io, (loop_io_events(link->io) | add) & ~drop);
}

static void
add_read(void *arg)
{
	change_io(arg, LOOP_READ, 0);
}

static void
del_read(void *arg)
{
	change_io(arg, 0, LOOP_READ);
}

static void
add_write(void *arg)
{
	change_io(arg, LOOP_WRITE, 0);
}

static void
del_write(void *arg)
{
	change_io(arg, 0, LOOP_WRITE);
}

static void
cleanup(void *arg)
{
	struct link *link = arg;

	loop_io_free(&link->io);
}

/* --- Life ---------------------------------------------------------------- */

static void
on_disconnected(const redisAsyncContext *ac, int status)
{
	struct link *link = ac->data;

	if (link != NULL && link->ac == ac)
		pause_link(link, ac->errstr[0] ? ac->errstr : "closed");
}

static void
on_pong(redisAsyncContext *ac, void *reply, void *arg)
{
	struct link *link = ac->data;

	if (link != NULL && reply != NULL)
		link->missed = 0;
}

/*
 * A subscriber's PING has no reply that hiredis 0.14 can match, so its
 * heartbeat is to subscribe again to a channel of its own: always answered.
 */
static void
send_beat(struct link *link)
{
	const char *argv[] = {"SUBSCRIBE", link->beat};

	if (link->subscriber)
		redisAsyncCommandArgv(link->ac, on_pong, NULL, 2, argv, NULL);
	else
		redisAsyncCommand(link->ac, on_pong, NULL, "PING");
}

static void
on_ping(void *arg)
{
	struct link *link = arg;

	if (link->missed >= 2) {
		link_drop(link, "no answer to two pings");
		return;
	}
	link->missed++;
	send_beat(link);
	timer_set_ms(&link->ping, link->ping_ms);
}

static void on_late(void *arg);

static void
on_greeted(redisAsyncContext *ac, void *data, void *arg)
{
	struct link *link = ac->data;
	redisReply *reply = data;

	if (link == NULL || reply == NULL)
		return;
	if (reply->type == REDIS_REPLY_ERROR) {
		log_error(
		    "link=%s msg=%s", name_of(link), log_text(reply->str));
		/* Not freed here, inside hiredis: the timer does it. */
		timer_set_ms(&link->timer, 0);
		return;
	}
	if (--link->greetings > 0)
		return;
	timer_clear(&link->timer);
	link->ready = true;
	link->failures = link->missed = 0;
	timer_set_ms(&link->ping, link->ping_ms);
	if (link->subscriber)
		send_beat(link);
	log_info("link=%s msg=\"ready\"", name_of(link));
	redis_link_changed(link->redis, link);
}

static void
on_connected(const redisAsyncContext *const_ac, int status)
{
	struct link *link = const_ac->data;
	const struct redis_url *url;
	const char *auth[] = {"AUTH", NULL, NULL};
	int argc = 1;

	if (link == NULL || link->ac != const_ac)
		return;
	if (status != REDIS_OK) {
		pause_link(link, const_ac->errstr);
		return;
	}
	url = link->url;
	link->greetings = 2;
	if (url->password != NULL) {
		if (url->user != NULL)
			auth[argc++] = url->user;
		auth[argc++] = url->password;
		link->greetings++;
		redisAsyncCommandArgv(
		    link->ac, on_greeted, NULL, argc, auth, NULL);
	}
	redisAsyncCommand(link->ac, on_greeted, NULL, "SELECT %d", url->db);
	redisAsyncCommand(link->ac, on_greeted, NULL, "PING");
}

static void
connect_to(struct link *link, const char *address)
{
	redisAsyncContext *ac = link->url->path != NULL
	    ? redisAsyncConnectUnix(link->url->path)
	    : redisAsyncConnect(address, link->url->port);

	if (ac == NULL || ac->err != 0) {
		char why[128];

		str_copy(why, sizeof(why), ac ? ac->errstr : "no memory");
		if (ac != NULL)
			redisAsyncFree(ac);
		pause_link(link, why);
		return;
	}
	link->ac = ac;
	ac->data = link;
	link->io = loop_io_new(link->loop, ac->c.fd, "redis_io", on_io, link);
	ac->ev.data = link;
	ac->ev.addRead = add_read;
	ac->ev.delRead = del_read;
	ac->ev.addWrite = add_write;
	ac->ev.delWrite = del_write;
	ac->ev.cleanup = cleanup;
	redisAsyncSetDisconnectCallback(ac, on_disconnected);
	redisAsyncSetConnectCallback(ac, on_connected);
	timer_set_ms(&link->timer, link->timeout_ms);
}

static void
on_address(const char *address, const struct err *err, void *arg)
{
	struct link *link = arg;

	if (err != NULL)
		pause_link(link, err->msg);
	else
		connect_to(link, address);
}

/* The pause is over, or the connect took too long. */
static void
on_late(void *arg)
{
	struct link *link = arg;

	if (link->ac != NULL)
		link_drop(link, "can't connect in time");
	else if (link->url->path != NULL)
		connect_to(link, NULL);
	else
		resolve_start(link->loop, link->url->host, &link->resolve,
		    on_address, link);
}

void
link_start(struct link *link)
{
	(void)str_copy(link->beat, sizeof(link->beat), "reeld:beat:");
	random_token(link->beat + 11, sizeof(link->beat) - 11, 9);
	timer_init(&link->timer, link->loop, "redis_link", on_late, link);
	timer_init(&link->ping, link->loop, "redis_ping", on_ping, link);
	timer_set_ms(&link->timer, 0);
}

void
link_stop(struct link *link)
{
	redisAsyncContext *ac = link->ac;

	resolve_cancel(&link->resolve);
	link->ac = NULL;
	link->ready = false;
	if (ac != NULL) {
		/* Inside its own callback hiredis frees it later, when the
		 * link is gone. */
		ac->data = NULL;
		memset(&ac->ev, 0, sizeof(ac->ev));
		loop_io_free(&link->io);
		redisAsyncFree(ac);
	}
	timer_fini(&link->timer);
	timer_fini(&link->ping);
}
