/*
 * writer.c - the thread that writes downloads to their files.
 *
 * A write to the page cache waits for the disk when too much is dirty already,
 * and hashing takes as long as copying.  So the loop only fills chunks; this
 * thread writes and hashes them in order and hands them back.  A file has at
 * most DEPTH chunks on their way: beyond that its download pauses until one
 * comes back, which bounds both memory and what a turn of the loop takes in.
 */
#define LOG_MODULE "fetch"
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fetch/sink.h"
#include "reeld/log.h"

enum {
	CHUNK_BYTES = 64 * 1024,
	DEPTH = 6,
	/* Of all files together; each may always have one. */
	MAX_CHUNKS = 64
};

struct chunk {
	struct chunk *next;
	struct sink_file *file;
	size_t len;
	char data[CHUNK_BYTES];
};

struct list {
	struct chunk *head, **tail;
};

struct writer {
	struct fetch *fetch;
	struct loop_io *io;
	int event_fd;
	int in_flight;	     /* the loop's */
	struct chunk *spare; /* the loop's */

	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows, and file->queued */
	pthread_cond_t wake, idle;
	struct list queue, done;
	bool stopping;
};

static void
list_add(struct list *list, struct chunk *chunk)
{
	chunk->next = NULL;
	*list->tail = chunk;
	list->tail = &chunk->next;
}

static struct chunk *
list_take(struct list *list)
{
	struct chunk *chunk = list->head;

	if (chunk != NULL && (list->head = chunk->next) == NULL)
		list->tail = &list->head;
	return chunk;
}

/* After an error nothing more is written until the file begins anew. */
static void
write_chunk(struct sink_file *file, const struct chunk *chunk)
{
	const char *p = chunk->data;
	size_t left = chunk->len;

	while (left > 0 && file->error == 0 && !file->dropped) {
		ssize_t n = pwrite(file->fd, p, left, file->written);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			file->error = n < 0 ? errno : EIO;
			return;
		}
		if (EVP_DigestUpdate(file->hash, p, (size_t)n) != 1)
			abort();
		file->written += n;
		p += n;
		left -= (size_t)n;
	}
}

static void *
writer_main(void *arg)
{
	struct writer *self = arg;
	const uint64_t one = 1;

	pthread_mutex_lock(&self->lock);
	while (!self->stopping) {
		struct chunk *chunk = list_take(&self->queue);

		if (chunk == NULL) {
			pthread_cond_wait(&self->wake, &self->lock);
			continue;
		}
		pthread_mutex_unlock(&self->lock);
		write_chunk(chunk->file, chunk);
		pthread_mutex_lock(&self->lock);
		if (--chunk->file->queued == 0)
			pthread_cond_signal(&self->idle);
		/* Only a full counter refuses, and then it is readable. */
		if (self->done.head == NULL &&
		    write(self->event_fd, &one, sizeof one) < 0)
			log_error("msg=\"eventfd: %s\"", strerror(errno));
		list_add(&self->done, chunk);
	}
	pthread_mutex_unlock(&self->lock);
	return NULL;
}

static void
chunk_free(struct writer *self, struct chunk *chunk)
{
	sink_file_release(chunk->file);
	chunk->file = NULL;
	chunk->next = self->spare;
	self->spare = chunk;
	self->in_flight--;
}

static void
drop_spares(struct writer *self)
{
	struct chunk *chunk;

	while ((chunk = self->spare) != NULL) {
		self->spare = chunk->next;
		free(chunk);
	}
}

static void
on_written(int fd, int events, void *arg)
{
	struct writer *self = arg;
	struct chunk *chunk, *next;
	uint64_t count;

	if (read(fd, &count, sizeof count) < 0)
		return;
	pthread_mutex_lock(&self->lock);
	chunk = self->done.head;
	self->done.head = NULL;
	self->done.tail = &self->done.head;
	pthread_mutex_unlock(&self->lock);
	for (; chunk != NULL; chunk = next) {
		struct sink_file *file = chunk->file;

		next = chunk->next;
		file->pending--;
		/* Runs others' code, which may end any call but not us. */
		if (file->call != NULL)
			multi_written(file->call);
		chunk_free(self, chunk);
	}
	if (self->in_flight == 0 && self->fetch->sinks == 0)
		drop_spares(self);
}

