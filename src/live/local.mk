# Files of src/live.
libreeld_a_SOURCES += include/reeld/live.h
