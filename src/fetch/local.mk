libreeld_a_SOURCES += include/reeld/fetch.h
