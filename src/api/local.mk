# api: one file per resource; routes.c shows every URL.
libreeld_a_SOURCES += src/api/internal.h src/api/handlers.h \
	include/reeld/api.h
