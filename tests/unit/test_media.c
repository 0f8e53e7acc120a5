/*
 * test_media.c - probe and poster through real helpers: the exact frame,
 * turned and stretched videos, hostile files, helpers that die or hang.
 */
#include "media_fix.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "reeld/mem.h"

/* Frame n is flat grey; neighbours are far apart. */
#define CODED "lum='16+mod(N*37,217)':cb=128:cr=128"

static int
grey_of_frame(int n)
{
	return n * 37 % 217 * 255 / 219; /* full range, as a JPEG has it */
}

static void
check_grey(const char *name, int n)
{
	int got = grey("poster.jpg", 0, 0, 100, 100), want = grey_of_frame(n);

	if (abs(got - want) > 6)
		fail_msg("%s: grey %d, frame %d has %d", name, got, n, want);
}

static int
setup(void **state)
{
	return fix_open(0);
}

static int
setup_impatient(void **state)
{
	return fix_open(1500);
}

static int
teardown(void **state)
{
	fix_close();
	return 0;
}

TEST(poster_is_the_exact_frame_at_a_tenth)
{
	static const struct {
		const char *name, *rate, *seconds, *codec;
		int frame;
	} rows[] = {
	    /* One key frame: the nearest one is always wrong. */
	    {"long.mp4", "25", "10", "libx264 -g 1000 -bf 3", 25},
	    {"thirty.mp4", "30", "5", "libx264 -g 1000", 15},
	    {"film.mp4", "24", "8", "libx264 -g 7 -bf 2", 19},
	    {"open.mp4", "25", "4",
		"libx264 -g 5 -bf 3 -x264-params open-gop=1", 10},
	    {"hevc.mp4", "25", "4",
		"libx265 -tag:v hvc1 -x265-params "
		"log-level=none:keyint=9:open-gop=1",
		10},
	    {"vp9.webm", "25", "4", "libvpx-vp9 -g 200 -deadline realtime", 10},
	    {"vp8.webm", "25", "2", "libvpx -g 200 -deadline realtime", 5},
	    {"one.mp4", "25", "0.04", "libx264", 0},
	};

	for (size_t i = 0; i < nitems(rows); i++) {
		struct outcome got;

		draw(rows[i].name,
		    "-f lavfi -i \"color=s=160x90:r=%s:d=%s,geq=" CODED
		    "\" -pix_fmt yuv420p -c:v %s",
		    rows[i].rate, rows[i].seconds, rows[i].codec);
		got = job(FIX_POSTER, rows[i].name, "poster.jpg");
		if (!got.ok)
			fail_msg("%s: %s", rows[i].name, got.err.msg);
		CHECK_STR(got.result.type, "image/jpeg");
		CHECK_INT(got.result.width, ==, 480);
		CHECK_INT(got.result.height, ==, 270);
		check_grey(rows[i].name, rows[i].frame);
	}
}

TEST(probe_tells_what_is_in_the_file)
{
	struct outcome got;

	draw("full.mp4",
	    "-f lavfi -i testsrc=s=640x360:r=30:d=3 -f lavfi -i "
	    "sine=d=3 -pix_fmt yuv420p -c:v libx264 -c:a aac -shortest");
	got = job(FIX_PROBE, "full.mp4", NULL);
	CHECK(got.ok);
	CHECK_INT(got.result.info.width, ==, 640);
	CHECK_INT(got.result.info.height, ==, 360);
	CHECK_INT(got.result.info.duration_ms, >=, 2990);
	CHECK_INT(got.result.info.duration_ms, <=, 3100);
	CHECK_INT(got.result.info.fps_num, ==, 30);
	CHECK_INT(got.result.info.fps_den, ==, 1);
	CHECK(got.result.info.has_audio);
	CHECK(got.result.info.browser_playable);
	CHECK_STR(got.result.info.video_codec, "h264");
	CHECK_STR(got.result.info.audio_codec, "aac");
	CHECK_STR(got.result.info.format, "mp4");

	draw("deep.mp4",
	    "-f lavfi -i testsrc=s=640x360:r=30:d=1 -pix_fmt "
	    "yuv420p10le -c:v libx264");
	got = job(FIX_PROBE, "deep.mp4", NULL);
	CHECK(got.ok && !got.result.info.browser_playable);
	CHECK(!got.result.info.has_audio);
	CHECK_STR(got.result.info.audio_codec, "");
	draw("hevc.mov",
	    "-f lavfi -i testsrc=s=640x360:r=30:d=1 -pix_fmt yuv420p "
	    "-c:v libx265 -x265-params log-level=none");
	got = job(FIX_PROBE, "hevc.mov", NULL);
	CHECK(got.ok && !got.result.info.browser_playable);
	CHECK_STR(got.result.info.video_codec, "hevc");
	CHECK_STR(got.result.info.format, "mov");
}

