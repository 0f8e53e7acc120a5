# auth: who is calling, what he may, how often.
libreeld_a_SOURCES += src/auth/token.c src/auth/auth.c src/auth/gate.c \
	src/auth/identity.c src/auth/cache.c src/auth/lookup.c \
	src/auth/ticket.c src/auth/limit.c src/auth/forgery.c \
	src/auth/internal.h include/reeld/token.h include/reeld/auth.h
UNIT_TESTS += tests/unit/test_token tests/unit/test_auth
