# redis: command link and subscriber link.
libreeld_a_SOURCES += src/redis/redis.c src/redis/link.c src/redis/url.c \
	src/redis/internal.h include/reeld/redis.h