TEST(poster_respects_rotation_pixel_shape_and_odd_sizes)
{
	struct outcome got;

	/* A white corner, top left; rotate= counts against the clock. */
	draw("corner.mp4",
	    "-f lavfi -i color=black:s=320x160:r=25:d=1,drawbox=0:0:160:80:"
	    "white:fill -pix_fmt yuv420p -c:v libx264");
	draw("turned.mp4", "-i corner.mp4 -c copy -metadata:s:v:0 rotate=270");
	got = job(FIX_POSTER, "turned.mp4", "t.jpg");
	CHECK(got.ok);
	CHECK_INT(got.result.info.rotation, ==, 90);
	CHECK_INT(got.result.info.width, ==, 160);
	CHECK_INT(got.result.info.height, ==, 320);
	CHECK_INT(got.result.width, ==, 480);
	CHECK_INT(got.result.height, ==, 960);
	CHECK_INT(grey("t.jpg", 60, 5, 30, 30), >, 240); /* now top right */
	CHECK_INT(grey("t.jpg", 5, 5, 30, 30), <, 15);
	CHECK_INT(grey("t.jpg", 60, 60, 30, 30), <, 15);

	draw("down.mp4", "-i corner.mp4 -c copy -metadata:s:v:0 rotate=180");
	CHECK(job(FIX_POSTER, "down.mp4", "t.jpg").ok);
	CHECK_INT(grey("t.jpg", 60, 60, 30, 30), >, 240);
	draw("left.mp4", "-i corner.mp4 -c copy -metadata:s:v:0 rotate=90");
	CHECK(job(FIX_POSTER, "left.mp4", "t.jpg").ok);
	CHECK_INT(grey("t.jpg", 10, 60, 30, 30), >, 240);

	draw("wide.mp4",
	    "-f lavfi -i color=gray:s=360x288:r=25:d=1,setsar=16/9 "
	    "-pix_fmt yuv420p -c:v libx264");
	got = job(FIX_POSTER, "wide.mp4", "t.jpg");
	CHECK(got.ok);
	CHECK_INT(got.result.info.width, ==, 640);
	CHECK_INT(got.result.height, ==, 216);

	draw("odd.mp4",
	    "-f lavfi -i testsrc=s=177x99:r=25:d=1 -pix_fmt yuv444p "
	    "-c:v libx264");
	got = job(FIX_POSTER, "odd.mp4", "t.jpg");
	CHECK(got.ok);
	CHECK_INT(got.result.height, ==, 268);
}

/* Frame threads, a seek and skipped frames must not change what is shown. */
TEST(poster_is_the_exact_frame_of_large_videos)
{
	static const char *const codecs[] = {"libx264 -preset veryfast -g 24",
	    "libx264 -preset veryfast -g 1000 -bf 3",
	    "libx265 -preset ultrafast -tag:v hvc1 -x265-params "
	    "log-level=none:keyint=100:bframes=3"};

	for (size_t i = 0; i < nitems(codecs); i++) {
		struct outcome got;

		draw("large.mp4",
		    "-f lavfi -i \"color=s=160x90:r=25:d=8,geq=" CODED
		    ",scale=1280:720\" -pix_fmt yuv420p -c:v %s",
		    codecs[i]);
		got = job(FIX_POSTER, "large.mp4", "poster.jpg");
		if (!got.ok)
			fail_msg("%s: %s", codecs[i], got.err.msg);
		check_grey(codecs[i], 20);
	}
}

