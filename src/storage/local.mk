# storage: objects on disk or in an S3 bucket.
libreeld_a_SOURCES += src/storage/sigv4.c src/storage/sigv4.h \
	include/reeld/storage.h
UNIT_TESTS += tests/unit/test_sigv4
