/*
 * stream.c - replies whose body comes bit by bit: events and proxied bodies.
 *
 * The library pulls; when there is nothing the connection is suspended, and
 * the next write resumes it.  The buffer has a hard maximum: a slow client
 * makes http_stream_write() say no, never the memory grow.
 */
#include "http/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct stream {
	struct http_call *call;
	struct buf buf;
	size_t sent; /* bytes of buf that are gone */
	bool closed, aborted, refused;
	loop_fn *on_room;
	void *arg;
	struct loop_defer *room;
};

static size_t
waiting(const struct stream *self)
{
	return self->buf.len - self->sent;
}

static void
on_room(void *arg)
{
	struct stream *self = arg;

	self->on_room(self->arg);
}

static void
tell_room(struct stream *self)
{
	if (!self->refused || self->on_room == NULL || self->room != NULL ||
	    waiting(self) > self->buf.max / 2)
		return;
	self->refused = false;
	loop_defer(self->call->server->loop, "http stream", on_room, self,
	    &self->room);
}

static ssize_t
on_pull(void *cls, uint64_t pos, char *out, size_t max)
{
	struct stream *self = cls;
	size_t n = waiting(self);

	if (self->aborted || self->call->phase == CALL_DEAD)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (n == 0) {
		if (self->closed)
			return MHD_CONTENT_READER_END_OF_STREAM;
		call_suspend(self->call);
		return 0;
	}
	if (n > max)
		n = max;
	memcpy(out, self->buf.data + self->sent, n);
	self->sent += n;
	if (self->sent == self->buf.len) {
		buf_reset(&self->buf);
		self->sent = 0;
	}
	tell_room(self);
	return n;
}

void
http_stream_open(
    struct http_call *call, int status, const struct http_stream *opts)
{
	struct stream *self = xcalloc(1, sizeof *self);
	struct MHD_Response *response;
	loop_fn *gone = call->gone;

	assert(call->stream == NULL && gone != NULL);
	self->call = call;
	self->on_room = opts->on_room;
	self->arg = opts->arg;
	buf_init(
	    &self->buf, opts->max_buffer > 0 ? opts->max_buffer : 256 * 1024);
	call->stream = self;
	call->server->stats.streams++;
	response = MHD_create_response_from_callback(opts->size_bytes >= 0
		? (uint64_t)opts->size_bytes
		: MHD_SIZE_UNKNOWN,
	    16 * 1024, on_pull, self, NULL);
	call_enter(call, CALL_STREAM);
	reply_take(call, status, response, opts->type, LOOK_FILE);
	call->gone = gone; /* a stream can still lose its reader */
}

bool
http_stream_write(struct http_call *call, const void *data, size_t len)
{
	struct stream *self = call->stream;

	assert(self != NULL && !self->closed);
	if (len > self->buf.max - waiting(self)) {
		self->refused = true;
		return false;
	}
	if (self->buf.len + len > self->buf.max) {
		buf_drop(&self->buf, self->sent);
		self->sent = 0;
	}
	buf_add(&self->buf, data, len);
	call_resume(call);
	return true;
}

size_t
http_stream_room(const struct http_call *call)
{
	return call->stream->buf.max - waiting(call->stream);
}

void
http_stream_close(struct http_call *call)
{
	call->gone = NULL;
	call->stream->closed = true;
	loop_defer_cancel(&call->stream->room);
	call->stream->on_room = NULL;
	call_resume(call);
}

void
http_stream_abort(struct http_call *call)
{
	call->stream->aborted = true;
	http_stream_close(call);
}

void
stream_end(struct http_call *call)
{
	struct stream *self = call->stream;

	if (self == NULL)
		return;
	call->stream = NULL;
	call->server->stats.streams--;
	loop_defer_cancel(&self->room);
	buf_fini(&self->buf);
	free(self);
}