/* Only the video's own headers know, not the index of the file. */
TEST(probe_reads_the_pixel_shape_of_the_video_itself)
{
	enum { SIZE = 1 << 20 };
	uint8_t *data = xmalloc(SIZE), *pasp;
	struct outcome got;
	size_t n;

	draw("square.mp4",
	    "-f lavfi -i color=gray:s=360x288:r=25:d=1 -pix_fmt yuv420p "
	    "-c:v libx264");
	draw("shape.mp4",
	    "-i square.mp4 -c copy -bsf:v "
	    "h264_metadata=sample_aspect_ratio=16/9");
	n = read_whole("shape.mp4", data, SIZE);
	pasp = memmem(data, n, "pasp", 4);
	CHECK(pasp != NULL);
	memcpy(pasp, "skip", 4);
	write_file("shape.mp4", data, n);
	free(data);
	got = job(FIX_PROBE, "shape.mp4", NULL);
	CHECK(got.ok);
	CHECK_INT(got.result.info.width, ==, 640);
	CHECK_INT(got.result.info.coded_width, ==, 360);
	CHECK(got.result.info.browser_playable);
	got = job(FIX_POSTER, "shape.mp4", "t.jpg");
	CHECK(got.ok);
	CHECK_INT(got.result.height, ==, 216);
}

static void
refused(const char *name)
{
	struct outcome got = job(FIX_POSTER, name, "refused.jpg");

	if (got.ok)
		fail_msg("%s was accepted", name);
	if (got.err.code != ERR_INVALID)
		fail_msg(
		    "%s: %s: %s", name, err_code_name(&got.err), got.err.msg);
	CHECK_STR(got.err.name, "media_invalid");
}

TEST(hostile_files_are_refused_and_hurt_nobody)
{
	static const char playlist[] =
	    "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10.0,\n"
	    "concat:http://127.0.0.1:9/x|file:///etc/passwd\n#EXT-X-ENDLIST\n";
	static const char concat[] =
	    "ffconcat version 1.0\nfile /etc/passwd\nfile good.mp4\n";
	static const uint8_t moov[] = {0, 0, 0, 20, 'f', 't', 'y', 'p', 'i',
	    's', 'o', 'm', 0, 0, 2, 0, 'i', 's', 'o', 'm', 0x7f, 0xff, 0xff,
	    0xff, 'm', 'o', 'o', 'v', 0, 0, 0, 108, 'm', 'v', 'h', 'd'};
	static const uint8_t ebml[] = {0x1a, 0x45, 0xdf, 0xa3, 0x01, 0xff, 0xff,
	    0xff, 0xff, 0xff, 0xff, 0xff, 0x42, 0x86};
	uint8_t *data = xmalloc(4 << 20);
	struct media_stats stats;
	size_t n;

	draw("good.mp4",
	    "-f lavfi -i testsrc=s=320x180:r=25:d=2 -pix_fmt yuv420p "
	    "-c:v libx264");
	n = read_whole("good.mp4", data, 4 << 20);
	write_file("cut.mp4", data, n / 2); /* the index was at the end */
	refused("cut.mp4");
	write_file("head.mp4", data, 20);
	refused("head.mp4");
	write_file("empty.mp4", data, 0);
	refused("empty.mp4");
	write_file("list.mp4", playlist, sizeof playlist - 1);
	refused("list.mp4");
	write_file("concat.mp4", concat, sizeof concat - 1);
	refused("concat.mp4");
	memset(data, 0, 1 << 20);
	memcpy(data, moov, sizeof moov);
	write_file("moov.mp4", data, 1 << 20);
	refused("moov.mp4");
	memset(data, 0xff, 1 << 20);
	memcpy(data, ebml, sizeof ebml);
	write_file("endless.webm", data, 1 << 20);
	refused("endless.webm");
	srandom(1);
	for (size_t i = 0; i < 1 << 20; i++)
		data[i] = random();
	write_file("random.mp4", data, 1 << 20);
	refused("random.mp4");
	memcpy(data + 4, "ftypisom", 8);
	write_file("random2.mp4", data, 1 << 20);
	refused("random2.mp4");
	draw("sound.mp4", "-f lavfi -i sine=d=1 -c:a aac");
	refused("sound.mp4");
	draw("tiny.mp4",
	    "-f lavfi -i testsrc=s=8x8:r=25:d=1 -pix_fmt yuv420p -c:v libx264");
	refused("tiny.mp4");
	draw("mpeg4.mp4", "-f lavfi -i testsrc=s=64x64:r=25:d=1 -c:v mpeg4");
	refused("mpeg4.mp4");
	draw("fast.mp4",
	    "-f lavfi -i testsrc=s=64x64:r=500:d=1 -pix_fmt yuv420p "
	    "-c:v libx264");
	refused("fast.mp4");
	draw("long.mp4",
	    "-f lavfi -i color=s=16x16:r=1:d=700 -pix_fmt yuv420p "
	    "-c:v libx264");
	refused("long.mp4");
	CHECK(job(FIX_POSTER, "good.mp4", "good.jpg").ok);
	media_pool_stats(fix.pool, &stats);
	CHECK_INT(stats.helpers_lost, ==, 0); /* refused, not crashed */
	free(data);
}

