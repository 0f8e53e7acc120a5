# redis: command link and subscriber link.
libreeld_a_SOURCES += src/redis/redis.c src/redis/link.c src/redis/url.c \
	src/redis/internal.h include/reeld/redis.h
UNIT_TESTS += tests/unit/test_redis
tests_unit_test_redis_SOURCES = tests/unit/test_redis.c \
	tests/unit/servers.c tests/unit/servers.h
