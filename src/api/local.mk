# api: one file per resource; routes.c shows every URL.
libreeld_a_SOURCES += src/api/call.c src/api/state.c src/api/page.c \
	src/api/row.c src/api/once.c src/api/file.c src/api/order.c \
	src/api/state.h src/api/internal.h src/api/handlers.h \
	include/reeld/api.h
