# fetch: requests to others.
libreeld_a_SOURCES += src/fetch/intake.c src/fetch/call.c src/fetch/easy.c src/fetch/guard.c \
	src/fetch/multi.c src/fetch/outcome.c src/fetch/queue.c \
	src/fetch/sink.c \
	src/fetch/spec.c src/fetch/writer.c src/fetch/sink.h \
	src/fetch/guard.h src/fetch/internal.h \
	include/reeld/fetch.h
UNIT_TESTS += tests/unit/test_guard
check_PROGRAMS += tests/unit/fetch_cli
