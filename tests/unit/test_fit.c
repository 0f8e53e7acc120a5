/*
 * test_fit.c - input images within a provider's limits: the arithmetic, and
 * real pictures through the sandboxed helper.
 */
#include "media_fix.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "reeld/fit.h"
#include "reeld/mem.h"

static int
setup(void **state)
{
	return fix_open(0);
}

static int
teardown(void **state)
{
	fix_close();
	return 0;
}

static const struct {
	struct fit fit;
	struct fit_image image;
	bool ok;
} accepted[] = {
    {{0}, {0}, true},
    {{.max_bytes = 10}, {.bytes = 10}, true},
    {{.max_bytes = 10}, {.bytes = 11}, false},
    {{.max_bytes = 10}, {0}, false}, /* not known */
    {{.max_side = 100}, {.width = 100, .height = 99}, true},
    {{.max_side = 100}, {.width = 99, .height = 101}, false},
    {{.max_side = 100}, {0}, false},
    {{.min_side = 100}, {.width = 100, .height = 300}, true},
    {{.min_side = 100}, {.width = 99, .height = 300}, false},
    {{.max_pixels = 100}, {.width = 10, .height = 10}, true},
    {{.max_pixels = 100}, {.width = 10, .height = 11}, false},
    {{.min_ratio = 500, .max_ratio = 2000}, {.width = 200, .height = 100},
	true},
    {{.min_ratio = 500, .max_ratio = 2000}, {.width = 201, .height = 100},
	false},
    {{.min_ratio = 500, .max_ratio = 2000}, {.width = 100, .height = 201},
	false},
    {{.width = 1280, .height = 720}, {.width = 1280, .height = 720}, true},
    {{.width = 1280, .height = 720}, {.width = 1280, .height = 721}, false},
    {{.formats = FIT_JPEG}, {.mime = "image/jpeg"}, true},
    {{.formats = FIT_JPEG}, {.mime = "image/png"}, false},
    {{.formats = FIT_JPEG | FIT_PNG}, {.mime = "image/png"}, true},
    {{.formats = FIT_JPEG | FIT_PNG}, {.mime = "image/webp"}, false},
    {{.formats = FIT_JPEG}, {0}, false},
};

TEST(what_fits)
{
	for (size_t i = 0; i < nitems(accepted); i++)
		if (fit_accepts(&accepted[i].fit, &accepted[i].image) !=
		    accepted[i].ok)
			fail_msg("row %d", (int)i);
}

/* Every size against every demand: the plan lies in the picture and fits. */
TEST(every_plan_fits)
{
	static const struct fit fits[] = {{0}, {.max_side = 512},
	    {.min_side = 300}, {.min_side = 300, .max_side = 2000},
	    {.max_pixels = 1000000}, {.min_ratio = 400, .max_ratio = 2500},
	    {.min_ratio = 400, .max_ratio = 2500, .min_side = 300},
	    {.width = 1280, .height = 720}, {.width = 720, .height = 1280},
	    {.min_side = 301,
		.max_side = 1024,
		.max_pixels = 700000,
		.min_ratio = 500,
		.max_ratio = 2000}};
	static const int sides[] = {
	    1, 2, 17, 64, 299, 300, 301, 511, 720, 1000, 1280, 4096, 8192};
	int made = 0, cases = 0;

	for (size_t f = 0; f < nitems(fits); f++)
		for (size_t i = 0; i < nitems(sides); i++)
			for (size_t k = 0; k < nitems(sides); k++) {
				struct fit_plan p;
				struct fit_image image;

				cases++;
				if (!fit_plan(&fits[f], sides[i], sides[k], &p))
					continue;
				made++;
				CHECK(
				    p.x >= 0 && p.y >= 0 && p.w > 0 && p.h > 0);
				CHECK(p.x + p.w <= sides[i]);
				CHECK(p.y + p.h <= sides[k]);
				image = (struct fit_image){
				    .width = p.width, .height = p.height};
				/* A ratio may be off by a rounded pixel. */
				if (fits[f].min_ratio != 0) {
					CHECK_INT(p.w * 1000LL, <=,
					    fits[f].max_ratio * (p.h + 1LL));
					CHECK_INT((p.w + 1) * 1000LL, >=,
					    fits[f].min_ratio * (int64_t)p.h);
				} else if (!fit_accepts(&fits[f], &image)) {
					fail_msg("%d: %dx%d -> %dx%d", (int)f,
					    sides[i], sides[k], p.width,
					    p.height);
				}
			}
	CHECK_INT(made, >, cases * 2 / 3);
}

