# json: strict parsing, field tables, path getters, writing.
libreeld_a_SOURCES += src/json/parse.c src/json/scan.c src/json/read.c \
	src/json/at.c src/json/write.c src/json/internal.h \
	include/reeld/json.h
UNIT_TESTS += tests/unit/test_json_parse
UNIT_TESTS += tests/unit/test_json_read