/* Good files with flipped bytes: any answer will do, the server lives. */
TEST(damaged_files_get_an_answer)
{
	static const char *const names[] = {"f.mp4", "f.webm", "g.mp4"};
	uint8_t *data = xmalloc(1 << 20), *bad = xmalloc(1 << 20);

	draw("f.mp4",
	    "-f lavfi -i testsrc=s=96x64:r=25:d=2 -pix_fmt yuv420p "
	    "-c:v libx264 -movflags faststart");
	draw("g.mp4",
	    "-f lavfi -i testsrc=s=96x64:r=25:d=2 -pix_fmt yuv420p "
	    "-c:v libx265 -x265-params log-level=none");
	draw("f.webm",
	    "-f lavfi -i testsrc=s=96x64:r=25:d=2 -c:v libvpx-vp9 "
	    "-deadline realtime");
	srandom(7);
	for (int i = 0; i < 60; i++) {
		size_t n = read_whole(names[i % 3], data, 1 << 20);
		struct outcome got;

		memcpy(bad, data, n);
		for (int k = 0; k < 20; k++)
			bad[(i % 2 ? 0 : 16) + random() % (n - 16)] = random();
		write_file("bad", bad, n);
		got = job(FIX_POSTER, "bad", "bad.jpg");
		CHECK(got.ok || got.err.code == ERR_INVALID ||
		    got.err.code == ERR_TIMEOUT);
	}
	CHECK(job(FIX_POSTER, "f.mp4", "f.jpg").ok);
	free(data);
	free(bad);
}

/* Pictures and sound arrive, in a shape for browsers, index first. */
TEST(rendition_makes_hevc_and_opus_playable)
{
	uint8_t *data = xmalloc(4 << 20);
	struct outcome got;
	size_t n;

	draw("in.mkv",
	    "-f lavfi -i color=black:s=320x160:r=25:d=2,drawbox=0:0:160:80:"
	    "white:fill -f lavfi -i sine=d=2 -pix_fmt yuv420p10le -c:v libx265 "
	    "-x265-params log-level=none -c:a libopus -metadata title=secret");
	got = job(FIX_RENDITION, "in.mkv", "out.mp4");
	if (!got.ok)
		fail_msg("%s", got.err.msg);
	CHECK_STR(got.result.type, "video/mp4");
	CHECK_STR(got.result.info.video_codec, "hevc");
	CHECK_INT(got.result.width, ==, 320);
	CHECK_STR(ffprobe("out.mp4", "stream=codec_name,pix_fmt,nb_frames"),
	    "h264,yuv420p,50 aac,95 ");
	CHECK_INT(grey("out.mp4", 5, 5, 30, 30), >, 225);
	CHECK_INT(grey("out.mp4", 60, 60, 30, 30), <, 25);
	n = read_whole("out.mp4", data, 4 << 20);
	CHECK_INT(n, ==, got.result.size_bytes);
	CHECK(memmem(data, n, "moov", 4) < memmem(data, n, "mdat", 4));
	CHECK(memmem(data, n, "secret", 6) == NULL);
	got = job(FIX_PROBE, "out.mp4", NULL);
	CHECK(got.ok && got.result.info.browser_playable);
	CHECK_INT(got.result.info.duration_ms, >=, 1990);
	CHECK_INT(got.result.info.duration_ms, <=, 2060);
	free(data);
}

