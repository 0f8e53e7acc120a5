/*
 * rendition.c - a copy that every browser plays: H.264 and AAC in MP4 with
 * the index first and without metadata.  Tracks already in shape are copied.
 */
#include <string.h>

#include "media/helper/encode.h"
#include "reeld/clock.h"
#include "reeld/mem.h"

/* Progress at least this often, for the server's patience. */
enum { REPORT_PACKETS = 8 };

struct rendition {
	struct job *job;
	struct source source;
	struct output output;
	struct track video, audio;
	int packets;
};

static bool
copies_video(const AVCodecParameters *par)
{
	return par->codec_id == AV_CODEC_ID_H264 &&
	    (par->format == AV_PIX_FMT_YUV420P ||
		par->format == AV_PIX_FMT_YUVJ420P);
}

/* A quarter turn stays what it was: a note to the player. */
static bool
keep_rotation(struct rendition *self, struct err *err)
{
	size_t size = 0;
	const uint8_t *matrix = av_stream_get_side_data(
	    self->source.video, AV_PKT_DATA_DISPLAYMATRIX, &size);
	uint8_t *copy;

	if (matrix == NULL || self->job->result.info.rotation == 0)
		return true;
	copy = av_stream_new_side_data(
	    self->video.out, AV_PKT_DATA_DISPLAYMATRIX, size);
	if (copy == NULL)
		return invalid(err, "The video needs too much memory.");
	memcpy(copy, matrix, size);
	return true;
}

static bool
open_tracks(struct rendition *self, struct err *err)
{
	struct source *source = &self->source;
	bool ok;

	if (copies_video(source->video->codecpar))
		ok =
		    track_copy(&self->video, &self->output, source->video, err);
	else
		ok = track_video(&self->video, &self->output, source, err);
	if (!ok || !keep_rotation(self, err))
		return false;
	if (source->audio == NULL)
		return true;
	if (source->audio->codecpar->codec_id == AV_CODEC_ID_AAC &&
	    source->audio->codecpar->extradata_size > 0)
		return track_copy(
		    &self->audio, &self->output, source->audio, err);
	return track_audio(&self->audio, &self->output, source, err);
}

static void
report(struct rendition *self, const AVPacket *packet, const AVStream *st)
{
	int64_t length = self->source.format->duration, at;

	if (self->packets++ % REPORT_PACKETS != 0 ||
	    self->job->progress == NULL)
		return;
	at = packet->dts == AV_NOPTS_VALUE
	    ? 0
	    : av_rescale_q(packet->dts, st->time_base, AV_TIME_BASE_Q);
	at = at < 0 ? 0 : at > length ? length : at;
	self->job->progress((int)(at * 99 / length), self->job->progress_arg);
}

static bool
transfer(struct rendition *self, struct err *err)
{
	AVPacket *packet = av_packet_alloc();
	bool ok = packet != NULL;

	while (ok && av_read_frame(self->source.format, packet) == 0) {
		AVStream *st =
		    self->source.format->streams[packet->stream_index];

		/* A silence between reports is what is limited here. */
		self->job->deadline_ms =
		    clock_mono_ms() + self->job->request.deadline_ms;
		report(self, packet, st);
		if (st == self->source.video)
			ok = track_feed(&self->video, packet, err);
		else if (st == self->source.audio)
			ok = track_feed(&self->audio, packet, err);
		av_packet_unref(packet);
	}
	av_packet_free(&packet);
	return ok && track_feed(&self->video, NULL, err) &&
	    (self->source.audio == NULL || track_feed(&self->audio, NULL, err));
}

bool
rendition_make(struct job *job, struct err *err)
{
	struct rendition self = {.job = job};
	bool ok = source_open(&self.source, job, err) &&
	    output_open(&self.output, job, err) && open_tracks(&self, err) &&
	    output_begin(&self.output, err) && transfer(&self, err) &&
	    output_end(&self.output, err);

	if (ok) {
		job->result.width = self.video.out->codecpar->width;
		job->result.height = self.video.out->codecpar->height;
		job->result.size_bytes = self.output.size;
		str_copy(
		    job->result.type, sizeof job->result.type, "video/mp4");
	}
	track_close(&self.video);
	track_close(&self.audio);
	output_close(&self.output);
	source_close(&self.source);
	return ok;
}
