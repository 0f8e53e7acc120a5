# bench: `make bench` measures an optimised build of its own; README.md there.
EXTRA_PROGRAMS = tests/bench/media_bench tests/bench/download_bench \
	tests/bench/ws_crowd
tests_bench_media_bench_SOURCES = tests/bench/media_bench.c
tests_bench_media_bench_LDADD = libreeld.a $(REELD_LIBS)
tests_bench_ws_crowd_SOURCES = tests/bench/ws_crowd.c
tests_bench_ws_crowd_LDADD = libreeld.a $(REELD_LIBS)
tests_bench_download_bench_SOURCES = tests/bench/download_bench.c
tests_bench_download_bench_LDADD = libreeld.a $(REELD_LIBS)
BENCH =
BENCH_BUILD = build-bench
.PHONY: bench bench-scale bench-build
bench-build:
	@test '$(NODE)' != no && test -d '$(srcdir)/tests/node_modules' || \
	    { echo 'make bench needs node, and npm ci in tests/' >&2; exit 1; }
	@cd '$(srcdir)/tests/bench' && { test node_modules -nt package-lock.json || \
	    npm ci --silent && touch node_modules; }
	@$(MKDIR_P) '$(BENCH_BUILD)'
	@cd '$(BENCH_BUILD)' && { test -f Makefile || \
	    '$(abs_top_srcdir)/configure' CC='$(CC)' CFLAGS='-O2 -g' >/dev/null; }
	@cd '$(BENCH_BUILD)' && $(MAKE) -s all && \
	    $(MAKE) -s tests/bench/media_bench$(EXEEXT) \
	    tests/bench/download_bench$(EXEEXT) \
	    tests/bench/ws_crowd$(EXEEXT)
bench: bench-build
	@REELD_BUILD="$$(cd '$(BENCH_BUILD)' && pwd)" '$(NODE)' \
	    '$(srcdir)/tests/bench/run.mjs' $(BENCH)
# Large databases: minutes, and about 5 GB of disk for a million.
bench-scale: bench-build
	@REELD_BUILD="$$(cd '$(BENCH_BUILD)' && pwd)" '$(NODE)' \
	    '$(srcdir)/tests/bench/run.mjs' scale
