# base: errors, log, memory and strings, ids, time, crash points.
libreeld_a_SOURCES += src/base/err.c src/base/log.c src/base/mem.c \
	src/base/buf.c src/base/text.c src/base/id.c src/base/digest.c \
	src/base/clock.c src/base/crash.c src/base/seal.c \
	include/reeld/seal.h \
	include/reeld/err.h include/reeld/log.h include/reeld/mem.h \
	include/reeld/id.h include/reeld/clock.h include/reeld/crash.h
UNIT_TESTS += tests/unit/test_base tests/unit/test_seal
