# catalogue: models, prices and system settings in memory.
libreeld_a_SOURCES += src/catalogue/catalogue.c src/catalogue/load.c \
	src/catalogue/shown.c src/catalogue/get.c src/catalogue/accounts.c \
	src/catalogue/internal.h include/reeld/catalogue.h
UNIT_TESTS += tests/unit/test_catalogue
