# api: one file per resource; routes.c shows every URL.
libreeld_a_SOURCES += src/api/routes.c src/api/call.c src/api/state.c \
	src/api/page.c src/api/row.c src/api/once.c src/api/file.c \
	src/api/order.c src/api/state.h src/api/internal.h \
	src/api/handlers.h include/reeld/api.h
# account and catalogue
libreeld_a_SOURCES += src/api/models.c src/api/estimate.c \
	src/api/uploads.c src/api/assets.c src/api/asset.h src/api/me.c \
	src/api/keys.c src/api/credits.c src/api/signin.c \
	src/api/sessions.c
# generations, live, workers, operations
UNIT_TESTS += tests/unit/test_api
