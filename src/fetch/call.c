/*
 * call.c - a call from start to done: hops, redirects, cancel.
 *
 * The only file that calls back.  A call lives in fetch->calls from start
 * until just before done() or until it is cancelled.
 */
#define LOG_MODULE "fetch"
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fetch/sink.h"
#include "reeld/clock.h"
#include "reeld/log.h"

struct fetch *
fetch_new(struct loop *loop, const struct fetch_opts *opts)
{
	struct fetch *fetch = xcalloc(1, sizeof *fetch);
	struct err err;
	const curl_version_info_data *version;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		abort();
	version = curl_version_info(CURLVERSION_NOW);
	if ((version->features & CURL_VERSION_ASYNCHDNS) == 0) {
		log_error("msg=\"this libcurl would look names up on the "
			  "loop\"");
		abort();
	}
	fetch->loop = loop;
	if (!guard_init(&fetch->guard, opts->deny, &err)) {
		log_error("msg=%s", log_text(err.msg));
		abort();
	}
	fetch->ca_file = xstrdup(opts->ca_file);
	fetch->user_agent = xstrdup(opts->user_agent != NULL ? opts->user_agent
							     : PACKAGE_NAME
		"/" PACKAGE_VERSION);
	fetch->max_calls = opts->max_calls > 0 ? opts->max_calls : 20000;
	multi_init(&fetch->provider, fetch, "fetch provider", opts);
	multi_init(&fetch->untrusted, fetch, "fetch untrusted", opts);
	return fetch;
}

/* Kept to be used again: a call is too big for malloc to be quick about it.
 * None where a use after its end is to be found. */
#ifdef __SANITIZE_ADDRESS__
enum { UNUSED_MAX = 0 };
#else
enum { UNUSED_MAX = 64 };
#endif

static struct fetch_call *
call_new(struct fetch *fetch)
{
	struct fetch_call *call = fetch->unused;

	if (call == NULL)
		return xcalloc(1, sizeof *call);
	fetch->unused = call->next;
	fetch->n_unused--;
	memset(call, 0, sizeof *call);
	return call;
}

static void
call_free(struct fetch_call *call)
{
	struct fetch *fetch = call->fetch;

	queue_leave(call);
	easy_close(call);
	loop_defer_cancel(&call->early);
	headers_reset(call);
	free(call->headers);
	buf_fini(&call->reply.body);
	fetch_spec_fini(&call->spec);
	if (fetch->n_unused >= UNUSED_MAX) {
		free(call);
		return;
	}
	call->next = fetch->unused;
	fetch->unused = call;
	fetch->n_unused++;
}

/* Out of the list and of the owner's slot: nobody finds it any more. */
static void
call_unlink(struct fetch_call *call)
{
	struct fetch *fetch = call->fetch;

	*call->prev = call->next;
	if (call->next != NULL)
		call->next->prev = call->prev;
	*call->slot = NULL;
	fetch->stats.running--;
	if (call->spec.sink != NULL) {
		struct sink_file *file = call->spec.sink->file;

		fetch->sinks--;
		file->call = NULL;
		/* After a cancel: what was received counts. */
		(void)writer_flush(fetch, call->spec.sink);
	}
}

void
fetch_free(struct fetch *fetch)
{
	if (fetch == NULL)
		return;
	fetch->closing = true;
	while (fetch->calls != NULL) {
		struct fetch_call *call = fetch->calls;

		call_unlink(call);
		call_free(call);
	}
	easy_spare_free(fetch);
	while (fetch->unused != NULL) {
		struct fetch_call *call = fetch->unused;

		fetch->unused = call->next;
		free(call);
	}
	multi_fini(&fetch->provider);
	multi_fini(&fetch->untrusted);
	writer_free(fetch->writer);
	guard_fini(&fetch->guard);
	free(fetch->ca_file);
	free(fetch->user_agent);
	free(fetch);
	curl_global_cleanup();
}

