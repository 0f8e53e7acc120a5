/* file.c - files as replies: Range, If-Range, entity tags, sendfile. */
#include "http/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void
refuse_range(struct http_call *call, int64_t size)
{
	char text[48];

	snprintf(text, sizeof text, "bytes */%" PRId64, size);
	http_reply_header(call, "Content-Range", text);
	call->etag[0] = '\0';
	reply_take(call, 416,
	    MHD_create_response_from_buffer(
		0, (void *)"", MHD_RESPMEM_PERSISTENT),
	    NULL, LOOK_FILE);
}

static enum range
wanted(struct http_call *call, int64_t size, int64_t *from, int64_t *length)
{
	const char *if_range = http_header(call, "If-Range");

	*from = 0;
	*length = size;
	if (call->head.method != HTTP_GET && call->head.method != HTTP_HEAD)
		return RANGE_NONE;
	/* Only the exact file may be continued; dates are not served. */
	if (if_range != NULL &&
	    (call->etag[0] == '\0' || !etag_is(if_range, call->etag)))
		return RANGE_NONE;
	return range_parse(http_header(call, "Range"), size, from, length);
}

void
http_reply_file(struct http_call *call, int fd, int64_t size_bytes,
    const struct http_file *file)
{
	enum reply_look look = file->sandbox ? LOOK_SANDBOX : LOOK_FILE;
	struct MHD_Response *response;
	int64_t from, length;
	enum range range;
	char text[700];

	if (file->etag != NULL)
		http_etag(call, file->etag);
	if (file->cache != NULL)
		http_cache(call, file->cache);
	http_reply_header(call, "Accept-Ranges", "bytes");
	if (call->etag[0] != '\0' &&
	    etag_matches(http_header(call, "If-None-Match"), call->etag)) {
		close(fd);
		reply_take(call, 304,
		    MHD_create_response_from_buffer(
			0, (void *)"", MHD_RESPMEM_PERSISTENT),
		    NULL, look);
		return;
	}
	range = wanted(call, size_bytes, &from, &length);
	if (range == RANGE_BAD) {
		close(fd);
		refuse_range(call, size_bytes);
		return;
	}
	if (file->filename != NULL || file->attachment) {
		disposition(file->attachment,
		    file->filename != NULL ? file->filename : "", text,
		    sizeof text);
		http_reply_header(call, "Content-Disposition", text);
	}
	if (range == RANGE_OK) {
		snprintf(text, sizeof text,
		    "bytes %" PRId64 "-%" PRId64 "/%" PRId64, from,
		    from + length - 1, size_bytes);
		http_reply_header(call, "Content-Range", text);
	}
	if (length == 0) {
		close(fd);
		response = MHD_create_response_from_buffer(
		    0, (void *)"", MHD_RESPMEM_PERSISTENT);
	} else {
		response =
		    MHD_create_response_from_fd_at_offset64(length, fd, from);
	}
	reply_take(
	    call, range == RANGE_OK ? 206 : 200, response, file->type, look);
}
