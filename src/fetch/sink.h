/*
 * sink.h - what is behind a fetch_sink: its file with the running hash, shared
 * by the loop and the thread of writer.c.
 */
#ifndef FETCH_SINK_H
#define FETCH_SINK_H

#include <openssl/evp.h>
#include <stdatomic.h>

#include "fetch/internal.h"

struct chunk;

struct sink_file {
	/* The loop's. */
	int refs;		 /* the sink, and each chunk on its way */
	int pending;		 /* chunks that have not come back */
	struct chunk *filling;	 /* not on its way yet */
	struct fetch_call *call; /* wants to know of each that comes back */

	atomic_bool dropped; /* nobody wants the rest */
	int queued;	     /* chunks not written yet; the writer's lock */

	/* The thread's while a chunk is queued, else the loop's. */
	int fd; /* a duplicate: the owner may close his after a cancel */
	int error;
	int64_t written;
	EVP_MD_CTX *hash;
};
void sink_file_release(struct sink_file *file);

/* From zero; no chunk may be queued. */
void sink_reset(struct fetch_sink *sink);
void sink_sum(const struct fetch_sink *sink, uint8_t sum[32]);

/* writer.c; the thread starts with the first chunk. */
void writer_free(struct writer *writer);
/* False when the file has to wait: multi_written() tells. */
bool writer_take(
    struct fetch *fetch, struct fetch_sink *sink, const void *data, size_t len);
/* Sends off what is left; true when all of it has come back. */
bool writer_flush(struct fetch *fetch, struct fetch_sink *sink);
/* Until no chunk is queued.  Blocks: only for a sink whose last call was
 * cancelled a moment ago. */
void writer_wait(struct fetch *fetch, struct fetch_sink *sink);

#endif