static void
on_fit(const struct media_result *result, const struct err *err, void *arg)
{
	struct outcome *out = arg;

	out->ok = err == NULL;
	if (err != NULL)
		out->err = *err;
	else
		out->result = *result;
	loop_stop(fix.loop);
}

/* memfd: output goes to an anonymous file, as the engine does it. */
static struct outcome
fit(const char *in, const struct fit *limits)
{
	struct outcome out = {0};
	int in_fd = open(fix_path(in), O_RDONLY | O_CLOEXEC);
	int out_fd = memfd_create("fit", MFD_CLOEXEC);
	char copy[64], *bytes;
	ssize_t n;

	CHECK(in_fd >= 0 && out_fd >= 0);
	media_fit_start(
	    fix.pool, in_fd, out_fd, limits, &fix.slot, on_fit, &out);
	loop_run(fix.loop);
	if (out.ok) {
		bytes = xmalloc((size_t)out.result.size_bytes);
		n = pread(out_fd, bytes, (size_t)out.result.size_bytes, 0);
		CHECK_INT(n, ==, out.result.size_bytes);
		snprintf(copy, sizeof copy, "out.%s",
		    str_eq(out.result.type, "image/png") ? "png" : "jpg");
		write_file(copy, bytes, (size_t)n);
		free(bytes);
	}
	close(in_fd);
	close(out_fd);
	return out;
}

static struct outcome
fits(const char *in, struct fit limits, int w, int h)
{
	struct outcome out = fit(in, &limits);
	struct fit_image image = {out.result.size_bytes, out.result.width,
	    out.result.height, out.result.type};

	if (!out.ok)
		fail_msg("%s: %s", in, out.err.msg);
	CHECK_INT(out.result.width, ==, w);
	CHECK_INT(out.result.height, ==, h);
	CHECK(fit_accepts(&limits, &image));
	return out;
}

TEST(pictures)
{
	struct outcome out;

	draw("wide.png",
	    "-f lavfi -i color=black:s=1600x400,format=rgb24,"
	    "drawbox=600:0:400:400:white:fill -frames:v 1");
	draw("noise.png",
	    "-f lavfi -i nullsrc=s=1200x1200,geq=random\\(1\\)*255:128:128 "
	    "-frames:v 1");
	draw("tiny.png", "-f lavfi -i testsrc=s=40x30 -frames:v 1");
	draw("alpha.png",
	    "-f lavfi -i color=red@0.5:s=64x48,format=rgba -frames:v 1");

	/* Cut from the middle, not squeezed: the white square is all there. */
	fits("wide.png", (struct fit){.width = 512, .height = 512}, 512, 512);
	CHECK_INT(grey("out.jpg", 2, 2, 96, 96), >, 250);
	fits("wide.png", (struct fit){.max_ratio = 2000, .max_side = 400}, 400,
	    200);
	CHECK_INT(grey("out.jpg", 0, 0, 20, 100), <, 5);
	CHECK_INT(grey("out.jpg", 30, 0, 40, 100), >, 250);
	/* Grown, within reason. */
	fits("tiny.png", (struct fit){.min_side = 100}, 134, 100);
	out = fit("tiny.png", &(struct fit){.min_side = 300});
	CHECK(!out.ok);
	CHECK_STR(out.err.name, "media_invalid");
	/* Bytes: what can't be squeezed by quality is made smaller. */
	out = fit("noise.png", &(struct fit){.max_bytes = 200000});
	CHECK(out.ok);
	CHECK_INT(out.result.size_bytes, <=, 200000);
	CHECK_INT(out.result.width, ==, out.result.height);
	out = fit("noise.png",
	    &(struct fit){.max_bytes = 20000, .width = 1200, .height = 1200});
	CHECK(!out.ok);
	/* Formats. */
	out = fits("alpha.png", (struct fit){.formats = FIT_JPEG}, 64, 48);
	CHECK_STR(out.result.type, "image/jpeg");
	out = fits("wide.png", (struct fit){.formats = FIT_PNG, .max_side = 80},
	    80, 20);
	CHECK_STR(out.result.type, "image/png");
}

TEST(what_is_no_picture)
{
	struct outcome out;

	write_file("text.png", "hello", 5);
	out = fit("text.png", &(struct fit){.max_side = 100});
	CHECK(!out.ok);
	CHECK_INT(out.err.code, ==, ERR_MEDIA_TYPE);
	/* And the helper is still good. */
	draw("ok.png", "-f lavfi -i testsrc=s=200x100 -frames:v 1");
	fits("ok.png", (struct fit){.max_side = 100}, 100, 50);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_fits),
	    cmocka_unit_test(every_plan_fits),
	    cmocka_unit_test(pictures),
	    cmocka_unit_test(what_is_no_picture),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
