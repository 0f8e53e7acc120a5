# providers: one file per vendor; builds requests, reads replies, no I/O.
libreeld_a_SOURCES += include/reeld/provider.h include/reeld/webhook.h
