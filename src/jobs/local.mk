# jobs: the engine; src/jobs/README.md follows one generation through it.
libreeld_a_SOURCES += src/jobs/step.c src/jobs/step_result.c src/jobs/step_make.h src/jobs/step_name.c \
	src/jobs/breaker.c src/jobs/breaker.h src/jobs/accounts.c src/jobs/check.c \
	src/jobs/engine.c src/jobs/hints.c src/jobs/turns.c src/jobs/turns.h src/jobs/slots.c src/jobs/claim.c \
	src/jobs/row.c src/jobs/job.c src/jobs/answer.c src/jobs/docs.c src/jobs/enhance.c src/jobs/images.c src/jobs/submit.c src/jobs/poll.c src/jobs/download.c src/jobs/expiry.c \
	src/jobs/finish.c src/jobs/settle.c src/jobs/end.c src/jobs/progress.c \
	src/jobs/events.c src/jobs/sweep.c src/jobs/purge.c src/jobs/hook.c src/jobs/keys.c src/jobs/worker.c \
	src/jobs/internal.h src/jobs/step.h include/reeld/jobs.h
UNIT_TESTS += tests/unit/test_step tests/unit/test_breaker tests/unit/test_turns
# The engine alone, for tests/it/engine.test.mjs.
check_PROGRAMS += tests/it/engine_demo
# The same with a registry of its own, for tests/it/engine_toy.test.mjs.
check_PROGRAMS += tests/it/engine_toy
tests_it_engine_toy_SOURCES = tests/it/engine_demo.c tests/it/toy.c
EXTRA_DIST += tests/it/engine.test.mjs tests/fake/fal.mjs src/jobs/README.md