static void
count_end(struct fetch_call *call, const struct err *err)
{
	struct fetch_stats *stats = &call->fetch->stats;
	int hundreds = call->reply.status / 100;

	stats->status[hundreds >= 1 && hundreds <= 5 ? hundreds : 0]++;
	if (err == NULL)
		stats->answered++;
	else if (err->code == ERR_FORBIDDEN)
		stats->refused++;
	else
		stats->failed++;
	log_debug("tag=%s method=%s origin=%s status=%d ms=%lld bytes=%lld "
		  "err=%s",
	    call->spec.tag != NULL ? call->spec.tag : "-", call->method,
	    log_text(call->origin), call->reply.status,
	    (long long)call->reply.total_ms, (long long)call->reply.bytes,
	    err != NULL ? err_code_name(err) : "-");
}

static void
call_deliver(struct fetch_call *call, const struct err *err)
{
	count_end(call, err);
	call_unlink(call);
	call->done(&call->reply, err, call->arg);
	call_free(call);
}

static void
hop_reset(struct fetch_call *call)
{
	queue_leave(call);
	easy_close(call);
	headers_reset(call);
	buf_reset(&call->reply.body);
	call->reply.body.full = false;
	call->reply.status = 0;
	call->head_bytes = 0;
	call->refused = call->too_large = call->head_full = false;
	call->bad_range = call->encoded = call->sink_open = false;
	call->body_seen = call->cut = call->paused = false;
	call->draining = false;
	call->disk_errno = 0;
}

/* Sends the request to url, which may be call->url itself. */
static bool
hop_start(struct fetch_call *call, const char *url, struct err *err)
{
	if (!spec_check_hop(call, url, err))
		return false;
	if (url != call->url && !str_copy(call->url, sizeof call->url, url))
		return err_set_name(
		    err, ERR_UPSTREAM, "bad_reply", "the URL is too long");
	return queue_enter(
	    call->untrusted ? &call->fetch->untrusted : &call->fetch->provider,
	    call, err);
}

static void
on_early(void *arg)
{
	struct fetch_call *self = arg;

	call_deliver(self, &self->early_err);
}

void
call_fail_later(struct fetch_call *call)
{
	loop_defer(
	    call->fetch->loop, "fetch early", on_early, call, &call->early);
}

/* The sink as its last call left it, which may have been a cancelled one. */
static void
take_sink(struct fetch_call *call)
{
	struct fetch_sink *sink = call->spec.sink;
	struct sink_file *file = sink->file;

	writer_wait(call->fetch, sink);
	sink->bytes = file->written;
	file->error = 0;
	file->call = call;
	call->fetch->sinks++;
}

void
fetch_start(struct fetch *fetch, struct fetch_spec *spec,
    struct fetch_call **slot, fetch_done_fn *done, void *arg)
{
	struct fetch_call *call = call_new(fetch);
	bool busy = fetch->stats.running >= fetch->max_calls, ok;
	int64_t max;

	assert(!fetch->in_curl);
	call->fetch = fetch;
	call->slot = slot;
	call->done = done;
	call->arg = arg;
	spec_move(&call->spec, spec);
	spec = &call->spec;
	(void)str_copy(call->method, sizeof call->method, spec->method);
	call->start_ms = clock_mono_ms();
	call->deadline_ms = call->start_ms +
	    (spec->timeout_ms > 0	 ? spec->timeout_ms
		    : spec->sink != NULL ? 15 * 60 * 1000
					 : 30000);
	max = spec->sink != NULL ? (int64_t)1 << 30 : 1 << 20;
	call->max_bytes = spec->max_bytes > 0 ? spec->max_bytes : max;
	call->max_head_bytes =
	    spec->max_head_bytes > 0 ? spec->max_head_bytes : 65536;
	buf_init(&call->reply.body,
	    spec->sink != NULL ? ERROR_BODY_MAX : (size_t)call->max_bytes);
	call->next = fetch->calls;
	call->prev = &fetch->calls;
	if (call->next != NULL)
		call->next->prev = &call->next;
	fetch->calls = call;
	*slot = call;
	fetch->stats.started++;
	fetch->stats.running++;
	if (spec->sink != NULL)
		take_sink(call);

	if (busy)
		ok = err_set_name(&call->early_err, ERR_UNAVAILABLE,
		    "fetch_busy", "too many requests are under way");
	else
		ok = spec_check(spec, &call->early_err) &&
		    hop_start(call, spec->url, &call->early_err);
	if (!ok)
		call_fail_later(call);
}

void
fetch_on_progress(struct fetch_call *call, fetch_progress_fn *fn, void *arg)
{
	call->progress = fn;
	call->progress_arg = arg;
}

