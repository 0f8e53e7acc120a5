# domain: pure rules without I/O.
libreeld_a_SOURCES += src/domain/flow.c src/domain/slug.c src/domain/size.c \
	src/domain/spec.c src/domain/capability.c src/domain/caps_doc.c \
	src/domain/rule.c src/domain/price.c src/domain/internal.h \
	src/domain/rule.h include/reeld/flow.h include/reeld/spec.h \
	include/reeld/price.h include/reeld/capability.h include/reeld/slug.h
UNIT_TESTS += tests/unit/test_price
UNIT_TESTS += tests/unit/test_flow
UNIT_TESTS += tests/unit/test_capability
