/*
 * queue.c - whose turn it is: each host has a number of calls at libcurl, the
 * others wait here in their order, without a handle.
 *
 * libcurl would queue them too, but it looks through all that wait whenever
 * a handle leaves it: with ten thousand waiting, each answer cost
 * milliseconds, answers came slower than questions, and it never recovered.
 * And one that waits there is overtaken by those that come later.  So it gets
 * as many as it may open connections, and more only over HTTP/2, where they
 * share one.
 */
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "fetch/internal.h"
#include "reeld/clock.h"

enum { PATIENCE_MS = 1000 };

struct host {
	UT_hash_handle hh;
	int running; /* at libcurl */
	bool shares; /* it answered over HTTP/2 */
	TAILQ_HEAD(, fetch_call) waiting;
	struct multi *multi;
	char origin[]; /* of the hop */
};

static struct host *
host_of(struct multi *multi, const char *origin)
{
	struct host *host;
	size_t len = strlen(origin);

	HASH_FIND(hh, multi->hosts, origin, len, host);
	if (host != NULL)
		return host;
	host = xcalloc(1, sizeof *host + len + 1);
	memcpy(host->origin, origin, len + 1);
	host->multi = multi;
	TAILQ_INIT(&host->waiting);
	HASH_ADD_KEYPTR(hh, multi->hosts, host->origin, len, host);
	return host;
}

static void
host_drop(struct host *host)
{
	if (host->running > 0 || !TAILQ_EMPTY(&host->waiting))
		return;
	HASH_DELETE(hh, host->multi->hosts, host);
	free(host);
}

static void
wait_end(struct fetch_call *call)
{
	struct multi *multi = call->host->multi;

	TAILQ_REMOVE(&call->host->waiting, call, turn);
	call->waiting = false;
	multi->fetch->stats.waiting--;
	if (--multi->waiting == 0)
		timer_clear(&multi->patience);
}

static bool
has_room(const struct host *host)
{
	int max = host->multi->max_host_calls;

	return host->running < (host->shares ? max * SHARED_CALLS : max);
}

static bool
go(struct fetch_call *call, struct err *err)
{
	if (!easy_open(call, err))
		return false;
	call->host->running++;
	multi_add(call->host->multi, call);
	return true;
}

static void
next_turn(struct host *host)
{
	struct fetch_call *call;

	while (!host->multi->fetch->closing && has_room(host) &&
	    (call = TAILQ_FIRST(&host->waiting)) != NULL) {
		wait_end(call);
		if (go(call, &call->early_err))
			continue;
		call->host = NULL;
		call_fail_later(call);
	}
	host_drop(host);
}

/* Those whose time was over before their turn came. */
static void
on_patience(void *arg)
{
	struct multi *self = arg;
	struct host *host, *tmp;
	struct fetch_call *call, *next;
	int64_t now = clock_mono_ms();

	timer_set_ms(&self->patience, PATIENCE_MS);
	HASH_ITER (hh, self->hosts, host, tmp) {
		for (call = TAILQ_FIRST(&host->waiting); call != NULL;
		     call = next) {
			next = TAILQ_NEXT(call, turn);
			if (now < call->deadline_ms)
				continue;
			wait_end(call);
			call->host = NULL;
			call->reply.sent = call->sent_before ? FETCH_MAYBE_SENT
							     : FETCH_NOT_SENT;
			call->reply.total_ms = now - call->start_ms;
			(void)err_set_name(&call->early_err, ERR_TIMEOUT,
			    "connect_timeout", "no connection in time");
			call_fail_later(call);
		}
		host_drop(host);
	}
}

bool
queue_enter(struct multi *multi, struct fetch_call *call, struct err *err)
{
	struct host *host = host_of(multi, call->hop);

	call->host = host;
	if (has_room(host)) {
		if (go(call, err))
			return true;
		call->host = NULL;
		host_drop(host);
		return false;
	}
	TAILQ_INSERT_TAIL(&host->waiting, call, turn);
	call->waiting = true;
	multi->fetch->stats.waiting++;
	if (multi->waiting++ == 0)
		timer_set_ms(&multi->patience, PATIENCE_MS);
	return true;
}

void
queue_leave(struct fetch_call *call)
{
	struct host *host = call->host;
	long version = 0;

	if (host == NULL)
		return;
	if (call->waiting) {
		wait_end(call);
	} else {
		if (call->reply.status != 0 &&
		    curl_easy_getinfo(call->easy, CURLINFO_HTTP_VERSION,
			&version) == CURLE_OK &&
		    version != 0)
			host->shares = version == CURL_HTTP_VERSION_2_0;
		multi_remove(call);
		host->running--;
	}
	call->host = NULL;
	next_turn(host);
}

void
queue_init(struct multi *multi, int max_host_calls)
{
	multi->max_host_calls = max_host_calls;
	timer_init(&multi->patience, multi->fetch->loop, multi->what,
	    on_patience, multi);
}

void
queue_fini(struct multi *multi)
{
	timer_fini(&multi->patience);
}
