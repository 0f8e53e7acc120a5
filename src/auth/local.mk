# auth: who is calling.
libreeld_a_SOURCES += src/auth/token.c include/reeld/token.h include/reeld/auth.h
UNIT_TESTS += tests/unit/test_token
