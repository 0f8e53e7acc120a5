libreeld_a_SOURCES += include/reeld/storage.h
