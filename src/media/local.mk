# media: blocking file work and sandboxed libav helpers.
libreeld_a_SOURCES += include/reeld/media.h
