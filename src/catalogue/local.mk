# catalogue: models, prices and system settings in memory.
libreeld_a_SOURCES += include/reeld/catalogue.h
