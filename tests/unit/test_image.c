/*
 * test_image.c - uploads of still images: what is accepted is re-encoded,
 * turned upright and stripped; what pretends is refused.
 */
#include "media_fix.h"

#include <stdlib.h>

#include "media/helper/helper.h"
#include "reeld/mem.h"

enum { ROOM = 32 << 20 };

static uint8_t *bytes;

static int
setup(void **state)
{
	bytes = xmalloc(ROOM);
	return fix_open(0);
}

static int
teardown(void **state)
{
	fix_close();
	free(bytes);
	return 0;
}

static struct outcome
image(const char *in, int max_side, enum media_image_format format)
{
	struct media_image_opts opts = {max_side, format};
	struct outcome outcome = {0};

	job_begin(FIX_IMAGE, in, "out", &opts, &outcome);
	loop_run(fix.loop);
	return outcome;
}

static void
check(const char *in, int max_side, enum media_image_format format,
    const char *type, int w, int h)
{
	struct outcome got = image(in, max_side, format);

	if (!got.ok)
		fail_msg("%s: %s", in, got.err.msg);
	CHECK_STR(got.result.type, type);
	CHECK_INT(got.result.width, ==, w);
	CHECK_INT(got.result.height, ==, h);
}

#define CORNER                                                                 \
	"-f lavfi -i \"color=black:s=320x160,format=rgb24,drawbox=0:0:160:80:" \
	"white:fill\" -frames:v 1 "

TEST(good_images_are_encoded_again)
{
	draw("a.png", CORNER);
	check("a.png", 0, MEDIA_IMAGE_AUTO, "image/jpeg", 320, 160);
	CHECK_INT(grey("out", 5, 5, 30, 30), >, 245);
	CHECK_INT(grey("out", 60, 60, 30, 30), <, 10);
	check("a.png", 100, MEDIA_IMAGE_AUTO, "image/jpeg", 100, 50);
	check("a.png", 0, MEDIA_IMAGE_PNG, "image/png", 320, 160);
	CHECK_INT(grey("out", 5, 5, 30, 30), ==, 255);

	draw("a.jpg", CORNER "-metadata comment=secret -q:v 2");
	check("a.jpg", 0, MEDIA_IMAGE_AUTO, "image/jpeg", 320, 160);
	CHECK(
	    memmem(bytes, read_whole("out", bytes, ROOM), "secret", 6) == NULL);
	draw("a.webp", CORNER "-c:v libwebp");
	check("a.webp", 0, MEDIA_IMAGE_AUTO, "image/jpeg", 320, 160);
	CHECK_INT(grey("out", 5, 5, 30, 30), >, 240);
	draw("l.webp", CORNER "-c:v libwebp -lossless 1");
	check("l.webp", 0, MEDIA_IMAGE_PNG, "image/png", 320, 160);

	draw("alpha.png",
	    "-f lavfi -i color=red@0.5:s=64x48,format=rgba -frames:v 1");
	check("alpha.png", 0, MEDIA_IMAGE_AUTO, "image/png", 64, 48);
	check("alpha.png", 0, MEDIA_IMAGE_JPEG, "image/jpeg", 64, 48);
	draw("opaque.png",
	    "-f lavfi -i color=red:s=64x48,format=rgba -frames:v 1");
	check("opaque.png", 0, MEDIA_IMAGE_AUTO, "image/jpeg", 64, 48);
	draw(
	    "grey.png", "-f lavfi -i color=gray:s=1x1,format=gray -frames:v 1");
	check("grey.png", 0, MEDIA_IMAGE_AUTO, "image/jpeg", 1, 1);
}

/* Puts an EXIF orientation behind the JPEG's start marker. */
static void
write_turned(const char *name, const uint8_t *jpeg, size_t n, int orientation)
{
	uint8_t exif[] = {0xff, 0xd8, 0xff, 0xe1, 0, 34, 'E', 'x', 'i', 'f', 0,
	    0, 'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0,
	    orientation, 0, 0, 0, 0, 0, 0};
	uint8_t *out = xmalloc(n + sizeof exif);

	memcpy(out, exif, sizeof exif);
	memcpy(out + sizeof exif, jpeg + 2, n - 2);
	write_file(name, out, n + sizeof exif - 2);
	free(out);
}

TEST(exif_orientation_is_applied)
{
	/* Where the white corner goes: right?, down? */
	static const struct {
		int orientation, right, down;
	} rows[] = {{1, 0, 0}, {2, 1, 0}, {3, 1, 1}, {4, 0, 1}, {5, 0, 0},
	    {6, 1, 0}, {7, 1, 1}, {8, 0, 1}};
	size_t n;

	draw("a.jpg", CORNER "-q:v 2");
	n = read_whole("a.jpg", bytes, ROOM);
	for (size_t i = 0; i < nitems(rows); i++) {
		bool across = rows[i].orientation >= 5;

		write_turned("t.jpg", bytes, n, rows[i].orientation);
		check("t.jpg", 0, MEDIA_IMAGE_AUTO, "image/jpeg",
		    across ? 160 : 320, across ? 320 : 160);
		for (int k = 0; k < 4; k++) {
			bool here =
			    (k & 1) == rows[i].right && k >> 1 == rows[i].down;
			int got = grey(
			    "out", k & 1 ? 60 : 10, k >> 1 ? 60 : 10, 30, 30);

			if ((got > 128) != here)
				fail_msg("orientation %d, quarter %d: %d",
				    rows[i].orientation, k, got);
		}
	}
}

