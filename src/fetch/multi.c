/*
 * multi.c - libcurl's multi interface on the loop.
 *
 * libcurl tells which sockets and which timer to watch; each event goes back
 * to it with curl_multi_socket_action(), and then the one drain finishes what
 * is done.  Nothing else finishes a handle, and no caller's code runs while
 * libcurl is on the stack (fetch->in_curl).
 *
 * A kept-alive connection is watched from its first request until it is
 * closed: libcurl lets go of the socket after each, and taking it out of the
 * kernel's list and back in costs as much as the request's own system calls.
 */
#define LOG_MODULE "fetch"
#include <stdlib.h>
#include <unistd.h>
#include <uthash.h>

#include "fetch/sink.h"
#include "reeld/log.h"

struct socket_watch {
	struct multi *multi;
	struct loop_io *io;
	int fd;
	bool kept; /* until it is closed */
	bool idle; /* libcurl asks for nothing */
	UT_hash_handle hh;
};

static void
multi_drain(struct multi *multi)
{
	struct fetch_call *call;
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(multi->curl, &left)) != NULL) {
		CURLcode code = msg->data.result;

		if (msg->msg != CURLMSG_DONE ||
		    curl_easy_getinfo(
			msg->easy_handle, CURLINFO_PRIVATE, &call) != CURLE_OK)
			abort();
		call_finish(call, code); /* msg is gone now, call maybe too */
	}
}

/* Progress callbacks may cancel any call, so start over after each. */
static void
multi_progress(struct multi *multi)
{
	struct fetch_call *call = multi->fetch->calls;

	while (call != NULL) {
		if (!call->progress_due) {
			call = call->next;
			continue;
		}
		call->progress_due = false;
		if (call->sink_open && call->progress != NULL) {
			curl_off_t total = -1;
			int64_t had = call->spec.sink->bytes;

			if (curl_easy_getinfo(call->easy,
				CURLINFO_CONTENT_LENGTH_DOWNLOAD_T,
				&total) != CURLE_OK)
				total = -1;
			if (total >= 0 && call->reply.status == 206)
				total += call->resume_from;
			call->progress(had, total, call->progress_arg);
			call = multi->fetch->calls;
		} else
			call = call->next;
	}
}

/* libcurl is off the stack: now others may be called. */
static void
multi_after(struct multi *multi)
{
	struct fetch *fetch = multi->fetch;

	if (fetch->progress_due) {
		fetch->progress_due = false;
		multi_progress(multi);
	}
	multi_drain(multi);
}

static void
multi_act(struct multi *multi, curl_socket_t fd, int events)
{
	struct fetch *fetch = multi->fetch;
	int running;
	CURLMcode code;

	fetch->in_curl = true;
	code = curl_multi_socket_action(multi->curl, fd, events, &running);
	fetch->in_curl = false;
	if (code != CURLM_OK)
		log_error("multi=%s code=%d msg=\"%s\"", multi->what, code,
		    curl_multi_strerror(code));
	multi_after(multi);
}

void
multi_written(struct fetch_call *call)
{
	struct multi *multi = call->multi;
	CURLcode code;

	if (call->draining) {
		if (writer_flush(multi->fetch, call->spec.sink))
			call_finish(call, call->drain_code);
		return;
	}
	if (!call->paused)
		return;
	call->paused = false;
	multi->fetch->in_curl = true;
	/* Hands over what was held back, so it may fail, or pause again. */
	code = curl_easy_pause(call->easy, CURLPAUSE_CONT);
	multi->fetch->in_curl = false;
	if (code != CURLE_OK)
		call_finish(call, code);
	multi_after(multi);
}

static void
on_timeout(void *arg)
{
	struct multi *self = arg;

	multi_act(self, CURL_SOCKET_TIMEOUT, 0);
}

static void
on_socket(int fd, int events, void *arg)
{
	struct socket_watch *watch = arg; /* may be freed by multi_act */

	if (watch->idle) {
		/* Closed by the other side: libcurl sees it before the next
		 * use.  Until then it would be reported for ever. */
		loop_io_set(watch->io, 0);
		return;
	}
	multi_act(watch->multi, fd,
	    (events & LOOP_READ ? CURL_CSELECT_IN : 0) |
		(events & LOOP_WRITE ? CURL_CSELECT_OUT : 0));
}

static struct socket_watch *
watch_find(struct multi *multi, int fd)
{
	struct socket_watch *watch;

	HASH_FIND_INT(multi->watches, &fd, watch);
	return watch;
}

static struct socket_watch *
watch_new(struct multi *multi, int fd)
{
	struct socket_watch *watch = xcalloc(1, sizeof *watch);

	watch->multi = multi;
	watch->fd = fd;
	watch->io =
	    loop_io_new(multi->fetch->loop, fd, multi->what, on_socket, watch);
	HASH_ADD_INT(multi->watches, fd, watch);
	multi->fetch->stats.sockets++;
	return watch;
}

