# tests: unit tests are one file each, named in UNIT_TESTS by their module.
if HAVE_CMOCKA
check_PROGRAMS += $(UNIT_TESTS)
TESTS += $(UNIT_TESTS)
endif
LDADD = libreeld.a $(REELD_LIBS) $(CMOCKA_LIBS)
AM_TESTS_ENVIRONMENT = srcdir='$(srcdir)'; export srcdir;
EXTRA_DIST += tests/unit/unit.h
EXTRA_DIST += tests/README.md tests/package.json tests/package-lock.json \
	tests/.npmrc tests/run.mjs

# `make check` is unit and, where node and its packages are, integration.
IT_FILES = $(srcdir)/tests/it/*.test.mjs
RUN_NODE = REELD_BUILD='$(abs_builddir)' '$(NODE)' '$(srcdir)/tests/run.mjs'

.PHONY: check-unit check-it check-browser lint
check-unit: all
	$(MAKE) $(AM_MAKEFLAGS) $(check_PROGRAMS)
	$(MAKE) $(AM_MAKEFLAGS) check-TESTS

check-it: all
	$(MAKE) $(AM_MAKEFLAGS) $(check_PROGRAMS)
	$(RUN_NODE) $(IT_FILES)

check-browser: all
	$(RUN_NODE) $(srcdir)/tests/browser/*.test.mjs

check-local:
	@if test -n '$(SKIP_IT)'; then :; \
	elif test '$(NODE)' = no || ! test -d '$(srcdir)/tests/node_modules'; then \
		echo 'no integration tests: they need node and npm ci in tests/'; \
	else $(RUN_NODE) $(IT_FILES); fi

lint:
	@CC='$(CC)' CLANG_FORMAT='$(CLANG_FORMAT)' CFLAGS='-std=gnu11' \
		CPPFLAGS='$(DEFS) -I$(abs_builddir) -I$(abs_builddir)/src -I$(abs_top_srcdir)/include -I$(abs_top_srcdir)/src $(AM_CPPFLAGS) $(CPPFLAGS)' \
		BUILD='$(abs_builddir)' '$(srcdir)/contrib/lint'
