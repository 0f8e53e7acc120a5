/*
 * sink.c - a file that a download grows, with its running SHA-256.
 *
 * Writes go to the page cache in pieces of at most 16 KiB (libcurl's own), so
 * they are short enough for the loop; making the file durable is the
 * storage module's work, on a pool thread.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fetch/internal.h"

static void
hash_reset(struct fetch_sink *sink)
{
	if (sink->hash == NULL)
		sink->hash = EVP_MD_CTX_new();
	if (sink->hash == NULL ||
	    EVP_DigestInit_ex(sink->hash, EVP_sha256(), NULL) != 1)
		abort();
}

void
fetch_sink_init(struct fetch_sink *sink, int fd)
{
	memset(sink, 0, sizeof *sink);
	sink->fd = fd;
	hash_reset(sink);
}

void
fetch_sink_fini(struct fetch_sink *sink)
{
	EVP_MD_CTX_free(sink->hash);
	sink->hash = NULL;
}

void
sink_reset(struct fetch_sink *sink)
{
	sink->bytes = 0;
	sink->etag[0] = '\0';
	hash_reset(sink);
}

bool
sink_write(struct fetch_sink *sink, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = pwrite(sink->fd, p, len, sink->bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		if (n == 0) {
			errno = EIO;
			return false;
		}
		if (EVP_DigestUpdate(sink->hash, p, (size_t)n) != 1)
			abort();
		sink->bytes += n;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

void
sink_sum(const struct fetch_sink *sink, uint8_t sum[32])
{
	EVP_MD_CTX *copy = EVP_MD_CTX_new();

	/* A copy: the sink may still grow in a later call. */
	if (copy == NULL || EVP_MD_CTX_copy_ex(copy, sink->hash) != 1 ||
	    EVP_DigestFinal_ex(copy, sum, NULL) != 1)
		abort();
	EVP_MD_CTX_free(copy);
}
