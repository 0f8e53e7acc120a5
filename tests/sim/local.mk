# sim: the simulator; tests/sim/README.md.  test_sim runs 10,000 seeds and
# every planted fault, `make simulate` as many as asked for, optimised.
SIM_SOURCES = tests/sim/world.c tests/sim/engine.c tests/sim/engine_job.c \
	tests/sim/provider.c tests/sim/people.c tests/sim/checks.c \
	tests/sim/calls.c tests/sim/db.c tests/sim/db_job.c \
	tests/sim/db_user.c tests/sim/db_sweep.c tests/sim/db_text.c \
	tests/sim/sim.h tests/sim/db.h
UNIT_TESTS += tests/unit/test_sim
tests_unit_test_sim_SOURCES = tests/unit/test_sim.c $(SIM_SOURCES)
tests_unit_test_sim_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests
check_PROGRAMS += tests/sim/simulate
tests_sim_simulate_SOURCES = tests/sim/main.c $(SIM_SOURCES) src/jobs/step.c \
	src/jobs/step_name.c src/jobs/step_result.c
tests_sim_simulate_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests
tests_sim_simulate_CFLAGS = $(AM_CFLAGS) -O2
tests_sim_simulate_LDADD = libreeld.a $(REELD_LIBS)
.PHONY: simulate
simulate: tests/sim/simulate$(EXEEXT)
	tests/sim/simulate$(EXEEXT)
