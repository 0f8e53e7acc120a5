# Files of src/ws.
libreeld_a_SOURCES += include/reeld/ws.h
