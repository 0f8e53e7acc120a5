/*
 * audio.c - sound of any accepted codec as stereo AAC at 48 kHz: converted,
 * cut into the encoder's frame size, counted in samples.
 */
#include <libavutil/channel_layout.h>

#include "media/helper/encode.h"

enum { RATE = 48000, BITRATE = 160000, CHUNK = 4096 };

static bool
cannot(struct err *err)
{
	return invalid(err, "The sound cannot be converted.");
}

static bool
open_converter(struct track *self, struct err *err)
{
	AVChannelLayout stereo = AV_CHANNEL_LAYOUT_STEREO;
	AVChannelLayout in = {0};
	int rc = 0;

	if (self->decoder->sample_rate <= 0 ||
	    self->decoder->ch_layout.nb_channels <= 0 ||
	    self->decoder->ch_layout.nb_channels > 8)
		return cannot(err);
	if (self->decoder->ch_layout.order == AV_CHANNEL_ORDER_UNSPEC)
		av_channel_layout_default(
		    &in, self->decoder->ch_layout.nb_channels);
	else
		rc = av_channel_layout_copy(&in, &self->decoder->ch_layout);
	if (rc == 0)
		rc = swr_alloc_set_opts2(&self->swr, &stereo,
		    AV_SAMPLE_FMT_FLTP, RATE, &in, self->decoder->sample_fmt,
		    self->decoder->sample_rate, 0, NULL);
	av_channel_layout_uninit(&in);
	self->fifo = av_audio_fifo_alloc(AV_SAMPLE_FMT_FLTP, 2, CHUNK);
	if (rc < 0 || swr_init(self->swr) < 0 || self->fifo == NULL)
		return cannot(err);
	return true;
}

bool
track_audio(struct track *self, struct output *output, struct source *source,
    struct err *err)
{
	const AVCodec *codec = avcodec_find_encoder(AV_CODEC_ID_AAC);

	self->output = output;
	self->in = source->audio;
	self->out = avformat_new_stream(output->format, NULL);
	self->decoder = source_decoder(source, source->audio, 1, err);
	if (self->decoder == NULL)
		return false;
	self->encoder = avcodec_alloc_context3(codec);
	if (codec == NULL || self->encoder == NULL || self->out == NULL)
		return cannot(err);
	self->encoder->sample_rate = RATE;
	self->encoder->sample_fmt = AV_SAMPLE_FMT_FLTP;
	self->encoder->bit_rate = BITRATE;
	self->encoder->ch_layout = (AVChannelLayout)AV_CHANNEL_LAYOUT_STEREO;
	self->encoder->time_base = (AVRational){1, RATE};
	self->encoder->thread_count = 1;
	self->encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
	if (avcodec_open2(self->encoder, codec, NULL) < 0 ||
	    avcodec_parameters_from_context(
		self->out->codecpar, self->encoder) < 0)
		return cannot(err);
	self->out->time_base = self->encoder->time_base;
	return open_converter(self, err);
}

static AVFrame *
sound_new(int samples)
{
	AVFrame *frame = av_frame_alloc();

	if (frame == NULL)
		return NULL;
	frame->nb_samples = samples;
	frame->format = AV_SAMPLE_FMT_FLTP;
	frame->sample_rate = RATE;
	frame->ch_layout = (AVChannelLayout)AV_CHANNEL_LAYOUT_STEREO;
	if (av_frame_get_buffer(frame, 0) < 0)
		av_frame_free(&frame);
	return frame;
}

/* Whole encoder frames, and the rest at the end. */
static bool
send_sound(struct track *self, bool all, struct err *err)
{
	int size = self->encoder->frame_size, have;
	bool ok = true;

	while (ok && (have = av_audio_fifo_size(self->fifo)) > 0 &&
	    (all || have >= size)) {
		int n = have < size ? have : size;
		AVFrame *frame = sound_new(n);

		if (frame == NULL)
			return cannot(err);
		av_audio_fifo_read(self->fifo, (void **)frame->data, n);
		frame->pts = self->last;
		self->last += n;
		ok = track_encode(self, frame, err);
		av_frame_free(&frame);
	}
	return ok;
}

/* Sound that begins late stays late. */
static void
start_clock(struct track *self, const AVFrame *frame)
{
	int64_t at = frame->best_effort_timestamp;

	if (self->started)
		return;
	self->started = true;
	if (at != AV_NOPTS_VALUE)
		self->last = av_rescale_q(
		    at, self->in->time_base, self->encoder->time_base);
}

bool
audio_frame(struct track *self, AVFrame *frame, struct err *err)
{
	int n = frame == NULL ? 0 : frame->nb_samples, got;
	AVFrame *out;

	if (frame != NULL) {
		/* A stream that changes its shape half-way is refused. */
		if (frame->format != self->decoder->sample_fmt ||
		    frame->ch_layout.nb_channels !=
			self->decoder->ch_layout.nb_channels)
			return cannot(err);
		start_clock(self, frame);
	}
	out = sound_new(swr_get_out_samples(self->swr, n) + CHUNK);
	if (out == NULL)
		return cannot(err);
	got = swr_convert(self->swr, out->data, out->nb_samples,
	    frame == NULL ? NULL : (const uint8_t **)frame->extended_data, n);
	if (got > 0)
		got = av_audio_fifo_write(self->fifo, (void **)out->data, got);
	av_frame_free(&out);
	if (got < 0)
		return cannot(err);
	return send_sound(self, frame == NULL, err);
}
