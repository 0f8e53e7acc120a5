/*
 * source.c - opens a video from a descriptor, with no way to any other file,
 * and decides whether we accept it.
 */
#include <errno.h>
#include <libavutil/display.h>
#include <libavutil/pixdesc.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "media/helper/helper.h"
#include "reeld/clock.h"
#include "reeld/mem.h"

enum {
	IO_BYTES = 64 << 10,
	MAX_SIDE = 8192,
	MIN_SIDE = 16,
	MAX_PIXELS = 4096 * 4096,
	MAX_DURATION_S = 600,
	MAX_FPS = 240
};

static const char CODECS[] = "h264,hevc,vp8,vp9,av1,libdav1d,aac,opus,"
			     "mp3,mp3float,vorbis";

bool
invalid(struct err *err, const char *what)
{
	return err_set_name(err, ERR_INVALID, "media_invalid", "%s", what);
}

bool
job_late(const struct job *job)
{
	return clock_mono_ms() > job->deadline_ms;
}

bool
job_run(struct job *job, struct err *err)
{
	struct source source;
	bool ok;

	switch (job->request.op) {
	case OP_POSTER:
		return poster_make(job, err);
	case OP_RENDITION:
		return rendition_make(job, err);
	case OP_IMAGE:
		return image_make(job, err);
	case OP_FIT:
		return fit_make(job, err);
	default:
		ok = source_open(&source, job, err);
		source_close(&source);
		return ok;
	}
}

static int
on_read(void *arg, uint8_t *data, int size)
{
	struct source *self = arg;
	ssize_t n = pread(self->job->in_fd, data, size, self->pos);

	if (n < 0)
		return AVERROR(errno);
	if (n == 0)
		return AVERROR_EOF;
	self->pos += n;
	return n;
}

static int64_t
on_seek(void *arg, int64_t offset, int whence)
{
	struct source *self = arg;
	int64_t size = self->job->request.in_size;

	if (whence == AVSEEK_SIZE)
		return size;
	if (whence == SEEK_CUR)
		offset += self->pos;
	else if (whence == SEEK_END)
		offset += size;
	else if (whence != SEEK_SET)
		return AVERROR(EINVAL);
	if (offset < 0)
		return AVERROR(EINVAL);
	return self->pos = offset;
}

static int
on_interrupt(void *arg)
{
	return job_late(arg);
}

/* A file that names another file or address gets nothing. */
static int
on_open(AVFormatContext *s, AVIOContext **pb, const char *url, int flags,
    AVDictionary **options)
{
	return AVERROR(EACCES);
}

/* Only what its first bytes say it is, whatever libav would guess. */
static const AVInputFormat *
pick_format(struct source *self, bool *webm)
{
	uint8_t head[64] = {0};
	ssize_t n = pread(self->job->in_fd, head, sizeof head, 0);

	*webm = memmem(head, sizeof head, "webm", 4) != NULL;
	if (n == sizeof head && memcmp(head + 4, "ftyp", 4) == 0)
		return av_find_input_format("mov");
	if (n == sizeof head && memcmp(head, "\x1a\x45\xdf\xa3", 4) == 0)
		return av_find_input_format("matroska");
	return NULL;
}

static bool
open_format(struct source *self, const AVInputFormat *format, struct err *err)
{
	uint8_t *buffer = av_malloc(IO_BYTES);
	AVFormatContext *s = avformat_alloc_context();

	self->io = buffer == NULL ? NULL
				  : avio_alloc_context(buffer, IO_BYTES, 0,
					self, on_read, NULL, on_seek);
	if (s == NULL || self->io == NULL) {
		if (self->io == NULL)
			av_free(buffer);
		avformat_free_context(s);
		return invalid(err, "The file needs too much memory.");
	}
	s->pb = self->io;
	s->flags |= AVFMT_FLAG_CUSTOM_IO;
	s->io_open = on_open;
	s->interrupt_callback.callback = on_interrupt;
	s->interrupt_callback.opaque = self->job;
	s->format_whitelist =
	    av_strdup("mov,mp4,m4a,3gp,3g2,mj2,matroska,webm");
	s->protocol_whitelist = av_strdup("none");
	s->codec_whitelist = av_strdup(CODECS);
	s->max_streams = 8;
	s->probesize = 2 << 20;
	s->max_analyze_duration = 5 * AV_TIME_BASE;
	if (avformat_open_input(&s, "", format, NULL) < 0)
		return invalid(err, "The file cannot be opened as a video.");
	self->format = s;
	return true;
}