static void
refused(const char *name, enum err_code code)
{
	struct outcome got = image(name, 0, MEDIA_IMAGE_AUTO);

	if (got.ok)
		fail_msg("%s was accepted", name);
	if (got.err.code != code)
		fail_msg(
		    "%s: %s: %s", name, err_code_name(&got.err), got.err.msg);
}

static void
refused_text(const char *name, const char *text, enum err_code code)
{
	write_file(name, text, strlen(text));
	refused(name, code);
}

TEST(pretenders_are_refused)
{
	static const char page[] = "<html><script>alert(1)</script></html>";
	struct media_stats stats;
	size_t n;

	refused_text("svg.png",
	    "<svg xmlns=\"http://www.w3.org/2000/svg\"><script/></svg>",
	    ERR_MEDIA_TYPE);
	refused_text("html.png", page, ERR_MEDIA_TYPE);
	refused_text(
	    "gif.png", "GIF89a\1\1\1\1 and so on and on", ERR_MEDIA_TYPE);
	refused_text("list.jpg", "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/\n",
	    ERR_MEDIA_TYPE);
	refused_text("none.png", "", ERR_MEDIA_TYPE);
	draw("a.gif", CORNER);
	refused("a.gif", ERR_MEDIA_TYPE);

	draw("a.png", CORNER);
	n = read_whole("a.png", bytes, ROOM);
	memcpy(bytes + n, page, sizeof page);
	write_file("poly.png", bytes, n + sizeof page);
	refused("poly.png", ERR_INVALID);
	write_file("cut.png", bytes, n - 20);
	refused("cut.png", ERR_INVALID);
	bytes[n / 2] ^= 0x55; /* a broken checksum */
	write_file("bad.png", bytes, n);
	refused("bad.png", ERR_INVALID);
	n = read_whole("a.png", bytes, ROOM);
	memcpy(bytes + 16, "\0\0\x75\x30\0\0\x75\x30", 8); /* 30,000 square */
	write_file("huge.png", bytes, n);
	refused("huge.png", ERR_INVALID);

	draw("a.jpg", CORNER);
	n = read_whole("a.jpg", bytes, ROOM);
	memcpy(bytes + n, page, sizeof page);
	write_file("poly.jpg", bytes, n + sizeof page);
	refused("poly.jpg", ERR_INVALID);
	write_file("cut.jpg", bytes, 100);
	refused("cut.jpg", ERR_INVALID);
	memset(bytes + n, 0, ROOM - n);
	write_file("heavy.jpg", bytes, (20 << 20) + 1);
	refused("heavy.jpg", ERR_TOO_LARGE);
	srandom(3);
	for (int i = 0; i < 100000; i++)
		bytes[i] = random();
	memcpy(bytes, "\x89PNG\r\n\x1a\n", 8);
	write_file("random.png", bytes, 100000);
	refused("random.png", ERR_INVALID);

	check("a.jpg", 0, MEDIA_IMAGE_AUTO, "image/jpeg", 320, 160);
	media_pool_stats(fix.pool, &stats);
	CHECK_INT(stats.helpers_lost, ==, 0);
}

/* Every prefix and many damages: an answer, and never a byte too far
 * (the buffer is exact, for AddressSanitizer). */
TEST(headers_are_read_within_bounds)
{
	static const char *const names[] = {"h.png", "h.jpg", "h.webp"};
	struct image_head head;
	int good = 0;

	draw("h.png", CORNER);
	draw("h.jpg", CORNER);
	draw("h.webp", CORNER "-c:v libwebp");
	srandom(5);
	for (size_t i = 0; i < nitems(names); i++) {
		size_t n = read_whole(names[i], bytes, ROOM);

		for (size_t len = 0; len <= n; len++) {
			uint8_t *copy = xmalloc(len + 1);

			/* Up against the end of its block. */
			memcpy(copy + 1, bytes, len);
			good += image_head_read(copy + 1, len, &head, NULL);
			for (int k = 0; k < 4 && len > 20; k++)
				copy[1 + 12 + random() % (len - 12)] = random();
			good += image_head_read(copy + 1, len, &head, NULL);
			free(copy);
		}
		CHECK(image_head_read(bytes, n, &head, NULL));
		CHECK_INT(head.width, ==, 320);
		CHECK_INT(head.height, ==, 160);
	}
	CHECK_INT(good, >, 0);
}

#define MEDIA_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    MEDIA_TEST(good_images_are_encoded_again),
	    MEDIA_TEST(exif_orientation_is_applied),
	    MEDIA_TEST(pretenders_are_refused),
	    MEDIA_TEST(headers_are_read_within_bounds),
	};

	if (system("ffmpeg -version >/dev/null 2>&1") != 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
