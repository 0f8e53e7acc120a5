# torture: `make torture` runs every fault scenario at its whole size, `make
# soak` half an hour of load with random faults; README.md there.
CRASHES = $(srcdir)/tests/it/kills.test.mjs $(srcdir)/tests/it/engine_kills.test.mjs \
	$(srcdir)/tests/it/engine_poison.test.mjs $(srcdir)/tests/it/submit_crash.test.mjs
TORTURE = $(CRASHES) $(srcdir)/tests/it/engine_answers.test.mjs \
	$(srcdir)/tests/it/drain.test.mjs $(srcdir)/tests/torture/*.test.mjs
SOAK_MINUTES = 30
torture_ready = test '$(NODE)' != no && test -d '$(srcdir)/tests/node_modules' || \
	{ echo 'it needs node, and npm ci in tests/' >&2; exit 1; }

.PHONY: torture soak
# Every crash point three times, everything else once.
torture: all
	@$(torture_ready)
	@command -v slowhttptest >/dev/null || \
	    { echo 'make torture needs slowhttptest' >&2; exit 1; }
	$(MAKE) $(AM_MAKEFLAGS) $(check_PROGRAMS)
	$(RUN_NODE) --jobs 1 $(CRASHES)
	$(RUN_NODE) --jobs 1 $(CRASHES)
	TORTURE_FULL=1 $(RUN_NODE) --jobs 1 --minutes 240 $(TORTURE)

soak: all
	@$(torture_ready)
	SOAK_MINUTES='$(SOAK_MINUTES)' $(RUN_NODE) --minutes 600 \
	    $(srcdir)/tests/torture/soak.mjs