TEST(rendition_copies_what_is_in_shape_and_keeps_rotation)
{
	struct outcome got;

	draw("plain.mp4",
	    "-f lavfi -i testsrc=s=320x180:r=25:d=2 -f lavfi -i sine=d=2 "
	    "-pix_fmt yuv420p -c:v libx264 -c:a aac");
	draw("turn.mov", "-i plain.mp4 -c copy -metadata:s:v:0 rotate=90");
	got = job(FIX_RENDITION, "turn.mov", "out.mp4");
	if (!got.ok)
		fail_msg("%s", got.err.msg);
	got = job(FIX_PROBE, "out.mp4", NULL);
	CHECK(got.ok && got.result.info.browser_playable);
	CHECK_INT(got.result.info.rotation, ==, 270);
	CHECK_INT(got.result.info.duration_ms, >=, 1990);
	CHECK_INT(got.result.info.duration_ms, <=, 2060);

	draw("vp9.webm",
	    "-f lavfi -i testsrc=s=321x181:r=25:d=1 -c:v libvpx-vp9 "
	    "-pix_fmt yuv444p -deadline realtime");
	got = job(FIX_RENDITION, "vp9.webm", "out.mp4");
	if (!got.ok)
		fail_msg("%s", got.err.msg);
	CHECK_INT(got.result.width, ==, 320);
	CHECK_STR(
	    ffprobe("out.mp4", "stream=codec_name,nb_frames"), "h264,25 ");
}

static void
draw_small(void)
{
	draw("small.mp4",
	    "-f lavfi -i testsrc=s=96x64:r=25:d=1 -pix_fmt yuv420p "
	    "-c:v libx264");
}

TEST(a_helper_killed_in_a_job_fails_that_job_only)
{
	struct outcome got = {0};
	struct media_stats stats;
	siginfo_t died;
	int pid;

	draw_small();
	CHECK(job(FIX_POSTER, "small.mp4", "s.jpg").ok);
	pid = helper_pid();
	CHECK_INT(pid, >, 0);
	CHECK_INT(kill(pid, SIGSTOP), ==, 0); /* it will take the job ... */
	job_begin(FIX_POSTER, "small.mp4", "s.jpg", NULL, &got);
	do {
		media_pool_stats(fix.pool, &stats);
	} while (stats.running == 0);
	loop_run_for(fix.loop, 50);
	CHECK_INT(fix.pending, ==, 1);
	CHECK_INT(kill(pid, SIGKILL), ==, 0); /* ... and never answer */
	loop_run(fix.loop);
	CHECK(!got.ok);
	CHECK_INT(got.err.code, ==, ERR_UNAVAILABLE);
	CHECK_STR(got.err.name, "media_killed");
	CHECK(job(FIX_POSTER, "small.mp4", "s.jpg").ok);
	CHECK(helper_pid() != pid);

	/* Killed while idle: nobody's job. */
	pid = helper_pid();
	CHECK_INT(kill(pid, SIGKILL), ==, 0);
	CHECK_INT(waitid(P_PID, pid, &died, WEXITED | WNOWAIT), ==, 0);
	CHECK(job(FIX_POSTER, "small.mp4", "s.jpg").ok);
}

TEST(a_hung_helper_is_replaced)
{
	struct outcome got;
	int pid;

	draw_small();
	CHECK(job(FIX_POSTER, "small.mp4", "s.jpg").ok);
	pid = helper_pid();
	CHECK_INT(kill(pid, SIGSTOP), ==, 0);
	got = job(FIX_POSTER, "small.mp4", "s.jpg");
	CHECK(!got.ok);
	CHECK_INT(got.err.code, ==, ERR_TIMEOUT);
	CHECK_STR(got.err.name, "media_timeout");
	CHECK_INT(kill(pid, 0), ==, -1); /* reaped */
	CHECK(job(FIX_POSTER, "small.mp4", "s.jpg").ok);
}

static void
on_forbidden(const struct media_result *r, const struct err *e, void *arg)
{
	fail_msg("called after cancel");
}

TEST(cancel_and_free_are_silent)
{
	struct work *slot = NULL;
	FILE *in, *out;

	draw_small();
	in = fopen(fix_path("small.mp4"), "r");
	out = fopen(fix_path("s.jpg"), "w+");
	media_poster_start(
	    fix.pool, fileno(in), fileno(out), &slot, on_forbidden, NULL);
	CHECK(slot != NULL);
	work_cancel(&slot);
	CHECK(slot == NULL);
	CHECK(job(FIX_PROBE, "small.mp4", NULL).ok);
	media_poster_start(
	    fix.pool, fileno(in), fileno(out), &slot, on_forbidden, NULL);
	fclose(in);
	fclose(out);
	media_pool_free(fix.pool);
	fix.pool = NULL;
	CHECK(slot == NULL);
	CHECK_INT(helper_pid(), ==, 0);
}

