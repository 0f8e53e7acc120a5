# loop: the reactor.
libreeld_a_SOURCES += src/loop/loop.c src/loop/timer.c src/loop/defer.c \
	src/loop/watch.c src/loop/resolve.c src/loop/internal.h \
	include/reeld/loop.h include/reeld/resolve.h
UNIT_TESTS += tests/unit/test_loop