static void
pick_streams(struct source *self)
{
	self->video = self->audio = NULL;
	for (unsigned i = 0; i < self->format->nb_streams; i++) {
		AVStream *st = self->format->streams[i];
		enum AVMediaType type = st->codecpar->codec_type;

		if (type == AVMEDIA_TYPE_VIDEO && self->video == NULL &&
		    !(st->disposition & AV_DISPOSITION_ATTACHED_PIC))
			self->video = st;
		else if (type == AVMEDIA_TYPE_AUDIO && self->audio == NULL)
			self->audio = st;
		else
			st->discard = AVDISCARD_ALL;
	}
}

/* A rendition needs to know its tracks to the last detail, a glance does not.
 */
static bool
know_streams(struct source *self, struct err *err)
{
	pick_streams(self);
	if (self->job->request.op != OP_RENDITION && source_peek(self))
		return true;
	for (unsigned i = 0; i < self->format->nb_streams; i++)
		self->format->streams[i]->discard = AVDISCARD_DEFAULT;
	if (avformat_find_stream_info(self->format, NULL) < 0)
		return invalid(err, "The video's tracks cannot be read.");
	pick_streams(self);
	return true;
}

/* Clockwise degrees, or -1 when it is not a quarter turn. */
static int
rotation_of(const AVStream *st)
{
	size_t size = 0;
	const uint8_t *matrix =
	    av_stream_get_side_data(st, AV_PKT_DATA_DISPLAYMATRIX, &size);
	double turn;
	int steps;

	if (matrix == NULL || size < 9 * sizeof(int32_t))
		return 0;
	turn = av_display_rotation_get((const int32_t *)matrix);
	if (!isfinite(turn))
		return -1;
	steps = (int)lround(-turn / 90.0);
	if (fabs(-turn - steps * 90.0) > 1.0)
		return -1;
	return ((steps % 4 + 4) % 4) * 90;
}

static bool
check_picture(struct source *self, struct err *err)
{
	struct media_info *info = &self->job->result.info;
	const AVCodecParameters *par = self->video->codecpar;
	AVRational sar;
	int64_t wide;

	if (par->width < MIN_SIDE || par->width > MAX_SIDE ||
	    par->height < MIN_SIDE || par->height > MAX_SIDE ||
	    (int64_t)par->width * par->height > MAX_PIXELS)
		return invalid(err, "The video's size is not accepted.");
	info->coded_width = info->width = par->width;
	info->coded_height = info->height = par->height;
	sar = av_guess_sample_aspect_ratio(self->format, self->video, NULL);
	if (sar.num <= 0 || sar.den <= 0 || av_q2d(sar) < 1 / 16.0 ||
	    av_q2d(sar) > 16)
		sar = (AVRational){1, 1};
	self->sar = sar;
	wide = av_rescale(par->width, sar.num, sar.den);
	info->width = wide < 1 ? 1 : wide > 65536 ? 65536 : wide;
	info->rotation = rotation_of(self->video);
	if (info->rotation < 0)
		return invalid(err, "The video is turned by an odd angle.");
	if (info->rotation % 180 != 0) {
		int w = info->width;

		info->width = info->height;
		info->height = w;
	}
	return true;
}

static bool
check_time(struct source *self, struct err *err)
{
	struct media_info *info = &self->job->result.info;
	AVRational fps = self->video->avg_frame_rate;
	int64_t duration = self->format->duration;

	if (duration == AV_NOPTS_VALUE || duration <= 0 ||
	    duration > MAX_DURATION_S * (int64_t)AV_TIME_BASE)
		return invalid(err, "The video's length is not accepted.");
	info->duration_ms = (duration + 500) / 1000;
	if (info->duration_ms == 0)
		info->duration_ms = 1;
	info->fps_den = 1;
	if (fps.num <= 0 || fps.den <= 0 || self->video->nb_frames == 1)
		return true;
	if (av_q2d(fps) > MAX_FPS + 0.5)
		return invalid(err, "The video has too many frames a second.");
	info->fps_num = fps.num;
	info->fps_den = fps.den;
	return true;
}

static const char *
format_name(const struct source *self, bool webm)
{
	const AVDictionaryEntry *brand =
	    av_dict_get(self->format->metadata, "major_brand", NULL, 0);

	if (strncmp(self->format->iformat->name, "mov", 3) != 0)
		return webm ? "webm" : "matroska";
	return brand != NULL && str_starts(brand->value, "qt") ? "mov" : "mp4";
}

