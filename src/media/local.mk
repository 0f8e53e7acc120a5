# media: blocking file work and sandboxed libav helpers.
libreeld_a_SOURCES += src/media/work.c src/media/media.c src/media/jobs.c \
	src/media/client.c src/media/internal.h src/media/proto.h \
	include/reeld/media.h
UNIT_TESTS += tests/unit/test_work
