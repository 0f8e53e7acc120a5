/*
 * encode.h - the writing half of a rendition: an MP4 on a descriptor
 * (output.c) and the tracks that go into it (encode.c).
 */
#ifndef MEDIA_ENCODE_H
#define MEDIA_ENCODE_H

#include <libavutil/audio_fifo.h>
#include <libswresample/swresample.h>
#include <libswscale/swscale.h>

#include "media/helper/helper.h"

struct output {
	struct job *job;
	AVFormatContext *format;
	int64_t pos, size;
	int error; /* errno of a failed write */
};
bool
output_open(struct output *output, struct job *job, struct err *err) REELD_MUST;
bool output_begin(struct output *output, struct err *err) REELD_MUST;
bool output_end(struct output *output, struct err *err) REELD_MUST;
/* Takes the packet's contents, times in `base`. */
bool output_packet(struct output *output, AVStream *st, AVPacket *packet,
    AVRational base, struct err *err) REELD_MUST;
void output_close(struct output *output); /* safe twice */

/* One stream in, one stream out: copied, or decoded and encoded. */
struct track {
	struct output *output;
	AVStream *in, *out;
	AVCodecContext *decoder, *encoder; /* NULL: copied */
	struct SwsContext *sws;
	int sws_w, sws_h, sws_format;
	struct SwrContext *swr;
	AVAudioFifo *fifo;
	int64_t last; /* pts of the last picture; samples sent so far */
	bool started;
};
bool track_copy(struct track *track, struct output *output, AVStream *in,
    struct err *err) REELD_MUST;
bool track_video(struct track *track, struct output *output,
    struct source *source, struct err *err) REELD_MUST;
bool track_audio(struct track *track, struct output *output,
    struct source *source, struct err *err) REELD_MUST;
/* NULL at the end. */
bool
track_feed(struct track *track, AVPacket *packet, struct err *err) REELD_MUST;
void track_close(struct track *track); /* safe twice, and when zeroed */

/* audio.c: a decoded frame, or NULL at the end. */
bool
audio_frame(struct track *track, AVFrame *frame, struct err *err) REELD_MUST;
/* encode.c: one frame into the encoder, packets out. */
bool
track_encode(struct track *track, AVFrame *frame, struct err *err) REELD_MUST;

#endif
