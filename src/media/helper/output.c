/*
 * output.c - an MP4 written to a descriptor.  Moving the index to the front
 * reads the file again while writing it: both go through the same descriptor.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "media/helper/encode.h"
#include "reeld/clock.h"

enum { IO_BYTES = 256 << 10 };

struct reader {
	int fd;
	int64_t pos, size;
};

static int
on_write(void *arg, uint8_t *data, int size)
{
	struct output *self = arg;

	for (int done = 0; done < size;) {
		ssize_t n = pwrite(
		    self->job->out_fd, data + done, size - done, self->pos);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			self->error = errno;
			return AVERROR(errno);
		}
		done += n;
		self->pos += n;
	}
	if (self->pos > self->size)
		self->size = self->pos;
	return size;
}

static int64_t
on_seek(void *arg, int64_t offset, int whence)
{
	struct output *self = arg;

	if (whence == AVSEEK_SIZE)
		return self->size;
	if (whence != SEEK_SET || offset < 0)
		return AVERROR(EINVAL);
	return self->pos = offset;
}

static int
on_read_back(void *arg, uint8_t *data, int size)
{
	struct reader *reader = arg;
	ssize_t n = pread(reader->fd, data, size, reader->pos);

	if (n <= 0)
		return n < 0 ? AVERROR(errno) : AVERROR_EOF;
	reader->pos += n;
	return n;
}

static int64_t
on_seek_back(void *arg, int64_t offset, int whence)
{
	struct reader *reader = arg;

	if (whence == AVSEEK_SIZE)
		return reader->size;
	if (whence != SEEK_SET || offset < 0)
		return AVERROR(EINVAL);
	return reader->pos = offset;
}

/* The muxer opens "itself" to move the index: that, and nothing else. */
static int
on_open(AVFormatContext *s, AVIOContext **pb, const char *url, int flags,
    AVDictionary **options)
{
	struct output *self = s->opaque;
	struct reader *reader = av_mallocz(sizeof *reader);
	uint8_t *buffer = av_malloc(IO_BYTES);

	if (reader != NULL && buffer != NULL && flags == AVIO_FLAG_READ) {
		reader->fd = self->job->out_fd;
		reader->size = self->size;
		*pb = avio_alloc_context(buffer, IO_BYTES, 0, reader,
		    on_read_back, NULL, on_seek_back);
		if (*pb != NULL)
			return 0;
	}
	av_free(buffer);
	av_free(reader);
	return AVERROR(EACCES);
}

static int
on_close(AVFormatContext *s, AVIOContext *pb)
{
	if (pb != NULL) {
		av_free(pb->opaque);
		av_freep(&pb->buffer);
		avio_context_free(&pb);
	}
	return 0;
}

static bool
failed(const struct output *self, struct err *err)
{
	if (self->error != 0)
		return err_set(err, ERR_STORAGE,
		    "The rendition cannot be written: %s.",
		    strerror(self->error));
	return invalid(err, "The rendition cannot be written.");
}

bool
output_open(struct output *self, struct job *job, struct err *err)
{
	uint8_t *buffer = av_malloc(IO_BYTES);

	self->job = job;
	if (buffer == NULL ||
	    avformat_alloc_output_context2(&self->format, NULL, "mp4", "") <
		0) {
		av_free(buffer);
		return failed(self, err);
	}
	self->format->opaque = self;
	self->format->io_open = on_open;
	self->format->io_close2 = on_close;
	self->format->flags |= AVFMT_FLAG_CUSTOM_IO | AVFMT_FLAG_BITEXACT;
	self->format->pb = avio_alloc_context(
	    buffer, IO_BYTES, 1, self, NULL, on_write, on_seek);
	if (self->format->pb == NULL) {
		av_free(buffer);
		return failed(self, err);
	}
	return true;
}

bool
output_begin(struct output *self, struct err *err)
{
	AVDictionary *options = NULL;
	int rc;

	av_dict_set(&options, "movflags", "+faststart", 0);
	rc = avformat_write_header(self->format, &options);
	av_dict_free(&options);
	return rc >= 0 || failed(self, err);
}

bool
output_packet(struct output *self, AVStream *st, AVPacket *packet,
    AVRational base, struct err *err)
{
	packet->stream_index = st->index;
	packet->pos = -1;
	av_packet_rescale_ts(packet, base, st->time_base);
	return av_interleaved_write_frame(self->format, packet) >= 0 ||
	    failed(self, err);
}

bool
output_end(struct output *self, struct err *err)
{
	if (av_write_trailer(self->format) < 0)
		return failed(self, err);
	avio_flush(self->format->pb);
	return self->error == 0 || failed(self, err);
}

void
output_close(struct output *self)
{
	if (self->format == NULL)
		return;
	if (self->format->pb != NULL) {
		av_freep(&self->format->pb->buffer);
		avio_context_free(&self->format->pb);
	}
	avformat_free_context(self->format);
	self->format = NULL;
}
