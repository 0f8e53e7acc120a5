# tests: unit tests are one file each, named in UNIT_TESTS by their module.
if HAVE_CMOCKA
check_PROGRAMS += $(UNIT_TESTS)
TESTS += $(UNIT_TESTS)
endif
LDADD = libreeld.a $(REELD_LIBS) $(CMOCKA_LIBS)
AM_TESTS_ENVIRONMENT = srcdir='$(srcdir)'; export srcdir;
EXTRA_DIST += tests/unit/unit.h
