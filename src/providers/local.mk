# providers: one file per vendor; builds requests, reads replies, no I/O.
libreeld_a_SOURCES += src/providers/registry.c src/providers/common.c \
	src/providers/mapping.c src/providers/fal.c src/providers/worker.c \
	src/providers/manual.c src/providers/webhook.c \
	src/providers/internal.h include/reeld/provider.h \
	include/reeld/webhook.h
EXTRA_DIST += src/providers/README.md
UNIT_TESTS += tests/unit/test_catalogue_seed