/* Processor time that the helper has taken. */
static int64_t
helper_ms(void)
{
	clockid_t clock;
	struct timespec t;

	CHECK_INT(clock_getcpuclockid(helper_pid(), &clock), ==, 0);
	CHECK_INT(clock_gettime(clock, &t), ==, 0);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

TEST(a_cancelled_rendition_is_killed)
{
	struct work *slot = NULL;
	struct media_stats stats;
	int64_t before;
	FILE *in, *out;

	draw_small();
	draw("long.mkv",
	    "-f lavfi -i testsrc2=s=1280x720:r=30:d=10 -pix_fmt yuv420p "
	    "-c:v libvpx-vp9 -deadline realtime -cpu-used 8");
	CHECK(job(FIX_PROBE, "long.mkv", NULL).ok);
	in = fopen(fix_path("long.mkv"), "r");
	out = fopen(fix_path("out.mp4"), "w+");
	before = helper_ms();
	media_rendition_start(
	    fix.pool, fileno(in), fileno(out), &slot, on_forbidden, NULL);
	/* A thread that runs may not have asked it yet. */
	while (helper_ms() < before + 20)
		continue;
	work_cancel(&slot);
	CHECK(job(FIX_PROBE, "small.mp4", NULL).ok);
	media_pool_stats(fix.pool, &stats);
	CHECK_INT(stats.helpers_started, ==, 2); /* the first was encoding */
	CHECK_INT(stats.helpers_lost, ==, 0);
	fclose(in);
	fclose(out);
}

/* Short jobs pass a rendition that waits, and all of them arrive. */
TEST(many_jobs_on_several_helpers)
{
	const char *helper = getenv("REEL_MEDIA");
	struct media_opts opts = {
	    .threads = 3, .helper = helper != NULL ? helper : "./reel-media"};
	struct outcome got[24] = {0};
	struct media_stats stats;
	char name[32];

	draw_small();
	media_pool_free(fix.pool);
	fix.pool = media_pool_new(fix.loop, &opts);
	for (size_t i = 0; i < nitems(got); i++) {
		snprintf(name, sizeof name, "many%zu", i);
		job_begin(i % 4 == 0 ? FIX_RENDITION : FIX_POSTER, "small.mp4",
		    name, NULL, &got[i]);
	}
	loop_run(fix.loop);
	for (size_t i = 0; i < nitems(got); i++) {
		CHECK(got[i].ok);
		CHECK_STR(got[i].result.type,
		    i % 4 == 0 ? "video/mp4" : "image/jpeg");
	}
	media_pool_stats(fix.pool, &stats);
	CHECK_INT(stats.jobs_done, ==, 24);
	CHECK_INT(stats.helpers_lost, ==, 0);
	CHECK_INT(stats.running + stats.waiting, ==, 0);
}

TEST(a_missing_helper_is_an_error_not_a_hang)
{
	struct media_opts opts = {.threads = 1, .helper = "/nonexistent"};
	struct outcome got;

	draw_small();
	media_pool_free(fix.pool);
	fix.pool = media_pool_new(fix.loop, &opts);
	got = job(FIX_PROBE, "small.mp4", NULL);
	CHECK(!got.ok);
	CHECK_INT(got.err.code, ==, ERR_UNAVAILABLE);
}

#define MEDIA_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    MEDIA_TEST(poster_is_the_exact_frame_at_a_tenth),
	    MEDIA_TEST(probe_tells_what_is_in_the_file),
	    MEDIA_TEST(poster_respects_rotation_pixel_shape_and_odd_sizes),
	    MEDIA_TEST(poster_is_the_exact_frame_of_large_videos),
	    MEDIA_TEST(probe_reads_the_pixel_shape_of_the_video_itself),
	    MEDIA_TEST(hostile_files_are_refused_and_hurt_nobody),
	    MEDIA_TEST(damaged_files_get_an_answer),
	    MEDIA_TEST(rendition_makes_hevc_and_opus_playable),
	    MEDIA_TEST(rendition_copies_what_is_in_shape_and_keeps_rotation),
	    MEDIA_TEST(a_helper_killed_in_a_job_fails_that_job_only),
	    cmocka_unit_test_setup_teardown(
		a_hung_helper_is_replaced, setup_impatient, teardown),
	    MEDIA_TEST(cancel_and_free_are_silent),
	    MEDIA_TEST(a_cancelled_rendition_is_killed),
	    MEDIA_TEST(many_jobs_on_several_helpers),
	    MEDIA_TEST(a_missing_helper_is_an_error_not_a_hang),
	};

	if (system("ffmpeg -version >/dev/null 2>&1") != 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
