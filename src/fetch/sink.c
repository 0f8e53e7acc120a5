/*
 * sink.c - a file that a download grows, with its running SHA-256.  The bytes
 * are written by writer.c; making the file durable is the storage module's
 * work, on a pool thread.
 */
#include "fetch/sink.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
hash_reset(struct sink_file *file)
{
	if (file->hash == NULL ||
	    EVP_DigestInit_ex(file->hash, EVP_sha256(), NULL) != 1)
		abort();
}

void
fetch_sink_init(struct fetch_sink *sink, int fd)
{
	struct sink_file *file = xcalloc(1, sizeof *file);

	memset(sink, 0, sizeof *sink);
	sink->fd = fd;
	sink->file = file;
	file->refs = 1;
	/* Without one the first write fails, as it would with a full disk. */
	file->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	file->hash = EVP_MD_CTX_new();
	hash_reset(file);
}

void
sink_file_release(struct sink_file *file)
{
	if (--file->refs > 0)
		return;
	if (file->fd >= 0)
		close(file->fd);
	EVP_MD_CTX_free(file->hash);
	free(file->filling);
	free(file);
}

void
fetch_sink_fini(struct fetch_sink *sink)
{
	struct sink_file *file = sink->file;

	if (file == NULL)
		return;
	sink->file = NULL;
	file->dropped = true;
	sink_file_release(file);
}

void
sink_reset(struct fetch_sink *sink)
{
	struct sink_file *file = sink->file;

	sink->bytes = 0;
	sink->etag[0] = '\0';
	file->written = 0;
	file->error = 0;
	hash_reset(file);
}

void
sink_sum(const struct fetch_sink *sink, uint8_t sum[32])
{
	const struct sink_file *file = sink->file;
	EVP_MD_CTX *copy = EVP_MD_CTX_new();

	/* A copy: the sink may still grow in a later call. */
	if (copy == NULL || EVP_MD_CTX_copy_ex(copy, file->hash) != 1 ||
	    EVP_DigestFinal_ex(copy, sum, NULL) != 1)
		abort();
	EVP_MD_CTX_free(copy);
}