static struct writer *
writer_new(struct fetch *fetch)
{
	struct writer *self = xcalloc(1, sizeof *self);
	sigset_t all, old;
	int rc;

	self->fetch = fetch;
	self->queue.tail = &self->queue.head;
	self->done.tail = &self->done.head;
	pthread_mutex_init(&self->lock, NULL);
	pthread_cond_init(&self->wake, NULL);
	pthread_cond_init(&self->idle, NULL);
	self->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (self->event_fd < 0)
		abort();
	self->io = loop_io_new(
	    fetch->loop, self->event_fd, "fetch written", on_written, self);
	loop_io_set(self->io, LOOP_READ);
	/* Signals belong to the loop. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&self->thread, NULL, writer_main, self);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0) {
		log_error("msg=\"no thread: %s\"", strerror(rc));
		abort();
	}
	return self;
}

void
writer_free(struct writer *self)
{
	struct chunk *chunk;

	if (self == NULL)
		return;
	pthread_mutex_lock(&self->lock);
	self->stopping = true;
	pthread_cond_signal(&self->wake);
	pthread_mutex_unlock(&self->lock);
	pthread_join(self->thread, NULL);
	while ((chunk = list_take(&self->queue)) != NULL) {
		chunk->file->queued--;
		chunk->file->pending--;
		chunk_free(self, chunk);
	}
	while ((chunk = list_take(&self->done)) != NULL) {
		chunk->file->pending--;
		chunk_free(self, chunk);
	}
	drop_spares(self);
	loop_io_free(&self->io);
	close(self->event_fd);
	pthread_cond_destroy(&self->wake);
	pthread_cond_destroy(&self->idle);
	pthread_mutex_destroy(&self->lock);
	free(self);
}

static struct chunk *
chunk_new(struct writer *self)
{
	struct chunk *chunk = self->spare;

	if (chunk != NULL)
		self->spare = chunk->next;
	else
		chunk = xmalloc(sizeof *chunk);
	chunk->len = 0;
	return chunk;
}

static void
submit(struct writer *self, struct sink_file *file)
{
	struct chunk *chunk = file->filling;

	file->filling = NULL;
	chunk->file = file;
	file->refs++;
	file->pending++;
	self->in_flight++;
	pthread_mutex_lock(&self->lock);
	file->queued++;
	list_add(&self->queue, chunk);
	pthread_cond_signal(&self->wake);
	pthread_mutex_unlock(&self->lock);
}

bool
writer_take(
    struct fetch *fetch, struct fetch_sink *sink, const void *data, size_t len)
{
	struct sink_file *file = sink->file;
	struct writer *self = fetch->writer;

	assert(len <= CHUNK_BYTES); /* libcurl's pieces are of 16 KiB */
	if (self == NULL)
		self = fetch->writer = writer_new(fetch);
	if (file->filling != NULL && file->filling->len + len > CHUNK_BYTES)
		submit(self, file);
	if (file->filling == NULL) {
		if (file->pending > 0 &&
		    (file->pending >= DEPTH || self->in_flight >= MAX_CHUNKS))
			return false;
		file->filling = chunk_new(self);
	}
	memcpy(file->filling->data + file->filling->len, data, len);
	file->filling->len += len;
	sink->bytes += (int64_t)len;
	return true;
}

bool
writer_flush(struct fetch *fetch, struct fetch_sink *sink)
{
	struct sink_file *file = sink->file;

	if (file->filling != NULL)
		submit(fetch->writer, file);
	return file->pending == 0;
}

void
writer_wait(struct fetch *fetch, struct fetch_sink *sink)
{
	struct sink_file *file = sink->file;
	struct writer *self = fetch->writer;

	if (file->pending == 0)
		return;
	pthread_mutex_lock(&self->lock);
	while (file->queued > 0)
		pthread_cond_wait(&self->idle, &self->lock);
	pthread_mutex_unlock(&self->lock);
}
