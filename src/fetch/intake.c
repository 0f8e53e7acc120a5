/*
 * intake.c - where the body of a reply goes: into memory, or into the file that
 * the caller has, when it is the whole of it or the rest.
 */
#include <errno.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

#include "fetch/sink.h"
#include "reeld/clock.h"

/* Is a 206 the rest of what the sink has? */
static bool
range_fits(const struct fetch_call *call)
{
	const char *range = fetch_reply_header(&call->reply, "Content-Range");
	const char *etag = fetch_reply_header(&call->reply, "ETag");
	long long first, last;

	if (range == NULL || strncasecmp(range, "bytes ", 6) != 0 ||
	    sscanf(range + 6, "%lld-%lld/", &first, &last) != 2 ||
	    first != call->spec.sink->bytes || last < first)
		return false;
	return etag == NULL || str_eq(etag, call->spec.sink->etag);
}

/* Called once, with the first bytes of the body or at the end: a file only
 * takes the bytes of a 200, or of a 206 that continues it. */
static bool
open_sink(struct fetch_call *call)
{
	struct fetch_sink *sink = call->spec.sink;
	const char *etag = fetch_reply_header(&call->reply, "ETag");

	if (call->reply.status == 206 && call->resuming) {
		if (!range_fits(call)) {
			call->bad_range = true;
			return false;
		}
		call->fetch->stats.resumed++;
		call->sink_open = true;
		return true;
	}
	if (call->reply.status == 206) {
		call->bad_range = true;
		return false;
	}
	if (call->reply.status != 200)
		return true;
	sink_reset(sink);
	if (ftruncate(sink->fd, 0) != 0) {
		call->disk_errno = errno;
		return false;
	}
	if (etag != NULL && etag[0] == '"' &&
	    !str_copy(sink->etag, sizeof sink->etag, etag))
		sink->etag[0] = '\0';
	call->sink_open = true;
	return true;
}

bool
intake_begin(struct fetch_call *call)
{
	const char *coding;

	if (call->body_seen)
		return true;
	call->body_seen = true;
	coding = fetch_reply_header(&call->reply, "Content-Encoding");
	if (coding != NULL && strcasecmp(coding, "identity") != 0) {
		call->encoded = true;
		return false;
	}
	return call->spec.sink == NULL || open_sink(call);
}

/* To the file; what its thread could not write ends the transfer. */
static size_t
to_sink(struct fetch_call *call, const char *data, size_t len)
{
	struct fetch_sink *sink = call->spec.sink;

	if (call->disk_errno != 0)
		return 0;
	if (sink->bytes + (int64_t)len > call->max_bytes) {
		call->too_large = true;
		return 0;
	}
	if (!writer_take(call->fetch, sink, data, len)) {
		call->paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	return len;
}

size_t
intake_take(char *data, size_t size, size_t count, void *userdata)
{
	struct fetch_call *self = userdata;
	struct fetch_sink *sink = self->spec.sink;
	size_t len = size * count;
	int64_t now;

	if (!intake_begin(self))
		return 0;
	if (self->sink_open) {
		size_t took = to_sink(self, data, len);

		if (took != len)
			return took;
	} else {
		buf_add(&self->reply.body, data, len);
		if (!buf_ok(&self->reply.body)) {
			self->cut = sink != NULL;
			self->too_large = sink == NULL;
			return 0;
		}
	}
	self->fetch->stats.bytes_in += len;
	if (self->progress != NULL) {
		now = clock_mono_ms();
		if (now - self->progress_ms >= 100) {
			self->progress_ms = now;
			self->progress_due = true;
			self->fetch->progress_due = true;
		}
	}
	return len;
}
