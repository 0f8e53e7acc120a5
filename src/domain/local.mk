# domain: pure rules without I/O.
libreeld_a_SOURCES += include/reeld/flow.h include/reeld/spec.h \
	include/reeld/price.h include/reeld/capability.h include/reeld/slug.h