static void
watch_free(struct socket_watch *watch)
{
	struct multi *multi = watch->multi;

	HASH_DEL(multi->watches, watch);
	loop_io_free(&watch->io);
	free(watch);
	multi->fetch->stats.sockets--;
}

/* libcurl: watch this socket for that. */
static int
on_want_socket(
    CURL *easy, curl_socket_t fd, int what, void *clientp, void *socketp)
{
	struct multi *self = clientp;
	struct socket_watch *watch = watch_find(self, fd);

	if (what == CURL_POLL_REMOVE && watch == NULL)
		return 0;
	/* A name lookup's; or a connection that is given up before it was made,
	 * which libcurl closes without a word. */
	if (what == CURL_POLL_REMOVE &&
	    (!watch->kept || !(loop_io_events(watch->io) & LOOP_READ))) {
		watch_free(watch);
		return 0;
	}
	if (watch == NULL)
		watch = watch_new(self, fd);
	watch->idle = what == CURL_POLL_REMOVE;
	if (watch->idle) /* nearly every socket would take bytes */
		loop_io_set(watch->io, LOOP_READ);
	else
		loop_io_set(watch->io,
		    (what & CURL_POLL_IN ? LOOP_READ : 0) |
			(what & CURL_POLL_OUT ? LOOP_WRITE : 0));
	return 0;
}

void
multi_socket_opened(struct multi *multi, int fd)
{
	struct socket_watch *watch = watch_find(multi, fd);

	if (watch != NULL) {
		log_error("multi=%s msg=\"a socket was closed behind our "
			  "back\"",
		    multi->what);
		watch_free(watch);
	}
	watch_new(multi, fd)->kept = true;
}

/* libcurl: close this.  Its number may be anybody's next. */
int
multi_close_socket(void *clientp, curl_socket_t fd)
{
	struct multi *self = clientp;
	struct socket_watch *watch = watch_find(self, fd);

	if (watch != NULL)
		watch_free(watch);
	return close(fd);
}

/* libcurl: call me in so many ms, or not at all. */
static int
on_want_timer(CURLM *curl, long timeout_ms, void *clientp)
{
	struct multi *self = clientp;

	if (timeout_ms < 0)
		timer_clear(&self->timer);
	else
		timer_set_ms(&self->timer, timeout_ms);
	return 0;
}

static void
set_long(struct multi *multi, CURLMoption option, long value)
{
	if (curl_multi_setopt(multi->curl, option, value) != CURLM_OK)
		abort();
}

void
multi_init(struct multi *multi, struct fetch *fetch, const char *what,
    const struct fetch_opts *opts)
{
	int per_host =
	    opts->max_host_connections > 0 ? opts->max_host_connections : 32;

	multi->fetch = fetch;
	multi->what = what;
	multi->curl = curl_multi_init();
	if (multi->curl == NULL)
		abort();
	timer_init(&multi->timer, fetch->loop, what, on_timeout, multi);
	if (curl_multi_setopt(multi->curl, CURLMOPT_SOCKETFUNCTION,
		on_want_socket) != CURLM_OK ||
	    curl_multi_setopt(multi->curl, CURLMOPT_SOCKETDATA, multi) !=
		CURLM_OK ||
	    curl_multi_setopt(multi->curl, CURLMOPT_TIMERFUNCTION,
		on_want_timer) != CURLM_OK ||
	    curl_multi_setopt(multi->curl, CURLMOPT_TIMERDATA, multi) !=
		CURLM_OK)
		abort();
	set_long(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
	    opts->max_connections > 0 ? opts->max_connections : 256);
	set_long(multi, CURLMOPT_MAX_HOST_CONNECTIONS, per_host);
	set_long(multi, CURLMOPT_MAXCONNECTS, 64);
	queue_init(multi, per_host);
}

void
multi_fini(struct multi *multi)
{
	if (multi->curl == NULL)
		return;
	/* Closing the kept connections ends their watches. */
	if (curl_multi_cleanup(multi->curl) != CURLM_OK)
		log_error("multi=%s msg=\"cleanup\"", multi->what);
	multi->curl = NULL;
	timer_fini(&multi->timer);
	queue_fini(multi);
}

void
multi_add(struct multi *multi, struct fetch_call *call)
{
	if (curl_multi_add_handle(multi->curl, call->easy) != CURLM_OK)
		abort();
	call->multi = multi;
}

void
multi_remove(struct fetch_call *call)
{
	if (call->multi == NULL)
		return;
	if (curl_multi_remove_handle(call->multi->curl, call->easy) != CURLM_OK)
		abort();
	call->multi = NULL;
}
