# api: one file per resource; routes.c shows every URL.
libreeld_a_SOURCES += src/api/routes.c src/api/call.c src/api/state.c \
	src/api/page.c src/api/row.c src/api/once.c src/api/file.c \
	src/api/order.c src/api/state.h src/api/internal.h \
	src/api/handlers.h include/reeld/api.h
# account and catalogue
libreeld_a_SOURCES += src/api/models.c src/api/estimate.c \
	src/api/enhance.c src/api/enhance.h \
	src/api/uploads.c src/api/assets.c src/api/asset.h src/api/me.c \
	src/api/keys.c src/api/credits.c src/api/signin.c \
	src/api/sessions.c
# generations, live, workers, operations
UNIT_TESTS += tests/unit/test_api
libreeld_a_SOURCES += src/api/act.c src/api/act.h src/api/view.c \
	src/api/view.h src/api/submitted.c src/api/submitted.h \
	src/api/submits.c src/api/submits.h \
	src/api/generations_create.c src/api/generations_read.c \
	src/api/generations_status.c src/api/generations_act.c \
	src/api/content.c src/api/live_hooks.c src/api/live_hooks.h \
	src/api/live_snapshot.c src/api/worker.c src/api/worker.h \
	src/api/worker_job.c src/api/worker_files.c src/api/ops.c \
	src/api/metrics.c src/api/metrics.h \
	src/api/metrics_http.c src/api/metrics_process.c \
	src/api/hooks.c src/api/admin.h src/api/admin_audit.c \
	src/api/admin_overview.c src/api/admin_jobs.c \
	src/api/admin_bulk.c src/api/admin_users.c \
	src/api/admin_accounts.c src/api/admin_check.c \
	src/api/admin_providers.c src/api/admin_providers.h