/* What current Chrome, Firefox and Safari all show. */
static bool
playable(const struct source *self, const char *format)
{
	const AVCodecParameters *v = self->video->codecpar;
	enum AVCodecID audio = self->audio == NULL
	    ? AV_CODEC_ID_NONE
	    : self->audio->codecpar->codec_id;
	bool eight = v->format == AV_PIX_FMT_YUV420P ||
	    (v->codec_id == AV_CODEC_ID_H264 &&
		v->format == AV_PIX_FMT_YUVJ420P);

	if (!eight)
		return false;
	if (str_eq(format, "mp4"))
		return (v->codec_id == AV_CODEC_ID_H264 ||
			   v->codec_id == AV_CODEC_ID_AV1 ||
			   v->codec_id == AV_CODEC_ID_VP9) &&
		    (audio == AV_CODEC_ID_NONE || audio == AV_CODEC_ID_AAC ||
			audio == AV_CODEC_ID_MP3 || audio == AV_CODEC_ID_OPUS);
	if (str_eq(format, "webm"))
		return (v->codec_id == AV_CODEC_ID_VP8 ||
			   v->codec_id == AV_CODEC_ID_VP9 ||
			   v->codec_id == AV_CODEC_ID_AV1) &&
		    (audio == AV_CODEC_ID_NONE || audio == AV_CODEC_ID_OPUS ||
			audio == AV_CODEC_ID_VORBIS);
	return false;
}

static bool
accept(struct source *self, bool webm, struct err *err)
{
	struct media_info *info = &self->job->result.info;
	const char *format = format_name(self, webm);
	enum AVCodecID id;

	if (self->video == NULL)
		return invalid(err, "The file has no video track.");
	id = self->video->codecpar->codec_id;
	if (id != AV_CODEC_ID_H264 && id != AV_CODEC_ID_HEVC &&
	    id != AV_CODEC_ID_VP8 && id != AV_CODEC_ID_VP9 &&
	    id != AV_CODEC_ID_AV1)
		return invalid(err, "The video's codec is not accepted.");
	if (!check_picture(self, err) || !check_time(self, err))
		return false;
	str_copy(info->video_codec, MEDIA_CODEC_MAX, avcodec_get_name(id));
	str_copy(info->format, MEDIA_CODEC_MAX, format);
	info->has_audio = self->audio != NULL;
	if (self->audio != NULL)
		str_copy(info->audio_codec, MEDIA_CODEC_MAX,
		    avcodec_get_name(self->audio->codecpar->codec_id));
	info->browser_playable = playable(self, format);
	return true;
}

bool
source_open(struct source *self, struct job *job, struct err *err)
{
	const AVInputFormat *format;
	bool webm;

	*self = (struct source){.job = job};
	job->result = (struct media_result){
	    .info = {.size_bytes = job->request.in_size, .fps_den = 1}};
	format = pick_format(self, &webm);
	if (format == NULL)
		return invalid(err, "The file is not an MP4 or WebM video.");
	return open_format(self, format, err) && know_streams(self, err) &&
	    accept(self, webm, err);
}

void
source_close(struct source *self)
{
	avformat_close_input(&self->format);
	if (self->io != NULL)
		av_freep(&self->io->buffer);
	avio_context_free(&self->io);
}

static AVCodecContext *
open_decoder(AVStream *stream, int threads)
{
	const AVCodec *codec = avcodec_find_decoder(stream->codecpar->codec_id);
	AVCodecContext *ctx = avcodec_alloc_context3(codec);

	if (codec == NULL || ctx == NULL ||
	    avcodec_parameters_to_context(ctx, stream->codecpar) < 0)
		goto fail;
	ctx->pkt_timebase = stream->time_base;
	ctx->thread_count = threads;
	ctx->max_pixels = MAX_PIXELS;
	/* After a seek into an open group the decoder doubts good frames. */
	ctx->flags |= AV_CODEC_FLAG_OUTPUT_CORRUPT;
	ctx->codec_whitelist = av_strdup(CODECS);
	if (avcodec_open2(ctx, codec, NULL) == 0)
		return ctx;
fail:
	avcodec_free_context(&ctx);
	return NULL;
}

AVCodecContext *
source_decoder(
    struct source *self, AVStream *stream, int threads, struct err *err)
{
	AVCodecContext *ctx = open_decoder(stream, threads);

	/* The limit of threads may be used up by others of our user. */
	if (ctx == NULL && threads > 1)
		ctx = open_decoder(stream, 1);
	if (ctx == NULL)
		invalid(err, "A track of the video cannot be decoded.");
	return ctx;
}
