# media: blocking file work and sandboxed libav helpers.
libreeld_a_SOURCES += src/media/work.c src/media/media.c src/media/jobs.c \
	src/media/client.c src/media/fit.c src/media/internal.h \
	src/media/proto.h include/reeld/media.h include/reeld/fit.h
UNIT_TESTS += tests/unit/test_work

# The helper's rooms: libav, libseccomp and base, nothing else of reeld.
noinst_LIBRARIES += libreelmedia.a
libreelmedia_a_SOURCES = src/media/helper/sandbox.c \
	src/media/helper/source.c src/media/helper/peek.c \
	src/media/helper/poster.c \
	src/media/helper/picture.c src/media/helper/rendition.c \
	src/media/helper/output.c src/media/helper/encode.c \
	src/media/helper/audio.c src/media/helper/encode.h \
	src/media/helper/image.c src/media/helper/image_head.c \
	src/media/helper/fit.c \
	src/media/helper/helper.h
libreelmedia_a_CPPFLAGS = $(AM_CPPFLAGS) $(AV_CFLAGS) $(SECCOMP_CFLAGS)
pkglibexec_PROGRAMS += reel-media
reel_media_SOURCES = src/media/helper/main.c
reel_media_CPPFLAGS = $(AM_CPPFLAGS) $(AV_CFLAGS) $(SECCOMP_CFLAGS)
MEDIA_LIBS = libreelmedia.a libreeld.a $(AV_LIBS) $(SECCOMP_LIBS)
reel_media_LDADD = $(MEDIA_LIBS) -lpthread -lm

UNIT_TESTS += tests/unit/test_media
tests_unit_test_media_SOURCES = tests/unit/test_media.c \
	tests/unit/media_fix.c tests/unit/media_fix.h
# It is run, not linked.
EXTRA_tests_unit_test_media_DEPENDENCIES = reel-media

UNIT_TESTS += tests/unit/test_image tests/unit/test_sandbox tests/unit/test_fit
tests_unit_test_fit_SOURCES = tests/unit/test_fit.c \
	tests/unit/media_fix.c tests/unit/media_fix.h
EXTRA_tests_unit_test_fit_DEPENDENCIES = reel-media
tests_unit_test_image_SOURCES = tests/unit/test_image.c \
	tests/unit/media_fix.c tests/unit/media_fix.h
tests_unit_test_image_CPPFLAGS = $(AM_CPPFLAGS) $(AV_CFLAGS)
tests_unit_test_image_LDADD = $(MEDIA_LIBS) $(LDADD)
EXTRA_tests_unit_test_image_DEPENDENCIES = reel-media
tests_unit_test_sandbox_CPPFLAGS = $(AM_CPPFLAGS) $(AV_CFLAGS)
tests_unit_test_sandbox_LDADD = $(MEDIA_LIBS) $(LDADD)
