# storage: objects on disk or in an S3 bucket.
libreeld_a_SOURCES += src/storage/disk.c src/storage/s3.c \
	src/storage/s3_multi.c src/storage/s3_ops.c src/storage/sigv4.c \
	src/storage/storage.c src/storage/internal.h src/storage/sigv4.h \
	include/reeld/storage.h
UNIT_TESTS += tests/unit/test_sigv4
check_PROGRAMS += tests/unit/storage_cli