void
fetch_cancel(struct fetch_call **slot)
{
	struct fetch_call *call = *slot;

	if (call == NULL)
		return;
	assert(!call->fetch->in_curl);
	call->fetch->stats.cancelled++;
	call_unlink(call);
	call_free(call);
}

/* Where a 3xx leads, as an absolute URL, or NULL.  The caller frees. */
static char *
redirect_target(const struct fetch_call *call)
{
	const char *location = fetch_reply_header(&call->reply, "Location");
	char *url = NULL;
	CURLU *u;

	switch (call->reply.status) {
	case 301:
	case 302:
	case 303:
	case 307:
	case 308:
		break;
	default:
		return NULL;
	}
	if (location == NULL || call->spec.max_redirects == 0)
		return NULL;
	u = curl_url();
	if (u == NULL)
		abort();
	if (curl_url_set(u, CURLUPART_URL, call->url, 0) == CURLUE_OK &&
	    curl_url_set(u, CURLUPART_URL, location,
		CURLU_DISALLOW_USER | CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_URL, &url, 0) != CURLUE_OK)
		url = NULL;
	curl_url_cleanup(u);
	return url;
}

/* 303 always becomes a GET; 301 and 302 do for a POST, as browsers do. */
static void
redirect_method(struct fetch_call *call, int status)
{
	bool post = str_eq(call->method, "POST");

	if (str_eq(call->method, "HEAD") || str_eq(call->method, "GET"))
		return;
	if (status == 303 || (post && (status == 301 || status == 302))) {
		(void)str_copy(call->method, sizeof call->method, "GET");
		call->no_body = true;
	}
}

/* true when the call goes on with another hop. */
static bool
call_redirect(struct fetch_call *call, struct err *err)
{
	char *url = redirect_target(call);
	int status = call->reply.status;
	bool ok;

	if (url == NULL)
		return true;
	if (call->reply.redirects == call->spec.max_redirects) {
		curl_free(url);
		return err_set_name(err, ERR_UPSTREAM, "too_many_redirects",
		    "more than %d redirects", call->spec.max_redirects);
	}
	call->reply.redirects++;
	call->fetch->stats.redirects++;
	call->sent_before = true;
	redirect_method(call, status);
	hop_reset(call);
	ok = hop_start(call, url, err);
	curl_free(url);
	return ok;
}

/* Their file is not what ours is the start of: once more, from zero. */
static bool
call_restart(struct fetch_call *call, struct err *err)
{
	if (call->reply.status != 416 || !call->resuming || call->restarted)
		return true;
	call->restarted = true;
	sink_reset(call->spec.sink);
	hop_reset(call);
	return hop_start(call, call->url, err);
}

/* The file has all that came, or as much as it took. */
static bool
call_drained(struct fetch_call *call, CURLcode code)
{
	struct fetch_sink *sink = call->spec.sink;
	struct sink_file *file;

	if (!call->sink_open)
		return true;
	call->draining = true;
	call->drain_code = code;
	if (!writer_flush(call->fetch, sink))
		return false;
	file = sink->file;
	sink->bytes = file->written;
	if (call->disk_errno == 0)
		call->disk_errno = file->error;
	return true;
}

void
call_finish(struct fetch_call *call, CURLcode code)
{
	struct err err = {0};
	bool head = str_eq(call->method, "HEAD"), ok;

	/* An empty body still decides about the file. */
	if (code == CURLE_OK && !head && !intake_begin(call))
		code = CURLE_WRITE_ERROR;
	if (!call_drained(call, code))
		return; /* multi_written() comes back */
	ok = outcome_read(call, code, &err);
	queue_leave(call);
	if (ok) {
		ok = call_redirect(call, &err) && call_restart(call, &err);
		if (ok && call->host != NULL)
			return; /* under way again */
	} else if (call->bad_range)
		sink_reset(call->spec.sink);
	if (ok && call->sink_open) {
		call->reply.has_sha256 = true;
		sink_sum(call->spec.sink, call->reply.sha256);
	}
	call_deliver(call, ok ? NULL : &err);
}

const struct fetch_stats *
fetch_stats(const struct fetch *fetch)
{
	return &fetch->stats;
}
