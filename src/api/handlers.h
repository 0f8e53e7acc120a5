/* handlers.h - every handler that routes.c names, by file. */
#ifndef REELD_API_HANDLERS_H
#define REELD_API_HANDLERS_H

#include "reeld/http.h"

/* models.c */
http_handler_fn api_models_list, api_models_get, api_models_default;
/* estimate.c */
http_handler_fn api_estimate;
/* enhance.c */
http_handler_fn api_prompts_enhance;
/* uploads.c, assets.c */
http_handler_fn api_uploads_create;
http_handler_fn api_assets_list, api_assets_get, api_assets_delete;
http_handler_fn api_assets_content, api_storage_usage;
/* me.c */
http_handler_fn api_me_get, api_me_patch, api_me_limits;
/* keys.c */
http_handler_fn api_keys_list, api_keys_create, api_keys_delete;
/* credits.c */
http_handler_fn api_credits_get, api_credits_ledger;
/* signin.c, sessions.c */
http_handler_fn api_auth_link, api_auth_logout, api_auth_providers;
http_handler_fn api_sessions_list, api_sessions_delete, api_ws_ticket;

/* generations_*.c, content.c */
http_handler_fn api_generations_create, api_generations_list;
http_handler_fn api_generations_get, api_generations_status;
http_handler_fn api_generations_cancel, api_generations_retry;
http_handler_fn api_generations_patch, api_generations_delete;
http_handler_fn api_generations_events, api_generations_attempts;
http_handler_fn api_generations_receipt;
http_handler_fn api_generations_content, api_generations_download;
/* live_hooks.c */
http_handler_fn api_live_ws, api_live_events;
/* worker.c, worker_job.c, worker_files.c */
http_handler_fn api_worker_register, api_worker_heartbeat, api_worker_claim;
http_handler_fn api_worker_start, api_worker_progress, api_worker_complete;
http_handler_fn api_worker_fail, api_worker_callback;
http_handler_fn api_worker_upload, api_worker_input;
/* hooks.c */
http_handler_fn api_hooks;
/* admin_*.c */
http_handler_fn api_admin_overview, api_admin_queues, api_admin_queue_pause;
http_handler_fn api_admin_queue_resume, api_admin_workers;
http_handler_fn api_admin_worker_drain;
http_handler_fn api_admin_jobs, api_admin_job, api_admin_job_cancel;
http_handler_fn api_admin_job_retry, api_admin_jobs_bulk;
http_handler_fn api_admin_review_resolve;
http_handler_fn api_admin_users, api_admin_users_create;
http_handler_fn api_admin_users_patch, api_admin_users_credits;
http_handler_fn api_admin_audit_log, api_admin_audit_ledger;
http_handler_fn api_admin_providers, api_admin_accounts_create;
http_handler_fn api_admin_accounts_patch, api_admin_accounts_delete;
http_handler_fn api_admin_accounts_pause, api_admin_accounts_resume;
http_handler_fn api_admin_routes_patch, api_admin_accounts_test;
http_handler_fn api_admin_providers_test;
/* ops.c, metrics.c */
http_handler_fn api_livez, api_readyz, api_version, api_metrics;

#endif
