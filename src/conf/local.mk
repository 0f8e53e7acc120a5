# conf: the settings.
libreeld_a_SOURCES += src/conf/conf.c src/conf/table.c src/conf/assign.c \
	src/conf/file.c src/conf/env.c src/conf/table.h include/reeld/conf.h \
	include/reeld/provider_names.h
UNIT_TESTS += tests/unit/test_conf
