# Files of src/jobs.
libreeld_a_SOURCES += src/jobs/step.c src/jobs/step.h
UNIT_TESTS += tests/unit/test_step
